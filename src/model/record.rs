//! What one audit adds to the history: plain values, changes only.
//!
//! Made from a snapshot, its ledger, the findings and the [`Past`] that they were held against; written
//! in one transaction. What stands in the history already is not repeated here.

use std::collections::HashSet;
use std::time::Duration;

use super::row::{AllocationRow, BlockRow, CapacityRow, FindingRow, NodeRow, PodRow};
use super::{Cidr, EtcdFacts, Foreign, Life, Meta, Past, Sharing, Time};

pub use super::past::ClusterKey;

/// Everything that is written of one audit.
#[derive(Debug)]
pub struct AuditRecord<'s> {
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
    pub keys: Option<Changes<LazyRows<'s, KeyRow>, u128>>,
    /// Blocks that are new or were written.
    pub blocks: Vec<BlockRow>,
    /// Closed ones by row; opened ones with the row that they continue under other owner attributes: the same tuple.
    pub allocations: Changes<LazyRows<'s, (AllocationRow, Option<i64>)>, i64>,
    /// All rows that are continued.
    pub continued: HashSet<i64>,
    pub pods: Changes<LazyRows<'s, PodRow>, i64>,
    pub nodes: Changes<Vec<NodeRow>, i64>,
    /// Calico's names of nodes that are ours and were not known to be.
    pub new_ours: Vec<Foreign>,
    /// Former names of our machines that were not known to be.
    pub new_former: Vec<Foreign>,
    /// Calico's names of nodes that are gone and were not known to be, and of those that are back.
    pub gone: Vec<Foreign>,
    pub back: Vec<Foreign>,
    /// Pools of which a number is another one, and those that are gone.
    pub capacity: Vec<CapacityRow>,
    /// One entry a finding, in the order of the outcome.
    pub findings: Vec<FindingEntry>,
    /// Open findings that this audit did not see though their checks ran.
    pub unseen: Vec<Unseen>,
    /// What a value that does not decode hides.
    pub dark: DarkRecord,
}

/// What began and what ended.
#[derive(Clone, Debug, Default)]
pub struct Changes<O, C> {
    /// The rows that begin.
    pub opened: O,
    /// What names a row that ended.
    pub closed: Vec<C>,
}

/// Rows that are made one by one when they are written: of a first audit they are hundreds of thousands, and what they say
/// stands in the snapshot already.
pub struct LazyRows<'s, T> {
    rows: usize,
    row: Box<dyn Fn(usize) -> Option<T> + 's>,
}

impl<'s, T> LazyRows<'s, T> {
    /// One row of each of these things; `spell` makes it.
    pub fn of<P: Copy + 's>(things: Vec<P>, spell: impl Fn(P) -> Option<T> + 's) -> LazyRows<'s, T> {
        LazyRows { rows: things.len(), row: Box::new(move |place| spell(*things.get(place)?)) }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The rows, each made when it is asked for.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        (0..self.rows).filter_map(|place| (self.row)(place))
    }
}

impl<T> Default for LazyRows<'_, T> {
    fn default() -> Self {
        LazyRows { rows: 0, row: Box::new(|_| None) }
    }
}

impl<T> std::fmt::Debug for LazyRows<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LazyRows({} rows)", self.rows)
    }
}

/// The audit itself.
#[derive(Clone, Debug, Default)]
pub struct Header {
    /// The moment by which ages were judged.
    pub judged: Time,
    /// By the clock of the machine.
    pub started: Time,
    /// How long reading took.
    pub duration: Duration,
    /// The API server's `Date`; `None`: not told.
    pub api_date: Option<Time>,
    pub etcd: EtcdFacts,
    pub scope: Sharing,
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

/// One finding of the audit.
#[derive(Clone, Debug)]
pub enum FindingEntry {
    /// Open in the history, and told in the same words: nothing is written.
    Unchanged(Life),
    /// Open in the history; something of it changed.
    Changed(Life, ChangedRow, Box<NewWords>),
    /// Not open.
    New(Box<NewWords>),
}

/// What changed of an open finding.
#[derive(Clone, Copy, Debug)]
pub struct ChangedRow {
    /// Its number in the file.
    pub row: i64,
    /// What the claim rests on is another thing than before: steadiness and observations begin anew.
    pub restamped: bool,
    /// The audit before had looked twice.
    pub was_confirmed: bool,
    /// The audit before could not see it.
    pub was_hidden: bool,
}

/// A finding in words that the history does not have.
#[derive(Clone, Debug)]
pub struct NewWords {
    pub finding: FindingRow,
    /// Hash of what the claim rests on.
    pub stamp: u128,
    /// Hash of what is told, by which the next audit sees whether it says the same.
    pub face: u64,
    /// JSON.
    pub evidence: String,
}

/// An open finding that was not seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unseen {
    /// Its number in the file.
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
    /// Of blocks.
    pub ranges: Vec<Cidr>,
    /// Calico's and Kubernetes' names.
    pub nodes: Vec<Foreign>,
    /// By their ids.
    pub handles: Vec<Foreign>,
    /// All blocks.
    pub all_blocks: bool,
}

/// What the history made of an audit.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The audit's number.
    pub id: i64,
    /// Findings that no audit had seen.
    pub new: u64,
    /// Findings that the audit before had seen too.
    pub ongoing: u64,
    /// Findings that had ended before.
    pub came_back: u64,
    /// Findings that ended.
    pub resolved: u64,
    /// One a finding, in their order.
    pub lives: Vec<Life>,
}
