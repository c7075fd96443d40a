//! Why something may not be done, as values: the ten rules, and each reason that a rule can give. Every sentence that
//! people read of one of them stands in one table, `render/release/words.rs`; of many, in `reasons.rs` beside it.

use std::time::Duration;

use super::circumstances::{
    Fork, HolderNow, Lacking, Nameless, NodeDoubt, PodChange, PodDoubt, Recurring, Special, Surge,
};
use crate::model::{Addr, Cidr, ClockPair, Code, Comeback, EtcdAlarm, Foreign, Input, InputState, MachineNow, Time};

/// The ten rules of a release, as in docs/release.md. The first and the last refuse nothing: without a yes nothing is
/// asked, and what is beyond `--max` waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Rule {
    Dry = 1,
    Gates,
    Proof,
    Age,
    Again,
    Whole,
    Never,
    Transaction,
    Recorded,
    Many,
}

impl Rule {
    /// 1 to 10; never changes.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// The subject of a refusal that concerns the whole run.
pub const RUN: &str = "run";

/// What may not be done, and why.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Refusal {
    /// What is refused: a handle's id, an address, or [`RUN`] for all of it.
    pub subject: Foreign,
    pub objection: Objection,
    /// The handle that was asked for, when the subject is one of its addresses.
    pub of_handle: Option<Foreign>,
}

impl Refusal {
    /// Of a handle or an address.
    pub fn new(subject: impl Into<Foreign>, objection: Objection) -> Refusal {
        Refusal { subject: subject.into(), objection, of_handle: None }
    }

    /// One that concerns the whole run.
    pub fn of_run(objection: Objection) -> Refusal {
        Refusal::new(RUN, objection)
    }

    /// The rule that refuses.
    pub const fn rule(&self) -> Rule {
        self.objection.rule()
    }
}

/// Everything that can be said against a release or an undo. Names, keys and `why`, somebody else's sentence, are foreign text.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Objection {
    // ---- rule 2 ----
    Alarm(EtcdAlarm),
    /// API server and datastore do not provably belong together.
    Unpaired(Foreign),
    NodesUnread,
    Nameless(Nameless),
    Forked(Fork),
    /// With its detail, which may be empty.
    InputMissing(Input, InputState, Foreign),
    /// The first key that does not decode, and how many more there are.
    Undecoded(Foreign, usize),
    /// The first block with an allocation that leads nowhere, and how many more there are.
    LeadsNowhere(Foreign, usize),
    ClockBehind {
        ours: Time,
        last_audit: Time,
    },
    /// More than `most` apart.
    ClocksApart {
        pair: ClockPair,
        most: Duration,
    },
    ClockUntold,
    Locked,
    /// Nothing to compare leaks with.
    NoEarlierAudit,
    Surge(Surge),
    /// Locked between the plan and its bytes.
    LockedMeanwhile,
    /// A plan from a file was made for another datastore, cluster or revision: for which, and which is here.
    PlanOfAnother(Foreign),
    /// `IPAMConfig` does not decode.
    SettingsUndecoded(Foreign),
    HandleUndecoded(Foreign),
    BlockUndecoded(Cidr, Foreign),
    /// Undo: the release was in another datastore or for another cluster.
    OtherPair,
    ForkedSince(Fork),
    // ---- rule 3 ----
    Unproven,
    Held(HolderNow),
    /// Evidence of its node was asked for and does not count, or not in all; why.
    Unseen(Foreign, Foreign),
    /// An endpoint whose pod is not proven gone.
    EndpointHas(Foreign),
    /// A stale endpoint on a node of which nobody knows enough.
    EndpointOn {
        endpoint: Foreign,
        node: Foreign,
        doubt: NodeDoubt,
    },
    Node(Foreign, NodeDoubt),
    NotOrphaned,
    /// Another block, under this key, names the handle too.
    Shadowed(Foreign),
    /// Undo: somebody has the address now.
    HeldNow(Addr, HolderNow),
    // ---- rule 4 ----
    TooYoung(Lacking),
    /// The same where `--skip-age` does not help.
    TooYoungInAnyCase(Lacking),
    /// No audit counts this.
    Unwatched,
    /// Nobody has looked yet; where the history would be, when there is no file.
    NoHistory(Option<Foreign>),
    // ---- rule 5 ----
    PodChanged(PodChange),
    NotReadAgain(PodDoubt),
    /// The last look, right before the write.
    FilesAgain,
    PodUnanswered(Foreign, Foreign),
    PodGone(Foreign),
    PodOther(Foreign),
    NodeUnanswered(Foreign, Foreign),
    NodeOther(Foreign),
    // ---- rule 6 ----
    NotAll {
        failing: usize,
        all: usize,
    },
    NoWayBack(Cidr, Obstacle),
    // ---- rule 7 ----
    Special(Special),
    IdComesAgain(Recurring),
    OneAtATime,
    /// A release does not take what this code finds; the finding's advice, and the commands that repair it.
    ByHand {
        code: Code,
        advice: Foreign,
        /// Nodes that must have no sandbox left, what Kubernetes says of the machine, and the command that tells there.
        sandboxes: Vec<(Foreign, MachineNow, Foreign)>,
        /// Those that write, else those that show what to do.
        commands: Vec<Foreign>,
        /// Releases all leaks among them at once; of several things the first has it.
        bulk: Option<Foreign>,
    },
    // ---- rule 8 ----
    /// The bytes cannot be edited, or no transaction can be made of them; the block, where it is one's.
    Uneditable(Option<Cidr>, Foreign),
    // ---- rule 9 ----
    /// A key of a plan from a file.
    Drifted(Drift),
    ChangedHands(Hands),
    /// A handle that names more and more blocks, the more are read.
    MoreBlocks,
    /// Somebody else was faster, so many times.
    WrittenOver(usize),
    /// Undo: of the release itself.
    UnderWay,
    OutcomeUnknown,
    Undone,
    NothingBack(NothingBack),
}

impl Objection {
    /// What audits lack, where that is all (rule 4).
    pub const fn lacking(&self) -> Option<Lacking> {
        match self {
            Objection::TooYoung(lacking) | Objection::TooYoungInAnyCase(lacking) => Some(*lacking),
            _ => None,
        }
    }

    /// The rule that it falls under.
    pub const fn rule(&self) -> Rule {
        use Objection as O;
        match self {
            O::Alarm(_) | O::Unpaired(_) | O::NodesUnread | O::Nameless(_) | O::Forked(_) => Rule::Gates,
            O::InputMissing(..) | O::Undecoded(..) | O::LeadsNowhere(..) => Rule::Gates,
            O::ClockBehind { .. } | O::ClocksApart { .. } | O::ClockUntold | O::Locked => Rule::Gates,
            O::NoEarlierAudit | O::Surge(_) | O::LockedMeanwhile | O::SettingsUndecoded(_) => Rule::Gates,
            O::HandleUndecoded(_) | O::BlockUndecoded(..) | O::OtherPair | O::ForkedSince(_) => Rule::Gates,
            O::PlanOfAnother(_) => Rule::Gates,
            O::Unproven | O::Held(_) | O::Unseen(..) | O::EndpointHas(_) | O::EndpointOn { .. } | O::Node(..) => {
                Rule::Proof
            }
            O::NotOrphaned | O::Shadowed(_) | O::HeldNow(..) => Rule::Proof,
            O::TooYoung(_) | O::TooYoungInAnyCase(_) | O::Unwatched | O::NoHistory(_) => Rule::Age,
            O::PodChanged(_) | O::NotReadAgain(_) | O::FilesAgain | O::PodUnanswered(..) => Rule::Again,
            O::PodGone(_) | O::PodOther(_) | O::NodeUnanswered(..) | O::NodeOther(_) => Rule::Again,
            O::NotAll { .. } | O::NoWayBack(..) => Rule::Whole,
            O::Special(_) | O::IdComesAgain(_) | O::OneAtATime | O::ByHand { .. } => Rule::Never,
            O::Uneditable(..) => Rule::Transaction,
            O::ChangedHands(_) | O::MoreBlocks | O::WrittenOver(_) | O::UnderWay => Rule::Recorded,
            O::OutcomeUnknown | O::Undone | O::NothingBack(_) | O::Drifted(_) => Rule::Recorded,
        }
    }

    /// Whether Kubernetes gave no answer at all: the next step would wait as long for the same.
    pub const fn is_unanswered(&self) -> bool {
        matches!(self, Objection::PodUnanswered(..) | Objection::NodeUnanswered(..))
    }
}

/// What is not the same thing any more.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Hands {
    BlockGone(Cidr),
    /// The address belongs to another allocation.
    OtherAllocation(Addr),
    /// The handle has another address of the block.
    MoreOfHandle(Cidr),
    /// The endpoint or handle of this name was written.
    Written(Foreign),
    /// A block has an address of an orphaned handle.
    TakenUp(Cidr),
}

/// How a key is not as it was when the plan was made that a file holds. Mod revisions.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Drift {
    Gone,
    Appeared(i64),
    Written {
        then: i64,
        now: i64,
    },
    /// The plan does not treat it so, and one that is made now would.
    More,
    /// The plan treats it so, and one that is made now would not.
    Less,
}

/// Why a deleted block cannot come back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Obstacle {
    NoPool,
    Overlapped,
    Claimed,
}

/// Why a release leaves nothing to be put back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum NothingBack {
    WroteNothing,
    /// Orphaned handles alone.
    NoAddress,
    /// The block as it was recorded cannot be read.
    Unreadable(Cidr, Foreign),
}

/// What the operator would have to say for one address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ByWord {
    pub address: Addr,
    /// Audits watch how old it is; else that is the operator's word too.
    pub is_watched: bool,
    /// They have not seen it long enough.
    pub waits: bool,
    /// Nodes that were said to be off.
    pub said_off: Vec<Foreign>,
    /// Nodes of which it would have to be said.
    pub doubtful: Vec<Foreign>,
}

/// What is said beside a plan: it stops nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    NoSuchHandle(Foreign),
    NotAllocated(Addr),
    /// A handle or an address that the release of this number gave back.
    GivenBack(Foreign, i64),
    /// So many of a code are younger than `--older-than` (the last one), and the oldest of them is known for so long.
    TooNew(Code, usize, Duration, Duration),
    /// A special address that the operator's words let go.
    AddressByWord(ByWord),
    /// An orphaned handle that comes again, likewise; its id, and whether audits must have seen it longer.
    OrphanByWord {
        id: Foreign,
        waits: bool,
    },
    /// So many more go by the operator's word, one at a time.
    MoreByWord(usize),
    /// `--code IPA201` leaves out so many whose id comes again; the first one's id.
    LeftOut(usize, Foreign),
    /// `--node-is-off` of a name that fits no node.
    NoSuchNode(Foreign),
    /// All handles of a batch are gone or changed hands; its name.
    AllGone(Foreign),
    /// Undo: the pod (namespace, name) that holds the address now is the one to restart, and what becomes of it then.
    Restart(Addr, Foreign, Foreign, Comeback),
    /// A plan from a file: when it was made, and the flags that its maker answered for.
    MadeBefore(Foreign, Vec<Foreign>),
    /// A plan from a file was carried out already, by the release of this number.
    CarriedOut(i64),
    /// Where the history would be.
    NoHistoryAt(Foreign),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_those_of_the_manual() {
        let manual = include_str!("../../docs/release.md");
        let all = [
            (Rule::Dry, "Dry by default"),
            (Rule::Gates, "Gates for the whole run"),
            (Rule::Proof, "Proof"),
            (Rule::Age, "Age"),
            (Rule::Again, "Read again right now"),
            (Rule::Whole, "All or none"),
            (Rule::Never, "Never automatically"),
            (Rule::Transaction, "One etcd transaction a handle"),
            (Rule::Recorded, "Recorded"),
            (Rule::Many, "Many at once"),
        ];
        for ((rule, word), number) in all.into_iter().zip(1..) {
            assert_eq!(rule.number(), number);
            let heading = format!("\n{number}. **{word}");
            assert!(manual.contains(&heading), "{heading}");
        }
    }
}
