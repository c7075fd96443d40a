//! A generated cluster as a snapshot that can be changed, and audits of it straight into a history.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use ipaudit::checks::{self, Outcome, World};
use ipaudit::decode::{self, Kv};
use ipaudit::history::{Db, Journal, PATIENCE, ToWrite};
use ipaudit::ledger::{Ledger, ScopeFlag};
use ipaudit::model::record::Recorded;
use ipaudit::model::{EndpointKey, Gathering, HandleId, Input, InputState, Time, Uid};
use ipaudit::record::{self, AuditCourse};

use crate::generator::{self, Cluster};

/// What the audits look at.
pub struct Scene {
    pub snapshot: Gathering,
    revision: i64,
    /// How many pods were replaced.
    replaced: usize,
}

impl Scene {
    /// A healthy cluster of so many pods, and so many handles that nobody has an address of.
    pub fn of(pods: usize, orphans: usize) -> Scene {
        let mut snapshot = Gathering { now: Time::parse_rfc3339(generator::NOW).unwrap(), ..Gathering::default() };
        for input in Input::ALL {
            snapshot.coverage.set(input, InputState::Complete, "");
        }
        let cluster = Cluster::of(pods);
        let orphan = |n: usize| {
            let id = format!("k8s-pod-network.{:064x}", n as u128 * 0x1234_5678_9abc_def1);
            (format!("/calico/ipam/v2/handle/{id}"), r#"{"block":{"10.0.0.0/26":1},"deleted":false}"#.to_owned())
        };
        let mut revision = 0;
        for (key, value) in cluster.keys().chain((1..=orphans).map(orphan)) {
            revision += 1;
            let (key, value) = (key.as_bytes(), value.as_bytes());
            let kv = Kv { key, value, create_revision: revision, mod_revision: revision, version: 1 };
            decode::insert(&mut snapshot, &kv);
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        cluster.write_objects(&mut file).unwrap();
        file.flush().unwrap();
        ipaudit::source::kube_objects::read(&[file.path().to_path_buf()], &mut snapshot).unwrap();
        snapshot.kube.kube_system_uid.get_or_insert_with(|| "11111111-2222-4333-8444-555555555555".to_owned());
        (snapshot.etcd.revision, snapshot.etcd.cluster_id) = (revision, 7);
        let mut scene = Scene { snapshot, revision, replaced: 0 };
        scene.settle();
        scene
    }

    pub fn later(&mut self, by: Duration) {
        self.snapshot.now = self.snapshot.now.plus(by);
    }

    /// A pod goes and another one takes its address: another container, another endpoint, another handle. What lies in
    /// the lists in the order of text is sorted anew by [`Scene::settle`].
    pub fn replace_a_pod(&mut self) {
        let Scene { snapshot, revision, replaced } = self;
        *replaced += 1;
        *revision += 1;
        let Gathering { blocks, names, handles, endpoints, pods, .. } = snapshot;
        // A prime number of steps meets every pod before it meets one again.
        let at = *replaced * 7_919 % endpoints.len();
        let mut endpoint = endpoints[at].fields();
        let address = endpoint.addresses[0];
        let container = names.intern(&format!("{:064x}", *replaced as u128 * 0xfeed_5eed_1357_2468));
        let name = names.intern(&format!("replaced-{replaced}-{:05x}", *replaced * 7));
        let old = (endpoint.namespace, endpoint.pod);
        (endpoint.container, endpoint.pod) = (container, name);
        endpoint.name = EndpointKey::Other(names.intern(&format!("node-k8s-replaced-{replaced}-eth0")));
        (endpoint.meta.create_revision, endpoint.meta.mod_revision) = (*revision, *revision);
        endpoint.meta.value_hash ^= *replaced as u64;
        endpoints[at] = endpoint.into();
        let pod = pods.iter_mut().find(|p| (p.namespace, p.name) == old).unwrap();
        pod.name = name;
        pod.uid = Uid::Uuid((*replaced as u128 * 0x9e37_79b9_7f4a_7c15_1111).to_be_bytes());
        let block = blocks.iter_mut().find(|b| b.cidr.contains(address)).unwrap();
        let ordinal = u32::try_from(block.cidr.ordinal(address).unwrap()).unwrap();
        let place = block.allocations[ordinal as usize].unwrap() as usize;
        let mut attribute = block.attributes[place].fields();
        let before = attribute.handle.unwrap();
        let id = HandleId { tail: container, ..before };
        (attribute.handle, attribute.owner.pod) = (Some(id), name);
        block.attributes[place] = attribute.into();
        let number = block.sequence.unwrap();
        block.allocation_sequences.iter_mut().find(|(o, _)| *o == ordinal).unwrap().1 = number;
        block.sequence = Some(number + 1);
        block.meta.mod_revision = *revision;
        block.meta.version += 2;
        block.meta.value_hash ^= *replaced as u64;
        let handle = handles.iter_mut().find(|h| h.id == before).unwrap();
        let mut fields = handle.fields();
        fields.id = id;
        (fields.meta.create_revision, fields.meta.mod_revision) = (*revision, *revision);
        *handle = fields.into();
    }

    pub fn settle(&mut self) {
        self.snapshot.etcd.revision = self.revision;
        self.snapshot = Gathering::clone(&std::mem::take(&mut self.snapshot).sorted());
    }

    /// An audit: checked when `checked`, else recorded as one that found nothing.
    pub fn audit(&self, path: &Path, checked: bool) -> Recorded {
        let mut db = Db::open_to_write(path, Journal::Wal, PATIENCE).unwrap();
        self.audit_into(&mut db, checked)
    }

    pub fn audit_into(&self, db: &mut Db<ToWrite>, checked: bool) -> Recorded {
        let snapshot = self.snapshot.clone().sorted();
        let key = record::cluster_key(&snapshot).unwrap();
        let past = db.read().unwrap().past(&key).unwrap();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, Some(&past));
        let outcome = match checked {
            true => checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: Some(&past) }),
            false => Outcome::default(),
        };
        let course = AuditCourse {
            started: self.snapshot.now,
            complete: true,
            tool: "1".to_owned(),
            counts: "{}".to_owned(),
            ..AuditCourse::default()
        };
        let made = record::of(&ledger, &outcome, past, &course);
        db.begin().unwrap().record(made).unwrap().expect("the past is the last word")
    }
}
