//! The manual of the checks: what `explain` prints, from the registry alone.
//!
//! Nothing is written down a second time here, so nothing can drift; `tests/docs.rs` makes `docs/checks.md` of the same.

use std::io::{Result, Write};

use serde::Serialize;

use super::json::{TOOL, ToolJson};
use super::table::paper::{BOLD, DIM, PLAIN, Paper, Text, style_of};
use crate::checks::{self, ALL, Check, FAMILIES, Steady};
use crate::model::{Code, Input, Needs, Severity};

/// The manual of one check: `ipaudit explain IPA120`.
pub fn explain(check: &Check, width: usize, color: bool, out: &mut dyn Write) -> Result<()> {
    let mut paper = Paper::new(out, width, color);
    let style = style_of(check.severity);
    let title = Text::new().field(style.bold(), &check.code.to_string()).then(BOLD, check.name);
    paper.paragraph(0, 0, &title.field(style, check.severity.word()))?;
    for (heading, text) in sections(check) {
        paper.blank()?;
        paper.paragraph(0, 0, &Text::new().field(BOLD, heading))?;
        paper.paragraph(2, 2, &Text::new().field(PLAIN, text))?;
    }
    paper.blank()?;
    paper.paragraph(0, 2, &Text::new().field(DIM, &format!("Subject: {}.", check.subject.word())))?;
    paper.paragraph(0, 2, &Text::new().field(DIM, &format!("Needs {}.", needs(check.needs))))?;
    paper.paragraph(0, 2, &Text::new().field(DIM, steady(check)))
}

/// The document `ipaudit/explain/v1`: the manual of some checks, or of all. Fields are added, never renamed or removed.
#[derive(Serialize)]
pub struct ManualJson {
    schema: &'static str,
    tool: ToolJson,
    checks: Vec<ChapterJson>,
}

/// The manual of one check; its five sections under the names that [`Check`] gives them.
#[derive(Serialize)]
struct ChapterJson {
    code: Code,
    name: &'static str,
    docs: String,
    severity: Severity,
    family: &'static str,
    subject: &'static str,
    needs: Vec<&'static str>,
    twice: bool,
    steady: &'static str,
    finds: &'static str,
    matters: &'static str,
    arises: &'static str,
    action: &'static str,
    silent: &'static str,
}

/// The document of these checks.
pub fn document(checks: &[&Check]) -> ManualJson {
    let chapter = |check: &&Check| ChapterJson {
        code: check.code,
        name: check.name,
        docs: checks::page(check.code),
        severity: check.severity,
        family: family(check.code),
        subject: check.subject.word(),
        needs: check.needs.inputs().map(Input::word).collect(),
        twice: check.is_steady(),
        steady: steady(check),
        finds: check.finds,
        matters: check.matters,
        arises: check.arises,
        action: check.action,
        silent: check.silent,
    };
    ManualJson { schema: "ipaudit/explain/v1", tool: TOOL, checks: checks.iter().map(chapter).collect() }
}

fn family(code: Code) -> &'static str {
    let of = FAMILIES.iter().find(|(_, checks)| checks.iter().any(|check| check.code == code));
    of.map_or("", |(family, _)| *family)
}

/// All codes, by family: `ipaudit explain`.
pub fn list(width: usize, color: bool, out: &mut dyn Write) -> Result<()> {
    let mut paper = Paper::new(out, width, color);
    let widest = ALL.iter().map(|check| check.name.len()).max().unwrap_or(0);
    for (family, checks) in FAMILIES {
        paper.paragraph(0, 0, &Text::new().field(BOLD, family))?;
        for check in *checks {
            let code = Text::new().field(BOLD, &check.code.to_string()).then(PLAIN, check.name);
            let line = code.column(style_of(check.severity), check.severity.word(), 7 + widest + 2);
            paper.paragraph(2, 9, &line)?;
        }
        paper.blank()?;
    }
    paper.paragraph(0, 0, &Text::new().field(DIM, "ipaudit explain CODE tells more about one of them."))
}

/// The manual's sections with their headings.
pub fn sections(check: &Check) -> [(&'static str, &'static str); 5] {
    [
        ("What it finds", check.finds),
        ("Why it matters", check.matters),
        ("How it comes about", check.arises),
        ("What to do", check.action),
        ("When it is not reported", check.silent),
    ]
}

/// Whether a finding counts at once, as a sentence.
pub const fn steady(check: &Check) -> &'static str {
    match check.steady {
        Steady::KubernetesReadApart => {
            "Counts when it was seen to hold twice: Kubernetes is read at another moment than etcd."
        }
        Steady::NodeReadApart => "Counts when it was seen to hold twice: the node is read at another moment than etcd.",
        Steady::TwoWrites => "Counts when it was seen to hold twice: what it compares is written in two writes.",
        Steady::EarlierAudit => "It compares with an earlier audit: what one reading shows beside that is enough.",
        Steady::OneMoment => "What one reading shows is enough.",
    }
}

/// `blocks, pods and Kubernetes nodes`.
pub fn needs(needs: Needs) -> String {
    let words: Vec<&str> = needs.inputs().map(input_word).collect();
    match words.split_last() {
        None => "nothing in particular".to_owned(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

const fn input_word(input: Input) -> &'static str {
    match input {
        Input::CalicoNodes => "Calico nodes",
        Input::Endpoints => "workload endpoints",
        Input::Pools => "IP pools",
        Input::Config => "IPAM's configuration",
        Input::KubeNodes => "Kubernetes nodes",
        Input::EtcdStatus => "etcd's own status",
        Input::NodeEvidence => "evidence of the node",
        Input::History => "an earlier audit",
        other => other.word(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_its_place_in_the_manual() {
        for check in ALL.iter() {
            for (heading, text) in sections(check) {
                assert!(text.len() > 20 && text.ends_with(['.', '`', ')']), "{} {heading}: {text:?}", check.code);
                assert!(!text.contains("  ") && !text.contains('\n'), "{} {heading} is one paragraph", check.code);
            }
            assert!(check.name.len() <= 31 && check.severity >= Severity::Note);
        }
    }

    #[test]
    fn explain_wraps_and_names_everything() {
        let check = crate::checks::find(Code(101)).unwrap();
        let mut out = Vec::new();
        explain(check, 70, false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("IPA101 duplicate-pod-address  critical\n\nWhat it finds\n  "), "{text}");
        assert!(text.contains("\nNeeds workload endpoints, Calico nodes and pods.\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 70), "{text}");
    }

    #[test]
    fn the_list_has_a_line_for_each() {
        let mut out = Vec::new();
        list(80, false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        for check in ALL.iter() {
            assert_eq!(text.lines().filter(|l| l.trim_start().starts_with(&check.code.to_string())).count(), 1);
        }
    }
}
