//! What a second look costs: the whole program beside a real etcd and an API server that counts.
//!
//! Run as `IPAUDIT_PEAK=FILE`, this program is `ipaudit` with an allocator that counts, and writes the most memory that
//! it ever held into the file. Bytes that were asked for, not pages: the same in every run.

#![allow(dead_code, unsafe_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_macros)]

#[path = "../benches/generator/mod.rs"]
mod generator;
mod servers;

#[path = "second_look/counting.rs"]
mod counting;
#[path = "second_look/kube.rs"]
mod kube;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use generator::Cluster;
use kube::Kube;
use servers::{Etcd, EtcdVersion};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const PODS: usize = 20_000;

fn main() -> ExitCode {
    if let Some(file) = std::env::var_os("IPAUDIT_PEAK") {
        let exit = ipaudit::cli::main();
        std::fs::write(file, counting::peak().to_string()).expect("the peak is written");
        return ExitCode::from(exit.code());
    }
    all();
    ExitCode::SUCCESS
}

fn all() {
    servers::need!(Etcd3_7);
    let cluster = Cluster::of(PODS);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    etcd.put_many(cluster.keys().map(|(k, v)| (k.into_bytes(), v.into_bytes())).collect());
    let kube = Kube::of(&cluster);
    let clean = audit(&etcd, &kube);
    assert_eq!(clean.findings, 0, "{}", clean.stdout);
    etcd_is_read_while_kubernetes_has_not_answered(&etcd, &kube);
    one_suspect_does_not_double_the_memory(&etcd, &kube, &clean);
    four_hundred_suspects_need_no_more_requests_than_the_first_look(&etcd, &kube, &clean);
    what_is_listed_once_more_is_not_held_twice(&etcd, &kube, &clean);
}

/// The first look waits for neither side before it asks the other one.
fn etcd_is_read_while_kubernetes_has_not_answered(etcd: &Etcd, kube: &Kube) {
    let (address, before) = (etcd.address(), asked_of(etcd));
    kube.before_an_answer(Some(Box::new(move || {
        servers::eventually("etcd is read meanwhile", Duration::from_secs(60), || asked_at(&address) > before + 10);
    })));
    let run = audit(etcd, kube);
    kube.before_an_answer(None);
    assert_eq!(run.findings, 0, "{}", run.stdout);
}

/// The peak is that of one state: neither the snapshot nor the ledger stands there twice.
fn one_suspect_does_not_double_the_memory(etcd: &Etcd, kube: &Kube, clean: &Run) {
    kube.hide_pods(1);
    let one = audit(etcd, kube);
    assert!(one.findings > 0, "{}", one.stdout);
    assert!(one.singles > 0 && one.pages == clean.pages, "{} single looks, {} pages", one.singles, one.pages);
    let ratio = one.peak as f64 / clean.peak as f64;
    println!("one suspect: {} bytes at most, none: {}, ratio {ratio:.3}", one.peak, clean.peak);
    assert!(ratio <= 1.15, "{ratio}");
}

/// Both sides are asked no oftener the second time than the first, however many suspects there are.
fn four_hundred_suspects_need_no_more_requests_than_the_first_look(etcd: &Etcd, kube: &Kube, clean: &Run) {
    kube.hide_pods(400);
    let many = audit(etcd, kube);
    assert!(many.findings >= 400, "{}", many.findings);
    let second = (many.requests - clean.requests, many.of_etcd - clean.of_etcd);
    println!(
        "400 suspects: {second:?} requests to Kubernetes and etcd, the first look: {:?}",
        (clean.requests, clean.of_etcd)
    );
    assert!(second.0 > 0 && second.0 <= clean.requests);
    assert!(second.1 > 0 && second.1 <= clean.of_etcd);
}

/// So many suspects that all of handles, endpoints, blocks and pods are listed once more: of what says the same again nothing
/// is held. What the findings take is theirs.
fn what_is_listed_once_more_is_not_held_twice(etcd: &Etcd, kube: &Kube, clean: &Run) {
    kube.hide_pods(1_000);
    let many = audit(etcd, kube);
    assert!(many.findings >= 2_000, "{}", many.findings);
    assert!(many.singles == clean.singles && many.pages > clean.pages, "{} single looks", many.singles);
    let ratio = many.peak as f64 / clean.peak as f64;
    println!("1000 suspects: {} bytes at most, none: {}, ratio {ratio:.3}", many.peak, clean.peak);
    assert!(ratio <= 1.2, "{ratio}");
}

/// One audit of the program, and what it cost.
struct Run {
    stdout: String,
    findings: usize,
    peak: usize,
    /// To Kubernetes: all, pages of lists, single objects.
    requests: usize,
    pages: usize,
    singles: usize,
    of_etcd: usize,
}

fn audit(etcd: &Etcd, kube: &Kube) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let (config, peak) = (folder.path().join("kubeconfig"), folder.path().join("peak"));
    std::fs::write(&config, kube.kubeconfig()).unwrap();
    let (before, of_etcd) = (kube.asked().len(), asked_of(etcd));
    let mut ipaudit = Command::new(std::env::current_exe().unwrap());
    ipaudit.env_clear().env("IPAUDIT_PEAK", &peak).env("HOME", "/nonexistent");
    ipaudit.args(["audit", "--no-history", "--settle", "1s", "-o", "json", "--now", generator::NOW]);
    ipaudit.args(["--etcd-endpoints", &etcd.endpoint()]).arg("--kubeconfig").arg(Path::new(&config));
    let output = ipaudit.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{stderr}");
    assert!(!stderr.contains("second look failed"), "{stderr}");
    let asked = kube.asked().split_off(before);
    let pages = asked.iter().filter(|path| path.contains("limit=")).count();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let states: BTreeSet<&str> = findings.iter().filter_map(|f| f["state"].as_str()).collect();
    assert!(states.len() <= 1 && !states.contains("unconfirmed"), "{states:?}");
    Run {
        findings: findings.len(),
        peak: std::fs::read_to_string(&peak).unwrap().parse().unwrap(),
        requests: asked.len(),
        pages,
        singles: asked.len() - pages,
        of_etcd: asked_of(etcd) - of_etcd,
        stdout,
    }
}

/// Reads that etcd has been asked for since it started, by its own count.
fn asked_of(etcd: &Etcd) -> usize {
    asked_at(&etcd.address())
}

fn asked_at(address: &str) -> usize {
    let text = kube::get(address, "/metrics");
    let counts = text.lines().filter(|line| {
        line.starts_with("grpc_server_started_total{")
            && ["Range", "RangeStream", "Txn"].iter().any(|method| line.contains(&format!(r#"grpc_method="{method}""#)))
    });
    counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as usize
}
