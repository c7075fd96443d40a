//! Every text, letter for letter: people search for them, scripts compare them.

use crate::plan::circumstances::Lacking;
use std::time::Duration;

use super::super::notes::note;
use super::*;
use crate::ledger::Grade;
use crate::model::{Addr, Cidr, ClockPair, Comeback, Input, InputState, Phase, Time, Tunnel};
use crate::plan::circumstances::Surge;
use crate::plan::refusal::{ByWord, Note, Rule};

fn says(rule: Rule, table: &[(Objection, &str)]) {
    for (objection, words) in table {
        assert_eq!(objection.rule(), rule, "{objection:?}");
        assert_eq!(refusal(&Refusal::new("x", objection.clone())), *words, "{objection:?}");
    }
}

fn own<T: for<'a> From<&'a str>>(text: &str) -> T {
    text.into()
}

fn address() -> Addr {
    "10.65.0.1".parse().unwrap()
}

fn block() -> Cidr {
    Cidr::parse("10.65.0.0/26").unwrap().0
}

fn at(seconds: i64) -> Time {
    Time(seconds * 1_000_000_000)
}

fn pod(grade: Grade) -> HolderNow {
    HolderNow { who: Claimer::Pod("shop".into(), "web-0".into()), grade }
}

fn alarm(kind: &str) -> Objection {
    Objection::Alarm(EtcdAlarm { kind: own(kind), member: own("ab12"), name: own("etcd-1") })
}

#[test]
fn rule_2_of_the_datastore() {
    says(
        Rule::Gates,
        &[
            (
                alarm("CORRUPT"),
                "etcd has the alarm CORRUPT (member etcd-1): its members differ, it refuses every write, and what it \
                 says may be wrong (IPA910)",
            ),
            (
                alarm("NOSPACE"),
                "etcd has the alarm NOSPACE (member etcd-1): it is full and refuses every write, Calico's too, until it \
                 is compacted, defragmented and disarmed (IPA910)",
            ),
            (alarm("NEWER"), "etcd has the alarm NEWER (member etcd-1) (IPA910)"),
            (
                Objection::Locked,
                "the datastore is locked (datastoreReady is not true): somebody migrates or repairs it",
            ),
            (Objection::LockedMeanwhile, "the datastore is locked"),
            (Objection::SettingsUndecoded(own("no JSON")), "/calico/ipam/v2/config: no JSON"),
            (Objection::HandleUndecoded(own("no JSON")), "its handle: no JSON"),
            (Objection::BlockUndecoded(block(), own("no JSON")), "block 10.65.0.0/26: no JSON"),
            (Objection::Undecoded(own("/a"), 0), "/a does not decode, and may hide a holder (IPA901)"),
            (Objection::Undecoded(own("/a"), 2), "/a and 2 more do not decode, and may hide a holder (IPA901)"),
            (
                Objection::LeadsNowhere(own("/a"), 0),
                "/a: an allocation leads nowhere, so nobody knows whose it is (IPA301)",
            ),
            (
                Objection::LeadsNowhere(own("/a"), 1),
                "/a and 1 more blocks: an allocation leads nowhere, so nobody knows whose it is (IPA301)",
            ),
        ],
    );
}

#[test]
fn rule_2_of_names_and_forks() {
    let forked = |how| Objection::Forked(how);
    says(
        Rule::Gates,
        &[
            (Objection::Unpaired(own("x")), "nobody knows that this API server and this datastore belong together: x"),
            (Objection::NodesUnread, "Kubernetes' nodes could not be read, so nobody knows whose the addresses are"),
            (
                Objection::Nameless(Nameless::NoGuid),
                "what is released could not be recorded: the datastore has no ClusterInformation with a GUID",
            ),
            (
                Objection::Nameless(Nameless::Unread("forbidden".into())),
                "what is released could not be recorded: its ClusterInformation, which holds the datastore's name, was \
                 not read: forbidden",
            ),
            (
                Objection::Nameless(Nameless::NoCluster),
                "what is released could not be recorded: neither Kubernetes nor the history says which cluster this is",
            ),
            (
                forked(Fork::OtherCluster),
                "the datastore was restored or replaced since it was observed (another etcd cluster than at the last \
                 audit)",
            ),
            (
                forked(Fork::WentBack { now: 3, then: 5 }),
                "the datastore was restored or replaced since it was observed (etcd's revision is 3 and was 5 at the \
                 last audit)",
            ),
            (
                forked(Fork::Found("it went back".into())),
                "the datastore was restored or replaced since it was observed (IPA903: it went back)",
            ),
            (
                forked(Fork::AtLastAudit),
                "the datastore was restored or replaced since it was observed (IPA903 at the last audit, and none has \
                 looked since: one more has to)",
            ),
            (
                Objection::ForkedSince(Fork::SinceRelease),
                "the datastore was restored or replaced since the release (IPA903)",
            ),
            (Objection::OtherPair, "it was released in another datastore, or for another Kubernetes cluster"),
        ],
    );
}

#[test]
fn rule_2_of_inputs_clocks_and_surges() {
    let missing = |detail: &str| Objection::InputMissing(Input::Services, InputState::Forbidden, own(detail));
    let pair = ClockPair { theirs: at(100), ours: at(0) };
    says(
        Rule::Gates,
        &[
            (missing(""), "services could not be read completely: forbidden"),
            (missing("no right"), "services could not be read completely: no right"),
            (
                Objection::ClockBehind { ours: at(0), last_audit: at(60) },
                "this machine's clock (1970-01-01T00:00:00Z) is behind the last audit (1970-01-01T00:01:00Z)",
            ),
            (
                Objection::ClocksApart { pair, most: Duration::from_secs(60) },
                "this machine's clock (1970-01-01T00:00:00Z) and the API server's (1970-01-01T00:01:40Z) are more than \
                 60s apart",
            ),
            (Objection::ClockUntold, "the API server did not tell its time"),
            (Objection::NoEarlierAudit, "no earlier audit says how many addresses are newly leaked"),
            (
                Objection::Surge(Surge { place: "node n".into(), newly_leaked: 21, allocations: 100 }),
                "a sudden mass leak: 21 of 100 allocations of node n are leaked since the last audit",
            ),
        ],
    );
}

#[test]
fn rule_3() {
    let node = |doubt| Objection::Node(own("n"), doubt);
    says(
        Rule::Proof,
        &[
            (Objection::Unproven, "it is not proven leaked (IPA110)"),
            (Objection::Held(pod(Grade::Certain)), "pod shop/web-0 is a certain holder"),
            (Objection::EndpointHas(own("shop/e")), "endpoint shop/e has it, and its pod is not proven gone"),
            (
                Objection::EndpointOn { endpoint: own("shop/e"), node: own("n"), doubt: NodeDoubt::GoneUnknownSince },
                "endpoint shop/e has it: node n is gone, and nobody knows since when",
            ),
            (
                node(NodeDoubt::GoneSince(at(0))),
                "node n is known gone only since 1970-01-01T00:00:00Z: less than 1h (after 1970-01-01T01:00:00Z)",
            ),
            (node(NodeDoubt::NotReady), "node n is not Ready, so its pods may still run"),
            (
                node(NodeDoubt::Unknown(NodeUnknown::Lost)),
                "nobody knows how node n is: Kubernetes no longer knows it; once its Calico Node is deleted (calicoctl \
                 delete node), it counts as gone an hour later",
            ),
            (
                node(NodeDoubt::Unknown(NodeUnknown::NeverOurs)),
                "nobody knows how node n is: it is gone, and no audit has seen it as this cluster's; that its machine is off, \
                 --node-is-off says",
            ),
            (
                node(NodeDoubt::Unknown(NodeUnknown::Foreign)),
                "nobody knows how node n is: it is not known to be this cluster's",
            ),
            (
                Objection::NotOrphaned,
                "it is not proven orphaned (IPA201): an endpoint has its container, or a value does not decode",
            ),
            (Objection::Shadowed(own("/k")), "block /k names it too, and another block of the same range is in use"),
            (
                Objection::HeldNow(address(), pod(Grade::Possible)),
                "10.65.0.1 is held by pod shop/web-0 (possible): putting it back would give it to two (IPA101)",
            ),
        ],
    );
}

#[test]
fn rule_4() {
    let lacking = |audits| Lacking { audits, from: at(60) };
    says(
        Rule::Age,
        &[
            (Objection::TooYoung(lacking(2)), "it needs 2 more audits (after 1970-01-01T00:01:00Z)"),
            (Objection::TooYoung(lacking(1)), "it needs 1 more audit (after 1970-01-01T00:01:00Z)"),
            (
                Objection::TooYoungInAnyCase(lacking(3)),
                "it needs 3 more audits in any case: its id comes again, and --skip-age does not waive this (after \
                 1970-01-01T00:01:00Z)",
            ),
            (Objection::Unwatched, "no audit finds this, so its age is for you to judge"),
            (
                Objection::NoHistory(None),
                "the history has no audit of this cluster, so nobody knows how old anything is",
            ),
            (
                Objection::NoHistory(Some("/h.db".into())),
                "there is no history at /h.db yet, so nobody knows how old anything is",
            ),
        ],
    );
}

#[test]
fn rule_5() {
    let id = || own("shop/web-0");
    says(
        Rule::Again,
        &[
            (Objection::PodChanged(PodChange::MayHold), "read again right now: its pod may hold it now"),
            (Objection::PodChanged(PodChange::Anew), "read again right now: a pod of this name was created meanwhile"),
            (Objection::NotReadAgain(PodDoubt::NamesNone), "it could not be read again right now: it names no pod"),
            (
                Objection::NotReadAgain(PodDoubt::Failed("no answer".into())),
                "it could not be read again right now: no answer",
            ),
            (Objection::FilesAgain, "Kubernetes was read from files, and a release needs the live API"),
            (Objection::PodUnanswered(id(), own("503")), "pod shop/web-0 could not be read again right now: 503"),
            (Objection::PodGone(id()), "pod shop/web-0 is gone now: judge anew"),
            (Objection::PodOther(id()), "pod shop/web-0 is another one or changed meanwhile"),
            (Objection::NodeUnanswered(own("n"), own("503")), "node n could not be read again right now: 503"),
            (Objection::NodeOther(own("n")), "node n is not what it was any more"),
        ],
    );
    let unanswered = [Objection::PodUnanswered(id(), own("x")), Objection::NodeUnanswered(own("n"), own("x"))];
    assert!(unanswered.iter().all(Objection::is_unanswered) && !Objection::PodGone(id()).is_unanswered());
}

#[test]
fn rule_6() {
    let no = |obstacle| Objection::NoWayBack(block(), obstacle);
    says(
        Rule::Whole,
        &[
            (Objection::NotAll { failing: 1, all: 2 }, "1 of its 2 addresses may not be released, so none is"),
            (
                no(Obstacle::NoPool),
                "block 10.65.0.0/26 was deleted and cannot come back: no pool covers it with blocks of that size any \
                 more",
            ),
            (
                no(Obstacle::Overlapped),
                "block 10.65.0.0/26 was deleted and cannot come back: another block overlaps it",
            ),
            (no(Obstacle::Claimed), "block 10.65.0.0/26 was deleted and cannot come back: a node has claimed it"),
        ],
    );
}

#[test]
fn rule_7() {
    let way = "; it goes alone, by your word that you know what it is";
    for (special, words, way) in [
        (Special::Tunnel, "a tunnel's address", way),
        (Special::Windows, "reserved for Windows", ""),
        (Special::Reserved, "kept back by an operator's own reservation", way),
        (Special::LoadBalancer, "a LoadBalancer service's address", way),
        (Special::Machine, "a KubeVirt machine's, which keeps it while it is stopped", way),
        (Special::Cooling, "released already and cooling down", ""),
        (Special::Unattributed, "an allocation that names no owner", way),
        (Special::UnknownType, "an allocation of a type that ipaudit does not know", way),
        (Special::ForeignNode("n".into()), "of node n, which is not this cluster's or has no k8s orchRef", way),
        (Special::TwoBlocks(vec!["/a".into(), "/b".into()]), "in more than one block: /a, /b", ""),
        (
            Special::Awaited("shop".into(), "web-0".into()),
            "its predecessor's, for which pod shop/web-0 waits (IPA133)",
            way,
        ),
    ] {
        says(Rule::Never, &[(Objection::Special(special), format!("it is {words}{way}").as_str())]);
    }
    for (whose, words) in [
        (Recurring::Tunnel, "a tunnel's handle"),
        (Recurring::Machine, "a KubeVirt machine's handle"),
        (Recurring::LoadBalancer, "a LoadBalancer service's handle"),
        (Recurring::Windows, "the handle of Windows' reservations"),
        (Recurring::Other, "no container's handle (<network>.<container id>)"),
    ] {
        let words =
            format!("it is {words}, whose id comes again; it goes alone, by your word that you know what it is");
        says(Rule::Never, &[(Objection::IdComesAgain(whose), words.as_str())]);
    }
    let alone = "--i-know-what-this-is goes with exactly one --address or --handle";
    says(Rule::Never, &[(Objection::OneAtATime, alone)]);
}

#[test]
fn rules_8_and_9() {
    says(
        Rule::Transaction,
        &[
            (Objection::Uneditable(None, own("invalid")), "invalid"),
            (Objection::Uneditable(Some(block()), own("invalid")), "10.65.0.0/26: invalid"),
        ],
    );
    let changed = |hands| Objection::ChangedHands(hands);
    says(
        Rule::Recorded,
        &[
            (changed(Hands::BlockGone(block())), "changed hands: block 10.65.0.0/26 is gone"),
            (
                changed(Hands::OtherAllocation(address())),
                "changed hands: 10.65.0.1 is not the same allocation any more",
            ),
            (changed(Hands::MoreOfHandle(block())), "changed hands: the handle has another address of 10.65.0.0/26"),
            (changed(Hands::Written(own("the handle"))), "changed hands: the handle was written meanwhile"),
            (changed(Hands::TakenUp(block())), "changed hands: block 10.65.0.0/26 has an address of it now"),
            (Objection::MoreBlocks, "it names more and more blocks"),
            (Objection::WrittenOver(3), "somebody else wrote these keys 3 times meanwhile: try again later"),
            (Objection::UnderWay, "it is still under way"),
            (Objection::OutcomeUnknown, "its outcome is not known"),
            (Objection::Undone, "it was undone already"),
            (Objection::NothingBack(NothingBack::WroteNothing), "it wrote nothing"),
            (
                Objection::NothingBack(NothingBack::NoAddress),
                "no address was released: an ADD creates its handle anew, nothing is to be put back",
            ),
            (
                Objection::NothingBack(NothingBack::Unreadable(block(), own("no JSON"))),
                "block 10.65.0.0/26 as it was recorded: no JSON",
            ),
        ],
    );
}

#[test]
fn who_asked_for_a_handle_finds_it_in_the_reason() {
    let of_handle = Refusal { of_handle: Some(own("n.a")), ..Refusal::new("10.65.0.1", Objection::Unproven) };
    assert_eq!(refusal(&of_handle), "it is not proven leaked (IPA110) (handle n.a)");
}

#[test]
fn every_claimer_is_named_by_its_kind() {
    for (who, words) in [
        (Claimer::Pod("shop".into(), "a".into()), "pod shop/a"),
        (Claimer::Endpoint("shop".into(), "e".into()), "endpoint shop/e"),
        (Claimer::Service("edge".into(), "s".into()), "service edge/s"),
        (Claimer::HostEndpoint, "a host endpoint"),
        (Claimer::Handle("n.a".into()), "handle n.a"),
        (Claimer::Tunnel(Tunnel::Ipip, "n".into()), "IPIP tunnel of node n"),
    ] {
        assert_eq!(claimer(&who), words);
    }
}

#[test]
fn what_allows_a_step_is_told_once_each() {
    let leaked = |how| Ground::Leaked(Proven { pod: own("shop/a"), how });
    for (ground, words) in [
        (leaked(LeakProof::NoSuchPod), "pod shop/a does not exist (IPA110)"),
        (leaked(LeakProof::Finished(Phase::Failed)), "pod shop/a is finished (Failed) (IPA110)"),
        (leaked(LeakProof::OtherContainer), "pod shop/a has another container now (IPA110)"),
        (leaked(LeakProof::OlderThanPod), "allocated before pod shop/a was created (IPA110)"),
        (Ground::Word(None), "by the operator's word (--i-know-what-this-is): "),
        (Ground::Word(Some(Special::Tunnel)), "by the operator's word (--i-know-what-this-is): a tunnel's address"),
        (Ground::Orphaned(None), "no block has an address of it, and no endpoint has its container (IPA201)"),
        (
            Ground::Orphaned(Some(Recurring::Machine)),
            "by the operator's word (--i-know-what-this-is): a KubeVirt machine's handle; no block has an address of \
             it, and no endpoint has its container (IPA201); stop the machine first",
        ),
        (Ground::Undone(7), "release 7 is undone: the addresses are free still, and nobody holds them"),
    ] {
        assert_eq!(grounds(&[ground.clone(), ground]), words);
    }
    let both = [leaked(LeakProof::OtherContainer), leaked(LeakProof::NoSuchPod)];
    assert_eq!(grounds(&both), "pod shop/a does not exist (IPA110); pod shop/a has another container now (IPA110)");
}

#[test]
fn notes() {
    for (said, words) in [
        (Note::NoSuchHandle(own("n.a")), "n.a: no such handle, and no block has an address of it"),
        (Note::NotAllocated(address()), "10.65.0.1 is not allocated"),
        (Note::GivenBack(own("n.a"), 17), "n.a: release 17 gave it back already"),
        (
            Note::NoSuchNode(own("node-l")),
            "--node-is-off node-l: neither Calico nor Kubernetes has a node of this name",
        ),
        (Note::AllGone(own("3 orphaned handles")), "3 orphaned handles: all of them are gone or changed hands"),
        (
            Note::Restart(address(), own("shop"), own("a b"), Comeback::Controller),
            "10.65.0.1: the pod to restart is shop/a b: `kubectl -n shop delete pod 'a b'`",
        ),
        (Note::MadeBefore(own("T"), vec![]), "the plan was made at T, and is judged anew"),
        (
            Note::MadeBefore(own("T"), vec![own("--skip-age"), own("--node-is-off n")]),
            "the plan was made at T with --skip-age --node-is-off n, and is judged anew",
        ),
        (
            Note::TooNew(Code(110), 1200, Duration::from_secs(2580), Duration::from_secs(86_400)),
            "1,200 of IPA110 are too new for --older-than 24h: audits have known the oldest of them for 43m, which is what \
             it counts",
        ),
        (
            Note::TooNew(Code(110), 1, Duration::ZERO, Duration::from_secs(86_400)),
            "1 of IPA110 is too new for --older-than 24h: no audit has seen any before, which is what it counts",
        ),
        (Note::CarriedOut(17), "this plan was carried out already, as release 17"),
        (Note::NoHistoryAt(own("/h.db")), "there is no history at /h.db yet: no audit has seen anything"),
        (
            Note::LeftOut(1, own("lb-x")),
            "1 orphaned handle is left out, whose id comes again (tunnels, KubeVirt machines, LoadBalancer services, \
             very old pods); they go one at a time: `ipaudit release --handle lb-x --i-know-what-this-is`",
        ),
        (
            Note::LeftOut(12, own("lb x")),
            "12 orphaned handles are left out, whose ids come again (tunnels, KubeVirt machines, LoadBalancer services, \
             very old pods); they go one at a time: `ipaudit release --handle 'lb x' --i-know-what-this-is`; `ipaudit \
             audit --code IPA201 --all`",
        ),
    ] {
        assert_eq!(note(&said), words);
    }
}

/// What is said of one thing is the whole command, and what it waits for.
#[test]
fn what_the_operators_words_let_go_is_told_with_all_of_them() {
    let one = ByWord { address: address(), is_watched: false, waits: false, said_off: vec![], doubtful: vec![] };
    let says = |by_word: ByWord| note(&Note::AddressByWord(by_word)).raw().to_owned();
    let command = "ipaudit release --address 10.65.0.1 --i-know-what-this-is";
    let unwatched = "10.65.0.1: by your word, also for its age, which no audit watches";
    assert_eq!(says(one.clone()), format!("{unwatched}: `{command} --skip-age`"));
    let off = ByWord { said_off: vec![own("a b")], doubtful: vec![own("node-9")], ..one.clone() };
    let with = "--skip-age --node-is-off 'a b' --node-is-off node-9";
    assert_eq!(says(off), format!("{unwatched}, if node-9 is switched off: `{command} {with}`"));
    let waits = ByWord { is_watched: true, waits: true, ..one };
    assert_eq!(says(waits), format!("10.65.0.1: by your word, once audits have seen it long enough: `{command}`"));
    let orphan = Note::OrphanByWord { id: own("lb-1"), waits: false };
    assert_eq!(note(&orphan).raw(), "lb-1: by your word: `ipaudit release --handle lb-1 --i-know-what-this-is`");
}
