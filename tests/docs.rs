//! What is written about the checks is what the checks are: the manual, the registry, the contract of the output.
//!
//! `UPDATE=1 cargo test --test docs` writes the made files anew; whoever does looks at the difference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use ipaudit::checks::ALL;
use ipaudit::model::SubjectKind;
use ipaudit::render::manual;

fn holds(file: &str, wanted: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, wanted).unwrap();
    }
    let has = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(has == wanted, "{file} is not what the registry says; UPDATE=1 cargo test --test docs writes it anew");
}

#[test]
fn the_manual_is_the_registrys() {
    holds("docs/checks.md", &manual::markdown());
}

/// A code never vanishes or changes its name, severity or needs unseen.
#[test]
fn the_registry_is_what_it_was() {
    holds("tests/registry.txt", &manual::registry());
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
