//! What may explain a finding: the other findings.

use std::cell::RefCell;

use crate::model::hash::HashMap;
use crate::model::{Code, Finding, KeptFinding, Root, Severity};

/// By a text that a finding lists, the finding's subject.
type Listing<'f> = HashMap<Box<str>, &'f str>;

/// What was found: each finding may be the cause of another one.
#[derive(Debug)]
pub struct Causes<'f> {
    findings: &'f [KeptFinding],
    severities: HashMap<(Code, &'f str), Severity>,
    /// What the findings of a code list under a fact, and their subjects; made when it is first asked for.
    listed: RefCell<HashMap<(Code, &'static str), Listing<'f>>>,
}

impl<'f> Causes<'f> {
    pub(super) fn of(findings: &'f [KeptFinding]) -> Causes<'f> {
        let severities = findings.iter().map(|f| ((f.code, f.subject.id.raw()), f.severity)).collect();
        Causes { findings, severities, listed: RefCell::default() }
    }

    /// The finding of this code about this subject, however bad it is.
    pub fn any(&self, code: Code, id: &str) -> Option<Root> {
        self.severities.contains_key(&(code, id)).then(|| Root { code, id: id.into() })
    }

    /// The same, when it is at least as bad as what it is to explain: a warning hides nothing critical.
    pub fn no_milder(&self, finding: &Finding, code: Code, id: &str) -> Option<Root> {
        let severity = self.severities.get(&(code, id))?;
        (*severity >= finding.severity).then(|| Root { code, id: id.into() })
    }

    /// The same, when it is worse than what it is to explain would be if that holds.
    pub fn worse(&self, finding: &Finding, code: Code, id: &str) -> Option<Root> {
        let severity = self.severities.get(&(code, id))?;
        (*severity > finding.gravity()).then(|| Root { code, id: id.into() })
    }

    /// The subject of the finding of this code that lists `text` under `fact`; of several the first's.
    pub fn listing(&self, code: Code, fact: &'static str, text: &str) -> Option<&'f str> {
        let mut listed = self.listed.borrow_mut();
        let of_code = || self.findings.iter().filter(|f| f.code == code);
        let subjects = listed.entry((code, fact)).or_insert_with(|| {
            let mut subjects = HashMap::default();
            for finding in of_code() {
                for text in finding.open().evidence.texts(fact) {
                    subjects.entry(text.raw().into()).or_insert(finding.subject.id.raw());
                }
            }
            subjects
        });
        subjects.get(text).copied()
    }
}
