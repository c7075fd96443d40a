//! What the network namespaces of pods say of themselves.

use super::dump::Dump;
use super::kernel::{KernelNeighbour, KernelRoute};
use crate::model::foreign::foreign;
use crate::model::word::{Term, words};
use crate::model::{Addr, Cidr, Foreign};

/// By which means pods were looked into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Means {
    /// Files below `/proc/PID/net`.
    Proc,
    /// The kernel, asked for the addresses of another namespace.
    Nsid,
    /// By entering it.
    Netns,
    /// What somebody pasted.
    Pasted,
}

words!(Means { Proc = "proc", Nsid = "nsid", Netns = "netns", Pasted = "pasted" });

/// Which means may be used to look into pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum LookInside {
    /// The strongest one that was granted.
    #[default]
    Auto,
    None,
    Proc,
    Nsid,
    Netns,
}

words!(LookInside { Auto = "auto", None = "none", Proc = "proc", Nsid = "nsid", Netns = "netns" });

/// What is known of the insides of a node's pods.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Inside {
    /// `None`: nobody looked.
    pub means: Option<Term<Means>>,
    /// The pods that could be looked into.
    pub pods: Dump<Vec<PodInside>>,
    /// Those that could not.
    pub failed: Vec<InsideFailed>,
}

/// A pod that could not be looked into.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InsideFailed {
    /// Its interface on the host, or whatever else names it.
    pub interface: Foreign,
    pub why: Foreign,
}

/// One pod's network namespace, as far as the means reach. Whose it is, one of the names says; any may be empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PodInside {
    /// The namespace's number in the host's links.
    pub nsid: Option<i32>,
    /// What the file of the namespace is called, `cni-…`, as `ip netns` lists it.
    pub netns: Foreign,
    /// The index of the host's end of its interface.
    pub host_link: Option<u32>,
    /// The pod's UID.
    pub uid: Foreign,
    /// The container's id.
    pub container: Foreign,
    /// Namespace and name of the pod.
    pub namespace: Foreign,
    pub pod: Foreign,
    /// Of its interface.
    pub mac: Option<u64>,
    /// Those of the loopback and link-local ones left out.
    pub addresses: Dump<Vec<Addr>>,
    /// Those that only one of two readings saw: in use, and no ground for a finding.
    pub also: Vec<Addr>,
    pub routes: Dump<Vec<KernelRoute>>,
    pub neighbours: Dump<Vec<KernelNeighbour>>,
}

impl PodInside {
    /// `network namespace cni-1b2c`: what it is, where nobody says whose.
    pub fn place(&self) -> Foreign {
        match (self.netns.some(), self.nsid) {
            (Some(name), _) => foreign!("network namespace {}", name),
            (None, Some(nsid)) => format!("network namespace number {nsid}").into(),
            (None, None) => "a network namespace".into(),
        }
    }

    /// What it has in use: addresses, and ranges that it answers for.
    pub fn has(&self) -> impl Iterator<Item = Cidr> {
        let addresses = self.addresses.each_had().chain(&self.also).filter_map(|address| Cidr::of_one(*address));
        addresses.chain(self.routes.each_had().filter(|route| route.is_answered_for()).map(|route| route.dst))
    }

    /// For people: the best of its names; empty where it has none.
    pub fn name(&self) -> Foreign {
        match (self.namespace.is_empty(), self.pod.some(), self.container.some(), self.uid.some()) {
            (false, Some(pod), _, _) => format!("{}/{}", self.namespace.raw(), pod.raw()).into(),
            (_, _, Some(id), _) | (_, _, None, Some(id)) => id.clone(),
            _ => Foreign::default(),
        }
    }
}

/// Whether others may reach somebody by this address: it is neither of the loopback nor link-local.
pub fn is_reachable(address: Addr) -> bool {
    match address.to_v4_bits() {
        Some(bits) => bits >> 24 != 127 && bits >> 16 != 0xa9fe,
        None => address.bits() != 1 && address.bits() >> 118 != 0x3fa,
    }
}
