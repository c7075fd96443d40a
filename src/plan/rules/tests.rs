//! Each rule by name, both ways: allowed just inside, refused just outside.

use super::super::circumstances::{Left, Special};
use super::*;

const GRACE: Duration = Duration::from_secs(900);

fn at(seconds: i64) -> Time {
    Time(seconds * 1_000_000_000)
}

fn now() -> Time {
    at(1_000_000)
}

/// An address that may go.
fn leaked() -> Address {
    Address {
        address: "10.65.0.1".parse().unwrap(),
        proof: Some("pod shop/web-0 does not exist".to_owned()),
        special: None,
        holders: Vec::new(),
        endpoints: Vec::new(),
        node: "node-1".to_owned(),
        node_now: NodeNow::Ready,
        pod_now: PodNow::Absent,
        observed: Some(Observation { audits: 3, first: at(0), last: at(900) }),
    }
}

/// A stale endpoint on a node that is Ready.
fn left() -> Left {
    Left {
        key: b"/k".to_vec(),
        name: "shop/e".into(),
        is_stale: true,
        mod_revision: 1,
        node: "node-2".into(),
        node_now: NodeNow::Ready,
    }
}

fn rules(address: Address, word: &Word) -> Vec<u8> {
    refusals(&[address], word, now(), GRACE).into_iter().map(|r| r.rule).collect()
}

#[test]
fn a_proven_leak_passes_all() {
    assert_eq!(rules(leaked(), &Word::default()), [0u8; 0]);
}

#[test]
fn rule_3_without_a_proof_nothing_goes() {
    assert_eq!(rules(Address { proof: None, ..leaked() }, &Word::default()), [3]);
    assert_eq!(rules(Address { proof: None, ..leaked() }, &Word { knows: true, ..Word::default() }), [3]);
}

#[test]
fn rule_3_stale_endpoints_are_no_holders_and_possible_ones_are() {
    let with = |grade| Address { holders: vec![Holder { who: "pod shop/web-1".into(), grade }], ..leaked() };
    assert_eq!(rules(with("stale"), &Word::default()), [0u8; 0]);
    assert_eq!(rules(with("possible"), &Word::default()), [3]);
    assert_eq!(rules(with("certain"), &Word { knows: true, skip_age: true, ..Word::default() }), [3]);
}

#[test]
fn rule_3_an_endpoint_goes_along_only_when_its_pod_is_proven_gone() {
    let with = |is_stale| Address { endpoints: vec![Left { is_stale, ..left() }], ..leaked() };
    assert_eq!(rules(with(true), &Word::default()), [0u8; 0]);
    assert_eq!(rules(with(false), &Word::default()), [3]);
}

/// The pod is gone, and its container may still run where nobody can see it.
#[test]
fn rule_3_the_node_of_an_endpoint_must_be_known_too() {
    let with =
        |node_now, word: &Word| rules(Address { endpoints: vec![Left { node_now, ..left() }], ..leaked() }, word);
    let ago = |seconds: u64| NodeNow::Departed(Some(now().minus(Duration::from_secs(seconds))));
    assert_eq!(with(NodeNow::Ready, &Word::default()), [0u8; 0]);
    assert_eq!((with(ago(3600), &Word::default()), with(ago(3599), &Word::default())), (vec![], vec![3]));
    assert_eq!(with(NodeNow::NotReady, &Word::default()), [3]);
    assert_eq!(with(NodeNow::Unknown("x".into()), &Word::default()), [3]);
    let off = |name: &str| Word { nodes_off: vec![name.into()], ..Word::default() };
    assert_eq!((with(NodeNow::NotReady, &off("node-2")), with(NodeNow::NotReady, &off("node-1"))), (vec![], vec![3]));
}

#[test]
fn rule_3_node_ready_or_departed_for_an_hour() {
    let with = |node_now| rules(Address { node_now, ..leaked() }, &Word::default());
    let ago = |seconds: u64| NodeNow::Departed(Some(now().minus(Duration::from_secs(seconds))));
    assert_eq!(with(NodeNow::Ready), [0u8; 0]);
    assert_eq!((with(ago(3600)), with(ago(3599))), (vec![], vec![3]));
    assert_eq!(with(NodeNow::Departed(None)), [3]);
    assert_eq!(with(NodeNow::NotReady), [3]);
    assert_eq!(with(NodeNow::Unknown("no answer".into())), [3]);
}

#[test]
fn rule_3_the_operator_may_say_that_a_node_is_off() {
    let off = |name: &str| Word { nodes_off: vec![name.into()], ..Word::default() };
    let silent = || Address { node_now: NodeNow::NotReady, ..leaked() };
    assert_eq!((rules(silent(), &off("node-1")), rules(silent(), &off("node-2"))), (vec![], vec![3]));
}

#[test]
fn rule_4_three_audits_over_a_quarter_of_an_hour_or_the_grace() {
    let seen = |audits, last| Some(Observation { audits, first: at(0), last: at(last) });
    let ok = |o, grace| observed("10.65.0.1", o, Duration::from_secs(grace), false).is_ok();
    assert!(ok(seen(3, 900), 900) && !ok(seen(3, 899), 900));
    assert!(ok(seen(3, 900), 60), "a short grace does not shorten it");
    assert!(ok(seen(3, 1800), 1800) && !ok(seen(3, 1799), 1800), "a long one does");
    assert!(!ok(seen(2, 90_000), 900) && !ok(None, 900));
    assert!(observed("h", None, GRACE, true).is_ok(), "--skip-age");
}

#[test]
fn rule_4_skip_age_waives_nothing_else() {
    let young = Address { observed: None, ..leaked() };
    let skip = Word { skip_age: true, ..Word::default() };
    assert_eq!((rules(young.clone(), &Word::default()), rules(young, &skip)), (vec![4], vec![]));
    assert_eq!(rules(Address { node_now: NodeNow::NotReady, ..leaked() }, &skip), [3]);
    assert_eq!(rules(Address { special: Some(Special::Tunnel), ..leaked() }, &skip), [7]);
}

#[test]
fn rule_5_the_api_server_must_say_it_again() {
    let with = |pod_now| rules(Address { pod_now, ..leaked() }, &Word::default());
    assert_eq!((with(PodNow::Absent), with(PodNow::SameAndNoHolder)), (vec![], vec![]));
    assert_eq!(with(PodNow::Changed("another UID".into())), [5]);
    assert_eq!(with(PodNow::Unknown("no answer".into())), [5]);
    let knows = Word { knows: true, ..Word::default() };
    assert_eq!(rules(Address { pod_now: PodNow::Unknown("x".into()), ..leaked() }, &knows), [5]);
}

#[test]
fn rule_6_all_or_none() {
    assert!(all_or_none("h", 2, 2).is_ok());
    let refused = all_or_none("h", 1, 2).unwrap_err();
    assert_eq!((refused.rule, refused.words.as_str()), (6, "1 of its 2 addresses may not be released, so none is"));
}

#[test]
fn rule_7_the_never_list() {
    let knows = Word { knows: true, ..Word::default() };
    let with = |special: &Special, word: &Word| {
        rules(Address { special: Some(special.clone()), proof: None, pod_now: PodNow::Absent, ..leaked() }, word)
    };
    let by_word = [
        Special::Tunnel,
        Special::LoadBalancer,
        Special::Machine,
        Special::Reserved,
        Special::Unattributed,
        Special::UnknownType,
        Special::ForeignNode("other".into()),
        Special::Awaited("shop/web-0".into()),
    ];
    for special in by_word {
        assert_eq!(with(&special, &Word::default()), [7, 3], "{special:?}");
        assert_eq!(with(&special, &knows), [0u8; 0], "{special:?}");
    }
    for special in [Special::Cooling, Special::Windows, Special::TwoBlocks(vec!["10.65.0.0/26".into()])] {
        assert_eq!(with(&special, &knows), [7, 3], "{special:?}");
    }
}

/// IPA133: the pod that waits is no obstacle, anybody else is; rule 4 stands, and `--skip-age` waives it as for any
/// address.
#[test]
fn rule_7_an_address_that_its_next_pod_waits_for_goes_by_the_operators_word() {
    let pod = |who: &str, grade| Holder { who: who.to_owned(), grade };
    let with = |holders: Vec<Holder>, word: &Word| {
        let special = Some(Special::Awaited("shop/web-0".into()));
        rules(Address { special, proof: None, pod_now: PodNow::SameAndNoHolder, holders, ..leaked() }, word)
    };
    let knows = Word { knows: true, ..Word::default() };
    let waiting = || vec![pod("pod shop/web-0", "possible")];
    assert_eq!((with(waiting(), &knows), with(waiting(), &Word::default())), (vec![], vec![7, 3]));
    assert_eq!(with(vec![pod("pod shop/web-0", "certain")], &knows), [3], "it has it");
    assert_eq!(with(vec![pod("pod shop/web-1", "possible")], &knows), [3], "another pod");
    let young = |word: &Word| {
        let special = Some(Special::Awaited("shop/web-0".into()));
        rules(Address { special, proof: None, pod_now: PodNow::SameAndNoHolder, observed: None, ..leaked() }, word)
    };
    assert_eq!((young(&knows), young(&Word { skip_age: true, ..knows })), (vec![4], vec![]));
}

/// "Run an audit again" would never help: no audit counts a service's address as leaked.
#[test]
fn rule_4_says_what_helps_where_no_audit_watches() {
    let knows = Word { knows: true, ..Word::default() };
    let words = |special: Special, word: &Word| {
        let address = Address { special: Some(special), proof: None, observed: None, ..leaked() };
        refusals(&[address], word, now(), GRACE).into_iter().find(|r| r.rule == 4).map(|r| r.words)
    };
    let of_service = words(Special::LoadBalancer, &knows).unwrap();
    assert!(of_service.ends_with(": --skip-age") && !of_service.contains("again later"), "{of_service}");
    let awaited = words(Special::Awaited("shop/web-0".into()), &knows).unwrap();
    assert!(awaited.contains("run `ipaudit audit` again later"), "{awaited}");
    assert_eq!(words(Special::LoadBalancer, &Word { skip_age: true, ..knows }), None);
}

#[test]
fn rule_4_by_code_nothing_goes_without_a_history() {
    assert!(by_age(true, 1).is_ok() && by_age(false, 0).is_ok());
    assert_eq!(by_age(true, 0).unwrap_err().rule, 4);
}

#[test]
fn rule_7_by_the_operators_word_one_at_a_time() {
    assert!(one_at_a_time(true, 1).is_ok() && one_at_a_time(false, 7).is_ok());
    assert_eq!(one_at_a_time(true, 2).unwrap_err().rule, 7);
    assert!(one_at_a_time(true, 0).is_err());
}

#[test]
fn rule_10_no_more_than_max() {
    assert_eq!((limit(1000, 1000), limit(1001, 1000), limit(3, 1000)), (1000, 1000, 3));
}
