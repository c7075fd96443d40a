//! A disk without room, and folders that cannot be written: what a healthy history still answers, and how it gets smaller.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ipaudit::history::{Db, PATIENCE};

use super::{HOUR, audit, command, history, later, number, whole};
use crate::servers::command::{ipaudit, json, stderr};
use crate::servers::golden::{Case, Moment};
use crate::servers::{self, Etcd, EtcdVersion};

/// A small disk of its own, let go at the end.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None`, aloud, where nothing can be mounted.
    fn of(size: &str) -> Option<Disk> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], folder.path());
        if !mounted {
            eprintln!("SKIPPED a disk of {size}: nothing can be mounted here");
            return None;
        }
        Some(Disk(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn fill(&self) {
        let filler = self.path().join("filler");
        let mut room = std::fs::OpenOptions::new().append(true).create(true).open(filler).unwrap();
        while std::io::Write::write_all(&mut room, &[0; 4096]).is_ok() {}
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path()).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).output();
    }
}

fn mount(args: &[&str], at: &Path) -> bool {
    Command::new("mount").args(args).arg(at).output().is_ok_and(|o| o.status.success())
}

struct Scene {
    etcd: Etcd,
    moment: Moment,
    db: PathBuf,
}

impl Scene {
    /// A history of four audits, three of them with something that has ended.
    fn on(folder: &Path) -> Scene {
        let etcd = Etcd::start(EtcdVersion::V3_7);
        let moment = Case::load("leaked-pods").moments.remove(0);
        let scene = Scene { etcd, moment, db: folder.join("history.db") };
        for hours in 0..4 {
            if hours % 2 == 0 {
                scene.moment.load_into(&scene.etcd);
            } else {
                scene.etcd.delete_prefix("/calico/ipam/v2/handle/");
            }
            scene.audit(hours);
        }
        scene
    }

    fn audit(&self, hours: i64) -> serde_json::Value {
        audit(&self.db, &self.etcd, &self.moment, &later(&self.moment, hours * HOUR))
    }

    fn asks(&self, args: &[&str]) -> Output {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(args).arg("--db").arg(&self.db).output().unwrap()
    }
}

#[test]
fn a_history_at_rest_on_a_full_disk_answers_everything_and_leaves_nothing() {
    servers::need!(Etcd3_7);
    let Some(disk) = Disk::of("4m") else { return };
    let scene = Scene::on(disk.path());
    disk.fill();
    let now = later(&scene.moment, 4 * HOUR);
    for args in [
        &["report", "--since", "7d", "--now", &now][..],
        &["who", "10.65.247.4", "--offline"],
        &["release", "--list"],
        &["history", "check"],
        &["history", "export"],
    ] {
        let output = scene.asks(args);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{args:?}: {}", stderr(&output));
        assert!(!output.stdout.is_empty());
        // The last two are what the audits left for the next one.
        assert_eq!(disk.files(), ["filler", "history.db", "history.db.seen", "history.db.state"], "{args:?}");
    }
    let plan = scene.asks(&["history", "prune", "--keep", "0s"]);
    let says = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert_eq!(plan.status.code(), Some(0), "{}", stderr(&plan));
    assert!(says.contains("nothing was changed"), "{says}");
}

#[test]
fn prune_makes_room_on_a_full_disk() {
    servers::need!(Etcd3_7);
    let Some(disk) = Disk::of("4m") else { return };
    let scene = Scene::on(disk.path());
    disk.fill();
    let before = std::fs::metadata(&scene.db).unwrap().len();
    let refused = command(&scene.db, &scene.etcd, &scene.moment, &later(&scene.moment, 5 * HOUR)).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "an audit finds no room");
    let output = history(&scene.db, &["prune", "--keep", "0s", "--yes"]);
    let says = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{says}{}", stderr(&output));
    assert!(says.contains("gone: "), "{says}");
    assert!(std::fs::metadata(&scene.db).unwrap().len() < before);
    whole(&scene.db);
    assert_eq!(number(&scene.db, "SELECT count(*) FROM finding WHERE ended IS NOT NULL"), 0);
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    assert_eq!(scene.audit(6)["audit"]["id"], 5, "and audits go on");
}

/// The one moment that can damage the file: a whole one lies where it was said to.
#[test]
fn killed_while_it_makes_room_a_whole_history_is_where_it_was_said_to_be() {
    servers::need!(Etcd3_7);
    let Some(disk) = Disk::of("4m") else { return };
    let scene = Scene::on(disk.path());
    disk.fill();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut prune = ipaudit();
    prune.args(["history", "prune", "--keep", "0s", "--yes", "--db"]).arg(&scene.db);
    let killed = prune.env("TMPDIR", elsewhere.path()).env("IPAUDIT_KILL_AT", "tight").output().unwrap();
    assert_eq!(killed.status.signal(), Some(9), "{}", stderr(&killed));
    let folder = std::fs::read_dir(elsewhere.path()).unwrap().next().unwrap().unwrap().path();
    let copy = folder.join("history.db");
    assert!(stderr(&killed).contains(&copy.display().to_string()), "{}", stderr(&killed));
    whole(&copy);
    std::fs::remove_file(disk.path().join("filler")).unwrap();
    std::fs::copy(&copy, &scene.db).unwrap();
    assert_eq!(scene.audit(6)["audit"]["id"], 5);
}

/// Set and empty is unset, and not the folder where somebody happens to be.
#[test]
fn an_empty_tmpdir_names_no_folder() {
    servers::need!(Etcd3_7);
    let Some(disk) = Disk::of("4m") else { return };
    let scene = Scene::on(disk.path());
    disk.fill();
    let mut prune = ipaudit();
    prune.args(["history", "prune", "--keep", "0s", "--yes", "--db"]).arg(&scene.db);
    let output = prune.env("TMPDIR", "").current_dir(disk.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains(" in /tmp/ipaudit-history-"), "{}", stderr(&output));
}

/// Without room for a copy nothing is touched, and the hint says what helps.
#[test]
fn without_room_anywhere_prune_touches_nothing() {
    servers::need!(Etcd3_7);
    let Some(disk) = Disk::of("4m") else { return };
    let scene = Scene::on(disk.path());
    disk.fill();
    let before = std::fs::read(&scene.db).unwrap();
    let mut prune = ipaudit();
    prune.args(["history", "prune", "--keep", "0s", "--yes", "--db"]).arg(&scene.db);
    let output = prune.env("TMPDIR", disk.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("TMPDIR=FOLDER"), "{}", stderr(&output));
    assert_eq!(std::fs::read(&scene.db).unwrap(), before);
}

/// Somebody took the file and its journal from a running audit's folder, and not the shared memory.
#[test]
fn a_copied_journal_without_its_shared_memory_on_a_read_only_folder_is_told() {
    servers::need!(Etcd3_7);
    let Some(disk) = Disk::of("4m") else { return };
    let work = tempfile::tempdir().unwrap();
    let scene = Scene::on(work.path());
    let mut killed = command(&scene.db, &scene.etcd, &scene.moment, &later(&scene.moment, 4 * HOUR));
    killed.env("IPAUDIT_KILL_AT", "committed").output().unwrap();
    for end in ["", "-wal"] {
        let name = format!("history.db{end}");
        assert!(std::fs::copy(work.path().join(&name), disk.path().join(&name)).unwrap() > 0);
    }
    assert!(mount(&["-o", "remount,ro"], disk.path()));
    let copied = Scene { db: disk.path().join("history.db"), ..scene };
    for args in [&["report", "--since", "7d"][..], &["history", "check"]] {
        let output = copied.asks(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let error = stderr(&output);
        for word in ["history.db-wal holds what is not", "history.db-shm", "copy both files to a folder"] {
            assert!(error.contains(word), "{word:?} is not in {error}");
        }
    }
    // As it says.
    let elsewhere = tempfile::tempdir().unwrap();
    for end in ["", "-wal"] {
        let name = format!("history.db{end}");
        std::fs::copy(disk.path().join(&name), elsewhere.path().join(&name)).unwrap();
    }
    assert_eq!(json(&copied.asks_of(elsewhere.path()))["clusters"][0]["audits"]["count"], 5);
}

impl Scene {
    fn asks_of(&self, folder: &Path) -> Output {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(["report", "--since", "7d", "-o", "json"]);
        command.args(["--now", &later(&self.moment, 5 * HOUR)]).arg("--db").arg(folder.join("history.db"));
        command.output().unwrap()
    }
}

/// However often it is tried: the old file stays as it is, nothing is put beside it, and nobody is sent to `prune`.
#[test]
fn an_old_history_on_a_disk_that_is_too_small_for_two_is_told_how_much_room_it_needs() {
    let Some(disk) = Disk::of("400k") else { return };
    let db = disk.path().join("history.db");
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/old_histories/v1.db");
    std::fs::copy(&old, &db).unwrap();
    // Room for the copy and not for the tables; then not even for the copy.
    for filler in [48, 120] {
        std::fs::write(disk.path().join("filler"), vec![0; filler << 10]).unwrap();
        for _ in 0..2 {
            let mut prune = ipaudit();
            let output = prune.args(["history", "prune", "--keep", "0s", "--yes", "--db"]).arg(&db).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
            let error = match Db::open_to_write(&db, Default::default(), PATIENCE) {
                Ok(_) => panic!("there was room for all of it"),
                Err(error) => error,
            };
            assert!(error.hint.contains("about 1 MiB must be free"), "{error:?}");
            assert_eq!(disk.files(), ["filler", "history.db"]);
            assert_eq!(number(&db, "PRAGMA user_version"), 1);
        }
    }
}
