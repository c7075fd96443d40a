//! Kubernetes' objects as lines of a capture: reduced to what checks need, absent parts left out.

use serde::{Deserialize, Serialize};

use crate::model::{Addr, Cidr, Families, KubeNode, Name, Names, Namespace, Phase, Pod, PodFields, Service, Time, Uid};

/// One pod; absent parts are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PodLine {
    pub uid: String,
    pub ns: String,
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub node: String,
    pub phase: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub host_network: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleting: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<(String, String)>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mirror: bool,
    /// Absent in older files, which do not say so: then nobody knows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vmi: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_ipam: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asked_for: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_status: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub floating: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub annotated: Vec<String>,
}

/// One Kubernetes node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeLine {
    pub uid: String,
    pub name: String,
    pub internal: Vec<String>,
    pub ready: Option<bool>,
    pub boot_id: String,
    pub windows: bool,
    pub created: Option<i64>,
    /// Since format 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pod_cidrs: Vec<String>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceLine {
    pub uid: String,
    pub ns: String,
    pub name: String,
    pub load_balancer: bool,
    pub class: Option<String>,
    pub requests_address: bool,
    /// The families that it may have an address of; not there: both, or the file is older than that was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<String>,
    pub ingress: Vec<String>,
    pub deleting: Option<i64>,
}

/// One namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamespaceLine {
    pub uid: String,
    pub name: String,
    pub deleting: Option<i64>,
}

fn texts(addresses: &[Addr]) -> Vec<String> {
    addresses.iter().map(Addr::to_string).collect()
}

fn cidrs(texts: &[String]) -> Result<Box<[Cidr]>, String> {
    let parse = |t: &String| Cidr::parse(t).map(|(cidr, _)| cidr).ok_or_else(|| format!("{t:?} is no range"));
    texts.iter().map(parse).collect()
}

fn addresses(texts: &[String]) -> Result<Box<[Addr]>, String> {
    texts.iter().map(|t| t.parse().map_err(|_| format!("{t:?} is no address"))).collect()
}

impl PodLine {
    pub fn of(names: &Names, pod: &Pod) -> PodLine {
        let text = |name: Name| names.get(name).to_owned();
        PodLine {
            uid: pod.uid.text(names),
            ns: text(pod.namespace),
            name: text(pod.name),
            node: text(pod.node),
            phase: pod.phase.word().to_owned(),
            host_network: pod.host_network,
            ready: pod.ready,
            deleting: pod.deleting().map(|t| t.0),
            created: pod.created().map(|t| t.0),
            addresses: texts(&pod.addresses()),
            controller: pod.controller.map(|(kind, name)| (text(kind), text(name))),
            mirror: pod.mirror,
            bare: pod.is_bare(),
            vmi: text(pod.vmi()),
            no_ipam: texts(pod.no_ipam()),
            asked_for: texts(pod.asked_for()),
            network_status: texts(pod.network_status()),
            floating: texts(pod.floating()),
            annotated: texts(pod.annotated()),
        }
    }

    /// The pod again.
    ///
    /// # Errors
    /// When an address in it is none.
    pub fn pod(&self, names: &mut Names) -> Result<Pod, String> {
        let fields = PodFields {
            uid: Uid::intern(names, &self.uid),
            namespace: names.intern(&self.ns),
            name: names.intern(&self.name),
            node: names.intern(&self.node),
            phase: Phase::parse(&self.phase),
            host_network: self.host_network,
            ready: self.ready,
            deleting: self.deleting.map(Time),
            created: self.created.map(Time),
            addresses: addresses(&self.addresses)?,
            controller: self.controller.as_ref().map(|(kind, name)| (names.intern(kind), names.intern(name))),
            mirror: self.mirror,
            bare: self.bare,
            vmi: names.intern(&self.vmi),
            no_ipam: addresses(&self.no_ipam)?,
            asked_for: addresses(&self.asked_for)?,
            network_status: addresses(&self.network_status)?,
            floating: addresses(&self.floating)?,
            annotated: addresses(&self.annotated)?,
        };
        Ok(fields.into())
    }
}

impl NodeLine {
    pub fn of(names: &Names, node: &KubeNode) -> NodeLine {
        NodeLine {
            uid: node.uid.text(names),
            name: names.get(node.name).to_owned(),
            internal: texts(&node.internal_addresses),
            ready: node.ready,
            boot_id: names.get(node.boot_id).to_owned(),
            windows: node.windows,
            created: node.created.map(|t| t.0),
            pod_cidrs: node.pod_cidrs.iter().map(Cidr::to_string).collect(),
        }
    }

    /// The node again.
    ///
    /// # Errors
    /// When an address in it is none.
    pub fn node(&self, names: &mut Names) -> Result<KubeNode, String> {
        Ok(KubeNode {
            uid: Uid::intern(names, &self.uid),
            name: names.intern(&self.name),
            internal_addresses: addresses(&self.internal)?,
            ready: self.ready,
            boot_id: names.intern(&self.boot_id),
            pod_cidrs: cidrs(&self.pod_cidrs)?,
            windows: self.windows,
            created: self.created.map(Time),
        })
    }
}

impl ServiceLine {
    pub fn of(names: &Names, service: &Service) -> ServiceLine {
        ServiceLine {
            uid: service.uid.text(names),
            ns: names.get(service.namespace).to_owned(),
            name: names.get(service.name).to_owned(),
            load_balancer: service.load_balancer,
            class: service.class.map(|c| names.get(c).to_owned()),
            requests_address: service.requests_address,
            families: service.families.limits().map(str::to_owned).collect(),
            ingress: texts(&service.ingress),
            deleting: service.deleting.map(|t| t.0),
        }
    }

    /// The service again.
    ///
    /// # Errors
    /// When an address in it is none.
    pub fn service(&self, names: &mut Names) -> Result<Service, String> {
        Ok(Service {
            uid: Uid::intern(names, &self.uid),
            namespace: names.intern(&self.ns),
            name: names.intern(&self.name),
            load_balancer: self.load_balancer,
            class: self.class.as_ref().map(|c| names.intern(c)),
            requests_address: self.requests_address,
            families: Families::parse(self.families.iter().map(String::as_str), ""),
            ingress: addresses(&self.ingress)?,
            deleting: self.deleting.map(Time),
        })
    }
}

impl NamespaceLine {
    pub fn of(names: &Names, namespace: &Namespace) -> NamespaceLine {
        NamespaceLine {
            uid: namespace.uid.text(names),
            name: names.get(namespace.name).to_owned(),
            deleting: namespace.deleting.map(|t| t.0),
        }
    }

    pub fn namespace(&self, names: &mut Names) -> Namespace {
        Namespace {
            uid: Uid::intern(names, &self.uid),
            name: names.intern(&self.name),
            deleting: self.deleting.map(Time),
        }
    }
}
