use super::*;
use crate::checks::testing::Cluster;
use crate::model::{BlockSequence, Fact, Input, InputState, Time};

/// A healthy cluster at revision 1000, and a past that saw exactly this.
fn known() -> Cluster {
    let mut c = Cluster::healthy();
    c.snapshot.etcd.revision = 1000;
    c.snapshot.etcd.cluster_id = 7;
    let names = &c.snapshot.names;
    let mut keys: Vec<(Vec<u8>, Meta)> = Vec::new();
    keys.extend(c.snapshot.blocks.iter().map(|r| (keys::key_of(names, r), r.meta)));
    keys.extend(c.snapshot.handles.iter().map(|r| (keys::key_of(names, r), r.meta())));
    keys.extend(c.snapshot.affinities.iter().map(|r| (keys::key_of(names, r), r.meta)));
    keys.extend(c.snapshot.endpoints.iter().map(|r| (keys::key_of(names, r), r.meta())));
    keys.extend(c.snapshot.calico_nodes.iter().map(|r| (keys::key_of(names, r), r.meta)));
    let etcd = Some(PastEtcd { revision: 1000, cluster_id: 7, ..PastEtcd::default() });
    let keys = keys.into_iter().collect();
    c.past = Some(Past { audits: 1, pair_known: true, etcd, keys, ..Past::default() });
    c
}

fn past(c: &mut Cluster) -> &mut Past {
    c.past.as_mut().unwrap()
}

#[test]
fn clean_gives_nothing() {
    assert!(known().find(&CHECK).is_empty());
}

#[test]
fn an_older_revision_or_another_cluster() {
    let mut c = known();
    c.snapshot.etcd.revision = 999;
    let found = c.find(&CHECK);
    assert_eq!((found.len(), found[0].subject.id.raw()), (1, "guid-1"));
    assert_eq!(found[0].summary, "etcd is at revision 999, the last complete audit saw 1000");
    let mut c = known();
    c.snapshot.etcd.cluster_id = 8;
    assert_eq!(c.find(&CHECK)[0].summary, "etcd is another cluster than at the last complete audit");
    let mut c = known();
    c.snapshot.etcd.cluster_id = 0;
    assert!(c.find(&CHECK).is_empty(), "an unknown id is no other one");
}

/// Writes have overtaken the restore: the revision is higher, and what it says is not what was recorded.
#[test]
fn the_fork_test_sees_a_restore_that_was_overtaken() {
    for change in [
        (|c: &mut Cluster| c.snapshot.blocks[0].meta.value_hash += 1) as fn(&mut Cluster),
        |c| c.first_handle().meta.mod_revision -= 1,
        |c| c.snapshot.affinities[0].meta.mod_revision += 1,
        |c| c.snapshot.calico_nodes[0].meta.value_hash += 1,
        |c| past(c).keys.remove(b"/calico/ipam/v2/handle/ipip-tunnel-addr-node-1"),
    ] {
        let mut c = known();
        c.snapshot.etcd.revision = 2000;
        change(&mut c);
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].summary, "1 key is not what the last complete audit recorded at these revisions");
    }
}

#[test]
fn a_value_that_does_not_decode_is_tested_by_its_revision() {
    let mut c = known();
    let bad = crate::checks::testing::undecodable_block("10.65.9.0/26");
    let (key, meta) = (bad.key.clone(), Meta { mod_revision: bad.mod_revision, ..Meta::default() });
    c.snapshot.bad_values.push(bad);
    assert_eq!(c.find(&CHECK).len(), 1, "at that revision there was no such key");
    past(&mut c).keys.insert(&key, meta);
    assert!(c.find(&CHECK).is_empty(), "the same");
    past(&mut c).keys.insert(&key, Meta { mod_revision: meta.mod_revision + 1, ..meta });
    assert_eq!(c.find(&CHECK).len(), 1);
}

/// What did not decode in one of the two audits (a value, or the ipaudit that read it) is the same by its revision.
#[test]
fn undecodable_in_one_of_two_audits_is_neither_a_fork_nor_hides_one() {
    for (then, is_fork) in [(0, false), (1, true), (-1, true)] {
        let mut c = known();
        let meta = c.snapshot.blocks[0].meta;
        let key = keys::key_of(&c.snapshot.names, &c.snapshot.blocks[0]);
        let recorded = Meta { mod_revision: meta.mod_revision + then, value_hash: 0, ..meta };
        past(&mut c).keys.insert(&key, recorded);
        assert_eq!(c.find(&CHECK).len(), usize::from(is_fork), "it did not decode then: {then}");
        // The other way round: recorded whole, now it does not decode.
        let mut c = known();
        past(&mut c).keys.insert(&key, Meta { mod_revision: meta.mod_revision + then, ..meta });
        c.snapshot.blocks.remove(0);
        let mut bad = crate::checks::testing::undecodable_block("10.65.0.0/26");
        (bad.key, bad.mod_revision) = (key, meta.mod_revision);
        c.snapshot.bad_values.push(bad);
        assert_eq!(c.find(&CHECK).len(), usize::from(is_fork), "it does not decode now: {then}");
    }
}

/// Settings and pools are not kept by key.
#[test]
fn an_undecodable_pool_is_no_fork() {
    let mut c = known();
    let mut bad = crate::checks::testing::undecodable_block("10.65.9.0/26");
    (bad.input, bad.key) = (crate::model::Input::Pools, b"/calico/resources/v3/projectcalico.org/ippools/x".to_vec());
    c.snapshot.bad_values.push(bad);
    assert!(c.find(&CHECK).is_empty());
}

/// A node that was renamed, a key in another spelling: written since, so it has a later revision.
#[test]
fn a_key_of_another_name_at_an_old_revision_is_a_fork() {
    let mut c = known();
    let renamed = c.snapshot.names.intern("renamed");
    c.snapshot.calico_nodes[0].name = renamed;
    assert_eq!(c.find(&CHECK).len(), 1);
    let nodes = &mut c.snapshot.calico_nodes;
    nodes.iter_mut().find(|n| n.name == renamed).unwrap().meta.mod_revision = 1001;
    c.snapshot.etcd.revision = 1001;
    assert!(c.find(&CHECK).is_empty());
}

#[test]
fn keys_written_since_or_deleted_since_are_no_fork() {
    let mut c = known();
    c.snapshot.etcd.revision = 2000;
    let meta = &mut c.snapshot.blocks[0].meta;
    (meta.mod_revision, meta.version, meta.value_hash) = (1001, meta.version + 1, meta.value_hash + 1);
    c.snapshot.handles.pop();
    assert!(c.find(&CHECK).is_empty());
}

#[test]
fn the_pods_to_restart_are_listed_by_node() {
    let mut c = known();
    c.snapshot.etcd.revision = 500;
    c.remove_endpoint("web-3");
    c.remove_endpoint("web-0");
    let found = c.find(&CHECK);
    assert_eq!(found[0].advice, "restart 2 pods without endpoint, node by node");
    assert_eq!(found[0].next, ["kubectl -n shop delete pod web-0", "kubectl -n shop delete pod web-3"]);
}

#[test]
fn a_source_without_revisions_and_a_past_without_a_complete_audit_say_nothing() {
    let mut c = known();
    c.snapshot.etcd.revision = 0;
    assert!(c.find(&CHECK).is_empty());
    let mut c = known();
    c.snapshot.etcd.revision = 1;
    past(&mut c).etcd = None;
    assert!(c.find(&CHECK).is_empty());
}
/// As [`known`], a minute later at a later revision and the same term, with one block written once more.
fn went_on() -> Cluster {
    let mut c = known();
    let start = Time(1_700_000_000_000_000_000);
    let etcd = past(&mut c).etcd.as_mut().unwrap();
    (etcd.raft_term, etcd.started) = (5, Some(start));
    let now = &mut c.snapshot.etcd;
    (now.revision, now.raft_term, now.read_at) = (1010, 5, Some(Time(start.0 + 60_000_000_000)));
    let meta = &mut c.snapshot.blocks[0].meta;
    (meta.mod_revision, meta.version, meta.value_hash) = (1005, meta.version + 1, meta.value_hash + 1);
    c
}

fn summary(c: &mut Cluster) -> String {
    let found = c.find(&CHECK);
    assert_eq!(found.len(), 1);
    found[0].summary.raw().to_owned()
}

#[test]
fn a_restart_an_election_and_another_member_say_nothing() {
    assert!(went_on().find(&CHECK).is_empty());
    let mut c = went_on();
    (c.snapshot.etcd.raft_term, c.snapshot.etcd.member_id) = (9, 77);
    assert!(c.find(&CHECK).is_empty());
}

#[test]
fn a_smaller_raft_term_is_a_restore() {
    let mut c = went_on();
    c.snapshot.etcd.raft_term = 2;
    assert_eq!(summary(&mut c), "etcd's raft term is 2, the last complete audit saw 5");
}

/// An upgrade by snapshot is a restore that lost nothing when nothing was written between the two audits.
#[test]
fn a_smaller_term_is_silent_only_at_the_same_revision_with_every_key_as_recorded() {
    let quiet = || {
        let mut c = known();
        past(&mut c).etcd.as_mut().unwrap().raft_term = 5;
        c.snapshot.etcd.raft_term = 2;
        c
    };
    assert!(quiet().find(&CHECK).is_empty());
    for change in [
        (|c: &mut Cluster| c.snapshot.etcd.revision += 1) as fn(&mut Cluster),
        |c| drop(c.snapshot.handles.pop()),
        |c| c.snapshot.coverage.set(Input::Handles, InputState::Forbidden, "no right"),
        |c| c.snapshot.blocks[0].meta.value_hash += 1,
    ] {
        let mut c = quiet();
        change(&mut c);
        assert_eq!(c.find(&CHECK).len(), 1);
    }
}

#[test]
fn a_key_that_was_written_since_and_did_not_grow_in_version_is_a_restore() {
    let mut c = went_on();
    c.snapshot.blocks[0].meta.version -= 1;
    assert_eq!(summary(&mut c), "1 key was written since the last complete audit, and its version did not grow");
    let mut c = went_on();
    c.snapshot.blocks[0].meta.create_revision = 1004;
    c.snapshot.blocks[0].meta.version = 1;
    assert!(c.find(&CHECK).is_empty(), "deleted and made anew it begins anew");
}

#[test]
fn a_sequence_number_that_fell_among_calicos_own_is_a_restore_and_else_it_is_not() {
    const CALICOS: u64 = 1_700_000_000_000_000_123;
    for (now, then, other_block, is_restore) in [
        (Some(CALICOS), CALICOS + 1, false, true),
        (Some(1_000_000_000_000_000_000), CALICOS, false, true),
        (Some(999_999_999_999_999_999), CALICOS, false, false),
        (Some(7), 9, false, false),
        (None, CALICOS, false, false),
        (Some(CALICOS), CALICOS, false, false),
        (Some(CALICOS), CALICOS + 1, true, false),
    ] {
        let mut c = went_on();
        c.snapshot.blocks[0].sequence = now;
        let (cidr, created) = (c.snapshot.blocks[0].cidr, c.snapshot.blocks[0].meta.create_revision);
        let create_revision = created - i64::from(other_block);
        past(&mut c).block_sequences.insert(cidr, BlockSequence { create_revision, highest: then });
        let found = c.find(&CHECK);
        assert_eq!(found.len(), usize::from(is_restore), "{now:?} after {then}");
        let says = format!("the sequence number of block {cidr} fell from {then} to {}", now.unwrap_or(0));
        assert!(found.iter().all(|f| f.summary == says), "{found:?}");
    }
}

#[test]
fn a_revision_that_grew_faster_than_etcd_writes_is_a_bump() {
    let mut c = went_on();
    c.snapshot.etcd.revision = 1000 + 600_000;
    assert!(c.find(&CHECK).is_empty());
    c.snapshot.etcd.revision += 1;
    let says = "etcd's revision grew by 600001 within 1m, faster than etcd can write";
    assert_eq!(summary(&mut c), says);
    c.snapshot.etcd.read_at = None;
    assert!(c.find(&CHECK).is_empty(), "under --now nobody knows how much time went by");
}

#[test]
fn every_sign_is_in_the_evidence() {
    let mut c = went_on();
    c.snapshot.etcd.raft_term = 2;
    c.snapshot.etcd.revision = 1_000_000_000;
    c.snapshot.blocks[0].meta.version -= 1;
    let found = c.find(&CHECK);
    let Some(Fact::List(signs)) = found[0].evidence.get("signs") else { panic!("{:?}", found[0].evidence) };
    assert_eq!(signs.len(), 3, "{signs:?}");
    assert_eq!(found[0].evidence.get("raft_term_before"), Some(&Fact::Sequence(5)));
}
