use super::*;
use crate::checks::testing::{Cluster, addr};
use crate::model::{Phase, Pod};

fn wanted(pod: AgainPod) -> LastLook {
    LastLook { namespace: "shop".to_owned(), name: "web-0".to_owned(), pod, node: None }
}

fn id() -> Foreign {
    "shop/web-0".into()
}

#[test]
fn a_pod_that_was_absent_must_be_absent() {
    let mut c = Cluster::healthy();
    let found = Pod::from(c.pod_mut("web-0").clone());
    assert_eq!(pod(&wanted(AgainPod::Absent), &c.snapshot.names, None), Ok(()));
    assert_eq!(pod(&wanted(AgainPod::Absent), &c.snapshot.names, Some(&found)), Err(Objection::PodOther(id())));
}

#[test]
fn a_pod_that_was_there_must_be_there() {
    let mut c = Cluster::healthy();
    let found = Pod::from(c.pod_mut("web-0").clone());
    let before = wanted(AgainPod::As(fingerprint(&c.snapshot.names, &found)));
    assert_eq!(pod(&before, &c.snapshot.names, Some(&found)), Ok(()));
    assert_eq!(pod(&before, &c.snapshot.names, None), Err(Objection::PodGone(id())));
}

/// Whatever could make it a holder, or another pod.
#[test]
fn anything_that_matters_of_a_pod_makes_it_another() {
    let edits: [fn(&mut Cluster); 9] = [
        |c| {
            let uid = c.pod_mut("web-1").uid;
            c.pod_mut("web-0").uid = uid;
        },
        |c| c.pod_mut("web-0").phase = Phase::Succeeded,
        |c| c.pod_mut("web-0").node = c.name("node-2"),
        |c| c.pod_mut("web-0").host_network = true,
        |c| c.pod_mut("web-0").deleting = Some(c.snapshot.now),
        |c| c.pod_mut("web-0").addresses = [addr("10.65.0.9")].into(),
        |c| c.pod_mut("web-0").network_status = [addr("10.65.0.9")].into(),
        |c| c.pod_mut("web-0").floating = [addr("10.65.0.9")].into(),
        |c| c.pod_mut("web-0").no_ipam = [addr("10.65.0.9")].into(),
    ];
    for (i, edit) in edits.into_iter().enumerate() {
        let mut c = Cluster::healthy();
        let found = Pod::from(c.pod_mut("web-0").clone());
        let before = wanted(AgainPod::As(fingerprint(&c.snapshot.names, &found)));
        edit(&mut c);
        let now = Pod::from(c.pod_mut("web-0").clone());
        assert_eq!(pod(&before, &c.snapshot.names, Some(&now)), Err(Objection::PodOther(id())), "edit {i}");
    }
}

#[test]
fn what_does_not_matter_of_a_pod_changes_nothing() {
    let mut c = Cluster::healthy();
    let found = Pod::from(c.pod_mut("web-0").clone());
    let before = wanted(AgainPod::As(fingerprint(&c.snapshot.names, &found)));
    c.pod_mut("web-0").ready = false;
    let now = Pod::from(c.pod_mut("web-0").clone());
    assert_eq!(pod(&before, &c.snapshot.names, Some(&now)), Ok(()));
}

#[test]
fn a_node_must_be_ready_and_the_same() {
    let c = Cluster::healthy();
    let names = &c.snapshot.names;
    let found = &c.snapshot.kube_nodes[0];
    let wanted = AgainNode::Ready(found.uid.text(names));
    let other = Err(Objection::NodeOther("node-1".into()));
    assert_eq!(node("node-1", &wanted, names, Some(found)), Ok(()));
    for ready in [Some(false), None] {
        let silent = KubeNode { ready, ..found.clone() };
        assert_eq!(node("node-1", &wanted, names, Some(&silent)), other, "{ready:?}");
    }
    assert_eq!(node("node-1", &wanted, names, Some(&c.snapshot.kube_nodes[1])), other, "made anew");
    assert_eq!(node("node-1", &wanted, names, None), other);
}

#[test]
fn a_node_that_was_gone_must_be_gone() {
    let c = Cluster::healthy();
    let found = &c.snapshot.kube_nodes[0];
    assert_eq!(node("node-1", &AgainNode::Absent, &c.snapshot.names, None), Ok(()));
    let back = node("node-1", &AgainNode::Absent, &c.snapshot.names, Some(found));
    assert_eq!(back, Err(Objection::NodeOther("node-1".into())));
}
