//! What heals between two looks gives nothing, and what stands is told, code by code.
//!
//! The second look of these tests reads exactly what the findings rest on, from the state that the cluster has come to
//! meanwhile: a check that forgets to name what it argues from is confirmed by what it did not look at, and fails here.

use std::collections::HashSet;
use std::time::Duration;

use super::{Again, SecondLook, Settling};
use crate::checks::addresses::leaked_service_address::load_balancer_handle;
use crate::checks::node::testing::{NodeUnderTest, seen as seen_on_node};
use crate::checks::testing::{Cluster, addr, cidr};
use crate::checks::{self, Outcome, World, run_these};
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::keys::{Keyed, key_of};
use crate::model::{
    AttributeFields, Code, Gathering, HandleId, Host, HostKind, Input, KeptFinding, Owner, Past, PastFinding, Patch,
    Snapshot, Time,
};

fn outcome(cluster: &Cluster, snapshot: &Snapshot, code: u16) -> Outcome {
    let past = cluster.past.as_ref();
    let ledger = Ledger::build(snapshot, cluster.scope, past);
    run_these(&World { snapshot, ledger: &ledger, past }, &[checks::find(Code(code)).unwrap()])
}

fn asks<T: Ord>(again: &Again<T>, item: &T) -> bool {
    matches!(again, Again::All) || matches!(again, Again::These(list) if list.contains(item))
}

/// What a second look at `now` sees of what it asks for.
fn seen(first: &Snapshot, look: &SecondLook, now: &Gathering) -> Patch {
    let mut patch = Patch::of(first);
    let endpoint = |e: &crate::model::Endpoint| {
        asks(&look.endpoints, &(e.namespace, e.name())) || asks(&look.endpoints_of_pods, &(e.node, e.namespace, e.pod))
    };
    let mut keys = HashSet::new();
    let names = &first.names;
    for snapshot in [&**first, now] {
        let mut key = |thing: Keyed<'_>| {
            keys.insert(key_of(names, thing));
        };
        snapshot.blocks.iter().filter(|b| asks(&look.blocks, &b.cidr)).for_each(|b| key(b.into()));
        snapshot.handles.iter().filter(|h| asks(&look.handles, &h.id)).for_each(|h| key(h.into()));
        let affinities = snapshot.affinities.iter().filter(|a| asks(&look.affinities, &(a.host, a.cidr)));
        affinities.for_each(|a| key(a.into()));
        snapshot.endpoints.iter().filter(|e| endpoint(e)).for_each(|e| key(e.into()));
        snapshot.calico_nodes.iter().filter(|n| asks(&look.calico_nodes, &n.name)).for_each(|n| key(n.into()));
    }
    let other = &mut patch.other;
    let read = |thing: Keyed<'_>| keys.contains(&key_of(names, thing));
    other.blocks.extend(now.blocks.iter().filter(|r| read((*r).into())).cloned());
    other.handles.extend(now.handles.iter().filter(|r| read((*r).into())).cloned());
    other.affinities.extend(now.affinities.iter().filter(|r| read((*r).into())).cloned());
    other.endpoints.extend(now.endpoints.iter().filter(|r| read((*r).into())).cloned());
    other.calico_nodes.extend(now.calico_nodes.iter().filter(|r| read((*r).into())).cloned());
    other.pods.extend(now.pods.iter().filter(|p| asks(&look.pods, &(p.namespace, p.name))).cloned());
    other.kube_nodes.extend(now.kube_nodes.iter().filter(|n| asks(&look.kube_nodes, &n.name)).cloned());
    other.services.extend(now.services.iter().filter(|s| asks(&look.services, &(s.namespace, s.name))).cloned());
    if look.settings {
        patch.whole.extend([Input::Pools, Input::Config]);
        (other.pools, other.reservations) = (now.pools.clone(), now.reservations.clone());
        (other.ipam_config, other.cluster) = (now.ipam_config.clone(), now.cluster.clone());
        (other.ipam_config_resource, other.kube_controllers) =
            (now.ipam_config_resource.clone(), now.kube_controllers.clone());
    }
    for snapshot in [&**first, now] {
        let pods = snapshot.pods.iter().map(|p| (p.namespace, p.name)).filter(|pod| asks(&look.pods, pod));
        patch.pods.extend(pods);
        patch.nodes.extend(snapshot.kube_nodes.iter().map(|n| n.name).filter(|node| asks(&look.kube_nodes, node)));
        let services = snapshot.services.iter().map(|s| (s.namespace, s.name));
        patch.services.extend(services.filter(|service| asks(&look.services, service)));
    }
    patch.keys = keys;
    patch
}

/// What of `code` stands, when the cluster that the first look saw is `then` and has become `now` at the second look.
fn stands(then: &Cluster, now: &Cluster, code: u16) -> Vec<KeptFinding> {
    let mut first = then.snapshot.clone().sorted();
    let found = outcome(then, &first, code);
    assert!(!found.findings.is_empty(), "{code}: the first look sees it; {:?}", found.skipped);
    let settling = Settling { past: None, now: first.now, settle: Duration::from_secs(20) };
    let look = settling.second_look(&found);
    assert!(look != SecondLook::default(), "{code} rests on something");
    let mut patch = seen(&first, &look, &now.snapshot);
    let before = format!("{first:?}");
    patch.swap(&mut first);
    let again = outcome(then, &first, code);
    patch.swap(&mut first);
    assert_eq!(format!("{first:?}"), before, "{code}: the first look is as it was");
    settling.confirm(found, &again.findings.iter().collect()).findings
}

/// `damage` makes of the healed cluster what the first look saw: where it stands it is told, healed it is not.
fn heals(code: u16, healed: &Cluster, damage: impl Fn(&mut Cluster)) {
    let mut then = healed.clone();
    damage(&mut then);
    assert!(!stands(&then, &then, code).is_empty(), "{code} stands");
    let told = stands(&then, healed, code);
    assert!(told.is_empty(), "{code} healed: {told:?}");
}

/// edge/api with its address 10.65.9.0; what names it: the attribute's words, or only the handle.
fn booked(named: bool) -> Cluster {
    let mut c = Cluster::healthy();
    c.block("10.65.9.0/28", None);
    c.block_mut("10.65.9.0/28").affinity = Some(Host { kind: HostKind::Virtual, name: c.name("load-balancer") });
    let uid = c.service("edge", "api", "10.65.9.0").uid.text(&c.snapshot.names);
    let handle = HandleId::intern(&mut c.snapshot.names, &load_balancer_handle("api", "edge", &uid));
    let kind = c.name("LoadBalancer");
    let mut owner = Owner { kind, ..Owner::default() };
    if named {
        (owner.namespace, owner.service) = (c.name("edge"), c.name("api"));
    }
    c.allocate("10.65.9.0", AttributeFields { handle, owner, ..AttributeFields::default() });
    c
}

/// calico/node writes the block, then the Node; between the two the address of its tunnel is nobody's.
#[test]
fn ipa115_a_tunnel_address_between_the_block_and_the_node() {
    heals(115, &Cluster::healthy(), |c| c.free("10.65.0.0"));
}

/// The Node has its new address at the second look, and the old one is nobody's business.
#[test]
fn ipa115_a_node_that_is_written_after_the_block() {
    let mut then = Cluster::healthy();
    then.free("10.65.0.0");
    let mut now = then.clone();
    let meta = now.meta();
    now.snapshot.calico_nodes[0].tunnels = [].into();
    now.snapshot.calico_nodes[0].meta = meta;
    assert!(stands(&then, &now, 115).is_empty());
}

/// kube-controllers freed the address of a service that was deleted since services were listed.
#[test]
fn ipa116_a_service_that_is_deleted_between_the_list_and_etcd() {
    let mut healed = Cluster::healthy();
    healed.block("10.65.9.0/28", None);
    heals(116, &healed, |c| {
        c.service("edge", "api", "10.65.9.1");
    });
}

#[test]
fn ipa112_a_service_that_is_made_between_the_list_and_etcd() {
    heals(112, &booked(true), |c| c.snapshot.services.clear());
    // Nothing in the allocation says which service it would be.
    heals(112, &booked(false), |c| c.snapshot.services.clear());
}

/// The start of a machine writes the handle, then the block; its end the block, then the handle.
#[test]
fn ipa208_a_machine_that_starts_or_ends() {
    let vm = "k8s-pod-network.vmi.vms.fedora";
    let mut started = Cluster::healthy();
    let handle = started.handle(vm, &["10.65.0.40"]);
    started.allocate("10.65.0.40", AttributeFields { handle: Some(handle), ..AttributeFields::default() });
    heals(208, &started, |c| c.free("10.65.0.40"));
    heals(208, &Cluster::healthy(), |c| {
        c.handle(vm, &["10.65.0.40"]);
    });
}

/// Its advice, `calicoctl delete node`, would free the addresses of the new node's pods.
#[test]
fn ipa409_a_node_that_joins_between_the_list_and_etcd() {
    let mut joined = Cluster::healthy();
    joined.node("node-3", "192.168.0.3");
    joined.scope = ScopeFlag::Exclusive;
    heals(409, &joined, |c| c.remove_kube_node("node-3"));
}

#[test]
fn ipa406_a_node_that_comes_back_between_the_list_and_etcd() {
    let mut back = gone();
    back.node("node-3", "192.168.0.3");
    back.remove_calico_node("node-3");
    heals(406, &back, |c| c.remove_kube_node("node-3"));
    // Or its Calico Node does, or it has given its block back.
    let mut now = gone();
    now.node("node-3", "192.168.0.3");
    now.remove_kube_node("node-3");
    heals(406, &now, |c| c.remove_calico_node("node-3"));
    let mut empty = gone();
    empty.snapshot.blocks.retain(|b| b.cidr != cidr("10.65.1.0/26"));
    empty.snapshot.affinities.retain(|a| a.cidr != cidr("10.65.1.0/26"));
    heals(406, &empty, |c| c.block("10.65.1.0/26", Some("node-3")));
}

#[test]
fn ipa906_a_node_that_joins_with_its_first_pods() {
    let mut joined = Cluster::healthy();
    joined.node("node-3", "192.168.0.3");
    joined.block("10.65.1.0/26", Some("node-3"));
    joined.workload("shop", "web-9", "node-3", &["10.65.1.1"]);
    heals(906, &joined, |c| c.remove_kube_node("node-3"));
}

#[test]
fn what_else_is_written_in_two_writes_or_seen_by_two_readings() {
    let healthy = Cluster::healthy();
    let id = Cluster::handle_id("shop", "web-0");
    heals(203, &healthy, |c| c.handle_mut(&id).counts = [(cidr("10.65.0.0/26"), 0)].into());
    heals(204, &healthy, |c| c.remove_handle(&id));
    heals(205, &healthy, |c| c.attribute_mut("10.65.0.1").odd_handle = Some("k8s-pod-network.x\r\neth0".into()));
    heals(207, &healthy, |c| c.block_mut("10.65.0.0/26").deleted = true);
    heals(508, &healthy, |c| c.remove_calico_node("node-2"));
    heals(121, &healthy, |c| c.snapshot.pools.clear());
    let later = healthy.snapshot.now.plus(Duration::from_secs(90));
    heals(909, &healthy, |c| c.endpoint_mut("web-0").created = Some(later));
    // A floating address that another pod had; and one that another cluster's node had.
    let mut floating = healthy.clone();
    floating.remove_endpoint("web-0");
    floating.pod_mut("web-0").floating = [addr("10.65.0.65")].into();
    let mut moved = floating.clone();
    moved.snapshot.pods.retain(|p| p.addresses()[..] != [addr("10.65.0.65")]);
    moved.remove_endpoint("web-2");
    moved.free("10.65.0.65");
    moved.reservation("floating", &["10.65.0.65/32"]);
    assert!(!stands(&floating, &floating, 117).is_empty() && stands(&floating, &moved, 117).is_empty());
    // The pod that asks for the reserved address came after the one that was listed.
    let mut asked = healthy.clone();
    asked.reservation("mine", &["10.65.0.1/32"]);
    asked.pod_mut("web-0").asked_for = [addr("10.65.0.1")].into();
    heals(122, &asked, |c| c.pod_mut("web-0").asked_for = [].into());
    let mut borrowed = healthy;
    borrowed.snapshot.ipam_config.strict_affinity = false;
    let node = borrowed.name("node-2");
    borrowed.attribute_mut("10.65.0.1").owner.node = node;
    heals(407, &borrowed, |c| c.snapshot.ipam_config.strict_affinity = true);
}

/// node-3 owned a block and is gone for a day.
fn gone() -> Cluster {
    let mut c = Cluster::healthy();
    c.block("10.65.1.0/26", Some("node-3"));
    let since = c.ago(86_400);
    c.remember().gone_since.insert("node-3".to_owned(), since);
    c
}

/// An earlier audit confirms a finding of the very same objects alone.
fn only_the_same_is_confirmed_by_history(code: u16, earlier: &Cluster, now: &Cluster) {
    let of = |cluster: &Cluster| outcome(cluster, &cluster.snapshot.clone().sorted(), code);
    let (before, after) = (of(earlier), of(now));
    assert_eq!(before.findings.len(), 1, "{code}");
    assert_eq!(after.findings[0].subject, before.findings[0].subject, "{code}: the same subject");
    let at: Time = earlier.snapshot.now.minus(Duration::from_secs(300));
    let known = PastFinding::seen_once(at, before.findings[0].stamp(), at);
    let subject = &before.findings[0].subject;
    let open = [(Code(code), subject.kind, subject.id.raw(), known)].into_iter().collect();
    let past = Past { open, ..Past::default() };
    let settling = Settling { past: Some(&past), now: earlier.snapshot.now, settle: Duration::from_secs(20) };
    assert!(!settling.has_suspects(&before), "{code}: the same is confirmed");
    assert!(settling.has_suspects(&after), "{code}: another one is not");
}

#[test]
fn an_earlier_audit_of_other_objects_confirms_nothing() {
    let mut free = Cluster::healthy();
    free.free("10.65.0.0");
    let mut rewritten = free.clone();
    rewritten.snapshot.calico_nodes[0].meta.mod_revision += 100;
    only_the_same_is_confirmed_by_history(115, &free, &rewritten);

    let mut unbooked = Cluster::healthy();
    unbooked.block("10.65.9.0/28", None);
    unbooked.service("edge", "api", "10.65.9.1");
    let mut reborn = unbooked.clone();
    reborn.snapshot.services.clear();
    reborn.service("edge", "api", "10.65.9.1");
    only_the_same_is_confirmed_by_history(116, &unbooked, &reborn);

    let mut leaked = booked(true);
    leaked.snapshot.services.clear();
    let mut again = leaked.clone();
    again.block_mut("10.65.9.0/28").allocation_sequences.iter_mut().for_each(|(_, number)| *number += 1);
    only_the_same_is_confirmed_by_history(112, &leaked, &again);

    let mut claimed_anew = gone();
    claimed_anew.block_mut("10.65.1.0/26").meta.create_revision += 100;
    only_the_same_is_confirmed_by_history(406, &gone(), &claimed_anew);

    let mut stale = Cluster::healthy();
    stale.node("node-3", "192.168.0.3");
    stale.scope = ScopeFlag::Exclusive;
    stale.remove_kube_node("node-3");
    let mut joins = stale.clone();
    joins.snapshot.calico_nodes.iter_mut().for_each(|node| node.meta.mod_revision += 100);
    only_the_same_is_confirmed_by_history(409, &stale, &joins);

    let mut shared = Cluster::healthy();
    shared.node("east-1", "172.31.0.1");
    shared.remove_kube_node("east-1");
    shared.endpoint("shop", "web-0", "east-1", "0123", &["10.99.0.1"]);
    let mut other = shared.clone();
    other.snapshot.calico_nodes.iter_mut().for_each(|node| node.meta.mod_revision += 100);
    only_the_same_is_confirmed_by_history(906, &shared, &other);

    let mut ahead = Cluster::healthy();
    let later = ahead.snapshot.now.plus(Duration::from_secs(90));
    ahead.endpoint_mut("web-0").created = Some(later);
    let mut anew = ahead.clone();
    anew.endpoint_mut("web-0").meta.mod_revision += 100;
    only_the_same_is_confirmed_by_history(909, &ahead, &anew);
}

/// Changes what a node shows; of a pod's interface there.
type OnNode = fn(&mut Cluster, &crate::model::Foreign);

/// What is wrong on a node of a pod that lives there, by code; the node's evidence is the same at both looks.
const ON_NODES: [(u16, OnNode); 4] = [
    (701, |c, _| {
        let other = c.interface_of("web-1");
        c.node_mut().route_mut("10.65.0.1").hops[0].dev = other;
    }),
    (702, |c, _| c.node_mut().remove_route("10.65.0.1")),
    (705, |c, interface| c.node_mut().link_mut(interface).carrier = false),
    (707, |c, interface| c.node_mut().sysctls_of(interface.raw()).proxy_arp = Some(0)),
];

/// A pod that was going while its node was looked at is nobody's loss.
#[test]
fn a_node_is_accused_only_while_the_pod_is_there() {
    for (code, wrong) in ON_NODES {
        let mut healed = seen_on_node();
        let interface = healed.interface_of("web-0");
        wrong(&mut healed, &interface);
        let now = healed.snapshot.now;
        healed.pod_mut("web-0").deleting = Some(now);
        heals(code, &healed, |c| c.pod_mut("web-0").deleting = None);
    }
}

#[test]
fn routes_of_blocks_are_held_against_who_owns_them_now() {
    // The block was claimed between the readings of node and etcd.
    let healed = seen_on_node();
    heals(720, &healed, |c| c.snapshot.affinities.retain(|a| a.cidr != cidr("10.65.0.0/26")));
    heals(721, &healed, |c| {
        let owner = c.host("node-3");
        c.node("node-3", "192.168.0.3");
        c.block_mut("10.65.0.64/26").affinity = Some(owner);
    });
    heals(722, &healed, |c| {
        let node = c.snapshot.calico_nodes.iter_mut().find(|n| !n.tunnels.is_empty()).unwrap();
        node.tunnels[0].1 = addr("10.65.0.9");
    });
}

#[test]
fn a_route_that_nobody_had_is_somebodys_by_now() {
    let mut healed = seen_on_node();
    let interface = healed.interface_of("web-0");
    healed.endpoint_mut("web-0").addresses = [addr("10.65.0.1"), addr("10.65.0.9")].into();
    let route = healed.node_mut().pod_route("10.65.0.9", &interface, 1024);
    healed.node_mut().routes().push(route);
    heals(703, &healed, |c| c.endpoint_mut("web-0").addresses = [addr("10.65.0.1")].into());
}
