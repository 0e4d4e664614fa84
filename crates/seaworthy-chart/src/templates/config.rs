//! ServiceAccount and ConfigMap of a component.

use crate::component::Component;
use crate::yaml;

pub const SERVICE_ACCOUNT: &str = r#"apiVersion: v1
kind: ServiceAccount
metadata:
  name: @name@
  labels:
    {{- include "@app@.labels" (dict "root" . "component" "@name@") | nindent 4 }}
# The app does not talk to the Kubernetes API, so no pod carries a token for it.
automountServiceAccountToken: false
"#;

const ENVIRONMENT: &str = r#"apiVersion: v1
kind: ConfigMap
metadata:
  name: @name@
  labels:
    {{- include "@app@.labels" (dict "root" . "component" "@name@") | nindent 4 }}
{{- with .Values.@key@.env }}
data:
  {{- range $name, $value := . }}
  {{ $name }}: {{ $value | quote }}
  {{- end }}
{{- end }}
"#;

const FILES: &str = r#"---
apiVersion: v1
kind: ConfigMap
metadata:
  name: @name@-files
  labels:
    {{- include "@app@.labels" (dict "root" . "component" "@name@") | nindent 4 }}
data:
"#;

/// The variables, and the files from the chart's own `files/` folder.
pub fn config_map(component: &Component<'_>) -> String {
    let mut text = ENVIRONMENT.to_owned();
    if !component.config_files().is_empty() {
        text.push_str(FILES);
        for (name, _) in component.config_files() {
            text.push_str(&format!(
                "  {}: {{{{ .Files.Get \"files/@name@/{name}\" | toJson }}}}\n",
                yaml::scalar(name)
            ));
        }
    }
    text
}
