//! Revisions as Helm prints them: lists, histories, the block of `status`, values.

use std::fmt::Write as _;

use seaworthy_helm::{Chart, Values, yaml};
use seaworthy_release::ready::Readiness;
use seaworthy_release::{Release, Standing, record};
use serde::Serialize;
use serde_json::{Value, json};

use super::go;

/// A line of `list`.
#[derive(Debug, Serialize)]
pub struct Listed {
    pub name: String,
    pub namespace: String,
    pub revision: String,
    pub updated: String,
    pub status: String,
    pub chart: String,
    pub app_version: String,
}

impl Listed {
    pub fn of(release: &Release, time_format: Option<&str>) -> Self {
        let deployed = &release.info.last_deployed;
        Self {
            name: release.name.clone(),
            namespace: release.namespace.clone(),
            revision: release.version.to_string(),
            updated: time_format.map_or_else(|| go::string(deployed), |layout| go::layout(deployed, layout)),
            status: release.info.status.name().to_owned(),
            chart: chart_name(release),
            app_version: release.chart_field("appVersion").to_owned(),
        }
    }

    pub fn row(&self) -> Vec<String> {
        let cells = [
            &self.name,
            &self.namespace,
            &self.revision,
            &self.updated,
            &self.status,
            &self.chart,
            &self.app_version,
        ];
        cells.map(String::clone).to_vec()
    }

    pub fn header() -> Vec<String> {
        ["NAME", "NAMESPACE", "REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION"]
            .map(str::to_owned)
            .to_vec()
    }
}

/// A line of `history`.
#[derive(Debug, Serialize)]
pub struct Revision {
    revision: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    updated: String,
    status: String,
    chart: String,
    app_version: String,
    #[serde(skip_serializing_if = "is_zero")]
    rollback_revision: u64,
    description: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Revision {
    pub fn of(release: &Release) -> Self {
        Self {
            revision: release.version,
            updated: release.info.last_deployed.clone(),
            status: release.info.status.name().to_owned(),
            chart: chart_name(release),
            app_version: release.chart_field("appVersion").to_owned(),
            rollback_revision: release.info.rollback_revision,
            description: release.info.description.clone(),
        }
    }

    pub fn row(&self, with_rollback: bool) -> Vec<String> {
        let mut cells = vec![
            self.revision.to_string(),
            go::ansic(&self.updated),
            self.status.clone(),
            self.chart.clone(),
            self.app_version.clone(),
        ];
        if with_rollback {
            let number = self.rollback_revision;
            cells.push(if number > 0 { number.to_string() } else { String::new() });
        }
        cells.push(self.description.clone());
        cells
    }

    pub fn header(with_rollback: bool) -> Vec<String> {
        let mut header = vec!["REVISION", "UPDATED", "STATUS", "CHART", "APP VERSION"];
        header.extend(with_rollback.then_some("ROLLBACK"));
        header.push("DESCRIPTION");
        header.into_iter().map(str::to_owned).collect()
    }
}

/// `web-1.2.3`; Helm's word for a record without a chart is `MISSING`.
fn chart_name(release: &Release) -> String {
    match release.chart_field("name") {
        "" => "MISSING".to_owned(),
        name => format!("{name}-{}", release.chart_field("version")),
    }
}

/// The whole revision for `-o json` and `-o yaml`.
pub fn whole(release: &Release) -> Release {
    let mut release = release.clone();
    release.chart = go::whole_numbers(&release.chart);
    release.config = go::whole_numbers(&release.config);
    release
}

/// What of a revision is shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Show {
    pub metadata: bool,
    /// Values, hooks and manifest.
    pub everything: bool,
    pub no_notes: bool,
}

/// The block that `status`, `install` and `upgrade` end with.
pub fn block(release: &Release, show: Show, standing: &[Standing]) -> String {
    let mut text = String::new();
    let info = &release.info;
    let _ = writeln!(text, "NAME: {}", release.name);
    if !info.last_deployed.is_empty() {
        let _ = writeln!(text, "LAST DEPLOYED: {}", go::ansic(&info.last_deployed));
    }
    let _ = writeln!(text, "NAMESPACE: {}\nSTATUS: {}", release.namespace, info.status.name());
    let _ = writeln!(text, "REVISION: {}", release.version);
    if show.metadata {
        for (title, field) in [("CHART", "name"), ("VERSION", "version"), ("APP_VERSION", "appVersion")] {
            let _ = writeln!(text, "{title}: {}", release.chart_field(field));
        }
    }
    let _ = writeln!(text, "DESCRIPTION: {}", info.description);
    resources(standing, &mut text);
    tests(&release.hooks, &mut text);
    if show.everything {
        let computed =
            computed(release).map_or_else(|error| format!("{error}\n"), |values| values_text(&values));
        let _ = writeln!(text, "USER-SUPPLIED VALUES:\n{}", values_text(&user_values(release)));
        let _ = writeln!(text, "COMPUTED VALUES:\n{computed}");
    }
    if show.everything || info.description.eq_ignore_ascii_case("dry run complete") {
        let _ = write!(text, "HOOKS:\n{}MANIFEST:\n{}\n", hooks(release), release.manifest);
    }
    if !show.no_notes && !info.notes.is_empty() {
        let _ = writeln!(text, "NOTES:\n{}", info.notes.trim());
    }
    text
}

fn resources(standing: &[Standing], text: &mut String) {
    if standing.is_empty() {
        return;
    }
    text.push_str("RESOURCES:\n");
    let width = standing.iter().map(|one| one.object.chars().count()).max().unwrap_or(0);
    for one in standing {
        let state = match &one.readiness {
            None => "missing".to_owned(),
            Some(Readiness::Ready) => "ready".to_owned(),
            Some(Readiness::Waiting(why)) => format!("not ready: {why}"),
            Some(Readiness::Failed(why)) => format!("failed: {why}"),
        };
        let _ = writeln!(text, "  {:<width$}   {state}", one.object);
    }
}

fn tests(hooks: &[record::Hook], text: &mut String) {
    let tests: Vec<&record::Hook> = hooks.iter().filter(|hook| hook.runs_at("test")).collect();
    if tests.is_empty() {
        text.push_str("TEST SUITE: None\n");
    }
    for hook in tests.iter().filter(|hook| !hook.last_run.started_at.is_empty()) {
        let run = &hook.last_run;
        let _ = writeln!(
            text,
            "TEST SUITE:     {}\nLast Started:   {}\nLast Completed: {}\nPhase:          {}",
            hook.name,
            go::ansic(&run.started_at),
            go::ansic(&run.completed_at),
            run.phase
        );
    }
}

/// The hooks as `get hooks` prints them.
pub fn hooks(release: &Release) -> String {
    release.hooks.iter().fold(String::new(), |text, hook| {
        text + &format!("---\n# Source: {}\n{}\n", hook.path, hook.manifest)
    })
}

/// What the user set; nothing at all is `null`, as in Helm.
pub fn user_values(release: &Release) -> Value {
    match release.config.as_object() {
        Some(values) if !values.is_empty() => go::whole_numbers(&release.config),
        _ => Value::Null,
    }
}

/// All values: the chart's with the user's over them.
pub fn computed(release: &Release) -> Result<Value, String> {
    let given = release.config.as_object().cloned().unwrap_or_default();
    let values = seaworthy_helm::computed(&stored_chart(release), &given)?;
    Ok(go::whole_numbers(&Value::Object(values)))
}

/// What of a chart its stored form still has: enough for its values.
pub fn stored_chart(release: &Release) -> Chart {
    let values: Values = release.chart["values"].as_object().cloned().unwrap_or_default();
    Chart { values, ..Chart::default() }
}

/// A revision under the names that Go gives its fields: what templates of `get all` see.
pub fn fields(release: &Release) -> Value {
    let (info, metadata) = (&release.info, &release.chart["metadata"]);
    let metadata: serde_json::Map<String, Value> = metadata
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (go_name(key), value.clone()))
        .collect();
    let hook = |hook: &record::Hook| {
        json!({ "Name": hook.name, "Kind": hook.kind, "Path": hook.path, "Manifest": hook.manifest,
            "Events": hook.events, "Weight": hook.weight })
    };
    json!({ "Release": {
        "Name": release.name, "Namespace": release.namespace, "Version": release.version,
        "Manifest": release.manifest, "Config": release.config, "Labels": release.labels,
        "ApplyMethod": release.apply_method,
        "Hooks": release.hooks.iter().map(hook).collect::<Vec<_>>(),
        "Chart": { "Metadata": metadata, "Values": release.chart["values"] },
        "Info": {
            "FirstDeployed": go::string(&info.first_deployed), "LastDeployed": go::string(&info.last_deployed),
            "Deleted": go::string(&info.deleted), "Description": info.description,
            "Status": info.status.name(), "Notes": info.notes, "RollbackRevision": info.rollback_revision,
        },
    } })
}

/// `appVersion` is `AppVersion` in Go, and `apiVersion` `APIVersion`.
fn go_name(key: &str) -> String {
    let rest = key.strip_prefix("api");
    let (first, rest) = rest.map_or_else(|| key.split_at(key.len().min(1)), |rest| ("api", rest));
    first.to_uppercase() + rest
}

pub fn values_text(values: &Value) -> String {
    yaml::write_json(values).unwrap_or_else(|error| format!("{error}\n"))
}

/// What `get metadata` prints.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    name: String,
    chart: String,
    version: String,
    app_version: String,
    #[serde(skip_serializing_if = "is_empty")]
    annotations: Value,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    labels: std::collections::BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_empty")]
    dependencies: Value,
    namespace: String,
    revision: u64,
    status: String,
    deployed_at: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    apply_method: String,
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        other => other.is_null(),
    }
}

impl Metadata {
    pub fn of(release: &Release) -> Self {
        let field = |name: &str| release.chart_field(name).to_owned();
        Self {
            name: release.name.clone(),
            chart: field("name"),
            version: field("version"),
            app_version: field("appVersion"),
            annotations: release.chart["metadata"]["annotations"].clone(),
            labels: release.labels.clone(),
            dependencies: release.chart["metadata"]["dependencies"].clone(),
            namespace: release.namespace.clone(),
            revision: release.version,
            status: release.info.status.name().to_owned(),
            deployed_at: go::rfc3339(&release.info.last_deployed),
            apply_method: release.apply_method.clone(),
        }
    }

    pub fn text(&self) -> String {
        let pairs = |map: Vec<(String, String)>| {
            map.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
        };
        let annotations = self.annotations.as_object().into_iter().flatten();
        let annotations =
            annotations.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()));
        let mut names: Vec<&str> = self
            .dependencies
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one["name"].as_str())
            .collect();
        names.sort_unstable();
        let method = match self.apply_method.as_str() {
            "" => "client-side apply (defaulted)".to_owned(),
            "csa" => "client-side apply".to_owned(),
            "ssa" => "server-side apply".to_owned(),
            other => format!("unknown ({other:?})"),
        };
        let lines = [
            ("NAME", self.name.clone()),
            ("CHART", self.chart.clone()),
            ("VERSION", self.version.clone()),
            ("APP_VERSION", self.app_version.clone()),
            ("ANNOTATIONS", pairs(annotations.collect())),
            ("LABELS", pairs(self.labels.clone().into_iter().collect())),
            ("DEPENDENCIES", names.join(",")),
            ("NAMESPACE", self.namespace.clone()),
            ("REVISION", self.revision.to_string()),
            ("STATUS", self.status.clone()),
            ("DEPLOYED_AT", self.deployed_at.clone()),
            ("APPLY_METHOD", method),
        ];
        lines.iter().fold(String::new(), |text, (title, value)| text + &format!("{title}: {value}\n"))
    }
}
