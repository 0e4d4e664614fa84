//! What pods and the machine use of processor and memory, sampled all the time, for `kubectl top` and autoscalers.
//!
//! A use of processor is the average between two samples, so a container appears with its second one. Without a
//! writable cgroup tree there is nothing to read, and pods have no samples.
//!
//! Start at [`Sampler::run`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};

use super::Agent;
use super::cx::Cx;
use super::track::roles;

const PERIOD: Duration = Duration::from_secs(15);
/// The first two samples follow each other sooner, so that nobody waits long for the first answer.
const FIRST_PERIOD: Duration = Duration::from_secs(2);
/// Ticks of `/proc/stat` per second; the kernel reports it as 100 on every platform we run on.
const TICKS_PER_SECOND: u64 = 100;

/// An average over the sample's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub cpu_nanocores: u64,
    pub memory_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodUsage {
    pub namespace: String,
    pub name: String,
    pub containers: Vec<(String, Usage)>,
}

/// All uses at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    pub at: Timestamp,
    /// How far the averages reach back.
    pub window: Duration,
    pub node: Usage,
    pub pods: Vec<PodUsage>,
}

/// Keeps the latest sample.
#[derive(Default)]
pub struct Sampler {
    latest: Mutex<Option<Arc<Sample>>>,
}

/// Counters at the previous sample: nanoseconds of processor time.
#[derive(Default)]
struct Counters {
    at: Option<Instant>,
    node: u64,
    containers: HashMap<String, u64>,
}

impl Sampler {
    /// `None` until there have been two samples.
    pub fn latest(&self) -> Option<Arc<Sample>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Samples for ever.
    pub(super) async fn run(self: Arc<Self>, cx: Arc<Cx>) {
        let mut counters = Counters::default();
        loop {
            match sample(&cx, &mut counters).await {
                Ok(Some(sample)) => {
                    *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(sample));
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "the use of pods was not sampled"),
            }
            let had_one = self.latest().is_some();
            tokio::time::sleep(if had_one { PERIOD } else { FIRST_PERIOD }).await;
        }
    }
}

async fn sample(cx: &Cx, before: &mut Counters) -> kube::Result<Option<Sample>> {
    let api: Api<Pod> = Api::all(cx.client.clone());
    let here = ListParams::default().fields(&format!("spec.nodeName={},status.phase=Running", cx.node_name));
    let pods = api.list(&here).await?;
    let mut now = Counters { at: Some(Instant::now()), node: node_cpu_ns(), containers: HashMap::new() };
    let window = before.at.map(|at| at.elapsed()).filter(|window| !window.is_zero());
    let rate =
        |now: u64, before: u64| window.map_or(0, |window| per_second(now.saturating_sub(before), window));
    let mut used = Vec::new();
    for pod in &pods.items {
        let mut containers = Vec::new();
        for (name, id) in running(pod) {
            let Ok(stats) = cx.node.stats(&id).await else { continue };
            if stats.memory_usage_bytes == 0 {
                continue;
            }
            if let Some(before) = before.containers.get(&id) {
                let cpu_nanocores = rate(stats.cpu_usage_ns, *before);
                let memory_bytes = stats.memory_working_set_bytes;
                containers.push((name, Usage { cpu_nanocores, memory_bytes }));
            }
            now.containers.insert(id, stats.cpu_usage_ns);
        }
        if !containers.is_empty() {
            used.push(PodUsage {
                namespace: pod.namespace().unwrap_or_default(),
                name: pod.name_any(),
                containers,
            });
        }
    }
    let node = Usage { cpu_nanocores: rate(now.node, before.node), memory_bytes: node_memory_bytes() };
    *before = now;
    Ok(window.map(|window| Sample { at: Timestamp::now(), window, node, pods: used }))
}

fn per_second(nanoseconds: u64, window: Duration) -> u64 {
    (nanoseconds as f64 / window.as_secs_f64()) as u64
}

fn running(pod: &Pod) -> Vec<(String, String)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let id = |name: &str| Some((name.to_owned(), Agent::container_id(pod, name)?));
    roles(spec).filter_map(|(container, _)| id(&container.name)).collect()
}

/// Busy time of all processors since the machine started.
fn node_cpu_ns() -> u64 {
    busy_ticks(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
        * (1_000_000_000 / TICKS_PER_SECOND)
}

/// `cpu user nice system idle iowait irq softirq steal ...`: everything but idle and iowait.
fn busy_ticks(stat: &str) -> u64 {
    let numbers = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let numbers = numbers.split_whitespace().take(8).map(|number| number.parse::<u64>().unwrap_or(0));
    numbers.enumerate().filter(|(index, _)| !matches!(index, 3 | 4)).map(|(_, number)| number).sum()
}

fn node_memory_bytes() -> u64 {
    used_memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default())
}

fn used_memory(meminfo: &str) -> u64 {
    let kib = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    kib("MemTotal:").saturating_sub(kib("MemAvailable:")) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_disk_is_no_use_of_the_processor() {
        assert_eq!(busy_ticks("cpu  10 1 5 1000 500 2 3 4 0 0\ncpu0 1 1 1 1\n"), 25);
        assert_eq!(busy_ticks(""), 0);
    }

    #[test]
    fn memory_that_could_be_had_is_not_used() {
        assert_eq!(
            used_memory("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    400 kB\n"),
            600 * 1024
        );
    }

    #[test]
    fn a_rate_is_an_average_over_the_window() {
        assert_eq!(per_second(3_000_000_000, Duration::from_secs(15)), 200_000_000);
    }
}
