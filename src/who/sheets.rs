//! One sheet a thing: IPAM's allocation, the holders, handles, pods, endpoints and nodes as the ledger has them.

use super::dossier::{
    AddressSheet, AllocationSheet, BlockSheet, CountRow, EndpointSheet, HandleSheet, HeldBy, HolderKind, NodeSheet,
    PodSheet,
};
use super::kernel;
use crate::ledger::{AddressState, Allocation, Belief, Claim, Claimant, EndpointState, Ledger};
use crate::model::foreign::foreign;
use crate::model::{Addr, Cidr, Endpoint, Foreign, HandleId, HostKind, Input, Name, Owner, Pod, Tunnel, endpoint};

fn text(ledger: &Ledger<'_>, name: Name) -> Option<Foreign> {
    name.some().map(|name| ledger.snapshot.named(name))
}

fn interface(ledger: &Ledger<'_>, e: &Endpoint) -> Option<Foreign> {
    e.interface().some().map(|interface| interface.text(&ledger.snapshot.names).into())
}

fn owner_text(ledger: &Ledger<'_>, owner: &Owner) -> Option<Foreign> {
    let snapshot = ledger.snapshot;
    if let Some((namespace, pod)) = owner.pod_name() {
        return Some(snapshot.pair(namespace, pod).into());
    }
    if !owner.service.is_none() {
        return Some(foreign!("service {}", snapshot.pair(owner.namespace, owner.service)));
    }
    let tunnel = Tunnel::of_attribute(ledger.text(owner.kind));
    tunnel.map(|t| foreign!("{} tunnel of {}", t.word(), snapshot.named(owner.node)))
}

/// What one block has of an address.
pub fn allocation(ledger: &Ledger<'_>, allocation: &Allocation) -> AllocationSheet {
    let (block, attribute) = (ledger.block_of(allocation), ledger.attribute_of(allocation));
    let tunnel = || {
        let named = ledger.tunnels_named(allocation);
        named.first().map(|t| foreign!("{} tunnel of {}", t.tunnel.word(), t.node))
    };
    AllocationSheet {
        block: block.cidr,
        ordinal: allocation.ordinal,
        affinity: block.affinity.map(|h| foreign!("{}:{}", h.kind.word(), ledger.snapshot.named(h.name))),
        used_for: allocation.used_for,
        handle: ledger.handle_of(allocation).map(|h| h.text(&ledger.snapshot.names).into()),
        owner: attribute.and_then(|a| owner_text(ledger, &a.owner())).or_else(tunnel),
        alternate: attribute.and_then(|a| owner_text(ledger, a.alternate()?)),
        node: text(ledger, ledger.owner_node(allocation)),
        allocated: attribute.and_then(|a| a.owner().timestamp),
        released: attribute.and_then(|a| a.released_at()),
        sequence: block.allocation_sequence(allocation.ordinal),
        block_revision: block.meta.mod_revision,
    }
}

/// Everything about one address.
pub fn address(ledger: &Ledger<'_>, address: Addr) -> AddressSheet {
    let snapshot = ledger.snapshot;
    let belief = ledger.belief(address);
    let read = snapshot.coverage.complete(Input::Blocks);
    let queue_place = match belief {
        Belief::Free(Some((_, place))) if read => Some(place as u64),
        _ => None,
    };
    let pools = snapshot.pools.iter().filter(|p| p.cidr.contains(address));
    let mut blocks: Vec<_> = ledger.blocks().filter(|b| b.cidr.contains(address)).map(|b| b.cidr).collect();
    blocks.sort_by_key(|b| std::cmp::Reverse(b.prefix()));
    AddressSheet {
        address,
        state: match belief {
            Belief::Free(_) if !read => AddressState::Unknown,
            belief => belief.state(),
        },
        queue_place,
        block: blocks.first().copied(),
        pool: pools.max_by_key(|p| p.cidr.prefix()).map(|p| snapshot.named(p.name)),
        reservation: ledger.reservation_of(address).map(|r| snapshot.named(r.name)),
        allocations: ledger.allocations_at(address).iter().map(|a| allocation(ledger, a)).collect(),
        holders: ledger.claims_at(address).iter().filter_map(|c| holder(ledger, c)).collect(),
        kernels: kernel::sheets(ledger, address),
    }
}

fn holder(ledger: &Ledger<'_>, claim: &Claim) -> Option<HeldBy> {
    let snapshot = ledger.snapshot;
    let (kind, id, node, detail): (_, Foreign, _, Foreign) = match claim.by {
        Claimant::Pod(i) => {
            let pod = snapshot.pods.get(i as usize)?;
            (HolderKind::Pod, snapshot.pair(pod.namespace, pod.name).into(), pod.node, pod_detail(pod).into())
        }
        Claimant::Endpoint(i) => {
            let e = snapshot.endpoints.get(i as usize)?;
            let state = state_sentence(ledger.endpoint_state(e));
            let detail = interface(ledger, e).map_or(state.into(), |wire| foreign!("{} {state}", wire));
            (HolderKind::Endpoint, snapshot.endpoint_id(e).into(), e.node, detail)
        }
        Claimant::Tunnel(i, tunnel) => {
            let node = snapshot.calico_nodes.get(i as usize)?;
            (HolderKind::Tunnel, snapshot.named(node.name), node.name, tunnel.word().into())
        }
        Claimant::Service(i) => {
            let service = snapshot.services.get(i as usize)?;
            let id = snapshot.pair(service.namespace, service.name).into();
            (HolderKind::Service, id, Name::NONE, Foreign::default())
        }
        Claimant::HostEndpoint => (HolderKind::HostEndpoint, Foreign::default(), Name::NONE, Foreign::default()),
    };
    Some(HeldBy { kind, id, node: text(ledger, node), grade: claim.grade, via: claim.via, detail })
}

fn pod_detail(pod: &Pod) -> String {
    let ready = if pod.ready { "ready" } else { "not ready" };
    let ending = if pod.is_terminating() { ", terminating" } else { "" };
    format!("{}, {ready}{ending}", pod.phase.word())
}

const fn state_sentence(state: EndpointState) -> &'static str {
    match state {
        EndpointState::NotJudged => "(not judged)",
        EndpointState::Live => "its pod lives",
        EndpointState::NoPod => "its pod does not exist",
        EndpointState::Finished => "its pod is finished",
        EndpointState::Elsewhere => "its pod lives on another node",
        EndpointState::Undecided => "its pod is undecided",
    }
}

/// A handle, its object and what blocks hold of it.
pub fn handle(ledger: &Ledger<'_>, id: HandleId) -> HandleSheet {
    let object = ledger.handle(id);
    let held = ledger.held(id);
    let counted: Vec<_> = object.map(|h| h.counts().to_vec()).unwrap_or_default();
    let mut blocks: Vec<_> = counted.iter().chain(&held).map(|(cidr, _)| *cidr).collect();
    blocks.sort();
    blocks.dedup();
    let number = |list: &[(Cidr, i64)], block| {
        list.iter().filter(|(cidr, _)| *cidr == block).fold(0i64, |sum, (_, n)| sum.saturating_add(*n))
    };
    let row = |block| CountRow { block, counted: number(&counted, block), held: number(&held, block) };
    HandleSheet {
        id: id.text(&ledger.snapshot.names).into(),
        exists: object.is_some(),
        counts: blocks.into_iter().map(row).collect(),
        addresses: ledger.allocations_of(id).map(|a| a.address).collect(),
    }
}

/// A pod as Kubernetes says.
pub fn pod(ledger: &Ledger<'_>, pod: &Pod) -> PodSheet {
    let snapshot = ledger.snapshot;
    PodSheet {
        pod: snapshot.pair(pod.namespace, pod.name).into(),
        uid: pod.uid.text(&snapshot.names).into(),
        node: snapshot.named(pod.node),
        phase: pod.phase,
        ready: pod.ready,
        terminating: pod.is_terminating(),
        host_network: pod.host_network,
        created: pod.created(),
        controller: pod.controller.map(|(kind, name)| snapshot.pair(kind, name).into()),
        addresses: pod.addresses().to_vec(),
    }
}

/// An endpoint as Calico says.
pub fn endpoint(ledger: &Ledger<'_>, e: &Endpoint) -> EndpointSheet {
    let snapshot = ledger.snapshot;
    EndpointSheet {
        endpoint: snapshot.endpoint_id(e).into(),
        pod: snapshot.pair(e.namespace, e.pod).into(),
        node: snapshot.named(e.node),
        container: snapshot.named(e.container),
        interface: interface(ledger, e).unwrap_or_default(),
        mac: e.mac().map(|mac| endpoint::mac_text(mac).into()),
        addresses: e.addresses().to_vec(),
        state: ledger.endpoint_state(e),
    }
}

/// Each address once: Calico names one of a node in several places.
fn once(addresses: &[Addr]) -> Vec<Addr> {
    let mut seen = std::collections::HashSet::new();
    addresses.iter().filter(|a| seen.insert(**a)).copied().collect()
}

/// A node by both names.
pub fn node(ledger: &Ledger<'_>, name: Name) -> NodeSheet {
    let snapshot = ledger.snapshot;
    let calico = ledger.calico_node(name);
    let kubernetes = ledger.scope.kubernetes_name(name);
    let kube = snapshot.kube_nodes.iter().find(|n| n.name == kubernetes);
    let own = |b: &&crate::model::Block| b.affinity.is_some_and(|h| h.kind == HostKind::Host && h.name == name);
    let block = |b: &crate::model::Block| BlockSheet {
        block: b.cidr,
        allocated: b.allocated().filter(|(_, a)| a.is_none_or(|a| a.released_at().is_none())).count() as u64,
        size: u64::from(b.size()),
    };
    NodeSheet {
        calico: calico.and_then(|n| text(ledger, n.name)),
        kubernetes: kube.and_then(|n| text(ledger, n.name)),
        standing: ledger.scope.standing(name),
        ready: kube.and_then(|n| n.ready),
        addresses: calico.map(|n| once(&n.addresses)).unwrap_or_default(),
        tunnels: calico.into_iter().flat_map(|n| n.tunnels.iter()).map(|(t, a)| format!("{} {a}", t.word())).collect(),
        blocks: ledger.blocks().filter(own).map(block).collect(),
        pods: snapshot.pods.iter().filter(|p| p.node == kubernetes && p.may_hold()).count() as u64,
        endpoints: snapshot.endpoints.iter().filter(|e| e.node == name).count() as u64,
        kernel: kernel::of_node(snapshot, name),
    }
}
