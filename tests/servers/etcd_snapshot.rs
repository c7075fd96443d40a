//! Backups of an [`Etcd`], made and restored as operators do, with the tools of
//! etcd's own version.
//!
//! A restore makes a new member from the file. The revision goes back to the
//! file's, and what was written since is gone: what ipaudit has to notice.

use std::path::{Path, PathBuf};

use super::etcd::Etcd;
use super::etcd_data::ROOT;
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
        self.restore_as(file, &self.token, None);
    }

    /// The same with another token (then it is another cluster to etcd), or with a revision that is higher by so much
    /// than the file's (`--bump-revision`, which only 3.7 has).
    pub fn restore_as(&self, file: &Path, token: &str, bump: Option<u64>) {
        self.kill();
        // The file may lie in our folder: only the data go.
        std::fs::remove_dir_all(self.data_folder()).expect("the old data removed");
        self.unpack_as(file, token, bump);
        self.start_again();
    }

    /// The token of its first start.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Fills the empty data folder from the file.
    pub(super) fn unpack(&self, file: &Path) {
        self.unpack_as(file, &self.token, None);
    }

    fn unpack_as(&self, file: &Path, token: &str, bump: Option<u64>) {
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
            .args(["--initial-cluster-token", token]);
        if let Some(bump) = bump {
            command.args(["--bump-revision", &bump.to_string(), "--mark-compacted"]);
        }
        run(&mut command).expect("snapshot restore");
    }
}
