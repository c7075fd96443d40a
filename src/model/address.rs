//! Addresses and networks of both families as one number type.
//!
//! An IPv4 address is held as its IPv4-mapped IPv6 number (`::ffff:a.b.c.d`), as Go's `net.IP`
//! does, so that one sorted table holds both families and comparison is one machine operation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// The first 96 bits of every IPv4-mapped address.
const V4_MAPPED: u128 = 0xffff_0000_0000;

/// One IP address of either family; orders numerically, IPv4 before IPv6 unicast space.
///
/// Two halves instead of one `u128`, which would round every value with an address up to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Addr {
    high: u64,
    low: u64,
}

impl Addr {
    /// The address with this 128-bit number (IPv4 in its mapped form).
    pub const fn from_bits(bits: u128) -> Addr {
        Addr { high: (bits >> 64) as u64, low: bits as u64 }
    }

    /// The 128-bit number (IPv4 in its mapped form).
    pub const fn bits(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }

    /// Whether this is an IPv4 address.
    pub const fn is_v4(self) -> bool {
        self.high == 0 && self.low >> 32 == (V4_MAPPED >> 32) as u64
    }

    /// The IPv4 address with this 32-bit number.
    pub const fn from_v4_bits(bits: u32) -> Addr {
        Addr::from_bits(V4_MAPPED | bits as u128)
    }

    /// The 32-bit number of an IPv4 address.
    pub fn to_v4_bits(self) -> Option<u32> {
        self.is_v4().then_some(self.low as u32)
    }

    /// The standard library's form.
    pub fn to_ip(self) -> IpAddr {
        if self.is_v4() {
            IpAddr::V4(Ipv4Addr::from_bits(self.low as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(self.bits()))
        }
    }

    /// Parses an address that may carry a prefix length (`10.0.0.1/32`), as Calico writes
    /// addresses in `ipNetworks`, `spec.bgp` and annotations. The prefix length is checked and dropped.
    pub fn parse_with_prefix(text: &str) -> Option<Addr> {
        match text.split_once('/') {
            None => text.parse().ok(),
            Some(_) => text.parse::<ipnet::IpNet>().ok().map(|net| net.addr().into()),
        }
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Addr {
        match ip {
            IpAddr::V4(v4) => Addr::from_bits(V4_MAPPED | u128::from(v4.to_bits())),
            IpAddr::V6(v6) => Addr::from_bits(v6.to_bits()),
        }
    }
}

impl FromStr for Addr {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Addr, Self::Err> {
        text.parse::<IpAddr>().map(Addr::from)
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ip().fmt(f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Addr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A network: the first address (host bits cleared) and the prefix length of its own family.
///
/// Orders by first address, then the wider network first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    first: Addr,
    prefix: u8,
}

impl Cidr {
    /// The network that holds `address` at `prefix` bits (0..=32 or 0..=128); `None` when out of range.
    pub fn new(address: Addr, prefix: u8) -> Option<Cidr> {
        let width = if address.is_v4() { 32 } else { 128 };
        if prefix > width {
            return None;
        }
        let host_bits = u32::from(width - prefix);
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
        let first = Addr::from_bits(address.bits() & mask);
        Some(Cidr { first, prefix })
    }

    /// The network of one address.
    pub fn of_one(address: Addr) -> Option<Cidr> {
        Cidr::new(address, if address.is_v4() { 32 } else { 128 })
    }

    /// Parses `10.65.0.0/26`; the flag tells whether host bits had been set.
    pub fn parse(text: &str) -> Option<(Cidr, bool)> {
        let net: ipnet::IpNet = text.parse().ok()?;
        let address = Addr::from(net.addr());
        let cidr = Cidr::new(address, net.prefix_len())?;
        Some((cidr, cidr.first != address))
    }

    /// The first address.
    pub const fn first(self) -> Addr {
        self.first
    }

    /// The last address.
    pub fn last(self) -> Addr {
        Addr::from_bits(self.first.bits() + (self.size() - 1))
    }

    /// The prefix length in bits of its own family.
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether this is an IPv4 network.
    pub const fn is_v4(self) -> bool {
        self.first.is_v4()
    }

    /// How many addresses it has; `::/0` saturates at `u128::MAX`.
    pub fn size(self) -> u128 {
        let width: u8 = if self.is_v4() { 32 } else { 128 };
        1u128.checked_shl(u32::from(width - self.prefix)).unwrap_or(u128::MAX)
    }

    /// Whether `address` lies in it.
    pub fn contains(self, address: Addr) -> bool {
        self.is_v4() == address.is_v4() && address >= self.first && address <= self.last()
    }

    /// Whether all of `other` lies in it.
    pub fn covers(self, other: Cidr) -> bool {
        self.contains(other.first) && self.contains(other.last())
    }

    /// Whether the two share an address.
    pub fn overlaps(self, other: Cidr) -> bool {
        self.is_v4() == other.is_v4() && self.first <= other.last() && other.first <= self.last()
    }

    /// The place of `address` in this network (a block's *ordinal*), when it lies in it.
    pub fn ordinal(self, address: Addr) -> Option<u128> {
        self.contains(address).then(|| address.bits() - self.first.bits())
    }

    /// The address at `ordinal`, when that lies in it.
    pub fn nth(self, ordinal: u128) -> Option<Addr> {
        (ordinal < self.size()).then(|| Addr::from_bits(self.first.bits() + ordinal))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Cidr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        Cidr::parse(text).unwrap().0
    }

    #[test]
    fn both_families_share_one_number_line() {
        let v4: Addr = "192.168.91.33".parse().unwrap();
        let v6: Addr = "fd00:65::7".parse().unwrap();
        assert!(v4.is_v4() && !v6.is_v4());
        assert!(v4 < v6);
        assert_eq!(v4.to_string(), "192.168.91.33");
        assert_eq!(v6.to_string(), "fd00:65::7");
    }

    #[test]
    fn host_bits_are_cleared_and_told() {
        assert_eq!(Cidr::parse("10.71.253.5/26").unwrap(), (cidr("10.71.253.0/26"), true));
        assert_eq!(Cidr::parse("10.71.253.0/26").unwrap(), (cidr("10.71.253.0/26"), false));
        assert!(Cidr::parse("10.71.253.0/33").is_none());
        assert!(Cidr::parse("10.71.253.0").is_none());
    }

    #[test]
    fn membership_overlap_and_ordinals() {
        let block = cidr("10.65.0.64/26");
        assert_eq!(block.size(), 64);
        assert_eq!(block.last().to_string(), "10.65.0.127");
        assert_eq!(block.ordinal("10.65.0.70".parse().unwrap()), Some(6));
        assert_eq!(block.ordinal("10.65.0.128".parse().unwrap()), None);
        assert_eq!(block.nth(64), None);
        assert!(cidr("10.65.0.0/16").covers(block) && !block.covers(cidr("10.65.0.0/16")));
        assert!(block.overlaps(cidr("10.65.0.112/28")) && !block.overlaps(cidr("10.65.0.0/26")));
        assert!(!cidr("::/0").overlaps(cidr("0.0.0.0/0")));
        assert_eq!(cidr("0.0.0.0/0").size(), 1 << 32);
        assert_eq!(cidr("fd00::/122").size(), 64);
    }

    #[test]
    fn an_address_may_carry_its_prefix() {
        assert_eq!(Addr::parse_with_prefix("10.0.0.5/24"), "10.0.0.5".parse().ok());
        assert_eq!(Addr::parse_with_prefix("300.1.2.3/32"), None);
        assert_eq!(Addr::parse_with_prefix("fd00::1"), "fd00::1".parse().ok());
    }
}
