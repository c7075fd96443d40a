//! The lines of a capture: what an audit read, one JSON object a line, so that it can be audited elsewhere.
//!
//! etcd's keys stand as they were, bytes and revisions; Kubernetes' objects are reduced to what checks need.
//! A line that this version does not know is an error: half-understood evidence is none. A newer format is refused.

mod objects;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::Kv;
use crate::model::snapshot::{EtcdFacts, KubeFacts};
use crate::model::{ClockPair, ClockPairs, Coverage, EtcdStatus, Gathering, Input, Term, Time};

pub use objects::{NamespaceLine, NodeLine, PodLine, ServiceLine};

/// What the first line says it is.
pub const FORMAT: &str = "ipaudit-capture";
/// The version that this program writes, and the newest that it reads.
pub const VERSION: u32 = 2;

/// One line of a capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Line {
    Head(Head),
    Etcd(KeyLine),
    /// A key that the second look found absent.
    EtcdAbsent(Bytes),
    /// An etcd input of which the second look read the whole list: what the first one had of it is void.
    EtcdAgain(String),
    Pod(PodLine),
    PodAbsent(String, String),
    /// All pods were listed again.
    PodsAgain,
    Node(NodeLine),
    NodeAbsent(String),
    NodesAgain,
    Service(ServiceLine),
    ServiceAbsent(String, String),
    ServicesAgain,
    Namespace(NamespaceLine),
    /// Everything of one look has been said.
    Look(LookLine),
    /// The last line: without it the file was cut off.
    End {
        lines: u64,
    },
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub format: String,
    pub version: u32,
    /// Name and version of the program that wrote it.
    pub made_by: String,
}

/// Bytes that are text nearly always.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bytes {
    #[serde(rename = "t")]
    Text(String),
    #[serde(rename = "b")]
    Base64(String),
}

impl Bytes {
    /// As text where it is UTF-8.
    pub fn of(bytes: &[u8]) -> Bytes {
        match std::str::from_utf8(bytes) {
            Ok(text) => Bytes::Text(text.to_owned()),
            Err(_) => Bytes::Base64(BASE64.encode(bytes)),
        }
    }

    /// The bytes again.
    ///
    /// # Errors
    /// When the base64 is none.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            Bytes::Text(text) => Ok(text.clone().into_bytes()),
            Bytes::Base64(text) => BASE64.decode(text).map_err(|e| e.to_string()),
        }
    }
}

/// One key of etcd: key, value, create and mod revision, and how often it was written since its creation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyLine {
    pub k: Bytes,
    pub v: Bytes,
    pub c: i64,
    pub m: i64,
    pub n: i64,
}

impl KeyLine {
    pub fn of(kv: &Kv<'_>) -> KeyLine {
        let (k, v) = (Bytes::of(kv.key), Bytes::of(kv.value));
        KeyLine { k, v, c: kv.create_revision, m: kv.mod_revision, n: kv.version }
    }
}

/// What one look knew beside the keys; its moment, its coverage, and the servers' words of themselves. Moments are
/// nanoseconds since 1970, as [`Time`] has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookLine {
    pub now: i64,
    pub started: i64,
    pub duration_ms: u64,
    pub revision: i64,
    pub compact_revision: Option<i64>,
    pub cluster_id: u64,
    pub member_id: u64,
    /// Since version 2, as the next one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub raft_term: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<i64>,
    pub endpoints: Vec<String>,
    pub kube_system_uid: Option<String>,
    pub kubernetes_service_uid: Option<String>,
    /// Version 1: the `Date` of the first answer, which came when the look began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<i64>,
    /// Pairs of clocks at one answer each: the API server's, ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<(i64, i64)>,
    /// Our clock at the end of the reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_until: Option<i64>,
    pub server: String,
    /// Words of input and state, and the detail.
    pub coverage: Vec<(String, String, String)>,
    /// Words of inputs that are not complete, and what a person can do about each: the cure is told wherever the cause is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<(String, String)>,
    /// Why the second look failed; then nothing of it is here.
    pub failed: Option<String>,
    /// What to do about that.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failed_hint: String,
    /// Since version 2: etcd's word of itself.
    #[serde(default, skip_serializing_if = "EtcdStatus::is_empty")]
    pub status: EtcdStatus,
}

impl LookLine {
    pub fn of(snapshot: &Gathering, started: Time, duration: Duration) -> LookLine {
        let (etcd, kube, coverage) = (&snapshot.etcd, &snapshot.kube, &snapshot.coverage);
        LookLine {
            now: snapshot.now.0,
            started: started.0,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
            revision: etcd.revision,
            compact_revision: etcd.compact_revision,
            cluster_id: etcd.cluster_id,
            member_id: etcd.member_id,
            raft_term: etcd.raft_term,
            read_at: etcd.read_at.map(|t| t.0),
            endpoints: etcd.endpoints.clone(),
            kube_system_uid: kube.kube_system_uid.clone(),
            kubernetes_service_uid: kube.kubernetes_service_uid.clone(),
            date: None,
            clocks: kube.clocks.iter().map(|pair| (pair.theirs.0, pair.ours.0)).collect(),
            read_until: snapshot.read_until.map(|t| t.0),
            server: kube.server.clone(),
            coverage: Input::ALL
                .into_iter()
                .filter(|i| !matches!(i, Input::NodeEvidence | Input::History))
                .map(|i| {
                    (i.word().to_owned(), coverage.state(i).word().to_owned(), coverage.detail(i).raw().to_owned())
                })
                .collect(),
            hints: coverage.hints().map(|(input, hint)| (input.word().to_owned(), hint.raw().to_owned())).collect(),
            failed: None,
            failed_hint: String::new(),
            status: etcd.status.clone(),
        }
    }

    fn clock_pairs(&self) -> ClockPairs {
        let of_old = self.date.map(|date| (date, self.started));
        let pairs = of_old.into_iter().chain(self.clocks.iter().copied());
        pairs.map(|(theirs, ours)| ClockPair { theirs: Time(theirs), ours: Time(ours) }).collect()
    }

    /// Puts it back into a snapshot.
    ///
    /// # Errors
    /// When it names an input or a state that this version does not know.
    pub fn restore(&self, snapshot: &mut Gathering) -> Result<(), String> {
        snapshot.now = Time(self.now);
        // Version 1 told the end by the duration; its `now` was the start, unless it had been given.
        let of_old = self.date.is_some() && self.now == self.started;
        let end = || Time(self.started).plus(Duration::from_millis(self.duration_ms));
        snapshot.read_until = self.read_until.map(Time).or_else(|| of_old.then(end));
        snapshot.etcd = EtcdFacts {
            revision: self.revision,
            compact_revision: self.compact_revision,
            cluster_id: self.cluster_id,
            member_id: self.member_id,
            raft_term: self.raft_term,
            read_at: self.read_at.map(Time),
            endpoints: self.endpoints.clone(),
            status: self.status.clone(),
        };
        snapshot.kube = KubeFacts {
            kube_system_uid: self.kube_system_uid.clone(),
            kubernetes_service_uid: self.kubernetes_service_uid.clone(),
            clocks: self.clock_pairs(),
            server: self.server.clone(),
        };
        let mut coverage = Coverage::default();
        for (input, state, detail) in &self.coverage {
            let input = input_of(input)?;
            let state = Term::of(state).known().ok_or_else(|| format!("unknown state {state:?} of an input"))?;
            coverage.set(input, state, detail.clone());
        }
        for (input, hint) in &self.hints {
            coverage.set_hint(input_of(input)?, hint.clone());
        }
        snapshot.coverage = coverage;
        Ok(())
    }
}

/// The input of this word.
///
/// # Errors
/// When this version does not know it.
pub fn input_of(word: &str) -> Result<Input, String> {
    Term::of(word).known().ok_or_else(|| format!("unknown input {word:?}"))
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests;
