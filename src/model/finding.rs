//! What a check says: a code, a subject, typed evidence, and what the claim rests on.
//!
//! The identity of a finding is its code and subject, never its text: the history needs that to say
//! first seen, last seen, came back.

mod hash;
mod kept;
mod squeeze;
mod wire;

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::touch::Placed;
use super::word::{Term, words};
use super::{Addr, Cidr, EndpointKey, Evidence, Foreign, HandleId, Host, Name, Time};

pub use hash::{Parts, hash64, hash128};
pub use kept::{FindingKeeper, KeptFinding};

/// A check's code, as `IPA101`. Never reused, never renumbered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Code(pub u16);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IPA{:03}", self.0)
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Code, String> {
        let digits = text.strip_prefix("IPA").or_else(|| text.strip_prefix("ipa")).unwrap_or_default();
        match digits.parse() {
            Ok(number) if digits.len() == 3 => Ok(Code(number)),
            _ => Err(format!("{text:?} is no code")),
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How bad it is; orders from harmless to bad.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Severity {
    Note,
    Warning,
    Error,
    Critical,
}

impl Severity {
    /// From worst to least, the order of output.
    pub const WORST_FIRST: [Severity; 4] = [Severity::Critical, Severity::Error, Severity::Warning, Severity::Note];
}

words!(Severity { Note = "note", Warning = "warning", Error = "error", Critical = "critical" });

impl FromStr for Severity {
    type Err = String;

    fn from_str(text: &str) -> Result<Severity, String> {
        Term::of(text).known().ok_or_else(|| format!("{text:?} is no severity; take critical, error, warning or note"))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Whether the claim was seen to hold twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    Confirmed,
    /// True at one revision only, and nobody looked again.
    Unconfirmed,
}

words!(State { Confirmed = "confirmed", Unconfirmed = "unconfirmed" });

/// What kind of thing a finding is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum SubjectKind {
    Address,
    Handle,
    Block,
    Affinity,
    Endpoint,
    Workload,
    Interface,
    Mac,
    Pod,
    Node,
    /// An address as one node's kernel has it.
    NodeAddress,
    /// A block as one node's kernel has it.
    NodeBlock,
    Pool,
    Key,
    Cluster,
}

words!(SubjectKind {
    Address = "address",
    Handle = "handle",
    Block = "block",
    Affinity = "affinity",
    Endpoint = "endpoint",
    Workload = "workload",
    Interface = "interface",
    Mac = "mac",
    Pod = "pod",
    Node = "node",
    NodeAddress = "node-address",
    NodeBlock = "node-block",
    Pool = "pool",
    Key = "key",
    Cluster = "cluster",
});

/// What a finding is about; spelled as the table of `docs/output.md` says.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Subject {
    pub kind: SubjectKind,
    /// No two findings of one code in an audit have the same.
    pub id: Foreign,
}

impl Subject {
    /// A subject of `kind`.
    pub fn new(kind: SubjectKind, id: impl Into<Foreign>) -> Subject {
        Subject { kind, id: id.into() }
    }

    /// The address that it is.
    pub fn address(&self) -> Option<Addr> {
        self.id.raw().parse().ok().filter(|_| self.kind == SubjectKind::Address)
    }

    /// The addresses that it is about: itself (on a node too), those of its block, of its affinity's, or of a block's or affinity's key;
    /// `None` of everything else.
    pub fn range(&self) -> Option<Cidr> {
        let id = self.id.raw();
        let parsed = match self.kind {
            SubjectKind::Address => return id.parse().ok().and_then(Cidr::of_one),
            SubjectKind::Block => Cidr::parse(id),
            SubjectKind::NodeAddress => return id.rsplit_once(' ')?.1.parse().ok().and_then(Cidr::of_one),
            SubjectKind::Affinity | SubjectKind::NodeBlock => Cidr::parse(id.rsplit_once(' ')?.1),
            SubjectKind::Key => {
                let (address, prefix) = id.split("/block/").nth(1)?.rsplit_once('-')?;
                Cidr::parse(&format!("{address}/{prefix}"))
            }
            _ => None,
        };
        parsed.map(|(range, _)| range)
    }
}

/// Something that a second look has to read again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Look {
    Block(Cidr),
    Handle(HandleId),
    Affinity(Host, Cidr),
    /// Namespace and name of the key.
    Endpoint(Name, EndpointKey),
    /// The `k8s` endpoint that the node (Calico's name) does not have of this pod (namespace, name): the key
    /// `<node>-k8s-<pod>-eth0`. What is absent has no name in the table that could be read.
    EndpointsOfPod(Name, Name, Name),
    CalicoNode(Name),
    /// Pools, reservations and the settings: few and small, read again together.
    Settings,
    /// Namespace and name.
    Pod(Name, Name),
    KubeNode(Name),
    /// Namespace and name.
    Service(Name, Name),
    /// All of them: nothing says which one it would be.
    Services,
}

/// One thing that a claim rests on: what to read again, and what must not have changed meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rest {
    pub look: Look,
    /// A number made of the thing's name and the tuple, mod revision or UID that the claim depends on; 0 when only the
    /// fact itself (true again or not) counts, as for what is absent. Stable across runs; 128 bits, since equal stamps
    /// are taken for the same thing.
    pub stamp: u128,
}

/// The finding that explains another one.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize)]
pub struct Root {
    /// The code of its check.
    pub code: Code,
    /// Its subject, as [`Subject::id`].
    pub id: Foreign,
}

/// Since when a finding is known; made by the history, or for a lone audit by its own time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Life {
    /// Judged time of the first audit of this episode that saw it.
    pub first_seen: Time,
    /// Judged time of the last one.
    pub last_seen: Time,
    /// In how many audits of this episode it was seen; from 1.
    pub audits_seen: u64,
    /// 1 for the first time, 2 after it was gone and came back, …
    pub episode: u64,
}

/// What is asked of every finding: what it is, how bad it is, where it belongs, since when it is known.
#[derive(Clone, Debug)]
pub struct Gist {
    pub code: Code,
    /// As its check says, or better or worse where the manual says so.
    pub severity: Severity,
    pub state: State,
    /// How bad it is if it holds, where nobody looked again; `None`: confirmed.
    pub suspected: Option<Severity>,
    /// Whether following the advice or a command makes CNI's ADD or DEL run.
    pub restarts_pods: bool,
    pub subject: Subject,
    /// The finding under which it is folded; `None`: it stands for itself.
    pub root: Option<Root>,
    /// Node (Kubernetes' name where known), namespace and pool that it belongs to, for narrowing and grouping.
    pub node: Option<Foreign>,
    /// The namespace that it belongs to; `None`: to none.
    pub namespace: Option<Foreign>,
    /// The pool that it belongs to, by name; `None`: to none.
    pub pool: Option<Foreign>,
    /// The moment from which the evidence itself dates it (an allocation's timestamp), if any.
    pub since: Option<Time>,
    /// Since when it is known; `None` before the history was asked, and without one.
    pub life: Option<Life>,
}

impl Gist {
    /// How bad it is, if it holds: what nobody looked at again may be as bad as it looks.
    pub fn gravity(&self) -> Severity {
        self.suspected.unwrap_or(self.severity)
    }

    /// Where it is.
    pub fn placed(&self) -> Placed<'_> {
        Placed {
            node: self.node.as_ref(),
            namespace: self.namespace.as_ref(),
            pool: self.pool.as_ref(),
            subject: (self.subject.kind.word(), &self.subject.id),
        }
    }
}

/// One finding, with all that it tells.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Reached as if it were the finding's own.
    pub gist: Gist,
    /// One line for people: what is so, without code and subject.
    pub summary: Foreign,
    /// One line for people: what to do about it; empty when there is nothing to do at once.
    pub advice: Foreign,
    /// Commands that can be pasted, most important first.
    pub next: Vec<Foreign>,
    /// What it rests on, for programs: the fields of its code in `docs/output.md`.
    pub evidence: Evidence,
    /// What a second look reads again: all that the claim rests on, present or absent.
    pub rests: Vec<Rest>,
}

impl Deref for Finding {
    type Target = Gist;

    fn deref(&self) -> &Gist {
        &self.gist
    }
}

impl DerefMut for Finding {
    fn deref_mut(&mut self) -> &mut Gist {
        &mut self.gist
    }
}

impl Finding {
    /// A confirmed finding without evidence yet.
    pub fn new(code: Code, severity: Severity, subject: Subject, summary: impl Into<Foreign>) -> Finding {
        let gist = Gist {
            code,
            severity,
            state: State::Confirmed,
            suspected: None,
            restarts_pods: false,
            subject,
            root: None,
            node: None,
            namespace: None,
            pool: None,
            since: None,
            life: None,
        };
        Finding {
            gist,
            summary: summary.into(),
            advice: Foreign::default(),
            next: Vec::new(),
            evidence: Evidence::new(),
            rests: Vec::new(),
        }
    }

    /// A number that is equal in two audits when everything that the claim rests on is unchanged.
    pub fn stamp(&self) -> u128 {
        // In no order: a check may meet the same things in another one.
        let mut stamps: Vec<u128> = self.rests.iter().map(|rest| rest.stamp).filter(|stamp| *stamp != 0).collect();
        stamps.sort_unstable();
        stamps.dedup();
        let parts = Parts::new().number(self.code.0);
        stamps.into_iter().fold(parts, Parts::wide).hash128()
    }
}

#[cfg(test)]
pub(crate) mod tests;
