//! A history that several users share, in a folder that their group may write in, as a volume with `fsGroup` is.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::{HOUR, command, later, number, whole};
use crate::servers::command::{ipaudit, json, stderr};
use crate::servers::golden::{Case, Moment};
use crate::servers::{self, Etcd, EtcdVersion};

/// Owns folder and history, and audits.
const AUDITOR: u32 = 41_001;
/// Asks.
const READER: u32 = 41_002;
/// The volume's group, which both are in.
const GROUP: u32 = 41_100;

struct Scene {
    etcd: Etcd,
    moment: Moment,
    folder: tempfile::TempDir,
    audits: i64,
}

impl Scene {
    /// `None`, aloud, where nobody can become another user, or other users cannot reach the program.
    fn new(mode_of_folder: u32) -> Option<Scene> {
        let mut help = ipaudit();
        help.arg("--version").uid(READER).gid(GROUP);
        if !help.output().is_ok_and(|o| o.status.success()) {
            let _ = writeln!(std::io::stderr(), "SKIPPED a shared history: only root can become another user");
            return None;
        }
        let etcd = Etcd::start(EtcdVersion::V3_7);
        let mut moment = Case::load("leaked-pods").moments.remove(0);
        moment.load_into(&etcd);
        let folder = tempfile::tempdir().unwrap();
        permit(folder.path(), 0o755);
        let objects = folder.path().join("cluster.json");
        std::fs::write(&objects, serde_json::to_vec(&moment.cluster).unwrap()).unwrap();
        permit(&objects, 0o644);
        moment.cluster_file = objects;
        let volume = folder.path().join("volume");
        std::fs::create_dir(&volume).unwrap();
        chown(&volume, Some(AUDITOR), Some(GROUP)).unwrap();
        permit(&volume, mode_of_folder);
        Some(Scene { etcd, moment, folder, audits: 0 })
    }

    fn db(&self) -> PathBuf {
        self.folder.path().join("volume/history.db")
    }

    fn beside(&self, end: &str) -> PathBuf {
        self.folder.path().join(format!("volume/history.db{end}"))
    }

    fn try_audit(&self) -> Output {
        let now = later(&self.moment, self.audits * HOUR);
        // The folder's group is none of the auditor's own where the folder hands it on, as on a volume.
        command(&self.db(), &self.etcd, &self.moment, &now).uid(AUDITOR).gid(GROUP).output().unwrap()
    }

    /// It is recorded.
    #[track_caller]
    fn audit(&mut self) {
        let output = self.try_audit();
        self.audits += 1;
        assert_eq!(json(&output)["audit"]["id"], self.audits, "{}", stderr(&output));
    }

    fn ask(&self, args: &[&str]) -> Command {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(args).arg("--db").arg(self.db()).uid(READER).gid(GROUP);
        command
    }

    /// Every command that only asks the history answers the reader, and leaves the folder as it was.
    #[track_caller]
    fn reader_asks_everything(&self) {
        let files = || {
            let mut names: Vec<_> = std::fs::read_dir(self.folder.path().join("volume"))
                .unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let before = files();
        let now = later(&self.moment, self.audits * HOUR);
        for args in [
            &["report", "--since", "7d", "--now", &now][..],
            &["who", "10.65.247.4", "--offline"],
            &["release", "--list"],
            &["history", "check"],
            &["history", "export"],
            &["history", "prune", "--keep", "3650d"],
        ] {
            let output = self.ask(args).output().unwrap();
            assert!(matches!(output.status.code(), Some(0 | 1)), "{args:?}: {}", stderr(&output));
            assert!(!output.stdout.is_empty(), "{args:?}");
            assert_eq!(files(), before, "{args:?} left something beside the history");
        }
    }
}

fn permit(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_reader_under_another_user_leaves_nothing_that_makes_later_audits_fail() {
    servers::need!(Etcd3_7);
    for folder in [0o2770, 0o770, 0o2775] {
        let Some(mut scene) = Scene::new(folder) else { return };
        scene.audit();
        let file = std::fs::metadata(scene.db()).unwrap();
        assert_eq!((file.mode() & 0o7777, file.uid(), file.gid()), (0o660, AUDITOR, GROUP), "in {folder:o}");
        scene.reader_asks_everything();
        scene.audit();
        scene.reader_asks_everything();
        scene.audit();
        whole(&scene.db());
    }
}

/// A history of an earlier version: nobody but its owner may write it, until he does.
#[test]
fn a_history_that_only_its_owner_may_write_is_read_without_a_trace_and_shared_by_the_next_audit() {
    servers::need!(Etcd3_7);
    let Some(mut scene) = Scene::new(0o2775) else { return };
    scene.audit();
    permit(&scene.db(), 0o644);
    for args in [&["report", "--since", "7d"][..], &["history", "check"]] {
        let output = scene.ask(args).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{}", stderr(&output));
        assert!(!scene.beside("-shm").exists() && !scene.beside("-wal").exists(), "{args:?}");
    }
    scene.audit();
    assert_eq!(std::fs::metadata(scene.db()).unwrap().mode() & 0o777, 0o664);
}

/// Killed while somebody writes, a reader leaves SQLite's files; they are the group's, as the history is.
#[test]
fn what_a_killed_auditor_left_is_the_groups_to_write() {
    servers::need!(Etcd3_7);
    let Some(mut scene) = Scene::new(0o2770) else { return };
    scene.audit();
    let now = later(&scene.moment, HOUR);
    let mut killed = command(&scene.db(), &scene.etcd, &scene.moment, &now);
    killed.env("IPAUDIT_KILL_AT", "committed").uid(READER).gid(GROUP).output().unwrap();
    assert_eq!(std::fs::metadata(scene.beside("-wal")).unwrap().uid(), READER);
    scene.audits += 1;
    assert_eq!(number(&scene.db(), "SELECT count(*) FROM audit"), 2, "what lies in the journal belongs to it");
    scene.audit();
}

/// As an earlier version left them: the audit's error says whose they are, and what to do, and that helps.
#[test]
fn the_hint_names_the_files_of_somebody_else_and_their_owner() {
    servers::need!(Etcd3_7);
    let Some(mut scene) = Scene::new(0o2775) else { return };
    scene.audit();
    for (end, length) in [("-shm", 32_768), ("-wal", 0)] {
        std::fs::write(scene.beside(end), vec![0; length]).unwrap();
        chown(scene.beside(end), Some(READER), Some(READER)).unwrap();
        permit(&scene.beside(end), 0o644);
    }
    let output = scene.try_audit();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    for word in [
        "attempt to write a readonly database",
        &scene.beside("-shm").display().to_string(),
        &scene.beside("-wal").display().to_string(),
        &format!("belong to user {READER}"),
        "delete them while no ipaudit runs",
    ] {
        assert!(error.contains(word), "{word:?} is not in {error}");
    }
    std::fs::remove_file(scene.beside("-shm")).unwrap();
    std::fs::remove_file(scene.beside("-wal")).unwrap();
    scene.audit();
}

/// Who may not even read is told that, not asked whether the folder exists.
#[test]
fn a_reader_without_the_right_to_read_is_told_whose_the_history_is() {
    servers::need!(Etcd3_7);
    let Some(mut scene) = Scene::new(0o755) else { return };
    scene.audit();
    permit(&scene.db(), 0o600);
    for args in [&["report", "--since", "7d"][..], &["history", "check"], &["who", "10.65.247.4", "--offline"]] {
        let output = scene.ask(args).output().unwrap();
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains("this user may not read") && error.contains(&format!("user {AUDITOR}")), "{error}");
    }
}
