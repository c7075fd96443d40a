//! 9xx: the datastore itself.

family! {
    "The datastore itself"
    pub mod undecodable_value;
    pub mod datastore_locked;
    pub mod datastore_went_back;
    pub mod collector_stuck;
    pub mod kubernetes_mismatch;
    pub mod shared_datastore;
    pub mod ipam_config_contradiction;
    pub mod ipam_not_used;
    pub mod clock_skew;
    pub mod etcd_alarm;
}

use super::World;
use crate::model::{Subject, SubjectKind};

/// The datastore as the subject of a finding: ClusterInformation's GUID.
fn cluster(world: &World<'_>) -> Subject {
    Subject::new(SubjectKind::Cluster, world.snapshot.guid())
}

/// Whether the value under `key` does not decode: then nobody may argue that it is absent or what it says.
fn is_undecodable(world: &World<'_>, key: &str) -> bool {
    world.snapshot.bad_values.iter().any(|bad| bad.key == key.as_bytes())
}
