//! From Kubernetes' protobuf messages to the common form of an object.

use std::str::{Utf8Error, from_utf8};

use prost::bytes::Bytes;
use prost::{DecodeError, Message};

use super::kube_item as item;
use super::kube_item::{Item, Kind, Moment};
use super::kube_pb::{
    Condition, Entry, Ip, Namespace, Node, NodeAddress, NodeInfo, NodeStatus, ObjectMeta, OwnerReference, Pod, PodSpec,
    PodStatus, Service, ServiceSpec, ServiceStatus, Timestamp,
};
use crate::model::Time;

/// One decoded object, from which an [`Item`] borrows.
#[derive(Clone, PartialEq, Debug)]
pub enum Object {
    Pod(Pod),
    Node(Node),
    Service(Service),
    Namespace(Namespace),
}

impl Object {
    /// The object of `kind` in `raw`.
    pub fn decode(kind: Kind, raw: Bytes) -> Result<Object, DecodeError> {
        Ok(match kind {
            Kind::Pod => Object::Pod(Pod::decode(raw)?),
            Kind::Node => Object::Node(Node::decode(raw)?),
            Kind::Service => Object::Service(Service::decode(raw)?),
            Kind::Namespace => Object::Namespace(Namespace::decode(raw)?),
        })
    }

    /// The common form of it. Neither kind nor API version is in the bytes: the envelope has them.
    pub fn item(&self) -> Result<Item<'_>, Utf8Error> {
        let (metadata, spec, status) = match self {
            Object::Pod(pod) => (
                &pod.metadata,
                pod.spec.as_ref().map(PodSpec::item).unwrap_or_default(),
                pod.status.as_ref().map(PodStatus::item).unwrap_or_default(),
            ),
            Object::Node(node) => {
                (&node.metadata, item::Spec::default(), node.status.as_ref().map(NodeStatus::item).unwrap_or_default())
            }
            Object::Service(service) => (
                &service.metadata,
                service.spec.as_ref().map(ServiceSpec::item).unwrap_or_default(),
                service.status.as_ref().map(ServiceStatus::item).unwrap_or_default(),
            ),
            Object::Namespace(namespace) => (&namespace.metadata, item::Spec::default(), item::Status::default()),
        };
        let metadata = metadata.as_ref().map(ObjectMeta::item).transpose()?.unwrap_or_default();
        Ok(Item { metadata, spec, status, ..Item::default() })
    }
}

impl ObjectMeta {
    fn item(&self) -> Result<item::Metadata<'_>, Utf8Error> {
        let mut labels = item::Labels::default();
        for Entry { key, value } in &self.labels {
            if let Some(slot) = labels.slot(key) {
                *slot = from_utf8(value)?.into();
            }
        }
        let mut annotations = item::Annotations::default();
        for Entry { key, value } in &self.annotations {
            if let Some(slot) = annotations.slot(key) {
                *slot = from_utf8(value)?.into();
            }
        }
        Ok(item::Metadata {
            uid: self.uid.as_str().into(),
            namespace: self.namespace.as_str().into(),
            name: self.name.as_str().into(),
            creation_timestamp: moment(self.creation_timestamp),
            deletion_timestamp: moment(self.deletion_timestamp),
            owner_references: self.owner_references.iter().map(OwnerReference::item).collect(),
            labels,
            annotations,
        })
    }
}

fn moment(timestamp: Option<Timestamp>) -> Moment {
    let Some(seconds) = timestamp.and_then(|t| t.seconds) else { return Moment::Absent };
    seconds.checked_mul(1_000_000_000).map_or(Moment::Odd, |nanos| Moment::At(Time(nanos)))
}

impl OwnerReference {
    fn item(&self) -> item::OwnerReference<'_> {
        item::OwnerReference {
            kind: self.kind.as_str().into(),
            name: self.name.as_str().into(),
            controller: self.controller,
        }
    }
}

impl PodSpec {
    fn item(&self) -> item::Spec<'_> {
        item::Spec {
            node_name: self.node_name.as_str().into(),
            host_network: self.host_network,
            ..item::Spec::default()
        }
    }
}

impl PodStatus {
    fn item(&self) -> item::Status<'_> {
        item::Status {
            phase: self.phase.as_str().into(),
            pod_ip: self.pod_ip.as_str().into(),
            pod_ips: self.pod_ips.iter().map(Ip::item).collect(),
            conditions: self.conditions.iter().map(Condition::item).collect(),
            ..item::Status::default()
        }
    }
}

impl Ip {
    fn item(&self) -> item::Ip<'_> {
        item::Ip { ip: self.ip.as_str().into() }
    }
}

impl Condition {
    fn item(&self) -> item::Condition<'_> {
        item::Condition { r#type: self.r#type.as_str().into(), status: self.status.as_str().into() }
    }
}

impl NodeStatus {
    fn item(&self) -> item::Status<'_> {
        item::Status {
            conditions: self.conditions.iter().map(Condition::item).collect(),
            addresses: self.addresses.iter().map(NodeAddress::item).collect(),
            node_info: self.node_info.as_ref().map(NodeInfo::item).unwrap_or_default(),
            ..item::Status::default()
        }
    }
}

impl NodeAddress {
    fn item(&self) -> item::NodeAddress<'_> {
        item::NodeAddress { r#type: self.r#type.as_str().into(), address: self.address.as_str().into() }
    }
}

impl NodeInfo {
    fn item(&self) -> item::NodeInfo<'_> {
        item::NodeInfo {
            boot_id: self.boot_id.as_str().into(),
            operating_system: self.operating_system.as_str().into(),
        }
    }
}

impl ServiceSpec {
    fn item(&self) -> item::Spec<'_> {
        item::Spec {
            r#type: self.r#type.as_str().into(),
            load_balancer_class: self.load_balancer_class.as_str().into(),
            load_balancer_ip: self.load_balancer_ip.as_str().into(),
            ip_families: self.ip_families.iter().map(|family| family.as_str().into()).collect(),
            ip_family_policy: self.ip_family_policy.as_str().into(),
            ..item::Spec::default()
        }
    }
}

impl ServiceStatus {
    fn item(&self) -> item::Status<'_> {
        let ingress = self.load_balancer.iter().flat_map(|balancer| &balancer.ingress).map(Ip::item).collect();
        item::Status { load_balancer: item::LoadBalancer { ingress }, ..item::Status::default() }
    }
}
