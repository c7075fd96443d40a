use super::*;
use crate::model::node_evidence::{MAIN_TABLE, NeighbourState};

fn files(change: impl FnOnce(&mut IpFiles)) -> Result<NodeEvidence, BadPaste> {
    let mut files = IpFiles::default();
    change(&mut files);
    evidence("Worker-1", &["cali".to_owned()], &files)
}

fn routes4(text: &str) -> Result<Dump<Vec<KernelRoute>>, BadPaste> {
    files(|f| f.route = Some(text.into())).map(|evidence| evidence.routes4)
}

#[test]
fn routes_with_and_without_details() {
    let text = r#"[{"dst":"default","gateway":"172.20.0.1","dev":"eth0","flags":[]},
        {"type":"blackhole","dst":"10.65.0.0/26","protocol":12,"flags":[]},
        {"type":"unicast","dst":"10.65.0.7","dev":"cali1","protocol":"80","scope":"link","metric":1024},
        {"dst":"10.66.0.0/26","protocol":"zebra","table":"77","nexthops":[{"gateway":"172.20.0.2","dev":"eth0"},{"gateway":"172.20.0.3","dev":"eth1"}]},
        {"dst":"10.67.0.0/26","via":{"family":"inet6","host":"fe80::1"},"dev":"eth0"}]"#;
    let Dump::Read(routes) = routes4(text).unwrap() else { panic!() };
    let told: Vec<String> = routes
        .iter()
        .map(|r| format!("{} {} {} {} {} {}", r.dst, r.kind.raw(), r.protocol.raw(), r.metric, r.table, r.hops.len()))
        .collect();
    let main = MAIN_TABLE;
    let expected = [
        format!("0.0.0.0/0 unicast boot 0 {main} 1"),
        format!("10.65.0.0/26 blackhole bird 0 {main} 0"),
        format!("10.65.0.7/32 unicast 80 1024 {main} 1"),
        "10.66.0.0/26 unicast zebra 0 77 2".to_owned(),
        format!("10.67.0.0/26 unicast boot 0 {main} 1"),
    ];
    assert_eq!(told, expected);
    assert_eq!(routes[4].hops[0].gateway.unwrap().to_string(), "fe80::1");
}

#[test]
fn an_ipv6_blackhole_says_lo_and_leads_nowhere() {
    let text = r#"[{"type":"blackhole","dst":"fd00::/122","dev":"lo","protocol":"bird","metric":1024}]"#;
    let evidence = files(|f| f.route6 = Some(text.into())).unwrap();
    let route = evidence.routes6.each().next().unwrap();
    assert!(route.is_blackhole() && route.hops.is_empty());
}

/// An empty dump and one that failed look alike: `ip` prints `[]` for what is really empty.
#[test]
fn what_is_empty_is_not_read() {
    for (text, why) in [("", "the file is empty"), (" \n", "the file is empty"), ("[\n", "the file holds a lone \"[\"")]
    {
        let Dump::NotRead(said) = routes4(text).unwrap() else { panic!("{text:?}") };
        assert!(said.raw().starts_with(why), "{said:?}");
    }
    assert_eq!(routes4("[]").unwrap(), Dump::Read(Vec::new()));
    // Every kernel has lo, and one that answers a pod has a route.
    let none = files(|f| f.addr = Some("[]".into())).unwrap();
    assert!(matches!((&none.addresses, &none.links), (Dump::NotRead(_), Dump::NotRead(_))), "{none:?}");
    let pod = PodFiles { addr: Some("[]".into()), ..PodFiles::default() };
    let inside = files(|f| f.inside = vec![("shop.web-0".to_owned(), pod)]).unwrap().inside;
    assert!(matches!(inside.pods.read().unwrap()[0].addresses, Dump::NotRead(_)));
    let answered = |errno: i32| {
        let verdict = format!(r#"[{{"if":"cali1","from":"10.65.0.7","to":"169.254.1.1","errno":{errno}}}]"#);
        let both = |f: &mut IpFiles| (f.route, f.verdicts) = (Some("[]".into()), Some(verdict.into()));
        files(both).unwrap().routes4
    };
    assert!(matches!(answered(0), Dump::NotRead(why) if why.raw().contains("the kernel has one for 10.65.0.7")));
    assert_eq!(answered(22), Dump::Read(Vec::new()));
    let Dump::NotRead(why) = files(|f| f.sysctl = Some(Vec::new())).unwrap().sysctls else { panic!() };
    assert!(why.raw().contains("sysctl failed") && !why.raw().contains("ip failed"), "{why:?}");
    assert_eq!(files(|_| {}).unwrap().routes4, Dump::NotAsked);
    assert!(matches!(files(|f| f.sysctl = Some(Vec::new())).unwrap().sysctls, Dump::NotRead(_)));
}

#[test]
fn what_ip_does_not_print_is_refused_with_the_file_and_the_entry() {
    let cause = |text: &str| {
        let bad = routes4(text).unwrap_err();
        assert_eq!(bad.file, "route.json");
        bad.cause.raw().to_owned()
    };
    assert!(cause("default via 172.20.0.1 dev eth0").starts_with("expected value at line 1"));
    assert!(cause(r#"[{"dst":"10.0.0.1""#).starts_with("EOF while parsing"));
    assert_eq!(cause(r#"[{"dst":"banana","dev":"x"}]"#), "entry 1: dst \"banana\" is no range");
    let no_dev = "entry 1: the route of 10.65.0.7 names no device: ip route show dev … leaves it out";
    assert_eq!(cause(r#"[{"dst":"10.65.0.7","scope":"link"}]"#), no_dev);
    assert_eq!(cause(r#"[{"dst":"fd00::/64","dev":"x"}]"#), "entry 1: dst \"fd00::/64\" is of the other family");
    let neigh = files(|f| f.neigh = Some(r#"[{"dst":"10.65.0.7","state":["STALE"]}]"#.into())).unwrap_err();
    assert_eq!(neigh.cause, "entry 1: it names no device: ip neigh show dev … leaves it out");
    let sysctl = files(|f| f.sysctl = Some("hello\n".into())).unwrap_err();
    assert_eq!((sysctl.file.as_str(), sysctl.cause.raw()), ("sysctl.txt", "no line is a setting below net"));
}

/// A shell or an editor that wrote it otherwise is named, and how it is mended; verdicts are nothing that `ip` prints.
#[test]
fn another_encoding_is_called_that() {
    let utf16: Vec<u8> = "\u{feff}[]".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, cause) in [(utf16, "it is UTF-16"), (b"\xef\xbb\xbf[]".to_vec(), "it begins with a byte order mark")] {
        let of_ip = files(|f| f.route = Some(bytes.clone())).unwrap_err();
        let of_sysctl = files(|f| f.sysctl = Some(bytes)).unwrap_err();
        for bad in [of_ip, of_sysctl] {
            assert!(bad.cause.raw().starts_with(cause) && bad.hint.contains("iconv"), "{bad:?}");
        }
    }
    for text in ["hello", r#"[{"if":7}]"#] {
        let bad = files(|f| f.verdicts = Some(text.into())).unwrap_err();
        assert!(bad.hint.contains("errno 0 where"), "{bad:?}");
    }
}

/// A route of which nobody knows what it does is not understood, and costs no other.
#[test]
fn an_unknown_type_of_route_is_told() {
    let good = r#"{"dst":"10.65.0.7","dev":"cali1"}"#;
    let of = |kind: &str| routes4(&format!(r#"[{good},{{"type":"{kind}","dst":"10.65.0.8","dev":"cali2"}}]"#)).unwrap();
    let wonder = of("wonder");
    assert!(wonder.failure().unwrap().raw().contains("of the unknown type \"wonder\""), "{wonder:?}");
    assert_eq!(wonder.had().map(Vec::len), Some(1));
    assert!(of("broadcast").read().is_some() && of("throw").read().is_some());
}

/// One that is not understood costs no other: what these show in use is in use, and nobody argues from what is missing.
#[test]
fn a_bad_entry_among_good_ones_leaves_its_file_read_in_part() {
    let good = r#"{"dst":"10.65.0.7","dev":"cali1"}"#;
    for bad in [r#"{"dst":"banana","dev":"x"}"#, r#"{"dst":7}"#, r#""10.65.0.9""#, r#"{"dst":"10.65.0.9"}"#] {
        let evidence = files(|f| f.route = Some(format!("[{good},{bad}]").into())).unwrap();
        let why = evidence.routes4.failure().unwrap().raw().to_owned();
        assert!(why.starts_with("1 of 2 entries is not understood: entry 2: "), "{why}");
        assert_eq!((evidence.routes4.had().map(Vec::len), evidence.routes4.read()), (Some(1), None));
        assert_eq!(evidence.uses().len(), 1);
    }
    let addr = r#"[{"ifindex":7,"ifname":"eth0","addr_info":[{"local":"10.0.0.1"},{"local":"10.0.0.banana"}]}]"#;
    let evidence = files(|f| f.addr = Some(addr.into())).unwrap();
    assert_eq!(evidence.addresses.failure().unwrap(), "\"10.0.0.banana\" is no address");
    assert_eq!(evidence.uses().len(), 1);
}

#[test]
fn sysctls_come_with_slashes_or_as_sysctl_prints_them() {
    let slashes = "net/ipv4/conf/all/proxy_arp=0\nnet/ipv4/conf/eth0.7/proxy_arp=1\nnet/ipv4/ip_forward=1\nnet/ipv4/neigh/eth0.7/proxy_delay=80\nnet/ipv6/conf/eth0.7/forwarding=1\n";
    let dots = "kernel.x = 5\nnet.ipv4.conf.all.proxy_arp = 0\nnet.ipv4.conf.eth0/7.proxy_arp = 1\nnet.ipv4.ip_forward = 1\nnet.ipv4.neigh.eth0/7.proxy_delay = 80\nnet.ipv6.conf.eth0/7.forwarding = 1\n";
    let read = |text: &str| files(|f| f.sysctl = Some(text.into())).unwrap().sysctls;
    assert_eq!(read(slashes), read(dots));
    let Dump::Read(sysctls) = read(dots) else { panic!() };
    let own = sysctls.dev(&"eth0.7".into());
    assert_eq!(
        (own.proxy_arp, own.proxy_delay, own.forwarding6, sysctls.ip_forward),
        (Some(1), Some(80), Some(1), Some(1))
    );
    let odd = read("net/ipv4/ip_forward=1\nnet/ipv4/conf/all/proxy_arp=on\n");
    assert_eq!(odd.read().unwrap().all().proxy_arp, None, "no number is not known");
}

#[test]
fn a_pod_is_found_by_the_other_end_of_its_interface() {
    let addr = r#"[{"ifindex":1,"ifname":"lo","flags":["UP"],"addr_info":[{"local":"127.0.0.1","prefixlen":8,"scope":"host"}]},
        {"ifindex":2,"link_index":9,"ifname":"eth0","flags":["UP","LOWER_UP"],"address":"6e:00:f5:3e:f6:38","link_netnsid":0,
         "addr_info":[{"local":"10.65.0.7","prefixlen":32,"scope":"link"},{"local":"fe80::1","prefixlen":64,"scope":"link"}]}]"#;
    let neigh = r#"[{"dst":"169.254.1.1","dev":"eth0","state":["FAILED"]}]"#;
    let pod = PodFiles { addr: Some(addr.into()), route: None, neigh: Some(neigh.into()) };
    let evidence = files(|f| f.inside = vec![("shop.web-0.old".to_owned(), pod)]).unwrap();
    let [pod] = evidence.inside.pods.read().unwrap().as_slice() else { panic!() };
    assert_eq!((pod.namespace.raw(), pod.pod.raw(), pod.host_link), ("shop", "web-0.old", Some(9)));
    assert_eq!(pod.addresses, Dump::Read(vec!["10.65.0.7".parse().unwrap()]));
    assert_eq!((pod.mac, &pod.routes), (Some(0x6e00_f53e_f638), &Dump::NotAsked));
    assert_eq!(pod.neighbours.each().next().unwrap().state, Term::Known(NeighbourState::Failed));
    assert_eq!(evidence.node, "worker-1");
}

#[test]
fn links_come_from_addresses_where_nobody_pasted_them() {
    let addr = r#"[{"ifindex":7,"ifname":"cali1","flags":["UP"],"addr_info":[]}]"#;
    let evidence = files(|f| f.addr = Some(addr.into())).unwrap();
    let link = evidence.links.each().next().unwrap();
    assert_eq!((link.index, link.name.raw(), link.up, link.carrier), (7, "cali1", true, false));
    assert_eq!(evidence.routes4, Dump::NotAsked);
}

/// `ip -j link` on a machine that has none prints the loopback.
#[test]
fn a_kernel_without_an_interface_was_not_read() {
    let evidence = files(|f| f.link = Some("[]".into())).unwrap();
    assert_eq!(evidence.links, Dump::NotRead("not one interface, and every kernel has lo".into()));
}
