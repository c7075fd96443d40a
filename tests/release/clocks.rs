//! The clocks of this machine and of the API server, answer by answer.

use super::calico::{address_of, block_key};
use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, World};

/// Pods were listed for 63 s: by the end of it the first answer's `Date` is more than a minute old, and both clocks are
/// right all the same.
#[test]
fn a_reading_that_takes_longer_than_a_minute_closes_no_gate() {
    servers::need!(Etcd3_4);
    let world = World::new(EtcdVersion::V3_4);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    world.kube.tell_time(&[Some(-63), Some(-63), Some(0)]);
    world.force(&["--handle", &gone.handle()]).done(1);
    let (later, _) = world.leak("later", "node-1", BLOCK);
    world.kube.tell_time(&[Some(0), Some(63)]);
    world.force(&["--handle", &later.handle()]).done(1);
}

#[test]
fn a_first_answer_without_date_is_not_unknown_for_ever() {
    servers::need!(Etcd3_4);
    let world = World::new(EtcdVersion::V3_4);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    world.kube.tell_time(&[None]);
    let run = world.force(&["--handle", &gone.handle()]);
    run.refused(2);
    assert!(run.stdout.contains("the API server did not tell its time"), "{run:?}");
    world.kube.tell_time(&[None, None, Some(0)]);
    world.force(&["--handle", &gone.handle()]).done(1);
}

#[test]
fn clocks_that_are_apart_at_every_answer_close_the_gate() {
    servers::need!(Etcd3_4);
    let world = World::new(EtcdVersion::V3_4);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    for off in [-90, 90] {
        world.kube.tell_time(&[Some(off)]);
        let run = world.force(&["--handle", &gone.handle()]);
        run.refused(2);
        assert!(run.stdout.contains("are more than 60s apart"), "{run:?}");
    }
}

/// Two clocks 40 s apart are near enough, and the later of them counts for the end of a cooldown.
#[test]
fn what_is_released_is_stamped_by_the_later_clock() {
    servers::need!(Etcd3_4);
    let world = World::new(EtcdVersion::V3_4);
    world.etcd.put("/calico/ipam/v2/config", r#"{"auto_allocate_blocks":true,"ipCooldownSeconds":300}"#);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    let released = |world: &World| {
        let block = world.value(&block_key(BLOCK)).unwrap();
        let ordinal = (0..64).find(|ordinal| address_of(BLOCK, *ordinal) == address).unwrap();
        let index = block["allocations"][ordinal].as_u64().unwrap() as usize;
        let text = block["attributes"][index]["releasedAt"].as_str().unwrap().to_owned();
        chrono::DateTime::parse_from_rfc3339(&text).unwrap().to_utc()
    };
    // The first answers are of before a long list; the clock is 40 s ahead.
    world.kube.tell_time(&[Some(-23), Some(-23), Some(40)]);
    let before = chrono::Utc::now();
    world.force(&["--handle", &gone.handle()]).done(1);
    let ahead = (released(&world) - before).num_seconds();
    assert!((38..=70).contains(&ahead), "{ahead} s ahead");
}
