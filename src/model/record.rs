//! What one audit adds to the history: plain values, changes only.
//!
//! Made from a snapshot, its ledger, the findings and the [`Past`](super::Past) that they were held against; written
//! in one transaction. What stands in the history already is not repeated here.

use std::time::Duration;

use super::finding::Parts;
use super::row::{CapacityRow, NodeRow};
use super::{Addr, Cidr, Code, EtcdFacts, Life, Meta, Past, Severity, State, SubjectKind, Time};

pub use super::past::ClusterKey;

/// Everything that is written of one audit.
#[derive(Debug)]
pub struct AuditRecord {
    /// What it was made with: it adds to this past, and to no other.
    pub past: Past,
    pub header: Header,
    /// Something of IPA903 was found: a new epoch begins with this audit.
    pub forked: bool,
    /// The two belong together, and everything was read.
    pub proves_pair: bool,
    /// What the operator said of the scope: `Some(true)` exclusive, `Some(false)` auto.
    pub exclusive: Option<bool>,
    /// Strict affinity; `None`: not read.
    pub strict_affinity: Option<bool>,
    /// Keys, those that are gone by the hash of their bytes; `None`: not all was read, and nothing is known to have
    /// changed.
    pub keys: Option<Changes<KeyRow, u128>>,
    /// Blocks that are new or were written.
    pub blocks: Vec<BlockRow>,
    /// Closed ones by row.
    pub allocations: Changes<AllocationRow, i64>,
    pub pods: Changes<PodRow, i64>,
    pub nodes: Changes<NodeRow, i64>,
    /// Calico's names of nodes that are ours and were not known to be.
    pub new_ours: Vec<String>,
    /// Former names of our machines that were not known to be.
    pub new_former: Vec<String>,
    /// Calico's names of nodes that are gone and were not known to be, and of those that are back.
    pub gone: Vec<String>,
    pub back: Vec<String>,
    pub capacity: Vec<CapacityRow>,
    /// One entry a finding, in the order of the outcome.
    pub findings: Vec<FindingEntry>,
    /// Open findings that this audit did not see though their checks ran.
    pub unseen: Vec<Unseen>,
    /// What a value that does not decode hides.
    pub dark: DarkRecord,
}

/// What began and what ended.
#[derive(Clone, Debug)]
pub struct Changes<T, C> {
    pub opened: Vec<T>,
    pub closed: Vec<C>,
}

impl<T, C> Default for Changes<T, C> {
    fn default() -> Changes<T, C> {
        Changes { opened: Vec::new(), closed: Vec::new() }
    }
}

/// The audit itself.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// The moment by which ages were judged.
    pub judged: Time,
    /// By the clock of the machine.
    pub started: Time,
    pub duration: Duration,
    pub api_date: Option<Time>,
    pub etcd: EtcdFacts,
    /// `exclusive`, `shared`, `unknown`.
    pub scope: &'static str,
    /// Every input read, every value decoded, every suspect looked at again.
    pub complete: bool,
    /// Version of the tool.
    pub tool: String,
    /// JSON: inputs, checks that ran, checks that were skipped.
    pub about: String,
    /// JSON of counts.
    pub counts: String,
    /// JSON: findings by severity.
    pub found: String,
}

/// A key as it is now.
#[derive(Clone, Debug)]
pub struct KeyRow {
    pub key: Vec<u8>,
    /// With a value hash of 0 where the value does not decode.
    pub meta: Meta,
}

/// A block as it is now.
#[derive(Clone, Copy, Debug)]
pub struct BlockRow {
    pub cidr: Cidr,
    pub create_revision: i64,
    pub version: i64,
    pub sequence: Option<u64>,
}

/// An allocation that begins.
#[derive(Clone, Debug)]
pub struct AllocationRow {
    pub address: Addr,
    /// [`OwnedBy::hash`].
    pub owner: u64,
    pub block: Cidr,
    pub block_create_revision: i64,
    pub sequence: Option<u64>,
    pub handle: Option<String>,
    pub used_for: &'static str,
    pub node: Option<String>,
    pub namespace: Option<String>,
    /// Pod or service.
    pub pod: Option<String>,
    pub allocated: Option<Time>,
    /// JSON.
    pub more: Option<String>,
    /// The row that this one continues under other owner attributes: the same tuple.
    pub continues: Option<i64>,
}

/// Whose an allocation is, as far as the history keeps it: an allocation of the same tuple whose owners changed begins
/// another row.
#[derive(Clone, Copy, Debug)]
pub struct OwnedBy<'a> {
    pub block: Cidr,
    pub used_for: &'a str,
    pub node: Option<&'a str>,
    pub namespace: Option<&'a str>,
    pub pod: Option<&'a str>,
    pub allocated: Option<Time>,
    pub more: Option<&'a str>,
}

impl OwnedBy<'_> {
    /// The number by which a change is noticed, made from what stands in the row.
    pub fn hash(&self) -> u64 {
        let block = Parts::new().wide(self.block.first().bits()).number(self.block.prefix());
        let whose = block.text(self.used_for).given(self.node).given(self.namespace).given(self.pod);
        whose.number(self.allocated.map_or(i128::MIN, |t| t.0.into())).given(self.more).hash64()
    }
}

/// What names a pod's address through time.
#[derive(Clone, Copy, Debug)]
pub struct PodAddress<'a> {
    pub address: Addr,
    /// The bytes of a UUID, or the text of any other UID.
    pub uid: &'a [u8],
    pub namespace: &'a str,
    pub pod: &'a str,
    /// Kubernetes' name.
    pub node: &'a str,
    pub grade: &'a str,
}

impl PodAddress<'_> {
    /// By what a table in memory finds it.
    pub fn index(&self) -> u128 {
        let pod = Parts::new().wide(self.address.bits()).text(self.uid).text(self.namespace).text(self.pod);
        pod.text(self.node).text(self.grade).hash128()
    }
}

/// A pod's address that begins.
#[derive(Clone, Debug)]
pub struct PodRow {
    pub address: Addr,
    /// A UUID as 16 bytes.
    pub uuid: Option<[u8; 16]>,
    /// The UID when it is no UUID.
    pub uid: String,
    pub namespace: String,
    pub pod: String,
    pub node: String,
    pub grade: &'static str,
}

/// One finding of the audit.
#[derive(Clone, Debug)]
pub enum FindingEntry {
    /// Open in the history, and told in the same words: nothing is written.
    Unchanged(Life),
    /// Open in the history; something of it changed.
    Changed(Life, ChangedFinding),
    /// Not open.
    New(Box<NewFinding>),
}

/// What changed of an open finding.
#[derive(Clone, Debug)]
pub struct ChangedFinding {
    pub row: i64,
    /// What the claim rests on is another thing than before: steadiness and observations begin anew.
    pub restamped: bool,
    pub was_confirmed: bool,
    /// The audit before could not see it.
    pub was_hidden: bool,
    pub told: Told,
}

/// A finding that begins.
#[derive(Clone, Debug)]
pub struct NewFinding {
    pub code: Code,
    pub kind: SubjectKind,
    pub subject: String,
    pub told: Told,
}

/// What is told of a finding.
#[derive(Clone, Debug)]
pub struct Told {
    pub stamp: u128,
    /// Hash of everything here but the stamp and the evidence.
    pub face: u64,
    pub severity: Severity,
    pub state: State,
    pub summary: String,
    /// Code and subject.
    pub root: Option<String>,
    pub node: Option<String>,
    pub namespace: Option<String>,
    pub pool: Option<String>,
    /// JSON.
    pub evidence: String,
}

/// An open finding that was not seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unseen {
    pub row: i64,
    pub why: Why,
    /// The audit before did not see it either.
    pub was_hidden: bool,
}

/// Why it was not seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// It is so no more, if nothing undecodable hides it.
    Gone,
    /// Version or scope of the audit is another one.
    RuleChanged,
    /// Something that it could depend on was not read.
    Hidden,
}

/// Places that nobody can look into.
#[derive(Clone, Debug, Default)]
pub struct DarkRecord {
    pub ranges: Vec<Cidr>,
    /// Calico's and Kubernetes' names.
    pub nodes: Vec<String>,
    pub handles: Vec<String>,
    /// All blocks.
    pub all_blocks: bool,
}

/// What the history made of an audit.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The audit's number.
    pub id: i64,
    pub new: u64,
    pub ongoing: u64,
    pub came_back: u64,
    pub resolved: u64,
    /// One a finding, in their order.
    pub lives: Vec<Life>,
}
