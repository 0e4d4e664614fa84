//! Times: how long until the app is ready, and until a new engine answers.
//!
//! Each begins with nothing running. What PostgreSQL takes to make an empty database is the same everywhere and not
//! ours to shorten: it is read from its log and counted apart.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::table::{Aim, Table};
use super::world::World;

const READY: Aim = Aim::below(4.0, "s");
const ANSWER: Aim = Aim::below(0.3, "s");
/// The last words of an entrypoint that made a database: the stand-in's, and the official image's.
const DATABASE_MADE: &[&str] = &["the database is ready", "PostgreSQL init process complete"];

pub fn measure(world: &World, rounds: usize, table: &mut Table) -> anyhow::Result<()> {
    let warm = repeat(rounds, "up, volumes filled", || with_filled_volumes(world))?;
    table.add("up until all pods are ready, volumes filled", Some(READY), &warm);

    let empty = repeat_pairs(rounds, || with_empty_volumes(world))?;
    let (whole, initdb): (Vec<f64>, Vec<f64>) = empty.iter().copied().unzip();
    let without: Vec<f64> = empty.iter().map(|(whole, initdb)| whole - initdb).collect();
    table.add("up until all pods are ready, new engine, volumes empty", None, &whole);
    table.add("  of which PostgreSQL makes its database", None, &initdb);
    table.add("  and without that", Some(READY), &without);

    let answer = repeat(rounds, "first answer of the API", || first_answer(world))?;
    table.add("first API answer of a new engine (`drydock start`)", Some(ANSWER), &answer);
    match repeat(rounds, "first answer of the API to kubectl", || first_answer_to_kubectl(world)) {
        Ok(seconds) => table.add("  and until kubectl has printed it", None, &seconds),
        Err(error) => table.note(format!("no time with kubectl: {error:#}")),
    }
    Ok(())
}

fn with_filled_volumes(world: &World) -> anyhow::Result<f64> {
    world.run(&["up"])?;
    world.run(&["down"])?;
    world.run(&["drydock", "stop"])?;
    world.settle()?;
    Ok(world.time(&["up"])?.as_secs_f64())
}

/// The whole, and how much of it PostgreSQL needed to make its database.
fn with_empty_volumes(world: &World) -> anyhow::Result<(f64, f64)> {
    world.run(&["drydock", "reset", "--yes"])?;
    world.settle()?;
    let whole = world.time(&["up"])?;
    let log = world.run(&["logs", "postgres", "--timestamps"])?;
    let initdb = initdb(&log).with_context(|| format!("the log of postgres tells no time:\n{log}"))?;
    Ok((whole.as_secs_f64(), initdb))
}

fn first_answer(world: &World) -> anyhow::Result<f64> {
    world.run(&["drydock", "reset", "--yes"])?;
    world.settle()?;
    Ok(world.time(&["drydock", "start"])?.as_secs_f64())
}

fn first_answer_to_kubectl(world: &World) -> anyhow::Result<f64> {
    world.run(&["drydock", "reset", "--yes"])?;
    world.settle()?;
    let begun = Instant::now();
    world.run(&["drydock", "start"])?;
    world.kubectl(&["get", "--raw=/readyz"])?;
    Ok(begun.elapsed().as_secs_f64())
}

fn repeat(
    rounds: usize,
    what: &str,
    mut once: impl FnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<Vec<f64>> {
    let mut seconds = Vec::with_capacity(rounds);
    for round in 1..=rounds {
        let took = once().with_context(|| format!("{what}, round {round}"))?;
        eprintln!("{what}: {took:.2} s");
        seconds.push(took);
    }
    Ok(seconds)
}

fn repeat_pairs(
    rounds: usize,
    mut once: impl FnMut() -> anyhow::Result<(f64, f64)>,
) -> anyhow::Result<Vec<(f64, f64)>> {
    let mut pairs = Vec::with_capacity(rounds);
    for round in 1..=rounds {
        let (whole, part) = once().with_context(|| format!("up, volumes empty, round {round}"))?;
        eprintln!("up, volumes empty: {whole:.2} s, {part:.2} s of it PostgreSQL's initdb");
        pairs.push((whole, part));
    }
    Ok(pairs)
}

/// Seconds from the first line of PostgreSQL's log to the one that says that its database is made.
fn initdb(log: &str) -> Option<f64> {
    let begun = time_of_day(log.lines().next()?)?;
    let made = log.lines().find(|line| DATABASE_MADE.iter().any(|words| line.contains(words)))?;
    let day = Duration::from_secs(24 * 60 * 60);
    let took = (time_of_day(made)? + day).checked_sub(begun)?;
    Some(took.as_secs_f64() % day.as_secs_f64())
}

/// The time in a line that begins, perhaps after the name of its pod, with an RFC 3339 timestamp.
fn time_of_day(line: &str) -> Option<Duration> {
    let stamp = line.split_whitespace().find(|word| word.ends_with('Z') && word.contains('T'))?;
    let (_, time) = stamp.trim_end_matches('Z').split_once('T')?;
    let mut parts = time.split(':');
    let (hours, minutes) = (parts.next()?.parse::<u64>().ok()?, parts.next()?.parse::<u64>().ok()?);
    let seconds = Duration::try_from_secs_f64(parts.next()?.parse().ok()?).ok()?;
    Some(Duration::from_secs(hours * 3600 + minutes * 60) + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_how_long_the_database_took() {
        let check = |log: &str, wanted: Option<f64>| {
            assert_eq!(initdb(log).map(|seconds| (seconds * 1000.0).round() / 1000.0), wanted, "{log}");
        };
        check(
            "2026-11-21T09:00:01.5Z entrypoint: making a database\n2026-11-21T09:00:02.75Z entrypoint: the database is ready",
            Some(1.25),
        );
        check(
            "postgres-0 2026-11-21T23:59:59.5Z a\npostgres-0 2026-11-22T00:00:00.5Z PostgreSQL init process complete",
            Some(1.0),
        );
        check("2026-11-21T09:00:01Z database system is ready to accept connections", None);
        check("", None);
    }
}
