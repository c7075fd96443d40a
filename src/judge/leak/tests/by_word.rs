//! Rule 7, and who may hold an address before he shows it: what the operator's word lets go, and what it does not.

use super::*;

#[test]
fn rule_7_what_is_special_goes_alone_and_by_the_operators_word() {
    let mut c = Cluster::healthy();
    let handle = crate::model::HandleId::intern(&mut c.snapshot.names, "by-hand");
    c.allocate("10.65.0.9", AttributeFields { handle, ..AttributeFields::default() });
    c.handle("by-hand", &["10.65.0.9"]);
    let mut scene = Scene::of(c);
    let refused = scene.refused(&["10.65.0.9"]);
    assert!(refused.contains(&("10.65.0.9".to_owned(), Objection::Special(Special::Unattributed))), "{refused:?}");
    (scene.word.knows, scene.word.skip_age) = (true, true);
    let candidate = scene.passes(&["10.65.0.9"]);
    assert_eq!(candidate.grounds, [Ground::Word(Some(Special::Unattributed))]);
    let Work::Release(target) = candidate.work else { panic!("no release") };
    assert_eq!((target.extent, target.handle.as_deref()), (Extent::One, Some("by-hand")));
    // The word is for the address that was named: by its handle it stays.
    let refused = scene.refused(&["by-hand"]);
    assert!(refused.iter().any(|(_, o)| matches!(o, Objection::Special(_))), "{refused:?}");
}

/// A stopped machine keeps its address: no audit finds it, so its age is the operator's to judge.
#[test]
fn rule_7_no_audit_watches_what_it_does_not_find() {
    let mut c = Cluster::healthy();
    let handle = HandleId::intern(&mut c.snapshot.names, "k8s-pod-network.vmi.shop.fedora");
    let owner = Owner { namespace: c.name("shop"), vmi: c.name("fedora"), node: c.name("node-1"), ..Owner::default() };
    c.allocate("10.65.0.9", AttributeFields { handle, owner, ..AttributeFields::default() });
    let mut scene = Scene::of(c);
    (scene.word.knows, scene.memory.seen) = (true, None);
    let refused = scene.refused(&["10.65.0.9"]);
    assert!(refused.contains(&("10.65.0.9".to_owned(), Objection::Unwatched)), "{refused:?}");
}

/// Who gives the word is not refused for a reason that stood before: what it does not waive comes first, and its command
/// is told only where nothing else stands against it.
#[test]
fn rule_7_what_the_word_does_not_waive_comes_first() {
    let judged = |held: bool, knows: bool, skip_age: bool| {
        let mut c = Cluster::healthy();
        c.allocate("10.65.0.9", AttributeFields::default());
        if held {
            c.pod("shop", "web-9", "node-1", &["10.65.0.9"]);
        }
        let mut scene = Scene::of(c);
        (scene.word.knows, scene.word.skip_age, scene.memory.seen) = (knows, skip_age, None);
        let (plan, _) = scene.judge(&["10.65.0.9"]);
        (plan.refusals.into_iter().map(|r| r.objection).collect::<Vec<_>>(), plan.notes)
    };
    let note = vec![Note::AddressByWord(ByWord {
        address: addr("10.65.0.9"),
        is_watched: true,
        waits: true,
        said_off: vec![],
        doubtful: vec![],
    })];
    let (free, notes) = judged(false, false, false);
    assert!(matches!(free.as_slice(), [Objection::TooYoung(_), Objection::Special(_), ..]), "{free:?}");
    assert_eq!(notes, note);
    // Who has said it has nothing to do but wait.
    let (young, notes) = judged(false, true, false);
    assert!(matches!(young.as_slice(), [Objection::TooYoung(_)]) && notes.is_empty(), "{young:?} {notes:?}");
    assert_eq!(judged(false, true, true), (vec![], vec![]));
    for (knows, skip_age) in [(false, false), (true, false), (true, true)] {
        let (held, notes) = judged(true, knows, skip_age);
        assert!(matches!(held.as_slice(), [Objection::Held(_), ..]), "{held:?}");
        assert_eq!(notes, [], "{knows} {skip_age}");
    }
}

/// Of a handle with several addresses only the one that was asked for is told with its command.
#[test]
fn rule_7_who_asks_for_one_address_is_told_of_no_other() {
    let mut c = Cluster::healthy();
    let handle = HandleId::intern(&mut c.snapshot.names, "by-hand");
    for address in ["10.65.0.8", "10.65.0.9", "10.65.0.10"] {
        c.allocate(address, AttributeFields { handle, ..AttributeFields::default() });
    }
    c.handle("by-hand", &["10.65.0.8"]);
    let mut scene = Scene::of(c);
    scene.memory.seen = None;
    let (plan, _) = scene.judge(&["10.65.0.9"]);
    let told = plan.notes.iter().map(|note| match note {
        Note::AddressByWord(by_word) => by_word.address,
        other => panic!("{other:?}"),
    });
    assert_eq!(told.collect::<Vec<_>>(), [addr("10.65.0.9")]);
    let subjects = plan.refusals.iter().map(|refusal| refusal.subject.raw());
    assert!(
        plan.refusals.len() > 1 && subjects.clone().all(|s| s == "10.65.0.9"),
        "{:?}",
        subjects.collect::<Vec<_>>()
    );
}

/// Who has a right to an address and does not show it yet: a service whose status is empty, a machine's pod that starts.
#[test]
fn rule_3_who_is_about_to_show_the_address_may_hold_it() {
    let held = |c: Cluster, address: &str| {
        let mut scene = Scene::of(c);
        (scene.word.knows, scene.word.skip_age) = (true, true);
        let (plan, _) = scene.judge(&[address]);
        plan.refusals.into_iter().find_map(|r| match r.objection {
            Objection::Held(HolderNow { who, grade }) => Some((who, grade)),
            _ => None,
        })
    };
    let service = |shown: &str, managed: bool| {
        let mut c = Cluster::healthy();
        c.pool("services", "10.77.3.0/28").load_balancers = true;
        c.block("10.77.3.0/28", None);
        c.service("shop", "lb", shown);
        if !managed {
            c.snapshot.services.last_mut().unwrap().deleting = Some(c.snapshot.now);
        }
        let uid = c.snapshot.services[0].uid.text(&c.snapshot.names);
        let handle = leaked_service_address::load_balancer_handle("lb", "shop", &uid);
        let owner = Owner {
            namespace: c.name("shop"),
            service: c.name("lb"),
            kind: c.name("LoadBalancer"),
            ..Owner::default()
        };
        let handle = HandleId::intern(&mut c.snapshot.names, &handle);
        c.allocate("10.77.3.5", AttributeFields { handle, owner, ..AttributeFields::default() });
        c.snapshot.services[0].ingress = [].into();
        c
    };
    let its = Some((Claimer::Service("shop".into(), "lb".into()), Grade::Possible));
    assert_eq!(held(service("10.77.3.5", true), "10.77.3.5"), its);
    assert_eq!(held(service("10.77.3.5", false), "10.77.3.5"), None, "one that is being deleted");
    let machine = |phase: Phase| {
        let mut c = Cluster::healthy();
        let vmi = c.name("fedora");
        let handle = HandleId::intern(&mut c.snapshot.names, "k8s-pod-network.vmi.shop.fedora");
        let owner = Owner { namespace: c.name("shop"), vmi, node: c.name("node-1"), ..Owner::default() };
        c.allocate("10.65.0.9", AttributeFields { handle, owner, ..AttributeFields::default() });
        let mut pod = c.pod("shop", "virt-launcher-fedora-x", "node-2", &[]);
        (pod.vmi, pod.phase, pod.ready) = (vmi, phase, false);
        drop(pod);
        c
    };
    let starting = Some((Claimer::Pod("shop".into(), "virt-launcher-fedora-x".into()), Grade::Possible));
    assert_eq!(held(machine(Phase::Pending), "10.65.0.9"), starting);
    assert_eq!(held(machine(Phase::Succeeded), "10.65.0.9"), None);
}

/// A handle without a network is a container's id as a whole: its endpoint is an obstacle as any other.
#[test]
fn rule_3_an_endpoint_of_a_container_without_a_network_is_an_obstacle() {
    for id in ["k8s-pod-network.c0ffee", "c0ffee"] {
        let mut c = Cluster::healthy();
        let handle = HandleId::intern(&mut c.snapshot.names, id);
        c.allocate("10.65.0.9", AttributeFields { handle, ..AttributeFields::default() });
        c.pod("shop", "web-9", "node-1", &["10.65.0.10"]);
        c.endpoint("shop", "web-9", "node-1", "c0ffee", &["10.65.0.10"]);
        let mut scene = Scene::of(c);
        (scene.word.knows, scene.word.skip_age) = (true, true);
        let (plan, _) = scene.judge(&["10.65.0.9"]);
        let is_of_endpoint = |r: &Refusal| matches!(r.objection, Objection::EndpointHas(_));
        assert!(plan.refusals.iter().any(is_of_endpoint), "{id}: {:?}", plan.refusals);
    }
}

#[test]
fn rule_7_the_word_changes_nothing_for_an_ordinary_address() {
    let mut scene = Scene::leaked();
    scene.word.knows = true;
    let Work::Release(target) = scene.passes(&[LEAKED]).work else { panic!("no release") };
    assert_eq!(target.extent, Extent::Whole);
}

#[test]
fn rule_7_what_cools_down_stays_even_by_the_word() {
    let mut scene = Scene::leaked();
    let now = scene.c.snapshot.now;
    scene.c.attribute_mut(LEAKED).released_at = Some(now);
    (scene.word.knows, scene.word.skip_age) = (true, true);
    let refused = scene.refused(&[LEAKED]);
    assert!(refused.contains(&(LEAKED.to_owned(), Objection::Special(Special::Cooling))), "{refused:?}");
}

// ---- orphaned handles ----
