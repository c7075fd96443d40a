//! What several checks of affinities need.

use crate::checks::World;
use crate::checks::evidence::{Draft, delete_key, get_key};
use crate::model::{Affinity, AffinityState, Cidr, Finding, Host, PastKey, keys};

/// A command that deletes an affinity as it was read, or shows it.
pub(super) fn delete_affinity(world: &World<'_>, affinity: &Affinity) -> String {
    delete_key(&world.affinity_key(affinity), affinity.meta.mod_revision)
}

/// A command that shows a block.
pub(super) fn get_block(cidr: Cidr) -> String {
    get_key(&keys::block_key(cidr))
}

/// Whether the last complete audit saw this affinity at the same mod revision: it is stuck, since what is not
/// confirmed lasts seconds in health. Revisions of another etcd, or of none, compare with nothing.
pub(super) fn survived(world: &World<'_>, affinity: &Affinity) -> bool {
    let Some(past) = world.past else { return false };
    let same_etcd = past.etcd.is_none_or(|etcd| etcd.cluster_id == world.snapshot.etcd.cluster_id);
    let recorded = past.keys.get(world.affinity_key(affinity).as_bytes(), &affinity.meta);
    let same = |then: PastKey| then.mod_revision == affinity.meta.mod_revision;
    same_etcd && affinity.meta.mod_revision > 0 && recorded.is_some_and(same)
}

/// Who owns the block of an affinity beside it: the host that the block names, else another confirmed affinity's.
pub(super) fn other_owner(world: &World<'_>, affinity: &Affinity) -> Option<Host> {
    let named = world.ledger.block(affinity.cidr).and_then(|block| block.affinity);
    let confirmed = world.ledger.affinities_for(affinity.cidr).filter(|a| a.state == AffinityState::Confirmed);
    let mut others = named.into_iter().chain(confirmed.map(|a| a.host)).filter(|host| *host != affinity.host);
    others.next()
}

/// What every finding about an affinity that stands still shows. `heals`: the next allocation of its own host ends it, so
/// nobody has to delete it.
pub(super) fn standstill(draft: Draft<'_>, world: &World<'_>, affinity: &Affinity, heals: bool) -> Finding {
    let (host, cidr) = (affinity.host, affinity.cidr);
    draft
        .fact("affinity", world.affinity_facts(affinity))
        .fact("other_owner", other_owner(world, affinity).map(|other| world.host_id(other)))
        .fact("block", world.ledger.block(cidr).map(|block| world.block_facts(block)))
        .fact("last_audit", world.past.and_then(|past| past.last_audit))
        .on_node(host.name)
        .in_pool_of(cidr.first())
        .next(get_block(cidr))
        .next(if heals { get_key(&world.affinity_key(affinity)) } else { delete_affinity(world, affinity) })
        .rests_on_affinity(affinity)
        .done()
}
