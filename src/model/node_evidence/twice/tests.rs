use super::*;
use crate::model::node_evidence::{Hop, MAIN_TABLE, RouteKind, RouteOrder, RouteProtocol, RouteTable, Way};
use crate::model::{Cidr, Time};

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn route(dst: &str, dev: &str) -> KernelRoute {
    KernelRoute {
        dst: Cidr::parse(dst).unwrap().0,
        kind: RouteKind::Unicast.into(),
        hops: vec![Hop { dev: dev.into(), gateway: None }],
        metric: 0,
        protocol: RouteProtocol::Boot.into(),
        table: MAIN_TABLE,
        narrow: false,
        seen: 1,
    }
}

fn reading(change: impl FnOnce(&mut NodeEvidence)) -> NodeEvidence {
    let mut evidence = NodeEvidence { readings: 1, taken: vec![Time(0)], ..NodeEvidence::default() };
    change(&mut evidence);
    evidence
}

fn twice(first: impl FnOnce(&mut NodeEvidence), second: impl FnOnce(&mut NodeEvidence)) -> NodeEvidence {
    NodeEvidence::twice(reading(first), reading(second))
}

#[test]
fn routes_keep_the_order_of_both_readings() {
    let first = vec![route("10.65.0.7/32", "cali1"), route("10.65.0.7/32", "cali2"), route("10.65.0.9/32", "cali9")];
    let second = vec![route("10.65.0.8/32", "cali8"), route("10.65.0.7/32", "cali2")];
    let both = twice(|e| e.routes4 = Dump::Read(first), |e| e.routes4 = Dump::Read(second));
    assert_eq!((both.readings, both.taken.len()), (2, 2));
    let told: Vec<_> = both.routes4.each().map(|r| (r.dev().unwrap().raw(), r.seen)).collect();
    assert_eq!(told, [("cali8", 2), ("cali1", 1), ("cali2", 3), ("cali9", 1)]);
    let routes = both.routes4.read().unwrap();
    let order = RouteOrder::of(routes);
    let table = RouteTable::of(routes, &order, both.readings);
    assert_eq!(table.way(addr("10.65.0.7")), Way::Unsettled, "cali1 was in force before cali2");
}

#[test]
fn one_reading_that_failed_makes_it_unread() {
    let refused = || Dump::NotRead("errno 13".into());
    let both = twice(|e| e.routes4 = refused(), |e| e.routes4 = Dump::Read(Vec::new()));
    assert_eq!(both.routes4, refused());
    let both = twice(|e| e.links = Dump::Read(Vec::new()), |e| e.links = Dump::NotRead("errno 13".into()));
    assert_eq!(both.links.failure(), Some(&"errno 13".into()));
}

#[test]
fn a_link_that_worked_at_either_time_is_not_dead_and_another_one_of_its_name_is_another() {
    let link =
        |index, carrier| HostLink { index, name: "cali1".into(), up: true, carrier, seen: 1, ..HostLink::default() };
    let both = |a, b| twice(|e| e.links = Dump::Read(vec![a]), |e| e.links = Dump::Read(vec![b]));
    let same = both(link(7, true), link(7, false));
    assert!(same.link(&"cali1".into()).unwrap().works());
    assert!(!both(link(7, false), link(7, false)).link(&"cali1".into()).unwrap().works());
    let other = both(link(7, true), link(8, true));
    assert_eq!((other.link(&"cali1".into()), other.has_link(&"cali1".into())), (None, true));
}

#[test]
fn settings_and_verdicts_that_changed_are_not_known() {
    let sysctls = |proxy_arp| Sysctls {
        ip_forward: Some(1),
        of: [("cali1".into(), DevSysctls { proxy_arp: Some(proxy_arp), rp_filter: Some(1), ..DevSysctls::default() })]
            .into(),
    };
    let verdict = |errno| GatewayVerdict {
        dev: "cali1".into(),
        from: addr("10.65.0.7"),
        to: addr("169.254.1.1"),
        errno,
        seen: 1,
    };
    let fill = |value: i64, errno: i32| {
        move |e: &mut NodeEvidence| {
            (e.sysctls, e.verdicts) = (Dump::Read(sysctls(value)), Dump::Read(vec![verdict(errno)]));
        }
    };
    let both = twice(fill(0, 22), fill(1, 0));
    let own = both.sysctls.read().unwrap().dev(&"cali1".into());
    assert_eq!((own.proxy_arp, own.rp_filter), (None, Some(1)));
    assert!(both.verdicts.each().all(|v| !both.lasts(v.seen)));
    let both = twice(fill(0, 22), fill(0, 22));
    assert_eq!(both.sysctls.read().unwrap().proxy_arp(&"cali1".into()), None, "`all` was not read");
    assert_eq!(both.verdicts.each().map(|v| v.seen).collect::<Vec<_>>(), [3]);
}

fn pod(nsid: i32, mac: u64, addresses: &[&str]) -> PodInside {
    let addresses = Dump::Read(addresses.iter().map(|a| addr(a)).collect());
    PodInside { nsid: Some(nsid), mac: Some(mac), addresses, ..PodInside::default() }
}

fn unanswered(state: NeighbourState) -> KernelNeighbour {
    KernelNeighbour { address: addr("169.254.1.1"), dev: "eth0".into(), mac: None, state: state.into(), seen: 1 }
}

/// What any reading saw protects; what accuses was so both times, in the same pod.
#[test]
fn of_pods_what_was_so_both_times_counts_and_everything_is_in_use() {
    let mut first = vec![pod(1, 1, &["10.65.0.7", "10.65.0.1"]), pod(2, 2, &["10.65.0.2"]), pod(3, 3, &["10.65.0.3"])];
    let mut second = vec![pod(1, 1, &["10.65.0.8", "10.65.0.1"]), pod(2, 9, &["10.65.0.9"])];
    first[0].neighbours = Dump::Read(vec![unanswered(NeighbourState::Failed)]);
    second[0].neighbours = Dump::Read(vec![unanswered(NeighbourState::Incomplete)]);
    let both = twice(|e| e.inside.pods = Dump::Read(first), |e| e.inside.pods = Dump::Read(second));
    let pods = both.inside.pods.read().unwrap();
    assert_eq!(pods[0].addresses, Dump::Read(vec![addr("10.65.0.1")]));
    assert_eq!(pods[0].also, [addr("10.65.0.7"), addr("10.65.0.8")]);
    assert_eq!(pods[0].neighbours.read().unwrap().len(), 1, "asked for again and again");
    let once: Vec<_> = pods[1..].iter().map(|pod| (pod.addresses.clone(), pod.also.clone())).collect();
    let only = |text: &str| (Dump::NotAsked, vec![addr(text)]);
    assert_eq!(once, [only("10.65.0.9"), only("10.65.0.2"), only("10.65.0.3")], "another pod with its number");
    let mut used: Vec<Addr> = both.uses().into_iter().map(|(range, _)| range.first()).collect();
    used.sort();
    let all = ["10.65.0.1", "10.65.0.2", "10.65.0.3", "10.65.0.7", "10.65.0.8", "10.65.0.9"];
    assert_eq!(used, all.map(addr));
}

/// A list that was torn the second time says nothing of what the first one saw.
#[test]
fn what_one_reading_saw_is_in_use_where_the_other_was_torn() {
    fn torn<T>() -> Dump<T> {
        Dump::NotRead("it was changed while it was read".into())
    }
    let link = HostLink { index: 7, name: "cali1".into(), seen: 1, ..HostLink::default() };
    let fill = |e: &mut NodeEvidence| {
        e.links = Dump::Read(vec![link.clone()]);
        e.addresses =
            Dump::Read(vec![HostAddress { dev: "lo".into(), address: addr("10.65.0.8"), prefix: 32, seen: 1 }]);
        e.routes4 = Dump::Read(vec![route("10.65.0.7/32", "cali1")]);
        e.inside.pods = Dump::Read(vec![pod(1, 1, &["10.65.0.9"])]);
    };
    let tear = |e: &mut NodeEvidence| {
        (e.links, e.addresses, e.routes4, e.inside.pods) = (torn(), torn(), torn(), torn());
    };
    let uses = |both: &NodeEvidence| {
        let mut used: Vec<Addr> = both.uses().into_iter().map(|(range, _)| range.first()).collect();
        used.sort();
        used
    };
    let all = ["10.65.0.7", "10.65.0.8", "10.65.0.9"].map(addr);
    for both in [twice(fill, tear), twice(tear, fill)] {
        assert_eq!((uses(&both), both.routes4.failure().is_some(), both.also.len()), (all.to_vec(), true, 3));
    }
    let both = twice(fill, fill);
    assert_eq!((uses(&both), both.also), (all.to_vec(), vec![]), "nothing is said twice");
    // Of one pod the addresses alone.
    let half = twice(fill, |e| {
        fill(e);
        e.inside.pods = Dump::Read(vec![PodInside { addresses: torn(), ..pod(1, 1, &[]) }]);
    });
    assert_eq!(uses(&half), all);
}
