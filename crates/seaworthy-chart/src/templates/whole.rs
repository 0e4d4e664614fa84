//! Files of the chart as a whole: Chart.yaml, helpers, Ingress, shared claims, NOTES.

use seaworthy_app::{App, Route, Volume};

use crate::component::Component;
use crate::{Options, names, yaml};

pub const HELMIGNORE: &str = "\
# Not part of the packaged chart.
.DS_Store
.git/
.gitignore
.idea/
.vscode/
*.bak
*.orig
*.swp
*.tmp
*~
# What `seaworthy` wrote last, to tell its own text from yours.
.seaworthy.json
";

pub fn chart_yaml(app: &App, options: &Options) -> String {
    let names: Vec<&str> = app.services.iter().map(|service| service.name.as_str()).collect();
    let description = format!("{}: {}", app.name, names.join(", "));
    format!(
        "apiVersion: v2\nname: {}\ndescription: {}\ntype: application\nversion: {}\nappVersion: {}\n\
         # The native `sleep` action of preStop needs it.\nkubeVersion: \">=1.30.0-0\"\n",
        app.name,
        yaml::scalar(&description),
        yaml::scalar(&options.version),
        yaml::quoted(&options.app_version)
    )
}

const HELPERS: &str = r#"{{/*
Labels of every object. Takes (dict "root" . "component" "name").
*/}}
{{- define "@app@.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "@app@.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{/*
Labels that never change while the release lives: they select pods and claims.
*/}}
{{- define "@app@.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/*
An image by digest where one is given, else by tag, else by the version of the app.
Takes (dict "root" . "image" .Values.name.image).
*/}}
{{- define "@app@.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end }}
"#;

pub fn helpers(app: &App) -> String {
    HELPERS.replace("@app@", &app.name)
}

const INGRESS_HEAD: &str = r#"{{- if .Values.ingress.enabled }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: @app@
  labels:
    {{- include "@app@.labels" (dict "root" . "component" "ingress") | nindent 4 }}
  {{- with .Values.ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with .Values.ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with .Values.ingress.tls }}
  tls:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  rules:
"#;

/// Paths go to their services as they are: nothing is rewritten.
pub fn ingress(app: &App, components: &[Component<'_>]) -> String {
    let mut routes: Vec<(&Component<'_>, &Route)> = components
        .iter()
        .flat_map(|component| component.service.routes.iter().map(move |route| (component, route)))
        .collect();
    // Longer paths first, for readers; the controller orders them itself.
    routes.sort_by(|(_, a), (_, b)| (b.path.len(), &a.path).cmp(&(a.path.len(), &b.path)));
    let mut hosts: Vec<Option<&str>> = Vec::new();
    for (_, route) in &routes {
        if !hosts.contains(&route.host.as_deref()) {
            hosts.push(route.host.as_deref());
        }
    }
    let mut text = INGRESS_HEAD.replace("@app@", &app.name);
    for host in hosts {
        let shown = host.map_or("{{ .Values.ingress.host | quote }}".to_owned(), yaml::in_template);
        text.push_str(&format!("    - host: {shown}\n      http:\n        paths:\n"));
        for (component, route) in routes.iter().filter(|(_, route)| route.host.as_deref() == host) {
            text.push_str(&path(component, route));
        }
    }
    text.push_str("{{- end }}\n");
    text
}

fn path(component: &Component<'_>, route: &Route) -> String {
    let port = match component.port_name(route.port) {
        Some(name) => format!("name: {name}"),
        None => format!("number: {}", route.port),
    };
    format!(
        r#"          - path: {}
            pathType: Prefix
            backend:
              service:
                name: {}
                port:
                  {port}
"#,
        yaml::in_template(&route.path),
        component.name()
    )
}

const CLAIM: &str = r#"apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: @volume@
  labels:
    {{- include "@app@.labels" (dict "root" . "component" "@volume@") | nindent 4 }}
  annotations:
    # Data outlives the release.
    helm.sh/resource-policy: keep
spec:
  accessModes:
    {{- toYaml (index .Values.volumes "@volume@").accessModes | nindent 4 }}
  {{- with (index .Values.volumes "@volume@").storageClass }}
  storageClassName: {{ . | quote }}
  {{- end }}
  resources:
    requests:
      storage: {{ (index .Values.volumes "@volume@").size | quote }}
"#;

/// The claim of a volume that no StatefulSet owns.
pub fn claim(app: &App, volume: &Volume) -> String {
    CLAIM.replace("@app@", &app.name).replace("@volume@", &volume.name)
}

pub fn notes(app: &App) -> String {
    let mut text = String::from(
        "{{ .Chart.Name }} {{ .Chart.AppVersion }} is installed as {{ .Release.Name }} in {{ .Release.Namespace }}.\n",
    );
    if app.ingress.enabled {
        text.push_str(
            "{{- if .Values.ingress.enabled }}\n\nOpen it:\n  http{{ if .Values.ingress.tls }}s{{ end }}://{{ .Values.ingress.host }}\n{{- end }}\n",
        );
    }
    text.push_str("\nWatch it come up:\n  kubectl --namespace {{ .Release.Namespace }} get pods --selector app.kubernetes.io/instance={{ .Release.Name }}\n");
    if let Some(first) = app.services.first() {
        let key = names::values_key(&first.name);
        text.push_str(&format!(
            "\nChange a value:\n  helm upgrade {{{{ .Release.Name }}}} <this chart> --namespace {{{{ .Release.Namespace }}}} --reuse-values --set {key}.replicas=3\n"
        ));
    }
    if !app.secrets.is_empty() {
        text.push_str(
            "\nIts secrets are in the Secret {{ .Values.existingSecret }}; pods wait until it exists.\n",
        );
    }
    text
}
