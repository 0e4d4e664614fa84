//! `extends` and `include`: services that are described elsewhere.
//!
//! Works on trees before variables are replaced. Relative paths in a file of another folder are rewritten, so that
//! from here on every path starts at the app's folder.

use std::path::{Path, PathBuf};

use crate::error::{Fault, Problem, Result};
use crate::node::{Entry, Mark, Node, Source, Value};
use crate::section::{Section, text, wrong_type};
use crate::{Report, files, merge, yaml};

const MAX_DEPTH: usize = 16;

/// Reads files and follows their `include`s and `extends`.
pub struct Reader<'a> {
    pub folder: &'a Path,
    pub sources: &'a mut Vec<Source>,
    pub report: &'a mut Report,
}

impl Reader<'_> {
    /// The tree of `path`, over those it includes.
    pub fn read(&mut self, path: &Path, depth: usize) -> Result<Node> {
        let content = files::read(path)?;
        let file = files::register(self.sources, self.folder, path, &content);
        let mut root = yaml::parse(&content, file)?;
        if !matches!(root.value, Value::Map(_)) {
            return wrong_type(&root, "the file", "a mapping");
        }
        merge::normalize(&mut root);
        self.extend_services(&mut root, path, depth)?;
        let parent = path.parent().unwrap_or(self.folder);
        if let Ok(below) = parent.strip_prefix(self.folder)
            && !below.as_os_str().is_empty()
            && depth > 0
        {
            rebase(&mut root, below);
        }
        self.include(root, parent, depth)
    }

    fn include(&mut self, mut root: Node, parent: &Path, depth: usize) -> Result<Node> {
        let Value::Map(entries) = &mut root.value else { return Ok(root) };
        let Some(at) = entries.iter().position(|entry| entry.key == "include") else { return Ok(root) };
        let include = entries.remove(at);
        let Value::Seq(items) = &include.node.value else {
            return wrong_type(&include.node, "include", "a list");
        };
        for item in items {
            if depth >= MAX_DEPTH {
                return Fault::at(item.mark, Problem::TooDeep { limit: MAX_DEPTH });
            }
            for path in self.included_paths(item)? {
                let included = self.read(&parent.join(path), depth + 1)?;
                root = merge::merge(included, root, "");
            }
        }
        Ok(root)
    }

    fn included_paths(&mut self, item: &Node) -> Result<Vec<PathBuf>> {
        if matches!(item.value, Value::Scalar { .. }) {
            return Ok(vec![PathBuf::from(text(item, "include")?)]);
        }
        let section = Section::new(item, "include")?;
        for key in ["env_file", "project_directory"] {
            if let Some(entry) = section.entry(key) {
                self.report.drop_key(
                    entry.key_mark,
                    section.below(key),
                    "included files share the app's folder and `.env`",
                );
            }
        }
        Ok(section.texts("path")?.into_iter().map(PathBuf::from).collect())
    }

    fn extend_services(&mut self, root: &mut Node, path: &Path, depth: usize) -> Result<()> {
        let names: Vec<String> = root
            .get("services")
            .map(Node::entries)
            .unwrap_or_default()
            .iter()
            .map(|e| e.key.clone())
            .collect();
        for name in names {
            let extended = self.extended(root, path, &name, &mut vec![], depth)?;
            if let Some(services) = root.entries_mut().iter_mut().find(|entry| entry.key == "services")
                && let Some(own) = services.node.entries_mut().iter_mut().find(|entry| entry.key == name)
            {
                own.node = extended;
            }
        }
        Ok(())
    }

    /// The service `name` of `root` over the one it extends.
    fn extended(
        &mut self,
        root: &Node,
        path: &Path,
        name: &str,
        seen: &mut Vec<String>,
        depth: usize,
    ) -> Result<Node> {
        let Some(service) = root.get("services").and_then(|services| services.get(name)) else {
            return Ok(Node::new(Value::Null, root.mark));
        };
        let Some(extends) = service.entry("extends") else { return Ok(service.clone()) };
        let section = Section::new(&extends.node, format!("services.{name}.extends"))?;
        let base = section.text("service")?.unwrap_or_default();
        let refuse = |why| refuse(extends.key_mark, name, &base, why);
        if seen.contains(&name.to_owned()) || depth >= MAX_DEPTH {
            return refuse("leads back to itself");
        }
        seen.push(name.to_owned());
        let base_node = match section.text("file")? {
            Some(file) => self.service_of_file(path, &file, &base, depth)?,
            None => root
                .get("services")
                .and_then(|services| services.get(&base))
                .map(|_| ())
                .map_or_else(|| Ok(None), |()| self.extended(root, path, &base, seen, depth).map(Some))?,
        };
        let Some(base_node) = base_node else { return refuse("is not a service") };
        Ok(merge::merge(base_node, without(service, "extends"), ""))
    }

    fn service_of_file(&mut self, path: &Path, file: &str, base: &str, depth: usize) -> Result<Option<Node>> {
        let other = path.parent().unwrap_or(self.folder).join(file);
        let root = self.read(&files::tidy(&other), depth + 1)?;
        Ok(root.get("services").and_then(|services| services.get(base)).cloned())
    }
}

fn refuse<T>(mark: Mark, service: &str, base: &str, why: &'static str) -> Result<T> {
    Fault::at(mark, Problem::Extends { service: service.to_owned(), base: base.to_owned(), why })
}

fn without(node: &Node, key: &str) -> Node {
    let entries: Vec<Entry> = node.entries().iter().filter(|entry| entry.key != key).cloned().collect();
    Node { value: Value::Map(entries), mark: node.mark, merge: node.merge }
}

/// Puts `below` before the relative paths of every service.
fn rebase(root: &mut Node, below: &Path) {
    for section in root.entries_mut().iter_mut().filter(|entry| entry.key == "services") {
        for service in section.node.entries_mut() {
            service.node.entries_mut().iter_mut().for_each(|part| rebase_part(part, below));
        }
    }
}

fn rebase_part(part: &mut Entry, below: &Path) {
    match (part.key.as_str(), &mut part.node.value) {
        ("build", Value::Map(entries)) => {
            entries
                .iter_mut()
                .filter(|entry| entry.key == "context")
                .for_each(|entry| prefix(&mut entry.node, below));
        }
        ("env_file", Value::Scalar { .. }) => prefix(&mut part.node, below),
        ("env_file", Value::Seq(items)) => {
            for item in items {
                match &mut item.value {
                    Value::Map(entries) => {
                        entries
                            .iter_mut()
                            .filter(|e| e.key == "path")
                            .for_each(|e| prefix(&mut e.node, below));
                    }
                    _ => prefix(item, below),
                }
            }
        }
        ("volumes", Value::Seq(items)) => {
            items.iter_mut().filter(|item| is_relative_bind(item)).for_each(|item| prefix(item, below));
        }
        _ => {}
    }
}

fn is_relative_bind(item: &Node) -> bool {
    matches!(&item.value, Value::Scalar { text, .. } if text.starts_with('.'))
}

fn prefix(node: &mut Node, below: &Path) {
    if let Value::Scalar { text, .. } = &mut node.value
        && !text.starts_with('/')
        && !text.contains("://")
    {
        let joined = files::tidy(&below.join(&*text));
        *text = format!("./{}", joined.display());
    }
}
