//! This node's kernel, read where the command runs: netlink and files below `/proc`, as any user.
//!
//! It writes nothing, opens no raw socket and sends no packet. Rights are asked for by trying: what is not granted is *not
//! read*, never empty.

mod beside;
mod inside;
mod messages;
mod netlink;
mod ns;
mod proc;

use std::collections::{BTreeMap, BTreeSet};

use self::inside::both;
use self::messages::{IpFamily, LinkNames};
use self::netlink::{NotAnswered, kernel};
use self::proc::Proc;
use crate::decode::node_capture::MOST_ROUTES;
use crate::environment;
use crate::model::node_evidence::{
    Dump, GatewayVerdict, HostLink, KernelNeighbour, KernelRoute, LookInside, Means, NodeEvidence, PodInside,
    RoutesKept, is_reachable,
};
use crate::model::{Addr, Foreign, Time};

/// What every pod of Calico's has as its gateway.
const GATEWAY: u32 = 0xa9fe_0101;
/// How often a node is read whose interfaces change meanwhile.
const ATTEMPTS: usize = 3;
/// Addresses that the kernel is asked about; a node has hundreds.
const MOST_VERDICTS: usize = 100_000;

/// What is read, and how.
#[derive(Clone, Debug)]
pub struct LiveNode {
    /// Calico's name of this node.
    pub node: String,
    pub prefixes: Vec<String>,
    pub routes: RoutesKept,
    pub inside: LookInside,
}

/// One reading.
#[derive(Debug)]
pub struct LiveReading {
    pub evidence: NodeEvidence,
    /// Where no pod was looked into though any means would have done: why, by means.
    pub denied: Vec<(Means, String)>,
}

/// Calico's name of this node where nobody says it: `NODENAME`, what calico-node wrote down, the machine's own, in small
/// letters.
pub fn name_of_this_node() -> Option<String> {
    let noted = || {
        let path = std::path::Path::new("/var/lib/calico/nodename");
        environment::file::read_text(path, 4_096, environment::file::Takes::Files).ok()
    };
    let hostname = || Some(Proc::at("/proc").hostname().raw().to_owned());
    let given = [environment::text("NODENAME"), noted(), hostname()];
    given.into_iter().flatten().map(|name| name.trim().to_lowercase()).find(|name| !name.is_empty())
}

impl LiveNode {
    /// Reads this node once, at `now`. Takes some ten milliseconds; what cannot be read is said in the evidence.
    pub fn read(&self, now: Time) -> LiveReading {
        let proc = Proc::at("/proc");
        let (mut evidence, mut names) = self.kernels();
        // A route by an interface that came after the links were listed: its name would be none.
        for _ in 1..ATTEMPTS {
            if !names.missed() {
                break;
            }
            (evidence, names) = self.kernels();
        }
        evidence.node = self.node.as_str().into();
        evidence.boot_id = proc.boot_id();
        evidence.kernel = proc.kernel();
        evidence.tool = env!("CARGO_PKG_VERSION").into();
        evidence.taken = vec![now];
        let workload: Vec<&HostLink> =
            evidence.links.each_had().filter(|link| evidence.is_workload(&link.name)).collect();
        let sysctls = match evidence.links.failure() {
            Some(_) => Dump::NotRead(NO_LINKS.into()),
            None => proc.sysctls(workload.iter().map(|link| &link.name)),
        };
        let looked = inside::look(self.inside, &proc, &workload);
        let all: Vec<&HostLink> = evidence.links.each_had().collect();
        let also = beside::look(self.inside, &proc, &all, &workload);
        let verdicts = verdicts(&evidence, &workload, looked.inside.pods.each());
        (evidence.sysctls, evidence.verdicts, evidence.inside) = (sysctls, verdicts, looked.inside);
        evidence.also = also;
        LiveReading { evidence, denied: looked.denied }
    }

    /// What netlink lists.
    fn kernels(&self) -> (NodeEvidence, LinkNames) {
        let mut host = kernel();
        let links = host.dump(&messages::links(None), messages::NEW_LINK, messages::link).dumped().of_links();
        let mut names = LinkNames::of(links.had().map(Vec::as_slice).unwrap_or_default());
        let mut evidence = NodeEvidence {
            readings: 1,
            prefixes: self.prefixes.iter().map(|prefix| Foreign::from(prefix.as_str())).collect(),
            routes_kept: self.routes,
            links,
            ..NodeEvidence::default()
        };
        evidence.addresses = both(|family| {
            let read = |body: &[u8]| messages::own_address(body, family, &mut names);
            host.dump(&messages::addresses(family, None), messages::NEW_ADDRESS, read)
        });
        let tunnels = tunnels(&evidence.links);
        let mut routes = |family: IpFamily| {
            let kept = |route: &KernelRoute| keeps(&evidence, &tunnels, route);
            let read = |body: &[u8]| Ok(messages::route(body, family, &mut names)?.filter(kept));
            few(host.dump(&messages::routes(family), messages::NEW_ROUTE, read).dumped())
        };
        let (routes4, routes6) = (routes(IpFamily::V4), routes(IpFamily::V6));
        (evidence.routes4, evidence.routes6) = (routes4, routes6);
        evidence.neighbours = both(|family| {
            let read = |body: &[u8]| messages::neighbour(body, family, &mut names);
            let list = host.dump(&messages::neighbours(family), messages::NEW_NEIGHBOUR, read);
            list.map(|(_, neighbour): (u32, KernelNeighbour)| neighbour)
        });
        // By numbers alone nothing can be judged; what is in use is so by whatever it leads to.
        if evidence.links.had().is_none() {
            let unnamed = || Foreign::from(NO_LINKS);
            evidence.addresses = partly(evidence.addresses, unnamed());
            evidence.routes4 = partly(evidence.routes4, unnamed());
            evidence.routes6 = partly(evidence.routes6, unnamed());
            evidence.neighbours = partly(evidence.neighbours, unnamed());
        }
        (evidence, names)
    }
}

const NO_LINKS: &str = "the interfaces were not read";

/// What was read, without anybody arguing from it.
fn partly<T>(dump: Dump<Vec<T>>, why: Foreign) -> Dump<Vec<T>> {
    match dump {
        Dump::Read(list) => Dump::of(list, Some(why)),
        other => other,
    }
}

fn few<T>(dump: Dump<Vec<T>>) -> Dump<Vec<T>> {
    match dump {
        Dump::Read(mut list) | Dump::Partly(mut list, _) if list.len() > MOST_ROUTES => {
            let why = format!("{} routes, more than {MOST_ROUTES}", list.len());
            list.truncate(MOST_ROUTES);
            Dump::Partly(list, why.into())
        }
        other => other,
    }
}

/// The devices of tunnels, by their kinds.
fn tunnels(links: &Dump<Vec<HostLink>>) -> BTreeSet<Foreign> {
    let is_tunnel = |link: &&HostLink| ["vxlan", "ipip", "wireguard"].contains(&link.kind.raw());
    links.each_had().filter(is_tunnel).map(|link| link.name.clone()).collect()
}

/// Whether a route is one that was asked for.
fn keeps(evidence: &NodeEvidence, tunnels: &BTreeSet<Foreign>, route: &KernelRoute) -> bool {
    evidence.routes_kept == RoutesKept::All
        || route.is_host()
        || route.dst.prefix() == 0
        || !route.is_unicast()
        || route.hops.iter().any(|hop| evidence.is_workload(&hop.dev) || tunnels.contains(&hop.dev))
}

/// The kernel's word on the gateway of every workload interface, for each address that anything ties to it: a route, a
/// neighbour, the pod itself. Whether the tie is right is for the checks.
fn verdicts<'p>(
    evidence: &NodeEvidence,
    workload: &[&HostLink],
    pods: impl Iterator<Item = &'p PodInside>,
) -> Dump<Vec<GatewayVerdict>> {
    if evidence.links.had().is_none() {
        return Dump::NotRead(NO_LINKS.into());
    }
    let by_name: BTreeMap<&Foreign, u32> = workload.iter().map(|link| (&link.name, link.index)).collect();
    let by_index: BTreeMap<u32, &Foreign> = workload.iter().map(|link| (link.index, &link.name)).collect();
    let index = |dev: &Foreign| by_name.get(dev).copied();
    let mut asked: BTreeSet<(u32, u32)> = BTreeSet::new();
    let mut ask = |index: Option<u32>, address: Addr| {
        let pair = index.zip(address.to_v4_bits().filter(|_| is_reachable(address)));
        asked.extend(pair);
    };
    for route in evidence.routes4.each().filter(|route| route.is_host()) {
        route.hops.iter().for_each(|hop| ask(index(&hop.dev), route.dst.first()));
    }
    evidence.neighbours.each().for_each(|neighbour| ask(index(&neighbour.dev), neighbour.address));
    for pod in pods {
        pod.addresses.each().for_each(|address| ask(pod.host_link, *address));
    }
    if asked.len() > MOST_VERDICTS {
        return Dump::NotRead(format!("{} addresses at workload interfaces", asked.len()).into());
    }
    let mut host = kernel();
    let mut verdicts = Vec::new();
    for (index, from) in asked {
        let Some(dev) = by_index.get(&index).copied() else { continue };
        let verdict = |errno| GatewayVerdict {
            dev: dev.clone(),
            from: Addr::from_v4_bits(from),
            to: Addr::from_v4_bits(GATEWAY),
            errno,
            seen: 1,
        };
        match host.ask(&messages::way(GATEWAY, from, index), messages::NEW_ROUTE, |_| Ok(())) {
            Ok(()) => verdicts.push(verdict(0)),
            Err(refusal) => match answer(&refusal) {
                Some(errno) => verdicts.extend(errno.map(verdict)),
                None => return Dump::NotRead(refusal.why.into()),
            },
        }
    }
    Dump::Read(verdicts)
}

/// What a refused way says of the pod's gateway: a verdict, or nothing, since the interface is gone; `None`: it is no answer
/// to the question. A question that the kernel did not understand is EINVAL too, but with words beside it.
fn answer(refusal: &NotAnswered) -> Option<Option<i32>> {
    use rustix::io::Errno;
    let errno = refusal.errno?;
    let is = |of: Errno| of.raw_os_error() == errno;
    match () {
        () if is(Errno::NODEV) => Some(None),
        () if is(Errno::INVAL) && refusal.said.is_some() => None,
        () if is(Errno::PERM) || is(Errno::NOMEM) || is(Errno::NOBUFS) || is(Errno::OPNOTSUPP) => None,
        () => Some(Some(errno)),
    }
}
