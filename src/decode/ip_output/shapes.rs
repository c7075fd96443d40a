//! What `ip -j` prints, as far as it is read.

use serde::Deserialize;

use crate::decode::node_capture::mac;
use crate::model::node_evidence::{
    GatewayVerdict, Hop, HostAddress, HostLink, KernelNeighbour, KernelRoute, MAIN_TABLE, NeighbourState, RouteKind,
    is_reachable,
};
use crate::model::{Addr, Cidr, Foreign, Term};

/// A word or a number: `-N` prints numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum WordOrNumber {
    Word(String),
    Number(u32),
}

impl WordOrNumber {
    fn word(self) -> String {
        match self {
            WordOrNumber::Word(word) => word,
            WordOrNumber::Number(number) => number.to_string(),
        }
    }
}

#[derive(Deserialize)]
pub struct IpLink {
    ifindex: u32,
    ifname: String,
    #[serde(default)]
    flags: Vec<String>,
    address: Option<String>,
    link_index: Option<u32>,
    link_netnsid: Option<i32>,
    linkinfo: Option<IpLinkInfo>,
}

#[derive(Deserialize)]
struct IpLinkInfo {
    info_kind: Option<String>,
}

impl IpLink {
    fn made(&self) -> HostLink {
        let is = |flag: &str| self.flags.iter().any(|f| f == flag);
        let kind = self.linkinfo.as_ref().and_then(|info| info.info_kind.as_deref()).unwrap_or_default();
        HostLink {
            index: self.ifindex,
            name: self.ifname.as_str().into(),
            kind: kind.into(),
            mac: self.address.as_deref().and_then(mac),
            up: is("UP"),
            carrier: is("LOWER_UP"),
            nsid: self.link_netnsid,
            peer: self.link_index,
            seen: 1,
        }
    }

    pub fn link(self) -> Result<HostLink, String> {
        Ok(self.made())
    }
}

#[derive(Deserialize)]
pub struct IpAddress {
    #[serde(flatten)]
    link: Option<IpLink>,
    #[serde(default)]
    addr_info: Vec<IpAddressInfo>,
}

#[derive(Deserialize)]
struct IpAddressInfo {
    local: Option<String>,
    prefixlen: Option<u8>,
}

impl IpAddress {
    pub fn link(&self) -> Option<HostLink> {
        self.link.as_ref().map(IpLink::made)
    }

    /// The index of the other end and the own MAC, of an interface whose other end is in another namespace.
    pub fn other_end(&self) -> Option<(u32, Option<u64>)> {
        let link = self.link.as_ref().filter(|link| link.link_netnsid.is_some())?;
        Some((link.link_index?, link.address.as_deref().and_then(mac)))
    }

    /// What of its addresses is none.
    pub fn strange(&self) -> Option<String> {
        let mut texts = self.addr_info.iter().filter_map(|info| info.local.as_deref());
        let strange = texts.find(|text| text.parse::<Addr>().is_err())?;
        Some(format!("{strange:?} is no address"))
    }

    fn each(&self) -> impl Iterator<Item = (Addr, &IpAddressInfo)> {
        self.addr_info.iter().filter_map(|info| Some((info.local.as_deref()?.parse().ok()?, info)))
    }

    pub fn addresses(&self) -> Vec<HostAddress> {
        let dev: Foreign = self.link.as_ref().map(|link| link.ifname.as_str().into()).unwrap_or_default();
        let of = |(address, info): (Addr, &IpAddressInfo)| {
            let whole = if address.is_v4() { 32 } else { 128 };
            HostAddress { dev: dev.clone(), address, prefix: info.prefixlen.unwrap_or(whole), seen: 1 }
        };
        self.each().map(of).collect()
    }

    /// Those by which a pod can be reached, whatever scope somebody gave them.
    pub fn of_pod(&self) -> Vec<Addr> {
        self.each().map(|(address, _)| address).filter(|address| is_reachable(*address)).collect()
    }
}

#[derive(Deserialize)]
pub struct IpRoute {
    r#type: Option<String>,
    dst: Option<String>,
    gateway: Option<String>,
    via: Option<IpVia>,
    dev: Option<String>,
    protocol: Option<WordOrNumber>,
    metric: Option<u32>,
    table: Option<WordOrNumber>,
    tos: Option<WordOrNumber>,
    from: Option<String>,
    #[serde(default)]
    nexthops: Vec<IpHop>,
}

#[derive(Deserialize)]
struct IpVia {
    host: String,
}

#[derive(Deserialize)]
struct IpHop {
    gateway: Option<String>,
    via: Option<IpVia>,
    dev: Option<String>,
}

fn hop(dev: Option<String>, gateway: Option<String>, via: Option<IpVia>) -> Result<Hop, String> {
    let gateway = gateway.or(via.map(|via| via.host));
    let gateway =
        gateway.map(|text| text.parse().map_err(|_| format!("gateway {text:?} is no address"))).transpose()?;
    Ok(Hop { dev: dev.unwrap_or_default().into(), gateway })
}

/// Types of routes that `ip` knows and that are no pod's way.
const OF_NO_POD: [&str; 5] = ["broadcast", "anycast", "multicast", "nat", "xresolve"];

impl IpRoute {
    pub fn route(self, v4: bool) -> Result<KernelRoute, String> {
        let text = self.dst.ok_or("it has no dst")?;
        let range = match text.as_str() {
            "default" => Cidr::parse(if v4 { "0.0.0.0/0" } else { "::/0" }).map(|(range, _)| range),
            address if !address.contains('/') => address.parse().ok().and_then(Cidr::of_one),
            range => Cidr::parse(range).map(|(range, _)| range),
        };
        let dst = range.ok_or_else(|| format!("dst {text:?} is no range"))?;
        if dst.is_v4() != v4 {
            return Err(format!("dst {text:?} is of the other family"));
        }
        // Without -d there is no type, but of blackholes and the like.
        let kind: Term<RouteKind> = self.r#type.map_or(Term::Known(RouteKind::Unicast), |kind| Term::of(&kind));
        if kind.known().is_none() && !OF_NO_POD.contains(&kind.raw()) {
            return Err(format!("the route of {text} is of the unknown type {:?}", kind.raw()));
        }
        let hops = match self.nexthops.is_empty() {
            true if self.dev.is_none() && self.gateway.is_none() && self.via.is_none() => Vec::new(),
            true => vec![hop(self.dev, self.gateway, self.via)?],
            false => self.nexthops.into_iter().map(|h| hop(h.dev, h.gateway, h.via)).collect::<Result<_, _>>()?,
        };
        if kind == Term::Known(RouteKind::Unicast) && !hops.iter().any(|hop| !hop.dev.is_empty()) {
            return Err(format!("the route of {text} names no device: ip route show dev … leaves it out"));
        }
        // A blackhole of IPv6 says `dev lo`, and leads nowhere.
        let leads = matches!(kind, Term::Known(RouteKind::Unicast | RouteKind::Local));
        let hops = if leads { hops } else { Vec::new() };
        let table = match self.table {
            None => MAIN_TABLE,
            Some(WordOrNumber::Number(number)) => number,
            Some(WordOrNumber::Word(word)) => match word.as_str() {
                "main" => MAIN_TABLE,
                "local" => 255,
                "default" => 253,
                other => other.parse().unwrap_or_default(),
            },
        };
        // `boot` is left out without -d; BIRD's number has a name only where the machine's tables give it one.
        let protocol = self.protocol.map_or_else(|| "boot".to_owned(), WordOrNumber::word);
        let protocol = match protocol.as_str() {
            "12" => "bird",
            "3" => "boot",
            "2" => "kernel",
            "4" => "static",
            other => other,
        };
        Ok(KernelRoute {
            dst,
            kind,
            hops,
            metric: self.metric.unwrap_or_default(),
            protocol: Term::of(protocol),
            table,
            narrow: self.tos.is_some() || self.from.is_some_and(|from| from != "default"),
            seen: 1,
        })
    }
}

#[derive(Deserialize)]
pub struct IpNeighbour {
    dst: String,
    dev: Option<String>,
    lladdr: Option<String>,
    #[serde(default)]
    state: Vec<String>,
}

impl IpNeighbour {
    pub fn neighbour(self) -> Result<KernelNeighbour, String> {
        let address = self.dst.parse().map_err(|_| format!("dst {:?} is no address", self.dst))?;
        let dev = self.dev.ok_or("it names no device: ip neigh show dev … leaves it out")?;
        let word = self.state.first().map(|state| state.to_lowercase()).unwrap_or_default();
        let state: Term<NeighbourState> = Term::of(&word);
        Ok(KernelNeighbour { address, dev: dev.into(), mac: self.lladdr.as_deref().and_then(mac), state, seen: 1 })
    }
}

#[derive(Deserialize)]
pub struct IpVerdict {
    r#if: String,
    from: String,
    to: String,
    errno: i32,
}

impl IpVerdict {
    pub fn verdict(self) -> Result<GatewayVerdict, String> {
        let addr = |text: &str| text.parse().map_err(|_| format!("{text:?} is no address"));
        let (from, to) = (addr(&self.from)?, addr(&self.to)?);
        Ok(GatewayVerdict { dev: self.r#if.into(), from, to, errno: self.errno, seen: 1 })
    }
}
