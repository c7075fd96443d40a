//! Histories that earlier versions wrote: each opens, is whole, says what it said, and goes on.
//!
//! `UPDATE=1` writes the file of the present schema, once, before it is released; a file that is there is never
//! written again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ipaudit::history::query::{Which, Whose, Window};
use ipaudit::history::{Db, Journal, PATIENCE, ReadTx};
use ipaudit::model::release::{Conclusion, Intent, KeyIntent, NewRelease, StepOutcome};
use ipaudit::model::row::Ending;
use ipaudit::model::{Narrow, SubjectKind, Time};

use crate::world::Scene;

const HOUR: Duration = Duration::from_secs(3_600);

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Every schema that there ever was, by the migrations that lead to it.
fn schemas() -> usize {
    std::fs::read_dir(folder("migrations")).unwrap().count()
}

/// Three pods, one of them replaced; two orphaned handles; one of them released.
fn write(path: &Path) {
    let mut scene = Scene::of(3, 2);
    scene.audit(path, true);
    scene.replace_a_pod();
    scene.settle();
    scene.later(HOUR);
    scene.audit(path, true);
    let mut db = Db::open_to_write(path, Journal::Truncate, PATIENCE).unwrap();
    let asked = NewRelease {
        asked: r#"{"by":"somebody"}"#.to_owned(),
        started: scene.snapshot.now,
        plan: "{}".to_owned(),
        undoes: None,
    };
    let release = db.begin_release(1, &asked).unwrap();
    let key =
        KeyIntent { key: b"/calico/ipam/v2/handle/x".to_vec(), mod_revision: 4, old: Some(b"{}".to_vec()), new: None };
    let intent = Intent { subjects: vec![(SubjectKind::Handle, "x".into())], keys: vec![key] };
    let step = db.intend(release, &intent, scene.snapshot.now).unwrap();
    db.settle(step, StepOutcome::Applied, Some(12), "", scene.snapshot.now).unwrap();
    db.finish_release(release, Conclusion::Done, scene.snapshot.now).unwrap();
}

#[test]
fn every_past_schema_opens_and_goes_on() {
    let present = folder("tests/old_histories").join(format!("v{}.db", schemas()));
    if std::env::var_os("UPDATE").is_some() && !present.exists() {
        write(&present);
    }
    for version in 1..=schemas() {
        let old = folder("tests/old_histories").join(format!("v{version}.db"));
        assert!(old.exists(), "{} is missing: UPDATE=1 writes the present one", old.display());
        let work = tempfile::tempdir().unwrap();
        let path = work.path().join("history.db");
        std::fs::copy(&old, &path).unwrap();
        says_what_it_said(&Db::open_to_read(&path, PATIENCE).unwrap().read().unwrap());
        let mut scene = Scene::of(3, 2);
        scene.replace_a_pod();
        scene.settle();
        scene.later(2 * HOUR);
        let third = scene.audit(&path, true);
        assert_eq!((third.id, third.new, third.ongoing, third.resolved), (3, 0, 2, 0), "version {version}");
        assert!(third.lives.iter().all(|l| l.audits_seen == 3));
        // What stands in the rows is what it was: nothing began anew, and no restore was seen.
        let connection = rusqlite::Connection::open(&path).unwrap();
        let number = |what: &str| connection.query_row(what, [], |row| row.get::<_, i64>(0)).unwrap();
        for table in ["allocation", "pod_address"] {
            assert_eq!(number(&format!("SELECT max(first_seen) FROM {table}")), 2, "version {version}, {table}");
        }
        assert_eq!(number("SELECT epoch FROM pair"), 1);
        drop(connection);
        let db = Db::open_to_read(&path, PATIENCE).unwrap();
        let tx = db.read().unwrap();
        assert_eq!(tx.check().unwrap(), Vec::<String>::new(), "version {version}");
        says_what_it_said(&tx);
        let backup = work.path().join(format!("history.db.v{version}.backup"));
        assert_eq!(backup.exists(), version < schemas(), "a copy before a migration, and only then");
    }
}

/// Audits of schema 1 read all keys too: what was there at the last of them is looked for at its revision.
#[test]
fn the_last_audit_of_an_old_file_still_says_at_which_revision_a_thing_was_known() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("history.db");
    std::fs::copy(folder("tests/old_histories").join("v1.db"), &path).unwrap();
    let known = |tx: ReadTx<'_>| {
        let open = tx.findings(1, Which::Open, Window::ALL, &Narrow::default()).unwrap();
        let handle = open[0].finding.subject.raw();
        tx.handles_last_known(1, handle).unwrap().iter().map(|k| (k.revision, k.at)).collect::<Vec<_>>()
    };
    let db = Db::open_to_read(&path, PATIENCE).unwrap();
    let before = known(db.read().unwrap());
    let of_last = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, Time(row.get(1)?)));
    let what = "SELECT etcd_revision, judged FROM audit ORDER BY id DESC LIMIT 1";
    let last = rusqlite::Connection::open(&path).unwrap().query_row(what, [], of_last).unwrap();
    assert_eq!(before, [last], "the last audit, not the one that saw it first");
    drop(db);
    let db = Db::open_to_write(&path, Journal::Truncate, PATIENCE).unwrap();
    assert_eq!(known(db.read().unwrap()), before);
}

fn says_what_it_said(db: &ReadTx<'_>) {
    let pairs = db.pairs().unwrap();
    assert_eq!((pairs.len(), pairs[0].known, !pairs[0].uids.is_empty()), (1, true, true));
    let open = db.findings(1, Which::Open, Window::ALL, &Narrow::default()).unwrap();
    assert_eq!(
        open.iter().map(|f| (f.finding.code.0, &f.ending, f.opened.audit)).collect::<Vec<_>>(),
        [(201, &Ending::Open, 1); 2]
    );
    let mut evidence = 0;
    let count = |row: serde_json::Value| {
        evidence += usize::from(row["table"] == "evidence");
        Ok(())
    };
    db.export(count).unwrap();
    assert!(evidence >= open.len());
    let all = db.allocations(1, &Whose::All).unwrap();
    let ended: Vec<_> = all.iter().filter(|a| a.span.not_seen_after.is_some()).collect();
    assert_eq!(ended.len(), 1);
    assert_eq!((ended[0].span.last_seen.audit, ended[0].row.changes), (1, Some(2)));
    assert_eq!(db.pod_addresses(1, &Whose::Address(ended[0].row.address)).unwrap().len(), 2);
    let releases = db.releases(1, Window::ALL).unwrap();
    assert_eq!((releases.len(), releases[0].outcome.clone()), (1, Some(Conclusion::Done.into())));
    assert_eq!(releases[0].steps[0].intent.keys[0].old.as_deref(), Some(&b"{}"[..]));
    assert!(db.audits(1, Window::ALL).unwrap().len() >= 2);
    assert!(!db.capacity(1, Window::ALL).unwrap().is_empty() && !db.nodes(1, None).unwrap().is_empty());
}

/// A migration is never edited: the file that its version wrote has the very schema that it makes today.
#[test]
fn no_migration_was_edited_since_its_file_was_written() {
    let schema = |path: &Path| {
        let connection = rusqlite::Connection::open(path).unwrap();
        let what = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        let mut statement = connection.prepare(what).unwrap();
        let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))).unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap()
    };
    let work = tempfile::tempdir().unwrap();
    let fresh = work.path().join("fresh.db");
    drop(Db::open_to_write(&fresh, Journal::Truncate, PATIENCE).unwrap());
    let present = work.path().join("present.db");
    std::fs::copy(folder("tests/old_histories").join(format!("v{}.db", schemas())), &present).unwrap();
    assert_eq!(schema(&present), schema(&fresh));
}

/// A newer ipaudit wrote it: never written, and read as long as it only has more in it.
#[test]
fn a_newer_file_is_read_by_report_and_who_and_never_written() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("history.db");
    std::fs::copy(folder("tests/old_histories").join(format!("v{}.db", schemas())), &path).unwrap();
    let newer = |what: &str| {
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(&format!("{what}; PRAGMA user_version = {}", schemas() + 1)).unwrap();
    };
    newer("ALTER TABLE finding ADD COLUMN mood TEXT");
    let run = |args: &[&str]| {
        let mut command = crate::servers::command::ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(args).arg("--db").arg(&path);
        command.output().unwrap()
    };
    let bytes = std::fs::read(&path).unwrap();
    let report = run(&["report", "--since", "2000-01-01", "-o", "json"]);
    assert_eq!(report.status.code(), Some(0), "{}", crate::servers::command::stderr(&report));
    let said = crate::servers::command::json(&report);
    let open = said["clusters"][0]["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "IPA201").count();
    assert_eq!(open, 2, "{said}");
    assert_eq!(run(&["who", "10.0.0.1", "--offline"]).status.code(), Some(0));
    assert_eq!(run(&["history", "check"]).status.code(), Some(0));
    assert!(!run(&["history", "export"]).stdout.is_empty());
    let prune = run(&["history", "prune", "--keep", "0s", "--yes"]);
    assert_eq!(prune.status.code(), Some(2));
    assert!(crate::servers::command::stderr(&prune).contains("use the newer ipaudit"));
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "left as it is");
    newer(&format!("UPDATE format SET min_reader = {}", schemas() + 1));
    assert_eq!(run(&["report"]).status.code(), Some(2), "it is not only more");
}
