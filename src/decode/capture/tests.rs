//! Lines of a capture come back as they were, and those of older formats too.

use super::*;
use crate::checks::testing::{Cluster, addr, cidr};

#[test]
fn objects_come_back_as_they_were() {
    let mut c = Cluster::healthy();
    let (kind, vmi, now) = (c.name("ReplicaSet"), c.name("fedora"), c.snapshot.now);
    let pod = c.pod_mut("web-0");
    (pod.controller, pod.vmi, pod.deleting, pod.mirror) = (Some((kind, vmi)), vmi, Some(now), true);
    (pod.no_ipam, pod.floating) = ([addr("10.9.9.9")].into(), [addr("fd00::1")].into());
    pod.asked_for = [addr("10.65.0.1")].into();
    pod.annotated = [addr("10.65.0.1"), addr("fd00::1")].into();
    c.snapshot.kube_nodes[0].pod_cidrs = [cidr("10.244.1.0/24"), cidr("fd00:1::/64")].into();
    c.service("shop", "web", "10.65.9.9").class = Some(kind);
    c.namespace("shop");
    let mut names = c.snapshot.names.clone();
    for pod in &c.snapshot.pods {
        let line = serde_json::to_string(&PodLine::of(&names, pod)).unwrap();
        let back = serde_json::from_str::<PodLine>(&line).unwrap().pod(&mut names).unwrap();
        assert_eq!(format!("{back:?}"), format!("{pod:?}"));
    }
    let node = &c.snapshot.kube_nodes[0];
    assert_eq!(format!("{:?}", NodeLine::of(&names, node).node(&mut names).unwrap()), format!("{node:?}"));
    let service = &c.snapshot.services[0];
    assert_eq!(format!("{:?}", ServiceLine::of(&names, service).service(&mut names).unwrap()), format!("{service:?}"));
}

/// Lines of format 1 have neither podCIDRs nor Calico's annotations.
#[test]
fn lines_of_the_first_format_are_read() {
    let mut names = Names::default();
    let node = r#"{"node":{"uid":"u","name":"node-1","internal":["192.168.0.1"],"ready":true,"boot_id":"",
        "windows":false,"created":null}}"#;
    let Line::Node(node) = serde_json::from_str(node).unwrap() else { unreachable!("a node") };
    assert!(node.node(&mut names).unwrap().pod_cidrs.is_empty());
    let pod = r#"{"pod":{"uid":"u","ns":"shop","name":"web-0","phase":"Running","addresses":["10.65.0.1"]}}"#;
    let Line::Pod(pod) = serde_json::from_str(pod).unwrap() else { unreachable!("a pod") };
    assert!(pod.pod(&mut names).unwrap().annotated.is_empty());
}

#[test]
fn bytes_that_are_no_text_survive() {
    for bytes in [&b"plain \r\n text"[..], b"\xff\xfe\x00"] {
        let line = serde_json::to_string(&Bytes::of(bytes)).unwrap();
        assert_eq!(serde_json::from_str::<Bytes>(&line).unwrap().bytes().unwrap(), bytes);
    }
}
