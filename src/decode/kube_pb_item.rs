//! From Kubernetes' protobuf messages to the common form of an object.

use std::fmt::Debug;
use std::str::Utf8Error;

use prost::bytes::Bytes;
use prost::{DecodeError, Message};

use super::kube_item as item;
use super::kube_item::{Item, Kind, WireTime};
use super::kube_pb::{
    ConditionMessage, IpMessage, MapEntry, NamespaceMessage, NodeAddressMessage, NodeMessage, NodeSpec, NodeStatus,
    NodeSystemInfo, ObjectMessage, ObjectMeta, OwnerReferenceMessage, PodMessage, PodSpec, PodStatus, ServiceMessage,
    ServiceSpec, ServiceStatus, Timestamp,
};
use crate::model::Time;

/// One decoded object, from which an [`Item`] borrows.
#[derive(Clone, PartialEq, Debug)]
pub enum Object {
    Pod(PodMessage),
    Node(NodeMessage),
    Service(ServiceMessage),
    Namespace(NamespaceMessage),
}

impl Object {
    /// The object of `kind` in `raw`.
    pub fn decode(kind: Kind, raw: Bytes) -> Result<Object, DecodeError> {
        Ok(match kind {
            Kind::Pod => Object::Pod(PodMessage::decode(raw)?),
            Kind::Node => Object::Node(NodeMessage::decode(raw)?),
            Kind::Service => Object::Service(ServiceMessage::decode(raw)?),
            Kind::Namespace => Object::Namespace(NamespaceMessage::decode(raw)?),
        })
    }

    /// The common form of it. Neither kind nor API version is in the bytes: the envelope has them.
    pub fn item(&self) -> Result<Item<'_>, Utf8Error> {
        match self {
            Object::Pod(pod) => common(pod, pod_spec, pod_status),
            Object::Node(node) => common(node, node_spec, node_status),
            Object::Service(service) => common(service, service_spec, service_status),
            Object::Namespace(namespace) => common(namespace, |()| Default::default(), |()| Default::default()),
        }
    }
}

fn common<'a, S: Message + Default + Debug, T: Message + Default + Debug>(
    from: &'a ObjectMessage<S, T>,
    spec: fn(&'a S) -> item::Spec<'a>,
    status: fn(&'a T) -> item::ItemStatus<'a>,
) -> Result<Item<'a>, Utf8Error> {
    Ok(Item {
        metadata: from.metadata.as_ref().map(object_meta).transpose()?.unwrap_or_default(),
        spec: from.spec.as_ref().map(spec).unwrap_or_default(),
        status: from.status.as_ref().map(status).unwrap_or_default(),
        ..Item::default()
    })
}

fn object_meta(from: &ObjectMeta) -> Result<item::Metadata<'_>, Utf8Error> {
    Ok(item::Metadata {
        uid: from.uid.as_str().into(),
        resource_version: from.resource_version.as_str().into(),
        namespace: from.namespace.as_str().into(),
        name: from.name.as_str().into(),
        creation_timestamp: moment(&from.creation_timestamp),
        deletion_timestamp: moment(&from.deletion_timestamp),
        owner_references: from.owner_references.iter().map(owner_reference).collect(),
        labels: item::Labels::of(pairs(&from.labels))?,
        annotations: item::Annotations::of(pairs(&from.annotations))?,
    })
}

fn pairs(entries: &[MapEntry]) -> impl Iterator<Item = (&[u8], &[u8])> {
    entries.iter().map(|entry| (&*entry.key, &*entry.value))
}

fn moment(timestamp: &Option<Timestamp>) -> WireTime {
    let Some(seconds) = timestamp.as_ref().and_then(|t| t.seconds) else { return WireTime::Absent };
    seconds.checked_mul(1_000_000_000).map_or(WireTime::Odd, |nanos| WireTime::At(Time(nanos)))
}

fn owner_reference(from: &OwnerReferenceMessage) -> item::OwnerReference<'_> {
    item::OwnerReference {
        kind: from.kind.as_str().into(),
        name: from.name.as_str().into(),
        controller: from.controller,
    }
}

fn pod_spec(from: &PodSpec) -> item::Spec<'_> {
    item::Spec { node_name: from.node_name.as_str().into(), host_network: from.host_network, ..item::Spec::default() }
}

fn pod_status(from: &PodStatus) -> item::ItemStatus<'_> {
    item::ItemStatus {
        phase: from.phase.as_str().into(),
        pod_ip: from.pod_ip.as_str().into(),
        pod_ips: from.pod_ips.iter().map(ip).collect(),
        conditions: from.conditions.iter().map(condition).collect(),
        ..item::ItemStatus::default()
    }
}

fn ip(from: &IpMessage) -> item::Ip<'_> {
    item::Ip { ip: from.ip.as_str().into() }
}

fn condition(from: &ConditionMessage) -> item::Condition<'_> {
    item::Condition { r#type: from.r#type.as_str().into(), status: from.status.as_str().into() }
}

fn node_spec(from: &NodeSpec) -> item::Spec<'_> {
    item::Spec {
        pod_cidr: from.pod_cidr.as_str().into(),
        pod_cidrs: from.pod_cidrs.iter().map(|cidr| cidr.as_str().into()).collect(),
        ..item::Spec::default()
    }
}

fn node_status(from: &NodeStatus) -> item::ItemStatus<'_> {
    item::ItemStatus {
        conditions: from.conditions.iter().map(condition).collect(),
        addresses: from.addresses.iter().map(node_address).collect(),
        node_info: from.node_info.as_ref().map(node_info).unwrap_or_default(),
        ..item::ItemStatus::default()
    }
}

fn node_address(from: &NodeAddressMessage) -> item::NodeAddress<'_> {
    item::NodeAddress { r#type: from.r#type.as_str().into(), address: from.address.as_str().into() }
}

fn node_info(from: &NodeSystemInfo) -> item::NodeInfo<'_> {
    item::NodeInfo { boot_id: from.boot_id.as_str().into(), operating_system: from.operating_system.as_str().into() }
}

fn service_spec(from: &ServiceSpec) -> item::Spec<'_> {
    item::Spec {
        r#type: from.r#type.as_str().into(),
        load_balancer_class: from.load_balancer_class.as_str().into(),
        load_balancer_ip: from.load_balancer_ip.as_str().into(),
        ip_families: from.ip_families.iter().map(|family| family.as_str().into()).collect(),
        ip_family_policy: from.ip_family_policy.as_str().into(),
        ..item::Spec::default()
    }
}

fn service_status(from: &ServiceStatus) -> item::ItemStatus<'_> {
    let ingress = from.load_balancer.iter().flat_map(|balancer| &balancer.ingress).map(ip).collect();
    item::ItemStatus { load_balancer: item::LoadBalancer { ingress }, ..item::ItemStatus::default() }
}
