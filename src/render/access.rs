//! What `check-access` prints: the verdict first, then a line for each right.

use std::collections::HashSet;
use std::io::{Result, Write};

use anstyle::Style;
use serde::Serialize;

use super::json::{TOOL, ToolJson};
use super::table::paper::{BOLD, COMMAND, DIM, GOOD, PLAIN, Paper, Text, style_of};
use crate::exit::Exit;
use crate::model::access::{Access, AccessReport, EtcdUser, Granter, Need, Right};
use crate::model::foreign::foreign;
use crate::model::{EtcdStatus, Foreign, Severity, Time};

/// How many names the first line bears.
const NAMED: usize = 5;

/// The first line: whether an audit (or a release) has what it needs, and what is missing.
pub fn verdict(report: &AccessReport) -> String {
    let unread = missing(report, Need::Read);
    let reads = report.rights.iter().filter(|right| right.need == Need::Read).count();
    let mut sentences = vec![match unread.len() {
        0 => "Everything that an audit reads may be read.".to_owned(),
        n => format!("{n} of {reads} cannot be read: {}.", names(report, &unread)),
    }];
    let (unknown, refused): (Vec<&Right>, Vec<&Right>) =
        missing(report, Need::Write).into_iter().partition(|right| right.state == Access::Unknown);
    if !refused.is_empty() {
        sentences.push(format!("Cannot be written: {}.", names(report, &refused)));
    }
    if !unknown.is_empty() {
        sentences.push(format!("Nobody tells whether it may be written: {}.", names(report, &unknown)));
    }
    if report.release && refused.is_empty() && unknown.is_empty() && unread.is_empty() {
        sentences = vec!["Everything that a release reads and writes may be read and written.".to_owned()];
    }
    sentences.join(" ")
}

fn missing(report: &AccessReport, need: Need) -> Vec<&Right> {
    report.rights.iter().filter(|right| right.need == need && right.is_missing()).collect()
}

/// `pools, list pods and 3 more`; a side of which all is missing by one name.
fn names(report: &AccessReport, missing: &[&Right]) -> String {
    let (mut names, mut cause) = (Vec::new(), String::new());
    for granter in Granter::ALL {
        let of = |right: &&Right| right.granter == granter;
        let here: Vec<&Right> = missing.iter().copied().filter(of).collect();
        let need = here.first().map(|right| right.need);
        let all = report.rights.iter().filter(of).filter(|right| Some(right.need) == need).count();
        if here.len() > 1 && here.len() == all {
            names.push(format!("all of {}{}", side(granter), why(&here).shown()));
        } else {
            let mut told = HashSet::new();
            let each = here.iter().map(|right| name(right)).filter(|name| told.insert(name.clone()));
            let each: Vec<String> = each.collect();
            // One cause of all of them is told with them.
            let is_all = here.len() > 1 && here.len() == missing.len();
            if is_all {
                cause = why(&here).shown().into_owned();
            }
            names.extend(each);
        }
    }
    match names.len() {
        n if n > NAMED => {
            names.truncate(NAMED - 1);
            format!("{} and {} more{cause}", names.join(", "), n + 1 - NAMED)
        }
        _ => format!("{}{cause}", names.join(", ")),
    }
}

fn name(right: &Right) -> String {
    match right.granter {
        Granter::History => "the history".to_owned(),
        _ => right.right.trim_start_matches("write ").to_owned(),
    }
}

const fn side(granter: Granter) -> &'static str {
    match granter {
        Granter::Etcd => "etcd",
        Granter::Kubernetes => "Kubernetes",
        Granter::History => "the history",
    }
}

/// For people. A reason that holds for several lines stands below the first of them.
pub fn table(report: &AccessReport, width: usize, color: bool, out: &mut dyn Write) -> Result<()> {
    let mut paper = Paper::new(out, width, color);
    let style = if report.is_complete() { GOOD } else { style_of(Severity::Error) };
    paper.paragraph(0, 0, &Text::new().field(style, &Foreign::from(verdict(report)).shown()))?;
    let widest = report.rights.iter().map(|right| right.right.len()).max().unwrap_or(0);
    let mut said: Vec<(String, &str)> = Vec::new();
    for granter in Granter::ALL {
        let rights: Vec<&Right> = report.rights.iter().filter(|right| right.granter == granter).collect();
        // What cures many things that are told in words of their own.
        let mut at_the_end: Vec<&str> = Vec::new();
        for (n, right) in rights.iter().enumerate() {
            if n == 0 {
                paper.blank()?;
                paper.paragraph(0, 0, &Text::new().field(BOLD, side(granter)))?;
            }
            let state = Text::new().field(style_of_state(right), word(right.state));
            let line = state.column(PLAIN, &right.right, 14).column_whole(DIM, &right.target, 14 + widest + 2);
            paper.paragraph(2, 16, &line)?;
            let reason = (right.detail.shown().into_owned(), hint(right));
            if said.contains(&reason) {
                continue;
            }
            if !reason.0.is_empty() {
                paper.paragraph(16, 16, &Text::new().field(PLAIN, &reason.0))?;
            }
            match rights.iter().any(|other| hint(other) == reason.1 && other.detail != right.detail) {
                true if !at_the_end.contains(&reason.1) => at_the_end.push(reason.1),
                false if !reason.1.is_empty() => paper.paragraph(16, 16, &Text::new().field(COMMAND, reason.1))?,
                _ => {}
            }
            said.push(reason);
        }
        at_the_end.retain(|hint| !hint.is_empty());
        at_the_end.iter().try_for_each(|hint| paper.paragraph(2, 4, &Text::new().field(COMMAND, hint)))?;
    }
    Ok(())
}

/// What to do; nothing where the reason says it.
fn hint(right: &Right) -> &str {
    if right.detail.shown().contains(&right.hint) { "" } else { &right.hint }
}

/// ` (Unauthorized: has the token expired?)`: the cause and the cure, as far as all of them have the same.
fn why(rights: &[&Right]) -> Foreign {
    let Some(first) = rights.first() else { return Foreign::default() };
    let detail = first.detail.some().filter(|detail| rights.iter().all(|right| right.detail == **detail));
    let hint = Some(hint(first)).filter(|cure| !cure.is_empty() && rights.iter().all(|right| hint(right) == *cure));
    match (detail, hint) {
        (None, None) => Foreign::default(),
        (Some(detail), None) => foreign!(" ({})", detail),
        (None, Some(hint)) => foreign!(" ({hint})"),
        (Some(detail), Some(hint)) if hint.ends_with('?') => foreign!(" ({}: {hint})", detail),
        (Some(detail), Some(hint)) => foreign!(" ({}; {hint})", detail),
    }
}

fn style_of_state(right: &Right) -> Style {
    match (right.need, right.state) {
        (Need::Nothing, _) => DIM,
        (_, Access::Granted) => GOOD,
        (_, Access::Unknown) => style_of(Severity::Warning),
        _ => style_of(Severity::Error),
    }
}

const fn word(state: Access) -> &'static str {
    match state {
        Access::Unreachable => "cannot reach",
        other => other.word(),
    }
}

/// The document `ipaudit/access/v1`. Fields are added, never renamed or removed.
#[derive(Serialize)]
pub struct AccessJson<'r> {
    schema: &'static str,
    tool: ToolJson,
    asked_at: Time,
    release: bool,
    verdict: String,
    complete: bool,
    rights: &'r [Right],
    etcd_user: Option<&'r EtcdUser>,
    etcd: Option<&'r EtcdStatus>,
    kubernetes_version: Option<&'r str>,
    exit_code: u8,
}

/// The document of this report.
pub fn document(report: &AccessReport, exit: Exit) -> AccessJson<'_> {
    AccessJson {
        schema: "ipaudit/access/v1",
        tool: TOOL,
        asked_at: report.asked_at,
        release: report.release,
        verdict: verdict(report),
        complete: report.is_complete(),
        rights: &report.rights,
        etcd_user: report.user.as_ref(),
        etcd: report.status.as_ref(),
        kubernetes_version: report.kubernetes.as_deref(),
        exit_code: exit.code(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rights: &[(Granter, Need, &str, Access)], release: bool) -> AccessReport {
        let right = |(granter, need, what, state): &(Granter, Need, &str, Access)| {
            Right::new(*granter, *need, *what, format!("/{what}")).is(*state, "because", "do that")
        };
        let rights = rights.iter().map(right).collect();
        AccessReport { asked_at: Time::default(), release, rights, user: None, status: None, kubernetes: None }
    }

    #[test]
    fn the_verdict_names_what_is_missing_and_a_whole_side_once() {
        use Access::{Granted, Refused, Unknown, Unreachable};
        use Granter::{Etcd, History, Kubernetes};
        use Need::{Nothing, Read, Write};
        let told = |rights: &[_], release| verdict(&report(rights, release));
        let good = [(Etcd, Read, "blocks", Granted), (Etcd, Nothing, "write", Refused)];
        assert_eq!(told(&good, false), "Everything that an audit reads may be read.");
        let some =
            [(Etcd, Read, "blocks", Refused), (Etcd, Read, "pools", Granted), (Kubernetes, Read, "get pods", Refused)];
        assert_eq!(told(&some, false), "2 of 3 cannot be read: blocks, get pods.");
        let side = [
            (Etcd, Read, "blocks", Unreachable),
            (Etcd, Read, "pools", Unreachable),
            (Kubernetes, Read, "list pods", Granted),
            (History, Write, "write", Refused),
        ];
        assert_eq!(
            told(&side, false),
            "2 of 3 cannot be read: all of etcd (because; do that). Cannot be written: the history."
        );
        let release = [(Etcd, Read, "blocks", Granted), (Etcd, Write, "write blocks", Granted)];
        assert_eq!(told(&release, true), "Everything that a release reads and writes may be read and written.");
        let unknown = [release[0], (Etcd, Write, "write blocks", Unknown), (Etcd, Write, "write handles", Granted)];
        let nobody = "Everything that an audit reads may be read. Nobody tells whether it may be written: blocks.";
        assert_eq!(told(&unknown, true), nobody);
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let mut many: Vec<_> = names.iter().map(|name| (Etcd, Read, *name, Refused)).collect();
        many.push(good[0]);
        assert_eq!(told(&many, false), "7 of 8 cannot be read: a, b, c, d and 3 more (because; do that).");
        let twice =
            [good[0], (Etcd, Read, "config", Refused), (Etcd, Read, "pools", Refused), (Etcd, Read, "config", Refused)];
        assert_eq!(told(&twice, false), "3 of 4 cannot be read: config, pools (because; do that).");
    }

    #[test]
    fn one_cure_of_many_reasons_is_told_once_and_none_that_the_reason_has() {
        let right = |what: &str, detail: &str, hint: &str| {
            Right::new(Granter::Kubernetes, Need::Read, what, "/api").is(Access::Refused, detail, hint)
        };
        let shown = |rights: Vec<Right>| {
            let report = AccessReport {
                asked_at: Time::default(),
                release: false,
                rights,
                user: None,
                status: None,
                kubernetes: None,
            };
            let mut out = Vec::new();
            table(&report, 80, false, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text =
            shown(vec![right("list pods", "no pods for you", "a role"), right("list nodes", "no nodes", "a role")]);
        assert!(text.starts_with("2 of 2 cannot be read: all of Kubernetes (a role).\n"), "{text}");
        assert!(text.ends_with("no nodes\n  a role\n") && text.matches("a role").count() == 2, "{text}");
        let text = shown(["list pods", "list nodes"].map(|what| right(what, "refused; is it up?", "is it up?")).into());
        assert!(text.starts_with("2 of 2 cannot be read: all of Kubernetes (refused; is it up?).\n"), "{text}");
        assert_eq!(text.matches("is it up?").count(), 2, "{text}");
        let text = shown(["list pods", "list nodes"].map(|what| right(what, "Unauthorized", "expired?")).into());
        assert!(text.starts_with("2 of 2 cannot be read: all of Kubernetes (Unauthorized: expired?).\n"), "{text}");
    }

    #[test]
    fn a_reason_stands_below_the_first_line_that_has_it() {
        let rights = ["blocks", "handles"].map(|what| (Granter::Etcd, Need::Read, what, Access::Unreachable));
        let mut out = Vec::new();
        table(&report(&rights, false), 80, false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let expected = "2 of 2 cannot be read: all of etcd (because; do that).\n\netcd\n  cannot reach  blocks   /blocks\n                because\n                \
                        do that\n  cannot reach  handles  /handles\n";
        assert_eq!(text, expected);
    }
}
