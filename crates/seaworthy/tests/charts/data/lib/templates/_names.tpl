{{- define "lib.name" -}}{{ .Values.nameOverride | default .Chart.Name }}{{- end -}}
