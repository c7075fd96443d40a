//! What one node's kernel says: links, addresses, routes, neighbours, sysctls, its own verdict on each pod's gateway, and
//! what is inside of pods. Plain values, however they were had.
//!
//! A dump that was refused or torn is [`Dump::NotRead`], never an empty list: unknown is not absent. A node is read twice,
//! because routes change without the kernel saying so; what counts was seen by every reading ([`NodeEvidence::lasts`]).

mod doubt;
mod dump;
mod inside;
mod kernel;
mod seen;
mod sysctl;
mod table;
mod twice;

pub use doubt::{DoubtKind, EvidenceDoubt};
pub use dump::{Dump, not_understood};
pub use inside::{Inside, InsideFailed, LookInside, Means, PodInside, is_reachable};
pub use kernel::{
    GatewayVerdict, Hop, HostAddress, HostLink, KernelNeighbour, KernelRoute, MAIN_TABLE, NeighbourState, RouteKind,
    RouteProtocol,
};
pub use seen::NodesSeen;
pub use sysctl::{DevSysctls, Sysctls};
pub use table::{RouteOrder, RouteTable, Way};

use super::foreign::foreign;
use super::hash::HashMap;
use super::word::{Term, words};
use super::{Addr, Cidr, Foreign, Time};

/// Which routes a capture holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum RoutesKept {
    /// Those of workload interfaces and tunnels, host routes, blackholes, defaults.
    #[default]
    Workload,
    /// All, but the kernel's own table of its addresses.
    All,
}

words!(RoutesKept { Workload = "workload", All = "all" });

/// What workload interfaces are called where nobody says otherwise.
pub const CALI: &str = "cali";

/// What the dump of pods' insides is called.
pub const INSIDE: &str = "pods' insides";

/// One node's evidence.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct NodeEvidence {
    /// Calico's name of it, as it gave itself.
    pub node: Foreign,
    /// The file or folder that it was read from; empty: read here.
    pub from: Foreign,
    /// The node, by Kubernetes' name, of the pod that printed it; empty: no pod did, or it was found to be this very node.
    pub printed_on: Foreign,
    /// Empty: not told; so are kernel and tool.
    pub boot_id: Foreign,
    pub kernel: Foreign,
    pub tool: Foreign,
    /// The moments of its readings, by the node's clock; empty: nobody knows.
    pub taken: Vec<Time>,
    /// How many readings there were: 1 or 2. A bit of `seen` for each, the first one's is 1.
    pub readings: u8,
    /// What the names of workload interfaces begin with.
    pub prefixes: Vec<Foreign>,
    pub routes_kept: RoutesKept,
    pub links: Dump<Vec<HostLink>>,
    pub addresses: Dump<Vec<HostAddress>>,
    pub routes4: Dump<Vec<KernelRoute>>,
    pub routes6: Dump<Vec<KernelRoute>>,
    pub neighbours: Dump<Vec<KernelNeighbour>>,
    pub sysctls: Dump<Sysctls>,
    pub verdicts: Dump<Vec<GatewayVerdict>>,
    pub inside: Inside,
    /// What else was seen in use: by a reading of which a part was not had the other time, by another capture of this
    /// node, in a network namespace that is not behind a workload interface. It forbids releases, and is no ground for a
    /// finding.
    pub also: Vec<(Cidr, InUse)>,
}

impl NodeEvidence {
    /// Whether something was seen by every reading.
    pub const fn lasts(&self, seen: u8) -> bool {
        let all = (1u8 << if self.readings > 7 { 7 } else { self.readings }) - 1;
        seen & all == all
    }

    /// Whether this is the name of a workload interface: not `bpfin.cali`, which only ends like one.
    pub fn is_workload(&self, interface: &Foreign) -> bool {
        self.prefixes.iter().any(|prefix| !prefix.is_empty() && interface.raw().starts_with(prefix.raw()))
    }

    /// The link of this name, if every reading saw the very same one.
    pub fn link(&self, name: &Foreign) -> Option<&HostLink> {
        self.links.each().find(|link| link.name == *name && self.lasts(link.seen))
    }

    /// Whether any reading saw a link of this name.
    pub fn has_link(&self, name: &Foreign) -> bool {
        self.links.each().any(|link| link.name == *name)
    }

    /// The routes of one family.
    pub const fn routes_of(&self, v4: bool) -> &Dump<Vec<KernelRoute>> {
        if v4 { &self.routes4 } else { &self.routes6 }
    }

    /// All dumps by what they are called, in the order in which they are told, with why each could not be read.
    pub fn dumps(&self) -> [(&'static str, DumpState<'_>); 8] {
        [
            ("links", DumpState::of(&self.links)),
            ("addresses", DumpState::of(&self.addresses)),
            ("IPv4 routes", DumpState::of(&self.routes4)),
            ("IPv6 routes", DumpState::of(&self.routes6)),
            ("neighbours", DumpState::of(&self.neighbours)),
            ("sysctls", DumpState::of(&self.sysctls)),
            ("gateway verdicts", DumpState::of(&self.verdicts)),
            (INSIDE, DumpState::of(&self.inside.pods)),
        ]
    }

    /// What was asked for and could not be read, or not whole: a sentence for each.
    pub fn unread(&self) -> impl Iterator<Item = Foreign> {
        let is_nothing = self.dumps().iter().all(|(_, state)| *state == DumpState::NotAsked);
        let nothing = is_nothing.then(|| "not one list is in it: nothing was read".into());
        self.dumps().into_iter().filter_map(|(name, state)| state.unread(name)).chain(nothing)
    }

    /// The last of its readings.
    pub fn taken_at(&self) -> Option<Time> {
        self.taken.iter().copied().max()
    }

    /// The addresses and ranges that the node's kernel shows in use, whatever anybody else says: routed to an interface that
    /// exists, or is not known to be absent, or configured or answered for (`ip route add local`), on the node or inside of
    /// a pod. Any reading counts: this only ever protects. A neighbour is no use: Felix leaves it behind.
    pub fn uses(&self) -> Vec<(Cidr, InUse)> {
        let links: Option<HashMap<&Foreign, &HostLink>> =
            self.links.read().map(|links| links.iter().map(|link| (&link.name, link)).collect());
        let one = |address: Addr, used: InUse| Cidr::of_one(address).map(|range| (range, used));
        let mut uses = self.also.clone();
        let configured = self.addresses.each_had();
        uses.extend(configured.filter_map(|a| one(a.address, InUse { interface: a.dev.clone(), by: UsedBy::Host })));
        for route in self.routes4.each_had().chain(self.routes6.each_had()) {
            if route.is_answered_for() {
                let interface = route.hops.iter().find_map(|hop| hop.dev.some()).cloned().unwrap_or_default();
                uses.push((route.dst, InUse { interface, by: UsedBy::Host }));
            } else if route.may_deliver() {
                let hops = route.hops.iter().filter(|hop| match &links {
                    Some(links) => links.get(&hop.dev).is_some_and(|link| self.is_delivered(route, hop, Some(link))),
                    // They were not read: unknown is not absent.
                    None => self.is_delivered(route, hop, None),
                });
                let used = |hop: &Hop| InUse { interface: hop.dev.clone(), by: UsedBy::Route };
                uses.extend(hops.map(|hop| (route.dst, used(hop))));
            }
        }
        for pod in self.inside.pods.each_had() {
            let interface = self.interface_of(pod).map(|link| link.name.clone()).unwrap_or_default();
            let used = InUse { interface, by: UsedBy::Namespace(pod.name()) };
            uses.extend(pod.has().map(|range| (range, used.clone())));
        }
        uses
    }

    /// Whether who is asked for is at the other end of this very interface, whatever it is called: no other machine is in
    /// between, as with a gateway or a tunnel. A workload interface leads to nothing else.
    fn is_delivered(&self, route: &KernelRoute, hop: &Hop, link: Option<&HostLink>) -> bool {
        let is_tunnel = link.is_some_and(HostLink::is_tunnel);
        match () {
            () if route.dst.prefix() == 0 => false,
            () if self.is_workload(&hop.dev) => true,
            () if route.is_host() => hop.is_direct(route.dst.first()) && !hop.dev.is_empty() && !is_tunnel,
            // Of a range: a network that an interface is in (the machine's own) says nothing of who is there.
            () => {
                let is_connected = route.protocol == Term::Known(RouteProtocol::Kernel);
                hop.gateway.is_none() && !is_connected && link.is_some_and(|link| link.nsid.is_some())
            }
        }
    }

    /// The host's end of a pod's interface.
    pub fn interface_of(&self, pod: &PodInside) -> Option<&HostLink> {
        let by = |is: &dyn Fn(&HostLink) -> bool| self.links.each_had().find(|link| is(link));
        let by_index = pod.host_link.and_then(|index| by(&|link| link.index == index));
        let by_nsid = || pod.nsid.and_then(|nsid| by(&|link| link.nsid == Some(nsid) && self.is_workload(&link.name)));
        by_index.or_else(by_nsid)
    }
}

/// What became of a dump.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DumpState<'e> {
    Read,
    /// What was had protects, and nothing is judged by it.
    Partly(&'e Foreign),
    NotRead(&'e Foreign),
    NotAsked,
}

impl<'e> DumpState<'e> {
    const fn of<T>(dump: &'e Dump<T>) -> DumpState<'e> {
        match dump {
            Dump::Read(_) => DumpState::Read,
            Dump::Partly(_, why) => DumpState::Partly(why),
            Dump::NotRead(why) => DumpState::NotRead(why),
            Dump::NotAsked => DumpState::NotAsked,
        }
    }

    /// What is told of a dump of this name that was asked for and could not be read, or not whole.
    pub fn unread(self, name: &str) -> Option<Foreign> {
        match self {
            DumpState::Partly(why) => {
                Some(foreign!("{name} read in part: {}; what was read of them only forbids", why))
            }
            DumpState::NotRead(why) => Some(foreign!("{name} not read: {}", why)),
            DumpState::Read | DumpState::NotAsked => None,
        }
    }
}

/// How a node uses an address.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UsedBy {
    /// A route to an interface that exists, or is not known to be absent.
    Route,
    /// Configured on the node itself.
    Host,
    /// Configured in a pod's network namespace: the pod, as far as it is known.
    Namespace(Foreign),
}

/// That a node uses an address, and where.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InUse {
    /// The interface on the host; empty: not known.
    pub interface: Foreign,
    /// How it is used there.
    pub by: UsedBy,
}

#[cfg(test)]
mod tests;
