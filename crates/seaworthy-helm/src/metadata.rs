//! `Chart.yaml`, typed; written back in the order and with the omissions of Helm's storage.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value as Json;

/// What a chart says about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub home: String,
    #[serde(deserialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(deserialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub maintainers: Vec<Maintainer>,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub icon: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub condition: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub tags: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub app_version: String,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    #[serde(deserialize_with = "text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub kube_version: String,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    #[serde(rename = "type", deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// A person who keeps the chart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Maintainer {
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub email: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// A subchart that the chart asks for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Dependency {
    #[serde(deserialize_with = "text")]
    pub name: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(deserialize_with = "text")]
    pub repository: String,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub condition: String,
    #[serde(deserialize_with = "texts", skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "std::ops::Not::not")]
    pub enabled: bool,
    #[serde(
        rename = "import-values",
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub import_values: Vec<Json>,
    #[serde(deserialize_with = "text", skip_serializing_if = "String::is_empty")]
    pub alias: String,
}

impl Metadata {
    pub fn is_library(&self) -> bool {
        self.kind == "library"
    }

    /// Takes what cannot be printed out of the texts, and refuses what Helm refuses, in its words.
    pub(crate) fn validate(&mut self) -> Result<(), String> {
        let texts = [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ];
        let lists = self.sources.iter_mut().chain(&mut self.keywords);
        texts.into_iter().chain(lists).for_each(clean);
        let name = quote(&self.name);
        match () {
            () if !matches!(self.api_version.as_str(), "v1" | "v2") => {
                return Err("unsupported chart version".into());
            }
            () if self.name.is_empty() => return Err("chart.metadata.name is required".into()),
            () if matches!(self.name.as_str(), "." | "..") => {
                return Err(format!("chart.metadata.name {name} is not allowed"));
            }
            () if self.name != seaworthy_template::path_base(&self.name) => {
                return Err(format!("chart.metadata.name {name} is invalid"));
            }
            () if self.version.is_empty() => return Err("chart.metadata.version is required".into()),
            () if seaworthy_template::version_compare(&self.version, &self.version).is_none() => {
                return Err(format!("chart.metadata.version {} is invalid", quote(&self.version)));
            }
            () if !matches!(self.kind.as_str(), "" | "application" | "library") => {
                return Err("chart.metadata.type must be application or library".into());
            }
            () => {}
        }
        for one in &mut self.maintainers {
            [&mut one.name, &mut one.email, &mut one.url].into_iter().for_each(clean);
        }
        let mut names = std::collections::BTreeSet::new();
        for dependency in &mut self.dependencies {
            dependency.validate()?;
            let name = dependency.shown_name();
            if !names.insert(name.to_owned()) {
                return Err(format!("more than one dependency with name or alias {}", quote(name)));
            }
        }
        Ok(())
    }

    /// As a template sees `.Chart`: Go's field names, every field present.
    pub(crate) fn for_template(&self, is_root: bool) -> Json {
        let annotations =
            if self.annotations.is_empty() { Json::Null } else { serde_json::json!(self.annotations) };
        let maintainers: Vec<Json> = self
            .maintainers
            .iter()
            .map(|m| serde_json::json!({"Name": m.name, "Email": m.email, "URL": m.url}))
            .collect();
        let dependencies: Vec<Json> = self.dependencies.iter().map(Dependency::for_template).collect();
        serde_json::json!({
            "APIVersion": self.api_version, "Annotations": annotations, "AppVersion": self.app_version,
            "Condition": self.condition, "Dependencies": dependencies, "Deprecated": self.deprecated,
            "Description": self.description, "Home": self.home, "Icon": self.icon, "IsRoot": is_root,
            "Keywords": self.keywords, "KubeVersion": self.kube_version, "Maintainers": maintainers,
            "Name": self.name, "Sources": self.sources, "Tags": self.tags, "Type": self.kind,
            "Version": self.version,
        })
    }
}

impl Dependency {
    /// The name its values stand under.
    pub fn shown_name(&self) -> &str {
        if self.alias.is_empty() { &self.name } else { &self.alias }
    }

    fn validate(&mut self) -> Result<(), String> {
        let texts = [&mut self.name, &mut self.version, &mut self.repository, &mut self.condition];
        texts.into_iter().chain(&mut self.tags).for_each(clean);
        let plain = |c: u8| c.is_ascii_alphanumeric() || b"_-".contains(&c);
        match self.alias.bytes().all(plain) {
            true => Ok(()),
            false => Err(format!("dependency {} has disallowed characters in the alias", quote(&self.name))),
        }
    }

    fn for_template(&self) -> Json {
        serde_json::json!({
            "Alias": self.alias, "Condition": self.condition, "Enabled": self.enabled,
            "ImportValues": self.import_values, "Name": self.name, "Repository": self.repository,
            "Tags": self.tags, "Version": self.version,
        })
    }
}

fn quote(text: &str) -> String {
    seaworthy_template::gofmt::quote(text.as_bytes())
}

/// Blanks of every sort become spaces, and what is no character on paper goes.
fn clean(text: &mut String) {
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        let kept = text.chars().filter(|c| c.is_whitespace() || !c.is_control());
        *text = kept.map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    }
}

/// Helm turns numbers and bools into text where a text is wanted: `appVersion: 1.10` becomes `1.1`.
pub(crate) fn scalar_text(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some(String::new()),
        Json::String(text) => Some(text.clone()),
        Json::Bool(b) => Some(b.to_string()),
        Json::Number(n) if n.is_f64() => n.as_f64().map(seaworthy_template::gofmt::float_g),
        Json::Number(n) => Some(n.to_string()),
        Json::Array(_) | Json::Object(_) => None,
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let value = Json::deserialize(deserializer)?;
    scalar_text(&value).ok_or_else(|| serde::de::Error::custom("a text is wanted here, not a list or a map"))
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let values = Option::<Vec<Json>>::deserialize(deserializer)?.unwrap_or_default();
    let wrong = || serde::de::Error::custom("a list of texts is wanted here");
    values.iter().map(|value| scalar_text(value).ok_or_else(wrong)).collect()
}

fn text_map<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let values = Option::<BTreeMap<String, Json>>::deserialize(deserializer)?.unwrap_or_default();
    let wrong = || serde::de::Error::custom("a map of texts is wanted here");
    values.into_iter().map(|(key, value)| Ok((key, scalar_text(&value).ok_or_else(wrong)?))).collect()
}

fn null_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
