//! Where the values of a snapshot come from, one file for one outside thing.

pub mod capture;
pub mod etcd;
pub mod etcd_access;
pub mod etcd_changes;
mod etcd_oldest;
pub mod etcd_ranges;
pub mod etcd_status;
mod etcd_stream;
mod etcd_term;
pub mod etcd_watch;
pub mod json_stream;
pub mod kube;
pub mod kube_access;
pub mod kube_api;
pub mod kube_look;
pub mod kube_objects;
#[cfg(all(feature = "node", target_os = "linux"))]
pub mod node;
pub mod node_captures;
pub mod node_line;
pub mod node_pasted;
pub mod node_pods;
