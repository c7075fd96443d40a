//! `--plan-out` and `--plan`: one makes a plan, another one carries it out, and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::calico::{address_of, block_key, handle_key, ordinals_of};
use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, OTHER, Run, World};

/// An address of node-1's block that nobody has.
const FREE: &str = "10.65.0.60";

/// Two leaks and an orphan on one cluster, and the plan of the three.
struct Two {
    world: World,
    handles: Vec<String>,
    file: PathBuf,
}

impl Two {
    fn new(version: EtcdVersion) -> Two {
        let world = World::new(version);
        let mut handles =
            vec![world.leak("a", "node-1", BLOCK).0.handle(), world.leak("b", "node-2", OTHER).0.handle()];
        handles.push(world.orphan("k8s-pod-network.gone", BLOCK));
        let file = world.folder.path().join("plan of friday.json");
        let two = Two { world, handles, file };
        let made = two.make(&[]);
        assert_eq!(made.code, 0, "{made:?}");
        two
    }

    fn make(&self, more: &[&str]) -> Run {
        let (handles, file) = (self.handles.join(","), self.file.display().to_string());
        let usual = ["--handle", &handles, "--skip-age", "--plan-out", &file];
        self.world.release(&usual.iter().chain(more).copied().collect::<Vec<_>>())
    }

    fn carry_out(&self, more: &[&str]) -> Run {
        let file = self.file.display().to_string();
        let usual = ["--plan", &file, "-o", "json"];
        self.world.release(&usual.iter().chain(more).copied().collect::<Vec<_>>())
    }

    fn everything(&self) -> Vec<String> {
        self.handles.iter().filter(|handle| self.world.value(&handle_key(handle)).is_some()).cloned().collect()
    }

    /// Refused as a whole, with nothing written; what was told of these keys.
    #[track_caller]
    fn refused(&self, run: &Run) -> Vec<(String, String)> {
        let document = run.json();
        assert_eq!((run.code, document["release"].is_null()), (1, true), "{run:?}");
        assert_eq!(document["plan"]["steps"].as_array().unwrap().len(), 0, "as a whole: {run:?}");
        let refused = document["plan"]["refused"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        refused.map(|r| (text(&r["subject"]), text(&r["words"]))).collect()
    }
}

#[test]
fn one_makes_it_and_another_one_carries_it_out() {
    servers::need!(Etcd3_4, Etcd3_7);
    for version in [EtcdVersion::V3_4, EtcdVersion::V3_7] {
        let two = Two::new(version);
        let before = two.world.etcd.list("/calico");
        let made = two.make(&[]);
        assert!(
            made.stdout.starts_with("PLAN: release 2 addresses of 2 handles and 1 orphaned handle in 3 transactions")
        );
        let command = format!("ipaudit release --plan '{}'", two.file.display());
        // All that is told of it is the answer, and on a line of its own the command.
        assert!(made.stdout.lines().any(|line| line == command) && !made.stderr.contains("digest"), "{made:?}");
        assert!(made.stdout.contains("nothing was written to etcd; the plan is in a file (digest "), "{made:?}");
        let left_out = "The command leaves out how this run was connected: --etcd-endpoints, ";
        assert!(made.stdout.lines().any(|line| line.starts_with(left_out)), "{made:?}");
        let mode = std::fs::metadata(&two.file).unwrap().permissions().mode();
        assert_eq!(
            (mode & 0o777, std::fs::read_dir(two.world.folder.path()).unwrap().count()),
            (0o600, 2),
            "no remains"
        );
        // It still wants a yes, and nobody needs to know how it was made.
        let dry = two.carry_out(&[]);
        assert_eq!((dry.code, two.world.etcd.list("/calico")), (0, before), "{dry:?}");
        assert!(dry.json()["notes"][0].as_str().unwrap().ends_with(" with --skip-age, and is judged anew"), "{dry:?}");
        two.carry_out(&["--yes"]).done(3);
        assert!(two.everything().is_empty());
        assert!(ordinals_of(&two.world.value(&block_key(BLOCK)).unwrap(), &two.handles[0]).is_empty());

        // Twice: refused as a whole, and told by which release it was carried out.
        let twice = two.carry_out(&["--yes"]);
        let refused = two.refused(&twice);
        let gone = refused.iter().filter(|(_, words)| words.ends_with("it is gone")).map(|(key, _)| key.as_str());
        let gone: Vec<&str> = gone.filter(|key| key.contains("/ipam/v2/handle/")).collect();
        assert_eq!(gone.len(), 3, "{refused:?}");
        let words = "this plan was carried out already, as release 1";
        assert_eq!(twice.json()["notes"][0], words, "{twice:?}");
        let table = two.world.release(&["--plan", &two.file.display().to_string(), "--yes"]);
        let first = format!("REFUSED, nothing may be released: {words}");
        assert!(table.stdout.starts_with(&first) && table.stdout.matches(words).count() == 1, "{table:?}");
    }
}

#[test]
fn what_moves_in_between_refuses_it_as_a_whole_and_is_told() {
    servers::need!(Etcd3_7);
    let two = Two::new(EtcdVersion::V3_7);
    // Somebody takes an address of one block.
    two.world.live("new", "node-1", BLOCK);
    let refused = two.refused(&two.carry_out(&["--yes"]));
    let [(key, words)] = refused.as_slice() else { panic!("{refused:?}") };
    assert_eq!(*key, block_key(BLOCK));
    let told = "it is not as it was when the plan was made: its mod revision was ";
    assert!(words.starts_with(told), "{words}");
    assert_eq!(two.everything().len(), 3);
    let file = two.file.display().to_string();
    let table = two.world.release(&["--plan", &file, "--yes"]);
    let first = format!("REFUSED, nothing may be released: {}: {told}", block_key(BLOCK));
    assert!(table.stdout.starts_with(&first), "{table:?}");

    // A plan that is made anew goes.
    two.make(&[]);
    two.carry_out(&["--yes"]).done(3);
}

#[test]
fn all_rules_stand_when_a_plan_is_carried_out() {
    servers::need!(Etcd3_7);
    let two = Two::new(EtcdVersion::V3_7);
    // No key of etcd moves, and the pod lives again with its address.
    two.world.kube.pod("shop", "a", "node-1", &[&address_of(BLOCK, 1)]);
    let run = two.carry_out(&["--yes"]);
    assert!(run.rules().contains(&3), "{run:?}");
    two.refused(&run);
    two.world.kube.remove_pod("shop", "a");
    two.world.kube.node("node-1", "192.168.0.1", false);
    let run = two.carry_out(&["--yes"]);
    assert!(run.rules().contains(&3), "{run:?}");
    let refused = two.refused(&run);
    assert!(!refused.is_empty() && refused.iter().all(|(_, words)| words.contains("node-1")), "{refused:?}");
    assert_eq!(two.everything().len(), 3);
    two.world.lock(Some(false));
    assert_eq!(two.carry_out(&["--yes"]).code, 1);
    assert_eq!(two.everything().len(), 3);
}

#[test]
fn a_plan_is_for_its_datastore_and_its_cluster() {
    servers::need!(Etcd3_7);
    let (two, other) = (Two::new(EtcdVersion::V3_7), Two::new(EtcdVersion::V3_7));
    let file = two.file.display().to_string();
    // The same names everywhere: etcd's own id tells them apart.
    let run = other.world.release(&["--plan", &file, "--yes", "-o", "json"]);
    let refused = other.refused(&run);
    assert!(refused.len() == 1 && refused[0].1.starts_with("the plan was made for etcd cluster "), "{refused:?}");
    let guid = serde_json::json!({"clusterGUID": "guid-2", "calicoVersion": "v3.29.1", "datastoreReady": true});
    two.world.resource("clusterinformations/default", guid);
    let refused = two.refused(&two.carry_out(&["--yes"]));
    assert_eq!(refused, [("run".to_owned(), "the plan was made for datastore guid-1, and this is guid-2".to_owned())]);
    assert_eq!((two.everything().len(), other.everything().len()), (3, 3));
}

#[test]
fn a_damaged_file_and_another_word_are_no_plan() {
    servers::need!(Etcd3_7);
    let two = Two::new(EtcdVersion::V3_7);
    let whole = std::fs::read_to_string(&two.file).unwrap();
    let edited = whole.replace("\"knows\": false", "\"knows\": true");
    let shorter = &whole[..whole.len() / 2];
    for (text, why) in
        [(edited.as_str(), "its digest does not fit"), (shorter, "no plan of ipaudit"), ("", "the file is empty")]
    {
        std::fs::write(&two.file, text).unwrap();
        let run = two.carry_out(&["--yes"]);
        assert!(run.code == 2 && run.stdout.is_empty() && run.stderr.contains(why), "{why}: {run:?}");
    }
    // Nobody answers for more than the plan's maker did.
    std::fs::write(&two.file, &whole).unwrap();
    let run = two.carry_out(&["--yes", "--node-is-off", "node-1"]);
    assert!(run.code == 2 && run.stderr.contains("it was made without --node-is-off"), "{run:?}");
    let file = two.file.display().to_string();
    for args in [
        &["--plan", &file, "--handle", "x"][..],
        &["--plan", &file, "--plan-out", &file],
        &["--handle", "x", "--plan-out", &file, "--yes"],
        &["--plan", "/nonexistent"],
    ] {
        let run = two.world.release(args);
        assert!(run.code == 2 && run.stdout.is_empty(), "{args:?} {run:?}");
    }
    assert_eq!((two.everything().len(), std::fs::read_to_string(&two.file).unwrap()), (3, whole));
    // What is no plan is never replaced, and told before anything is read.
    let history = two.world.folder.path().join("history.db").display().to_string();
    let run = two.world.release(&["--handle", "x", "--plan-out", &history]);
    assert!(run.code == 2 && run.stderr.contains("that is the history's own file"), "{run:?}");
    // Nothing to do makes no file.
    let nothing = two.world.folder.path().join("nothing");
    let run = two.world.release(&["--address", FREE, "--plan-out", &nothing.display().to_string()]);
    assert!(run.code == 0 && !nothing.exists() && run.stdout.contains("nothing to carry out"), "{run:?}");
}

/// `--plan-out -`: the plan is standard output, every word about it standard error.
#[test]
fn a_plan_on_standard_output_is_nothing_but_the_plan() {
    servers::need!(Etcd3_7);
    let two = Two::new(EtcdVersion::V3_7);
    let handles = two.handles.join(",");
    let usual = ["--handle", &handles, "--skip-age", "--plan-out", "-"];
    let run = two.world.release(&usual);
    assert_eq!(run.code, 0, "{run:?}");
    let plan: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(plan["schema"], "ipaudit/plan/v1");
    let made = plan["made"].as_str().unwrap();
    assert!(made.len() == "2026-11-24T12:12:51Z".len() && made.ends_with('Z'), "whole seconds: {made}");
    for words in
        ["PLAN: release 2 addresses of 2 handles", "the plan is on standard output (digest ", "release --plan FILE"]
    {
        assert!(run.stderr.contains(words), "{words}: {run:?}");
    }
    std::fs::write(&two.file, &run.stdout).unwrap();
    let carried = two.carry_out(&["--yes"]);
    assert_eq!((carried.code, two.everything().len()), (0, 0), "{carried:?}");
    let both = two.world.release(&[&usual[..], &["-o", "json"]].concat());
    assert!(both.code == 2 && both.stdout.is_empty() && both.stderr.contains("drop -o json"), "{both:?}");
    let nothing = two.world.release(&["--address", FREE, "--plan-out", "-"]);
    assert!(nothing.code == 0 && nothing.stdout.is_empty(), "{nothing:?}");
    assert!(nothing.stderr.contains("the plan was not written: there is nothing to carry out"), "{nothing:?}");
}
