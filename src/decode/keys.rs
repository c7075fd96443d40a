//! Calico's keys in etcd: what is read, how a key is spelled canonically, and what a key says.
//!
//! Keys are parsed as leniently as Calico's lists parse them (host bits are masked, the digit of `ipv4` is not
//! compared with the CIDR) and built canonically, as its reads and writes do (domain facts, section 1).
//! A record remembers its key where that is not the canonical one, so that [`record_key`] always gives
//! the key that was read. Nothing here looks at values.

use super::values;
use crate::model::{
    Affinity, Block, CalicoNode, Cidr, Endpoint, Handle, HostEndpoint, HostKind, Input, Names, Pool, Reservation,
};

pub use super::endpoint_name::{EndpointName, endpoint_name, parse_endpoint_name};
pub use crate::model::key::{affinity_key, block_key};

/// Blocks: `ipv4/block/10.65.0.0-26` follows.
pub const BLOCKS: &str = "/calico/ipam/v2/assignment/";
/// Handles: the id follows.
pub const HANDLES: &str = "/calico/ipam/v2/handle/";
/// Affinities of nodes: `<node>/ipv4/block/10.65.0.0-26` follows.
pub const HOST_AFFINITIES: &str = "/calico/ipam/v2/host/";
/// Affinities of Calico itself, as `load-balancer`.
pub const VIRTUAL_AFFINITIES: &str = "/calico/ipam/v2/virtual/";
/// Affinities of type `@`.
pub const AT_AFFINITIES: &str = "/calico/ipam/v2/@/";
/// Workload endpoints: `<namespace>/<name>` follows.
pub const ENDPOINTS: &str = "/calico/resources/v3/projectcalico.org/workloadendpoints/";
/// Calico nodes.
pub const NODES: &str = "/calico/resources/v3/projectcalico.org/nodes/";
/// IP pools.
pub const POOLS: &str = "/calico/resources/v3/projectcalico.org/ippools/";
/// IP reservations.
pub const RESERVATIONS: &str = "/calico/resources/v3/projectcalico.org/ipreservations/";
/// Host endpoints.
pub const HOST_ENDPOINTS: &str = "/calico/resources/v3/projectcalico.org/hostendpoints/";

/// IPAMConfig: one key.
pub const IPAM_CONFIG: &str = "/calico/ipam/v2/config";
/// IPAMConfiguration `default`: one key.
pub const IPAM_CONFIGURATION: &str = "/calico/resources/v3/projectcalico.org/ipamconfigurations/default";
/// ClusterInformation `default`: one key.
pub const CLUSTER_INFORMATION: &str = "/calico/resources/v3/projectcalico.org/clusterinformations/default";
/// KubeControllersConfiguration `default`: one key.
pub const KUBE_CONTROLLERS: &str = "/calico/resources/v3/projectcalico.org/kubecontrollersconfigurations/default";

/// Every prefix that is read as a range, with the input that it belongs to. Nothing else under `/calico` may be
/// read by prefix: policies and the like can be far larger than what an audit needs.
pub const PREFIXES: &[(Input, &str)] = &[
    (Input::Blocks, BLOCKS),
    (Input::Handles, HANDLES),
    (Input::Affinities, HOST_AFFINITIES),
    (Input::Affinities, VIRTUAL_AFFINITIES),
    (Input::Affinities, AT_AFFINITIES),
    (Input::Endpoints, ENDPOINTS),
    (Input::CalicoNodes, NODES),
    (Input::Pools, POOLS),
    (Input::Pools, RESERVATIONS),
    (Input::Config, HOST_ENDPOINTS),
];

/// Every key that is read alone, with the input that it belongs to.
pub const SINGLE_KEYS: &[(Input, &str)] = &[
    (Input::Config, IPAM_CONFIG),
    (Input::Config, IPAM_CONFIGURATION),
    (Input::Config, CLUSTER_INFORMATION),
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadKey<'a> {
    pub prefix: &'static str,
    pub input: Input,
    /// What follows the prefix; `None` when the key is not UTF-8.
    pub rest: Option<&'a str>,
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
    let (input, prefix) = *PREFIXES.iter().find(|(_, prefix)| key.starts_with(prefix.as_bytes()))?;
    let Some(rest) = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(prefix)) else {
        return Some(Err(BadKey { prefix, input, rest: None, reason: "the key is not UTF-8" }));
    };
    Some(parse_rest(prefix, rest).map_err(|reason| BadKey { prefix, input, rest: Some(rest), reason }))
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
        self.rest?.split('/').rev().find_map(key_cidr)
    }
}

/// The key of a handle's id.
pub fn handle_key(id: &str) -> String {
    format!("{HANDLES}{id}")
}

/// The key of a workload endpoint.
pub fn endpoint_key(namespace: &str, name: &str) -> String {
    format!("{ENDPOINTS}{namespace}/{name}")
}

/// The key of a Calico node.
pub fn node_key(name: &str) -> String {
    format!("{NODES}{name}")
}

/// The key of an IP pool.
pub fn pool_key(name: &str) -> String {
    format!("{POOLS}{name}")
}

/// The key of an IP reservation.
pub fn reservation_key(name: &str) -> String {
    format!("{RESERVATIONS}{name}")
}

/// The key of a host endpoint.
pub fn host_endpoint_key(name: &str) -> String {
    format!("{HOST_ENDPOINTS}{name}")
}

/// A record of the snapshot that came from a key of its own.
#[derive(Clone, Copy, Debug)]
pub enum Record<'a> {
    Block(&'a Block),
    Handle(&'a Handle),
    Affinity(&'a Affinity),
    Endpoint(&'a Endpoint),
    CalicoNode(&'a CalicoNode),
    Pool(&'a Pool),
    Reservation(&'a Reservation),
    HostEndpoint(&'a HostEndpoint),
}

macro_rules! record_from {
    ($($kind:ident),*) => {
        $(impl<'a> From<&'a $kind> for Record<'a> {
            fn from(record: &'a $kind) -> Record<'a> {
                Record::$kind(record)
            }
        })*
    };
}
record_from!(Block, Handle, Affinity, Endpoint, CalicoNode, Pool, Reservation, HostEndpoint);

/// The bytes of the key from which `record` was read, canonical or not: what a write must name.
pub fn record_key<'a>(names: &Names, record: impl Into<Record<'a>>) -> Vec<u8> {
    let text = match record.into() {
        Record::Block(Block { odd_key: Some(key), .. }) | Record::Affinity(Affinity { odd_key: Some(key), .. }) => {
            return key.to_vec();
        }
        Record::Handle(Handle { odd_id: Some(id), .. }) => return [HANDLES.as_bytes(), id].concat(),
        Record::Block(block) => block_key(block.cidr),
        Record::Affinity(a) => affinity_key(a.host.kind, names.get(a.host.name), a.cidr),
        Record::Handle(handle) => handle_key(&handle.id.text(names)),
        Record::Endpoint(endpoint) => endpoint_key(names.get(endpoint.namespace), names.get(endpoint.name)),
        Record::CalicoNode(node) => node_key(names.get(node.name)),
        Record::Pool(pool) => pool_key(names.get(pool.name)),
        Record::Reservation(reservation) => reservation_key(names.get(reservation.name)),
        Record::HostEndpoint(endpoint) => host_endpoint_key(names.get(endpoint.name)),
    };
    text.into_bytes()
}
