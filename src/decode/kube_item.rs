//! One Kubernetes object as JSON or protobuf brought it: the common form between the wire and the model.
//!
//! Both decoders fill an [`Item`] and `decode::kube` alone makes model values from it, so the two wires
//! cannot drift apart. An item holds the fields of all four kinds at once, because JSON may say what kind
//! an object is only after the object. Nothing is judged here: a field that is absent, `null` (Go writes
//! that for empty lists) or empty reads as empty.
//!
//! Every text is borrowed where it can be: `Option<Cow<str>>` and `Vec<Cow<str>>` would allocate silently.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::str::{Utf8Error, from_utf8};

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::model::word::words;
use crate::model::{Input, Time};

/// The kinds of object that an audit reads. They are read in the order of [`Kind::ALL`]: what pods refer to comes first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Kind {
    Pod,
    Node,
    Service,
    Namespace,
}

words!(Kind { Namespace = "Namespace", Node = "Node", Service = "Service", Pod = "Pod" });

impl Kind {
    /// Its name in a URL and in RBAC.
    pub const fn plural(self) -> &'static str {
        match self {
            Kind::Pod => "pods",
            Kind::Node => "nodes",
            Kind::Service => "services",
            Kind::Namespace => "namespaces",
        }
    }

    /// The input of an audit that it is.
    pub const fn input(self) -> Input {
        match self {
            Kind::Pod => Input::Pods,
            Kind::Node => Input::KubeNodes,
            Kind::Service => Input::Services,
            Kind::Namespace => Input::Namespaces,
        }
    }

    /// Whether its objects live in namespaces.
    pub const fn is_namespaced(self) -> bool {
        matches!(self, Kind::Pod | Kind::Service)
    }

    /// The kind of this word in this API group; an object without `apiVersion` counts as core.
    /// Other groups have a `Service` too.
    pub fn parse(api_version: &str, word: &str) -> Option<Kind> {
        let core = matches!(api_version, "" | "v1");
        Kind::ALL.into_iter().find(|kind| core && kind.word() == word)
    }

    /// The kind whose typed list (`PodList`) this is.
    pub fn of_list(api_version: &str, word: &str) -> Option<Kind> {
        word.strip_suffix("List").and_then(|kind| Kind::parse(api_version, kind))
    }
}

/// A text of the wire; absent and `null` read as empty.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct WireText<'a>(Cow<'a, str>);

impl Deref for WireText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for WireText<'a> {
    fn from(text: &'a str) -> WireText<'a> {
        WireText(Cow::Borrowed(text))
    }
}

impl Serialize for WireText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for WireText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WireText<'a>, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(WireText)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or null")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }
}

/// A time of the wire.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum WireTime {
    /// Absent, `null`, or Go's zero time.
    #[default]
    Absent,
    At(Time),
    /// Something is there, and it is no time that we can hold.
    Odd,
}

impl WireTime {
    /// From RFC 3339.
    pub fn parse(text: &str) -> WireTime {
        match Time::parse_rfc3339(text) {
            Some(time) => WireTime::At(time),
            None if text.is_empty() => WireTime::Absent,
            None => WireTime::Odd,
        }
    }

    /// The time, when there is a readable one.
    pub const fn time(self) -> Option<Time> {
        match self {
            WireTime::At(time) => Some(time),
            WireTime::Absent | WireTime::Odd => None,
        }
    }
}

impl Serialize for WireTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            WireTime::Absent => serializer.serialize_none(),
            WireTime::At(time) => time.serialize(serializer),
            WireTime::Odd => serializer.serialize_str("?"),
        }
    }
}

impl<'de> Deserialize<'de> for WireTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<WireTime, D::Error> {
        WireText::deserialize(deserializer).map(|text| WireTime::parse(&text))
    }
}

/// `null` reads as the default.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Parts of an object, each field under its key; what is absent or `null` reads as empty.
macro_rules! parts {
    ($($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $field:ident: $type:ty = $key:literal,)* })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
        #[serde(default, bound(deserialize = "'de: 'a"))]
        pub struct $name<'a> {
            $($(#[$note])* #[serde(rename = $key, deserialize_with = "nullable")] pub $field: $type,)*
        }
    )+};
}

parts! {
    /// One object of any of the four kinds.
    Item {
        api_version: WireText<'a> = "apiVersion",
        kind: WireText<'a> = "kind",
        metadata: Metadata<'a> = "metadata",
        spec: Spec<'a> = "spec",
        status: ItemStatus<'a> = "status",
    }

    /// `metadata`.
    Metadata {
        uid: WireText<'a> = "uid",
        namespace: WireText<'a> = "namespace",
        name: WireText<'a> = "name",
        creation_timestamp: WireTime = "creationTimestamp",
        deletion_timestamp: WireTime = "deletionTimestamp",
        /// Every object has one that an API server made.
        resource_version: WireText<'a> = "resourceVersion",
        owner_references: Vec<OwnerReference<'a>> = "ownerReferences",
        labels: Labels<'a> = "labels",
        annotations: Annotations<'a> = "annotations",
    }

    /// One of `metadata.ownerReferences`.
    OwnerReference {
        kind: WireText<'a> = "kind",
        name: WireText<'a> = "name",
        controller: bool = "controller",
    }

    /// `spec` of a pod, a node or a service.
    Spec {
        node_name: WireText<'a> = "nodeName",
        host_network: bool = "hostNetwork",
        r#type: WireText<'a> = "type",
        load_balancer_class: WireText<'a> = "loadBalancerClass",
        load_balancer_ip: WireText<'a> = "loadBalancerIP",
        ip_families: Vec<WireText<'a>> = "ipFamilies",
        ip_family_policy: WireText<'a> = "ipFamilyPolicy",
        pod_cidr: WireText<'a> = "podCIDR",
        pod_cidrs: Vec<WireText<'a>> = "podCIDRs",
    }

    /// `status` of a pod, a node or a service.
    ItemStatus {
        phase: WireText<'a> = "phase",
        pod_ip: WireText<'a> = "podIP",
        pod_ips: Vec<Ip<'a>> = "podIPs",
        conditions: Vec<Condition<'a>> = "conditions",
        addresses: Vec<NodeAddress<'a>> = "addresses",
        node_info: NodeInfo<'a> = "nodeInfo",
        load_balancer: LoadBalancer<'a> = "loadBalancer",
    }

    /// One of `status.podIPs` or of `status.loadBalancer.ingress`.
    Ip {
        ip: WireText<'a> = "ip",
    }

    /// One of `status.conditions`.
    Condition {
        r#type: WireText<'a> = "type",
        status: WireText<'a> = "status",
    }

    /// One of a node's `status.addresses`.
    NodeAddress {
        r#type: WireText<'a> = "type",
        address: WireText<'a> = "address",
    }

    /// A node's `status.nodeInfo`.
    NodeInfo {
        boot_id: WireText<'a> = "bootID",
        operating_system: WireText<'a> = "operatingSystem",
    }

    /// A service's `status.loadBalancer`.
    LoadBalancer {
        ingress: Vec<Ip<'a>> = "ingress",
    }
}

/// Labels or annotations: those that matter, each under its key, whichever wire brings it.
macro_rules! entries {
    ($(#[$doc:meta])* $name:ident { $($(#[$note:meta])* $field:ident = $key:literal,)* }) => {
        parts! {
            $(#[$doc])*
            $name { $($(#[$note])* $field: WireText<'a> = $key,)* }
        }

        impl<'a> $name<'a> {
            /// Of keys and values those that matter.
            pub fn of(entries: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<$name<'a>, Utf8Error> {
                let mut found = $name::default();
                for (key, value) in entries {
                    $(if key == $key.as_bytes() {
                        found.$field = from_utf8(value)?.into();
                    })*
                }
                Ok(found)
            }
        }
    };
}

entries! {
    /// The labels that matter.
    Labels {
        os = "kubernetes.io/os",
        /// `virt-launcher` on the pod that runs a VM.
        kubevirt = "kubevirt.io",
        vm_name = "vm.kubevirt.io/name",
    }
}

entries! {
    /// The annotations that matter.
    Annotations {
        mirror = "kubernetes.io/config.mirror",
        no_ipam = "cni.projectcalico.org/ipAddrsNoIpam",
        ip_addrs = "cni.projectcalico.org/ipAddrs",
        floating = "cni.projectcalico.org/floatingIPs",
        pod_ip = "cni.projectcalico.org/podIP",
        pod_ips = "cni.projectcalico.org/podIPs",
        network_status = "k8s.v1.cni.cncf.io/network-status",
        v4_pools = "projectcalico.org/ipv4pools",
        v6_pools = "projectcalico.org/ipv6pools",
        load_balancer_ips = "projectcalico.org/loadBalancerIPs",
    }
}
