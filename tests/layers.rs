//! Who may import whom (ARCHITECTURE.md), held by reading `src/`.
//!
//! Imports go downwards only and never in circles, the pure half never names the outside world, no two types share a
//! name, every flag is read, and outputs take no foreign text as it is. A rule that is written down but not held is
//! broken within a month; this test is where it is held.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "layers/circles.rs"]
mod circles;
#[path = "layers/flags.rs"]
mod flags;
#[path = "layers/names.rs"]
mod names;
#[path = "layers/raw.rs"]
mod raw;
mod rust_source;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rust_source::house::{File, House};
use rust_source::{Named, Source};

/// A room of the house: a module right below the crate.
struct Room {
    name: &'static str,
    /// No I/O, no clock, no async, no printing.
    pure: bool,
    /// Other rooms that it may name.
    may: &'static [&'static str],
}

const fn pure(name: &'static str, may: &'static [&'static str]) -> Room {
    Room { name, pure: true, may }
}

const fn edge(name: &'static str, may: &'static [&'static str]) -> Room {
    Room { name, pure: false, may }
}

/// Rooms that are not built yet stand here too, so that they are held from their first line.
const ROOMS: &[Room] = &[
    pure("model", &[]),
    pure("decode", &["model"]),
    pure("ledger", &["model"]),
    pure("checks", &["ledger", "model"]),
    pure("steady", &["checks", "ledger", "model"]),
    pure("plan", &["decode", "exit", "ledger", "model"]),
    pure("judge", &["checks", "decode", "ledger", "model", "plan", "steady"]),
    pure("record", &["checks", "ledger", "model"]),
    pure("state", &["decode", "model"]),
    pure("exit", &["model"]),
    pure("settings", &["checks", "model"]),
    pure("who", &["checks", "ledger", "model"]),
    pure("blocks", &["checks", "ledger", "model", "who"]),
    pure("render", &["blocks", "checks", "exit", "ledger", "model", "plan", "who"]),
    // No I/O either, but it is the edges' word: the pure half has no operation that can fail outside.
    pure("error", &[]),
    edge("environment", &[]),
    edge("connect", &["checks", "environment", "error", "model"]),
    edge("source", &["connect", "decode", "environment", "error", "model"]),
    edge("apply", &["connect", "decode", "error", "model", "plan"]),
    edge("history", &["environment", "error", "model"]),
    edge(
        "cli",
        &[
            "apply",
            "blocks",
            "checks",
            "connect",
            "decode",
            "environment",
            "error",
            "exit",
            "history",
            "judge",
            "ledger",
            "model",
            "plan",
            "record",
            "render",
            "settings",
            "source",
            "state",
            "steady",
            "who",
        ],
    ),
];

/// The outside world: paths that the pure half must not name.
const OUTSIDE: &[&str] = &[
    "etcd_client",
    "kube",
    "k8s_openapi",
    "rusqlite",
    "tokio",
    "tonic",
    "clap",
    "hickory_resolver",
    "indicatif",
    "tracing",
    "tempfile",
    "std::fs",
    "std::env",
    "std::process",
    "std::net::Tcp*",
    "std::net::Udp*",
    "std::net::ToSocketAddrs",
    "std::os",
    "std::thread",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "std::time::SystemTime",
    "std::time::Instant",
];

/// Clocks under whatever name they were imported.
const CLOCKS: &[&str] = &["Utc::now", "Local::now", "SystemTime::now", "Instant::now"];

const PRINTING: &[&str] = &["println", "print", "eprintln", "eprint", "dbg"];

/// What `model` may use of other crates: it is what everything else is made of. hashbrown is the table of std's
/// own `HashMap`, which interned names need without its keys; strsim counts slips of the fingers; xxhash_rust is a hash
/// that is the same in every build.
const CRATES_OF_MODEL: &[&str] =
    &["std", "core", "alloc", "ipnet", "serde", "chrono", "hashbrown", "strsim", "xxhash_rust"];

/// One outside thing has one door.
const DOORS: &[(&str, &[&str])] = &[
    ("clap", &["cli"]),
    ("rusqlite", &["history"]),
    ("etcd_client", &["connect", "source", "apply"]),
    ("kube", &["connect", "source"]),
    ("netlink_packet_core", &["source"]),
    ("netlink_packet_route", &["source"]),
    ("netlink_sys", &["source"]),
    ("rustix", &["connect", "source"]),
];

/// Variables are read by one room: an empty one is none, whoever asks.
const VARIABLES: &[&str] = &["std::env::var*", "std::env::temp_dir"];

/// Lines of a file in `src/`; one that is longer has outgrown its room. Files of tests alone do not count.
const LONGEST: usize = 450;

/// What is wrong with `source`, a part of `room`.
fn wrongs(room: &Room, source: &Source) -> Vec<(usize, String)> {
    source.named.iter().filter_map(|named| Some((named.line, wrong(room, named)?))).collect()
}

fn wrong(room: &Room, named: &Named) -> Option<String> {
    let first = named.path.first()?.as_str();
    if first == "crate" {
        let other = named.path.get(1)?.as_str();
        let known = ROOMS.iter().any(|r| r.name == other);
        let allowed = other == room.name || room.may.contains(&other) || (!known && room.name == "cli");
        return (!allowed).then(|| format!("{} may not import {other}: {named}", room.name));
    }
    if let Some((_, rooms)) = DOORS.iter().find(|(name, rooms)| *name == first && !rooms.contains(&room.name)) {
        return Some(format!("{named}: only {} may name {first}", rooms.join(", ")));
    }
    if !room.pure {
        let reads = room.name != "environment" && VARIABLES.iter().any(|path| covers(path, &named.path));
        return reads.then(|| format!("{named}: only environment reads a variable"));
    }
    if named.is_macro && named.path.last().is_some_and(|m| PRINTING.contains(&m.as_str())) {
        return Some(format!("{} is pure and prints: {named}", room.name));
    }
    if OUTSIDE.iter().any(|outside| covers(outside, &named.path)) {
        return Some(format!("{} is pure and names the outside world: {named}", room.name));
    }
    if CLOCKS.iter().any(|clock| named.path.join("::").ends_with(clock)) {
        return Some(format!("{} is pure and reads a clock: {named}", room.name));
    }
    let foreign = dependencies().iter().any(|d| d == first) && !CRATES_OF_MODEL.contains(&first);
    (room.name == "model" && foreign).then(|| format!("model is made of {} alone: {named}", CRATES_OF_MODEL.join(", ")))
}

/// Whether `path` is or lies below `pattern`; its last word may end in `*`. A glob or group import above it counts
/// as well, since it brings the name in.
fn covers(pattern: &str, path: &[String]) -> bool {
    let words: Vec<&str> = pattern.split("::").collect();
    for (at, word) in words.iter().enumerate() {
        let matches = match path.get(at).map(String::as_str) {
            None => false,
            Some("*") => at > 0,
            Some(name) => word.strip_suffix('*').map_or(name == *word, |start| name.starts_with(start)),
        };
        if !matches {
            return false;
        }
        if path.get(at).is_some_and(|name| name == "*") {
            return true;
        }
    }
    true
}

/// Names of the crates that we depend on, as code writes them.
fn dependencies() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let (_, rest) = manifest.split_once("\n[dependencies]\n").expect("[dependencies] in Cargo.toml");
        let section = rest.split("\n[").next().unwrap();
        let names = section.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
        names.map(|name| name.replace('-', "_")).collect()
    })
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The crate, from `src/lib.rs`; read once.
fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| House::build("src/lib.rs", &|path| std::fs::read_to_string(root().join(path)).ok()))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_go_downwards_and_the_pure_half_is_pure() {
    let mut wrong = Vec::new();
    for file in house().code() {
        // lib.rs and main.rs are the roof: they only list and start.
        let Some(name) = file.module.get(1) else { continue };
        match ROOMS.iter().find(|room| room.name == name) {
            Some(room) => wrong
                .extend(wrongs(room, &file.source).iter().map(|(line, what)| format!("{}:{line}: {what}", file.path))),
            None => wrong.push(format!("{}: no such room in tests/layers.rs: {name}", file.path)),
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// What is printed passes the guard that stands in one file, and JSON is written by one writer: no output can forget to
/// spell out other people's control characters.
#[test]
fn the_two_streams_have_one_door_and_json_has_one_writer() {
    let door = |path: &str| path == "src/cli/output.rs" || path.ends_with("history/kill.rs");
    let mut wrong = Vec::new();
    for file in house().code() {
        for named in &file.source.named {
            let prints = named.is_macro && named.path.last().is_some_and(|m| PRINTING.contains(&m.as_str()));
            let streams = ["stdout", "stderr"].iter().any(|s| named.path.iter().any(|part| part == s));
            if (prints || streams) && !door(&file.path) {
                wrong.push(format!("{}:{}: {named} is for src/cli/output.rs", file.path, named.line));
            }
            let room = file.module.get(1).is_some_and(|room| room == "render" || room == "cli");
            let writes = ["to_writer", "to_writer_pretty", "to_string_pretty", "with_formatter", "PrettyFormatter"];
            let json = writes.iter().any(|w| named.path.iter().any(|part| part == w));
            if room && json && file.path != "src/render/json/lines.rs" {
                wrong.push(format!("{}:{}: {named} is for src/render/json/lines.rs", file.path, named.line));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn files_have_not_outgrown_their_room() {
    let lines = house().code().map(|f| (f.path.as_str(), f.text.lines().count()));
    let long = lines.filter(|(_, lines)| *lines > LONGEST);
    let long: Vec<String> = long.map(|(path, lines)| format!("{path}: {lines} lines")).collect();
    assert!(long.is_empty(), "longer than {LONGEST} lines:\n{}\n", long.join("\n"));
}

/// A file that no `mod` names is compiled by nobody: its tests never run.
#[test]
fn every_file_is_part_of_the_crate() {
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    let written: BTreeSet<String> =
        paths.iter().map(|path| path.strip_prefix(root()).unwrap().display().to_string()).collect();
    let house = house();
    let hidden = |f: &&File| f.source.children.iter().any(|child| child.path.is_some());
    let hidden: Vec<&str> = house.files.iter().filter(hidden).map(|f| f.path.as_str()).collect();
    assert!(hidden.is_empty(), "#[path] hides where a module lives: {hidden:?}");
    let mut reached: Vec<String> = house.files.iter().map(|f| f.path.clone()).collect();
    // The binary's own root.
    reached.push("src/main.rs".to_owned());
    let once: BTreeSet<String> = reached.iter().cloned().collect();
    assert_eq!(once.len(), reached.len(), "declared twice: {reached:?}");
    assert_eq!(written, once, "left: written, right: declared by a mod");
}

// ---- The guard is guarded: forbidden snippets must be found, and look-alikes must not. ----

fn judged(module: &[&str], text: &str) -> Vec<String> {
    let room = ROOMS.iter().find(|r| r.name == module[1]).unwrap();
    wrongs(room, &rust_source::read(text, module)).into_iter().map(|(line, what)| format!("{line}: {what}")).collect()
}

#[test]
fn forbidden_imports_are_found() {
    let forbidden: &[(&[&str], &str)] = &[
        (&["crate", "model", "block"], "use crate::ledger::Ledger;"),
        (&["crate", "model"], "use serde_json::Value;"),
        (&["crate", "decode", "block"], "use crate::{model::Block, checks::{Check}};"),
        (&["crate", "decode", "block"], "use crate::error::Error;"),
        (&["crate", "decode", "block"], "use super::super::source::etcd::Sink;"),
        (&["crate", "ledger"], "fn f() { let x = crate::decode::insert; }"),
        (&["crate", "checks", "blocks", "x"], "use crate::render::escape;"),
        (&["crate", "checks", "blocks", "x"], "use std::{fmt, fs};"),
        (&["crate", "checks", "blocks", "x"], "fn f() { std::fs::read(\"x\"); }"),
        (&["crate", "checks", "blocks", "x"], "fn f() { ::std::env::var(\"x\"); }"),
        (&["crate", "checks", "blocks", "x"], "use std::*;"),
        (&["crate", "checks", "blocks", "x"], "use std::net::{IpAddr, TcpStream as Ip};"),
        (&["crate", "checks", "blocks", "x"], "use std::net::*;"),
        (&["crate", "checks", "blocks", "x"], "fn f() { let now = Utc::now(); }"),
        (&["crate", "checks", "blocks", "x"], "fn f() { let now = chrono::Utc::now(); }"),
        (&["crate", "checks", "blocks", "x"], "use std::time::SystemTime;"),
        (&["crate", "checks", "blocks", "x"], "fn f() { println!(\"x\"); }"),
        (&["crate", "checks", "blocks", "x"], "fn f() { std::eprint!(\"x\"); }"),
        (&["crate", "checks", "blocks", "x"], "async fn f() { tokio::time::sleep(x).await }"),
        (&["crate", "render", "table"], "use rusqlite::Connection;"),
        (&["crate", "render", "table"], "use std::io::{self, Write, stdout};"),
        (&["crate", "steady"], "use clap::Parser;"),
        (&["crate", "plan"], "use kube::Client;"),
        (&["crate", "plan"], "pub(crate) mod inner { use super::super::apply::Txn; }"),
        (&["crate", "error"], "use crate::model::Code;"),
        (&["crate", "source", "etcd"], "use crate::history::History;"),
        (&["crate", "source", "etcd"], "use crate::checks::World;"),
        (&["crate", "source", "etcd"], "use rusqlite::Connection;"),
        (&["crate", "apply"], "use super::source::etcd;"),
        (&["crate", "history", "write"], "use crate::source::etcd::EtcdRead;"),
        (&["crate", "history", "write"], "use etcd_client::Client;"),
        (&["crate", "connect", "settings"], "use crate::cli::output::Streams;"),
        (&["crate", "connect", "settings"], "fn f() { std::env::var_os(\"x\"); }"),
        (&["crate", "cli", "output"], "use std::env; fn f() { env::vars(); }"),
        // What a macro or an attribute is given is code as well.
        (&["crate", "checks", "blocks", "x"], "fn f() { assert!(vec![std::fs::read(p).is_ok()][0]); }"),
        (&["crate", "checks", "blocks", "x"], "fn f() { outer!(inner { println!(\"x\") }); }"),
        (&["crate", "model"], "macro_rules! m { () => { crate::ledger::x() }; }"),
        (&["crate", "model"], "#[derive(Debug, clap::Args)]\nstruct S;"),
        (&["crate", "model"], "struct S { #[serde(with = \"crate::decode::text\")] a: u8 }"),
        // Another name for it is no other thing.
        (&["crate", "checks", "x"], "use chrono::Utc as Zone; fn f() { Zone::now(); }"),
        // Code behind a test module is code again.
        (&["crate", "model"], "#[cfg(test)]\nmod tests { use std::fs; }\nuse std::fs;"),
        (&["crate", "model"], "#[cfg(test)]\nfn helper() {}\nfn f() { std::fs::read(\"\"); }"),
        // Neither a lifetime nor a quote in a character nor a raw string hides what follows.
        (&["crate", "model"], "fn f<'a>(x: &'a str) { std::fs::read(x); }"),
        (&["crate", "model"], "const Q: char = '\"'; use std::fs; const R: char = '\\'';"),
        (&["crate", "model"], "const S: &str = r#\"a\"b\"#; use std::fs;"),
    ];
    for (module, text) in forbidden {
        let wrong = judged(module, text);
        assert_eq!(wrong.len(), 1, "{module:?} {text}: {wrong:?}");
    }
    assert_eq!(
        judged(&["crate", "checks", "x"], "// a\n/* b\n c */\nuse std::fs;"),
        ["4: checks is pure and names the outside world: std::fs"]
    );
}

#[test]
fn allowed_imports_are_not() {
    let allowed: &[(&[&str], &str)] = &[
        (&["crate", "model"], "use std::net::{IpAddr, Ipv4Addr}; use chrono::{DateTime, Utc}; use std::fmt;"),
        (&["crate", "decode"], "mod kube; pub fn f() { kube::insert(); self::kube::insert(); }"),
        (
            &["crate", "decode", "kube_pb"],
            "use super::kube::Item; use crate::model::kube; fn f() { kube::Pod::new(); }",
        ),
        (&["crate", "decode", "block"], "use super::json::parse; use serde::Deserialize; use base64::Engine;"),
        (&["crate", "decode", "block"], "#[cfg(test)]\nmod tests { use std::fs; fn f() { println!(); } }"),
        (&["crate", "decode", "block"], "#[cfg(test)]\npub(crate) use std::fs;\nfn f() {}"),
        (&["crate", "checks", "blocks", "x"], "use super::super::evidence::Draft; use crate::ledger::Ledger;"),
        (
            &["crate", "checks", "blocks", "x"],
            "fn f(w: &mut dyn std::io::Write) { writeln!(w, \"println!(std::fs)\"); }",
        ),
        (
            &["crate", "checks", "blocks", "x"],
            "// use std::fs;\n/* /* use std::fs; */ */\nconst S: &str = \"std::fs \\\" x\";",
        ),
        (&["crate", "checks", "blocks", "x"], "fn f() { world.snapshot.now(); let clap = 1; x.kube.tokio; }"),
        (&["crate", "checks", "blocks", "x"], "fn f() { if print != 1 {} }"),
        (&["crate", "checks", "blocks", "x"], "fn f<'a>() -> impl Fn() + use<'a> { x(); move || {} }"),
        (&["crate", "steady"], "use crate::checks::refold; use crate::ledger::Ledger; use crate::model::*;"),
        (&["crate", "render", "table"], "use crate::checks::find; use crate::ledger::Ledger; use std::io::Write;"),
        (
            &["crate", "source", "etcd"],
            "use crate::{connect::etcd::Connection, decode::Kv, error::Error, model}; use tokio::fs;",
        ),
        (&["crate", "cli", "audit"], "use crate::{source, history, render, checks}; use clap::Parser; use std::env;"),
    ];
    for (module, text) in allowed {
        let wrong = judged(module, text);
        assert!(wrong.is_empty(), "{module:?} {text}: {wrong:?}");
    }
}
