//! Reading a container's use of the machine.

use super::{Group, Version};
use crate::protocol::Stats;

pub(super) fn read(group: &Group) -> Stats {
    match group.version {
        Some(Version::One) => read_v1(group),
        Some(Version::Two) => read_v2(group),
        None => Stats::default(),
    }
}

fn read_v1(group: &Group) -> Stats {
    let number = |controller, file| group.read(controller, file).and_then(|text| text.trim().parse().ok());
    let memory_stat = group.read("memory", "memory.stat").unwrap_or_default();
    let usage = number("memory", "memory.usage_in_bytes").unwrap_or(0);
    // `cpuacct` shares the hierarchy of `cpu` on most machines.
    let cpu = number("cpuacct", "cpuacct.usage").or_else(|| number("cpu", "cpuacct.usage"));
    Stats {
        cpu_usage_ns: cpu.unwrap_or(0),
        memory_usage_bytes: usage,
        memory_working_set_bytes: working_set(usage, field(&memory_stat, "total_inactive_file")),
        pids: number("pids", "pids.current").unwrap_or(0),
    }
}

fn read_v2(group: &Group) -> Stats {
    let text = |file| group.read("", file).unwrap_or_default();
    let usage = text("memory.current").trim().parse().unwrap_or(0);
    Stats {
        cpu_usage_ns: field(&text("cpu.stat"), "usage_usec").unwrap_or(0).saturating_mul(1000),
        memory_usage_bytes: usage,
        memory_working_set_bytes: working_set(usage, field(&text("memory.stat"), "inactive_file")),
        pids: text("pids.current").trim().parse().unwrap_or(0),
    }
}

fn working_set(usage: u64, inactive_file: Option<u64>) -> u64 {
    usage.saturating_sub(inactive_file.unwrap_or(0))
}

/// The number after `name` in a file of `name number` lines.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}
