//! What an audit costs, beside a raw read of the same keys by the same code: `make bench`.
//!
//! Generates clusters of 1,000, 10,000 and 100,000 pods (`benches/generator`), loads each into a throw-away etcd on
//! loopback, and runs in turns: a bounded read that throws everything away, the audit without Kubernetes, and the
//! whole audit with the pods as kubectl prints them, without and with a history. Every command is a process of its
//! own, so that its CPU and peak memory are the kernel's word for it. Client and server share the machine: use the
//! ratios, not the seconds.
//!
//! `cargo bench --bench audit -- --sizes 1000,5000 --rounds 3 --etcd 3.4`; `-- --serve 100000` loads one cluster and
//! waits, for a profiler. Without `--bench` (as `cargo test` runs it) it is a quick proof that all of this works.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../generator/mod.rs"]
mod generator;
mod measure;
mod options;
mod print;
mod raw;
mod report;
#[path = "../../tests/servers/mod.rs"]
mod servers;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

use generator::Cluster;
use measure::{Cost, Measured};
use options::Options;
use report::{Report, Row, Store};
use servers::skip::{Need, have};
use servers::{Etcd, EtcdVersion};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("measure") => measure::child(&args[1..]),
        Some("raw") => raw::child(&args[1..]),
        _ => bench(&args),
    }
}

fn bench(args: &[String]) {
    let Some(options) = Options::parse(args) else { return };
    let version = options.etcd.unwrap_or(match servers::binaries::etcd_3_7() {
        Some(_) => EtcdVersion::V3_7,
        None => EtcdVersion::V3_4,
    });
    let need = if version == EtcdVersion::V3_7 { Need::Etcd3_7 } else { Need::Etcd3_4 };
    if !have(need, "the bench") {
        return;
    }
    if let Some(pods) = options.serve {
        return serve(pods, version);
    }
    let mut report = Report::new(version, &options);
    for &pods in &options.sizes {
        report.stores.push(store(pods, version, &options));
    }
    report.print();
    if !options.quick {
        report.save();
    }
}

/// A loaded etcd and the files beside it.
struct World {
    cluster: Cluster,
    etcd: Etcd,
    folder: TempDir,
    /// Under `/calico`.
    keys: usize,
    bytes: usize,
}

fn world(pods: usize, version: EtcdVersion) -> World {
    say(&format!("{pods} pods: generating and loading"));
    let cluster = Cluster::of(pods);
    let folder = tempfile::Builder::new().prefix("ipaudit-bench-").tempdir().expect("a temporary folder");
    write_files(&cluster, folder.path());
    let etcd = Etcd::start(version);
    let (keys, bytes) = load(&cluster, &etcd);
    // What loading left behind in memory is not the reader's cost.
    etcd.restart();
    World { cluster, etcd, folder, keys, bytes }
}

/// Says what would be measured and waits, for a profiler or a debugger.
fn serve(pods: usize, version: EtcdVersion) {
    let world = world(pods, version);
    for command in commands(&world.etcd, world.folder.path()) {
        print::print(&format!("{}:\n  {} {}\n", command.name, command.program, command.args.join(" ")));
    }
    say("Enter ends it");
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// One size, from generating to the last round.
fn store(pods: usize, version: EtcdVersion, options: &Options) -> Store {
    let World { cluster, etcd, folder, keys, bytes } = world(pods, version);
    let mut rows: Vec<Row> = commands(&etcd, folder.path()).into_iter().map(Row::new).collect();
    // The first round warms caches and is not counted.
    for round in 0..=options.rounds {
        say(&format!("{pods} pods: round {round} of {}", options.rounds));
        for row in &mut rows {
            let cost = run(row, &etcd, folder.path(), &cluster);
            if round > 0 || options.rounds == 0 {
                row.costs.push(cost);
            }
        }
    }
    Store { pods, keys, bytes, wanted: cluster.wanted_keys(), cluster: cluster.describe(), rows }
}

/// A line for whoever waits.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}

fn write_files(cluster: &Cluster, folder: &Path) {
    let mut plain = BufWriter::new(File::create(folder.join("objects.json")).expect("a file for the pods"));
    cluster.write_objects(&mut plain).and_then(|()| plain.flush()).expect("the pods are written");
    let zipped = File::create(folder.join("objects.json.gz")).expect("a file for the pods");
    let mut zipped = GzEncoder::new(BufWriter::new(zipped), Compression::fast());
    cluster.write_objects(&mut zipped).and_then(|()| zipped.finish()?.flush()).expect("the pods are written");
    let namespaces = serde_json::to_vec(&cluster.pods_by_namespace()).expect("JSON of counts");
    std::fs::write(folder.join("namespaces.json"), namespaces).expect("the namespaces are written");
    std::fs::create_dir(folder.join("home")).expect("an empty home");
}

/// Keys and bytes under `/calico`.
fn load(cluster: &Cluster, etcd: &Etcd) -> (usize, usize) {
    const AT_ONCE: usize = 5_000;
    let (mut keys, mut bytes) = (0, 0);
    let mut batch = Vec::with_capacity(AT_ONCE);
    for (key, value) in cluster.keys() {
        keys += 1;
        bytes += key.len() + value.len();
        batch.push((key.into_bytes(), value.into_bytes()));
        if batch.len() == AT_ONCE {
            etcd.put_many(std::mem::take(&mut batch));
        }
    }
    etcd.put_many(batch);
    (keys, bytes)
}

fn commands(etcd: &Etcd, folder: &Path) -> Vec<Measured> {
    let bench = std::env::current_exe().expect("our own path").display().to_string();
    let file = |name: &str| folder.join(name).display().to_string();
    let raw = |name, more: &[String]| Measured {
        name,
        program: bench.clone(),
        args: [&["raw".to_owned(), etcd.endpoint()], more].concat(),
        exit: 0,
        fresh: None,
    };
    let audit = |name, exit, more: &[&str]| {
        let endpoint = etcd.endpoint();
        let fixed = ["audit", "--etcd-endpoints", &endpoint, "--now", generator::NOW, "--settle", "0", "-o", "json"];
        let args = fixed.iter().chain(more).map(|arg| (*arg).to_owned()).collect();
        Measured { name, program: env!("CARGO_BIN_EXE_ipaudit").to_owned(), args, exit, fresh: None }
    };
    let (objects, kept, fresh) = (file("objects.json.gz"), file("kept.db"), file("fresh.db"));
    let remembered = |name, db: &str| audit(name, 0, &["--kube-objects", &objects, "--db", db]);
    vec![
        raw("raw read", &[file("namespaces.json")]),
        raw("raw read, namespaces unknown", &[]),
        // Without pods the audit says that it is incomplete.
        audit("audit, etcd alone", 3, &["--no-history"]),
        audit("audit, pods from JSON", 0, &["--no-history", "--kube-objects", &file("objects.json")]),
        audit("audit, pods from JSON.gz", 0, &["--no-history", "--kube-objects", &file("objects.json.gz")]),
        Measured { fresh: Some(fresh.clone().into()), ..remembered("the same, its first history", &fresh) },
        // The round that is not counted records the cluster; in the others nothing has changed.
        remembered("the same with its history", &kept),
    ]
}

/// Runs a command once, and checks that it did what it is measured for.
fn run(row: &Row, etcd: &Etcd, folder: &Path, cluster: &Cluster) -> Cost {
    let output = folder.join("output.json");
    if let Some(fresh) = &row.command.fresh {
        let _ = std::fs::remove_file(fresh);
    }
    let mut command = Command::new(&row.command.program);
    command.args(&row.command.args).env_clear().env("HOME", folder.join("home")).current_dir(folder);
    let cost = measure::run(&command, &output, etcd.pid());
    let said = std::fs::read(&output).expect("what the command printed");
    let said: Value = serde_json::from_slice(&said).unwrap_or_default();
    assert_eq!(cost.exit, row.command.exit, "{}: {said:#}", row.command.name);
    if row.command.program.ends_with("ipaudit") {
        assert_eq!(said["findings"].as_array().map(Vec::len), Some(0), "a healthy cluster: {said:#}");
        assert_eq!(said["counts"]["blocks"], cluster.blocks(), "{:#}", said["counts"]);
    } else {
        // Every key that is wanted, and none of the others.
        assert_eq!(said["keys"], cluster.wanted_keys());
    }
    cost
}
