//! What an audit saw, as fingerprints: by them the next one knows what it need not read from the history.
//!
//! After a complete audit what is open in the history is what that audit saw. Where the next one sees the same, no row has
//! to be read to know that none changes. A fingerprint is the sum of the hashes of what it is of: in no order, and one
//! thing can be taken out of it. As every hash it says that something changed, and never what a thing is.

use super::finding::hash128;
use super::hash::HashSet;
use super::past::RecordedKey;
use super::{Addr, Cidr, PastKey};

/// So many addresses share a fingerprint: few, since all rows of a range are read when one of them changed.
const RANGE: u128 = 16;

/// The range that an address lies in, by its first address.
pub const fn range_of(address: Addr) -> Addr {
    Addr::from_bits(address.bits() & !(RANGE - 1))
}

/// The last address of the range that begins here.
pub const fn range_end(first: Addr) -> Addr {
    Addr::from_bits(first.bits() | (RANGE - 1))
}

/// The hash of one thing: of the hash that finds it, and of the numbers that say whether it changed.
pub fn print_of(index: u128, [a, b, c, d]: [u64; 4]) -> u128 {
    hash128([index as u64, (index >> 64) as u64, a, b, c, d].map(u64::to_le_bytes).as_flattened())
}

/// Fingerprints of things that have an address, by range.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RangePrints(Vec<(Addr, u128)>);

impl RangePrints {
    /// Counts a thing in. Whoever goes by address is fast.
    pub fn add(&mut self, address: Addr, hash: u128) {
        let first = range_of(address);
        let place = match self.0.last() {
            Some((last, _)) if *last == first => self.0.len() - 1,
            Some((last, _)) if *last > first => self.0.partition_point(|(other, _)| *other < first),
            _ => self.0.len(),
        };
        match self.0.get_mut(place).filter(|(other, _)| *other == first) {
            Some((_, print)) => *print = print.wrapping_add(hash),
            None => self.0.insert(place, (first, hash)),
        }
    }

    /// The ranges that are other ones in `now`, by their first addresses, sorted.
    pub fn changed(&self, now: &RangePrints) -> Vec<Addr> {
        let (mut then, mut now) = (self.0.iter().peekable(), now.0.iter().peekable());
        let mut changed = Vec::new();
        loop {
            let (first, same) = match (then.peek(), now.peek()) {
                (None, None) => return changed,
                (Some(a), Some(b)) => (a.0.min(b.0), a == b),
                (Some(one), None) | (None, Some(one)) => (one.0, false),
            };
            then.next_if(|(other, _)| *other == first);
            now.next_if(|(other, _)| *other == first);
            changed.extend((!same).then_some(first));
        }
    }

    /// Those of the ranges that are `kept`, with these of all others.
    #[must_use]
    pub fn but(&self, others: RangePrints, kept: impl Fn(Addr) -> bool) -> RangePrints {
        let mut all: Vec<(Addr, u128)> = self.iter().filter(|(first, _)| kept(*first)).chain(others.0).collect();
        all.sort_unstable_by_key(|(first, _)| *first);
        RangePrints(all)
    }

    /// All of them, by first address.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Addr, u128)> {
        self.0.iter().copied()
    }
}

impl FromIterator<(Addr, u128)> for RangePrints {
    fn from_iter<I: IntoIterator<Item = (Addr, u128)>>(prints: I) -> RangePrints {
        let mut all = RangePrints::default();
        prints.into_iter().for_each(|(address, hash)| all.add(address, hash));
        all
    }
}

/// The fingerprint of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct KeysPrint {
    /// How many they are.
    pub keys: u64,
    pub print: u128,
}

impl KeysPrint {
    /// Counts a key in, by the hash of its bytes.
    pub fn add(&mut self, key: u128, recorded: PastKey) {
        let PastKey { create_revision, mod_revision, version, value_hash } = recorded;
        let numbers = [create_revision as u64, mod_revision as u64, version as u64, value_hash];
        self.keys += 1;
        self.print = self.print.wrapping_add(print_of(key, numbers));
    }

    /// Of keys that were looked up, those that are recorded.
    pub fn of(recorded: &[RecordedKey]) -> KeysPrint {
        let mut print = KeysPrint::default();
        let there = recorded.iter().filter_map(|(key, recorded)| Some((hash128(key), (*recorded)?)));
        there.for_each(|(hash, recorded)| print.add(hash, recorded));
        print
    }

    /// Together with these, which are others.
    #[must_use]
    pub const fn with(self, these: KeysPrint) -> KeysPrint {
        KeysPrint { keys: self.keys.wrapping_add(these.keys), print: self.print.wrapping_add(these.print) }
    }

    /// What is left without these, which are among them.
    #[must_use]
    pub const fn without(self, these: KeysPrint) -> KeysPrint {
        KeysPrint { keys: self.keys.wrapping_sub(these.keys), print: self.print.wrapping_sub(these.print) }
    }
}

/// Addresses of some networks, each with all of its range.
#[derive(Clone, Debug, Default)]
pub struct Touched(Vec<(Addr, Addr)>);

impl Touched {
    /// Of these.
    pub fn of(networks: impl Iterator<Item = Cidr>) -> Touched {
        let mut spans: Vec<(Addr, Addr)> =
            networks.map(|network| (range_of(network.first()), range_end(range_of(network.last())))).collect();
        spans.sort_unstable();
        // One that begins in another one ends where the later of the two ends.
        spans.dedup_by(|later, earlier| {
            let meet = later.0 <= earlier.1;
            if meet {
                earlier.1 = earlier.1.max(later.1);
            }
            meet
        });
        Touched(spans)
    }

    /// Whether an address is among them.
    pub fn has(&self, address: Addr) -> bool {
        let next = self.0.partition_point(|(first, _)| *first <= address);
        next.checked_sub(1).and_then(|place| self.0.get(place)).is_some_and(|(_, last)| address <= *last)
    }
}

/// The keys that the history keeps, as a read found them.
#[derive(Clone, Debug, Default)]
pub struct KeysRead {
    /// All of them.
    pub all: KeysPrint,
    /// Those among them that were written since the last audit.
    pub touched: KeysPrint,
    /// The last writes of these. By one a key that was not touched is known without being spelled.
    pub revisions: HashSet<i64>,
}

/// All that an audit saw of what lasts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Prints {
    pub keys: KeysPrint,
    pub allocations: RangePrints,
    /// `None`: not known, as of an audit without Kubernetes.
    pub pods: Option<RangePrints>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Addr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_is_known_by_what_is_in_it_in_whatever_order() {
        let all = ["10.0.0.3", "10.0.0.7", "10.0.0.16", "10.0.1.0", "fd00::1"].map(addr);
        let of =
            |order: &[usize]| -> RangePrints { order.iter().map(|n| (all[*n], 0x1234_5678_9abc_def1 << n)).collect() };
        let then = of(&[0, 1, 2, 3, 4]);
        assert_eq!(then, of(&[4, 2, 0, 3, 1]));
        assert_eq!(
            then.iter().map(|(first, _)| first.to_string()).collect::<Vec<_>>(),
            ["10.0.0.0", "10.0.0.16", "10.0.1.0", "fd00::"]
        );
        let changed = |now: &RangePrints| -> Vec<String> { then.changed(now).iter().map(Addr::to_string).collect() };
        assert!(changed(&then).is_empty());
        assert_eq!(changed(&of(&[0, 2, 3, 4])), ["10.0.0.0"]);
        assert_eq!(changed(&of(&[0, 1, 4])), ["10.0.0.16", "10.0.1.0"]);
        assert_eq!(changed(&RangePrints::default()).len(), 4);
        assert_eq!(RangePrints::default().changed(&then).len(), 4);
        assert_eq!(range_end(addr("fd00::")), addr("fd00::f"));
    }

    #[test]
    fn ranges_that_were_not_touched_keep_their_fingerprint() {
        let networks = ["10.0.0.0/26", "10.0.0.32/28", "10.0.0.64/30", "10.0.1.5/32", "fd00::/122"];
        let touched = Touched::of(networks.iter().map(|text| Cidr::parse(text).unwrap().0));
        let has = |text: &str| touched.has(addr(text));
        assert!(["10.0.0.0", "10.0.0.63", "10.0.0.79", "10.0.1.0", "10.0.1.15", "fd00::3f"].map(has) == [true; 6]);
        assert!(["9.255.255.255", "10.0.0.80", "10.0.0.255", "10.0.1.16", "fd00::40"].map(has) == [false; 5]);
        let of = |texts: &[&str], hash| -> RangePrints { texts.iter().map(|text| (addr(text), hash)).collect() };
        let then = of(&["10.0.0.5", "10.0.0.70", "10.0.0.90", "10.0.2.0"], 1);
        let now = then.but(of(&["10.0.0.6", "10.0.1.9"], 2), |first| !touched.has(first));
        let all: Vec<(String, u128)> = now.iter().map(|(first, hash)| (first.to_string(), hash)).collect();
        let of = |text: &str, hash| (text.to_owned(), hash);
        assert_eq!(all, [of("10.0.0.0", 2), of("10.0.0.80", 1), of("10.0.1.0", 2), of("10.0.2.0", 1)]);
    }

    #[test]
    fn keys_are_taken_out_as_they_were_counted_in() {
        let key = |mod_revision| PastKey { create_revision: 1, mod_revision, version: 1, value_hash: 7 };
        let of = |keys: &[(u128, i64)]| {
            let mut print = KeysPrint::default();
            keys.iter().for_each(|(hash, revision)| print.add(*hash, key(*revision)));
            print
        };
        let all = of(&[(1, 5), (2, 6), (3, 7)]);
        assert_eq!(all.without(of(&[(2, 6)])), of(&[(3, 7), (1, 5)]));
        assert_eq!(all.without(of(&[(2, 6)])).with(of(&[(2, 9)])), of(&[(3, 7), (1, 5), (2, 9)]));
        assert_ne!(all.without(of(&[(2, 5)])), of(&[(3, 7), (1, 5)]), "another revision");
    }
}
