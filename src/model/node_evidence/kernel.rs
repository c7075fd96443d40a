//! What the kernel lists, one type a thing. Names of interfaces are foreign text: whoever may make one chooses it.
//! `seen` has a bit for each reading that saw the thing.

use crate::model::word::{Term, words};
use crate::model::{Addr, Cidr, Foreign};

/// One interface of the host's namespace.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct HostLink {
    pub index: u32,
    pub name: Foreign,
    /// The kernel's word: `veth`, `vxlan`, `ipip`; empty: none, or not told.
    pub kind: Foreign,
    pub mac: Option<u64>,
    /// Set up by its administrator.
    pub up: bool,
    /// Its other end is up too (LOWER_UP).
    pub carrier: bool,
    /// The network namespace of its other end.
    pub nsid: Option<i32>,
    /// The index of its other end, in that namespace.
    pub peer: Option<u32>,
    pub seen: u8,
}

impl HostLink {
    /// Whether it can carry a packet.
    pub const fn works(&self) -> bool {
        self.up && self.carrier
    }

    /// Whether it leads to other nodes.
    pub fn is_tunnel(&self) -> bool {
        ["vxlan", "ipip", "wireguard"].contains(&self.kind.raw())
    }
}

/// One address of the host's namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostAddress {
    pub dev: Foreign,
    pub address: Addr,
    pub prefix: u8,
    pub seen: u8,
}

/// What a route does with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteKind {
    Unicast,
    Blackhole,
    Unreachable,
    Prohibit,
    Throw,
    Local,
}

words!(RouteKind {
    Unicast = "unicast",
    Blackhole = "blackhole",
    Unreachable = "unreachable",
    Prohibit = "prohibit",
    Throw = "throw",
    Local = "local",
});

/// Who made a route, as it says itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RouteProtocol {
    Kernel,
    /// What CNI and Felix use for pods' routes; what nobody names is this too.
    Boot,
    Static,
    Bird,
    /// Felix's own routes of blocks.
    Felix,
}

words!(RouteProtocol { Kernel = "kernel", Boot = "boot", Static = "static", Bird = "bird", Felix = "80" });

/// The main table: the only one that Calico's routes of pods and blocks are in, but for WireGuard's.
pub const MAIN_TABLE: u32 = 254;

/// Where a route leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hop {
    /// Empty for a route without a device.
    pub dev: Foreign,
    pub gateway: Option<Addr>,
}

impl Hop {
    /// Whether who has the address is at the other end itself: without a gateway, or with the address as its own (`onlink`).
    pub fn is_direct(&self, address: Addr) -> bool {
        self.gateway.is_none_or(|gateway| gateway == address)
    }
}

/// One route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelRoute {
    pub dst: Cidr,
    pub kind: Term<RouteKind>,
    /// Several: the kernel shares the traffic among them.
    pub hops: Vec<Hop>,
    /// The lowest one is in force; of equal ones the first in the list.
    pub metric: u32,
    pub protocol: Term<RouteProtocol>,
    pub table: u32,
    /// For some packets alone: those of one TOS, or of some senders. It is nobody's way else, and shows who is there all the same.
    pub narrow: bool,
    pub seen: u8,
}

impl KernelRoute {
    /// Whether it is of one address alone.
    pub const fn is_host(&self) -> bool {
        self.dst.prefix() == if self.dst.is_v4() { 32 } else { 128 }
    }

    /// Whether it is the host route of this address.
    pub fn is_to(&self, address: Addr) -> bool {
        self.is_host() && self.dst.first() == address
    }

    /// Whether it hands packets on.
    pub fn is_unicast(&self) -> bool {
        self.kind == Term::Known(RouteKind::Unicast)
    }

    /// Whether a packet may arrive by it: a kind that nobody knows yet is none that is known not to.
    pub const fn may_deliver(&self) -> bool {
        matches!(self.kind, Term::Known(RouteKind::Unicast | RouteKind::Local) | Term::Other(_))
    }

    /// Whether who has the route answers for all of its range itself (`ip route add local`), without any of the addresses.
    pub fn is_answered_for(&self) -> bool {
        self.kind == Term::Known(RouteKind::Local) && self.dst.prefix() > 0
    }

    /// Whether no packet gets anywhere by it, or, where it hands the question back, not by this table.
    pub fn drops(&self) -> bool {
        use RouteKind::{Blackhole, Prohibit, Throw, Unreachable};
        matches!(self.kind.known(), Some(Blackhole | Prohibit | Throw | Unreachable))
    }

    /// Whether it swallows packets without a word.
    pub fn is_blackhole(&self) -> bool {
        self.kind == Term::Known(RouteKind::Blackhole)
    }

    /// The one device that it leads to; `None`: none, or several.
    pub fn dev(&self) -> Option<&Foreign> {
        let first = self.hops.first()?;
        let is_one = !first.dev.is_empty() && self.hops.iter().all(|hop| hop.dev == first.dev);
        is_one.then_some(&first.dev)
    }

    /// The devices to which it is a host route without another machine in between: one, as Calico makes it for a pod, or
    /// several that share the traffic.
    pub fn direct_devs(&self) -> impl Iterator<Item = &Foreign> {
        let address = self.dst.first();
        let is_one = self.is_host() && self.is_unicast();
        let devs = self.hops.iter().enumerate().filter(move |(_, hop)| is_one && hop.is_direct(address));
        let is_new = |(at, hop): &(usize, &Hop)| self.hops.iter().take(*at).all(|before| before.dev != hop.dev);
        devs.filter(move |hop| is_new(hop)).map(|(_, hop)| &hop.dev)
    }
}

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NeighbourState {
    /// Put there by somebody: Felix, for every endpoint.
    Permanent,
    Reachable,
    Stale,
    Delay,
    Probe,
    Incomplete,
    /// Asked and not answered.
    Failed,
    NoArp,
}

words!(NeighbourState {
    Permanent = "permanent",
    Reachable = "reachable",
    Stale = "stale",
    Delay = "delay",
    Probe = "probe",
    Incomplete = "incomplete",
    Failed = "failed",
    NoArp = "noarp",
});

/// One neighbour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KernelNeighbour {
    pub address: Addr,
    pub dev: Foreign,
    pub mac: Option<u64>,
    pub state: Term<NeighbourState>,
    pub seen: u8,
}

impl KernelNeighbour {
    /// Whether somebody put it there; such an entry is left behind for ever.
    pub fn is_permanent(&self) -> bool {
        self.state == Term::Known(NeighbourState::Permanent)
    }

    /// Whether the neighbour was asked for and did not answer.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.state.known(), Some(NeighbourState::Failed | NeighbourState::Incomplete))
    }
}

/// The kernel's answer to `ip route get 169.254.1.1 from ADDRESS iif INTERFACE`: whether it would answer this pod's
/// request for its gateway's MAC. It sees everything but proxy_arp.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GatewayVerdict {
    pub dev: Foreign,
    pub from: Addr,
    pub to: Addr,
    /// 0: a route, so it would answer.
    pub errno: i32,
    pub seen: u8,
}
