//! Requests and limits for every container: what the file states, and defaults for the rest.
//!
//! Never BestEffort: a container without requests is the first to be killed. Requests never exceed limits.

use seaworthy_app::{Amounts, Resources, Service, known_image};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// Request and limit when nothing is stated.
struct Default {
    cpu: (u64, u64),
    memory_bytes: (u64, u64),
}

const OWN: Default = Default { cpu: (50, 500), memory_bytes: (64 * MIB, 256 * MIB) };
const STORE: Default = Default { cpu: (100, 1000), memory_bytes: (128 * MIB, 512 * MIB) };

/// The `resources` of the container of `service`.
pub fn resources(service: &Service) -> Value {
    let is_store = service.foreign_image().and_then(known_image).is_some();
    let default = if is_store { &STORE } else { &OWN };
    let Resources { requests, limits } = service.resources;
    let (cpu_request, cpu_limit) = settle(requests.cpu_millis, limits.cpu_millis, default.cpu);
    let (memory_request, memory_limit) =
        settle(requests.memory_bytes, limits.memory_bytes, default.memory_bytes);
    json!({
        "requests": {"cpu": cpu(cpu_request), "memory": memory(memory_request)},
        "limits": {"cpu": cpu(cpu_limit), "memory": memory(memory_limit)},
    })
}

/// Requests for a machine where everything runs at once.
pub fn light_requests(service: &Service) -> Value {
    let limits = service.resources.limits;
    let cpu_millis = limits.cpu_millis.map_or(10, |limit| limit.min(10));
    let memory_bytes = limits.memory_bytes.map_or(32 * MIB, |limit| limit.min(32 * MIB));
    json!({"cpu": cpu(cpu_millis), "memory": memory(memory_bytes)})
}

fn settle(request: Option<u64>, limit: Option<u64>, default: (u64, u64)) -> (u64, u64) {
    match (request, limit) {
        (Some(request), Some(limit)) => (request.min(limit), limit),
        (Some(request), None) => (request, default.1.max(request.saturating_mul(2))),
        (None, Some(limit)) => (default.0.min(limit), limit),
        (None, None) => default,
    }
}

fn cpu(millis: u64) -> String {
    format!("{}m", millis.max(1))
}

/// The largest unit that divides the amount.
pub fn memory(bytes: u64) -> String {
    [("Gi", 1u64 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)]
        .into_iter()
        .find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit))
        .map_or_else(|| bytes.to_string(), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// Whether the file states any amount.
pub fn are_stated(service: &Service) -> bool {
    service.resources.requests != Amounts::default() || service.resources.limits != Amounts::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: Option<u64>, limit: Option<u64>, expect: (u64, u64)) {
        assert_eq!(settle(request, limit, (50, 500)), expect);
    }

    #[test]
    fn requests_never_exceed_limits() {
        check(None, None, (50, 500));
        check(None, Some(20), (20, 20));
        check(Some(800), None, (800, 1600));
        check(Some(800), Some(200), (200, 200));
    }

    #[test]
    fn memory_is_written_in_the_largest_whole_unit() {
        assert_eq!(memory(1 << 30), "1Gi");
        assert_eq!(memory(512 << 20), "512Mi");
        assert_eq!(memory(1000), "1000");
    }
}
