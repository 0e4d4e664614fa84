//! A folder with copies of the charts, an environment in which neither program sees the person's own files, and
//! the two programs side by side.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub struct World {
    folder: tempfile::TempDir,
}

/// How a program ended.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    fn of(output: Output) -> Ran {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self.out
    }

    /// It must have refused its input; what it said.
    #[track_caller]
    pub fn refused(self) -> String {
        assert_eq!(self.code, Some(3), "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self.err
    }
}

impl World {
    pub fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        copy(&data(), folder.path());
        World { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("SEAWORTHY_HOME", self.path("state")).env("TZ", "UTC");
        command
    }

    pub fn ours(&self, arguments: &[&str]) -> Ran {
        self.ours_with(arguments, &[])
    }

    pub fn ours_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let mut command = self.command(env!("CARGO_BIN_EXE_seaworthy"), arguments);
        Ran::of(command.envs(environment.iter().copied()).output().unwrap())
    }

    /// The same with text on stdin.
    pub fn ours_reading(&self, arguments: &[&str], input: &str) -> Ran {
        use std::io::Write as _;
        let mut command = self.command(env!("CARGO_BIN_EXE_seaworthy"), arguments);
        command.stdin(std::process::Stdio::piped());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ran::of(child.wait_with_output().unwrap())
    }

    /// The same at a terminal, without waiting for its end.
    pub fn ours_at(&self, arguments: &[&str], terminal: std::os::fd::OwnedFd) -> std::process::Child {
        let mut command = self.command(env!("CARGO_BIN_EXE_seaworthy"), arguments);
        let (out, err) = (terminal.try_clone().unwrap(), terminal.try_clone().unwrap());
        command.stdin(terminal).stdout(out).stderr(err).spawn().unwrap()
    }

    /// The real Helm; `None` where there is none, which is said.
    pub fn helm(&self, arguments: &[&str]) -> Option<Ran> {
        self.helm_with(arguments, &[])
    }

    pub fn helm_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Option<Ran> {
        let mut command = self.command("helm", arguments);
        match command.envs(environment.iter().copied()).output() {
            Ok(output) => Some(Ran::of(output)),
            Err(error) => {
                eprintln!("not compared with a real helm: it cannot be run ({error})");
                None
            }
        }
    }

    /// Both print the same to stdout, and what they print is what was recorded as `name`.
    #[track_caller]
    pub fn same(&self, name: &str, arguments: &[&str]) {
        let clean = |text: &str| text.replace(&self.folder.path().display().to_string(), "FOLDER");
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/recorded").join(format!("{name}.txt"));
        let theirs = self.helm(arguments).map(|ran| clean(&ran.out));
        if let (Some(theirs), Some(_)) = (&theirs, std::env::var_os("RECORD")) {
            std::fs::write(&file, theirs).unwrap();
        }
        let recorded = std::fs::read_to_string(&file).unwrap();
        let ours = self.ours(arguments);
        assert_eq!(clean(&ours.out), recorded, "ours against the recording\nstderr:\n{}", ours.err);
        if let Some(theirs) = theirs {
            assert_eq!(theirs, recorded, "the helm on PATH against the recording");
        }
    }
}

pub fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/charts/data")
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
