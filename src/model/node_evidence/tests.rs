use super::*;
use crate::model::{Cidr, Term};

fn route(dst: &str, dev: &str, metric: u32, seen: u8) -> KernelRoute {
    KernelRoute {
        dst: Cidr::parse(dst).unwrap().0,
        kind: RouteKind::Unicast.into(),
        hops: vec![Hop { dev: dev.into(), gateway: None }],
        metric,
        protocol: RouteProtocol::Boot.into(),
        table: MAIN_TABLE,
        narrow: false,
        seen,
    }
}

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn dev_of<'e>(table: &RouteTable<'e>, address: &str) -> Option<&'e str> {
    table.way(addr(address)).route().and_then(KernelRoute::dev).map(Foreign::raw)
}

#[test]
fn the_narrowest_then_the_lowest_then_the_first_is_in_force() {
    let routes = [
        route("0.0.0.0/0", "eth0", 0, 1),
        route("10.65.0.0/26", "tunl0", 0, 1),
        route("10.65.0.7/32", "cali1", 1024, 1),
        route("10.65.0.7/32", "cali2", 0, 1),
        route("10.65.0.7/32", "cali3", 0, 1),
        KernelRoute { table: 99, ..route("10.65.0.8/32", "cali4", 0, 1) },
    ];
    let order = RouteOrder::of(&routes);
    let table = RouteTable::of(&routes, &order, 1);
    assert_eq!(dev_of(&table, "10.65.0.7"), Some("cali2"));
    assert_eq!((dev_of(&table, "10.65.0.8"), dev_of(&table, "10.66.0.1")), (Some("tunl0"), Some("eth0")));
    let order = RouteOrder::of(&routes[1..]);
    assert_eq!(RouteTable::of(&routes[1..], &order, 1).way(addr("10.66.0.1")), Way::Nowhere);
}

/// One reading that missed a route in the middle of a takeover accuses nobody.
#[test]
fn what_the_readings_do_not_agree_on_is_unsettled() {
    let routes = [route("10.65.0.0/26", "tunl0", 0, 3), route("10.65.0.7/32", "cali1", 0, 2)];
    let order = RouteOrder::of(&routes);
    let table = RouteTable::of(&routes, &order, 2);
    assert_eq!(table.way(addr("10.65.0.7")), Way::Unsettled);
    assert_eq!(dev_of(&table, "10.65.0.8"), Some("tunl0"));
    let gone = [route("10.65.0.7/32", "cali1", 0, 1)];
    assert_eq!(RouteTable::of(&gone, &RouteOrder::of(&gone), 2).way(addr("10.65.0.7")), Way::Unsettled);
}

fn link(index: u32, name: &str, nsid: i32) -> HostLink {
    HostLink { index, name: name.into(), nsid: Some(nsid), up: true, carrier: true, seen: 1, ..HostLink::default() }
}

#[test]
fn an_address_is_in_use_where_it_is_routed_or_configured_and_a_neighbour_is_no_use() {
    let neighbour = KernelNeighbour {
        address: addr("10.65.0.9"),
        dev: "cali1".into(),
        mac: None,
        state: Term::Known(NeighbourState::Permanent),
        seen: 1,
    };
    let pod = PodInside {
        host_link: Some(8),
        namespace: "shop".into(),
        pod: "web-0".into(),
        addresses: Dump::Read(vec![addr("10.65.0.8")]),
        ..PodInside::default()
    };
    let evidence = NodeEvidence {
        readings: 1,
        prefixes: vec![CALI.into()],
        links: Dump::Read(vec![link(7, "cali1", 1), link(8, "cali2", 2)]),
        routes4: Dump::Read(vec![route("10.65.0.7/32", "cali1", 0, 1), route("10.65.0.6/32", "cali9", 0, 1)]),
        neighbours: Dump::Read(vec![neighbour]),
        inside: Inside { pods: Dump::Read(vec![pod]), ..Inside::default() },
        ..NodeEvidence::default()
    };
    let mut seen = NodesSeen::newest(vec![evidence], false);
    seen.index();
    let uses = |address: &str| seen.uses(addr(address)).map(|(_, used)| used.clone()).collect::<Vec<_>>();
    assert_eq!(uses("10.65.0.7"), [InUse { interface: "cali1".into(), by: UsedBy::Route }]);
    assert_eq!(uses("10.65.0.8"), [InUse { interface: "cali2".into(), by: UsedBy::Namespace("shop/web-0".into()) }]);
    assert_eq!((uses("10.65.0.9"), uses("10.65.0.6")), (vec![], vec![]), "a leftover; an interface that is gone");
}

#[test]
fn workload_interfaces_begin_with_their_prefix() {
    let evidence = NodeEvidence { prefixes: vec![CALI.into()], ..NodeEvidence::default() };
    let is = |name: &str| evidence.is_workload(&name.into());
    assert!(is("cali752522c4646") && !is("bpfin.cali") && !is("vxlan.calico") && !is("eth0"));
}

#[test]
fn proxy_arp_is_on_by_all_or_by_the_interface_and_off_only_where_both_are_known() {
    let sysctls = |all: Option<i64>, own: Option<i64>| {
        let dev = |proxy_arp| DevSysctls { proxy_arp, ..DevSysctls::default() };
        Sysctls { ip_forward: None, of: [("all".into(), dev(all)), ("cali1".into(), dev(own))].into() }
    };
    let told = |all, own| sysctls(all, own).proxy_arp(&"cali1".into());
    assert_eq!(told(Some(0), Some(0)), Some(false));
    assert_eq!(
        (told(Some(1), Some(0)), told(Some(0), Some(1)), told(None, Some(1))),
        (Some(true), Some(true), Some(true))
    );
    assert_eq!((told(None, Some(0)), told(Some(0), None)), (None, None));
}

#[test]
fn of_several_captures_of_a_node_the_newest_counts() {
    let capture =
        |node: &str, at: i64| NodeEvidence { node: node.into(), taken: vec![Time(at)], ..NodeEvidence::default() };
    let seen = NodesSeen::newest(vec![capture("b", 1), capture("a", 5), capture("b", 9), capture("a", 4)], true);
    let told: Vec<_> = seen.nodes.iter().map(|n| (n.node.raw(), n.taken[0].0)).collect();
    assert_eq!(told, [("a", 5), ("b", 9)]);
}

/// One address, routed to one interface that exists.
fn routed(node: &str, at: Option<i64>) -> NodeEvidence {
    NodeEvidence {
        node: node.into(),
        taken: at.map(Time).into_iter().collect(),
        readings: 1,
        prefixes: vec![CALI.into()],
        links: Dump::Read(vec![link(7, "cali1", 1)]),
        routes4: Dump::Read(vec![route("10.65.0.7/32", "cali1", 0, 1)]),
        ..NodeEvidence::default()
    }
}

fn is_vetoed(mut seen: NodesSeen) -> bool {
    seen.index();
    seen.uses(addr("10.65.0.7")).any(|(node, _)| *node == "a")
}

/// Whoever can make a capture can date it: none takes away what another one saw.
#[test]
fn what_any_capture_of_a_node_shows_stays_in_use_and_the_newest_is_judged() {
    let empty = |at: Option<i64>| NodeEvidence { routes4: Dump::Read(Vec::new()), ..routed("a", at) };
    for (shows, not) in [(Some(1), Some(9)), (Some(9), Some(1)), (Some(5), Some(5)), (None, Some(5)), (Some(5), None)] {
        for all in [vec![routed("a", shows), empty(not)], vec![empty(not), routed("a", shows)]] {
            let seen = NodesSeen::newest(all, false);
            assert_eq!((seen.nodes.len(), seen.nodes[0].taken_at()), (1, shows.max(not).map(Time)));
            // As with captures of files and then of pods.
            let again = NodesSeen::newest([seen.nodes.clone(), vec![empty(Some(99))]].concat(), false);
            assert!(is_vetoed(seen) && is_vetoed(again), "{shows:?} {not:?}");
        }
    }
}

#[test]
fn interfaces_that_were_not_read_are_not_absent() {
    let with = |links| is_vetoed(NodesSeen::newest(vec![NodeEvidence { links, ..routed("a", None) }], false));
    assert!(with(Dump::NotRead("torn".into())) && with(Dump::NotAsked));
    assert!(!with(Dump::Read(vec![link(8, "cali2", 1)])));
}

#[test]
fn a_host_route_is_a_use_by_whatever_interface_unless_another_machine_is_behind_it() {
    let uses = |prefixes: &[&str], kind: &str, gateway: Option<&str>| {
        let mut evidence = routed("a", None);
        evidence.prefixes = prefixes.iter().map(|prefix| (*prefix).into()).collect();
        evidence.links = Dump::Read(vec![HostLink { kind: kind.into(), ..link(7, "cali1", 1) }]);
        let hop = Hop { dev: "cali1".into(), gateway: gateway.map(addr) };
        evidence.routes4 = Dump::Read(vec![KernelRoute { hops: vec![hop], ..route("10.65.0.7/32", "cali1", 0, 1) }]);
        is_vetoed(NodesSeen::newest(vec![evidence], false))
    };
    assert!(uses(&["eni"], "veth", None) && uses(&[], "veth", None) && uses(&[""], "", None));
    assert!(uses(&["cali"], "veth", Some("10.0.0.1")));
    assert!(!uses(&["eni"], "veth", Some("10.0.0.1")), "another machine's");
    assert!(!uses(&["eni"], "wireguard", None), "another node's");
}

#[test]
fn routes_of_kinds_that_nobody_knows_count_and_those_that_drop_do_not() {
    let with = |kind: &str| {
        let mut evidence = routed("a", None);
        let route = KernelRoute { kind: Term::of(kind), ..route("10.65.0.7/32", "cali1", 0, 1) };
        evidence.routes4 = Dump::Read(vec![route]);
        is_vetoed(NodesSeen::newest(vec![evidence], false))
    };
    assert!(with("unicast") && with("local") && with("of tomorrow"));
    assert!(!with("blackhole") && !with("unreachable") && !with("prohibit") && !with("throw"));
}

/// A pod says whatever it likes: it runs on one node, and only of that it is a witness. What it saw forbids all the same.
#[test]
fn a_capture_that_the_pod_of_another_node_printed_is_nobodys_evidence() {
    let by = |on: &str, evidence: NodeEvidence| NodeEvidence { printed_on: on.into(), ..evidence };
    let empty = |at| NodeEvidence { routes4: Dump::Read(Vec::new()), ..routed("a", at) };
    let is_on = |node: &Foreign, on: &Foreign| node == on;
    // The lie is newer than the node's own.
    let mut seen = NodesSeen::newest(vec![by("a", routed("a", Some(1))), by("b", empty(Some(9)))], true);
    seen.believe(is_on);
    assert_eq!((seen.nodes.len(), seen.nodes[0].taken_at()), (1, Some(Time(1))));
    assert_eq!(
        seen.not_taken.iter().map(Foreign::raw).collect::<Vec<_>>(),
        [", a pod on node b, printed a capture of node a: not taken"]
    );
    assert!(seen.failed.is_none() && is_vetoed(seen));
    let mut seen = NodesSeen::newest(vec![by("b", routed("a", Some(9)))], true);
    seen.believe(is_on);
    assert!(seen.nodes.is_empty() && seen.failed.is_some() && is_vetoed(seen));
    // Of the pod and of a file the newer one.
    let mut seen = NodesSeen::newest(vec![by("a", empty(Some(9))), routed("a", Some(1))], true);
    seen.believe(is_on);
    assert_eq!((seen.nodes.len(), seen.nodes[0].taken_at(), seen.not_taken.len()), (1, Some(Time(9)), 0));
    assert!(is_vetoed(seen));
}

/// `ip route add A via A dev X onlink`, and one that shares its traffic between two interfaces.
#[test]
fn an_address_that_is_its_own_gateway_is_at_the_other_end_and_each_of_several_hops_counts() {
    let via = |dev: &str, gateway: &str| Hop { dev: dev.into(), gateway: Some(addr(gateway)) };
    let of = |hops: Vec<Hop>| KernelRoute { hops, ..route("10.65.0.7/32", "", 0, 1) };
    let used = |route: KernelRoute| {
        let links = ["eth0", "eth1", "cali1", "cali2"];
        let evidence = NodeEvidence {
            readings: 1,
            prefixes: vec![CALI.into()],
            links: Dump::Read(links.iter().zip(7..).map(|(name, at)| link(at, name, 0)).collect()),
            routes4: Dump::Read(vec![route]),
            ..NodeEvidence::default()
        };
        evidence.uses().into_iter().map(|(_, used)| used.interface.raw().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(used(of(vec![via("eth1", "10.65.0.7")])), ["eth1"]);
    assert_eq!(used(of(vec![via("eth1", "10.0.0.1")])), Vec::<String>::new(), "another machine is in between");
    let both = of(vec![via("cali1", "10.65.0.7"), via("eth0", "10.0.0.1"), Hop { dev: "cali2".into(), gateway: None }]);
    assert_eq!(both.direct_devs().map(Foreign::raw).collect::<Vec<_>>(), ["cali1", "cali2"]);
    assert_eq!(used(both), ["cali1", "cali2"]);
    let twice = of(vec![via("cali1", "10.65.0.7"), via("cali1", "10.65.0.7")]);
    assert_eq!(twice.direct_devs().count(), 1);
}

/// A wider route than one of the address alone leads to it as well; a network that the machine itself is in, a tunnel and a
/// default route say nothing of who is there.
#[test]
fn a_range_that_leads_to_a_pod_and_one_that_is_answered_for_are_in_use() {
    let uses = |change: &dyn Fn(&mut HostLink, &mut KernelRoute)| {
        let mut evidence = routed("a", None);
        let (mut link, mut route) = (link(7, "cali1", 1), route("10.65.0.0/29", "cali1", 0, 1));
        change(&mut link, &mut route);
        evidence.links = Dump::Read(vec![link]);
        evidence.routes4 = Dump::Read(vec![route]);
        is_vetoed(NodesSeen::newest(vec![evidence], false))
    };
    let by = |name: &'static str, nsid| {
        move |link: &mut HostLink, route: &mut KernelRoute| {
            (link.name, link.nsid, route.hops[0].dev) = (name.into(), nsid, name.into());
        }
    };
    let local =
        |route: &mut KernelRoute| (route.kind, route.table, route.hops) = (RouteKind::Local.into(), 255, vec![]);
    let of = |range: &str| Cidr::parse(range).unwrap().0;
    assert!(uses(&|_, _| {}) && uses(&by("eni1", Some(3))));
    assert!(!uses(&by("eth1", None)), "nobody knows who is in that network");
    assert!(!uses(&|link, route| {
        by("eth0", Some(0))(link, route);
        route.protocol = RouteProtocol::Kernel.into();
    }));
    assert!(!uses(&|_, route| route.dst = of("10.65.0.8/29")), "it is beside");
    assert!(!uses(&|_, route| route.dst = of("0.0.0.0/0")));
    assert!(uses(&|_, route| local(route)));
    assert!(uses(&|_, route| {
        local(route);
        route.dst = of("10.65.0.7/32");
    }));
    assert!(
        !uses(&|_, route| {
            local(route);
            route.dst = of("0.0.0.0/0");
        }),
        "a proxy answers for the whole world, and has nobody's address"
    );
    let mut inside = routed("a", None);
    inside.routes4 = Dump::Read(Vec::new());
    let mut answers = route("10.65.0.0/29", "lo", 0, 1);
    local(&mut answers);
    inside.inside.pods = Dump::Read(vec![PodInside { routes: Dump::Read(vec![answers]), ..PodInside::default() }]);
    assert!(is_vetoed(NodesSeen::newest(vec![inside], false)));
}
