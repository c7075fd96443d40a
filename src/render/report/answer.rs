//! The first line: what began and what ended in this time and how long it took, what is open; known noise last.
//!
//! Each finding is counted once, and what another one explains not at all, as below it. That a name is unknown or that
//! nobody could look comes before everything ([`super::first`]).

use std::collections::BTreeSet;
use std::time::Duration;

use super::ClusterReport;
use super::clock::Clock;
use super::first::{Telling, first_words};
use super::returned::returned;
use super::sections::Explained;
use crate::checks;
use crate::model::row::{Ending, Episode};
use crate::model::{Code, Foreign, Severity, Time};
use crate::render::age::{age, span};
use crate::render::number::{grouped, plural};

/// So many codes are named in one sentence.
const CODES: usize = 2;

/// A sentence of the answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Statement {
    pub text: String,
    /// How bad what it tells of is; `None`: nothing is wrong.
    pub worst: Option<Severity>,
}

/// The sentences of the first line.
pub fn answer(cluster: &ClusterReport, clock: Clock, telling: &Telling<'_>) -> Vec<Statement> {
    let parts = Became::of(cluster);
    let bad = |text: String| Statement { text, worst: Some(Severity::Error) };
    let mut says = Vec::new();
    let first = first_words(cluster, &tally(&parts.all_open()), telling);
    says.extend(first.clone().map(bad));
    if !cluster.unknown.is_empty() || cluster.audits == 0 {
        return says;
    }
    if let Some(last) = cluster.incomplete.last().filter(|last| Some(last.at) == cluster.last_audit) {
        says.push(bad(format!("The last audit could not read everything ({}).", (telling.foreign)(&last.why))));
    }
    if let Some(back) = cluster.restores.last() {
        says.push(bad(format!("etcd went back to an older state, {}.", clock.span(back.before.at, back.after.at))));
    }
    let statement = |lines: &[&Episode], text: String| Statement { text, worst: worst(lines) };
    let given_back = given_back(cluster, &parts, telling);
    let moved = [&parts.began, &parts.passed, &parts.turned, &parts.ended].into_iter().any(|lines| !lines.is_empty())
        || given_back.is_some();
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
    if !moved && parts.found_at_first.is_empty() {
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
    /// Open since before or since nobody knows when, and not urgent.
    noise: Vec<&'c Episode>,
}

impl<'c> Became<'c> {
    fn of(cluster: &'c ClusterReport) -> Became<'c> {
        let explained = Explained::of(cluster);
        let mut parts = Became::default();
        for line in cluster.open().chain(&cluster.ended).filter(|line| !explained.by_another(line)) {
            let at_first = cluster.is_found_at_first(line);
            let began = line.opened.at >= cluster.since && !at_first;
            let urgent = line.finding.severity >= Severity::Error;
            let part = match (began, line.ended.is_some()) {
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
        let open = [&self.began, &self.before, &self.found_at_first, &self.noise];
        open.into_iter().flatten().copied().collect()
    }
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
mod tests {
    use super::super::testing::{at, line, report, seen, telling};
    use super::*;
    use crate::model::row::{FailedAudit, Restore};

    fn says(cluster: &ClusterReport) -> String {
        let view = report();
        let said = answer(cluster, Clock::whole(&view), &telling());
        said.into_iter().map(|statement| statement.text).collect::<Vec<_>>().join(" ")
    }

    /// Of hours 10 to 24.
    fn night(lines: Vec<Episode>) -> ClusterReport {
        let mut cluster =
            ClusterReport { audits: 90, last_audit: Some(at(23)), since: at(10), ..ClusterReport::default() };
        lines.into_iter().for_each(|line| cluster.file(line, at(10), at(24)));
        cluster
    }

    fn one(code: u16, severity: Severity, opened: i64, ended: Option<i64>) -> Episode {
        let ending = if ended.is_some() { Ending::Resolved } else { Ending::Open };
        let (opened, last_seen, ended) = (seen(opened), seen(ended.unwrap_or(23)), ended.map(seen));
        Episode { id: i64::from(code), opened, last_seen, ended, ending, ..line(code, severity, "10.0.0.7") }
    }

    #[test]
    fn what_began_and_ended_comes_before_what_is_open_and_noise_is_last() {
        let (critical, error, warning, note) = (Severity::Critical, Severity::Error, Severity::Warning, Severity::Note);
        let quiet = night(vec![]);
        assert_eq!(says(&quiet), "Nothing began, nothing ended, nothing is open.");
        let known = night(vec![one(201, warning, 1, None), one(114, note, 2, None)]);
        assert_eq!(says(&known), "Nothing began, nothing ended. Known noise: 1 warning, 1 note.");
        let cluster = night(vec![
            one(110, error, 20, None),
            one(101, critical, 12, Some(14)),
            one(501, error, 1, Some(15)),
            one(502, error, 1, None),
            one(201, warning, 1, None),
        ]);
        let wanted = [
            "1 error began 2026-11-25 02:00 and is open for 3h: IPA110 leaked-address 10.0.0.7.",
            "1 critical began and ended, 2026-11-24 18:00 to 20:00 (2h): IPA101 duplicate-pod-address 10.0.0.7.",
            "1 error from before ended by 2026-11-24 21:00: IPA501",
            "Open: 1 error from before. Known noise: 1 warning.",
        ];
        let told = says(&cluster);
        let places: Vec<Option<usize>> = wanted.iter().map(|part| told.find(part)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{told}");
    }

    #[test]
    fn what_a_release_gave_back_is_open_no_more() {
        let mut cluster = night(vec![one(110, Severity::Error, 1, None), one(101, Severity::Critical, 1, None)]);
        cluster.release.given_back.subjects = [(("address", "10.0.0.7".into()), 1)].into();
        let told = says(&cluster);
        let wanted = "1 address was given back (release 1): 10.0.0.7. Open: 1 critical from before.";
        assert_eq!(told, wanted, "a release ends no other finding of the address");
        cluster.ongoing.retain(|line| line.finding.code == Code(110));
        assert_eq!(says(&cluster), "1 address was given back (release 1): 10.0.0.7. Nothing is open.");
        let mut of_endpoint = night(vec![one(501, Severity::Error, 1, None)]);
        of_endpoint.release.parted = [501].into();
        let wanted = "1 error ended with a release: IPA501 stale-endpoint 10.0.0.7. Nothing is open.";
        assert_eq!(says(&of_endpoint), wanted, "narrowed to its code");
        let exit = super::super::exit(&[cluster], &[], crate::exit::FailOn::default());
        assert_eq!(exit, crate::exit::Exit::Clean);
    }

    #[test]
    fn what_became_something_worse_did_not_end() {
        let cluster = night(vec![one(120, Severity::Critical, 12, Some(14)), one(101, Severity::Critical, 14, None)]);
        let told = says(&cluster);
        let part = "1 critical became IPA101 by 2026-11-24 20:00: IPA120 ";
        assert!(told.contains(part) && !told.contains("ended"), "{told}");
        let apart = night(vec![one(120, Severity::Critical, 12, Some(14)), one(101, Severity::Critical, 15, None)]);
        assert!(says(&apart).contains("1 critical began and ended"), "{}", says(&apart));
        let milder = night(vec![one(120, Severity::Critical, 12, Some(14)), one(110, Severity::Error, 14, None)]);
        assert!(says(&milder).contains("1 critical began and ended"), "{}", says(&milder));
    }

    #[test]
    fn how_long_it_is_open_counts_to_the_last_audit_and_says_so_when_that_is_old() {
        let mut old = one(110, Severity::Error, 12, None);
        old.last_seen = seen(13);
        let cluster = night(vec![old]);
        assert!(says(&cluster).contains("is open for 1h as of 2026-11-24 19:00: "), "{}", says(&cluster));
    }

    #[test]
    fn an_audit_that_was_blind_is_unseen() {
        let mut cluster = night(vec![]);
        let blind = super::super::IncompleteAudit { id: 9, at: at(12), why: "pods: forbidden".into() };
        cluster.incomplete = vec![blind.clone(), blind];
        assert!(says(&cluster).ends_with(" Unseen: 2 audits incomplete."), "{}", says(&cluster));
        let why = "refused".into();
        cluster.failed = vec![FailedAudit { at: at(13), started: at(13), tool: "1".into(), why }];
        assert!(says(&cluster).ends_with(" Unseen: 1 audit failed, 2 incomplete."), "{}", says(&cluster));
    }

    #[test]
    fn what_the_first_audit_found_did_not_begin() {
        let mut cluster = night(vec![one(101, Severity::Critical, 12, None), one(201, Severity::Warning, 12, None)]);
        cluster.found_at_first = [101, 201].into();
        let wanted = "Open: 1 critical found at first, 2026-11-24 18:00. Known noise: 1 warning.";
        assert_eq!(says(&cluster), wanted);
        let mut over = night(vec![one(101, Severity::Critical, 12, Some(13))]);
        over.found_at_first = [101].into();
        assert!(says(&over).starts_with("1 critical from before ended by 2026-11-24 19:00: "), "{}", says(&over));
        assert!(says(&over).ends_with(" Nothing is open."), "{}", says(&over));
    }

    #[test]
    fn doubt_is_said_with_the_answer() {
        let mut cluster = night(vec![]);
        let mut leaks = night(vec![line(111, Severity::Error, "10.0.0.1"), line(111, Severity::Error, "10.0.0.2")]);
        assert!(says(&leaks).contains(" 2 addresses are leaked."), "{}", says(&leaks));
        leaks.ongoing[0].finding.summary = "IPIP tunnel of node-2, which is gone; somebody shows it".into();
        assert!(says(&leaks).contains(" 1 address is leaked."), "as the audit counts: {}", says(&leaks));
        cluster.gaps = vec![(at(8), at(12))];
        assert!(says(&cluster).ends_with(" Unseen: 2h without an audit."), "{}", says(&cluster));
        cluster.restores = vec![Restore { before: seen(11), after: seen(12), revisions: (90, 80) }];
        assert!(says(&cluster).starts_with("etcd went back to an older state, 2026-11-24 17:00 to 18:00. "));
        let why = "pods: forbidden".into();
        cluster.incomplete = vec![super::super::IncompleteAudit { id: 9, at: at(23), why }];
        assert!(says(&cluster).starts_with("The last audit could not read everything (pods: forbidden). "));
    }
}
