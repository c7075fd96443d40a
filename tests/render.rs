//! Whole outputs of golden datastores, as people see them: `tests/snapshots`, written anew with `UPDATE=1`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use ipaudit::checks::{self, World};
use ipaudit::decode::{self, Kv};
use ipaudit::ledger::{Ledger, ScopeFlag};
use ipaudit::model::{Gathering, Input, InputState, Snapshot, Time};
use ipaudit::render::{AuditCircumstances, AuditView, json, table};
use ipaudit::steady::Settling;
use serde_json::Value;
use servers::golden::{Case, Moment};

fn snapshot(name: &str) -> Snapshot {
    of_moment(Case::load(name).moment())
}

fn of_moment(moment: &Moment) -> Snapshot {
    gathered(moment).sorted()
}

fn locked(moment: &Moment) -> Snapshot {
    let mut snapshot = gathered(moment);
    snapshot.cluster.ready = Some(false);
    snapshot.sorted()
}

fn gathered(moment: &Moment) -> Gathering {
    let mut snapshot = Gathering { now: Time::parse_rfc3339(&moment.captured_at).unwrap(), ..Gathering::default() };
    // Nobody gave evidence of nodes.
    for input in Input::ALL.into_iter().filter(|input| *input != Input::NodeEvidence) {
        snapshot.coverage.set(input, InputState::Complete, "");
    }
    for (revision, (key, value)) in (1..).zip(&moment.keys) {
        decode::insert(
            &mut snapshot,
            &Kv { key, value, create_revision: revision, mod_revision: revision, version: 1 },
        );
    }
    ipaudit::source::kube_objects::read(std::slice::from_ref(&moment.cluster_file), &mut snapshot).unwrap();
    // As somebody typed it in its folder.
    snapshot.kube.server = moment.cluster_file.file_name().unwrap().to_string_lossy().into_owned();
    for input in [Input::Pods, Input::KubeNodes, Input::Services, Input::Namespaces] {
        snapshot.coverage.set(input, InputState::Complete, "");
    }
    snapshot.coverage.set(Input::History, InputState::NotAsked, "");
    snapshot.etcd.revision = 48_213_907;
    snapshot
}

fn with_view<T>(snapshot: &Snapshot, about: AuditCircumstances, show: impl FnOnce(&AuditView<'_>) -> T) -> T {
    let ledger = Ledger::build(snapshot, ScopeFlag::Auto, None);
    let outcome = checks::run(&World { snapshot, ledger: &ledger, past: None });
    show(&AuditView::of(snapshot, &ledger, &outcome, about))
}

fn shown(name: &str, options: table::Options) -> String {
    shown_of(&snapshot(name), options)
}

fn shown_of(snapshot: &Snapshot, options: table::Options) -> String {
    let about = AuditCircumstances { duration: Duration::from_millis(912), ..AuditCircumstances::default() };
    with_view(snapshot, about, |view| {
        let mut out = Vec::new();
        table::write(view, options, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    })
}

fn holds(file: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(file);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let has = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(has == text, "{file} differs (UPDATE=1 writes it anew):\n{text}");
}

#[test]
fn whole_outputs() {
    for name in ["clean-small", "incident-2017", "leaked-pods", "pools-and-blocks", "two-clusters", "undecodable"] {
        holds(&format!("{name}.txt"), &shown(name, table::Options { width: 80, ..table::Options::default() }));
    }
    let all = table::Options { all: true, ..table::Options::default() };
    holds("incident-2017.all.txt", &shown("incident-2017", all));
}

/// What the person on call reads first: of every golden case and report the first three lines, as wide as asked for.
#[test]
fn first_lines() {
    let golden = Case::names().into_iter().map(|name| Case::load(&name));
    let cases: Vec<Case> = golden.chain(Case::reports()).collect();
    for width in [80, 120] {
        let mut text = String::new();
        for case in &cases {
            for (number, moment) in case.moments.iter().enumerate() {
                let told = shown_of(&of_moment(moment), table::Options { width, ..table::Options::default() });
                let first: Vec<&str> = told.lines().take(3).collect();
                let wide = first.iter().find(|line| line.chars().count() > width);
                assert_eq!(wide, None, "{}", case.name);
                let joined = told.lines().find(|line| line.contains("  +") && line.ends_with(" more"));
                assert_eq!(joined, None, "{}: what is pasted is a command and nothing else", case.name);
                let header = told.lines().position(|line| line.starts_with("datastore ")).unwrap();
                assert!((1..=8).contains(&header), "{}: {told}", case.name);
                text.push_str(&format!("== {}[{number}]\n{}\n", case.name, first.join("\n")));
            }
        }
        holds(&format!("first-lines.{width}.txt"), &text);
    }
}

/// Every golden case and report, each of its moments: its name, the whole table, and the same with `--all`; no line is
/// wrapped.
fn tables() -> Vec<(String, String, String)> {
    let golden = Case::names().into_iter().map(|name| Case::load(&name));
    let mut tables = Vec::new();
    for case in golden.chain(Case::reports()) {
        for (number, moment) in case.moments.iter().enumerate() {
            let told = |all| {
                let options = table::Options { width: 10_000, all, capacity: all, ..table::Options::default() };
                shown_of(&of_moment(moment), options)
            };
            tables.push((format!("{}[{number}]", case.name), told(false), told(true)));
        }
    }
    tables
}

fn is_command(line: &str) -> bool {
    let program = line.split_whitespace().next().unwrap_or_default();
    ["kubectl", "calicoctl", "etcdctl", "ipaudit", "printf"].contains(&program)
}

/// The command lines below the line of a finding.
fn commands_below<'t>(lines: &[&'t str]) -> Vec<&'t str> {
    let own = lines.iter().skip_while(|line| !is_command(line));
    own.take_while(|line| is_command(line)).copied().collect()
}

/// The numbers of a line, in their order.
fn numbers(line: &str) -> Vec<usize> {
    line.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// So many are shown, so many more there are: together they are what `--all` shows.
#[test]
fn commands_that_are_left_out_are_counted() {
    let mut told = 0;
    for (name, short, all) in tables() {
        let (short, all): (Vec<&str>, Vec<&str>) = (short.lines().collect(), all.lines().collect());
        for (at, line) in short.iter().enumerate().filter(|(_, line)| line.contains(" with --all:")) {
            let [shown, more] = numbers(line)[..] else { panic!("{name}: {line}") };
            assert_eq!(commands_below(&short[at..]).len(), shown, "{name}: {line}");
            let title = short[..at].iter().rfind(|line| line.starts_with("IPA")).unwrap();
            // The same finding: its title says the same, or of several its subject stands alone.
            let subject = title.split_whitespace().nth(2).unwrap();
            let code = title.split(' ').next().unwrap();
            if subject.parse::<usize>().is_ok() {
                continue;
            }
            let of_code = all.iter().position(|line| line.starts_with(code)).unwrap();
            let own =
                all[of_code..].iter().position(|line| line.split_whitespace().any(|word| word == subject)).unwrap();
            assert_eq!(commands_below(&all[of_code + own + 1..]).len(), shown + more, "{name}: {title}\n{line}");
            told += 1;
        }
    }
    assert!(told > 0, "no case leaves a command out");
}

/// The last line counts what is shown and what is folded: together they are all findings.
#[test]
fn what_is_told_and_what_is_folded_are_all_findings() {
    let golden = Case::names().into_iter().map(|name| Case::load(&name));
    for case in golden.chain(Case::reports()) {
        for moment in &case.moments {
            let snapshot = of_moment(moment);
            let findings = with_view(&snapshot, AuditCircumstances::default(), |view| view.findings.len());
            let text = shown_of(&snapshot, table::Options { width: 10_000, ..table::Options::default() });
            let last = text.lines().last().unwrap();
            let sum: usize = numbers(last.split([';', '.']).next().unwrap()).into_iter().sum();
            assert_eq!(sum, findings, "{}: {last}", case.name);
            let folded: usize =
                text.lines().filter(|line| line.contains(" explained by th")).map(|line| numbers(line)[0]).sum();
            let explained = last.split(" +").nth(1).map_or(0, |rest| numbers(rest)[0]);
            assert_eq!(folded, explained, "{}: {text}", case.name);
            // Of a code that stands here, what stands elsewhere is said with it.
            for line in text.lines().filter(|line| line.contains(" told with what explains ")) {
                let [more, code, ..] = numbers(line)[..] else { panic!("{line}") };
                let of_code = with_view(&snapshot, AuditCircumstances::default(), |view| {
                    view.findings.iter().filter(|f| usize::from(f.code.0) == code).count()
                });
                let rows = text.lines().filter(|line| line.starts_with(&format!("IPA{code} ")));
                // One row of one finding, or of so many.
                let number = |row: &str| row.split_whitespace().nth(2).and_then(|word| word.parse().ok()).unwrap_or(1);
                let here: usize = rows.map(number).sum();
                assert_eq!(here + more, of_code, "{}: {line}", case.name);
            }
        }
    }
}

/// Nobody asks what a part of nothing is, no command is said twice, and no pool goes without its name.
#[test]
fn no_part_of_nothing_no_command_twice_no_pool_without_its_name() {
    for (name, short, all) in tables() {
        for text in [&short, &all] {
            for line in text.lines() {
                let words: Vec<&str> = line.split(|c: char| !c.is_ascii_alphanumeric()).collect();
                let nothing = words.windows(3).any(|w| w[1] == "of" && w[2] == "0" && w[0].parse::<u64>().is_ok());
                assert!(!nothing, "{name}: {line}");
            }
            // What explains a finding has its commands already.
            if name == "incident-2017[0]" {
                let mut deletes: Vec<&str> = text.lines().filter(|line| line.contains(" delete pod ")).collect();
                let number = deletes.len();
                deletes.sort_unstable();
                deletes.dedup();
                assert!(number > 0 && deletes.len() == number, "{text}");
            }
        }
    }
    for name in ["pools-and-blocks", "leaked-pods"] {
        for width in [60, 80, 120] {
            let text = shown(name, table::Options { width, all: true, ..table::Options::default() });
            let head = text.split("\n\n").next().unwrap();
            for pool in &snapshot(name).pools {
                let pool = snapshot(name).text(pool.name).to_owned();
                assert!(head.split_whitespace().any(|word| word == pool), "{width}: {pool} has no name:\n{head}");
            }
        }
    }
}

/// `--settle 0` on the incident: what nobody looked at again stands where it belongs if it holds, and is counted once.
#[test]
fn what_nobody_looked_at_again_is_counted_alike_everywhere() {
    let incident = snapshot("incident-2017");
    let ledger = Ledger::build(&incident, ScopeFlag::Auto, None);
    let mut outcome = checks::run(&World { snapshot: &incident, ledger: &ledger, past: None });
    let settling = Settling { past: None, now: incident.now, settle: Duration::ZERO };
    outcome = settling.unconfirmed(outcome);
    let view = AuditView::of(&incident, &ledger, &outcome, AuditCircumstances::default());
    for all in [false, true] {
        let mut out = Vec::new();
        table::write(&view, table::Options { width: 10_000, all, ..table::Options::default() }, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (first, last) = (text.lines().next().unwrap(), text.lines().last().unwrap());
        let unconfirmed = last.split("unconfirmed: ").nth(1).unwrap().split([';', '.']).next().unwrap();
        let counts = numbers(unconfirmed);
        let blind = first.split(" seen once").next().unwrap();
        assert!(first.starts_with("BLIND: ") && first.contains("run without --settle 0"), "{first}");
        assert_eq!(numbers(blind), counts, "{first}\n{last}");
        let place = |what: &str| text.find(&format!("\n{what}")).unwrap_or_else(|| panic!("{what}: {text}"));
        assert!(place("CRITICAL\n") < place("IPA101") && place("IPA101") < place("IPA102"), "{text}");
        assert!(!text.contains("\nNOTE\nIPA101"), "{text}");
    }
}

/// What a person on call sees at 03:00 must fit on one screen, and begin with what is on fire.
#[test]
fn the_incident_fits_on_one_screen() {
    let about = AuditCircumstances { duration: Duration::from_millis(912), ..AuditCircumstances::default() };
    let text = with_view(&snapshot("incident-2017"), about, |view| {
        let mut out = Vec::new();
        table::write(view, table::Options { width: 80, ..table::Options::default() }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    });
    let rows: usize = text.lines().map(|line| line.chars().count().div_ceil(80).max(1)).sum();
    // A screen of 41 lines, four of them of commands that are longer than a row: they are never cut.
    assert!(text.lines().count() <= 41 && rows <= 45, "{rows} rows:\n{text}");
    let first = text.find("IPA101").unwrap();
    assert!((102..=999).all(|code| text.find(&format!("IPA{code}")).is_none_or(|at| at > first)), "{text}");
    for word in [
        "10 pods on slave-140, 11 endpoints",
        "IPAM gave it to adqsdxadc/store-mysql-0: keep that, restart the other",
        "adqsdxadc/slave--57-k8s-store--mysql--0-eth0",
        "olef-idalijn-adcbackend/slave--140-k8s-etcd--2-eth0",
        "olef-idalijn-adcbackend/etcd-2 does not exist",
    ] {
        assert!(text.contains(word), "{word:?} is missing:\n{text}");
    }
    let restart = text.split("restart  ").nth(1).unwrap();
    let restart: Vec<&str> = restart.split("       +").next().unwrap().split_whitespace().take(9).collect();
    let wanted = [
        "abcdjiand/fox-1",
        "abcdw-prod/group-3899345145-v631u",
        "adfadddxin/etcd2-0",
        "adqsd-prod/fwf123-2",
        "adqsd-study/es01-0",
        "bdadservicexadc/adqsd-meeting-web-1739418049-g6qes",
        "bdadservicexadc/grafana-1932004613-auazz",
        "dlojyolgh/dlojyolg-db-0",
        "xxxxxxxxplatform/elastic-qa-0",
    ];
    assert_eq!(restart, wanted, "{text}");
}

/// The schema's own words, by field.
fn properties<'s>(schema: &'s Value, at: &'s Value) -> Option<&'s Value> {
    if let Some(reference) = at.get("$ref").and_then(Value::as_str) {
        return properties(schema, schema.pointer(reference.trim_start_matches('#'))?);
    }
    if let Some(ways) = at.get("anyOf").and_then(Value::as_array) {
        return ways.iter().find_map(|way| properties(schema, way));
    }
    at.get("properties")
}

/// A field that is printed is described; `evidence` alone is open.
fn undescribed(schema: &Value, at: &Value, value: &Value, path: &str, missing: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            for entry in list {
                undescribed(schema, at.get("items").unwrap_or(at), entry, path, missing);
            }
        }
        Value::Object(fields) if !path.ends_with("/evidence") => {
            let known = properties(schema, at).unwrap_or(&Value::Null);
            for (field, value) in fields {
                let path = format!("{path}/{field}");
                match known.get(field) {
                    Some(at) => undescribed(schema, at, value, &path, missing),
                    None => missing.push(path),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn the_document_of_every_case_is_what_the_contract_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = std::fs::read_to_string(root.join("docs/audit.schema.json")).unwrap();
    let contract = std::fs::read_to_string(root.join("docs/output.md")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut fields = BTreeSet::new();
    for name in Case::names() {
        with_view(&snapshot(&name), AuditCircumstances::default(), |view| {
            let mut out = Vec::new();
            json::write(view, &mut out).unwrap();
            let value: Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["findings"].as_array().unwrap().len(), view.findings.len());
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path)).collect();
            assert!(errors.is_empty(), "{name}: {errors:#?}");
            let mut missing = Vec::new();
            undescribed(&schema, &schema, &value, "", &mut missing);
            assert!(missing.is_empty(), "{name}: the schema does not know {missing:?}");
            fields.extend(value.as_object().unwrap().keys().cloned());
            let finding = value["findings"].get(0).and_then(Value::as_object);
            fields.extend(finding.into_iter().flat_map(|f| f.keys().cloned()));
        });
    }
    assert!(fields.len() > 30, "{fields:?}");
    for field in fields {
        let told = ["`", "`, `"].iter().any(|before| contract.contains(&format!("{before}{field}")));
        assert!(told, "docs/output.md does not tell of {field}");
    }
}

/// What a text says, clause by clause; names and numbers alone are none.
fn clauses(text: &str) -> impl Iterator<Item = String> + '_ {
    let parts = text.split(['(', ')']).flat_map(|part| part.split("; ")).flat_map(|part| part.split(": "));
    let parts =
        parts.flat_map(|part| part.split(". ")).map(|part| part.trim_matches([' ', '.', ';', ':']).to_lowercase());
    parts.filter(|part| part.split(' ').filter(|word| word.chars().all(char::is_alphabetic)).count() >= 3)
}

fn said_twice(texts: &[&str]) -> Vec<String> {
    let mut said = BTreeSet::new();
    texts.iter().flat_map(|text| clauses(text)).filter(|clause| !said.insert(clause.clone())).collect()
}

/// Something to paste, or the name that a line of evidence begins with: both may stand below each of several things.
fn is_no_sentence(line: &str) -> bool {
    let programs = ["ipaudit ", "kubectl ", "calicoctl ", "etcdctl ", "crictl ", "printf ", "for id in ", "+"];
    programs.iter().any(|program| line.trim_start().starts_with(program))
}

/// Neither in what is kept of a finding nor in what is printed of it, whatever the state of the datastore.
#[test]
fn no_finding_says_a_thing_twice() {
    let mut failures = BTreeSet::new();
    let golden: Vec<Case> = Case::names().iter().map(|name| Case::load(name)).collect();
    for case in golden.into_iter().chain(Case::reports()) {
        for snapshot in case.moments.iter().flat_map(|moment| [of_moment(moment), locked(moment)]) {
            with_view(&snapshot, AuditCircumstances::default(), |view| {
                for finding in view.findings.iter().map(|finding| finding.open()) {
                    let twice = said_twice(&[finding.summary.raw(), finding.advice.raw()]);
                    failures.extend(twice.into_iter().map(|clause| format!("{}: {clause}", finding.code)));
                }
                let mut out = Vec::new();
                table::write(view, table::Options { width: 60_000, ..table::Options::default() }, &mut out).unwrap();
                let text = String::from_utf8(out).unwrap();
                let lines: Vec<&str> = text.lines().filter(|line| !is_no_sentence(line)).collect();
                for block in lines.chunk_by(|_, next| next.starts_with("   ")) {
                    // Of several that are told in full each may say what another one says, and not what all say.
                    let of_all = block.iter().position(|line| line.trim_start().ends_with("first:"));
                    let (of_all, each) = block.split_at(of_all.unwrap_or(block.len()));
                    let each = each.chunk_by(|_, next| next.starts_with("         "));
                    let code = block[0].get(..6).unwrap_or_default();
                    for one in each.chain([&[][..]]) {
                        let twice = said_twice(&[of_all, one].concat());
                        failures.extend(twice.into_iter().map(|clause| format!("table, {code}: {clause}")));
                    }
                }
            });
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
