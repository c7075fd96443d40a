//! Backups of an [`Etcd`], made and restored as operators do, with the tools of
//! etcd's own version.
//!
//! A restore makes a new member from the file. The revision goes back to the
//! file's, and what was written since is gone: what ipaudit has to notice.

use std::path::{Path, PathBuf};

use super::etcd::{Etcd, EtcdVersion};
use super::etcd_users::ROOT;
use super::process::{etcd_command, run};
use super::unique_name;

impl Etcd {
    /// `etcdctl snapshot save` into a new file; it lives as long as this etcd.
    pub fn snapshot_save(&self) -> PathBuf {
        let file = self.folder.path().join(unique_name("snapshot"));
        let mut command = etcd_command(&self.version.binaries().etcdctl);
        command.arg(format!("--endpoints={}", self.endpoint()));
        if let Some(tls) = &self.tls {
            command.arg("--cacert").arg(&tls.ca).arg("--cert").arg(&tls.client.cert).arg("--key").arg(&tls.client.key);
        }
        if *self.as_root.lock().unwrap() {
            command.arg(format!("--user={}:{}", ROOT.name, ROOT.password));
        }
        run(command.args(["snapshot", "save"]).arg(&file)).expect("etcdctl snapshot save");
        file
    }

    /// What an operator does after a disaster: stop, restore the file into the
    /// data folder, start with the old name and address. The revision goes back.
    pub fn restore(&self, file: &Path) {
        self.restore_with(file, &[]);
    }

    /// The same with more flags of the restore: `--bump-revision N --mark-compacted` (3.7).
    pub fn restore_with(&self, file: &Path, flags: &[&str]) {
        self.kill();
        // The file may lie in our folder: only the data go.
        std::fs::remove_dir_all(self.data_folder()).expect("the old data removed");
        self.unpack_with(file, flags);
        self.start_again();
    }

    /// An upgrade by snapshot: the same name, address and token, the data of `file`, and another version's server.
    /// Its cluster id is the old one's.
    pub fn upgrade_by_snapshot(self, file: &Path, version: EtcdVersion) -> Etcd {
        self.kill();
        std::fs::remove_dir_all(self.data_folder()).expect("the old data removed");
        let etcd = self.of_version(version);
        etcd.unpack(file);
        etcd.start_again();
        etcd
    }

    /// Fills the empty data folder from the file.
    pub(super) fn unpack(&self, file: &Path) {
        self.unpack_with(file, &[]);
    }

    fn unpack_with(&self, file: &Path, flags: &[&str]) {
        let mut command = etcd_command(&self.version.binaries().restore);
        command
            .args(["snapshot", "restore"])
            .arg(file)
            .arg("--data-dir")
            .arg(self.data_folder())
            .args(["--name", &self.name])
            .arg("--initial-cluster")
            .arg(format!("{}={}", self.name, self.peer_url()))
            .args(["--initial-advertise-peer-urls", &self.peer_url()])
            .args(["--initial-cluster-token", &self.token])
            .args(flags);
        run(&mut command).expect("snapshot restore");
    }
}
