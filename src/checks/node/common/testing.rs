//! The evidence of a healthy node, made of a cluster's own endpoints and broken by name.

use crate::checks::Check;
use crate::checks::testing::{Cluster, addr, cidr};
use crate::ledger::Ledger;
use crate::model::node_evidence::{
    CALI, DevSysctls, Dump, GatewayVerdict, Hop, HostAddress, HostLink, KernelNeighbour, KernelRoute, MAIN_TABLE,
    NeighbourState, NodeEvidence, PodInside, RouteKind, RouteProtocol, RoutesKept, Sysctls,
};
use crate::model::{Addr, Endpoint, Foreign, HostKind, Snapshot};

/// The healthy cluster with the evidence of `node-1`.
pub fn seen() -> Cluster {
    let mut c = Cluster::healthy();
    c.see("node-1");
    c
}

/// web-9 has the route, and IPAM names web-0: that is kept, as IPA101 keeps it.
#[track_caller]
pub fn keeps_ipams_own(check: &'static Check, c: &mut Cluster) {
    let found = c.find(check).remove(0);
    assert!(found.advice.raw().starts_with("IPAM gave it to shop/web-0: keep that, "), "{}", found.advice.raw());
    let delete = format!("{:?}", found.next);
    assert!(!delete.contains("web-0") && delete.contains("web-9"), "{delete}");
    // Where IPAM was not read, the one that has the route.
    c.snapshot.blocks.clear();
    let delete = format!("{:?}", c.find(check).remove(0).next);
    assert!(delete.contains("web-0") && !delete.contains("web-9"), "{delete}");
}

/// What its tests do with evidence.
pub trait NodeUnderTest {
    /// Adds the evidence of a healthy node of this name, as its endpoints are now. Of several that list an address the last
    /// one has the route.
    fn see(&mut self, node: &str);
    /// The evidence that was added last.
    fn node_mut(&mut self) -> &mut NodeEvidence;
    /// The interface of a pod.
    fn interface_of(&mut self, pod: &str) -> Foreign;
}

impl NodeUnderTest for Cluster {
    fn see(&mut self, node: &str) {
        let snapshot = self.snapshot();
        let ledger = Ledger::build(&snapshot, self.scope, None);
        self.snapshot.nodes_seen.nodes.push(healthy(&snapshot, &ledger, node));
    }

    fn node_mut(&mut self) -> &mut NodeEvidence {
        self.snapshot.nodes_seen.nodes.last_mut().expect("a node was seen")
    }

    fn interface_of(&mut self, pod: &str) -> Foreign {
        let interface = self.endpoint_mut(pod).interface;
        interface.text(&self.snapshot.names).into()
    }
}

fn route(dst: &str, kind: RouteKind, hops: Vec<Hop>, protocol: RouteProtocol, metric: u32) -> KernelRoute {
    let (kind, protocol) = (kind.into(), protocol.into());
    KernelRoute { dst: cidr(dst), kind, hops, metric, protocol, table: MAIN_TABLE, narrow: false, seen: 3 }
}

fn hop(dev: &str, gateway: Option<&str>) -> Hop {
    Hop { dev: dev.into(), gateway: gateway.map(addr) }
}

fn healthy(snapshot: &Snapshot, ledger: &Ledger<'_>, node: &str) -> NodeEvidence {
    let name = snapshot.names.find(node).expect("the node exists");
    let endpoints: Vec<&Endpoint> = snapshot.endpoints.iter().filter(|e| e.node == name).collect();
    let interface = |e: &Endpoint| -> Foreign { e.interface().text(&snapshot.names).into() };
    let mut routes =
        vec![route("0.0.0.0/0", RouteKind::Unicast, vec![hop("eth0", Some("192.168.0.254"))], RouteProtocol::Boot, 0)];
    for block in &snapshot.blocks {
        let owner = block.affinity.filter(|host| host.kind == HostKind::Host);
        let Some(owner) = owner else { continue };
        let range = block.cidr.to_string();
        routes.push(match owner.name == name {
            true => route(&range, RouteKind::Blackhole, Vec::new(), RouteProtocol::Bird, 0),
            false => {
                let machine = ledger.calico_node(owner.name).expect("it exists").addresses[0].to_string();
                route(&range, RouteKind::Unicast, vec![hop("tunl0", Some(&machine))], RouteProtocol::Bird, 0)
            }
        });
    }
    let mut links =
        vec![HostLink { index: 2, name: "eth0".into(), up: true, carrier: true, seen: 3, ..HostLink::default() }];
    links.push(HostLink { index: 3, name: "tunl0".into(), kind: "ipip".into(), ..links[0].clone() });
    let (mut addresses, mut neighbours, mut verdicts, mut insides) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let address = |dev: &Foreign, address: Addr, prefix| HostAddress { dev: dev.clone(), address, prefix, seen: 3 };
    let tunnel = ledger.calico_node(name).and_then(|n| n.tunnels.first().copied());
    addresses.extend(tunnel.map(|(_, a)| address(&"tunl0".into(), a, 32)));
    let on = DevSysctls {
        proxy_arp: Some(1),
        forwarding: Some(1),
        rp_filter: Some(1),
        proxy_delay: Some(0),
        proxy_ndp: Some(1),
        forwarding6: Some(1),
        accept_ra: Some(0),
        disable_ipv6: Some(0),
    };
    let all = DevSysctls { proxy_arp: Some(0), proxy_ndp: Some(0), rp_filter: Some(0), ..on };
    let mut sysctls = Sysctls { ip_forward: Some(1), of: [("all".into(), all)].into() };
    for (e, index) in endpoints.iter().zip(10u32..) {
        let dev = interface(e);
        let nsid = i32::try_from(index).ok();
        links.push(HostLink {
            index,
            name: dev.clone(),
            kind: "veth".into(),
            mac: Some(0xeeee_eeee_eeee),
            up: true,
            carrier: true,
            nsid,
            peer: Some(2),
            seen: 3,
        });
        addresses.push(address(&dev, addr("fe80::ecee:eeff:feee:eeee"), 64));
        sysctls.of.insert(dev.clone(), on);
        for &a in e.addresses().iter() {
            routes.retain(|route| !route.is_to(a));
            routes.push(route(
                &format!("{a}/32"),
                RouteKind::Unicast,
                vec![hop(dev.raw(), None)],
                RouteProtocol::Boot,
                1024,
            ));
            let state = NeighbourState::Permanent.into();
            neighbours.push(KernelNeighbour { address: a, dev: dev.clone(), mac: e.mac(), state, seen: 3 });
        }
        insides.push(PodInside {
            nsid,
            host_link: Some(index),
            namespace: snapshot.text(e.namespace).into(),
            pod: snapshot.text(e.pod).into(),
            mac: e.mac(),
            addresses: Dump::Read(e.addresses().to_vec()),
            routes: Dump::Read(vec![route(
                "0.0.0.0/0",
                RouteKind::Unicast,
                vec![hop("eth0", Some("169.254.1.1"))],
                RouteProtocol::Boot,
                0,
            )]),
            neighbours: Dump::Read(Vec::new()),
            ..PodInside::default()
        });
    }
    for e in &endpoints {
        let dev = interface(e);
        for &from in e.addresses().iter() {
            let has_route = routes.iter().any(|route| route.is_to(from) && route.direct_devs().any(|to| *to == dev));
            let errno = if has_route { 0 } else { 22 };
            verdicts.push(GatewayVerdict { dev: dev.clone(), from, to: addr("169.254.1.1"), errno, seen: 3 });
        }
    }
    let mut evidence = NodeEvidence {
        node: node.into(),
        taken: vec![snapshot.now],
        readings: 1,
        prefixes: vec![CALI.into()],
        routes_kept: RoutesKept::All,
        links: Dump::Read(links),
        addresses: Dump::Read(addresses),
        routes4: Dump::Read(routes),
        routes6: Dump::Read(Vec::new()),
        neighbours: Dump::Read(neighbours),
        sysctls: Dump::Read(sysctls),
        verdicts: Dump::Read(verdicts),
        ..NodeEvidence::default()
    };
    evidence.inside.pods = Dump::Read(insides);
    evidence
}

fn list<T>(dump: &mut Dump<Vec<T>>) -> &mut Vec<T> {
    if let Dump::Read(list) = dump { list } else { panic!("it was read") }
}

impl NodeEvidence {
    pub fn routes(&mut self) -> &mut Vec<KernelRoute> {
        list(&mut self.routes4)
    }

    pub fn links(&mut self) -> &mut Vec<HostLink> {
        list(&mut self.links)
    }

    pub fn verdicts(&mut self) -> &mut Vec<GatewayVerdict> {
        list(&mut self.verdicts)
    }

    pub fn neighbours(&mut self) -> &mut Vec<KernelNeighbour> {
        list(&mut self.neighbours)
    }

    pub fn insides(&mut self) -> &mut Vec<PodInside> {
        list(&mut self.inside.pods)
    }

    pub fn own_addresses(&mut self) -> &mut Vec<HostAddress> {
        list(&mut self.addresses)
    }

    /// The host route of an address.
    pub fn route_mut(&mut self, address: &str) -> &mut KernelRoute {
        self.routes().iter_mut().find(|route| route.is_to(addr(address))).expect("there is a route")
    }

    /// The route of a block.
    pub fn block_route_mut(&mut self, range: &str) -> &mut KernelRoute {
        self.routes().iter_mut().find(|route| route.dst == cidr(range)).expect("there is a route")
    }

    /// Takes the host route of an address away, and with it the kernel's consent.
    pub fn remove_route(&mut self, address: &str) {
        self.routes().retain(|route| !route.is_to(addr(address)));
        list(&mut self.verdicts).iter_mut().filter(|v| v.from == addr(address)).for_each(|v| v.errno = 22);
    }

    /// A route by a gateway, as BIRD makes it.
    pub fn gateway_route(&self, range: &str, gateway: &str, dev: &str) -> KernelRoute {
        route(range, RouteKind::Unicast, vec![hop(dev, Some(gateway))], RouteProtocol::Bird, 0)
    }

    /// A pod's route, as Felix makes it.
    pub fn pod_route(&self, address: &str, dev: &Foreign, metric: u32) -> KernelRoute {
        route(&format!("{address}/32"), RouteKind::Unicast, vec![hop(dev.raw(), None)], RouteProtocol::Boot, metric)
    }

    pub fn link_mut(&mut self, name: &Foreign) -> &mut HostLink {
        self.links().iter_mut().find(|link| link.name == *name).expect("there is a link")
    }

    pub fn sysctls_of(&mut self, name: &str) -> &mut DevSysctls {
        let Dump::Read(sysctls) = &mut self.sysctls else { panic!("they were read") };
        sysctls.of.entry(name.into()).or_default()
    }

    pub fn inside_of(&mut self, pod: &str) -> &mut PodInside {
        self.insides().iter_mut().find(|inside| inside.pod == *pod).expect("it was looked into")
    }

    /// A workload interface that nobody knows.
    pub fn add_link(&mut self, name: &str) {
        let index = self.links().len() as u32 + 100;
        let like = self.links()[2].clone();
        self.links().push(HostLink { index, name: name.into(), nsid: None, ..like });
        let on = *self.sysctls_of(name);
        *self.sysctls_of(name) = DevSysctls { proxy_arp: Some(1), forwarding: Some(1), ..on };
    }

    /// Nobody looked into pods.
    pub fn without_inside(&mut self) {
        self.inside = Default::default();
    }

    pub fn verdict_mut(&mut self, address: &str) -> &mut GatewayVerdict {
        list(&mut self.verdicts).iter_mut().find(|v| v.from == addr(address)).expect("it was asked")
    }
}
