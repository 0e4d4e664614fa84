//! Keeps the named, ordered pods of each StatefulSet, with their claims and their revisions.
//!
//! Reads: StatefulSet, Pod, ControllerRevision, PersistentVolumeClaim. Writes: pods (create, delete),
//! claims (create only: data is never deleted here unless the retention policy says so),
//! revisions, StatefulSet status. Two pods never carry the same name at the same time.
//!
//! Start at [`reconcile`]; the decision itself is [`plan::plan`], which is pure.

mod identity;
mod plan;
mod retention;
mod revisions;
mod status;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::Pod;

use self::plan::{Plan, plan};
use self::revisions::Revisions;
use crate::controller::{Controller, Next};
use crate::cx::Cx;
use crate::history::History;
use crate::key::Key;
use crate::kind::WriteError;
use crate::owner::{self, claim, sort_children};
use crate::watches::Watches;

const NAME: &str = "statefulset-controller";
/// Where a revision carries the hash of its template.
const HASH_LABEL: &str = "controller.kubernetes.io/hash";

pub fn controller() -> Controller {
    Controller {
        name: NAME,
        workers: 4,
        watches,
        reconcile: |cx, key| Box::pin(async move { Ok(reconcile(&cx, &key).await?) }),
    }
}

fn watches(watches: &mut Watches<'_>) {
    let kinds = &watches.cx.kinds;
    watches.own(&kinds.stateful_sets);
    watches.owned_by("StatefulSet", &kinds.pods);
    watches.owned_by("StatefulSet", &kinds.revisions);
    watches.need(kinds.claims.cache.synced());
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("revision `{name}` does not hold a pod template")]
    BadRevision {
        name: String,
        #[source]
        source: serde_json::Error,
    },
}

/// One StatefulSet with its pods and revisions.
pub struct Observed {
    pub set: Arc<StatefulSet>,
    pub pods: Vec<Arc<Pod>>,
    pub history: History,
    pub now: Timestamp,
}

impl Observed {
    pub fn spec(&self) -> &StatefulSetSpec {
        static EMPTY: std::sync::LazyLock<StatefulSetSpec> =
            std::sync::LazyLock::new(StatefulSetSpec::default);
        self.set.spec.as_ref().unwrap_or(&EMPTY)
    }
}

pub async fn reconcile(cx: &Cx, key: &Key) -> Result<Next, Error> {
    let Some(observed) = observe(cx, key).await? else { return Ok(Next::WaitForChange) };
    if owner::is_deleting(&observed.set.metadata) {
        return Ok(Next::WaitForChange);
    }
    let revisions = ensure_revisions(cx, &observed).await?;
    let plan = plan(&observed, &revisions);
    let acted = act(cx, &observed, &revisions, &plan).await;
    write_status(cx, &observed, &revisions).await?;
    acted?;
    clean_up(cx, &observed, &revisions).await?;
    Ok(Next::after(plan.look_again))
}

async fn observe(cx: &Cx, key: &Key) -> Result<Option<Observed>, Error> {
    let Some(set) = cx.kinds.stateful_sets.get(key) else { return Ok(None) };
    let Some(spec) = &set.spec else { return Ok(None) };
    let candidates = cx.kinds.pods.cache.in_namespace(&key.namespace);
    // A pod of a foreign name may carry our labels; only pods named like ours can be ours.
    let candidates = candidates.into_iter().filter(|pod| identity::ordinal(&set, pod).is_some());
    let children = sort_children(&set.metadata, &spec.selector, candidates);
    let pods = claim(&*set, &cx.kinds.pods, children).await?;
    let history = History::of(cx, &*set);
    Ok(Some(Observed { set, pods, history, now: cx.now() }))
}

async fn ensure_revisions(cx: &Cx, observed: &Observed) -> Result<Revisions, Error> {
    let set = &*observed.set;
    let collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let template = &observed.spec().template;
    let update = observed.history.keep(cx, set, template, HASH_LABEL, collisions).await?;
    Ok(Revisions::new(observed, update))
}

async fn act(cx: &Cx, observed: &Observed, revisions: &Revisions, plan: &Plan) -> Result<(), Error> {
    for ordinal in &plan.create {
        create(cx, observed, revisions, *ordinal).await?;
    }
    for pod in &plan.delete {
        delete(cx, observed, pod).await?;
    }
    Ok(())
}

async fn create(cx: &Cx, observed: &Observed, revisions: &Revisions, ordinal: i32) -> Result<(), Error> {
    let set = &observed.set;
    let (revision, template) = revisions.template_for(observed, ordinal)?;
    for claim in identity::claims(set, ordinal) {
        let key = Key::of(&claim.metadata);
        if cx.kinds.claims.get(&key).is_some() {
            continue;
        }
        match cx.kinds.claims.create(&claim).await {
            Ok(_) => {
                let message = format!(
                    "Create Claim {} Pod {} in StatefulSet {} success",
                    key.name,
                    identity::pod_name(set, ordinal),
                    Key::of(&set.metadata).name
                );
                cx.recorder.normal(NAME, &**set, "SuccessfulCreate", message);
            }
            Err(error) if error.is_already_exists() => {}
            Err(error) => {
                let what = format!("Create Claim {} for Pod {}", key.name, identity::pod_name(set, ordinal));
                return Err(report(cx, set, "FailedCreate", &what, error));
            }
        }
    }
    let pod = identity::pod(set, ordinal, &template, &revision);
    let name = identity::pod_name(set, ordinal);
    match cx.kinds.pods.create(&pod).await {
        Ok(_) => {
            cx.recorder.normal(NAME, &**set, "SuccessfulCreate", done(set, "Create", &name));
            Ok(())
        }
        Err(error) => Err(report(cx, set, "FailedCreate", &format!("Create Pod {name}"), error)),
    }
}

async fn delete(cx: &Cx, observed: &Observed, pod: &Pod) -> Result<(), Error> {
    let set = &observed.set;
    let name = Key::of(&pod.metadata).name;
    match cx.kinds.pods.delete(&pod.metadata).await {
        Ok(()) => {
            cx.recorder.normal(NAME, &**set, "SuccessfulDelete", done(set, "Delete", &name));
            Ok(())
        }
        Err(error) => Err(report(cx, set, "FailedDelete", &format!("Delete Pod {name}"), error)),
    }
}

fn done(set: &StatefulSet, verb: &str, pod: &str) -> String {
    format!("{verb} Pod {pod} in StatefulSet {} successful", Key::of(&set.metadata).name)
}

/// `what` was tried, as in `Create Pod db-0`.
fn report(cx: &Cx, set: &StatefulSet, reason: &'static str, what: &str, error: WriteError) -> Error {
    let set_name = Key::of(&set.metadata).name;
    let message = format!("{what} in StatefulSet {set_name} failed error: {}", error.detail());
    cx.recorder.warning(NAME, set, reason, message);
    error.into()
}

/// Reads the pods again, so that the status already counts what this pass did.
async fn write_status(cx: &Cx, observed: &Observed, revisions: &Revisions) -> Result<(), Error> {
    let key = Key::of(&observed.set.metadata);
    let Some(set) = cx.kinds.stateful_sets.get(&key) else { return Ok(()) };
    let uid = owner::uid(&set.metadata);
    let mut pods = cx.kinds.pods.cache.in_namespace(&key.namespace);
    pods.retain(|pod| owner::is_controlled_by(&pod.metadata, uid));
    let observed = Observed { set, pods, history: History::default(), now: cx.now() };
    let wanted = status::status(&observed, revisions);
    if observed.set.status.as_ref() == Some(&wanted) {
        return Ok(());
    }
    let updated = StatefulSet { status: Some(wanted), ..(*observed.set).clone() };
    cx.kinds.stateful_sets.replace_status(&updated).await?;
    Ok(())
}

/// Old revisions that nothing runs, and claims of pods that were scaled away, where wanted.
async fn clean_up(cx: &Cx, observed: &Observed, revisions: &Revisions) -> Result<(), Error> {
    for revision in revisions::beyond_history(observed, revisions) {
        cx.kinds.revisions.delete(&revision.metadata).await?;
    }
    let claims = cx.kinds.claims.cache.in_namespace(&Key::of(&observed.set.metadata).namespace);
    for change in retention::changes(observed, &claims) {
        let key = Key::of(&change.claim.metadata);
        let patch = serde_json::json!({ "metadata": { "ownerReferences": change.owners } });
        cx.kinds.claims.patch(&key, patch).await?;
    }
    Ok(())
}
