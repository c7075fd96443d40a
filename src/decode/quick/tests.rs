use std::fmt::Debug;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::json;
use super::*;

/// Whether the short way answers; then as the parser does.
fn agrees<T: Debug>(value: &[u8], quick: Option<T>, parser: Result<T, json::Bad>) -> bool {
    let shown = String::from_utf8_lossy(value);
    let Some(quick) = quick else { return false };
    assert_eq!(format!("{quick:?}"), format!("{:?}", parser.expect(&shown)), "{shown}");
    true
}

fn resource(value: &[u8]) -> Result<(Metadata<'_>, RawSpec<'_>), json::Bad> {
    json::resource(value).map(|(metadata, spec)| (metadata.unwrap_or_default(), spec))
}

/// The same of every kind; true where one of them answers.
fn all_agree(value: &[u8]) -> bool {
    let block = agrees(value, block(value), json::parse(value));
    let handle = agrees(value, handle(value), json::parse(value));
    agrees(value, endpoint(value), resource(value)) || block || handle
}

/// `head`, then those of the fields that are there, then `tail`.
fn joined(head: &str, fields: Vec<Option<String>>, tail: &str) -> String {
    format!("{head}{}{tail}", fields.into_iter().flatten().collect::<String>())
}

fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof![4 => "[a-z0-9.:/-]{0,14}", 1 => "[a-zäß€𝄞 {}\\[\\],:<\u{7f}]{0,6}"]
}

/// `,"name":"…"`, or not there.
fn field(name: &'static str) -> impl Strategy<Value = Option<String>> {
    option::weighted(0.8, text().prop_map(move |text| format!(r#","{name}":"{text}""#)))
}

fn texts(names: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> + Clone {
    vec((names, text()), 0..4).prop_map(|pairs| {
        pairs.iter().map(|(name, text)| format!(r#""{name}":"{text}""#)).collect::<Vec<_>>().join(",")
    })
}

fn text_list(name: &'static str) -> impl Strategy<Value = Option<String>> {
    let list = vec(text(), 0..3).prop_map(|texts| texts.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>().join(","));
    // Rust's quotes would escape what JSON does not.
    let list = list.prop_filter("no escapes", |list| !list.contains('\\'));
    option::of(list.prop_map(move |list| format!(r#","{name}":[{list}]"#)))
}

fn an_endpoint() -> impl Strategy<Value = String> {
    let port = (text(), 0..u16::MAX).prop_map(|(name, port)| {
        format!(r#"{{"name":"{name}","protocol":"TCP","port":{port},"hostPort":0,"hostIP":""}}"#)
    });
    let ports = option::of(vec(port, 0..3).prop_map(|ports| format!(r#","ports":[{}]"#, ports.join(","))));
    let labels = option::of(texts(text()).prop_map(|labels| format!(r#","labels":{{{labels}}}"#)));
    let metadata = (field("generateName"), field("namespace"), field("uid"), field("creationTimestamp"), labels);
    let owner = (field("workload"), field("node"), field("containerID"), field("pod"), field("endpoint"));
    let nets = (field("serviceAccountName"), text_list("ipNetworks"), field("ipv4Gateway"), field("ipv6Gateway"));
    let rest = (text_list("profiles"), field("interfaceName"), field("mac"), ports);
    let spoofed = text_list("allowSpoofedSourcePrefixes");
    (text(), metadata, text(), owner, nets, rest, spoofed).prop_map(|(name, m, orchestrator, o, n, r, spoofed)| {
        let head = r#"{"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{"name":""#;
        let spec = format!(r#"}},"spec":{{"orchestrator":"{orchestrator}""#);
        let metadata = joined(&format!("{head}{name}\""), vec![m.0, m.1, m.2, m.3, m.4], &spec);
        let fields = vec![o.0, o.1, o.2, o.3, o.4, n.0, n.1, n.2, n.3, r.0, r.1, r.2, r.3, spoofed];
        joined(&metadata, fields, "}}")
    })
}

fn numbers(names: &'static str, numbers: &'static str) -> impl Strategy<Value = String> {
    let pair = (names, numbers).prop_map(|(name, number)| format!(r#""{name}":{number}"#));
    vec(pair, 0..4).prop_map(|pairs| pairs.join(","))
}

fn a_handle() -> impl Strategy<Value = String> {
    let counts = numbers("10\\.[0-9]{1,3}\\.0\\.0/26|fd00::/122|x", "0|[1-9][0-9]{0,3}");
    (counts, any::<bool>()).prop_map(|(counts, deleted)| format!(r#"{{"block":{{{counts}}},"deleted":{deleted}}}"#))
}

fn an_attribute() -> impl Strategy<Value = String> {
    let name = "namespace|pod|node|service|type|vmi-name|note|timestamp|vmi-uid|Node|future";
    let owner = prop_oneof![8 => texts(name).prop_map(|o| format!("{{{o}}}")), 1 => Just("null".to_owned())];
    let quoted = prop_oneof![8 => text().prop_map(|text| format!("\"{text}\"")), 1 => Just("null".to_owned())];
    let parts = (option::of(quoted.clone()), option::of(owner.clone()), option::of(owner), option::of(quoted));
    parts.prop_map(|(handle, owner, alternate, released)| {
        let names = ["handle_id", "secondary", "alternateOwnerAttrs", "releasedAt"];
        let given = names.iter().zip([handle, owner, alternate, released]);
        let fields: Vec<String> = given.filter_map(|(name, text)| Some(format!(r#""{name}":{}"#, text?))).collect();
        format!("{{{}}}", fields.join(","))
    })
}

fn a_block() -> impl Strategy<Value = String> {
    let affinity = prop_oneof![text().prop_map(|host| format!("\"host:{host}\"")), Just("null".to_owned())];
    let indices = vec("null|0|[1-9][0-9]{0,2}", 0..5).prop_map(|indices| indices.join(","));
    let free = vec("0|[1-9][0-9]{0,2}", 0..5).prop_map(|free| free.join(","));
    let attributes = prop_oneof![
        4 => vec(an_attribute(), 0..4).prop_map(|list| format!("[{}]", list.join(","))),
        1 => Just("null".to_owned())
    ];
    let sequences = proptest::collection::btree_map(0..70u32, 0..u64::MAX, 0..5).prop_map(|numbers| {
        numbers.iter().map(|(ordinal, number)| format!(r#""{ordinal}":{number}"#)).collect::<Vec<_>>().join(",")
    });
    let claimed = field("affinity_claim_time");
    let parts = (text(), affinity, claimed, indices, free, attributes, any::<u64>(), sequences, any::<bool>());
    parts.prop_map(|(cidr, affinity, claimed, indices, free, attributes, sequence, sequences, deleted)| {
        let claimed = claimed.unwrap_or_default();
        format!(
            concat!(
                r#"{{"cidr":"{}","affinity":{}{},"allocations":[{}],"unallocated":[{}],"attributes":{},"#,
                r#""sequenceNumber":{},"sequenceNumberForAllocation":{{{}}},"deleted":{}}}"#
            ),
            cidr, affinity, claimed, indices, free, attributes, sequence, sequences, deleted
        )
    })
}

/// What makes a usual value another one.
#[derive(Clone, Debug)]
enum Edit {
    /// Bytes where others are, or between them.
    Put { at: usize, over: usize, what: Vec<u8> },
    /// Only the bytes before it.
    Cut(usize),
    /// The piece between two commas a second time, in the place of another or before it.
    Repeat { from: usize, to: usize, over: bool },
    /// Two pieces in each other's place.
    Swap(usize, usize),
}

/// What is put in.
const PIECES: &[&[u8]] = &[
    b"\"",
    b"\\\"",
    b"\\u0041",
    b"\\",
    b"\\n",
    b"\n",
    b" ",
    b"\t",
    b"\x1f",
    b"\x7f",
    b"\xff",
    b"\xc3",
    "ä".as_bytes(),
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"false",
    b"1.5",
    b"1e3",
    b"-1",
    b"-0",
    b"01",
    b"0",
    b"18446744073709551616",
    b"9223372036854775808",
    b"2147483648",
    b"\"x\":1,",
    b"\"POD\":\"x\",",
    b"\"pod\":null,",
    b"\"node\":\"x\",",
    b"\"Handle_ID\":\"x\",",
    b",\"future\":{\"a\":[1,{}]}",
    b"\"secondary\":{\"pod\":7},",
    b"\xef\xbb\xbf",
    b"{}",
    b"",
];

fn an_edit() -> impl Strategy<Value = Edit> {
    let at = any::<prop::sample::Index>().prop_map(|index| index.index(1 << 16));
    prop_oneof![
        6 => (at.clone(), 0..3usize, prop::sample::select(PIECES))
            .prop_map(|(at, over, what)| Edit::Put { at, over, what: what.to_vec() }),
        1 => (at.clone(), 0..2usize, any::<u8>()).prop_map(|(at, over, byte)| Edit::Put { at, over, what: vec![byte] }),
        1 => at.clone().prop_map(Edit::Cut),
        2 => (at.clone(), at.clone(), any::<bool>()).prop_map(|(from, to, over)| Edit::Repeat { from, to, over }),
        2 => (at.clone(), at).prop_map(|(one, other)| Edit::Swap(one, other)),
    ]
}

fn edited(value: &[u8], edit: &Edit) -> Vec<u8> {
    let mut pieces: Vec<&[u8]> = value.split(|byte| *byte == b',').collect();
    let count = pieces.len();
    match edit {
        Edit::Put { at, over, what } => {
            let at = at % (value.len() + 1);
            return [&value[..at], what.as_slice(), &value[(at + over).min(value.len())..]].concat();
        }
        Edit::Cut(at) => return value[..at % (value.len() + 1)].to_vec(),
        Edit::Repeat { from, to, over: true } => pieces[to % count] = pieces[from % count],
        Edit::Repeat { from, to, over: false } => pieces.insert(to % count, pieces[from % count]),
        Edit::Swap(one, other) => pieces.swap(one % count, other % count),
    }
    pieces.join(&b',')
}

proptest! {
    #[test]
    fn usual_endpoints_are_read_the_short_way(value in an_endpoint()) {
        prop_assert!(agrees(value.as_bytes(), endpoint(value.as_bytes()), resource(value.as_bytes())), "{value}");
    }

    #[test]
    fn usual_handles_are_read_the_short_way(value in a_handle()) {
        prop_assert!(agrees(value.as_bytes(), handle(value.as_bytes()), json::parse(value.as_bytes())), "{value}");
    }

    #[test]
    fn usual_blocks_are_read_the_short_way(value in a_block()) {
        prop_assert!(agrees(value.as_bytes(), block(value.as_bytes()), json::parse(value.as_bytes())), "{value}");
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// Where the short way answers a value that is not quite the usual one, the parser answers the same.
    #[test]
    fn near_the_usual_form_both_ways_agree(
        value in prop_oneof![an_endpoint(), a_handle(), a_block()],
        edits in vec(an_edit(), 1..4),
    ) {
        all_agree(&edits.iter().fold(value.into_bytes(), |value, edit| edited(&value, edit)));
    }
}

/// Each of these is left to the parser, which tells what Calico makes of it.
#[test]
fn what_is_not_the_usual_form_is_left_to_the_parser() {
    let usual = r#"{"block":{"10.0.0.0/26":1},"deleted":false}"#;
    assert!(all_agree(usual.as_bytes()));
    for other in [
        r#"{"block":{"10.0.0.0/26":1},"deleted":false} "#,
        r#"{"block":{"10.0.0.0/26":1}}"#,
        r#"{"block":{"10.0.0.0/26":01},"deleted":false}"#,
        r#"{"block":{"10.0.0.0/26":-1},"deleted":false}"#,
        r#"{"block":{"10.0.0.0/26":1.0},"deleted":false}"#,
        r#"{"block":{"10.0.0.0/26":9223372036854775808},"deleted":false}"#,
        r#"{"block":{"10.0.0.0\/26":1},"deleted":false}"#,
        r#"{"block":{"10.0.0.0/26":1,},"deleted":false}"#,
        r#"{"block":{"10.0.0.0/26":1},"deleted":null}"#,
        r#"{"deleted":false,"block":{"10.0.0.0/26":1}}"#,
        r#"{"Block":{"10.0.0.0/26":1},"deleted":false}"#,
        "{}",
        "",
    ] {
        assert!(!all_agree(other.as_bytes()), "{other}");
    }
    let sequences = |numbers: &str| {
        let head = r#"{"cidr":"10.0.0.0/26","affinity":null,"allocations":[],"unallocated":[],"attributes":null,"#;
        format!(r#"{head}"sequenceNumber":7,"sequenceNumberForAllocation":{{{numbers}}},"deleted":false}}"#)
    };
    assert!(all_agree(sequences(r#""10":1,"2":3"#).as_bytes()));
    for numbers in [r#""2":1,"2":3"#, r#""02":1"#, r#""x":1"#, r#""":1"#, r#""4294967296":1"#] {
        assert!(!all_agree(sequences(numbers).as_bytes()), "{numbers}");
    }
}

/// Values of a real datastore, as Calico's library wrote them: nearly all go the short way.
#[test]
fn what_calico_wrote_goes_the_short_way() {
    let (mut read, mut short) = (0, 0);
    for line in include_str!("../../../tests/golden/clean-churned/etcd.jsonl").lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let (key, value) = (line["key"].as_str().unwrap(), line["value"].as_str().unwrap().as_bytes());
        if key.contains("/assignment/") || key.contains("/handle/") || key.contains("/workloadendpoints/") {
            read += 1;
            short += usize::from(all_agree(value));
        }
    }
    assert!(read > 100 && short * 20 > read * 19, "{short} of {read}");
}
