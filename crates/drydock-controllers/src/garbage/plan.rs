//! What to do about one object, given its owners and dependents. Pure: start at [`plan`].

use kube::api::PropagationPolicy;

use super::graph::{Dependent, Node};

pub const FOREGROUND: &str = "foregroundDeletion";
pub const ORPHAN: &str = "orphan";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    Solid,
    Absent,
    /// Being deleted in the foreground: waits for its dependents to go first.
    Waiting,
}

#[derive(Debug, PartialEq)]
pub enum Plan {
    Nothing,
    /// Cut these dependents loose, then let the object go.
    Orphan(Vec<String>),
    /// No dependent blocks the deletion any more.
    Unblock,
    /// Dependents that have to go before the object can.
    Descend(Vec<String>),
    /// Drop references to these owners; others keep the object alive.
    Detach(Vec<String>),
    Delete(PropagationPolicy),
}

pub fn plan(node: &Node, owners: &[(String, OwnerState)], dependents: &[Dependent]) -> Plan {
    if node.deleting {
        return plan_deleting(node, dependents);
    }
    let is = |wanted: OwnerState| owners.iter().filter(move |(_, state)| *state == wanted);
    let lost: Vec<String> =
        owners.iter().filter(|(_, state)| *state != OwnerState::Solid).map(|(uid, _)| uid.clone()).collect();
    if lost.is_empty() {
        return Plan::Nothing;
    }
    if is(OwnerState::Solid).next().is_some() {
        return Plan::Detach(lost);
    }
    let owner_waits = is(OwnerState::Waiting).next().is_some();
    if owner_waits && !dependents.is_empty() {
        // The owner may only go after this object, and this one after its own dependents.
        return Plan::Delete(PropagationPolicy::Foreground);
    }
    Plan::Delete(match (node.orphan, node.foreground) {
        (true, _) => PropagationPolicy::Orphan,
        (false, true) => PropagationPolicy::Foreground,
        (false, false) => PropagationPolicy::Background,
    })
}

fn plan_deleting(node: &Node, dependents: &[Dependent]) -> Plan {
    if node.orphan {
        return Plan::Orphan(dependents.iter().map(|dependent| dependent.uid.clone()).collect());
    }
    if !node.foreground {
        return Plan::Nothing;
    }
    if !dependents.iter().any(|dependent| dependent.blocks) {
        return Plan::Unblock;
    }
    let staying = dependents.iter().filter(|dependent| !dependent.deleting);
    Plan::Descend(staying.map(|dependent| dependent.uid.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `node`: any of `deleting foreground orphan`; `owners`: `s`olid, `a`bsent, `w`aiting;
    /// `dependents`: names, `!` blocks, `~` is being deleted.
    #[track_caller]
    fn check(node: &str, owners: &str, dependents: &str, expect: Plan) {
        let node = Node {
            deleting: node.contains("deleting"),
            foreground: node.contains("foreground"),
            orphan: node.contains("orphan"),
            ..Node::default()
        };
        let owners: Vec<_> = owners.chars().enumerate().map(|(i, c)| (format!("{c}{i}"), state(c))).collect();
        let dependents: Vec<_> = dependents.split_whitespace().map(dependent).collect();
        assert_eq!(plan(&node, &owners, &dependents), expect);
    }

    fn state(c: char) -> OwnerState {
        match c {
            's' => OwnerState::Solid,
            'a' => OwnerState::Absent,
            _ => OwnerState::Waiting,
        }
    }

    fn dependent(text: &str) -> Dependent {
        Dependent {
            uid: text.trim_end_matches(['!', '~']).into(),
            blocks: text.contains('!'),
            deleting: text.contains('~'),
        }
    }

    #[test]
    fn an_object_whose_only_owner_is_gone_is_deleted() {
        check("", "a", "", Plan::Delete(PropagationPolicy::Background));
    }

    #[test]
    fn an_object_with_a_living_owner_only_loses_the_dead_reference() {
        check("", "sa", "", Plan::Detach(vec!["a1".into()]));
    }

    #[test]
    fn an_object_without_owners_is_nobodys_garbage() {
        check("", "", "x", Plan::Nothing);
    }

    #[test]
    fn a_middle_object_goes_foreground_when_its_owner_waits() {
        check("", "w", "pod!", Plan::Delete(PropagationPolicy::Foreground));
        check("", "w", "", Plan::Delete(PropagationPolicy::Background));
    }

    #[test]
    fn a_foreground_deletion_first_goes_for_the_dependents_still_standing() {
        check("deleting foreground", "", "a! b!~", Plan::Descend(vec!["a".into()]));
    }

    #[test]
    fn a_foreground_deletion_ends_when_nothing_blocks_it() {
        check("deleting foreground", "", "a", Plan::Unblock);
    }

    #[test]
    fn an_orphaning_deletion_cuts_every_dependent_loose() {
        check("deleting orphan", "", "a b", Plan::Orphan(vec!["a".into(), "b".into()]));
    }
}
