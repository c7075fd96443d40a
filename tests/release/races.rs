//! Races, each made to happen: a second client takes its step exactly between ours.
//!
//! The pieces are the library's own (licence, decide, apply), so that the moment is chosen and not hoped for; the
//! command's loop around them is raced in `soak.rs`.

use ipaudit::apply::{self, Fate, Settled};
use ipaudit::connect::etcd::Connection;
use ipaudit::connect::settings::EtcdSettings;
use ipaudit::model::{AllocationTuple, Cidr, Time};
use ipaudit::plan::confirm::{Confirmed, Licence, Permit, Plan, PlanStep, Ready, Work, Yes};
use ipaudit::plan::fresh::Decision;
use ipaudit::plan::orphans::Orphan;
use ipaudit::plan::refusal::{Objection, Rule};
use ipaudit::plan::release::{Extent, ReleasePlace, ReleaseTarget};
use serde_json::json;

use super::calico::{Workload, block_key, handle_key, ordinals_of};
use super::servers::http2::TXN;
use super::servers::proxy::Then;
use super::servers::{self, EtcdVersion, block_on};
use super::world::{BLOCK, World};

fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).unwrap().0
}

fn connect(endpoint: &str) -> Connection {
    block_on(Connection::open(&EtcdSettings::new([endpoint.to_owned()]))).unwrap()
}

/// The orphan as an audit would have judged it right now.
fn orphan(world: &World, id: &str) -> Work {
    let key = handle_key(id);
    let mod_revision = world.etcd.get(&*key).unwrap().mod_revision;
    Work::Orphans(vec![Orphan { id: id.into(), key: key.into(), mod_revision, blocks: vec![cidr(BLOCK)] }])
}

/// The leak as an audit would have judged it right now.
fn leaked(world: &World, workload: &Workload) -> Work {
    leaked_in(world, workload, BLOCK)
}

fn leaked_in(world: &World, workload: &Workload, range: &str) -> Work {
    let stored = world.etcd.get(block_key(range)).unwrap();
    let block: serde_json::Value = serde_json::from_slice(&stored.value).unwrap();
    let handle = workload.handle();
    let ordinal = ordinals_of(&block, &handle)[0];
    let address = cidr(range).nth(ordinal as u128).unwrap();
    let tuple = AllocationTuple {
        address,
        handle: Some(handle.to_owned()),
        sequence: block["sequenceNumberForAllocation"][ordinal.to_string()].as_u64(),
        block_create_revision: stored.create_revision,
    };
    Work::Release(ReleaseTarget {
        handle_keys: vec![handle_key(&handle).into_bytes()],
        handle: Some(handle.clone()),
        places: vec![ReleasePlace { address, block: cidr(range), ordinal: ordinal as u32, tuple }],
        endpoints: Vec::new(),
        extent: Extent::Whole,
        claimed: Vec::new(),
        others: Vec::new(),
        witnesses: Vec::new(),
    })
}

/// A plan of one step that somebody said yes to.
fn confirmed(connection: &Connection, work: Work) -> Confirmed {
    let seen = block_on(apply::read(connection, &work.keys())).unwrap();
    let Decision::Write(shown) = work.decide(&seen.fresh, Time(0)).decision else { panic!("nothing to write") };
    let step =
        PlanStep { work, grounds: Vec::new(), holders: Vec::new(), again: Vec::new(), sandboxes: Vec::new(), shown };
    Plan { steps: vec![step], ..Plan::default() }.confirm(Some(Yes::Flag)).unwrap()
}

fn decide(connection: &Connection, licence: &Licence<'_>) -> Permit {
    let seen = block_on(apply::read(connection, &licence.step().work.keys())).unwrap();
    licence.decide(&seen.fresh, Time(0))
}

fn ready(connection: &Connection, licence: &Licence<'_>) -> Ready {
    decide(connection, licence).ready.unwrap()
}

fn write(connection: &Connection, ready: &Ready) -> Fate {
    block_on(apply::apply(connection, ready)).unwrap()
}

/// Handle and block say the same of a workload.
fn agree(world: &World, workload: &Workload) {
    let held = ordinals_of(&world.value(&block_key(BLOCK)).unwrap(), &workload.handle()).len();
    let counted = world.value(&handle_key(&workload.handle())).map_or(0, |h| h["block"][BLOCK].as_u64().unwrap_or(0));
    assert_eq!(held as u64, counted, "{workload:?}");
}

struct Race {
    world: World,
    connection: Connection,
}

fn race(test: impl Fn(&Race)) {
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let world = World::new(version);
        let connection = connect(&world.etcd.endpoint());
        test(&Race { world, connection });
    }
}

/// The race that the fence is for: comparing the handle alone would leave the pod with an address and no handle.
#[test]
fn an_add_in_flight_loses_and_creates_its_handle_anew() {
    servers::need!(Etcd3_4, Etcd3_7);
    race(|Race { world, connection }| {
        let pod = Workload::new("new", "node-1");
        let add = block_on(world.calico().begin_add(&pod, BLOCK));
        let confirmed = confirmed(connection, orphan(world, &pod.handle()));
        let licence = confirmed.licences().next().unwrap();
        assert!(matches!(write(connection, &ready(connection, &licence)), Fate::Done { .. }));
        assert_eq!(world.value(&handle_key(&pod.handle())), None);
        assert_eq!(block_on(world.calico().write_block(&add)), None, "its compare-and-swap must fail");
        block_on(world.calico().finish_add(add));
        agree(world, &pod);
        assert_eq!(ordinals_of(&world.value(&block_key(BLOCK)).unwrap(), &pod.handle()).len(), 1);
    });
}

#[test]
fn an_add_that_finishes_between_our_read_and_our_write_wins() {
    servers::need!(Etcd3_4, Etcd3_7);
    race(|Race { world, connection }| {
        let pod = Workload::new("new", "node-1");
        let add = block_on(world.calico().begin_add(&pod, BLOCK));
        let confirmed = confirmed(connection, orphan(world, &pod.handle()));
        let licence = confirmed.licences().next().unwrap();
        let ready = ready(connection, &licence);
        assert!(block_on(world.calico().write_block(&add)).is_some());
        assert!(matches!(write(connection, &ready), Fate::Lost { .. }));
        let again = decide(connection, &licence);
        assert!(matches!(again.ready, Err(Decision::Nothing)), "{again:?}");
        assert!(matches!(again.dropped[0].objection, Objection::ChangedHands(_)), "{again:?}");
        agree(world, &pod);
    });
}

#[test]
fn somebody_elses_add_in_the_same_block_only_costs_another_try() {
    servers::need!(Etcd3_4, Etcd3_7);
    race(|Race { world, connection }| {
        let (gone, _) = world.leak("gone", "node-1", BLOCK);
        let confirmed = confirmed(connection, leaked(world, &gone));
        let licence = confirmed.licences().next().unwrap();
        let first = ready(connection, &licence);
        let other = Workload::new("other", "node-1");
        block_on(world.calico().add(&other, BLOCK));
        assert!(matches!(write(connection, &first), Fate::Lost { .. }));
        assert!(matches!(write(connection, &ready(connection, &licence)), Fate::Done { .. }));
        agree(world, &other);
        agree(world, &gone);
        assert_eq!(world.value(&handle_key(&gone.handle())), None);
    });
}

#[test]
fn a_del_or_the_collector_at_the_same_time() {
    servers::need!(Etcd3_4, Etcd3_7);
    race(|Race { world, connection }| {
        // They were faster.
        let (gone, _) = world.leak("gone", "node-1", BLOCK);
        let plan = confirmed(connection, leaked(world, &gone));
        let licence = plan.licences().next().unwrap();
        let late = ready(connection, &licence);
        block_on(world.calico().del(&gone, &[BLOCK]));
        assert!(matches!(write(connection, &late), Fate::Lost { .. }));
        assert!(matches!(decide(connection, &licence).ready, Err(Decision::Changed(_))));
        agree(world, &gone);
        // Between their block and their handle.
        let (half, _) = world.leak("half", "node-1", BLOCK);
        let plan = confirmed(connection, leaked(world, &half));
        let licence = plan.licences().next().unwrap();
        let released = block_on(world.calico().release_blocks(&half.handle(), &[BLOCK]));
        assert!(matches!(decide(connection, &licence).ready, Err(Decision::Changed(_))));
        block_on(world.calico().decrement(&half.handle(), BLOCK, released[0].1));
        agree(world, &half);
        // We were faster.
        let (slow, _) = world.leak("slow", "node-1", BLOCK);
        let plan = confirmed(connection, leaked(world, &slow));
        let licence = plan.licences().next().unwrap();
        assert!(matches!(write(connection, &ready(connection, &licence)), Fate::Done { .. }));
        let before = world.text(&block_key(BLOCK));
        block_on(world.calico().del(&slow, &[BLOCK]));
        assert_eq!(world.text(&block_key(BLOCK)), before, "nothing is freed twice");
        agree(world, &slow);
    });
}

/// The address was given to somebody else meanwhile, under the same ordinal.
#[test]
fn an_address_that_changed_hands_is_left_alone() {
    servers::need!(Etcd3_4, Etcd3_7);
    race(|Race { world, connection }| {
        // A block of one address: whoever comes next gets it.
        let small = "10.65.2.0/32";
        world.claim(small, "node-1", 1);
        let gone = Workload::new("gone", "node-1");
        block_on(world.calico().add(&gone, small));
        let plan = confirmed(connection, leaked_in(world, &gone, small));
        let licence = plan.licences().next().unwrap();
        let late = ready(connection, &licence);
        block_on(world.calico().del(&gone, &[small]));
        let heir = Workload::new("heir", "node-1");
        block_on(world.calico().add(&heir, small));
        assert!(matches!(write(connection, &late), Fate::Lost { .. }));
        assert!(matches!(decide(connection, &licence).ready, Err(Decision::Changed(_))));
        assert_eq!(ordinals_of(&world.value(&block_key(small)).unwrap(), &heir.handle()), [0]);
    });
}

#[test]
fn two_releases_at_once_do_it_once() {
    servers::need!(Etcd3_4, Etcd3_7);
    race(|Race { world, connection }| {
        let (gone, _) = world.leak("gone", "node-1", BLOCK);
        let plans = [(); 2].map(|()| confirmed(connection, leaked(world, &gone)));
        let both = plans.each_ref().map(|p| ready(connection, &p.licences().next().unwrap()));
        let before = world.value(&block_key(BLOCK)).unwrap()["sequenceNumber"].as_u64().unwrap();
        assert!(matches!(write(connection, &both[0]), Fate::Done { .. }));
        assert!(matches!(write(connection, &both[1]), Fate::Lost { .. }));
        let licence = plans[1].licences().next().unwrap();
        assert!(matches!(decide(connection, &licence).ready, Err(Decision::Changed(_))));
        let block = world.value(&block_key(BLOCK)).unwrap();
        assert_eq!(block["sequenceNumber"], json!(before + 1));
    });
}

#[test]
fn locked_meanwhile() {
    servers::need!(Etcd3_4, Etcd3_7);
    race(|Race { world, connection }| {
        let (gone, _) = world.leak("gone", "node-1", BLOCK);
        let plan = confirmed(connection, leaked(world, &gone));
        let licence = plan.licences().next().unwrap();
        let late = ready(connection, &licence);
        world.lock(Some(false));
        assert!(matches!(write(connection, &late), Fate::Lost { .. }));
        let refused = decide(connection, &licence).ready;
        assert!(matches!(&refused, Err(Decision::Refused(r)) if r.rule() == Rule::Gates), "{refused:?}");
    });
}

/// The connection breaks right after the commit: to the client it looks as if it had broken right before.
#[test]
fn a_lost_answer_is_settled_by_reading() {
    servers::need!(Etcd3_4, Etcd3_7);
    race(|Race { world, .. }| {
        let (proxy, endpoint) = world.etcd.behind_proxy();
        let connection = connect(&endpoint);
        for (name, committed) in [("committed", true), ("never-sent", false)] {
            let (gone, _) = world.leak(name, "node-1", BLOCK);
            let plan = confirmed(&connection, leaked(world, &gone));
            let licence = plan.licences().next().unwrap();
            let ready = ready(&connection, &licence);
            match committed {
                true => proxy.lose_answer(TXN, Then::Reconnect),
                false => proxy.lose_request(TXN, Then::Reconnect),
            }
            let outcome = write(&connection, &ready);
            assert_eq!(matches!(outcome, Fate::Done { revision } if revision > 0), committed, "{outcome:?}");
            assert_eq!(world.value(&handle_key(&gone.handle())).is_none(), committed);
        }
        assert_eq!(proxy.sprung(), 2);
    });
}

#[test]
fn a_lost_answer_with_nobody_to_ask_stays_unknown_until_somebody_answers() {
    servers::need!(Etcd3_4, Etcd3_7);
    race(|Race { world, connection: direct }| {
        let (gone, _) = world.leak("gone", "node-1", BLOCK);
        let (proxy, endpoint) = world.etcd.behind_proxy();
        let connection = connect(&endpoint);
        let plan = confirmed(&connection, leaked(world, &gone));
        let ready = ready(&connection, &plan.licences().next().unwrap());
        proxy.lose_answer(TXN, Then::Refuse);
        assert!(matches!(write(&connection, &ready), Fate::Unknown(_)));
        // Others go on writing; the block's past still tells.
        for i in 0..5 {
            block_on(world.calico().add(&Workload::new(&format!("later{i}"), "node-1"), BLOCK));
        }
        let settled = block_on(apply::settle(direct, ready.transaction().changes())).unwrap();
        assert!(matches!(settled, Settled::Done { revision } if revision > 0), "{settled:?}");
        // Unless etcd has forgotten it.
        world.etcd.compact(world.etcd.revision());
        let settled = block_on(apply::settle(direct, ready.transaction().changes())).unwrap();
        assert!(matches!(settled, Settled::Unknown(_)), "{settled:?}");
    });
}

#[test]
fn what_was_never_done_and_written_over_is_told_from_what_was() {
    servers::need!(Etcd3_4, Etcd3_7);
    race(|Race { world, connection }| {
        let (gone, _) = world.leak("gone", "node-1", BLOCK);
        let plan = confirmed(connection, leaked(world, &gone));
        let ready = ready(connection, &plan.licences().next().unwrap());
        // Calico's own DEL and another ADD: every key of the transaction changes, and none by us.
        block_on(world.calico().add(&Workload::new("first", "node-1"), BLOCK));
        block_on(world.calico().del(&gone, &[BLOCK]));
        let settled = block_on(apply::settle(connection, ready.transaction().changes())).unwrap();
        assert_eq!(settled, Settled::NotDone);
    });
}
