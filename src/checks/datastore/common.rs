//! What several checks of the datastore need.

use crate::checks::World;

/// Whether the value under `key` does not decode: then nobody may argue that it is absent or what it says.
pub(super) fn is_undecodable(world: &World<'_>, key: &str) -> bool {
    world.snapshot.bad_values.iter().any(|bad| bad.key == key.as_bytes())
}
