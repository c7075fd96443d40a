//! The lines of a capture: what an audit read, one JSON object a line, so that it can be audited elsewhere.
//!
//! etcd's records stand as they were, bytes and revisions; Kubernetes' objects are reduced to what checks need.
//! A line that this version does not know is an error: half-understood evidence is none. A newer format is refused.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::Kv;
use crate::model::snapshot::{EtcdFacts, KubeFacts};
use crate::model::{
    Addr, Coverage, Families, Input, InputState, KubeNode, Name, Names, Namespace, Phase, Pod, Service, Snapshot, Time,
    Uid,
};

/// What the first line says it is.
pub const FORMAT: &str = "ipaudit-capture";
/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 2;

/// One line of a capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Line {
    Head(Head),
    Etcd(Record),
    /// A key that the second look found absent.
    EtcdAbsent(Bytes),
    /// An etcd input of which the second look read the whole list: what the first one had of it is void.
    EtcdAgain(String),
    Pod(PodLine),
    PodAbsent(String, String),
    /// All pods were listed again.
    PodsAgain,
    Node(NodeLine),
    NodeAbsent(String),
    NodesAgain,
    Service(ServiceLine),
    ServiceAbsent(String, String),
    ServicesAgain,
    Namespace(NamespaceLine),
    /// Everything of one look has been said.
    Look(LookLine),
    /// The last line: without it the file was cut off.
    End {
        lines: u64,
    },
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub format: String,
    pub version: u32,
    /// Name and version of the program that wrote it.
    pub made_by: String,
}

/// Bytes that are text nearly always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bytes {
    #[serde(rename = "t")]
    Text(String),
    #[serde(rename = "b")]
    Base64(String),
}

impl Bytes {
    pub fn of(bytes: &[u8]) -> Bytes {
        match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Text(text.to_owned()),
            Err(_) => Bytes::Base64(BASE64.encode(bytes)),
        }
    }

    /// The bytes again.
    ///
    /// # Errors
    /// When the base64 is none.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Bytes::Text(text) => Ok(text.clone().into_bytes()),
            Bytes::Base64(text) => BASE64.decode(text).map_err(|e| e.to_string()),
        }
    }
}

/// One key of etcd.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub k: Bytes,
    pub v: Bytes,
    pub c: i64,
    pub m: i64,
    pub n: i64,
}

impl Record {
    pub fn of(kv: &Kv<'_>) -> Record {
        let (k, v) = (Bytes::of(kv.key), Bytes::of(kv.value));
        Record { k, v, c: kv.create_revision, m: kv.mod_revision, n: kv.version }
    }
}

/// What one look knew beside the records; its moment, its coverage, and the servers' words of themselves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookLine {
    pub now: i64,
    pub started: i64,
    pub duration_ms: u64,
    pub revision: i64,
    pub compact_revision: Option<i64>,
    pub cluster_id: u64,
    pub member_id: u64,
    pub endpoints: Vec<String>,
    pub kube_system_uid: Option<String>,
    pub kubernetes_service_uid: Option<String>,
    pub date: Option<i64>,
    pub server: String,
    pub coverage: Vec<(String, String, String)>,
    /// Why the second look failed; then nothing of it is here.
    pub failed: Option<String>,
}

impl LookLine {
    pub fn of(snapshot: &Snapshot, started: Time, duration: Duration) -> LookLine {
        let (etcd, kube, coverage) = (&snapshot.etcd, &snapshot.kube, &snapshot.coverage);
        LookLine {
            now: snapshot.now.0,
            started: started.0,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            revision: etcd.revision,
            compact_revision: etcd.compact_revision,
            cluster_id: etcd.cluster_id,
            member_id: etcd.member_id,
            endpoints: etcd.endpoints.clone(),
            kube_system_uid: kube.kube_system_uid.clone(),
            kubernetes_service_uid: kube.kubernetes_service_uid.clone(),
            date: kube.date.map(|d| d.0),
            server: kube.server.clone(),
            coverage: Input::ALL
                .into_iter()
                .filter(|i| *i != Input::History)
                .map(|i| (i.word().to_owned(), coverage.state(i).word().to_owned(), coverage.detail(i).to_owned()))
                .collect(),
            failed: None,
        }
    }

    /// Puts it back into a snapshot.
    ///
    /// # Errors
    /// When it names an input or a state that this version does not know.
    pub fn restore(&self, snapshot: &mut Snapshot) -> Result<(), String> {
        snapshot.now = Time(self.now);
        snapshot.etcd = EtcdFacts {
            revision: self.revision,
            compact_revision: self.compact_revision,
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            endpoints: self.endpoints.clone(),
        };
        snapshot.kube = KubeFacts {
            kube_system_uid: self.kube_system_uid.clone(),
            kubernetes_service_uid: self.kubernetes_service_uid.clone(),
            date: self.date.map(Time),
            server: self.server.clone(),
        };
        let mut coverage = Coverage::default();
        for (input, state, detail) in &self.coverage {
            let input = input_of(input)?;
            let state = InputState::parse(state).ok_or_else(|| format!("unknown state {state:?} of an input"))?;
            coverage.set(input, state, detail.clone());
        }
        snapshot.coverage = coverage;
        Ok(())
    }
}

/// The input of this word.
///
/// # Errors
/// When this version does not know it.
pub fn input_of(word: &str) -> Result<Input, String> {
    Input::ALL.into_iter().find(|i| i.word() == word).ok_or_else(|| format!("unknown input {word:?}"))
}

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
    #[serde(skip_serializing_if = "is_false")]
    pub host_network: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleting: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub controller: Option<(String, String)>,
    #[serde(skip_serializing_if = "is_false")]
    pub mirror: bool,
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

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn texts(addresses: &[Addr]) -> Vec<String> {
    addresses.iter().map(Addr::to_string).collect()
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
            deleting: pod.deleting.map(|t| t.0),
            created: pod.created.map(|t| t.0),
            addresses: texts(&pod.addresses),
            controller: pod.controller.map(|(kind, name)| (text(kind), text(name))),
            mirror: pod.mirror,
            vmi: text(pod.vmi),
            no_ipam: texts(&pod.no_ipam),
            asked_for: texts(&pod.asked_for),
            network_status: texts(&pod.network_status),
            floating: texts(&pod.floating),
        }
    }

    /// The pod again.
    ///
    /// # Errors
    /// When an address in it is none.
    pub fn pod(&self, names: &mut Names) -> Result<Pod, String> {
        Ok(Pod {
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
            vmi: names.intern(&self.vmi),
            no_ipam: addresses(&self.no_ipam)?,
            asked_for: addresses(&self.asked_for)?,
            network_status: addresses(&self.network_status)?,
            floating: addresses(&self.floating)?,
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};

    #[test]
    fn objects_come_back_as_they_were() {
        let mut c = Cluster::healthy();
        let (kind, vmi, now) = (c.name("ReplicaSet"), c.name("fedora"), c.snapshot.now);
        let pod = c.pod_mut("web-0");
        (pod.controller, pod.vmi, pod.deleting, pod.mirror) = (Some((kind, vmi)), vmi, Some(now), true);
        (pod.no_ipam, pod.floating) = ([addr("10.9.9.9")].into(), [addr("fd00::1")].into());
        pod.asked_for = [addr("10.65.0.1")].into();
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
    fn bytes_that_are_no_text_survive() {
        for bytes in [&b"plain \r\n text"[..], b"\xff\xfe\x00"] {
            let line = serde_json::to_string(&Bytes::of(bytes)).unwrap();
            assert_eq!(serde_json::from_str::<Bytes>(&line).unwrap().bytes().unwrap(), bytes);
        }
    }
}
