//! Post-renderers: a program that gets all manifests on stdin and prints what they shall be instead.
//!
//! Documents carry the template they came from in an annotation while they are outside, and lose it afterwards;
//! hooks go the same way as everything else. Helm 4 wants the name of a plugin, as we do; the path of a program works too.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};

use seaworthy_template::yaml;

use crate::manifest;

const ANNOTATION: &str = "postrenderer.helm.sh/postrender-filename";
/// What a post-renderer may print.
const MAX_OUTPUT: u64 = 512 << 20;
/// What is kept of its complaints.
const MAX_COMPLAINT: u64 = 64 << 10;

/// Changes rendered manifests.
pub trait PostRender: Send + Sync {
    fn run(&self, manifests: &str) -> Result<String, Error>;
}

/// Why a post-renderer did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("post-renderer `{0}` is neither a plugin nor a program")]
    Unknown(String),
    #[error("cannot run post-renderer `{program}`")]
    Start { program: String, source: std::io::Error },
    #[error("post-renderer `{program}` ended with {status}{said}")]
    Failed { program: String, status: std::process::ExitStatus, said: String },
    #[error("post-renderer `{program}` prints more than {MAX_OUTPUT} bytes")]
    TooMuch { program: String },
    #[error("post-renderer {program:?} produced empty output")]
    Empty { program: String },
    #[error("post-renderer `{program}` prints text that is not UTF-8")]
    NotText { program: String },
    #[error("the {what} post-renderer's {direction} is not YAML")]
    Yaml { what: &'static str, direction: &'static str, source: yaml::Error },
}

/// A program with its arguments.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<String>,
}

impl Program {
    /// Finds a plugin of that name below `plugins`, else the program at that path or on PATH.
    pub fn find(name: &str, arguments: &[String], plugins: &Path) -> Result<Program, Error> {
        if let Some(mut command) = plugin(name, plugins) {
            command.arguments.extend_from_slice(arguments);
            return Ok(command);
        }
        let candidates: Vec<PathBuf> = match name.contains('/') {
            true => vec![PathBuf::from(name)],
            false => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .map(|folder| folder.join(name))
                .collect(),
        };
        let found = candidates.into_iter().find(|path| path.is_file());
        let path = found.ok_or_else(|| Error::Unknown(name.to_owned()))?;
        Ok(Program { path, arguments: arguments.to_vec() })
    }
}

/// `PLUGINS/*/plugin.yaml` with the name and the type of a post-renderer.
fn plugin(name: &str, plugins: &Path) -> Option<Program> {
    for folder in std::fs::read_dir(plugins).ok()?.flatten().map(|entry| entry.path()) {
        let Ok(text) = std::fs::read_to_string(folder.join("plugin.yaml")) else { continue };
        let Ok(about) = yaml::read(&text) else { continue };
        let is_it = about["name"] == name
            && about["type"].as_str().is_some_and(|kind| kind.starts_with("postrenderer/"));
        let command = &about["runtimeConfig"]["platformCommand"][0];
        if let Some(path) = command["command"].as_str().filter(|_| is_it) {
            let path = path
                .replace("${HELM_PLUGIN_DIR}", &folder.to_string_lossy())
                .replace("$HELM_PLUGIN_DIR", &folder.to_string_lossy());
            let arguments =
                command["args"].as_array().into_iter().flatten().filter_map(Json::as_str).map(str::to_owned);
            return Some(Program { path: path.into(), arguments: arguments.collect() });
        }
    }
    None
}

impl PostRender for Program {
    fn run(&self, manifests: &str) -> Result<String, Error> {
        let program = self.path.display().to_string();
        let start = |source| Error::Start { program: program.clone(), source };
        let mut child = Command::new(&self.path)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (output, complaint) = std::thread::scope(|scope| {
            // A program that does not read its input closes the pipe: what matters is what it prints.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(manifests.as_bytes())));
            let complaint = scope.spawn(move || {
                let mut text = Vec::new();
                if let Some(mut stderr) = stderr {
                    let _ = stderr.by_ref().take(MAX_COMPLAINT).read_to_end(&mut text);
                    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
                }
                String::from_utf8_lossy(&text).trim().to_owned()
            });
            let mut output = Vec::new();
            let read = stdout.map_or(Ok(0), |stdout| stdout.take(MAX_OUTPUT + 1).read_to_end(&mut output));
            if output.len() as u64 > MAX_OUTPUT {
                let _ = child.kill();
            }
            (read.map(|_| output), complaint.join().unwrap_or_default())
        });
        let status = child.wait().map_err(start)?;
        let output = output.map_err(start)?;
        if output.len() as u64 > MAX_OUTPUT {
            return Err(Error::TooMuch { program });
        }
        if !status.success() {
            let said = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
            return Err(Error::Failed { program, status, said });
        }
        let text = String::from_utf8(output).map_err(|_| Error::NotText { program: program.clone() })?;
        if text.trim().is_empty() { Err(Error::Empty { program }) } else { Ok(text) }
    }
}

/// Sends all files through a post-renderer and puts what comes back into files again.
pub(crate) fn apply(
    files: &BTreeMap<String, String>,
    renderer: &dyn PostRender,
) -> Result<BTreeMap<String, String>, Error> {
    split(&renderer.run(&merge(files)?)?)
}

/// All documents as one stream, each with its file's name.
fn merge(files: &BTreeMap<String, String>) -> Result<String, Error> {
    let failed = |source| Error::Yaml { what: "text for the", direction: "input", source };
    let mut stream = String::new();
    for (file, text) in files {
        if file.rsplit('/').next().is_some_and(|name| name.starts_with('_')) {
            continue;
        }
        for document in manifest::split(text) {
            let mut object = yaml::read(&document).map_err(failed)?;
            if !object.is_object() {
                continue;
            }
            annotations(&mut object)[ANNOTATION] = json!(file);
            if !stream.is_empty() {
                stream.push_str("---\n");
            }
            stream.push_str(&yaml::write_json(&object).unwrap_or_default());
        }
    }
    Ok(stream)
}

fn annotations(object: &mut Json) -> &mut Json {
    for part in ["metadata"] {
        if !object[part].is_object() {
            object[part] = json!({});
        }
    }
    let annotations = &mut object["metadata"]["annotations"];
    if !annotations.is_object() {
        *annotations = json!({});
    }
    annotations
}

/// A stream of documents by the file each came from; new ones get a name of their own.
fn split(stream: &str) -> Result<BTreeMap<String, String>, Error> {
    let failed = |source| Error::Yaml { what: "text of the", direction: "output", source };
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for (position, document) in manifest::split(stream).into_iter().enumerate() {
        let mut object = yaml::read(&document).map_err(failed)?;
        let file =
            take_name(&mut object).unwrap_or_else(|| format!("generated-by-postrender-{position}.yaml"));
        let text = files.entry(file).or_default();
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&yaml::write_json(&object).unwrap_or_default());
    }
    Ok(files)
}

fn take_name(object: &mut Json) -> Option<String> {
    let annotations = object.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()?;
    let name = annotations.remove(ANNOTATION)?.as_str()?.to_owned();
    if annotations.is_empty()
        && let Some(metadata) = object["metadata"].as_object_mut()
    {
        metadata.remove("annotations");
    }
    // The name becomes a path with --output-dir, and came through a foreign program.
    let leaves = name.starts_with('/') || name.split('/').any(|part| part == "..");
    (!leaves && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> BTreeMap<String, String> {
        let text =
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\nkind: Secret\nmetadata: {name: b}\n";
        BTreeMap::from([
            ("c/templates/a.yaml".into(), text.into()),
            ("c/templates/_h.tpl".into(), "x".into()),
        ])
    }

    #[test]
    fn documents_come_back_to_the_file_they_left() {
        let back = split(&merge(&files()).unwrap()).unwrap();
        assert_eq!(back.keys().collect::<Vec<_>>(), ["c/templates/a.yaml"]);
        assert_eq!(back["c/templates/a.yaml"].matches("kind:").count(), 2);
        assert!(!back["c/templates/a.yaml"].contains("annotations"));
    }

    #[test]
    fn a_new_document_gets_a_name_and_none_can_leave_the_output() {
        let stream = format!("kind: A\n---\nkind: B\nmetadata:\n  annotations:\n    {ANNOTATION}: ../../x\n");
        let names: Vec<String> = split(&stream).unwrap().into_keys().collect();
        assert_eq!(names, ["generated-by-postrender-0.yaml", "generated-by-postrender-1.yaml"]);
    }

    #[test]
    fn a_program_that_fails_is_quoted() {
        let run = |script: &str| {
            Program { path: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }.run("kind: A\n")
        };
        assert_eq!(run("cat").unwrap(), "kind: A\n");
        assert!(run("echo no >&2; exit 3").unwrap_err().to_string().contains("no"));
        assert!(matches!(run("true"), Err(Error::Empty { .. })));
    }
}
