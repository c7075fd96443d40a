//! The answer as plain values. The fields' names are those of the JSON (`docs/output.md`): a promise within `v1`.

use serde::Serialize;

use super::{Before, Deep};
use crate::model::{Addr, Code, Time};

/// The name and version of the document's shape.
pub const SCHEMA: &str = "ipaudit/who/v1";

/// Everything known of what was asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Dossier {
    pub schema: &'static str,
    /// The word as it was typed.
    pub asked: String,
    /// One line that answers.
    pub answer: String,
    /// The moment by which it is judged.
    pub judged_at: Time,
    /// The one revision at which etcd was read; `None`: it was not asked.
    pub etcd_revision: Option<i64>,
    /// Everything of that name; empty: nothing now.
    pub matches: Vec<Match>,
    pub addresses: Vec<AddressSheet>,
    /// How many more addresses belong to it than are shown.
    pub more_addresses: u64,
    pub handles: Vec<HandleSheet>,
    pub pods: Vec<PodSheet>,
    pub endpoints: Vec<EndpointSheet>,
    pub nodes: Vec<NodeSheet>,
    /// What is wrong with it, worst first.
    pub findings: Vec<Found>,
    /// By the history, one entry a cluster of the file; empty without one.
    pub before: Vec<Before>,
    /// By etcd's own old revisions; empty unless asked for.
    pub deep: Vec<Deep>,
    /// Commands that help and can be pasted.
    pub next: Vec<String>,
    /// What was not read: silence about it proves nothing.
    pub unread: Vec<String>,
    pub exit_code: u8,
}

/// One thing of the name asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Match {
    /// `address`, `handle`, `pod`, `node`, `mac`, `interface`.
    pub kind: &'static str,
    pub id: String,
}

/// One address: IPAM's record, and who claims it.
#[derive(Clone, Debug, Serialize)]
pub struct AddressSheet {
    pub address: Addr,
    /// `allocated`, `cooling`, `free`, `unknown` (hidden or not read).
    pub state: &'static str,
    /// How many are handed out before it, when it is in a block's free queue.
    pub queue_place: Option<u64>,
    /// The block that covers it.
    pub block: Option<String>,
    pub pool: Option<String>,
    /// The IPReservation that keeps it from automatic assignment.
    pub reservation: Option<String>,
    pub allocations: Vec<AllocationRow>,
    pub holders: Vec<Holder>,
}

/// What one block records of an address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AllocationRow {
    pub block: String,
    pub ordinal: u32,
    /// The block's owner, as `host:node-1`.
    pub affinity: Option<String>,
    /// `pod`, `tunnel`, `load-balancer`, `vm`, `windows`, `reserved`, `cooling`, `unknown`, `unattributed`, `broken`.
    pub used_for: &'static str,
    pub handle: Option<String>,
    /// `namespace/name` of pod or service, or the tunnel.
    pub owner: Option<String>,
    /// The target of a live migration.
    pub alternate: Option<String>,
    pub node: Option<String>,
    pub allocated: Option<Time>,
    pub released: Option<Time>,
    pub sequence: Option<u64>,
    pub block_revision: i64,
}

/// Who claims an address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Holder {
    /// `pod`, `endpoint`, `tunnel`, `service`, `host-endpoint`.
    pub kind: &'static str,
    pub id: String,
    pub node: Option<String>,
    /// `certain`, `possible`, `stale`.
    pub grade: &'static str,
    /// `record`, `network-status`, `floating`, `no-ipam`.
    pub via: &'static str,
    /// For people.
    pub detail: String,
}

/// A handle: what its object counts, and what the blocks hold of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HandleSheet {
    pub id: String,
    /// Whether its object exists.
    pub exists: bool,
    pub counts: Vec<CountRow>,
    pub addresses: Vec<Addr>,
}

/// One block in a handle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CountRow {
    pub block: String,
    pub counted: i64,
    pub held: i64,
}

/// A pod, as Kubernetes says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PodSheet {
    pub pod: String,
    pub uid: String,
    pub node: String,
    pub phase: &'static str,
    pub ready: bool,
    pub terminating: bool,
    pub host_network: bool,
    pub created: Option<Time>,
    pub controller: Option<String>,
    pub addresses: Vec<Addr>,
}

/// An endpoint, as Calico says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EndpointSheet {
    pub endpoint: String,
    pub pod: String,
    pub node: String,
    pub container: String,
    pub interface: String,
    pub mac: Option<String>,
    pub addresses: Vec<Addr>,
    /// What is known of its pod: `live`, `no-pod`, `finished`, `elsewhere`, `undecided`, `not-judged`.
    pub state: &'static str,
}

/// A node, by Calico and by Kubernetes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NodeSheet {
    pub calico: Option<String>,
    pub kubernetes: Option<String>,
    /// `ours`, `departed`, `foreign`.
    pub standing: &'static str,
    pub ready: Option<bool>,
    pub addresses: Vec<Addr>,
    /// As `IPIP 10.65.0.1`.
    pub tunnels: Vec<String>,
    pub blocks: Vec<BlockRow>,
    pub pods: u64,
    pub endpoints: u64,
}

/// A block of a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BlockRow {
    pub block: String,
    /// Not counting cooling ones.
    pub allocated: u64,
    pub size: u64,
}

/// A finding about it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Found {
    pub code: Code,
    pub name: &'static str,
    pub severity: &'static str,
    /// `unconfirmed`: seen in one look only.
    pub state: &'static str,
    pub subject: Match,
    pub summary: String,
    pub advice: String,
}
