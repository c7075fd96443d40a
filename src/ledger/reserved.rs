//! Which reservation covers an address.

use super::Ledger;
use crate::model::{Addr, Reservation, Snapshot};

/// The ranges of all reservations: first and last address, and the reservation's index. Of nested ones the widest
/// alone is kept, so they are apart; sorted by family (in numbers `::/64` holds all of IPv4), then address.
pub(super) fn ranges(snapshot: &Snapshot) -> Vec<(Addr, Addr, u32)> {
    let reservations = snapshot.reservations.iter().zip(0u32..);
    let mut ranges: Vec<(Addr, Addr, u32)> = reservations
        .flat_map(|(r, index)| r.cidrs.iter().map(move |cidr| (cidr.first(), cidr.last(), index)))
        .collect();
    ranges.sort_by_key(|&(first, last, index)| (family(first), std::cmp::Reverse(last), index));
    ranges.dedup_by(|inner, outer| inner.0.is_v4() == outer.0.is_v4() && inner.1 <= outer.1);
    ranges
}

fn family(address: Addr) -> (bool, Addr) {
    (address.is_v4(), address)
}

impl<'s> Ledger<'s> {
    /// The reservation that covers `address`: automatic assignment passes it over.
    pub fn reservation_of(&self, address: Addr) -> Option<&'s Reservation> {
        let after = self.reserved.partition_point(|&(first, _, _)| family(first) <= family(address));
        let &(first, last, index) = self.reserved.get(after.checked_sub(1)?)?;
        let covers = address <= last && first.is_v4() == address.is_v4();
        self.snapshot.reservations.get(index as usize).filter(|_| covers)
    }
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{Cluster, addr};
    use crate::ledger::Ledger;

    #[test]
    fn the_widest_reservation_that_covers_is_found() {
        let mut c = Cluster::empty();
        c.reservation("wide", &["10.0.0.0/24", "10.0.9.9/32"]);
        c.reservation("narrow", &["10.0.0.16/28", "10.0.1.0/28", "fd00::/122", "::/64"]);
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let of = |address: &str| ledger.reservation_of(addr(address)).map(|r| c.snapshot.text(r.name));
        assert_eq!([of("10.0.0.0"), of("10.0.0.17"), of("10.0.0.255")], [Some("wide"); 3]);
        assert_eq!([of("10.0.1.15"), of("fd00::3f"), of("::5")], [Some("narrow"); 3]);
        assert_eq!(of("10.0.9.9"), Some("wide"));
        assert_eq!([of("10.0.1.16"), of("9.9.9.9"), of("fd00::40"), of("10.0.9.10")], [None; 4]);
    }
}
