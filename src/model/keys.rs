//! How Calico spells its keys in etcd, and the key from which a thing was read.
//!
//! The history, the checks and the plans name keys too, so the spelling stands here; what a key *says* is read
//! in `decode`. Keys are built canonically, as Calico's own reads and writes build them (domain facts, section 1).

use super::{
    Affinity, Block, CalicoNode, Cidr, Endpoint, Handle, HostEndpoint, HostKind, Meta, Names, Pool, Reservation,
};

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

/// `ipv4/block/10.65.0.0-26`.
fn block_path(cidr: Cidr) -> String {
    let family = if cidr.is_v4() { 4 } else { 6 };
    format!("ipv{family}/block/{}-{}", cidr.first(), cidr.prefix())
}

/// The canonical key of a block.
pub fn block_key(cidr: Cidr) -> String {
    format!("{BLOCKS}{}", block_path(cidr))
}

/// The key of a handle's id.
pub fn handle_key(id: &str) -> String {
    format!("{HANDLES}{id}")
}

/// The canonical key of an affinity.
pub fn affinity_key(kind: HostKind, name: &str, cidr: Cidr) -> String {
    let prefix = match kind {
        HostKind::Host => HOST_AFFINITIES,
        HostKind::Virtual => VIRTUAL_AFFINITIES,
        HostKind::At => AT_AFFINITIES,
    };
    format!("{prefix}{name}/{}", block_path(cidr))
}

/// The key of a workload endpoint.
pub fn endpoint_key(namespace: &str, name: &str) -> String {
    format!("{ENDPOINTS}{namespace}/{name}")
}

/// The key of a Calico node.
pub fn node_key(name: &str) -> String {
    format!("{NODES}{name}")
}

/// A thing of the snapshot that came from a key of its own.
#[derive(Clone, Copy, Debug)]
pub enum Keyed<'a> {
    Block(&'a Block),
    Handle(&'a Handle),
    Affinity(&'a Affinity),
    Endpoint(&'a Endpoint),
    CalicoNode(&'a CalicoNode),
    Pool(&'a Pool),
    Reservation(&'a Reservation),
    HostEndpoint(&'a HostEndpoint),
}

impl Keyed<'_> {
    /// Revisions of its key.
    pub fn meta(self) -> Meta {
        match self {
            Keyed::Block(block) => block.meta,
            Keyed::Handle(handle) => handle.meta(),
            Keyed::Affinity(affinity) => affinity.meta,
            Keyed::Endpoint(endpoint) => endpoint.meta(),
            Keyed::CalicoNode(node) => node.meta,
            Keyed::Pool(pool) => pool.meta,
            Keyed::Reservation(reservation) => reservation.meta,
            Keyed::HostEndpoint(endpoint) => endpoint.meta,
        }
    }
}

macro_rules! keyed_from {
    ($($kind:ident),*) => {
        $(impl<'a> From<&'a $kind> for Keyed<'a> {
            fn from(thing: &'a $kind) -> Keyed<'a> {
                Keyed::$kind(thing)
            }
        })*
    };
}
keyed_from!(Block, Handle, Affinity, Endpoint, CalicoNode, Pool, Reservation, HostEndpoint);

/// The bytes of the key from which `thing` was read, canonical or not: what a write must name.
pub fn key_of<'a>(names: &Names, thing: impl Into<Keyed<'a>>) -> Vec<u8> {
    let mut key = Vec::new();
    put_key(&mut key, names, thing);
    key
}

/// The same in the place of what `key` held: a big cluster has hundreds of thousands of them.
pub fn put_key<'a>(key: &mut Vec<u8>, names: &Names, thing: impl Into<Keyed<'a>>) {
    key.clear();
    let mut put = |parts: &[&str]| parts.iter().for_each(|part| key.extend_from_slice(part.as_bytes()));
    match thing.into() {
        Keyed::Block(Block { odd_key: Some(odd), .. }) | Keyed::Affinity(Affinity { odd_key: Some(odd), .. }) => {
            key.extend_from_slice(odd);
        }
        Keyed::Block(block) => put(&[&block_key(block.cidr)]),
        Keyed::Affinity(a) => put(&[&affinity_key(a.host.kind, names.get(a.host.name), a.cidr)]),
        Keyed::Handle(handle) => {
            put(&[HANDLES]);
            match handle.odd_id() {
                Some(id) => key.extend_from_slice(id),
                None => handle.id.pieces(names).iter().for_each(|part| key.extend_from_slice(part.as_bytes())),
            }
        }
        Keyed::Endpoint(e) => {
            put(&[ENDPOINTS, names.get(e.namespace), "/"]);
            e.name().put(names, key);
        }
        Keyed::CalicoNode(node) => put(&[NODES, names.get(node.name)]),
        Keyed::Pool(pool) => put(&[POOLS, names.get(pool.name)]),
        Keyed::Reservation(reservation) => put(&[RESERVATIONS, names.get(reservation.name)]),
        Keyed::HostEndpoint(endpoint) => put(&[HOST_ENDPOINTS, names.get(endpoint.name)]),
    }
}

/// Whether a release may compare or write it: a block, a handle, an endpoint, or Calico's lock.
pub fn is_of_a_release(key: &[u8]) -> bool {
    let below = |prefix: &&str| key.strip_prefix(prefix.as_bytes()).is_some_and(|name| !name.is_empty());
    key == CLUSTER_INFORMATION.as_bytes() || [BLOCKS, HANDLES, ENDPOINTS].iter().any(below)
}

/// Whether it is the key of a handle that ends in a container's id: 64 digits by chance, which no two keys share.
pub fn is_container_handle(key: &[u8]) -> bool {
    let id = key.strip_prefix(HANDLES.as_bytes()).and_then(|id| id.split_last_chunk::<64>());
    id.is_some_and(|(head, container)| {
        head.ends_with(b".") && container.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// A key for people and as a finding's subject: bytes that are not UTF-8 as `\xNN`.
pub fn key_text(key: &[u8]) -> String {
    let mut text = String::with_capacity(key.len());
    for chunk in key.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_spelled_as_calico_spells_them() {
        let cidr = |text: &str| Cidr::parse(text).unwrap().0;
        assert_eq!(block_key(cidr("10.65.0.0/26")), "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26");
        assert_eq!(block_key(cidr("fd00:65::/122")), "/calico/ipam/v2/assignment/ipv6/block/fd00:65::-122");
        let key = affinity_key(HostKind::Virtual, "load-balancer", cidr("10.65.0.0/26"));
        assert_eq!(key, "/calico/ipam/v2/virtual/load-balancer/ipv4/block/10.65.0.0-26");
        assert_eq!(handle_key("k8s-pod-network.3f2c"), "/calico/ipam/v2/handle/k8s-pod-network.3f2c");
        assert_eq!(key_text(b"/calico/\xff\xfe/\xc3\xa4"), "/calico/\\xff\\xfe/\u{e4}");
    }
}
