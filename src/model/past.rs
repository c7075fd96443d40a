//! What the history tells the checks: a plain value, read before the checks run.
//!
//! Without a history there is no past, and the checks that need one are skipped with that reason.

use std::collections::{HashMap, HashSet};

use super::{Cidr, Code, Meta, Time};

/// What earlier audits of the same pair (Calico's GUID, Kubernetes' UID) recorded.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// How many audits of this pair the history holds; 0 = this is the first.
    pub audits: u64,
    /// Judged time of the last audit.
    pub last_audit: Option<Time>,
    /// Whether the pair was seen together in a complete audit before.
    pub pair_known: bool,
    /// The operator once said `--scope exclusive`.
    pub exclusive: bool,
    /// Calico names of nodes that were ours in an earlier audit.
    pub known_nodes: HashSet<String>,
    /// When a node was first known gone (neither Calico's nor Kubernetes'), by Calico name.
    pub gone_since: HashMap<String, Time>,
    /// Open findings by code and subject.
    pub open: HashMap<(Code, String), PastFinding>,
    /// First seen of every allocation that the last audit saw, by [`AllocationTuple`].
    pub allocations: HashMap<AllocationTuple, Time>,
    /// Keys as the last complete audit (that of `etcd`) recorded them, by key bytes: every block, handle,
    /// affinity, endpoint and Calico Node, undecodable ones too (IPA903 takes a key that is not here for one that
    /// did not exist).
    pub keys: HashMap<Vec<u8>, Meta>,
    /// The last complete audit's view of etcd.
    pub etcd: Option<PastEtcd>,
    /// Whether any audit ever saw a pod's allocation in a block.
    pub saw_pod_allocation: bool,
    /// Since when strict affinity is known to be on.
    pub strict_affinity_since: Option<Time>,
    /// The highest `sequenceNumber` that any audit since the last fork (IPA903) recorded for a block. An audit
    /// that saw no number in the block leaves its entry as it is; one that saw a number under another create
    /// revision replaces it. So a number that vanished or fell stays known until the block is written anew.
    pub block_sequences: HashMap<Cidr, BlockSequence>,
}

/// A block's number as the history keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockSequence {
    /// The create revision of the block that had it.
    pub create_revision: i64,
    /// The highest number seen under that create revision.
    pub highest: u64,
}

/// An open finding of the last audit.
#[derive(Clone, Debug)]
pub struct PastFinding {
    pub first_seen: Time,
    /// The stamp of the last audit that saw it.
    pub stamp: u64,
    /// When the present stamp was first recorded: the start of its steadiness.
    pub stamp_since: Time,
}

/// The tuple that names one allocation through time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AllocationTuple {
    pub address: super::Addr,
    /// [`super::finding::stable_hash`] of the sanitised handle id; 0 without one.
    pub handle: u64,
    pub sequence: Option<u64>,
    pub block_create_revision: i64,
}

/// Etcd as the last complete audit saw it.
#[derive(Clone, Copy, Debug)]
pub struct PastEtcd {
    pub revision: i64,
    pub cluster_id: u64,
}
