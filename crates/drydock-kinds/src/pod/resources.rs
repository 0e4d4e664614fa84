//! What a whole pod asks for: its containers together, or the largest step of its start.
//!
//! For quotas, limit ranges and whoever else counts. Sidecars count beside the containers; other init containers run
//! one after another before them.

use std::collections::BTreeMap;

use kubernetes_quantity::Quantity;
use serde_json::Value;

use super::is_sidecar;
use crate::read::{entries, list};

/// Amounts by resource name.
pub type Amounts = BTreeMap<String, Quantity>;

/// Resources that a pod may also state for all its containers at once.
const WHOLE_POD: [&str; 2] = ["cpu", "memory"];

/// One side (`requests` or `limits`) of a pod specification; without the overhead of its runtime.
pub fn total(spec: &Value, side: &str) -> Amounts {
    let mut sum = Amounts::new();
    for container in list(spec, "/containers") {
        add(&mut sum, &of(container, side));
    }
    let (mut sidecars, mut steps) = (Amounts::new(), Amounts::new());
    for container in list(spec, "/initContainers") {
        let own = of(container, side);
        let mut step = sidecars.clone();
        add(&mut step, &own);
        if is_sidecar(container) {
            add(&mut sum, &own);
            sidecars = step.clone();
        }
        raise(&mut steps, &step);
    }
    raise(&mut sum, &steps);
    for (name, amount) in amounts(spec, &format!("/resources/{side}")) {
        if WHOLE_POD.contains(&name.as_str()) || name.starts_with("hugepages-") {
            sum.insert(name, amount);
        }
    }
    sum
}

/// [`total`] and the overhead of the pod's runtime, which limits carry only where there is one.
pub fn total_with_overhead(spec: &Value, side: &str) -> Amounts {
    let mut sum = total(spec, side);
    for (name, amount) in amounts(spec, "/overhead") {
        match sum.get_mut(&name) {
            Some(found) => *found = found.plus(amount),
            None if side == "requests" => {
                sum.insert(name, amount);
            }
            None => {}
        }
    }
    sum
}

/// One side of one container.
pub fn of(container: &Value, side: &str) -> Amounts {
    amounts(container, &format!("/resources/{side}"))
}

/// The resource list at a JSON pointer.
pub fn amounts(object: &Value, pointer: &str) -> Amounts {
    let read = |(name, text): (&String, &Value)| Some((name.clone(), Quantity::parse(text.as_str()?)?));
    entries(object, pointer).filter_map(read).collect()
}

pub fn add(sum: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let entry = sum.entry(name.clone()).or_insert(Quantity::ZERO);
        *entry = entry.plus(*amount);
    }
}

fn raise(most: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let entry = most.entry(name.clone()).or_insert(*amount);
        *entry = (*entry).max(*amount);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(cpu: &str, sidecar: bool) -> Value {
        let mut container = json!({"resources": {"requests": {"cpu": cpu}}});
        if sidecar {
            container["restartPolicy"] = "Always".into();
        }
        container
    }

    #[track_caller]
    fn check(spec: Value, expect: &str) {
        assert_eq!(total(&spec, "requests")["cpu"].to_string(), expect);
    }

    #[test]
    fn containers_add_up_and_a_large_first_step_wins() {
        let main = [container("100m", false), container("200m", false)];
        check(json!({"containers": main}), "300m");
        check(json!({"containers": main, "initContainers": [container("1", false)]}), "1");
        check(
            json!({"containers": main, "initContainers": [container("50m", true), container("100m", false)]}),
            "350m",
        );
        check(
            json!({"containers": main, "initContainers": [container("50m", true), container("1", false)]}),
            "1050m",
        );
    }

    #[test]
    fn what_is_said_for_the_whole_pod_counts() {
        check(json!({"containers": [container("1", false)], "resources": {"requests": {"cpu": "3"}}}), "3");
    }
}
