//! Findings: which are new, which say something else than before, and which were not seen though somebody looked.

use std::collections::HashSet;

use super::{Course, Diff, scope_word};
use crate::checks::{self, Outcome};
use crate::model::finding::{mix, stable_hash};
use crate::model::past::finding_identity;
use crate::model::record::{ChangedFinding, FindingEntry, NewFinding, Told, Unseen, Why};
use crate::model::{Code, Finding, Input, Needs, Past, Time};

fn identity(finding: &Finding) -> u64 {
    finding_identity(finding.code, finding.subject.kind, &finding.subject.id)
}

/// Hash of what is told. Evidence is left out: ages in it grow by themselves; what the claim rests on is the stamp.
fn face(finding: &Finding) -> u64 {
    let text = |t: &Option<String>| t.as_ref().map_or(1, |t| mix(stable_hash(t.as_bytes()) ^ 3));
    let root = finding.root.as_ref().map_or(5, |r| mix(stable_hash(r.id.as_bytes()) ^ u64::from(r.code.0)));
    let words = [
        stable_hash(finding.summary.as_bytes()),
        stable_hash(finding.severity.word().as_bytes()),
        stable_hash(finding.state.word().as_bytes()),
        text(&finding.node),
        text(&finding.namespace),
        text(&finding.pool),
        root,
    ];
    words.into_iter().fold(finding.stamp(), |sum, word| mix(sum.rotate_left(7) ^ word))
}

fn told(finding: &Finding, face: u64) -> Told {
    Told {
        stamp: finding.stamp(),
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
        let face = face(finding);
        let subject = &finding.subject;
        let Some(known) = past.open.get(finding.code, subject.kind, &subject.id) else {
            return FindingEntry::New(Box::new(NewFinding {
                identity: identity(finding),
                code: finding.code,
                kind: subject.kind,
                subject: subject.id.clone(),
                told: told(finding, face),
            }));
        };
        let life = known.seen_again(now);
        if known.face == face && !known.hidden {
            return FindingEntry::Unchanged(life);
        }
        let restamped = known.stamp != finding.stamp();
        let (row, was_confirmed, was_hidden) = (known.row, known.confirmed, known.hidden);
        let changed = ChangedFinding { row, restamped, was_confirmed, was_hidden, told: told(finding, face) };
        FindingEntry::Changed(life, changed)
    };
    outcome.findings.iter().map(entry).collect()
}

/// Inputs beside a check's needs without which it may say less: some look at more when they have it, and what accuses
/// asks whose a node is.
fn could_depend_on(code: Code) -> Needs {
    let whoever_owns_it = matches!(code.0, 200..=399 | 401..=405 | 408 | 600..=699 | 900..=999)
        || matches!(code.0, 102 | 104 | 114 | 122 | 504 | 507 | 508);
    let scope = if whoever_owns_it { Needs::NONE } else { Needs::N.and(Needs::K) };
    let more = match code.0 {
        115 => Needs::P.and(Needs::W),
        122 => Needs::P.and(Needs::S),
        // Whether an endpoint's pod lives is Kubernetes' to say.
        131 => Needs::P,
        305 => Needs::C,
        // Whether host-local IPAM explains the addresses: nodes' podCIDRs, by both names of a node.
        908 => Needs::N.and(Needs::K),
        _ => Needs::NONE,
    };
    scope.and(more)
}

/// Open findings that this audit did not see though their checks ran.
pub(super) fn unseen(diff: &Diff<'_>, outcome: &Outcome, course: &Course) -> Vec<Unseen> {
    let seen: HashSet<u64> = outcome.findings.iter().map(identity).collect();
    let skipped: HashSet<Code> = outcome.skipped.iter().map(|s| s.code).collect();
    let (last, scope) = (&diff.past.last, scope_word(diff.ledger));
    let other_rules =
        last.tool != course.tool || (last.scope != scope && scope != "unknown" && last.scope != "unknown");
    let open = diff.past.open.iter().filter(|(identity, _)| !seen.contains(identity));
    let unseen = open.filter_map(|(_, finding)| {
        let why = match checks::find(finding.code) {
            None => Why::RuleChanged,
            Some(check) if skipped.contains(&check.code) => return None,
            Some(check) if !is_read(diff, check.needs.and(could_depend_on(check.code))) => Why::Hidden,
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
