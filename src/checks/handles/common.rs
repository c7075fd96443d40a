//! What several checks of handles need.

use crate::checks::World;
use crate::checks::evidence::Draft;
use crate::ledger::{Discord, Tally};
use crate::model::{Cidr, Evidence, Handle, HandleId, HostKind, Name, Tunnel};

/// The id of a handle object as it stands in its key, control bytes included.
pub(super) fn stored_id(world: &World<'_>, handle: &Handle) -> String {
    match handle.odd_id() {
        Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        None => handle.id.text(&world.snapshot.names),
    }
}

/// What one handle object says.
pub(super) fn handle_facts(world: &World<'_>, handle: &Handle) -> Evidence {
    let counted = handle.counts();
    let counts = counted.iter().map(|&(block, counts)| Evidence::new().with("block", block).with("counts", counts));
    Evidence::new()
        .with("handle", stored_id(world, handle))
        .with("blocks", counts.collect::<Vec<_>>())
        .with("deleted", handle.deleted())
        .with("mod_revision", handle.meta().mod_revision)
}

/// A block of which a handle counts another number than the block has.
pub(super) fn discord_facts(discord: &Discord) -> Evidence {
    Evidence::new().with("block", discord.block).with("counts", discord.counted).with("allocated", discord.held)
}

/// The objects of an id as evidence; mostly one.
pub(super) fn objects_facts(world: &World<'_>, tally: &Tally<'_>) -> Vec<Evidence> {
    tally.objects.iter().map(|o| handle_facts(world, o)).collect()
}

/// `10.65.0.0/26 and fd00:65::/122`, or how many.
pub(super) fn block_list(blocks: &[Cidr]) -> String {
    match blocks {
        [] => "no block".to_owned(),
        [one] => one.to_string(),
        [a, b] => format!("{a} and {b}"),
        many => format!("{} blocks", many.len()),
    }
}

/// The id of allocations as their blocks spell it: sanitised where any of them has it so.
pub(super) fn spelled_in_blocks(world: &World<'_>, id: HandleId) -> String {
    let mut spellings = world.ledger.allocations_of(id).filter_map(|a| world.ledger.attribute_of(a));
    let odd = spellings.next().and_then(|first| first.odd_handle());
    let odd = odd.filter(|_| spellings.all(|attribute| attribute.odd_handle().is_some()));
    odd.map_or_else(|| id.text(&world.snapshot.names), str::to_owned)
}

/// Node, namespace and pool of a handle: its allocations', else a tunnel's by its id, else the only host of the
/// blocks that it names.
pub(super) fn belongs<'w>(draft: Draft<'w>, world: &World<'_>, id: HandleId, blocks: &[Cidr]) -> Draft<'w> {
    let ledger = world.ledger;
    let first = ledger.allocations_of(id).next();
    let owner = first.and_then(|a| ledger.owners_of(a).next()).unwrap_or_default();
    let node = first.and_then(|a| ledger.owner_node(a).some()).unwrap_or_else(|| node_of(world, id, blocks));
    let address = first.map(|a| a.address).or(blocks.first().map(|cidr| cidr.first()));
    draft.on_node(node).in_namespace(owner.namespace).with_each(address, Draft::in_pool_of)
}

pub(super) fn node_of(world: &World<'_>, id: HandleId, blocks: &[Cidr]) -> Name {
    let names = &world.snapshot.names;
    if let Some((_, node)) = Tunnel::of_handle(&id.text(names)) {
        return names.find(node).unwrap_or_default();
    }
    let mut hosts = blocks.iter().map(|&cidr| host_of(world, cidr));
    let first = hosts.next().unwrap_or_default();
    if hosts.all(|host| host == first) { first } else { Name::NONE }
}

/// The pods that the allocations of a handle name.
pub(super) fn owner_pods(world: &World<'_>, id: HandleId) -> Vec<String> {
    let owners = world.ledger.allocations_of(id).flat_map(|a| world.ledger.owners_of(a)).filter_map(|o| o.pod_name());
    let mut owners: Vec<String> = owners.map(|(namespace, pod)| world.pair(namespace, pod)).collect();
    owners.sort_unstable();
    owners.dedup();
    owners
}

/// The node whose block this is, by the block itself or, where there is no such block, by its affinity.
pub(super) fn host_of(world: &World<'_>, cidr: Cidr) -> Name {
    let snapshot = world.snapshot;
    let block = snapshot.blocks.partition_point(|b| b.cidr < cidr);
    let block = snapshot.blocks.get(block).filter(|b| b.cidr == cidr);
    let affinity = snapshot.affinities.partition_point(|a| a.cidr < cidr);
    let affinity = snapshot.affinities.get(affinity).filter(|a| a.cidr == cidr);
    let host = block.map_or_else(|| affinity.map(|a| a.host), |b| b.affinity);
    host.filter(|h| h.kind == HostKind::Host).map(|h| h.name).unwrap_or_default()
}
