use super::*;
use crate::model::node_evidence::{
    DevSysctls, Dump, GatewayVerdict, Hop, HostAddress, HostLink, InUse, InsideFailed, KernelNeighbour, KernelRoute,
    MAIN_TABLE, Means, PodInside, RouteKind, Sysctls, UsedBy,
};
use crate::model::{Addr, Cidr};

fn addr(text: &str) -> Addr {
    text.parse().unwrap()
}

fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).unwrap().0
}

fn route(dst: &str, proto: &str) -> KernelRoute {
    KernelRoute {
        dst: Cidr::parse(dst).unwrap().0,
        kind: RouteKind::Unicast.into(),
        hops: vec![Hop { dev: "cali1".into(), gateway: None }, Hop { dev: "".into(), gateway: Some(addr("10.0.0.1")) }],
        metric: 1024,
        protocol: Term::of(proto),
        table: MAIN_TABLE,
        narrow: false,
        seen: 3,
    }
}

/// Something of everything.
fn full() -> NodeEvidence {
    let neighbour = KernelNeighbour {
        address: addr("10.65.0.7"),
        dev: "cali1".into(),
        mac: Some(0xeeee_eeee_eeee),
        state: Term::of("of tomorrow"),
        seen: 2,
    };
    let pod = PodInside {
        nsid: Some(4),
        netns: "cni-1".into(),
        host_link: Some(9),
        uid: "u-1".into(),
        container: "c-1".into(),
        namespace: "shop".into(),
        pod: "web-0\u{1b}".into(),
        mac: Some(1),
        addresses: Dump::Read(vec![addr("10.65.0.7"), addr("fd00::7")]),
        also: vec![addr("10.65.0.6")],
        routes: Dump::Read(vec![route("0.0.0.0/0", "boot")]),
        neighbours: Dump::NotRead("EACCES".into()),
    };
    let link = HostLink {
        index: 9,
        name: "cali1".into(),
        kind: "veth".into(),
        mac: Some(2),
        up: true,
        carrier: true,
        nsid: Some(4),
        peer: Some(2),
        seen: 3,
    };
    let own = DevSysctls { proxy_arp: Some(1), ..DevSysctls::default() };
    NodeEvidence {
        node: "worker-1".into(),
        from: Foreign::default(),
        printed_on: Foreign::default(),
        boot_id: "boot".into(),
        kernel: "6.18".into(),
        tool: "0.1.0".into(),
        taken: vec![Time::parse_rfc3339("2026-11-29T12:00:00Z").unwrap()],
        readings: 2,
        prefixes: vec!["cali".into(), "tap".into()],
        routes_kept: crate::model::node_evidence::RoutesKept::All,
        links: Dump::Read(vec![link, HostLink { name: "lo".into(), seen: 1, ..HostLink::default() }]),
        addresses: Dump::Read(vec![HostAddress {
            dev: "eth0".into(),
            address: addr("172.20.0.1"),
            prefix: 24,
            seen: 3,
        }]),
        routes4: Dump::Read(vec![
            route("10.65.0.7/32", "80"),
            KernelRoute { table: 9, ..route("10.65.0.0/26", "zebra") },
        ]),
        routes6: Dump::NotRead("errno 13".into()),
        neighbours: Dump::Read(vec![neighbour]),
        sysctls: Dump::Read(Sysctls { ip_forward: Some(1), of: [("cali1".into(), own)].into() }),
        verdicts: Dump::Read(vec![GatewayVerdict {
            dev: "cali1".into(),
            from: addr("10.65.0.7"),
            to: addr("169.254.1.1"),
            errno: 22,
            seen: 1,
        }]),
        inside: Inside {
            means: Some(Term::Known(Means::Proc)),
            pods: Dump::Read(vec![pod]),
            failed: vec![InsideFailed { interface: "cali2".into(), why: "EACCES".into() }],
        },
        also: vec![
            (cidr("10.65.0.1/32"), InUse { interface: "cali3".into(), by: UsedBy::Route }),
            (cidr("10.65.0.2/32"), InUse { interface: "eth0".into(), by: UsedBy::Host }),
            (cidr("10.65.0.3/32"), InUse { interface: "".into(), by: UsedBy::Namespace("shop/web-1".into()) }),
            (cidr("10.65.1.0/29"), InUse { interface: "cali3".into(), by: UsedBy::Route }),
        ],
    }
}

#[test]
fn what_is_written_is_read_back_the_same() {
    let empty = NodeEvidence { node: "n".into(), readings: 1, prefixes: vec![CALI.into()], ..NodeEvidence::default() };
    for evidence in [full(), empty] {
        let bytes = write(&evidence).unwrap();
        assert_eq!(read(&bytes).unwrap(), std::slice::from_ref(&evidence));
        let twice = [bytes.clone(), bytes].concat();
        assert_eq!(read(&twice).unwrap(), [evidence.clone(), evidence], "documents one after the other");
    }
}

fn cause(text: &str) -> String {
    read(text.as_bytes()).unwrap_err().cause.raw().to_owned()
}

#[test]
fn what_is_no_capture_is_refused_with_its_reason() {
    assert_eq!(cause(""), "there is nothing in it");
    assert!(cause("{\"kind\":\"NodeEvidence\",").starts_with("EOF while parsing"));
    assert_eq!(cause("[]"), "it is no capture of a node: its kind is not NodeEvidence");
    assert_eq!(cause(r#"{"kind":"List","items":[]}"#), "it is no capture of a node: its kind is not NodeEvidence");
    let newer = r#"{"kind":"NodeEvidence","version":2,"node":"n"}"#;
    assert_eq!(cause(newer), "it is of version 2, this ipaudit reads up to 1");
    assert_eq!(cause(r#"{"kind":"NodeEvidence","version":1,"node":" "}"#), "it names no node");
    assert_eq!(cause(r#"{"kind":"NodeEvidence","version":1,"node":"n","times":["noon"]}"#), "one of its times is none");
}

/// Nobody may argue from what a list lacks that was not understood whole; what the others show in use is in use.
#[test]
fn an_entry_that_is_not_understood_leaves_its_list_read_in_part() {
    let with = |part: &str| {
        let text = format!(r#"{{"kind":"NodeEvidence","version":1,"node":"N",{part}}}"#);
        read(text.as_bytes()).unwrap().remove(0)
    };
    let bad = with(r#""routes4":{"read":[{"dst":"10.0.0.0/8","proto":"boot"},{"dst":"banana","proto":"boot"}]}"#);
    let why = |dump: &Dump<Vec<KernelRoute>>| dump.failure().map(|why| why.raw().to_owned()).unwrap();
    assert_eq!(why(&bad.routes4), "1 of 2 entries is not understood: entry 2: \"banana\" is no range");
    assert_eq!((bad.routes4.had().map(Vec::len), bad.routes4.read()), (Some(1), None));
    assert_eq!((bad.node.raw(), bad.routes6), ("n", Dump::NotAsked));
    let other = with(r#""routes6":{"read":[{"dst":"10.0.0.0/8","proto":"boot"}]}"#);
    assert!(why(&other.routes6).ends_with("entry 1: 10.0.0.0/8 is of the other family"));
    assert_eq!(other.routes6.had(), None, "nothing of it was had");
    let shapes = [r#"7"#, r#"{"proto":"boot"}"#, r#"{"dst":["10.0.0.9"],"proto":"boot"}"#, "null"];
    for shape in shapes {
        let bad = with(&format!(
            r#""routes4":{{"read":[{shape},{{"dst":"10.65.0.7/32","hops":[{{"dev":"cali1"}}],"proto":"80"}}]}}"#
        ));
        assert!(why(&bad.routes4).starts_with("1 of 2 entries is not understood: entry 1: "), "{shape}");
        let mut seen = crate::model::NodesSeen::newest(vec![bad.clone()], false);
        seen.index();
        assert_eq!(seen.uses(addr("10.65.0.7")).count(), 1, "{shape}");
        assert_eq!(read(&write(&bad).unwrap()).unwrap(), [bad], "written and read back it is a part still");
    }
    let unread = with(r#""links":{"notRead":"errno 13"}"#);
    assert_eq!(unread.links, Dump::NotRead("errno 13".into()));
    assert_eq!(unread.unread().collect::<Vec<_>>(), ["links not read: errno 13"]);
}

/// A kernel without an interface, a capture without a list and a word that nobody knows show nothing.
#[test]
fn what_says_nothing_is_not_read_and_never_empty() {
    let with = |part: &str| {
        read(format!(r#"{{"kind":"NodeEvidence","version":1,"node":"n"{part}}}"#).as_bytes()).unwrap().remove(0)
    };
    let unread = |part: &str| with(part).unread().map(|why| why.raw().to_owned()).collect::<Vec<_>>();
    assert_eq!(unread(""), ["not one list is in it: nothing was read"]);
    assert_eq!(unread(r#","links":{},"routes4":{}"#), unread(""));
    assert_eq!(unread(r#","links":{"read":[]}"#), ["links not read: not one interface, and every kernel has lo"]);
    let strange = "\"raed\" is no word of this version's";
    assert_eq!(unread(r#","routes4":{"raed":[]}"#), [format!("IPv4 routes not read: {strange}")]);
    assert_eq!(unread(r#","sysctls":{"raed":[]}"#), [format!("sysctls not read: {strange}")]);
    let beside = with(r#","routes4":{"read":[{"dst":"10.65.0.7/32","hops":[{"dev":"cali1"}],"proto":"80"}],"raed":1}"#);
    assert_eq!((beside.routes4.read(), beside.routes4.had().map(Vec::len)), (None, Some(1)));
    assert!(unread(r#","routes4":{"read":[]}"#).is_empty());
}

/// Whatever is cut off or changed is an error or evidence.
#[test]
fn damaged_documents_never_panic() {
    let bytes = write(&full()).unwrap();
    for end in 0..bytes.len() {
        let _ = read(&bytes[..end]);
        let mut changed = bytes.clone();
        changed[end] = changed[end].wrapping_add(1);
        let _ = read(&changed);
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_evidence_or_an_error(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        drop(read(&bytes));
    }

    /// Values of every kind at every place of a document.
    #[test]
    fn any_values_are_evidence_or_an_error(
        values in proptest::collection::vec(
            proptest::sample::select(vec![
                "null", "-1", "3e400", "\"\"", "\"banana\"", "[]", "{}", "[null]", "4294967296", "\"10.65.0.7/33\"", "\"::/0\"",
                "{\"read\":[{}]}", "{\"read\":null,\"notRead\":\"x\"}", "{\"read\":{}}",
            ]),
            1..4,
        ),
        at in proptest::collection::vec(proptest::prelude::any::<proptest::sample::Index>(), 4),
    ) {
        let mut text = String::from_utf8(write(&full()).unwrap()).unwrap();
        for (value, at) in values.iter().zip(at) {
            // Behind one of the colons stands a value; it goes up to the next comma.
            let colons: Vec<usize> = text.match_indices(':').map(|(index, _)| index + 1).collect();
            let from = *at.get(&colons);
            let to = text[from..].find([',', '}', ']']).map_or(text.len(), |length| from + length);
            text.replace_range(from..to, value);
        }
        drop(read(text.as_bytes()));
    }
}

#[test]
fn macs_are_six_bytes() {
    assert_eq!(entries::mac("ee:ee:ee:ee:ee:ee"), Some(0xeeee_eeee_eeee));
    for text in ["", "ee", "ee:ee:ee:ee:ee", "ee:ee:ee:ee:ee:ee:ee", "ee:ee:ee:ee:ee:eee", "xx:ee:ee:ee:ee:ee"] {
        assert_eq!(entries::mac(text), None, "{text}");
    }
}

/// Three bytes of a document are hundreds in memory.
#[test]
fn what_is_longer_than_it_can_be_on_purpose_is_not_kept() {
    let with = |part: &str| {
        read(format!(r#"{{"kind":"NodeEvidence","version":1,"node":"n","later":[[[]]],{part}}}"#).as_bytes())
    };
    let pods = |many: usize| {
        let list = vec!["{}"; many].join(",");
        with(&format!(r#""inside":{{"pods":{{"read":[{list}]}}}}"#)).unwrap().remove(0).inside.pods
    };
    assert_eq!(pods(10_000).read().map(Vec::len), Some(10_000));
    let more = pods(10_001);
    assert_eq!(
        (more.had().map(Vec::len), more.failure().unwrap().raw()),
        (Some(10_000), "it has more than 10000 entries")
    );
    let texts = vec!["\"\""; 4_097].join(",");
    let refused = |part: &str| with(part).unwrap_err().cause.raw().to_owned();
    assert!(refused(&format!(r#""prefixes":[{texts}]"#)).starts_with("a list has more than 4096 entries"));
    let devices: Vec<String> = (0..=100_000).map(|at| format!("\"{at}\":{{}}")).collect();
    let settings = format!(r#""sysctls":{{"read":{{"of":{{{}}}}}}}"#, devices.join(","));
    assert!(refused(&settings).starts_with("there are settings of more than 100000 interfaces"));
    let why = "é".repeat(5_000);
    let unread = with(&format!(r#""links":{{"notRead":"{why}"}},"kernel":"{why}""#)).unwrap().remove(0);
    assert_eq!(unread.links.failure().map(|why| why.raw().chars().count()), Some(1_000));
    assert_eq!(unread.kernel.raw().chars().count(), 1_000);
    let named = format!(r#"{{"kind":"NodeEvidence","version":1,"node":"{}"}}"#, "n".repeat(254));
    assert_eq!(cause(&named), "its node's name has 254 bytes, more than 253");
    assert_eq!(
        cause(r#"["NodeEvidence"]"#),
        "it is no capture of a node: its kind is not NodeEvidence",
        "a list of an object's values is no object"
    );
}
