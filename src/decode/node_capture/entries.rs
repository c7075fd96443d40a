//! The entries of a node's capture, one type a thing, and what each becomes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dump_entry::DumpEntry;
use super::few::{BoundedList, ListEntry, MOST_DEVICES, MOST_ROUTES, brief, few, few_devices};
use crate::model::endpoint::mac_text;
use crate::model::node_evidence::{
    DevSysctls, Dump, GatewayVerdict, Hop, HostAddress, HostLink, InsideFailed, KernelNeighbour, KernelRoute,
    MAIN_TABLE, PodInside, Sysctls,
};
use crate::model::{Addr, Cidr, Foreign, Term};

impl DumpEntry<SysctlsEntry> {
    pub fn one(self) -> Dump<Sysctls> {
        match (self.not_read, self.read) {
            (Some(why), _) => Dump::NotRead(brief(why)),
            (None, Some(SysctlsEntry { ip_forward, of })) => {
                Dump::Read(Sysctls { ip_forward, of: of.into_iter().map(|(dev, own)| (dev.into(), own)).collect() })
            }
            (None, None) => Dump::NotAsked,
        }
    }

    pub fn of_one(dump: &Dump<Sysctls>) -> DumpEntry<SysctlsEntry> {
        let of = |sysctls: &Sysctls| SysctlsEntry {
            ip_forward: sysctls.ip_forward,
            of: sysctls.of.iter().map(|(dev, own)| (dev.raw().to_owned(), *own)).collect(),
        };
        DumpEntry { read: dump.read().map(of), not_read: dump.failure().map(|why| why.raw().to_owned()) }
    }
}

macro_rules! at_most {
    ($($entry:ty: $most:expr),+ $(,)?) => {
        $(impl ListEntry for $entry {
            const MOST: usize = $most;
        })+
    };
}
at_most!(
    LinkEntry: MOST_DEVICES,
    AddressEntry: MOST_DEVICES,
    RouteEntry: MOST_ROUTES,
    HopEntry: 1_024,
    NeighbourEntry: MOST_ROUTES,
    VerdictEntry: MOST_ROUTES,
    PodEntry: 10_000,
    FailedEntry: 10_000,
);

const fn seen_once() -> u8 {
    1
}

const fn main_table() -> u32 {
    MAIN_TABLE
}

fn is_main(table: &u32) -> bool {
    *table == MAIN_TABLE
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Six bytes in hexadecimal, as the kernel prints them; `None` for addresses of another length, as of tunnels.
pub fn mac(text: &str) -> Option<u64> {
    let mut number = 0;
    let mut parts = 0;
    for part in text.split(':') {
        let byte = u8::from_str_radix(part, 16).ok().filter(|_| part.len() <= 2)?;
        number = number << 8 | u64::from(byte);
        parts += 1;
    }
    (parts == 6).then_some(number)
}

pub fn addr(text: &str) -> Result<Addr, String> {
    text.parse().map_err(|_| format!("{text:?} is no address"))
}

pub fn range(text: &str) -> Result<Cidr, String> {
    Cidr::parse(text).map(|(range, _)| range).ok_or_else(|| format!("{text:?} is no range"))
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

#[derive(Serialize, Deserialize)]
pub struct LinkEntry {
    i: u32,
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    up: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    carrier: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nsid: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<u32>,
    #[serde(default = "seen_once")]
    seen: u8,
}

impl LinkEntry {
    pub fn of(link: &HostLink) -> LinkEntry {
        LinkEntry {
            i: link.index,
            name: link.name.raw().to_owned(),
            kind: link.kind.raw().to_owned(),
            mac: link.mac.map(mac_text),
            up: link.up,
            carrier: link.carrier,
            nsid: link.nsid,
            peer: link.peer,
            seen: link.seen,
        }
    }

    pub fn link(self) -> Result<HostLink, String> {
        Ok(HostLink {
            index: self.i,
            name: self.name.into(),
            kind: self.kind.into(),
            mac: self.mac.as_deref().and_then(mac),
            up: self.up,
            carrier: self.carrier,
            nsid: self.nsid,
            peer: self.peer,
            seen: self.seen,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub struct AddressEntry {
    dev: String,
    ip: String,
    prefix: u8,
    #[serde(default = "seen_once")]
    seen: u8,
}

impl AddressEntry {
    pub fn of(address: &HostAddress) -> AddressEntry {
        let HostAddress { dev, address, prefix, seen } = address;
        AddressEntry { dev: dev.raw().to_owned(), ip: address.to_string(), prefix: *prefix, seen: *seen }
    }

    pub fn address(self) -> Result<HostAddress, String> {
        Ok(HostAddress { dev: self.dev.into(), address: addr(&self.ip)?, prefix: self.prefix, seen: self.seen })
    }
}

#[derive(Serialize, Deserialize)]
struct HopEntry {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    dev: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    via: Option<String>,
}

#[derive(Serialize, Deserialize)]
pub struct RouteEntry {
    dst: String,
    #[serde(default = "unicast", skip_serializing_if = "is_unicast")]
    r#type: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "few")]
    hops: Vec<HopEntry>,
    #[serde(default, skip_serializing_if = "is_zero")]
    metric: u32,
    proto: String,
    #[serde(default = "main_table", skip_serializing_if = "is_main")]
    table: u32,
    #[serde(default, skip_serializing_if = "is_false")]
    narrow: bool,
    #[serde(default = "seen_once")]
    seen: u8,
}

fn unicast() -> String {
    "unicast".to_owned()
}

fn is_unicast(kind: &str) -> bool {
    kind == "unicast"
}

impl RouteEntry {
    pub fn of(route: &KernelRoute) -> RouteEntry {
        let hop = |hop: &Hop| HopEntry { dev: hop.dev.raw().to_owned(), via: hop.gateway.map(|gw| gw.to_string()) };
        RouteEntry {
            dst: route.dst.to_string(),
            r#type: route.kind.raw().to_owned(),
            hops: route.hops.iter().map(hop).collect(),
            metric: route.metric,
            proto: route.protocol.raw().to_owned(),
            table: route.table,
            narrow: route.narrow,
            seen: route.seen,
        }
    }

    /// `v4`: the family of the list that it is in.
    pub fn route(self, v4: bool) -> Result<KernelRoute, String> {
        let dst = range(&self.dst)?;
        if dst.is_v4() != v4 {
            return Err(format!("{} is of the other family", self.dst));
        }
        let hop = |hop: HopEntry| {
            let gateway = hop.via.map(|gateway| addr(&gateway)).transpose()?;
            Ok(Hop { dev: hop.dev.into(), gateway })
        };
        Ok(KernelRoute {
            dst,
            kind: Term::of(&self.r#type),
            hops: self.hops.into_iter().map(hop).collect::<Result<_, String>>()?,
            metric: self.metric,
            protocol: Term::of(&self.proto),
            table: self.table,
            narrow: self.narrow,
            seen: self.seen,
        })
    }
}

#[derive(Serialize, Deserialize)]
pub struct NeighbourEntry {
    ip: String,
    dev: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    state: String,
    #[serde(default = "seen_once")]
    seen: u8,
}

impl NeighbourEntry {
    pub fn of(neighbour: &KernelNeighbour) -> NeighbourEntry {
        NeighbourEntry {
            ip: neighbour.address.to_string(),
            dev: neighbour.dev.raw().to_owned(),
            mac: neighbour.mac.map(mac_text),
            state: neighbour.state.raw().to_owned(),
            seen: neighbour.seen,
        }
    }

    pub fn neighbour(self) -> Result<KernelNeighbour, String> {
        let mac = self.mac.as_deref().and_then(mac);
        let state = Term::of(&self.state);
        Ok(KernelNeighbour { address: addr(&self.ip)?, dev: self.dev.into(), mac, state, seen: self.seen })
    }
}

#[derive(Serialize, Deserialize)]
pub struct VerdictEntry {
    r#if: String,
    from: String,
    to: String,
    errno: i32,
    #[serde(default = "seen_once")]
    seen: u8,
}

impl VerdictEntry {
    pub fn of(verdict: &GatewayVerdict) -> VerdictEntry {
        let (from, to) = (verdict.from.to_string(), verdict.to.to_string());
        VerdictEntry { r#if: verdict.dev.raw().to_owned(), from, to, errno: verdict.errno, seen: verdict.seen }
    }

    pub fn verdict(self) -> Result<GatewayVerdict, String> {
        let (from, to) = (addr(&self.from)?, addr(&self.to)?);
        Ok(GatewayVerdict { dev: self.r#if.into(), from, to, errno: self.errno, seen: self.seen })
    }
}

/// By interface.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SysctlsEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ip_forward: Option<i64>,
    #[serde(deserialize_with = "few_devices")]
    of: BTreeMap<String, DevSysctls>,
}

#[derive(Serialize, Deserialize)]
pub struct FailedEntry {
    r#if: String,
    why: String,
}

impl FailedEntry {
    pub fn of(failed: &InsideFailed) -> FailedEntry {
        FailedEntry { r#if: failed.interface.raw().to_owned(), why: failed.why.raw().to_owned() }
    }

    pub fn failed(self) -> InsideFailed {
        InsideFailed { interface: self.r#if.into(), why: brief(self.why) }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nsid: Option<i32>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    netns: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host_link: Option<u32>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    uid: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    container: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    namespace: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pod: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(default)]
    addresses: DumpEntry<BoundedList<String>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "few")]
    also: Vec<String>,
    #[serde(default)]
    routes: DumpEntry<BoundedList<RouteEntry>>,
    #[serde(default)]
    neighbours: DumpEntry<BoundedList<NeighbourEntry>>,
}

impl PodEntry {
    pub fn of(pod: &PodInside) -> PodEntry {
        let text = |text: &Foreign| text.raw().to_owned();
        PodEntry {
            nsid: pod.nsid,
            netns: text(&pod.netns),
            host_link: pod.host_link,
            uid: text(&pod.uid),
            container: text(&pod.container),
            namespace: text(&pod.namespace),
            pod: text(&pod.pod),
            mac: pod.mac.map(mac_text),
            addresses: DumpEntry::of(&pod.addresses, Addr::to_string),
            also: pod.also.iter().map(Addr::to_string).collect(),
            routes: DumpEntry::of(&pod.routes, RouteEntry::of),
            neighbours: DumpEntry::of(&pod.neighbours, NeighbourEntry::of),
        }
    }

    pub fn pod(self) -> Result<PodInside, String> {
        // Of both families: these are the pod's few.
        let route = |route: RouteEntry| {
            let v4 = !route.dst.contains(':');
            route.route(v4)
        };
        let addresses = self.addresses.dump(|address| addr(&address));
        let (also, bad): (Vec<_>, Vec<_>) = self.also.iter().map(|text| addr(text)).partition(Result::is_ok);
        let why = bad.into_iter().find_map(Result::err).map(Foreign::from);
        Ok(PodInside {
            nsid: self.nsid,
            netns: brief(self.netns),
            host_link: self.host_link,
            uid: self.uid.into(),
            container: self.container.into(),
            namespace: self.namespace.into(),
            pod: self.pod.into(),
            mac: self.mac.as_deref().and_then(mac),
            // What else it has in use counts as little or as much.
            addresses: match (addresses, why) {
                (Dump::Read(had), Some(why)) => Dump::Partly(had, why),
                (Dump::NotAsked, Some(why)) => Dump::NotRead(why),
                (addresses, _) => addresses,
            },
            also: also.into_iter().flatten().collect(),
            routes: self.routes.dump(route),
            neighbours: self.neighbours.dump(NeighbourEntry::neighbour),
        })
    }
}
