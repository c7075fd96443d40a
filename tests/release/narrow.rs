//! What is beside the plan: sandboxes to look for, `--node` and its like, and what no release takes.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::calico::{Workload, block_key, handle_key};
use super::servers::{self, EtcdVersion, block_on};
use super::world::{BLOCK, OTHER, Run, World};

/// Seen by three audits over 20 minutes.
fn watched(world: &World) {
    [1200, 600, 0].iter().for_each(|ago| world.audit(*ago));
}

fn by_code(world: &World, code: &str, args: &[&str]) -> Run {
    let usual = ["--code", code, "--older-than", "1m"];
    world.release(&usual.iter().chain(args).copied().collect::<Vec<_>>())
}

#[test]
fn a_plan_says_once_how_to_make_sure_that_no_sandbox_is_left() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (a, _) = world.leak("a", "node-1", BLOCK);
    let container = |byte: &str| byte.repeat(32);
    let real: Vec<Workload> = ["0a", "0b"]
        .map(|byte| Workload { container: container(byte), ..Workload::new(&format!("pod-{byte}"), "node-2") })
        .into();
    for workload in &real {
        block_on(async { world.calico().add(workload, OTHER).await });
    }
    let handles = [a.handle(), real[0].handle(), real[1].handle()].join(",");
    let run = world.release(&["--handle", &handles, "--skip-age"]);
    assert_eq!(run.code, 0, "{run:?}");
    let lines: Vec<&str> = run.stdout.lines().map(str::trim).collect();
    let at = lines.iter().position(|l| l.starts_with("make sure that no sandbox is left: on 2 nodes ")).unwrap();
    let each = format!(
        "for id in {} {}; do crictl pods --state ready --quiet --id $id; done",
        container("0a"),
        container("0b")
    );
    let named = "crictl pods --state ready --quiet --namespace '^shop$' --name '^a$'";
    assert_eq!(lines[at + 1..at + 5], ["on node-1:", named, "on node-2:", &each]);
    assert_eq!(run.stdout.matches("sandbox").count(), 1, "{run:?}");
    let document = world.release(&["--handle", &handles, "--skip-age", "-o", "json"]).json();
    let sandboxes = json!([{"node": "node-1", "commands": [named]}, {"node": "node-2", "commands": [each]}]);
    assert_eq!(document["plan"]["sandboxes"], sandboxes);
    // A stand-in that takes crictl's documented flags and no others takes each of them.
    let standins = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/paste/bin");
    for line in [named, &each] {
        let mut shell = Command::new("/bin/sh");
        shell.env("STANDINS", &standins).env("THINGS", world.folder.path());
        shell.env("PATH", format!("{}:/usr/bin:/bin", standins.display()));
        let pasted = shell.args(["-c", line]).output().unwrap();
        assert!(pasted.status.success() && pasted.stdout.is_empty(), "{line}: {pasted:?}");
    }
    // What is off by the operator's word runs nothing.
    world.kube.node("node-2", "192.168.0.2", false);
    let run = world.release(&["--handle", &real[0].handle(), "--skip-age", "--node-is-off", "node-2"]);
    assert!(run.code == 0 && !run.stdout.contains("sandbox"), "{run:?}");
}

#[test]
fn node_namespace_and_pool_narrow_a_release_by_code() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (one, _) = world.leak("one", "node-1", BLOCK);
    let (two, _) = world.leak("two", "node-2", OTHER);
    let orphan = world.orphan("k8s-pod-network.gone", OTHER);
    watched(&world);
    let planned = |args: &[&str]| {
        let run = by_code(&world, "IPA110", &[args, &["-o", "json"]].concat());
        assert_eq!(run.code, 0, "{args:?} {run:?}");
        let steps = run.json()["plan"]["steps"].as_array().unwrap().clone();
        steps.iter().map(|step| step["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(planned(&[]).len(), 2);
    assert_eq!(planned(&["--node", "node-2"]), [two.handle()]);
    assert_eq!(planned(&["--node", "node-1,node-2"]).len(), 2);
    assert_eq!(planned(&["--namespace", "shop", "--pool", "10.65.0.0/16"]).len(), 2);
    assert!(planned(&["--pool", "v6"]).is_empty(), "the pool is there, and nothing of it leaks");

    // A name that nothing has is no empty success, and says which.
    for (flag, name) in [("--node", "node-l"), ("--namespace", "shpo"), ("--pool", "v5")] {
        let run = by_code(&world, "IPA110", &[flag, name]);
        assert!(run.code == 2 && run.stdout.is_empty() && run.stderr.contains(name), "{flag} {run:?}");
    }
    // Where it makes no sense it is wrong usage.
    for args in [
        &["--handle", &orphan, "--node", "node-1"][..],
        &["--address", "10.65.0.1", "--pool", "v4"],
        &["--code", "IPA201", "--older-than", "1m", "--namespace", "shop"],
        &["--list", "--node", "node-1"],
    ] {
        let run = world.release(args);
        assert!(run.code == 2 && run.stdout.is_empty(), "{args:?} {run:?}");
    }
    by_code(&world, "IPA201", &["--node", "node-1", "--yes", "-o", "json"]);
    assert!(world.value(&handle_key(&orphan)).is_some(), "its block is node-2's");
    by_code(&world, "IPA201", &["--node", "node-2", "--yes", "-o", "json"]).done(1);
    by_code(&world, "IPA110", &["--node", "node-2", "--yes", "-o", "json"]).done(1);
    assert!(world.value(&handle_key(&one.handle())).is_some() && world.value(&handle_key(&two.handle())).is_none());
    // The list names them as what they were.
    let codes: Vec<serde_json::Value> = world.list().iter().map(|release| release["code"].clone()).collect();
    assert_eq!(codes, [json!("IPA201"), json!("IPA110")]);
    let table = world.release(&["--list"]).stdout;
    assert!(table.lines().last().unwrap().ends_with("  all IPA110 older than 1m on node-2"), "{table}");
}

/// Pastes a command of etcdctl into a shell.
fn paste(world: &World, command: &str) -> String {
    let etcdctl = &servers::binaries::etcd_3_7().unwrap().etcdctl;
    let path = format!("{}:/usr/bin:/bin", etcdctl.parent().unwrap().display());
    let mut bash = Command::new("bash");
    bash.env_clear().env("PATH", path).env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", world.etcd.endpoint());
    let output = bash.args(["-c", command]).stdin(Stdio::null()).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn what_no_release_takes_comes_with_the_commands_that_repair_it() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let affinity = |cidr: &str| format!("/calico/ipam/v2/host/node-1/ipv4/block/{}", cidr.replace('/', "-"));
    let states = [("10.65.7.0/26", "confirmed"), ("10.65.7.64/26", "pending"), ("10.65.7.128/26", "pendingDeletion")];
    for (cidr, state) in states {
        world.etcd.put(affinity(cidr), json!({"state": state, "deleted": false}).to_string());
    }
    world.audit(600);
    world.audit(0);
    for ((cidr, _), code) in states.into_iter().zip(["IPA405", "IPA403", "IPA404"]) {
        let before = world.etcd.list("/calico");
        let run = world.release(&["--code", code, "--yes"]);
        assert_eq!((run.code, world.etcd.list("/calico")), (1, before), "{run:?}");
        let subject = format!("host:node-1 {cidr}");
        let first = format!("{subject}: release does not take {code} by code; what cures it:\n");
        assert!(run.stdout.starts_with(&first), "{run:?}");
        let lines = run.stdout.lines().map(str::trim);
        let commands: Vec<&str> = lines.filter(|line| line.ends_with("| etcdctl txn")).collect();
        assert_eq!(commands.len(), 1, "{run:?}");
        let document = world.release(&["--code", code, "-o", "json"]).json();
        assert_eq!(document["plan"]["refused"][0]["commands"], json!(commands));
        let elsewhere = world.release(&["--code", code, "--node", "node-2"]);
        assert!(elsewhere.code == 0 && elsewhere.stdout.starts_with("NOTHING to release"), "{elsewhere:?}");
        if code == "IPA404" {
            // Written meanwhile: the command compares the revision.
            world.etcd.put(affinity(cidr), json!({"state": "confirmed", "deleted": false}).to_string());
        }
        let said = paste(&world, commands[0]);
        assert_eq!(
            (said.contains("SUCCESS"), world.value(&affinity(cidr)).is_none()),
            (code != "IPA404", code != "IPA404"),
            "{said}"
        );
    }
}

#[test]
fn a_stale_endpoint_without_an_allocation_is_deleted_by_hand() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, _) = world.leak("gone", "node-1", BLOCK);
    let (kept, _) = world.leak("kept", "node-1", BLOCK);
    // IPAM knows nothing of it any more.
    let mut block = world.value(&block_key(BLOCK)).unwrap();
    let ordinal = super::calico::ordinals_of(&block, &gone.handle())[0];
    block["allocations"][ordinal] = serde_json::Value::Null;
    block["unallocated"].as_array_mut().unwrap().push(json!(ordinal));
    world.etcd.put(block_key(BLOCK), block.to_string());
    world.etcd.delete(handle_key(&gone.handle()));
    let commands = || {
        let document = world.release(&["--code", "IPA501", "--namespace", "shop", "-o", "json"]).json();
        assert_eq!(document["exit_code"], 1);
        let refused = document["plan"]["refused"].as_array().unwrap().clone();
        let commands = refused.iter().flat_map(|r| r["commands"].as_array().unwrap());
        commands.filter_map(|c| c.as_str()).map(str::to_owned).collect::<Vec<_>>()
    };
    let release = format!("ipaudit release --handle {}", kept.handle());
    world.audit(1800);
    let early = commands();
    assert!(!early.contains(&release), "a release would refuse it yet: {early:?}");
    world.audit(900);
    world.audit(0);
    let commands = commands();
    let delete = commands.iter().find(|c| c.starts_with("calicoctl delete workloadendpoint ")).unwrap();
    assert!(delete.contains("gone-eth0 --namespace=shop"), "{commands:?}");
    assert!(commands.contains(&release), "{commands:?}");
    let table = world.release(&["--code", "IPA501"]).stdout;
    assert!(table.lines().any(|l| l.trim() == *delete), "{table}");
}

/// Right after a release nobody has to look for who did it.
#[test]
fn who_says_which_release_gave_an_address_back() {
    servers::need!(Etcd3_7);
    let world = World::new(EtcdVersion::V3_7);
    let (gone, address) = world.leak("gone", "node-1", BLOCK);
    world.audit(0);
    let who = |args: &[&str]| Run::of(world.command("who", &world.etcd.endpoint()).args(args).output().unwrap()).stdout;
    assert!(!who(&[&address, "--settle", "0"]).contains("release 1"));
    world.force(&["--handle", &gone.handle()]).done(1);
    let now = who(&[&address, "--settle", "0"]);
    // Of as many lines as it takes.
    let answer = |told: &str| told.split("\n\n").next().unwrap().replace("\n  ", " ");
    let first = answer(&now);
    assert!(
        first.starts_with(&format!("{address} is free")) && first.contains("; release 1 gave it back at 20"),
        "{now}"
    );
    assert!(now.lines().any(|l| l.trim_start().starts_with("release") && l.contains(&address)), "{now}");
    // The pod and the handle are nowhere any more: what became of them is known all the same.
    for asked in ["gone".to_owned(), gone.handle()] {
        let told = who(&[&asked, "--settle", "0"]);
        assert!(answer(&told).contains(&format!("; release 1 gave {address} back at 20")), "{told}");
    }
    let document: serde_json::Value =
        serde_json::from_str(&who(&[&gone.handle(), "--settle", "0", "-o", "json"])).unwrap();
    let releases = document["before"][0]["releases"].as_array().unwrap();
    assert!(releases.iter().any(|r| r["kind"] == "handle" && r["release"] == 1 && r["undoes"].is_null()), "{document}");
    // An undo puts it back, and then it is somebody's.
    assert_eq!(world.undo(1, &["--yes"]).code, 0);
    let first = answer(&who(&[&address, "--settle", "0"]));
    assert!(!first.contains("gave it back"), "{first}");
}
