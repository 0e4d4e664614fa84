//! Services: the name under which others reach a component.
//!
//! A Service is called exactly as the Compose service, so `http://backend:8000` holds in the cluster too. The
//! release's namespace keeps apps apart. A StatefulSet also gets the headless Service its pods' names hang on.

use seaworthy_app::{Port, Protocol};

use crate::component::Component;
use crate::yaml;

pub fn services(component: &Component<'_>) -> String {
    let name = component.name();
    let mut parts = Vec::new();
    if component.ports.is_empty() {
        // Without a port there is nothing to balance; the name still leads to the pods.
        parts.push(one(component, name, Form::Headless));
    } else {
        parts.push(one(component, name, Form::Balanced));
        if component.is_stateful() {
            parts.push(one(component, &format!("{name}-headless"), Form::ForPods));
        }
    }
    for alias in &component.service.aliases {
        let form = if component.ports.is_empty() { Form::Headless } else { Form::Balanced };
        parts.push(one(component, alias, form));
    }
    parts.join("---\n")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Balanced,
    Headless,
    /// Headless, and names pods before they are ready: members of a StatefulSet find each other with it.
    ForPods,
}

fn one(component: &Component<'_>, name: &str, form: Form) -> String {
    let kind = match form {
        Form::Balanced => "  type: {{ .Values.@key@.service.type }}\n",
        Form::Headless => "  clusterIP: None\n",
        Form::ForPods => "  clusterIP: None\n  publishNotReadyAddresses: true\n",
    };
    let ports: String = component.ports.iter().map(port).collect();
    let ports = if ports.is_empty() { ports } else { format!("  ports:\n{ports}") };
    format!(
        r#"apiVersion: v1
kind: Service
metadata:
  name: {name}
  labels:
    {{{{- include "@app@.labels" (dict "root" . "component" "@name@") | nindent 4 }}}}
spec:
{kind}  selector:
    {{{{- include "@app@.selectorLabels" (dict "root" . "component" "@name@") | nindent 4 }}}}
{ports}"#
    )
}

fn port(port: &Port) -> String {
    let name = port.name.as_deref().unwrap_or("port");
    let protocol = protocol(port.protocol);
    let app_protocol =
        port.app_protocol.as_deref().map(|app| format!("      appProtocol: {}\n", yaml::in_template(app)));
    format!(
        "    - name: {name}\n      port: {}\n      targetPort: {name}\n      protocol: {protocol}\n{}",
        port.container,
        app_protocol.unwrap_or_default()
    )
}

pub fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}
