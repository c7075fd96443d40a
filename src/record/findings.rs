//! Findings: which are new, which say something else than before, and which were not seen though somebody looked.

use std::collections::HashSet;

use super::{Course, Diff, scope_word};
use crate::checks::{self, Outcome};
use crate::model::finding::Parts;
use crate::model::record::{ChangedFinding, FindingEntry, NewFinding, Told, Unseen, Why};
use crate::model::{Code, Finding, Input, Needs, Past, SubjectKind, Time};

/// What a finding is.
fn identity(finding: &Finding) -> (Code, SubjectKind, &str) {
    (finding.code, finding.subject.kind, &finding.subject.id)
}

/// Hash of what is told. Evidence is left out: ages in it grow by themselves; what the claim rests on is the stamp.
fn face(finding: &Finding) -> u64 {
    let words = Parts::new().text(&finding.summary).text(finding.severity.word()).text(finding.state.word());
    let places = words.given(finding.node.as_ref()).given(finding.namespace.as_ref()).given(finding.pool.as_ref());
    let root = finding.root.as_ref();
    places.given(root.map(|r| &r.id)).number(root.map_or(0, |r| r.code.0)).hash64()
}

fn told(finding: &Finding, stamp: u128, face: u64) -> Told {
    Told {
        stamp,
        face,
        severity: finding.severity,
        state: finding.state,
        summary: finding.summary.clone(),
        root: finding.root.as_ref().map(|r| format!("{} {}", r.code, r.id)),
        node: finding.node.clone(),
        namespace: finding.namespace.clone(),
        pool: finding.pool.clone(),
        evidence: serde_json::to_string(&finding.evidence).unwrap_or_else(|_| "{}".to_owned()),
    }
}

/// One entry a finding.
pub(super) fn entries(outcome: &Outcome, past: &Past, now: Time) -> Vec<FindingEntry> {
    let entry = |finding: &Finding| {
        let (stamp, face) = (finding.stamp(), face(finding));
        let subject = &finding.subject;
        let Some(known) = past.open.get(finding.code, subject.kind, &subject.id) else {
            return FindingEntry::New(Box::new(NewFinding {
                code: finding.code,
                kind: subject.kind,
                subject: subject.id.clone(),
                told: told(finding, stamp, face),
            }));
        };
        let life = known.seen_again(now);
        let restamped = known.stamp != Some(stamp);
        if known.face == face && !restamped && !known.hidden {
            return FindingEntry::Unchanged(life);
        }
        let (row, was_confirmed, was_hidden) = (known.row, known.confirmed, known.hidden);
        let changed = ChangedFinding { row, restamped, was_confirmed, was_hidden, told: told(finding, stamp, face) };
        FindingEntry::Changed(life, changed)
    };
    outcome.findings.iter().map(entry).collect()
}

/// Open findings that this audit did not see though their checks ran.
pub(super) fn unseen(diff: &Diff<'_>, outcome: &Outcome, course: &Course) -> Vec<Unseen> {
    let seen: HashSet<(Code, SubjectKind, &str)> = outcome.findings.iter().map(identity).collect();
    let skipped: HashSet<Code> = outcome.skipped.iter().map(|s| s.code).collect();
    let (last, scope) = (&diff.past.last, scope_word(diff.ledger));
    let other_rules =
        last.tool != course.tool || (last.scope != scope && scope != "unknown" && last.scope != "unknown");
    let open = diff.past.open.iter().filter(|(finding, _)| !seen.contains(finding));
    let unseen = open.filter_map(|((code, ..), finding)| {
        let why = match checks::find(code) {
            None => Why::RuleChanged,
            Some(check) if skipped.contains(&check.code) => return None,
            Some(check) if !is_read(diff, check.looks_at()) => Why::Hidden,
            Some(_) if other_rules => Why::RuleChanged,
            Some(_) => Why::Gone,
        };
        let why = if diff.is_apart() { Why::Hidden } else { why };
        Some(Unseen { row: finding.row, why, was_hidden: finding.hidden })
    });
    let mut unseen: Vec<Unseen> = unseen.collect();
    unseen.sort_unstable_by_key(|u| u.row);
    unseen
}

/// Whether all these inputs were read, and nothing undecodable hides the whole of one.
fn is_read(diff: &Diff<'_>, needs: Needs) -> bool {
    let read = |input: Input| diff.complete(&[input]) && !diff.ledger.dark.all(input);
    needs.inputs().filter(|input| *input != Input::History).all(read)
}
