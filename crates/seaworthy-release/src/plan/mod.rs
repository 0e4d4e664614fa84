//! What an operation would change, and what would stop it, before anything is touched.
//!
//! [`plan`] asks the server object by object what would come of it (a dry run), so defaults, webhooks and validation
//! have had their say. What a dry run cannot know is looked for beside it: definitions that are missing, owners,
//! quotas and room on the nodes (`room`).

mod finding;
mod room;

use std::collections::BTreeSet;

use futures::StreamExt;
use serde_json::Value;

pub use finding::{Finding, Problem};

use crate::apply::{Applier, How, is_immutable};
use crate::diff::{Line, differences};
use crate::error::{Error, Result};
use crate::manifest::{self, Object};

/// Objects asked about at the same time.
const AT_ONCE: usize = 8;

/// What happens to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create,
    Update,
    /// Deleted and created, because a field cannot change.
    Recreate,
    Delete,
    Unchanged,
    /// It leaves the release and stays in the cluster.
    Keep,
    /// The cluster would refuse it.
    Refused,
}

/// One object of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// `Deployment/web`.
    pub object: String,
    pub namespace: String,
    /// `shop/templates/web.yaml:1`.
    pub place: String,
    pub action: Action,
    pub lines: Vec<Line>,
}

/// Everything an operation would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub objects: Vec<Planned>,
    pub findings: Vec<Finding>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.objects.iter().all(|planned| matches!(planned.action, Action::Unchanged | Action::Keep))
    }

    /// Whether the operation would fail.
    pub fn is_blocked(&self) -> bool {
        self.findings.iter().any(Finding::stops)
    }
}

/// What a plan is about.
pub(crate) struct Wanted<'a> {
    pub old: &'a [Object],
    pub new: &'a [Object],
    /// Of the chart's `crds/` folder.
    pub definitions: &'a [Object],
    pub how: &'a How,
    pub take_ownership: bool,
    /// The release's namespace is made by the operation.
    pub makes_namespace: bool,
}

/// Asks the cluster. Objects come in the order of the manifest, then what goes.
pub(crate) async fn plan(applier: &Applier, wanted: &Wanted<'_>) -> Result<Plan> {
    let how = How { dry_run: true, ..wanted.how.clone() };
    let asked = wanted.new.iter().map(|object| look(applier, wanted, object, &how));
    let looked: Vec<Result<(Planned, Vec<Finding>)>> =
        futures::stream::iter(asked).buffered(AT_ONCE).collect().await;
    let mut plan = Plan::default();
    for one in looked {
        let (planned, findings) = one?;
        plan.objects.push(planned);
        plan.findings.extend(findings);
    }
    for object in wanted.old.iter().filter(|object| !wanted.new.iter().any(|new| new.is_same(object))) {
        plan.objects.extend(leaving(applier, object).await?);
    }
    plan.findings.extend(room::find(applier, wanted.new).await);
    Ok(plan)
}

async fn leaving(applier: &Applier, object: &Object) -> Result<Option<Planned>> {
    let live = match applier.live(object).await {
        Err(Error::NoSuchKind { .. }) => return Ok(None),
        live => live?,
    };
    let Some(live) = live else { return Ok(None) };
    let is_kept =
        object.is_kept() || manifest::is_kept(&live["metadata"]) || applier.owner_of(&live).is_some();
    let (action, lines) = match is_kept {
        true => (Action::Keep, Vec::new()),
        false => (Action::Delete, differences(Some(&live), None)),
    };
    Ok(Some(planned(applier, object, action, lines)))
}

fn planned(applier: &Applier, object: &Object, action: Action, lines: Vec<Line>) -> Planned {
    Planned {
        object: object.title(),
        namespace: object.namespace().unwrap_or(&applier.namespace).to_owned(),
        place: object.place(),
        action,
        lines,
    }
}

async fn look(
    applier: &Applier,
    wanted: &Wanted<'_>,
    object: &Object,
    how: &How,
) -> Result<(Planned, Vec<Finding>)> {
    let told = |action, lines, problem: Option<Problem>| {
        let findings = problem.map(|problem| Finding::about(object, problem));
        (planned(applier, object, action, lines), findings.into_iter().collect())
    };
    let live = match applier.live(object).await {
        Err(Error::NoSuchKind { .. }) if is_coming(wanted, object) => {
            let lines = differences(None, Some(&applier.marked(object)));
            return Ok(told(Action::Create, lines, None));
        }
        Err(Error::NoSuchKind { kind, api_version, .. }) => {
            return Ok(told(Action::Refused, Vec::new(), Some(Problem::NoSuchKind { kind, api_version })));
        }
        live => live?,
    };
    let is_ours = wanted.old.iter().any(|old| old.is_same(object));
    if let Some(owner) = live.as_ref().and_then(|live| applier.owner_of(live))
        && !is_ours
        && !wanted.take_ownership
    {
        return Ok(told(Action::Refused, Vec::new(), Some(Problem::Owned { owner })));
    }
    let original = wanted.old.iter().find(|old| old.is_same(object));
    match applier.put(object, original, how).await {
        Ok((_, made)) => {
            let lines = differences(live.as_ref(), Some(&made));
            let action = match (&live, lines.is_empty()) {
                (None, _) => Action::Create,
                (Some(_), true) => Action::Unchanged,
                (Some(_), false) => Action::Update,
            };
            let kept = live.as_ref().and_then(|live| scaled(object, live, &made));
            Ok(told(action, lines, kept))
        }
        Err(Error::Refused { source, .. }) => {
            let lines = differences(live.as_ref(), Some(&applier.marked(object)));
            let (action, problem) = refusal(applier, wanted, object, source.code(), &source.to_string(), how);
            Ok(told(action, lines, problem))
        }
        Err(error) => Err(error),
    }
}

/// Tells that an autoscaler's number stays, when the chart says another one.
fn scaled(object: &Object, live: &Value, made: &Value) -> Option<Problem> {
    let replicas = |value: &Value| value["spec"]["replicas"].as_i64();
    let (chart, kept) = (replicas(&object.value)?, replicas(live)?);
    (chart != kept && replicas(made) == Some(kept)).then_some(Problem::Autoscaled { chart, kept })
}

fn refusal(
    applier: &Applier,
    wanted: &Wanted<'_>,
    object: &Object,
    code: u16,
    message: &str,
    how: &How,
) -> (Action, Option<Problem>) {
    let message = message.to_owned();
    let namespace = object.namespace().unwrap_or(&applier.namespace);
    match code {
        422 if is_immutable(code, &message) && how.recreate => (Action::Recreate, None),
        422 if is_immutable(code, &message) => (Action::Refused, Some(Problem::Immutable { message })),
        404 if message.contains("namespaces") => {
            let is_made = wanted.makes_namespace && namespace == applier.namespace;
            let is_coming = wanted.new.iter().any(|new| new.kind() == "Namespace" && new.name() == namespace);
            let problem = Problem::NoNamespace { namespace: namespace.to_owned() };
            (Action::Create, (!is_made && !is_coming).then_some(problem))
        }
        409 => (Action::Refused, Some(Problem::Conflict { message })),
        403 if message.contains("exceeded quota") => (Action::Refused, Some(Problem::Quota { message })),
        400 if message.contains("dry run") || message.contains("dryRun") => (Action::Update, None),
        _ => (Action::Refused, Some(Problem::Refused { code, message })),
    }
}

/// Whether the kind will be there when the object is applied, because its definition comes along.
fn is_coming(wanted: &Wanted<'_>, object: &Object) -> bool {
    let mut definitions =
        wanted.definitions.iter().chain(wanted.new.iter().filter(|object| object.is_definition()));
    definitions.any(|definition| {
        let spec = &definition.value["spec"];
        spec["group"] == object.group() && spec["names"]["kind"] == object.kind()
    })
}

/// Namespaces that have objects among `objects`.
fn namespaces<'a>(applier: &'a Applier, objects: &'a [Object]) -> BTreeSet<&'a str> {
    objects.iter().map(|object| object.namespace().unwrap_or(&applier.namespace)).collect()
}
