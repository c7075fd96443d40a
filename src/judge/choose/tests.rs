use super::*;
use crate::checks::testing::{Cluster, addr};
use crate::ledger::Ledger;
use crate::model::PastFinding;

fn with<T>(c: &mut Cluster, then: impl FnOnce(&World<'_>) -> T) -> T {
    let snapshot = c.snapshot();
    let ledger = Ledger::build(&snapshot, c.scope, c.past.as_ref());
    then(&World { snapshot: &snapshot, ledger: &ledger, past: c.past.as_ref() })
}

/// What is chosen, as text, beside the rest.
fn chosen(c: &mut Cluster, wish: &Wish) -> (Vec<String>, Chosen) {
    with(c, |world| {
        let chosen = choose(wish, world, |_| true);
        let text = |quarry: &Quarry| match quarry {
            Quarry::Handle(id) => id.text(&world.snapshot.names),
            Quarry::Address(address) => address.to_string(),
        };
        (chosen.wanted.iter().map(text).collect(), chosen)
    })
}

fn named(handles: &[&str], addresses: &[&str]) -> Wish {
    let handles = handles.iter().map(|id| (*id).to_owned()).collect();
    Wish::Named { handles, addresses: addresses.iter().map(|a| addr(a)).collect() }
}

fn found(code: Code, older_than: u64, max: usize) -> Wish {
    Wish::Found { code, older_than: Duration::from_secs(older_than), max, only: Only::default() }
}

fn subjects(chosen: &Chosen) -> Vec<&str> {
    chosen.findings.iter().map(|f| f.subject.id.raw()).collect()
}

/// web-0 and web-2 are gone.
fn leaked() -> Cluster {
    let mut c = Cluster::healthy();
    for pod in ["web-0", "web-2"] {
        c.remove_pod(pod);
        c.remove_endpoint(pod);
    }
    c
}

/// Enters what the history has first seen so many seconds ago.
fn remember(c: &mut Cluster, code: Code, kind: SubjectKind, seen: &[(&str, u64)]) {
    c.remember();
    for (id, seconds) in seen {
        let since = c.ago(*seconds);
        c.past.as_mut().unwrap().open.insert(code, kind, id, PastFinding::seen_once(since, 1, since));
    }
}

const LEAK: Code = leaked_address::CHECK.code;
const ORPHAN: Code = orphaned_handle::CHECK.code;

/// A container's id, which never comes again.
fn container(n: u8) -> String {
    format!("k8s-pod-network.{}", format!("{n:02x}").repeat(32))
}

#[test]
fn a_handle_by_name_brings_the_findings_of_its_addresses_and_no_others() {
    let id = Cluster::handle_id("shop", "web-0");
    let (wanted, chosen) = chosen(&mut leaked(), &named(&[&id], &[]));
    assert_eq!((wanted, chosen.notes.len(), chosen.beyond_max), (vec![id], 0, 0));
    assert_eq!(subjects(&chosen), ["10.65.0.1"]);
}

#[test]
fn an_address_by_name_brings_what_is_found_of_its_handle() {
    let mut c = leaked();
    let id = Cluster::handle_id("shop", "web-0");
    let attribute = c.pod_attribute(&id, "shop", "web-0", "node-1");
    c.allocate("10.65.0.9", attribute);
    let (wanted, chosen) = chosen(&mut c, &named(&[], &["10.65.0.9"]));
    assert_eq!(wanted, ["10.65.0.9"]);
    assert_eq!(subjects(&chosen), ["10.65.0.1", "10.65.0.9"]);
}

/// In which order etcd's ranges arrive is chance.
#[test]
fn handles_are_judged_by_their_ids_in_whatever_order_they_were_read() {
    let ids = [1, 5, 9].map(container);
    let mut c = leaked();
    for id in [&ids[2], &ids[0], &ids[1]] {
        HandleId::intern(&mut c.snapshot.names, id).unwrap();
    }
    let (wanted, _) = chosen(&mut c, &named(&[&ids[1], &ids[2], &ids[0]], &["10.65.0.9", "10.65.0.1"]));
    assert_eq!(wanted, [ids[0].as_str(), &ids[1], &ids[2], "10.65.0.1", "10.65.0.9"]);
}

#[test]
fn what_does_not_exist_is_told_and_the_rest_goes_on() {
    let id = Cluster::handle_id("shop", "web-2");
    let (wanted, chosen) = chosen(&mut leaked(), &named(&["no-such", &id], &["10.65.0.200"]));
    assert_eq!(wanted, [id.as_str(), "10.65.0.200"]);
    assert_eq!(chosen.notes, [Note::NoSuchHandle("no-such".into())]);
}

#[test]
fn what_is_named_twice_is_chosen_once() {
    let id = Cluster::handle_id("shop", "web-0");
    let wish = named(&[&id, &id], &["10.65.0.1", "10.65.0.1"]);
    assert_eq!((wish.named(), wish.is_bulk()), (4, false));
    assert_eq!(chosen(&mut leaked(), &wish).0, [id.as_str(), "10.65.0.1"]);
}

#[test]
fn what_is_healthy_can_be_named_and_has_no_findings() {
    let (wanted, chosen) = chosen(&mut Cluster::healthy(), &named(&[], &["10.65.0.1"]));
    assert_eq!((wanted, subjects(&chosen).len()), (vec!["10.65.0.1".to_owned()], 0));
}

#[test]
fn by_code_the_oldest_come_first_and_only_what_is_old_enough() {
    let (zero, two) = (Cluster::handle_id("shop", "web-0"), Cluster::handle_id("shop", "web-2"));
    let mut c = leaked();
    remember(&mut c, LEAK, SubjectKind::Address, &[("10.65.0.1", 100), ("10.65.0.65", 200)]);
    assert_eq!(chosen(&mut c, &found(LEAK, 0, 9)).0, [two.as_str(), &zero]);
    assert_eq!(chosen(&mut c, &found(LEAK, 101, 9)).0, [two.as_str()]);
    assert_eq!(chosen(&mut c, &found(LEAK, 200, 9)).0, [two], "just old enough");
    assert_eq!(chosen(&mut c, &found(LEAK, 201, 9)).0, Vec::<String>::new());
}

#[test]
fn by_code_nothing_goes_that_no_audit_has_seen() {
    assert!(chosen(&mut leaked(), &found(LEAK, 0, 9)).0.is_empty(), "no history");
    let mut c = leaked();
    remember(&mut c, LEAK, SubjectKind::Address, &[("10.65.0.1", 100)]);
    assert_eq!(chosen(&mut c, &found(LEAK, 0, 9)).0, [Cluster::handle_id("shop", "web-0")]);
}

/// That nothing is old enough is no all-clear.
#[test]
fn by_code_what_is_too_new_is_counted() {
    let code = leaked_address::CHECK.code;
    let (day, hour) = (Duration::from_secs(86_400), Duration::from_secs(3_600));
    let mut c = leaked();
    assert_eq!(chosen(&mut c, &found(code, 86_400, 10)).1.notes, [Note::TooNew(code, 2, Duration::ZERO, day)]);
    assert_eq!(chosen(&mut c, &found(code, 0, 10)).1.notes, [], "nobody asked for an age");
    remember(&mut c, code, SubjectKind::Address, &[("10.65.0.1", 3_600)]);
    assert_eq!(chosen(&mut c, &found(code, 86_400, 10)).1.notes, [Note::TooNew(code, 2, hour, day)]);
    assert_eq!(chosen(&mut c, &found(code, 3_600, 10)).1.notes, [Note::TooNew(code, 1, Duration::ZERO, hour)]);
}

#[test]
fn by_code_only_findings_of_that_code_count() {
    let mut c = leaked();
    remember(&mut c, LEAK, SubjectKind::Address, &[("10.65.0.1", 100)]);
    let wish = found(ORPHAN, 0, 9);
    assert!(wish.is_bulk() && wish.named() == 0);
    assert!(chosen(&mut c, &wish).0.is_empty());
}

#[test]
fn beyond_max_is_counted_and_not_looked_at_again() {
    let mut c = leaked();
    remember(&mut c, LEAK, SubjectKind::Address, &[("10.65.0.1", 100), ("10.65.0.65", 200)]);
    let (wanted, one) = chosen(&mut c, &found(LEAK, 0, 1));
    assert_eq!((wanted.len(), one.beyond_max), (1, 1));
    assert_eq!(subjects(&one), ["10.65.0.65"], "the older one");
    let (wanted, both) = chosen(&mut c, &found(LEAK, 0, 2));
    assert_eq!((wanted.len(), both.beyond_max), (2, 0));
    assert_eq!(chosen(&mut c, &found(LEAK, 0, 0)).1.beyond_max, 2);
}

#[test]
fn what_is_refused_takes_nobodys_place() {
    let mut c = leaked();
    remember(&mut c, LEAK, SubjectKind::Address, &[("10.65.0.1", 100), ("10.65.0.65", 200)]);
    let younger = Cluster::handle_id("shop", "web-0");
    with(&mut c, |world| {
        let of_younger =
            |quarry: Quarry| matches!(quarry, Quarry::Handle(id) if id.text(&world.snapshot.names) == younger);
        let one = choose(&found(LEAK, 0, 1), world, of_younger);
        assert_eq!((subjects(&one), one.beyond_max), (vec!["10.65.0.1"], 1));
        let both = choose(&found(LEAK, 0, 2), world, |_| panic!("there is place for all"));
        assert_eq!((both.wanted.len(), both.beyond_max), (2, 0));
        let none = choose(&found(LEAK, 0, 1), world, |_| false);
        assert_eq!(subjects(&none), ["10.65.0.65"], "where all are refused the oldest is told");
    });
}

#[test]
fn two_addresses_of_one_handle_are_one_thing() {
    let mut c = leaked();
    let id = Cluster::handle_id("shop", "web-0");
    let attribute = c.pod_attribute(&id, "shop", "web-0", "node-1");
    c.allocate("10.65.0.9", attribute);
    remember(&mut c, LEAK, SubjectKind::Address, &[("10.65.0.1", 100), ("10.65.0.9", 200)]);
    let (wanted, chosen) = chosen(&mut c, &found(LEAK, 0, 1));
    assert_eq!((wanted, chosen.beyond_max), (vec![id], 0));
    assert_eq!(subjects(&chosen), ["10.65.0.9", "10.65.0.1"], "both are looked at again");
}

#[test]
fn orphans_whose_id_comes_again_are_left_out_and_told() {
    let mut c = Cluster::healthy();
    let kept = container(1);
    let ids = [kept.as_str(), "vxlan-tunnel-addr-gone", "shop.ancient-0"];
    ids.iter().for_each(|id| _ = c.handle(id, &[]));
    remember(&mut c, ORPHAN, SubjectKind::Handle, &ids.map(|id| (id, 100)));
    let (wanted, chosen) = chosen(&mut c, &found(ORPHAN, 0, 9));
    assert_eq!(wanted, [kept.as_str()]);
    assert_eq!(subjects(&chosen), [kept.as_str()]);
    assert!(matches!(&chosen.notes[..], [Note::LeftOut(2, first)] if ids[1..].contains(&first.raw())), "{chosen:?}");
}

#[test]
fn the_second_look_reads_what_the_findings_rest_on_and_nothing_else() {
    let mut c = leaked();
    let (_, mut chosen) = chosen(&mut c, &named(&[&Cluster::handle_id("shop", "web-0")], &[]));
    let now = c.snapshot.now;
    let look = chosen.second_look(now);
    let pod = (c.name("shop"), c.name("web-0"));
    assert_eq!(look.pods, crate::steady::Again::These([pod].into()));
    assert!(matches!(&look.blocks, crate::steady::Again::These(blocks) if blocks.len() == 1));
    assert!(chosen.findings.is_empty(), "they are used up");
}

#[test]
fn rule_7_by_the_operators_word_one_at_a_time() {
    let said = |wish: &Wish| wish.refusals(true, 1, None).into_iter().map(|r| r.objection).collect::<Vec<_>>();
    assert_eq!((said(&named(&["a"], &[])), said(&named(&[], &["10.65.0.1"]))), (vec![], vec![]));
    assert_eq!(said(&named(&["a"], &["10.65.0.1"])), [Objection::OneAtATime]);
    assert_eq!(said(&found(LEAK, 0, 9)), [Objection::OneAtATime]);
    assert!(named(&["a", "b"], &[]).refusals(false, 1, None).is_empty());
}

#[test]
fn rule_4_by_code_nothing_goes_without_a_history() {
    let wish = found(LEAK, 0, 9);
    for absent in [None, Some("/h.db")] {
        let refused = Refusal::of_run(Objection::NoHistory(absent.map(Into::into)));
        assert_eq!(wish.refusals(false, 0, absent), [refused]);
    }
    assert!(wish.refusals(false, 1, None).is_empty() && named(&["a"], &[]).refusals(false, 0, None).is_empty());
}
