//! Kubernetes' protobuf, as far as an audit reads it.
//!
//! A body is the magic `k8s\0` and a `runtime.Unknown`, whose `raw` is the object or list. The messages
//! here hold a few fields of the real ones; protobuf skips the rest. Field numbers are those of
//! Kubernetes' `generated.proto` (core/v1, meta/v1, runtime) and never change there.
//! Maps are read as the repeated entries that they are on the wire, and everything large or rarely
//! needed as slices of the body, not as copies.

use prost::Message;
use prost::bytes::{Buf, Bytes};

use super::kube_json::{ErrorDetails, ErrorStatus};

/// What every body begins with.
pub const MAGIC: &[u8; 4] = b"k8s\0";

/// `runtime.Unknown`.
#[derive(Clone, PartialEq, Message)]
pub struct Unknown {
    #[prost(message, optional, tag = "1")]
    pub type_meta: Option<TypeMeta>,
    #[prost(bytes = "bytes", tag = "2")]
    pub raw: Bytes,
    /// Set when `raw` is compressed, which no server does on the wire.
    #[prost(string, tag = "3")]
    pub content_encoding: String,
}

/// `runtime.TypeMeta`.
#[derive(Clone, PartialEq, Message)]
pub struct TypeMeta {
    #[prost(string, tag = "1")]
    pub api_version: String,
    #[prost(string, tag = "2")]
    pub kind: String,
}

/// `PodList` and its like: all have this form.
#[derive(Clone, PartialEq, Message)]
pub struct List {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ListMeta>,
    /// Each item's bytes: one that does not decode costs itself and not the page.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub items: Vec<Bytes>,
}

/// `meta/v1.ListMeta`.
#[derive(Clone, PartialEq, Message)]
pub struct ListMeta {
    #[prost(string, tag = "3")]
    pub next: String,
}

/// `meta/v1.Status`.
#[derive(Clone, PartialEq, Message)]
pub struct Status {
    #[prost(string, tag = "3")]
    pub message: String,
    #[prost(string, tag = "4")]
    pub reason: String,
    #[prost(message, optional, tag = "5")]
    pub details: Option<StatusDetails>,
}

/// `meta/v1.StatusDetails`.
#[derive(Clone, PartialEq, Message)]
pub struct StatusDetails {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub kind: String,
}

/// `meta/v1.ObjectMeta`.
#[derive(Clone, PartialEq, Message)]
pub struct ObjectMeta {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
    #[prost(string, tag = "5")]
    pub uid: String,
    #[prost(message, optional, tag = "8")]
    pub creation_timestamp: Option<Timestamp>,
    #[prost(message, optional, tag = "9")]
    pub deletion_timestamp: Option<Timestamp>,
    #[prost(message, repeated, tag = "11")]
    pub labels: Vec<MapEntry>,
    #[prost(message, repeated, tag = "12")]
    pub annotations: Vec<MapEntry>,
    #[prost(message, repeated, tag = "13")]
    pub owner_references: Vec<OwnerReferenceMessage>,
}

/// One entry of a `map<string, string>`.
#[derive(Clone, PartialEq, Message)]
pub struct MapEntry {
    #[prost(bytes = "bytes", tag = "1")]
    pub key: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// `meta/v1.Time`. Its nanoseconds (2) are never written and must be ignored: JSON has none.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct Timestamp {
    /// Absent in Go's zero time, which is an empty message.
    #[prost(int64, optional, tag = "1")]
    pub seconds: Option<i64>,
}

/// `meta/v1.OwnerReference`.
#[derive(Clone, PartialEq, Message)]
pub struct OwnerReferenceMessage {
    #[prost(string, tag = "1")]
    pub kind: String,
    #[prost(string, tag = "3")]
    pub name: String,
    #[prost(bool, tag = "6")]
    pub controller: bool,
}

/// `core/v1.Pod`.
#[derive(Clone, PartialEq, Message)]
pub struct PodMessage {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub spec: Option<PodSpec>,
    #[prost(message, optional, tag = "3")]
    pub status: Option<PodStatus>,
}

/// `core/v1.PodSpec`.
#[derive(Clone, PartialEq, Message)]
pub struct PodSpec {
    #[prost(string, tag = "10")]
    pub node_name: String,
    #[prost(bool, tag = "11")]
    pub host_network: bool,
}

/// `core/v1.PodStatus`.
#[derive(Clone, PartialEq, Message)]
pub struct PodStatus {
    #[prost(string, tag = "1")]
    pub phase: String,
    #[prost(message, repeated, tag = "2")]
    pub conditions: Vec<ConditionMessage>,
    #[prost(string, tag = "6")]
    pub pod_ip: String,
    #[prost(message, repeated, tag = "12")]
    pub pod_ips: Vec<IpMessage>,
}

/// `core/v1.PodCondition` and `NodeCondition`, whose first two fields are alike.
#[derive(Clone, PartialEq, Message)]
pub struct ConditionMessage {
    #[prost(string, tag = "1")]
    pub r#type: String,
    #[prost(string, tag = "2")]
    pub status: String,
}

/// `core/v1.PodIP` and `LoadBalancerIngress`, whose first field is alike.
#[derive(Clone, PartialEq, Message)]
pub struct IpMessage {
    #[prost(string, tag = "1")]
    pub ip: String,
}

/// `core/v1.Node`.
#[derive(Clone, PartialEq, Message)]
pub struct NodeMessage {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub spec: Option<NodeSpec>,
    #[prost(message, optional, tag = "3")]
    pub status: Option<NodeStatus>,
}

/// `core/v1.NodeSpec`.
#[derive(Clone, PartialEq, Message)]
pub struct NodeSpec {
    #[prost(string, tag = "1")]
    pub pod_cidr: String,
    #[prost(string, repeated, tag = "7")]
    pub pod_cidrs: Vec<String>,
}

/// `core/v1.NodeStatus`.
#[derive(Clone, PartialEq, Message)]
pub struct NodeStatus {
    #[prost(message, repeated, tag = "4")]
    pub conditions: Vec<ConditionMessage>,
    #[prost(message, repeated, tag = "5")]
    pub addresses: Vec<NodeAddressMessage>,
    #[prost(message, optional, tag = "7")]
    pub node_info: Option<NodeSystemInfo>,
}

/// `core/v1.NodeAddress`.
#[derive(Clone, PartialEq, Message)]
pub struct NodeAddressMessage {
    #[prost(string, tag = "1")]
    pub r#type: String,
    #[prost(string, tag = "2")]
    pub address: String,
}

/// `core/v1.NodeSystemInfo`.
#[derive(Clone, PartialEq, Message)]
pub struct NodeSystemInfo {
    #[prost(string, tag = "3")]
    pub boot_id: String,
    #[prost(string, tag = "9")]
    pub operating_system: String,
}

/// `core/v1.Service`.
#[derive(Clone, PartialEq, Message)]
pub struct ServiceMessage {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
    #[prost(message, optional, tag = "2")]
    pub spec: Option<ServiceSpec>,
    #[prost(message, optional, tag = "3")]
    pub status: Option<ServiceStatus>,
}

/// `core/v1.ServiceSpec`.
#[derive(Clone, PartialEq, Message)]
pub struct ServiceSpec {
    #[prost(string, tag = "4")]
    pub r#type: String,
    #[prost(string, tag = "8")]
    pub load_balancer_ip: String,
    #[prost(string, tag = "17")]
    pub ip_family_policy: String,
    #[prost(string, repeated, tag = "19")]
    pub ip_families: Vec<String>,
    #[prost(string, tag = "21")]
    pub load_balancer_class: String,
}

/// `core/v1.ServiceStatus`.
#[derive(Clone, PartialEq, Message)]
pub struct ServiceStatus {
    #[prost(message, optional, tag = "1")]
    pub load_balancer: Option<LoadBalancerStatus>,
}

/// `core/v1.LoadBalancerStatus`.
#[derive(Clone, PartialEq, Message)]
pub struct LoadBalancerStatus {
    #[prost(message, repeated, tag = "1")]
    pub ingress: Vec<IpMessage>,
}

/// `core/v1.Namespace`.
#[derive(Clone, PartialEq, Message)]
pub struct NamespaceMessage {
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ObjectMeta>,
}

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
