//! (under construction)

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::addresses::leaked_address;
    use crate::checks::testing::{Cluster, cidr};
    use crate::checks::{World, run_these};
    use crate::ledger::Ledger;
    use crate::model::PastFinding;

    const SETTLE: Duration = Duration::from_secs(20);

    fn outcome(cluster: &mut Cluster) -> Outcome {
        cluster.snapshot.sort();
        let ledger = Ledger::build(&cluster.snapshot, cluster.scope, None);
        run_these(&World { snapshot: &cluster.snapshot, ledger: &ledger, past: None }, &[&leaked_address::CHECK])
    }

    fn leaking() -> Cluster {
        let mut cluster = Cluster::healthy();
        cluster.remove_pod("web-0");
        cluster
    }

    #[test]
    fn the_evidence_is_read_again_the_absent_pod_too() {
        let mut cluster = leaking();
        let first = outcome(&mut cluster);
        let look = second_look(&first, None, cluster.snapshot.now, SETTLE);
        let pod = (cluster.name("shop"), cluster.name("web-0"));
        assert_eq!(look.pods, Again::These(vec![pod]));
        assert_eq!(look.blocks, Again::These(vec![cidr("10.65.0.0/26")]));
        assert!(!look.is_empty() && look.needs_kubernetes() && look.whole_inputs().is_empty());
    }

    #[test]
    fn only_what_holds_twice_with_the_same_tuple_stands() {
        let now = leaking().snapshot.now;
        let first = outcome(&mut leaking());
        assert_eq!(confirm(first.clone(), &outcome(&mut leaking()), None, now, SETTLE).findings.len(), 1);
        assert!(confirm(first.clone(), &outcome(&mut Cluster::healthy()), None, now, SETTLE).findings.is_empty());
        // The address changed hands between the looks: leaked both times, but not the same leak.
        let mut other = leaking();
        other.block_mut("10.65.0.0/26").allocation_sequences[1].1 += 1;
        assert!(confirm(first, &outcome(&mut other), None, now, SETTLE).findings.is_empty());
    }

    #[test]
    fn a_busy_block_does_not_disturb_a_leak() {
        let first = outcome(&mut leaking());
        let mut busy = leaking();
        busy.block_mut("10.65.0.0/26").meta.mod_revision += 10;
        let second = outcome(&mut busy);
        assert_eq!(confirm(first, &second, None, busy.snapshot.now, SETTLE).findings.len(), 1);
    }

    #[test]
    fn an_earlier_audit_confirms_when_it_is_old_enough() {
        let mut cluster = leaking();
        let first = outcome(&mut cluster);
        let now = cluster.snapshot.now;
        let known = |ago| PastFinding { first_seen: now, stamp: first.findings[0].stamp(), stamp_since: ago };
        let past =
            |since| Past { open: [((Code(110), "10.65.0.1".to_owned()), known(since))].into(), ..Past::default() };
        let old = past(now.minus(SETTLE));
        assert!(second_look(&first, Some(&old), now, SETTLE).is_empty());
        let young = past(now.minus(Duration::from_secs(19)));
        assert!(!second_look(&first, Some(&young), now, SETTLE).is_empty());
    }

    #[test]
    fn unconfirmed_findings_are_notes_that_say_so() {
        let mut cluster = leaking();
        let first = outcome(&mut cluster);
        let told = unconfirmed(first, None, cluster.snapshot.now, SETTLE);
        assert_eq!((told.findings[0].severity, told.findings[0].state), (Severity::Note, State::Unconfirmed));
    }
}
