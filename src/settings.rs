//! What the operator says of the checks: which severity a code has here, and which findings are known and wanted.
//!
//! A changed severity is what is shown, what exit code 1 counts, and what the history records. An ignored finding is
//! found and recorded as ever: ignoring hides it from the view and from exit code 1, never from exit code 3. An ignore
//! that matches nothing is itself told, so that lists of exceptions do not outlive their reasons.
//!
//! Reading the file is `cli`'s work; here its text becomes values.

mod file;
mod until;

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;

use crate::checks::addresses::leaked_address;
use crate::checks::evidence::shell;
use crate::checks::handles::orphaned_handle;
use crate::checks::{self, Outcome};
use crate::model::{Code, Foreign, Severity, State, Time, glob};
use until::Until;

/// Everything that was said, file and flags together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settings {
    severities: BTreeMap<Code, Severity>,
    ignores: Vec<Ignore>,
}

/// `IPA201=note`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SeverityOf {
    pub code: Code,
    pub severity: Severity,
}

/// `IPA113`, or `IPA110:10.65.*`: findings of a code, all or those whose subject fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ignore {
    pub code: Code,
    /// `*` stands for anything, `?` for one character; `None`: every subject.
    pub subject: Option<String>,
    /// Why, for those who read the file.
    pub reason: Option<String>,
    /// Its last day; `None`: for ever.
    pub until: Option<Until>,
}

/// A code that some check has.
fn known(text: &str) -> Result<Code, String> {
    let code = checks::code(text.trim())?;
    match checks::find(code) {
        Some(_) => Ok(code),
        None => Err(format!("no check has the code {code}; `ipaudit explain` lists them")),
    }
}

impl FromStr for SeverityOf {
    type Err = String;

    fn from_str(text: &str) -> Result<SeverityOf, String> {
        let (code, severity) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} names no severity; write {}=note", orphaned_handle::CHECK.code))?;
        Ok(SeverityOf { code: known(code)?, severity: severity.trim().parse()? })
    }
}

impl FromStr for Ignore {
    type Err = String;

    fn from_str(text: &str) -> Result<Ignore, String> {
        let (code, subject) = match text.split_once(':') {
            Some((_, "")) => {
                let leak = leaked_address::CHECK.code;
                return Err(format!("{text:?} names no subject; write {leak} or {leak}:10.65.*"));
            }
            Some((code, subject)) => (code, Some(subject.to_owned())),
            None => (text, None),
        };
        Ok(Ignore { code: known(code)?, subject, reason: None, until: None })
    }
}

impl std::fmt::Display for Ignore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.subject {
            Some(subject) => write!(f, "{}:{subject}", self.code),
            None => self.code.fmt(f),
        }
    }
}

impl Ignore {
    /// Whether it means the finding of this code and subject.
    pub fn matches(&self, code: Code, subject: &Foreign) -> bool {
        code == self.code && self.subject.as_ref().is_none_or(|glob| glob::matches(glob, subject.raw()))
    }

    fn with_reason(&self) -> String {
        let reason = self.reason.as_ref().map(|r| format!(" ({r})")).unwrap_or_default();
        format!("{self}{reason}")
    }

    /// As people would type it.
    pub fn flag(&self) -> String {
        format!("--ignore {}", shell(&self.to_string()))
    }
}

impl Settings {
    /// Adds what the flags say: a severity wins over the file's, ignores are added to its.
    #[must_use]
    pub fn with(mut self, severities: &[SeverityOf], ignores: &[Ignore]) -> Settings {
        self.severities.extend(severities.iter().map(|s| (s.code, s.severity)));
        self.ignores.extend(ignores.iter().cloned());
        let mut seen = HashSet::new();
        // One that ends does not stand in the way of the same one on the command line, which does not.
        let day = |i: &Ignore| i.until.as_ref().map(|until| until.day().to_owned());
        self.ignores.retain(|i| seen.insert((i.code, i.subject.clone(), day(i))));
        self
    }

    /// What holds at `now`, and a sentence for each ignore whose day is over.
    #[must_use]
    pub fn as_of(mut self, now: Time) -> (Settings, Vec<String>) {
        let mut over = Vec::new();
        self.ignores.retain(|ignore| {
            let ended = ignore.until.as_ref().filter(|until| until.is_over(now));
            over.extend(ended.map(|until| {
                let day = until.day();
                format!("the ignore {} held until {day} and does not hold any more: remove it", ignore.with_reason())
            }));
            ended.is_none()
        });
        (self, over)
    }

    /// Gives findings the severity that was asked for, then folds and sorts again. What is unconfirmed stays the note
    /// that it is: nobody looked again.
    pub fn change_severities(&self, outcome: &mut Outcome) {
        if self.severities.is_empty() {
            return;
        }
        for finding in outcome.findings.iter_mut().filter(|f| f.state == State::Confirmed) {
            if let Some(&severity) = self.severities.get(&finding.code) {
                finding.set_severity(severity);
            }
        }
        checks::refold(&mut outcome.findings);
    }

    /// What is known and wanted.
    pub fn ignores(&self) -> &[Ignore] {
        &self.ignores
    }

    /// Which findings are ignored, and by what.
    pub fn ignored(&self, outcome: &Outcome) -> Ignored {
        let mut ignored = Ignored::default();
        for ignore in &self.ignores {
            let hits = outcome.findings.iter().filter(|f| ignore.matches(f.code, &f.subject.id));
            let mut hit = false;
            ignored.findings.extend(hits.inspect(|_| hit = true).map(|f| (f.code, f.subject.id.clone())));
            if hit {
                ignored.flags.push(ignore.flag());
            // A check that did not run may find it next time.
            } else if !outcome.not_run().any(|skipped| skipped.code == ignore.code) {
                ignored.idle.push(idle(ignore));
            }
        }
        ignored
    }
}

fn idle(ignore: &Ignore) -> String {
    format!("the ignore {} matches no finding: remove it", ignore.with_reason())
}

/// What ignoring comes to in one audit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ignored {
    /// Code and subject.
    pub findings: HashSet<(Code, Foreign)>,
    /// The ignores that matched, as people would type them.
    pub flags: Vec<String>,
    /// A sentence for each ignore that matched nothing.
    pub idle: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::Skipped;
    use crate::model::{Finding, Subject, SubjectKind};

    fn finding(code: u16, id: &str, severity: Severity) -> Finding {
        Finding::new(Code(code), severity, Subject::new(SubjectKind::Address, id), "")
    }

    fn outcome(findings: &[(u16, &str, Severity)]) -> Outcome {
        let findings = findings.iter().map(|&(code, id, severity)| finding(code, id, severity).into()).collect();
        Outcome { findings, ..Outcome::default() }
    }

    fn told(outcome: &Outcome) -> Vec<(u16, Severity)> {
        outcome.findings.iter().map(|f| (f.code.0, f.severity)).collect()
    }

    fn settings(severities: &[&str], ignores: &[&str]) -> Settings {
        let severities: Vec<SeverityOf> = severities.iter().map(|s| s.parse().unwrap()).collect();
        let ignores: Vec<Ignore> = ignores.iter().map(|s| s.parse().unwrap()).collect();
        Settings::default().with(&severities, &ignores)
    }

    #[test]
    fn a_severity_changes_the_order_and_what_folds() {
        let mut found = outcome(&[(101, "10.0.0.1", Severity::Critical), (120, "10.0.0.1", Severity::Critical)]);
        checks::refold(&mut found.findings);
        assert!(found.findings[1].root.is_some());
        settings(&["IPA101=warning", "IPA101=note"], &[]).change_severities(&mut found);
        assert_eq!(told(&found), [(120, Severity::Critical), (101, Severity::Note)], "the last one wins");
        assert!(found.findings[0].root.is_none(), "a note hides nothing critical");
    }

    #[test]
    fn what_is_unconfirmed_stays_a_note() {
        let mut found = outcome(&[(110, "10.0.0.1", Severity::Note)]);
        found.findings[0].suspect();
        settings(&["IPA110=critical"], &[]).change_severities(&mut found);
        assert_eq!(told(&found), [(110, Severity::Note)]);
    }

    #[test]
    fn an_ignore_takes_a_code_or_subjects_of_it_and_says_when_it_is_idle() {
        let found = outcome(&[
            (110, "10.65.0.1", Severity::Error),
            (110, "10.66.0.1", Severity::Error),
            (113, "10.65.0.1", Severity::Note),
        ]);
        let ignored =
            settings(&[], &["IPA110:10.65.*", "IPA113", "ipa113", "IPA120", "IPA110:10.65.?"]).ignored(&found);
        let expected = [(110, "10.65.0.1"), (113, "10.65.0.1")].map(|(code, id)| (Code(code), id.into()));
        assert_eq!(ignored.findings, expected.into());
        assert_eq!(ignored.flags, ["--ignore 'IPA110:10.65.*'", "--ignore IPA113"]);
        let idle = [
            "the ignore IPA120 matches no finding: remove it",
            "the ignore IPA110:10.65.? matches no finding: remove it",
        ];
        assert_eq!(ignored.idle, idle);
    }

    #[test]
    fn an_ignore_of_a_check_that_did_not_run_is_not_idle() {
        let mut found = Outcome::default();
        found.skipped.push(Skipped { code: Code(403), reason: Foreign::default(), incomplete: false });
        assert_eq!(settings(&[], &["IPA403"]).ignored(&found), Ignored::default());
    }

    #[test]
    fn an_ignore_ends_with_its_day_and_says_so() {
        let text = "ignore = [{ code = \"IPA110\", until = 2026-12-31, reason = \"the lab\" }, \"IPA113\"]";
        let settings = Settings::parse(text).unwrap();
        let at = |now: &str| settings.clone().as_of(Time::parse_rfc3339(now).unwrap());
        assert_eq!(at("2026-12-31T12:00:00Z"), (settings.clone(), Vec::new()));
        let (left, over) = at("2027-01-01T00:00:00Z");
        let texts = |settings: &Settings| settings.ignores.iter().map(Ignore::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&left), ["IPA113"]);
        let told = "the ignore IPA110 (the lab) held until 2026-12-31 and does not hold any more: remove it";
        assert_eq!(over, [told]);
        let both = settings.clone().with(&[], &["IPA110".parse().unwrap()]);
        let (left, _) = both.as_of(Time::parse_rfc3339("2027-01-01T00:00:00Z").unwrap());
        assert_eq!(texts(&left), ["IPA113", "IPA110"], "the flag's stays");
    }

    #[test]
    fn what_nobody_can_mean_is_refused_with_a_hint() {
        let wrong = |text: &str| text.parse::<Ignore>().unwrap_err();
        assert_eq!(wrong("IPA999"), "no check has the code IPA999; `ipaudit explain` lists them");
        assert_eq!(wrong("leaked"), "\"leaked\" is no code; codes look like IPA101");
        assert_eq!(wrong("IPA110:"), "\"IPA110:\" names no subject; write IPA110 or IPA110:10.65.*");
        let wrong = |text: &str| text.parse::<SeverityOf>().unwrap_err();
        assert_eq!(wrong("IPA201"), "\"IPA201\" names no severity; write IPA201=note");
        assert_eq!(wrong("IPA201=low"), "\"low\" is no severity; take critical, error, warning or note");
        assert_eq!(wrong("IPA999=note"), "no check has the code IPA999; `ipaudit explain` lists them");
    }
}
