//! A healthy cluster that never stands still gives no finding, wherever its writes fall between an audit's reads.
//!
//! Everybody is faster than the settle time: what begins before the second look's read of etcd is over by then, or begins
//! right there and ends after it. Within this, each write may fall before any request of either look.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::acts::{self, Kind};
use super::budget::{Random, strike};
use super::cluster::{Cluster, Run};
use super::gate::Event;
use super::invariants;
use super::play::Play;
use super::servers::http2::Request;
use super::servers::proxy::Then;
use super::servers::{self, EtcdVersion};

/// Requests of the first look that can be held: four lists, the read that fixes the revision, the first that is pinned.
/// The lists and the reads are sent side by side, in whatever order they reach the gates.
const STAGES: usize = 7;
/// What a first look lists of Kubernetes, each in one page.
const LISTS: usize = 4;
/// Of the second look: its read of etcd, the first and the second request of Kubernetes after it.
const AGAIN: usize = 3;
/// Where the second look begins among the stages.
const SECOND: usize = 100;

/// Which look an audit is at, by its requests.
#[derive(Default)]
struct Course {
    stage: AtomicUsize,
    pinned: AtomicUsize,
    lists: AtomicUsize,
    fixed: AtomicBool,
    first: AtomicBool,
}

impl Course {
    /// Whose turn this request is, if it is one of those that wait for theirs.
    fn side(&self, event: &Event) -> Option<Side> {
        match event {
            Event::Kube(_) if self.lists.load(Ordering::SeqCst) < LISTS => Some(Side::Kubernetes),
            Event::Fixing if !self.fixed.swap(true, Ordering::SeqCst) => Some(Side::Etcd),
            Event::Pinned if !self.first.swap(true, Ordering::SeqCst) => Some(Side::Etcd),
            _ => None,
        }
    }

    /// The stage that this request reaches; none: one more of the same.
    fn reach(&self, event: &Event) -> Option<usize> {
        let first_look = self.stage.load(Ordering::SeqCst) < SECOND;
        match event {
            Event::Pinned if first_look && self.pinned.fetch_add(1, Ordering::SeqCst) > 0 => return None,
            Event::Pinned if !first_look => return None,
            Event::Kube(_) if first_look && self.lists.fetch_add(1, Ordering::SeqCst) < LISTS => {}
            // Whatever is read as it is now after pinned reads, is read for the second look.
            Event::Fixing | Event::Looking | Event::Kube(_) if first_look && self.pinned.load(Ordering::SeqCst) > 0 => {
                self.stage.store(SECOND, Ordering::SeqCst);
                return Some(SECOND);
            }
            _ => {}
        }
        Some(self.stage.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

fn enter(kind: Kind, cluster: &Arc<Cluster>, random: &mut Random, play: &Play, base: usize, stages: usize) {
    if let Some(act) = acts::choose(kind, cluster, random) {
        let due = random.ascending(act.steps, stages).iter().map(|stage| base + stage).collect();
        play.enter(act, due);
    }
}

/// The two sides of a first look: each sends its requests without waiting for the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Kubernetes,
    Etcd,
}

/// In which order the requests of the first look pass, of whichever side they are: drawn, so that either side is early,
/// late, or in between, and that a round can be repeated.
#[derive(Default)]
struct Turns {
    /// The next one at the end.
    order: Mutex<Vec<Side>>,
    passed: Condvar,
}

impl Turns {
    /// Four lists, and of etcd's reads the one that fixes the revision and the first pinned one.
    fn drawn(random: &mut Random) -> Turns {
        let mut order = vec![Side::Kubernetes; LISTS];
        (0..2).for_each(|_| order.insert(random.below(order.len() + 1), Side::Etcd));
        Turns { order: Mutex::new(order), passed: Condvar::new() }
    }

    /// Waits for its turn, and lets the next one pass when `act` is over.
    fn take(&self, side: Side, act: impl FnOnce()) {
        // Nobody waits for ever for a request that does not come.
        const PATIENCE: Duration = Duration::from_secs(10);
        let others = |order: &mut Vec<Side>| order.last().is_some_and(|next| *next != side);
        drop(self.passed.wait_timeout_while(self.order.lock().unwrap(), PATIENCE, others).unwrap());
        act();
        self.order.lock().unwrap().pop();
        self.passed.notify_all();
    }
}

/// What befalls an audit beside the writes of others, before which of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    None,
    /// An answer of etcd does not arrive, and the connection is cut.
    Lost(usize),
    /// etcd forgets the revisions before the present one.
    Compacted(usize),
}

/// One audit among acts of these kinds; what it printed, and the story.
fn audit_among(cluster: &Arc<Cluster>, random: &mut Random, kinds: &[Kind], blow: Blow) -> (Run, String) {
    let play = Arc::new(Play::default());
    cluster.alive().young.clear();
    for _ in 0..1 + random.below(3) {
        enter(*random.pick(kinds), cluster, random, &play, 0, STAGES);
    }
    let turns = if blow == Blow::None { Turns::drawn(random) } else { Turns::default() };
    let (course, later) = (Arc::new(Course::default()), Mutex::new((random.clone(), 0)));
    let seen = course.clone();
    let (acting, stage, kinds) = (play.clone(), cluster.clone(), kinds.to_vec());
    let see = move |event: &Event| {
        // Kubernetes' gate and etcd's may open at once.
        let mut later = later.lock().unwrap();
        let (random, count) = &mut *later;
        *count += 1;
        match blow {
            Blow::Lost(at) if at == *count => stage.proxy.lose_answer(Request::Any, Then::Reconnect),
            Blow::Compacted(at) if at == *count => stage.forget(),
            _ => {}
        }
        let Some(at) = seen.reach(event) else { return };
        if at == SECOND {
            acting.finish();
            // What begins over after a blow is no second look: nobody may be between two writes at both.
            let most = if blow == Blow::None { 3 } else { 1 };
            for _ in 0..random.below(most) {
                enter(*random.pick(&kinds), &stage, random, &acting, SECOND, AGAIN);
            }
        }
        acting.reach(at);
    };
    cluster.tell(Some(Arc::new(move |event: &Event| match course.side(event) {
        Some(side) => turns.take(side, || see(event)),
        None => see(event),
    })));
    let run = cluster.audit();
    cluster.tell(None);
    play.finish();
    (run, play.story())
}

/// Acts of `kinds` fall between the reads, those of `between` between the audits.
fn windows(name: &str, percent: u64, kinds: &[Kind], between: &[Kind]) {
    let cluster = Cluster::new(EtcdVersion::V3_7);
    strike(name, percent, 4, |random| {
        cluster.begin();
        // Something of each kind is there before it goes.
        let mut story = at_rest(&cluster, random, &[kinds, between, kinds, between].concat());
        for audit in 0..4 {
            let (run, told) = audit_among(&cluster, random, kinds, Blow::None);
            story = format!("{story}\naudit {audit}\n{told}");
            assert!(matches!(run.code, 0 | 1), "{run:?}\n{story}");
            let findings = run.findings();
            assert!(findings.is_empty(), "a healthy cluster is accused:\n{}\n{story}", findings.join("\n"));
            assert_eq!(run.code, 0, "{run:?}\n{story}");
            invariants::hold(&cluster, &story);
            story = format!("{story}\n{}", at_rest(&cluster, random, between));
        }
        cluster.same_in_full(&story);
        cluster.history_is_whole();
    });
}

/// One after the other, while nobody looks.
fn at_rest(cluster: &Arc<Cluster>, random: &mut Random, kinds: &[Kind]) -> String {
    let play = Play::default();
    for kind in kinds {
        cluster.alive().young.clear();
        enter(*kind, cluster, random, &play, 0, 1);
        play.finish();
    }
    format!("meanwhile\n{}", play.story())
}

#[test]
fn pods_that_come_and_go_between_the_reads() {
    servers::need!(Etcd3_7);
    windows("pods_that_come_and_go_between_the_reads", 3, &acts::PODS, &[]);
}

#[test]
fn machines_that_start_and_stop_between_the_reads() {
    servers::need!(Etcd3_7);
    windows("machines_that_start_and_stop_between_the_reads", 4, &acts::MACHINES, &[]);
}

#[test]
fn a_service_that_is_made_between_the_reads() {
    servers::need!(Etcd3_7);
    windows("a_service_that_is_made_between_the_reads", 3, &[Kind::ServiceMade], &[Kind::ServiceDeleted; 2]);
}

#[test]
fn a_service_that_is_deleted_between_the_reads() {
    servers::need!(Etcd3_7);
    windows("a_service_that_is_deleted_between_the_reads", 3, &[Kind::ServiceDeleted], &[Kind::ServiceMade; 2]);
}

#[test]
fn tunnels_that_get_move_and_lose_their_address_between_the_reads() {
    servers::need!(Etcd3_7);
    windows("tunnels_that_get_move_and_lose_their_address_between_the_reads", 4, &acts::TUNNELS, &[]);
}

#[test]
fn a_node_that_joins_between_the_reads() {
    servers::need!(Etcd3_7);
    windows("a_node_that_joins_between_the_reads", 3, &[Kind::NodeJoins], &[Kind::NodeLeaves; 2]);
}

#[test]
fn a_node_that_leaves_between_the_reads() {
    servers::need!(Etcd3_7);
    windows("a_node_that_leaves_between_the_reads", 3, &[Kind::NodeLeaves], &[Kind::NodeJoins; 2]);
}

#[test]
fn everything_at_once_between_the_reads() {
    servers::need!(Etcd3_7);
    windows("everything_at_once_between_the_reads", 9, &acts::ALL.concat(), &[]);
}

/// Nothing is told that is not so, whatever becomes of the answers: an audit that cannot read all says so.
#[test]
fn audits_that_lose_answers_or_are_compacted_under() {
    servers::need!(Etcd3_7);
    let cluster = Cluster::new(EtcdVersion::V3_7);
    let kinds = acts::ALL.concat();
    strike("audits_that_lose_answers_or_are_compacted_under", 4, 3, |random| {
        cluster.begin();
        let mut story = at_rest(&cluster, random, &kinds);
        for _ in 0..4 {
            let at = 5 + random.below(24);
            let blow = if random.chance(50) { Blow::Lost(at) } else { Blow::Compacted(at) };
            let (run, told) = audit_among(&cluster, random, &kinds, blow);
            story = format!("{story}\n{blow:?}\n{told}");
            let findings: Vec<String> = run.findings().into_iter().filter(|f| !f.contains(" unconfirmed ")).collect();
            assert!(findings.is_empty(), "a healthy cluster is accused:\n{}\n{story}", findings.join("\n"));
            assert!(matches!(run.code, 0 | 3), "{run:?}\n{story}");
            invariants::hold(&cluster, &story);
        }
        cluster.history_is_whole();
    });
}
