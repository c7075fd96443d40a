//! What a healthy cluster can look like, as numbers that proptest draws and shrinks.

use proptest::prelude::*;

/// One thing that a cluster can have, on one of its nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Thing {
    /// A pod with allocation, handle and endpoint, running and ready.
    Plain,
    /// Its address comes from another node's block.
    Borrowing,
    /// Asked for its address, inside a reservation.
    Asking,
    /// Bypasses IPAM on purpose.
    NoIpam,
    /// Runs, not ready.
    NotReady,
    /// IPv6 alone.
    SixOnly,
    HostNetwork,
    /// No node yet.
    Unscheduled,
    /// IPAM and endpoint are there, kubelet has told no address yet.
    Creating,
    /// Nothing is there yet.
    CreatingBare,
    /// Between the two writes of an ADD: the allocation alone.
    CreatingAllocated,
    /// Terminating, CNI DEL has not run.
    Terminating,
    /// Terminating, CNI DEL is through, its status still shows the address.
    TerminatingReleased,
    /// The same, and a new pod has the address already.
    TerminatingReused,
    /// Terminating, the endpoint is gone, the address not yet.
    TerminatingHalf,
    /// Finished long ago, its status still shows the address.
    Finished,
    /// The same, and a new pod has the address already.
    FinishedReused,
    /// A static pod; its mirror is younger than its sandbox.
    Mirror,
    /// A pod of a StatefulSet that moved here from another node, all of it.
    Moved,
    VmRunning,
    /// Its handle keeps the address, no owner attributes.
    VmStopped,
    /// The same with the attributes of the pod that is gone.
    VmStoppedNamed,
    VmMigrating,
    /// The target of a migration lives, the source is gone.
    VmMigrated,
    /// A machine whose handle is a hash.
    VmHashed,
    /// A second network that delegates to calico-ipam: an allocation without endpoint.
    Multus,
    /// An allocation with a handle and nothing else, as old versions made it.
    OldWithoutOwner,
    /// Handle `<namespace>.<pod>`, endpoint without container.
    OldHandle,
    /// A floating address outside the pools.
    Floating,
    /// A floating address inside a pool, covered by a reservation.
    FloatingReserved,
    /// An endpoint of `cni` without Kubernetes.
    CniContainer,
    /// The node gave up a block that still has a pod.
    GivenUpBlock,
    /// A pod in a pool that was disabled since.
    DisabledPool,
    /// An address in cooldown, with others of the same release.
    Cooling,
    /// The cooldown is over for a moment.
    CooledDown,
    /// A LoadBalancer service that Calico manages.
    Service,
    /// One of another class, and one that has no address yet.
    ForeignService,
    /// A block that the node has claimed and not used.
    EmptyBlock,
    /// A claim under way.
    PendingAffinity,
    /// A release of a block under way.
    PendingDeletion,
    /// Addresses that an operator keeps back with a note, in a block for a device that has no node.
    KeptBack,
}

use Thing::*;

/// Every thing there is.
pub const THINGS: [Thing; 42] = [
    Plain,
    Borrowing,
    Asking,
    NoIpam,
    NotReady,
    SixOnly,
    HostNetwork,
    Unscheduled,
    Creating,
    CreatingBare,
    CreatingAllocated,
    Terminating,
    TerminatingReleased,
    TerminatingReused,
    TerminatingHalf,
    Finished,
    FinishedReused,
    Mirror,
    Moved,
    VmRunning,
    VmStopped,
    VmStoppedNamed,
    VmMigrating,
    VmMigrated,
    VmHashed,
    Multus,
    OldWithoutOwner,
    OldHandle,
    Floating,
    FloatingReserved,
    CniContainer,
    GivenUpBlock,
    DisabledPool,
    Cooling,
    CooledDown,
    Service,
    ForeignService,
    EmptyBlock,
    PendingAffinity,
    PendingDeletion,
    KeptBack,
    Plain,
];

/// One node.
#[derive(Clone, Debug)]
pub struct NodeShape {
    /// Calico calls it otherwise than Kubernetes.
    pub other_name: bool,
    /// Its Calico node has `spec.addresses` alone, no BGP.
    pub no_bgp: bool,
    /// Which of the five tunnels it has.
    pub tunnels: [bool; 5],
    /// Its tunnels' allocations have neither handle nor attributes.
    pub old_tunnels: bool,
    pub windows: bool,
    /// Its pods have addresses of host-local IPAM, outside the pools.
    pub host_local: bool,
    pub things: Vec<Thing>,
}

/// A whole cluster.
#[derive(Clone, Debug)]
pub struct Shape {
    pub nodes: Vec<NodeShape>,
    pub dual_stack: bool,
    /// Small blocks, so that nodes have several.
    pub small_blocks: bool,
    /// Strict affinity, told in both configuration keys; then nobody borrows.
    pub strict: bool,
    /// Blocks of old versions: no numbers, empty affinities, a strictAffinity of their own.
    pub old_blocks: bool,
    pub reservation: bool,
    pub host_endpoints: bool,
    /// A host that is not Kubernetes' uses the datastore too.
    pub bare_host: bool,
    /// A Kubernetes node with another CNI.
    pub other_cni: bool,
    /// Calico manages only services that ask.
    pub requested_only: bool,
}

fn thing() -> impl Strategy<Value = Thing> {
    (0..THINGS.len()).prop_map(|i| THINGS[i])
}

fn node() -> impl Strategy<Value = NodeShape> {
    let flags = (any::<bool>(), any::<bool>(), any::<[bool; 5]>(), any::<bool>());
    let rare = (prop::bool::weighted(0.2), prop::bool::weighted(0.15));
    (flags, rare, prop::collection::vec(thing(), 0..7)).prop_map(|(flags, (windows, host_local), things)| {
        let (other_name, no_bgp, tunnels, old_tunnels) = flags;
        NodeShape { other_name, no_bgp, tunnels, old_tunnels, windows, host_local, things }
    })
}

/// Any healthy cluster.
pub fn any_shape() -> impl Strategy<Value = Shape> {
    (prop::collection::vec(node(), 1..5), any::<[bool; 9]>()).prop_map(|(nodes, flags)| {
        let [
            dual_stack,
            small_blocks,
            strict,
            old_blocks,
            reservation,
            host_endpoints,
            bare_host,
            other_cni,
            requested_only,
        ] = flags;
        Shape {
            nodes,
            dual_stack,
            small_blocks,
            strict,
            old_blocks,
            reservation,
            host_endpoints,
            bare_host,
            other_cni,
            requested_only,
        }
    })
}

impl Shape {
    /// One cluster with everything, for what must be shown at least once.
    pub fn full() -> Shape {
        let node = |i: usize| NodeShape {
            other_name: i == 1,
            no_bgp: i == 2,
            tunnels: [true; 5],
            old_tunnels: false,
            windows: false,
            host_local: false,
            things: THINGS.to_vec(),
        };
        Shape {
            nodes: (0..3).map(node).collect(),
            dual_stack: true,
            small_blocks: false,
            strict: false,
            old_blocks: false,
            reservation: true,
            host_endpoints: true,
            bare_host: false,
            other_cni: false,
            requested_only: false,
        }
    }

    /// The same with room for a damage: two Linux nodes that use Calico's IPAM, two plain pods on each, nobody else.
    pub fn roomy(mut self) -> Shape {
        self.bare_host = false;
        self.old_blocks = false;
        while self.nodes.len() < 2 {
            self.nodes.push(self.nodes[0].clone());
        }
        for node in self.nodes.iter_mut().take(2) {
            node.host_local = false;
            node.windows = false;
            node.old_tunnels = false;
            node.tunnels[0] = true;
            node.things.extend([Plain, Plain]);
        }
        self
    }
}
