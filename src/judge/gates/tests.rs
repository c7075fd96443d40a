use std::time::Duration;

use super::*;
use crate::checks::testing::{Cluster, undecodable_block};
use crate::ledger::Ledger;
use crate::model::PastFinding;
use crate::plan::refusal::{RUN, Rule};

fn at(seconds: i64) -> Time {
    Time(seconds * 1_000_000_000)
}

fn pair(theirs: i64, ours: i64) -> ClockPair {
    ClockPair { theirs: at(theirs), ours: at(ours) }
}

fn alarm(kind: &str) -> EtcdAlarm {
    EtcdAlarm { kind: kind.to_owned(), member: "ab12".to_owned(), name: "etcd-1".to_owned() }
}

fn good() -> Conditions {
    Conditions {
        is_bulk: true,
        unpaired: None,
        scope_known: true,
        nameless: None,
        fork: None,
        inputs: vec![(Input::Blocks, InputState::Complete, String::new())],
        bad_values: Vec::new(),
        broken_blocks: Vec::new(),
        clocks: Clocks { local: at(1000), last_audit: Some(at(1000)), api: Some(pair(1000, 1000)), from_files: false },
        locked: false,
        alarms: Vec::new(),
        surges: Some(Vec::new()),
    }
}

fn said(conditions: &Conditions) -> Vec<Objection> {
    let refusals = refusals(conditions);
    assert!(refusals.iter().all(|r| (r.rule(), r.subject.raw()) == (Rule::Gates, RUN)), "{refusals:?}");
    refusals.into_iter().map(|r| r.objection).collect()
}

#[test]
fn all_gates_open_let_the_run_through_and_each_closed_one_is_told() {
    assert_eq!(said(&good()), []);
    let shut = Conditions {
        unpaired: Some("x".into()),
        scope_known: false,
        nameless: Some(Nameless::NoGuid),
        fork: Some(Fork::OtherCluster),
        inputs: vec![(Input::Pods, InputState::Forbidden, String::new())],
        bad_values: vec!["/calico/x".into()],
        broken_blocks: vec!["10.65.0.0/26".into()],
        clocks: Clocks { local: at(0), ..good().clocks },
        locked: true,
        alarms: vec![alarm("NOSPACE")],
        surges: None,
        ..good()
    };
    // The alarm is said before everything else, then what was not read: other reasons follow from it.
    let all = [
        Objection::Alarm(alarm("NOSPACE")),
        Objection::InputMissing(Input::Pods, InputState::Forbidden, Foreign::default()),
        Objection::Unpaired("x".into()),
        Objection::NodesUnread,
        Objection::Nameless(Nameless::NoGuid),
        Objection::Forked(Fork::OtherCluster),
        Objection::Undecoded("/calico/x".into(), 0),
        Objection::LeadsNowhere("10.65.0.0/26".into(), 0),
        Objection::ClockBehind { ours: at(0), last_audit: at(1000) },
        Objection::Locked,
        Objection::NoEarlierAudit,
    ];
    assert_eq!(said(&shut), all);
}

#[test]
fn rule_2_inputs_wants_every_one_complete() {
    let with =
        |state| inputs(&[(Input::Pods, InputState::Complete, String::new()), (Input::Services, state, String::new())]);
    assert!(with(InputState::Complete).is_ok());
    for state in [InputState::Partial, InputState::Forbidden, InputState::Unreachable, InputState::NotAsked] {
        assert_eq!(with(state), Err(Objection::InputMissing(Input::Services, state, Foreign::default())));
    }
}

#[test]
fn the_first_is_named_and_the_others_are_counted() {
    let keys = ["/a", "/b", "/c"].map(str::to_owned);
    let with = |many: usize| said(&Conditions { bad_values: keys[..many].into(), ..good() });
    assert_eq!(with(1), [Objection::Undecoded("/a".into(), 0)]);
    assert_eq!(with(3), [Objection::Undecoded("/a".into(), 2)]);
    let blocks = said(&Conditions { broken_blocks: keys[..2].into(), ..good() });
    assert_eq!(blocks, [Objection::LeadsNowhere("/a".into(), 1)]);
}

#[test]
fn rule_2_clock_just_inside_and_just_outside() {
    let with = |local, last: Option<i64>, api: Option<i64>| {
        let api = api.map(|theirs| pair(theirs, local));
        clock(&Clocks { local: at(local), last_audit: last.map(at), api, from_files: false })
    };
    assert!(with(1000, Some(1000), Some(1000)).is_ok());
    assert!(matches!(with(999, Some(1000), Some(999)), Err(Objection::ClockBehind { .. })));
    assert!(with(1000, None, Some(1060)).is_ok() && with(1060, None, Some(1000)).is_ok());
    assert!(with(1000, None, Some(1061)).is_err() && with(1061, None, Some(1000)).is_err());
    assert!(with(1000, None, None).is_err());
    // The reading went on for an hour after that answer: the clocks agree all the same.
    let long = Clocks { local: at(4600), last_audit: None, api: Some(pair(1000, 1000)), from_files: false };
    assert!(clock(&long).is_ok());
    let files = Clocks { local: at(1000), last_audit: None, api: None, from_files: true };
    assert!(clock(&files).is_ok());
}

#[test]
fn rule_2_alarms_any_of_them_closes_and_the_gravest_is_told() {
    assert!(alarms(&[]).is_ok());
    let of = |kinds: &[&str]| alarms(&kinds.iter().map(|kind| alarm(kind)).collect::<Vec<_>>());
    assert_eq!(of(&["NOSPACE", "CORRUPT"]), Err(Objection::Alarm(alarm("CORRUPT"))));
    assert_eq!(of(&["NEWER", "NOSPACE"]), Err(Objection::Alarm(alarm("NOSPACE"))));
    assert_eq!(of(&["NEWER"]), Err(Objection::Alarm(alarm("NEWER"))));
}

#[test]
fn rule_2_surge_the_circuit_breaker_just_inside_and_just_outside() {
    let with =
        |newly_leaked, allocations| surge(true, Some(&[Surge { place: "node n".into(), newly_leaked, allocations }]));
    assert!(with(20, 20).is_ok(), "few are nobody's alarm");
    assert!(with(21, 209).is_err() && with(21, 210).is_ok());
    assert!(with(100, 1000).is_ok() && with(101, 1000).is_err());
    assert!(surge(true, None).is_err(), "nothing to compare with");
    assert!(surge(false, None).is_ok(), "what the operator named himself");
}

// ---- What the gates judge by, from a cluster. ----

fn facts(present: Time) -> RunFacts {
    RunFacts { is_bulk: false, live: true, knows_pair: true, present }
}

/// The healthy cluster, whose API server has told its time.
fn healthy() -> Cluster {
    let mut c = Cluster::healthy();
    c.api_time(0);
    c
}

fn with<T>(c: &mut Cluster, run: impl Fn(RunFacts) -> RunFacts, then: impl Fn(&Conditions) -> T) -> T {
    let snapshot = c.snapshot();
    let ledger = Ledger::build(&snapshot, c.scope, c.past.as_ref());
    let world = World { snapshot: &snapshot, ledger: &ledger, past: c.past.as_ref() };
    then(&conditions(&world, run(facts(c.snapshot.now))))
}

fn of(c: &mut Cluster) -> Vec<Objection> {
    with(c, |run| run, said)
}

#[test]
fn a_healthy_cluster_closes_no_gate() {
    assert_eq!(of(&mut healthy()), []);
    let mut c = healthy();
    c.remember();
    assert_eq!(with(&mut c, |run| RunFacts { is_bulk: true, ..run }, said), [], "in bulk, with a past");
}

#[test]
fn every_input_must_be_complete_but_namespaces_and_the_history() {
    for input in Input::ALL {
        let mut c = healthy();
        c.snapshot.coverage.set(input, InputState::Partial, "cut off");
        let found = of(&mut c);
        let missing = Objection::InputMissing(input, InputState::Partial, "cut off".into());
        let wanted = !matches!(input, Input::Namespaces | Input::History);
        assert_eq!(found.contains(&missing), wanted, "{input:?}: {found:?}");
    }
}

#[test]
fn a_lock_is_whatever_is_not_open() {
    for ready in [Some(false), None] {
        let mut c = healthy();
        c.snapshot.cluster.ready = ready;
        assert_eq!(of(&mut c), [Objection::Locked], "{ready:?}");
    }
}

#[test]
fn without_a_name_nothing_can_be_recorded() {
    let mut c = healthy();
    assert_eq!(
        with(&mut c, |run| RunFacts { knows_pair: false, ..run }, said),
        [Objection::Nameless(Nameless::NoCluster)]
    );
    c.snapshot.cluster.guid = Name::NONE;
    assert_eq!(nameless(&c.snapshot()), Some(Nameless::NoGuid));
    c.snapshot.coverage.set(Input::Config, InputState::Forbidden, "");
    assert_eq!(nameless(&c.snapshot()), Some(Nameless::Unread("forbidden".into())), "unread is not absent");
    c.snapshot.coverage.set(Input::Config, InputState::Forbidden, "no right");
    assert_eq!(nameless(&c.snapshot()), Some(Nameless::Unread("no right".into())));
}

#[test]
fn what_does_not_decode_closes_the_gate_by_its_key() {
    let mut c = healthy();
    c.snapshot.bad_values.push(undecodable_block("10.65.0.128/26"));
    let key = "/calico/ipam/v2/assignment/ipv4/block/10.65.0.128-26";
    assert!(of(&mut c).contains(&Objection::Undecoded(key.into(), 0)));
}

#[test]
fn an_allocation_that_leads_nowhere_or_lies_outside_closes_the_gate() {
    let key = "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26".to_owned();
    let mut c = healthy();
    c.block_mut("10.65.0.0/26").allocations[9] = Some(77);
    assert!(of(&mut c).contains(&Objection::LeadsNowhere(key.as_str().into(), 0)));
    let mut c = healthy();
    let block = c.block_mut("10.65.0.0/26");
    block.allocations = block.allocations.iter().copied().chain([Some(0)]).collect();
    assert!(of(&mut c).contains(&Objection::LeadsNowhere(key.into(), 0)));
}

#[test]
fn another_cluster_or_an_older_revision_is_a_fork() {
    let fork = |c: &mut Cluster| with(c, |run| run, |all| all.fork.clone());
    let mut c = healthy();
    assert_eq!(fork(&mut c), None, "without a past there is nothing to compare with");
    c.remember();
    assert_eq!(fork(&mut c), None);
    c.snapshot.etcd.revision -= 1;
    let (now, then) = (c.snapshot.etcd.revision, c.snapshot.etcd.revision + 1);
    assert_eq!(fork(&mut c), Some(Fork::WentBack { now, then }));
    c.snapshot.etcd.cluster_id += 1;
    assert_eq!(fork(&mut c), Some(Fork::OtherCluster));
}

#[test]
fn a_restore_that_the_last_audit_found_needs_one_more_audit() {
    let mut c = healthy();
    c.remember().restored_last = true;
    assert_eq!(of(&mut c), [Objection::Forked(Fork::AtLastAudit)]);
}

#[test]
fn the_clocks_are_the_callers_the_pasts_and_the_api_servers() {
    let mut c = Cluster::healthy();
    assert_eq!(of(&mut c), [Objection::ClockUntold]);
    assert_eq!(with(&mut c, |run| RunFacts { live: false, ..run }, said), [], "files have no clock");
    c.api_time(61);
    assert!(matches!(of(&mut c)[..], [Objection::ClocksApart { most: SKEW, .. }]));
    let mut c = healthy();
    let now = c.snapshot.now;
    c.remember().last_started = Some(now.plus(Duration::from_secs(1)));
    assert!(matches!(of(&mut c)[..], [Objection::ClockBehind { ours, .. }] if ours == now));
}

#[test]
fn what_is_newly_leaked_counts_for_its_node_and_its_pool() {
    let surges = |c: &mut Cluster| with(c, |run| run, |all| all.surges.clone());
    let mut c = healthy();
    assert_eq!(surges(&mut c), None, "no audit to compare with");
    c.remember();
    c.remove_pod("web-0");
    c.remove_endpoint("web-0");
    let of = |place: &str, newly_leaked, allocations| Surge { place: place.into(), newly_leaked, allocations };
    let found = surges(&mut c).unwrap();
    assert_eq!(found, [of("node node-1", 1, 3), of("node node-2", 0, 3), of("pool default", 1, 6)]);
    let now = c.snapshot.now;
    let known = PastFinding::seen_once(now, 1, now);
    c.past.as_mut().unwrap().open.insert(leaked_address::CHECK.code, SubjectKind::Address, "10.65.0.1", known);
    assert_eq!(surges(&mut c).unwrap()[0], of("node node-1", 0, 3), "it was leaked before");
}
