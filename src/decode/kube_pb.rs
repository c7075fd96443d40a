//! Kubernetes' protobuf, as far as an audit reads it.
//!
//! A body is the magic `k8s\0` and a `runtime.Unknown`, whose `raw` is the object or list. The messages
//! here hold a few fields of the real ones; protobuf skips the rest. Field numbers are those of
//! Kubernetes' `generated.proto` (core/v1, meta/v1, runtime) and never change there.
//! Maps are read as the repeated entries that they are on the wire, and everything large or rarely
//! needed as slices of the body, not as copies.

use std::fmt::Debug;

use prost::Message;
use prost::bytes::{Buf, Bytes};

use super::kube_json::{ErrorDetails, ErrorStatus};

/// What every body begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// Messages, one field a line: its name and type, its number, and how it is on the wire in prost's words.
macro_rules! messages {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$note:meta])* $field:ident: $type:ty = $number:tt [$($wire:tt)+],)* }
    )+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Message)]
        pub struct $name {
            $($(#[$note])* #[prost($($wire)+, tag = $number)] pub $field: $type,)*
        }
    )+};
}

messages! {
    /// `runtime.Unknown`.
    Unknown {
        type_meta: Option<TypeMeta> = 1 [message, optional],
        raw: Bytes = 2 [bytes = "bytes"],
        /// Set when `raw` is compressed, which no server does on the wire.
        content_encoding: String = 3 [string],
    }

    /// `runtime.TypeMeta`.
    TypeMeta {
        api_version: String = 1 [string],
        kind: String = 2 [string],
    }

    /// `PodList` and its like: all have this form.
    List {
        metadata: Option<ListMeta> = 1 [message, optional],
        /// Each item's bytes: one that does not decode costs itself and not the page.
        items: Vec<Bytes> = 2 [bytes = "bytes", repeated],
    }

    /// `meta/v1.ListMeta`.
    ListMeta {
        next: String = 3 [string],
    }

    /// `meta/v1.Status`.
    Status {
        message: String = 3 [string],
        reason: String = 4 [string],
        details: Option<StatusDetails> = 5 [message, optional],
    }

    /// `meta/v1.StatusDetails`.
    StatusDetails {
        name: String = 1 [string],
        kind: String = 3 [string],
    }

    /// `meta/v1.ObjectMeta`.
    ObjectMeta {
        name: String = 1 [string],
        namespace: String = 3 [string],
        uid: String = 5 [string],
        resource_version: String = 6 [string],
        creation_timestamp: Option<Timestamp> = 8 [message, optional],
        deletion_timestamp: Option<Timestamp> = 9 [message, optional],
        labels: Vec<MapEntry> = 11 [message, repeated],
        annotations: Vec<MapEntry> = 12 [message, repeated],
        owner_references: Vec<OwnerReferenceMessage> = 13 [message, repeated],
    }

    /// One entry of a `map<string, string>`.
    MapEntry {
        key: Bytes = 1 [bytes = "bytes"],
        value: Bytes = 2 [bytes = "bytes"],
    }

    /// `meta/v1.Time`. Its nanoseconds (2) are never written and must be ignored: JSON has none.
    Timestamp {
        /// Absent in Go's zero time, which is an empty message.
        seconds: Option<i64> = 1 [int64, optional],
    }

    /// `meta/v1.OwnerReference`.
    OwnerReferenceMessage {
        kind: String = 1 [string],
        name: String = 3 [string],
        controller: bool = 6 [bool],
    }

    /// `core/v1.PodSpec`.
    PodSpec {
        node_name: String = 10 [string],
        host_network: bool = 11 [bool],
    }

    /// `core/v1.PodStatus`.
    PodStatus {
        phase: String = 1 [string],
        conditions: Vec<ConditionMessage> = 2 [message, repeated],
        pod_ip: String = 6 [string],
        pod_ips: Vec<IpMessage> = 12 [message, repeated],
    }

    /// `core/v1.PodCondition` and `NodeCondition`, whose first two fields are alike.
    ConditionMessage {
        r#type: String = 1 [string],
        status: String = 2 [string],
    }

    /// `core/v1.PodIP` and `LoadBalancerIngress`, whose first field is alike.
    IpMessage {
        ip: String = 1 [string],
    }

    /// `core/v1.NodeSpec`.
    NodeSpec {
        pod_cidr: String = 1 [string],
        pod_cidrs: Vec<String> = 7 [string, repeated],
    }

    /// `core/v1.NodeStatus`.
    NodeStatus {
        conditions: Vec<ConditionMessage> = 4 [message, repeated],
        addresses: Vec<NodeAddressMessage> = 5 [message, repeated],
        node_info: Option<NodeSystemInfo> = 7 [message, optional],
    }

    /// `core/v1.NodeAddress`.
    NodeAddressMessage {
        r#type: String = 1 [string],
        address: String = 2 [string],
    }

    /// `core/v1.NodeSystemInfo`.
    NodeSystemInfo {
        boot_id: String = 3 [string],
        operating_system: String = 9 [string],
    }

    /// `core/v1.ServiceSpec`.
    ServiceSpec {
        r#type: String = 4 [string],
        load_balancer_ip: String = 8 [string],
        ip_family_policy: String = 17 [string],
        ip_families: Vec<String> = 19 [string, repeated],
        load_balancer_class: String = 21 [string],
    }

    /// `core/v1.ServiceStatus`.
    ServiceStatus {
        load_balancer: Option<LoadBalancerStatus> = 1 [message, optional],
    }

    /// `core/v1.LoadBalancerStatus`.
    LoadBalancerStatus {
        ingress: Vec<IpMessage> = 1 [message, repeated],
    }
}

/// A pod, a node, a service or a namespace: all have this form.
#[derive(Clone, PartialEq, Message)]
pub struct ObjectMessage<S: Message + Default + Debug, T: Message + Default + Debug> {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub spec: Option<S>,
    #[prost(message, optional, tag = "3")]
    pub status: Option<T>,
}

/// `core/v1.Pod`.
pub type PodMessage = ObjectMessage<PodSpec, PodStatus>;
/// `core/v1.Node`.
pub type NodeMessage = ObjectMessage<NodeSpec, NodeStatus>;
/// `core/v1.Service`.
pub type ServiceMessage = ObjectMessage<ServiceSpec, ServiceStatus>;
/// `core/v1.Namespace`, of which the metadata alone is read.
pub type NamespaceMessage = ObjectMessage<(), ()>;

/// A body without its envelope.
pub fn unwrap(mut body: Bytes) -> Result<Unknown, String> {
    if !body.starts_with(MAGIC) {
        return Err("the body does not begin with Kubernetes' protobuf magic".to_owned());
    }
    body.advance(MAGIC.len());
    let unknown = Unknown::decode(body).map_err(|e| e.to_string())?;
    match unknown.content_encoding.as_str() {
        "" => Ok(unknown),
        encoding => Err(format!("content encoding {encoding:?} is not known")),
    }
}

/// An error's body; `None` when it is something else.
pub fn status(body: Bytes) -> Option<ErrorStatus> {
    let unknown = unwrap(body).ok()?;
    let kind = unknown.type_meta.filter(|meta| meta.kind == "Status")?.kind;
    let Status { message, reason, details } = Status::decode(unknown.raw).ok()?;
    let details = details.map(|StatusDetails { name, kind }| ErrorDetails { name, kind });
    Some(ErrorStatus { kind, message, reason, details })
}
