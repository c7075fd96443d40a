//! An etcd that is restored from a backup, in each of the ways that people do it, at any distance from the last audit; and
//! all that is done to an etcd beside, which must not look like it.

use std::sync::Arc;

use serde_json::json;

use super::acts::{self, Kind};
use super::budget::{Random, strike};
use super::calico::handle_key;
use super::cluster::{BLOCKS, Cluster, Run, SERVICES};
use super::play::Play;
use super::servers::{self, EtcdVersion, block_on, unique_name};
use super::signs::Seen;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Restore {
    SameToken,
    OtherToken,
    Bumped,
    /// As with the same token; then it writes until its revision is beyond the one that was seen.
    Overtaken,
}

/// Some of these at rest, one after the other.
fn live_on(cluster: &Arc<Cluster>, random: &mut Random, most: usize) -> String {
    let play = Play::default();
    let kinds: Vec<Kind> = [&acts::PODS[..], &acts::MACHINES, &acts::SERVED, &acts::TUNNELS].concat();
    for _ in 0..random.below(most + 1) {
        cluster.alive().young.clear();
        if let Some(act) = acts::choose(*random.pick(&kinds), cluster, random) {
            play.enter(act, vec![]);
            play.finish();
        }
    }
    play.story()
}

/// The restored datastore lives on: blocks are written again, containers come that nobody remembers.
fn write_on(cluster: &Cluster, random: &mut Random) {
    let cidr = *random.pick(&[BLOCKS[0].0, BLOCKS[1].0, SERVICES]);
    let mut calico = cluster.calico();
    match random.below(3) {
        0 => {
            let handle = cluster.workload("after", "node-1").handle();
            block_on(async {
                calico.increment(&handle, cidr).await;
                calico.decrement(&handle, cidr, 1).await;
            });
        }
        _ => block_on(calico.set_attributes("nobody", cidr, &json!({}))),
    }
}

fn restore(cluster: &Cluster, random: &mut Random, kind: Restore, backup: &std::path::Path, seen: i64) -> String {
    let etcd = &cluster.etcd;
    let mut story = format!("restored: {kind:?}");
    match kind {
        Restore::SameToken | Restore::Overtaken => etcd.restore(backup),
        // A flag that is given twice counts as it was given last.
        Restore::OtherToken => etcd.restore_with(backup, &["--initial-cluster-token", &unique_name("token")]),
        Restore::Bumped => {
            let bump = *random.pick(&["1000", "100000", "100000000", "1000000000"]);
            story = format!("{story} by {bump}");
            etcd.restore_with(backup, &["--bump-revision", bump, "--mark-compacted"]);
        }
    }
    for _ in 0..random.below(8) {
        write_on(cluster, random);
    }
    while kind == Restore::Overtaken && etcd.revision() <= seen {
        write_on(cluster, random);
    }
    format!("{story}, at revision {} after {seen}", etcd.revision())
}

fn went_back(run: &Run) -> Vec<String> {
    run.findings().into_iter().filter(|f| f.starts_with("IPA903")).collect()
}

/// A life with one restore in it. Whatever sign there is must be seen by the next audit, before it by a release, and only
/// once; where there is none, nothing may be said.
fn lives(name: &str, percent: u64, version: EtcdVersion, kinds: &[Restore]) {
    let cluster = Cluster::new(version);
    strike(name, percent, 1, |random| {
        // The restored member's term is 2: an older life may have had more elections, or as many.
        if random.chance(50) {
            cluster.etcd.restart();
        }
        cluster.begin();
        let leak = cluster.leak("left-behind", "node-1", BLOCKS[0].0).workload.handle();
        let kind = *random.pick(kinds);
        let mut story = live_on(&cluster, random, 4);
        let early = random.chance(60).then(|| cluster.etcd.snapshot_save());
        story = format!("{story}\nbackup {}\n{}", early.is_some(), live_on(&cluster, random, 4));
        let before = Seen::now(&cluster);
        let first = cluster.audit();
        assert!(matches!(first.code, 0 | 1), "{first:?}\n{story}");
        assert!(went_back(&first).is_empty(), "{first:?}\n{story}");
        story = format!("{story}\naudited at {}\n{}", before.revision, live_on(&cluster, random, 2));
        let backup = early.unwrap_or_else(|| cluster.etcd.snapshot_save());
        story = format!("{story}\n{}", live_on(&cluster, random, 2));
        story = format!("{story}\n{}", restore(&cluster, random, kind, &backup, before.revision));
        std::fs::remove_file(&backup).unwrap();
        let sign = Seen::now(&cluster).is_no_sequel_of(&before);
        story = format!("{story}\nsign: {sign:?}");
        if sign.is_some() {
            let release = cluster.release(&["--handle", &leak, "--skip-age"]);
            assert_eq!(release.code, 1, "a release after a restore: {release:?}\n{story}");
            let refused = release.json()["plan"]["refused"].clone();
            let by_rule_2 = refused.as_array().unwrap().iter().any(|r| r["rule"] == 2);
            assert!(by_rule_2, "not refused for the restore: {release:?}\n{story}");
            assert!(cluster.value(&handle_key(&leak)).is_some(), "{story}");
        }
        let second = cluster.audit();
        let told = went_back(&second);
        assert_eq!(told.len(), usize::from(sign.is_some()), "IPA903 as often as there is a sign: {told:?}\n{story}");
        assert!(told.iter().all(|f| f.starts_with("IPA903 critical confirmed")), "{told:?}\n{story}");
        let third = cluster.audit();
        assert!(went_back(&third).is_empty(), "told twice: {third:?}\n{story}");
        story = format!("{story}\n{}", live_on(&cluster, random, 2));
        cluster.same_in_full(&story);
        cluster.history_is_whole();
    });
}

#[test]
fn a_restore_with_the_same_token() {
    servers::need!(Etcd3_7);
    lives("a_restore_with_the_same_token", 4, EtcdVersion::V3_7, &[Restore::SameToken]);
}

#[test]
fn a_restore_with_another_token() {
    servers::need!(Etcd3_7);
    lives("a_restore_with_another_token", 3, EtcdVersion::V3_7, &[Restore::OtherToken]);
}

#[test]
fn a_restore_with_a_higher_revision() {
    servers::need!(Etcd3_7);
    lives("a_restore_with_a_higher_revision", 4, EtcdVersion::V3_7, &[Restore::Bumped]);
}

#[test]
fn a_restore_that_was_overtaken() {
    servers::need!(Etcd3_7);
    lives("a_restore_that_was_overtaken", 5, EtcdVersion::V3_7, &[Restore::Overtaken]);
}

#[test]
fn a_restore_of_an_old_etcd() {
    servers::need!(Etcd3_4);
    let kinds = [Restore::SameToken, Restore::OtherToken, Restore::Overtaken];
    lives("a_restore_of_an_old_etcd", 5, EtcdVersion::V3_4, &kinds);
}

/// Restarts, crashes, compactions, defragmentations, and thousands of writes.
#[test]
fn nothing_but_a_restore_looks_like_one() {
    servers::need!(Etcd3_7);
    let cluster = Cluster::new(EtcdVersion::V3_7);
    strike("nothing_but_a_restore_looks_like_one", 4, 1, |random| {
        cluster.begin();
        let mut story = String::new();
        for _ in 0..4 {
            let what = *random.pick(&["restart", "crash", "compact", "defragment", "write"]);
            match what {
                "restart" => cluster.etcd.restart(),
                "crash" => {
                    cluster.etcd.kill();
                    cluster.etcd.start_again();
                }
                "compact" => cluster.forget(),
                "defragment" => cluster.etcd.defragment(),
                _ => (0..300).for_each(|_| write_on(&cluster, random)),
            }
            story = format!("{story}\n{what}\n{}", live_on(&cluster, random, 4));
            let run = cluster.audit();
            assert_eq!((run.code, run.findings()), (0, Vec::new()), "{run:?}\n{story}");
            story = format!("{story}\n{}", live_on(&cluster, random, 2));
            cluster.same_in_full(&story);
        }
        cluster.history_is_whole();
    });
}
