//! `show` beside Helm's.

use crate::world::World;

#[test]
fn every_part_is_printed_as_helm_prints_it() {
    let world = World::new();
    for part in ["all", "chart", "values", "readme", "crds"] {
        world.same(&format!("show-{part}"), &["show", part, "web"]);
        world.same(&format!("show-{part}-db"), &["inspect", part, "db"]);
    }
}
