//! Deployment, StatefulSet and Job of a component: what surrounds the pods, and the pod itself.
//!
//! The three differ only in their heads. The pod template is [`pod`], the same for all.

use seaworthy_app::{App, FileMount, FileSource};

use crate::component::Component;
use crate::storage::{self, Claimed};
use crate::templates::service::protocol;
use crate::{limits, yaml};

const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: @name@
  labels:
    {{- include "@app@.labels" (dict "root" . "component" "@name@") | nindent 4 }}
spec:
  {{- if not .Values.@key@.autoscaling.enabled }}
  replicas: {{ .Values.@key@.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  # A new pod must be ready before an old one goes.
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  selector:
    matchLabels:
      {{- include "@app@.selectorLabels" (dict "root" . "component" "@name@") | nindent 6 }}
  template:
"#;

const STATEFUL_SET: &str = r#"apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: @name@
  labels:
    {{- include "@app@.labels" (dict "root" . "component" "@name@") | nindent 4 }}
spec:
  serviceName: @governing@
  replicas: {{ .Values.@key@.replicas }}
  revisionHistoryLimit: 5
  podManagementPolicy: OrderedReady
  updateStrategy:
    type: RollingUpdate
  selector:
    matchLabels:
      {{- include "@app@.selectorLabels" (dict "root" . "component" "@name@") | nindent 6 }}
  template:
"#;

/// A Job cannot be changed, so each revision has its own.
const JOB: &str = r#"apiVersion: batch/v1
kind: Job
metadata:
  name: @name@-{{ .Release.Revision }}
  labels:
    {{- include "@app@.labels" (dict "root" . "component" "@name@") | nindent 4 }}
spec:
  backoffLimit: 6
  template:
"#;

const POD_HEAD: &str = r#"    metadata:
      labels:
        {{- include "@app@.selectorLabels" (dict "root" . "component" "@name@") | nindent 8 }}
        {{- with .Values.@key@.podLabels }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        # A change of configuration or of the Secret rolls the pods.
        checksum/config: {{ include (print $.Template.BasePath "/@name@/configmap.yaml") . | sha256sum }}
"#;

const POD_SPEC: &str = r#"        {{- with .Values.@key@.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: @name@
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .Values.@key@.terminationGracePeriodSeconds }}
      {{- with .Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        {{- toYaml .Values.@key@.podSecurityContext | nindent 8 }}
"#;

const CONTAINER: &str = r#"      containers:
        - name: @name@
          image: {{ include "@app@.image" (dict "root" . "image" .Values.@key@.image) | quote }}
          imagePullPolicy: {{ .Values.@key@.image.pullPolicy }}
          {{- with .Values.@key@.command }}
          command:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .Values.@key@.args }}
          args:
            {{- toYaml . | nindent 12 }}
          {{- end }}
"#;

const ENVIRONMENT: &str = r#"          envFrom:
            - configMapRef:
                name: @name@
          {{- with .Values.@key@.secretEnv }}
          env:
            {{- range $name, $key := . }}
            - name: {{ $name }}
              valueFrom:
                secretKeyRef:
                  name: {{ $.Values.existingSecret }}
                  key: {{ $key }}
            {{- end }}
          {{- end }}
"#;

const PROBES: &str = r#"          {{- with .Values.@key@.startupProbe }}
          startupProbe:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .Values.@key@.readinessProbe }}
          readinessProbe:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with .Values.@key@.livenessProbe }}
          livenessProbe:
            {{- toYaml . | nindent 12 }}
          {{- end }}
"#;

const PRE_STOP: &str = r#"          {{- with .Values.@key@.preStopSleepSeconds }}
          # Keep serving until everybody has learned that this pod is going.
          lifecycle:
            preStop:
              sleep:
                seconds: {{ . }}
          {{- end }}
"#;

const LIMITS: &str = r#"          resources:
            {{- toYaml .Values.@key@.resources | nindent 12 }}
          securityContext:
            {{- toYaml .Values.@key@.securityContext | nindent 12 }}
"#;

const PLACEMENT: &str = r#"      {{- with .Values.@key@.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.@key@.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .Values.@key@.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
"#;

/// Replicas on different nodes where there are several; never a reason not to run.
const SPREAD: &str = r#"      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              {{- include "@app@.selectorLabels" (dict "root" . "component" "@name@") | nindent 14 }}
"#;

pub fn deployment(app: &App, component: &Component<'_>) -> String {
    DEPLOYMENT.to_owned() + &pod(app, component, SPREAD)
}

pub fn stateful_set(app: &App, component: &Component<'_>) -> String {
    let governing =
        if component.has_service && !component.ports.is_empty() { "@name@-headless" } else { "@name@" };
    let claims = claim_templates(&component.storage.own);
    STATEFUL_SET.replace("@governing@", governing) + &pod(app, component, SPREAD) + &claims
}

pub fn job(app: &App, component: &Component<'_>) -> String {
    JOB.to_owned() + &pod(app, component, "      restartPolicy: OnFailure\n")
}

/// The pod template; `extra` are lines of its spec.
fn pod(_app: &App, component: &Component<'_>, extra: &str) -> String {
    let mut text = POD_HEAD.to_owned();
    if component.uses_secrets() {
        text.push_str("        checksum/secret: {{ .Values.secretChecksum | quote }}\n");
    }
    text.push_str(POD_SPEC);
    text.push_str(extra);
    text.push_str(CONTAINER);
    if let Some(dir) = &component.service.working_dir {
        text.push_str(&format!("          workingDir: {}\n", yaml::in_template(dir)));
    }
    text.push_str(&container_ports(component));
    text.push_str(ENVIRONMENT);
    text.push_str(PROBES);
    if component.pre_stop_sleep_s > 0 {
        text.push_str(PRE_STOP);
    }
    text.push_str(LIMITS);
    let (mounts, volumes) = mounts(component);
    text.push_str(&section("          volumeMounts:", &mounts));
    text.push_str(&section("      volumes:", &volumes));
    text.push_str(PLACEMENT);
    text
}

fn section(head: &str, items: &[String]) -> String {
    if items.is_empty() { String::new() } else { format!("{head}\n{}", items.concat()) }
}

fn container_ports(component: &Component<'_>) -> String {
    let lines: Vec<String> = component
        .ports
        .iter()
        .map(|port| {
            format!(
                "            - name: {}\n              containerPort: {}\n              protocol: {}\n",
                port.name.as_deref().unwrap_or("port"),
                port.container,
                protocol(port.protocol)
            )
        })
        .collect();
    section("          ports:", &lines)
}

/// Items of `volumeMounts` and of `volumes`.
fn mounts(component: &Component<'_>) -> (Vec<String>, Vec<String>) {
    let storage = &component.storage;
    let mut mounts = Vec::new();
    let mut volumes = Vec::new();
    for claimed in storage.own.iter().chain(&storage.shared) {
        mounts.push(mount(&claimed.volume.name, claimed.target, claimed.sub_path, claimed.read_only));
    }
    let mut seen: Vec<&str> = Vec::new();
    for Claimed { volume, .. } in &storage.shared {
        if !seen.contains(&volume.name.as_str()) {
            seen.push(&volume.name);
            let claim = storage::claim_name(volume);
            let source =
                format!("persistentVolumeClaim:\n            claimName: {}", yaml::in_template(claim));
            volumes.push(pod_volume(&volume.name, &source));
        }
    }
    for empty in &storage.empty {
        mounts.push(mount(&empty.name, &empty.target, None, false));
        let size = empty.size_bytes.map(|bytes| format!("sizeLimit: {}", limits::memory(bytes)));
        let medium = empty.in_memory.then(|| "medium: Memory".to_owned());
        let settings: Vec<String> = medium.into_iter().chain(size).collect();
        let source = match settings.is_empty() {
            true => "emptyDir: {}".to_owned(),
            false => format!("emptyDir:\n            {}", settings.join("\n            ")),
        };
        volumes.push(pod_volume(&empty.name, &source));
    }
    file_mounts(component, &mut mounts, &mut volumes);
    (mounts, volumes)
}

fn file_mounts(component: &Component<'_>, mounts: &mut Vec<String>, volumes: &mut Vec<String>) {
    let storage = &component.storage;
    for file in &storage.configs {
        mounts.push(mount("config-files", &file.target, Some(key_of(file)), true));
    }
    if !storage.configs.is_empty() {
        let source = format!("configMap:\n            name: @name@-files{}", mode(&storage.configs, "0444"));
        volumes.push(pod_volume("config-files", &source));
    }
    for file in &storage.secrets {
        mounts.push(mount("secret-files", &file.target, Some(key_of(file)), true));
    }
    if !storage.secrets.is_empty() {
        let mut keys: Vec<&str> = storage.secrets.iter().map(|file| key_of(file)).collect();
        keys.sort_unstable();
        keys.dedup();
        let items: String = keys
            .iter()
            .map(|key| {
                let key = yaml::in_template(key);
                format!("\n              - key: {key}\n                path: {key}")
            })
            .collect();
        let mode = mode(&storage.secrets, "0440");
        let source = format!(
            "secret:\n            secretName: {{{{ .Values.existingSecret }}}}{mode}\n            items:{items}"
        );
        volumes.push(pod_volume("secret-files", &source));
    }
}

/// The stated mode when all files agree on one.
fn mode(files: &[&FileMount], default: &str) -> String {
    let stated = files.first().and_then(|file| file.mode);
    let agreed = stated.filter(|_| files.iter().all(|file| file.mode == stated));
    let mode = agreed.map_or(default.to_owned(), |mode| format!("{mode:04o}"));
    format!("\n            defaultMode: {mode}")
}

fn key_of(file: &FileMount) -> &str {
    match &file.source {
        FileSource::Config(name) | FileSource::Secret(name) => name,
    }
}

fn mount(volume: &str, target: &str, sub_path: Option<&str>, read_only: bool) -> String {
    let mut text =
        format!("            - name: {volume}\n              mountPath: {}\n", yaml::in_template(target));
    if let Some(path) = sub_path {
        text.push_str(&format!("              subPath: {}\n", yaml::in_template(path)));
    }
    if read_only {
        text.push_str("              readOnly: true\n");
    }
    text
}

fn pod_volume(name: &str, source: &str) -> String {
    format!("        - name: {name}\n          {source}\n")
}

/// Labels of a claim outlive the chart that made it, so they name no version.
fn claim_templates(own: &[Claimed<'_>]) -> String {
    let mut items: Vec<String> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for Claimed { volume, .. } in own {
        let name = volume.name.as_str();
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        items.push(format!(
            r#"    - apiVersion: v1
      kind: PersistentVolumeClaim
      metadata:
        name: {name}
        labels:
          {{{{- include "@app@.selectorLabels" (dict "root" . "component" "@name@") | nindent 10 }}}}
      spec:
        accessModes:
          - ReadWriteOnce
        {{{{- with (index .Values.@key@.persistence "{name}").storageClass }}}}
        storageClassName: {{{{ . | quote }}}}
        {{{{- end }}}}
        resources:
          requests:
            storage: {{{{ (index .Values.@key@.persistence "{name}").size | quote }}}}
"#
        ));
    }
    section("  volumeClaimTemplates:", &items)
}
