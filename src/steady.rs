//! Which findings stand: what was true at one revision only is not a finding.
//!
//! Kubelet, CNI and etcd need moments. A finding of a steady check counts when an audit at least the settle
//! time ago recorded the same stamp, or when a second look, after the settle time, finds it again with the same
//! stamp. Here is decided what must be looked at again and what stands; the looking is done at the edge.

pub mod look;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::checks::{self, Check, Outcome, Stamps};
use crate::model::{Code, KeptFinding, Past, Time};

pub use look::{Again, SecondLook};

/// Who decides what stands: the history, and how long a thing must have been so.
#[derive(Clone, Copy, Debug)]
pub struct Settling<'a> {
    /// `None` without a history: then every steady finding is a suspect.
    pub past: Option<&'a Past>,
    /// Judged time of this audit.
    pub now: Time,
    /// `--settle`.
    pub settle: Duration,
}

impl Settling<'_> {
    /// Whether a finding must be seen to hold twice, and no earlier audit has recorded the very same long enough ago.
    fn is_suspect(&self, finding: &KeptFinding) -> bool {
        let steady = checks::find(finding.code).is_some_and(checks::Check::is_steady);
        let known = self.past.and_then(|p| p.open.of(finding));
        let stands =
            known.is_some_and(|k| k.stamp == Some(finding.stamp()) && self.now.since(k.stamp_since) >= self.settle);
        steady && !stands
    }

    /// Whether any finding still has to be confirmed.
    pub fn has_suspects(&self, outcome: &Outcome) -> bool {
        outcome.findings.iter().any(|f| self.is_suspect(f))
    }

    /// What must be looked at again before the findings may be told: the evidence of every suspect.
    pub fn second_look(&self, outcome: &Outcome) -> SecondLook {
        let mut again = SecondLook::default();
        let suspects = outcome.findings.iter().filter(|f| self.is_suspect(f));
        suspects.flat_map(|f| f.open().rests).for_each(|rest| again.add(rest.look));
        again
    }

    /// The checks that have a suspect: no other one has to run again.
    pub fn checks(&self, outcome: &Outcome) -> Vec<&'static Check> {
        let codes: BTreeSet<Code> = outcome.findings.iter().filter(|f| self.is_suspect(f)).map(|f| f.code).collect();
        codes.into_iter().filter_map(checks::find).collect()
    }

    /// What stands after the second look: a suspect stays when it was found again with the same stamp.
    pub fn confirm(&self, mut first: Outcome, second: &Stamps) -> Outcome {
        first.findings.retain(|f| !self.is_suspect(f) || second.confirm(f));
        checks::refold(&mut first.findings);
        first
    }

    /// What may be told when nobody could look again: every suspect as a note that says so.
    pub fn unconfirmed(&self, mut outcome: Outcome) -> Outcome {
        for finding in outcome.findings.iter_mut().filter(|f| self.is_suspect(f)) {
            finding.suspect();
        }
        checks::refold(&mut outcome.findings);
        outcome
    }
}

#[cfg(test)]
mod heals;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::addresses::leaked_address;
    use crate::checks::testing::{Cluster, cidr};
    use crate::checks::{World, run_these, stamps_of};
    use crate::ledger::Ledger;
    use crate::model::{PastFinding, Severity, State, SubjectKind};

    const SETTLE: Duration = Duration::from_secs(20);

    fn settling(past: Option<&Past>) -> Settling<'_> {
        Settling { past, now: leaking().snapshot.now, settle: SETTLE }
    }

    fn outcome(cluster: &mut Cluster) -> Outcome {
        let snapshot = cluster.snapshot();
        let ledger = Ledger::build(&snapshot, cluster.scope, None);
        run_these(&World { snapshot: &snapshot, ledger: &ledger, past: None }, &[&leaked_address::CHECK])
    }

    fn again(cluster: &mut Cluster) -> Stamps {
        let snapshot = cluster.snapshot();
        let ledger = Ledger::build(&snapshot, cluster.scope, None);
        stamps_of(&World { snapshot: &snapshot, ledger: &ledger, past: None }, &[&leaked_address::CHECK])
    }

    fn leaking() -> Cluster {
        let mut cluster = Cluster::healthy();
        cluster.remove_pod("web-0");
        cluster
    }

    #[test]
    fn the_evidence_is_read_again_the_absent_pod_too() {
        let mut cluster = leaking();
        let look = settling(None).second_look(&outcome(&mut cluster));
        let pod = (cluster.name("shop"), cluster.name("web-0"));
        assert_eq!(look.pods, Again::These([pod].into()));
        assert_eq!(look.blocks, Again::These([cidr("10.65.0.0/26")].into()));
        assert!(look.whole_inputs().is_empty());
    }

    #[test]
    fn only_what_holds_twice_with_the_same_tuple_stands() {
        let first = outcome(&mut leaking());
        assert_eq!(settling(None).confirm(first.clone(), &again(&mut leaking())).findings.len(), 1);
        assert!(settling(None).confirm(first.clone(), &again(&mut Cluster::healthy())).findings.is_empty());
        // The address changed hands between the looks: leaked both times, but not the same leak.
        let mut other = leaking();
        other.block_mut("10.65.0.0/26").allocation_sequences[1].1 += 1;
        assert!(settling(None).confirm(first, &again(&mut other)).findings.is_empty());
    }

    /// One code may speak of things of several kinds under one name.
    #[test]
    fn another_kind_of_the_same_name_confirms_nothing() {
        let first = outcome(&mut leaking());
        let mut second = first.clone();
        let mut other = second.findings[0].open();
        other.subject.kind = SubjectKind::Handle;
        second.findings[0] = other.into();
        assert!(settling(None).confirm(first, &second.findings.iter().collect()).findings.is_empty());
    }

    #[test]
    fn a_busy_block_does_not_disturb_a_leak() {
        let mut busy = leaking();
        busy.block_mut("10.65.0.0/26").meta.mod_revision += 10;
        assert_eq!(settling(None).confirm(outcome(&mut leaking()), &again(&mut busy)).findings.len(), 1);
    }

    #[test]
    fn an_earlier_audit_confirms_when_it_is_old_enough() {
        let first = outcome(&mut leaking());
        let now = leaking().snapshot.now;
        let known = |since| PastFinding::seen_once(now, first.findings[0].stamp(), since);
        let past = |since| Past {
            open: [(Code(110), SubjectKind::Address, "10.65.0.1", known(since))].into_iter().collect(),
            ..Past::default()
        };
        let old = past(now.minus(SETTLE));
        assert_eq!(settling(Some(&old)).second_look(&first), SecondLook::default());
        let young = past(now.minus(Duration::from_secs(19)));
        assert_ne!(settling(Some(&young)).second_look(&first), SecondLook::default());
    }

    /// The usual run of a CronJob: what the audit before recorded is settled, what is new alone is looked at again.
    #[test]
    fn only_what_is_new_is_looked_at_again() {
        let mut cluster = leaking();
        cluster.remove_pod("web-3");
        let first = outcome(&mut cluster);
        assert_eq!(first.findings.len(), 2);
        let (now, old) = (cluster.snapshot.now, &first.findings[0]);
        let known = PastFinding::seen_once(now, old.stamp(), now.minus(SETTLE));
        let open = [(old.code, old.subject.kind, old.subject.id.raw(), known)].into_iter().collect();
        let past = Past { open, ..Past::default() };
        let look = settling(Some(&past)).second_look(&first);
        let new = if old.subject.id == "10.65.0.1" { "web-3" } else { "web-0" };
        assert_eq!(look.pods, Again::These([(cluster.name("shop"), cluster.name(new))].into()));
    }

    #[test]
    fn unconfirmed_findings_are_notes_that_say_so() {
        let told = settling(None).unconfirmed(outcome(&mut leaking()));
        assert_eq!((told.findings[0].severity, told.findings[0].state), (Severity::Note, State::Unconfirmed));
    }
}
