//! What others must know of a check: whose things it judges, what explains it, what its findings prove and show.

use super::Causes;
use crate::model::word::words;
use crate::model::{Code, Finding, Foreign, Needs, Root};

/// Whose things a check judges. A datastore may be several clusters'; whose a node is, Calico's Nodes and Kubernetes'
/// say together.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Judges {
    /// Whoever owns it.
    Anybodys,
    /// Not what is known to be another cluster's.
    Ours,
    /// Only what belongs to nodes of ours, though these are not among its needs: where nobody is known to be ours,
    /// silence would look like health.
    OnlyOurs,
    /// Whether this cluster and this datastore belong together at all: what any other check takes for granted.
    Pairing,
}

/// What becomes of it when nobody does anything; from harmless to bad. Of two that are as severe the worse one is told
/// first: a machine that cannot start before addresses that nobody uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Harm {
    /// Something stays behind, or is lost: a leak, a stale object.
    Waste,
    /// Everything works until the next assignment, release or restart.
    Threat,
    /// Something cannot start, is not reached, or runs without what it needs: now.
    Outage,
}

words!(Harm { Waste = "waste", Threat = "threat", Outage = "outage" });

/// What others must know of a check.
#[derive(Clone, Copy, Debug)]
pub struct Ties {
    /// Whose things it judges.
    pub judges: Judges,
    /// What its findings do to the cluster.
    pub harm: Harm,
    /// Inputs that it looks at when it has them, beside its needs and whose a node is.
    pub also: Needs,
    /// The finding under which one of this check is folded; `None`: each stands for itself.
    pub explained_by: Option<fn(&Finding, &Causes<'_>) -> Option<Root>>,
    /// Whether a confirmed finding about an address proves that this is leaked.
    pub proves_leak: bool,
    /// Whose addresses those leaks are, in many: `pods`; empty of what proves none.
    pub leak_of: &'static str,
    /// Whether all that it finds can be released at once: `release --code`.
    pub releasable: bool,
    /// What several of its findings are called behind their number, as `leaked addresses`; empty: by their subjects and
    /// the check's name.
    pub many: &'static str,
    /// The field in which the `endpoints` of its evidence differ, where it is a clash between these: it is over as soon as those
    /// that are left agree. Empty of all else.
    pub between: &'static str,
    /// Which of its findings comes first, where one is worse than another: the least number. Equal ones stand in their
    /// order; `None`: all are equal.
    pub urgency: Option<fn(&Finding) -> u64>,
    /// What it explains of the same subject, where that is milder: of two that tell one thing the worse one tells it.
    pub explains: &'static [Code],
    /// What one of it is called in a sentence before its subject, where its name is none for it; else empty.
    pub one: &'static str,
    /// What of the evidence is shown beside summary, advice, and what every check may tell (`keep`, `restart`).
    pub shows: fn(&Finding) -> Shown,
}

impl Ties {
    /// It judges what is ours; nothing else is tied to it.
    pub const OURS: Ties = Ties { judges: Judges::Ours, ..Ties::ANYBODYS };

    /// It judges whoever owns a thing; nothing else is tied to it.
    pub const ANYBODYS: Ties = Ties {
        judges: Judges::Anybodys,
        harm: Harm::Waste,
        also: Needs::NONE,
        explained_by: None,
        proves_leak: false,
        leak_of: "",
        releasable: false,
        many: "",
        one: "",
        explains: &[],
        between: "",
        urgency: None,
        shows: |_| Shown::default(),
    };
}

/// What a finding shows of its evidence.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Shown {
    /// Goes right behind the summary.
    pub behind: Foreign,
    /// Lines below it.
    pub lines: Vec<Foreign>,
    /// The node that it belongs to is one of several: naming it would mislead.
    pub on_many_nodes: bool,
}
