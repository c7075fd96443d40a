//! What etcd says about a key beside its value, and how the keys of blocks and affinities are spelled.

use super::{Cidr, HostKind};

/// The revisions of one key and a hash of its value: what "steady" and the fork test compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// The revision at which the key was created; 0 where the source has no revisions.
    pub create_revision: i64,
    /// The revision of its last write; 0 where the source has no revisions.
    pub mod_revision: i64,
    /// How often it was written since its creation.
    pub version: i64,
    /// A 64-bit hash of the value's bytes, stable across runs and builds.
    pub value_hash: u64,
}

/// `ipv4/block/10.65.0.0-26`.
fn block_path(cidr: Cidr) -> String {
    let family = if cidr.is_v4() { 4 } else { 6 };
    format!("ipv{family}/block/{}-{}", cidr.first(), cidr.prefix())
}

/// The canonical key of a block: the one that Calico's reads and writes go to (domain facts, section 1).
pub fn block_key(cidr: Cidr) -> String {
    format!("/calico/ipam/v2/assignment/{}", block_path(cidr))
}

/// The canonical key of an affinity.
pub fn affinity_key(kind: HostKind, name: &str, cidr: Cidr) -> String {
    format!("/calico/ipam/v2/{}/{name}/{}", kind.word(), block_path(cidr))
}

/// The key of a handle, by its id as it is stored.
pub fn handle_key(id: &str) -> String {
    format!("/calico/ipam/v2/handle/{id}")
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
