//! The application model into the files of a Helm chart.
//!
//! [`generate`] is pure: a model in, files in memory out, the same bytes for the same model. [`update`] brings a
//! folder up to date and keeps every file that a person edited.
//!
//! A chart never holds the value of a secret: it refers to an existing Secret by name. Text that a person wrote in
//! the Compose file stands in `values.yaml`, never in a template, so it cannot become template code.
//!
//! Start at [`generate`]; what is decided for a service is in [`component`].

mod component;
mod folder;
mod limits;
mod names;
mod probes;
mod readme;
mod schema;
mod security;
mod storage;
mod templates;
mod values;
mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;

use seaworthy_app::App;
use serde_json::{Value, json};

use component::Component;
pub use folder::{Error, Update, update};
pub use names::values_key;

/// The files of a chart, with paths relative to its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chart {
    pub name: String,
    pub files: BTreeMap<PathBuf, String>,
    /// Sentences about what was decided for the user and could be better with a word from them.
    pub notes: Vec<String>,
}

/// What the model does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Version of the chart.
    pub version: String,
    /// Version of the app; the tag of images that we build, unless values say otherwise.
    pub app_version: String,
}

impl Default for Options {
    fn default() -> Self {
        Options { version: "1.0.0".to_owned(), app_version: "1.0.0".to_owned() }
    }
}

/// Writes the chart of `app`.
pub fn generate(app: &App, options: &Options) -> Chart {
    let components: Vec<Component<'_>> =
        app.services.iter().map(|service| Component::new(app, service)).collect();
    let mut files = BTreeMap::new();
    let mut add = |path: &str, text: String| {
        files.insert(PathBuf::from(path), text);
    };
    add("Chart.yaml", templates::chart_yaml(app, options));
    add(".helmignore", templates::HELMIGNORE.to_owned());
    add("values.yaml", values::values_yaml(app, &components));
    add("values-dev.yaml", values::dev_values_yaml(&components));
    add("values.schema.json", schema::schema(app, &components));
    add("README.md", readme::readme(app, &components));
    add("templates/_helpers.tpl", templates::helpers(app));
    add("templates/NOTES.txt", templates::notes(app));
    if app.ingress.enabled {
        add("templates/ingress.yaml", templates::ingress(app, &components));
    }
    for component in &components {
        for (file, text) in templates::component_files(app, component) {
            add(&format!("templates/{}/{file}", component.name()), text);
        }
        for (name, content) in component.config_files() {
            add(&format!("files/{}/{name}", component.name()), (*content).to_owned());
        }
    }
    for volume in storage::shared_claims(app, &components) {
        add(&format!("templates/volumes/{}.yaml", volume.name), templates::claim(app, volume));
    }
    let notes = components.iter().flat_map(|component| component.notes.clone()).collect();
    Chart { name: app.name.clone(), files, notes }
}

/// An image as a service is to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageValue {
    pub repository: String,
    pub tag: String,
}

/// Values that belong to one installation, to lay over the chart's own: images by service name, and a digest of the
/// Secret, so that pods roll when it changes.
pub fn install_values(images: &BTreeMap<String, ImageValue>, secret_checksum: &str) -> Value {
    let mut values = serde_json::Map::new();
    for (service, image) in images {
        let image = json!({"image": {"repository": image.repository, "tag": image.tag}});
        values.insert(values_key(service), image);
    }
    values.insert("secretChecksum".to_owned(), json!(secret_checksum));
    Value::Object(values)
}
