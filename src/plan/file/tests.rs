use super::super::confirm::PlanStep;
use super::super::fresh::Decision;
use super::super::orphans::Orphan;
use super::super::testing::{Store, cidr};
use super::*;
use crate::model::Time;

const BLOCK: &str = "10.65.0.0/30";

fn bound() -> Bound {
    Bound { guid: "guid-1".into(), kubernetes: vec!["uid-1".into(), "uid-2".into()], etcd: "7".into(), revision: 100 }
}

/// A plan for one orphan, its file, and the datastore.
fn made() -> (Plan, PlanFile, Store) {
    let mut store = Store::new();
    store.block(BLOCK, "\"host:n\"", [None; 4]);
    let (key, mod_revision) = store.handle("n.a", &[BLOCK]);
    let orphan = Orphan { id: "n.a".into(), key: key.into_bytes(), mod_revision, blocks: vec![cidr(BLOCK)] };
    let work = Work::Orphans(vec![orphan]);
    let Decision::Write(shown) = work.decide(&store.fresh, Time(0)).decision else { panic!("nothing to write") };
    let step =
        PlanStep { work, grounds: Vec::new(), holders: Vec::new(), again: Vec::new(), sandboxes: Vec::new(), shown };
    let plan = Plan { steps: vec![step], ..Plan::default() };
    let asked = Answered { bulk: true, ..Answered::default() };
    let file = PlanFile::of(&plan, "2026-11-29T23:00:00Z".into(), "ipaudit 0".into(), bound(), asked);
    (plan, file, store)
}

#[test]
fn a_file_comes_back_as_it_was_made_and_fits_its_plan() {
    let (plan, file, store) = made();
    let read = PlanFile::read(&file.text().unwrap()).unwrap();
    assert_eq!((&read, read.asked.handles.as_slice(), read.asked.bulk), (&file, &["n.a".to_owned()][..], true));
    assert_eq!((read.moved(&store.fresh), read.differs(&plan), read.of_another(&bound())), (vec![], vec![], None));
    assert_eq!((read.keys().len(), read.digest().len()), (plan.steps[0].shown.changes().len(), 64));
}

#[test]
fn damage_and_edits_are_told() {
    let (_, file, _) = made();
    let text = String::from_utf8(file.text().unwrap()).unwrap();
    let refused = |text: &str| PlanFile::read(text.as_bytes()).unwrap_err();
    for (from, to) in [("\"bulk\": true", "\"bulk\": false"), ("n.a", "n.b"), ("guid-1", "guid-2"), ("100", "101")] {
        assert!(text.contains(from));
        let words = refused(&text.replace(from, to));
        assert!(words.starts_with("it was damaged or edited since it was made"), "{words}");
    }
    assert!(refused(&text.replace("\"asked\"", "\"more\": 1, \"asked\"")).contains("unknown field"));
    assert_eq!(refused("[]"), "it is no plan of ipaudit: no JSON object");
    assert!(refused("{\"schema\":\"ipaudit/plan/v9\"}").contains("it is of version ipaudit/plan/v9"));
    assert!(refused("{\"schema\":\"ipaudit/audit/v1\"}").contains("no plan of a release but ipaudit/audit/v1"));
    for cut in 0..text.len() {
        if text.is_char_boundary(cut) && cut + 1 < text.len() {
            assert!(PlanFile::read(&text.as_bytes()[..cut]).is_err(), "{cut}");
        }
    }
}

#[test]
fn what_moved_is_told_key_by_key() {
    let (plan, file, mut store) = made();
    store.handle("n.a", &[BLOCK]);
    let moved = file.moved(&store.fresh);
    let [Refusal { objection: Objection::Drifted(Drift::Written { then, now }), .. }] = moved.as_slice() else {
        panic!("{moved:?}")
    };
    assert!(then < now);
    let keys = file.keys();
    let gone = file.moved(&keys.iter().map(|key| (key.clone(), None)).collect());
    assert!(gone.len() == keys.len() && gone.iter().all(|r| r.objection == Objection::Drifted(Drift::Gone)));
    let nothing = file.differs(&Plan::default());
    assert!(nothing.len() == keys.len() && nothing.iter().all(|r| r.objection == Objection::Drifted(Drift::Less)));
    let (mut other, _, _) = made();
    other.steps.extend(plan.steps);
    assert_eq!(file.differs(&other), [], "the same transaction");
    // The same keys, and something else of them: another address of the block, say.
    let Work::Orphans(batch) = &mut other.steps[1].work else { panic!() };
    batch[0].id = "n.b".to_owned();
    assert_eq!(file.differs(&other), [Refusal::new("n.b", Objection::Drifted(Drift::More))]);
}

#[test]
fn keys_of_no_release_and_doubled_ones_are_damage_whatever_the_digest_says() {
    let refused = |edit: &dyn Fn(&mut Vec<FiledStep>)| {
        let (_, mut file, _) = made();
        edit(&mut file.steps);
        file.digest = file.computed();
        PlanFile::read(&file.text().unwrap()).unwrap_err()
    };
    for key in ["", "/", "/registry/secrets/a", "/calico/ipam/v2/handle/", "/calico/ipam/v2/config"] {
        let words = refused(&|steps| steps[0].keys[0].key = key.to_owned());
        assert!(words.ends_with("no release has such keys as those of n.a"), "{key:?}: {words}");
    }
    type Edit<'e> = &'e dyn Fn(&mut Vec<FiledStep>);
    let not_sound: [Edit<'_>; 4] = [
        &|steps| steps[0].keys.clear(),
        &|steps| steps[0].keys[0].key_bytes = Some(String::new()),
        &|steps| steps[0].keys.extend_from_within(..),
        &|steps| {
            let key = steps[0].keys[0].clone();
            let many = |n| FiledKey { key: format!("/calico/ipam/v2/handle/{n}"), ..key.clone() };
            steps[0].keys = (0..=OPERATIONS).map(many).collect();
        },
    ];
    for (n, edit) in not_sound.iter().enumerate() {
        assert!(refused(edit).contains("no release has such keys"), "{n}");
    }
    assert!(refused(&|steps| steps.extend_from_within(..)).ends_with("a transaction stands in it twice"));
}

#[test]
fn a_plan_is_told_from_other_files() {
    let (_, file, _) = made();
    assert!(PlanFile::is_one(&file.text().unwrap()) && PlanFile::is_one(br#"{"schema": "ipaudit/plan/v9"}"#));
    for other in ["", "SQLite format 3", "{}", "[]", r#"{"schema": "ipaudit/audit/v1"}"#] {
        assert!(!PlanFile::is_one(other.as_bytes()), "{other}");
    }
}

#[test]
fn another_datastore_another_cluster_and_an_older_revision_are_another() {
    let (_, file, _) = made();
    for (other, what) in [
        (Bound { guid: "guid-2".into(), ..bound() }, "datastore guid-1, and this is guid-2"),
        (Bound { kubernetes: vec![], ..bound() }, "Kubernetes cluster uid-1, and this is an unknown one"),
        (Bound { etcd: "8".into(), ..bound() }, "etcd cluster 7, and this is 8"),
        (Bound { revision: 99, ..bound() }, "etcd's revision 100, and this is 99"),
    ] {
        assert_eq!(file.of_another(&other), Some(Objection::PlanOfAnother(what.into())));
    }
    let one_name = vec!["uid-2".to_owned()];
    assert_eq!(file.of_another(&Bound { revision: 101, kubernetes: one_name, ..bound() }), None);
}

#[test]
fn keys_that_are_no_text_come_back() {
    assert_eq!(unhex(&hex(b"/calico/\xff")), Some(b"/calico/\xff".to_vec()));
    assert_eq!((unhex("0"), unhex("xx"), unhex("0é")), (None, None, None));
}
