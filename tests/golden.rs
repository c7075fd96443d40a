//! The rules against golden datastores: every case of `tests/golden` gives exactly its expected findings.
//!
//! Here the data goes straight into decoding and checks, without servers; `tests/audit.rs` does the same through
//! the binary and real servers. A new case is a new folder. `IPAUDIT_CODES=IPA201,IPA202` narrows the comparison.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::collections::BTreeSet;
use std::path::Path;

use ipaudit::checks::{self, World};
use ipaudit::decode::{self, Kv};
use ipaudit::ledger::{Ledger, ScopeFlag};
use ipaudit::model::{Code, Gathering, Input, InputState, Narrow, Snapshot, Time};
use ipaudit::render::{AuditCircumstances, AuditView, table};
use servers::golden::{self, Case, Moment};

fn snapshot(moment: &Moment) -> Snapshot {
    snapshot_without(moment, &[])
}

/// What is seen when these inputs of Kubernetes did not answer.
fn snapshot_without(moment: &Moment, unread: &[Input]) -> Snapshot {
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
    for &input in unread {
        snapshot.coverage.set(input, InputState::Unreachable, "connection refused");
        match input {
            Input::Pods => snapshot.pods.clear(),
            Input::KubeNodes => snapshot.kube_nodes.clear(),
            Input::Services => snapshot.services.clear(),
            _ => {}
        }
    }
    snapshot.sorted()
}

/// A narrowed view shows a finding to everybody whom it hits.
#[test]
fn a_finding_is_shown_to_all_whom_its_evidence_names() {
    let mut asked = 0;
    for name in Case::names() {
        for (number, moment) in Case::load(&name).moments.iter().enumerate() {
            let snapshot = snapshot(moment);
            let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
            let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
            for finding in &outcome.findings {
                for command in &finding.open().next {
                    let pod =
                        command.raw().strip_prefix("kubectl -n ").and_then(|rest| rest.split_once(" delete pod "));
                    let Some((namespace, _)) = pod else { continue };
                    let narrow = Narrow { namespace: Some(namespace.to_owned()), ..Narrow::default() };
                    assert!(narrow.keeps(finding), "{name} {number}: {} {command:?}", finding.code);
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 20, "{asked}");
    let shown = |case: &str, moment: usize, narrow: &Narrow, code: u16| {
        let case = Case::load(case);
        let snapshot = snapshot(&case.moments[moment]);
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
        let called = snapshot.spellings(None);
        let narrow = Narrow { codes: vec![Code(code)], called, ..narrow.clone() };
        outcome.findings.iter().filter(|finding| narrow.keeps(finding)).count()
    };
    let node = |name: &str| Narrow { node: Some(name.to_owned()), ..Narrow::default() };
    let namespace = |name: &str| Narrow { namespace: Some(name.to_owned()), ..Narrow::default() };
    for (case, moment, narrow, code, least) in [
        ("pools-and-blocks", 0, node("node-1"), 101, 1),
        ("pools-and-blocks", 0, node("node-2"), 101, 1),
        ("restored-backup", 2, namespace("shop"), 101, 4),
        ("endpoint-damage", 0, namespace("shop"), 103, 1),
    ] {
        let number = shown(case, moment, &narrow, code);
        assert!(number >= least, "{case} {moment} {narrow:?} {code}: {number}");
    }
    for node_name in ["node-1", "node-2", "node-3"] {
        let (all, own) =
            (shown("leaked-pods", 0, &Narrow::default(), 503), shown("leaked-pods", 0, &node(node_name), 503));
        assert!(own <= all && all > 0, "{node_name}: {own} of {all}");
    }
    let both: usize = ["node-1", "node-2", "node-3"].iter().map(|name| shown("leaked-pods", 0, &node(name), 503)).sum();
    assert_eq!(both, 2 * shown("leaked-pods", 0, &Narrow::default(), 503), "each is of two nodes");
}

fn wanted() -> Option<BTreeSet<Code>> {
    let list = std::env::var("IPAUDIT_CODES").ok()?;
    Some(list.split(',').map(|code| code.parse().unwrap()).collect())
}

/// Codes that exist in the registry; a case may expect codes that are not built yet, and these are told.
fn compare(name: &str, moment: &Moment, failures: &mut Vec<String>) {
    let snapshot = snapshot(moment);
    let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
    let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
    let wanted = wanted();
    let counts = |code: Code| checks::find(code).is_some() && wanted.as_ref().is_none_or(|w| w.contains(&code));
    let found: BTreeSet<(Code, String)> =
        outcome.findings.iter().map(|f| (f.code, f.subject.id.raw().to_owned())).filter(|(c, _)| counts(*c)).collect();
    let expected: BTreeSet<(Code, String)> = moment
        .expect
        .iter()
        .map(|e| (e.code.parse().unwrap(), e.subject.clone()))
        .filter(|(c, _)| counts(*c))
        .collect();
    for (code, subject) in expected.difference(&found) {
        let why = &moment.expect.iter().find(|e| e.subject == *subject && e.code == code.to_string()).unwrap().why;
        failures.push(format!("{name}: missing {code} {subject:?} ({why})"));
    }
    for (code, subject) in found.difference(&expected) {
        let summary = outcome.opened().find(|f| f.subject.id == *subject && f.code == *code).unwrap().summary;
        failures.push(format!("{name}: unexpected {code} {subject:?} ({summary:?})"));
    }
    // Skips for a missing past are the only ones in complete data.
    for skipped in outcome.skipped.iter().filter(|s| s.incomplete) {
        failures.push(format!("{name}: skipped {} ({:?})", skipped.code, skipped.reason));
    }
}

#[test]
fn every_case_gives_exactly_its_findings() {
    let mut failures = Vec::new();
    let names = Case::names();
    assert!(names.len() >= 16, "the golden cases are missing: {names:?}");
    for name in &names {
        let case = Case::load(name);
        for (i, moment) in case.moments.iter().enumerate() {
            compare(&format!("{name}[{i}]"), moment, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}

/// Whether a command takes something away that may belong to somebody.
fn takes_away(command: &str) -> bool {
    command.starts_with("ipaudit release ") || command.contains(" delete ") || command.contains("| etcdctl txn")
}

fn taken_away(moment: &Moment, unread: &[Input]) -> BTreeSet<(String, String)> {
    let snapshot = snapshot_without(moment, unread);
    let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
    let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
    let commands = outcome.opened().flat_map(|f| f.next.into_iter().map(move |next| (f.gist.code.to_string(), next)));
    commands.map(|(code, c)| (code, c.raw().to_owned())).filter(|(_, c)| takes_away(c)).collect()
}

/// Unknown is not absent: what nobody read proves nothing gone. Of whatever Kubernetes was not read, nothing is printed that
/// takes something away which a look at everything would leave alone.
#[test]
fn blind_takes_nothing_away() {
    let kubernetes = [Input::Pods, Input::KubeNodes, Input::Services, Input::Namespaces];
    let mut failures = Vec::new();
    let golden: Vec<Case> = Case::names().iter().map(|name| Case::load(name)).collect();
    for case in golden.into_iter().chain(Case::reports()) {
        for moment in &case.moments {
            let seeing: BTreeSet<String> = taken_away(moment, &[]).into_iter().map(|(_, command)| command).collect();
            let blind = std::iter::once(&kubernetes[..]).chain(kubernetes.chunks(1)).chain(kubernetes.windows(2));
            for unread in blind {
                let more = taken_away(moment, unread).into_iter().filter(|(_, command)| !seeing.contains(command));
                failures.extend(more.map(|(code, c)| format!("{} without {unread:?}: {code} {c}", case.name)));
            }
        }
    }
    failures.sort();
    failures.dedup();
    assert!(failures.is_empty(), "{} commands:\n{}", failures.len(), failures.join("\n"));
}

/// A pod that shares its address and has no endpoint is restarted once, and told once.
#[test]
fn a_pod_is_told_once_with_what_restarts_it() {
    let case = Case::load("restored-backup");
    let mut told_with = 0;
    for moment in &case.moments {
        let snapshot = snapshot(moment);
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
        let restarted: BTreeSet<String> = outcome
            .opened()
            .filter(|f| matches!(f.code.0, 101 | 120))
            .flat_map(|f| f.evidence.texts("restart").map(|pod| pod.raw().to_owned()).collect::<Vec<_>>())
            .collect();
        let bare = outcome.findings.iter().filter(|f| f.code == Code(505));
        for finding in bare.filter(|f| restarted.contains(f.subject.id.raw())) {
            assert!(finding.root.is_some(), "{} stands twice", finding.subject.id.raw());
            told_with += 1;
        }
    }
    assert!(told_with > 0);
}

/// The numbers before these words on a pool's line, together: all parts of it.
fn sum_of(line: &str) -> u128 {
    let parts = ["in use", "leaked", "unattributed", "cooling", "reserved", "not decoded", "free"];
    let fields = line.split("  ").map(str::trim).filter_map(|field| field.split_once(' '));
    let numbers = fields.filter(|(_, word)| parts.contains(word)).map(|(number, _)| number.replace(',', ""));
    numbers.map(|number| number.parse::<u128>().unwrap()).sum()
}

/// What a pool's parts are called, they are all of it: in the rows, in the line and in the document.
#[test]
fn the_parts_of_every_pool_are_all_of_it() {
    let mut pools = 0;
    for name in Case::names() {
        for moment in &Case::load(&name).moments {
            let snapshot = snapshot(moment);
            let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
            let outcome = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
            let view = AuditView::of(&snapshot, &ledger, &outcome, AuditCircumstances::default());
            let mut text = Vec::new();
            let options = table::Options { width: 400, all: true, ..table::Options::default() };
            table::write(&view, options, &mut text).unwrap();
            let text = String::from_utf8(text).unwrap();
            let mut leaked = 0;
            for pool in &view.pools {
                let parts =
                    [pool.in_use, pool.leaked, pool.unattributed, pool.cooling, pool.reserved, pool.unknown, pool.free];
                let sum: u128 = parts.iter().map(|part| part.unwrap()).sum();
                assert_eq!(sum, pool.addresses, "{name}: {pool:?}");
                let line = text.lines().find(|line| line.starts_with(&format!("{} ", pool.cidr))).unwrap();
                let is_small = pool.addresses < 1_000_000_000_000;
                assert!(!is_small || sum_of(line) == pool.addresses, "{name}: {line}");
                let document = serde_json::to_value(pool).unwrap();
                let fields = ["in_use", "leaked", "unattributed", "cooling", "reserved", "unknown", "free"];
                let sum: u64 = fields.iter().map(|field| document[field].as_u64().unwrap()).sum();
                assert!(!is_small || Some(sum) == document["addresses"].as_u64(), "{name}: {document}");
                leaked += pool.leaked.unwrap();
                pools += 1;
            }
            assert!(leaked <= u128::from(view.counts.leaked), "{name}");
        }
    }
    assert!(pools > 20, "{pools}");
}

/// The copies in the repository are the cases as they were handed over, when the original folder is at hand.
#[test]
fn the_copies_are_the_originals() {
    let Some(original) = std::env::var_os("IPAUDIT_GOLDEN") else { return };
    assert_eq!(golden::drift(golden::GOLDEN, Path::new(&original)), None);
}
