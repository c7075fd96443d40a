//! What lasts: allocations, pods' addresses, states of nodes.

use serde::Serialize;

use super::Diff;
use crate::ledger::{Allocation, Claimant, Standing, Use, Via};
use crate::model::finding::{mix, stable_hash};
use crate::model::past::ByHash;
use crate::model::record::{AllocationRow, Changes, NodeRow, PodRow};
use crate::model::{Input, KubeNode, Name, Owner, Uid};

/// The word of a use in the history; never changes.
const fn use_word(used_for: Use) -> &'static str {
    match used_for {
        Use::Cooling => "cooling",
        Use::Windows => "windows",
        Use::Reserved => "reserved",
        Use::Tunnel(_) => "tunnel",
        Use::LoadBalancer => "load-balancer",
        Use::Vm => "vm",
        Use::Pod => "pod",
        Use::Unknown => "unknown",
        Use::Unattributed => "unattributed",
        Use::Broken => "broken",
    }
}

/// A hash over texts, whose order and borders count.
fn hash_of<'t>(texts: impl IntoIterator<Item = &'t str>) -> u64 {
    texts
        .into_iter()
        .fold(0x1357_9bdf_0246_8ace, |sum: u64, text| mix(sum.rotate_left(13) ^ stable_hash(text.as_bytes())))
}

impl Diff<'_> {
    /// Allocations that began and ended.
    pub(super) fn allocations(&self) -> Changes<AllocationRow, i64> {
        let mut changes = Changes::default();
        let open = &self.past.allocations.0;
        let mut seen = ByHash::<()>::default();
        seen.reserve(self.ledger.allocations.len());
        for allocation in &self.ledger.allocations {
            let tuple = self.ledger.tuple_of(allocation).hash();
            if seen.insert(tuple, ()).is_some() {
                continue;
            }
            let owner = self.owner_hash(allocation);
            let known = open.get(&tuple);
            if known.is_some_and(|k| k.owner == owner) {
                continue;
            }
            changes.closed.extend(known.map(|k| k.row));
            changes.opened.push(self.allocation(allocation, tuple, owner, known.map(|k| k.row)));
        }
        if self.complete(&[Input::Blocks]) && !self.is_apart() {
            changes.closed.extend(open.iter().filter(|(tuple, _)| !seen.contains_key(tuple)).map(|(_, o)| o.row));
        }
        changes.closed.sort_unstable();
        changes
    }

    fn owner_hash(&self, allocation: &Allocation) -> u64 {
        let cidr = self.ledger.block_of(allocation).cidr;
        let bits = cidr.first().bits();
        let block = mix((bits >> 64) as u64 ^ mix(bits as u64 ^ u64::from(cidr.prefix())));
        let of = |owner: &Owner| {
            let names = [owner.namespace, owner.pod, owner.node, owner.service, owner.kind, owner.vmi, owner.note];
            mix(hash_of(names.map(|n| self.text(n))) ^ owner.timestamp.map_or(0, |t| t.0 as u64))
        };
        let owners = self.ledger.owners_of(allocation).fold(1, |sum: u64, owner| mix(sum.rotate_left(9) ^ of(owner)));
        mix(block ^ owners) ^ stable_hash(use_word(allocation.used_for).as_bytes())
    }

    fn allocation(&self, a: &Allocation, tuple: u64, owner: u64, continues: Option<i64>) -> AllocationRow {
        let ledger = self.ledger;
        let block = ledger.block_of(a);
        let attribute = ledger.attribute_of(a);
        let named = attribute.map(|at| at.owner).unwrap_or_default();
        AllocationRow {
            address: a.address,
            tuple,
            owner,
            block: block.cidr,
            block_create_revision: block.meta.create_revision,
            sequence: block.allocation_sequence(a.ordinal),
            handle: ledger.handle_of(a).map(|h| h.text(&self.snapshot.names)),
            used_for: use_word(a.used_for),
            node: self.given(ledger.owner_node(a)),
            namespace: self.given(named.namespace),
            pod: self.given(named.pod).or_else(|| self.given(named.service)),
            allocated: named.timestamp,
            more: self.more(a),
            continues,
        }
    }

    /// What has no column of its own, as JSON.
    fn more(&self, a: &Allocation) -> Option<String> {
        #[derive(Serialize)]
        struct More<'t> {
            #[serde(skip_serializing_if = "str::is_empty")]
            r#type: &'t str,
            #[serde(skip_serializing_if = "str::is_empty")]
            vmi: &'t str,
            #[serde(skip_serializing_if = "str::is_empty")]
            note: &'t str,
            #[serde(skip_serializing_if = "Option::is_none")]
            alternate: Option<Other<'t>>,
        }
        #[derive(Serialize)]
        struct Other<'t> {
            namespace: &'t str,
            pod: &'t str,
            node: &'t str,
            vmi: &'t str,
        }
        let attribute = self.ledger.attribute_of(a)?;
        let (owner, alternate) = (&attribute.owner, attribute.alternate.as_deref());
        let rest = [owner.kind, owner.vmi, owner.note];
        if rest.iter().all(|n| n.is_none()) && alternate.is_none() {
            return None;
        }
        let other = |o: &Owner| Other {
            namespace: self.text(o.namespace),
            pod: self.text(o.pod),
            node: self.text(o.node),
            vmi: self.text(o.vmi),
        };
        let more = More {
            r#type: self.text(owner.kind),
            vmi: self.text(owner.vmi),
            note: self.text(owner.note),
            alternate: alternate.map(other),
        };
        serde_json::to_string(&more).ok()
    }

    /// Pods' addresses that began and ended. A grade is known only when all that it is made from was read.
    pub(super) fn pods(&self) -> Changes<PodRow, i64> {
        let mut changes = Changes::default();
        if !self.complete(&[Input::Pods, Input::Endpoints, Input::CalicoNodes, Input::KubeNodes]) {
            return changes;
        }
        let (snapshot, open) = (self.snapshot, &self.past.last.pods);
        let mut seen = ByHash::<()>::default();
        for claim in self.ledger.claims.iter().filter(|c| c.via == Via::Record) {
            let Claimant::Pod(index) = claim.by else { continue };
            let Some(pod) = snapshot.pods.get(index as usize) else { continue };
            let uid = match pod.uid {
                Uid::Uuid(bytes) => stable_hash(&bytes),
                Uid::Other(name) => stable_hash(self.text(name).as_bytes()),
            };
            let bits = claim.address.bits();
            let words = hash_of([self.text(pod.node), claim.grade.word()]);
            let identity = [uid, (bits >> 64) as u64, bits as u64, words];
            let identity = identity.into_iter().fold(7, |sum: u64, part| mix(sum.rotate_left(11) ^ part));
            if seen.insert(identity, ()).is_none() && !open.contains_key(&identity) {
                changes.opened.push(PodRow {
                    identity,
                    address: claim.address,
                    uuid: match pod.uid {
                        Uid::Uuid(bytes) => Some(bytes),
                        Uid::Other(_) => None,
                    },
                    uid: pod.uid.text(&snapshot.names),
                    namespace: self.text(pod.namespace).to_owned(),
                    pod: self.text(pod.name).to_owned(),
                    node: self.text(pod.node).to_owned(),
                    grade: claim.grade.word(),
                });
            }
        }
        if !self.is_apart() {
            changes.closed = gone(open, &seen);
        }
        changes
    }

    /// States of nodes that began and ended.
    pub(super) fn nodes(&self) -> Changes<NodeRow, i64> {
        let mut changes = Changes::default();
        if !self.complete(&[Input::CalicoNodes, Input::KubeNodes]) {
            return changes;
        }
        let open = &self.past.last.nodes;
        let mut seen = ByHash::<()>::default();
        for row in self.node_rows() {
            if seen.insert(row.identity, ()).is_none() && !open.contains_key(&row.identity) {
                changes.opened.push(row);
            }
        }
        if !self.is_apart() {
            changes.closed = gone(open, &seen);
        }
        changes
    }

    fn node_rows(&self) -> Vec<NodeRow> {
        let (snapshot, scope) = (self.snapshot, &self.ledger.scope);
        let known = |name: Name| {
            let at = snapshot.kube_nodes.binary_search_by(|n| self.text(n.name).cmp(self.text(name))).ok()?;
            snapshot.kube_nodes.get(at)
        };
        let calico = snapshot.calico_nodes.iter().map(|node| {
            let kubernetes = node.kubernetes_name;
            self.node_row(Some(node.name), kubernetes, kubernetes.and_then(known), &once(&node.addresses))
        });
        let alone = snapshot
            .kube_nodes
            .iter()
            .filter(|n| scope.calico_names(n.name).is_empty())
            .map(|node| self.node_row(None, Some(node.name), Some(node), &once(&node.internal_addresses)));
        calico.chain(alone).collect()
    }

    fn node_row(&self, calico: Option<Name>, name: Option<Name>, node: Option<&KubeNode>, addresses: &str) -> NodeRow {
        let ours = calico.is_some_and(|name| self.ledger.scope.standing(name) == Standing::Ours);
        let mut row = NodeRow {
            identity: 0,
            calico: calico.map(|n| self.text(n).to_owned()),
            kubernetes: name.map(|n| self.text(n).to_owned()),
            ours,
            present: node.is_some(),
            boot_id: node.and_then(|n| self.given(n.boot_id)),
            ready: node.and_then(|n| n.ready),
            addresses: addresses.to_owned(),
        };
        let flags = format!("{:?}{}{}{:?}", row.calico.is_some(), row.ours, row.present, row.ready);
        let texts = [row.calico.as_deref(), row.kubernetes.as_deref(), row.boot_id.as_deref(), Some(addresses)];
        row.identity = hash_of(texts.into_iter().flatten().chain([flags.as_str()]));
        row
    }

    /// Nodes that are ours and were not known to be.
    pub(super) fn new_ours(&self) -> Vec<String> {
        if !self.ledger.pairing.holds() {
            return Vec::new();
        }
        let ours = self.snapshot.calico_nodes.iter().filter(|n| self.ledger.scope.standing(n.name) == Standing::Ours);
        let names = ours.map(|n| self.text(n.name)).filter(|n| !self.past.known_nodes.contains(*n));
        names.map(str::to_owned).collect()
    }

    /// Hosts that neither Calico nor Kubernetes knows any more, newly.
    pub(super) fn gone(&self) -> Vec<String> {
        if !self.complete(&[Input::CalicoNodes, Input::KubeNodes]) || self.is_apart() {
            return Vec::new();
        }
        let hosts = self.hosts();
        let mut names: Vec<&str> = hosts.iter().map(|n| self.text(*n)).collect();
        names.extend(self.past.known_nodes.iter().map(String::as_str));
        names.sort_unstable();
        names.dedup();
        let gone = names.into_iter().filter(|n| !self.past.gone_since.contains_key(*n) && !self.is_there(n));
        gone.filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Nodes that were gone and are there again.
    pub(super) fn back(&self) -> Vec<String> {
        if !self.complete(&[Input::CalicoNodes, Input::KubeNodes]) {
            return Vec::new();
        }
        let mut back: Vec<String> = self.past.gone_since.keys().filter(|name| self.is_there(name)).cloned().collect();
        back.sort_unstable();
        back
    }

    /// Whether a node of this Calico name is there, or perhaps is: its object may not decode.
    fn is_there(&self, calico: &str) -> bool {
        let Some(name) = self.snapshot.names.find(calico) else { return false };
        let (ledger, scope) = (self.ledger, &self.ledger.scope);
        ledger.calico_node(name).is_some() || scope.is_known_to_kubernetes(name) || ledger.dark.node(name)
    }
}

/// Each address once: Calico names one of a node in several places.
fn once(addresses: &[crate::model::Addr]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for text in addresses.iter().map(ToString::to_string) {
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join(" ")
}

/// Rows that were open and were not seen.
fn gone(open: &ByHash<i64>, seen: &ByHash<()>) -> Vec<i64> {
    let mut rows: Vec<i64> = open.iter().filter(|(id, _)| !seen.contains_key(id)).map(|(_, row)| *row).collect();
    rows.sort_unstable();
    rows
}
