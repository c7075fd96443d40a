//! What the rules judge by: plain values that the edge fills from snapshot, past, clocks and the second reading.
//!
//! Each field says what was *learned*; what could not be learned is a variant of its own, since unknown is not absent.

use std::time::Duration;

use crate::checks::addresses::address_awaited;
use crate::model::{Addr, ClockPair, EtcdAlarm, Input, InputState, Observation, Time};

/// Why something may not be done, and which of the ten rules says so.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Refusal {
    /// 1 to 10, as in docs/release.md.
    pub rule: u8,
    /// What is refused: a handle's id, an address, or `run` for all of it.
    pub subject: String,
    /// One sentence for people.
    pub words: String,
}

/// The subject of a refusal that concerns the whole run.
pub const RUN: &str = "run";

impl Refusal {
    pub fn new(rule: u8, subject: impl Into<String>, words: impl Into<String>) -> Refusal {
        Refusal { rule, subject: subject.into(), words: words.into() }
    }
}

/// What a run releases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// `--handle` or `--address`: what the operator named himself.
    Named,
    /// `--code … --older-than …`: as many as are found.
    Bulk,
}

/// Whether Calico may write: ClusterInformation's `datastoreReady`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lock {
    Open,
    /// `false`, null, or no ClusterInformation at all.
    Locked,
}

/// The clocks that must agree before ages mean anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clocks {
    /// This machine's.
    pub local: Time,
    /// Real time of the last audit in the history.
    pub last_audit: Option<Time>,
    /// The API server's clock beside this machine's, at the answer at which they were least apart; `None` when no answer
    /// told the time.
    pub api: Option<ClockPair>,
    /// Kubernetes was read from files, which have no clock.
    pub from_files: bool,
}

/// A node or a pool with allocations that are newly leaked since the last audit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Surge {
    /// `node slave-96`, `pool default`.
    pub place: String,
    pub newly_leaked: u64,
    pub allocations: u64,
}

/// The circumstances of a whole run: the input of [`super::gates`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Circumstances {
    pub ask: Ask,
    /// Why Kubernetes and datastore belong together; or why nobody knows.
    pub pairing: Result<(), String>,
    /// Whether Kubernetes' nodes could be read, so that everybody's standing is known.
    pub scope_known: bool,
    /// GUID and Kubernetes UID: without a name nothing can be recorded or undone.
    pub identity: Result<(), String>,
    /// IPA903 since the first observation that this run relies on: what was found, when.
    pub fork: Option<String>,
    /// The state of every input that must be complete, with its detail.
    pub inputs: Vec<(Input, InputState, String)>,
    /// Keys whose values do not decode, as text.
    pub bad_values: Vec<String>,
    /// Blocks with an allocation of which nobody can say whose it is (IPA301), as text.
    pub broken_blocks: Vec<String>,
    pub clocks: Clocks,
    pub lock: Lock,
    /// etcd's own alarms; that nobody could ask for them is told by the inputs.
    pub alarms: Vec<EtcdAlarm>,
    /// Places with newly leaked allocations; `None` when there is no last audit to compare with.
    pub surges: Option<Vec<Surge>>,
    /// The leak grace: `leakGracePeriod`, or 15 minutes.
    pub grace: Duration,
}

/// Who may hold an address, for people: `pod shop/web-0 (certain)`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    pub who: String,
    /// `certain`, `possible` or `stale`.
    pub grade: &'static str,
}

/// Why an allocation is never touched automatically (rule 7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Special {
    Tunnel,
    Windows,
    /// Kept back with a note, by an operator.
    Reserved,
    LoadBalancer,
    Machine,
    Cooling,
    Unattributed,
    UnknownType,
    ForeignNode(String),
    /// In a second block too: these have it.
    TwoBlocks(Vec<String>),
    /// A pod (`shop/web-0`) without an address waits for it: its predecessor's, which it will never get (IPA133).
    Awaited(String),
}

impl Special {
    /// Fits after "it is".
    pub fn words(&self) -> String {
        match self {
            Special::Tunnel => "a tunnel's address".to_owned(),
            Special::Windows => "reserved for Windows".to_owned(),
            Special::Reserved => "kept back by an operator's own reservation".to_owned(),
            Special::LoadBalancer => "a LoadBalancer service's address".to_owned(),
            Special::Machine => "a KubeVirt machine's, which keeps it while it is stopped".to_owned(),
            Special::Cooling => "released already and cooling down".to_owned(),
            Special::Unattributed => "an allocation that names no owner".to_owned(),
            Special::UnknownType => "an allocation of a type that ipaudit does not know".to_owned(),
            Special::ForeignNode(node) => format!("of node {node}, which is not this cluster's or has no k8s orchRef"),
            Special::TwoBlocks(blocks) => format!("in more than one block: {}", blocks.join(", ")),
            Special::Awaited(pod) => {
                format!("its predecessor's, for which pod {pod} waits ({})", address_awaited::CHECK.code)
            }
        }
    }

    /// Whether not even the operator's word lets it go: nobody holds it any more, or nobody can say which one is meant.
    pub const fn is_never(&self) -> bool {
        matches!(self, Special::Cooling | Special::TwoBlocks(_) | Special::Windows)
    }
}

/// The owner's node at the second reading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeNow {
    Ready,
    /// It exists and is not Ready, or does not say.
    NotReady,
    /// Gone from Calico and Kubernetes, or a former name of a machine; known so since then.
    Departed(Option<Time>),
    Unknown(String),
}

/// The owner's pod at the second reading, against the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PodNow {
    /// It does not exist: the API server said so about exactly this name.
    Absent,
    /// The same UID, and still no holder.
    SameAndNoHolder,
    /// Another UID, or it holds the address now.
    Changed(String),
    /// The look failed, or nobody can be asked (files).
    Unknown(String),
}

/// An endpoint that lists the address or has the container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Left {
    pub key: Vec<u8>,
    /// `shop/node--1-k8s-web--0-eth0`.
    pub name: String,
    /// Its pod is proven gone, so it is deleted in the same transaction.
    pub is_stale: bool,
    pub mod_revision: i64,
    /// Calico's name of its node, which need not be the allocation's.
    pub node: String,
    pub node_now: NodeNow,
}

/// One address of a handle, as everything known says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    pub address: Addr,
    /// Why it is leaked (IPA110), in words; `None`: not proven.
    pub proof: Option<String>,
    pub special: Option<Special>,
    /// Everybody who claims it, of every grade.
    pub holders: Vec<Holder>,
    pub endpoints: Vec<Left>,
    /// `owner.node`, Calico's name; empty when it names none.
    pub node: String,
    pub node_now: NodeNow,
    pub pod_now: PodNow,
    /// How often audits have seen this very tuple leaked.
    pub observed: Option<Observation>,
}

/// What a pod must still be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AgainPod {
    Absent,
    /// UID, phase, node, addresses and whether it is terminating, as one text.
    As(String),
}

/// What a node must still be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AgainNode {
    /// Ready, and the one of this UID.
    Ready(String),
    Absent,
}

/// What the API server must say once more, right before the write (rule 5).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Again {
    pub namespace: String,
    pub name: String,
    pub pod: AgainPod,
    /// Kubernetes' name of the node; `None`: the operator's word stands for it.
    pub node: Option<(String, AgainNode)>,
}

/// What the operator said on the command line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Word {
    /// `--skip-age`.
    pub skip_age: bool,
    /// `--i-know-what-this-is`, with one `--address` or `--handle`.
    pub knows: bool,
    /// `--node-is-off`, as Calico's names.
    pub nodes_off: Vec<String>,
}
