//! The text of the chart's templates.
//!
//! Each file is written as a person would: fixed structure here, everything tunable in values. `@app@`, `@name@` and
//! `@key@` stand for the app, the component and its key in values.

mod config;
mod scaling;
mod service;
mod whole;
mod workload;

use seaworthy_app::{App, WorkloadKind};

use crate::component::Component;

pub use whole::{HELMIGNORE, chart_yaml, claim, helpers, ingress, notes};

/// Name and text of each file in the component's folder.
pub fn component_files(app: &App, component: &Component<'_>) -> Vec<(&'static str, String)> {
    let mut files = Vec::new();
    let mut add = |name, text: String| files.push((name, fill(&text, app, component)));
    match component.kind {
        WorkloadKind::Deployment => add("deployment.yaml", workload::deployment(app, component)),
        WorkloadKind::StatefulSet => add("statefulset.yaml", workload::stateful_set(app, component)),
        WorkloadKind::Job => add("job.yaml", workload::job(app, component)),
    }
    add("serviceaccount.yaml", config::SERVICE_ACCOUNT.to_owned());
    add("configmap.yaml", config::config_map(component));
    if component.has_service {
        add("service.yaml", service::services(component));
    }
    if component.kind == WorkloadKind::Deployment {
        add("hpa.yaml", scaling::AUTOSCALER.to_owned());
        add("pdb.yaml", scaling::DISRUPTION_BUDGET.to_owned());
    }
    files
}

fn fill(text: &str, app: &App, component: &Component<'_>) -> String {
    text.replace("@app@", &app.name).replace("@name@", component.name()).replace("@key@", &component.key)
}
