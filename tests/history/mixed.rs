//! Histories of schema 1, which named things by a hash that ordinary names share: what it mixed up is named, counts as not
//! seen, and does no harm to what comes after.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipaudit::history::{Db, Journal, PATIENCE, ReadTx, ToWrite};
use ipaudit::model::{AllocationTuple, Code, SubjectKind};
use rusqlite::Connection;

use crate::world::Scene;

const HOUR: Duration = Duration::from_secs(3_600);
/// One number in schema 1.
const ONE: &str = "10.65.27.173";
const OTHER: &str = "10.65.29.103";

/// The file of schema 1 (two audits of [`Scene`]) after `change`.
fn old(folder: &tempfile::TempDir, change: &str) -> PathBuf {
    let path = folder.path().join("history.db");
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/old_histories/v1.db"), &path).unwrap();
    Connection::open(&path).unwrap().execute_batch(change).unwrap();
    path
}

/// The cluster of that file, two hours after it began.
fn scene() -> Scene {
    let mut scene = Scene::of(3, 2);
    scene.replace_a_pod();
    scene.settle();
    scene.later(2 * HOUR);
    scene
}

/// One more audit; two addresses that were leaked in all three; in the file are both allocations, and one finding
/// that was now the one's, now the other's.
fn two_leaks() -> String {
    let hex = |text: &str| text.split('.').map(|n| format!("{:02x}", n.parse::<u8>().unwrap())).collect::<String>();
    let allocation = |address: &str, number: u64, tuple: i64| {
        format!(
            "INSERT INTO allocation SELECT {number}, pair, x'{}', {tuple}, owner, block, block_create_revision, {number}, \
             'k8s-pod-network.gone{number}', use, node, namespace, pod, allocated, more, 0, 1, 1, tuple_since_at, NULL, NULL, \
             NULL FROM allocation WHERE last_seen IS NULL LIMIT 1;",
            hex(address)
        )
    };
    let audits = "INSERT INTO audit SELECT id + 2, pair, epoch, judged + 1, started + 1, duration, api_date, etcd_revision, \
                  compact_revision, cluster_id, member_id, scope, complete, keys, clock_back, tool, about, counts, found, \
                  new, ongoing, came_back, resolved FROM audit WHERE id = 2; ";
    let finding = format!(
        "INSERT INTO finding (id, pair, identity, code, kind, subject, episode, opened, opened_at, stamp, stamp_since, \
         stamp_audit, confirmed_audit, face, severity, state, summary) SELECT 77, pair, 4711, 110, 'address', '{ONE}', 1, 1, \
         opened_at, 5, stamp_since, 1, 1, 5, 'error', 'confirmed', 'gone' FROM finding LIMIT 1; \
         INSERT INTO evidence (finding, first) VALUES (77, '{{}}');"
    );
    let innocent = finding.replace(ONE, "10.65.40.40").replace("77", "78").replace("4711", "4712");
    let allocations = [allocation(ONE, 701, 1), allocation(OTHER, 702, 2), allocation("10.65.40.40", 703, 3)].concat();
    format!("{audits}{allocations}{finding}{innocent}")
}

fn command(db: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = crate::history(db, args);
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

fn migrated(path: &Path) -> Db<ToWrite> {
    Db::open_to_write(path, Journal::Truncate, PATIENCE).unwrap()
}

fn number(path: &Path, what: &str) -> i64 {
    crate::number(path, what)
}

/// How many audits a release may count for the leak of this allocation.
fn observed(db: &ReadTx<'_>, path: &Path, address: &str, number: u64) -> usize {
    let created = format!("SELECT block_create_revision FROM allocation WHERE id = {number}");
    let tuple = AllocationTuple {
        address: address.parse().unwrap(),
        handle: Some(format!("k8s-pod-network.gone{number}")),
        sequence: Some(number),
        block_create_revision: crate::number(path, &created),
    };
    db.address_observations(
        &db.watch(1, ipaudit::model::Time(i64::MAX)).unwrap(),
        ipaudit::model::Code(110),
        &tuple,
        "nowhere",
    )
    .unwrap()
    .map_or(0, |seen| seen.audits as usize)
}

#[test]
fn findings_that_shared_a_number_are_named_and_count_as_not_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = old(&folder, &two_leaks());
    let bytes = std::fs::read(&path).unwrap();
    let (code, says) = command(&path, &["check"]);
    assert_eq!(code, Some(1), "{says}");
    let named = format!("finding 77, IPA110 {ONE}, may hold observations of {OTHER}, with which it shared its number");
    assert!(says.contains(&named) && says.contains(&format!("as {ONE} with {OTHER}")), "{says}");
    assert!(!says.contains("10.65.40.40"), "{says}");
    let db = Db::open_to_read(&path, PATIENCE).unwrap();
    let tx = db.read().unwrap();
    assert_eq!(observed(&tx, &path, "10.65.40.40", 703), 0, "not before it was looked through");
    // Everything else of it is read all the same, by whoever may not write it.
    let past = tx.past(&ipaudit::record::cluster_key(&scene().snapshot.sorted()).unwrap()).unwrap();
    assert_eq!((past.open.iter().count(), past.audits, past.allocations.rows.table().len()), (4, 3, 8));
    assert!(past.etcd.is_some() && !past.keys.knows(b"/calico/ipam/v2/config"));
    drop(tx);
    drop(db);
    assert_eq!(command(&path, &["export"]).0, Some(0));
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "looking changes nothing");

    let db = migrated(&path);
    let tx = db.read().unwrap();
    assert_eq!(tx.check().unwrap(), Vec::<String>::new());
    assert_eq!(observed(&tx, &path, ONE, 701), 0, "nobody can tell whose observations these were");
    assert_eq!(observed(&tx, &path, OTHER, 702), 0);
    assert_eq!(
        observed(&tx, &path, "10.65.40.40", 703),
        2,
        "an address of a number of its own; two of its audits are close together"
    );
    drop(tx);
    drop(db);
    let (code, says) = command(&path, &["check"]);
    assert_eq!(code, Some(0), "{says}");
    assert!(says.contains("whole\n") && says.contains(&named) && says.contains("up to audit 4 it counts as not seen"));
    let backup = folder.path().join("history.db.v1.backup");
    assert_eq!(number(&backup, "SELECT count(*) FROM finding WHERE identity = 4711"), 1, "the copy is as it was");
}

/// Both keys of a pair were in one row, and of an address only one row could be written: that is no fork.
#[test]
fn keys_that_shared_a_row_are_no_restore() {
    // Rows that are not there at all, rows with another key's state.
    let lost = "DELETE FROM key WHERE key GLOB '*assignment*'; \
                UPDATE key SET mod_revision = mod_revision - 1, value_hash = 1 WHERE key GLOB '*/nodes/*'; \
                UPDATE key SET mod_revision = 1 WHERE key GLOB '*workloadendpoints*'; ";
    for (change, epoch) in [
        (lost.to_owned(), 1),
        // Container ids share nothing: of these a restore is seen still.
        (
            format!(
                "{lost}; UPDATE key SET mod_revision = mod_revision - 1 WHERE id = (SELECT min(id) FROM key WHERE key GLOB '*k8s-pod-network*')"
            ),
            2,
        ),
        (format!("{lost}; DELETE FROM key WHERE id = (SELECT min(id) FROM key WHERE key GLOB '*k8s-pod-network*')"), 2),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = old(&folder, &change);
        let mut scene = scene();
        scene.audit(&path, true);
        assert_eq!(number(&path, "SELECT epoch FROM pair"), epoch, "{change}");
        assert_eq!(number(&path, "SELECT keys FROM audit WHERE id = 3"), 1);
        let known = number(&path, "SELECT count(*) FROM key WHERE value_hash <> 0");
        assert_eq!(known, number(&path, "SELECT count(*) FROM key"), "every key stands under its own name now");
        // From here on any key tells.
        scene.later(HOUR);
        let again = scene.audit(&path, true);
        assert_eq!((again.new, number(&path, "SELECT epoch FROM pair")), (0, epoch));
        let one = "UPDATE key SET value_hash = 1 WHERE key = (SELECT min(key) FROM key WHERE key GLOB '*assignment*')";
        assert_eq!(Connection::open(&path).unwrap().execute(one, []).unwrap(), 1);
        scene.later(HOUR);
        scene.audit(&path, true);
        assert_eq!(number(&path, "SELECT epoch FROM pair"), epoch + 1);
    }
}

/// A handle took over the age of another one under the same number: it is as old as its own first sight.
#[test]
fn an_allocation_that_took_over_anothers_age_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let heir = "INSERT INTO allocation SELECT 900, pair, address, tuple, owner, block, block_create_revision, sequence, \
                'ipip-tunnel-addr-a', use, node, namespace, pod, allocated, more, 0, 1, 1, 10, 1, 2, 1 FROM allocation \
                WHERE last_seen IS NULL ORDER BY id LIMIT 1; \
                UPDATE allocation SET first_seen = 2, not_seen_before = 1, tuple_since = 1, tuple_since_at = 10 WHERE id = \
                (SELECT min(id) FROM allocation WHERE last_seen IS NULL);";
    let path = old(&folder, heir);
    let before =
        number(&path, "SELECT count(*) FROM allocation WHERE tuple_since_at = 10 AND tuple_since < first_seen");
    assert_eq!(before, 1);
    drop(migrated(&path));
    assert_eq!(number(&path, "SELECT count(*) FROM allocation WHERE tuple_since < first_seen"), 0);
    let at = "SELECT count(*) FROM allocation l JOIN audit a ON a.id = l.first_seen WHERE l.first_seen = 2 \
              AND l.last_seen IS NULL AND l.tuple_since_at <> a.judged";
    assert_eq!(number(&path, at), 0);
}

/// What a finding rested on is not kept: it is suspect once more, and an orphaned handle is counted anew.
#[test]
fn stamps_of_an_old_history_count_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = old(&folder, "");
    let subject = |path: &Path| -> String {
        let what = "SELECT subject FROM finding WHERE code = 201 ORDER BY id LIMIT 1";
        Connection::open(path).unwrap().query_row(what, [], |row| row.get(0)).unwrap()
    };
    let handle = subject(&path);
    let db = migrated(&path);
    let key = ipaudit::record::cluster_key(&scene().snapshot.sorted()).unwrap();
    let past = db.read().unwrap().past(&key).unwrap();
    assert!(past.open.iter().count() == 2 && past.open.iter().all(|(_, f)| f.stamp.is_none()));
    let orphan = |db: &Db<ToWrite>| {
        let db = db.read().unwrap();
        let past = db.past(&key).unwrap();
        let stamp = past.open.get(Code(201), SubjectKind::Handle, &handle).unwrap().stamp;
        // An unknown stamp is none that anything has now.
        let other = db
            .orphan_observations(&db.watch(1, ipaudit::model::Time(i64::MAX)).unwrap(), Code(201), &handle, 1)
            .unwrap();
        assert!(other.is_none(), "another object of that id");
        db.orphan_observations(
            &db.watch(1, ipaudit::model::Time(i64::MAX)).unwrap(),
            Code(201),
            &handle,
            stamp.unwrap_or(0),
        )
        .unwrap()
        .map_or(0, |seen| seen.audits as usize)
    };
    assert_eq!(orphan(&db), 0);
    drop(db);
    let mut scene = scene();
    for audits in 1..=3 {
        scene.audit(&path, true);
        scene.later(HOUR);
        assert_eq!(orphan(&migrated(&path)), audits);
    }
}

/// Forgotten is not new.
#[test]
fn a_finding_that_comes_back_after_a_prune_is_not_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let (mut with, mut without) = (Scene::of(3, 2), Scene::of(3, 0));
    // Every handle is written anew for each audit, so that nothing here looks like a restore.
    let mut moment = 0;
    let mut audit = |scene: &mut Scene| {
        moment += 1;
        let revision = 100_000 + i64::from(moment);
        for handle in &mut scene.snapshot.handles {
            let mut fields = handle.fields();
            (fields.meta.mod_revision, fields.meta.version) = (revision, revision);
            *handle = fields.into();
        }
        scene.snapshot.etcd.revision = revision;
        let start = Scene::of(1, 0).snapshot.now;
        scene.snapshot.now = start.plus(HOUR * moment);
        scene.audit(&path, true)
    };
    assert_eq!(audit(&mut with).new, 2);
    assert_eq!(audit(&mut without).resolved, 2);
    audit(&mut without);
    let pruned = migrated(&path).prune(without.snapshot.now.plus(HOUR), Duration::ZERO).unwrap();
    assert_eq!(pruned.findings, 2);
    let back = audit(&mut with);
    assert_eq!((back.new, back.came_back), (0, 2));
    assert!(back.lives.iter().all(|life| life.episode == 2));
    // And again, with one episode in the file and one forgotten.
    audit(&mut without);
    let again = audit(&mut with);
    assert!(again.came_back == 2 && again.lives.iter().all(|life| life.episode == 3));
    assert_eq!(number(&path, "SELECT count(*) FROM forgotten WHERE episode = 1"), 2);
    assert_eq!(migrated(&path).read().unwrap().check().unwrap(), Vec::<String>::new());
}

/// Two clusters in one file may have the same keys.
#[test]
fn a_key_of_one_cluster_is_not_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let (one, mut other) = (Scene::of(3, 0), Scene::of(3, 0));
    other.snapshot.kube.kube_system_uid = Some("22222222-2222-4333-8444-555555555555".to_owned());
    other.snapshot.kube.kubernetes_service_uid = None;
    for block in &mut other.snapshot.blocks {
        block.meta.mod_revision += 1;
    }
    one.audit(&path, true);
    other.audit(&path, true);
    one.audit(&path, true);
    assert_eq!(number(&path, "SELECT max(epoch) FROM pair"), 1);
    let both = "SELECT count(*) FROM key a JOIN key b ON b.key = a.key AND b.pair > a.pair";
    assert_eq!(number(&path, both) * 2, number(&path, "SELECT count(*) FROM key"));
}

/// Killed while it is brought up to date, the file is of schema 1 or of schema 2, and nothing of it is lost.
#[test]
fn killed_while_an_old_file_is_brought_up_to_date() {
    use std::os::unix::process::ExitStatusExt;
    let folder = tempfile::tempdir().unwrap();
    let path = old(&folder, &two_leaks());
    let tables = ["finding", "evidence", "gap", "allocation", "pod_address", "node_state", "release_key", "audit"];
    let rows = || tables.map(|table| number(&path, &format!("SELECT count(*) FROM {table}")));
    let before = rows();
    let open = |kill: Option<&str>| {
        let mut command = crate::servers::command::ipaudit();
        command.args(["history", "prune", "--keep", "36500d", "--db"]).arg(&path);
        command.envs(kill.map(|point| ("IPAUDIT_KILL_AT", point)));
        command.output().unwrap()
    };
    for point in ["migrate", "migrated"] {
        assert_eq!(open(Some(point)).status.signal(), Some(9), "{point}");
        assert_eq!((number(&path, "PRAGMA user_version"), rows()), (1, before), "{point}");
    }
    assert_eq!(open(None).status.code(), Some(0));
    assert_eq!((number(&path, "PRAGMA user_version") > 1, rows()), (true, before));
    assert_eq!(command(&path, &["check"]).0, Some(0));
}
