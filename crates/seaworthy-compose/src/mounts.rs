//! `volumes` and `tmpfs`: named, anonymous and memory volumes, and what can be kept of the host's paths.
//!
//! A cluster does not have the folders of this machine. Small text files that are only read become part of the
//! chart's ConfigMap; every other path of the host is reported and left out.

use std::path::{Path, PathBuf};

use seaworthy_app::{FileMount, FileSource, Mount, SecretSource, SecretText, Service};

use crate::error::Result;
use crate::node::{Mark, Node, Value};
use crate::section::{Key, Section, bad_value, carried, dropped, text};
use crate::top::{Cx, defined};
use crate::{scalars, secrets};

const KEYS: &[Key] = &[
    carried("type"),
    carried("source"),
    carried("target"),
    carried("read_only"),
    carried("volume"),
    carried("tmpfs"),
    dropped("bind", "a cluster does not have the folders of this machine"),
    dropped("consistency", "it has no effect outside of macOS"),
    dropped("image", "images as volumes are not carried over"),
];

/// A folder with more files, or a file with more bytes, is not copied into a ConfigMap.
const MAX_FILES: usize = 40;
const MAX_CONFIG_BYTES: usize = 256 << 10;

pub fn read(cx: &mut Cx<'_>, own: &Section<'_>, service: &mut Service) -> Result<()> {
    for node in own.list("volumes")? {
        let path = own.below("volumes");
        let stated = match &node.value {
            Value::Map(_) => long(cx, node, path)?,
            _ => short(node, path)?,
        };
        add(cx, own, service, stated, node.mark)?;
    }
    for line in own.texts("tmpfs")? {
        let (target, options) = line.split_once(':').unwrap_or((&line, ""));
        let size = options.split(',').find_map(|option| scalars::bytes(option.strip_prefix("size=")?));
        service.mounts.push(Mount::Tmpfs { target: target.to_owned(), size_bytes: size });
    }
    Ok(())
}

/// A mount as the file says it.
struct Stated {
    kind: Kind,
    source: String,
    target: String,
    read_only: bool,
    sub_path: Option<String>,
    size_bytes: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Volume,
    Bind,
    Tmpfs,
    /// `npipe`, `cluster`, `image`.
    Foreign,
}

/// `[source:]target[:options]`.
fn short(node: &Node, path: String) -> Result<Stated> {
    let stated = text(node, &path)?;
    let parts: Vec<&str> = stated.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => ("", target, ""),
        [source, target] => (source, target, ""),
        [source, target, options] => (source, target, options),
        _ => return bad_value(node, path, "a volume such as `data:/data` or `./folder:/folder:ro`", stated),
    };
    if !target.starts_with('/') {
        return bad_value(node, path, "a volume whose target begins with `/`", stated);
    }
    let is_path = source.starts_with(['.', '/', '~']);
    Ok(Stated {
        kind: if is_path { Kind::Bind } else { Kind::Volume },
        source: source.to_owned(),
        target: target.to_owned(),
        read_only: options.split(',').any(|option| option == "ro"),
        sub_path: None,
        size_bytes: None,
    })
}

fn long(cx: &mut Cx<'_>, node: &Node, path: String) -> Result<Stated> {
    let section = Section::new(node, path)?;
    section.account(KEYS, cx.report)?;
    let kind = match section.text("type")?.as_deref() {
        Some("bind") => Kind::Bind,
        Some("tmpfs") => Kind::Tmpfs,
        Some("volume") | None => Kind::Volume,
        Some(_) => Kind::Foreign,
    };
    let Some(target) = section.text("target")? else {
        return bad_value(node, section.below("target"), "a path in the container", "missing");
    };
    let volume = section.section("volume")?;
    let tmpfs = section.section("tmpfs")?;
    Ok(Stated {
        kind,
        source: section.text("source")?.unwrap_or_default(),
        target,
        read_only: section.flag("read_only")?.unwrap_or(false),
        sub_path: volume.map(|volume| volume.text("subpath")).transpose()?.flatten(),
        size_bytes: tmpfs.map(|tmpfs| tmpfs.bytes("size")).transpose()?.flatten(),
    })
}

fn add(cx: &mut Cx<'_>, own: &Section<'_>, service: &mut Service, stated: Stated, mark: Mark) -> Result<()> {
    let Stated { kind, source, target, read_only, sub_path, size_bytes } = stated;
    match kind {
        Kind::Tmpfs => service.mounts.push(Mount::Tmpfs { target, size_bytes }),
        Kind::Volume if source.is_empty() => service.mounts.push(Mount::Anonymous { target }),
        Kind::Volume => {
            let known = cx.defined.volumes.clone();
            defined(&known, &service.name, "volume", &source, mark)?;
            cx.used_volumes.insert(source.clone());
            let volume = scalars::dns_label(&source);
            service.mounts.push(Mount::Volume { volume, target, read_only, sub_path });
        }
        Kind::Bind => bind(cx, own, service, &source, &target, read_only, mark)?,
        Kind::Foreign => {
            cx.report.drop_key(
                mark,
                own.below(&format!("volumes.{target}")),
                "no cluster has volumes of this type",
            );
        }
    }
    Ok(())
}

fn bind(
    cx: &mut Cx<'_>,
    own: &Section<'_>,
    service: &mut Service,
    source: &str,
    target: &str,
    read_only: bool,
    mark: Mark,
) -> Result<()> {
    let path = cx.folder.join(source);
    let outside = source.starts_with('~') || source.starts_with("/var/run") || source.starts_with("/run");
    let files = if outside { None } else { texts(&path, target, read_only) };
    let Some(files) = files else {
        let why = "a cluster does not have the folders of this machine; copy it into the image or use a named volume";
        cx.report.drop_key(mark, own.below(&format!("volumes.{target}")), why);
        return Ok(());
    };
    for (name, target, content) in files {
        if secrets::file_is_secret(&name, &content) {
            let source = SecretSource::Given(SecretText::new(content));
            let key = secrets::add(cx, &service.name, &name, source);
            service.files.push(FileMount { source: FileSource::Secret(key), target, mode: None });
            continue;
        }
        let config = secrets::add_config(cx, &format!("{}.{name}", service.name), content);
        service.files.push(FileMount { source: FileSource::Config(config), target, mode: None });
    }
    Ok(())
}

/// Name, target and content of the file, or of each file of a read-only folder; `None` when one does not fit.
fn texts(path: &Path, target: &str, read_only: bool) -> Option<Vec<(String, String, String)>> {
    if path.is_file() {
        return Some(vec![one(path, target.to_owned())?]);
    }
    if !read_only {
        return None;
    }
    let mut paths: Vec<PathBuf> = std::fs::read_dir(path)
        .ok()?
        .take(MAX_FILES + 1)
        .map(|entry| Some(entry.ok()?.path()))
        .collect::<Option<_>>()?;
    paths.sort();
    if paths.len() > MAX_FILES {
        return None;
    }
    let inside = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        one(path, format!("{}/{name}", target.trim_end_matches('/')))
    };
    let files: Vec<_> = paths.iter().map(inside).collect::<Option<_>>()?;
    let total: usize = files.iter().map(|(_, _, content)| content.len()).sum();
    (total <= MAX_CONFIG_BYTES).then_some(files)
}

fn one(path: &Path, target: String) -> Option<(String, String, String)> {
    let small =
        path.metadata().ok().filter(|about| about.is_file() && about.len() <= MAX_CONFIG_BYTES as u64);
    small?;
    let name = path.file_name()?.to_str()?.to_owned();
    Some((name, target, crate::files::read(path).ok()?))
}
