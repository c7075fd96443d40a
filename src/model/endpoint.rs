//! A WorkloadEndpoint: what the CNI plugin wired up on a node (domain facts, section 5).

use super::{Addr, Meta, Name, Time};

/// Who made the endpoint; only `k8s` ones can be held against pods.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Orchestrator {
    Kubernetes,
    /// `cni`: made by the CNI plugin outside Kubernetes.
    Cni,
    /// Anything else: `libnetwork`, `openstack`, …, also none.
    Other(Name),
}

/// A floating address: `ipNATs[]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nat {
    /// `internalIP`: an address of the endpoint.
    pub internal: Addr,
    /// `externalIP`: the floating one.
    pub external: Addr,
}

/// One workload endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub meta: Meta,
    /// Namespace and name of the key (`<node>-k8s-<pod>-<endpoint>`, dashes inside a part doubled).
    pub namespace: Name,
    pub name: Name,
    pub orchestrator: Orchestrator,
    /// The Calico name of its node.
    pub node: Name,
    /// `spec.pod`, or `spec.workload` of the other orchestrators.
    pub pod: Name,
    /// `spec.endpoint`: the interface inside, mostly `eth0`.
    pub endpoint: Name,
    /// `spec.containerID`: the strongest tie to an allocation.
    pub container: Name,
    /// `spec.interfaceName`: the host's side.
    pub interface: Name,
    /// The six bytes of `spec.mac` as a number; `None` when absent or unreadable.
    pub mac: Option<u64>,
    /// `spec.ipNetworks` without their prefix lengths.
    pub addresses: Box<[Addr]>,
    /// `spec.ipNATs`.
    pub nats: Box<[Nat]>,
    /// `metadata.creationTimestamp`: of the endpoint's first creation, by the CNI host's clock.
    pub created: Option<Time>,
}

/// One host endpoint: addresses that a host has by itself, which are never a leak.
#[derive(Clone, Debug)]
pub struct HostEndpoint {
    pub meta: Meta,
    pub name: Name,
    /// `spec.expectedIPs`.
    pub addresses: Box<[Addr]>,
}

/// A MAC address as `aa:bb:cc:dd:ee:ff`.
pub fn mac_text(mac: u64) -> String {
    let b = mac.to_be_bytes();
    format!("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[2], b[3], b[4], b[5], b[6], b[7])
}
