//! Whole outputs of golden datastores, as people see them: `tests/snapshots`, written anew with `UPDATE=1`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::path::Path;
use std::time::Duration;

use ipaudit::checks::{self, World};
use ipaudit::decode::{self, Kv};
use ipaudit::ledger::{Ledger, ScopeFlag};
use ipaudit::model::{Input, InputState, Snapshot, Time};
use ipaudit::render::{AuditView, Circumstances, json, table};
use servers::golden::Case;

fn snapshot(name: &str) -> Snapshot {
    let case = Case::load(name);
    let moment = &case.moments[0];
    let mut snapshot = Snapshot { now: Time::parse_rfc3339(&moment.captured_at).unwrap(), ..Snapshot::default() };
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
    snapshot.sort();
    snapshot
}

fn with_view<T>(snapshot: &Snapshot, about: Circumstances, show: impl FnOnce(&AuditView<'_>) -> T) -> T {
    let ledger = Ledger::build(snapshot, ScopeFlag::Auto, None);
    let outcome = checks::run(&World { snapshot, ledger: &ledger, past: None });
    show(&AuditView::of(snapshot, &ledger, &outcome, about))
}

fn shown(name: &str, options: table::Options) -> String {
    let about = Circumstances { duration: Duration::from_millis(912), ..Circumstances::default() };
    with_view(&snapshot(name), about, |view| {
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

#[test]
fn json_of_all_goldens() {
    for name in Case::names() {
        with_view(&snapshot(&name), Circumstances::default(), |view| {
            let mut out = Vec::new();
            json::write(view, &mut out).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(value["findings"].as_array().unwrap().len(), view.findings.len());
        });
    }
}
