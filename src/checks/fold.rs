//! One cause gives many findings: `root` names the one that explains another.
//!
//! The rows of the catalogue say who folds whom: IPA101 the 102, 120, 130 and 131 of its address, IPA409 the
//! 406 and 103 of its node; 503 explains the 502 and 110 of its workload, an endpoint left behind the leak behind it.

use std::collections::HashMap;

use crate::model::{Code, Fact, Finding, Root, SubjectKind};

/// Gives each finding that another one explains its root.
pub fn fold(findings: &mut [Finding]) {
    let mut roots: HashMap<(Code, String), Code> = HashMap::new();
    for finding in findings.iter() {
        roots.insert((finding.code, finding.subject.id.clone()), finding.code);
    }
    let has = |code: u16, id: &str| roots.contains_key(&(Code(code), id.to_owned()));
    for finding in findings.iter_mut() {
        let root = match (finding.code.0, finding.subject.kind) {
            (102 | 120 | 130 | 131, SubjectKind::Address) if has(101, &finding.subject.id) => {
                Some((101, finding.subject.id.clone()))
            }
            (406, _) if has(409, &finding.subject.id) => Some((409, finding.subject.id.clone())),
            (103, _) => nodes(finding).into_iter().find(|n| has(409, n)).map(|n| (409, n)),
            (502, _) => text(finding, "workload").filter(|w| has(503, w)).map(|w| (503, w)),
            _ => None,
        };
        finding.root = root.map(|(code, id)| Root { code: Code(code), id });
    }
}

fn text(finding: &Finding, fact: &str) -> Option<String> {
    match finding.evidence.get(fact) {
        Some(Fact::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

fn nodes(finding: &Finding) -> Vec<String> {
    let Some(Fact::List(list)) = finding.evidence.get("nodes") else { return Vec::new() };
    list.iter().filter_map(|f| if let Fact::Text(t) = f { Some(t.clone()) } else { None }).collect()
}
