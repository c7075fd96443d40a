//! Audits of one cluster with the pods from files.

use std::process::Command;

use serde_json::Value;

use super::measure::{self, Cost, Measured};
use super::options::Options;
use super::print::say;
use super::servers::EtcdVersion;
use super::table::{Row, Store};
use super::world::World;

/// The command that is measured, and the one beside it.
pub fn programs(options: &Options) -> Vec<(&'static str, String)> {
    let this = ("", env!("CARGO_BIN_EXE_ipaudit").to_owned());
    let other = options.against.iter().map(|path| (", T", path.display().to_string()));
    std::iter::once(this).chain(other).collect()
}

/// One audit, whatever it finds.
pub fn audit(world: &World, name: String, program: &str, more: &[&str]) -> Measured {
    let endpoint = world.etcd.endpoint();
    let fixed = ["audit", "--etcd-endpoints", &endpoint, "--settle", "1ms", "--fail-on", "never"];
    // What is found is counted where there is little; else it is told as people are told.
    let output = if world.cluster.plan().leaks == 0 { "json" } else { "table" };
    let args = fixed.iter().chain(&["-o", output]).chain(more).map(|arg| (*arg).to_owned()).collect();
    Measured { name, program: program.to_owned(), args, fresh: None }
}

/// What is run while nothing changes.
pub fn same(world: &World, options: &Options) -> Vec<Row> {
    let bench = std::env::current_exe().expect("our own path").display().to_string();
    let raw = |name: &str, how: String| {
        let args = vec!["raw".to_owned(), world.etcd.endpoint(), how];
        Row::new(Measured { name: name.to_owned(), program: bench.clone(), args, fresh: None })
    };
    let mut rows = vec![raw("raw read", world.file("namespaces.json"))];
    if world.etcd.version() == EtcdVersion::V3_7 {
        rows.push(raw("raw read, streamed", "stream".to_owned()));
    }
    let objects = world.file("objects.json");
    for (mark, program) in programs(options) {
        let fresh = |name: &str, file: &str, more: &[&str]| {
            let db = world.file(&format!("{file}{mark}.db"));
            let command = audit(world, format!("{name}{mark}"), &program, &[&["--db", &db], more].concat());
            Row::new(Measured { fresh: Some(db.into()), ..command })
        };
        rows.push(fresh("etcd alone, first", "etcd-first", &[]));
        rows.push(fresh("files, first", "files-first", &["--kube-objects", &objects]));
    }
    rows
}

/// What is run once one pod of a hundred was replaced, each with its own history.
fn repeated(world: &World, options: &Options) -> Vec<Row> {
    let (objects, suspects) = (world.file("objects.json"), world.file("suspects.json"));
    let mut rows = Vec::new();
    for (mark, program) in programs(options) {
        let row = |name: &str, file: &str, more: &[&str]| {
            let db = world.file(&format!("{file}{mark}.db"));
            Row::new(audit(world, format!("{name}{mark}"), &program, &[&["--db", &db], more].concat()))
        };
        rows.push(row("etcd alone, repeated", "etcd", &[]));
        rows.push(row("files, repeated", "files", &["--kube-objects", &objects]));
        if world.cluster.plan().leaks == 0 {
            rows.push(row("files, repeated, 400 suspects", "suspects", &["--kube-objects", &suspects]));
        }
    }
    rows
}

/// The same where etcd has forgotten what was in between.
fn compacted(world: &World, options: &Options) -> Vec<Row> {
    let rows = programs(options).into_iter().map(|(mark, program)| {
        let db = world.file(&format!("compacted{mark}.db"));
        Row::new(audit(world, format!("etcd alone, repeated, compacted{mark}"), &program, &["--db", &db]))
    });
    rows.collect()
}

/// One cluster, all rounds.
pub fn measure(world: &mut World, version: EtcdVersion, options: &Options) -> Store {
    let (mut same, mut repeated, mut compacted) =
        (same(world, options), repeated(world, options), compacted(world, options));
    let all = |rows: &mut [Row], world: &World, counted: bool| {
        rows.iter_mut().for_each(|row| run(row, world, counted));
    };
    all(&mut repeated, world, false);
    all(&mut compacted, world, false);
    // The first round warms caches and is not counted.
    for round in 0..=options.rounds {
        say(&format!("{} pods, {}: round {round} of {}", world.name, super::print::word(version), options.rounds));
        let counted = round > 0 || options.quick;
        all(&mut same, world, counted);
        world.churn();
        world.write_files();
        all(&mut repeated, world, counted);
        all(&mut compacted, world, false);
        world.churn();
        world.write_files();
        world.etcd.compact(world.etcd.revision());
        all(&mut compacted, world, counted);
        all(&mut repeated, world, false);
    }
    let rows = same.into_iter().chain(repeated).chain(compacted).collect();
    Store::of(world, version, String::new(), rows)
}

/// Runs a command once, and checks that it did what it is measured for.
pub fn run(row: &mut Row, world: &World, counted: bool) {
    let cost = run_beside(row, world, &[]);
    if counted {
        row.costs.push(cost);
    }
}

/// The same; `others` are processes whose CPU is theirs who serve the pods.
pub fn run_beside(row: &Row, world: &World, others: &[u32]) -> Cost {
    let output = world.path().join("output.json");
    if let Some(fresh) = &row.command.fresh {
        let _ = std::fs::remove_file(fresh);
    }
    let mut command = Command::new(&row.command.program);
    command.args(&row.command.args).env_clear().env("HOME", world.path().join("home")).current_dir(world.path());
    if row.command.args.first().is_some_and(|word| word == "audit") {
        command.args(["--now", &world.cluster.now()]);
    }
    let cost = measure::run(&command, &output, world.etcd.pid(), others);
    let said = std::fs::read(&output).expect("what the command printed");
    check(row, world, &said, &cost);
    cost
}

fn check(row: &Row, world: &World, said: &[u8], cost: &Cost) {
    let (name, said, cluster) = (&row.command.name, String::from_utf8_lossy(said), &world.cluster);
    if name.starts_with("raw") {
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        // Every key that is wanted, and none of the others.
        assert_eq!((cost.exit, &said["keys"]), (0, &cluster.wanted_keys().into()), "{said:#}");
        return;
    }
    // Without pods the audit says that it is incomplete.
    assert_eq!(cost.exit, if name.starts_with("etcd alone") { 3 } else { 0 }, "{name}: {said}");
    if row.command.args.iter().any(|arg| arg == "json") {
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        let findings = said["findings"].as_array().map(Vec::len).unwrap_or_default();
        match name.contains("suspects") {
            true => assert!(findings >= world.suspects(), "{name}: {findings} findings"),
            false => assert_eq!(findings, 0, "{name}: a healthy cluster: {said:#}"),
        }
        assert_eq!(said["counts"]["blocks"], cluster.blocks(), "{name}: {:#}", said["counts"]);
    }
}
