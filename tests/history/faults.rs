//! The history under faults: killed anywhere, no room, no right, another audit at the same time, clocks that go back.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::{HOUR, audit, command, command_at, folder, history, later, number, whole};
use crate::servers::command::{json, stderr};
use crate::servers::golden::{Case, Moment};
use crate::servers::http2::Request;
use crate::servers::{self, Etcd, EtcdVersion};

struct Scene {
    etcd: Etcd,
    moment: Moment,
    _folder: tempfile::TempDir,
    db: PathBuf,
}

impl Scene {
    fn new(case: &str) -> Scene {
        let etcd = Etcd::start(EtcdVersion::V3_7);
        let moment = Case::load(case).moments.remove(0);
        moment.load_into(&etcd);
        let (folder, db) = folder();
        Scene { etcd, moment, _folder: folder, db }
    }

    fn command(&self, hours: i64) -> std::process::Command {
        command(&self.db, &self.etcd, &self.moment, &later(&self.moment, hours * HOUR))
    }
}

/// Every step of the write.
const POINTS: [&str; 10] =
    ["begin", "pair", "findings", "audit", "allocations", "nodes", "keys deleted", "keys", "commit", "committed"];

/// Each audit is there whole or not at all, and the next one goes on from what is there.
fn holds_whole_audits(db: &Path) -> i64 {
    whole(db);
    let audits = number(db, "SELECT count(*) FROM audit");
    assert_eq!(audits, number(db, "SELECT coalesce(max(id), 0) FROM audit"), "no number is left out");
    audits
}

#[test]
fn killed_at_every_step_of_the_write() {
    servers::need!(Etcd3_7);
    let scene = Scene::new("leaked-pods");
    let mut before = 0;
    for (hour, point) in (0..).zip(POINTS.iter().chain(&POINTS)) {
        let output = scene.command(hour).env("IPAUDIT_KILL_AT", point).output().unwrap();
        assert_eq!(output.status.signal(), Some(9), "{point}: {}", stderr(&output));
        let after = if scene.db.exists() { holds_whole_audits(&scene.db) } else { 0 };
        assert_eq!(after - before, i64::from(*point == "committed"), "{point}");
        before = after;
    }
    let document = audit(&scene.db, &scene.etcd, &scene.moment, &later(&scene.moment, 40 * HOUR));
    assert_eq!(document["audit"]["id"], before + 1);
    assert_eq!(document["history"]["resolved"], 0);
}

#[test]
fn killed_while_the_tables_are_made() {
    servers::need!(Etcd3_7);
    for point in ["migrate", "migrated"] {
        let scene = Scene::new("clean-small");
        let output = scene.command(0).env("IPAUDIT_KILL_AT", point).output().unwrap();
        assert_eq!(output.status.signal(), Some(9), "{}", stderr(&output));
        let document = audit(&scene.db, &scene.etcd, &scene.moment, &scene.moment.captured_at);
        assert_eq!(document["audit"]["id"], 1, "{point}");
        whole(&scene.db);
    }
}

/// SIGKILL at 200 moments of an audit, spread over its whole length.
#[test]
fn killed_at_200_moments() {
    servers::need!(Etcd3_7);
    let scene = Scene::new("leaked-pods");
    audit(&scene.db, &scene.etcd, &scene.moment, &scene.moment.captured_at);
    let start = std::time::Instant::now();
    let mut measured = scene.command(1);
    measured.args(["--settle", "0"]).output().unwrap();
    let length = start.elapsed();
    let (mut killed, mut recorded) = (0, holds_whole_audits(&scene.db));
    for moment in 0..200u32 {
        let mut child = scene
            .command(2 + i64::from(moment))
            .args(["--settle", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // From its start to a little behind its end.
        std::thread::sleep(length * moment / 170);
        let _ = child.kill();
        killed += u32::from(child.wait().unwrap().signal() == Some(9));
        let now = number(&scene.db, "SELECT count(*) FROM audit");
        assert!(now == recorded || now == recorded + 1, "{recorded} audits, then {now}");
        recorded = now;
        if moment % 20 == 19 {
            assert_eq!(holds_whole_audits(&scene.db), recorded);
        }
    }
    assert!(killed > 100, "only {killed} of 200 met a living audit");
    assert_eq!(holds_whole_audits(&scene.db), recorded);
    let document = audit(&scene.db, &scene.etcd, &scene.moment, &later(&scene.moment, 300 * HOUR));
    let seen = document["findings"].as_array().unwrap().iter().find(|f| f["code"] == "IPA110").unwrap();
    assert_eq!(seen["audits_seen"], recorded + 1, "every recorded audit saw it");
}

/// The findings are printed, the error is clear, the exit code is 2.
fn fails_and_tells(output: &std::process::Output, says: &[&str]) {
    let error = stderr(output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        json(output)["findings"].as_array().unwrap().iter().any(|f| f["code"] == "IPA110"),
        "the findings are told"
    );
    assert_eq!(json(output)["exit_code"], 2);
    for word in says {
        assert!(error.contains(word), "{error:?} does not say {word:?}");
    }
}

#[test]
fn a_full_disk() {
    servers::need!(Etcd3_7);
    let scene = Scene::new("leaked-pods");
    let disk = tempfile::tempdir().unwrap();
    let mount = |args: &[&str]| std::process::Command::new("mount").args(args).arg(disk.path()).output();
    let mounted = mount(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    if !mounted.as_ref().is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED a_full_disk: a small tmpfs cannot be mounted here: {mounted:?}");
        return;
    }
    let db = disk.path().join("history.db");
    let run =
        |hours: i64| command(&db, &scene.etcd, &scene.moment, &later(&scene.moment, hours * HOUR)).output().unwrap();
    let first = run(0);
    let filled = disk.path().join("filler");
    let outcome = std::panic::catch_unwind(|| {
        if first.status.code() == Some(1) {
            let room = || std::fs::OpenOptions::new().append(true).create(true).open(&filled).unwrap();
            while std::io::Write::write_all(&mut room(), &[0; 4096]).is_ok() {}
        }
        let full = run(1);
        fails_and_tells(&full, &["full"]);
        std::fs::remove_file(&filled).unwrap();
        assert_eq!(holds_whole_audits(&db), 1, "the audit before is there, the other one not at all");
        let after = run(2);
        assert_eq!(json(&after)["audit"]["id"], 2, "with room it goes on: {}", stderr(&after));
    });
    std::process::Command::new("umount").arg(disk.path()).output().unwrap();
    outcome.unwrap();
}

#[test]
fn a_file_that_is_no_history_or_damaged_is_told_and_left_alone() {
    servers::need!(Etcd3_7);
    let scene = Scene::new("leaked-pods");
    audit(&scene.db, &scene.etcd, &scene.moment, &scene.moment.captured_at);
    let good = std::fs::read(&scene.db).unwrap();
    let mut torn = good.clone();
    torn[4_096..].fill(0x5a);
    for (bytes, says) in
        [(torn, "damaged"), (b"a shopping list, and a long one".repeat(40).to_vec(), "no SQLite database")]
    {
        std::fs::write(&scene.db, &bytes).unwrap();
        fails_and_tells(&scene.command(1).output().unwrap(), &[says]);
        assert_eq!(std::fs::read(&scene.db).unwrap(), bytes, "left as it is");
        let checked = history(&scene.db, &["check"]);
        assert_ne!(checked.status.code(), Some(0), "{}", String::from_utf8_lossy(&checked.stdout));
        assert_eq!(std::fs::read(&scene.db).unwrap(), bytes);
    }
    std::fs::write(&scene.db, &good).unwrap();
    whole(&scene.db);
}

#[test]
fn a_place_where_nothing_can_be_written() {
    servers::need!(Etcd3_7);
    let scene = Scene::new("leaked-pods");
    // Nobody, root neither, makes a folder below a file or in /proc.
    let file = scene.db.parent().unwrap().with_file_name("file");
    std::fs::write(&file, "").unwrap();
    for db in [file.join("history.db"), PathBuf::from("/proc/ipaudit/history.db")] {
        let output = command(&db, &scene.etcd, &scene.moment, &scene.moment.captured_at).output().unwrap();
        fails_and_tells(&output, &["--no-history"]);
    }
    let read_only = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(read_only.path()).output();
    if !mounted.is_ok_and(|o| o.status.success()) {
        eprintln!("SKIPPED the read-only volume: nothing can be mounted here");
        return;
    }
    let db = read_only.path().join("history.db");
    let outcome = std::panic::catch_unwind(|| {
        audit(&db, &scene.etcd, &scene.moment, &scene.moment.captured_at);
        let again =
            std::process::Command::new("mount").args(["-o", "remount,ro"]).arg(read_only.path()).output().unwrap();
        assert!(again.status.success(), "{again:?}");
        let output = command(&db, &scene.etcd, &scene.moment, &later(&scene.moment, HOUR)).output().unwrap();
        fails_and_tells(&output, &["--no-history"]);
        // Reading needs no right to write: not even in the folder, where SQLite would put its shared memory.
        whole(&db);
        assert!(!history(&db, &["export"]).stdout.is_empty());
    });
    std::process::Command::new("umount").arg(read_only.path()).output().unwrap();
    outcome.unwrap();
}

/// Both are recorded, one after the other, and neither takes the other's findings for new.
#[test]
fn two_audits_at_once() {
    servers::need!(Etcd3_7);
    let scene = Scene::new("leaked-pods");
    for round in 0..5i64 {
        let spawn = || scene.command(round).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let both = [spawn(), spawn()].map(|child| child.wait_with_output().unwrap());
        for output in &both {
            assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
        }
        let mut ids = both.each_ref().map(|o| json(o)["audit"]["id"].as_i64().unwrap());
        ids.sort_unstable();
        assert_eq!(ids, [round * 2 + 1, round * 2 + 2]);
        whole(&scene.db);
    }
    let open = number(&scene.db, "SELECT count(*) FROM finding");
    assert_eq!(
        open,
        number(&scene.db, "SELECT count(DISTINCT code || kind || subject) FROM finding"),
        "one row a finding"
    );
    // Somebody who never lets go is told of.
    let holder = rusqlite::Connection::open(&scene.db).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    let output = scene.command(9).env("IPAUDIT_DB_WAIT", "300ms").output().unwrap();
    fails_and_tells(&output, &["another ipaudit holds the history"]);
}

#[test]
fn a_clock_that_goes_back_is_recorded_and_ages_are_never_negative() {
    servers::need!(Etcd3_7);
    let scene = Scene::new("leaked-pods");
    let at = |hours: i64| audit(&scene.db, &scene.etcd, &scene.moment, &later(&scene.moment, hours * HOUR));
    at(5);
    let back = at(1);
    assert_eq!(number(&scene.db, "SELECT clock_back FROM audit WHERE id = 1"), 0);
    assert_eq!(number(&scene.db, "SELECT clock_back FROM audit WHERE id = 2"), 1);
    let leak: &Value = back["findings"].as_array().unwrap().iter().find(|f| f["code"] == "IPA110").unwrap();
    assert_eq!((&leak["audits_seen"], &leak["episode"]), (&2.into(), &1.into()));
    let output = scene.command(1).args(["-o", "table"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("since -") && !text.contains("-4h"), "{text}");
    at(9);
    whole(&scene.db);
}

/// On a network volume shared memory is unsafe: `--db-journal truncate` keeps none, and goes back and forth.
#[test]
fn both_journals() {
    servers::need!(Etcd3_7);
    let scene = Scene::new("leaked-pods");
    for (hour, journal) in (0..).zip(["truncate", "wal", "truncate", "truncate"]) {
        let output = scene.command(hour).args(["--db-journal", journal]).output().unwrap();
        assert_eq!(json(&output)["audit"]["id"], hour + 1, "{}", stderr(&output));
        let folder = scene.db.parent().unwrap();
        let extra = ["history.db-wal", "history.db-shm"].map(|name| folder.join(name).exists());
        assert_eq!(extra, [false, false], "closed, {journal} leaves nothing beside the file");
        whole(&scene.db);
    }
}

/// One that began earlier and read slowly saw an older datastore than the history knows by then. That is no restored
/// backup, and what came meanwhile does not end with it.
#[test]
fn a_slow_audit_that_a_later_look_overtook_accuses_nobody_and_records_nothing() {
    servers::need!(Etcd3_7);
    let scene = Scene::new("leaked-pods");
    audit(&scene.db, &scene.etcd, &scene.moment, &scene.moment.captured_at);
    let (proxy, endpoint) = scene.etcd.behind_proxy();
    // The keys have been read by then, the history has not.
    proxy.hold_answer(Request::Grpc("/etcdserverpb.Maintenance/Status"));
    let mut slow = command_at(&scene.db, &endpoint, &scene.moment, &later(&scene.moment, HOUR));
    slow.stdout(Stdio::piped()).stderr(Stdio::piped());
    let slow = slow.spawn().unwrap();
    servers::eventually("the slow audit has read the keys", Duration::from_secs(60), || proxy.sprung() == 1);
    // Something that no finding rests on is written, as it is all day.
    let node = scene.moment.keys.iter().find(|(key, _)| key.ends_with(b"/nodes/node-1")).unwrap();
    scene.etcd.put(node.0.clone(), node.1.clone());
    let quick = audit(&scene.db, &scene.etcd, &scene.moment, &later(&scene.moment, HOUR));
    proxy.open();
    let slow = slow.wait_with_output().unwrap();
    assert_eq!(slow.status.code(), Some(1), "{}", stderr(&slow));
    assert!(stderr(&slow).contains("told and not recorded"), "{}", stderr(&slow));
    assert_eq!(super::found(&json(&slow)), super::found(&quick), "the same, and no IPA903");
    assert_eq!(json(&slow)["audit"]["id"], Value::Null);
    let next = audit(&scene.db, &scene.etcd, &scene.moment, &later(&scene.moment, HOUR));
    assert_eq!(super::found(&next), super::found(&quick));
    assert_eq!(
        (&next["audit"]["id"], &next["history"]["new"], &next["history"]["resolved"]),
        (&3.into(), &0.into(), &0.into())
    );
    assert_eq!(number(&scene.db, "SELECT epoch FROM pair"), 1);
    whole(&scene.db);
}

/// SQLite waits for ever for a pipe's other end.
#[test]
fn a_pipe_is_no_history() {
    let (folder, _) = folder();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for args in [&["report"][..], &["release", "--list"], &["history", "check"]] {
        let output = crate::servers::command::ipaudit().args(args).arg("--db").arg(&pipe).output().unwrap();
        assert!(stderr(&output).contains("it is a pipe or a device"), "{args:?}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(2));
    }
}
