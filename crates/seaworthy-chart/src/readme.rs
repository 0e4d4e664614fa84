//! `README.md` of the chart: what it installs, how, and what can be changed.

use seaworthy_app::{App, SecretSource};

use crate::component::Component;
use crate::values::component_values;

pub fn readme(app: &App, components: &[Component<'_>]) -> String {
    let name = &app.name;
    let mut text = format!(
        "# {name}\n\nA Helm chart for {name}, written by `seaworthy` from its Compose file. It needs Helm 3.13 or later and\nKubernetes 1.30 or later.\n\n"
    );
    text.push_str(
        "## What it installs\n\n| component | kind | image | replicas | ports |\n|---|---|---|---|---|\n",
    );
    for component in components {
        text.push_str(&row(component));
    }
    text.push_str("\n## Install\n\n");
    text.push_str(&secrets(app));
    text.push_str(&format!(
        "```sh\nhelm upgrade --install {name} charts/{name} --namespace {name} --create-namespace\nhelm uninstall {name} --namespace {name}    # claims of StatefulSets stay\n```\n\nOn one small machine add `--values charts/{name}/values-dev.yaml`: pods then reserve little.\n\n"
    ));
    if app.ingress.enabled {
        text.push_str(&routes(app, components));
    }
    text.push_str(&values(app, components));
    text.push_str(&remarks(components));
    text
}

fn row(component: &Component<'_>) -> String {
    let ports: Vec<String> = component.ports.iter().map(|port| port.container.to_string()).collect();
    let (repository, tag, _) = &component.image;
    let image = if tag.is_empty() { repository.clone() } else { format!("{repository}:{tag}") };
    let (kind, replicas) = (format!("{:?}", component.kind), component.service.replicas);
    format!("| {} | {kind} | `{image}` | {replicas} | {} |\n", component.name(), ports.join(", "))
}

fn secrets(app: &App) -> String {
    if app.secrets.is_empty() {
        return String::new();
    }
    let secret = app.secret_name();
    let mut text = format!(
        "The chart holds no secret. The Secret `{secret}` must exist; `seaworthy up` makes it. By hand:\n\n```sh\nkubectl create secret generic {secret} --namespace {} --from-env-file=secrets.env\n```\n\n| key | used by | value |\n|---|---|---|\n",
        app.name
    );
    for secret in &app.secrets {
        let source = match &secret.source {
            SecretSource::Generate => "random".to_owned(),
            SecretSource::Given(_) => "yours".to_owned(),
            // Made from other keys; the text around them may be secret too.
            SecretSource::Template(_) => "made from other keys".to_owned(),
        };
        text.push_str(&format!("| `{}` | {} | {source} |\n", secret.key, secret.services.join(", ")));
    }
    text + "\n"
}

fn routes(app: &App, components: &[Component<'_>]) -> String {
    let mut text = "## Routes\n\n| host | path | service |\n|---|---|---|\n".to_owned();
    for component in components {
        for route in &component.service.routes {
            let host = route.host.as_deref().unwrap_or(&app.ingress.host);
            text.push_str(&format!(
                "| `{host}` | `{}` | {}:{} |\n",
                route.path,
                component.name(),
                route.port
            ));
        }
    }
    text + "\n"
}

fn values(app: &App, components: &[Component<'_>]) -> String {
    let mut text = "## Values\n\n| key | default |\n|---|---|\n".to_owned();
    text.push_str(&format!(
        "| `existingSecret` | `{}` |\n| `secretChecksum` | |\n| `imagePullSecrets` | `[]` |\n",
        app.secret_name()
    ));
    if app.ingress.enabled {
        text.push_str(&format!(
            "| `ingress.enabled` | `true` |\n| `ingress.className` | `{}` |\n| `ingress.host` | `{}` |\n| `ingress.annotations` | `{{}}` |\n| `ingress.tls` | `[]` |\n",
            app.ingress.class, app.ingress.host
        ));
    }
    for component in components {
        for setting in component_values(component) {
            let default = default_text(&setting.value);
            text.push_str(&format!("| `{}.{}` | {default} |\n", component.key, setting.key));
        }
    }
    text + "\n"
}

/// Long ones are better read where they are written.
fn default_text(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if text.len() > 60 || text.contains(['|', '`']) {
        "see `values.yaml`".to_owned()
    } else {
        format!("`{text}`")
    }
}

fn remarks(components: &[Component<'_>]) -> String {
    let lines: Vec<String> =
        components.iter().flat_map(|component| &component.notes).map(|note| format!("- {note}\n")).collect();
    if lines.is_empty() { String::new() } else { format!("## Worth a look\n\n{}", lines.concat()) }
}
