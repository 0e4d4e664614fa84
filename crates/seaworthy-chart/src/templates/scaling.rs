//! How many pods there are, by load and in spite of maintenance.

/// Off unless values say otherwise; the workload then leaves its number of replicas to it.
pub const AUTOSCALER: &str = r#"{{- if .Values.@key@.autoscaling.enabled }}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: @name@
  labels:
    {{- include "@app@.labels" (dict "root" . "component" "@name@") | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: @name@
  minReplicas: {{ .Values.@key@.autoscaling.minReplicas }}
  maxReplicas: {{ .Values.@key@.autoscaling.maxReplicas }}
  metrics:
    {{- with .Values.@key@.autoscaling.targetCPUUtilizationPercentage }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ . }}
    {{- end }}
    {{- with .Values.@key@.autoscaling.targetMemoryUtilizationPercentage }}
    - type: Resource
      resource:
        name: memory
        target:
          type: Utilization
          averageUtilization: {{ . }}
    {{- end }}
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 30
    scaleDown:
      stabilizationWindowSeconds: 300
{{- end }}
"#;

/// Only where there is a second pod: for a single one it would block every drain.
pub const DISRUPTION_BUDGET: &str = r#"{{- if or (gt (int .Values.@key@.replicas) 1) .Values.@key@.autoscaling.enabled }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: @name@
  labels:
    {{- include "@app@.labels" (dict "root" . "component" "@name@") | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "@app@.selectorLabels" (dict "root" . "component" "@name@") | nindent 6 }}
{{- end }}
"#;
