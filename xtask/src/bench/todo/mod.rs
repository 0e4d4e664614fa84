//! `cargo xtask bench todo`: the todo application beside the least FastAPI service that does the same.
//!
//! Both on the same machine, the same PostgreSQL, in the same run, by turns. What counts is requests per second of the
//! service's own processor time: it is fair on a machine that is shared, and it is what a replica costs. What the
//! databases use for it is counted beside it, so that work moved there does not look like work saved.
//! Needs PostgreSQL, Redis, `wrk` and Python with its package index; the environment is made anew and thrown away.

mod http;
mod load;
mod service;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use self::load::{Load, Outcome};
use self::service::{Service, free_port};

const SECRET: &str = "a secret for measuring only, of 40 letters";
const TASKS: usize = 20;
/// How often each is measured; the median counts.
const ROUNDS: usize = 3;
const ROUND_S: u32 = 3;
const WRITERS: usize = 16;
const NEW_TASK: &str = r#"{"title":"Buy milk","description":"two bottles"}"#;

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let binaries = match args {
        [] => build()?,
        [flag, folder] if flag == "--binaries" => PathBuf::from(folder),
        _ => bail!("usage: cargo xtask bench todo [--binaries FOLDER]"),
    };
    let folder = tempfile::Builder::new().prefix("bench-todo-").tempdir()?;
    let world = World::start(&binaries, folder.path())?;
    println!("| figure | todo | FastAPI twin | better by | aim |\n|---|---:|---:|---:|---:|");
    world.compare(folder.path())?;
    world.report_chat()?;
    world.report_memory(&binaries)?;
    world.report_start(&binaries)
}

/// Release binaries as the images have them.
fn build() -> anyhow::Result<PathBuf> {
    let example = crate::root().join("examples/todo");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--target", "x86_64-unknown-linux-gnu"]);
    cargo.args(["--package", "backend", "--package", "mcp-server", "--package", "frontend"]);
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").current_dir(&example);
    if !cargo.status()?.success() {
        bail!("the services do not build");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(example.join("target"), PathBuf::from);
    Ok(target.join("x86_64-unknown-linux-gnu/release"))
}

struct World {
    twin: Service,
    /// With Redis, and without.
    cached: Service,
    uncached: Service,
    mcp: Service,
    settings: Vec<(&'static str, String)>,
    reader: User,
    writers: Vec<User>,
    redis: Service,
    postgres: Service,
}

struct User {
    id: String,
    token: String,
}

impl World {
    fn start(binaries: &Path, folder: &Path) -> anyhow::Result<Self> {
        let postgres = service::postgres(folder)?;
        let redis = service::redis()?;
        let database_url = format!("postgres://todo@127.0.0.1:{}/postgres", postgres.port);
        let mcp_port = free_port()?;
        let settings = vec![
            ("HOST", "127.0.0.1".to_owned()),
            ("DATABASE_URL", database_url.clone()),
            ("BETTER_AUTH_SECRET", SECRET.to_owned()),
            ("MCP_SERVER_URL", format!("http://127.0.0.1:{mcp_port}/mcp")),
            ("CHAT_LIMIT_PER_MINUTE", "1000000".to_owned()),
            ("LOG_LEVEL", "warn".to_owned()),
        ];
        let with_redis = ("REDIS_URL", format!("redis://127.0.0.1:{}/0", redis.port));
        let mut cached_settings = settings.clone();
        cached_settings.push(with_redis.clone());
        let cached = start(&binaries.join("backend"), &cached_settings, free_port()?)?;
        cached.wait_for("/ready")?;
        let mcp = start(&binaries.join("mcp-server"), &cached_settings, mcp_port)?;
        mcp.wait_for("/ready")?;
        let uncached = start(&binaries.join("backend"), &settings, free_port()?)?;
        uncached.wait_for("/ready")?;
        let twin = service::twin(folder, &database_url, SECRET)?;
        let reader = user(cached.port, "reader")?;
        let writers = (0..WRITERS).map(|at| user(cached.port, &format!("writer{at}")));
        let writers = writers.collect::<anyhow::Result<Vec<User>>>()?;
        let new: Value = serde_json::from_str(NEW_TASK)?;
        for port in [cached.port, twin.port] {
            for _ in 0..TASKS {
                let (status, answer) =
                    http::send(port, "POST", &format!("/api/{}/tasks", reader.id), &reader.token, &new)?;
                if status != 201 {
                    bail!("adding a task at port {port}: {status} {answer}");
                }
            }
        }
        Ok(Self { twin, cached, uncached, mcp, settings: cached_settings, reader, writers, redis, postgres })
    }

    fn compare(&self, folder: &Path) -> anyhow::Result<()> {
        let list = Load { path: "/tasks", users: std::slice::from_ref(&self.reader), body: None };
        let one = Load { path: "/tasks", users: &self.writers[..1], body: Some(NEW_TASK) };
        let many = Load { users: &self.writers, ..one };
        let (twin, cached, uncached) = (&self.twin, &self.cached, &self.uncached);
        let (what, plain) = (format!("GET {TASKS} tasks, cached"), format!("GET {TASKS} tasks, uncached"));
        self.rounds(&list, twin, &[(&what, cached), (&plain, uncached)], folder)?;
        for (who, load) in [("1 user", one), ("16 users", many)] {
            let plain = format!("POST a task, {who}");
            let what = format!("{plain}, invalidating the cache");
            self.rounds(&load, twin, &[(&plain, uncached), (&what, cached)], folder)?;
        }
        Ok(())
    }

    /// Measures the twin and ours by turns, so that a busy moment of the machine meets all of them.
    fn rounds(
        &self,
        load: &Load<'_>,
        twin: &Service,
        ours: &[(&str, &Service)],
        folder: &Path,
    ) -> anyhow::Result<()> {
        let services = || std::iter::once(twin).chain(ours.iter().map(|(_, service)| *service));
        let mut outcomes: Vec<Vec<Outcome>> = services().map(|_| Vec::new()).collect();
        let databases = [&self.postgres, &self.redis];
        for service in services() {
            load::run(service, &databases, load, 1, folder)?;
        }
        for _ in 0..ROUNDS {
            for (outcomes, service) in outcomes.iter_mut().zip(services()) {
                outcomes.push(load::run(service, &databases, load, ROUND_S, folder)?);
            }
        }
        let mut medians = outcomes.iter().map(|outcomes| Outcome::median(outcomes));
        if let Some(twin) = medians.next() {
            for ((what, _), ours) in ours.iter().zip(medians) {
                report(what, &ours, &twin);
            }
        }
        Ok(())
    }

    fn report_chat(&self) -> anyhow::Result<()> {
        let talker = user(self.cached.port, "talker")?;
        let path = format!("/api/{}/chat", talker.id);
        let mut times = Vec::new();
        for _ in 0..100 {
            let began = Instant::now();
            let body = json!({ "message": "add a task to buy groceries" });
            let (status, answer) = http::send(self.cached.port, "POST", &path, &talker.token, &body)?;
            if status != 200 {
                bail!("chatting: {status} {answer}");
            }
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        println!("| chat turn by rules, MCP hop included, p50 | {:.1} ms | | | < 15 ms |", times[50]);
        println!("| chat turn by rules, MCP hop included, p95 | {:.1} ms | | | |", times[95]);
        Ok(())
    }

    fn report_memory(&self, binaries: &Path) -> anyhow::Result<()> {
        println!(
            "| backend under load, most | {:.1} MB | {:.1} MB | | |",
            self.cached.memory_mb("VmHWM")?,
            self.twin.memory_mb("VmHWM")?
        );
        println!("| mcp-server under load, most | {:.1} MB | | | |", self.mcp.memory_mb("VmHWM")?);
        for name in ["backend", "mcp-server", "frontend"] {
            let idle = start(&binaries.join(name), &self.settings, free_port()?)?;
            idle.wait_for("/health")?;
            std::thread::sleep(std::time::Duration::from_secs(2));
            println!("| {name} idle | {:.1} MB | | | < 20 MB |", idle.memory_mb("VmRSS")?);
        }
        Ok(())
    }

    fn report_start(&self, binaries: &Path) -> anyhow::Result<()> {
        for name in ["backend", "mcp-server"] {
            let mut times = Vec::new();
            for _ in 0..5 {
                let began = Instant::now();
                let started = start(&binaries.join(name), &self.settings, free_port()?)?;
                started.wait_for("/ready")?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
            }
            times.sort_by(f64::total_cmp);
            println!("| {name}, start to ready | {:.0} ms | | | < 100 ms |", times[2]);
        }
        Ok(())
    }
}

fn start(binary: &Path, settings: &[(&str, String)], port: u16) -> anyhow::Result<Service> {
    let mut command = Command::new(binary);
    command
        .env_clear()
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .env("PORT", port.to_string());
    Service::start(command, port)
}

/// Somebody new, with a token that the twin takes too.
fn user(port: u16, name: &str) -> anyhow::Result<User> {
    let body = json!({ "email": format!("{name}@example.org"), "password": "correct horse" });
    let (status, answer) = http::send(port, "POST", "/api/auth/signup", "", &body)?;
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let id = text("/user/id").with_context(|| format!("signing up: {status} {answer}"))?;
    Ok(User { id, token: text("/access_token").context("an answer without a token")? })
}

fn report(what: &str, ours: &Outcome, twin: &Outcome) {
    let better = ours.per_core_s / twin.per_core_s;
    let missed = if better < 10.0 { ", **missed**" } else { "" };
    let row = |name: &str, figure: fn(&Outcome) -> f64, aim: &str| {
        let (ours, twin) = (figure(ours), figure(twin));
        println!("| {what}, {name} | {ours:.0} /s | {twin:.0} /s | {:.1}x | {aim} |", ours / twin);
    };
    row("per core", |outcome| outcome.per_core_s, &format!("10x{missed}"));
    row("per core, databases included", |outcome| outcome.with_databases_per_core_s, "");
    row("in all", |outcome| outcome.per_s, "");
    println!(
        "| {what}, p99 | {:.1} ms | {:.1} ms | {:.1}x | |",
        ours.p99_ms,
        twin.p99_ms,
        twin.p99_ms / ours.p99_ms
    );
}
