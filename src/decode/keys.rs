//! Calico's keys in etcd: what is read, and what a key says.
//!
//! Keys are parsed as leniently as Calico's lists parse them (host bits are masked, the digit of `ipv4` is not
//! compared with the CIDR) and built canonically, as its reads and writes do (`model::keys`).
//! A thing remembers its key where that is not the canonical one, so that [`key_of`] always gives
//! the key that was read. Nothing here looks at values.

use std::borrow::Cow;

use super::values;
use crate::model::{Cidr, HostKind, Input};

pub use super::endpoint_name::{EndpointName, endpoint_name, parse_endpoint_name};
pub use crate::model::keys::*;

/// The key under which the CNI plugin writes a pod's endpoint: Kubelet's interface is always `eth0`.
pub fn endpoint_of_pod_key(namespace: &str, node: &str, pod: &str) -> String {
    endpoint_key(namespace, &endpoint_name(node, pod, "eth0"))
}

/// Every prefix that is read as a range, with the input that it belongs to. Nothing else under `/calico` may be
/// read by prefix: policies and the like can be far larger than what an audit needs. In the order of reading; all else
/// leans on the blocks.
pub const PREFIXES: &[(Input, &str)] = &[
    (Input::Pools, POOLS),
    (Input::Pools, RESERVATIONS),
    (Input::Config, HOST_ENDPOINTS),
    (Input::CalicoNodes, NODES),
    (Input::Affinities, HOST_AFFINITIES),
    (Input::Affinities, VIRTUAL_AFFINITIES),
    (Input::Affinities, AT_AFFINITIES),
    (Input::Blocks, BLOCKS),
    (Input::Handles, HANDLES),
    (Input::Endpoints, ENDPOINTS),
];

/// Every key that is read alone, with the input that it belongs to. They come first: reading one of them fixes the
/// revision.
pub const SINGLE_KEYS: &[(Input, &str)] = &[
    (Input::Config, CLUSTER_INFORMATION),
    (Input::Config, IPAM_CONFIG),
    (Input::Config, IPAM_CONFIGURATION),
    (Input::Config, KUBE_CONTROLLERS),
];

/// What a key says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key<'a> {
    /// A block, host bits masked.
    Block(Cidr),
    /// A handle, its id as in the key (not sanitised).
    Handle(&'a str),
    /// An affinity, host bits masked.
    Affinity(HostKind, &'a str, Cidr),
    /// `/calico/ipam/v2/host/<node>` alone, which nothing writes today: neither wrong nor of use.
    IpamHost(&'a str),
    /// Namespace and name.
    Endpoint(&'a str, &'a str),
    Node(&'a str),
    Pool(&'a str),
    Reservation(&'a str),
    HostEndpoint(&'a str),
    IpamConfig,
    IpamConfiguration,
    ClusterInformation,
    KubeControllers,
}

/// A key under one of our prefixes that Calico would not recognise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadKey<'a> {
    pub input: Input,
    /// What follows the prefix; U+FFFD stands for what is not UTF-8.
    pub rest: Cow<'a, str>,
    /// One line for people.
    pub reason: &'static str,
}

/// Reads a key; `None` when it is none of ours.
pub fn parse(key: &[u8]) -> Option<Result<Key<'_>, BadKey<'_>>> {
    if let Some((_, single)) = SINGLE_KEYS.iter().find(|(_, single)| single.as_bytes() == key) {
        return Some(Ok(match *single {
            IPAM_CONFIG => Key::IpamConfig,
            IPAM_CONFIGURATION => Key::IpamConfiguration,
            CLUSTER_INFORMATION => Key::ClusterInformation,
            _ => Key::KubeControllers,
        }));
    }
    // Those with the most keys come last. No prefix begins with another one.
    let (input, prefix) = *PREFIXES.iter().rev().find(|(_, prefix)| key.starts_with(prefix.as_bytes()))?;
    let rest = key.get(prefix.len()..).unwrap_or_default();
    Some(match std::str::from_utf8(rest) {
        Ok(rest) => parse_rest(prefix, rest).map_err(|reason| BadKey { input, rest: Cow::Borrowed(rest), reason }),
        Err(_) => Err(BadKey { input, rest: String::from_utf8_lossy(rest), reason: "the key is not UTF-8" }),
    })
}

fn parse_rest<'a>(prefix: &str, rest: &'a str) -> Result<Key<'a>, &'static str> {
    match prefix {
        BLOCKS => block_cidr(rest).map(Key::Block),
        HANDLES => segment(rest).map(Key::Handle),
        HOST_AFFINITIES if !rest.contains('/') => segment(rest).map(Key::IpamHost),
        HOST_AFFINITIES => affinity(HostKind::Host, rest),
        VIRTUAL_AFFINITIES => affinity(HostKind::Virtual, rest),
        AT_AFFINITIES => affinity(HostKind::At, rest),
        ENDPOINTS => {
            let (namespace, name) = rest.split_once('/').ok_or("the key has no namespace and name")?;
            Ok(Key::Endpoint(segment(namespace)?, segment(name)?))
        }
        NODES => segment(rest).map(Key::Node),
        POOLS => segment(rest).map(Key::Pool),
        RESERVATIONS => segment(rest).map(Key::Reservation),
        _ => segment(rest).map(Key::HostEndpoint),
    }
}

/// One segment of a path: not empty, no slash.
fn segment(text: &str) -> Result<&str, &'static str> {
    match text {
        "" => Err("the key has no name"),
        _ if text.contains('/') => Err("the key has too many segments"),
        _ => Ok(text),
    }
}

/// The CIDR of `ipv4/block/10.65.0.0-26`. Calico takes any one character for the digit.
fn block_cidr(rest: &str) -> Result<Cidr, &'static str> {
    const SHAPE: &str = "the key has no …/ipv4/block/<cidr> or …/ipv6/block/<cidr>";
    let mut family = rest.strip_prefix("ipv").ok_or(SHAPE)?.chars();
    family.next().filter(|digit| *digit != '\n').ok_or(SHAPE)?;
    let cidr = family.as_str().strip_prefix("/block/").ok_or(SHAPE)?;
    key_cidr(segment(cidr)?).ok_or("the key's CIDR does not parse")
}

/// `10.65.0.0-26`, host bits masked.
fn key_cidr(text: &str) -> Option<Cidr> {
    values::cidr(&text.replacen('-', "/", 1)).map(|(cidr, _)| cidr)
}

fn affinity(kind: HostKind, rest: &str) -> Result<Key<'_>, &'static str> {
    let (name, block) = rest.split_once('/').ok_or("the key has no …/<name>/ipv4/block/<cidr>")?;
    Ok(Key::Affinity(kind, segment(name)?, block_cidr(block)?))
}

impl BadKey<'_> {
    /// The last CIDR of an affinity's key, when only something else in the key is wrong.
    pub fn cidr(&self) -> Option<Cidr> {
        self.rest.split('/').rev().find_map(key_cidr)
    }
}
