//! IPA113: an allocation of which nobody can say whose it is.

use super::address_awaited::pod_of_handle;
use super::leaked_address::container_is_alive;
use crate::checks::prelude::*;

pub static CHECK: Check = Check {
    code: Code(113),
    name: "unattributed-allocation",
    severity: Severity::Note,
    needs: Needs::B.and(Needs::W).and(Needs::P),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "An allocated address that nobody holds, not even possibly, and whose attributes name no owner.",
    matters: "It may be a leak, but nothing can prove it: neither Calico's collector nor ipaudit will ever give it \
        back.",
    arises: "Allocations of very old Calico versions, of tools that call IPAM without attributes, or attributes erased \
        by an older Calico that rewrote the block.",
    action: "Ask the node: does anything there use the address? If not, release it by itself.",
    silent: "KubeVirt machines (a stopped one keeps its address without attributes), reservations (Windows' and an \
        operator's own, whose attributes are nothing but a note), addresses that are cooling down, a very old tunnel \
        that a Calico Node shows, an attribute that is missing (IPA301), a handle that names a living container or a \
        pod that has no address yet; other clusters' blocks, and blocks without an owner unless the scope is \
        exclusive.",
    ties: Ties { many: "allocations that name no owner", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let unattributed = world.ledger.allocations.iter().filter(|a| a.used_for == Use::Unattributed);
    findings.extend(unattributed.filter(|a| is_nobodys(world, a)).map(|a| report(world, a)));
}

/// Whether this finds it, of one without an owner.
pub fn is_nobodys(world: &World<'_>, allocation: &Allocation) -> bool {
    let ledger = world.ledger;
    // A pod without its namespace, or a note, names somebody, though not well enough to look them up.
    let named = ledger.owners_of(allocation).any(|o| [o.pod, o.service, o.vmi, o.note].iter().any(|n| !n.is_none()));
    let owner_node = ledger.owner_node(allocation);
    let dark = ledger.dark.address(allocation.address) || (!owner_node.is_none() && ledger.dark.node(owner_node));
    let mut tunnels = ledger.tunnels_at(allocation.address);
    let old_tunnel = tunnels.any(|(node, ..)| ledger.may_be_old_tunnel_of(allocation, node));
    // Where the Calico Node is missing, nothing shows which address an old tunnel had (IPA410).
    let perhaps_tunnel = ledger.scope.is_unregistered(owner_node) && ledger.names_nobody(allocation);
    let handle = ledger.handle_of(allocation);
    let tied = || container_is_alive(world, handle) || handle.is_some_and(|h| waits(world, h));
    !named
        && !dark
        && !old_tunnel
        && !perhaps_tunnel
        && ledger.is_judged(allocation)
        && !ledger.is_held(allocation.address)
        && !tied()
}

/// A very old handle, `<namespace>.<pod>`, of a pod that has no address yet: undecided.
fn waits(world: &World<'_>, handle: HandleId) -> bool {
    let undecided = |pod: &Pod| !pod.phase.is_finished() && !pod.host_network && pod.addresses().is_empty();
    pod_of_handle(world, handle).is_some_and(undecided)
}

fn report(world: &World<'_>, allocation: &Allocation) -> Finding {
    let ledger = world.ledger;
    let address = allocation.address;
    let handle = ledger.handle_of(allocation);
    let id = handle.map(|h| h.text(&world.snapshot.names));
    let why = match &id {
        Some(id) => format!("handle {id} and no owner; nobody holds it"),
        None => "neither handle nor owner; nobody holds it".to_owned(),
    };
    let left: Vec<_> = ledger.endpoints_at(address).map(|(e, _)| e).collect();
    world
        .draft(&CHECK, address, why)
        .advice("nothing can prove it leaked: ask the node before releasing it by itself")
        .fact("handle", id)
        .list("endpoints_left", left.iter(), |e| world.endpoint_facts(e))
        .fact("ipam", world.allocation_facts(allocation))
        .since(ledger.attribute_of(allocation).and_then(|a| a.owner().timestamp))
        .on_node(ledger.owner_node(allocation))
        .in_pool_of(address)
        .rests_on_allocation(allocation)
        .with_each(handle, |d, h| d.looks_at(Look::Handle(h)))
        .with_each(left, |d, e| d.rests_on_endpoint(e))
        .next(format!("ipaudit who {address}"))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::ledger::ScopeFlag;
    use crate::model::{AttributeFields, BadValue, Foreign, Input, Orchestrator, Owner, snapshot::Dark};

    /// 10.65.0.9 on node-1 with this handle and nothing else.
    fn with(handle: &str) -> Cluster {
        let mut c = Cluster::healthy();
        let handle = HandleId::intern(&mut c.snapshot.names, handle);
        c.allocate("10.65.0.9", AttributeFields { handle, ..AttributeFields::default() });
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn an_allocation_without_owner_is_told_and_not_offered_for_release() {
        let found = with("k8s-pod-network.0123").find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.9"));
        assert_eq!(found[0].summary, "handle k8s-pod-network.0123 and no owner; nobody holds it");
        assert_eq!(
            (found[0].next.as_slice(), found[0].node.as_ref().map(Foreign::raw)),
            (&["ipaudit who 10.65.0.9".into()][..], Some("node-1"))
        );
        assert_eq!(with("").find(&CHECK)[0].summary, "neither handle nor owner; nobody holds it");
        assert_eq!(with("shop.gone-0").subjects(&CHECK), ["10.65.0.9"], "a very old pod that is gone");
    }

    /// A plain container's allocation names its node and nothing else.
    #[test]
    fn a_node_alone_is_no_owner() {
        let mut c = with("cni0.0123");
        let node = c.name("node-1");
        c.attribute_mut("10.65.0.9").owner = Owner { node, ..Owner::default() };
        assert_eq!(c.subjects(&CHECK), ["10.65.0.9"]);
        c.endpoint("default", "", "node-1", "0123", &["10.65.0.9"]).orchestrator = Orchestrator::Cni;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn whoever_may_hold_it_protects_it() {
        for protect in [
            (|c: &mut Cluster| c.pod_mut("web-0").network_status = [addr("10.65.0.9")].into()) as fn(&mut Cluster),
            |c| c.pod_mut("web-0").addresses = [addr("10.65.0.9")].into(),
            |c| c.snapshot.host_endpoint_addresses = vec![addr("10.65.0.9")],
            // The container lives, with another address.
            |c| c.endpoint_mut("web-0").container = c.snapshot.names.find("0123").unwrap(),
        ] {
            let mut c = with("k8s-pod-network.0123");
            protect(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn a_pod_of_a_very_old_handle_may_still_be_waiting() {
        let mut c = with("shop.slow.0");
        c.pod("shop", "slow.0", "node-1", &[]).ready = false;
        assert!(c.find(&CHECK).is_empty());
        c.pod_mut("slow.0").addresses = [addr("10.65.0.10")].into();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.9"]);
    }

    #[test]
    fn machines_windows_cooling_and_unknown_types_are_none() {
        assert!(with("k8s-pod-network.vmi.vms.stopped").find(&CHECK).is_empty());
        assert!(with("k8s-pod-network.vmi._abc").find(&CHECK).is_empty());
        assert!(with("WINDOWS-reserved-ipam-handle").find(&CHECK).is_empty());
        let mut c = with("");
        let now = c.snapshot.now;
        c.attribute_mut("10.65.0.9").released_at = Some(now);
        assert!(c.find(&CHECK).is_empty());
        let mut c = with("some-handle");
        let kind = c.name("futureAddress");
        c.attribute_mut("10.65.0.9").owner.kind = kind;
        assert!(c.find(&CHECK).is_empty());
        let mut c = with("some-handle");
        let note = c.name("windows host rsvd");
        c.attribute_mut("10.65.0.9").owner.note = note;
        assert!(c.find(&CHECK).is_empty());
        let mut c = with("some-handle");
        c.attribute_mut("10.65.0.9").reserved = true;
        assert!(c.find(&CHECK).is_empty(), "kept back, though the note is empty");
    }

    #[test]
    fn an_alternate_owner_is_an_owner() {
        let mut c = with("some-handle");
        let (namespace, pod) = (c.name("shop"), c.name("web-9"));
        c.attribute_mut("10.65.0.9").alternate = Some(Box::new(Owner { namespace, pod, ..Owner::default() }));
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn an_old_tunnel_and_a_missing_attribute_are_other_checks_work() {
        let mut c = Cluster::healthy();
        *c.attribute_mut("10.65.0.0") = AttributeFields::default();
        assert!(c.find(&CHECK).is_empty());
        c.remove_kube_node("node-1");
        c.scope = ScopeFlag::Exclusive;
        assert!(!c.subjects(&CHECK).contains(&"10.65.0.0".to_owned()), "of a departed node it is IPA111");
        let mut c = Cluster::healthy();
        c.block_mut("10.65.0.0/26").allocations[9] = Some(99);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn foreign_blocks_never_and_ownerless_ones_only_in_an_exclusive_scope() {
        let mut c = with("some-handle");
        c.block_mut("10.65.0.0/26").affinity = None;
        assert_eq!(c.subjects(&CHECK), ["10.65.0.9"]);
        c.node("east-1", "192.168.9.1");
        c.remove_kube_node("east-1");
        assert!(c.find(&CHECK).is_empty());
        let east = c.host("east-1");
        c.block_mut("10.65.0.0/26").affinity = Some(east);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn nobody_argues_from_the_absence_of_what_does_not_decode() {
        let mut c = with("some-handle");
        let node = c.name("node-1");
        c.snapshot.bad_values.push(BadValue {
            key: b"/calico/resources/v3/projectcalico.org/workloadendpoints/shop/node--1-k8s-x-eth0".to_vec(),
            input: Input::Endpoints,
            offset: None,
            reason: "no JSON".to_owned(),
            dark: vec![Dark::Node(node)],
            mod_revision: 1,
        });
        assert!(c.find(&CHECK).is_empty());
    }
}
