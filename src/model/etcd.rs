//! What etcd's members say of themselves: alarms, and how each one that was asked is doing.
//!
//! Output and captures hold these as they stand here: fields are added, never renamed.

use serde::{Deserialize, Serialize};

use super::Time;

/// etcd's word of itself (input T).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EtcdStatus {
    /// The endpoints that answered, in the order in which people named them.
    pub members: Vec<EtcdMember>,
    /// The alarms of the whole cluster, each once, sorted: every member knows all of them.
    pub alarms: Vec<EtcdAlarm>,
}

impl EtcdStatus {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.alarms.is_empty()
    }
}

/// One member of etcd, as it answered for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EtcdMember {
    /// The endpoint that was asked, without secrets.
    pub endpoint: String,
    /// Its id as etcdctl prints it, in hexadecimal: JSON's readers lose numbers of that size.
    pub id: String,
    /// As `3.5.16`.
    pub version: String,
    /// It only learns: it answers no reads that must be up to date, and has no vote.
    pub learner: bool,
    /// The store's revision at that member.
    pub revision: i64,
    /// Of this member, at its answer.
    pub raft_term: u64,
    /// How far its log has come.
    pub raft_index: u64,
    /// Bytes of its file.
    pub db_size: i64,
    /// Bytes of it that hold something: the rest comes back when the member is defragmented.
    pub db_size_in_use: i64,
    /// The size at which etcd raises NOSPACE; 3.4 does not tell.
    pub quota: Option<i64>,
}

/// An alarm that is raised: it stands until somebody disarms it, whatever became of its cause.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Hash)]
#[serde(default)]
pub struct EtcdAlarm {
    /// etcd's own word: `NOSPACE`, `CORRUPT`.
    pub kind: String,
    /// The id of the member that raised it, in hexadecimal; empty when nobody knows which one it is about.
    pub member: String,
    /// The member's name; empty when it could not be learned.
    pub name: String,
}

impl EtcdAlarm {
    /// etcd's word for a store that is as large as its quota lets it grow.
    pub const NOSPACE: &'static str = "NOSPACE";
    /// etcd's word for members whose data differ.
    pub const CORRUPT: &'static str = "CORRUPT";

    /// The member for people: its name, else its id as etcdctl prints it.
    pub fn who(&self) -> String {
        match (self.name.as_str(), self.member.as_str()) {
            ("", "") => "an unknown member".to_owned(),
            ("", id) => format!("member {id}"),
            (name, _) => format!("member {name}"),
        }
    }
}

/// What etcd said of itself at the read.
#[derive(Clone, Debug, Default)]
pub struct EtcdFacts {
    /// The one revision at which all keys were read.
    pub revision: i64,
    /// The revision up to which etcd has forgotten; `None` when it could not be learned.
    pub compact_revision: Option<i64>,
    /// etcd's own id of the cluster and of the member that answered; 0 where nobody told.
    pub cluster_id: u64,
    /// Of the member that answered.
    pub member_id: u64,
    /// The term of the linearizable answer that fixed the revision: it never falls in one life of a cluster. 0 where
    /// nobody told.
    pub raft_term: u64,
    /// This machine's clock when the read was over; `None` where nobody knows how real time went by (`--now`).
    pub read_at: Option<Time>,
    /// Endpoints without secrets, as people wrote them.
    pub endpoints: Vec<String>,
    /// etcd's word of itself; empty when that was not read.
    pub status: EtcdStatus,
}
