//! 5xx: workload endpoints.

pub mod endpoint_on_other_node;
pub mod pod_without_endpoint;
pub mod stale_endpoint;
pub mod twin_endpoints;

use super::World;
use super::evidence::{Draft, shell};
use crate::model::{Endpoint, HandleId, Subject, SubjectKind};

/// An endpoint as the subject of a finding: `namespace/name` of its key.
fn subject(world: &World<'_>, endpoint: &Endpoint) -> Subject {
    Subject::new(SubjectKind::Endpoint, world.pair(endpoint.namespace, endpoint.name))
}

/// `namespace/pod/endpoint`: what an endpoint is for, on whichever node.
fn workload(world: &World<'_>, endpoint: &Endpoint) -> String {
    format!("{}/{}", world.pair(endpoint.namespace, endpoint.pod), world.text(endpoint.endpoint))
}

/// The handle that an endpoint was made with, when IPAM still knows it: releasing it takes the endpoint along.
fn handle_left(world: &World<'_>, endpoint: &Endpoint) -> Option<HandleId> {
    let ledger = world.ledger;
    let tail = endpoint.container.some()?;
    let handle = HandleId { head: ledger.network_of(endpoint), tail, dotted: true };
    let known = ledger.handle(handle).is_some() || ledger.allocations_of(handle).next().is_some();
    known.then_some(handle)
}

/// Commands that get rid of an endpoint whose pod is proven gone from there.
fn with_removal<'w>(draft: Draft<'w>, world: &World<'_>, endpoint: &Endpoint) -> Draft<'w> {
    let (namespace, name) = (shell(world.text(endpoint.namespace)), shell(world.text(endpoint.name)));
    let draft = match handle_left(world, endpoint) {
        Some(handle) => draft
            .fact("handle_left", handle.text(&world.snapshot.names))
            .next(format!("ipaudit release --handle {}", shell(&handle.text(&world.snapshot.names)))),
        None => draft.next(format!("calicoctl delete workloadendpoint {name} --namespace={namespace}")),
    };
    draft.next(format!("calicoctl get workloadendpoint {name} --namespace={namespace} -o yaml"))
}
