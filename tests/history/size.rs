//! Only changes are written: counted in bytes and rows, and over a simulated month.
//!
//! `IPAUDIT_HISTORY_PODS=100000` runs the first test at the size of the promise (with 63,000 open findings); the
//! smaller size of every day proves the same, since an unchanged cluster's audit does not depend on its size.

use std::time::Duration;

use ipaudit::history::{Db, Journal, PATIENCE};
use rusqlite::Connection;

use crate::world::Scene;

const QUARTER: Duration = Duration::from_secs(15 * 60);
const PAGE: usize = 4_096;

fn pods() -> usize {
    std::env::var("IPAUDIT_HISTORY_PODS").ok().and_then(|n| n.parse().ok()).unwrap_or(4_000)
}

fn rows(path: &std::path::Path) -> u64 {
    let connection = Connection::open(path).unwrap();
    let count = |table: &&str| {
        let what = format!("SELECT count(*) FROM {table}");
        connection.query_row(&what, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
    };
    ipaudit::history::export::TABLES.iter().chain(&["name", "about"]).map(count).sum()
}

/// Pages of the file that are others than before.
fn pages_changed(before: &[u8], after: &[u8]) -> usize {
    let (mut old, new) = (before.chunks(PAGE), after.chunks(PAGE));
    new.filter(|page| old.next() != Some(page)).count()
}

#[test]
fn an_unchanged_clusters_audit_writes_one_row_and_less_than_64_kib() {
    let pods = pods();
    let orphans = pods * 63 / 100;
    let mut scene = Scene::of(pods, orphans);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let first = scene.audit(&path, true);
    assert_eq!((first.new, first.ongoing, first.resolved), (orphans as u64, 0, 0));
    for audit in 2..5 {
        let (bytes, counted) = (std::fs::read(&path).unwrap(), rows(&path));
        scene.later(QUARTER);
        // A second reader keeps the journal from being folded in when the audit closes the file.
        let reader = Connection::open(&path).unwrap();
        reader.query_row("SELECT count(*) FROM audit", [], |_| Ok(())).unwrap();
        let again = scene.audit(&path, true);
        let journal = std::fs::metadata(folder.path().join("history.db-wal")).unwrap().len() as usize;
        drop(reader);
        assert_eq!((again.new, again.ongoing, again.came_back, again.resolved), (0, orphans as u64, 0, 0));
        assert!(
            again.lives.iter().all(|l| l.audits_seen == again.id.unsigned_abs() && l.last_seen == scene.snapshot.now)
        );
        let file = pages_changed(&bytes, &std::fs::read(&path).unwrap()) * PAGE;
        assert!(journal + file < 64 * 1024, "{journal} bytes of journal, {file} of the file");
        // The second audit is the first with a past: which checks ran is a text of its own.
        let text = u64::from(audit == 2);
        assert_eq!(rows(&path) - counted, 1 + text, "the row of audit {audit}");
    }
}

/// 480 addresses of which a fifth changes hands every day, audited every 15 minutes: one change an audit. What a change
/// costs then says what 100,000 addresses cost over the 90 days that are kept. `IPAUDIT_HISTORY_DAYS=30` simulates a
/// month; three days give the same cost.
#[test]
fn simulated_days_stay_within_the_promise() {
    let days = std::env::var("IPAUDIT_HISTORY_DAYS").ok().and_then(|n| n.parse().ok()).unwrap_or(3usize);
    let audits = days * 96;
    let mut scene = Scene::of(480, 0);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let mut sizes = Vec::new();
    let mut db = Db::open_to_write(&path, Journal::Wal, PATIENCE).unwrap();
    for audit in 0..audits {
        if audit % (audits / 3) == 0 {
            sizes.push(used(&path));
        }
        scene.replace_a_pod();
        scene.settle();
        scene.audit_into(&mut db, false);
        scene.later(QUARTER);
    }
    sizes.push(used(&path));
    // What an audit costs that finds everything as it was: 90 days hold 8,640 of them, not one for every change.
    for _ in 0..200 {
        scene.later(QUARTER);
        scene.audit_into(&mut db, false);
    }
    let quiet = (used(&path) - sizes[3]) as f64 / 200.0;
    drop(db);
    // The first third holds the tables' beginning; what comes after is the steady state.
    let change = (sizes[3] - sizes[1]) as f64 / (audits as f64 * 2.0 / 3.0) - quiet;
    // Names of pods here have 16 letters; 24 more in both intervals are not rare. A first audit with its keys: 100 MB.
    let kept = 90.0 * 20_000.0 * (change + 48.0) + 8_640.0 * (quiet + 1_500.0) + 100_000.0 * 1_000.0;
    eprintln!("{sizes:?} bytes after each third of {days} days; {change:.0} bytes a change, {quiet:.0} a quiet audit");
    eprintln!("100,000 addresses, 90 days: {:.0} MB", kept / 1e6);
    assert!(kept < 1e9, "{change} bytes a change make {kept} bytes");
    // And it is all there: every address has had its holders, one after the other.
    let whole = Connection::open(&path).unwrap();
    let count = |what: &str| whole.query_row(what, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM allocation WHERE last_seen IS NOT NULL"), audits as i64 - 1);
    assert_eq!(count("SELECT count(*) FROM pod_address WHERE last_seen IS NOT NULL"), audits as i64 - 1);
    assert_eq!(
        count("SELECT count(*) FROM allocation WHERE changes = 2"),
        audits as i64 - 1,
        "each block was written twice"
    );
}

/// Bytes in use: pages of the file that are not free.
fn used(path: &std::path::Path) -> i64 {
    let connection = Connection::open(path).unwrap();
    let number = |what: &str| connection.query_row(what, [], |row| row.get::<_, i64>(0)).unwrap();
    (number("PRAGMA page_count") - number("PRAGMA freelist_count")) * PAGE as i64
}

/// What is older than is kept goes, what is open stays, and what it owes to audits that went is still counted.
#[test]
fn a_year_is_kept_for_90_days() {
    let mut scene = Scene::of(60, 5);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let day = Duration::from_secs(86_400);
    let mut db = Db::open_to_write(&path, Journal::Truncate, PATIENCE).unwrap();
    let mut audits = 0;
    for _ in 0..365 {
        scene.later(day);
        scene.replace_a_pod();
        scene.settle();
        let recorded = scene.audit_into(&mut db, true);
        audits += 1;
        assert!(recorded.lives.iter().all(|l| l.audits_seen == audits), "{audits}: {recorded:?}");
        db.prune_daily(scene.snapshot.now, 90 * day).unwrap();
    }
    assert_eq!(db.read().unwrap().check().unwrap(), Vec::<String>::new());
    drop(db);
    let whole = Connection::open(&path).unwrap();
    let count = |what: &str| whole.query_row(what, [], |row| row.get::<_, i64>(0)).unwrap();
    assert!(count("SELECT count(*) FROM audit") < 200, "{}", count("SELECT count(*) FROM audit"));
    assert_eq!(count("SELECT count(*) FROM finding WHERE ended IS NULL"), 5);
    let ended = count("SELECT count(*) FROM allocation WHERE last_seen IS NOT NULL");
    assert!((85..=92).contains(&ended), "{ended}");
}
