//! The machine as a Kubernetes Node, and its heartbeat.
//!
//! Writes: Node (create, status), Lease in `kube-node-lease`. Never deletes either: a Node without
//! heartbeat is how a stopped drydock looks from outside.

use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{Namespace, Node};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

pub const KUBERNETES_VERSION: &str = "v1.36.0";
const LEASE_NAMESPACE: &str = "kube-node-lease";
const LEASE_SECONDS: i32 = 40;
const HEARTBEAT: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(250);
/// Requests are promises for a shared machine; this one has a single user and runs charts sized for clusters, and
/// processor time, unlike memory, can be shared. What pods may use is bounded by their limits all the same.
const CPU_OVERCOMMIT: u64 = 4;
/// As the kubelet: pods per node.
const PODS_MAX: u32 = 110;

/// What the machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    pub cpu_millis: u64,
    pub memory_bytes: u64,
    pub disk_bytes: u64,
}

impl Capacity {
    /// Reads the machine. What cannot be read counts as a small machine.
    pub fn read(dir: &std::path::Path) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let disk = nix::sys::statvfs::statvfs(dir).map_or(0, |s| s.blocks() * s.fragment_size());
        Capacity {
            cpu_millis: cpus * 1000,
            memory_bytes: total_memory(&meminfo).unwrap_or(1 << 30),
            disk_bytes: disk,
        }
    }
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What a Node object needs to say of this machine.
#[derive(Clone, Debug)]
pub struct Machine {
    pub name: String,
    pub ip: Ipv4Addr,
    pub capacity: Capacity,
}

impl Machine {
    /// Creates or updates the Node; tries until it works, because nothing is scheduled before.
    pub async fn register(&self, client: &Client) {
        while let Err(error) = self.try_register(client).await {
            tracing::debug!(%error, "cannot register the node yet");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_register(&self, client: &Client) -> kube::Result<()> {
        let api: Api<Node> = Api::all(client.clone());
        let node: Node = serde_json::from_value(self.node()).map_err(kube::Error::SerdeError)?;
        match api.create(&PostParams::default(), &node).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let before = api.get(&self.name).await?;
        let status = json!({"status": self.status(&before)});
        api.patch_status(&self.name, &PatchParams::default(), &Patch::Merge(&status)).await.map(|_| ())
    }

    fn node(&self) -> Value {
        let labels = json!({
            "kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux", "kubernetes.io/arch": arch(),
            "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": arch(),
            "node-role.kubernetes.io/control-plane": "", "seaworthy.dev/engine": "drydock",
        });
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name, "labels": labels},
               "spec": {"podCIDR": "10.244.0.0/16", "podCIDRs": ["10.244.0.0/16"]}})
    }

    fn status(&self, before: &Node) -> Value {
        let capacity = json!({
            "cpu": quantity_of_millis(self.capacity.cpu_millis),
            "memory": format!("{}Ki", self.capacity.memory_bytes / 1024),
            "ephemeral-storage": format!("{}Ki", self.capacity.disk_bytes / 1024),
            "pods": PODS_MAX.to_string(), "hugepages-2Mi": "0",
        });
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let mut allocatable = capacity.clone();
        allocatable["cpu"] = quantity_of_millis(self.capacity.cpu_millis * CPU_OVERCOMMIT).into();
        let os_release = text("/etc/os-release");
        let os_image = os_release
            .lines()
            .find_map(|line| line.strip_prefix("PRETTY_NAME="))
            .map_or("Linux", |name| name.trim_matches('"'))
            .to_owned();
        json!({
            "capacity": capacity, "allocatable": allocatable,
            "conditions": self.conditions(before),
            "addresses": [{"type": "InternalIP", "address": self.ip.to_string()}, {"type": "Hostname", "address": self.name}],
            "nodeInfo": {
                "machineID": text("/etc/machine-id"), "systemUUID": text("/etc/machine-id"),
                "bootID": text("/proc/sys/kernel/random/boot_id"), "kernelVersion": text("/proc/sys/kernel/osrelease"),
                "osImage": os_image, "operatingSystem": "linux", "architecture": arch(),
                "containerRuntimeVersion": format!("drydock://{}", env!("CARGO_PKG_VERSION")),
                "kubeletVersion": KUBERNETES_VERSION, "kubeProxyVersion": KUBERNETES_VERSION,
            },
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
        })
    }

    fn conditions(&self, before: &Node) -> Value {
        let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default().to_string();
        let known = before.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let condition = |name: &str, status: &str, reason: &str, message: &str| {
            let since = known.iter().find(|c| c.type_ == name && c.status == status);
            let since =
                since.and_then(|c| c.last_transition_time.as_ref()).map_or(now.clone(), |t| t.0.to_string());
            json!({"type": name, "status": status, "reason": reason, "message": message,
                   "lastHeartbeatTime": now, "lastTransitionTime": since})
        };
        json!([
            condition(
                "MemoryPressure",
                "False",
                "KubeletHasSufficientMemory",
                "kubelet has sufficient memory available"
            ),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            condition(
                "PIDPressure",
                "False",
                "KubeletHasSufficientPID",
                "kubelet has sufficient PID available"
            ),
            condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
        ])
    }

    /// Renews the Lease for ever.
    pub async fn heartbeat(&self, client: &Client) {
        loop {
            let pause = match self.renew(client).await {
                Ok(()) => HEARTBEAT,
                Err(error) => {
                    tracing::debug!(%error, "cannot renew the node's lease");
                    RETRY * 4
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn renew(&self, client: &Client) -> kube::Result<()> {
        let api: Api<Lease> = Api::namespaced(client.clone(), LEASE_NAMESPACE);
        let now = MicroTime(Timestamp::now());
        let patch = json!({"spec": {"renewTime": now}});
        match api.patch(&self.name, &PatchParams::default(), &Patch::Merge(&patch)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => return other.map(|_| ()),
        }
        ensure_namespace(client).await?;
        let lease = Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.name.clone()),
                lease_duration_seconds: Some(LEASE_SECONDS),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                ..LeaseSpec::default()
            }),
        };
        api.create(&PostParams::default(), &lease).await.map(|_| ())
    }
}

async fn ensure_namespace(client: &Client) -> kube::Result<()> {
    let api: Api<Namespace> = Api::all(client.clone());
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some(LEASE_NAMESPACE.into()), ..ObjectMeta::default() },
        ..Namespace::default()
    };
    match api.create(&PostParams::default(), &namespace).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        other => other.map(|_| ()),
    }
}

fn quantity_of_millis(millis: u64) -> String {
    if millis.is_multiple_of(1000) { (millis / 1000).to_string() } else { format!("{millis}m") }
}

fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        assert_eq!(total_memory("MemTotal:       24576 kB\nMemFree: 1 kB\n"), Some(25_165_824));
        assert_eq!(total_memory("nothing"), None);
    }

    #[test]
    fn the_node_object_is_one_that_kubernetes_understands() {
        let capacity = Capacity { cpu_millis: 2000, memory_bytes: 1 << 30, disk_bytes: 1 << 30 };
        let machine = Machine { name: "n".into(), ip: Ipv4Addr::LOCALHOST, capacity };
        let mut node = machine.node();
        node["status"] = machine.status(&Node::default());
        let node: Node = serde_json::from_value(node).unwrap();
        assert_eq!(node.status.unwrap().capacity.unwrap()["cpu"].0, "2");
    }
}
