//! The numbers, for people and for the next run: a table, and `target/bench/latest.json`.

use std::path::Path;

use serde_json::{Value, json};

use super::measure::{Cost, Measured};
use super::options::Options;
use super::print::print;
use super::servers::EtcdVersion;

/// All that was measured in one run.
pub struct Report {
    machine: Value,
    pub stores: Vec<Store>,
}

/// One cluster.
pub struct Store {
    pub pods: usize,
    /// Under `/calico`.
    pub keys: usize,
    pub bytes: usize,
    /// Keys that an audit reads.
    pub wanted: usize,
    pub cluster: String,
    pub rows: Vec<Row>,
}

/// One command, and what each run cost.
pub struct Row {
    pub command: Measured,
    pub costs: Vec<Cost>,
}

impl Row {
    pub fn new(command: Measured) -> Row {
        Row { command, costs: Vec::new() }
    }

    fn spread(&self, of: impl Fn(&Cost) -> f64) -> Spread {
        let mut values: Vec<f64> = self.costs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => f64::midpoint(values[middle - 1], values[middle]),
            _ => values[middle],
        };
        Spread { median, least: values[0], most: values[values.len() - 1] }
    }
}

struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn json(&self) -> Value {
        let round = |n: f64| (n * 1e4).round() / 1e4;
        json!({"median": round(self.median), "min": round(self.least), "max": round(self.most)})
    }
}

impl Report {
    pub fn new(version: EtcdVersion, options: &Options) -> Report {
        let first = |path: &str, key: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let etcd = match version {
            EtcdVersion::V3_4 => "3.4",
            EtcdVersion::V3_7 => "3.7",
        };
        let machine = json!({
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "processor": first("/proc/cpuinfo", "model name"),
            "memory": first("/proc/meminfo", "MemTotal"),
            "etcd": etcd,
            // More than nothing: others were using the machine, and wall time is theirs as well.
            "load_before": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next(),
            "optimised": !cfg!(debug_assertions),
            "rounds": options.rounds,
        });
        Report { machine, stores: Vec::new() }
    }

    pub fn print(&self) {
        let mut text = format!(
            "\netcd {}, {} cores shared by client and server, load {} before; median of {} [min-max]{}\n\n",
            self.machine["etcd"].as_str().unwrap_or_default(),
            self.machine["cores"],
            self.machine["load_before"].as_str().unwrap_or_default(),
            self.machine["rounds"],
            if cfg!(debug_assertions) { ", NOT OPTIMISED" } else { "" }
        );
        text.push_str("| pods | command | wall s | / raw | client CPU s | server CPU s | client peak MiB |\n");
        text.push_str("|---|---|---|---|---|---|---|\n");
        for store in &self.stores {
            for row in &store.rows {
                text.push_str(&line(store, row));
            }
        }
        text.push('\n');
        for store in &self.stores {
            let (pods, keys, wanted) = (grouped(store.pods), grouped(store.keys), grouped(store.wanted));
            let megabytes = store.bytes as f64 / 1e6;
            text.push_str(&format!(
                "{pods} pods: {keys} keys, {megabytes:.1} MB, of them {wanted} keys that an audit reads; {}\n",
                store.cluster
            ));
        }
        print(&text);
    }

    /// Beside the build, so that a clean build forgets it.
    pub fn save(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        let stores: Vec<Value> = self.stores.iter().map(store_json).collect();
        let text = json!({"schema": "ipaudit/bench/v1", "machine": self.machine, "stores": stores});
        let text = serde_json::to_string_pretty(&text).expect("JSON of numbers") + "\n";
        std::fs::create_dir_all(&folder).expect("a folder for the numbers");
        std::fs::write(folder.join("latest.json"), text).expect("the numbers are saved");
        print("saved as target/bench/latest.json\n");
    }
}

fn line(store: &Store, row: &Row) -> String {
    let raw = store.rows[0].spread(|c| c.wall).median;
    let wall = row.spread(|c| c.wall);
    format!(
        "| {} | {} | {:.3} [{:.3}-{:.3}] | {:.2} | {:.3} | {:.2} | {:.0} |\n",
        grouped(store.pods),
        row.command.name,
        wall.median,
        wall.least,
        wall.most,
        wall.median / raw,
        row.spread(|c| c.cpu).median,
        row.spread(|c| c.server_cpu).median,
        row.spread(|c| c.peak).median,
    )
}

fn store_json(store: &Store) -> Value {
    let raw = store.rows[0].spread(|c| c.wall).median;
    let rows = store.rows.iter().map(|row| {
        let wall = row.spread(|c| c.wall);
        json!({
            "command": row.command.name,
            "ratio": (wall.median / raw * 1e3).round() / 1e3,
            "wall_s": wall.json(),
            "client_cpu_s": row.spread(|c| c.cpu).json(),
            "server_cpu_s": row.spread(|c| c.server_cpu).json(),
            "client_peak_mib": row.spread(|c| c.peak).json(),
        })
    });
    json!({
        "pods": store.pods, "keys": store.keys, "bytes": store.bytes, "wanted_keys": store.wanted,
        "commands": rows.collect::<Vec<_>>(),
    })
}

/// `100,000`
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
