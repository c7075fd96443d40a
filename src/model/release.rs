//! What the history keeps of a release: its intent before each etcd transaction, the outcome after it, how it all ended.

use super::observation::Observation;
use super::word::{Term, words};
use super::{Addr, Foreign, SubjectKind, Time};

/// How a command ended, whichever it was; the history has it of releases and undos.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conclusion {
    /// All that was asked for is done; an audit has read everything and found nothing that counts.
    Done,
    /// It found what counts: findings at or above `--fail-on`, damage in the history.
    Found,
    /// Something could not be read.
    Incomplete,
    /// A release or an undo: nothing may be written, of this plan at all or any more.
    Refused,
    /// Some of it was refused, the rest is done.
    Partly,
    /// Before its end: by a signal, or as Kubernetes did not answer any more.
    Stopped,
    Failed,
    /// Nobody knows what became of a transaction.
    Unknown,
}

words!(Conclusion {
    Done = "done",
    Found = "found",
    Incomplete = "incomplete",
    Refused = "refused",
    Partly = "partly",
    Stopped = "stopped",
    Failed = "failed",
    Unknown = "unknown",
});

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StepOutcome {
    Applied,
    NotApplied,
    ChangedHands,
    Refused,
}

words!(StepOutcome {
    Applied = "applied",
    NotApplied = "not applied",
    ChangedHands = "changed hands",
    Refused = "refused",
});

/// What audits have seen of all that goes with one open finding when a release takes it: every address of its handle.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeenWhole {
    /// Of what was seen least.
    pub observed: Observation,
    pub addresses: Vec<Addr>,
    /// Whose they are, by Calico's names; a node that an allocation does not name is empty.
    pub nodes: Vec<Foreign>,
}

/// How the last audit saw a node (Calico's name), and what earlier ones knew of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NodeKnown {
    /// An audit has seen it as this cluster's.
    pub was_ours: bool,
    /// A machine's former name.
    pub is_former: bool,
    /// It has a Calico Node.
    pub in_calico: bool,
    /// Kubernetes has it.
    pub in_kubernetes: bool,
    /// The node that Kubernetes has is this cluster's.
    pub is_ours: bool,
    pub is_ready: bool,
    /// Neither Calico nor Kubernetes has it since then.
    pub gone_since: Option<Time>,
}

/// A release or an undo that begins.
#[derive(Clone, Debug, Default)]
pub struct NewRelease {
    /// The release that this one undoes.
    pub undoes: Option<i64>,
    /// JSON: who asked, with which flags.
    pub asked: String,
    /// By the clock of the machine.
    pub started: Time,
    /// JSON.
    pub plan: String,
}

/// What one etcd transaction is going to write.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Intent {
    /// Addresses and handles that it takes away (or puts back).
    pub subjects: Vec<(SubjectKind, Foreign)>,
    pub keys: Vec<KeyIntent>,
}

/// What it is going to write under one key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyIntent {
    /// Its bytes.
    pub key: Vec<u8>,
    /// The mod revision with which the transaction compares; 0: the key is absent.
    pub mod_revision: i64,
    /// `None`: absent.
    pub old: Option<Vec<u8>>,
    /// `None`: deleted.
    pub new: Option<Vec<u8>>,
}

/// A recorded release.
#[derive(Clone, Debug)]
pub struct ReleaseRow {
    /// Its number.
    pub id: i64,
    /// Of which pair of datastore and cluster, by its number in the file.
    pub pair: i64,
    /// The release that it undid.
    pub undoes: Option<i64>,
    /// By the clock of its machine, as what follows.
    pub started: Time,
    /// `None`: it never said.
    pub finished: Option<Time>,
    /// `None`: it never said how it ended.
    pub outcome: Option<Term<Conclusion>>,
    /// JSON.
    pub plan: Foreign,
    pub steps: Vec<StepRow>,
    /// An audit after its start has seen the datastore go back (IPA903).
    pub forked_since: bool,
}

impl ReleaseRow {
    /// Its transactions that were done.
    pub fn done(&self) -> impl Iterator<Item = &StepRow> {
        self.steps.iter().filter(|step| step.outcome == Some(StepOutcome::Applied))
    }
}

/// A recorded etcd transaction.
#[derive(Clone, Debug)]
pub struct StepRow {
    /// Its number in the file.
    pub id: i64,
    pub intent: Intent,
    /// `None`: nobody knows yet.
    pub outcome: Option<StepOutcome>,
}
