//! What happens to an etcd that lives on: nothing of it is a restore (IPA903), on etcd 3.4 and 3.7.

use std::process::Stdio;

use serde_json::Value;

use super::servers::etcd_cluster::EtcdCluster;
use super::servers::golden::{Case, Moment};
use super::servers::{self, EtcdVersion};

struct Scene {
    cluster: EtcdCluster,
    moment: Moment,
    folder: tempfile::TempDir,
    audits: u64,
}

impl Scene {
    fn new(version: EtcdVersion) -> Scene {
        let moment = Case::load("leaked-pods").moments.remove(0);
        let cluster = EtcdCluster::start(version);
        cluster.put_many(&moment.keys);
        let mut scene = Scene { cluster, moment, folder: tempfile::tempdir().unwrap(), audits: 0 };
        scene.is_the_same_etcd("the first audit", false);
        scene
    }

    /// An audit by real time: nothing went back, and no epoch began. With `writes`, every key was written once before.
    #[track_caller]
    fn is_the_same_etcd(&mut self, after: &str, writes: bool) {
        let endpoints = self.cluster.endpoints();
        let term = self.audit_by(&endpoints, after, writes);
        assert!(term >= Some(2), "the term is kept: {term:?}");
    }

    /// The same, asking these endpoints; the term that was recorded.
    #[track_caller]
    fn audit_by(&mut self, endpoints: &str, after: &str, writes: bool) -> Option<i64> {
        if writes {
            self.cluster.put_many(&self.moment.keys);
        }
        let mut command = servers::command::ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").stdin(Stdio::null());
        command.args(["audit", "--settle", "0", "-o", "json", "--etcd-endpoints", endpoints]);
        command.arg("--kube-objects").arg(&self.moment.cluster_file);
        command.arg("--db").arg(self.folder.path().join("history.db"));
        let output = command.output().unwrap();
        let document: Value = servers::command::json(&output);
        self.audits += 1;
        assert_eq!(document["audit"]["id"], self.audits, "{after}: {}", servers::command::stderr(&output));
        let restored = |f: &&Value| f["code"] == "IPA903";
        let found = document["findings"].as_array().unwrap().iter().find(restored);
        assert!(found.is_none(), "after {after}: {found:?}");
        let db = rusqlite::Connection::open(self.folder.path().join("history.db")).unwrap();
        let number = |what: &str| db.query_row(what, [], |row| row.get::<_, Option<i64>>(0)).unwrap();
        assert_eq!(number("SELECT epoch FROM pair"), Some(1), "after {after}");
        number("SELECT raft_term FROM audit ORDER BY id DESC LIMIT 1")
    }

    fn after(&mut self, what: &str, happens: impl FnOnce(&mut EtcdCluster)) {
        happens(&mut self.cluster);
        self.is_the_same_etcd(what, false);
        self.is_the_same_etcd(what, true);
    }
}

fn nothing_of_one_life_is_a_restore(version: EtcdVersion) {
    let mut scene = Scene::new(version);
    let term = scene.cluster.raft_term();
    scene.after("a compaction", |c| c.compact());
    scene.after("a defragmentation", |c| c.defragment());
    scene.after("an election", |c| c.move_leader());
    scene.after("the leader's death and its return", |c| c.lose_the_leader());
    assert!(scene.cluster.raft_term() > term, "an election has another term");
    scene.after("a replaced member", |c| c.replace_a_member());
    scene.after("a learner", |c| c.add_a_learner());
}

/// A member that caught up by the leader's snapshot tells the term of before, until somebody writes: not believed.
fn a_member_that_was_away_is_no_restore(version: EtcdVersion) {
    let mut scene = Scene::new(version);
    let term = scene.cluster.raft_term() as i64;
    scene.cluster.move_leader();
    scene.is_the_same_etcd("an election", true);
    let away = scene.cluster.catch_up_by_snapshot();
    // By another member first, so that the term of now is known.
    let others: Vec<String> = scene.cluster.members.iter().map(|m| m.endpoint()).filter(|e| *e != away).collect();
    assert!(scene.audit_by(&others.join(","), "its absence, by the others", false) > Some(term + 1));
    assert_eq!(scene.audit_by(&away, "its return", false), None, "its term is not believed");
    assert!(scene.audit_by(&away, "its return and a write", true) > Some(term + 1), "then it is");
}

#[test]
fn a_member_that_caught_up_by_snapshot_on_3_4() {
    servers::need!(Etcd3_4);
    a_member_that_was_away_is_no_restore(EtcdVersion::V3_4);
}

#[test]
fn a_member_that_caught_up_by_snapshot_on_3_7() {
    servers::need!(Etcd3_7);
    a_member_that_was_away_is_no_restore(EtcdVersion::V3_7);
}

#[test]
fn compaction_defragmentation_election_a_replaced_member_and_a_learner_on_3_4() {
    servers::need!(Etcd3_4);
    nothing_of_one_life_is_a_restore(EtcdVersion::V3_4);
}

#[test]
fn compaction_defragmentation_election_a_replaced_member_and_a_learner_on_3_7() {
    servers::need!(Etcd3_7);
    nothing_of_one_life_is_a_restore(EtcdVersion::V3_7);
}
