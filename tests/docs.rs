//! What is written about the checks is what the checks are: the manual, the registry, the contract of the output.
//!
//! `UPDATE=1 cargo test --test docs` writes the made files anew; whoever does looks at the difference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use ipaudit::checks::{ALL, Check, FAMILIES, page};
use ipaudit::model::SubjectKind;
use ipaudit::render::manual::{needs, sections, steady};

fn holds(file: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let has = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(has == wanted, "{file} is not what the registry says; UPDATE=1 cargo test --test docs writes it anew");
}

/// The text of `docs/checks.md`.
fn markdown() -> String {
    let mut text = String::from(
        "<!-- Made from the checks themselves; `UPDATE=1 cargo test --test docs` writes it anew. -->\n\n# The checks\n\n\
         Codes are forever: never reused, never renumbered. A finding is known by its code and its subject. The \
         severity is the usual one; a finding can be worse or better where its text says so.\n\n\
         A check that lacks one of its inputs is skipped and said to be skipped, and the audit exits with 3: unknown \
         is not absent. Only a missing earlier audit is no incompleteness, nor that files and older captures do not hold etcd's own status. The checks of nodes run where evidence of nodes is given, and are told to nobody else. \"Twice\" marks the checks whose findings \
         count when they were seen to hold twice: by an earlier audit, or by a second look after the settle time.\n\n\
         | code | name | severity | subject | needs | twice |\n|---|---|---|---|---|---|\n",
    );
    for check in ALL.iter() {
        text.push_str(&format!(
            "| [{code}](#{anchor}) | {name} | {severity} | {subject} | {needs} | {twice} |\n",
            code = check.code,
            anchor = anchor(check),
            name = check.name,
            severity = check.severity,
            subject = check.subject.word(),
            needs = needs(check.needs),
            twice = if check.is_steady() { "yes" } else { "" },
        ));
    }
    for (family, checks) in FAMILIES {
        text.push_str(&format!("\n## {family}\n"));
        for check in *checks {
            text.push_str(&chapter(check));
        }
    }
    text
}

/// One line a check: code, name, severity, subject, needs, steady. A test keeps it, so that none changes unseen.
fn registry() -> String {
    let line = |check: &&Check| {
        let steady = if check.is_steady() { "twice" } else { "once" };
        let (needs, subject) = (check.needs.to_string(), check.subject.word());
        let needs = if needs.is_empty() { "-".to_owned() } else { needs };
        format!(
            "{} {} {} {subject} {steady} {} {needs}\n",
            check.code,
            check.name,
            check.severity,
            check.ties.harm.word()
        )
    };
    ALL.iter().map(line).collect()
}

fn chapter(check: &Check) -> String {
    let title = format!("\n### {} {}\n\n", check.code, check.name);
    let facts = format!(
        "Severity **{}**. Subject: {}. Needs {}. {}\n",
        check.severity,
        check.subject.word(),
        needs(check.needs),
        steady(check)
    );
    let sections = sections(check).map(|(heading, text)| format!("\n**{heading}.** {text}\n"));
    format!("{title}{facts}{}", sections.concat())
}

/// The anchor that every finding names in JSON.
fn anchor(check: &Check) -> String {
    page(check.code).split('#').nth(1).unwrap().to_owned()
}

/// Renderers of Markdown make a heading's anchor of its words, in lower case, with hyphens between them.
#[test]
fn every_page_that_a_finding_names_is_there() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checks.md");
    let text = std::fs::read_to_string(path).unwrap();
    let headings = text.lines().filter_map(|line| line.strip_prefix("### "));
    let anchors: Vec<String> = headings.map(|heading| heading.to_lowercase().replace(' ', "-")).collect();
    for check in ALL.iter() {
        let page = page(check.code);
        let (file, anchor) = page.split_once('#').unwrap();
        assert!(file.ends_with("/checks.md") && anchors.iter().any(|a| a == anchor), "{page}");
    }
}

#[test]
fn the_manual_is_the_registrys() {
    holds("docs/checks.md", &markdown());
}

/// A code never vanishes or changes its name, severity or needs unseen.
#[test]
fn the_registry_is_what_it_was() {
    holds("tests/registry.txt", &registry());
}

#[test]
fn codes_and_names_are_unique_and_sorted() {
    assert!(ALL.windows(2).all(|pair| pair[0].code < pair[1].code), "ALL is sorted by code, each once");
    let mut names: Vec<&str> = ALL.iter().map(|check| check.name).collect();
    names.sort_unstable();
    assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "names are unique");
    let word = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !name.starts_with('-');
    assert!(ALL.iter().all(|check| word(check.name)), "names are words and hyphens");
}

/// The table "Subjects" of the output's contract: kind, how it is spelled, codes.
#[test]
fn the_contract_spells_every_subject() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/output.md");
    let text = std::fs::read_to_string(path).unwrap();
    let table = text.split("### Subjects").nth(1).expect("a chapter Subjects");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    for kind in SubjectKind::ALL {
        let rows = rows.iter().filter(|row| row[0] == format!("`{}`", kind.word())).count();
        assert_eq!(rows, 1, "one row for {}", kind.word());
    }
    for check in ALL.iter() {
        let row = rows.iter().find(|row| row[0] == format!("`{}`", check.subject.word())).unwrap();
        assert!(names(row[2], check.code.0), "{}: {:?} does not name its code", check.code, row);
    }
}

/// Whether `101–104, 110` names the code.
fn names(list: &str, code: u16) -> bool {
    list.split(',').any(|part| {
        let mut ends = part.trim().split('–').map(|end| end.parse::<u16>().unwrap());
        let first = ends.next().unwrap();
        (first..=ends.next().unwrap_or(first)).contains(&code)
    })
}

/// The walks of ARCHITECTURE.md lead through files that there are, and a release comes back to few of them.
#[test]
fn the_walks_lead_through_the_house() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let walks = text.split("## Two walks").nth(1).unwrap().split("\n## ").next().unwrap();
    let release = walks.split("--handle H`**").nth(1).unwrap();
    assert!(release.matches('↩').count() <= 4, "{release}");
    let mut files = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            files.push(entry.with_extension("").display().to_string());
            if entry.is_dir() {
                folders.push(entry);
            }
        }
    }
    let named = walks.split('`').skip(1).step_by(2).filter(|name| !name.contains(' ') && *name != "↩");
    let lost: Vec<&str> = named
        .map(|name| name.trim_end_matches(".rs"))
        .filter(|name| !files.iter().any(|file| file.ends_with(&format!("/{name}"))))
        .collect();
    assert!(lost.is_empty(), "no such files: {lost:?}");
    assert!(text.lines().count() < 100, "{}", text.lines().count());
}
