use proptest::prelude::*;

use super::*;
use crate::model::{
    Addr, Cidr, EndpointKey, Evidence, Fact, Foreign, HandleId, Host, HostKind, Look, Name, Rest, Subject, SubjectKind,
    Time,
};

/// Names of facts, as checks have them.
const NAMES: [&str; 6] = ["handle", "blocks", "reason", "node", "sandboxes", "since"];

fn text() -> impl Strategy<Value = Foreign> {
    let usual =
        prop::sample::select(vec!["", "k8s-pod-network.", "pod shop/web-0 does not exist", "10.65.0.1", "é\u{202e}\r"]);
    (usual, ".{0,60}").prop_map(|(usual, other)| Foreign::from(format!("{usual}{other}")))
}

fn fact() -> impl Strategy<Value = Fact> {
    let leaf = prop_oneof![
        Just(Fact::Null),
        any::<bool>().prop_map(Fact::Flag),
        any::<i64>().prop_map(Fact::Number),
        any::<u64>().prop_map(Fact::Sequence),
        any::<i64>().prop_map(|at| Fact::Time(Time(at))),
        text().prop_map(Fact::Text),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Fact::List),
            evidence(inner).prop_map(Fact::Fields),
        ]
    })
}

fn evidence(fact: impl Strategy<Value = Fact>) -> impl Strategy<Value = Evidence> {
    prop::collection::vec((prop::sample::select(NAMES.to_vec()), fact), 0..6).prop_map(Evidence)
}

fn name() -> impl Strategy<Value = Name> {
    any::<u32>().prop_map(Name::of_number)
}

fn cidr() -> impl Strategy<Value = Cidr> {
    let v4 = (any::<u32>(), 0..=32u8).prop_map(|(bits, prefix)| (Addr::from_v4_bits(bits), prefix));
    // Addresses of IPv6 lie outside the mapped ones.
    let v6 = (any::<u128>(), 0..=128u8).prop_map(|(bits, prefix)| (Addr::from_bits(bits | 1 << 127), prefix));
    prop_oneof![v4, v6].prop_filter_map("a range", |(address, prefix)| Cidr::new(address, prefix))
}

fn look() -> impl Strategy<Value = Look> {
    let host = (prop::sample::select(HostKind::ALL.to_vec()), name()).prop_map(|(kind, name)| Host { kind, name });
    let handle = (name(), name(), any::<bool>());
    // No node has the empty name, and no endpoint's key is of a pod without one.
    let of_pod = (name(), name())
        .prop_filter_map("a node", |(node, pod)| (!node.is_none()).then_some(EndpointKey::OfPod { node, pod }));
    let key = prop_oneof![of_pod, name().prop_map(EndpointKey::Other)];
    prop_oneof![
        cidr().prop_map(Look::Block),
        handle.prop_map(|(head, tail, dotted)| Look::Handle(HandleId { head, tail, dotted })),
        (host, cidr()).prop_map(|(host, cidr)| Look::Affinity(host, cidr)),
        (name(), key).prop_map(|(namespace, key)| Look::Endpoint(namespace, key)),
        (name(), name(), name()).prop_map(|(a, b, c)| Look::EndpointsOfPod(a, b, c)),
        name().prop_map(Look::CalicoNode),
        Just(Look::Settings),
        (name(), name()).prop_map(|(a, b)| Look::Pod(a, b)),
        name().prop_map(Look::KubeNode),
        (name(), name()).prop_map(|(a, b)| Look::Service(a, b)),
        Just(Look::Services),
    ]
}

fn rest() -> impl Strategy<Value = Rest> {
    let stamp = prop_oneof![Just(0), any::<u128>()];
    (look(), stamp).prop_map(|(look, stamp)| Rest { look, stamp })
}

fn finding() -> impl Strategy<Value = Finding> {
    let texts = (text(), text(), text(), prop::collection::vec(text(), 0..4));
    let rests = prop::collection::vec(rest(), 0..8);
    let known = (prop::option::of(text()), prop::option::of(any::<i64>()), any::<bool>());
    let all = (prop::sample::select(vec![110u16, 201, 501]), texts, evidence(fact()), rests, known);
    all.prop_map(|(code, (id, summary, advice, next), evidence, rests, (node, since, restarts))| {
        let mut finding =
            Finding::new(Code(code), Severity::Error, Subject::new(SubjectKind::Handle, id.raw()), summary);
        (finding.advice, finding.next, finding.evidence, finding.rests) = (advice, next, evidence, rests);
        finding.root = node.clone().map(|id| Root { code: Code(503), id });
        finding.life = since.map(|at| Life { first_seen: Time(at), last_seen: Time(at), audits_seen: 3, episode: 2 });
        (finding.pool, finding.namespace) = (node.clone(), node.clone());
        (finding.node, finding.since, finding.restarts_pods) = (node, since.map(Time), restarts);
        finding
    })
}

/// What derives no equality of its own is the same when it says the same, to the last field.
fn said(finding: &Finding) -> String {
    format!("{finding:?}")
}

proptest! {
    #[test]
    fn what_is_kept_opens_as_it_was(findings in prop::collection::vec(finding(), 1..12)) {
        let mut keeper = FindingKeeper::default();
        let kept: Vec<KeptFinding> = findings.iter().map(|finding| keeper.keep(finding.clone())).collect();
        for (kept, finding) in kept.iter().zip(&findings) {
            prop_assert_eq!(said(&kept.open()), said(finding));
            prop_assert_eq!(kept.stamp(), finding.stamp());
        }
        // A life of its own: the keeper, and the others of its kind, may be gone.
        let last = kept.into_iter().next_back();
        drop(keeper);
        prop_assert_eq!(last.map(|kept| said(&kept.open())), findings.last().map(said));
    }

    #[test]
    fn what_is_changed_tells_the_change_and_all_else(finding in finding(), advice in text()) {
        let mut kept = KeptFinding::from(finding.clone());
        let mut keeper = FindingKeeper::default();
        keeper.change(&mut kept, |finding| {
            finding.advice = "never".into();
            false
        });
        prop_assert_eq!(said(&kept.open()), said(&finding), "a change that is none");
        keeper.change(&mut kept, |finding| {
            finding.advice = advice.clone();
            true
        });
        prop_assert_eq!(said(&kept.open()), said(&Finding { advice, ..finding }));
    }
}

#[test]
fn nobody_looked_again_is_a_note_that_remembers() {
    let finding = Finding::new(Code(110), Severity::Error, Subject::new(SubjectKind::Address, "10.65.0.1"), "leaked");
    let mut kept = KeptFinding::from(finding);
    kept.suspect();
    let open = kept.open();
    assert_eq!((open.severity, open.state, open.gravity()), (Severity::Note, State::Unconfirmed, Severity::Error));
}
