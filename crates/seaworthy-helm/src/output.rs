//! What `template` prints or writes of a rendered chart: order, separators and choices are Helm's. Pure.

use crate::chart::File;
use crate::glob;
use crate::manifest::{self, Hook, HookEvent};
use crate::render::Rendered;

/// What is left out or added.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shown {
    pub include_crds: bool,
    pub no_hooks: bool,
    pub skip_tests: bool,
}

/// One document for a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The template it came from; the path below the output folder.
    pub source: String,
    pub text: String,
    /// Files of `crds/` are not put below the release's folder.
    pub is_crd: bool,
}

/// Why what is asked for cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("could not find template {0} in chart")]
    NoTemplate(String),
}

impl Document {
    /// As it is printed and written.
    pub fn print(&self) -> String {
        format!("---\n# Source: {}\n{}\n", self.source, self.text)
    }
}

/// Every document in the order of the output.
pub fn documents(rendered: &Rendered, shown: Shown) -> Vec<Document> {
    let crd = |file: &File| Document {
        source: file.name.clone(),
        text: String::from_utf8_lossy(&file.data).into_owned(),
        is_crd: true,
    };
    let plain = |manifest: &manifest::Manifest| Document {
        source: manifest.source.clone(),
        text: manifest.yaml.clone(),
        is_crd: false,
    };
    let mut all = Vec::new();
    if shown.include_crds {
        all.extend(rendered.crds.iter().map(crd));
    }
    all.extend(rendered.manifests.iter().map(plain));
    all.extend(hooks(rendered, shown).map(|hook| plain(&hook.manifest)));
    all
}

fn hooks(rendered: &Rendered, shown: Shown) -> impl Iterator<Item = &Hook> {
    let is_shown =
        move |hook: &&Hook| !(shown.no_hooks || shown.skip_tests && hook.events.contains(&HookEvent::Test));
    rendered.hooks.iter().filter(is_shown)
}

/// All of it as one text.
pub fn text(rendered: &Rendered, shown: Shown) -> String {
    let hooks = hooks(rendered, shown).count();
    let documents = documents(rendered, shown);
    let (manifests, hooks) = documents.split_at(documents.len() - hooks);
    let print = |documents: &[Document]| documents.iter().map(Document::print).collect::<String>();
    format!("{}\n{}", print(manifests).trim(), print(hooks))
}

/// Only the documents whose template, below the chart's name, fits one of `patterns`.
pub fn only(text: &str, patterns: &[String]) -> Result<String, Error> {
    let documents = manifest::split(text);
    let name = |document: &str| -> Option<String> {
        let rest = &document[document.find("# Source: ")? + "# Source: ".len()..];
        Some(rest.lines().next()?.split_once('/')?.1.to_owned())
    };
    let mut chosen = String::new();
    for pattern in patterns {
        let pattern = pattern.replace('\\', "/");
        let fits = |document: &&String| {
            name(document).is_some_and(|name| glob::matches(&pattern, &name, glob::Dialect::Path))
        };
        let found: Vec<&String> = documents.iter().filter(fits).collect();
        if found.is_empty() {
            return Err(Error::NoTemplate(pattern));
        }
        found.into_iter().for_each(|document| chosen.push_str(&format!("---\n{document}\n")));
    }
    Ok(chosen)
}
