//! The output for programs: one versioned document (`json`), or one finding a line (`jsonl`).
//!
//! This is a promise: within `v1` fields are added, never renamed or removed. `docs/output.md` says what each means,
//! `docs/audit.schema.json` holds it, a test holds this file to both. Written as a stream, never built in memory.

use std::io::{BufWriter, Result, Write};

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use super::json_lines::{Lines, Visible};
use super::view::{AuditView, Counts, HistoryRow, InputRow, OutsideRow, PoolRow};
use crate::checks::{self, Skipped};
use crate::model::{Code, Evidence, Finding, Life, Time};

/// The name and version of the document's shape.
pub const SCHEMA: &str = "ipaudit/audit/v1";

/// Writes the whole audit as one document; one line a finding, so that it can be read and compared by line.
pub fn write(view: &AuditView<'_>, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Lines::default());
    Document::of(view).serialize(&mut serializer)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Writes every finding as one line, as it stands in the document.
pub fn write_lines(view: &AuditView<'_>, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    for finding in &view.findings {
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, Visible);
        FindingRow::of(finding, view).serialize(&mut serializer)?;
        out.write_all(b"\n")?;
    }
    out.flush()
}

#[derive(Serialize)]
struct Document<'v> {
    schema: &'static str,
    tool: Tool,
    cluster: Cluster<'v>,
    audit: Audit,
    inputs: Vec<InputJson<'v>>,
    counts: &'v Counts,
    pools: Vec<PoolJson<'v>>,
    narrowed_by: Vec<String>,
    findings: Findings<'v>,
    skipped: Vec<SkippedJson<'v>>,
    outside_scope: OutsideRow,
    history: Option<HistoryRow>,
    warnings: &'v [String],
    exit_code: u8,
}

#[derive(Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Cluster<'v> {
    name: Option<&'v str>,
    guid: &'v str,
    kubernetes_uid: Option<&'v str>,
    kubernetes_server: Option<&'v str>,
    calico_version: Option<&'v str>,
}

#[derive(Serialize)]
struct Audit {
    id: Option<u64>,
    started: Time,
    judged_at: Time,
    etcd_revision: i64,
    duration_ms: u64,
    complete: bool,
    scope: &'static str,
}

#[derive(Serialize)]
struct InputJson<'v> {
    input: &'static str,
    state: &'static str,
    detail: &'v str,
    undecodable: u64,
}

#[derive(Serialize)]
struct PoolJson<'v> {
    name: &'v str,
    cidr: &'v str,
    addresses: u64,
    allocated: u64,
    in_use: u64,
    leaked: u64,
    cooling: u64,
    reserved: u64,
    free: u64,
    blocks: u64,
    free_blocks: u64,
}

#[derive(Serialize)]
struct SubjectJson<'v> {
    kind: &'static str,
    id: &'v str,
}

#[derive(Serialize)]
struct RootJson<'v> {
    code: Code,
    id: &'v str,
}

#[derive(Serialize)]
struct FindingRow<'v> {
    code: Code,
    name: &'static str,
    severity: &'static str,
    state: &'static str,
    subject: SubjectJson<'v>,
    summary: &'v str,
    advice: &'v str,
    evidence: &'v Evidence,
    root: Option<RootJson<'v>>,
    next: &'v [String],
    node: Option<&'v str>,
    namespace: Option<&'v str>,
    pool: Option<&'v str>,
    since: Option<Time>,
    first_seen: Time,
    last_seen: Time,
    audits_seen: u64,
    episode: u64,
}

#[derive(Serialize)]
struct SkippedJson<'v> {
    code: Code,
    name: &'static str,
    reason: &'v str,
    incomplete: bool,
}

/// The findings, made one by one while they are written.
struct Findings<'v>(&'v AuditView<'v>);

impl Serialize for Findings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.findings.len()))?;
        for finding in &self.0.findings {
            list.serialize_element(&FindingRow::of(finding, self.0))?;
        }
        list.end()
    }
}

impl<'v> Document<'v> {
    fn of(view: &'v AuditView<'v>) -> Document<'v> {
        let (cluster, audit) = (&view.cluster, &view.audit);
        Document {
            schema: SCHEMA,
            tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
            cluster: Cluster {
                name: some(&cluster.name),
                guid: &cluster.guid,
                kubernetes_uid: cluster.kubernetes_uid.as_deref(),
                kubernetes_server: some(&cluster.kubernetes_server),
                calico_version: some(&cluster.calico_version),
            },
            audit: Audit {
                id: audit.id,
                started: audit.started,
                judged_at: audit.judged,
                etcd_revision: audit.etcd_revision,
                duration_ms: u64::try_from(audit.duration.as_millis()).unwrap_or(u64::MAX),
                complete: audit.complete,
                scope: audit.scope,
            },
            inputs: view.inputs.iter().map(InputJson::of).collect(),
            counts: &view.counts,
            pools: view.pools.iter().map(PoolJson::of).collect(),
            narrowed_by: view.narrow.flags(),
            findings: Findings(view),
            skipped: view.skipped.iter().map(SkippedJson::of).collect(),
            outside_scope: view.outside,
            history: view.history,
            warnings: &view.warnings,
            exit_code: view.exit.code(),
        }
    }
}

impl<'v> InputJson<'v> {
    fn of(row: &'v InputRow) -> InputJson<'v> {
        InputJson {
            input: row.input.word(),
            state: row.state.word(),
            detail: &row.detail,
            undecodable: row.undecodable,
        }
    }
}

impl<'v> PoolJson<'v> {
    fn of(pool: &'v PoolRow) -> PoolJson<'v> {
        PoolJson {
            name: &pool.name,
            cidr: &pool.cidr,
            addresses: held(pool.addresses),
            allocated: held(pool.allocated),
            in_use: held(pool.in_use),
            leaked: held(pool.leaked),
            cooling: held(pool.cooling),
            reserved: held(pool.reserved),
            free: held(pool.free),
            blocks: held(pool.blocks),
            free_blocks: held(pool.free_blocks),
        }
    }
}

impl<'v> FindingRow<'v> {
    fn of(finding: &'v Finding, view: &AuditView<'_>) -> FindingRow<'v> {
        let now = view.audit.judged;
        let life = finding.life.unwrap_or(Life { first_seen: now, last_seen: now, audits_seen: 1, episode: 1 });
        FindingRow {
            code: finding.code,
            name: name(finding.code),
            severity: finding.severity.word(),
            state: finding.state.word(),
            subject: SubjectJson { kind: finding.subject.kind.word(), id: &finding.subject.id },
            summary: &finding.summary,
            advice: &finding.advice,
            evidence: &finding.evidence,
            root: finding.root.as_ref().map(|root| RootJson { code: root.code, id: &root.id }),
            next: &finding.next,
            node: finding.node.as_deref(),
            namespace: finding.namespace.as_deref(),
            pool: finding.pool.as_deref(),
            since: finding.since,
            first_seen: life.first_seen,
            last_seen: life.last_seen,
            audits_seen: life.audits_seen,
            episode: life.episode,
        }
    }
}

impl<'v> SkippedJson<'v> {
    fn of(skipped: &'v Skipped) -> SkippedJson<'v> {
        SkippedJson {
            code: skipped.code,
            name: name(skipped.code),
            reason: &skipped.reason,
            incomplete: skipped.incomplete,
        }
    }
}

fn name(code: Code) -> &'static str {
    checks::find(code).map_or("", |check| check.name)
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// An IPv6 pool has more addresses than other languages' integers hold: the number stops at 2^63 - 1.
fn held(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX).min(i64::MAX as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::checks::testing::Cluster;
    use crate::checks::{World, run};
    use crate::exit::Exit;
    use crate::ledger::Ledger;
    use crate::model::{Fact, Input, InputState, Root, State};
    use crate::render::{Circumstances, Narrow};

    /// The damaged cluster of these tests, shown by `show`.
    fn damaged<T>(about: Circumstances, show: impl FnOnce(&mut AuditView<'_>) -> T) -> T {
        let mut cluster = Cluster::healthy();
        cluster.remove_pod("web-0");
        cluster.snapshot.coverage.set(Input::Services, InputState::Forbidden, "a right is missing");
        cluster.snapshot.sort();
        let ledger = Ledger::build(&cluster.snapshot, cluster.scope, None);
        let mut outcome = run(&World { snapshot: &cluster.snapshot, ledger: &ledger, past: None });
        let finding = outcome.findings.first_mut().unwrap();
        finding.root = Some(Root { code: Code(501), id: "shop/x".to_owned() });
        finding.state = State::Unconfirmed;
        finding.life = Some(Life { first_seen: Time(0), last_seen: Time(1), audits_seen: 3, episode: 2 });
        finding.evidence.push("null", Fact::Null);
        finding.evidence.push("sequence", u64::MAX);
        finding.evidence.push("number", -1);
        finding.evidence.push("moment", Time(1));
        finding.evidence.push("odd\u{202e}", "k8s-pod-network.3f2c\r\neth0\u{9b}");
        show(&mut AuditView::of(&cluster.snapshot, &ledger, &outcome, about))
    }

    fn document(view: &AuditView<'_>) -> Value {
        let mut out = Vec::new();
        write(view, &mut out).unwrap();
        assert_eq!(out.last(), Some(&b'\n'));
        assert!(!String::from_utf8_lossy(&out).chars().any(|c| is_hidden_in_text(c)));
        serde_json::from_slice(&out).unwrap()
    }

    fn is_hidden_in_text(c: char) -> bool {
        c != '\n' && crate::render::escape::is_hidden(c)
    }

    fn validator() -> jsonschema::Validator {
        let schema: Value = serde_json::from_str(include_str!("../../docs/audit.schema.json")).unwrap();
        jsonschema::draft202012::meta::validate(&schema).expect("the schema is a schema");
        jsonschema::draft202012::new(&schema).unwrap()
    }

    fn history() -> Circumstances {
        Circumstances {
            id: Some(17),
            pools: vec![PoolRow { name: "v6".to_owned(), addresses: 1 << 80, free: u128::MAX, ..PoolRow::default() }],
            history: Some(HistoryRow { new: 1, ongoing: 2, came_back: 3, resolved: 4 }),
            narrow: Narrow { severity: Some(crate::model::Severity::Note), ..Narrow::default() },
            warnings: vec!["slow".to_owned()],
            ..Circumstances::default()
        }
    }

    #[test]
    fn real_output_is_what_the_schema_says() {
        let validator = validator();
        for about in [Circumstances::default(), history()] {
            let value = damaged(about, |view| document(view));
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|e| format!("{}: {e}", e.instance_path)).collect();
            assert!(errors.is_empty(), "{errors:?} in {value:#}");
        }
    }

    /// A schema that lets everything through would hold nothing.
    #[test]
    fn the_schema_misses_every_field_that_is_taken_away() {
        let (validator, whole) = (validator(), damaged(history(), |view| document(view)));
        let paths = ["", "/tool", "/cluster", "/audit", "/inputs/0", "/counts", "/pools/0", "/findings/0"];
        let more = ["/findings/0/subject", "/findings/0/root", "/skipped/0", "/outside_scope", "/history"];
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
            assert_eq!(value["pools"][0]["free"], json!(i64::MAX));
            assert_eq!(value["exit_code"], Exit::Incomplete.code());
        });
        // Without a history a finding is first seen now.
        damaged(Circumstances::default(), |view| {
            let alone = Finding { life: None, ..view.findings[0].clone() };
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
    fn a_hundred_thousand_findings_are_streamed() {
        damaged(history(), |view| {
            let one = view.findings[0];
            view.findings = vec![one; 100_000];
            let mut lines = 0usize;
            struct Counter<'c>(&'c mut usize);
            impl Write for Counter<'_> {
                fn write(&mut self, bytes: &[u8]) -> Result<usize> {
                    *self.0 += bytes.iter().filter(|b| **b == b'\n').count();
                    Ok(bytes.len())
                }
                fn flush(&mut self) -> Result<()> {
                    Ok(())
                }
            }
            write(view, &mut Counter(&mut lines)).unwrap();
            assert!(lines > 100_000, "a line a finding: {lines}");
        });
    }
}
