//! Findings that one restart repairs: a pod of two families has two addresses and is restarted once.

use std::collections::HashMap;

use crate::model::{Foreign, KeptFinding};

/// Who is restarted for a finding, and who is kept; `None`: nobody is restarted.
fn pods_of(finding: &KeptFinding) -> Option<Vec<Foreign>> {
    if !finding.restarts_pods {
        return None;
    }
    let opened = finding.open();
    let mut pods: Vec<Foreign> = opened.evidence.texts("restart").cloned().collect();
    if pods.is_empty() {
        return None;
    }
    pods.sort_unstable();
    pods.extend(opened.evidence.text("keep").cloned());
    Some(pods)
}

/// Brings those of the same pods together, at the place of the first of them.
pub fn bring_together(findings: &mut [&KeptFinding]) {
    let mut first: HashMap<Vec<Foreign>, usize> = HashMap::new();
    let mut placed: Vec<(usize, &KeptFinding)> = Vec::with_capacity(findings.len());
    for (place, finding) in findings.iter().enumerate() {
        let at = pods_of(finding).map_or(place, |pods| *first.entry(pods).or_insert(place));
        placed.push((at, *finding));
    }
    placed.sort_by_key(|(at, _)| *at);
    findings.iter_mut().zip(placed).for_each(|(slot, (_, finding))| *slot = finding);
}

/// The sets of those that stand together, in their order.
pub fn sets<'s, 'f>(findings: &'s [&'f KeptFinding]) -> Vec<&'s [&'f KeptFinding]> {
    let pods: Vec<Option<Vec<Foreign>>> = findings.iter().map(|finding| pods_of(finding)).collect();
    let (mut sets, mut rest) = (Vec::new(), findings);
    for of_one in pods.chunk_by(|a, b| a.is_some() && a == b) {
        let (set, behind) = rest.split_at(of_one.len().min(rest.len()));
        sets.push(set);
        rest = behind;
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Code, Evidence, Finding, FindingKeeper, Severity, Subject, SubjectKind};

    #[test]
    fn addresses_of_the_same_pods_stand_together_and_count_once() {
        let of = |id: &str, keep: &str, restart: &[&str]| {
            let subject = Subject::new(SubjectKind::Address, id);
            let mut finding = Finding::new(Code(101), Severity::Critical, subject, "2 pods");
            let restart: Vec<String> = restart.iter().map(|pod| (*pod).to_owned()).collect();
            finding.gist.restarts_pods = !restart.is_empty();
            finding.evidence = Evidence::new().with("keep", keep.to_owned()).with("restart", restart);
            finding
        };
        let kept = FindingKeeper::all([
            of("1", "a", &["x", "y"]),
            of("2", "", &[]),
            of("3", "b", &["x", "y"]),
            of("4", "a", &["y", "x"]),
            of("5", "", &[]),
            of("6", "b", &["x", "y"]),
        ]);
        let mut findings: Vec<&KeptFinding> = kept.iter().collect();
        bring_together(&mut findings);
        let told: Vec<Vec<&str>> =
            sets(&findings).into_iter().map(|set| set.iter().map(|f| f.subject.id.raw()).collect()).collect();
        assert_eq!(told, [vec!["1", "4"], vec!["2"], vec!["3", "6"], vec!["5"]]);
    }
}
