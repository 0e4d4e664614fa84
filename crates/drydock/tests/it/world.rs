//! An engine of one's own with one image, `busybox:1`, and every kubectl of this machine.
//!
//! One engine serves all tests of a run; each test has its own namespace. It ends with the process that started it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use seaworthy_image::layer::{LayerBuilder, Owner};
use seaworthy_image::{ConfigBuilder, ImageStore, NewImage};
use serde_json::{Value, json};

/// Where Google's SDK puts one kubectl per version.
const SDK: &str = "/usr/lib/google-cloud-sdk/bin";
const VERSIONS: [&str; 7] = ["1.27", "1.28", "1.29", "1.30", "1.31", "1.32", "1.33"];
const BUSYBOX: [&str; 2] = ["/bin/busybox", "/usr/bin/busybox"];
/// What of busybox the tests call by name.
const APPLETS: [&str; 22] = [
    "sh",
    "cat",
    "echo",
    "sleep",
    "tar",
    "ls",
    "md5sum",
    "sha256sum",
    "head",
    "nc",
    "stty",
    "true",
    "false",
    "id",
    "seq",
    "yes",
    "mkdir",
    "wc",
    "dd",
    "httpd",
    "kill",
    "ps",
];
/// Long enough for a machine that compiles at the same time.
pub const SOON: Duration = Duration::from_secs(60);

pub struct Engine {
    folder: PathBuf,
    /// The engine ends when this process does, however it does.
    _process: Child,
}

/// The engine, or `None` (said aloud) where this machine cannot have one.
fn engine() -> Option<&'static Engine> {
    static ENGINE: OnceLock<Option<Engine>> = OnceLock::new();
    ENGINE.get_or_init(start).as_ref()
}

fn start() -> Option<Engine> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: containers of several users need root");
        return None;
    }
    let Some(busybox) = BUSYBOX.iter().map(Path::new).find(|path| path.exists()) else {
        eprintln!("SKIPPED: no static busybox on this machine (package busybox-static)");
        return None;
    };
    let folder = fresh_folder();
    make_image(&folder.join("images"), busybox);
    let log = fs::File::create(folder.join("drydock.log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_drydock"));
    command.arg(folder.join("engine")).arg(folder.join("images"));
    command.env("RUST_LOG", "info,drydock_streams=debug,drydock_api=debug");
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    // SAFETY: asks for a signal at our end, and nothing else.
    unsafe {
        command.pre_exec(|| {
            let with_parent = Some(rustix::process::Signal::TERM);
            Ok(rustix::process::set_parent_process_death_signal(with_parent)?)
        });
    }
    let engine = Engine { folder, _process: spawn_for_good(command) };
    let begun = Instant::now();
    while !engine.answers() {
        assert!(begun.elapsed() < SOON, "the engine should start:\n{}", engine.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(engine)
}

/// Removes what former runs have left, too: their engines ended with them.
fn fresh_folder() -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for old in fs::read_dir(all).into_iter().flatten().flatten() {
        if old.file_name().to_string_lossy().starts_with("engine-") {
            let _ = fs::remove_dir_all(old.path());
        }
    }
    tempfile::Builder::new().prefix("engine-").tempdir_in(all).unwrap().keep()
}

/// The kernel means the thread when it says parent, so the thread has to stay.
fn spawn_for_good(mut command: Command) -> Child {
    let (told, child) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        told.send(command.spawn().unwrap()).unwrap();
        loop {
            std::thread::park();
        }
    });
    child.recv().unwrap()
}

fn make_image(store: &Path, busybox: &Path) {
    let store = ImageStore::open(store).unwrap();
    let mut layer = LayerBuilder::new(&store.scratch()).unwrap();
    let root = Owner::default();
    for directory in ["bin", "etc", "tmp", "root", "www"] {
        layer.directory(directory, if directory == "tmp" { 0o1777 } else { 0o755 }, root).unwrap();
    }
    layer.bytes("etc/passwd", b"root:x:0:0::/root:/bin/sh\n", 0o644, root).unwrap();
    layer.file("bin/busybox", busybox, 0o755, root).unwrap();
    for applet in APPLETS {
        layer.symlink(&format!("bin/{applet}"), "busybox", root).unwrap();
    }
    let config = ConfigBuilder::default().cmd(vec!["sh".to_owned()]).build().unwrap();
    let layers = vec![layer.finish().unwrap()];
    store.add(NewImage { name: "busybox:1".to_owned(), layers, config, health: None, inputs: None }).unwrap();
}

impl Engine {
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("engine/kubeconfig")
    }

    fn answers(&self) -> bool {
        let Some(kubectl) = kubectls().pop() else { return true };
        let node = Command::new(kubectl)
            .args(["get", "nodes", "-o", "name"])
            .env("KUBECONFIG", self.kubeconfig())
            .env("HOME", &self.folder)
            .output();
        node.is_ok_and(|output| output.stdout.starts_with(b"node/"))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("drydock.log")).unwrap_or_default()
    }
}

/// Every kubectl of this machine; said aloud when there is none.
pub fn kubectls() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain([PathBuf::from(SDK)]).collect();
    let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    let only = std::env::var("DRYDOCK_KUBECTL").ok();
    let wanted = VERSIONS.iter().filter(|version| only.as_deref().is_none_or(|only| only == **version));
    let mut found: Vec<PathBuf> = wanted.filter_map(|version| find(&format!("kubectl.{version}"))).collect();
    if found.is_empty() {
        found.extend(find("kubectl"));
    }
    if found.is_empty() {
        eprintln!("SKIPPED: no kubectl on this machine (looked in PATH and {SDK})");
    }
    found
}

/// A namespace of the engine, seen through one kubectl.
pub struct World {
    engine: &'static Engine,
    kubectl: PathBuf,
    pub namespace: String,
}

/// Runs a test once per kubectl, each in a namespace of its own.
pub fn with_every_kubectl(test: impl Fn(&World)) {
    for kubectl in kubectls() {
        let Some(world) = world(&kubectl) else { return };
        eprintln!("with {}", kubectl.display());
        test(&world);
        world.end();
    }
}

/// One namespace and the newest kubectl.
pub fn newest() -> Option<World> {
    world(kubectls().last()?)
}

fn world(kubectl: &Path) -> Option<World> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let engine = engine()?;
    let namespace = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let world = World { engine, kubectl: kubectl.to_owned(), namespace };
    world.ok(&format!("create namespace {}", world.namespace));
    Some(world)
}

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// kubectl 1.30 complains, against any server, when the empty message that opens a session is there before its own
/// streams are.
fn without_chatter(stderr: &str) -> String {
    let is_chatter =
        |line: &&str| line.starts_with('E') && line.contains("Unknown stream id 1, discarding message");
    stderr.split_inclusive('\n').filter(|line| !is_chatter(line)).collect()
}

impl Ran {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl World {
    pub fn kubeconfig(&self) -> PathBuf {
        self.engine.kubeconfig()
    }

    /// A folder of this world's own.
    pub fn folder(&self) -> PathBuf {
        let folder = self.engine.folder.join("home").join(&self.namespace);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.kubectl);
        command.args(["-n", &self.namespace]).args(args).current_dir(self.folder());
        command.env("KUBECONFIG", self.kubeconfig()).env("HOME", self.engine.folder.join("home"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs kubectl with this input; the engine's log is shown when it does not end.
    pub fn run(&self, args: &[&str], input: Option<&[u8]>) -> Ran {
        let mut command = self.command(args);
        if input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().zip(input.map(<[u8]>::to_vec)).map(|(mut stdin, input)| {
            // A program that ends without reading everything is not an error of ours.
            std::thread::spawn(move || drop(stdin.write_all(&input)))
        });
        let mut stdout = child.stdout.take().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut all = Vec::new();
            stdout.read_to_end(&mut all).map(|_| all).unwrap()
        });
        let stderr = std::thread::spawn(move || {
            let mut all = String::new();
            stderr.read_to_string(&mut all).map(|_| all).unwrap()
        });
        let code = self.wait(&mut child, args);
        if let Some(stdin) = stdin {
            stdin.join().unwrap();
        }
        Ran { code, stdout: stdout.join().unwrap(), stderr: without_chatter(&stderr.join().unwrap()) }
    }

    pub fn wait(&self, child: &mut Child, args: &[&str]) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            if begun.elapsed() > SOON {
                let _ = child.kill();
                panic!("`kubectl {}` should end; the engine says:\n{}", args.join(" "), self.engine.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn kubectl(&self, line: &str) -> Ran {
        self.run(&line.split(' ').collect::<Vec<_>>(), None)
    }

    /// The output of a command line (split at spaces) that must succeed.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        let ran = self.kubectl(line);
        assert_eq!(ran.code, 0, "`kubectl {line}`:\n{}{}", ran.text(), ran.stderr);
        ran.text()
    }

    /// A pod of one container `c` that runs a script; `more` is merged into the container.
    pub fn pod(&self, name: &str, script: &str, more: Value) {
        let mut container = json!({ "name": "c", "image": "busybox:1", "command": ["sh", "-c", script] });
        for (key, value) in more.as_object().into_iter().flatten() {
            container[key] = value.clone();
        }
        self.create(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
            "spec": { "containers": [container], "terminationGracePeriodSeconds": 0, "restartPolicy": "Never" },
        }));
    }

    pub fn create(&self, object: &Value) {
        let ran = self.run(&["create", "--validate=false", "-f", "-"], Some(object.to_string().as_bytes()));
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    }

    /// A pod that waits, and has started to.
    pub fn sleeping(&self, name: &str) {
        self.pod(name, "trap exit TERM; sleep 1000 & wait", json!({}));
        self.until_ready(name);
    }

    pub fn until_ready(&self, name: &str) {
        self.ok(&format!("wait --for=condition=Ready pod/{name} --timeout=60s"));
    }

    fn end(&self) {
        self.ok(&format!("delete namespace {} --wait=false", self.namespace));
    }
}

/// Bytes that no compression or line handling leaves alone.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}
