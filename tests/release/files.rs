//! A release that reads Kubernetes from files: it gives back what asks Kubernetes nothing, and of all else it says one reason.

use std::process::Command;

use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, OTHER, Run, World};

const WHY: &str = "Kubernetes was read from files, and a release needs the live API (--kubeconfig)";

fn release(world: &World, objects: &str, db: &str, args: &[&str]) -> Run {
    let mut ipaudit = Command::new(env!("CARGO_BIN_EXE_ipaudit"));
    ipaudit.env_clear().env("HOME", "/nonexistent").env("COLUMNS", "400");
    ipaudit.args(["release", "--etcd-endpoints", &world.etcd.endpoint(), "--kube-objects", objects]);
    ipaudit.arg("--db").arg(world.folder.path().join(db));
    Run::of(ipaudit.args(args).output().unwrap())
}

/// Whether that is the first line, and nothing is offered that files would refuse again.
#[track_caller]
fn says_it_once(run: &Run, first: &str) {
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(run.stdout.lines().next().unwrap(), format!("REFUSED, nothing may be released: {first}"), "{run:?}");
    for (word, times) in [("read from files", 1), ("history", 0), ("audit", 0), ("until then", 0), ("age", 0)] {
        assert_eq!(run.stdout.matches(word).count(), times, "{word}: {run:?}");
    }
}

/// Whether or not there is a history, and however old it all is.
#[test]
fn addresses_stay_for_one_reason_and_no_waiting_is_offered() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (one, address) = world.leak("gone-1", "node-1", BLOCK);
    let (two, other) = world.leak("gone-2", "node-2", OTHER);
    let objects = world.kube.save(world.folder.path());
    let plan = world.folder.path().join("plan").display().to_string();
    world.audit(1200);
    for db in ["history.db", "new.db"] {
        let run = |args: &[&str]| release(&world, &objects, db, args);
        let bulk = ["--code", "IPA110", "--older-than", "0s"];
        for more in [&[][..], &["--node", "node-1"], &["--skip-age"], &["--yes"], &["--all"]] {
            says_it_once(&run(&[&bulk, more].concat()), WHY);
        }
        let alone = format!("{address}: {WHY} (handle {})", one.handle());
        for named in [["--handle", &one.handle()], ["--address", &address]] {
            for more in [&[][..], &["--skip-age"], &["--i-know-what-this-is", "--skip-age"], &["--yes"]] {
                says_it_once(&run(&[&named, more].concat()), &alone);
            }
        }
        let both = [one.handle(), two.handle()].join(",");
        let both = run(&["--handle", &both, "--address", &other]);
        says_it_once(&both, &format!("2 cannot go: {WHY}"));
        let unwritten = run(&[&bulk[..], &["--plan-out", &plan]].concat());
        assert!(unwritten.stdout.ends_with(&format!("{plan} was not written: there is nothing to carry out\n")));
        assert_eq!((unwritten.code, unwritten.stdout.matches(WHY).count()), (1, 1), "{unwritten:?}");
        for args in [&bulk[..], &["--address", &address]] {
            let run = run(&[args, &["-o", "json"]].concat());
            let document = run.json();
            assert!(document["answer"].as_str().unwrap().contains(WHY), "{run:?}");
            assert_eq!((document["notes"].as_array().unwrap().len(), run.rules()), (0, vec![5]), "{run:?}");
            assert!(document["plan"]["refused"][0]["allowed_from"].is_null(), "{run:?}");
        }
    }
    assert!(!world.folder.path().join("new.db").exists());
}

/// A plan of addresses that somebody made with the API is refused likewise.
#[test]
fn a_plan_of_addresses_is_not_carried_out_from_files() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    let plan = world.folder.path().join("plan").display().to_string();
    assert_eq!(world.release(&["--handle", &gone.handle(), "--skip-age", "--plan-out", &plan]).code, 0);
    let objects = world.kube.save(world.folder.path());
    let run = release(&world, &objects, "history.db", &["--plan", &plan, "--yes"]);
    let first = format!("REFUSED, nothing may be released: {address}: {WHY}");
    assert!(run.code == 1 && run.stdout.starts_with(&first) && !run.stdout.contains("until then"), "{run:?}");
}

#[test]
fn an_orphaned_handle_goes_from_files_and_a_leak_beside_it_stays() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    let orphan = world.orphan("k8s-pod-network.orphan", BLOCK);
    let objects = world.kube.save(world.folder.path());
    let run = |args: &[&str]| release(&world, &objects, "history.db", args);
    let early = run(&["--code", "IPA201", "--older-than", "0s"]);
    assert!(early.stdout.contains("there is no history at ") && !early.stdout.contains("NOTE"), "{early:?}");
    assert_eq!(early.stdout.matches("history").count(), 2, "its reason, and its file's name: {early:?}");
    [1200, 600, 0].into_iter().for_each(|ago| world.audit(ago));
    let both = run(&["--handle", &orphan, "--handle", &gone.handle()]);
    assert!(both.stdout.starts_with("PLAN: release 1 orphaned handle in 1 transaction; 1 refused\n"), "{both:?}");
    let refused = format!("\nREFUSED {address}: {WHY} (handle {})\n", gone.handle());
    assert!(both.stdout.contains(&refused) && !both.stdout.contains("until then"), "{both:?}");
    let done = run(&["--code", "IPA201", "--older-than", "0s", "--yes"]);
    assert!(done.code == 0 && done.stdout.contains("DONE: 1 of 1 released"), "{done:?}");
    // The cure of an endpoint that is left would be refused too.
    let cure = run(&["--code", "IPA501"]);
    assert!(cure.code == 1 && cure.stdout.contains("a release needs the live API (--kubeconfig)"), "{cure:?}");
    assert!(!cure.stdout.contains("ipaudit release"), "{cure:?}");
}

/// What a release gave back since the last audit is open no more: the history knows.
#[test]
fn a_report_counts_nothing_that_was_given_back() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (one, address) = world.leak("gone-1", "node-1", BLOCK);
    let (_, other) = world.leak("gone-2", "node-2", OTHER);
    [1200, 600, 0].into_iter().for_each(|ago| world.audit(ago));
    let report = |args: &[&str]| {
        let mut ipaudit = Command::new(env!("CARGO_BIN_EXE_ipaudit"));
        ipaudit.env_clear().env("COLUMNS", "400").args(["report", "--code", "IPA110"]);
        Run::of(ipaudit.arg("--db").arg(world.folder.path().join("history.db")).args(args).output().unwrap())
    };
    let then = chrono::Utc::now().to_rfc3339();
    let first = |run: &Run| run.stdout.lines().next().unwrap().to_owned();
    let before = report(&[]);
    assert!(before.code == 1 && first(&before).contains("2 errors found at first"), "{before:?}");
    world.release(&["--handle", &one.handle(), "--yes", "-o", "json"]).done(1);
    let half = report(&[]);
    let says = format!("1 address was given back (release 1): {address}. Open: 1 error found");
    assert!(half.code == 1 && first(&half).starts_with(&says), "{half:?}");
    let (_, repair) = half.stdout.split_once("TO RELEASE").unwrap();
    assert!(repair.contains("1 leaked address is open"), "{half:?}");
    assert!(repair.contains(", before 1 address was given back\n"), "the pools are counted by audits: {half:?}");
    assert_eq!(half.stdout.matches("given back").count(), 2, "{half:?}");
    world.release(&["--address", &other, "--yes", "-o", "json"]).done(1);
    let all = report(&[]);
    assert_eq!(all.code, 0, "{all:?}");
    let says = "2 addresses were given back (releases 1 and 2). Nothing is open.";
    assert!(first(&all).starts_with(says), "{all:?}");
    assert!(all.stdout.contains("\nGIVEN BACK  by a release since") && !all.stdout.contains("TO RELEASE"), "{all:?}");
    let document = report(&["-o", "json"]).json();
    let findings = document["clusters"][0]["findings"].as_array().unwrap().clone();
    assert!(findings.len() == 2 && findings.iter().all(|finding| finding["given_back"] == true), "{findings:?}");
    // Of a time before the release nothing has changed.
    let past = report(&["--until", &then]);
    assert!(past.code == 1 && first(&past).contains("2 errors found at first"), "{past:?}");
    // An undo opens it again, and the next audit ends what stays given back.
    world.undo(1, &["--yes"]);
    assert!(first(&report(&[])).contains("Open: 1 error found"), "{:?}", report(&[]));
    world.audit(0);
    let after = report(&[]);
    assert!(first(&after).contains("1 released by us") && !first(&after).contains("given back"), "{after:?}");
}
