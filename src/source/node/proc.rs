//! What files below `/proc` say: settings of the kernel, its names, and of other processes what their network namespaces hold.

use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Read, Result};
use std::path::{Path, PathBuf};

use crate::model::node_evidence::{
    DevSysctls, Dump, Hop, KernelNeighbour, KernelRoute, MAIN_TABLE, NeighbourState, RouteKind, Sysctls, is_reachable,
};
use crate::model::{Addr, Cidr, Foreign, Term};

/// More than the routes of a pod have.
const LARGEST: u64 = 8 << 20;

/// The settings of an interface that count: where below `net`, and their names.
const SETTINGS: [(&str, &[&str]); 3] = [
    ("ipv4/conf", &["proxy_arp", "forwarding", "rp_filter"]),
    ("ipv4/neigh", &["proxy_delay"]),
    ("ipv6/conf", &["proxy_ndp", "forwarding", "accept_ra", "disable_ipv6"]),
];

/// `/proc`, wherever it is mounted.
#[derive(Clone, Debug)]
pub struct Proc {
    root: PathBuf,
}

/// Whose a process is, as its control group says; either may be empty.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ProcessOwner {
    pub uid: Foreign,
    pub container: Foreign,
}

impl Proc {
    /// Below this folder.
    pub fn at(root: impl Into<PathBuf>) -> Proc {
        Proc { root: root.into() }
    }

    fn read(&self, path: impl AsRef<Path>) -> Result<String> {
        let mut bytes = Vec::new();
        std::fs::File::open(self.root.join(path))?.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST {
            return Err(Error::new(ErrorKind::FileTooLarge, format!("more than {LARGEST} bytes")));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The first line of a file; empty where there is none.
    fn word(&self, path: &str) -> Foreign {
        self.read(path).unwrap_or_default().trim().into()
    }

    /// Which boot of the machine this is.
    pub fn boot_id(&self) -> Foreign {
        self.word("sys/kernel/random/boot_id")
    }

    /// The kernel's release.
    pub fn kernel(&self) -> Foreign {
        self.word("sys/kernel/osrelease")
    }

    /// The machine's name.
    pub fn hostname(&self) -> Foreign {
        self.word("sys/kernel/hostname")
    }

    /// The settings of these interfaces, of `all` and of `default`.
    pub fn sysctls<'n>(&self, interfaces: impl Iterator<Item = &'n Foreign>) -> Dump<Sysctls> {
        let net = "sys/net/ipv4/ip_forward";
        let ip_forward = match self.read(net) {
            Ok(text) => text.trim().parse().ok(),
            Err(e) => return Dump::NotRead(format!("{}: {e}", self.root.join(net).display()).into()),
        };
        let mut sysctls = Sysctls { ip_forward, ..Sysctls::default() };
        for name in ["all".into(), "default".into()].into_iter().chain(interfaces.cloned()) {
            match self.of_interface(&name) {
                Ok(own) => drop(sysctls.of.insert(name, own)),
                Err(why) => return Dump::NotRead(why),
            }
        }
        Dump::Read(sysctls)
    }

    fn of_interface(&self, name: &Foreign) -> std::result::Result<DevSysctls, Foreign> {
        let mut own = DevSysctls::default();
        // The kernel takes no such names; a path must not lead elsewhere all the same.
        if name.raw().contains('/') || name.raw().starts_with("..") || name.is_empty() {
            return Ok(own);
        }
        for (family, names) in SETTINGS {
            for setting in names {
                let path = format!("sys/net/{family}/{}/{setting}", name.raw());
                match self.read(&path) {
                    Ok(text) => {
                        if let Some(slot) = own.slot(family, setting) {
                            *slot = text.trim().parse().ok();
                        }
                    }
                    // The interface is gone, `all` has no neighbours, or there is no IPv6.
                    Err(e) if e.kind() == ErrorKind::NotFound => {}
                    Err(e) => return Err(format!("{}: {e}", self.root.join(&path).display()).into()),
                }
            }
        }
        Ok(own)
    }

    /// Every process that can be seen, by number: the oldest first, so that of a pod's the one that holds its namespaces.
    ///
    /// # Errors
    /// A folder that cannot be listed.
    pub fn processes(&self) -> Result<BTreeSet<u32>> {
        let entries = std::fs::read_dir(&self.root)?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
    }

    /// The file that is a process' network namespace.
    pub fn namespace(&self, pid: u32) -> PathBuf {
        self.root.join(format!("{pid}/ns/net"))
    }

    /// Whose a process is.
    pub fn owner(&self, pid: u32) -> ProcessOwner {
        owner(&self.read(format!("{pid}/cgroup")).unwrap_or_default())
    }

    /// The addresses by which the namespace of a process can be reached.
    ///
    /// # Errors
    /// Files that cannot be read; one of IPv6 may be missing.
    pub fn addresses(&self, pid: u32) -> Result<Vec<Addr>> {
        let mut addresses = local_addresses(&self.read(format!("{pid}/net/fib_trie"))?);
        addresses.extend(six_addresses(&self.optional(pid, "if_inet6")?));
        Ok(addresses.into_iter().collect())
    }

    /// The routes of the main tables of both families.
    ///
    /// # Errors
    /// As of the addresses.
    pub fn routes(&self, pid: u32) -> Result<Vec<KernelRoute>> {
        let mut routes = four_routes(&self.read(format!("{pid}/net/route"))?);
        routes.extend(six_routes(&self.optional(pid, "ipv6_route")?));
        Ok(routes)
    }

    /// The IPv4 neighbours.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn neighbours(&self, pid: u32) -> Result<Vec<KernelNeighbour>> {
        Ok(arp(&self.read(format!("{pid}/net/arp"))?))
    }

    /// A file of a kernel with IPv6: what is missing beside files that are there is not there.
    fn optional(&self, pid: u32, name: &str) -> Result<String> {
        match self.read(format!("{pid}/net/{name}")) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
            read => read,
        }
    }
}

/// Of `…/kubepods-burstable-pod1b2c…_….slice/cri-containerd-4f5e….scope` and of `…/kubepods/burstable/pod1b2c-…/4f5e…` the
/// pod's UID and the container.
fn owner(cgroup: &str) -> ProcessOwner {
    let mut owner = ProcessOwner::default();
    for part in cgroup.lines().flat_map(|line| line.split('/')) {
        let name = part.trim_end_matches(".slice").trim_end_matches(".scope");
        if let Some(uid) = name.rsplit_once("pod").map(|(_, uid)| uid.replace('_', "-")) {
            let is_uid = uid.len() == 36 && uid.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
            // A static pod's is a hash.
            let is_hash = uid.len() == 32 && uid.chars().all(|c| c.is_ascii_hexdigit());
            if is_uid || is_hash {
                owner.uid = uid.into();
            }
        }
        let last = name.rsplit(['-', ':']).next().unwrap_or_default();
        if last.len() == 64 && last.chars().all(|c| c.is_ascii_hexdigit()) {
            owner.container = last.into();
        }
    }
    owner
}

/// `|-- 10.65.0.7` and below it `/32 host LOCAL`, of every table.
fn local_addresses(fib_trie: &str) -> BTreeSet<Addr> {
    let mut last = None;
    let mut addresses = BTreeSet::new();
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Addr>().ok();
        } else if line.starts_with("/32 ") && line.ends_with(" LOCAL") {
            addresses.extend(last.filter(|address| is_reachable(*address)));
        }
    }
    addresses
}

/// `fe80…: 02 40 20 80 eth0`: address, index, length of the prefix, scope, flags, interface.
fn six_addresses(if_inet6: &str) -> Vec<Addr> {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        six(words.next()?).filter(|address| is_reachable(*address))
    };
    if_inet6.lines().filter_map(of).collect()
}

fn six(hexadecimal: &str) -> Option<Addr> {
    (hexadecimal.len() == 32).then(|| u128::from_str_radix(hexadecimal, 16).ok()).flatten().map(Addr::from_bits)
}

/// `eth0 00000000 0101FEA9 0003 0 0 0 00000000 …`: interface, range, gateway, flags, then metric and mask; addresses as the
/// machine stores them.
fn four_routes(route: &str) -> Vec<KernelRoute> {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [dev, dst, gateway, flags, _, _, metric, mask, ..] = *words.as_slice() else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let prefix = four(mask)?.count_ones();
        let dst = Cidr::new(Addr::from_v4_bits(four(dst)?), u8::try_from(prefix).ok()?)?;
        let gateway = four(gateway)?;
        let gateway = (flags & GATEWAY != 0).then(|| Addr::from_v4_bits(gateway));
        Some(entry(dev, dst, gateway, metric.parse().ok()?, flags))
    };
    route.lines().skip(1).filter_map(of).collect()
}

/// Of a number's bytes as they are in memory the address in the network's order.
fn four(hexadecimal: &str) -> Option<u32> {
    u32::from_str_radix(hexadecimal, 16).ok().map(|number| u32::from_be_bytes(number.to_ne_bytes()))
}

const GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;

fn entry(dev: &str, dst: Cidr, gateway: Option<Addr>, metric: u32, flags: u32) -> KernelRoute {
    let is_refused = flags & REJECT != 0;
    KernelRoute {
        dst,
        kind: Term::Known(if is_refused { RouteKind::Unreachable } else { RouteKind::Unicast }),
        hops: if is_refused { Vec::new() } else { vec![Hop { dev: dev.into(), gateway }] },
        metric,
        protocol: Term::of("unknown"),
        table: MAIN_TABLE,
        narrow: false,
        seen: 1,
    }
}

/// Local ones, those of multicast, and what the kernel keeps for itself.
const NOT_OF_THE_TABLE: u32 = 0x8000_0000 | 0x0100_0000;

/// `range length source length gateway metric references uses flags interface`, all in hexadecimal.
fn six_routes(ipv6_route: &str) -> Vec<KernelRoute> {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [dst, prefix, _, source, gateway, metric, _, _, flags, dev] = *words.as_slice() else { return None };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        let dst = Cidr::new(six(dst)?, u8::from_str_radix(prefix, 16).ok()?)?;
        let is_multicast = dst.first().bits() >> 120 == 0xff;
        // The unreachable default that every table ends with is of the loopback.
        if flags & NOT_OF_THE_TABLE != 0 || is_multicast || dev == "lo" {
            return None;
        }
        let gateway = six(gateway)?;
        let gateway = (flags & GATEWAY != 0).then_some(gateway);
        let narrow = u8::from_str_radix(source, 16).ok()? != 0;
        Some(KernelRoute { narrow, ..entry(dev, dst, gateway, u32::from_str_radix(metric, 16).ok()?, flags) })
    };
    ipv6_route.lines().filter_map(of).collect()
}

/// `169.254.1.1 0x1 0x0 00:00:00:00:00:00 * eth0`: flags 0 is a neighbour that did not answer, or not yet.
fn arp(arp: &str) -> Vec<KernelNeighbour> {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, _, flags, mac, _, dev] = *words.as_slice() else { return None };
        let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).ok()?;
        let state = match flags {
            0 => Term::Known(NeighbourState::Failed),
            // ATF_PERM
            flags if flags & 4 != 0 => Term::Known(NeighbourState::Permanent),
            // Reachable or not any more: this file does not tell.
            _ => Term::of("complete"),
        };
        let mac = crate::decode::node_capture::mac(mac).filter(|_| flags != 0);
        Some(KernelNeighbour { address: address.parse().ok()?, dev: dev.into(), mac, state, seen: 1 })
    };
    arp.lines().skip(1).filter_map(of).collect()
}

#[cfg(test)]
mod tests;
