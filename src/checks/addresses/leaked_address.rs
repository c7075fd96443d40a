//! IPA110: an address that IPAM has given away and that provably nobody holds.

use std::time::Duration;

use crate::checks::endpoints::{endpoint_on_other_node, stale_endpoint};
use crate::checks::evidence::release_handle;
use crate::checks::prelude::*;
use crate::model::Owner;

pub static CHECK: Check = Check {
    code: Code(110),
    name: "leaked-address",
    severity: Severity::Error,
    needs: Needs::B.and(Needs::P).and(Needs::K).and(Needs::W).and(Needs::N),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "An allocation that names a pod and a node of this cluster, while nobody holds the address and the owner \
        provably does not either: it does not exist, is finished, has another container now, or was born long after \
        the allocation.",
    matters: "Leaked addresses fill pools and keep blocks of dead nodes alive. An endpoint left behind may still draw \
        traffic.",
    arises: "CNI DEL never ran (the node died, etcd was away) or died between its writes, and Calico's collector does \
        not run, is stuck, or does not look: missing handle, owner or node.",
    action: "`ipaudit release --handle …` once it was seen leaked for long enough. Find out why DEL did not run.",
    silent: "Anybody holds it, even only possibly: a terminating pod, an endpoint, a secondary network, a floating \
        address, a pod without an address yet. Cooling addresses, tunnels, services, Windows' reservations, KubeVirt \
        machines, other clusters' nodes, ranges that do not decode, live pods of host-local IPAM (IPA908). The age of \
        an allocation alone proves nothing at the first audit.",
    ties: Ties {
        explained_by: Some(explained_by),
        proves_leak: true,
        leak_of: "pods",
        releasable: true,
        many: "leaked addresses",
        ..Ties::OURS
    },
    run,
};

/// An endpoint left behind explains the leak of the very address that it lists.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let left = finding.evidence.entries("endpoints_left").filter_map(|endpoint| endpoint.text("endpoint"));
    left.flat_map(|endpoint| [(stale_endpoint::CHECK.code, endpoint), (endpoint_on_other_node::CHECK.code, endpoint)])
        .find_map(|(code, endpoint)| causes.no_milder(finding, code, endpoint.raw()))
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let allocations = world.ledger.allocations.iter();
    findings.extend(allocations.filter_map(|a| Some(report(world, a, &proof(world, a)?))));
}

/// Why an allocation is proven leaked.
#[derive(Debug)]
pub enum Proof<'w> {
    NoSuchPod,
    Finished(&'w Pod),
    OtherContainer(&'w Pod),
    OlderThanPod(&'w Pod),
}

/// The proof that an allocation is leaked, when there is one (rule of the catalogue's row).
pub fn proof<'w>(world: &World<'w>, allocation: &Allocation) -> Option<Proof<'w>> {
    let ledger = world.ledger;
    let attribute = ledger.attribute_of(allocation)?;
    let names_node = !attribute.owner().node.is_none();
    if allocation.used_for != Use::Pod
        || attribute.alternate().is_some()
        || !names_node
        || !ledger.is_judged(allocation)
    {
        return None;
    }
    let dark = ledger.dark.node(attribute.owner().node) || ledger.dark.address(allocation.address);
    if dark || ledger.is_held(allocation.address) || container_is_alive(world, attribute.handle) {
        return None;
    }
    let (namespace, name) = attribute.owner().pod_name()?;
    let Some(pod) = ledger.pod(namespace, name) else { return Some(Proof::NoSuchPod) };
    // A live pod with an address of host-local IPAM has no allocation by design (IPA908), and the one in its name is of
    // the day on which calico-ipam was tried: not proven to be another's.
    if pod.may_hold() && pod.addresses().iter().any(|&address| ledger.is_host_local(pod, address)) {
        return None;
    }
    if pod.phase.is_finished() {
        Some(Proof::Finished(pod))
    } else if has_another_container(world, pod, attribute.handle) {
        Some(Proof::OtherContainer(pod))
    } else if precedes(world, allocation, &attribute.owner(), pod) {
        Some(Proof::OlderThanPod(pod))
    } else {
        None
    }
}

/// A live endpoint has the allocation's container, though it lists another address: an evidence of something
/// else (IPA131, IPA506), never of a leak.
pub(super) fn container_is_alive(world: &World<'_>, handle: Option<HandleId>) -> bool {
    let ledger = world.ledger;
    handle.is_some_and(|h| ledger.endpoints_of_container(h.tail).any(|e| !ledger.endpoint_state(e).is_stale()))
}

/// The endpoint of the pod on its own node has another container on the same network.
fn has_another_container(world: &World<'_>, pod: &Pod, handle: Option<HandleId>) -> bool {
    let ledger = world.ledger;
    let Some(handle) = handle.filter(|h| h.dotted) else { return false };
    let mut others = ledger.endpoints_at_home(pod).filter(|e| !e.container.is_none()).peekable();
    others.peek().is_some() && others.all(|e| e.container != handle.tail && ledger.network_of(e) == handle.head)
}

/// Both the allocation's own timestamp and its first seen precede the pod's creation by more than the grace; a
/// static pod's mirror can be younger than its sandbox.
fn precedes(world: &World<'_>, allocation: &Allocation, owner: &Owner, pod: &Pod) -> bool {
    let grace = world.snapshot.kube_controllers.grace();
    let first_seen = world.past.and_then(|p| p.allocations.get(&world.ledger.tuple_of(allocation)));
    let (Some(created), Some(allocated), Some(seen)) = (pod.created(), owner.timestamp, first_seen) else {
        return false;
    };
    let before = |moment| created.since(moment) > grace;
    !pod.mirror && before(allocated) && before(seen)
}

fn report(world: &World<'_>, allocation: &Allocation, proof: &Proof<'_>) -> Finding {
    let ledger = world.ledger;
    let owner = ledger.attribute_of(allocation).map(|a| a.owner()).unwrap_or_default();
    let (namespace, name) = owner.pod_name().unwrap_or_default();
    let id = world.pair(namespace, name);
    let (reason, why) = match proof {
        Proof::NoSuchPod => ("no-such-pod", format!("pod {id} does not exist")),
        Proof::Finished(pod) => ("finished", format!("pod {id} is finished ({})", pod.phase.word())),
        Proof::OtherContainer(_) => ("other-container", format!("pod {id} has another container now")),
        Proof::OlderThanPod(_) => ("older-than-pod", format!("allocated before pod {id} was created")),
    };
    let left: Vec<_> = ledger.endpoints_at(allocation.address).map(|(e, _)| e).collect();
    let handle = ledger.handle_of(allocation);
    world
        .draft(&CHECK, allocation.address, why)
        .fact("reason", reason)
        .fact("ipam", world.allocation_facts(allocation))
        .fact("owner_pod", id)
        .fact("node", world.text(owner.node))
        .fact("age_seconds", owner.timestamp.map(|t| age(world.snapshot.now.since(t))))
        .list("endpoints_left", &left, |e| world.endpoint_facts(e))
        .since(owner.timestamp)
        .on_node(owner.node)
        .in_namespace(namespace)
        .in_pool_of(allocation.address)
        .rests_on_allocation(allocation)
        .looks_at(Look::CalicoNode(owner.node))
        .looks_at(Look::KubeNode(ledger.scope.kubernetes_name(owner.node)))
        .with_each(left, |d, e| d.rests_on_endpoint(e))
        .with_each(ledger.endpoints_about(allocation, namespace, name), |d, e| d.rests_on_endpoint(e))
        .rests_on_pod_named(namespace, name)
        .with_each(handle, |d, h| d.looks_at(Look::Handle(h)).next(release_handle(&h.text(&world.snapshot.names))))
        .next(format!("ipaudit who {}", allocation.address))
        .done()
}

fn age(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::{AttributeFields, Foreign, Name, Phase, Time};

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_pod_that_is_gone_leaves_a_leak_with_or_without_its_endpoint() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.1"));
        assert_eq!(found[0].summary, "pod shop/web-0 does not exist");
        assert_eq!(found[0].node.as_ref().map(Foreign::raw), Some("node-1"));
        c.remove_endpoint("web-0");
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"]);
    }

    #[test]
    fn a_finished_pod_leaks_and_a_terminating_or_undecided_one_does_not() {
        let mut c = Cluster::healthy();
        c.pod_mut("web-0").phase = Phase::Failed;
        assert_eq!(c.find(&CHECK)[0].summary, "pod shop/web-0 is finished (Failed)");
        let mut c = Cluster::healthy();
        let now = c.snapshot.now;
        c.pod_mut("web-0").deleting = Some(now);
        c.remove_endpoint("web-0");
        assert!(c.find(&CHECK).is_empty(), "terminating");
        let mut c = Cluster::healthy();
        c.pod_mut("web-0").addresses = [].into();
        c.remove_endpoint("web-0");
        assert!(c.find(&CHECK).is_empty(), "no address yet");
    }

    /// web-0 came back under its name with another sandbox: its old address is a leak.
    #[test]
    fn another_container_on_the_same_network_proves_the_old_one_leaked() {
        let mut c = Cluster::healthy();
        let new = c.name("newcontainer");
        let attribute = c.pod_attribute("k8s-pod-network.newcontainer", "shop", "web-0", "node-1");
        c.allocate("10.65.0.9", attribute);
        c.endpoint_mut("web-0").container = new;
        c.endpoint_mut("web-0").addresses = [addr("10.65.0.9")].into();
        c.pod_mut("web-0").addresses = [addr("10.65.0.9")].into();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"]);
    }

    #[test]
    fn another_network_proves_nothing() {
        let mut c = Cluster::healthy();
        let attribute = c.pod_attribute("macvlan-net.0123", "shop", "web-0", "node-1");
        c.allocate("10.65.0.9", attribute);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn anybody_who_may_hold_it_protects_it() {
        for protect in [
            (|c: &mut Cluster| c.pod_mut("web-1").network_status = [addr("10.65.0.1")].into()) as fn(&mut Cluster),
            |c| c.pod_mut("web-1").floating = [addr("10.65.0.1")].into(),
            |c| c.snapshot.host_endpoint_addresses = vec![addr("10.65.0.1")],
            |c| c.attribute_mut("10.65.0.1").alternate = Some(Box::default()),
            |c| {
                let now = c.snapshot.now;
                c.attribute_mut("10.65.0.1").released_at = Some(now);
            },
            |c| {
                let vmi = c.name("fedora");
                c.attribute_mut("10.65.0.1").owner.vmi = vmi;
            },
        ] {
            let mut c = Cluster::healthy();
            c.remove_pod("web-0");
            c.remove_endpoint("web-0");
            protect(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn another_clusters_node_is_never_accused() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.remove_kube_node("node-1");
        c.remove_endpoint("web-0");
        // Not every Calico node is ours any more, so nobody can say that node-1 is departed.
        assert!(c.find(&CHECK).is_empty());
        c.scope = crate::ledger::ScopeFlag::Exclusive;
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"]);
    }

    #[test]
    fn age_proves_a_leak_only_with_a_history_that_saw_it() {
        let mut c = Cluster::healthy();
        let (now, old) = (c.snapshot.now, c.ago(7_200));
        c.attribute_mut("10.65.0.1").owner.timestamp = Some(old);
        c.remove_endpoint("web-0");
        let mut pod = c.pod_mut("web-0");
        (pod.created, pod.ready, pod.addresses) = (Some(now), false, [].into());
        drop(pod);
        assert!(c.find(&CHECK).is_empty(), "first audit");
        let snapshot = c.snapshot();
        let ledger = crate::ledger::Ledger::build(&snapshot, c.scope, None);
        let tuple = ledger.tuple_of(&ledger.allocations_at(addr("10.65.0.1"))[0]);
        let past = |seen: Time| crate::model::Past {
            audits: 1,
            allocations: [(tuple.clone(), seen)].into(),
            ..Default::default()
        };
        c.past = Some(past(old));
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"]);
        c.past = Some(past(now));
        assert!(c.find(&CHECK).is_empty(), "seen only now");
        c.past = Some(past(old));
        c.pod_mut("web-0").mirror = true;
        assert!(c.find(&CHECK).is_empty(), "a static pod's mirror");
    }

    #[test]
    fn what_names_no_pod_or_no_node_is_not_accused() {
        let mut c = Cluster::healthy();
        c.allocate("10.65.0.30", AttributeFields::default());
        assert!(c.find(&CHECK).is_empty());
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.attribute_mut("10.65.0.1").owner.node = Name::NONE;
        assert!(c.find(&CHECK).is_empty());
    }
}
