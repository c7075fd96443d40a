//! Two readings of one node, as one evidence: what both saw has both bits, and whatever would accuse has to be so in both.

use std::hash::Hash;

use super::dump::Dump;
use super::inside::{Inside, PodInside};
use super::kernel::{GatewayVerdict, HostAddress, HostLink, KernelNeighbour, KernelRoute, NeighbourState};
use super::sysctl::{DevSysctls, Sysctls};
use super::{InUse, NodeEvidence};
use crate::model::hash::{HashMap, HashSet};
use crate::model::{Addr, Cidr, Foreign};

const FIRST: u8 = 1;
const SECOND: u8 = 2;

impl NodeEvidence {
    /// The two readings of a node as one. What one of them could not read is not read.
    pub fn twice(first: NodeEvidence, second: NodeEvidence) -> NodeEvidence {
        // Of a part that one of them could not read nobody may be accused, and nothing is released.
        let also = [first.uses(), second.uses()].concat();
        let taken = [first.taken, second.taken].concat();
        let both = NodeEvidence {
            taken,
            readings: 2,
            links: both(first.links, second.links, |a, b| in_order(a, b, link_key, join_links)),
            addresses: both(first.addresses, second.addresses, |a, b| in_order(a, b, address_key, |_, _| ())),
            routes4: both(first.routes4, second.routes4, |a, b| in_order(a, b, route_key, |_, _| ())),
            routes6: both(first.routes6, second.routes6, |a, b| in_order(a, b, route_key, |_, _| ())),
            neighbours: both(first.neighbours, second.neighbours, |a, b| in_order(a, b, neighbour_key, |_, _| ())),
            sysctls: both(first.sysctls, second.sysctls, steady),
            verdicts: both(first.verdicts, second.verdicts, |a, b| in_order(a, b, verdict_key, |_, _| ())),
            inside: insides(first.inside, second.inside),
            also: Vec::new(),
            ..second
        };
        let told: HashSet<(Cidr, InUse)> = both.uses().into_iter().collect();
        let mut also: Vec<_> = also.into_iter().filter(|used| !told.contains(used)).collect();
        also.sort();
        also.dedup();
        NodeEvidence { also, ..both }
    }
}

fn both<T>(first: Dump<T>, second: Dump<T>, join: impl FnOnce(T, T) -> T) -> Dump<T> {
    match (first, second) {
        (Dump::Read(first), Dump::Read(second)) => Dump::Read(join(first, second)),
        (Dump::NotRead(why), _) | (_, Dump::NotRead(why)) => Dump::NotRead(why),
        (Dump::NotAsked, _) | (_, Dump::NotAsked) => Dump::NotAsked,
        (Dump::Partly(first, why), Dump::Read(second) | Dump::Partly(second, _))
        | (Dump::Read(first), Dump::Partly(second, why)) => Dump::Partly(join(first, second), why),
    }
}

/// What is seen by readings.
trait IsSeen {
    fn seen(&mut self) -> &mut u8;
}

macro_rules! is_seen {
    ($($thing:ty),+) => {
        $(impl IsSeen for $thing {
            fn seen(&mut self) -> &mut u8 {
                &mut self.seen
            }
        })+
    };
}
is_seen!(HostLink, HostAddress, KernelRoute, KernelNeighbour, GatewayVerdict);

/// Both lists as one, in the order of each: of equal routes the first one counts. `join` puts into the second reading's what
/// the first one's says besides.
fn in_order<T: IsSeen, K: Hash + Eq>(
    first: Vec<T>,
    mut second: Vec<T>,
    key: impl Fn(&T) -> K,
    join: impl Fn(&mut T, &T),
) -> Vec<T> {
    let mut at: HashMap<K, usize> = HashMap::default();
    for (index, thing) in second.iter_mut().enumerate() {
        *thing.seen() = SECOND;
        at.entry(key(thing)).or_insert(index);
    }
    let mut before: HashMap<usize, Vec<T>> = HashMap::default();
    let mut alone = Vec::new();
    for mut thing in first {
        let known = at.get(&key(&thing)).and_then(|&index| Some((index, second.get_mut(index)?)));
        match known {
            Some((index, same)) => {
                *same.seen() = FIRST | SECOND;
                join(same, &thing);
                before.entry(index).or_default().append(&mut alone);
            }
            None => {
                *thing.seen() = FIRST;
                alone.push(thing);
            }
        }
    }
    let mut all = Vec::with_capacity(second.len() + alone.len());
    for (index, thing) in second.into_iter().enumerate() {
        all.append(&mut before.remove(&index).unwrap_or_default());
        all.push(thing);
    }
    all.append(&mut alone);
    all
}

type LinkKey = (u32, Foreign, Foreign, Option<u64>, Option<i32>, Option<u32>);

fn link_key(link: &HostLink) -> LinkKey {
    (link.index, link.name.clone(), link.kind.clone(), link.mac, link.nsid, link.peer)
}

/// One that worked at either time is not dead.
fn join_links(second: &mut HostLink, first: &HostLink) {
    if first.works() {
        (second.up, second.carrier) = (true, true);
    }
}

fn address_key(address: &HostAddress) -> (Foreign, Addr, u8) {
    (address.dev.clone(), address.address, address.prefix)
}

type RouteKey = (Cidr, u32, u32, bool, Foreign, Foreign, Vec<(Foreign, Option<Addr>)>);

fn route_key(route: &KernelRoute) -> RouteKey {
    let hops = route.hops.iter().map(|hop| (hop.dev.clone(), hop.gateway)).collect();
    (route.dst, route.table, route.metric, route.narrow, route.kind.raw().into(), route.protocol.raw().into(), hops)
}

/// One that is asked for again and again is now FAILED and now INCOMPLETE.
fn neighbour_key(neighbour: &KernelNeighbour) -> (Foreign, Addr, Option<u64>, Foreign) {
    let state = match neighbour.is_unanswered() {
        true => NeighbourState::Failed.word().into(),
        false => neighbour.state.raw().into(),
    };
    (neighbour.dev.clone(), neighbour.address, neighbour.mac, state)
}

fn verdict_key(verdict: &GatewayVerdict) -> (Foreign, Addr, Addr, i32) {
    (verdict.dev.clone(), verdict.from, verdict.to, verdict.errno)
}

/// A setting that had two values is not known.
fn steady(first: Sysctls, mut second: Sysctls) -> Sysctls {
    fn same(second: &mut Option<i64>, first: Option<i64>) {
        if *second != first {
            *second = None;
        }
    }
    same(&mut second.ip_forward, first.ip_forward);
    for (name, own) in &mut second.of {
        let DevSysctls {
            proxy_arp,
            forwarding,
            rp_filter,
            proxy_delay,
            proxy_ndp,
            forwarding6,
            accept_ra,
            disable_ipv6,
        } = first.dev(name);
        same(&mut own.proxy_arp, proxy_arp);
        same(&mut own.forwarding, forwarding);
        same(&mut own.rp_filter, rp_filter);
        same(&mut own.proxy_delay, proxy_delay);
        same(&mut own.proxy_ndp, proxy_ndp);
        same(&mut own.forwarding6, forwarding6);
        same(&mut own.accept_ra, accept_ra);
        same(&mut own.disable_ipv6, disable_ipv6);
    }
    second
}

fn insides(first: Inside, second: Inside) -> Inside {
    let Inside { means, pods, failed } = second;
    Inside { means: means.or(first.means), pods: both(first.pods, pods, pods_of_both), failed }
}

fn pods_of_both(mut first: Vec<PodInside>, second: Vec<PodInside>) -> Vec<PodInside> {
    let mut pods = Vec::with_capacity(second.len());
    for pod in second {
        match first.iter().position(|other| is_same(other, &pod)) {
            Some(at) => pods.push(joined(first.remove(at), pod)),
            None => pods.push(seen_once(pod)),
        }
    }
    pods.extend(first.into_iter().map(seen_once));
    pods
}

/// Whether it is the same sandbox, by all that is known of both.
fn is_same(first: &PodInside, second: &PodInside) -> bool {
    let differs = |a: &Foreign, b: &Foreign| !a.is_empty() && !b.is_empty() && a != b;
    let is_named = !first.uid.is_empty() || !first.pod.is_empty() || first.nsid.is_some();
    is_named
        && first.nsid == second.nsid
        && (first.mac.is_none() || second.mac.is_none() || first.mac == second.mac)
        && !differs(&first.uid, &second.uid)
        && !differs(&first.container, &second.container)
        && !differs(&first.namespace, &second.namespace)
        && !differs(&first.pod, &second.pod)
}

/// What it has is in use; nobody argues from it.
fn seen_once(pod: PodInside) -> PodInside {
    let also = [pod.also, pod.addresses.each_had().copied().collect()].concat();
    PodInside { also, addresses: Dump::NotAsked, routes: Dump::NotAsked, neighbours: Dump::NotAsked, ..pod }
}

/// Of addresses and neighbours what was there both times, of routes what was there at all: that one is missing would accuse.
fn joined(first: PodInside, second: PodInside) -> PodInside {
    let mut also = [first.also, second.also].concat();
    let addresses = both(first.addresses, second.addresses, |first, second| {
        let (lasting, once): (Vec<Addr>, Vec<Addr>) = second.iter().partition(|address| first.contains(address));
        also.extend(first.iter().filter(|address| !second.contains(address)));
        also.extend(once);
        lasting
    });
    also.sort_unstable();
    also.dedup();
    let lasting = |a, b| -> Vec<KernelNeighbour> {
        let all = in_order(a, b, neighbour_key, |_, _| ());
        all.into_iter().filter(|neighbour: &KernelNeighbour| neighbour.seen == FIRST | SECOND).collect()
    };
    PodInside {
        also,
        addresses,
        routes: both(first.routes, second.routes, |a, b| in_order(a, b, route_key, |_, _| ())),
        neighbours: both(first.neighbours, second.neighbours, lasting),
        ..second
    }
}

#[cfg(test)]
mod tests;
