//! What is asked of the kernel, and what its messages mean.
//!
//! Of a message only the attributes that count are looked at: one that is new, strange or damaged elsewhere takes nothing
//! away. What does count and is not understood leaves its list incomplete.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use netlink_packet_core::NlasIterator;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::RouteNetlinkMessage as Message;
use netlink_packet_route::address::{AddressAttribute, AddressHeader, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkHeader, LinkMessage};
use netlink_packet_route::neighbour::{NeighbourHeader, NeighbourMessage, NeighbourState as Nud};
use netlink_packet_route::nsid::{NsidAttribute, NsidHeader, NsidMessage};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage};

use crate::model::node_evidence::{
    Hop, HostAddress, HostLink, KernelNeighbour, KernelRoute, NeighbourState, RouteKind,
};
use crate::model::{Addr, Cidr, Foreign, Term};

/// Types of the kernel's messages.
pub const NEW_LINK: u16 = 16;
pub const NEW_ADDRESS: u16 = 20;
pub const NEW_ROUTE: u16 = 24;
pub const NEW_NEIGHBOUR: u16 = 28;
pub const NEW_NSID: u16 = 88;

/// A family of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IpFamily {
    V4,
    V6,
}

impl IpFamily {
    const fn number(self) -> AddressFamily {
        match self {
            IpFamily::V4 => AddressFamily::Inet,
            IpFamily::V6 => AddressFamily::Inet6,
        }
    }

    /// Whether a message is of it: a kernel without IPv6 lists IPv4 when it is asked for that.
    fn is(self, family: AddressFamily) -> bool {
        self.number() == family
    }
}

/// The names of interfaces by index. One that came between two dumps has none yet.
#[derive(Clone, Debug, Default)]
pub struct LinkNames {
    names: BTreeMap<u32, Foreign>,
    missed: bool,
}

impl LinkNames {
    /// Those of these links.
    pub fn of(links: &[HostLink]) -> LinkNames {
        LinkNames { names: links.iter().map(|link| (link.index, link.name.clone())).collect(), missed: false }
    }

    /// Whether a name was asked for that is not known.
    pub const fn missed(&self) -> bool {
        self.missed
    }

    /// The name; as `ip` writes it where there is none.
    fn name(&mut self, index: u32) -> Foreign {
        match self.names.get(&index) {
            Some(name) => name.clone(),
            None => {
                self.missed = true;
                format!("if{index}").into()
            }
        }
    }
}

/// All links; `nsid`: of that namespace, which needs a right.
pub fn links(nsid: Option<i32>) -> Message {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    message.attributes.extend(nsid.map(LinkAttribute::IfNetnsId));
    Message::GetLink(message)
}

/// All addresses of a family; `nsid`: of that namespace, which needs a right and strict checking.
pub fn addresses(family: IpFamily, nsid: Option<i32>) -> Message {
    let mut message = AddressMessage::default();
    message.header.family = family.number();
    message.attributes.extend(nsid.map(AddressAttribute::TargetNetNsId));
    Message::GetAddress(message)
}

/// All routes of a family, of every table.
pub fn routes(family: IpFamily) -> Message {
    let mut message = RouteMessage::default();
    message.header.address_family = family.number();
    Message::GetRoute(message)
}

/// All neighbours of a family.
pub fn neighbours(family: IpFamily) -> Message {
    let mut message = NeighbourMessage::default();
    message.header.family = family.number();
    Message::GetNeighbour(message)
}

/// `ip route get TO from FROM iif INTERFACE`.
pub fn way(to: u32, from: u32, interface: u32) -> Message {
    let address = |bits: u32| RouteAddress::Inet(Ipv4Addr::from_bits(bits));
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    (message.header.destination_prefix_length, message.header.source_prefix_length) = (32, 32);
    message.attributes = vec![
        RouteAttribute::Destination(address(to)),
        RouteAttribute::Source(address(from)),
        RouteAttribute::Iif(interface),
    ];
    Message::GetRoute(message)
}

/// Which number the network namespace of a process or a file has among the host's links.
pub fn nsid(of: NsidAttribute) -> Message {
    let mut message = NsidMessage::default();
    message.attributes.push(of);
    Message::GetNsId(message)
}

/// The attributes behind a head of `head` bytes, those that count.
fn each_attribute(
    body: &[u8],
    head: usize,
    mut take: impl FnMut(u16, &[u8]) -> Result<(), String>,
) -> Result<(), String> {
    for attribute in NlasIterator::new(body.get(head..).unwrap_or_default()) {
        let attribute = attribute.map_err(|e| e.to_string())?;
        take(attribute.kind(), attribute.value())?;
    }
    Ok(())
}

fn number(value: &[u8]) -> Result<u32, String> {
    let bytes: Option<[u8; 4]> = value.try_into().ok();
    bytes.map(u32::from_ne_bytes).ok_or_else(|| format!("a number of {} bytes", value.len()))
}

fn signed(value: &[u8]) -> Result<i32, String> {
    number(value).map(|number| i32::from_ne_bytes(number.to_ne_bytes()))
}

fn text(value: &[u8]) -> Foreign {
    let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned().into()
}

fn address(value: &[u8]) -> Result<Addr, String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(value) {
        return Ok(Addr::from_v4_bits(u32::from_be_bytes(bytes)));
    }
    let bytes: Option<[u8; 16]> = value.try_into().ok();
    let addr = bytes.map(|bytes| Addr::from(std::net::IpAddr::from(bytes)));
    addr.ok_or_else(|| format!("an address of {} bytes", value.len()))
}

fn mac(value: &[u8]) -> Option<u64> {
    let bytes: [u8; 6] = value.try_into().ok()?;
    Some(bytes.iter().fold(0, |mac, byte| mac << 8 | u64::from(*byte)))
}

/// A link.
pub fn link(body: &[u8]) -> Result<Option<HostLink>, String> {
    let head = LinkHeader::parse(body).map_err(|e| e.to_string())?;
    let mut link = HostLink {
        index: head.index,
        up: head.flags.contains(LinkFlags::Up),
        carrier: head.flags.contains(LinkFlags::LowerUp),
        seen: 1,
        ..HostLink::default()
    };
    let mut peer = None;
    each_attribute(body, 16, |kind, value| {
        match kind {
            1 => link.mac = mac(value),
            3 => link.name = text(value),
            5 => peer = Some(number(value)?),
            18 => {
                for part in NlasIterator::new(value).flatten().filter(|part| part.kind() == 1) {
                    link.kind = text(part.value());
                }
            }
            // -1: it has none yet.
            37 => link.nsid = Some(signed(value)?).filter(|nsid| *nsid >= 0),
            _ => {}
        }
        Ok(())
    })?;
    // Of another namespace's interface; of one in this namespace it would be the lower device.
    link.peer = link.nsid.and(peer).filter(|index| *index != 0);
    if link.name.is_empty() { Err(format!("interface {} has no name", link.index)) } else { Ok(Some(link)) }
}

/// An address, whatever its scope: one that somebody put on `lo` or made for its link alone is answered for all the same.
pub fn own_address(body: &[u8], family: IpFamily, names: &mut LinkNames) -> Result<Option<HostAddress>, String> {
    let head = AddressHeader::parse(body).map_err(|e| e.to_string())?;
    if !family.is(head.family) {
        return Ok(None);
    }
    let (mut local, mut other) = (None, None);
    each_attribute(body, 8, |kind, value| {
        match kind {
            // The other end's, where the two ends have two: then the own one is `local`.
            1 => other = Some(address(value)?),
            2 => local = Some(address(value)?),
            _ => {}
        }
        Ok(())
    })?;
    let address = local.or(other).ok_or("an address without one")?;
    Ok(Some(HostAddress { dev: names.name(head.index), address, prefix: head.prefix_len, seen: 1 }))
}

/// Routes that the kernel made for itself beside the tables.
const CLONED: u32 = 0x200;
/// The kernel's own table.
const LOCAL_TABLE: u32 = 255;
/// Who made a route: the kernel itself.
const OF_KERNEL: u8 = 2;

/// A route.
pub fn route(body: &[u8], family: IpFamily, names: &mut LinkNames) -> Result<Option<KernelRoute>, String> {
    let head = RouteHeader::parse(body).map_err(|e| e.to_string())?;
    if !family.is(head.address_family) || head.flags.bits() & CLONED != 0 {
        return Ok(None);
    }
    let mut table = u32::from(head.table);
    let (mut dst, mut metric) = (None, 0);
    let (mut dev, mut gateway, mut hops) = (None, None, Vec::new());
    let mut by_object = false;
    each_attribute(body, 12, |kind, value| {
        match kind {
            1 => dst = Some(address(value)?),
            4 => dev = Some(number(value)?),
            5 => gateway = Some(address(value)?),
            6 => metric = number(value)?,
            9 => hops = several(value, names)?,
            15 => table = number(value)?,
            18 => gateway = Some(via(value)?),
            30 => by_object = true,
            _ => {}
        }
        Ok(())
    })?;
    // The kernel's own entries are its addresses once more; what somebody put there is answered for without one.
    if table == LOCAL_TABLE && u8::from(head.protocol) == OF_KERNEL {
        return Ok(None);
    }
    let zero = match family {
        IpFamily::V4 => Addr::from_v4_bits(0),
        IpFamily::V6 => Addr::from_bits(0),
    };
    let range = Cidr::new(dst.unwrap_or(zero), head.destination_prefix_length);
    let dst = range.filter(|range| range.is_v4() == (family == IpFamily::V4)).ok_or("a range that is none")?;
    let kind: Term<RouteKind> = Term::of(&kind_word(head.kind.into()));
    if kind == Term::Known(RouteKind::Local) {
        hops.extend(dev.map(|dev| Hop { dev: names.name(dev), gateway }));
    } else if kind != Term::Known(RouteKind::Unicast) {
        // A blackhole of IPv6 says `dev lo`, and leads nowhere.
        hops.clear();
    } else if hops.is_empty() {
        let hint = if by_object { "; see the sysctl net.ipv4.nexthop_compat_mode" } else { "" };
        let dev = dev.ok_or_else(|| format!("the route of {dst} names no device{hint}"))?;
        hops.push(Hop { dev: names.name(dev), gateway });
    }
    let protocol = Term::of(&protocol_word(head.protocol.into()));
    let narrow = head.tos != 0 || head.source_prefix_length != 0;
    Ok(Some(KernelRoute { dst, kind, hops, metric, protocol, table, narrow, seen: 1 }))
}

/// `RTA_VIA`: two bytes of a family, and an address of it.
fn via(value: &[u8]) -> Result<Addr, String> {
    address(value.get(2..).unwrap_or_default())
}

/// `RTA_MULTIPATH`: of each a head of eight bytes, which has the length of all, and attributes.
fn several(value: &[u8], names: &mut LinkNames) -> Result<Vec<Hop>, String> {
    let mut hops = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let head = rest.get(..8).ok_or("a next hop that is cut off")?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let index = u32::from_ne_bytes([head[4], head[5], head[6], head[7]]);
        let one = rest.get(..length).filter(|one| one.len() >= 8).ok_or("a next hop that is cut off")?;
        let mut gateway = None;
        each_attribute(one, 8, |kind, value| {
            match kind {
                5 => gateway = Some(address(value)?),
                18 => gateway = Some(via(value)?),
                _ => {}
            }
            Ok(())
        })?;
        hops.push(Hop { dev: names.name(index), gateway });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(hops)
}

fn kind_word(kind: u8) -> String {
    let words = [
        "unspec",
        "unicast",
        "local",
        "broadcast",
        "anycast",
        "multicast",
        "blackhole",
        "unreachable",
        "prohibit",
        "throw",
        "nat",
    ];
    words.get(usize::from(kind)).map_or_else(|| kind.to_string(), |word| (*word).to_owned())
}

/// As `ip` writes it; a number without a name is a number.
fn protocol_word(protocol: u8) -> String {
    let word = match protocol {
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        9 => "ra",
        12 => "bird",
        16 => "dhcp",
        number => return number.to_string(),
    };
    word.to_owned()
}

/// A neighbour, but none that nobody ever asks for: of loopback, of multicast.
pub fn neighbour(
    body: &[u8],
    family: IpFamily,
    names: &mut LinkNames,
) -> Result<Option<(u32, KernelNeighbour)>, String> {
    let head = NeighbourHeader::parse(body).map_err(|e| e.to_string())?;
    let state: Term<NeighbourState> = match head.state {
        Nud::None | Nud::Noarp => return Ok(None),
        Nud::Permanent => Term::Known(NeighbourState::Permanent),
        Nud::Reachable => Term::Known(NeighbourState::Reachable),
        Nud::Stale => Term::Known(NeighbourState::Stale),
        Nud::Delay => Term::Known(NeighbourState::Delay),
        Nud::Probe => Term::Known(NeighbourState::Probe),
        Nud::Incomplete => Term::Known(NeighbourState::Incomplete),
        Nud::Failed => Term::Known(NeighbourState::Failed),
        other => Term::of(&u16::from(other).to_string()),
    };
    if !family.is(head.family) {
        return Ok(None);
    }
    let (mut of, mut own_mac) = (None, None);
    each_attribute(body, 12, |kind, value| {
        match kind {
            1 => of = Some(address(value)?),
            2 => own_mac = mac(value),
            _ => {}
        }
        Ok(())
    })?;
    let address = of.ok_or("a neighbour without address")?;
    let neighbour = KernelNeighbour { address, dev: names.name(head.ifindex), mac: own_mac, state, seen: 1 };
    Ok(Some((head.ifindex, neighbour)))
}

/// The number of a namespace; `None`: it has none, so no link leads there.
pub fn nsid_of(body: &[u8]) -> Result<Option<i32>, String> {
    NsidHeader::parse(body).map_err(|e| e.to_string())?;
    let mut nsid = None;
    each_attribute(body, 4, |kind, value| {
        if kind == 1 {
            nsid = Some(signed(value)?).filter(|nsid| *nsid >= 0);
        }
        Ok(())
    })?;
    Ok(nsid)
}
