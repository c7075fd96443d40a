//! What the bench was asked to do.

use super::servers::EtcdVersion;

pub struct Options {
    /// Pods of each cluster.
    pub sizes: Vec<usize>,
    /// Counted runs of each command.
    pub rounds: usize,
    pub etcd: Option<EtcdVersion>,
    /// Only to see that it works: nothing is saved.
    pub quick: bool,
    /// Load a cluster of so many pods and wait.
    pub serve: Option<usize>,
}

impl Options {
    /// `None` when there is nothing to do: `cargo test` was asked for other tests, or for a list of them.
    pub fn parse(args: &[String]) -> Option<Options> {
        let quick = !args.iter().any(|arg| arg == "--bench") || args.iter().any(|arg| arg == "--quick");
        let mut options = Options { sizes: vec![1_000, 10_000, 100_000], rounds: 5, etcd: None, quick, serve: None };
        if quick {
            (options.sizes, options.rounds) = (vec![200], 1);
        }
        let mut words = args.iter();
        let mut filters = Vec::new();
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{word} wants a value")).as_str();
            match word.as_str() {
                "--sizes" => options.sizes = value().split(',').map(number).collect(),
                "--rounds" => options.rounds = number(value()).max(1),
                "--etcd" => {
                    options.etcd = Some(match value() {
                        "3.4" => EtcdVersion::V3_4,
                        "3.7" => EtcdVersion::V3_7,
                        other => panic!("--etcd 3.4 or 3.7, not {other}"),
                    });
                }
                "--serve" => options.serve = Some(number(value())),
                "--list" => return None,
                "--test-threads" | "--skip" | "--format" | "--color" => drop(value()),
                _ if word.starts_with('-') => {}
                filter => filters.push(filter),
            }
        }
        (filters.is_empty() || filters.iter().any(|filter| "bench audit".contains(filter))).then_some(options)
    }
}

fn number(text: &str) -> usize {
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}
