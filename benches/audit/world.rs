//! A loaded etcd, the files beside it, and time that passes: pods that are replaced.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use tempfile::TempDir;

use super::generator::{Changes, Cluster};
use super::options::Sized;
use super::print::say;
use super::servers::{Etcd, EtcdVersion};

/// Pods that are suspects where a command has some, of a cluster that is big enough.
const SUSPECTS: usize = 400;
const AT_ONCE: usize = 5_000;

pub struct World {
    pub name: String,
    pub cluster: Cluster,
    pub etcd: Etcd,
    pub folder: TempDir,
    /// Under `/calico`.
    pub keys: usize,
    pub bytes: usize,
}

impl World {
    /// Generates and loads it.
    pub fn new(sized: &Sized, version: EtcdVersion) -> World {
        say(&format!("{} pods: generating and loading", sized.name));
        let cluster = Cluster::new(sized.plan);
        let folder = tempfile::Builder::new().prefix("ipaudit-bench-").tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("home")).expect("an empty home");
        let etcd = Etcd::start(version);
        let (keys, bytes) = load(&cluster, &etcd);
        // What loading left behind in memory is not the reader's cost.
        etcd.restart();
        let world = World { name: sized.name.clone(), cluster, etcd, folder, keys, bytes };
        world.write_files();
        world
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// One pod of a hundred is replaced.
    pub fn churn(&mut self) -> Changes {
        let changes = self.cluster.churn((self.cluster.pods() / 100).max(1));
        self.etcd.delete_many(&changes.deletes);
        let puts: Vec<_> = changes.puts.iter().map(|(k, v)| (k.clone().into_bytes(), v.clone().into_bytes())).collect();
        puts.chunks(AT_ONCE).for_each(|some| self.etcd.put_many(some.to_vec()));
        changes
    }

    /// Kubernetes' objects as kubectl prints them, all and without some pods, and the pods of each namespace.
    pub fn write_files(&self) {
        for (name, hidden) in [("objects.json", 0), ("suspects.json", self.suspects())] {
            let mut file = BufWriter::new(File::create(self.file(name)).expect("a file for the pods"));
            self.cluster
                .write_objects_but(hidden, &mut file)
                .and_then(|()| file.flush())
                .expect("the pods are written");
        }
        let namespaces = serde_json::to_vec(&self.cluster.pods_by_namespace()).expect("JSON of counts");
        std::fs::write(self.file("namespaces.json"), namespaces).expect("the namespaces are written");
    }

    /// How many pods Kubernetes does not know where there are suspects.
    pub fn suspects(&self) -> usize {
        SUSPECTS.min(self.cluster.pods() / 2)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Keys and bytes under `/calico`.
fn load(cluster: &Cluster, etcd: &Etcd) -> (usize, usize) {
    let (mut keys, mut bytes) = (0, 0);
    let mut batch = Vec::with_capacity(AT_ONCE);
    for (key, value) in cluster.keys() {
        keys += 1;
        bytes += key.len() + value.len();
        batch.push((key.into_bytes(), value.into_bytes()));
        if batch.len() == AT_ONCE {
            etcd.put_many(std::mem::take(&mut batch));
        }
    }
    etcd.put_many(batch);
    (keys, bytes)
}
