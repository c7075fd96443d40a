//! What people paste of a node: `ip -j -d link`, `addr`, `route`, `-6 route`, `neigh`, lines of sysctls, the kernel's verdicts.
//!
//! `ip` says little of its own failures: an interrupted dump is valid JSON, an absent table is a lone `[`, an unknown
//! device nothing. So what is empty is *not read*, and what is not JSON is refused.

mod bad;
mod shapes;
mod sysctl;
#[cfg(test)]
mod tests;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use self::bad::BadPaste;

use self::bad::{SYSCTL, VERDICTS, silence};
use self::shapes::{IpAddress, IpLink, IpNeighbour, IpRoute, IpVerdict};
use crate::model::node_evidence::{
    Dump, GatewayVerdict, Inside, KernelRoute, Means, NodeEvidence, PodInside, RoutesKept, not_understood,
};
use crate::model::{Foreign, Term};

/// The files of one folder, each as it was read; `None`: it is not there.
#[derive(Clone, Debug, Default)]
pub struct IpFiles {
    pub link: Option<Vec<u8>>,
    pub addr: Option<Vec<u8>>,
    pub route: Option<Vec<u8>>,
    pub route6: Option<Vec<u8>>,
    pub neigh: Option<Vec<u8>>,
    pub sysctl: Option<Vec<u8>>,
    pub verdicts: Option<Vec<u8>>,
    /// Of each pod that was looked into `namespace.pod` and its files.
    pub inside: Vec<(String, PodFiles)>,
}

/// The files of one pod.
#[derive(Clone, Debug, Default)]
pub struct PodFiles {
    pub addr: Option<Vec<u8>>,
    pub route: Option<Vec<u8>>,
    pub neigh: Option<Vec<u8>>,
}

/// The evidence of the node of this name. One reading, taken to last.
///
/// # Errors
/// A file that is not what `ip` prints.
pub fn evidence(node: &str, prefixes: &[String], files: &IpFiles) -> Result<NodeEvidence, BadPaste> {
    let links = list("link.json", files.link.as_ref(), IpLink::link)?;
    let shown = shown("addr.json", files.addr.as_ref())?;
    let verdicts = list(VERDICTS, files.verdicts.as_ref(), IpVerdict::verdict)?;
    let routes4 = not_against(routes("route.json", files.route.as_ref(), true)?, &verdicts);
    // `ip -d addr` shows the links too.
    let links = match &links {
        Dump::NotAsked => addresses(&shown, |shown| shown.link().into_iter().collect()),
        _ => links,
    }
    .of_links();
    Ok(NodeEvidence {
        node: node.trim().to_lowercase().into(),
        readings: 1,
        prefixes: prefixes.iter().map(|prefix| Foreign::from(prefix.as_str())).collect(),
        routes_kept: RoutesKept::All,
        links,
        addresses: addresses(&shown, IpAddress::addresses),
        routes4,
        routes6: routes("route6.json", files.route6.as_ref(), false)?,
        neighbours: list("neigh.json", files.neigh.as_ref(), IpNeighbour::neighbour)?,
        sysctls: sysctl::read(SYSCTL, files.sysctl.as_ref())?,
        verdicts,
        inside: inside(&files.inside)?,
        ..NodeEvidence::default()
    })
}

/// The entries of a file, each made by `make`. One that cannot be made leaves the file read in part.
fn list<E: DeserializeOwned, T>(
    file: &str,
    bytes: Option<&Vec<u8>>,
    make: impl Fn(E) -> Result<T, String>,
) -> Result<Dump<Vec<T>>, BadPaste> {
    let Some(bytes) = bytes else { return Ok(Dump::NotAsked) };
    if let Some(bad) = BadPaste::encoded(file, bytes) {
        return Err(bad);
    }
    if let Some(why) = silence(file, bytes) {
        return Ok(Dump::NotRead(why.into()));
    }
    let (json, whole) = if file == VERDICTS { (VERDICT, VERDICT) } else { (JSON, ALL) };
    let bad = |cause: String, hint| BadPaste { file: file.to_owned(), cause: cause.into(), hint };
    let entries: Vec<&RawValue> = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string(), json))?;
    let all = entries.len();
    let mut made = Vec::with_capacity(all);
    let mut why: Option<String> = None;
    for (entry, at) in entries.into_iter().zip(1usize..) {
        let read = serde_json::from_str(entry.get()).map_err(|e| e.to_string()).and_then(&make);
        match read {
            Ok(entry) => made.push(entry),
            Err(cause) => drop(why.get_or_insert_with(|| format!("entry {at}: {cause}"))),
        }
    }
    match why {
        // Not one of them: something else was meant.
        Some(why) if made.is_empty() => Err(bad(why, whole)),
        why => {
            let missing = all - made.len();
            Ok(Dump::of(made, why.map(|why| not_understood(missing, all, &why).into())))
        }
    }
}

/// What `ip addr` shows: an entry for each interface, also for one without an address. Without any it is no whole list.
fn shown(file: &str, bytes: Option<&Vec<u8>>) -> Result<Dump<Vec<IpAddress>>, BadPaste> {
    Ok(match list(file, bytes, Ok)? {
        Dump::Read(shown) if shown.is_empty() => Dump::NotRead("not one interface, and every kernel has lo".into()),
        shown => shown,
    })
}

/// The routes, where the kernel's own word does not speak against them: it asks them before it answers, and without any it
/// answers nobody.
fn not_against(routes: Dump<Vec<KernelRoute>>, verdicts: &Dump<Vec<GatewayVerdict>>) -> Dump<Vec<KernelRoute>> {
    let answered = || verdicts.each_had().find(|verdict| verdict.errno == 0 && verdict.from.is_v4());
    match (&routes, answered()) {
        (Dump::Read(none), Some(verdict)) if none.is_empty() => {
            let why = format!("not one route, and by verdicts.json the kernel has one for {}", verdict.from);
            Dump::NotRead(why.into())
        }
        _ => routes,
    }
}

/// What is made of each interface's addresses. One that is none leaves them read in part.
fn addresses<T>(shown: &Dump<Vec<IpAddress>>, make: impl Fn(&IpAddress) -> Vec<T>) -> Dump<Vec<T>> {
    let strange = shown.each_had().find_map(IpAddress::strange);
    let of = |shown: &Vec<IpAddress>| shown.iter().flat_map(&make).collect();
    match (shown, strange) {
        (Dump::Read(shown), None) => Dump::Read(of(shown)),
        (Dump::Read(shown), Some(why)) => Dump::Partly(of(shown), why.into()),
        (Dump::Partly(shown, why), _) => Dump::Partly(of(shown), why.clone()),
        (Dump::NotRead(why), _) => Dump::NotRead(why.clone()),
        (Dump::NotAsked, _) => Dump::NotAsked,
    }
}

const JSON: &str = "it wants what `ip -j -d` prints: JSON";
const ALL: &str = "print all of it with ip -j -d, not one device alone";
const VERDICT: &str = "it wants a list of {\"if\":\"cali…\",\"from\":\"192.168.91.33\",\"to\":\"169.254.1.1\",\"errno\":22}, errno 0 where \
    `ip route get 169.254.1.1 from ADDRESS iif INTERFACE` prints a route";

fn routes(file: &str, bytes: Option<&Vec<u8>>, v4: bool) -> Result<Dump<Vec<KernelRoute>>, BadPaste> {
    list(file, bytes, |route: IpRoute| route.route(v4))
}

fn inside(pods: &[(String, PodFiles)]) -> Result<Inside, BadPaste> {
    if pods.is_empty() {
        return Ok(Inside::default());
    }
    let pods: Result<Vec<PodInside>, BadPaste> = pods.iter().map(|(name, files)| pod(name, files)).collect();
    Ok(Inside { means: Some(Term::Known(Means::Pasted)), pods: Dump::Read(pods?), failed: Vec::new() })
}

fn pod(name: &str, files: &PodFiles) -> Result<PodInside, BadPaste> {
    let at = |file: &str| format!("inside/{name}/{file}");
    let shown = shown(&at("addr.json"), files.addr.as_ref())?;
    // The interface that leads out; `lo` has no other end.
    let outside = shown.each_had().find_map(IpAddress::other_end);
    // Neither name may hold a dot but the pod's.
    let (namespace, pod) = name.split_once('.').unwrap_or(("", name));
    Ok(PodInside {
        host_link: outside.map(|(index, _)| index),
        mac: outside.and_then(|(_, mac)| mac),
        namespace: namespace.into(),
        pod: pod.into(),
        addresses: addresses(&shown, IpAddress::of_pod),
        routes: routes(&at("route.json"), files.route.as_ref(), true)?,
        neighbours: list(&at("neigh.json"), files.neigh.as_ref(), IpNeighbour::neighbour)?,
        ..PodInside::default()
    })
}
