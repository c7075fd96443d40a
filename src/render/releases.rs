//! What an audit may say of giving leaks back: the caller judges it, the renderers repeat it.

use std::time::Duration;

use super::narrow::Narrow;
use super::number::grouped;
use crate::checks::evidence::is_release;
use crate::model::{Code, Finding, Foreign, KeptFinding};
use crate::plan::rules::WHEN_SEEN;
pub use crate::plan::rules::older_than;

/// What may be advised of releases. Only what would be let through is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Releases {
    /// Nobody has judged it.
    #[default]
    Unjudged,
    /// No release would be let through; why.
    Closed(Foreign),
    /// Not many at once, though single ones that three audits have seen would be let through; why.
    NotMany(Foreign),
    /// The same, and by no fault of the cluster's: Kubernetes was read from files, which answer nothing anew; in words.
    FromFiles(Foreign),
    /// No leak has been seen by enough audits; `again`: since the datastore was restored.
    Early { again: bool },
    /// Leaks that the history has known for so long would be let through.
    Open { older_than: &'static str },
}

impl Releases {
    /// Leaks that the history has known for so long: the roundest age below that.
    pub const fn open(known_for: Duration) -> Releases {
        Releases::Open { older_than: older_than(known_for) }
    }
}

/// The release of everything of a code that is so old.
pub fn release_by_code(code: Code, older_than: &str) -> String {
    format!("ipaudit release --code {code} --older-than {older_than}")
}

/// The release of everything of a code in a view: how many of its findings it takes, and why it leaves the others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseOfAll {
    pub code: Code,
    command: String,
    /// How many findings go now, and how many there are.
    pub goes: usize,
    pub all: usize,
    /// Why others do not, and how many for that reason; in their order.
    pub others: Vec<(String, usize)>,
}

impl ReleaseOfAll {
    /// Of these findings, which know by themselves whether a release takes them: what would be refused is not among what
    /// they say to type, and the reason stands last in their advice. What a view shows for what its evidence names, and belongs
    /// elsewhere, no release of that place takes.
    pub fn of(code: Code, older_than: &'static str, findings: &[&KeptFinding], narrow: &Narrow) -> ReleaseOfAll {
        let place = Narrow { codes: Vec::new(), severity: None, ..narrow.clone() };
        let flags: Vec<String> = std::iter::once(release_by_code(code, older_than)).chain(place.flags()).collect();
        let mut release = ReleaseOfAll { code, command: flags.join(" "), goes: 0, all: 0, others: Vec::new() };
        for finding in findings.iter().filter(|finding| finding.code == code && place.owns(finding.placed())) {
            release.all += 1;
            let Some(why) = kept_back(&finding.open(), older_than) else {
                release.goes += 1;
                continue;
            };
            match release.others.iter_mut().find(|(known, _)| *known == why) {
                Some((_, number)) => *number += 1,
                None => release.others.push((why, 1)),
            }
        }
        release
    }

    /// Whether nothing but audits that see them keeps these back, and nobody knows when that is.
    pub fn waits_for_audits(code: Code, findings: &[&KeptFinding]) -> bool {
        let of_code = findings.iter().filter(|finding| finding.code == code);
        let mut reasons = of_code.filter_map(|finding| kept_back(&finding.open(), "15m"));
        reasons.all(|why| why.starts_with(WHEN_SEEN) || why.starts_with(YOUNGER))
    }

    /// What to type; `None`: it would take nothing.
    pub fn command(&self) -> Option<&str> {
        (self.goes > 0).then_some(self.command.as_str())
    }

    /// `9 of 11 go now; 2: a release is let through when …`; `None`: all of them go. `of`: whose these are, where they are
    /// told beside others; else empty.
    pub fn says(&self, of: &str) -> Option<String> {
        self.told(of, &self.others)
    }

    /// The same below advices that are told with their numbers: what ends one of them is not said again.
    pub fn says_beside(&self, advices: &[Foreign]) -> Option<String> {
        let is_told = |why: &str| advices.iter().any(|advice| advice.shown().ends_with(why));
        let untold: Vec<_> = self.others.iter().filter(|(why, _)| !is_told(why)).cloned().collect();
        self.told("", &untold)
    }

    fn told(&self, of: &str, others: &[(String, usize)]) -> Option<String> {
        let reasons = others.iter().map(|(why, number)| match self.others.as_slice() {
            [_] if self.goes == 0 => why.clone(),
            _ => format!("{}: {why}", grouped(*number as u64)),
        });
        let reasons = reasons.collect::<Vec<_>>().join("; ");
        let (one, many) = match of {
            "" => ("It".to_owned(), "them".to_owned()),
            of => (format!("That of {of}"), format!("those of {of}")),
        };
        let mut text = match (self.goes, self.all) {
            (goes, all) if goes == all => return None,
            // Why not is told with each.
            (0, _) if reasons.is_empty() => return None,
            (0, 1) => return Some(format!("{one} does not go now: {reasons}")),
            (0, _) => return Some(format!("None of {many} goes now: {reasons}")),
            (goes, all) => {
                let go = if goes == 1 { "goes" } else { "go" };
                let of = if of.is_empty() { String::new() } else { format!(" of {of}") };
                format!("{} of {}{of} {go} now", grouped(goes as u64), grouped(all as u64))
            }
        };
        if !reasons.is_empty() {
            text.push_str(&format!("; {reasons}"));
        }
        Some(text)
    }
}

/// Said of what is too young for an age.
const YOUNGER: &str = "known for less than ";

/// Why a finding is not among what goes; `None`: it goes.
fn kept_back(finding: &Finding, older_than: &str) -> Option<String> {
    let is_alone = |command: &Foreign| command.shown().contains(" --i-know-what-this-is");
    if !finding.next.iter().any(|command| is_release(&command.shown()) && !is_alone(command)) {
        let alone = finding.next.iter().any(is_alone);
        let advice = finding.advice.shown();
        let why = advice.rsplit("; ").next().filter(|why| !why.is_empty() && !alone);
        return Some(why.unwrap_or("by itself only, as its own finding says").to_owned());
    }
    let known_for = finding.life.map(|life| life.last_seen.since(life.first_seen));
    let is_old = known_for.is_none_or(|known_for| known_for >= age_of(older_than));
    (!is_old).then(|| format!("{YOUNGER}{older_than}"))
}

/// What [`older_than`] says, as a duration.
const fn age_of(older_than: &str) -> Duration {
    match older_than.as_bytes() {
        b"24h" => Duration::from_secs(86_400),
        b"1h" => Duration::from_secs(3_600),
        _ => Duration::from_secs(900),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FindingKeeper, Life, Severity, Subject, SubjectKind, Time};

    /// Known for so many minutes, with or without a release.
    fn leak(minutes: u64, releases: bool, advice: &str) -> Finding {
        let mut finding = Finding::new(Code(110), Severity::Error, Subject::new(SubjectKind::Address, "10.0.0.1"), "");
        let last_seen = Time(1_790_000_000_000_000_000);
        let first_seen = last_seen.minus(Duration::from_secs(minutes * 60));
        finding.life = Some(Life { first_seen, last_seen, audits_seen: 5, episode: 1 });
        finding.advice = advice.into();
        finding.next = vec!["ipaudit who 10.0.0.1".into()];
        if releases {
            finding.next.insert(0, "ipaudit release --handle x".into());
        }
        finding
    }

    fn of_all(findings: &[Finding], narrow: &Narrow) -> (Option<String>, Option<String>) {
        let findings = FindingKeeper::all(findings.iter().cloned());
        let findings: Vec<&KeptFinding> = findings.iter().collect();
        let release = ReleaseOfAll::of(Code(110), "1h", &findings, narrow);
        (release.command().map(str::to_owned), release.says(""))
    }

    #[test]
    fn what_would_be_refused_wholly_is_no_command_and_the_rest_is_counted() {
        let command = || Some("ipaudit release --code IPA110 --older-than 1h".to_owned());
        let all = Narrow::default();
        let (goes, young) = (|| leak(60, true, ""), || leak(59, true, ""));
        let refused = || leak(60, false, "look at it; its node is not Ready");
        assert_eq!(of_all(&[goes(), goes()], &all), (command(), None));
        let says = |says: &str| Some(says.to_owned());
        assert_eq!(
            of_all(&[goes(), refused(), young(), goes()], &all),
            (command(), says("2 of 4 go now; 1: its node is not Ready; 1: known for less than 1h"))
        );
        assert_eq!(of_all(&[refused(), refused()], &all), (None, says("None of them goes now: its node is not Ready")));
        assert_eq!(of_all(&[refused()], &all), (None, says("It does not go now: its node is not Ready")));
    }

    #[test]
    fn a_release_is_as_narrow_as_the_view() {
        let narrow = Narrow { node: Some("node-9".to_owned()), codes: vec![Code(110)], ..Narrow::default() };
        let there = || {
            let mut leak = leak(60, true, "");
            leak.node = Some("node-9".into());
            leak
        };
        assert_eq!(of_all(&[leak(60, true, "")], &narrow), (None, None), "of another node");
        let (command, _) = of_all(&[leak(60, true, ""), there()], &narrow);
        assert_eq!(command.as_deref(), Some("ipaudit release --code IPA110 --older-than 1h --node node-9"));
    }
}
