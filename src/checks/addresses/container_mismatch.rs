//! IPA131: an endpoint lists an address that IPAM has allocated to another container.

use crate::checks::addresses::duplicate_pod_address;
use crate::checks::evidence::count;
use crate::checks::prelude::*;
use crate::ledger::{EndpointState, Via};
use crate::model::Orchestrator;
use crate::model::number::grouped;

pub static CHECK: Check = Check {
    code: Code(131),
    name: "container-mismatch",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::W),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Address,
    finds: "A pod's endpoint has one container, the allocation of its address has the handle of another one on the \
        same network. An error when the owner that the allocation names lives too.",
    matters: "The container's id is the strongest tie between an endpoint and its allocation. Where it is broken, a \
        DEL for the one container frees the address of the other.",
    arises: "An address was released under a running pod and handed out again, a DEL ran for an old container, or etcd \
        was restored from a backup.",
    action: "See who holds the address (`ipaudit who`), then restart the pod whose container the allocation does not \
        name.",
    silent: "Endpoints left behind, endpoints without a container, allocations without a handle, KubeVirt machines \
        (their handle outlives every launcher pod), handles of another network or of the very old form \
        `<namespace>.<pod>`, tunnels, addresses of host-local IPAM (IPA908). Of overlapping blocks one allocation that \
        fits is enough. Control bytes at the end of a handle's id do not count.",
    ties: Ties {
        harm: Harm::Threat,
        many: "addresses whose endpoint has another container",
        also: Needs::P,
        explained_by: Some(duplicate_pod_address::explains),
        ..Ties::OURS
    },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    findings.extend(world.claims_by_address().filter_map(|(address, claims)| judge(world, address, claims)));
}

fn judge(world: &World<'_>, address: Addr, claims: &[Claim]) -> Option<Finding> {
    let ledger = world.ledger;
    let mut endpoints = claims.iter().filter_map(|c| tied_endpoint(world, c)).peekable();
    endpoints.peek()?;
    let allocations: Vec<&Allocation> =
        ledger.allocations_at(address).iter().filter(|a| a.used_for != Use::Cooling).collect();
    // What lies at an address of host-local IPAM is of another time (IPA908).
    let host_local =
        |e: &Endpoint| ledger.pod(e.namespace, e.pod).is_some_and(|pod| ledger.is_host_local(pod, address));
    let strangers: Vec<&Endpoint> =
        endpoints.filter(|e| contradicts(world, &allocations, e) && !host_local(e)).collect();
    let accuses = !strangers.is_empty() && !ledger.dark.address(address);
    accuses.then(|| report(world, address, &allocations, &strangers))
}

/// The endpoint of a claim, when it can be held against a container: of a pod of ours, not left behind.
fn tied_endpoint<'w>(world: &World<'w>, claim: &Claim) -> Option<&'w Endpoint> {
    let Claimant::Endpoint(index) = claim.by else { return None };
    let endpoint = world.snapshot.endpoints.get(index as usize)?;
    let tied = claim.via == Via::Object
        && claim.grade != Grade::Stale
        && endpoint.orchestrator() == Orchestrator::Kubernetes
        && !endpoint.container.is_none()
        && matches!(world.ledger.endpoint_state_at(index), EndpointState::Live | EndpointState::Undecided);
    tied.then_some(endpoint)
}

/// Whether all allocations have handles, at least one of another container on the same network that may be held
/// against the endpoint, and none of its own container.
fn contradicts(world: &World<'_>, allocations: &[&Allocation], endpoint: &Endpoint) -> bool {
    let ledger = world.ledger;
    let strange = |a: &Allocation, id: HandleId| {
        a.used_for != Use::Vm && is_on_its_network(world, endpoint, id) && ledger.is_judged(a)
    };
    let mut accused = false;
    for allocation in allocations {
        match ledger.handle_of(allocation) {
            None => return false,
            Some(id) if id.dotted && id.tail == endpoint.container => return false,
            Some(id) => accused |= strange(allocation, id),
        }
    }
    accused
}

/// Whether a handle is a container's on the endpoint's network.
fn is_on_its_network(world: &World<'_>, endpoint: &Endpoint, id: HandleId) -> bool {
    id.dotted && !id.head.is_none() && world.ledger.is_on_network(endpoint, id.head)
}

/// Whether the pod that an allocation names lives in the very container of its handle: its endpoint at home has
/// it, or, where it lost its endpoint, it holds the address for certain.
fn owner_lives(world: &World<'_>, allocation: &Allocation) -> bool {
    let ledger = world.ledger;
    let handle = ledger.handle_of(allocation);
    ledger.owners_of(allocation).filter_map(|owner| owner.pod_name()).any(|(namespace, name)| {
        ledger.pod(namespace, name).filter(|pod| pod.may_hold()).is_some_and(|pod| {
            let in_it = |e: &Endpoint| handle.is_some_and(|h| h.dotted && h.tail == e.container);
            let mut at_home = ledger.endpoints_at_home(pod).peekable();
            let bare = at_home.peek().is_none();
            at_home.any(in_it) || (bare && ledger.pod_is_certain(namespace, name, allocation.address))
        })
    })
}

fn report(world: &World<'_>, address: Addr, allocations: &[&Allocation], strangers: &[&Endpoint]) -> Finding {
    let ledger = world.ledger;
    let handles = allocations.iter().filter_map(|a| ledger.handle_of(a));
    let owner_lives = allocations.iter().any(|a| owner_lives(world, a));
    let owners = allocations.iter().flat_map(|a| ledger.owners_of(a)).filter_map(|o| o.pod_name());
    let first = strangers.first();
    let whose = match strangers {
        [one] => format!("the endpoint of {} has another container", world.pair(one.namespace, one.pod)),
        many => format!("{} have other containers", count(many.len(), "endpoint")),
    };
    let mut pods: Vec<&Pod> = strangers.iter().filter_map(|e| ledger.pod(e.namespace, e.pod)).collect();
    pods.sort_by_cached_key(|pod| world.pod_id(pod));
    pods.dedup_by_key(|pod| pod.uid);
    let restart = match pods.is_empty() {
        true => "restart the pod whose container the allocation does not name".to_owned(),
        false => world.restart_words(&pods, |number| format!("the {} pods of these endpoints", grouped(number as u64))),
    };
    world
        .draft(&CHECK, address, format!("{whose} than the allocation's handle"))
        .advice(format!("look who holds it first; then {restart}"))
        .restarts_pods(true)
        .severity(if owner_lives { Severity::Error } else { Severity::Warning })
        .list("endpoints", strangers.iter(), |e| world.endpoint_facts(e))
        .list("handles", handles, |id| id.text(&world.snapshot.names))
        .fact("owner_lives", owner_lives)
        .list("ipam", allocations.iter(), |a| world.allocation_facts(a))
        .on_node(first.map(|e| e.node).unwrap_or_default())
        .in_namespace(first.map(|e| e.namespace).unwrap_or_default())
        .in_pool_of(address)
        .with_each(strangers, |d, e| d.rests_on_endpoint(e).looks_at(Look::Pod(e.namespace, e.pod)))
        .with_each(owners, |d, (namespace, pod)| d.looks_at(Look::Pod(namespace, pod)))
        .with_each(allocations, |d, a| d.rests_on_allocation(a))
        .next(format!("ipaudit who {address}"))
        .restart_each(pods)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::{AttributeFields, Phase};

    fn handle(c: &mut Cluster, address: &str, id: &str) {
        c.attribute_mut(address).handle = HandleId::intern(&mut c.snapshot.names, id);
    }

    /// The allocation of web-0's address has the handle of another container, and names a pod that is gone.
    fn swapped() -> Cluster {
        let mut c = Cluster::healthy();
        handle(&mut c, "10.65.0.1", "k8s-pod-network.0123");
        let former = c.name("former-0");
        c.attribute_mut("10.65.0.1").owner.pod = former;
        c
    }

    /// web-2 uses the address of web-0 as well.
    fn doubled() -> Cluster {
        let mut c = Cluster::healthy();
        let address: Box<[Addr]> = ["10.65.0.1".parse().unwrap()].into();
        c.pod_mut("web-2").addresses = address.clone();
        c.endpoint_mut("web-2").addresses = address;
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn another_container_is_a_warning_and_with_a_living_owner_an_error() {
        let found = swapped().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.1"));
        assert_eq!(found[0].severity, Severity::Warning);
        assert_eq!(found[0].summary, "the endpoint of shop/web-0 has another container than the allocation's handle");
        assert_eq!(found[0].advice, "look who holds it first; then restart shop/web-0");
        assert_eq!(found[0].next, ["ipaudit who 10.65.0.1", "kubectl -n shop delete pod web-0"]);
        let found = doubled().find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Error));
        assert_eq!(found[0].summary, "the endpoint of shop/web-2 has another container than the allocation's handle");
    }

    #[test]
    fn a_namesake_in_another_container_is_not_the_owner_alive() {
        let mut c = Cluster::healthy();
        handle(&mut c, "10.65.0.1", "k8s-pod-network.0123");
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning);
    }

    #[test]
    fn an_owner_that_lost_its_endpoint_lives_when_it_is_certain() {
        let mut c = doubled();
        c.remove_endpoint("web-0");
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error);
        c.remove_pod("web-0");
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning);
    }

    #[test]
    fn control_bytes_do_not_count() {
        let mut c = Cluster::healthy();
        let id = format!("{}\r\neth0", Cluster::handle_id("shop", "web-0"));
        handle(&mut c, "10.65.0.1", &id);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn what_has_no_container_of_this_network_contradicts_nobody() {
        for id in [
            "",
            "macvlan-net.0123",
            "shop.web-0",
            "shop.former-0",
            "k8s-pod-network.vmi.shop.fedora",
            "ipip-tunnel-addr-node-1",
            "lb-po9BrpGz",
            "windows-reserved-ipam-handle",
            ".0123",
        ] {
            let mut c = swapped();
            handle(&mut c, "10.65.0.1", id);
            assert!(c.find(&CHECK).is_empty(), "{id}");
        }
        let mut c = swapped();
        let machine = c.name("fedora");
        c.attribute_mut("10.65.0.1").owner.vmi = machine;
        assert!(c.find(&CHECK).is_empty(), "a machine's, though its handle is a container's");
        let mut c = swapped();
        c.endpoint_mut("web-0").container = crate::model::Name::NONE;
        assert!(c.find(&CHECK).is_empty());
    }

    /// Without a handle of its container an endpoint is taken to be of the network that most pods are on; an
    /// allocation of another network then says nothing of it.
    #[test]
    fn without_a_handle_the_usual_network_counts_and_no_other() {
        let mut c = Cluster::healthy();
        c.remove_handle(&Cluster::handle_id("shop", "web-0"));
        handle(&mut c, "10.65.0.1", "macvlan-net.0123");
        assert!(c.find(&CHECK).is_empty());
        handle(&mut c, "10.65.0.1", "k8s-pod-network.0123");
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"]);
    }

    /// Where most handles are of the very old form, their namespace is no network.
    #[test]
    fn very_old_handles_make_no_network() {
        let mut c = Cluster::healthy();
        for (pod, address) in [("web-0", "10.65.0.1"), ("web-1", "10.65.0.2"), ("web-2", "10.65.0.65")] {
            handle(&mut c, address, &format!("shop.{pod}"));
            c.remove_handle(&Cluster::handle_id("shop", pod));
        }
        assert!(c.find(&CHECK).is_empty());
    }

    /// web-0 has a second attachment; the container's two networks do not hide the mismatch on either.
    #[test]
    fn a_container_on_two_networks_is_judged_on_both() {
        for network in ["a-net", "z-net"] {
            let mut c = swapped();
            let id = format!("{network}.{}", Cluster::container("shop", "web-0"));
            c.handle(&id, &["10.65.0.1"]);
            assert_eq!(c.subjects(&CHECK), ["10.65.0.1"], "{network}");
            handle(&mut c, "10.65.0.1", &format!("{network}.0123"));
            assert_eq!(c.subjects(&CHECK), ["10.65.0.1"], "{network}");
            handle(&mut c, "10.65.0.1", &id);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn an_endpoint_left_behind_accuses_nobody() {
        let mut c = doubled();
        c.remove_pod("web-2");
        assert!(c.find(&CHECK).is_empty(), "its pod is gone");
        let mut c = doubled();
        c.pod_mut("web-2").phase = Phase::Failed;
        assert!(c.find(&CHECK).is_empty(), "its pod is finished");
    }

    #[test]
    fn endpoints_and_allocations_of_others_are_not_judged() {
        let mut c = doubled();
        c.remove_kube_node("node-2");
        assert!(c.find(&CHECK).is_empty(), "another cluster's endpoint");
        let mut c = doubled();
        c.endpoint_mut("web-2").orchestrator = Orchestrator::Cni;
        assert!(c.find(&CHECK).is_empty(), "not Kubernetes'");
        let mut c = doubled();
        c.remove_kube_node("node-1");
        assert!(c.find(&CHECK).is_empty(), "another cluster's allocation");
    }

    #[test]
    fn of_overlapping_blocks_one_that_fits_is_enough() {
        let mut c = swapped();
        c.block("10.65.0.0/28", Some("node-2"));
        let fitting = c.pod_attribute(&Cluster::handle_id("shop", "web-0"), "shop", "web-0", "node-1");
        let block = c.block_mut("10.65.0.0/28");
        block.allocations[1] = Some(0);
        block.attributes = [fitting.into()].into();
        assert!(c.find(&CHECK).is_empty());
        c.block_mut("10.65.0.0/28").attributes = [AttributeFields::default().into()].into();
        assert!(c.find(&CHECK).is_empty(), "the one without a handle may be its own");
        c.snapshot.blocks.retain(|b| b.cidr.prefix() != 28);
        c.dark("10.65.0.0/28");
        assert!(c.find(&CHECK).is_empty(), "nor does anybody know what a block says that does not decode");
    }
}
