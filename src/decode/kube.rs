//! Kubernetes' objects as model values, and their way into a snapshot.
//!
//! The one place where a decoded [`Item`] becomes a Pod, KubeNode, Service or Namespace, whichever wire it came
//! over. What cannot be read is said in [`Remarks`], never dropped silently: a *hole* is something whose absence
//! from the snapshot nobody may argue from (the input is then partial), a *note* is a detail that only protects.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::kube_item::{Condition, Ip, Item, Kind, WireText, WireTime};
use crate::model::snapshot::KubeFacts;
use crate::model::{
    Addr, Cidr, Families, Gathering, Input, KubeNode, Names, Namespace, Phase, Pod, PodFields, Service, Time, Uid,
};

/// How many notes are kept in words; the rest is counted.
const NOTES_KEPT: usize = 20;

/// What could not be read in objects that were read.
#[derive(Clone, Debug, Default)]
pub struct Remarks {
    notes: Vec<String>,
    more_notes: usize,
    holes: BTreeMap<Input, (String, usize)>,
}

impl Remarks {
    /// A detail that was not readable and whose absence accuses nobody.
    pub fn note(&mut self, sentence: String) {
        if self.notes.len() < NOTES_KEPT {
            self.notes.push(sentence);
        } else {
            self.more_notes += 1;
        }
    }

    /// A part of `input` that was not readable: absence proves nothing there.
    pub fn hole(&mut self, input: Input, sentence: String) {
        self.holes.entry(input).or_insert((sentence, 0)).1 += 1;
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Remarks) {
        self.more_notes += other.more_notes;
        other.notes.into_iter().for_each(|note| self.note(note));
        for (input, (first, count)) in other.holes {
            self.holes.entry(input).or_insert((first, 0)).1 += count;
        }
    }

    /// The notes, one sentence each; the first twenty and one that counts the rest.
    pub fn notes(&self) -> Vec<String> {
        let rest = (self.more_notes > 0).then(|| format!("{} more details could not be read", self.more_notes));
        self.notes.iter().cloned().chain(rest).collect()
    }

    /// Why `input` is not whole: the first hole and how many others there are.
    pub fn hole_in(&self, input: Input) -> Option<String> {
        self.holes.get(&input).map(|(first, count)| match count {
            0 | 1 => first.clone(),
            _ => format!("{first} (and {} more)", count - 1),
        })
    }
}

/// What an object is called in a remark: `pod prod/web-0`.
fn subject(kind: Kind, item: &Item<'_>) -> String {
    let kind = kind.word().to_lowercase();
    match (item.metadata.namespace.is_empty(), item.metadata.name.is_empty()) {
        (_, true) => format!("a {kind} without a name"),
        (true, false) => format!("{kind} {}", &*item.metadata.name),
        (false, false) => format!("{kind} {}/{}", &*item.metadata.namespace, &*item.metadata.name),
    }
}

/// At most 60 characters of foreign text, escaped.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{dots}")
}

/// Reads one kind's items, with a place for remarks about them.
struct ItemReader<'r, 'i> {
    kind: Kind,
    item: &'r Item<'i>,
    remarks: &'r mut Remarks,
}

impl ItemReader<'_, '_> {
    fn hole(&mut self, what: &str) {
        self.remarks.hole(self.kind.input(), format!("{}: {what}", subject(self.kind, self.item)));
    }

    fn note(&mut self, what: &str) {
        self.remarks.note(format!("{}: {what}", subject(self.kind, self.item)));
    }

    /// An object without its name is nothing that could be looked up.
    fn is_named(&mut self) -> bool {
        let metadata = &self.item.metadata;
        if metadata.name.is_empty() {
            self.hole("it cannot be told from others");
        } else if self.kind.is_namespaced() && metadata.namespace.is_empty() {
            self.hole("it has no namespace");
        } else {
            return true;
        }
        false
    }

    fn created(&mut self) -> Option<Time> {
        let created = self.item.metadata.creation_timestamp;
        if created == WireTime::Odd {
            self.note("its creation time is not readable");
        }
        created.time()
    }

    /// A deletion time that nobody can read still means that the object is being deleted.
    fn deleting(&mut self) -> Option<Time> {
        match self.item.metadata.deletion_timestamp {
            WireTime::Odd => {
                self.note("its deletion time is not readable");
                Some(Time::default())
            }
            moment => moment.time(),
        }
    }

    /// Addresses, each once. `matters`: whether an unreadable one leaves a hole.
    fn addresses<'t>(&mut self, texts: impl Iterator<Item = &'t str>, matters: bool) -> Vec<Addr> {
        let mut addresses = Vec::new();
        for text in texts.filter(|text| !text.is_empty()) {
            match Addr::parse_with_prefix(text) {
                Some(address) if addresses.contains(&address) => {}
                Some(address) => addresses.push(address),
                None => {
                    let what = format!("{} is not an address", quoted(text));
                    if matters { self.hole(&what) } else { self.note(&what) }
                }
            }
        }
        addresses
    }

    /// An annotation that holds a JSON list of addresses.
    fn address_list(&mut self, annotation: &str, text: &str) -> Vec<Addr> {
        if text.is_empty() {
            return Vec::new();
        }
        match serde_json::from_str::<Vec<WireText<'_>>>(text) {
            Ok(list) => self.addresses(list.iter().map(|text| &**text), false),
            Err(_) => {
                self.note(&format!("annotation {annotation} is not a list of addresses"));
                Vec::new()
            }
        }
    }

    /// The addresses that Calico's Kubernetes datastore wrote beside the pod, `10.65.0.7/32,fd00:65::7/128`. Free text of
    /// anybody's: what does not read wires nobody.
    fn annotated(&mut self) -> Vec<Addr> {
        let annotations = &self.item.metadata.annotations;
        let list = if annotations.pod_ips.is_empty() { &annotations.pod_ip } else { &annotations.pod_ips };
        self.addresses(list.split(',').map(str::trim), false)
    }

    /// A node's ranges of pod addresses. They only ever explain what looks wrong, so an odd one is a note.
    fn pod_cidrs(&mut self) -> Vec<Cidr> {
        let spec = &self.item.spec;
        let listed = spec.pod_cidrs.iter().map(|text| &**text);
        let single = spec.pod_cidrs.is_empty().then_some(&*spec.pod_cidr);
        let mut cidrs = Vec::new();
        for text in listed.chain(single).filter(|text| !text.is_empty()) {
            match Cidr::parse(text) {
                Some((cidr, _)) => cidrs.push(cidr),
                None => self.note(&format!("podCIDR {} is not a range", quoted(text))),
            }
        }
        cidrs
    }

    /// Addresses of Multus' secondary networks: those that the pod's status does not list.
    fn network_status(&mut self, own: &[Addr]) -> Vec<Addr> {
        #[derive(Deserialize)]
        struct Network<'a> {
            #[serde(borrow, default)]
            ips: Option<Vec<WireText<'a>>>,
        }
        let text: &str = &self.item.metadata.annotations.network_status;
        if text.is_empty() {
            return Vec::new();
        }
        let Ok(networks) = serde_json::from_str::<Vec<Network<'_>>>(text) else {
            self.note("annotation k8s.v1.cni.cncf.io/network-status is not a list of networks");
            return Vec::new();
        };
        let ips = networks.iter().flat_map(|network| network.ips.iter().flatten()).map(|text| &**text);
        let mut addresses = self.addresses(ips, false);
        addresses.retain(|address| !own.contains(address));
        addresses
    }
}

/// The status of condition `Ready`, when there is one.
fn is_ready(conditions: &[Condition<'_>]) -> Option<bool> {
    conditions.iter().find(|condition| &*condition.r#type == "Ready").map(|condition| &*condition.status == "True")
}

/// The VirtualMachineInstance that a launcher pod runs (KubeVirt); empty for other pods.
fn vmi<'a>(item: &'a Item<'_>) -> &'a str {
    let metadata = &item.metadata;
    if let Some(owner) = metadata.owner_references.iter().find(|owner| &*owner.kind == "VirtualMachineInstance") {
        return &owner.name;
    }
    if &*metadata.labels.kubevirt == "virt-launcher" { &metadata.labels.vm_name } else { "" }
}

/// A pod of the model; `None` when the object cannot be named.
pub fn pod(names: &mut Names, item: &Item<'_>, remarks: &mut Remarks) -> Option<Pod> {
    let mut reader = ItemReader { kind: Kind::Pod, item, remarks };
    if !reader.is_named() {
        return None;
    }
    let Item { metadata, spec, status, .. } = item;
    let controller = metadata.owner_references.iter().find(|owner| owner.controller);
    let mut pod = PodFields {
        uid: Uid::intern(names, &metadata.uid),
        namespace: names.intern(&metadata.namespace),
        name: names.intern(&metadata.name),
        node: names.intern(&spec.node_name),
        phase: Phase::parse(&status.phase),
        host_network: spec.host_network,
        ready: is_ready(&status.conditions) == Some(true),
        deleting: reader.deleting(),
        created: reader.created(),
        addresses: Box::default(),
        controller: controller.map(|owner| (names.intern(&owner.kind), names.intern(&owner.name))),
        mirror: !metadata.annotations.mirror.is_empty(),
        // What somebody has cut down by hand does not say who owns it.
        bare: metadata.owner_references.is_empty() && !metadata.resource_version.is_empty(),
        vmi: names.intern(vmi(item)),
        no_ipam: Box::default(),
        asked_for: Box::default(),
        network_status: Box::default(),
        floating: Box::default(),
        annotated: Box::default(),
    };
    // `podIPs` has `podIP` as its first entry, except in objects of very old servers, which have only that.
    let listed = status.pod_ips.iter().map(|entry: &Ip<'_>| &*entry.ip);
    let single = status.pod_ips.is_empty().then_some(&*status.pod_ip);
    let addresses = reader.addresses(listed.chain(single), pod.may_hold());
    let annotations = &metadata.annotations;
    pod.no_ipam = reader.address_list("cni.projectcalico.org/ipAddrsNoIpam", &annotations.no_ipam).into();
    pod.asked_for = reader.address_list("cni.projectcalico.org/ipAddrs", &annotations.ip_addrs).into();
    pod.floating = reader.address_list("cni.projectcalico.org/floatingIPs", &annotations.floating).into();
    pod.network_status = reader.network_status(&addresses).into();
    pod.annotated = reader.annotated().into();
    pod.addresses = addresses.into();
    Some(pod.into())
}

/// A node of the model; `None` when the object has no name.
pub fn node(names: &mut Names, item: &Item<'_>, remarks: &mut Remarks) -> Option<KubeNode> {
    let mut reader = ItemReader { kind: Kind::Node, item, remarks };
    if !reader.is_named() {
        return None;
    }
    let Item { metadata, status, .. } = item;
    let internal = status.addresses.iter().filter(|address| &*address.r#type == "InternalIP");
    let os = if metadata.labels.os.is_empty() { &status.node_info.operating_system } else { &metadata.labels.os };
    Some(KubeNode {
        uid: Uid::intern(names, &metadata.uid),
        name: names.intern(&metadata.name),
        // They tell only whether API and datastore belong together; an odd one is a note.
        internal_addresses: reader.addresses(internal.map(|address| &*address.address), false).into(),
        ready: is_ready(&status.conditions),
        boot_id: names.intern(&status.node_info.boot_id),
        pod_cidrs: reader.pod_cidrs().into(),
        windows: os.eq_ignore_ascii_case("windows"),
        created: reader.created(),
    })
}

/// A service of the model; `None` when the object cannot be named.
pub fn service(names: &mut Names, item: &Item<'_>, remarks: &mut Remarks) -> Option<Service> {
    let mut reader = ItemReader { kind: Kind::Service, item, remarks };
    if !reader.is_named() {
        return None;
    }
    let Item { metadata, spec, status, .. } = item;
    let annotations = &metadata.annotations;
    let asks = [&spec.load_balancer_ip, &annotations.v4_pools, &annotations.v6_pools, &annotations.load_balancer_ips];
    let load_balancer = &*spec.r#type == "LoadBalancer";
    let ingress = status.load_balancer.ingress.iter().map(|ingress| &*ingress.ip);
    Some(Service {
        uid: Uid::intern(names, &metadata.uid),
        namespace: names.intern(&metadata.namespace),
        name: names.intern(&metadata.name),
        load_balancer,
        class: names.intern(&spec.load_balancer_class).some(),
        requests_address: asks.iter().any(|text| !text.is_empty()),
        families: Families::parse(spec.ip_families.iter().map(|family| &**family), &spec.ip_family_policy),
        ingress: reader.addresses(ingress, load_balancer).into(),
        deleting: reader.deleting(),
    })
}

/// A namespace of the model; `None` when the object has no name.
pub fn namespace(names: &mut Names, item: &Item<'_>, remarks: &mut Remarks) -> Option<Namespace> {
    let mut reader = ItemReader { kind: Kind::Namespace, item, remarks };
    reader.is_named().then(|| Namespace {
        uid: Uid::intern(names, &item.metadata.uid),
        name: names.intern(&item.metadata.name),
        deleting: reader.deleting(),
    })
}

/// Learns the cluster's UID when the object is one of the two that name it.
pub fn learn_uid(facts: &mut KubeFacts, kind: Kind, item: &Item<'_>) {
    let metadata = &item.metadata;
    let slot = match (kind, &*metadata.namespace, &*metadata.name) {
        (Kind::Namespace, _, "kube-system") => &mut facts.kube_system_uid,
        (Kind::Service, "default", "kubernetes") => &mut facts.kubernetes_service_uid,
        _ => return,
    };
    if !metadata.uid.is_empty() {
        *slot = Some(metadata.uid.to_string());
    }
}

/// Puts one object into the snapshot, and learns the cluster's UID from it.
pub fn insert(snapshot: &mut Gathering, kind: Kind, item: &Item<'_>, remarks: &mut Remarks) {
    learn_uid(&mut snapshot.kube, kind, item);
    let names = &mut snapshot.names;
    match kind {
        Kind::Pod => snapshot.pods.extend(pod(names, item, remarks)),
        Kind::Node => snapshot.kube_nodes.extend(node(names, item, remarks)),
        Kind::Service => snapshot.services.extend(service(names, item, remarks)),
        Kind::Namespace => snapshot.namespaces.extend(namespace(names, item, remarks)),
    }
}

/// Replaces things by what a second look saw of them; `None` takes one out. One pass over all of the list, however many are
/// replaced.
pub fn replace<T, K: Hash + Eq>(list: &mut Vec<T>, seen: HashMap<K, Option<T>>, key: impl Fn(&T) -> K) {
    list.retain(|thing| !seen.contains_key(&key(thing)));
    list.extend(seen.into_values().flatten());
}

/// The value of an HTTP `Date` header (`Tue, 24 Nov 2026 13:31:53 GMT`, RFC 9110 section 5.6.7).
pub fn http_date(text: &str) -> Option<Time> {
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Time::from_chrono(date.with_timezone(&Utc))
}

#[cfg(test)]
mod tests;
