//! The answer as plain values. The fields' names are those of the JSON (`docs/output.md`): a promise within `v1`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Before;
use crate::checks;
use crate::ledger::{AddressState, BlockCount, EndpointState, Grade, Standing, Use, Via};
use crate::model::json::in_json;
use crate::model::word::words;
use crate::model::{Addr, Cidr, Code, Finding, Foreign, Phase, Severity, Time};

/// The name and version of the document's shape.
pub const SCHEMA: &str = "ipaudit/who/v1";

/// Everything known of what was asked for.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Dossier {
    pub schema: &'static str,
    /// The word as it was typed.
    pub asked: Foreign,
    /// One line that answers.
    pub answer: Foreign,
    /// The moment by which it is judged.
    pub judged_at: Time,
    /// The one revision at which etcd was read; `None`: it was not asked.
    pub etcd_revision: Option<i64>,
    /// Everything of that name; empty: nothing now.
    pub matches: Vec<Match>,
    /// Where nothing is called so: names that may have been meant, as they can be asked for.
    pub near: Vec<Foreign>,
    /// Of a CIDR: its blocks, and who is in.
    pub range: Option<RangeSheet>,
    pub addresses: Vec<AddressSheet>,
    /// How many more addresses belong to it than are shown.
    pub more_addresses: u64,
    pub handles: Vec<HandleSheet>,
    pub pods: Vec<PodSheet>,
    pub endpoints: Vec<EndpointSheet>,
    pub nodes: Vec<NodeSheet>,
    /// What is wrong with it, worst first.
    #[serde(serialize_with = "findings")]
    pub findings: Vec<Finding>,
    /// By the history, one entry a cluster of the file; empty without one.
    pub before: Vec<Before>,
    /// By etcd's own old revisions; empty unless asked for.
    pub deep: Vec<Deep>,
    /// Commands that help and can be pasted.
    pub next: Vec<Foreign>,
    /// What was not read: silence about it proves nothing.
    pub unread: Vec<Foreign>,
    pub exit_code: u8,
}

/// One key stepped back through.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Deep {
    pub key: Foreign,
    /// The address asked for; `None` for a handle.
    pub address: Option<Addr>,
    /// Newest first.
    pub steps: Vec<DeepStep>,
    /// Why it goes back no further.
    pub end: Foreign,
}

/// What was so from a revision on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DeepStep {
    /// The write that made it so; the oldest step may have been so before.
    pub revision: i64,
    pub says: Foreign,
    /// The CNI host's clock at the allocation.
    pub allocated: Option<Time>,
}

/// What a name can be of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MatchKind {
    Address,
    Block,
    Pool,
    Handle,
    Pod,
    Node,
    Mac,
    Interface,
    Service,
    Vm,
}

words!(MatchKind {
    Address = "address",
    Block = "block",
    Pool = "pool",
    Handle = "handle",
    Pod = "pod",
    Node = "node",
    Mac = "mac",
    Interface = "interface",
    Service = "service",
    Vm = "vm",
});

/// One thing of the name asked for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Match {
    pub kind: MatchKind,
    pub id: Foreign,
}

/// One address: what IPAM has of it, and who claims it.
#[derive(Clone, Debug, Serialize)]
pub struct AddressSheet {
    pub address: Addr,
    /// Unknown: hidden or not read.
    pub state: AddressState,
    /// How many are handed out before it, when it is in a block's free queue.
    pub queue_place: Option<u64>,
    /// The block that covers it.
    pub block: Option<Cidr>,
    pub pool: Option<Foreign>,
    /// The IPReservation that keeps it from automatic assignment.
    pub reservation: Option<Foreign>,
    pub allocations: Vec<AllocationSheet>,
    pub holders: Vec<HeldBy>,
    /// What nodes' kernels have of it; empty where no evidence of nodes was given.
    pub kernels: Vec<KernelSheet>,
}

impl AddressSheet {
    /// Whether Calico has nothing to do with it, and cannot call it free.
    pub fn is_unknown_to_ipam(&self) -> bool {
        self.state == AddressState::Free && self.block.is_none() && self.pool.is_none()
    }
}

/// What the kernel of one node has of an address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct KernelSheet {
    pub node: Foreign,
    /// `None`: nobody knows when.
    pub captured: Option<Time>,
    /// Whether its evidence is of now, and of this node.
    pub judged: bool,
    /// What of its evidence does not count, or was not read.
    pub doubts: Vec<Foreign>,
    /// Whether the routes of the address' family were read whole: none is no answer otherwise.
    pub routes_read: bool,
    /// Its host routes, as `ip route` prints them.
    pub routes: Vec<Foreign>,
    /// The route that a packet takes.
    pub in_force: Option<Foreign>,
    /// The interface that the host route in force leads to.
    pub winner: Option<Foreign>,
    /// Interface, MAC and state of each.
    pub neighbours: Vec<Foreign>,
    /// The pods that have it inside, of those that were looked into.
    pub inside: Vec<Foreign>,
    /// Whether the node would answer a pod with this address that asks for its gateway.
    pub gateway: Vec<GatewaySheet>,
}

impl KernelSheet {
    /// Whether the node shows nothing of the address.
    pub const fn is_nothing(&self) -> bool {
        let is_unknown = self.routes.is_empty() && self.neighbours.is_empty();
        is_unknown && self.inside.is_empty() && self.gateway.is_empty()
    }
}

/// The kernel's word at one interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GatewaySheet {
    pub interface: Foreign,
    pub errno: i32,
    pub says: &'static str,
}

/// What one block has of an address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AllocationSheet {
    pub block: Cidr,
    pub ordinal: u32,
    /// The block's owner, as `host:node-1`.
    pub affinity: Option<Foreign>,
    pub used_for: Use,
    pub handle: Option<Foreign>,
    /// `namespace/name` of pod or service, or the tunnel.
    pub owner: Option<Foreign>,
    /// The target of a live migration.
    pub alternate: Option<Foreign>,
    pub node: Option<Foreign>,
    pub allocated: Option<Time>,
    pub released: Option<Time>,
    pub sequence: Option<u64>,
    pub block_revision: i64,
}

/// Who claims an address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HeldBy {
    pub kind: HolderKind,
    pub id: Foreign,
    pub node: Option<Foreign>,
    pub grade: Grade,
    pub via: Via,
    /// For people.
    pub detail: Foreign,
}

/// What can hold an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HolderKind {
    Pod,
    Endpoint,
    Tunnel,
    Service,
    HostEndpoint,
}

words!(HolderKind {
    Pod = "pod",
    Endpoint = "endpoint",
    Tunnel = "tunnel",
    Service = "service",
    HostEndpoint = "host-endpoint",
});

/// A handle: what its object counts, and what the blocks hold of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HandleSheet {
    pub id: Foreign,
    /// Whether its object exists.
    pub exists: bool,
    pub counts: Vec<CountRow>,
    pub addresses: Vec<Addr>,
}

/// One block in a handle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CountRow {
    pub block: Cidr,
    pub counted: i64,
    pub held: i64,
}

/// A pod, as Kubernetes says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PodSheet {
    pub pod: Foreign,
    pub uid: Foreign,
    pub node: Foreign,
    pub phase: Phase,
    pub ready: bool,
    pub terminating: bool,
    pub host_network: bool,
    pub created: Option<Time>,
    pub controller: Option<Foreign>,
    pub addresses: Vec<Addr>,
}

/// An endpoint, as Calico says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct EndpointSheet {
    pub endpoint: Foreign,
    pub pod: Foreign,
    pub node: Foreign,
    pub container: Foreign,
    pub interface: Foreign,
    pub mac: Option<Foreign>,
    pub addresses: Vec<Addr>,
    /// What is known of its pod.
    pub state: EndpointState,
}

/// A node, by Calico and by Kubernetes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NodeSheet {
    pub calico: Option<Foreign>,
    pub kubernetes: Option<Foreign>,
    pub standing: Standing,
    pub ready: Option<bool>,
    pub addresses: Vec<Addr>,
    /// As `IPIP 10.65.0.1`.
    pub tunnels: Vec<String>,
    pub blocks: Vec<BlockSheet>,
    pub pods: u64,
    pub endpoints: u64,
    /// What its kernel says, as far as that was read; `None`: nobody gave evidence of it.
    pub kernel: Option<NodeKernelSheet>,
}

/// What was read of a node's kernel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NodeKernelSheet {
    /// `None`: nobody knows when.
    pub captured: Option<Time>,
    /// Whether its evidence is of now, and of this node.
    pub judged: bool,
    /// What of it does not count, or was not read.
    pub doubts: Vec<Foreign>,
    /// The lists that were read whole.
    pub read: Vec<Foreign>,
}

impl NodeSheet {
    /// Calico's name, or Kubernetes' where Calico has none.
    pub fn name(&self) -> Option<&Foreign> {
        self.calico.as_ref().or(self.kubernetes.as_ref())
    }
}

/// A block of a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BlockSheet {
    pub block: Cidr,
    /// Not counting cooling ones.
    pub allocated: u64,
    pub size: u64,
}

/// What a CIDR is to IPAM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RangeKind {
    Block,
    PartOfABlock,
    Pool,
    /// Wider than a block, and no pool.
    Blocks,
    /// No block lies in it.
    NoBlock,
}

words!(RangeKind {
    Block = "block",
    PartOfABlock = "part of a block",
    Pool = "pool",
    Blocks = "blocks",
    NoBlock = "no block",
});

/// Everything about a CIDR.
#[derive(Clone, Debug, Serialize)]
pub struct RangeSheet {
    pub range: Cidr,
    pub kind: RangeKind,
    /// The pools that it shares addresses with, the narrowest first.
    pub pools: Vec<Foreign>,
    /// The blocks in it, or the one that it is a part of.
    pub blocks: Vec<BlockUsage>,
    /// Who is in it, by address; of a block and a part of one alone.
    pub occupants: Vec<Occupant>,
    /// Who claims exactly this range, as `host:node-1` and the state of the affinity.
    pub claims: Vec<Claimed>,
}

/// One block: whose, how full, and what is wrong in it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BlockUsage {
    pub block: Cidr,
    /// The pool that covers it.
    pub pool: Option<Foreign>,
    /// Whether that is disabled: IPAM hands out nothing of it.
    pub pool_disabled: bool,
    /// As `host:node-1`; `None`: nobody's, its free addresses can only be borrowed.
    pub owner: Option<Foreign>,
    /// Every affinity for exactly this block.
    pub claims: Vec<Claimed>,
    pub size: u64,
    /// Its addresses; the numbers are told among the fields of the block.
    #[serde(flatten)]
    pub count: BlockCount,
    /// How many findings are about it or about addresses in it.
    pub findings: u64,
    /// The same by code, the worst first.
    pub wrong: Vec<WrongInBlock>,
}

/// How often something is wrong in a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct WrongInBlock {
    pub code: Code,
    pub name: &'static str,
    /// Of the worst one.
    pub severity: Severity,
    pub count: u64,
    /// So many of them were seen at one look only.
    pub unconfirmed: u64,
}

/// An affinity for a range.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Claimed {
    pub owner: Foreign,
    pub state: Foreign,
}

/// An address that is not free.
#[derive(Clone, Debug, Serialize)]
pub struct Occupant {
    pub address: Addr,
    #[serde(flatten)]
    pub allocation: AllocationSheet,
    /// Of another node than the block's owner.
    pub borrowed: bool,
    /// Whether anybody is seen to hold it, certainly or possibly; `None`: not everything was read that could.
    pub held: Option<bool>,
}

fn findings<S: Serializer>(findings: &[Finding], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(findings.iter().map(Brief))
}

/// Of a finding what helps at once; all of it stands in the audit's own document.
struct Brief<'f>(&'f Finding);

in_json!(|brief: &Brief<'_>| { ..tell_brief(brief.0), });

/// With this every finding begins, here and in the audit's document.
///
/// # Errors
/// As the serializer's.
pub fn tell_brief<M: SerializeMap>(map: &mut M, finding: &Finding) -> Result<(), M::Error> {
    map.serialize_entry("code", &finding.code)?;
    map.serialize_entry("name", checks::name(finding.code))?;
    map.serialize_entry("docs", &checks::page(finding.code))?;
    map.serialize_entry("severity", &finding.severity)?;
    map.serialize_entry("state", &finding.state)?;
    map.serialize_entry("subject", &finding.subject)?;
    map.serialize_entry("summary", &finding.summary)?;
    map.serialize_entry("advice", &finding.advice)
}
