//! `templates/`: everything renders, and what it renders to looks like objects.

use super::{Lint, Severity, chain, deprecations, objects};
use crate::capabilities::Capabilities;
use crate::render::{self, RenderOptions};

const FOLDER: &str = "templates/";
const EXTENSIONS: [&str; 4] = [".yaml", ".yml", ".tpl", ".txt"];

pub(super) fn check(lint: &mut Lint<'_>) {
    let folder = lint.folder.join("templates");
    if !folder.exists() {
        lint.add(Severity::Warning, FOLDER, "directory does not exist");
        return;
    }
    if !folder.is_dir() {
        lint.add(Severity::Error, FOLDER, "not a directory");
        return;
    }
    if let Some(failure) = lint.load_failure() {
        lint.add(Severity::Error, FOLDER, failure);
        return;
    }
    let Ok(chart) = lint.loaded.as_ref().cloned() else { return };
    let options = options(lint);
    let rendered = match render::lint_texts(&chart, &lint.options.values, &options) {
        Ok(rendered) => rendered,
        // Values that cannot be merged are told elsewhere, or not at all, as in Helm.
        Err(render::Error::Values(_)) => return,
        Err(error) => {
            lint.add(Severity::Error, FOLDER, chain(&error));
            return;
        }
    };
    for template in &chart.templates {
        let extension = template.name.rfind('.').map_or("", |at| &template.name[at..]);
        if !EXTENSIONS.contains(&extension) {
            let text = format!(
                "file extension '{extension}' not valid. Valid extensions are .yaml, .yml, .tpl, or .txt"
            );
            lint.add(Severity::Error, &template.name, text);
        }
        let is_yaml = matches!(extension.to_lowercase().as_str(), ".yaml" | ".yml");
        let text = rendered.get(&format!("{}/{}", chart.name(), template.name)).filter(|_| is_yaml);
        if let Some(text) = text.filter(|text| !text.trim().is_empty())
            && !documents(lint, &template.name, text, &options.capabilities.kube_version)
        {
            return;
        }
    }
}

fn options(lint: &Lint<'_>) -> RenderOptions {
    let mut options = RenderOptions::install("test-release", &lint.options.namespace);
    (options.is_install, options.revision, options.lint) = (false, 0, true);
    options.limits = lint.options.limits.template;
    options.skip_schema_validation = lint.options.skip_schema_validation;
    options.capabilities = Capabilities::default();
    if let Some(version) = &lint.options.kube_version {
        options.capabilities.kube_version = version.clone();
    }
    options
}

/// Checks the documents of one file; `false` when the first that cannot be read ends the lint of templates.
fn documents(lint: &mut Lint<'_>, file: &str, text: &str, kube_version: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    if first.starts_with([' ', '\t']) {
        let text =
            format!("document starts with an illegal indent: {first:?}, which may cause parsing problems");
        lint.add(Severity::Warning, file, text);
    }
    let documents = seaworthy_template::yaml::split_documents(text);
    // Helm looks at the items of a file's first document, whichever of them is a List.
    let first = documents
        .first()
        .and_then(|document| seaworthy_template::yaml::read(document).ok())
        .unwrap_or_default();
    for document in documents {
        let object = match seaworthy_template::yaml::read(&document) {
            Ok(object) => object,
            Err(error) => {
                lint.add(
                    Severity::Error,
                    file,
                    format!("unable to parse YAML: error converting YAML to JSON: {error}"),
                );
                return false;
            }
        };
        if object.is_null() {
            continue;
        }
        if !object.is_object() {
            lint.add(Severity::Error, file, "unable to parse YAML: it is not an object");
            return false;
        }
        lint.rule(Severity::Warning, file, objects::name(&object));
        lint.rule(Severity::Warning, file, deprecations::check(&object, kube_version));
        lint.rule(Severity::Error, file, objects::selector(&object, text));
        lint.rule(Severity::Error, file, objects::list_annotations(&object, &first));
    }
    true
}
