{{/* Greets somebody. */}}
{{- define "functions.greet" -}}
hello {{ .name }}
{{- end }}
