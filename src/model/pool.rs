//! IP pools and reservations (domain facts, section 1).

use super::near::near;
use super::{Cidr, Foreign, Meta, Name, Names, Time};

/// One IPPool.
#[derive(Clone, Debug)]
pub struct Pool {
    pub meta: Meta,
    pub name: Name,
    pub cidr: Cidr,
    /// Prefix length of its blocks: 26 and 122 unless given.
    pub block_size: u8,
    /// `disabled`: nothing is handed out, what was handed out stays.
    pub disabled: bool,
    /// `assignmentMode: Manual`: no automatic assignment.
    pub manual: bool,
    /// `nodeSelector` and `namespaceSelector`; [`Name::NONE`] when absent (`all()`).
    pub node_selector: Name,
    pub namespace_selector: Name,
    /// `allowedUses`: absent means Workload and Tunnel.
    pub workloads: bool,
    pub tunnels: bool,
    pub load_balancers: bool,
    /// `metadata.creationTimestamp`.
    pub created: Option<Time>,
    /// `metadata.deletionTimestamp`: the pool is being deleted.
    pub deleting: Option<Time>,
}

impl Pool {
    /// Whether IPAM hands out its addresses by itself today.
    pub fn assigns_automatically(&self) -> bool {
        self.closed().is_none()
    }

    /// Why IPAM hands out nothing of it by itself, in a word; `None`: it does.
    pub fn closed(&self) -> Option<&'static str> {
        match () {
            () if self.deleting.is_some() => Some("being deleted"),
            () if self.disabled => Some("disabled"),
            () if self.manual => Some("manual"),
            () => None,
        }
    }
}

impl Pool {
    /// Whether this word means it: its name, or its range. A range with host bits (`10.65.0.5/16`) is no pool's: whoever types
    /// it may mean that address.
    pub fn is_called(&self, word: &str, names: &Names) -> bool {
        names.get(self.name) == word || Cidr::parse(word) == Some((self.cidr, false))
    }
}

/// What may have been meant by a word that no pool is called by, nearest first: names and ranges, as they can be typed; of a
/// range with host bits the ranges that it lies in.
pub fn near_pools(pools: &[Pool], names: &Names, word: &str) -> Vec<Foreign> {
    let called = pools.iter().map(|pool| (names.get(pool.name).into(), pool.cidr));
    near_ranges(&called.collect::<Vec<(Foreign, Cidr)>>(), word)
}

/// The same of pools by name and range.
pub fn near_ranges(pools: &[(Foreign, Cidr)], word: &str) -> Vec<Foreign> {
    let range = |(_, cidr): &(Foreign, Cidr)| Foreign::from(cidr.to_string());
    if let Some((meant, true)) = Cidr::parse(word) {
        return pools.iter().filter(|(_, cidr)| cidr.overlaps(meant)).map(range).collect();
    }
    let known: Vec<Foreign> = pools.iter().map(|(name, _)| name.clone()).chain(pools.iter().map(range)).collect();
    near(word, &known)
}

/// One IPReservation; binds automatic assignment only.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub meta: Meta,
    pub name: Name,
    /// `spec.reservedCIDRs`, host bits masked.
    pub cidrs: Box<[Cidr]>,
    pub created: Option<Time>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_with_host_bits_is_no_pools_and_tells_the_one_it_lies_in() {
        let pools: Vec<(Foreign, Cidr)> = [("default", "10.65.0.0/16"), ("v6", "fd00:65::/64")]
            .map(|(name, cidr)| (name.into(), Cidr::parse(cidr).unwrap().0))
            .into();
        for (word, near) in [
            ("10.65.0.5/16", "10.65.0.0/16"),
            ("10.65.0.5/26", "10.65.0.0/16"),
            ("defualt", "default"),
            ("10.65.0.0/15", "10.65.0.0/16"),
        ] {
            assert_eq!(near_ranges(&pools, word), [near], "{word}");
        }
        assert!(near_ranges(&pools, "203.0.113.7/24").is_empty());
    }
}
