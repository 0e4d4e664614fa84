//! `healthcheck`, and `deploy` with the older keys for the same: replicas, processor, memory.

use seaworthy_app::{HealthTest, Healthcheck, Service};

use crate::error::Result;
use crate::node::{Node, Value};
use crate::scalars;
use crate::section::{Key, Section, bad_value, carried, dropped};
use crate::top::Cx;

const KEYS: &[Key] = &[
    carried("test"),
    carried("interval"),
    carried("timeout"),
    carried("retries"),
    carried("start_period"),
    carried("start_interval"),
    carried("disable"),
];

const DEPLOY_KEYS: &[Key] = &[
    carried("replicas"),
    carried("resources"),
    carried("restart_policy"),
    dropped("mode", "each service has the stated number of replicas"),
    dropped("update_config", "the chart rolls without a gap: one pod more, none less"),
    dropped("rollback_config", "a failed release is rolled back as a whole"),
    dropped("placement", "the cluster places pods"),
    dropped("labels", "use `labels`"),
    dropped("endpoint_mode", "a Service balances between pods"),
];

const AMOUNT_KEYS: &[Key] = &[
    carried("cpus"),
    carried("memory"),
    dropped("pids", "the cluster's node decides"),
    dropped("devices", "a pod does not see the devices of this machine"),
    dropped("generic_resources", "a pod does not see the devices of this machine"),
];

const RESTART_KEYS: &[Key] = &[
    carried("condition"),
    dropped("delay", "Kubernetes waits longer with each restart by itself"),
    dropped("max_attempts", "Kubernetes does not give up on a service"),
    dropped("window", "Kubernetes does not give up on a service"),
];

pub fn read(cx: &mut Cx<'_>, own: &Section<'_>) -> Result<Option<Healthcheck>> {
    let Some(section) = own.section("healthcheck")? else { return Ok(None) };
    section.account(KEYS, cx.report)?;
    let disabled = section.flag("disable")?.unwrap_or(false);
    let test = match section.get("test") {
        _ if disabled => HealthTest::Disabled,
        None => return Ok(None),
        Some(node) => test(&section, node)?,
    };
    Ok(Some(Healthcheck {
        test,
        interval_s: section.duration_s("interval")?,
        timeout_s: section.duration_s("timeout")?,
        retries: section.number("retries")?,
        start_period_s: section.duration_s("start_period")?,
        start_interval_s: section.duration_s("start_interval")?,
    }))
}

fn test(section: &Section<'_>, node: &Node) -> Result<HealthTest> {
    if let Value::Scalar { text, .. } = &node.value {
        return Ok(HealthTest::Shell(text.clone()));
    }
    let words = section.texts("test")?;
    match words.split_first() {
        Some((first, _)) if first == "NONE" => Ok(HealthTest::Disabled),
        Some((first, rest)) if first == "CMD" && !rest.is_empty() => Ok(HealthTest::Exec(rest.to_vec())),
        Some((first, rest)) if first == "CMD-SHELL" && !rest.is_empty() => {
            Ok(HealthTest::Shell(rest.join(" ")))
        }
        _ => {
            let found = words.first().cloned().unwrap_or_default();
            bad_value(
                node,
                section.below("test"),
                "a list that begins with `CMD`, `CMD-SHELL` or `NONE`",
                found,
            )
        }
    }
}

/// Replicas, processor and memory of `deploy`, over `cpus`, `mem_limit` and `mem_reservation`.
pub fn resources(cx: &mut Cx<'_>, own: &Section<'_>, service: &mut Service) -> Result<()> {
    let limits = &mut service.resources.limits;
    limits.cpu_millis = cpus(own)?;
    limits.memory_bytes = own.bytes("mem_limit")?;
    service.resources.requests.memory_bytes = own.bytes("mem_reservation")?;
    let Some(deploy) = own.section("deploy")? else { return Ok(()) };
    deploy.account(DEPLOY_KEYS, cx.report)?;
    service.replicas = deploy.number("replicas")?.unwrap_or(service.replicas);
    if let Some(resources) = deploy.section("resources")? {
        resources.account(&[carried("limits"), carried("reservations")], cx.report)?;
        let limits = resources.section("limits")?;
        let requests = resources.section("reservations")?;
        amounts(cx, limits, &mut service.resources.limits)?;
        amounts(cx, requests, &mut service.resources.requests)?;
    }
    if let Some(policy) = deploy.section("restart_policy")? {
        policy.account(RESTART_KEYS, cx.report)?;
        service.runs_once |= policy.text("condition")?.as_deref() == Some("none");
    }
    Ok(())
}

fn amounts(cx: &mut Cx<'_>, section: Option<Section<'_>>, into: &mut seaworthy_app::Amounts) -> Result<()> {
    let Some(section) = section else { return Ok(()) };
    section.account(AMOUNT_KEYS, cx.report)?;
    into.cpu_millis = cpus(&section)?.or(into.cpu_millis);
    into.memory_bytes = section.bytes("memory")?.or(into.memory_bytes);
    Ok(())
}

fn cpus(section: &Section<'_>) -> Result<Option<u64>> {
    section.parsed("cpus", "a number of cores such as `0.5`", scalars::cpu_millis)
}
