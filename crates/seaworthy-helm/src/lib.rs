//! Charts on disk: load, values, render. Helm's rules, no cluster.
//!
//! For the command line, and for whoever wants to know what a chart becomes. [`Chart::load`] reads a folder or a packed
//! chart; [`set`] and [`parse_values`] read what users type; [`render`] makes a [`Manifest`].
//! **Invariant:** what Helm 4 would refuse is refused, what it would render is rendered to the same text.
//!
//! Start at [`render`]. YAML is read and written by `seaworthy_template::yaml`, re-exported as [`yaml`].

mod archive;
mod capabilities;
mod chart;
mod dependencies;
mod files;
mod glob;
pub mod hints;
mod ignore;
pub mod limits;
pub mod lint;
mod load;
pub mod lock;
pub mod manifest;
mod metadata;
pub mod names;
pub mod output;
pub mod post_render;
mod render;
pub mod save;
mod schema;
pub mod set;
pub mod show;
mod values;

pub use capabilities::{BadVersion, Capabilities};
pub use chart::{Chart, Error as ChartError, File, Values};
pub use limits::Limits;
pub use manifest::{Hook, HookEvent, Manifest};
pub use metadata::{Dependency, Maintainer, Metadata};
pub use render::{ClusterLookup, Error, RenderOptions, Rendered, execute_text, render, render_texts};
pub use seaworthy_template::{json, yaml};
pub use values::{as_floats, computed, fill, merge_maps, parse_values, parse_values_within};
