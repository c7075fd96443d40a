use super::super::testing::Scene;
use super::*;
use crate::checks::testing::{Cluster, addr};
use crate::model::{AttributeFields, Host, HostEndpoint, Owner, Phase, Tunnel};
use crate::plan::circumstances::NodeNow;

fn of<T>(scene: &mut Scene, address: &str, then: impl FnOnce(&Case<'_>, &Allocation) -> T) -> T {
    scene.with(|case| {
        let found = case.world.ledger.allocations_at(addr(address));
        then(case, found.first().expect("it is allocated"))
    })
}

fn facts(scene: &mut Scene, address: &str) -> Address {
    of(scene, address, |case, allocation| case.facts(allocation))
}

/// What an allocation at 10.65.0.9 with this attribute is.
fn special(edit: impl FnOnce(&mut Cluster) -> AttributeFields) -> Option<Special> {
    let mut c = Cluster::healthy();
    let attribute = edit(&mut c);
    c.allocate("10.65.0.9", attribute);
    of(&mut Scene::of(c), "10.65.0.9", |case, allocation| case.special(allocation))
}

fn handle(c: &mut Cluster, id: &str) -> AttributeFields {
    AttributeFields { handle: HandleId::intern(&mut c.snapshot.names, id), ..AttributeFields::default() }
}

#[test]
fn whatever_is_no_pods_is_special() {
    let pods = |c: &mut Cluster| c.pod_attribute("k8s-pod-network.x", "shop", "x", "node-1");
    assert_eq!(special(pods), None);
    assert_eq!(special(|c| AttributeFields { released_at: Some(c.snapshot.now), ..pods(c) }), Some(Special::Cooling));
    assert_eq!(special(|c| handle(c, "windows-reserved-ipam-handle")), Some(Special::Windows));
    assert_eq!(special(|c| AttributeFields { reserved: true, ..handle(c, "x") }), Some(Special::Reserved));
    assert_eq!(special(|c| handle(c, "vxlan-tunnel-addr-node-1")), Some(Special::Tunnel));
    assert_eq!(special(|c| handle(c, "lb-x")), Some(Special::LoadBalancer));
    assert_eq!(special(|c| handle(c, "k8s-pod-network.vmi.vms.fedora")), Some(Special::Machine));
    let strange = |c: &mut Cluster| Owner { kind: c.name("newThing"), ..Owner::default() };
    assert_eq!(special(|c| AttributeFields { owner: strange(c), ..handle(c, "x") }), Some(Special::UnknownType));
    assert_eq!(special(|c| handle(c, "by-hand")), Some(Special::Unattributed));
    let foreign = special(|c| {
        c.node("elsewhere", "172.31.0.1");
        c.remove_kube_node("elsewhere");
        c.pod_attribute("k8s-pod-network.x", "shop", "x", "elsewhere")
    });
    assert_eq!(foreign, Some(Special::ForeignNode("elsewhere".into())));
}

#[test]
fn an_address_of_two_blocks_is_never_touched() {
    let mut c = Cluster::healthy();
    c.block("10.65.0.0/27", None);
    let found = of(&mut Scene::of(c), "10.65.0.1", |case, allocation| case.special(allocation));
    let blocks = ["10.65.0.0-26", "10.65.0.0-27"];
    let keys = blocks.map(|block| format!("/calico/ipam/v2/assignment/ipv4/block/{block}"));
    assert!(matches!(&found, Some(Special::TwoBlocks(in_both)) if in_both[..] == keys), "{found:?}");
}

/// web-0 was made anew and waits for its predecessor's address.
fn waiting() -> Cluster {
    let mut c = Cluster::healthy();
    c.remove_endpoint("web-0");
    let (created, allocated) = (c.ago(40 * 60), c.ago(3 * 86_400));
    let mut pod = c.pod_mut("web-0");
    (pod.addresses, pod.phase, pod.ready, pod.created) = ([].into(), Phase::Pending, false, Some(created));
    drop(pod);
    c.attribute_mut("10.65.0.1").owner.timestamp = Some(allocated);
    c
}

#[test]
fn an_awaited_address_has_observations_of_its_own() {
    let mut scene = Scene::of(waiting());
    let found = facts(&mut scene, "10.65.0.1");
    assert_eq!(found.special, Some(Special::Awaited("shop".into(), "web-0".into())));
    assert_eq!((found.proof, found.pod_now), (None, PodNow::SameAndNoHolder));
    assert_eq!(*scene.memory.asked.borrow(), ["IPA133 10.65.0.1 node-1"]);
}

#[test]
fn what_the_predecessor_left_holds_nothing() {
    let mut c = waiting();
    let made = c.ago(3 * 86_400);
    let container = Cluster::container("shop", "web-0");
    c.endpoint("shop", "web-0", "node-1", &container, &["10.65.0.1"]).created = Some(made);
    let found = facts(&mut Scene::of(c), "10.65.0.1");
    assert!(matches!(&found.endpoints[..], [left] if left.is_stale), "{found:?}");
    let endpoint = |h: &&HolderNow| matches!(h.who, Claimer::Endpoint(..));
    assert!(found.holders.iter().filter(endpoint).all(|h| h.grade == Grade::Stale), "{found:?}");
}

#[test]
fn every_proof_is_told_as_what_it_is() {
    let how = |mut scene: Scene| facts(&mut scene, "10.65.0.1").proof.map(|p| (p.pod, p.how));
    let proven = |leak| Some(("shop/web-0".to_owned(), leak));
    assert_eq!(how(Scene::of(Cluster::healthy())), None);
    assert_eq!(how(Scene::leaked()), proven(LeakProof::NoSuchPod));
    let mut c = Cluster::healthy();
    c.pod_mut("web-0").phase = Phase::Failed;
    assert_eq!(how(Scene::of(c)), proven(LeakProof::Finished(Phase::Failed)));
    let mut c = Cluster::healthy();
    let new = c.name("newcontainer");
    let attribute = c.pod_attribute("k8s-pod-network.newcontainer", "shop", "web-0", "node-1");
    c.allocate("10.65.0.9", attribute);
    c.endpoint_mut("web-0").container = new;
    c.endpoint_mut("web-0").addresses = [addr("10.65.0.9")].into();
    c.pod_mut("web-0").addresses = [addr("10.65.0.9")].into();
    assert_eq!(how(Scene::of(c)), proven(LeakProof::OtherContainer));
}

#[test]
fn an_allocation_that_names_no_pod_cannot_be_asked_for() {
    let mut c = Cluster::healthy();
    let attribute = handle(&mut c, "by-hand");
    c.allocate("10.65.0.9", attribute);
    let found = facts(&mut Scene::of(c), "10.65.0.9");
    assert_eq!((found.pod_now, found.node.as_str()), (PodNow::Unknown(PodDoubt::NamesNone), ""));
    assert!(!matches!(found.node_now, NodeNow::Ready));
}

#[test]
fn right_before_the_write_pod_and_node_are_asked_by_kubernetes_names() {
    let mut scene = Scene::leaked();
    let uid = scene.c.snapshot.kube_nodes[0].uid.text(&scene.c.snapshot.names);
    let node = Some(("node-1".to_owned(), AgainNode::Ready(uid)));
    let (namespace, name) = ("shop".to_owned(), "web-0".to_owned());
    let look = LastLook { namespace, name, pod: AgainPod::Absent, node };
    let candidate = scene.passes(&["10.65.0.1"]);
    assert_eq!(candidate.again, [look]);
}

#[test]
fn a_finished_pod_must_still_be_the_same() {
    let mut c = Cluster::healthy();
    c.pod_mut("web-0").phase = Phase::Failed;
    c.remove_endpoint("web-0");
    let again = Scene::of(c).passes(&["10.65.0.1"]).again;
    assert!(
        matches!(&again[..], [LastLook { pod: AgainPod::As(text), .. }] if text.contains("Failed node-1")),
        "{again:?}"
    );
}

/// No endpoint of the owner is a proof too: it is compared, and one that appears stops the release.
#[test]
fn the_owners_endpoint_is_a_witness_present_or_absent() {
    use crate::plan::confirm::Work;
    let witnesses = |mut scene: Scene| match scene.passes(&["10.65.0.1"]).work {
        Work::Release(target) => target.witnesses,
        other => panic!("{other:?}"),
    };
    let absent = witnesses(Scene::leaked());
    assert!(
        matches!(&absent[..], [Witness { mod_revision: None, name, .. }] if name == "the endpoint of pod shop/web-0")
    );
    let mut c = Cluster::healthy();
    let new = c.name("newcontainer");
    let attribute = c.pod_attribute("k8s-pod-network.newcontainer", "shop", "web-0", "node-1");
    c.allocate("10.65.0.9", attribute);
    c.endpoint_mut("web-0").container = new;
    c.endpoint_mut("web-0").addresses = [addr("10.65.0.9")].into();
    c.pod_mut("web-0").addresses = [addr("10.65.0.9")].into();
    let present = witnesses(Scene::of(c));
    assert!(matches!(&present[..], [Witness { mod_revision: Some(_), .. }]), "{present:?}");
}

#[test]
fn every_claimant_has_a_name() {
    let mut c = Cluster::healthy();
    c.service("edge", "api", "10.65.0.70");
    let host = HostEndpoint { meta: c.meta(), name: c.name("h"), addresses: [addr("10.65.0.71")].into() };
    c.snapshot.host_endpoints.push(host);
    c.snapshot.host_endpoint_addresses.push(addr("10.65.0.71"));
    let mut scene = Scene::of(c);
    let who = |scene: &mut Scene, address: &str| {
        scene.with(|case| {
            let ledger = case.world.ledger;
            ledger.claims_at(addr(address)).iter().map(|claim| claimer(ledger, claim)).collect::<Vec<_>>()
        })
    };
    let own = |a: &str, b: &str| (Foreign::from(a), Foreign::from(b));
    let (shop, web) = own("shop", "web-0");
    let found = who(&mut scene, "10.65.0.1");
    assert!(found.contains(&Claimer::Pod(shop.clone(), web)), "{found:?}");
    assert!(found.contains(&Claimer::Endpoint(shop, "node--1-k8s-web--0-eth0".into())), "{found:?}");
    assert_eq!(who(&mut scene, "10.65.0.0"), [Claimer::Tunnel(Tunnel::Ipip, "node-1".into())]);
    let (edge, api) = own("edge", "api");
    assert_eq!(who(&mut scene, "10.65.0.70"), [Claimer::Service(edge, api)]);
    assert_eq!(who(&mut scene, "10.65.0.71"), [Claimer::HostEndpoint]);
}

/// An affinity keeps a block that names no owner; an empty one without either may go.
#[test]
fn blocks_with_an_affinity_are_claimed() {
    use crate::plan::confirm::Work;
    let claimed = |mut scene: Scene| match scene.passes(&["10.65.0.1"]).work {
        Work::Release(target) => target.claimed.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(claimed(Scene::leaked()), 1);
    let mut scene = Scene::leaked();
    scene.c.snapshot.affinities.retain(|a| a.cidr != crate::checks::testing::cidr("10.65.0.0/26"));
    let _: Option<Host> = scene.c.block_mut("10.65.0.0/26").affinity.take();
    assert_eq!(claimed(scene), 0);
}
