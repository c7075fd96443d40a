//! No output of any command carries a control character, or what reorders or hides text, whoever chose the names: etcd,
//! Kubernetes, the command line, the environment, a file. Every command, every format, both streams.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output};

use ipaudit::model::escape::is_hidden;
use serde_json::{Value, json};

use super::calico::{block_key, empty_block, handle_key};
use super::servers::{self, EtcdVersion};
use super::world::{BLOCK, World, of_container};

/// A CSI, an escape sequence, DEL, what turns text around, what is not seen, what ends a line.
const EVIL: &str = "evil\u{9b}31m\u{1b}[2J\u{7f}\u{202e}\u{200b}\u{2028}\r\u{85}\u{feff}\u{e0041}x";

/// What nobody may ever see, in any output.
#[track_caller]
fn hold(what: &str, output: &Output, colors: bool) {
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let mut text = String::from_utf8(bytes.clone()).unwrap_or_else(|e| panic!("{what}: {name}: {e}"));
        if colors {
            text = without_colors(&text);
        }
        let found: Vec<char> = text.chars().filter(|c| is_hidden(*c) && *c != '\n').collect();
        assert!(found.is_empty(), "{what}: {name} has {found:?}: {text}");
    }
}

fn without_colors(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let numbers: usize = part.chars().take_while(|c| c.is_ascii_digit() || *c == ';').count();
        match part[numbers..].strip_prefix('m') {
            Some(rest) => out.push_str(rest),
            None => out.push_str(&format!("\u{1b}[{part}")),
        }
    }
    out
}

/// A cluster of which everything that has a name has an evil one.
fn world() -> World {
    let world = World::new(EtcdVersion::V3_7);
    let leaked =
        json!({"handle_id": of_container("leak"), "secondary": {"namespace": EVIL, "pod": EVIL, "node": "node-1"}});
    let foreign =
        json!({"handle_id": format!("{EVIL}.{EVIL}"), "secondary": {"namespace": EVIL, "pod": EVIL, "node": EVIL}});
    let odd = json!({"handle_id": EVIL, "secondary": {"type": EVIL, "node": EVIL, EVIL: EVIL}});
    let mut block = empty_block("10.65.5.0/26", Some("node-1"), 64);
    for (ordinal, attribute) in [leaked, foreign, odd].into_iter().enumerate() {
        block["attributes"].as_array_mut().unwrap().push(attribute);
        block["allocations"][ordinal] = json!(ordinal);
    }
    block["unallocated"] = json!((3..64).collect::<Vec<_>>());
    block[EVIL] = json!(EVIL);
    world.etcd.put(block_key("10.65.5.0/26"), block.to_string());
    let theirs = empty_block("10.65.6.0/26", Some(EVIL), 64);
    world.etcd.put(block_key("10.65.6.0/26"), theirs.to_string());
    let counts = format!(r#"{{"block":{{"{BLOCK}":1}},"deleted":true}}"#);
    world.etcd.put(handle_key(&format!("k8s-pod-network.{EVIL}")), counts.clone());
    world.etcd.put(handle_key(&format!("{}\r{EVIL}", of_container("orphan"))), counts.clone());
    world.etcd.put(handle_key(&format!("vxlan-tunnel-addr-{EVIL}")), counts);
    world.resource("ippools/evil", json!({"cidr": "10.70.0.0/16", "blockSize": 26, "nodeSelector": EVIL}));
    world.resource(
        &format!("nodes/{EVIL}"),
        json!({"bgp": {"ipv4Address": "192.168.0.9/24"}, "ipv4VXLANTunnelAddr": "10.65.5.9"}),
    );
    let spec = json!({
        "orchestrator": "k8s", "node": "node-1", "pod": EVIL, "endpoint": EVIL, "containerID": EVIL,
        "interfaceName": EVIL, "ipNetworks": ["10.65.5.20/32"],
    });
    world.resource(&format!("workloadendpoints/{EVIL}/node--1-k8s-{EVIL}-eth0"), spec);
    let spec = json!({"clusterGUID": "guid-1", "calicoVersion": EVIL, "clusterType": EVIL, "datastoreReady": true});
    world.resource("clusterinformations/default", spec);
    // A pod that holds what nobody gave it, and another that claims the same.
    for pod in ["a", "b"] {
        world.kube.pod(EVIL, &format!("{pod}{EVIL}"), "node-1", &["10.65.5.30"]);
    }
    world
}

fn run(world: &World, args: &[&str]) -> Output {
    let (command, rest) = args.split_first().unwrap();
    world.command(command, &world.etcd.endpoint()).args(rest).output().unwrap()
}

/// A bare name of a file that it makes lies in a folder of its own.
fn plain(args: &[&OsStr]) -> Command {
    static FOLDER: std::sync::LazyLock<tempfile::TempDir> = std::sync::LazyLock::new(|| tempfile::tempdir().unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipaudit"));
    command.env_clear().env("HOME", "/nonexistent").current_dir(FOLDER.path()).args(args);
    command
}

/// One document or one a line; somewhere in it the name stands as it is.
#[track_caller]
fn documents(what: &str, output: &Output) {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    let documents: Vec<Value> = serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|e| panic!("{what}: {e}: {text}"));
    assert!(!documents.is_empty(), "{what}");
    fn has(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains("evil\u{9b}31m"),
            Value::Array(list) => list.iter().any(has),
            Value::Object(map) => map.iter().any(|(k, v)| k.contains("evil\u{9b}31m") || has(v)),
            _ => false,
        }
    }
    assert!(documents.iter().any(has), "{what}: equal as JSON, the name is there: {text}");
}

#[test]
fn names_in_etcd_and_kubernetes_reach_no_terminal() {
    servers::need!(Etcd3_7);
    let world = world();
    let audit = ["audit", "--settle", "10ms", "--all"];
    for (format, colors) in [("table", false), ("table", true), ("json", true), ("jsonl", false)] {
        let color = if colors { "always" } else { "never" };
        let output = run(&world, &[&audit[..], &["-o", format, "--color", color, "-v", "--capacity"]].concat());
        hold(&format!("audit {format}"), &output, colors);
        assert!(!output.stdout.is_empty(), "{output:?}");
        if format != "table" {
            documents(format, &output);
        }
    }
    [1200, 600].iter().for_each(|ago| drop(run(&world, &["audit", "--settle", "10ms", "--now", &before(*ago)])));
    let db = world.folder.path().join("history.db");
    let history = |args: &[&str]| {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).chain(["--db".as_ref(), db.as_os_str()]).collect();
        plain(&args).output().unwrap()
    };
    for format in ["table", "json", "jsonl", "markdown"] {
        let output = history(&["report", "-o", format, "--all", "--since", "7d"]);
        hold(&format!("report {format}"), &output, false);
        if format.starts_with("json") {
            documents(format, &output);
        }
    }
    let pod = format!("{EVIL}/a{EVIL}");
    for what in [EVIL, "10.65.5.30", "10.65.5.0", "node-1", &pod, &of_container("leak")] {
        for format in ["table", "json"] {
            let online = run(&world, &["who", what, "-o", format, "--settle", "0", "--deep"]);
            hold(&format!("who {what:?} {format}"), &online, false);
            let offline = history(&["who", what, "--offline", "-o", format]);
            hold(&format!("who --offline {what:?} {format}"), &offline, false);
        }
    }
    documents("who", &run(&world, &["who", "10.65.5.30", "-o", "json", "--settle", "0"]));
    let (orphan, leak) = (format!("{}\r{EVIL}", of_container("orphan")), of_container("leak"));
    let evil = format!("k8s-pod-network.{EVIL}");
    for format in ["table", "json"] {
        for more in [&["--skip-age"][..], &[], &["--skip-age", "--node-is-off", EVIL]] {
            for handle in [&orphan, &leak, &evil, &format!("vxlan-tunnel-addr-{EVIL}")] {
                let output = run(&world, &[&["release", "--handle", handle, "--all", "-o", format], more].concat());
                hold(&format!("release {handle:?} {format}"), &output, false);
            }
        }
    }
    documents("release", &run(&world, &["release", "--handle", &evil, "-o", "json"]));
    for code in ["IPA110", "IPA201"] {
        let output =
            run(&world, &["release", "--code", code, "--older-than", "0s", "--skip-age", "--yes", "-o", "json"]);
        hold(code, &output, false);
    }
    for format in ["table", "json"] {
        hold("release --list", &history(&["release", "--list", "-o", format]), false);
        for id in ["1", "2"] {
            hold("undo", &run(&world, &["undo", id, "-o", format, "--all"]), false);
        }
    }
    documents("release --list", &history(&["release", "--list", "-o", "json"]));
    for args in [&["history", "check"][..], &["history", "export"], &["history", "prune", "--keep", "0s"]] {
        hold(args[1], &history(args), false);
    }
    documents("history export", &history(&["history", "export"]));
}

fn before(seconds: i64) -> String {
    (chrono::Utc::now() - chrono::TimeDelta::seconds(seconds)).to_rfc3339()
}

#[test]
fn what_does_not_decode_and_what_servers_answer_reaches_no_terminal() {
    servers::need!(Etcd3_7);
    let world = world();
    let bad = json!({"cidr": EVIL, "affinity": EVIL, "allocations": EVIL});
    world.etcd.put(format!("{}{EVIL}", block_key("10.65.7.0/26")), bad.to_string());
    world.etcd.put(handle_key(&format!("bad{EVIL}")), format!("{{\"block\":{{\"{BLOCK}\":\"{EVIL}\"}}"));
    let folder = world.folder.path().join(format!("f{}", EVIL.replace('/', "")));
    std::fs::create_dir(&folder).unwrap();
    let (file, kube) = (folder.join(EVIL), folder.join("kube.json"));
    let pod =
        json!({"kind": "Pod", "metadata": {"namespace": EVIL, "name": EVIL, "uid": EVIL, "creationTimestamp": EVIL}});
    std::fs::write(&kube, json!({"kind": "List", "apiVersion": "v1", "items": [pod]}).to_string()).unwrap();
    let etcd = world.etcd.endpoint();
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let kubeconfig = text(&world.folder.path().join("kubeconfig"));
    let save =
        ["capture", "--etcd-endpoints", &etcd, "--kubeconfig", &kubeconfig, "--settle", "10ms", "-f", &text(&file)];
    let capture = plain(&save.map(OsStr::new)).output().unwrap();
    hold("capture", &capture, false);
    assert!(file.exists(), "{capture:?}");
    for format in ["table", "json", "jsonl"] {
        hold("audit", &run(&world, &["audit", "--settle", "10ms", "-o", format, "-vv"]), false);
        let from = ["audit", "--from", &text(&file), "-o", format, "--all"].map(str::to_owned);
        let from: Vec<&OsStr> = from.iter().map(OsStr::new).collect();
        hold("audit --from", &plain(&from).output().unwrap(), false);
        let objects =
            ["audit", "--etcd-endpoints", &etcd, "--kube-objects", &text(&kube), "-o", format, "--no-history"];
        let objects: Vec<&OsStr> = objects.iter().map(|a| OsStr::new(*a)).collect();
        hold("audit --kube-objects", &plain(&objects).args(["--settle", "0"]).output().unwrap(), false);
    }
    let db = folder.join("history.db");
    let there =
        ["audit", "--etcd-endpoints", &etcd, "--kube-objects", &text(&kube), "--settle", "0", "--db", &text(&db)];
    hold("a history there", &plain(&there.map(OsStr::new)).output().unwrap(), false);
    for args in [&["history", "check"][..], &["report"], &["release", "--list"], &["history", "prune", "--keep", "1h"]]
    {
        let args: Vec<&OsStr> = args.iter().map(OsStr::new).chain(["--db".as_ref(), db.as_os_str()]).collect();
        hold(&format!("{args:?}"), &plain(&args).output().unwrap(), false);
    }
    std::fs::write(&file, EVIL).unwrap();
    hold("no capture", &plain(&[OsStr::new("audit"), OsStr::new("--from"), file.as_os_str()]).output().unwrap(), false);
    let damaged = plain(&[OsStr::new("report"), OsStr::new("--db"), file.as_os_str()]).output().unwrap();
    hold("no history", &damaged, false);
    world.kube.say(EVIL);
    hold("an evil answer", &run(&world, &["audit", "--settle", "0", "--kube-timeout", "2s"]), false);
    hold("an evil answer", &run(&world, &["release", "--handle", &of_container("leak"), "--skip-age"]), false);
}

#[test]
fn arguments_and_variables_reach_no_terminal() {
    let bytes: &[&[u8]] = &[EVIL.as_bytes(), "\u{9b}31m".as_bytes(), b"\x1b[31mred\x1b[0m", b"\xff\x9b\x1b[2J"];
    let lines: &[&[&str]] = &[
        &[],
        &["explain"],
        &["audit", "--code"],
        &["audit", "--severity"],
        &["audit", "-o"],
        &["audit", "--settle"],
        &["audit", "--now"],
        &["audit", "--fail-on"],
        &["audit", "--from"],
        &["audit", "--settings"],
        &["audit", "--ignore"],
        &["audit", "--severity-of"],
        &["audit", "--kubeconfig"],
        &["audit", "--context"],
        &["audit", "--etcd-endpoints"],
        &["audit", "--config"],
        &["audit", "--etcd-ca-cert"],
        &["audit", "--kube-objects"],
        &["audit", "--no-history", "--color"],
        &["capture", "--etcd-endpoints", "http://127.0.0.1:1", "--etcd-timeout", "1s", "-f"],
        &["who", "--offline"],
        &["who", "--offline", "--cluster"],
        &["who", "--at"],
        &["report", "--since"],
        &["report", "--db"],
        &["report", "--node"],
        &["release", "--handle"],
        &["release", "--address"],
        &["release", "--rate"],
        &["release", "--older-than"],
        &["release", "--code"],
        &["undo"],
        &["history"],
        &["history", "check", "--db"],
        &["history", "export", "--db"],
        &["history", "prune", "--keep"],
    ];
    for evil in bytes {
        for line in lines {
            let mut args: Vec<&OsStr> = line.iter().map(OsStr::new).collect();
            args.push(OsStr::from_bytes(evil));
            hold(&format!("{args:?}"), &plain(&args).output().unwrap(), false);
        }
        for variable in ["IPAUDIT_DB", "IPAUDIT_OUTPUT", "IPAUDIT_NOW", "IPAUDIT_SINCE", "KUBECONFIG", "ETCD_ENDPOINTS"]
        {
            for args in [&["audit", "--help"][..], &["audit", "--no-history"], &["report", "--help"], &["report"]] {
                let args: Vec<&OsStr> = args.iter().map(OsStr::new).collect();
                let output = plain(&args).env(variable, OsStr::from_bytes(evil)).output().unwrap();
                hold(&format!("{variable} {args:?}"), &output, false);
            }
        }
    }
}
