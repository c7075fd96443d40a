//! The rows of the history: one type a thing, made by an audit, written, and read back for reports and dossiers.
//!
//! When something was so stands beside its row ([`Interval`], [`Episode`]): a row that is about to be written does not
//! have it yet. What an audit is compared with are no rows but lean tables ([`super::past`]), since an audit of a big
//! cluster holds hundreds of thousands of entries of them.

use serde::Serialize;

use super::touch::Placed;
use super::word::{Term, words};
use super::{Addr, Cidr, Code, Foreign, HandleId, Names, Root, Severity, State, SubjectKind, Time};

/// An audit at which something was seen, or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuditAt {
    /// Its number in the history, from 1.
    pub audit: i64,
    /// Judged time of it.
    pub at: Time,
}

/// When something was so, with both uncertain ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifespan {
    /// The last audit before that did not see it; `None`: there was none.
    pub not_seen_before: Option<AuditAt>,
    pub first_seen: AuditAt,
    /// The last audit that saw it; of an open one the last audit that could have missed it.
    pub last_seen: AuditAt,
    /// The first audit after that did not see it; `None`: it is still so.
    pub not_seen_after: Option<AuditAt>,
}

impl Lifespan {
    /// Whether it is so by the last audit that could have missed it.
    pub const fn is_open(&self) -> bool {
        self.not_seen_after.is_none()
    }

    /// Whether it was so at `at`: `None` when `at` lies in an uncertain end.
    pub fn at(&self, at: Time) -> Option<bool> {
        if self.first_seen.at <= at && (at <= self.last_seen.at || self.is_open()) {
            return Some(true);
        }
        let before = self.first_seen.at > at && self.not_seen_before.is_some_and(|b| at <= b.at);
        let after = self.not_seen_after.is_some_and(|a| at >= a.at);
        if before || after { Some(false) } else { None }
    }
}

/// A row of the history, and when it was so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interval<T> {
    pub row: T,
    pub span: Lifespan,
}

/// What is told of a finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FindingRow {
    pub code: Code,
    pub kind: Term<SubjectKind>,
    /// As [`super::Subject::id`].
    pub subject: Foreign,
    pub severity: Severity,
    pub state: Term<State>,
    /// One line for people.
    pub summary: Foreign,
    /// The finding that explains it.
    pub root: Option<Root>,
    pub node: Option<Foreign>,
    pub namespace: Option<Foreign>,
    pub pool: Option<Foreign>,
}

impl FindingRow {
    /// Where it is.
    pub fn placed(&self) -> Placed<'_> {
        Placed {
            node: self.node.as_ref(),
            namespace: self.namespace.as_ref(),
            pool: self.pool.as_ref(),
            subject: (self.kind.raw(), &self.subject),
        }
    }

    /// Whether it is of a handle whose id comes again (a tunnel's, a machine's): a release of many takes none of these.
    pub fn is_of_recurring_handle(&self) -> bool {
        let mut names = Names::default();
        let id = HandleId::intern(&mut names, self.subject.raw());
        self.kind == Term::Known(SubjectKind::Handle) && id.is_none_or(|id| id.comes_again(&names))
    }

    /// Whether the two are told in one group: of one code, and as bad.
    pub fn is_told_with(&self, other: &FindingRow) -> bool {
        (self.severity, self.code) == (other.severity, other.code)
    }

    /// What it is about, for a sentence: the 32 digits of a datastore's name break every line, and nobody reads them.
    pub fn short_subject(&self) -> Foreign {
        match self.kind.known() {
            Some(super::SubjectKind::Cluster) => self.subject.short(12),
            _ => self.subject.clone(),
        }
    }
}

/// A finding from an audit that saw it to the one that did not see it any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Episode {
    /// Its row.
    pub id: i64,
    pub finding: FindingRow,
    /// 1; 2 when it came back, …
    pub number: u64,
    pub opened: AuditAt,
    pub last_seen: AuditAt,
    /// Audits that saw it in this episode; 1 at least.
    pub audits_seen: u64,
    /// The first audit that did not see it any more.
    pub ended: Option<AuditAt>,
    pub ending: Ending,
}

/// How an episode stands or ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ending {
    /// The last audit saw it.
    Open,
    /// The last audit could not look: an input was missing. It is not closed.
    InputMissing,
    /// It went by itself.
    Resolved,
    /// A release of ours ended it: its number.
    Released(Option<i64>),
    /// Another version of ipaudit, or another scope, judges otherwise: nobody can say that the cluster changed.
    RuleChanged,
    /// In the word of another version.
    Other(Foreign),
}

impl Ending {
    /// The word in JSON, and of what has ended in the history; never changes, and is never to be shown as it is.
    pub fn raw(&self) -> &str {
        match self {
            Ending::Open => "open",
            Ending::InputMissing => "input missing",
            Ending::Resolved => "resolved",
            Ending::Released(_) => "released",
            Ending::RuleChanged => "rule changed",
            Ending::Other(word) => word.raw(),
        }
    }

    /// The same for outputs.
    pub fn word(&self) -> Foreign {
        self.raw().into()
    }

    /// What a word of the history says of what has ended; `release`: by which.
    pub fn of(word: &str, release: Option<i64>) -> Ending {
        let known = [Ending::Resolved, Ending::Released(release), Ending::RuleChanged];
        known.into_iter().find(|ending| ending.raw() == word).unwrap_or_else(|| Ending::Other(word.into()))
    }
}

/// Who has an address by IPAM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AllocationRow {
    pub address: Addr,
    pub block: Cidr,
    /// These name it through time, with the address: [`super::AllocationTuple`].
    pub block_create_revision: i64,
    pub sequence: Option<u64>,
    pub handle: Option<Foreign>,
    pub used_for: Term<Use>,
    /// Calico's name.
    pub node: Option<Foreign>,
    pub namespace: Option<Foreign>,
    /// Pod or service.
    pub pod: Option<Foreign>,
    /// The CNI host's clock at the allocation.
    pub allocated: Option<Time>,
    /// JSON: what else the owner attributes say.
    pub more: Option<Foreign>,
    /// Of one that has ended: how often its block was written between the two audits around the end; the address
    /// changed hands at most so often. `None`: unknown.
    pub changes: Option<u64>,
}

impl AllocationRow {
    /// `namespace/name` of pod or service.
    pub fn owner(&self) -> Option<Foreign> {
        Some(format!("{}/{}", self.namespace.as_ref()?.raw(), self.pod.as_ref()?.raw()).into())
    }
}

/// What an allocation is for, by its attribute and handle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Released and cooling down: neither in use, nor leaked, nor free.
    Cooling,
    /// Reserved for Windows: never a leak.
    Windows,
    /// Kept back with a note, by an operator's own reservation: never a leak either.
    Reserved,
    Tunnel,
    LoadBalancer,
    /// A KubeVirt machine's, which keeps it while it is stopped.
    Vm,
    /// Names an owner pod.
    Pod,
    /// Of a type that we do not know: never touched.
    Unknown,
    /// Names no owner.
    Unattributed,
    /// Its attribute is missing (a broken block, IPA301).
    Broken,
}

words!(Use {
    Cooling = "cooling",
    Windows = "windows",
    Reserved = "reserved",
    Tunnel = "tunnel",
    LoadBalancer = "load-balancer",
    Vm = "vm",
    Pod = "pod",
    Unknown = "unknown",
    Unattributed = "unattributed",
    Broken = "broken",
});

/// How sure a claim on an address is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Grade {
    /// No holder: a stale endpoint, the tunnel of a departed node.
    Stale,
    /// Protects, never accuses.
    Possible,
    /// Holds the address now.
    Certain,
}

words!(Grade { Stale = "stale", Possible = "possible", Certain = "certain" });

/// Which pod has an address by its own status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodRow {
    pub address: Addr,
    /// As Kubernetes writes it.
    pub uid: Foreign,
    pub namespace: Foreign,
    pub pod: Foreign,
    /// Kubernetes' name.
    pub node: Foreign,
    /// How surely it had the address.
    pub grade: Term<Grade>,
}

impl PodRow {
    /// `namespace/name`.
    pub fn id(&self) -> Foreign {
        format!("{}/{}", self.namespace.raw(), self.pod.raw()).into()
    }
}

/// How a node is: equal rows are one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeRow {
    /// Its names there; `None` where it is unknown.
    pub calico: Option<Foreign>,
    pub kubernetes: Option<Foreign>,
    /// Of the Kubernetes cluster that the audit looked at.
    pub ours: bool,
    /// Kubernetes knows it.
    pub present: bool,
    /// Another one after each start of the machine; `None`: not told.
    pub boot_id: Option<Foreign>,
    /// `None`: it does not say.
    pub ready: Option<bool>,
    /// Separated by blanks.
    pub addresses: Foreign,
}

impl NodeRow {
    /// Calico's name, or Kubernetes' where Calico has none.
    pub fn name(&self) -> Option<&Foreign> {
        self.calico.as_ref().or(self.kubernetes.as_ref())
    }
}

/// A node's bootID changed between two audits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reboot {
    /// Kubernetes' name where known.
    pub node: Foreign,
    /// The last audit with the old bootID.
    pub before: AuditAt,
    /// The first one with the new bootID.
    pub after: AuditAt,
}

/// Between two audits etcd went back to an older state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restore {
    /// The last audit of what was before.
    pub before: AuditAt,
    /// The first one of what came after.
    pub after: AuditAt,
    /// etcd's revision in these two.
    pub revisions: (i64, i64),
}

/// A block as it is now.
#[derive(Clone, Copy, Debug)]
pub struct BlockRow {
    pub cidr: Cidr,
    /// etcd's revision at which its key was made.
    pub create_revision: i64,
    /// Writes of its key since then.
    pub version: i64,
    /// `sequenceNumber`; `None`: the block has none.
    pub sequence: Option<u64>,
}

/// How full a pool is from an audit on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CapacityRow {
    /// By name.
    pub pool: Foreign,
    /// Its range as it is written.
    pub cidr: Foreign,
    pub numbers: PoolNumbers,
    /// The pool is no more.
    pub gone: bool,
}

/// What a pool holds, counted as the ledger's `PoolUsage` counts. Numbers of addresses end at 2^63 - 1. The fields' names
/// are those of the JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct PoolNumbers {
    /// All of its range.
    pub addresses: i64,
    /// Addresses with an allocation, cooling ones left out.
    pub allocated: i64,
    /// Allocated, and somebody holds it.
    pub in_use: i64,
    /// Allocated and proven leaked.
    pub leaked: i64,
    /// Released, not yet free.
    pub cooling: i64,
    /// In an IPReservation and not taken.
    pub reserved: i64,
    /// What automatic assignment can still hand out.
    pub free: i64,
    /// Blocks that lie in it.
    pub blocks: i64,
    /// Blocks that could still be made.
    pub free_blocks: i64,
}

impl PoolNumbers {
    /// What is free of `whole` addresses: more than fits here is what the others leave.
    pub fn free_of(&self, whole: u128) -> u128 {
        let known = |number: i64| u128::try_from(number).unwrap_or(0);
        let taken = [self.allocated, self.cooling, self.reserved].map(known).iter().sum();
        if self.free == i64::MAX { whole.saturating_sub(taken) } else { known(self.free) }
    }
}

/// An audit that saw nothing of the datastore.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailedAudit {
    /// The moment by which it would have judged.
    pub at: Time,
    /// By the clock of the machine.
    pub started: Time,
    /// Version of ipaudit.
    pub tool: Foreign,
    /// What could not be done, where, and the cause.
    pub why: Foreign,
}

/// Whose the nodes of the datastore are, as an audit judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sharing {
    Exclusive,
    Shared,
    #[default]
    Unknown,
}

words!(Sharing { Exclusive = "exclusive", Shared = "shared", Unknown = "unknown" });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn between_two_audits_nobody_can_say() {
        let seen = |at| AuditAt { audit: at, at: Time(at) };
        let span = Lifespan {
            not_seen_before: Some(seen(1)),
            first_seen: seen(5),
            last_seen: seen(9),
            not_seen_after: Some(seen(12)),
        };
        let says: Vec<_> = [1, 3, 5, 9, 10, 12].map(|t| span.at(Time(t))).to_vec();
        assert_eq!(says, [Some(false), None, Some(true), Some(true), None, Some(false)]);
        let open = Lifespan { not_seen_before: None, not_seen_after: None, ..span };
        assert_eq!((open.at(Time(1)), open.at(Time(99))), (None, Some(true)));
    }

    #[test]
    fn an_ending_is_its_word() {
        for ending in [Ending::Resolved, Ending::Released(Some(7)), Ending::RuleChanged] {
            assert_eq!(Ending::of(ending.raw(), Some(7)), ending);
        }
        assert_eq!(Ending::of("forgiven", None), Ending::Other("forgiven".into()));
        assert_eq!(Ending::of("gone\r", None).word().shown(), "gone\\r", "a file's word is foreign text");
        assert_eq!(Ending::of("open", None), Ending::Other("open".into()), "what has ended is not open");
    }
}
