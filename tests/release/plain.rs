//! One release at a time, against both ends of what etcd clusters run.

use serde_json::json;

use super::calico::{Workload, address_of, block_key, handle_key, ordinals_of};
use super::servers::{self, EtcdVersion, block_on};
use super::world::{BLOCK, OTHER, Run, V6, World};

fn on_both(test: impl Fn(World)) {
    test(World::new(EtcdVersion::V3_4));
    test(World::new(EtcdVersion::V3_7));
}

#[test]
fn a_leak_goes_with_its_endpoint_and_its_handle_and_unknown_fields_stay() {
    servers::need!(Etcd3_4, Etcd3_7);
    on_both(|world| {
        let (gone, address) = world.leak("gone", "node-1", BLOCK);
        // Invented fields, odd order, blanks, numbers above 2^53.
        let odd = world.text(&block_key(BLOCK)).unwrap();
        let odd = odd.replacen('{', "{ \"future\" : {\"n\":18446744073709551615,\"f\":1e400} ,\n", 1);
        let odd = odd.replace("\"secondary\":{", "\"later\":[1, {}],\"secondary\":{\"x\\u0074ra\":\"\\u00e4\",");
        world.etcd.put(block_key(BLOCK), odd.clone());
        let dry = world.release(&["--handle", &gone.handle(), "--skip-age"]);
        assert_eq!(dry.code, 0, "{dry:?}");
        let first = dry.stdout.lines().next().unwrap();
        assert_eq!(first, "PLAN: release 1 address of 1 handle in 1 transaction", "the answer comes first");
        assert!(dry.stdout.contains("pod shop/gone does not exist (IPA110)") && dry.stdout.contains("unallocated["));
        assert_eq!(world.text(&block_key(BLOCK)).unwrap(), odd, "dry by default");

        world.force(&["--handle", &gone.handle()]).done(1);
        assert_eq!(world.value(&handle_key(&gone.handle())), None);
        assert_eq!(world.value(&gone.endpoint_key()), None);
        let text = world.text(&block_key(BLOCK)).unwrap();
        assert!(text.starts_with("{ \"future\" : {\"n\":18446744073709551615,\"f\":1e400} ,\n"), "{text}");
        assert!(text.contains("\"later\":[1, {}],\"secondary\":{\"x\\u0074ra\":\"\\u00e4\""), "the neighbour's");
        let queue = text.split("\"unallocated\":[").nth(1).unwrap().split(']').next().unwrap();
        assert!(queue.ends_with(",1") && address == address_of(BLOCK, 1), "at the queue's tail: {queue}");
        assert!(text.contains("\"sequenceNumber\":1700000000000000003"), "{text}");
        let again = world.force(&["--handle", &gone.handle()]);
        assert_eq!(again.code, 0, "nothing to do: {again:?}");
        let told = format!("{}: release 1 gave it back already", gone.handle());
        assert!(again.stdout.contains(&told), "{again:?}");
    });
}

/// What is ignored, or called harmless, hides nothing from the judgement of a release.
#[test]
fn settings_that_are_found_have_no_say() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("ipaudit")).unwrap();
    let settings = "ignore = [\"IPA110\", \"IPA501\", \"IPA120\"]\n[severity]\nIPA110 = \"note\"\n";
    std::fs::write(home.path().join("ipaudit/settings.toml"), settings).unwrap();
    let plan = |args: &[&str]| {
        let mut command = world.command("release", &world.etcd.endpoint());
        Run::of(command.args(args).args(["-o", "json"]).env("XDG_CONFIG_HOME", home.path()).output().unwrap())
    };
    let run = plan(&["--handle", &gone.handle(), "--skip-age", "--yes"]);
    run.done(1);
    // A live pod's address stays as safe.
    let (_, held) = world.live("held", "node-1", BLOCK);
    assert_ne!(plan(&["--address", &held, "--skip-age", "--yes"]).code, 0, "{held} {address}");
}

#[test]
fn the_cooldown_form() {
    servers::need!(Etcd3_4, Etcd3_7);
    on_both(|world| {
        world.etcd.put("/calico/ipam/v2/config", r#"{"auto_allocate_blocks":true,"ipCooldownSeconds":300}"#);
        let (gone, _) = world.leak("gone", "node-1", BLOCK);
        world.force(&["--address", &address_of(BLOCK, 1)]).done(1);
        let block = world.value(&block_key(BLOCK)).unwrap();
        let index = block["allocations"][1].as_u64().unwrap() as usize;
        let attribute = block["attributes"][index].as_object().unwrap();
        assert_eq!(attribute.keys().collect::<Vec<_>>(), ["releasedAt"]);
        assert_eq!(block["sequenceNumberForAllocation"]["1"], json!(1_700_000_000_000_000_002_u64));
        assert_eq!(world.value(&handle_key(&gone.handle())), None);
        world.force(&["--address", &address_of(BLOCK, 1)]).refused(7);
    });
}

#[test]
fn a_dual_stack_handle_across_two_blocks() {
    servers::need!(Etcd3_4, Etcd3_7);
    on_both(|world| {
        let gone = Workload::new("gone", "node-1");
        let mut calico = world.calico();
        let addresses = block_on(async { [calico.add(&gone, BLOCK).await, calico.add(&gone, V6).await] });
        block_on(calico.wire(&gone, &[&addresses[0], &addresses[1]]));
        let run = world.force(&["--handle", &gone.handle()]);
        run.done(1);
        assert_eq!(run.json()["outcome"]["transactions"], 1);
        for cidr in [BLOCK, V6] {
            assert!(ordinals_of(&world.value(&block_key(cidr)).unwrap(), &gone.handle()).is_empty());
        }
        assert_eq!(world.value(&handle_key(&gone.handle())), None);
    });
}

#[test]
fn an_empty_block_of_nobody_is_deleted() {
    servers::need!(Etcd3_4, Etcd3_7);
    on_both(|world| {
        let cidr = "10.65.1.0/26";
        world.etcd.put(block_key(cidr), super::calico::empty_block(cidr, None, 64).to_string());
        let (gone, _) = world.leak("gone", "node-1", cidr);
        world.force(&["--handle", &gone.handle()]).done(1);
        assert_eq!(world.value(&block_key(cidr)), None);
        // It comes back with its address, since its pool covers it and nobody claims it.
        let undone = world.undo(1, &["--yes"]);
        assert_eq!(undone.code, 0, "{undone:?}");
        assert_eq!(ordinals_of(&world.value(&block_key(cidr)).unwrap(), &gone.handle()), [0]);
        assert_eq!(world.value(&handle_key(&gone.handle())).unwrap()["block"][cidr], 1);
    });
}

#[test]
fn handles_that_count_too_little_or_are_missing_or_name_an_absent_block() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (low, _) = world.leak("low", "node-1", BLOCK);
    world.etcd.put(handle_key(&low.handle()), r#"{"block":{},"deleted":false}"#);
    let (missing, _) = world.leak("missing", "node-1", BLOCK);
    world.etcd.delete(handle_key(&missing.handle()));
    let (more, _) = world.leak("more", "node-1", BLOCK);
    world.etcd.put(
        handle_key(&more.handle()),
        format!(r#"{{"block":{{"{BLOCK}":1,"{OTHER}":2,"10.65.9.0/26":1}},"deleted":false}}"#),
    );
    let other = world.value(&block_key(OTHER)).unwrap()["sequenceNumber"].as_u64().unwrap();
    for workload in [&low, &missing, &more] {
        world.force(&["--handle", &workload.handle()]).done(1);
        assert_eq!(world.value(&handle_key(&workload.handle())), None);
        assert!(ordinals_of(&world.value(&block_key(BLOCK)).unwrap(), &workload.handle()).is_empty());
    }
    let fenced = world.value(&block_key(OTHER)).unwrap()["sequenceNumber"].as_u64().unwrap();
    assert_eq!(fenced, other + 1, "the fence");
}

#[test]
fn orphans_by_name_one_and_many() {
    servers::need!(Etcd3_4, Etcd3_7);
    on_both(|world| {
        let ids: Vec<String> = (0..150).map(|i| world.orphan(&format!("k8s-pod-network.orphan{i}"), BLOCK)).collect();
        let before = world.value(&block_key(BLOCK)).unwrap()["sequenceNumber"].as_u64().unwrap();
        let run = world.force(&["--handle", &ids.join(",")]);
        run.done(150);
        assert_eq!(run.json()["outcome"]["transactions"], 3);
        assert_eq!(world.value(&block_key(BLOCK)).unwrap()["sequenceNumber"].as_u64().unwrap(), before + 3);
        assert!(ids.iter().all(|id| world.value(&handle_key(id)).is_none()));
        let resident = handle_key("k8s-pod-network.cresident-1");
        assert!(world.value(&resident).is_some(), "a live pod's handle");
    });
}

/// What an audit says next is a command that names the very handle, whatever somebody has called it.
#[test]
fn the_next_command_of_an_orphan_names_it() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let ids = ["-x", "--yes", "shop.{a,b}", "lb-it's", "lb-a b", "shop.\u{202e}x", "lb-$(id)", r"lb-\x41", "lb-\u{7}"];
    ids.iter().for_each(|id| drop(world.orphan(id, BLOCK)));
    let audit = |ago: i64| {
        let now = (chrono::Utc::now() - chrono::TimeDelta::seconds(ago)).to_rfc3339();
        let mut command = world.command("audit", &world.etcd.endpoint());
        let audit = command.args(["--now", &now, "--settle", "10ms", "-o", "json"]).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&audit.stdout).unwrap()
    };
    // One audit is too few for a release, and then none is advised.
    let early = audit(1200);
    let orphans = early["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "IPA201");
    let says = "a release needs 2 more audits (after ";
    assert_eq!(
        orphans
            .filter(
                |f| f["advice"].as_str().unwrap().contains(says) && !f["next"].to_string().contains("ipaudit release ")
            )
            .count(),
        ids.len(),
        "{early:#}"
    );
    let document = [600, 0].map(audit).into_iter().next_back().unwrap();
    let found = document["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "IPA201");
    let mut seen = 0;
    for finding in found {
        let next = finding["next"][0].as_str().unwrap();
        let mut command = world.command("release", &world.etcd.endpoint());
        let rest = next.strip_prefix("ipaudit release ").unwrap();
        // The shell takes the words apart.
        let output =
            std::process::Command::new("bash").args(["-c", &format!("printf '%s\\0' {rest}")]).output().unwrap();
        let words = output.stdout.split(|b| *b == 0).filter(|w| !w.is_empty());
        command.args(["-o", "json"]).args(words.map(|w| std::str::from_utf8(w).unwrap()));
        let run = Run::of(command.output().unwrap());
        assert_eq!(run.rules(), [0; 0], "{next}: {run:?}");
        assert!(run.json()["plan"].to_string().contains(&finding["subject"]["id"].to_string()), "{next}: {run:?}");
        seen += 1;
    }
    assert_eq!(seen, ids.len());
}

#[test]
fn what_lives_is_refused() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let all = world.etcd.list("/calico");
    let refused = world.force(&["--handle", "k8s-pod-network.cresident-1"]);
    refused.refused(3);
    let answer = "REFUSED, nothing may be released: 10.65.0.0: pod shop/resident-1 is a certain holder (handle \
                  k8s-pod-network.cresident-1)";
    assert!(refused.json()["answer"].as_str().unwrap().starts_with(answer), "{refused:?}");
    world.force(&["--address", &address_of(BLOCK, 0)]).refused(3);
    world.force(&["--address", &address_of(BLOCK, 0), "--i-know-what-this-is"]).refused(3);
    // By both its names, and by one twice: each reason once.
    let names = ["--handle", "k8s-pod-network.cresident-1", "--address", &address_of(BLOCK, 0)];
    assert_eq!(world.force(&names).rules(), refused.rules());
    let none = world.force(&["--address", &address_of(BLOCK, 60)]);
    assert_eq!((none.code, none.json()["notes"].as_array().unwrap().len()), (0, 1), "{none:?}");
    assert_eq!(world.etcd.list("/calico"), all, "nothing was written");
}

#[test]
fn without_the_age_a_leak_is_refused_and_the_plan_says_why() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let run = world.release(&["--handle", &gone.handle(), "--yes", "-o", "json"]);
    run.refused(4);
    let refusal = &run.json()["plan"]["refused"][0];
    assert!(refusal["words"].as_str().unwrap().starts_with("it needs 3 more audits (after 20"), "{refusal}");
    // Waiting is offered, and nothing else; nothing is said twice.
    let table = world.release(&["--handle", &gone.handle(), "--yes"]);
    assert!(
        table.stdout.contains(": it needs 3 more audits (after ") && table.stdout.contains(" UTC, in 15m) (handle ")
    );
    assert!(table.stdout.ends_with("\n  ipaudit audit\n") && !table.stdout.contains("skip-age"), "{table:?}");
    assert_eq!((table.stdout.matches("more audits").count(), table.stdout.matches(&gone.handle()).count()), (1, 1));
}

#[test]
fn each_gate_and_node_through_the_binary() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let handle = gone.handle();
    for ready in [Some(false), None] {
        world.lock(ready);
        world.force(&["--handle", &handle]).refused(2);
    }
    world.lock(Some(true));
    world.etcd.put("/calico/ipam/v2/handle/bad", "{");
    world.force(&["--handle", &handle]).refused(2);
    world.etcd.delete("/calico/ipam/v2/handle/bad");
    world.kube.node("node-1", "192.168.0.1", false);
    world.force(&["--handle", &handle]).refused(3);
    assert!(world.value(&handle_key(&handle)).is_some());
    world.force(&["--handle", &handle, "--node-is-off", "node-1"]).done(1);
}

#[test]
fn an_api_server_that_answers_no_single_object_refuses() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    world.kube.answer_no_single_objects();
    let run = world.force(&["--handle", &gone.handle(), "--kube-timeout", "2s"]);
    run.refused(5);
    let why = run.json()["plan"]["refused"][0]["words"].as_str().unwrap().to_owned();
    assert!(why.contains("(hint: run it once more when the API server answers"), "{why}");
    assert!(world.value(&handle_key(&gone.handle())).is_some());
}

#[test]
fn usage() {
    let bad = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_ipaudit")).env_clear().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(output.stdout.is_empty());
    };
    bad(&["release"]);
    bad(&["release", "--code", "IPA201"]);
    bad(&["release", "--code", "IPA101", "--older-than", "1h"]);
    bad(&["release", "--handle", "x", "--code", "IPA201", "--older-than", "1h"]);
    bad(&["release", "--address", "10.0.0.1,10.0.0.2", "--i-know-what-this-is"]);
    bad(&["release", "--handle", "x", "--now", "2026-01-01T00:00:00Z"]);
    bad(&["release", "--handle", "x", "--rate", "0"]);
    bad(&["release", "--handle", "x", "--older-than", "24h"]);
    bad(&["release", "--handle", "x,y", "--i-know-what-this-is"]);
    bad(&["release", "--handle", "x", "--address", "10.0.0.1", "--i-know-what-this-is"]);
    bad(&["release", "--code", "IPA201", "--older-than", "1h", "--i-know-what-this-is"]);
    bad(&["undo", "1", "--now", "2026-01-01T00:00:00Z"]);
    bad(&["undo"]);
}

/// A typing error must not look like a release that had nothing to do.
#[test]
fn what_nothing_is_called_is_wrong_usage_and_what_a_release_gave_back_is_not() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    let (collected, _) = world.leak("collected", "node-1", BLOCK);
    let slip = format!("{}x", &gone.handle()[..gone.handle().len() - 1]);
    let both = format!("{},{slip}", gone.handle());
    let meant = format!("there is no handle {slip}; did you mean {}", gone.handle());
    for (flag, id, cause) in [
        ("--handle", slip.as_str(), meant.as_str()),
        ("--handle", &both, &meant),
        ("--handle", "node-1", "there is no handle node-1"),
        ("--address", "192.0.2.1", "no pool and no block has 192.0.2.1"),
    ] {
        let run = world.force(&[flag, id]);
        assert!(run.code == 2 && run.stdout.is_empty() && run.stderr.contains(cause), "{id} {run:?}");
    }
    assert!(world.value(&handle_key(&gone.handle())).is_some(), "nothing was written");
    let free = world.release(&["--address", &address_of(BLOCK, 60)]);
    assert!(free.code == 0 && free.stdout.contains("10.65.0.60 is not allocated"), "{free:?}");
    // What an audit has seen is known, whoever took it away.
    world.audit(0);
    block_on(world.calico().del(&collected, &[BLOCK]));
    let run = world.release(&["--handle", &collected.handle()]);
    assert!(run.code == 0 && run.stdout.contains("no such handle"), "{run:?}");
    world.force(&["--handle", &gone.handle()]).done(1);
    for (flag, id) in [("--handle", gone.handle()), ("--address", address)] {
        let again = world.release(&[flag, &id]);
        assert!(again.code == 0 && again.stdout.contains(": release 1 gave it back already"), "{id} {again:?}");
    }
}
