//! What an audit may advise of releases: nothing that a release would refuse.
//!
//! The gates are those of a release itself ([`super::gates`]). Of the rules for one thing only its age is asked here
//! (rule 4), by what the history says of the finding: the rest is for the release to judge, which looks once more.

use std::time::Duration;

use super::gates::{RunFacts, closed};
use crate::checks::evidence::is_release;
use crate::checks::{self, Outcome, World};
use crate::model::{Finding, Input, InputState, Life, SubjectKind, Time};
use crate::plan::refusal::{Objection, Refusal};
use crate::plan::rules::{AUDITS, OVER};

/// Said of what is not released yet, and of what is not released now.
const EARLY: &str = "a release is let through when three audits have seen it";
const CLOSED: &str = "no release is let through now";
const FILES: &str = "a release needs the live API";

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Advised {
    /// No release, or none of many at once, would be let through; the first reason.
    Closed(Refusal),
    /// No leak has been seen by enough audits.
    Early,
    /// Leaks that were first seen so long ago would be let through.
    Open { known_for: Duration },
}

/// What speaks against a release of many things now, whatever they are. A file has no etcd status and no clock, and
/// whether the pair has a name shows when one is recorded: all that is for the run itself.
/// Where no finding advises a release, nobody asks.
pub fn obstacles(world: &World<'_>, outcome: &Outcome, present: Time) -> Vec<Refusal> {
    if !outcome.findings.iter().flat_map(|f| &f.next).any(|command| is_release(command.raw())) {
        return Vec::new();
    }
    let run = RunFacts { is_bulk: true, live: false, knows_pair: true, present };
    let lasts = |refusal: &Refusal| match &refusal.objection {
        Objection::ClockBehind { .. } | Objection::ClockUntold => false,
        Objection::InputMissing(Input::EtcdStatus, state, _) => *state != InputState::NotAsked,
        _ => true,
    };
    closed(world, run).into_iter().filter(lasts).collect()
}

/// Takes the commands out that would be refused, and says why none is there. `is_live`: Kubernetes can be asked about
/// single pods, as rule 5 does of whatever was allocated; of an orphaned handle it asks nothing.
pub fn hold_back(outcome: &mut Outcome, obstacles: &[Refusal], grace: Duration, is_live: bool) -> Advised {
    let of_many = |o: &Objection| matches!(o, Objection::Surge(_) | Objection::NoEarlierAudit);
    let is_closed = obstacles.iter().any(|refusal| !of_many(&refusal.objection));
    let is_leak = |f: &&Finding| checks::find(f.code).is_some_and(|c| c.ties.releasable && c.ties.proves_leak);
    let known_for = outcome.findings.iter().filter(is_leak).filter_map(|f| age(f, grace)).max();
    let is_early = known_for.is_none() || obstacles.iter().any(|r| r.objection == Objection::NoEarlierAudit);
    let is_of_many = |command: &str| command.contains(" --code ");
    for finding in &mut outcome.findings {
        if is_closed {
            withhold(finding, CLOSED, is_release);
            continue;
        }
        if !is_live && finding.subject.kind != SubjectKind::Handle {
            withhold(finding, FILES, is_release);
            continue;
        }
        if is_early || !obstacles.is_empty() {
            let why = if is_early { EARLY } else { CLOSED };
            withhold(finding, why, |command| is_release(command) && is_of_many(command));
        }
        // Of one thing the history must know that very thing, unless its age is waived.
        if age(finding, grace).is_none() {
            let is_aged = |command: &str| is_of_many(command) || command.contains(" --skip-age");
            withhold(finding, EARLY, |command| is_release(command) && !is_aged(command));
        }
    }
    let first = obstacles.iter().find(|refusal| refusal.objection != Objection::NoEarlierAudit);
    match (first, known_for) {
        (Some(refusal), _) => Advised::Closed(refusal.clone()),
        (None, _) if !is_live => Advised::Closed(Refusal::of_run(Objection::FilesAgain)),
        (None, Some(known_for)) if obstacles.is_empty() => Advised::Open { known_for },
        _ => Advised::Early,
    }
}

/// How long the history has known a finding that enough audits have seen for long enough.
fn age(finding: &Finding, grace: Duration) -> Option<Duration> {
    let Life { first_seen, last_seen, audits_seen, .. } = finding.life?;
    let known_for = last_seen.since(first_seen);
    (audits_seen >= u64::from(AUDITS) && known_for >= OVER.max(grace)).then_some(known_for)
}

fn withhold(finding: &mut Finding, why: &str, takes: impl Fn(&str) -> bool) {
    let before = finding.next.len();
    finding.next.retain(|command| !takes(command.raw()));
    if finding.next.len() < before {
        finding.advice = match finding.advice.raw() {
            "" => why.into(),
            then => format!("{then}; {why}").into(),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::run;
    use crate::checks::testing::Cluster;
    use crate::ledger::Ledger;
    use crate::model::{Code, Foreign, PastEtcd};

    /// web-0 is gone and its address is leaked; seen by so many audits over so many minutes.
    fn advised(c: &mut Cluster, audits: u64, minutes: u64) -> (Advised, Finding) {
        let (advised, mut findings) = advised_all(c, audits, minutes, true);
        findings.retain(|f| f.code == Code(110));
        (advised, findings.remove(0))
    }

    fn advised_all(c: &mut Cluster, audits: u64, minutes: u64, is_live: bool) -> (Advised, Vec<Finding>) {
        if c.past.is_none() {
            c.remember();
        }
        c.past.as_mut().unwrap().audits = audits;
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, c.past.as_ref());
        let world = World { snapshot: &snapshot, ledger: &ledger, past: c.past.as_ref() };
        let mut outcome = run(&world);
        let last_seen = snapshot.now;
        let first_seen = last_seen.minus(Duration::from_secs(minutes * 60));
        for finding in &mut outcome.findings {
            finding.life = Some(Life { first_seen, last_seen, audits_seen: audits, episode: 1 });
        }
        let obstacles = obstacles(&world, &outcome, snapshot.now);
        let advised = hold_back(&mut outcome, &obstacles, Duration::from_secs(15 * 60), is_live);
        (advised, outcome.findings)
    }

    fn leaked() -> Cluster {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.remove_endpoint("web-0");
        c
    }

    fn releases(leak: &Finding) -> usize {
        leak.next.iter().filter(|command| is_release(command.raw())).count()
    }

    #[test]
    fn a_release_is_advised_when_it_would_be_let_through() {
        let (advised_then, leak) = advised(&mut leaked(), 3, 60);
        assert_eq!(advised_then, Advised::Open { known_for: Duration::from_secs(3_600) });
        assert_eq!((releases(&leak), leak.advice.is_empty()), (1, true), "{leak:?}");
        for (audits, minutes) in [(2, 60), (3, 10)] {
            let (advised_then, leak) = advised(&mut leaked(), audits, minutes);
            assert_eq!(advised_then, Advised::Early);
            assert_eq!((releases(&leak), leak.advice.raw()), (0, EARLY));
            assert_eq!(leak.next.iter().map(Foreign::raw).collect::<Vec<_>>(), ["ipaudit who 10.65.0.1"]);
        }
    }

    /// Rule 5 asks Kubernetes about the pod once more, and files answer nothing.
    #[test]
    fn of_files_only_orphans_are_released() {
        for audits in [1, 3] {
            let mut c = leaked();
            c.handle("k8s-pod-network.dead", &[]);
            let (advised_then, findings) = advised_all(&mut c, audits, 60, false);
            assert_eq!(advised_then, Advised::Closed(Refusal::of_run(Objection::FilesAgain)));
            let of = |code| findings.iter().find(|f| f.code == Code(code)).unwrap();
            assert_eq!((releases(of(110)), of(110).advice.raw()), (0, FILES));
            assert_eq!(releases(of(201)), usize::from(audits == 3), "{:?}", of(201));
        }
    }

    #[test]
    fn no_release_is_advised_while_a_gate_is_closed() {
        let mut c = leaked();
        c.snapshot.cluster.ready = Some(false);
        let (advised_then, leak) = advised(&mut c, 3, 60);
        assert_eq!(advised_then, Advised::Closed(Refusal::of_run(Objection::Locked)));
        assert_eq!((releases(&leak), leak.advice.raw()), (0, CLOSED));
        let mut c = leaked();
        c.remember().etcd = Some(PastEtcd { cluster_id: 9, ..PastEtcd::default() });
        let (advised_then, leak) = advised(&mut c, 3, 60);
        assert!(
            matches!(&advised_then, Advised::Closed(r) if matches!(r.objection, Objection::Forked(_))),
            "{advised_then:?}"
        );
        assert_eq!(releases(&leak), 0);
    }
}
