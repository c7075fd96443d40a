//! `ipaudit blocks` as its users run it: the binary, real etcd, golden datastores. The numbers are counted again here, from
//! the bytes of etcd alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use ipnet::IpNet;
use serde_json::Value;
use servers::Etcd;
use servers::command::{self, first, ipaudit, json, stderr, text};
use servers::golden::{Moment, loaded};

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/incident-2017/capture.gz");

fn blocks(etcd: &Etcd, moment: &Moment, args: &[&str]) -> Output {
    command::at_moment("blocks", etcd, moment).args(args).output().unwrap()
}

fn document(output: &Output) -> Value {
    command::document(output, "blocks")
}

fn list<'v>(document: &'v Value, field: &str) -> &'v [Value] {
    document[field].as_array().unwrap()
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["block"].as_str().unwrap()).collect()
}

/// A block as etcd has it: owner, and how many addresses are allocated, borrowed and cooling.
type Raw = (Option<String>, [u64; 3]);

fn raw(moment: &Moment) -> BTreeMap<IpNet, Raw> {
    let mut blocks = BTreeMap::new();
    for (key, value) in &moment.keys {
        let key = String::from_utf8_lossy(key);
        let Some(name) = key.strip_prefix("/calico/ipam/v2/assignment/").and_then(|k| k.split("/block/").nth(1)) else {
            continue;
        };
        let value: Value = serde_json::from_slice(value).unwrap();
        let cidr: IpNet = value["cidr"].as_str().unwrap().parse().unwrap();
        if cidr != cidr.trunc() || name != cidr.to_string().replace('/', "-") {
            continue;
        }
        let owner = value["affinity"].as_str().map(str::to_owned);
        let mut counts = [0; 3];
        for index in value["allocations"].as_array().unwrap().iter().filter_map(Value::as_u64) {
            let attribute = &value["attributes"][index as usize];
            if attribute["releasedAt"].is_string() {
                counts[2] += 1;
                continue;
            }
            counts[0] += 1;
            let host = owner.as_deref().and_then(|owner| owner.strip_prefix("host:"));
            let node = attribute["secondary"]["node"].as_str();
            counts[1] += u64::from(host.is_some() && node.is_some() && host != node);
        }
        blocks.insert(cidr, (owner, counts));
    }
    blocks
}

#[test]
fn every_block_is_told_with_the_numbers_that_etcd_has() {
    servers::need!(Etcd3_7);
    for case in ["clean-small", "affinity-damage", "leaked-pods"] {
        let (etcd, moment) = loaded(case);
        let document = document(&blocks(&etcd, &moment, &["-o", "json"]));
        let told: BTreeMap<IpNet, Raw> = list(&document, "blocks")
            .iter()
            .map(|row| {
                let number = |field: &str| row[field].as_u64().unwrap();
                let sum = ["allocated", "cooling", "reserved", "free"].map(number).iter().sum::<u64>();
                assert_eq!(sum, number("size"), "{case}: {row:#}");
                let counts = ["allocated", "borrowed", "cooling"].map(number);
                (row["block"].as_str().unwrap().parse().unwrap(), (row["owner"].as_str().map(str::to_owned), counts))
            })
            .collect();
        assert_eq!(told, raw(&moment), "{case}");
        for (field, total) in document["counts"].as_object().unwrap() {
            if let "allocated" | "borrowed" | "cooling" | "free" | "stranded" = field.as_str() {
                let sum: u64 = list(&document, "blocks").iter().map(|row| row[field].as_u64().unwrap()).sum();
                assert_eq!(total.as_u64(), Some(sum), "{case} {field}");
            }
        }
        assert_eq!(document["exit_code"], 0, "{case}: findings are no failure of a listing");
    }
}

#[test]
fn the_first_line_answers_and_every_block_has_one() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let output = blocks(&etcd, &moment, &[]);
    let (says, all) = (text(&output), raw(&moment));
    assert!(first(&output).starts_with(&format!("{} blocks: ", all.len())), "{says}{}", stderr(&output));
    assert!(first(&output).ends_with("; nothing wrong in them"), "{says}");
    assert_eq!(output.status.code(), Some(0));
    let rows: Vec<&str> = says.lines().skip(3).collect();
    assert_eq!(rows.len(), all.len(), "{says}");
    let titles: Vec<&str> = says.lines().nth(2).unwrap().split_whitespace().collect();
    assert_eq!(
        titles,
        ["BLOCK", "POOL", "OWNER", "SIZE", "ALLOCATED", "BORROWED", "COOLING", "FREE", "STRANDED", "WRONG"]
    );
    let row = rows.iter().find(|row| row.starts_with("10.66.247.0/26 ")).unwrap();
    assert_eq!(row.split_whitespace().nth(2), Some("none"), "nobody owns it: {row}");
    // For scripts: rows alone.
    let bare = text(&blocks(&etcd, &moment, &["--no-headers", "-o", "wide"]));
    assert_eq!(bare.lines().count(), all.len(), "{bare}");
    assert!(bare.lines().all(|line| line.split_whitespace().count() == 12), "no column is empty but WRONG:\n{bare}");
    let lines = text(&blocks(&etcd, &moment, &["-o", "jsonl", "--sort-by", "free"]));
    let free: Vec<u64> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["free"].as_u64().unwrap()).collect();
    assert_eq!(free.len(), all.len());
    assert!(free.is_sorted_by(|a, b| a >= b), "{free:?}");
}

#[test]
fn borrowed_addresses_are_told_one_by_one() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let all: u64 = raw(&moment).values().map(|(_, counts)| counts[1]).sum();
    let output = blocks(&etcd, &moment, &["--borrowed"]);
    let says = text(&output);
    let row = says.lines().find(|line| line.starts_with("10.65.247.40 ")).unwrap_or_else(|| panic!("{says}"));
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(cells[1..5], ["worker-03.rack-b", "10.65.247.0/26", "node-2", "pod"], "{row}");
    assert!(cells[5].contains('/'), "{row}");
    let document = document(&blocks(&etcd, &moment, &["--borrowed", "-o", "json"]));
    assert_eq!(list(&document, "borrowed").len() as u64, all);
    assert!(list(&document, "blocks").iter().all(|row| row["borrowed"].as_u64() > Some(0)), "{document:#}");
    // By the borrower, by the owner, and by Kubernetes' name of the borrower.
    for (node, borrows) in [("worker-03.rack-b", true), ("node-2", true), ("node-3", true), ("node-1", false)] {
        let says = text(&blocks(&etcd, &moment, &["--borrowed", "--node", node]));
        assert_eq!(says.contains("10.65.247.40 "), borrows, "{node}: {says}");
        let rows = document_of(&etcd, &moment, &["--node", node, "-o", "json"]);
        assert_eq!(names(list(&rows, "blocks")).contains(&"10.65.247.0/26"), borrows, "{node}");
    }
}

fn document_of(etcd: &Etcd, moment: &Moment, args: &[&str]) -> Value {
    document(&blocks(etcd, moment, args))
}

#[test]
fn what_nobody_can_take_is_stranded_and_says_why() {
    servers::need!(Etcd3_7);
    // Strict affinity is on: a block without owner is of use to nobody.
    let (etcd, moment) = loaded("affinity-damage");
    let rows = document_of(&etcd, &moment, &["-o", "json"]);
    let mut ownerless = 0;
    for row in list(&rows, "blocks").iter().filter(|row| row["owner"].is_null() && row["free"].as_u64() > Some(0)) {
        ownerless += 1;
        assert_eq!((&row["stranded"], &row["stranded_because"]), (&row["free"], &"no-owner".into()), "{row:#}");
    }
    assert!(ownerless > 0);
    let stranded: u64 = list(&rows, "blocks").iter().map(|row| row["stranded"].as_u64().unwrap()).sum();
    assert!(first(&blocks(&etcd, &moment, &[])).contains(&format!(", {stranded} of them stranded")));
    // Here it is off: whoever has no block borrows. What is in no pool, or in one that is disabled, nobody gets.
    let (etcd, moment) = loaded("pools-and-blocks");
    let rows = document_of(&etcd, &moment, &["-o", "json"]);
    let of = |block: &str| list(&rows, "blocks").iter().find(|row| row["block"] == *block).unwrap();
    let subjects = |code: &str| {
        let of_code = moment.expect.iter().filter(|e| e.code == code);
        of_code.map(|e| e.subject.clone()).collect::<Vec<_>>()
    };
    for outside in subjects("IPA303") {
        let row = of(&outside);
        assert_eq!((&row["pool"], &row["stranded"]), (&Value::Null, &row["free"]), "{row:#}");
        assert_eq!(row["stranded_because"], "no-pool", "{row:#}");
    }
    for ownerless in subjects("IPA305") {
        let row = of(&ownerless);
        assert_eq!((&row["owner"], &row["stranded"]), (&Value::Null, &0.into()), "{row:#}");
    }
    let off: Vec<&Value> = list(&rows, "blocks").iter().filter(|row| row["pool"] == "switched-off").collect();
    assert!(!off.is_empty());
    for row in off.iter().filter(|row| row["free"].as_u64() > Some(0)) {
        assert_eq!((&row["stranded"], &row["stranded_because"]), (&row["free"], &"pool-disabled".into()), "{row:#}");
    }
    let wide = text(&blocks(&etcd, &moment, &["-o", "wide", "--pool", "switched-off"]));
    assert!(wide.contains(" pool-disabled "), "{wide}");
    assert_eq!(wide.lines().count(), off.len() + 3, "{wide}");
}

/// What a case expects to be wrong with a block or an address in it, and nothing else, is told of that block.
#[test]
fn what_is_wrong_in_a_block_is_told_of_it() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("leaked-pods");
    let rows = document_of(&etcd, &moment, &["--wrong", "-o", "json"]);
    let mut wanted: BTreeMap<String, BTreeMap<&str, u64>> = BTreeMap::new();
    for expected in &moment.expect {
        let Ok(address) = expected.subject.parse::<std::net::IpAddr>() else { continue };
        let (block, _) = raw(&moment).into_iter().find(|(block, _)| block.contains(&address)).unwrap();
        *wanted.entry(block.to_string()).or_default().entry(&expected.code).or_default() += 1;
    }
    let told: BTreeMap<String, BTreeMap<&str, u64>> = list(&rows, "blocks")
        .iter()
        .map(|row| {
            let codes = list(row, "wrong").iter().map(|w| (w["code"].as_str().unwrap(), w["count"].as_u64().unwrap()));
            (row["block"].as_str().unwrap().to_owned(), codes.collect())
        })
        .collect();
    assert_eq!(told, wanted);
    // One look, and no history: all of these are suspicions, and the line says so.
    let once = blocks(&etcd, &moment, &["--wrong"]);
    assert!(first(&once).contains(" in which one look saw something wrong"), "{}", text(&once));
    assert!(text(&once).contains("IPA110×2?") || text(&once).contains("IPA110?"), "{}", text(&once));
    // An audit that saw them too confirms them.
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    let db = db.to_str().unwrap();
    let mut audit = ipaudit();
    audit.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--etcd-endpoints", &etcd.endpoint(), "--db", db]);
    audit.args(["--settle", "50ms", "--now", &moment.captured_at]).arg("--kube-objects").arg(&moment.cluster_file);
    assert_eq!(audit.output().unwrap().status.code(), Some(1));
    let later = moment.captured_at.replace('Z', "");
    let (before, seconds) = later.rsplit_once(':').unwrap();
    let minute: u32 = before.rsplit_once(':').unwrap().1.parse().unwrap();
    let later = format!("{}:{:02}:{seconds}Z", before.rsplit_once(':').unwrap().0, (minute + 1) % 60);
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["blocks", "--wrong", "--etcd-endpoints", &etcd.endpoint()]);
    command.args(["--db", db, "--now", &later]).arg("--kube-objects").arg(&moment.cluster_file);
    let twice = command.output().unwrap();
    assert!(first(&twice).ends_with(&format!("; {} with something wrong", wanted.len())), "{}", text(&twice));
    assert!(!text(&twice).contains('?'), "{}", text(&twice));
}

#[test]
fn blocks_that_do_not_decode_are_listed_and_nothing_is_said_of_them() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("undecodable");
    let output = blocks(&etcd, &moment, &["-o", "json"]);
    let rows = document(&output);
    assert_eq!(output.status.code(), Some(3));
    let keys: BTreeSet<&str> = list(&rows, "undecodable").iter().map(|b| b["key"].as_str().unwrap()).collect();
    let bad = moment.expect.iter().filter(|e| e.code == "IPA901" && e.subject.contains("/assignment/"));
    assert_eq!(keys, bad.map(|e| e.subject.as_str()).collect());
    let table = blocks(&etcd, &moment, &[]);
    assert!(first(&table).starts_with("BLIND: ") && text(&table).contains(&format!("{} blocks do", keys.len())));
    let says = text(&table);
    let row = says.lines().find(|line| line.starts_with("10.77.200.0/26 ")).unwrap();
    assert!(row.contains(" ? ") && row.ends_with("IPA901"), "{row}");
    assert!(says.contains("NOT READ"), "{says}");
    // One of the pools does not decode either: nobody can say what is in no pool.
    let unsure = list(&rows, "blocks").iter().filter(|row| row["pool"].is_null() && row["free"].as_u64() > Some(0));
    assert!(unsure.clone().all(|row| row["stranded"].is_null()), "{rows:#}");
}

#[test]
fn an_unknown_name_and_a_datastore_that_does_not_answer_are_no_empty_list() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    for (args, says) in [
        (["--node", "node-11"], "no node is called node-11 here; did you mean node-1"),
        (["--pool", "defualt-ipv4"], "no pool is called defualt-ipv4 here; did you mean default-ipv4"),
        (["--pool", "0.0.0.7/0"], "no pool is called 0.0.0.7/0 here; did you mean "),
        (["--pool", "\u{1b}[2J"], "no pool is called \\x1b[2J here"),
    ] {
        let output = blocks(&etcd, &moment, &args);
        assert!(first(&output).starts_with(says), "{}", text(&output));
        assert_eq!(output.status.code(), Some(3), "silence about it proves nothing");
        let rows = document(&blocks(&etcd, &moment, &[args[0], args[1], "-o", "json"]));
        assert_eq!((list(&rows, "blocks").len(), list(&rows, "unknown").len()), (0, 1));
    }
    let mut command = ipaudit();
    command.args(["blocks", "--etcd-endpoints", "http://127.0.0.1:1"]).arg("--kube-objects").arg(&moment.cluster_file);
    let output = command.output().unwrap();
    assert!(first(&output).starts_with("BLIND: the blocks were not read ("), "{}", text(&output));
    assert_eq!(output.status.code(), Some(3));
    // Without Kubernetes the numbers stand, and what is wrong was not wholly looked for.
    let output = ipaudit().args(["blocks", "--etcd-endpoints", &etcd.endpoint()]).output().unwrap();
    let says = "BLIND: pods, nodes and services were not read (";
    assert!(first(&output).starts_with(says), "{}", text(&output));
    assert!(!first(&output).contains("nothing wrong"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_capture_is_listed_with_its_second_look() {
    let output = ipaudit().args(["blocks", "--from", CAPTURE, "--wrong"]).output().unwrap();
    let says = text(&output);
    let row = says.lines().find(|line| line.starts_with("192.168.91.0/26 ")).unwrap_or_else(|| panic!("{says}"));
    assert!(row.contains(" slave-140 ") && row.contains("IPA101"), "{row}");
    assert!(!row.contains("IPA101?"), "the capture's second look saw it too: {row}");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let worst = ipaudit().args(["blocks", "--from", CAPTURE, "--sort-by", "wrong", "-o", "jsonl"]).output().unwrap();
    let worst: Value = serde_json::from_str(&first(&worst)).unwrap();
    assert_eq!(worst["wrong"][0]["severity"], "critical");
    // Who asks for the block is told the same.
    let who = json(&ipaudit().args(["who", "192.168.91.0/26", "--from", CAPTURE, "-o", "json"]).output().unwrap());
    let rows = document(&ipaudit().args(["blocks", "--from", CAPTURE, "-o", "json"]).output().unwrap());
    let row = list(&rows, "blocks").iter().find(|row| row["block"] == "192.168.91.0/26").unwrap();
    for field in ["owner", "pool", "size", "allocated", "borrowed", "cooling", "reserved", "free", "stranded"] {
        assert_eq!(who["range"]["blocks"][0][field], row[field], "{field}");
    }
}

#[test]
fn foreign_names_never_reach_the_terminal_raw() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let is_block = |key: &[u8]| String::from_utf8_lossy(key).contains("/ipv4/block/10.65.247.0-26");
    let (key, value) = moment.keys.iter().find(|(k, _)| is_block(k) && k.starts_with(b"/calico/ipam/v2/ass")).unwrap();
    let mut block: Value = serde_json::from_slice(value).unwrap();
    block["affinity"] = "host:\u{1b}[2Jnode\r\u{202e}".into();
    etcd.put(key.clone(), serde_json::to_vec(&block).unwrap());
    for args in [vec![], vec!["-o", "wide"], vec!["--borrowed"], vec!["-o", "json"], vec!["-o", "jsonl"]] {
        let says = text(&blocks(&etcd, &moment, &args));
        assert!(!says.contains(['\u{1b}', '\r', '\u{202e}']), "{args:?}: {says:?}");
        assert!(says.contains("[2Jnode"), "{args:?}: {says}");
    }
}
