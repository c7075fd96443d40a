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
use serde_json::Value;
use servers::golden::{Case, Moment};

fn snapshot(name: &str) -> Snapshot {
    of_moment(Case::load(name).moment())
}

fn of_moment(moment: &Moment) -> Snapshot {
    let mut snapshot = Gathering { now: Time::parse_rfc3339(&moment.captured_at).unwrap(), ..Gathering::default() };
    for input in Input::ALL {
        snapshot.coverage.set(input, InputState::Complete, "");
    }
    for (revision, (key, value)) in (1..).zip(&moment.keys) {
        decode::insert(
            &mut snapshot,
            &Kv { key, value, create_revision: revision, mod_revision: revision, version: 1 },
        );
    }
    ipaudit::source::kube_objects::read(std::slice::from_ref(&moment.cluster_file), &mut snapshot).unwrap();
    for input in [Input::Pods, Input::KubeNodes, Input::Services, Input::Namespaces] {
        snapshot.coverage.set(input, InputState::Complete, "");
    }
    snapshot.coverage.set(Input::History, InputState::NotAsked, "");
    snapshot.etcd.revision = 48_213_907;
    snapshot.sorted()
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
    assert!(rows <= 40, "{rows} rows:\n{text}");
    let first = text.find("IPA101").unwrap();
    assert!((102..=999).all(|code| text.find(&format!("IPA{code}")).is_none_or(|at| at > first)), "{text}");
    for word in [
        "10 pods on slave-140, 11 endpoints",
        "IPAM gave it to adqsdxadc/store-mysql-0: keep that one, restart the other",
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
