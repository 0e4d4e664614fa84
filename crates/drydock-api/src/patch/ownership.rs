//! What a change does to the owners of fields.

use super::conflict::Conflict;
use super::fieldset::FieldSet;
use super::managers::Manager;

/// The top-level fields that a door does not own, as a set.
pub(super) fn excluded(names: &[&str]) -> FieldSet {
    FieldSet::of_fields(names)
}

/// The fields of other managers among those that a change sets to other values.
pub(super) fn conflicts(others: &[Manager], set: &FieldSet) -> Vec<Conflict> {
    let mut managers: Vec<&Manager> = others.iter().collect();
    managers.sort_by_key(|manager| manager.identity());
    let fields = |manager: &Manager| manager.fields.clone().intersection(set).paths();
    managers
        .into_iter()
        .flat_map(|manager| fields(manager).into_iter().map(|field| Conflict::with(manager, field)))
        .collect()
}

/// Whoever did not make the change loses the fields that it set or removed.
pub(super) fn take_away(others: &mut [Manager], set: &FieldSet, removed: &FieldSet) {
    for manager in others {
        manager.fields.subtract(set);
        manager.fields.subtract(removed);
    }
}
