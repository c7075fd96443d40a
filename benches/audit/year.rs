//! What is asked of a year of history: a day an audit, every day three of a hundred pods replaced.

use std::process::Command;
use std::time::Duration;

use ipaudit::history::{Db, Journal, PATIENCE};

use super::audits::programs;
use super::measure::{self, Cost, Measured};
use super::options::Options;
use super::print::say;
use super::scene::Scene;
use super::table::Row;

const DAYS: usize = 365;
const DAY: Duration = Duration::from_secs(86_400);

pub struct Year {
    pub pods: usize,
    pub days: usize,
    /// Of the file.
    pub bytes: u64,
    pub rows: Vec<Row>,
}

pub fn measure(options: &Options) -> Year {
    let (pods, days) = if options.quick { (100, 10) } else { (10_000, DAYS) };
    let folder = tempfile::Builder::new().prefix("ipaudit-bench-").tempdir().expect("a temporary folder");
    let path = folder.path().join("year.db");
    say(&format!("a year of {pods} pods: {days} audits"));
    let mut scene = Scene::of(pods, 0);
    let mut db = Db::open_to_write(&path, Journal::Wal, PATIENCE).expect("a history");
    for _ in 0..days {
        (0..pods * 3 / 100).for_each(|_| scene.replace_a_pod());
        scene.settle();
        scene.audit_into(&mut db, false);
        scene.later(DAY);
    }
    drop(db);
    let (now, file) = (scene.snapshot.now.to_string(), path.display().to_string());
    let address = scene.snapshot.endpoints[pods / 2].addresses()[0].to_string();
    let mut rows = Vec::new();
    for (mark, program) in programs(options) {
        let mut row = |name: &str, args: &[&str]| {
            let args = args.iter().chain(&["--db", &file, "--now", &now]).map(|arg| (*arg).to_owned()).collect();
            rows.push(Row::new(Measured {
                name: format!("{name}{mark}"),
                program: program.clone(),
                args,
                fresh: None,
            }));
        };
        row("report, a year", &["report", "--since", "365d"]);
        row("report, a day", &["report", "--since", "1d"]);
        row("who, an address", &["who", &address, "--offline"]);
    }
    for round in 0..=options.rounds {
        for row in &mut rows {
            let cost = run(&row.command, folder.path());
            row.costs.extend((round > 0 || options.quick).then_some(cost));
        }
    }
    let bytes = std::fs::metadata(&path).expect("the history").len();
    Year { pods, days, bytes, rows }
}

fn run(measured: &Measured, folder: &std::path::Path) -> Cost {
    let output = folder.join("output");
    let mut command = Command::new(&measured.program);
    command.args(&measured.args).env_clear().env("HOME", folder).current_dir(folder);
    let cost = measure::run(&command, &output, std::process::id(), &[]);
    let said = std::fs::read_to_string(&output).unwrap_or_default();
    assert!(matches!(cost.exit, 0 | 1), "{}: {}: {said}", measured.name, cost.exit);
    cost
}
