//! Findings: which are new, which say something else than before, and which were not seen though somebody looked.

use std::collections::HashSet;

use super::diff::{AuditCourse, Diff};
use crate::checks::node::NodesLooked;
use crate::checks::{self, Outcome, World};
use crate::model::finding::Parts;
use crate::model::record::{ChangedRow, FindingEntry, NewWords, Unseen, Why};
use crate::model::row::FindingRow;
use crate::model::{Code, Finding, Foreign, Gist, Input, KeptFinding, Needs, Past, Sharing, SubjectKind, Term, Time};

/// What a finding is.
fn identity(finding: &Gist) -> (Code, SubjectKind, &str) {
    (finding.code, finding.subject.kind, finding.subject.id.raw())
}

/// Hash of what is told. Evidence is left out: ages in it grow by themselves; what the claim rests on is the stamp.
fn face(finding: &Finding) -> u64 {
    let words = Parts::new().text(finding.summary.raw()).text(finding.severity.word()).text(finding.state.word());
    let places = [&finding.node, &finding.namespace, &finding.pool];
    let words = places.into_iter().fold(words, |words, place| words.given(place.as_ref().map(Foreign::raw)));
    let root = finding.root.as_ref();
    words.given(root.map(|r| r.id.raw())).number(root.map_or(0, |r| r.code.0)).hash64()
}

fn words(finding: &Finding, stamp: u128, face: u64) -> Box<NewWords> {
    let told = FindingRow {
        code: finding.code,
        kind: finding.subject.kind.into(),
        subject: finding.subject.id.clone(),
        severity: finding.severity,
        state: finding.state.into(),
        summary: finding.summary.clone(),
        root: finding.root.clone(),
        node: finding.node.clone(),
        namespace: finding.namespace.clone(),
        pool: finding.pool.clone(),
    };
    let evidence = serde_json::to_string(&finding.evidence).unwrap_or_else(|_| "{}".to_owned());
    Box::new(NewWords { finding: told, stamp, face, evidence })
}

/// One entry a finding.
pub(super) fn entries(outcome: &Outcome, past: &Past, now: Time) -> Vec<FindingEntry> {
    let entry = |kept: &KeptFinding| {
        let finding = &kept.open();
        let (stamp, face) = (kept.stamp(), face(finding));
        let Some(known) = past.open.of(finding) else {
            return FindingEntry::New(words(finding, stamp, face));
        };
        let life = known.seen_again(now);
        let restamped = known.stamp != Some(stamp);
        if known.face == face && !restamped && !known.hidden {
            return FindingEntry::Unchanged(life);
        }
        let change = ChangedRow { row: known.row, restamped, was_confirmed: known.confirmed, was_hidden: known.hidden };
        FindingEntry::Changed(life, change, words(finding, stamp, face))
    };
    outcome.findings.iter().map(entry).collect()
}

/// Open findings that this audit did not see though their checks ran.
pub(super) fn unseen(diff: &Diff<'_, '_>, outcome: &Outcome, course: &AuditCourse) -> Vec<Unseen> {
    let seen: HashSet<(Code, SubjectKind, &str)> = outcome.findings.iter().map(|finding| identity(finding)).collect();
    let skipped: HashSet<Code> = outcome.not_run().map(|s| s.code).collect();
    let (last, scope) = (&diff.past.last, Term::Known(diff.ledger.scope.sharing()));
    let others =
        |then: &Term<Sharing>| *then != scope && [then, &scope].iter().all(|s| **s != Term::Known(Sharing::Unknown));
    let other_rules = last.tool != course.tool || last.scope.as_ref().is_some_and(others);
    let world = World { snapshot: diff.snapshot, ledger: diff.ledger, past: None };
    let looked = NodesLooked::of(&world);
    let open = diff.past.open.iter().filter(|(finding, _)| !seen.contains(finding));
    let unseen = open.filter_map(|((code, _, id), finding)| {
        let why = match checks::find(code) {
            None => Why::RuleChanged,
            Some(check) if skipped.contains(&check.code) => return None,
            Some(check) if !is_read(diff, check.looks_at()) => Why::Hidden,
            Some(check) if check.needs.has(Needs::E) && !looked.has(code, node_of(id)) => Why::Hidden,
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

/// The node of a finding that rests on its evidence: the first word of such a subject.
fn node_of(subject: &str) -> &str {
    subject.split(' ').next().unwrap_or_default()
}

/// Whether all these inputs were read, and nothing undecodable hides the whole of one.
fn is_read(diff: &Diff<'_, '_>, needs: Needs) -> bool {
    let read = |input: Input| diff.complete(&[input]) && !diff.ledger.dark.all(input);
    needs.inputs().filter(|input| *input != Input::History).all(read)
}
