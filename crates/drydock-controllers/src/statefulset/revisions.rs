//! Which revision of the template each pod of a StatefulSet gets. Pure.
//!
//! Start at [`Revisions`].

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::plan::{first_ordinal, revision_of};
use super::{Error, Observed};
use crate::history::{name_of, template_in};

/// The revision all pods came from, and the one they are going to.
pub struct Revisions {
    pub current: Arc<ControllerRevision>,
    pub update: Arc<ControllerRevision>,
}

impl Revisions {
    pub fn new(observed: &Observed, update: Arc<ControllerRevision>) -> Revisions {
        let name = observed.set.status.as_ref().and_then(|status| status.current_revision.as_ref());
        let current =
            observed.history.revisions.iter().find(|revision| revision.metadata.name.as_ref() == name);
        Revisions { current: current.filter(|_| name.is_some()).unwrap_or(&update).clone(), update }
    }

    pub fn update_name(&self) -> String {
        name_of(&self.update).to_owned()
    }

    pub fn current_name(&self) -> String {
        name_of(&self.current).to_owned()
    }

    /// Name and template of the revision that a new pod of this ordinal gets. Below the partition,
    /// and while an update has not reached it, a pod comes back as it was.
    pub fn template_for(
        &self,
        observed: &Observed,
        ordinal: i32,
    ) -> Result<(String, PodTemplateSpec), Error> {
        if self.update_name() == self.current_name() || !self.stays_current(observed, ordinal) {
            return Ok((self.update_name(), observed.spec().template.clone()));
        }
        let name = self.current_name();
        match template_in(&self.current) {
            Ok(template) => Ok((name, template)),
            Err(source) => Err(Error::BadRevision { name, source }),
        }
    }

    fn stays_current(&self, observed: &Observed, ordinal: i32) -> bool {
        let strategy = observed.spec().update_strategy.clone().unwrap_or_default();
        if strategy.type_.as_deref() == Some("OnDelete") {
            return false;
        }
        let partition = strategy.rolling_update.and_then(|rolling| rolling.partition);
        let still_current =
            observed.set.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0);
        ordinal
            < first_ordinal(observed).saturating_add(partition.filter(|p| *p > 0).unwrap_or(still_current))
    }
}

/// Old revisions beyond the limit that neither the set nor a pod refers to, oldest first.
pub fn beyond_history(observed: &Observed, revisions: &Revisions) -> Vec<Arc<ControllerRevision>> {
    let mut live: HashSet<String> =
        observed.pods.iter().filter_map(|pod| revision_of(pod).cloned()).collect();
    live.extend([revisions.update_name(), revisions.current_name()]);
    observed.history.surplus(observed.spec().revision_history_limit, &live)
}
