//! The cargo builder: packages of one workspace into images made from scratch, without a daemon.
//!
//! One `cargo build` serves all packages of a context. The binaries are static (glibc with
//! `crt-static`), so an image holds the binary, a user and a writable `/tmp`: nothing to patch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use oci_spec::image::{Config, ConfigBuilder};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::HealthCheck;
use crate::error::{Error, Result};
use crate::inputs::fingerprint;
use crate::layer::{LayerBuilder, Owner};
use crate::store::{Image, ImageStore, NewImage};

/// Changes whenever the layout of the images does, so that old ones are rebuilt.
const BUILDER: &str = "cargo-2";
const USER: Owner = Owner { uid: 1000, gid: 1000 };
const ROOT: Owner = Owner { uid: 0, gid: 0 };
/// Who the images know: nobody has a shell or a home.
const GROUPS: &str = "root:x:0:\napp:x:1000:\n";
const USERS: &str = "root:x:0:0::/:/none\napp:x:1000:1000::/:/none\n";
const TAIL_LINES: usize = 20;
const TAG_LENGTH: usize = 12;

/// One image to build from the package of a cargo workspace.
#[derive(Debug, Clone)]
pub struct CargoImage {
    /// Image name without a tag, e.g. `todo-backend`; the tag is taken from the content.
    pub repository: String,
    pub package: String,
    /// Ports the container listens on, for the image's own description.
    pub ports: Vec<u16>,
    pub health: Option<HealthCheck>,
}

/// An image and whether it had to be built.
#[derive(Debug)]
pub struct Built {
    pub image: Image,
    pub reused: bool,
}

/// Builds `images` from the workspace in `context`; in the order given. `progress` is told each line cargo prints.
///
/// Nothing is run when no file in `context` and no tool has changed since the last build.
pub async fn build(
    store: &ImageStore,
    context: &Path,
    images: &[CargoImage],
    mut progress: impl FnMut(&str),
) -> Result<Vec<Built>> {
    let toolchain = Toolchain::detect().await?;
    let inputs = inputs_of(context, &toolchain).await?;
    let known = images
        .iter()
        .map(|image| store.built_from(&image.repository, &inputs))
        .collect::<Result<Vec<_>>>()?;
    if known.iter().all(Option::is_some) {
        return Ok(known.into_iter().flatten().map(|image| Built { image, reused: true }).collect());
    }
    let packages: Vec<&str> = images.iter().map(|image| image.package.as_str()).collect();
    let binaries = run_cargo(context, &packages, &toolchain, &mut progress).await?;
    let mut built = Vec::new();
    for image in images {
        let missing = || Error::NoBinary { package: image.package.clone(), context: context.to_owned() };
        let binary = binaries.get(&image.package).ok_or_else(missing)?;
        let (store, image, binary, inputs) = (store.clone(), image.clone(), binary.clone(), inputs.clone());
        let packed = tokio::task::spawn_blocking(move || pack(&store, &image, &binary, inputs)).await;
        built.push(Built { image: packed.map_err(joined)??, reused: false });
    }
    Ok(built)
}

struct Toolchain {
    /// All of `rustc -vV`.
    version: String,
    host: String,
}

impl Toolchain {
    async fn detect() -> Result<Self> {
        let run = Command::new("rustc").arg("-vV").output().await;
        let output = run.map_err(|source| Error::Program { program: "rustc".into(), source })?;
        let version = String::from_utf8_lossy(&output.stdout).into_owned();
        let host =
            version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        Ok(Self { version, host })
    }

    /// Flags for the target only: build scripts and procedural macros stay dynamic.
    fn rustflags_variable(&self) -> String {
        format!("CARGO_TARGET_{}_RUSTFLAGS", self.host.to_uppercase().replace(['-', '.'], "_"))
    }
}

async fn inputs_of(context: &Path, toolchain: &Toolchain) -> Result<String> {
    let (context, salt) = (context.to_owned(), format!("{BUILDER}\n{}", toolchain.version));
    tokio::task::spawn_blocking(move || fingerprint(&context, &salt)).await.map_err(joined)?
}

fn joined(error: tokio::task::JoinError) -> Error {
    Error::Io {
        action: "finish work on",
        path: PathBuf::from("the image"),
        source: std::io::Error::other(error),
    }
}

/// What matters of cargo's JSON messages.
#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    executable: Option<PathBuf>,
}

async fn run_cargo(
    context: &Path,
    packages: &[&str],
    toolchain: &Toolchain,
    progress: &mut impl FnMut(&str),
) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = Command::new("cargo");
    command.current_dir(context).args(["build", "--release", "--message-format=json-render-diagnostics"]);
    command
        .args(["--target", &toolchain.host])
        .env(toolchain.rustflags_variable(), "-C target-feature=+crt-static");
    // Flags and wrappers of an outer cargo would change the fingerprint of every dependency.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_MAKEFLAGS");
    packages.iter().for_each(|package| {
        command.args(["--package", package]);
    });
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|source| Error::Program { program: "cargo".into(), source })?;
    let stdout = child.stdout.take().map(BufReader::new);
    let stderr = child.stderr.take().map(BufReader::new);
    let (Some(stdout), Some(stderr)) = (stdout, stderr) else { unreachable!("both were asked for as pipes") };

    let mut binaries = BTreeMap::new();
    let mut tail = Vec::new();
    let (mut messages, mut lines) = (stdout.lines(), stderr.lines());
    let (mut more_messages, mut more_lines) = (true, true);
    while more_messages || more_lines {
        tokio::select! {
            message = messages.next_line(), if more_messages => match message {
                Ok(Some(message)) => binaries.extend(executable(&message)),
                _ => more_messages = false,
            },
            line = lines.next_line(), if more_lines => match line {
                Ok(Some(line)) => {
                    progress(line.trim());
                    tail.push(line);
                    if tail.len() > TAIL_LINES {
                        tail.remove(0);
                    }
                }
                _ => more_lines = false,
            },
        }
    }
    let status = child.wait().await.map_err(|source| Error::Program { program: "cargo".into(), source })?;
    match status.success() {
        true => Ok(binaries),
        false => Err(Error::CargoBuild { context: context.to_owned(), tail: tail.join("\n") }),
    }
}

/// Package name and path of a binary that cargo just produced or found fresh.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Message = serde_json::from_str(message).ok()?;
    let executable = message.executable.filter(|_| message.reason == "compiler-artifact")?;
    Some((package_name(&message.package_id?)?, executable))
}

/// `path+file:///src/backend#0.1.0` or `path+file:///src/x#backend@0.1.0`: the name is after `#`, or the last folder.
fn package_name(id: &str) -> Option<String> {
    let (url, fragment) = id.rsplit_once('#')?;
    let name = match fragment.split_once('@') {
        Some((name, _)) => name,
        None => url.rsplit('/').next()?,
    };
    Some(name.to_owned())
}

fn pack(store: &ImageStore, wanted: &CargoImage, binary: &Path, inputs: String) -> Result<Image> {
    let content = std::fs::read(binary).map_err(|source| Error::Io {
        action: "read",
        path: binary.to_owned(),
        source,
    })?;
    if wants_an_interpreter(&content) {
        return Err(Error::NotStatic { binary: binary.to_owned() });
    }
    let name = binary.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut layer = LayerBuilder::new(&store.scratch())?;
    layer.directory("app", 0o755, ROOT)?;
    layer.bytes(&format!("app/{name}"), &content, 0o755, ROOT)?;
    layer.directory("etc", 0o755, ROOT)?;
    layer.bytes("etc/group", GROUPS.as_bytes(), 0o644, ROOT)?;
    layer.bytes("etc/passwd", USERS.as_bytes(), 0o644, ROOT)?;
    layer.directory("tmp", 0o1777, USER)?;
    let layer = layer.finish()?;
    let config = config_of(wanted, &name)?;
    let tag = tag_of(&layer.digest);
    let image = NewImage {
        name: format!("{}:{tag}", wanted.repository),
        layers: vec![layer],
        config,
        health: wanted.health.clone(),
        inputs: Some(inputs),
    };
    store.add(image)
}

/// The tag names the content, so an unchanged binary never rolls a pod.
fn tag_of(digest: &str) -> &str {
    let hex = digest.trim_start_matches("sha256:");
    &hex[..TAG_LENGTH.min(hex.len())]
}

fn config_of(wanted: &CargoImage, binary: &str) -> Result<Config> {
    let ports: Vec<String> = wanted.ports.iter().map(|port| format!("{port}/tcp")).collect();
    let labels = [("org.opencontainers.image.title", wanted.package.as_str())];
    let labels = labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
    Ok(ConfigBuilder::default()
        .user(format!("{}:{}", USER.uid, USER.gid))
        .entrypoint(vec![format!("/app/{binary}")])
        .working_dir("/")
        .exposed_ports(ports)
        .stop_signal("SIGTERM")
        .labels(labels.collect::<std::collections::HashMap<_, _>>())
        .build()?)
}

/// Whether an ELF file has a `PT_INTERP` segment, that is, needs a dynamic loader.
fn wants_an_interpreter(elf: &[u8]) -> bool {
    const PT_INTERP: u32 = 3;
    let word = |at: usize, size: usize| -> Option<u64> {
        let bytes = elf.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    };
    let header = || Some((word(32, 8)? as usize, word(54, 2)? as usize, word(56, 2)? as usize));
    let Some((table, entry_size, count)) = header().filter(|_| elf.starts_with(b"\x7fELF\x02\x01")) else {
        return false;
    };
    (0..count).any(|index| word(table + index * entry_size, 4) == Some(PT_INTERP.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_by_its_id() {
        assert_eq!(package_name("path+file:///src/todo/backend#0.1.0").as_deref(), Some("backend"));
        assert_eq!(package_name("path+file:///src/todo/mcp#mcp-server@0.1.0").as_deref(), Some("mcp-server"));
    }

    #[test]
    fn a_dynamic_binary_is_recognised() {
        let own = std::fs::read("/proc/self/exe").unwrap();
        assert!(wants_an_interpreter(&own));
        assert!(!wants_an_interpreter(b"#!/bin/sh"));
    }

    /// The instructions after the last `FROM`, with continued lines joined.
    fn last_stage(dockerfile: &str) -> Vec<(String, String)> {
        let joined = dockerfile.replace("\\\n", " ");
        let stage = joined.split("\nFROM ").last().unwrap_or_default();
        let lines = stage.lines().skip(1).filter_map(|line| line.trim().split_once(' '));
        lines.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
    }

    #[track_caller]
    fn check_dockerfile(package: &str, port: u16, dockerfile: &str) {
        let wanted = CargoImage {
            repository: package.to_owned(),
            package: package.to_owned(),
            ports: vec![port],
            health: None,
        };
        let config = config_of(&wanted, package).unwrap();
        let stage = last_stage(dockerfile);
        let said = |word: &str| {
            let found = stage.iter().find(|(found, _)| found == word);
            found.map(|(_, rest)| rest.clone()).unwrap_or_else(|| panic!("no {word} in {stage:?}"))
        };
        assert!(dockerfile.contains("FROM scratch"), "the image holds nothing but what is copied");
        assert_eq!(Some(said("USER")), *config.user());
        assert_eq!(Some(vec![format!("{}/tcp", said("EXPOSE"))]), *config.exposed_ports());
        assert_eq!(serde_json::from_str::<Vec<String>>(&said("ENTRYPOINT")).ok(), *config.entrypoint());
        assert_eq!(Some(said("WORKDIR")), *config.working_dir());
        assert_eq!(Some(said("STOPSIGNAL")), *config.stop_signal());
        let labels = config.labels().clone().unwrap_or_default();
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        assert_eq!(said("LABEL"), labels.join(" "));
        let health = said("HEALTHCHECK");
        assert!(health.ends_with(&format!(r#"CMD ["/app/{package}", "health"]"#)), "{health}");
        for file in [GROUPS, USERS] {
            assert!(dockerfile.contains(&file.replace('\n', "\\n")), "the same users and groups");
        }
    }

    #[test]
    fn docker_builds_the_same_image_of_the_example() {
        let file = |service: &str| {
            let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/todo");
            std::fs::read_to_string(example.join(service).join("Dockerfile")).unwrap()
        };
        check_dockerfile("frontend", 3000, &file("frontend"));
        check_dockerfile("backend", 8000, &file("backend"));
        check_dockerfile("mcp-server", 8001, &file("mcp-server"));
    }

    #[test]
    fn only_artifacts_with_an_executable_count() {
        let library =
            r#"{"reason":"compiler-artifact","package_id":"path+file:///x#a@1.0.0","executable":null}"#;
        assert_eq!(executable(library), None);
        let binary =
            r#"{"reason":"compiler-artifact","package_id":"path+file:///x#a@1.0.0","executable":"/t/a"}"#;
        assert_eq!(executable(binary), Some(("a".into(), PathBuf::from("/t/a"))));
    }
}
