//! What a capture writes it reads again, and lines of older formats too.

use super::*;
use crate::checks::testing::{Cluster, addr, cidr};
use crate::model::{Families, Names};

#[test]
fn objects_come_back_as_they_were() {
    let mut c = Cluster::healthy();
    let (kind, vmi, now) = (c.name("ReplicaSet"), c.name("fedora"), c.snapshot.now);
    let mut pod = c.pod_mut("web-0");
    (pod.controller, pod.vmi, pod.deleting, pod.mirror) = (Some((kind, vmi)), vmi, Some(now), true);
    (pod.no_ipam, pod.floating) = ([addr("10.9.9.9")].into(), [addr("fd00::1")].into());
    pod.asked_for = [addr("10.65.0.1")].into();
    pod.annotated = [addr("10.65.0.1"), addr("fd00::1")].into();
    drop(pod);
    c.snapshot.kube_nodes[0].pod_cidrs = [cidr("10.244.1.0/24"), cidr("fd00:1::/64")].into();
    let service = c.service("shop", "web", "10.65.9.9");
    (service.class, service.families) = (Some(kind), Families { v4: true, v6: false });
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
    let line = serde_json::to_string(&ServiceLine::of(&names, service)).unwrap();
    let back = |text: &str, names: &mut Names| serde_json::from_str::<ServiceLine>(text).unwrap().service(names);
    assert_eq!(format!("{:?}", back(&line, &mut names).unwrap()), format!("{service:?}"));
    // A file of version 1 says nothing of families.
    let old = line.replace(r#""families":["IPv4"],"#, "");
    assert_eq!(back(&old, &mut names).unwrap().families, Families::BOTH);
}

#[test]
fn pairs_of_clocks_come_back_as_they_were() {
    let mut c = Cluster::healthy();
    c.api_time(40);
    c.snapshot.read_until = Some(c.snapshot.now.plus(Duration::from_secs(63)));
    let line = serde_json::to_string(&LookLine::of(&c.snapshot, c.snapshot.now, Duration::ZERO)).unwrap();
    let mut back = Gathering::default();
    serde_json::from_str::<LookLine>(&line).unwrap().restore(&mut back).unwrap();
    assert_eq!((back.kube.clocks, back.read_until), (c.snapshot.kube.clocks, c.snapshot.read_until));
}

/// Version 1 had the `Date` of the first answer alone, which came when the look began.
#[test]
fn a_look_of_version_1_is_read() {
    let line = r#"{"now":5000000000,"started":5000000000,"duration_ms":63000,"revision":7,"compact_revision":null,
        "cluster_id":1,"member_id":2,"endpoints":[],"kube_system_uid":null,"kubernetes_service_uid":null,
        "date":4000000000,"server":"s","coverage":[],"failed":null}"#;
    let mut back = Gathering::default();
    serde_json::from_str::<LookLine>(line).unwrap().restore(&mut back).unwrap();
    let pair = ClockPair { theirs: Time(4_000_000_000), ours: Time(5_000_000_000) };
    assert_eq!(back.kube.clocks.iter().collect::<Vec<_>>(), [pair]);
    assert_eq!(back.read_until, Some(Time(68_000_000_000)));
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
    assert!(pod.pod(&mut names).unwrap().annotated().is_empty());
}

#[test]
fn bytes_that_are_no_text_survive() {
    for bytes in [&b"plain \r\n text"[..], b"\xff\xfe\x00"] {
        let line = serde_json::to_string(&Bytes::of(bytes)).unwrap();
        assert_eq!(serde_json::from_str::<Bytes>(&line).unwrap().bytes().unwrap(), bytes);
    }
}

/// A capture of the first version has neither the term nor the moment of the read.
#[test]
fn a_look_of_version_1_is_still_read_and_a_new_one_comes_back_whole() {
    let mut c = Cluster::healthy();
    (c.snapshot.etcd.raft_term, c.snapshot.etcd.read_at) = (7, Some(c.snapshot.now));
    let look = LookLine::of(&c.snapshot, c.snapshot.now, Duration::ZERO);
    let mut line = serde_json::to_value(&look).unwrap();
    let mut back = Gathering::default();
    serde_json::from_value::<LookLine>(line.clone()).unwrap().restore(&mut back).unwrap();
    assert_eq!((back.etcd.raft_term, back.etcd.read_at), (7, Some(c.snapshot.now)));
    for field in ["raft_term", "read_at"] {
        assert!(line.as_object_mut().unwrap().remove(field).is_some());
    }
    serde_json::from_value::<LookLine>(line).unwrap().restore(&mut back).unwrap();
    assert_eq!((back.etcd.raft_term, back.etcd.read_at), (0, None));
}
