//! IPA133: a pod waits for the address that its predecessor still has in IPAM.

use std::time::Duration;

use super::leaked_address;
use crate::checks::prelude::*;
use crate::model::Time;

pub static CHECK: Check = Check {
    code: Code(133),
    name: "address-awaited",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::P).and(Needs::W).and(Needs::N),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "A pod that has no address for longer than the grace, and an allocation in its name (or of an address that \
        it asks for by annotation ipAddrs), of another container or of none, that is older than the pod by more than \
        an hour.",
    matters: "The pod waits for an address that IPAM believes its predecessor to hold, and will wait for ever: \
        Calico's collector takes a pod of that name without an address for the owner.",
    arises: "A StatefulSet's pod, or a pod with a fixed address, was deleted while its CNI DEL could not run (the node \
        died, etcd was away), and came back under its name.",
    action: "Delete the pod once more: the next one is younger than the first audit that saw the allocation, and then \
        its age proves the leak (IPA110). Or release the address by itself; the pod that waits is no obstacle.",
    silent: "Anybody else possibly holds the address, or an endpoint that is not older than the pod has the \
        allocation's container; IPA110 proves the leak already; pods that finished, are terminating, are not scheduled \
        or in the host's network; static pods' mirrors, which can be younger than their sandbox; tunnels, services, \
        KubeVirt machines, reservations, cooling addresses; other clusters' nodes, and what does not decode. An \
        endpoint of the predecessor does not hide it.",
    ties: Ties { harm: Harm::Outage, many: "addresses that a waiting pod cannot get", ..Ties::OURS },
    run,
};

/// So much older than the pod an allocation must be: more than any clock of a node is wrong, or an ADD takes.
const OLDER: Duration = Duration::from_secs(60 * 60);

/// Who waits for an address.
#[derive(Debug)]
pub struct Awaited<'w> {
    pub pod: &'w Pod,
    /// Endpoints of the pod's name that are older than the pod, so its predecessor's: these hold nothing.
    pub predecessors: Vec<&'w Endpoint>,
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    if !world.snapshot.pods.iter().any(|pod| waits(world, pod)) {
        return;
    }
    for allocation in &world.ledger.allocations {
        if candidates(world, allocation).any(|pod| waits(world, pod)) {
            findings.extend(awaited(world, allocation).map(|awaited| report(world, allocation, &awaited)));
        }
    }
}

/// The pod that waits for the address of an allocation, when the catalogue's rule holds. It alone asks for the address:
/// releasing that is then no one's loss.
pub fn awaited<'w>(world: &World<'w>, allocation: &Allocation) -> Option<Awaited<'w>> {
    let ledger = world.ledger;
    // A missing attribute, a reservation, a tunnel, a service or a machine waits for nobody.
    if !matches!(allocation.used_for, Use::Pod | Use::Unattributed) || !ledger.is_judged(allocation) {
        return None;
    }
    let owner = ledger.owner_node(allocation);
    if ledger.dark.address(allocation.address) || (!owner.is_none() && ledger.dark.node(owner)) {
        return None;
    }
    let found = candidates(world, allocation).find_map(|pod| waits_for(world, allocation, pod))?;
    // Not where the leak is proven.
    leaked_address::proof(world, allocation).is_none().then_some(found)
}

/// The pods that may wait for an allocation: those that it names, and those that ask for its address.
fn candidates<'w>(world: &World<'w>, allocation: &Allocation) -> impl Iterator<Item = &'w Pod> {
    named_pods(world, allocation).chain(world.ledger.pods_asking_for(allocation.address))
}

fn waits_for<'w>(world: &World<'w>, allocation: &Allocation, pod: &'w Pod) -> Option<Awaited<'w>> {
    let ledger = world.ledger;
    let dark = ledger.scope.calico_names(pod.node).iter().any(|&home| ledger.dark.node(home));
    if dark || !waits(world, pod) || !is_older(world, allocation, pod) {
        return None;
    }
    let others = named_pods(world, allocation).any(|other| other.uid != pod.uid && !other.phase.is_finished());
    let held = ledger.claims_at(allocation.address).iter().any(|claim| is_another(world, claim, pod));
    let is_own = |e: &Endpoint| ledger.is_endpoint_of(e, pod.namespace, pod.name) && !is_predecessors(world, e, pod);
    let lives =
        container_lives(world, allocation, pod) || ledger.endpoints_at(allocation.address).any(|(e, _)| is_own(e));
    if others || held || lives {
        return None;
    }
    let predecessors = ledger.endpoints_about(allocation, pod.namespace, pod.name).into_iter();
    Some(Awaited { pod, predecessors: predecessors.filter(|e| is_predecessors(world, e, pod)).collect() })
}

/// Whether a pod waits for an address for longer than the grace.
fn waits(world: &World<'_>, pod: &Pod) -> bool {
    let grace = world.snapshot.kube_controllers.grace();
    let bare = pod.may_hold() && pod.addresses().is_empty() && !pod.is_terminating() && !pod.mirror;
    bare && pod.created().is_some_and(|created| world.snapshot.now.since(created) > grace)
        && world.ledger.scope.kubernetes_node_is_ours(pod.node)
}

/// The pods that an allocation names: by either owner set, or by a handle of the very old form.
fn named_pods<'w>(world: &World<'w>, allocation: &Allocation) -> impl Iterator<Item = &'w Pod> {
    let ledger = world.ledger;
    let by_owner: Vec<_> = ledger.owners_of(allocation).filter_map(|owner| owner.pod_name()).collect();
    let handle = ledger.handle_of(allocation).filter(|_| by_owner.is_empty());
    let handle = handle.filter(|_| allocation.used_for == Use::Unattributed);
    let by_owner = by_owner.into_iter().filter_map(move |(namespace, pod)| ledger.pod(namespace, pod));
    by_owner.chain(handle.and_then(|id| pod_of_handle(world, id)))
}

/// The pod of a handle of the very old form `<namespace>.<pod>`.
pub(super) fn pod_of_handle<'w>(world: &World<'w>, handle: HandleId) -> Option<&'w Pod> {
    let names = &world.snapshot.names;
    let id = handle.text(names);
    let (namespace, pod) = id.split_once('.')?;
    world.ledger.pod(names.find(namespace)?, names.find(pod)?)
}

/// By its own time, or because an audit saw it so long before the pod was made: either proves that it was there.
fn is_older(world: &World<'_>, allocation: &Allocation, pod: &Pod) -> bool {
    let timestamp = world.ledger.attribute_of(allocation).and_then(|attribute| attribute.owner().timestamp);
    let seen = world.past.and_then(|past| past.allocations.get(&world.ledger.tuple_of(allocation)));
    let before = |moment: Time| pod.created().is_some_and(|created| created.since(moment) > OLDER);
    [timestamp, seen].into_iter().flatten().any(before)
}

/// The pod's own endpoint is one that is not older than the pod; one that does not say when it was made may be.
fn is_predecessors(world: &World<'_>, endpoint: &Endpoint, pod: &Pod) -> bool {
    world.ledger.is_endpoint_of(endpoint, pod.namespace, pod.name)
        && endpoint.created().zip(pod.created()).is_some_and(|(made, created)| made < created)
}

/// Whether somebody else than the waiting pod, or what its predecessor left, possibly holds the address.
fn is_another(world: &World<'_>, claim: &Claim, pod: &Pod) -> bool {
    let mine = match claim.by {
        Claimant::Pod(index) => world.snapshot.pods.get(index as usize).is_some_and(|p| p.uid == pod.uid),
        Claimant::Endpoint(index) => {
            world.snapshot.endpoints.get(index as usize).is_some_and(|e| is_predecessors(world, e, pod))
        }
        Claimant::Tunnel(..) | Claimant::Service(_) | Claimant::HostEndpoint => false,
    };
    claim.grade != Grade::Stale && !mine
}

/// Whether an endpoint that is not left behind has the allocation's container, whatever it lists.
fn container_lives(world: &World<'_>, allocation: &Allocation, pod: &Pod) -> bool {
    let ledger = world.ledger;
    let left =
        |endpoint: &Endpoint| ledger.endpoint_state(endpoint).is_stale() || is_predecessors(world, endpoint, pod);
    ledger.handle_of(allocation).is_some_and(|id| ledger.endpoints_of_container(id.tail).any(|e| !left(e)))
}

fn report(world: &World<'_>, allocation: &Allocation, awaited: &Awaited<'_>) -> Finding {
    let ledger = world.ledger;
    let (address, pod) = (allocation.address, awaited.pod);
    let id = world.pod_id(pod);
    let owner = ledger.attribute_of(allocation).map(|attribute| attribute.owner()).unwrap_or_default();
    let named = named_pods(world, allocation).any(|named| named.uid == pod.uid);
    let whose = if named { "an allocation in its name" } else { "an allocation of the address that it asks for" };
    let waited =
        i64::try_from(pod.created().map_or(0, |at| world.snapshot.now.since(at).as_secs())).unwrap_or(i64::MAX);
    let predecessors = &awaited.predecessors;
    world
        .draft(&CHECK, address, format!("pod {id} waits without an address, and {whose} is older than it"))
        .advice("delete the pod once more, so that its age proves the leak; or release the address by itself")
        .fact("pod", world.pod_facts(pod))
        .fact("named", named)
        .fact("waiting_seconds", waited)
        .list("endpoints_left", predecessors.iter(), |e| world.endpoint_facts(e))
        .fact("ipam", world.allocation_facts(allocation))
        .since(owner.timestamp)
        .on_node(ledger.owner_node(allocation))
        .in_namespace(pod.namespace)
        .in_pool_of(address)
        .rests_on_allocation(allocation)
        .rests_on_pod(pod)
        .looks_at_endpoints_at_home(pod)
        .with_each(predecessors, |d, e| d.rests_on_endpoint(e))
        .looks_at(Look::CalicoNode(ledger.owner_node(allocation)))
        .looks_at(Look::KubeNode(pod.node))
        .restart(&[pod])
        .next(format!("ipaudit release --address {address} --i-know-what-this-is"))
        .next(format!("ipaudit who {address}"))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::ledger::Ledger;
    use crate::model::{AttributeFields, Owner, Phase};

    const ADDRESS: &str = "10.65.0.1";

    /// web-0 was made anew 40 minutes ago and waits; its predecessor's allocation is days old, its endpoint gone.
    fn waiting() -> Cluster {
        let mut c = Cluster::healthy();
        c.remove_endpoint("web-0");
        let (created, allocated) = (c.ago(40 * 60), c.ago(3 * 86_400));
        let mut pod = c.pod_mut("web-0");
        (pod.addresses, pod.phase, pod.ready, pod.created) = ([].into(), Phase::Pending, false, Some(created));
        drop(pod);
        c.attribute_mut(ADDRESS).owner.timestamp = Some(allocated);
        c
    }

    /// The predecessor's endpoint, which CNI DEL did not take along.
    fn endpoint_left(c: &mut Cluster) {
        let made = c.ago(3 * 86_400);
        c.endpoint("shop", "web-0", "node-1", &Cluster::container("shop", "web-0"), &[ADDRESS]).created = Some(made);
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_pod_waits_for_the_address_of_its_predecessor() {
        let found = waiting().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw(), found[0].severity), (1, ADDRESS, Severity::Warning));
        assert_eq!(
            found[0].summary,
            "pod shop/web-0 waits without an address, and an allocation in its name is older than it"
        );
        let next = [
            "kubectl -n shop delete pod web-0",
            "ipaudit release --address 10.65.0.1 --i-know-what-this-is",
            "ipaudit who 10.65.0.1",
        ];
        assert_eq!(found[0].next, next);
        let mut c = waiting();
        assert!(c.find(&leaked_address::CHECK).is_empty(), "a first audit cannot prove the leak");
        // What a release asks, of one allocation.
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let pod = |text: &str| awaited(&world, &ledger.allocations_at(addr(text))[0]).map(|a| world.pod_id(a.pod));
        assert_eq!((pod(ADDRESS), pod("10.65.0.2")), (Some("shop/web-0".to_owned()), None));
    }

    #[test]
    fn the_predecessors_endpoint_does_not_hide_it() {
        for node in ["node-1", "node-2"] {
            let mut c = waiting();
            endpoint_left(&mut c);
            let node = c.name(node);
            c.endpoint_mut("web-0").node = node;
            assert_eq!(c.subjects(&CHECK), [ADDRESS]);
        }
        let mut c = waiting();
        endpoint_left(&mut c);
        c.endpoint_mut("web-0").created = Some(c.ago(60));
        assert!(c.find(&CHECK).is_empty(), "an endpoint not older than the pod is its own");
        c.endpoint_mut("web-0").created = None;
        assert!(c.find(&CHECK).is_empty(), "one that does not say when it was made may be");
    }

    /// By annotation ipAddrs, whatever the allocation's owner was called; a name of no pod is a leak (IPA110).
    #[test]
    fn an_address_that_it_asks_for() {
        let asked = |attribute: AttributeFields| {
            let mut c = waiting();
            c.allocate("10.65.0.9", attribute);
            c.pod_mut("web-0").asked_for = [addr("10.65.0.9")].into();
            c
        };
        let mut c = Cluster::healthy();
        let mut nobody = c.pod_attribute("k8s-pod-network.0123", "shop", "", "node-1");
        nobody.owner.timestamp = Some(c.ago(3 * 86_400));
        let found = asked(nobody).find(&CHECK);
        assert_eq!(found.iter().map(|f| f.subject.id.raw()).collect::<Vec<_>>(), [ADDRESS, "10.65.0.9"]);
        assert!(found[1].summary.raw().contains("of the address that it asks for"), "{:?}", found[1].summary);
        let gone = c.pod_attribute("k8s-pod-network.0123", "shop", "gone-0", "node-1");
        let mut c = asked(gone);
        assert_eq!(
            (c.subjects(&CHECK), c.subjects(&leaked_address::CHECK)),
            (vec![ADDRESS.into()], vec!["10.65.0.9".into()])
        );
    }

    #[test]
    fn the_history_proves_the_age_too() {
        let mut c = waiting();
        c.attribute_mut(ADDRESS).owner.timestamp = None;
        assert!(c.find(&CHECK).is_empty());
        let snapshot = c.snapshot();
        let tuple = {
            let ledger = Ledger::build(&snapshot, c.scope, None);
            ledger.tuple_of(&ledger.allocations_at(addr(ADDRESS))[0])
        };
        let seen = c.ago(2 * 3_600);
        c.remember().allocations.insert(tuple, seen);
        assert_eq!(c.subjects(&CHECK), [ADDRESS]);
    }

    /// Both of its times precede the pod's creation by more than the grace: then it is proven leaked.
    #[test]
    fn what_is_proven_leaked_is_not_awaited() {
        let mut c = waiting();
        let snapshot = c.snapshot();
        let tuple = {
            let ledger = Ledger::build(&snapshot, c.scope, None);
            ledger.tuple_of(&ledger.allocations_at(addr(ADDRESS))[0])
        };
        let seen = c.ago(2 * 86_400);
        c.remember().allocations.insert(tuple, seen);
        assert_eq!((c.subjects(&CHECK).len(), c.subjects(&leaked_address::CHECK)), (0, vec![ADDRESS.to_owned()]));
    }

    #[test]
    fn the_pod_must_wait_and_the_allocation_be_older() {
        for quiet in [
            (|c: &mut Cluster| c.pod_mut("web-0").created = Some(c.ago(14 * 60))) as fn(&mut Cluster),
            |c| c.pod_mut("web-0").created = None,
            |c| c.pod_mut("web-0").addresses = [addr("10.65.0.7")].into(),
            |c| c.pod_mut("web-0").phase = Phase::Failed,
            |c| c.pod_mut("web-0").deleting = Some(c.snapshot.now),
            |c| c.pod_mut("web-0").host_network = true,
            |c| c.pod_mut("web-0").node = crate::model::Name::NONE,
            |c| c.pod_mut("web-0").mirror = true,
            |c| c.attribute_mut(ADDRESS).owner.timestamp = Some(c.ago(40 * 60 + 3_600)),
            |c| c.attribute_mut(ADDRESS).owner.timestamp = Some(c.ago(60)),
        ] {
            let mut c = waiting();
            quiet(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
        let mut c = waiting();
        c.attribute_mut(ADDRESS).owner.timestamp = Some(c.ago(40 * 60 + 3_601));
        assert_eq!(c.subjects(&CHECK), [ADDRESS]);
    }

    #[test]
    fn whoever_else_may_hold_it_protects_it() {
        for protect in [
            (|c: &mut Cluster| c.pod_mut("web-1").addresses = [addr(ADDRESS)].into()) as fn(&mut Cluster),
            |c| c.endpoint_mut("web-1").addresses = [addr(ADDRESS)].into(),
            |c| c.pod_mut("web-1").network_status = [addr(ADDRESS)].into(),
            |c| c.pod_mut("web-1").floating = [addr(ADDRESS)].into(),
            |c| {
                c.endpoint("shop", "x", "node-1", &Cluster::container("shop", "web-0"), &["10.65.0.9"]);
            },
            |c| c.snapshot.calico_nodes[0].tunnels = [(crate::model::Tunnel::Vxlan, addr(ADDRESS))].into(),
            |c| c.snapshot.host_endpoint_addresses = vec![addr(ADDRESS)],
            |c| {
                let pod = c.name("web-1");
                let other = Owner { pod, ..c.attribute_mut(ADDRESS).owner };
                c.attribute_mut(ADDRESS).alternate = Some(Box::new(other));
            },
        ] {
            let mut c = waiting();
            // The endpoint of the container that lives is of a pod that lives.
            c.pod("shop", "x", "node-1", &["10.65.0.9"]);
            protect(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn machines_tunnels_services_reservations_and_cooling_addresses_wait_for_nobody() {
        for change in [
            (|c: &mut Cluster| {
                let id = crate::model::HandleId::intern(&mut c.snapshot.names, "k8s-pod-network.vmi.shop.web");
                c.attribute_mut(ADDRESS).handle = id;
            }) as fn(&mut Cluster),
            |c| {
                let kind = c.name("vxlanTunnelAddress");
                c.attribute_mut(ADDRESS).owner.kind = kind;
            },
            |c| {
                let service = c.name("mail");
                c.attribute_mut(ADDRESS).owner.service = service;
            },
            |c| c.attribute_mut(ADDRESS).reserved = true,
            |c| c.attribute_mut(ADDRESS).released_at = Some(c.snapshot.now),
            |c| c.dark("10.65.0.0/26"),
            |c| {
                let bad = crate::checks::testing::undecodable_endpoint(&mut c.snapshot.names, "node-1");
                c.snapshot.bad_values.push(bad);
            },
        ] {
            let mut c = waiting();
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
