//! What several checks of endpoints need.

use std::hash::Hash;

use crate::checks::World;
use crate::checks::evidence::{Draft, delete_endpoint, get_endpoint, release_handle, sandbox};
use crate::model::hash::Repeated;
use crate::model::{Endpoint, HandleId, Name};

/// `namespace/pod/endpoint`: what an endpoint is for, on whichever node.
pub(super) fn workload(world: &World<'_>, endpoint: &Endpoint) -> String {
    format!("{}/{}", world.pair(endpoint.namespace, endpoint.pod), world.text(endpoint.endpoint()))
}

/// The handle that an endpoint was made with, when IPAM still knows it: releasing it takes the endpoint along.
pub(super) fn handle_left(world: &World<'_>, endpoint: &Endpoint) -> Option<HandleId> {
    let ledger = world.ledger;
    let tail = endpoint.container.some()?;
    let handle = HandleId { head: ledger.network_of(endpoint), tail, dotted: true };
    let known = ledger.handle(handle).is_some() || ledger.allocations_of(handle).next().is_some();
    known.then_some(handle)
}

/// The command that gets rid of an endpoint whose pod is proven gone from there.
pub(super) fn removal(world: &World<'_>, endpoint: &Endpoint) -> String {
    match handle_left(world, endpoint) {
        Some(handle) => release_handle(&handle.text(&world.snapshot.names)),
        None => delete_endpoint(world.text(endpoint.namespace), &endpoint.name().text(&world.snapshot.names)),
    }
}

/// Advice and commands that get rid of an endpoint whose pod is proven gone from there, and ask about its addresses.
/// `node`: how it is called.
pub(super) fn with_removal<'w>(draft: Draft<'w>, world: &World<'_>, endpoint: &Endpoint, node: &str) -> Draft<'w> {
    let handle = handle_left(world, endpoint).map(|handle| handle.text(&world.snapshot.names));
    let how = match handle {
        Some(_) => "release its handle and with it the endpoint",
        None => "delete the endpoint",
    };
    draft
        .advice(format!("{}{node}, {how}", sandbox::WHEN_NONE))
        .with_each(handle, |draft, handle| draft.fact("handle_left", handle))
        .no_sandbox_of(world, [endpoint])
        .next(removal(world, endpoint))
        .next(get_endpoint(world.text(endpoint.namespace), &endpoint.name().text(&world.snapshot.names)))
        .with_each(endpoint.addresses().iter(), |draft, address| draft.next(format!("ipaudit who {address}")))
}

/// Calls `each` for every group of two or more endpoints of one node (by its Calico name) that share a feature.
pub(super) fn on_one_node<'w, T: Ord + Hash>(
    world: &World<'w>,
    feature: impl Fn(&Endpoint) -> Option<T>,
    mut each: impl FnMut(&[&'w Endpoint]),
) {
    let marks = || world.snapshot.endpoints.iter().filter_map(|e| Some(((e.node, feature(e)?), e)));
    // Mostly none: then nothing has to be sorted.
    let repeated = Repeated::among(marks().map(|(mark, _)| mark));
    if repeated.is_empty() {
        return;
    }
    let mut marked: Vec<((Name, T), &Endpoint)> = marks().filter(|(mark, _)| repeated.has(mark)).collect();
    // Stable: of one group the snapshot's order.
    marked.sort_by(|a, b| a.0.cmp(&b.0));
    for group in marked.chunk_by(|a, b| a.0 == b.0) {
        if group.len() > 1 {
            let mut group: Vec<&Endpoint> = group.iter().map(|(_, e)| *e).collect();
            group.sort_by_cached_key(|e| (world.text(e.namespace), e.name().text(&world.snapshot.names)));
            each(&group);
        }
    }
}
