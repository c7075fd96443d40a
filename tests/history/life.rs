//! The life of findings over many audits: since when, back again, how it ended, and what an audit could not see.

use std::path::{Path, PathBuf};

use ipaudit::history::{Db, PATIENCE};
use serde_json::{Value, json};

use super::{HOUR, audit, command, folder, history, later, number, whole};
use crate::servers::command::{ipaudit, json as parsed, stderr};
use crate::servers::golden::{Case, Moment};
use crate::servers::{self, Etcd, EtcdVersion};

/// `leaked-pods` in an etcd of its own.
struct Scene {
    etcd: Etcd,
    moment: Moment,
    folder: tempfile::TempDir,
    db: PathBuf,
}

impl Scene {
    fn new() -> Scene {
        let etcd = Etcd::start(EtcdVersion::V3_7);
        let moment = Case::load("leaked-pods").moments.remove(0);
        moment.load_into(&etcd);
        let (folder, db) = folder();
        Scene { etcd, moment, folder, db }
    }

    fn audit(&self, hours: i64) -> Value {
        audit(&self.db, &self.etcd, &self.moment, &later(&self.moment, hours * HOUR))
    }

    /// The same with other flags.
    fn audit_with(&self, hours: i64, more: &[&str]) -> Value {
        self.audit_after(hours * HOUR, more)
    }

    fn audit_after(&self, seconds: i64, more: &[&str]) -> Value {
        let now = later(&self.moment, seconds);
        let output = command(&self.db, &self.etcd, &self.moment, &now).args(more).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{}", stderr(&output));
        parsed(&output)
    }

    /// Kubernetes' objects as they are after `change`, as another file.
    fn change_objects(&mut self, change: impl FnOnce(&mut Vec<Value>)) {
        let mut cluster = self.moment.cluster.clone();
        change(cluster["items"].as_array_mut().unwrap());
        let file =
            self.folder.path().join(format!("objects-{}.json", self.moment.cluster["items"].as_array().unwrap().len()));
        std::fs::write(&file, serde_json::to_vec(&cluster).unwrap()).unwrap();
        self.moment.cluster_file = file;
    }

    fn text(&self, what: &str) -> String {
        rusqlite::Connection::open(&self.db).unwrap().query_row(what, [], |row| row.get(0)).unwrap()
    }
}

/// The finding of this code about this subject.
fn find<'a>(document: &'a Value, code: &str, subject: &str) -> Option<&'a Value> {
    let findings = document["findings"].as_array().unwrap();
    findings.iter().find(|f| f["code"] == code && f["subject"]["id"] == subject)
}

fn a_leak(document: &Value) -> String {
    let findings = document["findings"].as_array().unwrap();
    let leak = findings.iter().find(|f| f["code"] == "IPA110").unwrap();
    leak["subject"]["id"].as_str().unwrap().to_owned()
}

fn handle_of(document: &Value, address: &str) -> String {
    find(document, "IPA110", address).unwrap()["evidence"]["ipam"]["handle"].as_str().unwrap().to_owned()
}

/// Frees one address in its block, as Calico would: the ordinal to the end of the queue, its attribute away.
fn free(etcd: &Etcd, address: &str) -> (Vec<u8>, Vec<u8>) {
    let blocks = etcd.list("/calico/ipam/v2/assignment/");
    let address: std::net::Ipv4Addr = address.parse().unwrap();
    for (key, value) in blocks {
        let mut block: Value = serde_json::from_slice(&value).unwrap_or_default();
        let Some((first, bits)) = block["cidr"].as_str().and_then(|c| c.split_once('/')) else { continue };
        let (Ok(first), Ok(bits)) = (first.parse::<std::net::Ipv4Addr>(), bits.parse::<u32>()) else { continue };
        let ordinal = u32::from(address).wrapping_sub(u32::from(first));
        if ordinal >= 1 << (32 - bits) {
            continue;
        }
        let index = block["allocations"][ordinal as usize].as_u64().unwrap();
        let allocations = block["allocations"].as_array_mut().unwrap();
        allocations[ordinal as usize] = Value::Null;
        for slot in allocations.iter_mut().filter(|s| s.as_u64().is_some_and(|n| n > index)) {
            *slot = (slot.as_u64().unwrap() - 1).into();
        }
        block["attributes"].as_array_mut().unwrap().remove(index as usize);
        block["unallocated"].as_array_mut().unwrap().push(ordinal.into());
        block["sequenceNumberForAllocation"].as_object_mut().map(|m| m.remove(&ordinal.to_string()));
        let number = block["sequenceNumber"].as_u64().unwrap();
        block["sequenceNumber"] = (number + 1).into();
        etcd.put(key.clone(), serde_json::to_vec(&block).unwrap());
        return (key, value);
    }
    panic!("no block holds {address}");
}

#[test]
fn a_finding_goes_and_comes_back_and_its_allocation_has_two_uncertain_ends() {
    servers::need!(Etcd3_7);
    let scene = Scene::new();
    let first = scene.audit(0);
    let leak = a_leak(&first);
    scene.audit(1);
    let (key, value) = free(&scene.etcd, &leak);
    let third = scene.audit(2);
    assert!(find(&third, "IPA110", &leak).is_none());
    assert!(third["history"]["resolved"].as_u64().unwrap() >= 1, "{}", third["history"]);
    scene.etcd.put(key, value);
    let fourth = scene.audit(3);
    let back = find(&fourth, "IPA110", &leak).unwrap();
    assert_eq!((&back["episode"], &back["audits_seen"]), (&2.into(), &1.into()));
    assert_eq!(back["first_seen"], later(&scene.moment, 3 * HOUR));
    assert!(fourth["history"]["came_back"].as_u64().unwrap() >= 1);
    let episode = "FROM finding WHERE code = 110 AND episode = 1 AND subject = ";
    assert_eq!(scene.text(&format!("SELECT ending {episode} '{leak}'")), "resolved");
    assert_eq!(number(&scene.db, &format!("SELECT audits_seen {episode} '{leak}'")), 2);
    // The same tuple lies in two intervals: seen in audits 1 and 2, not in 3, seen in 4.
    let db = Db::open_to_read(&scene.db, PATIENCE).unwrap();
    let whose = ipaudit::history::query::Whose::Address(leak.parse().unwrap());
    let intervals = db.read().unwrap().allocations(1, &whose).unwrap();
    let ends: Vec<_> = intervals
        .iter()
        .map(|i| {
            let s = &i.span;
            (
                s.not_seen_before.map(|a| a.audit),
                s.first_seen.audit,
                s.last_seen.audit,
                s.not_seen_after.map(|a| a.audit),
            )
        })
        .collect();
    assert_eq!(ends, [(None, 1, 2, Some(3)), (Some(3), 4, 4, None)], "{intervals:?}");
    assert_eq!(intervals[0].row.changes, Some(1));
    whole(&scene.db);
}

/// Pods cannot be read: no finding is closed, none is new, and the next audit goes on as if nothing had been.
#[test]
fn what_was_not_read_closes_nothing() {
    servers::need!(Etcd3_7);
    let mut scene = Scene::new();
    let first = scene.audit(0);
    let leak = a_leak(&first);
    let complete = scene.moment.clone();
    scene.change_objects(|items| items.retain(|item| item["kind"] != "Pod"));
    let second = scene.audit(1);
    assert!(find(&second, "IPA110", &leak).is_none());
    assert_eq!((&second["history"]["resolved"], &second["exit_code"]), (&0.into(), &3.into()));
    let db = Db::open_to_read(&scene.db, PATIENCE).unwrap();
    let about = ipaudit::history::query::About { subjects: vec![leak.clone()], ..Default::default() };
    let open = db.read().unwrap().findings_about(1, &about).unwrap();
    let open = open.iter().find(|f| f.finding.code.0 == 110).unwrap();
    assert_eq!(open.ending, ipaudit::model::row::Ending::InputMissing);
    assert_eq!((open.audits_seen, open.last_seen.audit), (1, 1));
    drop(db);
    scene.moment = complete;
    let third = scene.audit(2);
    let leak = find(&third, "IPA110", &leak).unwrap();
    assert_eq!((&leak["audits_seen"], &leak["episode"]), (&2.into(), &1.into()), "two of three audits saw it");
    assert_eq!(leak["first_seen"], later(&scene.moment, 0));
    assert_eq!(number(&scene.db, "SELECT count(*) FROM allocation WHERE last_seen IS NOT NULL"), 0);
    assert_eq!(number(&scene.db, "SELECT count(*) FROM pod_address WHERE last_seen IS NOT NULL"), 0);
}

/// A block that does not decode hides its leaks: they are neither seen nor over.
#[test]
fn what_does_not_decode_hides_and_does_not_end() {
    servers::need!(Etcd3_7);
    let scene = Scene::new();
    let first = scene.audit(0);
    let leak = a_leak(&first);
    let (key, value) = free(&scene.etcd, &leak);
    scene.etcd.put(key.clone(), &b"{\"cidr\":"[..]);
    for hours in [1, 2] {
        let dark = scene.audit(hours);
        assert!(find(&dark, "IPA110", &leak).is_none());
    }
    let what = format!("SELECT count(*) FROM finding WHERE code = 110 AND subject = '{leak}' AND ended IS NULL");
    assert_eq!(number(&scene.db, &what), 1, "not over");
    assert_eq!(number(&scene.db, "SELECT count(*) FROM allocation WHERE last_seen IS NOT NULL"), 0);
    scene.etcd.put(key, value);
    let again = scene.audit(3);
    let seen = find(&again, "IPA110", &leak).unwrap();
    assert_eq!((&seen["audits_seen"], &seen["episode"]), (&2.into(), &1.into()), "two of four audits saw it");
    whole(&scene.db);
}

/// What an earlier audit recorded unchanged needs no second look: an audit that comes later than the settle time is there
/// at once, and what it says of the leak is confirmed. (After the grace a node that is gone would be a new finding.)
#[test]
fn an_earlier_audit_is_the_first_look() {
    servers::need!(Etcd3_7);
    let scene = Scene::new();
    let first = scene.audit_with(0, &["--settle", "0"]);
    let leak = a_leak(&first);
    let state = |d: &Value| find(d, "IPA110", &leak).unwrap()["state"].clone();
    assert_eq!(state(&first), "unconfirmed");
    let second = scene.audit_after(120, &["--settle", "1m"]);
    assert_eq!(state(&second), "confirmed");
    assert_eq!(find(&second, "IPA110", &leak).unwrap()["audits_seen"], 2);
    let db = Db::open_to_read(&scene.db, PATIENCE).unwrap();
    let handle = handle_of(&first, &leak);
    let whose = ipaudit::history::query::Whose::Handle(handle.clone());
    let db = db.read().unwrap();
    let allocation = &db.allocations(1, &whose).unwrap()[0].row;
    let tuple = ipaudit::model::AllocationTuple {
        address: leak.parse().unwrap(),
        handle: Some(handle),
        sequence: allocation.sequence,
        block_create_revision: allocation.block_create_revision,
    };
    let seen = db
        .address_observations(
            &db.watch(1, ipaudit::model::Time(i64::MAX)).unwrap(),
            ipaudit::model::Code(110),
            &tuple,
            "node-1",
        )
        .unwrap();
    assert_eq!(seen.unwrap().audits, 1, "an unconfirmed sight is no observation: {seen:?}");
    let other = ipaudit::model::AllocationTuple { sequence: Some(1), ..tuple.clone() };
    assert_eq!(
        db.address_observations(
            &db.watch(1, ipaudit::model::Time(i64::MAX)).unwrap(),
            ipaudit::model::Code(110),
            &other,
            "node-1"
        )
        .unwrap(),
        None
    );
}

#[test]
fn exclusive_is_remembered_until_auto_is_said() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let moment = Case::load("two-clusters").moments.remove(0);
    moment.load_into(&etcd);
    let (_folder, db) = folder();
    let scope = |hours: i64, more: &[&str]| {
        let output = command(&db, &etcd, &moment, &later(&moment, hours * HOUR)).args(more).output().unwrap();
        parsed(&output)["audit"]["scope"].as_str().unwrap().to_owned()
    };
    assert_eq!(scope(0, &[]), "shared");
    assert_eq!(scope(1, &["--scope", "exclusive"]), "exclusive");
    assert_eq!(scope(2, &[]), "exclusive");
    assert_eq!(scope(3, &["--scope", "auto"]), "shared");
    assert_eq!(scope(4, &[]), "shared");
    let endings = "SELECT count(*) FROM finding WHERE ended IS NOT NULL AND ending <> 'rule changed'";
    assert_eq!(number(&db, endings), 0, "another scope judges otherwise: nothing of the cluster has changed");
    assert!(number(&db, "SELECT count(*) FROM finding WHERE ending = 'rule changed'") > 0);
}

/// A leak that a release of ours has taken away did not go by itself.
#[test]
fn what_we_released_is_said_to_be_released() {
    servers::need!(Etcd3_7);
    use ipaudit::model::release::{Conclusion, Intent, NewRelease, StepOutcome};
    let scene = Scene::new();
    let leak = a_leak(&scene.audit(0));
    let now = ipaudit::model::Time(i64::MAX / 2);
    let mut db = Db::open_to_write(&scene.db, Default::default(), PATIENCE).unwrap();
    let asked = NewRelease { asked: "{}".to_owned(), started: now, plan: "{}".to_owned(), ..NewRelease::default() };
    let release = db.begin_release(1, &asked).unwrap();
    let subjects = vec![(ipaudit::model::SubjectKind::Address, leak.as_str().into())];
    let step = db.intend(release, &Intent { subjects, ..Intent::default() }, now).unwrap();
    assert_eq!(db.read().unwrap().unsettled_releases(1).unwrap().len(), 1);
    db.settle(step, StepOutcome::Applied, Some(9), "", now).unwrap();
    db.finish_release(release, Conclusion::Done, now).unwrap();
    assert!(db.read().unwrap().unsettled_releases(1).unwrap().is_empty());
    drop(db);
    free(&scene.etcd, &leak);
    scene.audit(1);
    let ending = format!("SELECT ending FROM finding WHERE code = 110 AND subject = '{leak}'");
    assert_eq!(scene.text(&ending), "released");
}

/// Two clusters in one file never meet; an audit of which nobody can say whose it is closes nothing.
#[test]
fn clusters_in_one_file_are_kept_apart() {
    servers::need!(Etcd3_7);
    let mut scene = Scene::new();
    let first = scene.audit(0);
    let leak = a_leak(&first);
    let open = number(&scene.db, "SELECT count(*) FROM finding WHERE ended IS NULL");
    let other = Case::load("crash-between-writes").moments.remove(0);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    other.load_into(&etcd);
    let document = audit(&scene.db, &etcd, &other, &later(&other, 0));
    assert_eq!(document["history"]["ongoing"], 0);
    assert_eq!(number(&scene.db, "SELECT count(*) FROM finding WHERE pair = 1 AND ended IS NULL"), open);
    // The service that names the cluster is not there: the only known pair of this datastore is meant.
    let complete = scene.moment.clone();
    scene.change_objects(|items| items.retain(|item| item["metadata"]["name"] != "kubernetes"));
    let third = scene.audit(1);
    assert_eq!(find(&third, "IPA110", &leak).unwrap()["audits_seen"], 2);
    // And under a second name it is the same cluster, which then is known by both.
    scene.moment = complete;
    scene.change_objects(|items| {
        items.push(json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"aaaaaaaa-0000-4000-8000-000000000001"}}));
    });
    let fourth = scene.audit(2);
    assert_eq!(find(&fourth, "IPA110", &leak).unwrap()["audits_seen"], 3);
    assert_eq!(number(&scene.db, "SELECT count(*) FROM alias WHERE pair = 1"), 2);
    scene.change_objects(|items| {
        items.retain(|item| item["metadata"]["name"] != "kubernetes");
        items.push(json!({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"aaaaaaaa-0000-4000-8000-000000000001"}}));
    });
    let fifth = scene.audit(3);
    assert_eq!(find(&fifth, "IPA110", &leak).unwrap()["audits_seen"], 4);
    whole(&scene.db);
}

#[test]
fn nobody_can_say_which_cluster_it_is() {
    servers::need!(Etcd3_7);
    let mut scene = Scene::new();
    scene.change_objects(|items| items.retain(|item| item["metadata"]["name"] != "kubernetes"));
    let first = scene.audit(0);
    let leak = a_leak(&first);
    assert_eq!(number(&scene.db, "SELECT count(*) FROM pair WHERE apart = 1"), 1);
    free(&scene.etcd, &leak);
    let second = scene.audit(1);
    assert_eq!(second["history"]["resolved"], 0, "kept apart, it closes nothing");
    assert_eq!(number(&scene.db, "SELECT count(*) FROM allocation WHERE last_seen IS NOT NULL"), 0);
    // Without ClusterInformation the datastore has no name: told, not recorded.
    scene.etcd.delete_prefix("/calico/resources/v3/projectcalico.org/clusterinformations/");
    let third = scene.audit(2);
    assert_eq!((&third["audit"]["id"], &third["history"]), (&Value::Null, &Value::Null));
    assert_eq!(number(&scene.db, "SELECT count(*) FROM audit"), 2);
}

/// The fork test on a datastore that is really restored, also when writes have overtaken the backup.
#[test]
fn a_restored_etcd_is_found_out_though_writes_have_overtaken_it() {
    servers::need!(Etcd3_7);
    let scene = Scene::new();
    let backup = scene.etcd.snapshot_save();
    let first = scene.audit(0);
    let leak = a_leak(&first);
    free(&scene.etcd, &leak);
    let saw = scene.audit(1);
    assert!(find(&saw, "IPA110", &leak).is_none());
    let revision = saw["audit"]["etcd_revision"].as_i64().unwrap();
    scene.etcd.restore(&backup);
    while scene.etcd.revision() <= revision {
        scene.etcd.put("/another/tenant", "writes");
    }
    let third = scene.audit(2);
    let forks = third["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "IPA903").count();
    assert_eq!(forks, 1, "{third}");
    assert_eq!(number(&scene.db, "SELECT epoch FROM pair"), 2);
    let fourth = scene.audit(3);
    let forks = fourth["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "IPA903").count();
    assert_eq!(forks, 0, "told once; what follows is the new epoch");
    whole(&scene.db);
}

#[test]
fn prune_shows_before_it_does_and_export_has_every_row() {
    servers::need!(Etcd3_7);
    let scene = Scene::new();
    let leak = a_leak(&scene.audit(0));
    free(&scene.etcd, &leak);
    (1..8).for_each(|hours| drop(scene.audit(hours)));
    let audits = |db: &Path| number(db, "SELECT count(*) FROM audit");
    // By the real clock everything is of this minute; with `--keep 0s` all of it is old.
    let shown = history(&scene.db, &["prune", "--keep", "0s"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("--yes does it"), "{text}{}", stderr(&shown));
    let open = number(&scene.db, "SELECT count(*) FROM finding WHERE ended IS NULL");
    assert_eq!(audits(&scene.db), 8);
    let done = history(&scene.db, &["prune", "--keep", "0s", "--yes"]);
    assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
    assert_eq!(number(&scene.db, "SELECT count(*) FROM finding WHERE ended IS NULL"), open, "open findings stay");
    assert_eq!(number(&scene.db, "SELECT count(*) FROM finding WHERE ended IS NOT NULL"), 0);
    let left = audits(&scene.db);
    assert!(left < 6, "{left} audits are left");
    let again = scene.audit(8);
    let kept = again["findings"].as_array().unwrap().iter().find(|f| f["code"] == "IPA110").unwrap();
    assert_eq!(kept["audits_seen"], 9, "audits that went are still counted");

    whole(&scene.db);
    let output = history(&scene.db, &["export"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for table in ipaudit::history::export::TABLES {
        let exported = lines.iter().filter(|l| l["table"] == *table).count() as i64;
        assert_eq!(exported, number(&scene.db, &format!("SELECT count(*) FROM {table}")), "{table}");
    }
    let tables = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let count = ipaudit::history::export::TABLES.len() as i64;
    assert_eq!(number(&scene.db, tables), count + 2, "every table but the texts, which stand in the others' rows");
    let allocation = lines.iter().find(|l| l["table"] == "allocation").unwrap();
    assert!(allocation["address"].as_str().unwrap().parse::<std::net::IpAddr>().is_ok(), "{allocation}");
}

/// A capture is seldom the newest word about its cluster: only a typed `--db` records it.
#[test]
fn a_capture_is_recorded_only_when_the_file_is_named() {
    servers::need!(Etcd3_7);
    let scene = Scene::new();
    let file = scene.folder.path().join("capture");
    let mut command = ipaudit();
    command.args(["capture", "--settle", "100ms", "--etcd-endpoints", &scene.etcd.endpoint(), "-f"]).arg(&file);
    command.arg("--kube-objects").arg(&scene.moment.cluster_file);
    assert_eq!(command.output().unwrap().status.code(), Some(0));
    let from = || {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "-o", "json", "--from"]).arg(&file);
        command
    };
    let output = from().env("IPAUDIT_DB", &scene.db).output().unwrap();
    assert_eq!(parsed(&output)["audit"]["id"], Value::Null);
    assert!(!scene.db.exists());
    let output = from().arg("--db").arg(&scene.db).output().unwrap();
    assert_eq!(parsed(&output)["audit"]["id"], 1);
}
