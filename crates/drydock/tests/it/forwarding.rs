//! `kubectl port-forward`: connections into a pod, in every version of kubectl.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::json;

use crate::world::{SOON, World, newest, noise, with_every_kubectl};

const LARGE_BYTES: usize = 5 << 20;

/// A kubectl that forwards until it is dropped.
struct Forward {
    child: Child,
    stdout: BufReader<ChildStdout>,
    ports: Vec<u16>,
}

impl Forward {
    /// `target` and the ports of the pod; the ports here are any free ones.
    fn start(world: &World, target: &str, ports: &[u16]) -> Self {
        let ports: Vec<String> = ports.iter().map(|port| format!(":{port}")).collect();
        let mut args = vec!["port-forward", "--address", "127.0.0.1", target];
        args.extend(ports.iter().map(String::as_str));
        let mut child = world.command(&args).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut found = Vec::new();
        while found.len() < ports.len() {
            let mut line = String::new();
            let read = stdout.read_line(&mut line).unwrap();
            if read == 0 {
                let mut said = String::new();
                child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
                panic!("kubectl should forward: {said}");
            }
            let port =
                line.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
            found.extend(port.and_then(|port| port.parse::<u16>().ok()));
        }
        Self { child, stdout, ports: found }
    }

    fn connect(&self, index: usize) -> TcpStream {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports[index])).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    /// What kubectl says on stderr until it ends.
    fn last_words(mut self, world: &World) -> String {
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        world.wait(&mut self.child, &["port-forward"]);
        said
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.stdout.get_mut();
    }
}

/// A pod whose port 7000 echoes, for many connections at once, and whose port 8000 serves files.
pub fn serving(world: &World) {
    let script = "echo hello > /www/index.html; httpd -p 8000 -h /www; exec nc -ll -p 7000 -e cat";
    world.pod("p", script, json!({ "ports": [{ "containerPort": 8000 }, { "containerPort": 7000 }] }));
    world.until_ready("p");
    let listens = "until echo | nc -w 1 127.0.0.1 7000 > /dev/null; do sleep 0.1; done";
    let ran = world.run(&["exec", "p", "--", "sh", "-c", listens], None);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// Sends all of it, ends its half, and gives back what came.
fn echoed(mut stream: TcpStream, bytes: &[u8]) -> Vec<u8> {
    let mut reader = stream.try_clone().unwrap();
    let back = std::thread::spawn(move || {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).map(|_| all).unwrap()
    });
    stream.write_all(bytes).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    back.join().unwrap()
}

fn get(mut stream: TcpStream) -> String {
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn several_connections_carry_much_at_once() {
    with_every_kubectl(|world| {
        serving(world);
        let forward = Forward::start(world, "pod/p", &[7000, 8000]);
        assert!(get(forward.connect(1)).ends_with("hello\n"));
        let threads: Vec<_> = (0..4)
            .map(|number| {
                let stream = forward.connect(0);
                std::thread::spawn(move || {
                    let bytes = noise(LARGE_BYTES + number * 1000);
                    assert!(echoed(stream, &bytes) == bytes, "connection {number}");
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(get(forward.connect(1)).ends_with("hello\n"));
    });
}

/// Older kubectls stand still after this by their own fault: they keep data that nobody reads any more.
#[test]
fn a_client_that_hangs_up_early_disturbs_nobody() {
    let Some(world) = newest() else { return };
    serving(&world);
    let forward = Forward::start(&world, "pod/p", &[7000]);
    for _ in 0..5 {
        let mut stream = forward.connect(0);
        stream.write_all(&noise(100_000)).unwrap();
        drop(stream);
    }
    assert_eq!(echoed(forward.connect(0), b"still there"), b"still there");
}

#[test]
fn a_port_nobody_listens_on_says_so() {
    with_every_kubectl(|world| {
        world.sleeping("p");
        let forward = Forward::start(world, "pod/p", &[9]);
        let mut stream = forward.connect(0);
        let mut nothing = Vec::new();
        let _ = stream.read_to_end(&mut nothing);
        let said = forward.last_words(world);
        assert!(said.contains("error forwarding port 9 to pod p, uid "), "{said}");
        assert!(said.to_lowercase().contains("connection refused"), "{said}");
        assert!(said.contains("lost connection to pod"), "{said}");
    });
}
