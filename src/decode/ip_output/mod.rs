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

pub use self::bad::BadPaste;

use self::bad::silence;
use self::shapes::{IpAddress, IpLink, IpNeighbour, IpRoute, IpVerdict};
use crate::model::node_evidence::{Dump, Inside, KernelRoute, Means, NodeEvidence, PodInside, RoutesKept};
use crate::model::{Addr, Foreign, Term};

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
    let shown: Dump<Vec<IpAddress>> = list("addr.json", files.addr.as_ref(), Ok)?;
    // `ip -d addr` shows the links too.
    let links = match (&links, &shown) {
        (Dump::NotAsked, Dump::Read(shown)) => Dump::Read(shown.iter().filter_map(IpAddress::link).collect()),
        _ => links,
    };
    Ok(NodeEvidence {
        node: node.trim().to_lowercase().into(),
        readings: 1,
        prefixes: prefixes.iter().map(|prefix| Foreign::from(prefix.as_str())).collect(),
        routes_kept: RoutesKept::All,
        links,
        addresses: map(shown, |shown| shown.iter().flat_map(IpAddress::addresses).collect()),
        routes4: routes("route.json", files.route.as_ref(), true)?,
        routes6: routes("route6.json", files.route6.as_ref(), false)?,
        neighbours: list("neigh.json", files.neigh.as_ref(), IpNeighbour::neighbour)?,
        sysctls: sysctl::read("sysctl.txt", files.sysctl.as_ref())?,
        verdicts: list("verdicts.json", files.verdicts.as_ref(), IpVerdict::verdict)?,
        inside: inside(&files.inside)?,
        ..NodeEvidence::default()
    })
}

fn map<T, U>(dump: Dump<T>, make: impl FnOnce(T) -> U) -> Dump<U> {
    match dump {
        Dump::Read(read) => Dump::Read(make(read)),
        Dump::NotRead(why) => Dump::NotRead(why),
        Dump::NotAsked => Dump::NotAsked,
    }
}

/// The entries of a file, each made by `make`.
fn list<E: DeserializeOwned, T>(
    file: &str,
    bytes: Option<&Vec<u8>>,
    make: impl Fn(E) -> Result<T, String>,
) -> Result<Dump<Vec<T>>, BadPaste> {
    let Some(bytes) = bytes else { return Ok(Dump::NotAsked) };
    if let Some(why) = silence(bytes) {
        return Ok(Dump::NotRead(why.into()));
    }
    let bad = |cause: String, hint| BadPaste { file: file.to_owned(), cause: cause.into(), hint };
    let entries: Vec<E> = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string(), JSON))?;
    let made = entries.into_iter().zip(1usize..).map(|(entry, at)| {
        make(entry).map_err(|e| bad(format!("entry {at}: {e}"), "print all of it with ip -j -d, not one device alone"))
    });
    Ok(Dump::Read(made.collect::<Result<_, _>>()?))
}

const JSON: &str = "it wants what `ip -j -d` prints: JSON";

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
    let shown: Dump<Vec<IpAddress>> = list(&at("addr.json"), files.addr.as_ref(), Ok)?;
    // The interface that leads out; `lo` has no other end.
    let outside = shown.each().find_map(IpAddress::other_end);
    // Neither name may hold a dot but the pod's.
    let (namespace, pod) = name.split_once('.').unwrap_or(("", name));
    let addresses = |shown: Vec<IpAddress>| -> Vec<Addr> { shown.iter().flat_map(IpAddress::of_pod).collect() };
    Ok(PodInside {
        host_link: outside.map(|(index, _)| index),
        mac: outside.and_then(|(_, mac)| mac),
        namespace: namespace.into(),
        pod: pod.into(),
        addresses: map(shown, addresses),
        routes: routes(&at("route.json"), files.route.as_ref(), true)?,
        neighbours: list(&at("neigh.json"), files.neigh.as_ref(), IpNeighbour::neighbour)?,
        ..PodInside::default()
    })
}
