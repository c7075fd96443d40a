use super::*;
use crate::checks::testing::{Cluster, addr, cidr};
use crate::plan::block::{self, Freed};
use crate::plan::refusal::Obstacle;
use crate::plan::testing::Store;

const BLOCK: &str = "10.65.0.128/30";

/// A transaction that freed the first address of the block, as the history recorded it.
fn freed(range: &str, handle: &str, deleted: bool) -> Vec<Written> {
    let mut store = Store::new();
    let affinity = if deleted { "null" } else { "\"host:node-1\"" };
    let key = store.block(range, affinity, [Some(handle), None, None, None]);
    let before = store.stored(&key).unwrap().value.clone();
    let after = block::release(&before, &[0], Freed::AtOnce).unwrap();
    vec![Written { key: key.into_bytes(), before: Some(before), after: (!deleted).then_some(after) }]
}

fn release(written: Vec<Vec<Written>>) -> PastWrites {
    PastWrites {
        id: 7,
        same_pair: true,
        forked_since: false,
        under_way: false,
        unknown: false,
        written,
        put_back: BTreeSet::new(),
    }
}

fn of(c: &mut Cluster, release: &PastWrites) -> (Plan, Vec<Candidate>) {
    let snapshot = c.snapshot();
    let ledger = Ledger::build(&snapshot, c.scope, None);
    let mut plan = Plan::default();
    let candidates = judge(release, &ledger, None, &mut plan);
    (plan, candidates)
}

fn said(c: &mut Cluster, release: &PastWrites) -> Vec<Objection> {
    let (plan, candidates) = of(c, release);
    assert!(candidates.is_empty(), "it passes");
    assert!(plan.refusals.iter().all(|r| r.subject == "release 7"));
    plan.refusals.into_iter().map(|r| r.objection).collect()
}

fn one() -> PastWrites {
    release(vec![freed(BLOCK, "n.a", false)])
}

#[test]
fn what_is_free_still_is_put_back() {
    let (plan, candidates) = of(&mut Cluster::healthy(), &one());
    assert_eq!((plan.refusals, plan.notes, candidates.len()), (vec![], vec![], 1));
    assert_eq!(candidates[0].grounds, [Ground::Undone(7)]);
    let Work::Undo(undoing) = &candidates[0].work else { panic!("no undo") };
    assert_eq!(undoing.subject, "release 7, transaction 1");
    assert_eq!(undoing.places[0].address, addr("10.65.0.128"));
}

#[test]
fn a_release_that_wrote_nothing_leaves_nothing_to_undo() {
    let nothing = |why| [Objection::NothingBack(why)];
    assert_eq!(said(&mut Cluster::healthy(), &release(vec![])), nothing(NothingBack::WroteNothing));
    let orphans = release(vec![vec![]]);
    assert_eq!(said(&mut Cluster::healthy(), &orphans), nothing(NothingBack::NoAddress));
    let mut broken = freed(BLOCK, "n.a", false);
    broken[0].before = Some(b"{".to_vec());
    let found = said(&mut Cluster::healthy(), &release(vec![broken]));
    assert!(matches!(&found[..], [Objection::NothingBack(NothingBack::Unreadable(block, _))] if *block == cidr(BLOCK)));
}

#[test]
fn an_undo_that_is_done_is_refused_and_one_that_was_stopped_goes_on() {
    let mut two = release(vec![freed(BLOCK, "n.a", false), freed("10.65.0.132/30", "n.b", false)]);
    two.put_back.insert("10.65.0.128".to_owned());
    let (plan, candidates) = of(&mut Cluster::healthy(), &two);
    assert_eq!((plan.refusals, candidates.len()), (vec![], 1));
    let Work::Undo(undoing) = &candidates[0].work else { panic!("no undo") };
    assert_eq!(undoing.subject, "release 7, transaction 2");
    two.put_back.insert("10.65.0.132".to_owned());
    assert_eq!(said(&mut Cluster::healthy(), &two), [Objection::Undone]);
}

#[test]
fn each_thing_that_the_history_says_against_it() {
    let c = &mut Cluster::healthy();
    assert_eq!(said(c, &PastWrites { same_pair: false, ..one() }), [Objection::OtherPair]);
    assert_eq!(said(c, &PastWrites { forked_since: true, ..one() }), [Objection::ForkedSince(Fork::SinceRelease)]);
    assert_eq!(said(c, &PastWrites { under_way: true, ..one() }), [Objection::UnderWay]);
    assert_eq!(said(c, &PastWrites { unknown: true, ..one() }), [Objection::OutcomeUnknown]);
}

#[test]
fn a_fork_of_now_counts_as_well() {
    let mut c = Cluster::healthy();
    let snapshot = c.snapshot();
    let ledger = Ledger::build(&snapshot, c.scope, None);
    let mut plan = Plan::default();
    assert!(judge(&one(), &ledger, Some(Fork::OtherCluster), &mut plan).is_empty());
    assert_eq!(plan.refusals[0].objection, Objection::ForkedSince(Fork::OtherCluster));
}

#[test]
fn a_new_holder_stops_it_and_is_the_one_to_restart() {
    let mut c = Cluster::healthy();
    c.pod("shop", "new", "node-1", &["10.65.0.128"]);
    let (plan, candidates) = of(&mut c, &one());
    let who = Claimer::Pod("shop".into(), "new".into());
    let held = Objection::HeldNow(addr("10.65.0.128"), HolderNow { who, grade: Grade::Certain });
    assert_eq!((&plan.refusals[0].objection, candidates.len()), (&held, 0));
    assert_eq!(
        plan.notes,
        [Note::Restart(addr("10.65.0.128"), "shop".into(), "new".into(), crate::model::Comeback::Controller)]
    );
}

/// The pod that the release has wronged holds its address still: it is what the undo is for.
#[test]
fn the_owner_itself_is_no_obstacle() {
    let mut c = Cluster::healthy();
    c.pod("shop", "web", "n", &["10.65.0.128"]);
    c.endpoint("shop", "web", "n", "a", &["10.65.0.128"]);
    let (plan, candidates) = of(&mut c, &one());
    assert_eq!((plan.refusals, candidates.len()), (vec![], 1));
    c.endpoint_mut("web").container = c.name("another");
    let found = said(&mut c, &one());
    assert!(matches!(&found[..], [Objection::HeldNow(_, HolderNow { who: Claimer::Endpoint(..), .. })]), "{found:?}");
}

#[test]
fn an_address_that_is_allocated_again_is_not_taken() {
    let mut c = Cluster::healthy();
    c.block("10.65.0.128/26", Some("node-1"));
    let attribute = c.pod_attribute("k8s-pod-network.new", "shop", "new", "node-1");
    c.allocate("10.65.0.128", attribute);
    let who = Claimer::Handle("k8s-pod-network.new".into());
    let held = Objection::HeldNow(addr("10.65.0.128"), HolderNow { who, grade: Grade::Certain });
    assert_eq!(said(&mut c, &one()), [held]);
    let now = c.snapshot.now;
    c.attribute_mut("10.65.0.128").released_at = Some(now);
    assert_eq!(of(&mut c, &one()).0.refusals, [], "what cools down is nobody's");
}

/// A deleted block comes back only into a pool that has blocks of its size, over nothing, and claimed by nobody.
#[test]
fn a_deleted_block_needs_its_place() {
    let deleted = || release(vec![freed("10.66.0.0/30", "n.a", true)]);
    let no = |obstacle| [Objection::NoWayBack(cidr("10.66.0.0/30"), obstacle)];
    let mut c = Cluster::healthy();
    assert_eq!(said(&mut c, &deleted()), no(Obstacle::NoPool));
    c.pool("other", "10.66.0.0/16");
    assert_eq!(said(&mut c, &deleted()), no(Obstacle::NoPool), "blocks of another size");
    c.snapshot.pools.iter_mut().for_each(|p| p.block_size = 30);
    assert_eq!(of(&mut c, &deleted()).1.len(), 1);
    let mut overlapped = c.clone();
    overlapped.block("10.66.0.0/26", None);
    assert_eq!(said(&mut overlapped, &deleted()), no(Obstacle::Overlapped));
    let host = c.host("node-1");
    c.affinity(host, "10.66.0.0/30", crate::model::AffinityState::Confirmed);
    assert_eq!(said(&mut c, &deleted()), no(Obstacle::Claimed));
}

/// What the gates refused stays, and nothing is read for it.
#[test]
fn closed_gates_let_nothing_through() {
    let mut c = Cluster::healthy();
    let snapshot = c.snapshot();
    let ledger = Ledger::build(&snapshot, c.scope, None);
    let mut plan = Plan { refusals: vec![Refusal::of_run(Objection::Locked)], ..Plan::default() };
    assert!(judge(&one(), &ledger, None, &mut plan).is_empty());
    assert_eq!(plan.refusals, [Refusal::of_run(Objection::Locked)]);
}
