//! `Chart.yaml`: present, readable, complete.

use serde_json::Value as Json;

use super::{Lint, Severity, chain, words};
use crate::metadata::Metadata;

const FILE: &str = "Chart.yaml";
const FIELDS: [&str; 18] = [
    "name",
    "home",
    "sources",
    "version",
    "description",
    "keywords",
    "maintainers",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "deprecated",
    "annotations",
    "kubeVersion",
    "dependencies",
    "type",
    "engine",
];
const MAINTAINER_FIELDS: [&str; 3] = ["name", "email", "url"];
const DEPENDENCY_FIELDS: [&str; 8] =
    ["name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias"];

pub(super) fn check(lint: &mut Lint<'_>) {
    let path = lint.folder.join(FILE);
    if path.is_dir() {
        lint.add(Severity::Error, FILE, "should be a file, not a directory");
    }
    let read = std::fs::read_to_string(&path).map_err(|error| error.to_string()).and_then(|text| {
        seaworthy_template::yaml::read(&text)
            .map_err(|error| format!("error converting YAML to JSON: {error}"))
    });
    let typed = read.and_then(|document| {
        let document = if document.is_null() { Json::Object(Default::default()) } else { document };
        let metadata = serde_json::from_value::<Metadata>(document.clone()).map_err(|error| chain(&error))?;
        Ok((document, metadata))
    });
    let (document, metadata) = match typed {
        Ok(both) => both,
        Err(failure) => {
            lint.add(Severity::Error, FILE, format!("unable to parse YAML\n\t{failure}"));
            return;
        }
    };
    lint.rule(Severity::Warning, FILE, strict(&document));
    for rule in [name, api_version] {
        lint.rule(Severity::Error, FILE, rule(&metadata));
    }
    lint.rule(Severity::Error, FILE, is_text(&document, "version"));
    lint.rule(Severity::Error, FILE, version(&metadata));
    lint.rule(Severity::Error, FILE, is_text(&document, "appVersion"));
    for rule in [maintainers, sources] {
        lint.rule(Severity::Error, FILE, rule(&metadata));
    }
    lint.rule(Severity::Info, FILE, icon(&metadata));
    for rule in [icon_url, kind, dependencies] {
        lint.rule(Severity::Error, FILE, rule(&metadata));
    }
    lint.rule(Severity::Warning, FILE, strict_version(&metadata));
}

fn refuse(condition: bool, text: impl Into<String>) -> Result<(), String> {
    if condition { Err(text.into()) } else { Ok(()) }
}

fn strict(document: &Json) -> Result<(), String> {
    let unknown = |map: &Json, fields: &[&str]| {
        map.as_object().and_then(|map| map.keys().find(|key| !fields.contains(&key.as_str())).cloned())
    };
    let below = |key: &str, fields: &[&str]| {
        document[key].as_array().into_iter().flatten().find_map(|item| unknown(item, fields))
    };
    let found = unknown(document, &FIELDS)
        .or_else(|| below("maintainers", &MAINTAINER_FIELDS))
        .or_else(|| below("dependencies", &DEPENDENCY_FIELDS));
    match found {
        None => Ok(()),
        Some(key) => Err(format!(
            "failed to strictly parse chart metadata file\n\terror unmarshaling JSON: while decoding JSON: \
             json: unknown field {key:?}"
        )),
    }
}

fn name(metadata: &Metadata) -> Result<(), String> {
    refuse(metadata.name.is_empty(), "name is required")?;
    let plain = seaworthy_template::path_base(&metadata.name) == metadata.name;
    refuse(!plain, format!("chart name {:?} is invalid", metadata.name))
}

fn api_version(metadata: &Metadata) -> Result<(), String> {
    let version = metadata.api_version.as_str();
    refuse(version.is_empty(), "apiVersion is required. The value must be either \"v1\" or \"v2\"")?;
    let text = format!("apiVersion '{version}' is not valid. The value must be either \"v1\" or \"v2\"");
    refuse(!matches!(version, "v1" | "v2"), text)
}

fn is_text(document: &Json, key: &str) -> Result<(), String> {
    let found = match &document[key] {
        Json::Null if document.get(key).is_some() => "<nil>",
        Json::Null | Json::String(_) => return Ok(()),
        Json::Bool(_) => "bool",
        Json::Number(_) => "float64",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    };
    Err(format!("{key} should be of type string but it's of type {found}"))
}

fn version(metadata: &Metadata) -> Result<(), String> {
    let version = metadata.version.as_str();
    refuse(version.is_empty(), "version is required")?;
    let is_version = seaworthy_template::version_compare(version, version).is_some();
    refuse(!is_version, format!("version '{version}' is not a valid SemVer"))?;
    let positive = seaworthy_template::version_matches(">0.0.0-0", version) == Some(true);
    refuse(!positive, format!("version {version} is less than or equal to 0.0.0-0"))
}

fn strict_version(metadata: &Metadata) -> Result<(), String> {
    let version = metadata.version.as_str();
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_digit())
            && (part == "0" || !part.starts_with('0'))
    };
    let strict = core.split('.').count() == 3
        && core.split('.').all(plain)
        && seaworthy_template::version_compare(version, version).is_some();
    refuse(!strict, format!("version '{version}' is not a valid SemVerV2"))
}

fn maintainers(metadata: &Metadata) -> Result<(), String> {
    for one in &metadata.maintainers {
        refuse(one.name.is_empty(), "each maintainer requires a name")?;
        let email = format!("invalid email '{}' for maintainer '{}'", one.email, one.name);
        refuse(!one.email.is_empty() && !words::is_email(&one.email), email)?;
        let url = format!("invalid url '{}' for maintainer '{}'", one.url, one.name);
        refuse(!one.url.is_empty() && !words::is_url(&one.url), url)?;
    }
    Ok(())
}

fn sources(metadata: &Metadata) -> Result<(), String> {
    let bad = metadata.sources.iter().find(|source| !words::is_request_url(source));
    bad.map_or(Ok(()), |source| Err(format!("invalid source URL '{source}'")))
}

fn icon(metadata: &Metadata) -> Result<(), String> {
    refuse(metadata.icon.is_empty(), "icon is recommended")
}

fn icon_url(metadata: &Metadata) -> Result<(), String> {
    let bad = !metadata.icon.is_empty() && !words::is_request_url(&metadata.icon);
    refuse(bad, format!("invalid icon URL '{}'", metadata.icon))
}

fn kind(metadata: &Metadata) -> Result<(), String> {
    let version = &metadata.api_version;
    let text = format!("chart type is not valid in apiVersion '{version}'. It is valid in apiVersion 'v2'");
    refuse(!metadata.kind.is_empty() && version != "v2", text)
}

fn dependencies(metadata: &Metadata) -> Result<(), String> {
    let version = &metadata.api_version;
    let text = format!(
        "dependencies are not valid in the Chart file with apiVersion '{version}'. They are valid in apiVersion 'v2'"
    );
    refuse(!metadata.dependencies.is_empty() && version != "v2", text)
}
