//! Which findings are shown on their own and which are only counted under the one that explains them.
//!
//! A finding is folded only under one that is shown itself and is at least as bad: nothing hides a critical one.

use std::collections::HashMap;

use crate::model::{Code, Finding, Foreign, Severity};

/// How many steps of "explained by" are followed; the catalogue has chains of two.
const STEPS: usize = 8;

/// The findings that are shown, and what each of them stands for.
#[derive(Debug, Default)]
pub struct Folds {
    /// Indices of the findings that are shown, in their order.
    pub shown: Vec<usize>,
    /// Codes of what is folded under a finding, by its index.
    under: HashMap<usize, Vec<Code>>,
    /// How many findings are folded.
    pub folded: usize,
}

impl Folds {
    /// With `all`, everything is shown and nothing is folded.
    pub fn of(findings: &[&Finding], all: bool) -> Folds {
        let mut folds = Folds::default();
        if all || findings.iter().all(|f| f.root.is_none()) {
            folds.shown = (0..findings.len()).collect();
            return folds;
        }
        let places: HashMap<(Code, &Foreign), usize> =
            findings.iter().enumerate().map(|(i, f)| ((f.code, &f.subject.id), i)).collect();
        let parent = |i: usize| {
            let root = findings[i].root.as_ref()?;
            let at = *places.get(&(root.code, &root.id))?;
            (at != i && findings[at].severity >= findings[i].severity).then_some(at)
        };
        for (i, finding) in findings.iter().enumerate() {
            match top(i, parent) {
                Some(top) => {
                    folds.under.entry(top).or_default().push(finding.code);
                    folds.folded += 1;
                }
                None => folds.shown.push(i),
            }
        }
        folds
    }

    /// The codes of what is folded under any of these, by code, each once; and how many findings that is.
    pub fn under(&self, shown: &[usize]) -> (usize, Vec<Code>) {
        let mut codes: Vec<Code> = shown.iter().filter_map(|i| self.under.get(i)).flatten().copied().collect();
        let number = codes.len();
        codes.sort_unstable();
        codes.dedup();
        (number, codes)
    }

    /// How many findings of each severity are shown.
    pub fn counts(&self, findings: &[&Finding]) -> [(Severity, usize); 4] {
        Severity::WORST_FIRST.map(|severity| {
            let of = |i: &&usize| findings.get(**i).is_some_and(|f| f.severity == severity);
            (severity, self.shown.iter().filter(of).count())
        })
    }
}

/// The finding at the end of the chain; `None` for one that stands on its own or in a circle.
fn top(start: usize, parent: impl Fn(usize) -> Option<usize>) -> Option<usize> {
    let mut at = parent(start)?;
    for _ in 0..STEPS {
        match parent(at) {
            Some(next) => at = next,
            None => return Some(at),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Root, Subject, SubjectKind};

    fn finding(code: u16, severity: Severity, id: &str, root: Option<(u16, &str)>) -> Finding {
        let mut finding = Finding::new(Code(code), severity, Subject::new(SubjectKind::Address, id), "");
        finding.root = root.map(|(code, id)| Root { code: Code(code), id: id.into() });
        finding
    }

    fn shown(findings: &[Finding]) -> (Vec<u16>, usize) {
        let list: Vec<&Finding> = findings.iter().collect();
        let folds = Folds::of(&list, false);
        (folds.shown.iter().map(|&i| list[i].code.0).collect(), folds.folded)
    }

    #[test]
    fn chains_end_at_the_first_cause() {
        let list = [
            finding(110, Severity::Error, "c", Some((502, "b"))),
            finding(502, Severity::Error, "b", Some((503, "a"))),
            finding(503, Severity::Error, "a", None),
        ];
        let refs: Vec<&Finding> = list.iter().collect();
        let folds = Folds::of(&refs, false);
        assert_eq!(folds.under(&folds.shown), (2, vec![Code(110), Code(502)]));
        assert_eq!(shown(&list), (vec![503], 2));
        assert_eq!(Folds::of(&refs, true).shown, [0, 1, 2]);
    }

    #[test]
    fn a_root_that_is_not_in_view_or_less_bad_explains_nothing() {
        let lone = [finding(130, Severity::Error, "a", Some((101, "a")))];
        assert_eq!(shown(&lone), (vec![130], 0));
        let worse =
            [finding(103, Severity::Critical, "a", Some((409, "n"))), finding(409, Severity::Warning, "n", None)];
        assert_eq!(shown(&worse), (vec![103, 409], 0));
    }

    #[test]
    fn a_circle_hides_nothing() {
        let circle =
            [finding(1, Severity::Error, "a", Some((2, "b"))), finding(2, Severity::Error, "b", Some((1, "a")))];
        assert_eq!(shown(&circle), (vec![1, 2], 0));
    }
}
