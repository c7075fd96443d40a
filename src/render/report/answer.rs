//! The first line: what began and what ended in this time and how long it took, what is open; known noise last.
//!
//! Each finding is counted once, and what another one explains not at all, as below it. That a name is unknown or that
//! nobody could look comes before everything ([`super::first`]).

use std::collections::BTreeSet;
use std::time::Duration;

use super::ClusterReport;
use super::blindness::blind;
use super::clock::Clock;
use super::first::{Statement, Telling, first_words};
use super::returned::returned;
use super::sections::Explained;
use super::stopped::{is_stopping, stopped};
use crate::checks;
use crate::model::row::{Ending, Episode};
use crate::model::{Code, Foreign, Severity, Time};
use crate::render::age::{age, span};
use crate::render::number::{grouped, plural};

/// So many codes are named in one sentence.
const CODES: usize = 2;

/// The sentences of the first line.
pub fn answer(cluster: &ClusterReport, clock: Clock, telling: &Telling<'_>) -> Vec<Statement> {
    let parts = Became::of(cluster);
    let bad = |text: String| Statement { text, worst: Some(Severity::Error) };
    let mut says = Vec::new();
    let first = first_words(cluster, &tally(&parts.all_open()), telling);
    says.extend(first.clone().map(bad));
    if !cluster.unknown.is_empty() {
        return says;
    }
    let blind = blind(cluster, clock, telling);
    let is_blind = blind.is_some();
    says.extend(blind);
    says.extend(stopped(cluster, clock, telling));
    if cluster.audits == 0 {
        return says;
    }
    if let Some(back) = cluster.restores.last() {
        says.push(bad(format!("etcd went back to an older state, {}.", clock.span(back.before.at, back.after.at))));
    }
    let statement = |lines: &[&Episode], text: String| Statement { text, worst: worst(lines) };
    let given_back = given_back(cluster, &parts, telling);
    let stopped_now = parts.stopped.iter().any(|line| line.opened.at >= cluster.since);
    let moved = [&parts.began, &parts.passed, &parts.turned, &parts.ended].into_iter().any(|lines| !lines.is_empty())
        || given_back.is_some()
        || stopped_now;
    if let Some(text) = began(&parts.began, clock, telling) {
        says.push(statement(&parts.began, text));
    }
    if let Some(text) = passed(&parts.passed, clock, telling) {
        says.push(statement(&parts.passed, text));
    }
    let turned = turned(cluster, &parts.turned, clock, telling);
    says.extend(turned.into_iter().map(|text| statement(&parts.turned, text)));
    if let Some(text) = ended(&parts.ended, clock, telling) {
        says.push(Statement { text, worst: None });
    }
    if let Some(text) = given_back {
        says.push(Statement { text, worst: None });
    }
    if let Some(text) = leaked(cluster, &parts) {
        says.push(Statement { text, worst: Some(Severity::Error) });
    }
    if first.is_some() {
        return says;
    }
    let is_open = !parts.all_open().is_empty();
    if is_blind {
        let text = "What else began or ended since then, nobody knows: this is no all-clear.".to_owned();
        says.push(Statement { text, worst: Some(Severity::Error) });
    } else if !moved && parts.found_at_first.is_empty() {
        let text =
            if is_open { "Nothing began, nothing ended." } else { "Nothing began, nothing ended, nothing is open." };
        says.push(Statement { text: text.to_owned(), worst: None });
    } else if !is_open {
        says.push(Statement { text: "Nothing is open.".to_owned(), worst: None });
    }
    let open: Vec<&Episode> = parts.before.iter().chain(&parts.found_at_first).copied().collect();
    if let Some(text) = open_still(&parts, clock) {
        says.push(statement(&open, text));
    }
    if let Some(text) = leaked_still(cluster, &parts) {
        says.push(Statement { text, worst: Some(Severity::Error) });
    }
    says.extend(unseen(cluster).map(|text| Statement { text, worst: Some(Severity::Warning) }));
    if !parts.noise.is_empty() {
        let text = format!("Known noise: {}.", tally(&parts.noise));
        says.push(statement(&parts.noise, text));
    }
    says
}

/// The findings that count, by what became of them.
#[derive(Default)]
struct Became<'c> {
    /// They began in this time and are open.
    began: Vec<&'c Episode>,
    /// They began and ended in this time.
    passed: Vec<&'c Episode>,
    /// They ended and became another finding, no milder.
    turned: Vec<&'c Episode>,
    /// They were there before and ended.
    ended: Vec<&'c Episode>,
    /// No audit has ended them; a release has.
    given_back: Vec<&'c Episode>,
    /// Open since before, and urgent.
    before: Vec<&'c Episode>,
    /// Open, urgent, and nobody knows since when.
    found_at_first: Vec<&'c Episode>,
    /// Open since before or since nobody knows when, and of no harm now ([`checks::may_be_noise`]).
    noise: Vec<&'c Episode>,
    /// Open, since whenever, and told by itself.
    stopped: Vec<&'c Episode>,
}

impl<'c> Became<'c> {
    fn of(cluster: &'c ClusterReport) -> Became<'c> {
        let explained = Explained::of(cluster);
        let mut parts = Became::default();
        for line in cluster.open().chain(&cluster.ended).filter(|line| !explained.by_another(line)) {
            let at_first = cluster.is_found_at_first(line);
            let began = line.opened.at >= cluster.since && !at_first;
            let urgent = !checks::may_be_noise(line.finding.severity, line.finding.code);
            let part = match (began, line.ended.is_some()) {
                _ if is_stopping(line) => &mut parts.stopped,
                (_, true) if cluster.became(line).is_some() => &mut parts.turned,
                (true, false) => &mut parts.began,
                (true, true) => &mut parts.passed,
                (false, true) => &mut parts.ended,
                (false, false) if !urgent => &mut parts.noise,
                (false, false) if at_first && line.opened.at >= cluster.since => &mut parts.found_at_first,
                (false, false) => &mut parts.before,
            };
            part.push(line);
        }
        parts.given_back = cluster.given_back().filter(|line| !explained.by_another(line)).collect();
        for part in [&mut parts.given_back, &mut parts.began, &mut parts.passed, &mut parts.turned, &mut parts.ended] {
            part.sort_by_key(|line| checks::worst_first(line.finding.severity, line.finding.code));
        }
        parts
    }

    fn all_open(&self) -> Vec<&'c Episode> {
        let open = [&self.stopped, &self.began, &self.before, &self.found_at_first, &self.noise];
        open.into_iter().flatten().copied().collect()
    }
}

/// What is open, as the first line counts it; empty for nothing.
pub fn open_words(cluster: &ClusterReport) -> String {
    tally(&Became::of(cluster).all_open())
}

fn worst(lines: &[&Episode]) -> Option<Severity> {
    lines.iter().map(|line| line.finding.severity).max()
}

/// `2 critical, 1 error`; empty for none.
fn tally(lines: &[&Episode]) -> String {
    let number = |severity| lines.iter().filter(|line| line.finding.severity == severity).count();
    let word = |n: usize, s: Severity| if n == 1 || s == Severity::Critical { "" } else { "s" };
    let counts = Severity::WORST_FIRST.into_iter().map(|s| (number(s), s)).filter(|(n, _)| *n > 0);
    counts.map(|(n, s)| format!("{} {s}{}", grouped(n as u64), word(n, s))).collect::<Vec<_>>().join(", ")
}

/// `IPA101 duplicate-pod-address 10.0.0.7` of one; of many their codes.
fn names(lines: &[&Episode], telling: &Telling<'_>) -> String {
    if let [one] = lines {
        let finding = &one.finding;
        let name = format!("{} {}", finding.code, checks::name(finding.code));
        return match finding.short_subject() {
            subject if subject.is_empty() => name,
            subject => format!("{} {}", name.trim_end(), (telling.foreign)(&subject)),
        };
    }
    let mut codes: Vec<Code> = lines.iter().map(|line| line.finding.code).collect();
    codes.dedup();
    let named: Vec<String> = codes.iter().take(CODES).map(|code| format!("{code} {}", checks::name(*code))).collect();
    let more = match codes.len().saturating_sub(CODES) {
        0 => String::new(),
        more => format!(" and {}", plural(more as u64, "other code", "other codes")),
    };
    let mut nodes: Vec<Option<&Foreign>> = lines.iter().map(|line| line.finding.node.as_ref()).collect();
    nodes.dedup();
    let on = match nodes.as_slice() {
        [Some(node)] => format!(" on {}", (telling.foreign)(node)),
        _ => String::new(),
    };
    format!("{}{more}{on}", named.join(", "))
}

/// Whether it is a leak of the place that the report is narrowed to, as audits and pools count it.
fn is_leak(cluster: &ClusterReport, line: &Episode) -> bool {
    checks::is_leak_told(&line.finding) && !cluster.of_others.contains(&line.id)
}

/// Leaks are named as leaks, whatever explains them: those that came, and how many are there.
fn leaked(cluster: &ClusterReport, parts: &Became<'_>) -> Option<String> {
    let is_leak = |line: &&Episode| is_leak(cluster, line);
    let (number, open) = (cluster.leaks.began.len() as u64, cluster.open().filter(is_leak).count() as u64);
    let is_told = parts.began.iter().chain(&parts.passed).any(is_leak);
    let addresses = |number| plural(number, "address", "addresses");
    let are = if open == 1 { "is" } else { "are" };
    match (number > 0 && !is_told, open) {
        (false, 0) => None,
        (true, 0) => Some(format!("{} leaked meanwhile.", addresses(number))),
        (true, open) if open == number => Some(format!("{} leaked meanwhile and {are} open.", addresses(number))),
        (true, open) => Some(format!("{} leaked meanwhile, {open} in all {are} open.", addresses(number))),
        // What is open is told below.
        (false, _) => None,
    }
}

/// Leaks that are open since before, by their own name: they are counted with what explains them.
fn leaked_still(cluster: &ClusterReport, parts: &Became<'_>) -> Option<String> {
    let is_leak = |line: &&Episode| is_leak(cluster, line);
    let open = cluster.open().filter(is_leak).count() as u64;
    let is_told = !cluster.leaks.began.is_empty() || parts.began.iter().chain(&parts.passed).any(is_leak);
    (open > 0 && !is_told).then(|| format!("{} leaked.", plural(open, "address is", "addresses are")))
}

/// The first and the last moment.
fn ends(times: impl Iterator<Item = Time> + Clone) -> Option<(Time, Time)> {
    Some((times.clone().min()?, times.max()?))
}

fn is_or_are(lines: &[&Episode]) -> &'static str {
    if lines.len() == 1 { "is" } else { "are" }
}

/// `2 errors began 24 Nov 03:15 and are open for 4h: IPA110 leaked-address.`
fn began(lines: &[&Episode], clock: Clock, telling: &Telling<'_>) -> Option<String> {
    let (first, last) = ends(lines.iter().map(|line| line.opened.at))?;
    let seen = lines.iter().map(|line| line.last_seen.at).max()?;
    let is_for = format!("{} open for {}", is_or_are(lines), age(seen.since(first)));
    let is_for = if seen.since(first) == Duration::ZERO { format!("{} open", is_or_are(lines)) } else { is_for };
    let is_for = format!("{is_for}{}", clock.as_of(seen));
    let when = clock.span(first, last);
    let blind = lines.iter().filter(|line| line.ending == Ending::InputMissing).count();
    let blind =
        if blind > 0 { format!(" ({} not looked at by the last audit)", grouped(blind as u64)) } else { String::new() };
    Some(format!("{} began {when} and {is_for}{blind}: {}.", tally(lines), names(lines, telling)))
}

/// `1 critical began and ended, 24 Nov 03:15 to 04:00 (45m): IPA101 duplicate-pod-address 10.0.0.7.`
fn passed(lines: &[&Episode], clock: Clock, telling: &Telling<'_>) -> Option<String> {
    let first = lines.iter().map(|line| line.opened.at).min()?;
    let last = lines.iter().filter_map(|line| line.ended).map(|seen| seen.at).max()?;
    let when = format!("{} ({})", clock.span(first, last), age(last.since(first)));
    Some(format!("{} began and ended, {when}: {}.", tally(lines), names(lines, telling)))
}

/// `1 critical became IPA101 by 24 Nov 04:00: IPA120 unallocated-address-in-use 10.0.0.7.`: no cure.
fn turned(cluster: &ClusterReport, lines: &[&Episode], clock: Clock, telling: &Telling<'_>) -> Option<String> {
    let (first, last) = ends(lines.iter().filter_map(|line| line.ended).map(|seen| seen.at))?;
    let when = if first == last { format!("by {}", clock.at(last)) } else { clock.span(first, last) };
    let codes: BTreeSet<Code> = lines.iter().filter_map(|line| cluster.became(line)).collect();
    let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
    Some(format!("{} became {} {when}: {}.", tally(lines), codes.join(" and "), names(lines, telling)))
}

/// `3 errors from before ended by 24 Nov 04:00: IPA110 leaked-address.`
fn ended(lines: &[&Episode], clock: Clock, telling: &Telling<'_>) -> Option<String> {
    let (first, last) = ends(lines.iter().filter_map(|line| line.ended).map(|seen| seen.at))?;
    let when = if first == last { format!("by {}", clock.at(last)) } else { clock.span(first, last) };
    let ours = lines.iter().filter(|line| matches!(line.ending, Ending::Released(_))).count();
    let ours = if ours > 0 { format!(" ({} released by us)", grouped(ours as u64)) } else { String::new() };
    Some(format!("{} from before ended {when}{ours}: {}.", tally(lines), names(lines, telling)))
}

/// `9 addresses were given back (releases 1 and 2).`; of a report that tells of none of these, what ended with them.
fn given_back(cluster: &ClusterReport, parts: &Became<'_>, telling: &Telling<'_>) -> Option<String> {
    let ended = || {
        let lines = &parts.given_back;
        (!lines.is_empty()).then(|| format!("{} ended with a release: {}.", tally(lines), names(lines, telling)))
    };
    returned(cluster, telling).or_else(ended)
}

/// `Open: 1 critical from before; 2 errors found at first, 13:00.`
fn open_still(parts: &Became<'_>, clock: Clock) -> Option<String> {
    let mut says = Vec::new();
    if !parts.before.is_empty() {
        says.push(format!("{} from before", tally(&parts.before)));
    }
    if let Some((first, last)) = ends(parts.found_at_first.iter().map(|line| line.opened.at)) {
        says.push(format!("{} found at first, {}", tally(&parts.found_at_first), clock.span(first, last)));
    }
    (!says.is_empty()).then(|| format!("Open: {}.", says.join("; ")))
}

/// What was not seen in this time: the words above hold of the rest.
fn unseen(cluster: &ClusterReport) -> Option<String> {
    let gaps: Duration = cluster.gaps.iter().map(|(from, to)| to.since((*from).max(cluster.since))).sum();
    let failed = cluster.failed.len() as u64;
    let mut says = Vec::new();
    if gaps > Duration::ZERO {
        says.push(format!("{} without an audit", span(gaps)));
    }
    if failed > 0 {
        says.push(format!("{} failed", plural(failed, "audit", "audits")));
    }
    match (cluster.incomplete.len() as u64, failed) {
        (0, _) => {}
        (number, 0) => says.push(format!("{} incomplete", plural(number, "audit", "audits"))),
        (number, _) => says.push(format!("{} incomplete", grouped(number))),
    }
    (!says.is_empty()).then(|| format!("Unseen: {}.", says.join(", ")))
}

#[cfg(test)]
mod tests;
