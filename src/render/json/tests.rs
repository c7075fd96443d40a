//! The document, held against `docs/audit.schema.json`.

use serde_json::{Value, json};

use super::*;
use crate::checks::testing::Cluster;
use crate::checks::{World, run};
use crate::exit::Exit;
use crate::ledger::Ledger;
use crate::model::{Code, Fact, Input, InputState, Root, State};
use crate::render::view::HistoryRow;
use crate::render::{AuditCircumstances, Narrow, PoolRow, UnknownName};

/// The damaged cluster of these tests, shown by `show`.
fn damaged<T>(about: AuditCircumstances, show: impl FnOnce(&mut AuditView<'_>) -> T) -> T {
    let mut cluster = Cluster::healthy();
    cluster.remove_pod("web-0");
    cluster.snapshot.coverage.set(Input::Services, InputState::Forbidden, "a right is missing");
    let snapshot = cluster.snapshot();
    let ledger = Ledger::build(&snapshot, cluster.scope, None);
    let mut outcome = run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
    let mut finding = outcome.opened().next().unwrap();
    finding.root = Some(Root { code: Code(501), id: "shop/x".into() });
    finding.state = State::Unconfirmed;
    finding.life = Some(Life { first_seen: Time(0), last_seen: Time(1), audits_seen: 3, episode: 2 });
    finding.evidence.push("null", Fact::Null);
    finding.evidence.push("sequence", u64::MAX);
    finding.evidence.push("number", -1);
    finding.evidence.push("moment", Time(1));
    finding.evidence.push("odd\u{202e}", "k8s-pod-network.3f2c\r\neth0\u{9b}");
    outcome.findings[0] = finding.into();
    show(&mut AuditView::of(&snapshot, &ledger, &outcome, about))
}

fn document(view: &AuditView<'_>) -> Value {
    let mut out = Vec::new();
    write(view, &mut out).unwrap();
    assert_eq!(out.last(), Some(&b'\n'));
    assert!(!String::from_utf8_lossy(&out).chars().any(is_hidden_in_text));
    serde_json::from_slice(&out).unwrap()
}

fn is_hidden_in_text(c: char) -> bool {
    c != '\n' && crate::model::escape::is_hidden(c)
}

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/audit.schema.json")).unwrap();
    jsonschema::draft202012::meta::validate(&schema).expect("the schema is a schema");
    jsonschema::draft202012::new(&schema).unwrap()
}

fn history() -> AuditCircumstances {
    AuditCircumstances {
        id: Some(17),
        history: Some(HistoryRow { new: 1, ongoing: 2, came_back: 3, resolved: 4 }),
        narrow: Narrow { severity: Some(crate::model::Severity::Note), ..Narrow::default() },
        unknown: vec![UnknownName {
            kind: "node",
            by: "Nobody knows the",
            name: "nod-1".into(),
            near: vec!["node-1".into()],
        }],
        warnings: vec!["slow".into()],
        ..AuditCircumstances::default()
    }
}

#[test]
fn real_output_is_what_the_schema_says() {
    let validator = validator();
    for about in [AuditCircumstances::default(), history()] {
        let value = damaged(about, |view| document(view));
        let errors: Vec<String> = validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path)).collect();
        assert!(errors.is_empty(), "{errors:?} in {value:#}");
    }
}

/// A schema that lets everything through would hold nothing.
#[test]
fn the_schema_misses_every_field_that_is_taken_away() {
    let (validator, whole) = (validator(), damaged(history(), |view| document(view)));
    let paths = ["", "/tool", "/cluster", "/audit", "/inputs/0", "/counts", "/pools/0", "/findings/0"];
    let more = ["/findings/0/subject", "/findings/0/root", "/unknown/0", "/skipped/0", "/outside_scope", "/history"];
    let mut removed = 0;
    for path in paths.iter().chain(&more) {
        let fields: Vec<String> = whole.pointer(path).unwrap().as_object().unwrap().keys().cloned().collect();
        for field in fields {
            let mut value = whole.clone();
            value.pointer_mut(path).unwrap().as_object_mut().unwrap().remove(&field);
            assert!(!validator.is_valid(&value), "{path}/{field} may be missing");
            let mut value = whole.clone();
            *value.pointer_mut(path).unwrap().get_mut(&field).unwrap() = json!([[1.5]]);
            assert!(!validator.is_valid(&value), "{path}/{field} may be anything");
            removed += 1;
        }
    }
    assert!(removed > 80, "{removed}");
    let mut more = whole.clone();
    more["new_field"] = json!(1);
    more["findings"][0]["new_field"] = json!(1);
    assert!(validator.is_valid(&more), "fields may be added");
    let mut lying = whole;
    lying["exit_code"] = json!(0);
    assert!(!validator.is_valid(&lying), "an incomplete audit exits with 3 or 2");
}

#[test]
fn values_are_what_they_were() {
    damaged(history(), |view| {
        let value = document(view);
        let finding = &value["findings"][0];
        assert_eq!(finding["code"], "IPA110");
        assert_eq!(finding["name"], "leaked-address");
        assert_eq!(finding["subject"], json!({"kind": "address", "id": "10.65.0.1"}));
        assert_eq!(finding["root"], json!({"code": "IPA501", "id": "shop/x"}));
        assert_eq!(finding["evidence"]["sequence"], json!(u64::MAX));
        assert_eq!(finding["evidence"]["odd\u{202e}"], "k8s-pod-network.3f2c\r\neth0\u{9b}");
        assert_eq!(finding["first_seen"], "1970-01-01T00:00:00Z");
        assert_eq!((&finding["audits_seen"], &finding["episode"]), (&json!(3), &json!(2)));
        assert_eq!(value["audit"]["id"], 17);
        assert_eq!(value["audit"]["complete"], false);
        assert_eq!(value["counts"]["services"], Value::Null);
        assert_eq!(value["narrowed_by"], json!(["--severity note"]));
        assert_eq!(value["pools"][0]["addresses"], json!(65_536));
        assert_eq!(value["exit_code"], Exit::Incomplete.code());
    });
    damaged(history(), |view| {
        view.pools[0] = PoolRow { addresses: 1 << 80, free: Some(u128::MAX), ..PoolRow::default() };
        let pool = &document(view)["pools"][0];
        assert_eq!((&pool["addresses"], &pool["free"]), (&json!(i64::MAX), &json!(i64::MAX)));
        assert_eq!(pool["leaked"], Value::Null);
    });
    // Without a history a finding is first seen now.
    damaged(AuditCircumstances::default(), |view| {
        let mut alone = view.findings[0].clone();
        alone.set_life(None);
        let value = document(&AuditView { findings: vec![&alone], ..view.clone() });
        assert_eq!(value["findings"][0]["first_seen"], value["audit"]["judged_at"]);
        assert_eq!((&value["audit"]["id"], &value["history"]), (&Value::Null, &Value::Null));
    });
}

#[test]
fn a_line_is_the_documents_entry() {
    damaged(history(), |view| {
        let mut out = Vec::new();
        write_lines(view, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(Value::Array(lines), document(view)["findings"]);
    });
}

#[test]
fn many_findings_are_streamed() {
    damaged(history(), |view| {
        let one = view.findings[0];
        view.findings = vec![one; 10_000];
        let mut lines = 0usize;
        struct LineCounter<'c>(&'c mut usize);
        impl Write for LineCounter<'_> {
            fn write(&mut self, bytes: &[u8]) -> Result<usize> {
                *self.0 += bytes.iter().filter(|b| **b == b'\n').count();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> Result<()> {
                Ok(())
            }
        }
        write(view, &mut LineCounter(&mut lines)).unwrap();
        assert!(lines > 10_000, "a line a finding: {lines}");
    });
}
