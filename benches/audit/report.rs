//! The numbers, for people and for the next run: tables, and `target/bench/latest.json`.

use std::path::Path;

use serde_json::{Value, json};

use super::measure::Cost;
use super::options::Options;
use super::print::{grouped, print, word};
use super::table::{RAW, Row, Store};
use super::writer::Writer;
use super::year::Year;

/// All that was measured in one run.
pub struct Report {
    machine: Value,
    pub stores: Vec<Store>,
    pub writers: Vec<Writer>,
    pub year: Option<Year>,
}

impl Report {
    pub fn new(options: &Options) -> Report {
        let first = |path: &str, key: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let machine = json!({
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "processor": first("/proc/cpuinfo", "model name"),
            "memory": first("/proc/meminfo", "MemTotal"),
            // More than nothing: others were using the machine, and wall time is theirs as well.
            "load_before": std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next(),
            "optimised": !cfg!(debug_assertions),
            "rounds": options.rounds,
            "against": options.against.as_ref().map(|path| path.display().to_string()),
        });
        Report { machine, stores: Vec::new(), writers: Vec::new(), year: None }
    }

    /// The raw read of this very cluster, of its other store where this one has none.
    fn raw(&self, store: &Store) -> Option<f64> {
        let same = |other: &&Store| (&other.name, other.version) == (&store.name, store.version);
        store.wall_of(RAW).or_else(|| self.stores.iter().filter(same).find_map(|other| other.wall_of(RAW)))
    }

    pub fn print(&self) {
        let mut text = format!(
            "\n{} cores shared by client and servers, load {} before; median of {} [min-max]{}\n\n",
            self.machine["cores"],
            self.machine["load_before"].as_str().unwrap_or_default(),
            self.machine["rounds"],
            if cfg!(debug_assertions) { ", NOT OPTIMISED" } else { "" }
        );
        let api = self.stores.iter().any(|store| !store.about.is_empty());
        text.push_str("| pods | etcd | command | wall s | / raw | client CPU s | server CPU s | client peak MiB |");
        text.push_str(if api { " API CPU s |\n" } else { "\n" });
        text.push_str(if api {
            "|---|---|---|---|---|---|---|---|---|\n"
        } else {
            "|---|---|---|---|---|---|---|---|\n"
        });
        for store in &self.stores {
            for row in &store.rows {
                text.push_str(&self.line(store, row, api));
            }
        }
        text.push('\n');
        for store in self.stores.iter().filter(|store| store.about.is_empty()) {
            let (name, keys, wanted) = (&store.name, grouped(store.keys), grouped(store.wanted));
            let megabytes = store.bytes as f64 / 1e6;
            text.push_str(&format!(
                "{name}, etcd {}: {keys} keys, {megabytes:.1} MB, of them {wanted} keys that an audit reads; {}\n",
                word(store.version),
                store.cluster
            ));
        }
        self.print_growth(&mut text);
        self.print_writers(&mut text);
        self.print_year(&mut text);
        print(&text);
    }

    fn line(&self, store: &Store, row: &Row, api: bool) -> String {
        let wall = row.spread(|c| c.wall);
        let ratio = self.raw(store).map_or("".to_owned(), |raw| format!("{:.2}", wall.median / raw));
        let others = match (api, store.about.is_empty()) {
            (false, _) => String::new(),
            (true, true) => "  |".to_owned(),
            (true, false) => format!(" {:.2} |", row.spread(|c| c.others_cpu).median),
        };
        format!(
            "| {} | {} | {} | {:.3} [{:.3}-{:.3}] | {ratio} | {:.3} | {:.2} | {:.0} |{others}\n",
            store.name,
            word(store.version),
            row.command.name,
            wall.median,
            wall.least,
            wall.most,
            row.spread(|c| c.cpu).median,
            row.spread(|c| c.server_cpu).median,
            row.spread(|c| c.peak).median,
        )
    }

    /// From 10,000 pods to 100,000.
    fn print_growth(&self, text: &mut String) {
        let of = |pods: usize| self.stores.iter().find(|s| s.pods == pods && s.about.is_empty());
        let (Some(small), Some(big)) = (of(10_000), of(100_000)) else { return };
        text.push_str("\n| 10,000 to 100,000 pods | wall | client CPU | client peak |\n|---|---|---|---|\n");
        for row in &big.rows {
            let Some(less) = small.rows.iter().find(|less| less.command.name == row.command.name) else { continue };
            let times = |of: fn(&Cost) -> f64| row.spread(of).median / less.spread(of).median;
            let (wall, cpu, peak) = (times(|c| c.wall), times(|c| c.cpu), times(|c| c.peak));
            text.push_str(&format!("| {} | {wall:.1} x | {cpu:.1} x | {peak:.1} x |\n", row.command.name));
        }
    }

    fn print_writers(&self, text: &mut String) {
        if self.writers.is_empty() {
            return;
        }
        text.push_str(
            "\n| pods | etcd | who reads, again and again | a put: p50 ms | p99 ms |\n|---|---|---|---|---|\n",
        );
        for writer in &self.writers {
            for reader in &writer.readers {
                let (p50, p99) = (reader.spread(|w| w.0), reader.spread(|w| w.1));
                text.push_str(&format!(
                    "| {} | {} | {} | {:.1} [{:.1}-{:.1}] | {:.1} [{:.1}-{:.1}] |\n",
                    writer.name,
                    word(writer.version),
                    reader.name(),
                    p50.median,
                    p50.least,
                    p50.most,
                    p99.median,
                    p99.least,
                    p99.most
                ));
            }
        }
    }

    fn print_year(&self, text: &mut String) {
        let Some(year) = &self.year else { return };
        let megabytes = year.bytes as f64 / 1e6;
        let (pods, days) = (grouped(year.pods), year.days);
        text.push_str(&format!(
            "\n| {pods} pods, {days} daily audits, {megabytes:.1} MB | wall s | CPU s | peak MiB |\n"
        ));
        text.push_str("|---|---|---|---|\n");
        for row in &year.rows {
            let wall = row.spread(|c| c.wall);
            text.push_str(&format!(
                "| {} | {:.3} [{:.3}-{:.3}] | {:.3} | {:.0} |\n",
                row.command.name,
                wall.median,
                wall.least,
                wall.most,
                row.spread(|c| c.cpu).median,
                row.spread(|c| c.peak).median
            ));
        }
    }

    /// Beside the build, so that a clean build forgets it.
    pub fn save(&self) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench");
        let stores: Vec<Value> = self.stores.iter().map(|store| self.store_json(store)).collect();
        let writers: Vec<Value> = self.writers.iter().map(writer_json).collect();
        let year = self.year.as_ref().map(|year| {
            let rows: Vec<Value> = year.rows.iter().map(|row| row_json(row, None)).collect();
            json!({"pods": year.pods, "days": year.days, "bytes": year.bytes, "commands": rows})
        });
        let text = json!({
            "schema": "ipaudit/bench/v2", "machine": self.machine, "stores": stores, "writers": writers, "year": year,
        });
        let text = serde_json::to_string_pretty(&text).expect("JSON of numbers") + "\n";
        std::fs::create_dir_all(&folder).expect("a folder for the numbers");
        std::fs::write(folder.join("latest.json"), text).expect("the numbers are saved");
        print("saved as target/bench/latest.json\n");
    }

    fn store_json(&self, store: &Store) -> Value {
        let raw = self.raw(store);
        json!({
            "name": store.name, "etcd": word(store.version), "pods_from_api": !store.about.is_empty(),
            "pods": store.pods, "keys": store.keys, "bytes": store.bytes, "wanted_keys": store.wanted,
            "commands": store.rows.iter().map(|row| row_json(row, raw)).collect::<Vec<_>>(),
        })
    }
}

fn row_json(row: &Row, raw: Option<f64>) -> Value {
    let wall = row.spread(|c| c.wall);
    json!({
        "command": row.command.name,
        "ratio": raw.map(|raw| (wall.median / raw * 1e3).round() / 1e3),
        "wall_s": wall.json(),
        "client_cpu_s": row.spread(|c| c.cpu).json(),
        "server_cpu_s": row.spread(|c| c.server_cpu).json(),
        "api_cpu_s": row.spread(|c| c.others_cpu).json(),
        "client_peak_mib": row.spread(|c| c.peak).json(),
    })
}

fn writer_json(writer: &Writer) -> Value {
    let readers: Vec<Value> = writer.readers.iter().map(|reader| {
        json!({"reader": reader.name(), "p50_ms": reader.spread(|w| w.0).json(), "p99_ms": reader.spread(|w| w.1).json()})
    }).collect();
    json!({"name": writer.name, "etcd": word(writer.version), "readers": readers})
}
