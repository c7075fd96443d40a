//! 4xx: affinities and nodes.

use crate::checks::World;
use crate::checks::evidence::{get_key, shell};
use crate::model::{Affinity, Cidr, keys};

pub mod affinity_block_mismatch;
pub mod affinity_conflict;

/// A command that deletes an affinity only while it is at the revision that was read; else the one that shows it:
/// no revision is known, or the key would need quoting twice.
fn delete_affinity(world: &World<'_>, affinity: &Affinity) -> String {
    let (key, revision) = (world.affinity_key(affinity), affinity.meta.mod_revision);
    if shell(&key) != key || key.contains('%') || revision <= 0 {
        return get_key(&key);
    }
    format!(r#"printf 'mod("{key}") = "{revision}"\n\ndel {key}\n\n\n' | etcdctl txn"#)
}

/// A command that shows a block.
fn get_block(cidr: Cidr) -> String {
    get_key(&keys::block_key(cidr))
}
