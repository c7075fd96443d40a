//! What somebody reads in the morning of a night that was not quiet: an incident that began and ended, an audit that
//! failed, hours in which nobody looked, a restore. The first three lines are snapshots (`UPDATE=1` writes them anew).

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::{audit_of, is, objects, report};
use crate::servers::command::{ipaudit, json, stderr};
use crate::servers::{self, Case, Etcd, EtcdVersion};

struct Night {
    case: Case,
    folder: tempfile::TempDir,
    db: PathBuf,
}

impl Night {
    fn audit(&self, etcd: &Etcd, lost: &[&str], now: &str) {
        let file = objects(self.folder.path(), &self.case, |items| {
            items.retain(|i| !lost.iter().any(|name| is(i, "Pod", name)));
        });
        let output = audit_of(etcd, &file, &self.db, now, &[]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }

    fn table(&self, columns: &str, args: &[&str]) -> String {
        let mut command = ipaudit();
        command.env("COLUMNS", columns).args(["report", "--db"]).arg(&self.db).args(args);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    }

    fn document(&self, args: &[&str]) -> Value {
        json(&report(&self.db, &[args, &["-o", "json"]].concat()))
    }
}

fn fail(db: &Path, now: &str) -> Output {
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--now", now, "--db"]).arg(db);
    command.args(["--etcd-endpoints", "http://127.0.0.1:1"]).output().unwrap()
}

/// Two pods of node-1 are lost from 21:00 to 21:30; the audit at 20:45 fails; nobody looks from 21:30 to 03:00; then etcd
/// is another one; one of the pods is lost again at 03:30.
fn night() -> Night {
    let case = Case::load("clean-small");
    let folder = tempfile::tempdir().unwrap();
    let night = Night { case, db: folder.path().join("history.db"), folder };
    let etcd = Etcd::start(EtcdVersion::V3_7);
    night.case.moment().load_into(&etcd);
    let (one, two) = ("web-6d4cf56db6-ctbwj", "web-6d4cf56db6-nndxv");
    for now in ["2026-11-23T20:00:00Z", "2026-11-23T20:15:00Z", "2026-11-23T20:30:00Z"] {
        night.audit(&etcd, &[], now);
    }
    assert_eq!(fail(&night.db, "2026-11-23T20:45:00Z").status.code(), Some(3));
    for now in ["2026-11-23T21:00:00Z", "2026-11-23T21:15:00Z"] {
        night.audit(&etcd, &[one, two], now);
    }
    night.audit(&etcd, &[], "2026-11-23T21:30:00Z");
    let restored = Etcd::start(EtcdVersion::V3_7);
    night.case.moment().load_into(&restored);
    for now in ["2026-11-24T03:00:00Z", "2026-11-24T03:15:00Z"] {
        night.audit(&restored, &[], now);
    }
    night.audit(&restored, &[one], "2026-11-24T03:30:00Z");
    night
}

const FIRST: &[&str] = &["--since", "2026-11-23T19:00", "--until", "2026-11-23T20:05", "--now", "2026-11-23T20:05:00Z"];
const QUIET: &[&str] = &["--since", "2026-11-23T20:05", "--until", "2026-11-23T20:35", "--now", "2026-11-23T20:35:00Z"];
const DURING: &[&str] =
    &["--since", "2026-11-23T20:05", "--until", "2026-11-23T21:20", "--now", "2026-11-23T21:20:00Z"];
const AFTER: &[&str] = &["--since", "2026-11-23T20:05", "--until", "2026-11-23T21:40", "--now", "2026-11-23T21:40:00Z"];
const MORNING: &[&str] = &["--since", "2026-11-23T20:05", "--now", "2026-11-24T03:40:00Z"];
const NOBODY: &[&str] =
    &["--since", "2026-11-23T22:00", "--until", "2026-11-24T02:00", "--now", "2026-11-24T03:40:00Z"];

#[test]
fn the_morning_after() {
    servers::need!(Etcd3_7);
    let night = night();
    for columns in ["80", "120"] {
        let mut lines = String::new();
        for (name, args) in [
            ("the first audit", FIRST),
            ("nothing happens", QUIET),
            ("an incident, and an audit that failed before it", DURING),
            ("the incident is over", AFTER),
            ("the whole night: hours without an audit, a restore, a new leak", MORNING),
            ("nobody looked", NOBODY),
        ] {
            let text = night.table(columns, args);
            let width = text.lines().filter(|line| !line.contains("ipaudit ")).map(|l| l.chars().count()).max();
            assert!(width <= columns.parse().ok(), "{columns}: {text}");
            let first: Vec<&str> = text.lines().take(3).collect();
            lines.push_str(&format!("# {name}\n{}\n\n", first.join("\n")));
        }
        holds(&format!("report-first-lines.{columns}.txt"), &lines);
    }
    first_is_not_new(&night);
    stands_together(&night);
    counts_alike(&night);
    commands_are_whole(&night);
}

fn holds(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let has = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(has == text, "{file} differs (UPDATE=1 writes it anew):\n{text}");
}

/// What was there when the flight recorder was switched on did not begin then; programs are told beside `section`, which
/// keeps its word.
fn first_is_not_new(night: &Night) {
    let told = night.document(FIRST);
    let findings = told["clusters"][0]["findings"].as_array().unwrap();
    assert!(!findings.is_empty() && findings.iter().all(|f| f["found_at_first"] == true && f["section"] == "new"));
    let text = night.table("80", FIRST);
    assert!(text.contains("FOUND AT FIRST") && !text.contains("\nNEW"), "{text}");
    let later = night.document(DURING);
    let leaks = later["clusters"][0]["findings"].as_array().unwrap().iter().filter(|f| f["code"] == "IPA110");
    assert!(leaks.clone().count() > 0 && leaks.clone().all(|f| f["found_at_first"] == false), "{later:#}");
}

fn stands_together(night: &Night) {
    let text = night.table("120", MORNING);
    let unseen = text.split("\nUNSEEN").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows: Vec<&str> = unseen.lines().skip(1).filter(|row| !row.starts_with("    ")).map(str::trim).collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert!(rows[0].starts_with("23 Nov 20:45  1 audit failed: "), "{text}");
    assert!(rows[1..].contains(&"23 Nov 21:30 to 24 Nov 03:00  nobody looked for 5h 30m"), "{text}");
    let restore = "23 Nov 21:30 to 24 Nov 03:00  etcd went back to an older state (IPA903)";
    assert!(rows[1..].contains(&restore), "{text}");
    let restores = night.document(MORNING)["clusters"][0]["audits"]["restores"].clone();
    assert_eq!(restores.as_array().unwrap().len(), 1, "{restores}");
    let times = (&restores[0]["before"], &restores[0]["after"]);
    assert_eq!(times, (&"2026-11-23T21:30:00Z".into(), &"2026-11-24T03:00:00Z".into()));
    // Whatever the report is narrowed to.
    let narrowed = night.document(&[MORNING, &["--code", "IPA110"]].concat());
    assert_eq!(narrowed["clusters"][0]["audits"]["restores"], restores);
}

/// A ticket has the words of the table, with whole dates and between backticks what others wrote.
fn counts_alike(night: &Night) {
    for args in [FIRST, DURING, AFTER, MORNING] {
        let table = night.table("120", args);
        let answer: Vec<&str> = table
            .lines()
            .enumerate()
            .take_while(|(i, l)| *i == 0 || l.starts_with("  "))
            .map(|(_, l)| l.trim())
            .collect();
        let markdown = String::from_utf8(report(&night.db, &[args, &["-o", "markdown"]].concat()).stdout).unwrap();
        let bold = markdown.lines().nth(2).unwrap().trim_matches('*').replace('`', "");
        let undated = |text: &str| {
            ["2026-11-23 ", "2026-11-24 ", "23 Nov ", "24 Nov "]
                .iter()
                .fold(text.to_owned(), |t, day| t.replace(day, ""))
        };
        assert_eq!(undated(&bold), undated(&answer.join(" ")), "{markdown}");
        let headings: Vec<(String, usize)> = markdown
            .lines()
            .filter_map(|line| line.strip_prefix("### ")?.split_once(": "))
            .filter(|(title, _)| ["New", "Came back", "Found at first", "Ongoing", "Ended"].contains(title))
            .map(|(title, number)| (title.to_uppercase(), number.split(' ').next().unwrap().parse().unwrap()))
            .collect();
        assert!(!headings.is_empty(), "{markdown}");
        let all = night.table("120", &[args, &["--all"]].concat());
        for (title, number) in headings {
            let section = all.split(&format!("\n{title}")).nth(1).unwrap().split("\n\n").next().unwrap();
            let findings = section.lines().filter(|line| line.starts_with("IPA")).count();
            let explained = markdown
                .split(&format!("### {}: ", title[..1].to_owned() + &title[1..].to_lowercase()))
                .nth(1)
                .and_then(|rest| rest.split("\n### ").next())
                .and_then(|rest| rest.lines().find_map(|l| l.strip_prefix("- ")?.split_once(" more, explained")))
                .map_or(0, |(number, _)| number.parse().unwrap());
            assert_eq!(findings, number + explained, "{title}: {all}\n{markdown}");
        }
    }
}

/// Every command that is printed runs as it stands, on a line of its own.
fn commands_are_whole(night: &Night) {
    for format in ["table", "markdown"] {
        let text = night.table("80", &[MORNING, &["-o", format]].concat());
        let commands: Vec<&str> = text.lines().map(str::trim).filter(|line| line.starts_with("ipaudit ")).collect();
        assert!(!commands.is_empty(), "{text}");
        for command in commands {
            assert!(command.contains(&format!("--db {}", night.db.display())), "{command}");
            let words: Vec<&str> = command.split(' ').skip(1).collect();
            let offline = if words[0] == "who" { &["--offline"][..] } else { &[] };
            let output = ipaudit().env_remove("IPAUDIT_NO_HISTORY").args(&words).args(offline).output().unwrap();
            assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{command}: {}", stderr(&output));
        }
    }
}
