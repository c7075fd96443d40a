//! Ten times as much in a node's evidence takes ten times as long, not a hundred times: whoever captures a node chooses what is
//! in it.

use ipaudit::model::node_evidence::{
    Dump, GatewayVerdict, Hop, HostLink, KernelNeighbour, KernelRoute, MAIN_TABLE, NeighbourState, RouteKind,
    RouteProtocol,
};
use ipaudit::model::{Addr, Cidr, NodeEvidence};
use ipaudit::source::node_captures;

use super::{NodeCase, judged};

/// So many routes, of blocks and of single addresses, and a tenth as many interfaces with a verdict and a neighbour each.
fn grown(case: &NodeCase, routes: u32) -> NodeEvidence {
    let mut evidence = case.evidence();
    let address = |n: u32| Addr::from_v4_bits(0x0b00_0000 + n);
    let dev = |n: u32| format!("calif{:07x}", n % (routes / 10));
    let route = |dst: Cidr, hop: Hop| KernelRoute {
        dst,
        kind: RouteKind::Unicast.into(),
        hops: vec![hop],
        metric: 1024,
        protocol: RouteProtocol::Boot.into(),
        table: MAIN_TABLE,
        narrow: false,
        seen: 1,
    };
    let gateway = Some(Addr::from_v4_bits(0xac14_000c));
    if let Dump::Read(all) = &mut evidence.routes4 {
        let block = |n: u32| Cidr::new(Addr::from_v4_bits(0x0c00_0000 + (n << 6)), 26).unwrap();
        all.extend((0..routes / 2).map(|n| route(block(n), Hop { dev: "eth0".into(), gateway })));
        let to_pod =
            |n: u32| route(Cidr::of_one(address(n)).unwrap(), Hop { dev: dev(n).as_str().into(), gateway: None });
        all.extend((0..routes / 2).map(to_pod));
    }
    let each = 0..routes / 10;
    if let (Dump::Read(links), Dump::Read(verdicts), Dump::Read(neighbours)) =
        (&mut evidence.links, &mut evidence.verdicts, &mut evidence.neighbours)
    {
        for n in each {
            let (name, index) = (dev(n), 1_000_000 + n);
            let link =
                HostLink { index, name: name.as_str().into(), up: true, carrier: true, seen: 1, ..HostLink::default() };
            links.push(link);
            let to = Addr::from_v4_bits(0xa9fe_0101);
            verdicts.push(GatewayVerdict { dev: name.as_str().into(), from: address(n), to, errno: 0, seen: 1 });
            let state = NeighbourState::Permanent.into();
            neighbours.push(KernelNeighbour { address: address(n), dev: name.into(), mac: Some(1), state, seen: 1 });
        }
    }
    evidence
}

/// Nanoseconds of this thread on a processor: what others do there meanwhile does not count.
fn busy() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

/// How long a step takes with so much and with ten times as much, as a ratio: the best of three, for memory has its moods.
fn ratio(case: &NodeCase, routes: u32, step: impl Fn(&NodeCase, NodeEvidence)) -> f64 {
    let cost = |routes| {
        let evidence = grown(case, routes);
        let before = busy();
        step(case, evidence);
        busy() - before
    };
    (0..3).map(|_| cost(routes * 10) as f64 / cost(routes) as f64).fold(f64::MAX, f64::min)
}

/// What is done with a node's evidence.
type Step<'s> = dyn Fn(&NodeCase, NodeEvidence) + 's;

#[test]
fn ten_times_the_routes_take_ten_times_as_long() {
    let case = NodeCase::of("clean");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.json");
    let steps: [(&str, &Step<'_>); 4] = [
        ("judged with etcd", &|case, evidence| drop(judged(&case.snapshot(evidence)))),
        ("judged alone", &|case, evidence| drop(judged(&case.alone(evidence)))),
        ("two readings", &|_, evidence| drop(NodeEvidence::twice(evidence.clone(), evidence))),
        ("captured and read", &|_, evidence| {
            node_captures::write(&path, &evidence).unwrap();
            drop(node_captures::read(std::slice::from_ref(&path)).unwrap());
        }),
    ];
    for (name, step) in steps {
        let ratio = ratio(&case, 1_000, step);
        assert!(ratio < 16.0, "{name}: {ratio:.1} times as long");
    }
}
