//! `cargo xtask bench template`: our rendering beside Helm's, the whole process and inside of one.
//!
//! The charts are made here: a small one, a large one that leans on `tpl`, and umbrellas of 15, 30 and 60 subcharts.
//! `tools/template-oracle/build` makes the program that measures Helm's engine inside a process; without it and
//! without a `helm` on PATH, only our columns are filled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

/// Runs of the whole process; the median counts.
const RUNS: usize = 15;
const ROUNDS: &str = "15";

const HELPERS: &str = r#"{{- define "bench.name" -}}{{ .Release.Name }}-{{ .Chart.Name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- define "bench.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | default "1" | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}
{{- define "bench.render" -}}
{{- if typeIs "string" .value }}{{ tpl .value .context }}{{ else }}{{ tpl (.value | toYaml) .context }}{{ end -}}
{{- end -}}
"#;

const DEPLOYMENT: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "bench.name" . }}
  labels:
    {{- include "bench.labels" . | nindent 4 }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels:
      app: {{ .Chart.Name }}
  template:
    metadata:
      labels:
        app: {{ .Chart.Name }}
    spec:
      containers:
        - name: {{ .Chart.Name }}
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
          {{- with .Values.resources }}
          resources:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          env:
            {{- range $name, $value := .Values.env }}
            - name: {{ $name }}
              value: {{ tpl $value $ | quote }}
            {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "bench.name" . }}
  labels:
    {{- include "bench.labels" . | nindent 4 }}
spec:
  type: {{ .Values.service.type }}
  ports:
    - port: {{ .Values.service.port }}
  selector:
    app: {{ .Chart.Name }}
"#;

const VALUES: &str = r#"replicas: 2
image: {repository: registry.example/app, tag: ""}
service: {type: ClusterIP, port: 80}
resources: {limits: {cpu: 500m, memory: 128Mi}, requests: {cpu: 100m, memory: 64Mi}}
env: {NAME: "{{ .Release.Name }}", MODE: production, HOST: '{{ include "bench.name" . }}.{{ .Release.Namespace }}'}
"#;

const LARGE: &str = r#"{{- range $i := until 60 }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "bench.name" $ }}-{{ $.Template.Name | base | trimSuffix ".yaml" }}-{{ $i }}
  labels:
    {{- include "bench.labels" $ | nindent 4 }}
data:
  settings.yaml: |
    {{- include "bench.render" (dict "value" $.Values.settings "context" $) | nindent 4 }}
{{- end }}
"#;

const SETTINGS: &str = r#"settings:
  server: {host: '{{ include "bench.name" . }}', port: 8080, tls: {enabled: true, versions: [TLSv1.2, TLSv1.3]}}
  log: {level: info, format: json, fields: {release: '{{ .Release.Name }}', chart: '{{ .Chart.Name }}'}}
  limits: {requests: 1000, bytes: 1048576, timeout: 30s, retries: 3}
  routes:
    - {path: /, service: '{{ .Release.Name }}-web', methods: [GET, POST]}
    - {path: /api, service: '{{ .Release.Name }}-api', methods: [GET, POST, PUT, DELETE]}
"#;

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let binary = match args {
        [] => None,
        [flag, binary] if flag == "--binary" => Some(PathBuf::from(binary)),
        _ => bail!("usage: cargo xtask bench template [--binary SEAWORTHY]"),
    };
    let examples = build()?;
    let before = super::machine()?;
    let folder = tempfile::tempdir()?;
    println!(
        "| chart | lines | ours, process | helm, process | better by | ours, inside | helm, inside | better by |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|");
    for (name, chart) in charts(folder.path())? {
        row(&name, &chart, &examples, binary.as_deref())?;
    }
    println!("\nbefore: {before}; after: {}", super::machine()?);
    Ok(())
}

fn build() -> anyhow::Result<PathBuf> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args = "build --release -q -p seaworthy-helm --example template --example measure".split(' ');
    let status =
        Command::new(program).args(args).current_dir(crate::root()).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("the programs to measure do not build");
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::root().join("target"), PathBuf::from);
    Ok(target.join("release/examples"))
}

fn row(name: &str, chart: &Path, examples: &Path, binary: Option<&Path>) -> anyhow::Result<()> {
    let process = |program: &Path, named: bool| {
        let mut command = Command::new(program);
        match named {
            true => command.args(["template", "rel"]).arg(chart).args(["-n", "ns"]),
            false => command.arg("rel").arg(chart).arg("ns"),
        };
        command
    };
    let example = examples.join("template");
    let mut ours = binary.map_or_else(|| process(&example, false), |binary| process(binary, true));
    let lines =
        ours.output().context("cannot run our program")?.stdout.iter().filter(|b| **b == b'\n').count();
    let ours_process = whole(&mut ours)?;
    let helms_process = whole(&mut process(Path::new("helm"), true)).ok();
    let ours_inside = inside(Command::new(examples.join("measure")).arg(chart).arg(ROUNDS))?;
    let oracle = crate::root().join("tools/template-oracle/template-oracle");
    let helms_inside = inside(Command::new(oracle).arg("-measure").arg(chart).arg(ROUNDS)).ok();
    println!(
        "| {name} | {lines} | {ours_process:.1} ms | {} | {} | {ours_inside:.2} ms | {} | {} |",
        told(helms_process),
        better(ours_process, helms_process),
        told(helms_inside),
        better(ours_inside, helms_inside),
    );
    Ok(())
}

fn told(ms: Option<f64>) -> String {
    ms.map_or_else(String::new, |ms| format!("{ms:.1} ms"))
}

fn better(ours: f64, theirs: Option<f64>) -> String {
    theirs.map_or_else(String::new, |theirs| format!("{:.1}x", theirs / ours))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Milliseconds from the start of the process to its end.
fn whole(command: &mut Command) -> anyhow::Result<f64> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let since = Instant::now();
        if !command.status().context("cannot run the program")?.success() {
            bail!("{command:?} failed");
        }
        times.push(since.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(median(times))
}

/// Milliseconds of one rendering in a process that runs already.
fn inside(command: &mut Command) -> anyhow::Result<f64> {
    let output = command.output().context("cannot run the program")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let times: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    if times.is_empty() { bail!("it measured nothing") } else { Ok(median(times)) }
}

fn charts(folder: &Path) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let small = folder.join("small");
    simple(&small, "small")?;
    let large = folder.join("large");
    simple(&large, "large")?;
    fs::write(large.join("values.yaml"), format!("{VALUES}{SETTINGS}"))?;
    for i in 0..8 {
        fs::write(large.join(format!("templates/part{i}.yaml")), LARGE)?;
    }
    let mut all = vec![("small".to_owned(), small), ("large, tpl in every object".to_owned(), large)];
    for count in [15, 30, 60] {
        let umbrella = folder.join(format!("umbrella{count}"));
        simple(&umbrella, "umbrella")?;
        for i in 0..count {
            let name = format!("part{i}");
            simple(&umbrella.join("charts").join(&name), &name)?;
        }
        all.push((format!("umbrella of {count} subcharts"), umbrella));
    }
    Ok(all)
}

fn simple(folder: &Path, name: &str) -> anyhow::Result<()> {
    fs::create_dir_all(folder.join("templates"))?;
    fs::write(
        folder.join("Chart.yaml"),
        format!("apiVersion: v2\nname: {name}\nversion: 1.0.0\nappVersion: \"2.0\"\n"),
    )?;
    fs::write(folder.join("values.yaml"), VALUES)?;
    fs::write(folder.join("templates/_helpers.tpl"), HELPERS)?;
    fs::write(folder.join("templates/deployment.yaml"), DEPLOYMENT)?;
    Ok(())
}
