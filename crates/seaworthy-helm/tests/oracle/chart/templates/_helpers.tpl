{{- define "plain" -}}plain text{{- end -}}
{{- define "dot" -}}[{{ . }}]{{- end -}}
{{- define "name" -}}{{ .Chart.Name }}-{{ .Release.Name }}{{- end -}}
{{- define "labels" -}}
app: {{ include "name" . }}
version: {{ .Chart.AppVersion | quote }}
{{- end -}}
{{- define "fails" -}}
line two
{{ .Values.map.a.b.c }}
{{- end -}}
{{- define "outer" -}}{{ include "fails" . }}{{- end -}}
{{- define "needs" -}}{{ required "the helper needs a value" .Values.nothing }}{{- end -}}
