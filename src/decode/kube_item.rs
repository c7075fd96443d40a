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

/// One object of any of the four kinds.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Item<'a> {
    pub api_version: WireText<'a>,
    pub kind: WireText<'a>,
    #[serde(deserialize_with = "nullable")]
    pub metadata: Metadata<'a>,
    #[serde(deserialize_with = "nullable")]
    pub spec: Spec<'a>,
    #[serde(deserialize_with = "nullable")]
    pub status: ItemStatus<'a>,
}

/// `metadata`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Metadata<'a> {
    pub uid: WireText<'a>,
    pub namespace: WireText<'a>,
    pub name: WireText<'a>,
    pub creation_timestamp: WireTime,
    pub deletion_timestamp: WireTime,
    #[serde(deserialize_with = "nullable")]
    pub owner_references: Vec<OwnerReference<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub labels: Labels<'a>,
    #[serde(deserialize_with = "nullable")]
    pub annotations: Annotations<'a>,
}

/// One of `metadata.ownerReferences`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct OwnerReference<'a> {
    pub kind: WireText<'a>,
    pub name: WireText<'a>,
    #[serde(deserialize_with = "nullable")]
    pub controller: bool,
}

/// Labels or annotations: those that matter, each under its key, whichever wire brings it.
macro_rules! entries {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident = $key:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
        #[serde(default, bound(deserialize = "'de: 'a"))]
        pub struct $name<'a> {
            $($(#[$field_doc])* #[serde(rename = $key)] pub $field: WireText<'a>,)*
        }

        impl<'a> $name<'a> {
            /// The field of a key that matters.
            pub fn slot(&mut self, key: &[u8]) -> Option<&mut WireText<'a>> {
                $(if key == $key.as_bytes() {
                    return Some(&mut self.$field);
                })*
                None
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

/// `spec` of a pod, a node or a service.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct Spec<'a> {
    pub node_name: WireText<'a>,
    #[serde(deserialize_with = "nullable")]
    pub host_network: bool,
    pub r#type: WireText<'a>,
    pub load_balancer_class: WireText<'a>,
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: WireText<'a>,
    #[serde(deserialize_with = "nullable")]
    pub ip_families: Vec<WireText<'a>>,
    pub ip_family_policy: WireText<'a>,
    #[serde(rename = "podCIDR")]
    pub pod_cidr: WireText<'a>,
    #[serde(rename = "podCIDRs", deserialize_with = "nullable")]
    pub pod_cidrs: Vec<WireText<'a>>,
}

/// `status` of a pod, a node or a service.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct ItemStatus<'a> {
    pub phase: WireText<'a>,
    #[serde(rename = "podIP")]
    pub pod_ip: WireText<'a>,
    #[serde(rename = "podIPs", deserialize_with = "nullable")]
    pub pod_ips: Vec<Ip<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub conditions: Vec<Condition<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub addresses: Vec<NodeAddress<'a>>,
    #[serde(deserialize_with = "nullable")]
    pub node_info: NodeInfo<'a>,
    #[serde(deserialize_with = "nullable")]
    pub load_balancer: LoadBalancer<'a>,
}

/// One of `status.podIPs` or of `status.loadBalancer.ingress`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Ip<'a> {
    pub ip: WireText<'a>,
}

/// One of `status.conditions`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct Condition<'a> {
    pub r#type: WireText<'a>,
    pub status: WireText<'a>,
}

/// One of a node's `status.addresses`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct NodeAddress<'a> {
    pub r#type: WireText<'a>,
    pub address: WireText<'a>,
}

/// A node's `status.nodeInfo`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub struct NodeInfo<'a> {
    #[serde(rename = "bootID")]
    pub boot_id: WireText<'a>,
    pub operating_system: WireText<'a>,
}

/// A service's `status.loadBalancer`.
#[derive(Clone, Default, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub struct LoadBalancer<'a> {
    #[serde(deserialize_with = "nullable")]
    pub ingress: Vec<Ip<'a>>,
}
