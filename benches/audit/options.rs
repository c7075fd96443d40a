//! What the bench was asked to do.

use std::path::PathBuf;

use super::generator::Plan;
use super::servers::EtcdVersion;

/// Pods of the published sizes; beside them the old cluster.
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 150_000];
const OLD: usize = 150_000;

/// A cluster, and what it is called in the tables.
#[derive(Clone)]
pub struct Sized {
    pub name: String,
    pub plan: Plan,
}

/// One block of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Audits of each cluster.
    Audits,
    /// Those with the pods from a real API server.
    Api,
    /// A writer's puts meanwhile.
    Writer,
    /// `report` and `who` on a year.
    Year,
}

pub struct Options {
    pub sizes: Vec<Sized>,
    /// Counted runs of each command.
    pub rounds: usize,
    /// `None`: 3.7, and 3.4 for one size.
    pub etcd: Option<EtcdVersion>,
    /// Everything with both versions.
    pub all: bool,
    pub parts: Vec<Part>,
    /// Only to see that it works: nothing is saved.
    pub quick: bool,
    /// Load this cluster and wait.
    pub serve: Option<Sized>,
    /// Another build of the command, to be run in turns with this one.
    pub against: Option<PathBuf>,
}

impl Options {
    /// `None` when there is nothing to do: `cargo test` was asked for other tests, or for a list of them.
    pub fn parse(args: &[String]) -> Option<Options> {
        let quick = !args.iter().any(|arg| arg == "--bench") || args.iter().any(|arg| arg == "--quick");
        let mut options = Options {
            sizes: SIZES.into_iter().map(healthy).chain([old(OLD)]).collect(),
            rounds: 5,
            etcd: None,
            all: false,
            parts: vec![Part::Audits, Part::Api, Part::Writer, Part::Year],
            quick,
            serve: None,
            against: None,
        };
        if quick {
            (options.sizes, options.rounds) = (vec![healthy(200), old(300)], 1);
        }
        let mut words = args.iter();
        let mut filters = Vec::new();
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value")).as_str();
            match word.as_str() {
                "--sizes" => options.sizes = value().split(',').map(sized).collect(),
                "--rounds" => options.rounds = number(value()).max(1),
                "--etcd" => {
                    options.etcd = Some(match value() {
                        "3.4" => EtcdVersion::V3_4,
                        "3.7" => EtcdVersion::V3_7,
                        other => panic!("--etcd 3.4 or 3.7, not {other}"),
                    });
                }
                "--parts" => options.parts = value().split(',').map(part).collect(),
                "--all" => options.all = true,
                "--against" => options.against = Some(value().into()),
                "--serve" => options.serve = Some(sized(value())),
                "--list" => return None,
                "--test-threads" | "--skip" | "--format" | "--color" => drop(value()),
                _ if word.starts_with('-') => {}
                filter => filters.push(filter),
            }
        }
        (filters.is_empty() || filters.iter().any(|filter| "bench audit".contains(filter))).then_some(options)
    }

    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}

fn healthy(pods: usize) -> Sized {
    Sized { name: super::print::grouped(pods), plan: Plan::of(pods) }
}

fn old(pods: usize) -> Sized {
    let name = if pods == OLD { "old".to_owned() } else { format!("old {}", super::print::grouped(pods)) };
    Sized { name, plan: Plan::old(pods) }
}

/// `100000`, `old`, `old:5000`
fn sized(text: &str) -> Sized {
    match text.strip_prefix("old") {
        Some("") => old(OLD),
        Some(pods) => old(number(pods.trim_start_matches(':'))),
        None => healthy(number(text)),
    }
}

fn part(text: &str) -> Part {
    match text {
        "audits" => Part::Audits,
        "api" => Part::Api,
        "writer" => Part::Writer,
        "year" => Part::Year,
        other => panic!("--parts audits,api,writer,year, not {other}"),
    }
}

fn number(text: &str) -> usize {
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}
