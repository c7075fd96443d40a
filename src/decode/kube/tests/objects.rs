//! What is read of pods, nodes, services and namespaces, and what of it cannot be.

use serde_json::{Value, json};

use super::super::super::kube_json;
use super::super::*;

fn one_pod(object: Value) -> (Gathering, Remarks) {
    let mut snapshot = Gathering::default();
    let mut remarks = Remarks::default();
    let text = object.to_string();
    insert(&mut snapshot, Kind::Pod, &kube_json::item(&text).unwrap(), &mut remarks);
    (snapshot, remarks)
}

fn texts(addresses: &[Addr]) -> Vec<String> {
    addresses.iter().map(Addr::to_string).collect()
}

#[test]
fn a_pod_is_read_whole() {
    let (snapshot, remarks) = one_pod(json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": "web-0", "namespace": "prod", "uid": "6f1c2a9e-0000-4abc-8def-0123456789ab",
            "creationTimestamp": "2026-11-22T10:13:50Z", "deletionTimestamp": "2026-11-24T12:13:10Z",
            "ownerReferences": [
                { "kind": "Config", "name": "x" },
                { "kind": "StatefulSet", "name": "web", "controller": true },
            ],
            "annotations": {
                "kubernetes.io/config.mirror": "abc",
                "cni.projectcalico.org/ipAddrsNoIpam": "[\"10.65.255.9\"]",
                "cni.projectcalico.org/ipAddrs": "[\"10.65.0.7\", \"fd00:65::7\"]",
                "cni.projectcalico.org/floatingIPs": "[\"10.65.255.7\"]",
                "k8s.v1.cni.cncf.io/network-status":
                    "[{\"name\":\"k8s-pod-network\",\"ips\":[\"10.65.0.7\"],\"default\":true},
                      {\"name\":\"b\",\"ips\":[\"10.9.0.1\"]}]",
            },
        },
        "spec": { "nodeName": "node-1", "hostNetwork": false },
        "status": {
            "phase": "Running", "podIP": "10.65.0.7", "podIPs": [{ "ip": "10.65.0.7" }, { "ip": "fd00:65::7" }],
            "conditions": [{ "type": "Initialized", "status": "True" }, { "type": "Ready", "status": "True" }],
        },
    }));
    let pod = snapshot.pods[0].fields();
    assert_eq!(pod.uid.text(&snapshot.names), "6f1c2a9e-0000-4abc-8def-0123456789ab");
    assert_eq!(snapshot.pair(pod.namespace, pod.name), "prod/web-0");
    assert_eq!(snapshot.text(pod.node), "node-1");
    assert!(pod.ready && !pod.host_network && pod.deleting.is_some() && pod.mirror && pod.phase == Phase::Running);
    assert_eq!(pod.created, Time::parse_rfc3339("2026-11-22T10:13:50Z"));
    assert_eq!(pod.deleting, Time::parse_rfc3339("2026-11-24T12:13:10Z"));
    assert_eq!(texts(&pod.addresses), ["10.65.0.7", "fd00:65::7"]);
    let (kind, name) = pod.controller.unwrap();
    assert_eq!((snapshot.text(kind), snapshot.text(name)), ("StatefulSet", "web"));
    assert!(pod.vmi.is_none());
    assert_eq!(texts(&pod.no_ipam), ["10.65.255.9"]);
    assert_eq!(texts(&pod.asked_for), ["10.65.0.7", "fd00:65::7"]);
    assert_eq!(texts(&pod.floating), ["10.65.255.7"]);
    assert_eq!(texts(&pod.network_status), ["10.9.0.1"], "the default network's address is the pod's own");
    assert!(remarks.notes().is_empty() && remarks.hole_in(Input::Pods).is_none());
}

/// Free text of anybody's: what reads as an address counts, the rest is a note.
#[test]
fn the_annotations_of_the_kubernetes_datastore_are_read_as_addresses() {
    let read = |annotations: Value, ips: Value| {
        let (snapshot, remarks) = one_pod(json!({
            "metadata": { "name": "web-0", "namespace": "prod", "annotations": annotations },
            "spec": { "nodeName": "node-1" }, "status": { "phase": "Running", "podIPs": ips },
        }));
        let pod = &snapshot.pods[0];
        assert!(remarks.hole_in(Input::Pods).is_none());
        (texts(pod.annotated()), pod.is_wired_through_kubernetes(), remarks.notes().len())
    };
    const LIST: &str = "cni.projectcalico.org/podIPs";
    const ONE: &str = "cni.projectcalico.org/podIP";
    let own = || json!([{ "ip": "2001:DB8:0::1" }, { "ip": "10.65.0.7" }]);
    let list = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    let both = read(json!({ LIST: "10.65.0.7/32, 2001:db8::1/128", ONE: "10.9.9.9/32" }), own());
    assert_eq!(both, (list(&["10.65.0.7", "2001:db8::1"]), true, 0), "as addresses, in any order");
    let single = read(json!({ LIST: "10.65.0.7/32,2001:db8::1/128" }), json!([{ "ip": "10.65.0.7" }]));
    assert!(single.1, "a single-stack kubelet tells one of two");
    assert!(read(json!({ ONE: "10.65.0.7/32" }), json!([{ "ip": "10.65.0.7" }])).1, "what older ones wrote");
    assert!(!read(json!({ ONE: "10.65.0.7/32" }), own()).1, "the second address is nobody's");
    assert!(!read(json!({ LIST: "10.65.0.8/32" }), json!([{ "ip": "10.65.0.7" }])).1, "of an earlier sandbox");
    assert_eq!(read(json!({ LIST: "", ONE: "" }), own()), (list(&[]), false, 0), "CNI DEL empties them");
    assert_eq!(read(json!({ LIST: "10.65.0.7/32,x" }), json!([])), (list(&["10.65.0.7"]), false, 1));
}

#[test]
fn a_nodes_ranges_are_read_from_either_field() {
    let read = |spec: Value| {
        let node = json!({ "kind": "Node", "apiVersion": "v1", "metadata": { "name": "node-1" }, "spec": spec });
        let (text, mut snapshot, mut remarks) = (node.to_string(), Gathering::default(), Remarks::default());
        super::super::insert(&mut snapshot, Kind::Node, &kube_json::item(&text).unwrap(), &mut remarks);
        assert!(remarks.hole_in(Input::KubeNodes).is_none());
        let cidrs: Vec<String> = snapshot.kube_nodes[0].pod_cidrs.iter().map(ToString::to_string).collect();
        (cidrs.join(" "), remarks.notes().len())
    };
    let both = json!({ "podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:1::/64"] });
    assert_eq!(read(both), ("10.244.1.0/24 fd00:1::/64".to_owned(), 0));
    assert_eq!(read(json!({ "podCIDR": "10.244.1.0/24" })), ("10.244.1.0/24".to_owned(), 0));
    assert_eq!(read(json!({ "podCIDR": null, "podCIDRs": null })), (String::new(), 0));
    assert_eq!(read(json!({ "podCIDRs": ["none"] })), (String::new(), 1));
}

#[test]
fn a_launcher_pod_names_its_vm() {
    let pod = |owner: &str, label: &str| {
        let (snapshot, _) = one_pod(json!({
            "metadata": {
                "name": "virt-launcher-vm-1-x", "namespace": "vms",
                "ownerReferences": [{ "kind": owner, "name": "vm-of-owner", "controller": true }],
                "labels": { "kubevirt.io": label, "vm.kubevirt.io/name": "vm-of-label" },
            },
        }));
        snapshot.text(snapshot.pods[0].vmi()).to_owned()
    };
    assert_eq!(pod("VirtualMachineInstance", "virt-launcher"), "vm-of-owner");
    assert_eq!(pod("ReplicaSet", "virt-launcher"), "vm-of-label");
    assert_eq!(pod("ReplicaSet", "hotplug-disk"), "");
}

#[test]
fn an_address_that_cannot_be_read_is_a_hole_where_it_matters() {
    let pod = |spec: Value, phase: &str| {
        one_pod(json!({
            "metadata": { "name": "a", "namespace": "n" }, "spec": spec,
            "status": { "phase": phase, "podIPs": [{ "ip": "300.1.2.3" }, { "ip": "10.0.0.5/32" }] },
        }))
    };
    let (snapshot, remarks) = pod(json!({ "nodeName": "node-1" }), "Running");
    assert_eq!(texts(&snapshot.pods[0].addresses()), ["10.0.0.5"]);
    assert_eq!(remarks.hole_in(Input::Pods).unwrap(), "pod n/a: \"300.1.2.3\" is not an address");
    for (spec, phase) in [
        (json!({ "nodeName": "node-1" }), "Succeeded"),
        (json!({ "nodeName": "node-1", "hostNetwork": true }), "Running"),
        (json!({}), "Pending"),
    ] {
        let (_, remarks) = pod(spec, phase);
        assert_eq!(remarks.hole_in(Input::Pods), None);
        assert_eq!(remarks.notes().len(), 1);
    }
}

#[test]
fn an_annotation_that_cannot_be_read_is_a_note() {
    let (snapshot, remarks) = one_pod(json!({
        "metadata": { "name": "a", "namespace": "n", "annotations": {
            "cni.projectcalico.org/ipAddrsNoIpam": "10.65.255.9",
            "cni.projectcalico.org/floatingIPs": "[\"10.65.255.7\",\"host\"]",
            "k8s.v1.cni.cncf.io/network-status": "{}",
        } },
    }));
    let pod = snapshot.pods[0].fields();
    assert!(pod.no_ipam.is_empty() && pod.network_status.is_empty());
    assert_eq!(texts(&pod.floating), ["10.65.255.7"]);
    assert_eq!(remarks.notes().len(), 3);
    assert_eq!(remarks.hole_in(Input::Pods), None);
}

#[test]
fn notes_are_bounded() {
    let mut remarks = Remarks::default();
    let mut other = Remarks::default();
    for i in 0..30 {
        remarks.note(format!("a{i}"));
        other.note(format!("b{i}"));
        other.hole(Input::Pods, format!("h{i}"));
    }
    remarks.hole(Input::Pods, "first".to_owned());
    remarks.merge(other);
    assert_eq!(remarks.notes().len(), NOTES_KEPT + 1);
    assert_eq!(remarks.notes()[NOTES_KEPT], "40 more details could not be read");
    assert_eq!(remarks.hole_in(Input::Pods).unwrap(), "first (and 30 more)");
}

#[test]
fn what_cannot_be_named_is_a_hole() {
    for metadata in [json!({ "namespace": "n" }), json!({ "name": "a" }), json!({})] {
        let (snapshot, remarks) = one_pod(json!({ "metadata": metadata }));
        assert!(snapshot.pods.is_empty());
        assert!(remarks.hole_in(Input::Pods).is_some());
    }
}

#[test]
fn a_deletion_time_that_cannot_be_read_is_still_a_deletion() {
    let (snapshot, remarks) = one_pod(json!({
        "metadata": { "name": "a", "namespace": "n", "deletionTimestamp": "0001-01-01T00:00:00Z" },
    }));
    assert!(snapshot.pods[0].is_terminating());
    assert_eq!(remarks.notes().len(), 1);
}

#[test]
fn nodes_services_and_namespaces() {
    let mut snapshot = Gathering::default();
    let mut remarks = Remarks::default();
    let mut add = |kind, object: Value| {
        let text = object.to_string();
        insert(&mut snapshot, kind, &kube_json::item(&text).unwrap(), &mut remarks);
    };
    let addresses = json!([{ "type": "InternalIP", "address": "172.20.0.6" }, { "type": "Hostname", "address": "n" }]);
    let ready = json!([{ "type": "Ready", "status": "Unknown" }]);
    let info = json!({ "operatingSystem": "linux", "bootID": "boot-1" });
    add(
        Kind::Node,
        json!({
            "metadata": { "name": "n2", "labels": { "kubernetes.io/os": "windows" } },
            "status": { "addresses": addresses, "conditions": ready, "nodeInfo": info },
        }),
    );
    add(Kind::Node, json!({ "metadata": { "name": "n1" }, "status": { "nodeInfo": info } }));
    add(
        Kind::Service,
        json!({
            "metadata": { "name": "kubernetes", "namespace": "default", "uid": "svc-uid" }, "spec": { "type": "ClusterIP" },
        }),
    );
    add(
        Kind::Service,
        json!({
            "metadata": { "name": "lb", "namespace": "n", "annotations": { "projectcalico.org/ipv4pools": "[\"p\"]" } },
            "spec": { "type": "LoadBalancer", "loadBalancerClass": "calico", "ipFamilies": ["IPv6"],
                "ipFamilyPolicy": "SingleStack" },
            "status": { "loadBalancer": { "ingress": [{ "ip": "10.1.1.1" }, { "hostname": "x" }] } },
        }),
    );
    add(Kind::Namespace, json!({ "metadata": { "name": "kube-system", "uid": "ns-uid" } }));
    add(Kind::Namespace, json!({ "metadata": { "name": "old", "deletionTimestamp": "2026-11-24T12:13:10Z" } }));
    assert!(remarks.notes().is_empty());

    assert_eq!((snapshot.kube_nodes.len(), snapshot.services.len()), (2, 2));
    let (windows, linux) = (&snapshot.kube_nodes[0], &snapshot.kube_nodes[1]);
    assert!(windows.windows && windows.ready == Some(false) && snapshot.text(windows.boot_id) == "boot-1");
    assert_eq!(texts(&windows.internal_addresses), ["172.20.0.6"]);
    assert!(!linux.windows && linux.ready.is_none());
    let (api, balanced) = (&snapshot.services[0], &snapshot.services[1]);
    assert!(!api.load_balancer && !api.requests_address && api.class.is_none());
    assert!(balanced.load_balancer && balanced.requests_address);
    assert_eq!(snapshot.text(balanced.class.unwrap()), "calico");
    assert_eq!(texts(&balanced.ingress), ["10.1.1.1"]);
    assert_eq!((api.families, balanced.families), (Families::BOTH, Families { v4: false, v6: true }));
    assert_eq!(snapshot.namespaces.len(), 2);
    assert!(snapshot.namespaces[1].deleting.is_some());
    assert_eq!(snapshot.kube.kube_system_uid.as_deref(), Some("ns-uid"));
    assert_eq!(snapshot.kube.kubernetes_service_uid.as_deref(), Some("svc-uid"));
}

#[test]
fn each_request_for_an_address_counts() {
    for (spec, annotations, asks) in [
        (json!({ "loadBalancerIP": "10.1.1.1" }), json!({}), true),
        (json!({}), json!({ "projectcalico.org/ipv4pools": "[]" }), true),
        (json!({}), json!({ "projectcalico.org/ipv6pools": "[]" }), true),
        (json!({}), json!({ "projectcalico.org/loadBalancerIPs": "[]" }), true),
        (json!({}), json!({ "projectcalico.org/ipv4pools": "" }), false),
        (json!({}), json!({}), false),
    ] {
        let text = json!({
            "metadata": { "name": "a", "namespace": "n", "annotations": annotations }, "spec": spec,
        })
        .to_string();
        let item = kube_json::item(&text).unwrap();
        let service = service(&mut Names::default(), &item, &mut Remarks::default()).unwrap();
        assert_eq!(service.requests_address, asks, "{text}");
    }
}

#[test]
fn a_second_look_replaces_adds_and_removes() {
    let mut snapshot = Gathering::default();
    let mut remarks = Remarks::default();
    let make = |snapshot: &mut Gathering, name: &str, uid: &str| {
        let text = json!({ "metadata": { "name": name, "namespace": "n", "uid": uid } }).to_string();
        pod(&mut snapshot.names, &kube_json::item(&text).unwrap(), &mut Remarks::default()).unwrap()
    };
    for name in ["a", "b", "c"] {
        let text = json!({ "metadata": { "name": name, "namespace": "n", "uid": "old" } }).to_string();
        insert(&mut snapshot, Kind::Pod, &kube_json::item(&text).unwrap(), &mut remarks);
    }
    let (b, d) = (make(&mut snapshot, "b", "new"), make(&mut snapshot, "d", "new"));
    let (namespace, a) = (b.namespace, snapshot.names.find("a").unwrap());
    let seen = [((namespace, b.name), Some(b.clone())), ((namespace, d.name), Some(d)), ((namespace, a), None)];
    replace(&mut snapshot.pods, HashMap::from(seen), |pod| (pod.namespace, pod.name));
    let snapshot = snapshot.sorted();
    let pods: Vec<(String, String)> =
        snapshot.pods.iter().map(|pod| (snapshot.text(pod.name).to_owned(), pod.uid.text(&snapshot.names))).collect();
    let pair = |name: &str, uid: &str| (name.to_owned(), uid.to_owned());
    assert_eq!(pods, [pair("b", "new"), pair("c", "old"), pair("d", "new")]);
}

#[test]
fn dates_of_http() {
    assert_eq!(http_date("Tue, 24 Nov 2026 13:31:53 GMT"), Time::parse_rfc3339("2026-11-24T13:31:53Z"));
    assert_eq!(http_date("soon"), None);
}
