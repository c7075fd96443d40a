//! Which findings are shown on their own and which are only counted under the one that explains them.
//!
//! A finding is folded only under one that is shown itself and is at least as bad: nothing hides a critical one.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::number::plural;
use crate::model::{Code, Foreign, Gist, KeptFinding, Severity, State};

/// How many steps of "explained by" are followed; the catalogue has chains of two.
const STEPS: usize = 8;

/// The findings that are shown, and what each of them stands for.
#[derive(Debug, Default)]
pub struct Folds<'v> {
    /// Indices of the findings that are shown, in their order.
    pub shown: Vec<usize>,
    /// Codes of what is folded under a finding, by its index.
    under: HashMap<usize, Vec<Code>>,
    /// How many of each code are folded, by the code of what they are told with.
    elsewhere: HashMap<Code, BTreeMap<Code, usize>>,
    /// How many findings are folded.
    pub folded: usize,
    /// Each finding that explains another one, which is told with it.
    roots: HashMap<(Code, &'v Foreign), &'v KeptFinding>,
    /// The commands of these.
    said: HashSet<(Code, &'v Foreign, Foreign)>,
}

/// How many findings of each severity there are.
pub type BySeverity = [(Severity, usize); 4];

impl<'v> Folds<'v> {
    /// With `all`, everything is shown and nothing is folded.
    pub fn of(findings: &[&'v KeptFinding], all: bool) -> Folds<'v> {
        let mut folds = Folds::default();
        if findings.iter().all(|f| f.root.is_none()) {
            folds.shown = (0..findings.len()).collect();
            return folds;
        }
        let places: HashMap<(Code, &Foreign), usize> =
            findings.iter().enumerate().map(|(i, f)| ((f.code, &f.subject.id), i)).collect();
        let parent = |i: usize| {
            let root = findings[i].root.as_ref()?;
            let at = *places.get(&(root.code, &root.id))?;
            (at != i && hides(findings[at], findings[i])).then_some(at)
        };
        for (i, finding) in findings.iter().enumerate() {
            match top(i, parent) {
                Some(top) => {
                    let root = findings[top];
                    if folds.roots.insert((root.code, &root.subject.id), root).is_none() {
                        let next = root.open().next.into_iter();
                        folds.said.extend(next.map(|command| (root.code, &root.subject.id, command)));
                    }
                    if all {
                        folds.shown.push(i);
                        continue;
                    }
                    folds.under.entry(top).or_default().push(finding.code);
                    *folds.elsewhere.entry(finding.code).or_default().entry(root.code).or_default() += 1;
                    folds.folded += 1;
                }
                None => folds.shown.push(i),
            }
        }
        folds
    }

    /// What a finding is told with, or would be without `--all`.
    pub fn root_of(&self, finding: &Gist) -> Option<&'v KeptFinding> {
        let root = finding.root.as_ref()?;
        self.roots.get(&(root.code, &root.id)).copied().filter(|root| hides(root, finding))
    }

    /// Whether what a finding is told with says this command already.
    pub fn is_said(&self, finding: &Gist, command: &Foreign) -> bool {
        let root = self.root_of(finding);
        root.is_some_and(|root| self.said.contains(&(root.code, &root.subject.id, command.clone())))
    }

    /// The codes of what is folded under any of these, sorted.
    pub fn under(&self, shown: &[usize]) -> Vec<Code> {
        let mut codes: Vec<Code> = shown.iter().filter_map(|i| self.under.get(i)).flatten().copied().collect();
        codes.sort_unstable();
        codes
    }

    /// How many of this code are told with findings of other codes, by these.
    pub fn elsewhere(&self, code: Code) -> impl Iterator<Item = (Code, usize)> {
        self.elsewhere.get(&code).into_iter().flatten().map(|(code, number)| (*code, *number))
    }

    /// How many findings of each severity are shown and hold; and how many nobody looked at again, by what they are if they
    /// hold.
    pub fn counts(&self, findings: &[&KeptFinding]) -> (BySeverity, BySeverity) {
        let shown = || self.shown.iter().filter_map(|i| findings.get(*i));
        let of = |state, severity| shown().filter(|f| f.state == state && f.gravity() == severity).count();
        let counts = |state| Severity::WORST_FIRST.map(|severity| (severity, of(state, severity)));
        (counts(State::Confirmed), counts(State::Unconfirmed))
    }
}

/// Whether a finding may be told with its root: nothing hides what is worse, now or if it holds.
fn hides(root: &Gist, finding: &Gist) -> bool {
    root.severity >= finding.severity && root.gravity() >= finding.gravity()
}

/// How many findings would be errors or worse if they held, and were seen by one look alone; what another one explains is not
/// counted.
pub fn seen_once(findings: &[KeptFinding]) -> usize {
    if findings.iter().all(|finding| finding.suspected.is_none()) {
        return 0;
    }
    let all: Vec<&KeptFinding> = findings.iter().collect();
    let (_, suspected) = Folds::of(&all, false).counts(&all);
    suspected.iter().filter(|(severity, _)| *severity >= Severity::Error).map(|(_, number)| number).sum()
}

/// `IPA102×9 IPA131`: sorted codes, each with its number.
pub fn by_code(codes: &[Code]) -> String {
    let alike = codes.chunk_by(|a, b| a == b).filter_map(|alike| Some((alike.first()?, alike.len())));
    let words = alike.map(|(code, number)| if number == 1 { code.to_string() } else { format!("{code}×{number}") });
    words.collect::<Vec<_>>().join(" ")
}

/// `3 findings stay unconfirmed (IPA101 IPA110×2)`.
pub fn unconfirmed(findings: &[KeptFinding]) -> String {
    let of_one_look = findings.iter().filter(|f| f.state == State::Unconfirmed);
    let mut codes: Vec<Code> = of_one_look.map(|f| f.code).collect();
    codes.sort_unstable();
    let stay = plural(codes.len() as u64, "finding stays", "findings stay");
    format!("{stay} unconfirmed ({})", by_code(&codes))
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
    use crate::model::{Finding, Root, Subject, SubjectKind};

    fn finding(code: u16, severity: Severity, id: &str, root: Option<(u16, &str)>) -> KeptFinding {
        let mut finding = Finding::new(Code(code), severity, Subject::new(SubjectKind::Address, id), "");
        finding.root = root.map(|(code, id)| Root { code: Code(code), id: id.into() });
        finding.into()
    }

    fn shown(findings: &[KeptFinding]) -> (Vec<u16>, usize) {
        let list: Vec<&KeptFinding> = findings.iter().collect();
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
        let refs: Vec<&KeptFinding> = list.iter().collect();
        let folds = Folds::of(&refs, false);
        assert_eq!(folds.under(&folds.shown), [Code(110), Code(502)]);
        assert_eq!(folds.elsewhere(Code(110)).collect::<Vec<_>>(), [(Code(503), 1)]);
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
