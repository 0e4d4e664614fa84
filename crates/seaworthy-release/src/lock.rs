//! Who is working on a release: a Lease per release, so that a pending revision of a dead process is told from one
//! that is being worked on.
//!
//! A Lease that was not renewed for its whole duration, or whose holder was a process of this machine that is gone,
//! is taken over. Helm does not know these leases; nothing here keeps Helm from working.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Client;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};

use crate::error::{Error, Result, Tried};

const DURATION_S: i32 = 15;
const RENEW: Duration = Duration::from_secs(5);

/// Held while an operation runs; renewed in the background.
pub(crate) struct Lock {
    leases: Api<Lease>,
    lease: Lease,
    renewal: tokio::task::JoinHandle<()>,
}

impl Lock {
    /// Takes the lock of `release`, or says who holds it.
    pub async fn take(client: Client, namespace: &str, release: &str) -> Result<Self> {
        let leases: Api<Lease> = Api::namespaced(client, namespace);
        let name = format!("seaworthy-release-{release}");
        let tried = || format!("lock release `{release}`");
        let mut lease = Lease {
            metadata: ObjectMeta { name: Some(name.clone()), ..Default::default() },
            spec: Some(spec()),
        };
        let lease = match leases.create(&PostParams::default(), &lease).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let held = leases.get(&name).await.tried(tried)?;
                if let Some(holder) = holder_at_work(&held, Timestamp::now()) {
                    return Err(Error::Busy { release: release.to_owned(), holder });
                }
                lease.metadata.resource_version = held.metadata.resource_version;
                leases.replace(&name, &PostParams::default(), &lease).await.tried(tried)?
            }
            created => created.tried(tried)?,
        };
        let renewal = tokio::spawn(renew(leases.clone(), name));
        Ok(Self { leases, lease, renewal })
    }

    pub async fn release(mut self) {
        self.renewal.abort();
        let name = self.lease.metadata.name.take().unwrap_or_default();
        let preconditions = Preconditions { uid: self.lease.metadata.uid.take(), ..Default::default() };
        let params = DeleteParams { preconditions: Some(preconditions), ..Default::default() };
        if let Err(error) = self.leases.delete(&name, &params).await {
            tracing::debug!(%error, "the lock of the release stays until it expires");
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

async fn renew(leases: Api<Lease>, name: String) {
    loop {
        tokio::time::sleep(RENEW).await;
        let patch = serde_json::json!({ "spec": { "renewTime": now() } });
        let patched = leases.patch(&name, &Default::default(), &kube::api::Patch::Merge(&patch)).await;
        if let Err(error) = patched {
            tracing::debug!(%error, "the lock of the release was not renewed");
        }
    }
}

fn now() -> MicroTime {
    MicroTime(Timestamp::now())
}

fn spec() -> LeaseSpec {
    LeaseSpec {
        holder_identity: Some(identity()),
        lease_duration_seconds: Some(DURATION_S),
        acquire_time: Some(now()),
        renew_time: Some(now()),
        ..Default::default()
    }
}

/// `host/process`: enough to see whether a holder on this machine still lives.
fn identity() -> String {
    format!("{}/{}", host(), std::process::id())
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The holder, unless it has stopped renewing or is a process of this machine that is gone.
fn holder_at_work(lease: &Lease, now: Timestamp) -> Option<String> {
    let spec = lease.spec.as_ref()?;
    let holder = spec.holder_identity.clone()?;
    let renewed = spec.renew_time.as_ref()?.0;
    let age_s = now.as_second() - renewed.as_second();
    if age_s > i64::from(spec.lease_duration_seconds.unwrap_or(DURATION_S)) {
        return None;
    }
    let ours = holder.strip_prefix(&format!("{}/", host()));
    let is_gone = ours.is_some_and(|process| !std::path::Path::new("/proc").join(process).exists());
    (!is_gone).then(|| format!("process {holder}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, renewed_s_ago: i64) -> Lease {
        let renewed = Timestamp::from_second(Timestamp::now().as_second() - renewed_s_ago).unwrap();
        let spec = LeaseSpec {
            holder_identity: Some(holder.into()),
            renew_time: Some(MicroTime(renewed)),
            ..spec()
        };
        Lease { spec: Some(spec), ..Default::default() }
    }

    #[test]
    fn a_holder_that_renews_is_at_work() {
        assert!(holder_at_work(&lease("elsewhere/1", 2), Timestamp::now()).is_some());
    }

    #[test]
    fn a_holder_that_stopped_renewing_is_not() {
        assert!(holder_at_work(&lease("elsewhere/1", 60), Timestamp::now()).is_none());
    }

    #[test]
    fn a_process_of_this_machine_that_is_gone_is_not() {
        assert!(holder_at_work(&lease(&format!("{}/999999999", host()), 1), Timestamp::now()).is_none());
        assert!(holder_at_work(&lease(&identity(), 1), Timestamp::now()).is_some());
    }
}
