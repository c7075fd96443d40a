//! Who claims an address, and with which grade (the catalogue's word "Holder grades").
//!
//! Certain holders accuse; possible holders only protect. A stale endpoint is no holder.

use crate::model::word::words;
use crate::model::{Addr, Grade, Tunnel};

/// Who claims; numbers are indices into the snapshot's lists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Claimant {
    Pod(u32),
    Endpoint(u32),
    /// A Calico Node's tunnel.
    Tunnel(u32, Tunnel),
    Service(u32),
    HostEndpoint,
}

/// Where the claim stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Via {
    /// The thing itself: a pod's status, an endpoint's `ipNetworks`, a node's spec, a service's ingress.
    Object,
    /// Annotation `network-status`: a secondary network.
    NetworkStatus,
    /// A floating address: `ipNATs` or the pod's annotation.
    Floating,
    /// Annotation `ipAddrsNoIpam`: bypasses IPAM on purpose.
    NoIpam,
}

words!(Via { Object = "record", NetworkStatus = "network-status", Floating = "floating", NoIpam = "no-ipam" });

/// One claim on one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    pub address: Addr,
    /// How sure it is: only [`Grade::Certain`] accuses, [`Grade::Stale`] holds nothing.
    pub grade: Grade,
    /// Who.
    pub by: Claimant,
    /// By which of its fields.
    pub via: Via,
}

impl Claim {
    pub(super) const fn of(address: Addr, grade: Grade, by: Claimant, via: Via) -> Claim {
        Claim { address, grade, by, via }
    }
}

/// What is known of the pod behind an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EndpointState {
    /// Not ours to judge: foreign, not Kubernetes', or the pods could not be read.
    NotJudged,
    /// Its pod lives on the same node.
    Live,
    /// Its pod does not exist.
    NoPod,
    /// Its pod is finished.
    Finished,
    /// Its pod lives on another node, under a certain address.
    Elsewhere,
    /// Its pod is on another node, or in the host's network, and nothing certain is known of it yet.
    Undecided,
}

words!(EndpointState {
    NotJudged = "not-judged",
    Live = "live",
    NoPod = "no-pod",
    Finished = "finished",
    Elsewhere = "elsewhere",
    Undecided = "undecided",
});

impl EndpointState {
    /// Whether the endpoint is a leftover that holds nothing.
    pub const fn is_stale(self) -> bool {
        matches!(self, EndpointState::NoPod | EndpointState::Finished | EndpointState::Elsewhere)
    }
}
