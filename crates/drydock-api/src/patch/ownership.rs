//! What a change does to the owners of fields.

use super::conflict::Conflict;
use super::fieldset::{Element, FieldSet};
use super::managers::Manager;
use super::walk::Difference;

/// The top-level fields that a door does not own, as a set.
pub(super) fn excluded(names: &[&str]) -> FieldSet {
    let mut set = FieldSet::default();
    for name in names {
        set.insert(&[Element::field(name)]);
    }
    set
}

/// The fields of other managers among those that a change sets to other values.
pub(super) fn conflicts(others: &[Manager], set: &FieldSet) -> Vec<Conflict> {
    let mut managers: Vec<&Manager> = others.iter().collect();
    managers.sort_by_key(|manager| manager.identity());
    let fields = |manager: &Manager| manager.fields.intersection(set).paths();
    managers
        .into_iter()
        .flat_map(|manager| fields(manager).into_iter().map(|field| Conflict::with(manager, field)))
        .collect()
}

/// Whoever did not make the change loses the fields that it set or removed.
pub(super) fn take_away<'m>(others: impl Iterator<Item = &'m mut Manager>, change: &Difference) {
    let lost = change.set().union(&change.removed);
    for manager in others {
        manager.fields = manager.fields.difference(&lost);
    }
}
