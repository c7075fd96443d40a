//! Each rule by name, both ways: allowed just inside, refused just outside.

use super::super::circumstances::{LeakProof, LeftEndpoint, NodeUnknown, PodChange, PodDoubt, Proven};
use super::super::refusal::Rule;
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
        proof: Some(Proven { pod: "shop/web-0".to_owned(), how: LeakProof::NoSuchPod }),
        special: None,
        holders: Vec::new(),
        unseen: None,
        endpoints: Vec::new(),
        node: "node-1".to_owned(),
        node_now: NodeNow::Ready,
        pod_now: PodNow::Absent,
        is_watched: true,
        observed: Some(Observation { audits: 3, first: at(0), last: at(900) }),
    }
}

/// A pod that claims it.
fn pod(name: &str, grade: Grade) -> HolderNow {
    HolderNow { who: Claimer::Pod("shop".into(), name.into()), grade }
}

/// A stale endpoint on a node that is Ready.
fn left() -> LeftEndpoint {
    LeftEndpoint {
        key: b"/k".to_vec(),
        name: "shop/e".into(),
        is_stale: true,
        mod_revision: 1,
        node: "node-2".into(),
        node_now: NodeNow::Ready,
    }
}

fn rules(address: Address, word: &OperatorWord) -> Vec<u8> {
    refusals(&[address], word, now(), GRACE).into_iter().map(|r| r.rule().number()).collect()
}

#[test]
fn a_proven_leak_passes_all() {
    assert_eq!(rules(leaked(), &OperatorWord::default()), [0u8; 0]);
}

#[test]
fn rule_3_without_a_proof_nothing_goes() {
    assert_eq!(rules(Address { proof: None, ..leaked() }, &OperatorWord::default()), [3]);
    assert_eq!(
        rules(Address { proof: None, ..leaked() }, &OperatorWord { knows: true, ..OperatorWord::default() }),
        [3]
    );
}

#[test]
fn rule_3_stale_endpoints_are_no_holders_and_possible_ones_are() {
    let with = |grade| Address { holders: vec![pod("web-1", grade)], ..leaked() };
    assert_eq!(rules(with(Grade::Stale), &OperatorWord::default()), [0u8; 0]);
    assert_eq!(rules(with(Grade::Possible), &OperatorWord::default()), [3]);
    assert_eq!(
        rules(with(Grade::Certain), &OperatorWord { knows: true, skip_age: true, ..OperatorWord::default() }),
        [3]
    );
}

#[test]
fn rule_3_an_endpoint_goes_along_only_when_its_pod_is_proven_gone() {
    let with = |is_stale| Address { endpoints: vec![LeftEndpoint { is_stale, ..left() }], ..leaked() };
    assert_eq!(rules(with(true), &OperatorWord::default()), [0u8; 0]);
    assert_eq!(rules(with(false), &OperatorWord::default()), [3]);
}

/// The pod is gone, and its container may still run where nobody can see it.
#[test]
fn rule_3_the_node_of_an_endpoint_must_be_known_too() {
    let with = |node_now, word: &OperatorWord| {
        rules(Address { endpoints: vec![LeftEndpoint { node_now, ..left() }], ..leaked() }, word)
    };
    let ago = |seconds: u64| NodeNow::Departed(Some(now().minus(Duration::from_secs(seconds))));
    assert_eq!(with(NodeNow::Ready, &OperatorWord::default()), [0u8; 0]);
    assert_eq!(
        (with(ago(3600), &OperatorWord::default()), with(ago(3599), &OperatorWord::default())),
        (vec![], vec![3])
    );
    assert_eq!(with(NodeNow::NotReady, &OperatorWord::default()), [3]);
    assert_eq!(with(NodeNow::Unknown(NodeUnknown::Lost), &OperatorWord::default()), [3]);
    let off = |name: &str| OperatorWord { nodes_off: vec![name.into()], ..OperatorWord::default() };
    assert_eq!((with(NodeNow::NotReady, &off("node-2")), with(NodeNow::NotReady, &off("node-1"))), (vec![], vec![3]));
}

#[test]
fn rule_3_node_ready_or_departed_for_an_hour() {
    let with = |node_now| rules(Address { node_now, ..leaked() }, &OperatorWord::default());
    let ago = |seconds: u64| NodeNow::Departed(Some(now().minus(Duration::from_secs(seconds))));
    assert_eq!(with(NodeNow::Ready), [0u8; 0]);
    assert_eq!((with(ago(3600)), with(ago(3599))), (vec![], vec![3]));
    assert_eq!(with(NodeNow::Departed(None)), [3]);
    assert_eq!(with(NodeNow::NotReady), [3]);
    assert_eq!(with(NodeNow::Unknown(NodeUnknown::Foreign)), [3]);
}

#[test]
fn rule_3_the_operator_may_say_that_a_node_is_off() {
    let off = |name: &str| OperatorWord { nodes_off: vec![name.into()], ..OperatorWord::default() };
    let silent = || Address { node_now: NodeNow::NotReady, ..leaked() };
    assert_eq!((rules(silent(), &off("node-1")), rules(silent(), &off("node-2"))), (vec![], vec![3]));
}

#[test]
fn rule_4_three_audits_over_a_quarter_of_an_hour_or_the_grace() {
    let seen = |audits, last| Some(Observation { audits, first: at(0), last: at(last) });
    let ok = |o, grace| observed(None, o, Duration::from_secs(grace), false, now()).is_ok();
    assert!(ok(seen(3, 900), 900) && !ok(seen(3, 899), 900));
    assert!(ok(seen(3, 900), 60), "a short grace does not shorten it");
    assert!(ok(seen(3, 1800), 1800) && !ok(seen(3, 1799), 1800), "a long one does");
    assert!(!ok(seen(2, 90_000), 900) && !ok(None, 900));
    assert!(observed(None, None, GRACE, true, now()).is_ok(), "--skip-age");
}

#[test]
fn rule_4_skip_age_waives_nothing_else() {
    let young = Address { observed: None, ..leaked() };
    let skip = OperatorWord { skip_age: true, ..OperatorWord::default() };
    assert_eq!((rules(young.clone(), &OperatorWord::default()), rules(young, &skip)), (vec![4], vec![]));
    assert_eq!(rules(Address { node_now: NodeNow::NotReady, ..leaked() }, &skip), [3]);
    assert_eq!(rules(Address { special: Some(Special::Tunnel), ..leaked() }, &skip), [7]);
}

#[test]
fn rule_5_the_api_server_must_say_it_again() {
    let with = |pod_now| rules(Address { pod_now, ..leaked() }, &OperatorWord::default());
    assert_eq!((with(PodNow::Absent), with(PodNow::SameAndNoHolder)), (vec![], vec![]));
    assert_eq!(with(PodNow::Changed(PodChange::Anew)), [5]);
    let failed = || PodDoubt::Failed("connection refused".into());
    assert_eq!(with(PodNow::Unknown(failed())), [5]);
    let young = Address { observed: None, pod_now: PodNow::Unknown(failed()), ..leaked() };
    assert_eq!(rules(young, &OperatorWord::default()), [4, 5]);
    let knows = OperatorWord { knows: true, ..OperatorWord::default() };
    assert_eq!(rules(Address { pod_now: PodNow::Unknown(PodDoubt::NamesNone), ..leaked() }, &knows), [5]);
}

#[test]
fn rule_6_all_or_none() {
    assert!(all_or_none(2, 2).is_ok());
    assert_eq!(all_or_none(1, 2), Err(Objection::NotAll { failing: 1, all: 2 }));
}

#[test]
fn rule_7_the_never_list() {
    let knows = OperatorWord { knows: true, ..OperatorWord::default() };
    let with = |special: &Special, word: &OperatorWord| {
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
        Special::Awaited("shop".into(), "web-0".into()),
    ];
    for special in by_word {
        assert_eq!(with(&special, &OperatorWord::default()), [7, 3], "{special:?}");
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
    let with = |holders: Vec<HolderNow>, word: &OperatorWord| {
        let special = Some(Special::Awaited("shop".into(), "web-0".into()));
        rules(Address { special, proof: None, pod_now: PodNow::SameAndNoHolder, holders, ..leaked() }, word)
    };
    let knows = OperatorWord { knows: true, ..OperatorWord::default() };
    let waiting = || vec![pod("web-0", Grade::Possible)];
    assert_eq!((with(waiting(), &knows), with(waiting(), &OperatorWord::default())), (vec![], vec![7, 3]));
    assert_eq!(with(vec![pod("web-0", Grade::Certain)], &knows), [3], "it has it");
    assert_eq!(with(vec![pod("web-1", Grade::Possible)], &knows), [3], "another pod");
    let young = |word: &OperatorWord| {
        let special = Some(Special::Awaited("shop".into(), "web-0".into()));
        rules(Address { special, proof: None, pod_now: PodNow::SameAndNoHolder, observed: None, ..leaked() }, word)
    };
    assert_eq!((young(&knows), young(&OperatorWord { skip_age: true, ..knows })), (vec![4], vec![]));
}

/// "Run an audit again" would never help where no audit finds it.
#[test]
fn rule_4_says_what_helps_where_no_audit_watches() {
    let knows = OperatorWord { knows: true, ..OperatorWord::default() };
    let said = |special: Special, word: &OperatorWord| {
        let is_watched = matches!(special, Special::Awaited(..));
        let address = Address { special: Some(special), is_watched, proof: None, observed: None, ..leaked() };
        refusals(&[address], word, now(), GRACE).into_iter().find(|r| r.rule() == Rule::Age).map(|r| r.objection)
    };
    assert_eq!(said(Special::LoadBalancer, &knows), Some(Objection::Unwatched));
    let awaited = Special::Awaited("shop".into(), "web-0".into());
    assert!(matches!(said(awaited, &knows), Some(Objection::TooYoung(Lacking { audits: 3, .. }))));
    assert_eq!(said(Special::LoadBalancer, &OperatorWord { skip_age: true, ..knows }), None);
}

/// What is missing is told as what can be waited for: so many audits, the last of them not before.
#[test]
fn rule_4_says_how_many_audits_are_lacking_and_from_when_on() {
    let said = |seen, now| observed(None, seen, GRACE, false, at(now)).unwrap_err();
    let lacking = |audits, from| Objection::TooYoung(Lacking { audits, from: at(from) });
    let seen = |audits, last| Some(Observation { audits, first: at(0), last: at(last) });
    assert_eq!(said(None, 100), lacking(3, 1000), "now, and a quarter of an hour after it");
    assert_eq!(said(seen(1, 0), 10), lacking(2, 900), "a quarter of an hour after the first");
    assert_eq!(said(seen(2, 9000), 9010), lacking(1, 9300), "5 minutes after the last");
    assert_eq!(said(seen(2, 9000), 9999), lacking(1, 9999), "now");
    assert_eq!(said(seen(1, 0), 9999), lacking(2, 10_299), "now, and 5 minutes later");
    assert_eq!(said(seen(3, 899), 900), lacking(1, 1199), "often enough, and not for long enough");
    let long = observed(None, seen(3, 899), Duration::from_secs(3600), false, at(900));
    assert_eq!(long, Err(lacking(1, 3600)), "the leak grace is longer");
}

#[test]
fn rule_7_a_handle_whose_id_comes_again_goes_by_the_operators_word_alone() {
    assert_eq!(automatically(None, false), Ok(()));
    assert_eq!(automatically(Some(Recurring::Other), false), Err(Objection::IdComesAgain(Recurring::Other)));
    assert_eq!(automatically(Some(Recurring::Other), true), Ok(()));
}

#[test]
fn rule_4_is_not_waived_for_a_handle_whose_id_comes_again() {
    let seen = |audits| Some(Observation { audits, first: at(0), last: at(900) });
    let rule = |recurring, seen, skip| observed(recurring, seen, GRACE, skip, at(900));
    let lacking = |audits, from| Lacking { audits, from: at(from) };
    assert_eq!(rule(None, None, true), Ok(()));
    assert_eq!(rule(None, None, false), Err(Objection::TooYoung(lacking(3, 1800))));
    let tunnel = Some(Recurring::Tunnel);
    assert_eq!(rule(tunnel, None, true), Err(Objection::TooYoungInAnyCase(lacking(3, 1800))));
    assert_eq!(rule(tunnel, seen(2), true), Err(Objection::TooYoungInAnyCase(lacking(1, 1200))));
    assert_eq!((rule(tunnel, seen(3), true), rule(tunnel, seen(3), false)), (Ok(()), Ok(())));
}

/// Each doubt about a node is told as what it is, for the owner's node and for an endpoint's alike.
#[test]
fn rule_3_says_what_is_not_known_of_a_node() {
    let since = now().minus(Duration::from_secs(60));
    for (node_now, doubt) in [
        (NodeNow::NotReady, NodeDoubt::NotReady),
        (NodeNow::Departed(None), NodeDoubt::GoneUnknownSince),
        (NodeNow::Departed(Some(since)), NodeDoubt::GoneSince(since)),
        (NodeNow::Unknown(NodeUnknown::NeverOurs), NodeDoubt::Unknown(NodeUnknown::NeverOurs)),
    ] {
        let address = Address { node_now: node_now.clone(), ..leaked() };
        assert_eq!(node(&address, &[], false, now()), Err(Objection::Node("node-1".into(), doubt)));
        let address = Address { endpoints: vec![LeftEndpoint { node_now, ..left() }], ..leaked() };
        let said = Objection::EndpointOn { endpoint: "shop/e".into(), node: "node-2".into(), doubt };
        assert_eq!(endpoints(&address, &[], now()), Err(said));
    }
}

/// What has no node passes by the operator's word, and a word for "no node" is none.
#[test]
fn rule_3_without_a_node_only_the_word_helps() {
    let nowhere = Address { node: String::new(), node_now: NodeNow::Unknown(NodeUnknown::Foreign), ..leaked() };
    assert!(node(&nowhere, &[], true, now()).is_ok());
    assert!(node(&nowhere, &[String::new()], false, now()).is_err());
}
