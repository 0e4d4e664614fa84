//! A node of one's own, an image made of this machine's programs, and the questions tests ask.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use drydock_node::client::{ExecOutput, NodeClient};
use drydock_node::protocol::{
    ContainerSpec, ContainerState, ContainerStatus, ExecSpec, Exit, NodeEvent, Rootfs, SandboxSpec,
};
use tempfile::TempDir;
use tokio::sync::broadcast::Receiver;

pub const NODE: &str = env!("CARGO_BIN_EXE_drydock-node");
/// Long enough for a machine that compiles at the same time.
const SOON: Duration = Duration::from_secs(20);

/// Programs of the image, from this machine; `perl` is the server that every Debian has.
const PROGRAMS: [&str; 12] =
    ["bash", "cat", "chmod", "head", "id", "ls", "mkdir", "mknod", "perl", "sleep", "touch", "tr"];

pub struct World {
    pub dir: TempDir,
    pub client: NodeClient,
    pub events: Receiver<NodeEvent>,
    _guard: KilledOnPanic,
}

/// A node, or `None` (said aloud) where the machine does not let us make one.
pub async fn world() -> Option<World> {
    let user: &[&str] = if nix::unistd::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let namespaces = ["--net", "--mount", "--pid", "--fork", "true"];
    let allowed = Command::new("unshare").args(user).args(namespaces).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: this machine lets us make no namespaces");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let client = NodeClient::launch(Path::new(NODE), dir.path()).await.unwrap();
    let events = client.subscribe().await.unwrap();
    let _guard = KilledOnPanic(client.node_pid());
    Some(World { dir, client, events, _guard })
}

/// A node whose containers can be of any user; said aloud where there is only one.
pub async fn world_of_users() -> Option<World> {
    let world = world().await?;
    if world.client.ping().await.unwrap().user_ids > 2000 {
        return Some(world);
    }
    eprintln!("SKIPPED: only one user id here");
    world.end().await;
    None
}

impl World {
    pub async fn sandbox(&self, id: &str) -> Ipv4Addr {
        self.client.create_sandbox(sandbox(id)).await.unwrap().ip
    }

    /// A container that runs a bash script, not yet created.
    pub fn script(&self, id: &str, sandbox: &str, script: &str) -> ContainerSpec {
        let own = self.dir.path().join("disks").join(id);
        ContainerSpec {
            id: id.to_owned(),
            sandbox: sandbox.to_owned(),
            rootfs: Rootfs {
                layers: vec![image().to_owned()],
                upper: own.join("upper"),
                work: own.join("work"),
            },
            args: ["bash", "-c", script].map(str::to_owned).to_vec(),
            log_path: Some(self.log_path(id)),
            ..Default::default()
        }
    }

    pub fn log_path(&self, id: &str) -> PathBuf {
        self.dir.path().join("logs").join(format!("{id}.log"))
    }

    pub async fn start(&self, spec: ContainerSpec) -> ContainerStatus {
        let id = spec.id.clone();
        self.client.create_container(spec).await.unwrap();
        self.client.start_container(&id).await.unwrap()
    }

    /// Runs it to its end; gives back what it printed and how it ended.
    pub async fn run(&mut self, spec: ContainerSpec) -> (String, Exit) {
        let id = spec.id.clone();
        self.start(spec).await;
        let exit = self.exit_of(&id).await;
        (self.output(&id), exit)
    }

    /// Runs a script in a pod of its own.
    pub async fn say(&mut self, script: &str) -> String {
        self.sandbox("pod").await;
        let spec = self.script("c", "pod", script);
        self.run(spec).await.0
    }

    pub async fn exit_of(&mut self, wanted: &str) -> Exit {
        loop {
            let event = tokio::time::timeout(SOON, self.events.recv()).await;
            match event.expect("the container should have ended").unwrap() {
                NodeEvent::ContainerExited { id, exit } if id == wanted => return exit,
                _ => {}
            }
        }
    }

    /// The text of a container's log, without times and marks.
    pub fn output(&self, id: &str) -> String {
        let log = fs::read_to_string(self.log_path(id)).unwrap();
        log.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned() + "\n").collect()
    }

    pub async fn exec(&self, container: &str, script: &str) -> ExecOutput {
        let spec = ExecSpec {
            container: container.to_owned(),
            args: ["bash", "-c", script].map(str::to_owned).to_vec(),
            timeout_ms: Some(10_000),
            ..Default::default()
        };
        self.client.exec_output(spec, 64 << 10).await.unwrap()
    }

    pub async fn state(&self, id: &str) -> ContainerState {
        let listing = self.client.list().await.unwrap();
        listing.containers.into_iter().find(|container| container.id == id).unwrap().state
    }

    /// Waits until a container answers on a port.
    pub async fn until_it_listens(&self, ip: Ipv4Addr, port: u16) {
        let listens = async {
            while self.client.connect_tcp(std::net::SocketAddrV4::new(ip, port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, listens).await.expect("the server should listen");
    }

    /// Ends the node and checks that the host is as it was.
    pub async fn end(self) {
        let pid = self.client.node_pid().unwrap();
        let dir = self.dir.path().canonicalize().unwrap();
        self.client.shutdown().await.unwrap();
        until_gone(pid).await;
        assert_nothing_left(&dir);
    }
}

/// After a failed assertion nobody else would end the node.
struct KilledOnPanic(Option<i32>);

impl Drop for KilledOnPanic {
    fn drop(&mut self) {
        if let (true, Some(pid)) = (std::thread::panicking(), self.0) {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

/// Also waits for the zombie's collection, which is the init of the machine's affair.
pub async fn until_gone(pid: i32) {
    let gone = async {
        while fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, gone).await.expect("the node should have ended");
}

pub fn assert_nothing_left(dir: &Path) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(dir.to_str().unwrap()), "a mount is left on the host");
    let links = fs::read_to_string("/proc/net/dev").unwrap();
    assert!(!links.contains("pod1"), "a link is left on the host");
    assert_eq!(processes_in(dir), Vec::<String>::new(), "processes are left");
    assert_eq!(cgroups(dir), Vec::<PathBuf>::new(), "cgroups are left");
}

/// Command lines that name the directory.
fn processes_in(dir: &Path) -> Vec<String> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok())
        .filter(|line| line.contains(dir.to_str().unwrap()))
        .collect()
}

pub fn cgroups(dir: &Path) -> Vec<PathBuf> {
    use sha2::Digest;
    use std::os::unix::ffi::OsStrExt;
    let digest = sha2::Sha256::digest(dir.as_os_str().as_bytes());
    let name = format!("drydock-{}", digest.iter().take(8).map(|b| format!("{b:02x}")).collect::<String>());
    let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|entry| entry.path());
    let all = hierarchies.chain([PathBuf::from("/sys/fs/cgroup")]).map(|path| path.join(&name));
    all.filter(|path| path.exists()).collect()
}

pub fn sandbox(id: &str) -> SandboxSpec {
    SandboxSpec {
        id: id.to_owned(),
        hostname: format!("{id}-host"),
        labels: BTreeMap::from([("pod".to_owned(), id.to_owned())]),
        ..Default::default()
    }
}

/// A server that answers every connection with its text, on a port.
pub fn server(port: u16, text: &str) -> String {
    format!(
        "exec perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(LocalPort => {port}, Listen => 9, \
         ReuseAddr => 1) or die $!; while ($c = $s->accept) {{ print $c \"{text}\\n\"; close $c }}'"
    )
}

/// A script that prints the first line a server sends.
pub fn fetch(ip: Ipv4Addr, port: u16) -> String {
    format!("exec 3<>/dev/tcp/{ip}/{port} && read line <&3 && echo $line")
}

/// An image's only layer: programs of this machine with the libraries they need.
pub fn image() -> &'static Path {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let root = std::env::temp_dir().join(format!("drydock-image-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for name in ["etc", "tmp", "usr/bin"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        symlink("usr/bin", root.join("bin")).unwrap();
        fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
        fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nann:x:1000:1001::/home/ann:/bin/sh\n")
            .unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nann:x:1001:\nteam:x:2000:ann\n").unwrap();
        for program in PROGRAMS {
            let from = ["/usr/bin", "/bin"].map(|dir| Path::new(dir).join(program));
            let from = from.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("no {program} here"));
            copy(&from.canonicalize().unwrap(), &root.join("usr/bin").join(program));
            libraries(from)
                .iter()
                .for_each(|library| copy(library, &root.join(library.strip_prefix("/").unwrap())));
        }
        copy_tree(Path::new("/usr/lib/x86_64-linux-gnu/perl-base"), &root);
        root
    })
}

fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
}

fn copy_tree(from: &Path, root: &Path) {
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            copy_tree(&entry.path(), root);
        } else if entry.path().is_file() {
            copy(&entry.path(), &root.join(entry.path().strip_prefix("/").unwrap()));
        }
    }
}
