//! The manual of the checks: what `explain` prints, and `docs/checks.md`, both from the registry alone.
//!
//! Nothing is written down a second time here, so nothing can drift; `tests/docs.rs` holds the file to it.

use std::io::{Result, Write};

use super::table::paper::{BOLD, DIM, PLAIN, Paper, Text, style_of};
use crate::checks::{ALL, Check, FAMILIES, Steady};
use crate::model::{Input, Needs};

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

/// The text of `docs/checks.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "<!-- Made from the checks themselves; `UPDATE=1 cargo test --test docs` writes it anew. -->\n\n# The checks\n\n\
         Codes are forever: never reused, never renumbered. A finding is known by its code and its subject. The \
         severity is the usual one; a finding can be worse or better where its text says so.\n\n\
         A check that lacks one of its inputs is skipped and said to be skipped, and the audit exits with 3: unknown \
         is not absent. Only a missing earlier audit is no incompleteness, nor that files and older captures do not hold etcd's own status. \"Twice\" marks the checks whose findings \
         count when they were seen to hold twice: by an earlier audit, or by a second look after the settle time.\n\n\
         | code | name | severity | subject | needs | twice |\n|---|---|---|---|---|---|\n",
    );
    for check in ALL.iter() {
        text.push_str(&format!(
            "| [{code}](#{anchor}) | {name} | {severity} | {subject} | {needs} | {twice} |\n",
            code = check.code,
            anchor = anchor(check),
            name = check.name,
            severity = check.severity,
            subject = check.subject.word(),
            needs = needs(check.needs),
            twice = if check.is_steady() { "yes" } else { "" },
        ));
    }
    for (family, checks) in FAMILIES {
        text.push_str(&format!("\n## {family}\n"));
        for check in *checks {
            text.push_str(&chapter(check));
        }
    }
    text
}

/// One line a check: code, name, severity, subject, needs, steady. A test keeps it, so that none changes unseen.
pub fn registry() -> String {
    let line = |check: &&Check| {
        let steady = if check.is_steady() { "twice" } else { "once" };
        let (needs, subject) = (check.needs.to_string(), check.subject.word());
        let needs = if needs.is_empty() { "-".to_owned() } else { needs };
        format!("{} {} {} {subject} {steady} {needs}\n", check.code, check.name, check.severity)
    };
    ALL.iter().map(line).collect()
}

fn sections(check: &Check) -> [(&'static str, &'static str); 5] {
    let docs = &check.docs;
    [
        ("What it finds", docs.finds),
        ("Why it matters", docs.matters),
        ("How it comes about", docs.arises),
        ("What to do", docs.action),
        ("When it is not reported", docs.silent),
    ]
}

fn chapter(check: &Check) -> String {
    let title = format!("\n### {} {}\n\n", check.code, check.name);
    let facts = format!(
        "Severity **{}**. Subject: {}. Needs {}. {}\n",
        check.severity,
        check.subject.word(),
        needs(check.needs),
        steady(check)
    );
    let sections = sections(check).map(|(heading, text)| format!("\n**{heading}.** {text}\n"));
    format!("{title}{facts}{}", sections.concat())
}

/// The anchor that renderers of Markdown give to the chapter's heading.
fn anchor(check: &Check) -> String {
    format!("{}-{}", check.code.to_string().to_lowercase(), check.name)
}

const fn steady(check: &Check) -> &'static str {
    match check.steady {
        Steady::KubernetesReadEarlier => "Counts when it was seen to hold twice: Kubernetes is read before etcd.",
        Steady::TwoWrites => "Counts when it was seen to hold twice: what it compares is written in two writes.",
        Steady::EarlierAudit => "It compares with an earlier audit: what one reading shows beside that is enough.",
        Steady::OneMoment => "What one reading shows is enough.",
    }
}

/// `blocks, pods and Kubernetes nodes`.
fn needs(needs: Needs) -> String {
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
        Input::History => "an earlier audit",
        other => other.word(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Code, Severity};

    #[test]
    fn every_check_has_its_place_in_the_manual() {
        let markdown = markdown();
        for check in ALL.iter() {
            assert!(markdown.contains(&format!("### {} {}\n", check.code, check.name)));
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
