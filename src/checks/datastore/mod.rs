//! 9xx: the datastore itself.

mod common;

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
