//! What the world looks like: plain values without I/O, clock or printing.
//!
//! Everything here is lean on purpose. A big cluster has 150,000 pods, each with an endpoint, a
//! handle and an allocation, and an audit holds all of them at once: addresses are numbers
//! ([`Addr`]), foreign text is interned once ([`Names`]), and values keep what checks need and
//! nothing more. Only `std`, ipnet, serde, chrono, hashbrown and xxhash may be used below this module.

pub mod access;
pub mod address;
pub mod affinity;
pub mod attribute;
mod beside;
pub mod block;
pub mod by_hash;
pub mod clock;
pub mod config;
pub mod coverage;
pub mod endpoint;
pub mod escape;
pub mod etcd;
pub mod fact;
pub mod finding;
pub mod foreign;
pub mod given_back;
pub mod glob;
pub mod handle;
pub mod hash;
pub mod index;
pub mod input;
pub mod json;
pub mod key;
pub mod keys;
pub mod kube;
pub mod machine;
pub mod names;
pub mod narrow;
pub mod near;
pub mod node;
pub mod node_evidence;
pub mod nodes_taken;
pub mod number;
pub mod observation;
pub mod past;
pub mod patch;
pub mod pod;
pub mod pool;
pub mod prints;
pub mod reading;
pub mod record;
pub mod release;
pub mod row;
pub mod snapshot;
pub mod time;
pub mod touch;
pub mod usual;
pub mod version;
pub mod word;

pub use address::{Addr, Cidr};
pub use affinity::{Affinity, AffinityState};
pub use attribute::{Attribute, AttributeFields, Owner};
pub use block::{Block, Host, HostKind};
pub use by_hash::ByHash;
pub use clock::{ClockPair, ClockPairs};
pub use config::{ClusterInformation, IpamConfig, IpamConfigResource, KubeControllers, LoadBalancerMode};
pub use coverage::{Coverage, InputState};
pub use endpoint::{Endpoint, EndpointFields, HostEndpoint, Nat, Orchestrator};
pub use etcd::{EtcdAlarm, EtcdMember, EtcdStatus};
pub use fact::{Evidence, Fact};
pub use finding::{
    Code, Finding, FindingKeeper, Gist, KeptFinding, Life, Look, Rest, Root, Severity, State, Subject, SubjectKind,
};
pub use foreign::Foreign;
pub use handle::{Handle, HandleFields, HandleId};
pub use input::{Input, Needs};
pub use key::Meta;
pub use kube::{Families, KubeNode, Namespace, Phase, Service, Uid};
pub use machine::MachineNow;
pub use names::{Name, Names};
pub use narrow::Narrow;
pub use node::{CalicoNode, Tunnel};
pub use node_evidence::{NodeEvidence, NodesSeen};
pub use observation::Observation;
pub use past::{AllocationTuple, BlockSequence, OpenFindings, Past, PastEtcd, PastFinding, PastKey, PastKeys};
pub use patch::{FailedLook, Patch};
pub use pod::{Comeback, Pod, PodFields};
pub use pool::{Pool, Reservation};
pub use reading::{EtcdReading, ReadBy};
pub use release::Conclusion;
pub use row::{Grade, Sharing, Use};
pub use snapshot::{BadValue, EtcdFacts, Gathering, Snapshot, UNKNOWN_GUID};
pub use time::Time;
pub use usual::{EndpointKey, Few, Interface};
pub use version::Version;
pub use word::Term;
