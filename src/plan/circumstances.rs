//! What the rules judge by: plain values that the edge fills from snapshot, past, clocks and the second reading.
//!
//! Each field says what was *learned*; what could not be learned is a variant of its own, since unknown is not absent.

use crate::ledger::Grade;
use crate::model::{Addr, Foreign, HandleId, Names, Observation, Phase, Time, Tunnel};

/// A node or a pool with allocations that are newly leaked since the last audit.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Surge {
    /// `node slave-96`, `pool default`.
    pub place: Foreign,
    /// Addresses that the last audit did not find leaked.
    pub newly_leaked: u64,
    /// All of the place.
    pub allocations: u64,
}

/// By what the datastore is known not to be the one that was observed, or an older state of it (IPA903).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Fork {
    OtherCluster,
    WentBack {
        now: i64,
        then: i64,
    },
    /// The finding's summary.
    Found(Foreign),
    /// The last audit found it, and none has looked since.
    AtLastAudit,
    /// An audit since the release found it.
    SinceRelease,
}

/// Why nothing can be recorded.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Nameless {
    NoGuid,
    /// ClusterInformation was not read; why.
    Unread(Foreign),
    /// Neither Kubernetes nor the history names the cluster.
    NoCluster,
}

/// Who may hold an address, in the order in which they are told. Pods and their like by namespace and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Claimer {
    /// A node's own kernel shows it in use: node, interface (empty: not known), and whose namespace has it, or how it is
    /// used otherwise.
    Kernel(Foreign, Foreign, KernelUse),
    /// Of a node.
    Tunnel(Tunnel, Foreign),
    HostEndpoint,
    Endpoint(Foreign, Foreign),
    /// Of another allocation of the address; empty for one without a handle.
    Handle(Foreign),
    Pod(Foreign, Foreign),
    Service(Foreign, Foreign),
}

/// How a node uses an address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum KernelUse {
    Routed,
    OfHost,
    /// In a pod's network namespace; the pod, as far as it is known.
    Inside(Foreign),
}

/// One who may hold an address, and how surely.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct HolderNow {
    pub who: Claimer,
    /// How surely.
    pub grade: Grade,
}

/// Whose handle it is, when its id comes again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Recurring {
    Tunnel,
    Machine,
    LoadBalancer,
    Windows,
    /// Anything else that is no container's: `<namespace>.<pod>`, or an id of which nobody knows what made it.
    Other,
}

impl Recurring {
    /// By the form of the id; `None`: a container's.
    pub fn of(names: &Names, id: HandleId) -> Option<Recurring> {
        match () {
            () if !id.comes_again(names) => None,
            () if id.is_tunnel(names) => Some(Recurring::Tunnel),
            () if id.is_vm(names) => Some(Recurring::Machine),
            () if id.is_load_balancer(names) => Some(Recurring::LoadBalancer),
            () if id.is_windows(names) => Some(Recurring::Windows),
            () => Some(Recurring::Other),
        }
    }
}

/// Why an allocation is never touched automatically (rule 7).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Special {
    Tunnel,
    Windows,
    /// Kept back with a note, by an operator.
    Reserved,
    LoadBalancer,
    Machine,
    Cooling,
    Unattributed,
    UnknownType,
    /// Calico's name of it.
    ForeignNode(Foreign),
    /// In a second block too: these have it, by their keys.
    TwoBlocks(Vec<Foreign>),
    /// A pod (namespace, name) without an address waits for it: its predecessor's, which it will never get (IPA133).
    Awaited(Foreign, Foreign),
}

impl Special {
    /// Whether not even the operator's word lets it go: nobody holds it any more, or nobody can say which one is meant.
    pub const fn is_never(&self) -> bool {
        matches!(self, Special::Cooling | Special::TwoBlocks(_) | Special::Windows)
    }
}

/// The owner's node at the second reading.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NodeNow {
    Ready,
    /// It exists and is not Ready, or does not say.
    NotReady,
    /// Gone from Calico and Kubernetes, or a former name of a machine; known so since then.
    Departed(Option<Time>),
    Unknown(NodeUnknown),
}

/// Why nobody knows how a node is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NodeUnknown {
    /// Kubernetes has lost it, Calico has not.
    Lost,
    /// Gone, and never seen as this cluster's.
    NeverOurs,
    Foreign,
}

/// Why a node is no proof that nothing runs on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NodeDoubt {
    /// Known gone for less than an hour.
    GoneSince(Time),
    GoneUnknownSince,
    NotReady,
    Unknown(NodeUnknown),
}

/// The owner's pod at the second reading, against the first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PodNow {
    /// It does not exist: the API server said so about exactly this name.
    Absent,
    /// The same UID, and still no holder.
    SameAndNoHolder,
    Changed(PodChange),
    Unknown(PodDoubt),
}

/// What became of a pod between two looks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PodChange {
    MayHold,
    /// One of its name was created.
    Anew,
}

/// Why the second look says nothing.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum PodDoubt {
    /// The allocation names no pod.
    NamesNone,
    /// The look failed; how.
    Failed(Foreign),
}

/// What is missing until three audits have seen it for long enough: it can be waited for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Lacking {
    /// So many audits more; at least one.
    pub audits: u32,
    /// The last of them counts at this moment or later, when the others come as soon as they can.
    pub from: Time,
}

/// Why an allocation is leaked (IPA110).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proven {
    /// Namespace and name, with a slash.
    pub pod: String,
    pub how: LeakProof,
}

/// By what the owner's pod proves it; the manual of IPA110 says when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LeakProof {
    NoSuchPod,
    Finished(Phase),
    OtherContainer,
    OlderThanPod,
}

/// What allows a step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ground {
    Leaked(Proven),
    /// The operator's word, for an address; `None`: nothing special is known of it.
    Word(Option<Special>),
    /// Orphaned (IPA201); by the operator's word when its id comes again.
    Orphaned(Option<Recurring>),
    /// The release of this number is undone.
    Undone(i64),
}

/// An endpoint that lists the address or has the container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeftEndpoint {
    /// Etcd's key, its bytes.
    pub key: Vec<u8>,
    /// `shop/node--1-k8s-web--0-eth0`.
    pub name: String,
    /// Its pod is proven gone, so it is deleted in the same transaction.
    pub is_stale: bool,
    /// With which the transaction compares.
    pub mod_revision: i64,
    /// Calico's name of its node, which need not be the allocation's.
    pub node: String,
    /// That node at the second reading.
    pub node_now: NodeNow,
}

/// One address of a handle, as everything known says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    pub address: Addr,
    /// `None`: not proven leaked.
    pub proof: Option<Proven>,
    /// `None`: rule 7 says nothing of it.
    pub special: Option<Special>,
    /// Everybody who claims it, of every grade.
    pub holders: Vec<HolderNow>,
    /// The node whose evidence was asked for and does not count, or not in all, and why: it may hold the address.
    pub unseen: Option<(Foreign, Foreign)>,
    /// Endpoints that list it or have its container.
    pub endpoints: Vec<LeftEndpoint>,
    /// `owner.node`, Calico's name; empty when it names none.
    pub node: String,
    /// That node at the second reading.
    pub node_now: NodeNow,
    /// The owner's pod at the second reading.
    pub pod_now: PodNow,
    /// Whether audits find it: they count then how often they have.
    pub is_watched: bool,
    /// How often they have seen this very tuple so.
    pub observed: Option<Observation>,
}

/// What a pod must still be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AgainPod {
    Absent,
    /// UID, phase, node, addresses and whether it is terminating, as one text.
    As(String),
}

/// What a node must still be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum AgainNode {
    /// Ready, and the one of this UID.
    Ready(String),
    Absent,
}

/// What the API server must say once more, right before the write (rule 5).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LastLook {
    pub namespace: String,
    pub name: String,
    /// What it must still be.
    pub pod: AgainPod,
    /// Kubernetes' name of the node; `None`: the operator's word stands for it.
    pub node: Option<(String, AgainNode)>,
}

/// A sandbox that must be gone from a node that runs, before what was its goes to somebody else.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SandboxLeft {
    /// Kubernetes' name.
    pub node: String,
    pub called: SandboxName,
}

/// What a runtime finds a sandbox by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SandboxName {
    /// Its id.
    Container(String),
    /// Namespace and name of its pod.
    Pod(String, String),
}

/// What the operator said on the command line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct OperatorWord {
    /// `--skip-age`.
    pub skip_age: bool,
    /// `--i-know-what-this-is`, with one `--address` or `--handle`.
    pub knows: bool,
    /// `--node-is-off`, as Calico's names.
    pub nodes_off: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "k8s-pod-network.3f2c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7";

    fn of(id: &str) -> Option<Recurring> {
        let mut names = Names::default();
        let id = HandleId::intern(&mut names, id).unwrap();
        Recurring::of(&names, id)
    }

    #[test]
    fn an_id_comes_again_unless_it_is_a_containers() {
        for (id, whose) in [
            (POD, None),
            ("other.net.3f2c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7", None),
            ("ipip-tunnel-addr-node-1", Some(Recurring::Tunnel)),
            ("vxlan-v6-tunnel-addr-worker-3.rack-b", Some(Recurring::Tunnel)),
            ("k8s-pod-network.vmi.vms.cursed", Some(Recurring::Machine)),
            ("k8s-pod-network.vmi._0a1b", Some(Recurring::Machine)),
            ("lb-po9BrpGzD9yQStPVKeEgsqQcsEwMrNJNtotNFXNg4", Some(Recurring::LoadBalancer)),
            ("windows-reserved-ipam-handle", Some(Recurring::Windows)),
            ("shop.ancient-0", Some(Recurring::Other)),
            ("k8s-pod-network.cnitool-77383ca0a0715733ca6f", Some(Recurring::Other)),
            ("by-hand", Some(Recurring::Other)),
            (".3f2c0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7", Some(Recurring::Other)),
        ] {
            assert_eq!(of(id), whose, "{id}");
        }
    }
}
