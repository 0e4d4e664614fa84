//! Who is working on a release: a Lease per release, so that a pending revision of a dead process is told from one
//! that is being worked on.
//!
//! A Lease that was not renewed for its whole duration, or whose holder was a process of this machine that is gone,
//! is taken over. Helm does not know these leases; nothing here keeps Helm from working, and a Helm of this machine is
//! recognised by its command line ([`helm_at_work`]).

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
pub(crate) struct Lock(Option<Held>);

struct Held {
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
            // Whoever may write Secrets and no Leases goes without a lock, as with Helm.
            Err(kube::Error::Api(status))
                if status.code == 403 && !status.message.contains("being terminated") =>
            {
                tracing::debug!(reason = status.message, "the release is not locked");
                return Ok(Self(None));
            }
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Err(Error::NoNamespace { namespace: namespace.to_owned() });
            }
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
        Ok(Self(Some(Held { leases, lease, renewal })))
    }

    pub async fn release(mut self) {
        let Some(mut held) = self.0.take() else { return };
        held.renewal.abort();
        let name = held.lease.metadata.name.take().unwrap_or_default();
        let preconditions = Preconditions { uid: held.lease.metadata.uid.take(), ..Default::default() };
        let params = DeleteParams { preconditions: Some(preconditions), ..Default::default() };
        if let Err(error) = held.leases.delete(&name, &params).await {
            tracing::debug!(%error, "the lock of the release stays until it expires");
        }
    }

    /// Gives back a lock that this process took and did not release, because it was interrupted.
    pub async fn forget(client: Client, namespace: &str, release: &str) -> Result<()> {
        let leases: Api<Lease> = Api::namespaced(client, namespace);
        let name = format!("seaworthy-release-{release}");
        let tried = || format!("unlock release `{release}`");
        let Some(held) = leases.get_opt(&name).await.tried(tried)? else { return Ok(()) };
        let holder = held.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        if holder != Some(identity().as_str()) {
            return Ok(());
        }
        let preconditions = Preconditions { uid: held.metadata.uid, ..Default::default() };
        let params = DeleteParams { preconditions: Some(preconditions), ..Default::default() };
        leases.delete(&name, &params).await.map(drop).tried(tried)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// A Helm on this machine that works on `release`: it takes no lock, but its command line names it.
pub(crate) fn helm_at_work(release: &str, namespace: &str) -> Option<String> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|process| {
        let line = std::fs::read(process.path().join("cmdline")).ok()?;
        let words: Vec<String> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        is_helm_on(&words, release, namespace)
            .then(|| format!("helm (process {})", process.file_name().to_string_lossy()))
    })
}

fn is_helm_on(words: &[String], release: &str, namespace: &str) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    let is_helm = program.rsplit('/').next() == Some("helm");
    let changes = ["install", "upgrade", "rollback", "uninstall"];
    let named = arguments.iter().enumerate().find_map(|(at, word)| match word.as_str() {
        "-n" | "--namespace" => arguments.get(at + 1).map(String::as_str),
        word => word.strip_prefix("--namespace="),
    });
    is_helm
        && named.is_none_or(|named| named == namespace)
        && arguments.iter().any(|word| changes.contains(&word.as_str()))
        && arguments.iter().any(|word| word == release)
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
    fn a_helm_that_names_the_release_is_at_work_on_it() {
        let is_at_work =
            |line: &str| is_helm_on(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), "shop", "here");
        assert!(is_at_work("/usr/bin/helm upgrade shop ./chart"));
        assert!(!is_at_work("/usr/bin/helm upgrade other ./chart"));
        assert!(!is_at_work("/usr/bin/helm status shop"));
        assert!(!is_at_work("vim upgrade shop"));
        assert!(is_at_work("helm upgrade shop ./chart -n here"));
        assert!(!is_at_work("helm upgrade shop ./chart --namespace=there"));
    }

    #[test]
    fn a_process_of_this_machine_that_is_gone_is_not() {
        assert!(holder_at_work(&lease(&format!("{}/999999999", host()), 1), Timestamp::now()).is_none());
        assert!(holder_at_work(&lease(&identity(), 1), Timestamp::now()).is_some());
    }
}
