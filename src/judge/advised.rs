//! What an audit may advise of releases: nothing that a release would refuse.
//!
//! The gates are those of a release itself ([`super::gates`]), as they stand once this audit is recorded. Of the rules for
//! one thing its age is asked by [`super::ages`] (rule 4), of the history as this audit leaves it, and the others by
//! [`super::refused`]; the release looks once more.

use std::time::Duration;

use super::ages::Age;
use super::gates::{RunFacts, closed};
use super::refused;
use crate::checks::evidence::is_release;
use crate::checks::{self, Outcome, World};
use crate::ledger::ScopeFlag;
use crate::model::past::AuditsSince;
use crate::model::{Finding, FindingKeeper, Foreign, Gist, Input, InputState, Snapshot, SubjectKind, Time};
use crate::plan::circumstances::{Fork, PodDoubt};
use crate::plan::refusal::{Objection, Refusal};
use crate::plan::rules::{WHEN_SEEN, needs, older_than};

/// Said of what is not released yet, after what it needs, and of what is not released now.
const AGAIN: &str = ", as what was seen before the restore does not count";
const CLOSED: &str = "no release is let through now";
const NOT_MANY: &str = "many at once are not to be released now";
const FILES: &str = "a release needs the live API (--kubeconfig)";
/// The age in a check's own advice to release many, for what the history knows better.
const MANY_AGE: &str = "--older-than 24h";

/// What may be advised of releases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advice {
    pub of_leaks: Advised,
    /// Many orphaned handles that were first seen so long ago would be let through; `None`: none would.
    pub of_handles: Option<Duration>,
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Advised {
    /// No release would be let through; the first reason.
    Closed(Refusal),
    /// Not many at once, though single ones that are old enough would be let through; why.
    NotMany(Refusal),
    /// No leak has been seen by enough audits; `again`: since the datastore was restored.
    Early { again: bool },
    /// Leaks that were first seen so long ago would be let through.
    Open { known_for: Duration },
}

/// What is known before the audit is recorded, which takes the past with it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Obstacles {
    /// What speaks against a release of many things now, whatever they are.
    pub refusals: Vec<Refusal>,
    /// Earlier observations count for nothing.
    pub since_restore: Option<AuditsSince>,
}

/// What speaks against releases, once this audit is recorded. A file has no etcd status and no clock, and whether the pair
/// has a name shows when one is recorded: all that is for the run itself. A restore that the last audit found is over for
/// whoever comes after this one. Where no finding advises a release, nobody asks. What would be refused by itself is taken
/// out here: nothing else of it can be asked once the ledger is gone. `is_live` is that of [`hold_back`]: what is held back for
/// want of the live API is not judged for anything else, so that all of it has one reason.
pub fn obstacles(
    world: &World<'_>,
    outcome: &mut Outcome,
    present: Time,
    scope: ScopeFlag,
    is_live: bool,
) -> Obstacles {
    let since_restore = world.past.and_then(|past| past.since_restore);
    if !outcome.findings.iter().any(|finding| releases(&finding.open())) {
        return Obstacles { refusals: Vec::new(), since_restore };
    }
    let run = RunFacts { is_bulk: true, live: false, knows_pair: true, present };
    let lasts = |refusal: &Refusal| match &refusal.objection {
        Objection::ClockBehind { .. } | Objection::ClockUntold | Objection::Forked(Fork::AtLastAudit) => false,
        Objection::InputMissing(Input::EtcdStatus, state, _) => *state != InputState::NotAsked,
        _ => true,
    };
    let refusals: Vec<Refusal> = closed(world, run).into_iter().filter(lasts).collect();
    if !refusals.iter().any(closes_all) {
        let exclusive = scope == ScopeFlag::Exclusive || world.past.is_some_and(|past| past.exclusive);
        refused::take_out(world, &mut outcome.findings, exclusive, |finding| is_live || is_of_files(finding));
    }
    Obstacles { refusals, since_restore }
}

/// What speaks against a release when suspects could not be looked at again: it would not be able to either.
pub fn cannot_look(why: &Foreign) -> Refusal {
    Refusal::of_run(Objection::NotReadAgain(PodDoubt::Failed(why.clone())))
}

/// Whether a release of it asks Kubernetes nothing, so that files are enough.
fn is_of_files(finding: &Gist) -> bool {
    finding.subject.kind == SubjectKind::Handle
}

/// Whether it speaks against a release of one thing too.
fn closes_all(refusal: &Refusal) -> bool {
    !matches!(refusal.objection, Objection::Surge(_) | Objection::NoEarlierAudit)
}

/// Takes the commands out that would be refused, and says why none is there. `ages`: those of the findings, each in its place,
/// once this audit is recorded. `is_live`: Kubernetes can be asked about single pods, as rule 5 does of whatever was
/// allocated; of an orphaned handle it asks nothing.
pub fn hold_back(
    snapshot: &Snapshot,
    outcome: &mut Outcome,
    obstacles: &Obstacles,
    ages: &[Age],
    is_live: bool,
) -> Advice {
    let refusals = &obstacles.refusals;
    let is_closed = refusals.iter().any(closes_all);
    let is_again = obstacles.since_restore.is_some();
    let (leaks, handles) = (known_for(outcome, ages, true), known_for(outcome, ages, false));
    let aged = || outcome.findings.iter().zip(ages);
    let no_leak_goes = !aged().any(|(f, age)| is_of(f, true) && age.is_enough() && goes_with_many(&f.open()));
    let is_early = leaks.is_none() || refusals.iter().any(|r| r.objection == Objection::NoEarlierAudit);
    let first = refusals.iter().find(|refusal| refusal.objection != Objection::NoEarlierAudit);
    let is_of_many = |command: &str| command.contains(" --code ");
    let hold_back = |finding: &mut Finding, age: Age| {
        if is_closed {
            return withhold(finding, CLOSED, is_release);
        }
        if !is_live && !is_of_files(finding) {
            return withhold(finding, FILES, is_release);
        }
        let mut changed = false;
        let early = early(age, is_again, snapshot.now);
        if is_early || !refusals.is_empty() || no_leak_goes {
            let why = if is_early && first.is_none() { &early } else { NOT_MANY };
            changed |= withhold(finding, why, |command| is_release(command) && is_of_many(command));
        } else if let Some(known_for) = leaks {
            finding.next.iter_mut().filter(|c| is_release(c.raw()) && is_of_many(c.raw())).for_each(|command| {
                *command = command.raw().replace(MANY_AGE, &format!("--older-than {}", older_than(known_for))).into();
                changed = true;
            });
        }
        // Of one thing the history must know that very thing, unless its age is waived.
        if !age.is_enough() {
            let is_aged = |command: &str| is_of_many(command) || command.contains(" --skip-age");
            changed |= withhold(finding, &early, |command| is_release(command) && !is_aged(command));
        }
        changed
    };
    let mut keeper = FindingKeeper::default();
    for (finding, age) in outcome.findings.iter_mut().zip(ages) {
        keeper.change(finding, |finding| hold_back(finding, *age));
    }
    let of_leaks = match (first, leaks) {
        (Some(refusal), _) if is_closed => Advised::Closed(refusal.clone()),
        (_, _) if !is_live => Advised::Closed(Refusal::of_run(Objection::FilesAgain)),
        (Some(refusal), _) => Advised::NotMany(refusal.clone()),
        (None, Some(known_for)) if refusals.is_empty() => Advised::Open { known_for },
        _ => Advised::Early { again: is_again },
    };
    Advice { of_leaks, of_handles: handles.filter(|_| refusals.is_empty()) }
}

/// What a release by code takes: leaks, or orphaned handles.
fn is_of(finding: &Gist, leaks: bool) -> bool {
    checks::find(finding.code).is_some_and(|check| check.ties.releasable && check.ties.proves_leak == leaks)
}

/// For how long the history has known the oldest of what many at once would take; `None`: audits have seen nothing of it
/// for long enough.
fn known_for(outcome: &Outcome, ages: &[Age], leaks: bool) -> Option<Duration> {
    let known_for = |finding: &Gist| finding.life.map(|life| life.last_seen.since(life.first_seen));
    let old =
        || outcome.findings.iter().zip(ages).filter(|(f, age)| is_of(f, leaks) && age.is_enough()).map(|(f, _)| f);
    let oldest = old().filter(|f| goes_with_many(&f.open())).filter_map(|f| known_for(f)).max();
    // Leaks that are refused for another reason than their age have been seen for long enough all the same.
    oldest.or_else(|| old().filter(|_| leaks).filter_map(|f| known_for(f)).max())
}

/// Why what is of that age waits.
fn early(age: Age, is_again: bool, now: Time) -> String {
    let again = if is_again { AGAIN } else { "" };
    age.lacking().map_or_else(|| WHEN_SEEN.to_owned(), |lacking| needs(lacking, now) + again)
}

/// What takes the operator's word goes alone.
fn goes_with_many(finding: &Finding) -> bool {
    finding.next.iter().any(|command| is_release(command.raw()) && !command.raw().contains("--i-know-"))
}

/// Whether it says a release.
fn releases(finding: &Finding) -> bool {
    finding.next.iter().any(|command| is_release(command.raw()))
}

/// Whether anything was.
fn withhold(finding: &mut Finding, why: &str, takes: impl Fn(&str) -> bool) -> bool {
    let before = finding.next.len();
    finding.next.retain(|command| !takes(command.raw()));
    let is_withheld = finding.next.len() < before;
    if is_withheld {
        refused::say_why(finding, why);
    }
    is_withheld
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::run;
    use crate::checks::testing::Cluster;
    use crate::judge::ages;
    use crate::judge::testing::Remembered;
    use crate::ledger::Ledger;
    use crate::model::{Code, Foreign, Life, Observation, PastEtcd, PastFinding, Tunnel};
    use crate::plan::circumstances::Lacking;
    use crate::plan::rules::NEEDS;

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
            finding.set_life(Some(Life { first_seen, last_seen, audits_seen: audits, episode: 1 }));
        }
        let obstacles = obstacles(&world, &mut outcome, snapshot.now, c.scope, is_live);
        let seen = Some(Observation { audits: audits as u32, first: first_seen, last: last_seen });
        let observed = Remembered { seen, ..Remembered::default() };
        let ages = ages::of(&ledger, &outcome.findings, Some(&observed));
        let advised = hold_back(&snapshot, &mut outcome, &obstacles, &ages, is_live);
        (advised.of_leaks, outcome.opened().collect())
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
        // The next audit that counts is five minutes after the last one; and the grace is a quarter of an hour.
        for (audits, minutes, from) in [(2, 60, 5), (3, 10, 5), (1, 0, 15)] {
            let mut c = leaked();
            let (advised_then, leak) = advised(&mut c, audits, minutes);
            assert_eq!(advised_then, Advised::Early { again: false });
            let lacking = Lacking {
                audits: if audits == 1 { 2 } else { 1 },
                from: c.snapshot.now.plus(Duration::from_secs(from * 60)),
            };
            assert_eq!((releases(&leak), leak.advice.raw()), (0, needs(lacking, c.snapshot.now).as_str()));
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

    /// Whoever reads that something is not released yet has what to paste all the same, and reads when it is.
    #[test]
    fn nothing_is_left_without_a_command() {
        let mut c = leaked();
        c.handle("k8s-pod-network.dead", &[]);
        c.handle("k8s-pod-network.vmi.lab.vm-0", &["10.65.0.9"]);
        c.scope = ScopeFlag::Exclusive;
        for (audits, is_live) in [(1, true), (1, false), (2, true)] {
            let (_, findings) = advised_all(&mut c, audits, 1, is_live);
            let held_back = findings.iter().filter(|f| f.advice.raw().contains("release"));
            assert!(held_back.clone().count() >= 3, "{findings:?}");
            let mut of = held_back.clone().map(|f| (f.code.0, f.subject.id.raw(), releases(f), f.next.first()));
            assert!(of.all(|(_, _, number, next)| number == 0 && next.is_some()), "{findings:?}");
            let vm = held_back.clone().find(|f| f.code == Code(208)).unwrap();
            assert_eq!(vm.next, ["ipaudit who k8s-pod-network.vmi.lab.vm-0"]);
            assert!(vm.advice.raw().contains("; a release "), "{vm:?}");
        }
    }

    /// A node that is not Ready is a reason of its own, and not the one that counts where nobody could be asked anyway: leaks
    /// of pods and of tunnels say the same.
    #[test]
    fn of_files_every_leak_has_one_reason() {
        let mut c = leaked();
        c.node("node-9", "192.168.0.9");
        c.tunnel("node-9", Tunnel::Vxlan, "10.65.0.20");
        c.remove_calico_node("node-9");
        c.remove_kube_node("node-9");
        c.scope = ScopeFlag::Exclusive;
        c.snapshot.kube_nodes.iter_mut().for_each(|node| node.ready = Some(false));
        let mut first = advised_all(&mut c, 1, 0, false).1;
        let past = c.past.as_mut().unwrap();
        for f in first.drain(..) {
            let known = PastFinding::seen_once(c.snapshot.now, 1, c.snapshot.now);
            past.open.insert(f.code, f.subject.kind, f.subject.id.raw(), known);
        }
        let (_, findings) = advised_all(&mut c, 3, 60, false);
        for code in [110, 111] {
            let leak = findings.iter().find(|f| f.code == Code(code)).unwrap();
            assert!(releases(leak) == 0 && leak.advice.raw().ends_with(FILES), "{leak:?}");
            assert!(
                !leak.advice.has(&"no release is let through".into()) && !leak.advice.has(&"Ready".into()),
                "{leak:?}"
            );
        }
    }

    /// Thirty pods of node-1 are gone since the last audit, and their addresses are leaked; web-0's was known before.
    fn surging() -> Cluster {
        let mut c = leaked();
        for i in 10..40 {
            let attribute =
                c.pod_attribute(&format!("k8s-pod-network.gone{i}"), "shop", &format!("gone-{i}"), "node-1");
            c.allocate(&format!("10.65.0.{i}"), attribute);
        }
        c.remember();
        c
    }

    /// Whether a release of one thing, or of many, passes the gates now.
    fn passes(c: &mut Cluster, is_bulk: bool) -> bool {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, c.past.as_ref());
        let world = World { snapshot: &snapshot, ledger: &ledger, past: c.past.as_ref() };
        let run = RunFacts { is_bulk, live: false, knows_pair: true, present: snapshot.now };
        closed(&world, run).is_empty()
    }

    /// The circuit breaker is for many at once: single ones go, and nothing else is said of them.
    #[test]
    fn a_mass_leak_keeps_back_many_at_once_and_nothing_else() {
        let mut c = surging();
        let (advised_then, leak) = advised(&mut c, 3, 60);
        assert!(matches!(&advised_then, Advised::NotMany(r) if matches!(r.objection, Objection::Surge(_))));
        assert_eq!((passes(&mut c, true), passes(&mut c, false)), (false, true));
        assert_eq!((releases(&leak), leak.advice.raw()), (1, ""), "it goes alone: {leak:?}");
    }

    /// A restore that the last audit found: after this one the gate is open, and what was seen before counts for nothing.
    #[test]
    fn after_a_restore_three_audits_must_see_it_again() {
        for (audits, goes) in [(1, false), (2, false), (3, true)] {
            let mut c = leaked();
            let first = (audits > 1).then(|| c.snapshot.now.minus(Duration::from_secs(3_600)));
            let past = c.remember();
            (past.restored_last, past.since_restore) = (audits == 1, Some(AuditsSince { audits: audits - 1, first }));
            let (advised_then, leak) = advised(&mut c, audits, 60);
            let expected = match goes {
                true => Advised::Open { known_for: Duration::from_secs(3_600) },
                false => Advised::Early { again: true },
            };
            assert_eq!((advised_then, releases(&leak)), (expected, usize::from(goes)), "{audits} since the restore");
            let advice = leak.advice.raw();
            assert!(
                if goes { advice.is_empty() } else { advice.starts_with(NEEDS) && advice.ends_with(AGAIN) },
                "{advice}"
            );
        }
    }

    /// Where nobody has watched, nobody knows when it goes.
    #[test]
    fn without_a_history_no_moment_is_promised() {
        let mut c = leaked();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let mut outcome = run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
        let ages = ages::of(&ledger, &outcome.findings, None);
        let advice = hold_back(&snapshot, &mut outcome, &Obstacles::default(), &ages, true);
        let leak = outcome.opened().find(|f| f.code == Code(110)).unwrap();
        assert_eq!(
            (advice.of_leaks, releases(&leak), leak.advice.raw()),
            (Advised::Early { again: false }, 0, WHEN_SEEN)
        );
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
