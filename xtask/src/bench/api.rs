//! `cargo xtask bench api`: our API server beside a real one, under the same load from the same client.
//!
//! Both write durably: etcd syncs its log, we sync our journal. Neither has controllers. Each server is started on an
//! empty folder, timed, weighed, loaded by `examples/load` of drydock-api, and stopped before the other one starts.
//! The real one is built by `tools/reference-cluster/build`, once, when it is not there; `--alone` measures ours only.
//!
//! Beside rates, which suffer from whatever else the machine does, stands the processor time that a server took for a
//! request: user and system, all its processes together.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Go gives memory back late; weighing at once would count its garbage.
const SETTLE: Duration = Duration::from_secs(5);
const REFERENCE_PORT: &str = "18643";
const ENDS_WITHIN: Duration = Duration::from_secs(5);
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Figures in the order of the table. Of rates more is better, of all else less.
type Figures = BTreeMap<usize, (String, f64, String)>;

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let binary = reference(args)?;
    let programs = build()?;
    let load = programs.join("load");
    let before = super::machine()?;
    let ours = measure(&load, |folder| {
        let mut command = Command::new(programs.join("bare_api"));
        command.arg(folder).arg("0");
        command
    })?;
    let between = super::machine()?;
    let theirs = binary.as_ref().map(|binary| measure_reference(&load, binary)).transpose()?;
    print_table(&ours, theirs.as_ref());
    println!("\nbefore: {before}; between: {between}; after: {}; {}", super::machine()?, file_system()?);
    match binary {
        Some(binary) => println!("reference: {}", version(&binary)),
        None => println!("reference: not measured"),
    }
    Ok(())
}

/// The binary of the real one; `None` where it is not wanted.
fn reference(args: &[String]) -> anyhow::Result<Option<PathBuf>> {
    let given = match args {
        [] => std::env::var_os("REFERENCE_CLUSTER_BIN").map(PathBuf::from),
        [flag] if flag == "--alone" => return Ok(None),
        [flag, binary] if flag == "--reference" => Some(binary.into()),
        _ => bail!("usage: cargo xtask bench api [--alone | --reference BINARY]"),
    };
    let tools = crate::root().join("tools/reference-cluster");
    let binary = given.unwrap_or_else(|| tools.join("reference-cluster"));
    if !binary.exists() {
        eprintln!("building the real API server into `{}`: some twenty minutes, once", binary.display());
        let status = Command::new(tools.join("build")).arg(&binary).status();
        if !status.context("cannot run tools/reference-cluster/build")?.success() {
            bail!("the real API server does not build (it needs Go); `--alone` measures ours only");
        }
    }
    Ok(Some(binary))
}

/// The folder of both programs, built as released.
fn build() -> anyhow::Result<PathBuf> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args =
        ["build", "--release", "-q", "-p", "drydock-api", "--example", "bare_api", "--example", "load"];
    let status =
        Command::new(program).args(args).current_dir(crate::root()).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("the programs to measure with do not build");
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| crate::root().join("target"), PathBuf::from);
    Ok(target.join("release/examples"))
}

fn measure_reference(load: &Path, binary: &Path) -> anyhow::Result<Figures> {
    // Its certificates take a second to make and are no part of its start: a first run makes them.
    let start = |folder: &Path| {
        let mut command = Command::new(crate::root().join("tools/reference-cluster/run"));
        command.arg(folder).arg(REFERENCE_PORT);
        command.env("REFERENCE_CLUSTER_BIN", binary).env("CONTROLLERS", "no").env("FSYNC", "yes");
        command
    };
    measure(load, start)
}

/// A server that is ended with its children when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let mut family = children(self.0.id());
        family.push(self.0.id());
        signal("-TERM", &family);
        let end = Instant::now() + ENDS_WITHIN;
        while Instant::now() < end && !matches!(self.0.try_wait(), Ok(Some(_))) {
            sleep(Duration::from_millis(20));
        }
        // A real API server takes its time with watches that nobody reads any more.
        signal("-KILL", &family);
        let _ = self.0.wait();
    }
}

fn signal(signal: &str, processes: &[u32]) {
    // Those that have ended already are told about on stderr, which nobody needs to read.
    let mut kill = Command::new("kill");
    let _ = kill.arg(signal).args(processes.iter().map(u32::to_string)).stderr(Stdio::null()).status();
}

fn children(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn measure(load: &Path, command: impl Fn(&Path) -> Command) -> anyhow::Result<Figures> {
    let folder = tempfile::tempdir_in(crate::root().parent().context("no place for data")?)?;
    let start = || -> anyhow::Result<Server> {
        let mut command = command(folder.path());
        Ok(Server(
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("cannot start the server")?,
        ))
    };
    let kubeconfig = folder.path().join("kubeconfig");
    let wait = |server: &Server| -> anyhow::Result<()> {
        let end = Instant::now() + READY_WITHIN;
        while !kubeconfig.exists() && Instant::now() < end {
            sleep(Duration::from_millis(2));
        }
        loaded(load, &kubeconfig, "wait", server)?;
        Ok(())
    };
    // Once for certificates and first objects, and once for the time.
    let first = start()?;
    wait(&first)?;
    drop(first);
    fs::remove_file(&kubeconfig)?;
    let since = Instant::now();
    let server = start()?;
    wait(&server)?;
    let started = since.elapsed().as_secs_f64() * 1000.0;
    sleep(SETTLE);
    let mut figures = Figures::new();
    let mut add = |name: &str, value: f64, unit: &str| {
        figures.insert(figures.len(), (name.to_owned(), value, unit.to_owned()));
    };
    add("start to the first answer", started, "ms");
    add("idle", weigh(&server)?, "MB");
    for phase in ["fill", "read", "workloads", "watch"] {
        for (name, value, unit) in loaded(load, &kubeconfig, phase, &server)? {
            add(&name, value, &unit);
        }
    }
    Ok(figures)
}

/// Runs one phase of the load; where it asks for it, the server is weighed.
fn loaded(
    load: &Path,
    kubeconfig: &Path,
    phase: &str,
    server: &Server,
) -> anyhow::Result<Vec<(String, f64, String)>> {
    let mut child = Command::new(load)
        .arg(kubeconfig)
        .arg(phase)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run the load")?;
    let mut answers = child.stdin.take().context("no stdin")?;
    let (mut figures, mut before, mut worked) = (Vec::new(), 0.0, 0.0);
    for line in BufReader::new(child.stdout.take().context("no stdout")?).lines() {
        let line = line?;
        let [name, value, unit] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
        match (name, unit) {
            ("weigh", "before") => before = settled_weight(server)?,
            ("weigh", _) => {
                let weight = settled_weight(server)? - before;
                figures.push(("memory of 10,000 objects of 1 KiB".into(), weight, "MB".into()));
            }
            ("work", "begins") => worked = processor_time(server)?,
            ("work", name) => {
                let each = (processor_time(server)? - worked) / value.parse::<f64>()? * 1e6;
                figures.push((format!("{name}, processor time"), each, "µs".into()));
            }
            _ => {
                figures.push((name.to_owned(), value.parse()?, unit.to_owned()));
                continue;
            }
        }
        // The load waits: this was asked between its requests.
        answers.write_all(b"\n")?;
    }
    match child.wait()?.success() {
        true => Ok(figures),
        false => bail!("the load's phase `{phase}` failed"),
    }
}

/// The server's processes; a script that started them does not count.
fn family(server: &Server) -> anyhow::Result<Vec<u32>> {
    let pid = server.0.id();
    let is_script = |pid: u32| -> anyhow::Result<bool> {
        Ok(fs::read_to_string(format!("/proc/{pid}/comm"))?.trim() == "bash")
    };
    let mut family = Vec::new();
    for pid in std::iter::once(pid).chain(children(pid)) {
        if !is_script(pid).with_context(|| format!("process {pid} of the server has ended"))? {
            family.push(pid);
        }
    }
    Ok(family)
}

fn settled_weight(server: &Server) -> anyhow::Result<f64> {
    sleep(SETTLE);
    weigh(server)
}

/// Seconds of user and system time so far.
fn processor_time(server: &Server) -> anyhow::Result<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let mut ticks = 0.0;
    for pid in family(server)? {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name, in parentheses, may hold anything; user and system time are the 12th and 13th field behind it.
        let (_, fields) = stat.rsplit_once(')').context("no process name")?;
        let times = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        ticks += times.sum::<Result<f64, _>>()?;
    }
    Ok(ticks / TICKS_PER_SECOND)
}

/// PSS of the server's processes in MB.
fn weigh(server: &Server) -> anyhow::Result<f64> {
    let mut bytes = 0.0;
    for pid in family(server)? {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kib: f64 =
            line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).context("no PSS")?;
        bytes += kib * 1024.0;
    }
    Ok(bytes / 1e6)
}

fn print_table(ours: &Figures, theirs: Option<&Figures>) {
    println!("| figure | drydock | kube-apiserver + etcd | better by |");
    println!("|---|---:|---:|---:|");
    for (name, value, unit) in ours.values() {
        let other = theirs.and_then(|theirs| theirs.values().find(|(other, ..)| other == name));
        let (told, ratio) = match other {
            None => (String::new(), String::new()),
            Some((_, other, _)) => (format!("{other:.1} {unit}"), better(*value, *other, unit)),
        };
        println!("| {name} | {value:.1} {unit} | {told} | {ratio} |");
    }
}

fn better(ours: f64, theirs: f64, unit: &str) -> String {
    let ratio = if unit == "/s" { ours / theirs } else { theirs / ours };
    if ratio.is_finite() { format!("{ratio:.1}x") } else { String::new() }
}

fn version(binary: &Path) -> String {
    let told = |part: &str| {
        let output = Command::new(binary).args([part, "--version"]).output().ok();
        let text = output
            .map(|output| String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or("").to_owned());
        text.unwrap_or_default()
    };
    format!("{}, {}", told("kube-apiserver"), told("etcd"))
}

fn file_system() -> anyhow::Result<String> {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(crate::root()).output()?;
    Ok(format!("file system {}", String::from_utf8_lossy(&output.stdout).trim()))
}
