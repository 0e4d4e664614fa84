//! `cargo xtask bench todo`: the todo application beside the least FastAPI service that does the same.
//!
//! Both on the same machine, the same PostgreSQL, in the same run, by turns. What counts is requests per second of the
//! service's own processor time: it is fair on a machine that is shared, and it is what a replica costs.
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
const NEW_TASK: &str = r#"{"title":"Buy milk","description":"two bottles"}"#;

pub fn run(args: &[String]) -> anyhow::Result<()> {
    let (binaries, seconds) = match args {
        [] => (build()?, 5),
        [flag, folder] if flag == "--binaries" => (PathBuf::from(folder), 5),
        _ => bail!("usage: cargo xtask bench todo [--binaries FOLDER]"),
    };
    let folder = tempfile::Builder::new().prefix("bench-todo-").tempdir()?;
    let world = World::start(&binaries, folder.path())?;
    println!("| figure | todo | FastAPI twin | better by | aim |\n|---|---:|---:|---:|---:|");
    world.compare(seconds, folder.path())?;
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
    writer: User,
    _redis: Service,
    _postgres: Service,
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
        let (reader, writer) = (user(cached.port, "reader")?, user(cached.port, "writer")?);
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
        Ok(Self {
            twin,
            cached,
            uncached,
            mcp,
            settings: cached_settings,
            reader,
            writer,
            _redis: redis,
            _postgres: postgres,
        })
    }

    fn compare(&self, seconds: u32, folder: &Path) -> anyhow::Result<()> {
        let get =
            || Load { path: format!("/api/{}/tasks", self.reader.id), token: &self.reader.token, body: None };
        let post = || Load {
            path: format!("/api/{}/tasks", self.writer.id),
            token: &self.writer.token,
            body: Some(NEW_TASK),
        };
        let health = || Load { path: "/health".to_owned(), token: "", body: None };
        load::run(&self.cached, &health(), 1, folder)?;
        for service in [&self.cached, &self.uncached, &self.twin] {
            load::run(service, &get(), 1, folder)?;
        }
        let twin = load::run(&self.twin, &get(), seconds, folder)?;
        let ours = load::run(&self.cached, &get(), seconds, folder)?;
        report(&format!("GET {TASKS} tasks, cached"), &ours, &twin);
        let ours = load::run(&self.uncached, &get(), seconds, folder)?;
        report(&format!("GET {TASKS} tasks, uncached"), &ours, &twin);
        let twin = load::run(&self.twin, &post(), seconds, folder)?;
        let ours = load::run(&self.uncached, &post(), seconds, folder)?;
        report("POST a task", &ours, &twin);
        let ours = load::run(&self.cached, &post(), seconds, folder)?;
        report("POST a task, invalidating the cache", &ours, &twin);
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
    println!(
        "| {what}, per core | {:.0} /s | {:.0} /s | {better:.1}x | 10x{missed} |",
        ours.per_core_s, twin.per_core_s
    );
    println!(
        "| {what}, in all | {:.0} /s | {:.0} /s | {:.1}x | |",
        ours.per_s,
        twin.per_s,
        ours.per_s / twin.per_s
    );
    println!(
        "| {what}, p99 | {:.1} ms | {:.1} ms | {:.1}x | |",
        ours.p99_ms,
        twin.p99_ms,
        twin.p99_ms / ours.p99_ms
    );
}
