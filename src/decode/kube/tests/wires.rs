//! The same object over both wires, protobuf and JSON, is the same object.

use proptest::prelude::*;
use prost::Message;
use prost::bytes::Bytes;

use super::super::super::kube_item as form;
use super::super::super::kube_item::{Annotations, Labels, Metadata};
use super::super::super::kube_json;
use super::super::super::kube_page::{Content, Page, with_object};
use super::super::super::kube_pb as pb;
use super::super::super::kube_pb_item::Object;
use super::super::*;

/// What decoding one object gives, in a form that compares.
fn decoded(kind: Kind, item: &Item<'_>) -> (String, Remarks) {
    let mut snapshot = Gathering::default();
    let mut remarks = Remarks::default();
    insert(&mut snapshot, kind, item, &mut remarks);
    let Gathering { pods, kube_nodes, services, namespaces, kube, .. } = snapshot;
    (format!("{pods:?} {kube_nodes:?} {services:?} {namespaces:?} {kube:?}"), remarks)
}

fn entries<const N: usize>(pairs: [(&str, &WireText<'_>); N]) -> Vec<pb::MapEntry> {
    let entry = |key: &str, value: &str| pb::MapEntry {
        key: Bytes::copy_from_slice(key.as_bytes()),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    let mut entries = vec![entry("app", "web"), entry("unknown.example/x", "{}")];
    entries.extend(pairs.iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| entry(key, value)));
    entries
}

fn timestamp(moment: WireTime) -> Option<pb::Timestamp> {
    match moment {
        // Go writes its zero time as an empty message.
        WireTime::Absent => Some(pb::Timestamp { seconds: None }),
        WireTime::At(time) => Some(pb::Timestamp { seconds: Some(time.seconds()) }),
        WireTime::Odd => Some(pb::Timestamp { seconds: Some(i64::MAX) }),
    }
}

fn metadata(item: &Metadata<'_>) -> pb::ObjectMeta {
    let Labels { os, kubevirt, vm_name } = &item.labels;
    let Annotations { mirror, no_ipam, ip_addrs, floating, pod_ip, pod_ips, network_status, .. } = &item.annotations;
    let Annotations { v4_pools, v6_pools, load_balancer_ips, .. } = &item.annotations;
    pb::ObjectMeta {
        name: item.name.to_string(),
        namespace: item.namespace.to_string(),
        uid: item.uid.to_string(),
        resource_version: item.resource_version.to_string(),
        creation_timestamp: timestamp(item.creation_timestamp),
        deletion_timestamp: timestamp(item.deletion_timestamp),
        labels: entries([("kubernetes.io/os", os), ("kubevirt.io", kubevirt), ("vm.kubevirt.io/name", vm_name)]),
        annotations: entries([
            ("kubernetes.io/config.mirror", mirror),
            ("cni.projectcalico.org/ipAddrsNoIpam", no_ipam),
            ("cni.projectcalico.org/ipAddrs", ip_addrs),
            ("cni.projectcalico.org/floatingIPs", floating),
            ("cni.projectcalico.org/podIP", pod_ip),
            ("cni.projectcalico.org/podIPs", pod_ips),
            ("k8s.v1.cni.cncf.io/network-status", network_status),
            ("projectcalico.org/ipv4pools", v4_pools),
            ("projectcalico.org/ipv6pools", v6_pools),
            ("projectcalico.org/loadBalancerIPs", load_balancer_ips),
        ]),
        owner_references: item
            .owner_references
            .iter()
            .map(|owner| pb::OwnerReferenceMessage {
                kind: owner.kind.to_string(),
                name: owner.name.to_string(),
                controller: owner.controller,
            })
            .collect(),
    }
}

/// The protobuf message that says the same as `item`.
fn object(kind: Kind, item: &Item<'_>) -> Object {
    let metadata = Some(metadata(&item.metadata));
    let conditions: Vec<pb::ConditionMessage> = item
        .status
        .conditions
        .iter()
        .map(|condition| pb::ConditionMessage {
            r#type: condition.r#type.to_string(),
            status: condition.status.to_string(),
        })
        .collect();
    let ips = |ips: &[Ip<'_>]| ips.iter().map(|ip| pb::IpMessage { ip: ip.ip.to_string() }).collect();
    let Item { spec, status, .. } = item;
    match kind {
        Kind::Pod => Object::Pod(pb::PodMessage {
            metadata,
            spec: Some(pb::PodSpec { node_name: spec.node_name.to_string(), host_network: spec.host_network }),
            status: Some(pb::PodStatus {
                phase: status.phase.to_string(),
                conditions,
                pod_ip: status.pod_ip.to_string(),
                pod_ips: ips(&status.pod_ips),
            }),
        }),
        Kind::Node => Object::Node(pb::NodeMessage {
            metadata,
            spec: Some(pb::NodeSpec {
                pod_cidr: spec.pod_cidr.to_string(),
                pod_cidrs: spec.pod_cidrs.iter().map(|text| text.to_string()).collect(),
            }),
            status: Some(pb::NodeStatus {
                conditions,
                addresses: status
                    .addresses
                    .iter()
                    .map(|a| pb::NodeAddressMessage { r#type: a.r#type.to_string(), address: a.address.to_string() })
                    .collect(),
                node_info: Some(pb::NodeSystemInfo {
                    boot_id: status.node_info.boot_id.to_string(),
                    operating_system: status.node_info.operating_system.to_string(),
                }),
            }),
        }),
        Kind::Service => Object::Service(pb::ServiceMessage {
            metadata,
            spec: Some(pb::ServiceSpec {
                r#type: spec.r#type.to_string(),
                load_balancer_ip: spec.load_balancer_ip.to_string(),
                load_balancer_class: spec.load_balancer_class.to_string(),
                ip_families: spec.ip_families.iter().map(|family| family.to_string()).collect(),
                ip_family_policy: spec.ip_family_policy.to_string(),
            }),
            status: Some(pb::ServiceStatus {
                load_balancer: Some(pb::LoadBalancerStatus { ingress: ips(&status.load_balancer.ingress) }),
            }),
        }),
        Kind::Namespace => Object::Namespace(pb::NamespaceMessage { metadata, ..pb::NamespaceMessage::default() }),
    }
}

fn bytes(object: &Object) -> Bytes {
    match object {
        Object::Pod(message) => message.encode_to_vec(),
        Object::Node(message) => message.encode_to_vec(),
        Object::Service(message) => message.encode_to_vec(),
        Object::Namespace(message) => message.encode_to_vec(),
    }
    .into()
}

fn enveloped(kind: &str, raw: Bytes) -> Bytes {
    let type_meta = Some(pb::TypeMeta { api_version: "v1".to_owned(), kind: kind.to_owned() });
    let unknown = pb::Unknown { type_meta, raw, content_encoding: String::new() };
    [pb::MAGIC.as_slice(), &unknown.encode_to_vec()].concat().into()
}

/// The item without the fields that its kind does not have on the protobuf wire.
fn only(kind: Kind, item: Item<'_>) -> Item<'_> {
    let Item { metadata, spec, status, .. } = item;
    let (spec, status) = match kind {
        Kind::Pod => (
            form::Spec { node_name: spec.node_name, host_network: spec.host_network, ..Default::default() },
            form::ItemStatus {
                phase: status.phase,
                pod_ip: status.pod_ip,
                pod_ips: status.pod_ips,
                conditions: status.conditions,
                ..Default::default()
            },
        ),
        Kind::Node => (
            form::Spec { pod_cidr: spec.pod_cidr, pod_cidrs: spec.pod_cidrs, ..Default::default() },
            form::ItemStatus {
                conditions: status.conditions,
                addresses: status.addresses,
                node_info: status.node_info,
                ..Default::default()
            },
        ),
        Kind::Service => (
            form::Spec {
                r#type: spec.r#type,
                load_balancer_class: spec.load_balancer_class,
                load_balancer_ip: spec.load_balancer_ip,
                ..Default::default()
            },
            form::ItemStatus { load_balancer: status.load_balancer, ..Default::default() },
        ),
        Kind::Namespace => Default::default(),
    };
    Item { metadata, spec, status, ..Item::default() }
}

/// Texts as they come, and as they should not.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[a-z0-9.-]{1,12}",
        "\\PC{0,8}",
        Just("10.65.0.7".to_owned()),
        Just("fd00:65::7/128".to_owned()),
        Just("10.65.0.7/32,fd00:65::7/128".to_owned()),
        Just("10.244.1.0/24".to_owned()),
        Just("300.1.2.3".to_owned()),
        Just("Ready".to_owned()),
        Just("True".to_owned()),
        Just("Running".to_owned()),
        Just("LoadBalancer".to_owned()),
        Just("IPv4".to_owned()),
        Just("SingleStack".to_owned()),
        Just("InternalIP".to_owned()),
        Just("VirtualMachineInstance".to_owned()),
        Just("virt-launcher".to_owned()),
        Just(r#"["10.65.0.9","10.65.0.9","fd00::9"]"#.to_owned()),
        Just(r#"[{"name":"a","ips":["10.9.0.1"]},{"ips":null},{}]"#.to_owned()),
        Just("[not json".to_owned()),
        Just("a\"quote\\ and\nline".to_owned()),
    ]
}

fn moment() -> impl Strategy<Value = WireTime> {
    prop_oneof![
        Just(WireTime::Absent),
        (0i64..4_000_000_000).prop_map(|seconds| WireTime::At(Time(seconds * 1_000_000_000))),
        Just(WireTime::Odd),
    ]
}

/// As many texts as an object can hold, made into one.
fn any_item() -> impl Strategy<Value = (Vec<String>, [WireTime; 2], [bool; 2], usize)> {
    (prop::collection::vec(text(), 37), [moment(), moment()], any::<[bool; 2]>(), 0usize..4)
}

fn build<'a>(texts: &'a [String], moments: [WireTime; 2], flags: [bool; 2], many: usize) -> Item<'a> {
    let t = |i: usize| WireText::from(texts[i].as_str());
    let ip = |i: usize| Ip { ip: t(i) };
    let condition = |i: usize| Condition { r#type: t(i), status: t(i + 1) };
    let address = |i: usize| form::NodeAddress { r#type: t(i), address: t(i + 1) };
    let owner = |i: usize| form::OwnerReference { kind: t(i), name: t(i + 1), controller: flags[i % 2] };
    Item {
        api_version: WireText::default(),
        kind: WireText::default(),
        metadata: Metadata {
            uid: t(0),
            resource_version: t(1),
            namespace: t(1),
            name: t(2),
            creation_timestamp: moments[0],
            deletion_timestamp: moments[1],
            owner_references: [3, 4, 5].into_iter().take(many).map(owner).collect(),
            labels: Labels { os: t(6), kubevirt: t(7), vm_name: t(8) },
            annotations: Annotations {
                mirror: t(9),
                no_ipam: t(10),
                ip_addrs: t(31),
                floating: t(11),
                pod_ip: t(32),
                pod_ips: t(33),
                network_status: t(12),
                v4_pools: t(13),
                v6_pools: t(14),
                load_balancer_ips: t(15),
            },
        },
        spec: form::Spec {
            node_name: t(16),
            host_network: flags[0],
            r#type: t(17),
            load_balancer_class: t(18),
            load_balancer_ip: t(19),
            ip_families: [20, 21].into_iter().take(many).map(t).collect(),
            ip_family_policy: t(22),
            pod_cidr: t(34),
            pod_cidrs: [35, 36].into_iter().take(many).map(t).collect(),
        },
        status: form::ItemStatus {
            phase: t(20),
            pod_ip: t(21),
            pod_ips: [22, 23, 24].into_iter().take(many).map(ip).collect(),
            conditions: [25, 26, 27].into_iter().take(many).map(condition).collect(),
            addresses: [27, 28].into_iter().take(many).map(address).collect(),
            node_info: form::NodeInfo { boot_id: t(29), operating_system: t(30) },
            load_balancer: form::LoadBalancer { ingress: [30, 31].into_iter().take(many).map(ip).collect() },
        },
    }
}

proptest! {
    /// The same object over both wires is the same object, remarks included.
    #[test]
    fn both_wires_say_the_same((texts, moments, flags, many) in any_item()) {
        for kind in Kind::ALL {
            let item = only(kind, build(&texts, moments, flags, many));
            let json = serde_json::to_string(&item).unwrap();
            let from_json = kube_json::item(&json).unwrap();
            prop_assert_eq!(&from_json, &item);

            let message = bytes(&object(kind, &item));
            let back = Object::decode(kind, message).unwrap();
            let from_protobuf = back.item().unwrap();
            prop_assert_eq!(&from_protobuf, &item);

            let (json, json_remarks) = decoded(kind, &from_json);
            let (protobuf, protobuf_remarks) = decoded(kind, &from_protobuf);
            prop_assert_eq!(json, protobuf);
            prop_assert_eq!(format!("{json_remarks:?}"), format!("{protobuf_remarks:?}"));
        }
    }

    /// No bytes whatever make it panic.
    #[test]
    fn rubbish_is_an_error(mut body in prop::collection::vec(any::<u8>(), 0..200), magic in any::<bool>()) {
        if magic {
            body.splice(0..0, *pb::MAGIC);
        }
        let body = Bytes::from(body);
        for content in [Content::Json, Content::Protobuf] {
            for kind in Kind::ALL {
                if let Ok(page) = Page::parse(kind, content, &body) {
                    page.for_each(|item| drop(item.map(|item| decoded(kind, item))));
                }
                with_object(kind, content, &body, |item| drop(item.map(|item| decoded(kind, item))));
            }
        }
    }
}

#[test]
fn a_page_comes_over_both_wires() {
    let item = Item {
        metadata: Metadata { name: "a".into(), namespace: "n".into(), ..Default::default() },
        ..Default::default()
    };
    let good = bytes(&object(Kind::Pod, &item));
    let list = pb::List {
        metadata: Some(pb::ListMeta { next: "token".to_owned() }),
        // The middle one is cut off: it costs itself alone.
        items: vec![good.clone(), good.slice(..good.len() - 1), good],
    };
    let protobuf = enveloped("PodList", list.encode_to_vec().into());
    let json = r#"{"kind":"PodList","apiVersion":"v1","metadata":{"continue":"token"},"items":[
        {"metadata":{"name":"a","namespace":"n"}},{"metadata":5},{"metadata":{"name":"a","namespace":"n"}}]}"#;
    for (content, body) in [(Content::Protobuf, protobuf), (Content::Json, Bytes::from(json))] {
        let page = Page::parse(Kind::Pod, content, &body).unwrap();
        assert_eq!(page.next, "token", "{content:?}");
        let mut good = Vec::new();
        page.for_each(|item| good.push(item.is_ok_and(|item| &*item.metadata.name == "a")));
        assert_eq!(good, [true, false, true], "{content:?}");
        assert!(Page::parse(Kind::Node, content, &body).unwrap_err().contains("PodList"));
    }
}

#[test]
fn an_object_must_be_of_the_kind_that_was_asked_for() {
    let pod = enveloped("Pod", bytes(&object(Kind::Pod, &Item::default())));
    assert!(with_object(Kind::Pod, Content::Protobuf, &pod, |item| item.is_ok()));
    assert!(with_object(Kind::Node, Content::Protobuf, &pod, |item| item.unwrap_err().contains("\"Pod\"")));
    let pod = Bytes::from(r#"{"kind":"Pod","apiVersion":"v1"}"#);
    assert!(with_object(Kind::Pod, Content::Json, &pod, |item| item.is_ok()));
    assert!(with_object(Kind::Node, Content::Json, &pod, |item| item.is_err()));
}

#[test]
fn compressed_protobuf_is_not_guessed_at() {
    let unknown = pb::Unknown { content_encoding: "gzip".to_owned(), ..Default::default() };
    let body: Bytes = [pb::MAGIC.as_slice(), &unknown.encode_to_vec()].concat().into();
    assert!(pb::unwrap(body).unwrap_err().contains("gzip"));
}
