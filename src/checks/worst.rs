//! Which finding, or which code, is told first where one stands for all; and which may be called known noise.

use std::cmp::Reverse;

use super::ties::Harm;
use super::{ALL, Check, find};
use crate::model::{Code, Severity, SubjectKind};

/// What is told first where one finding, or one code, stands for all: the least is the worst. What stops everything comes
/// first. As bad by their severity, what hurts now comes before what only wastes; lists keep theirs.
pub fn worst_first(severity: Severity, code: Code) -> impl Ord + Copy {
    (!stops_everything(code), Reverse(severity), Reverse(find(code).map(|check| check.ties.harm)), code)
}

/// Whether what it finds is of the whole cluster and an outage: then nothing starts or is written anywhere, however mild it is called,
/// and nothing else is repaired before it.
pub fn stops_everything(code: Code) -> bool {
    find(code).is_some_and(|check| check.subject == SubjectKind::Cluster && is_outage(check))
}

/// Every code that finds what stops everything.
pub fn stopping() -> Vec<Code> {
    ALL.iter().map(|check| check.code).filter(|code| stops_everything(*code)).collect()
}

/// Whether an open finding may be called known noise once it is old: nothing urgent, and no outage. Where something cannot
/// start or is not reached now, that is so every morning anew.
pub fn may_be_noise(severity: Severity, code: Code) -> bool {
    severity < Severity::Error && !find(code).is_some_and(is_outage)
}

fn is_outage(check: &Check) -> bool {
    check.ties.harm == Harm::Outage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stops_everything_is_told_first_and_never_noise() {
        assert_eq!(stopping(), [Code(902), Code(910)]);
        assert!(worst_first(Severity::Warning, Code(902)) < worst_first(Severity::Critical, Code(101)));
        for (code, severity, may) in [
            (902, Severity::Warning, false),
            (902, Severity::Note, false),
            (602, Severity::Warning, false),
            (201, Severity::Warning, true),
            (906, Severity::Warning, true),
            (110, Severity::Error, false),
            (9999, Severity::Warning, true),
        ] {
            assert_eq!(may_be_noise(severity, Code(code)), may, "IPA{code} {severity}");
        }
    }
}
