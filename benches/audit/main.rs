//! What an audit costs, beside a raw read of the same keys by the same code: `make bench`.
//!
//! Generates clusters (`benches/generator`), loads each into a throw-away etcd on loopback, and runs in turns: a bounded
//! read that throws everything away, audits of etcd alone and whole ones, the first of a cluster and those that find one
//! pod of a hundred replaced, with and without suspects, with the pods from files and from a real API server. Then
//! a writer's puts while somebody reads, and what is asked of a year of history. Every command is a process of its own,
//! so that its CPU and peak memory are the kernel's word for it. Client and servers share the machine: use the ratios,
//! not the seconds.
//!
//! `cargo bench --bench audit -- --sizes 1000,old:5000 --rounds 3 --etcd 3.4 --parts audits`; `--against PATH` runs
//! another build of the command in turns with this one; `--all` (`make bench BENCH=all`) everything with both versions
//! of etcd; `-- --serve 100000` loads one cluster and waits, for a profiler. Without `--bench` (as `cargo test` runs it)
//! it is a quick proof that all of this works.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
mod audits;
#[path = "../generator/mod.rs"]
mod generator;
mod measure;
mod options;
mod print;
mod raw;
mod report;
#[path = "../../tests/servers/mod.rs"]
mod servers;
mod table;
mod world;
mod writer;
mod year;
// Audits straight into a history, for the year.
#[allow(dead_code)]
#[path = "../../tests/history/world.rs"]
mod scene;

use options::{Options, Part, Sized};
use print::say;
use report::Report;
use servers::EtcdVersion;
use servers::skip::{Need, have};
use world::World;

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
    let versions = versions(&options);
    let Some(&first) = versions.first() else { return };
    if let Some(sized) = &options.serve {
        return serve(sized, first);
    }
    let mut report = Report::new(&options);
    for sized in &options.sizes {
        for &version in &versions {
            if version == first || options.all || sized.plan.pods == middle(&options) {
                one_cluster(sized, version, &options, &mut report);
            }
        }
    }
    if options.has(Part::Year) {
        report.year = Some(year::measure(&options));
    }
    report.print();
    if !options.quick {
        report.save();
    }
}

/// Those that are installed, the newest first.
fn versions(options: &Options) -> Vec<EtcdVersion> {
    let known = [(EtcdVersion::V3_7, Need::Etcd3_7), (EtcdVersion::V3_4, Need::Etcd3_4)];
    let wanted = known.into_iter().filter(|(version, _)| options.etcd.is_none_or(|asked| asked == *version));
    wanted.filter(|(_, need)| have(*need, "the bench")).map(|(version, _)| version).collect()
}

/// The size for which the older version is measured by default, and the writer.
fn middle(options: &Options) -> usize {
    let healthy = || options.sizes.iter().map(|sized| sized.plan).filter(|plan| plan.leaks == 0).map(|plan| plan.pods);
    healthy().find(|pods| *pods == 100_000).or_else(|| healthy().max()).unwrap_or_default()
}

fn one_cluster(sized: &Sized, version: EtcdVersion, options: &Options, report: &mut Report) {
    let mut world = World::new(sized, version);
    if options.has(Part::Audits) {
        report.stores.push(audits::measure(&mut world, version, options));
    }
    let is_healthy = sized.plan.leaks == 0;
    let middle = sized.plan.pods == middle(options) && is_healthy;
    if options.has(Part::Writer) && middle {
        report.writers.push(writer::measure(&world, version, options));
    }
    if options.has(Part::Api) && version == EtcdVersion::V3_7 && is_healthy && sized.plan.pods >= middle_of_api(options)
    {
        report.stores.extend(api::measure(&mut world, version, options));
    }
}

/// The API server is measured from this size on.
fn middle_of_api(options: &Options) -> usize {
    if options.all { 0 } else { middle(options) }
}

/// Says what would be measured and waits, for a profiler or a debugger.
fn serve(sized: &Sized, version: EtcdVersion) {
    let mut world = World::new(sized, version);
    for row in audits::same(&world, &Options::parse(&[]).expect("options")) {
        let command = row.command;
        print::print(&format!("{}:\n  {} {}\n", command.name, command.program, command.args.join(" ")));
    }
    say("\"churn\" replaces one pod of a hundred, Enter ends it");
    for line in std::io::stdin().lines().map_while(Result::ok).take_while(|line| line == "churn") {
        world.churn();
        world.write_files();
        say(&format!("{line}: done"));
    }
}
