//! Of what a state is, and as of when.

use std::time::Duration;

use crate::model::prints::KeysPrint;
use crate::model::{EtcdFacts, Time};

/// Everything is read at least so often, whatever a state says: it bounds what no sign of a restore covers.
pub const FULL_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// A state of an unchanged datastore is written again after this time, so that its revision is not compacted away
/// meanwhile: kube-apiserver does that every five minutes, and leaves as much.
const KEPT_ANEW: Duration = Duration::from_secs(3 * 60);

/// By what a state is known.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mark {
    /// The datastore's name.
    pub guid: String,
    /// The names of the Kubernetes cluster; none where it did not answer.
    pub uids: Vec<String>,
    pub cluster_id: u64,
    pub member_id: u64,
    pub raft_term: u64,
    /// The one revision that it is of.
    pub revision: i64,
    /// The oldest revision that etcd still had then; `None`: not known.
    pub compact_revision: Option<i64>,
    /// The revision of the last write that it holds.
    pub last_write: i64,
    /// The fingerprint of the keys in it that the history keeps; `None`: not known.
    pub keys: Option<KeysPrint>,
    /// When everything was read last, by this machine's clock.
    pub read_in_full: Time,
    /// When this was written, by this machine's clock.
    pub kept_at: Time,
}

/// Whether the time is over for which a full read is good.
pub fn is_over(read_in_full: Time, now: Time) -> bool {
    now < read_in_full || now.since(read_in_full) >= FULL_EVERY
}

impl Mark {
    /// Whether everything has to be read again by now: also where the clock ran back.
    pub fn is_old(&self, now: Time) -> bool {
        is_over(self.read_in_full, now)
    }

    /// Whether a state of which no key changed since is good for the next audit too.
    pub fn is_fresh(&self, now: Time) -> bool {
        now >= self.kept_at && now.since(self.kept_at) < KEPT_ANEW
    }

    /// Why it is not of the Kubernetes cluster of these names; `None`: it is.
    pub fn is_of_others(&self, uids: &[String]) -> Option<&'static str> {
        (self.uids != uids).then_some("the last audit's state is of another Kubernetes cluster")
    }

    /// Why etcd, which says this of itself now, cannot be asked for what changed since; `None`: it can.
    pub fn differs(&self, now: &EtcdFacts) -> Option<&'static str> {
        match () {
            () if now.cluster_id != self.cluster_id || now.cluster_id == 0 => Some("etcd is another cluster"),
            () if now.revision < self.revision => Some("etcd's revision went back"),
            () if now.member_id != self.member_id || now.member_id == 0 => Some("another member of etcd answers"),
            () if now.raft_term == 0 => Some("etcd's raft term is not certain"),
            () if now.raft_term != self.raft_term => Some("etcd's raft term changed"),
            () => None,
        }
    }
}
