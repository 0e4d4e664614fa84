//! Which settings go into the app's Secret, and the files of `secrets` and `configs`.
//!
//! A key is named after its variable. When two services give one name different values, the later one's key is
//! `service.NAME`.

use seaworthy_app::{
    ConfigFile, EnvValue, FileMount, FileSource, SecretSource, SecretText, SecretValue, looks_secret,
};

use crate::error::{Fault, Problem, Result};
use crate::node::{Entry, Node, Value};
use crate::section::{Key, Section, carried, dropped, text};
use crate::top::{Cx, defined};
use crate::variables::{as_template, has_placeholder, only_placeholder};
use crate::{extension, files, scalars};

const SECRET_KEYS: &[Key] = &[
    carried("file"),
    carried("environment"),
    carried("external"),
    carried("name"),
    dropped("labels", "labels of secrets are not carried over"),
    dropped("driver", "the cluster keeps secrets"),
    dropped("driver_opts", "the cluster keeps secrets"),
    dropped("template_driver", "the cluster keeps secrets"),
];

const CONFIG_KEYS: &[Key] = &[
    carried("file"),
    carried("environment"),
    carried("content"),
    carried("name"),
    dropped("external", "it is not part of the app; mount it by editing the chart"),
    dropped("labels", "labels of configs are not carried over"),
    dropped("template_driver", "configs are mounted as they are"),
];

const MOUNT_KEYS: &[Key] = &[
    carried("source"),
    carried("target"),
    carried("mode"),
    dropped("uid", "the files belong to the container's group"),
    dropped("gid", "the files belong to the container's group"),
];

/// What the variable `name` of `service` becomes.
pub fn env_value(cx: &mut Cx<'_>, service: &str, name: &str, value: &str) -> EnvValue {
    if let Some(variable) = only_placeholder(value) {
        use_variable(cx, variable, Some(service));
        return EnvValue::Secret { key: variable.to_owned() };
    }
    let source = if has_placeholder(value) {
        SecretSource::Template(SecretText::new(as_template(value)))
    } else if looks_secret(name, value).is_some() {
        SecretSource::Given(SecretText::new(value))
    } else {
        return EnvValue::Plain(value.to_owned());
    };
    EnvValue::Secret { key: add(cx, service, name, source) }
}

/// A variable without a value in the file: taken from the environment, generated, or absent.
pub fn passed_on(cx: &mut Cx<'_>, service: &str, name: &str) -> Option<EnvValue> {
    if cx.variables.is_generated(name) {
        cx.variables.secrets.insert(name.to_owned(), SecretSource::Generate);
        use_variable(cx, name, Some(service));
        return Some(EnvValue::Secret { key: name.to_owned() });
    }
    let value = cx.variables.get(name).map(str::to_owned)?;
    Some(env_value(cx, service, name, &value))
}

/// Endings of files that hold keys.
const SECRET_ENDINGS: &[&str] = &[".key", ".pem", ".p12", ".pfx", ".jks", ".env"];

/// Whether a file belongs in the Secret rather than in the chart: by its name, or because a line of it is a key or a
/// URL with a password.
pub fn file_is_secret(name: &str, content: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let stem = lower.split('.').next().unwrap_or(&lower);
    SECRET_ENDINGS.iter().any(|ending| lower.ends_with(ending))
        || looks_secret(stem, "").is_some()
        || content.contains("PRIVATE KEY-----")
        || content.split_whitespace().any(|word| looks_secret("", word.trim_matches(['"', '\''])).is_some())
}

/// Adds a secret and returns its key.
pub fn add(cx: &mut Cx<'_>, service: &str, name: &str, source: SecretSource) -> String {
    let variable = cx.variables.secrets.get(name).filter(|known| **known != source);
    let key = scalars::file_key(name);
    let taken =
        variable.is_some() || cx.secrets.iter().any(|known| known.key == key && known.source != source);
    let key = if taken { format!("{service}.{key}") } else { key };
    insert(cx, &key, source, Some(service));
    key
}

fn insert(cx: &mut Cx<'_>, key: &str, source: SecretSource, service: Option<&str>) {
    let at = match cx.secrets.iter().position(|known| known.key == key) {
        Some(at) => at,
        None => {
            cx.secrets.push(SecretValue { key: key.to_owned(), services: Vec::new(), source });
            cx.secrets.len() - 1
        }
    };
    let services = &mut cx.secrets[at].services;
    if let Some(service) = service
        && !services.iter().any(|known| known == service)
    {
        services.push(service.to_owned());
    }
}

/// Adds the secret of a variable.
pub fn use_variable(cx: &mut Cx<'_>, variable: &str, service: Option<&str>) {
    let source = cx.variables.secrets.get(variable).cloned().unwrap_or(SecretSource::Generate);
    insert(cx, variable, source, service);
}

/// Adds the variables that only templates refer to, and puts templates last.
pub fn add_variables(cx: &mut Cx<'_>) {
    let mut referred = Vec::new();
    for secret in &cx.secrets {
        if let SecretSource::Template(text) = &secret.source {
            let names =
                cx.variables.secrets.keys().filter(|name| text.reveal().contains(&format!("${{{name}}}")));
            referred.extend(names.cloned());
        }
    }
    for name in referred {
        use_variable(cx, &name, None);
    }
    warn_of_broken_urls(cx);
    cx.secrets.sort_by_key(|secret| matches!(secret.source, SecretSource::Template(_)));
}

/// Compose puts a password into a URL as it is; one with `/` or `@` in it makes another URL of it.
fn warn_of_broken_urls(cx: &mut Cx<'_>) {
    let reserved = |value: &SecretText| value.reveal().contains(['/', '@', ':', '?', '#', '%', ' ']);
    for url in &cx.secrets {
        let SecretSource::Template(template) = &url.source else { continue };
        for (name, source) in &cx.variables.secrets {
            let is_used =
                template.reveal().contains("://") && template.reveal().contains(&format!("${{{name}}}"));
            if matches!(source, SecretSource::Given(value) if is_used && reserved(value)) {
                cx.report.warn(format!(
                    "`{name}` holds characters that have a meaning in the URL `{}`; use letters and digits",
                    url.key
                ));
            }
        }
    }
}

/// The `secrets` and `configs` of one service.
pub fn files_of(cx: &mut Cx<'_>, service: &Section<'_>, name: &str) -> Result<Vec<FileMount>> {
    let mut mounts = Vec::new();
    for node in service.list("secrets")? {
        let mount = Mount::read(cx, node, &service.below("secrets"))?;
        let entry = defined(&cx.defined.secrets.clone(), name, "secret", &mount.source, node.mark)?;
        let Some(source) = secret_source(cx, entry)? else { continue };
        let key = add(cx, name, &mount.source, source);
        let target = mount.target("/run/secrets/");
        mounts.push(FileMount { source: FileSource::Secret(key), target, mode: mount.mode });
    }
    for node in service.list("configs")? {
        let mount = Mount::read(cx, node, &service.below("configs"))?;
        let entry = defined(&cx.defined.configs.clone(), name, "config", &mount.source, node.mark)?;
        let Some(content) = config_content(cx, entry)? else { continue };
        if has_placeholder(&content) || file_is_secret(&mount.source, &content) {
            let source = match has_placeholder(&content) {
                true => SecretSource::Template(SecretText::new(as_template(&content))),
                false => SecretSource::Given(SecretText::new(content)),
            };
            let key = add(cx, name, &mount.source, source);
            mounts.push(FileMount {
                source: FileSource::Secret(key),
                target: mount.target("/"),
                mode: mount.mode,
            });
            continue;
        }
        let key = add_config(cx, &mount.source, content);
        mounts.push(FileMount {
            source: FileSource::Config(key),
            target: mount.target("/"),
            mode: mount.mode,
        });
    }
    Ok(mounts)
}

/// Adds a config file and returns its name, which differs from `wanted` when that is taken by other content.
pub fn add_config(cx: &mut Cx<'_>, wanted: &str, content: String) -> String {
    let base = scalars::file_key(wanted);
    let mut name = base.clone();
    let mut number = 2;
    while let Some(known) = cx.configs.iter().find(|known| known.name == name) {
        if known.content == content {
            return name;
        }
        name = format!("{base}-{number}");
        number += 1;
    }
    cx.configs.push(ConfigFile { name: name.clone(), content });
    name
}

/// How a service mounts a secret or config: `name`, or a mapping.
struct Mount {
    source: String,
    target: Option<String>,
    mode: Option<u32>,
}

impl Mount {
    fn read(cx: &mut Cx<'_>, node: &Node, path: &str) -> Result<Self> {
        if matches!(node.value, Value::Scalar { .. }) {
            return Ok(Mount { source: text(node, path)?.to_owned(), target: None, mode: None });
        }
        let section = Section::new(node, path)?;
        section.account(MOUNT_KEYS, cx.report)?;
        let octal = |text: &str| u32::from_str_radix(text.trim_start_matches("0o"), 8).ok();
        Ok(Mount {
            source: section.text("source")?.unwrap_or_default(),
            target: section.text("target")?,
            mode: section.parsed("mode", "an octal number such as `0440`", octal)?,
        })
    }

    fn target(&self, folder: &str) -> String {
        match self.target.as_deref() {
            Some(target) if target.starts_with('/') => target.to_owned(),
            Some(target) => format!("{folder}{target}"),
            None => format!("{folder}{}", self.source),
        }
    }
}

fn secret_source(cx: &mut Cx<'_>, entry: &Entry) -> Result<Option<SecretSource>> {
    let section = Section::new(&entry.node, format!("secrets.{}", entry.key))?;
    section.account(SECRET_KEYS, cx.report)?;
    let generate = extension::generates(&entry.node, &section.path, cx.report)?;
    if section.flag("external")?.unwrap_or(false) {
        cx.report.drop_key(
            entry.key_mark,
            section.path,
            "it is not part of the app; mount it by editing the chart",
        );
        return Ok(None);
    }
    if let Some(variable) = section.text("environment")? {
        return from_environment(cx, &section, &variable, generate).map(Some);
    }
    let Some(file) = section.text("file")? else {
        if generate {
            return Ok(Some(SecretSource::Generate));
        }
        let expected = "a mapping with `file` or `environment`";
        return crate::section::wrong_type(&entry.node, section.path, expected);
    };
    let path = cx.folder.join(&file);
    if generate && !path.exists() {
        return Ok(Some(SecretSource::Generate));
    }
    Ok(Some(SecretSource::Given(SecretText::new(read_at(&section, "file", &path)?))))
}

fn from_environment(
    cx: &Cx<'_>,
    section: &Section<'_>,
    variable: &str,
    generate: bool,
) -> Result<SecretSource> {
    match cx.variables.get(variable).filter(|value| !value.is_empty()) {
        Some(value) => Ok(SecretSource::Given(SecretText::new(value))),
        None if generate || cx.variables.is_generated(variable) => Ok(SecretSource::Generate),
        None => {
            let mark = section.get("environment").map_or(section.mark, |node| node.mark);
            let problem = Problem::MissingVariable { name: variable.to_owned(), message: String::new() };
            let hint =
                "set it in `.env` or in the environment, or give the secret `x-seaworthy: {generate: true}`";
            Fault::hinted(mark, problem, hint)
        }
    }
}

fn config_content(cx: &mut Cx<'_>, entry: &Entry) -> Result<Option<String>> {
    let section = Section::new(&entry.node, format!("configs.{}", entry.key))?;
    section.account(CONFIG_KEYS, cx.report)?;
    if let Some(content) = section.text("content")? {
        return Ok(Some(content));
    }
    if let Some(variable) = section.text("environment")? {
        return Ok(Some(cx.variables.get(&variable).unwrap_or_default().to_owned()));
    }
    match section.text("file")? {
        Some(file) => read_at(&section, "file", &cx.folder.join(&file)).map(Some),
        None => Ok(None),
    }
}

/// The file that `key` names; a failure is told at that line.
fn read_at(section: &Section<'_>, key: &str, path: &std::path::Path) -> Result<String> {
    files::read(path).map_err(|mut fault| {
        fault.mark = section.get(key).map(|node| node.mark);
        fault
    })
}
