mod by_word;

use std::time::Duration;

use super::super::testing::Scene;
use super::*;
use crate::checks::addresses::leaked_service_address;
use crate::checks::node::testing::NodeUnderTest;
use crate::checks::testing::{Cluster, addr};
use crate::ledger::Grade;
use crate::model::keys::handle_key;
use crate::model::{AttributeFields, HandleId, Observation, Owner, Patch, Phase};
use crate::plan::circumstances::{Claimer, KernelUse, Lacking, LeakProof, NodeDoubt, PodChange, Proven, Special};
use crate::plan::refusal::ByWord;

const LEAKED: &str = "10.65.0.1";

fn id() -> String {
    Cluster::handle_id("shop", "web-0")
}

fn container(n: u8) -> String {
    format!("k8s-pod-network.{}", format!("{n:02x}").repeat(32))
}

fn one(subject: &str, objection: Objection) -> Vec<(String, Objection)> {
    vec![(subject.to_owned(), objection)]
}

#[test]
fn a_leaked_handle_goes_with_all_that_it_has() {
    let candidate = Scene::leaked().passes(&[&id()]);
    let Work::Release(target) = candidate.work else { panic!("no release") };
    assert_eq!((target.handle, target.extent), (Some(id()), Extent::Whole));
    assert_eq!(target.handle_keys, [handle_key(&id()).into_bytes()]);
    let places: Vec<String> = target.places.iter().map(|p| p.address.to_string()).collect();
    assert_eq!((places, target.claimed.len(), target.endpoints.len()), (vec![LEAKED.to_owned()], 1, 0));
    let proven = Proven { pod: "shop/web-0".to_owned(), how: LeakProof::NoSuchPod };
    assert_eq!((candidate.grounds, candidate.holders), (vec![Ground::Leaked(proven)], vec![]));
}

#[test]
fn an_address_goes_with_its_handle() {
    let by_handle = Scene::leaked().passes(&[&id()]);
    assert_eq!(Scene::leaked().passes(&[LEAKED]), by_handle);
    assert_eq!(Scene::leaked().passes(&[LEAKED, &id()]), by_handle, "once, if both are named");
}

#[test]
fn a_stale_endpoint_goes_along_and_is_told_as_no_holder() {
    let mut c = Cluster::healthy();
    c.remove_pod("web-0");
    let candidate = Scene::of(c).passes(&[&id()]);
    let Work::Release(target) = candidate.work else { panic!("no release") };
    assert_eq!(target.endpoints.len(), 1);
    assert!(candidate.holders.iter().all(|h| h.grade == Grade::Stale) && !candidate.holders.is_empty());
}

#[test]
fn what_a_live_pod_holds_is_refused_by_who_holds_it() {
    let refused = Scene::of(Cluster::healthy()).refused(&[&id()]);
    let who = Claimer::Pod("shop".into(), "web-0".into());
    assert!(refused.contains(&(LEAKED.to_owned(), Objection::Held(HolderNow { who, grade: Grade::Certain }))));
    assert!(refused.contains(&(LEAKED.to_owned(), Objection::Unproven)), "{refused:?}");
    assert!(refused.contains(&(LEAKED.to_owned(), Objection::PodChanged(PodChange::MayHold))), "{refused:?}");
}

/// Whatever etcd says: an address that a node shows in use is in use. What no node shows allows nothing.
#[test]
fn a_node_that_shows_the_address_in_use_forbids_its_release() {
    let seen = || {
        let mut c = Cluster::healthy();
        c.see("node-1");
        c.remove_pod("web-0");
        c.remove_endpoint("web-0");
        c
    };
    let kernel = |c: &mut Cluster| {
        let dev = c.node_mut().route_mut(LEAKED).dev().unwrap().clone();
        (
            HolderNow { who: Claimer::Kernel("node-1".into(), dev.clone(), KernelUse::Routed), grade: Grade::Certain },
            dev,
        )
    };
    let mut c = seen();
    let (held, _) = kernel(&mut c);
    assert_eq!(Scene::of(c).refused(&[&id()]), one(LEAKED, Objection::Held(held)));
    // Old evidence protects as well; the route alone may be gone, and the pod's namespace still have it.
    let mut c = seen();
    let (_, dev) = kernel(&mut c);
    c.node_mut().taken = vec![c.ago(86_400)];
    c.node_mut().remove_route(LEAKED);
    let who = Claimer::Kernel("node-1".into(), dev, KernelUse::Inside("shop/web-0".into()));
    let held = Objection::Held(HolderNow { who, grade: Grade::Certain });
    let old = Objection::Unseen("node-1".into(), "not judged: 1440 minutes old".into());
    assert_eq!(Scene::of(c).refused(&[&id()]), [one(LEAKED, held), one(LEAKED, old.clone())].concat());
    // Of an address that it does not show its silence is no word of now.
    let mut c = seen();
    c.node_mut().taken = vec![c.ago(86_400)];
    c.node_mut().remove_route(LEAKED);
    c.node_mut().without_inside();
    assert_eq!(Scene::of(c).refused(&[&id()]), one(LEAKED, old));
    // Nor is what could not be read, of this node; of another one it does not matter.
    for (node, why) in [("node-1", Some("links not read: errno 13")), ("node-2", None)] {
        let mut c = Cluster::healthy();
        c.see(node);
        c.remove_pod("web-0");
        c.remove_endpoint("web-0");
        c.node_mut().without_inside();
        c.node_mut().routes().clear();
        c.node_mut().links = crate::model::node_evidence::Dump::NotRead("errno 13".into());
        match why {
            Some(why) => {
                let unseen = Objection::Unseen(node.into(), why.into());
                assert_eq!(Scene::of(c).refused(&[&id()]), one(LEAKED, unseen));
            }
            None => drop(Scene::of(c).passes(&[&id()])),
        }
    }
    // A capture of every node was asked for, and there is none of this one.
    let mut c = Cluster::healthy();
    c.see("node-2");
    c.remove_pod("web-0");
    c.remove_endpoint("web-0");
    c.snapshot.nodes_seen.of_every_node = true;
    let absent = Objection::Unseen("node-1".into(), "there is no evidence of it".into());
    assert_eq!(Scene::of(c).refused(&[&id()]), one(LEAKED, absent));
    // What was read on the node itself knows no pod, but its interface: then etcd's endpoint names it.
    let mut c = seen();
    let (_, dev) = kernel(&mut c);
    let behind = c.interface_of("web-1");
    c.node_mut().remove_route(LEAKED);
    c.node_mut().insides().retain(|inside| inside.pod != *"web-0");
    let inside = c.node_mut().inside_of("web-1");
    (inside.namespace, inside.pod) = Default::default();
    inside.addresses = crate::model::node_evidence::Dump::Read(vec![LEAKED.parse().unwrap()]);
    assert_ne!(dev, behind);
    let who = Claimer::Kernel("node-1".into(), behind, KernelUse::Inside("shop/web-1".into()));
    assert_eq!(Scene::of(c).refused(&[&id()]), one(LEAKED, Objection::Held(HolderNow { who, grade: Grade::Certain })));
    // A neighbour that was left behind is no use.
    let mut c = seen();
    c.node_mut().remove_route(LEAKED);
    c.node_mut().without_inside();
    Scene::of(c).passes(&[&id()]);
    // A node that does not know the address justifies nothing.
    let mut c = Cluster::healthy();
    c.see("node-2");
    assert!(!Scene::of(c).refused(&[&id()]).is_empty());
}

#[test]
fn who_asked_for_a_handle_finds_it_in_every_reason() {
    let (plan, _) = Scene::of(Cluster::healthy()).judge(&[&id()]);
    assert!(!plan.refusals.is_empty() && plan.refusals.iter().all(|r| r.of_handle == Some(id().into())));
    // An address without a handle is refused in its own name.
    let mut c = Cluster::healthy();
    c.allocate("10.65.0.9", AttributeFields::default());
    let (plan, _) = Scene::of(c).judge(&["10.65.0.9"]);
    assert!(!plan.refusals.is_empty() && plan.refusals.iter().all(|r| r.of_handle.is_none()));
}

#[test]
fn reasons_that_are_the_same_are_told_once() {
    let (plan, _) = Scene::of(Cluster::healthy()).judge(&[&id(), LEAKED]);
    let (once, _) = Scene::of(Cluster::healthy()).judge(&[&id()]);
    assert_eq!(plan.refusals, once.refusals);
}

#[test]
fn what_is_not_there_is_a_note() {
    let mut scene = Scene::leaked();
    scene.c.name("no-such-handle");
    let (plan, candidates) = scene.judge(&["10.65.0.200", "no-such-handle"]);
    let notes = [Note::NotAllocated("10.65.0.200".parse().unwrap()), Note::NoSuchHandle("no-such-handle".into())];
    assert_eq!((plan.notes, plan.refusals, candidates.len()), (notes.into(), vec![], 0));
}

#[test]
fn rule_4_the_very_allocation_must_have_been_seen_often_enough() {
    let mut scene = Scene::leaked();
    scene.memory.seen = None;
    let soon = |c: &Cluster, minutes: u64| c.snapshot.now.plus(Duration::from_secs(60 * minutes));
    let lacking = Lacking { audits: 3, from: soon(&scene.c, 15) };
    assert_eq!(scene.refused(&[&id()]), one(LEAKED, Objection::TooYoung(lacking)));
    assert_eq!(scene.memory.asked.borrow()[..], ["IPA110 10.65.0.1 node-1"]);
    let now = scene.c.snapshot.now;
    scene.memory.seen = Some(Observation { audits: 2, first: scene.c.ago(9000), last: now });
    assert_eq!(
        scene.refused(&[&id()]),
        one(LEAKED, Objection::TooYoung(Lacking { audits: 1, from: soon(&scene.c, 5) }))
    );
}

#[test]
fn rule_4_skip_age_asks_no_history() {
    let mut scene = Scene::leaked();
    (scene.memory.seen, scene.word.skip_age) = (None, true);
    scene.passes(&[&id()]);
    assert!(scene.memory.asked.borrow().is_empty());
}

#[test]
fn rule_6_one_address_that_may_not_go_keeps_all_of_the_handle() {
    let mut scene = Scene::leaked();
    let attribute = scene.c.pod_attribute(&id(), "shop", "web-0", "node-1");
    scene.c.allocate("10.65.0.9", attribute);
    scene.c.pod("shop", "other", "node-1", &["10.65.0.9"]);
    let refused = scene.refused(&[&id()]);
    assert!(refused.iter().any(|(s, o)| s == "10.65.0.9" && matches!(o, Objection::Held(_))), "{refused:?}");
    assert_eq!(refused.last().unwrap(), &(id(), Objection::NotAll { failing: 1, all: 2 }));
    assert!(refused.iter().all(|(subject, _)| subject != LEAKED), "nothing is wrong with the other one");
}

#[test]
fn rule_3_the_owners_node_must_be_known() {
    let mut scene = Scene::leaked();
    scene.c.snapshot.kube_nodes.iter_mut().for_each(|n| n.ready = Some(false));
    let node = Objection::Node("node-1".into(), NodeDoubt::NotReady);
    assert_eq!(scene.refused(&[&id()]), one(LEAKED, node));
    scene.word.nodes_off = vec!["node-1".to_owned()];
    let candidate = scene.passes(&[&id()]);
    assert!(candidate.again.iter().all(|look| look.node.is_none()), "the operator's word stands for it");
}

#[test]
fn rule_5_files_cannot_be_asked() {
    let mut scene = Scene::leaked();
    scene.live = false;
    scene.memory.seen = None;
    scene.c.snapshot.kube_nodes.iter_mut().for_each(|n| n.ready = Some(false));
    for asked in [&id(), LEAKED] {
        assert_eq!(scene.refused(&[asked]), one(LEAKED, Objection::FilesAgain), "one reason, and none that waits");
    }
    // Nothing of it is asked anew by the operator's word either: its pod, its service may be there by now.
    let mut c = Cluster::healthy();
    c.tunnel("node-2", crate::model::Tunnel::Vxlan, "10.65.0.20");
    c.remove_calico_node("node-2");
    let mut scene = Scene::of(c);
    (scene.live, scene.word.knows, scene.word.skip_age) = (false, true, true);
    assert_eq!(scene.refused(&["10.65.0.20"]), one("10.65.0.20", Objection::FilesAgain));
    assert!(scene.judge(&["10.65.0.20"]).0.notes.is_empty(), "no word lets it go");
}

/// The pod is gone at both looks, but between them another one of its name was there: nobody says of what.
#[test]
fn rule_5_a_pod_that_is_another_than_at_the_first_look_refuses() {
    let mut c = Cluster::healthy();
    c.pod_mut("web-0").phase = crate::model::Phase::Failed;
    c.remove_endpoint("web-0");
    let mut scene = Scene::of(c);
    scene.passes(&[&id()]);
    let pod = (scene.c.name("shop"), scene.c.name("web-0"));
    let mut before = Patch::of(&scene.c.snapshot());
    before.pods.insert(pod);
    scene.before = before;
    assert_eq!(scene.refused(&[&id()]), one(LEAKED, Objection::PodChanged(PodChange::Anew)));
}

#[test]
fn a_block_under_another_key_that_names_the_handle_refuses() {
    let mut scene = Scene::leaked();
    let mut odd = scene.c.block_mut("10.65.0.0/26").clone();
    odd.odd_key = Some(b"/calico/ipam/v2/assignment/ipv4/block/10.65.0.1-26".as_slice().into());
    odd.meta.mod_revision = 0;
    odd.allocations = vec![None; 64].into();
    scene.c.snapshot.blocks.push(odd);
    let refused = scene.refused(&[&id()]);
    assert!(refused.iter().any(|(s, o)| *s == id() && matches!(o, Objection::Shadowed(_))), "{refused:?}");
}

// ---- rule 7 ----

#[test]
fn orphans_go_together_and_each_once() {
    let ids = [container(1), container(2)];
    let ids = ids.each_ref().map(String::as_str);
    let candidate = Scene::orphaned(&ids).passes(&[ids[0], ids[1], ids[0]]);
    assert_eq!(candidate.grounds, [Ground::Orphaned(None)]);
    assert!(candidate.again.is_empty() && candidate.holders.is_empty());
    let Work::Orphans(orphans) = candidate.work else { panic!("no orphans") };
    let found: Vec<&str> = orphans.iter().map(|o| o.id.as_str()).collect();
    assert_eq!(found, ids);
}

#[test]
fn an_orphan_is_judged_by_its_own_observations() {
    let id = container(1);
    let mut scene = Scene::orphaned(&[&id]);
    scene.memory.seen = None;
    assert!(matches!(scene.refused(&[&id])[..], [(_, Objection::TooYoung(_))]));
    assert_eq!(scene.memory.asked.borrow().join(" "), id);
    scene.word.skip_age = true;
    scene.passes(&[&id]);
    assert_eq!(scene.memory.asked.borrow().len(), 1, "nobody is asked any more");
}

#[test]
fn orphans_need_no_kubernetes() {
    let id = container(1);
    let mut scene = Scene::orphaned(&[&id]);
    scene.live = false;
    scene.passes(&[&id]);
}

#[test]
fn an_endpoint_with_its_container_keeps_a_handle() {
    let mut c = Cluster::healthy();
    let id = container(1);
    c.handle(&id, &[]);
    let tail = id.rsplit('.').next().unwrap().to_owned();
    c.endpoint("shop", "x", "node-1", &tail, &[]);
    assert_eq!(Scene::of(c).refused(&[&id]), one(&id, Objection::NotOrphaned));
}

#[test]
fn an_orphan_whose_id_comes_again_goes_by_the_word_and_never_without_age() {
    let id = "vxlan-tunnel-addr-gone";
    let mut scene = Scene::orphaned(&[id]);
    assert_eq!(scene.refused(&[id]), one(id, Objection::IdComesAgain(Recurring::Tunnel)));
    scene.word.knows = true;
    assert_eq!(scene.passes(&[id]).grounds, [Ground::Orphaned(Some(Recurring::Tunnel))]);
    (scene.word.skip_age, scene.memory.seen) = (true, None);
    assert!(matches!(scene.refused(&[id])[..], [(_, Objection::TooYoungInAnyCase(_))]));
}

/// The word of `--handle` lets an orphan go, and no address.
#[test]
fn the_word_for_a_handle_lets_no_address_of_it_go() {
    let mut c = Cluster::healthy();
    let handle = crate::model::HandleId::intern(&mut c.snapshot.names, "lb-x");
    let owner = Owner { node: c.name("node-1"), ..Owner::default() };
    c.allocate("10.65.0.9", AttributeFields { handle, owner, ..AttributeFields::default() });
    let mut scene = Scene::of(c);
    (scene.word.knows, scene.word.skip_age) = (true, true);
    let refused = scene.refused(&["lb-x"]);
    assert!(refused.iter().any(|(s, o)| s == "10.65.0.9" && matches!(o, Objection::Special(_))), "{refused:?}");
}
