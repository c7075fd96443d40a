//! The worst thing that was found: of one finding who and what to do, of many how many, where, and the worst of them.

use super::blind;
use super::sentence::{Sentence, Tone, listed};
use crate::checks::datastore::{datastore_locked, datastore_went_back};
use crate::checks::evidence::{is_release, sandbox};
use crate::checks::{self, Ties};
use crate::model::{Code, Finding, Foreign, KeptFinding, Severity, SubjectKind, UNKNOWN_GUID};
use crate::render::commands;
use crate::render::folds::Folds;
use crate::render::number::grouped;
use crate::render::places::{ByNode, is_named};
use crate::render::pod_sets;
use crate::render::releases::{ReleaseOfAll, Releases};
use crate::render::table::counted_on;
use crate::render::view::AuditView;

/// In commands that carry out what the operator says of one thing.
const BY_WORD: &str = " --i-know-what-this-is";

/// Findings of one code and one severity: what is told in one sentence.
struct Alike<'v> {
    code: Code,
    /// As bad as it is if it holds.
    severity: Severity,
    /// Their addresses are leaked: nobody shows them.
    is_leak: bool,
    findings: Vec<&'v KeptFinding>,
}

/// What stops everything, that the datastore was restored, the worst, and the leaks where they are not the worst. `is_blind`: that was
/// told already, and nothing is calm beside it.
pub fn sentences(view: &AuditView<'_>, folds: &Folds<'_>, is_blind: bool) -> Vec<Sentence> {
    let said = if is_blind { blind::codes() } else { Vec::new() };
    let (stops, kinds): (Vec<_>, Vec<_>) =
        kinds(view, folds, &said).into_iter().partition(|kind| checks::stops_everything(kind.code));
    let is_urgent = |kind: &&Alike<'_>| stops.is_empty() || kind.severity >= Severity::Error || kind.is_leak;
    let stopped = stops.iter().map(|kind| kind.sentence(view, is_blind)).collect::<Vec<_>>();
    let is_blind = is_blind || !stops.is_empty();
    let Some(worst) = kinds.first().filter(is_urgent) else { return stopped };
    // Nothing else is understood, or repaired, without its cause.
    let cause = kinds.iter().skip(1).find(|kind| kind.code == datastore_went_back::CHECK.code);
    let cause = cause.map(|kind| kind.sentence(view, is_blind));
    let leaks: Vec<&Alike<'_>> = kinds.iter().filter(|kind| kind.is_leak).collect();
    let first = (!worst.is_leak).then(|| worst.sentence(view, is_blind));
    // Beside what is worse nothing of leaks is calm.
    let is_beside = first.is_some() || is_blind;
    let leaks = match leaks.as_slice() {
        [] => None,
        [one] => Some(one.sentence(view, is_beside)),
        [worst, ..] => Some(several(worst, &leaks, view, is_beside)),
    };
    // While everything stands still, leaks are no reason to type anything.
    let leaks = leaks.map(|told| if stops.is_empty() { told } else { Sentence { command: None, ..told } });
    let told: Vec<Option<Foreign>> = stopped.iter().map(|sentence| sentence.command.clone()).collect();
    // What to type first stands there once.
    let once = |sentence: Sentence| match told.contains(&sentence.command) {
        true => Sentence { command: None, ..sentence },
        false => sentence,
    };
    stopped.into_iter().chain(cause.into_iter().chain(first).chain(leaks).map(once)).collect()
}

/// `14 leaked addresses: 11 of pods on 2 nodes (IPA110), 3 of tunnels on node-9 (IPA111).` Leaks of several codes are told in
/// one sentence, whose first number is that of the pools and of the JSON.
fn several(worst: &Alike<'_>, kinds: &[&Alike<'_>], view: &AuditView<'_>, is_beside: bool) -> Sentence {
    let parts = kinds.iter().map(|kind| {
        let of = ties(kind.code).map_or("", |ties| ties.leak_of);
        let doubt = if kind.is_suspected() { ", unconfirmed" } else { "" };
        let (number, on) = (grouped(kind.findings.len() as u64), ByNode::of(&kind.findings).on());
        format!("{number} of {of}{on} ({}{doubt})", kind.code)
    });
    let parts = parts.collect::<Vec<_>>().join(", ");
    let all: usize = kinds.iter().map(|kind| kind.findings.len()).sum();
    let is_suspected = kinds.iter().any(|kind| kind.is_suspected());
    let mut text = worst.lead(is_beside, is_suspected && kinds.iter().all(|kind| kind.is_suspected()));
    text.push_str(&format!("{} leaked addresses: {parts}.", grouped(all as u64)));
    let released = kinds.iter().find(|kind| kind.is_releasable()).or_else(|| kinds.first());
    let (release, command) =
        released.map(|kind| kind.release(view, ties(kind.code).map_or("", |t| t.leak_of))).unwrap_or_default();
    text.push_str(&release);
    if view.releases != Releases::Unjudged {
        text.push_str(&by_word(kinds));
    }
    // Without a release the command shows as many as were counted.
    let mut codes: Vec<Code> = kinds.iter().map(|kind| kind.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let command = command.or_else(|| worst.command(view).filter(|command| is_release(command.raw())));
    let command = command.unwrap_or_else(|| commands::see_all(&codes, view).into());
    Sentence { tone: Tone::of(worst.severity), text: text.into(), command: Some(command) }
}

/// ` 3 of tunnels and 4 of services go one by one, by your word: --all has the commands.`; empty where none does.
fn by_word(kinds: &[&Alike<'_>]) -> String {
    let goes = |f: &&&KeptFinding| {
        f.open().next.iter().any(|command| is_release(command.raw()) && command.raw().contains(BY_WORD))
    };
    let number = |kind: &Alike<'_>| kind.findings.iter().filter(goes).count();
    let of = |kind: &&Alike<'_>| Some((number(kind), ties(kind.code)?.leak_of)).filter(|(number, _)| *number > 0);
    let parts: Vec<(usize, &str)> = kinds.iter().filter_map(of).collect();
    let go = if parts.iter().map(|(number, _)| number).sum::<usize>() == 1 { "goes" } else { "go one by one," };
    let parts: Vec<String> = parts.iter().map(|(number, of)| format!("{} of {of}", grouped(*number as u64))).collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!(" {} {go} by your word: --all has the commands.", listed(&parts)),
    }
}

fn ties(code: Code) -> Option<&'static Ties> {
    checks::find(code).map(|check| &check.ties)
}

/// What is not explained by something else, worst first. A leak is told as one, whatever explains it: it is what people
/// ask for, and what a release cures.
fn kinds<'v>(view: &AuditView<'v>, folds: &Folds<'_>, said: &[Code]) -> Vec<Alike<'v>> {
    let mut kinds: Vec<Alike<'v>> = Vec::new();
    for (place, &finding) in view.findings.iter().enumerate() {
        let is_leak = checks::is_kept_leak(finding);
        let shown = folds.shown.binary_search(&place).is_ok() || is_leak;
        if !shown || said.contains(&finding.code) {
            continue;
        }
        let severity = finding.gravity();
        match kinds
            .iter_mut()
            .find(|kind| (kind.code, kind.severity, kind.is_leak) == (finding.code, severity, is_leak))
        {
            Some(kind) => kind.findings.push(finding),
            None => kinds.push(Alike { code: finding.code, severity, is_leak, findings: vec![finding] }),
        }
    }
    kinds.sort_by_key(|kind| checks::worst_first(kind.severity, kind.code));
    kinds.iter_mut().for_each(|kind| first_things_first(&mut kind.findings));
    kinds
}

/// The most urgent first, equal ones in their order; what the same restart repairs stands together.
pub fn first_things_first(findings: &mut [&KeptFinding]) {
    if let Some(urgency) = findings.first().and_then(|f| ties(f.code)?.urgency) {
        findings.sort_by_cached_key(|finding| urgency(&finding.open()));
    }
    pod_sets::bring_together(findings);
}

impl Alike<'_> {
    fn is_suspected(&self) -> bool {
        self.findings.iter().any(|f| f.suspected.is_some())
    }

    /// What comes before the sentence; `is_beside`: it stands beside worse, or beside what was not seen and may be urgent.
    fn lead(&self, is_beside: bool, is_suspected: bool) -> String {
        match self.severity {
            Severity::Critical | Severity::Error if is_suspected => "unconfirmed: ".to_owned(),
            Severity::Critical | Severity::Error => String::new(),
            _ if checks::stops_everything(self.code) => String::new(),
            // What cannot start or is not reached now is as it is; and nothing is calm beside worse.
            Severity::Warning | Severity::Note if is_beside || !checks::may_be_noise(self.severity, self.code) => {
                format!("{}: ", self.severity.word().to_uppercase())
            }
            Severity::Warning | Severity::Note => "Nothing urgent: ".to_owned(),
        }
    }

    fn sentence(&self, view: &AuditView<'_>, is_beside: bool) -> Sentence {
        let mut text = self.lead(is_beside, self.is_suspected());
        text.push_str(&match self.findings.as_slice() {
            // Beside what is worse, and beside what was not seen, the advice on a leak stands with its finding.
            [one] if is_beside && self.is_leak => self.one(&one.open(), view, false),
            [one] => self.one(&one.open(), view, true),
            many => self.many(many, view),
        });
        let (release, command) = if self.is_leak { self.release(view, "") } else { (String::new(), None) };
        text.push_str(&release);
        let tone = if checks::stops_everything(self.code) { Tone::Critical } else { Tone::of(self.severity) };
        Sentence { tone, text: text.into(), command: command.or_else(|| self.command(view)) }
    }

    /// `duplicate pod address 192.168.91.33 (IPA101): 10 pods on slave-140. IPAM gave it to …: keep that one, …`
    fn one(&self, finding: &Finding, view: &AuditView<'_>, advises: bool) -> String {
        let name = match ties(self.code).map_or("", |ties| ties.one) {
            "" => checks::name(self.code).replace('-', " "),
            one => one.to_owned(),
        };
        let many_nodes = ties(self.code).is_some_and(|ties| (ties.shows)(finding).on_many_nodes);
        let (id, summary) = (finding.subject.id.raw(), finding.summary.raw());
        let node = finding.node.as_ref().filter(|node| !many_nodes && !is_named(finding, node));
        let on = node.map(|node| format!(" on {}", node.raw())).unwrap_or_default();
        // A datastore that told no GUID has no name.
        let has_name = finding.subject.kind != SubjectKind::Cluster || id != UNKNOWN_GUID;
        let subject = match finding.subject.kind {
            _ if !has_name => String::new(),
            // A pool's name is any word: it would read as a part of the sentence.
            SubjectKind::Pool => format!(", pool {id}"),
            _ => format!(" {id}"),
        };
        let advice = if advises { self.advice(finding, view) } else { String::new() };
        format!("{name}{subject}{on} ({}): {summary}.{advice}", self.code)
    }

    /// `62 addresses in use that IPAM calls free on 4 nodes, most on node-1 (20) (IPA120). Worst: …`
    fn many(&self, findings: &[&KeptFinding], view: &AuditView<'_>) -> String {
        let Some(first) = &findings.first().map(|first| first.open()) else { return String::new() };
        let on = ByNode::of(findings).on();
        let number = findings.len();
        let mut text = match ties(self.code).map_or("", |ties| ties.many) {
            "" => {
                let name = checks::name(self.code);
                format!("{} ({} {name}).", counted_on(number, first.subject.kind, &on), self.code)
            }
            many => format!("{} {many}{on} ({}).", grouped(number as u64), self.code),
        };
        let stands_out = self.stands_out();
        let alike = findings.iter().all(|f| f.open().advice == first.advice);
        if stands_out {
            text.push_str(&format!(" Worst: {}, {}.", first.subject.id.raw(), first.summary.raw()));
        }
        let (id, summary, advice) = (first.subject.id.raw(), first.summary.raw(), self.advice(first, view));
        let is_own = !stands_out && self.severity >= Severity::Error && !self.is_leak;
        if is_own {
            // Whom it hits is one thing's own: the first one stands for the others.
            text.push_str(&format!(" First: {id}, {summary}."));
        }
        // What is said of one thing is said of each of several.
        let is_of_one = first.advice.raw().split([' ', ':', ',']).any(|word| word == "it" || word == "its");
        if alike && is_of_one && !stands_out && !is_own && !advice.is_empty() {
            text.push_str(&format!(" For each: {}.", first.advice.raw().trim_end_matches('.')));
        } else if stands_out || alike || is_own {
            text.push_str(&advice);
        }
        text
    }

    /// The advice; where it only says when a leak is released, the verdict says so itself.
    fn advice(&self, finding: &Finding, view: &AuditView<'_>) -> String {
        let is_judged = view.releases != Releases::Unjudged && self.is_leak;
        let is_told = is_judged && (self.is_releasable() || is_closed(view));
        if is_told {
            return String::new();
        }
        // That it has to be unlocked first was said already.
        let is_locked = view.findings.iter().any(|f| f.code == datastore_locked::CHECK.code);
        let then = is_locked.then(|| datastore_locked::once_unlocked(&finding.advice)).flatten();
        then.map_or_else(
            || advice(finding),
            |then| format!(" Once it is unlocked: {}.", then.raw().trim_end_matches('.')),
        )
    }

    /// Whether many of it go at once, by code.
    fn is_releasable(&self) -> bool {
        ties(self.code).is_some_and(|ties| ties.releasable)
    }

    /// Whether the first is more urgent than others.
    fn stands_out(&self) -> bool {
        let Some(urgency) = ties(self.code).and_then(|ties| ties.urgency) else { return false };
        let urgency = |finding: &KeptFinding| urgency(&finding.open());
        match self.findings.as_slice() {
            [] => false,
            [first, others @ ..] => {
                let first = urgency(first);
                others.iter().any(|other| urgency(other) != first)
            }
        }
    }

    /// What may be said of giving leaks back, and the command for it. `of`: whose they are, where others stand beside them.
    fn release(&self, view: &AuditView<'_>, of: &str) -> (String, Option<Foreign>) {
        // Of what goes one by one, by the operator's word, each finding says when; that nothing goes is said of all.
        if !self.is_releasable() && !is_closed(view) {
            return Default::default();
        }
        let is_one = self.findings.len() == 1;
        let them = match of {
            "" => if is_one { "it" } else { "them" }.to_owned(),
            of => format!("{} of {of}", if is_one { "that" } else { "those" }),
        };
        let says = match &view.releases {
            Releases::Unjudged => String::new(),
            Releases::Closed(why) => format!(" No release is let through now: {}.", why.raw()),
            Releases::NotMany(why) => format!(
                " Many at once are not to be released now: {}; one by one (--handle) those{} go that audits have seen for long enough.",
                why.raw(),
                if of.is_empty() { String::new() } else { format!(" of {of}") }
            ),
            Releases::FromFiles(why) if !of.is_empty() => format!(
                " No release is let through now: {}. Audit with --kubeconfig instead of files, and release what that \
                 advises.",
                why.raw()
            ),
            Releases::FromFiles(why) => format!(
                " No release of {them} is let through now: {}. Audit with --kubeconfig instead of files, and release what \
                 that advises.",
                why.raw()
            ),
            // What waits for something else as well is not promised to go.
            Releases::Early { .. } if !ReleaseOfAll::waits_for_audits(self.code, &view.findings) => {
                let told = ReleaseOfAll::of(self.code, "15m", &view.findings, &view.narrow).says(of);
                told.map(|told| format!(" {told}.")).unwrap_or_default()
            }
            Releases::Early { again } => {
                let since = if *again { " since the restore" } else { "" };
                format!(" A release is let through when three audits have seen {them}{since}.")
            }
            Releases::Open { .. } => String::new(),
        };
        let Some(release) = view.release_of(self.code) else { return (says, None) };
        let others = release.says(of).map(|others| format!(" {others}.")).unwrap_or_default();
        (format!("{says}{others}"), release.command().map(Foreign::from))
    }

    /// What to type for the one finding or for the worst, where that is one command; of many alike, how to see them.
    fn command(&self, view: &AuditView<'_>) -> Option<Foreign> {
        match self.findings.as_slice() {
            [first, others @ ..] if others.is_empty() || self.stands_out() => {
                match commands::of(&first.open(), &Folds::default(), false).as_slice() {
                    [] => None,
                    // That no sandbox is left is looked for first: below stands where.
                    [command] if !is_release(command) && sandbox::told(&first.open()).next().is_some() => {
                        Some(self.see_all(view))
                    }
                    [command] => Some(command.as_str().into()),
                    // Several belong together: below they stand with what comes first.
                    _ => Some(self.see_all(view)),
                }
            }
            [] => None,
            _ => Some(self.see_all(view)),
        }
    }

    fn see_all(&self, view: &AuditView<'_>) -> Foreign {
        commands::see_all(&[self.code], view).into()
    }
}

/// Whether nothing is released now, whatever it is.
fn is_closed(view: &AuditView<'_>) -> bool {
    matches!(view.releases, Releases::Closed(_) | Releases::FromFiles(_))
}

/// The advice as a sentence behind another one; empty when there is none.
fn advice(finding: &Finding) -> String {
    let advice = finding.advice.raw();
    let mut chars = advice.chars();
    match chars.next() {
        None => String::new(),
        Some(first) => format!(" {}{}.", first.to_uppercase(), chars.as_str().trim_end_matches('.')),
    }
}
