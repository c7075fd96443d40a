//! What the history tells the checks: a plain value, read before the checks run.
//!
//! Without a history there is no past, and the checks that need one are skipped with that reason. A big cluster has
//! hundreds of thousands of keys and allocations, so these are found by a 128-bit hash of what names them; in the file
//! they stand under their names.

mod keys;
mod open;

use std::collections::{HashMap, HashSet};

use super::row::{CapacityRow, NodeRow};
use super::snapshot::EtcdFacts;
use super::{Cidr, Code, Foreign, Gist, Input, Life, Sharing, SubjectKind, Term, Time};

pub use keys::{PastKey, PastKeys, ReadKeys, RecordedKey};
pub use open::{AllocationTuple, FirstSeen, OpenAllocation, OpenRows, RowKeeper, tuple_index};

/// Which datastore and which Kubernetes cluster an audit saw.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClusterKey {
    /// Calico's GUID: names the datastore.
    pub guid: String,
    /// Names of the one Kubernetes cluster: `kube-system`'s UID first. None: Kubernetes could not be asked.
    pub uids: Vec<String>,
}

/// What earlier audits of the same pair (Calico's GUID, Kubernetes' UID) recorded. The record of an audit takes it along,
/// so there is one of it.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub struct Past {
    /// How many audits of this pair the history holds; 0 = this is the first.
    pub audits: u64,
    /// Judged time of the last audit.
    pub last_audit: Option<Time>,
    /// When the last audit started, by the clock of its machine.
    pub last_started: Option<Time>,
    /// Whether the pair was seen together in a complete audit before.
    pub pair_known: bool,
    /// The operator once said `--scope exclusive`.
    pub exclusive: bool,
    /// Calico names of nodes that were ours in an earlier audit.
    pub known_nodes: HashSet<String>,
    /// Calico names that an earlier audit knew as former ones of machines of ours.
    pub former_nodes: HashSet<String>,
    /// Kubernetes' name of nodes that were ours, by Calico name, where the two differ: it goes with a Calico Node.
    pub kubernetes_names: HashMap<String, String>,
    /// When a node was first known gone (neither Calico's nor Kubernetes', or a machine's former name), by Calico name.
    pub gone_since: HashMap<String, Time>,
    /// Open findings by code and subject.
    pub open: OpenFindings,
    /// First seen of every allocation that the last audit saw, by [`AllocationTuple`]. An audit asks for those alone that a
    /// check wants to know.
    pub allocations: FirstSeen,
    /// Keys as the last complete audit (that of `etcd`) recorded them, by key bytes: every block, handle,
    /// affinity, endpoint and Calico Node, undecodable ones too (IPA903 takes a key that is not here for one that
    /// did not exist).
    pub keys: PastKeys,
    /// The last complete audit's view of etcd.
    pub etcd: Option<PastEtcd>,
    /// The last audit found that the datastore had been restored (IPA903), and none has looked at it since.
    pub restored_last: bool,
    /// The audits since the last restore, which alone count for releases; `None`: no restore is known.
    pub since_restore: Option<AuditsSince>,
    /// Since when strict affinity is known to be on.
    pub strict_affinity_since: Option<Time>,
    /// The highest `sequenceNumber` that any audit since the last fork (IPA903) recorded for a block. An audit
    /// that saw no number in the block leaves its entry as it is; one that saw a number under another create
    /// revision replaces it. So a number that vanished or fell stays known until the block is written anew.
    pub block_sequences: HashMap<Cidr, BlockSequence>,
    /// What only the recorder of the next audit needs.
    pub last: LastState,
}

impl Past {
    /// All nodes that it names, by either name; some of them more than once.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        let both = self.kubernetes_names.iter().flat_map(|(calico, kubernetes)| [calico, kubernetes]);
        self.known_nodes.iter().chain(&self.former_nodes).chain(both).chain(self.gone_since.keys()).map(String::as_str)
    }
}

/// Audits since something.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AuditsSince {
    pub audits: u64,
    /// Judged time of the first of them.
    pub first: Option<Time>,
}

impl Past {
    /// Whether the last complete audit read the same etcd at a later revision than this look did. Where that audit was
    /// recorded while this look was under way, the two say nothing of a restore.
    pub fn is_of_a_later_look(&self, now: &EtcdFacts) -> bool {
        let later = |then: PastEtcd| then.cluster_id == now.cluster_id && then.revision > now.revision;
        now.revision > 0 && self.etcd.is_some_and(later)
    }
}

/// What is kept by key: the fork test (IPA903) sees a restore in any of these.
pub const KEPT_BY_KEY: [Input; 5] =
    [Input::Blocks, Input::Handles, Input::Affinities, Input::Endpoints, Input::CalicoNodes];

/// A block's number as the history keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockSequence {
    /// The create revision of the block that had it.
    pub create_revision: i64,
    /// The highest number seen under that create revision.
    pub highest: u64,
}

/// An open finding of the last audit.
#[derive(Clone, Copy, Debug)]
pub struct PastFinding {
    /// Judged time of the first audit of this episode.
    pub first_seen: Time,
    /// The stamp of the last audit that saw it; `None`: not known, and equal to no other.
    pub stamp: Option<u128>,
    /// When the present stamp was first recorded: the start of its steadiness.
    pub stamp_since: Time,
    /// Its row in the history.
    pub row: i64,
    /// Hash of what was last told of it; 0: not known.
    pub face: u64,
    /// Whether the last audit that saw it had confirmed it.
    pub confirmed: bool,
    /// Whether the last audit could not see it, though its check ran: something hid it.
    pub hidden: bool,
    /// In how many audits it was seen, and when last.
    pub audits_seen: u64,
    pub last_seen: Time,
    /// 1 for the first time, 2 after it was gone and came back, …
    pub episode: u64,
}

impl PastFinding {
    /// Its life as of the last audit that saw it.
    pub fn life(&self) -> Life {
        let PastFinding { first_seen, last_seen, audits_seen, episode, .. } = *self;
        Life { first_seen, last_seen, audits_seen, episode }
    }

    /// Its life as of an audit at `now` that sees it again.
    pub fn seen_again(&self, now: Time) -> Life {
        Life { first_seen: self.first_seen, last_seen: now, audits_seen: self.audits_seen + 1, episode: self.episode }
    }
}

/// The open findings of the last audit, by what they are: code, kind and subject.
#[derive(Clone, Debug, Default)]
pub struct OpenFindings {
    by_kind: HashMap<(Code, SubjectKind), HashMap<Box<str>, PastFinding>>,
}

impl OpenFindings {
    /// Enters one.
    pub fn insert(&mut self, code: Code, kind: SubjectKind, subject: &str, finding: PastFinding) {
        self.by_kind.entry((code, kind)).or_default().insert(subject.into(), finding);
    }

    /// The open finding of this code about this subject.
    pub fn get(&self, code: Code, kind: SubjectKind, subject: &str) -> Option<&PastFinding> {
        self.by_kind.get(&(code, kind))?.get(subject)
    }

    /// The same for one that was found again.
    pub fn of(&self, finding: &Gist) -> Option<&PastFinding> {
        self.get(finding.code, finding.subject.kind, finding.subject.id.raw())
    }

    /// What the open findings of this code are about, in no order.
    pub fn subjects(&self, code: Code, kind: SubjectKind) -> impl Iterator<Item = &str> {
        self.by_kind.get(&(code, kind)).into_iter().flat_map(HashMap::keys).map(|subject| &**subject)
    }

    /// All of them with code, kind and subject, in no order.
    pub fn iter(&self) -> impl Iterator<Item = ((Code, SubjectKind, &str), &PastFinding)> {
        self.by_kind.iter().flat_map(|(&(code, kind), findings)| {
            findings.iter().map(move |(subject, finding)| ((code, kind, &**subject), finding))
        })
    }
}

/// Etcd as the last complete audit saw it.
#[derive(Clone, Copy, Debug, Default)]
pub struct PastEtcd {
    /// The one at which everything was read.
    pub revision: i64,
    /// Etcd's own id of the cluster.
    pub cluster_id: u64,
    /// 0: recorded by an ipaudit that did not keep it, or unknown.
    pub raft_term: u64,
    /// When that audit started, by the clock of its machine.
    pub started: Option<Time>,
    /// The API server's `Date` in it.
    pub api_date: Option<Time>,
}

/// What stands in the history as of the last audit: what the next one is compared with, so that it writes nothing but
/// changes. Numbers of rows mean nothing outside the file.
#[derive(Clone, Debug, Default)]
pub struct LastState {
    /// The cluster whose past it is.
    pub key: ClusterKey,
    /// The number of the last audit; 0 when there is none.
    pub audit: i64,
    /// Nobody can say which Kubernetes cluster it is: nothing may be closed.
    pub apart: bool,
    /// By `tool`, scope: an ending under other rules is no resolution.
    pub tool: String,
    /// `None`: there is no audit.
    pub scope: Option<Term<Sharing>>,
    /// Open rows of pods' addresses, by [`PodAddress::index`](super::index::PodAddress::index).
    pub pods: OpenRows<i64>,
    /// Open rows of nodes' states.
    pub nodes: HashMap<NodeRow, i64>,
    /// Create revision and version of every block.
    pub blocks: HashMap<Cidr, (i64, i64)>,
    /// The last capacity of each pool, by name.
    pub capacity: HashMap<Foreign, CapacityRow>,
}

#[cfg(test)]
mod tests;
