//! Findings as they are kept: what is asked of each one as it is, and what it tells squeezed beside the first of its
//! kind. An old cluster has 70,000 of them, and most are read twice: when they are recorded, and when they are written.

use std::ops::Deref;
use std::sync::Arc;

use super::squeeze::Dictionary;
use super::wire::{FactNames, FactsIn, FactsOut};
use super::{Code, Finding, Gist, Life, Root, Severity, State};
use crate::model::hash::HashMap;

/// One finding; all that it tells: [`KeptFinding::open`].
#[derive(Clone)]
pub struct KeptFinding {
    gist: Gist,
    stamp: [u8; 16],
    mould: Arc<Mould>,
    told: Box<[u8]>,
}

/// What findings of one code have in common.
#[derive(Debug)]
struct Mould {
    /// The names of facts, by their places.
    names: Box<[&'static str]>,
    /// What the first of them tells.
    first: Dictionary,
}

impl Mould {
    /// Of the first of its kind, and what that tells.
    fn of(finding: &Finding) -> (Mould, Vec<u8>) {
        let mut names = Vec::new();
        let mut out = FactsOut { bytes: Vec::new(), names: FactNames::Met(&mut names) };
        out.finding(finding);
        let bytes = out.bytes;
        (Mould { names: names.into(), first: Dictionary::of(bytes.clone()) }, bytes)
    }

    /// What a finding tells; `None`: it has other facts.
    fn told(&self, finding: &Finding) -> Option<Box<[u8]>> {
        let mut out = FactsOut { bytes: Vec::new(), names: FactNames::These(&self.names) };
        out.finding(finding)?;
        Some(self.squeeze(finding, &out.bytes))
    }

    fn squeeze(&self, finding: &Finding, bytes: &[u8]) -> Box<[u8]> {
        self.first.squeeze(finding.subject.id.raw().as_bytes(), bytes)
    }
}

impl KeptFinding {
    /// The whole finding.
    pub fn open(&self) -> Finding {
        let mut finding = Finding::new(self.code, self.severity, self.subject.clone(), "");
        finding.gist = self.gist.clone();
        let told = self.mould.first.open(self.subject.id.raw().as_bytes(), &self.told);
        // What was kept by nobody else always opens.
        if let Some(bytes) = told {
            FactsIn { bytes: &bytes, names: &self.mould.names }.finding(&mut finding);
        }
        finding
    }

    /// [`Finding::stamp`].
    pub fn stamp(&self) -> u128 {
        u128::from_le_bytes(self.stamp)
    }

    /// Another severity than its check's.
    pub fn set_severity(&mut self, severity: Severity) {
        self.gist.severity = severity;
    }

    /// Nobody looked again: a note until somebody does.
    pub fn suspect(&mut self) {
        self.gist.state = State::Unconfirmed;
        self.gist.suspected = Some(self.severity);
        self.gist.severity = Severity::Note;
    }

    /// The finding that explains it.
    pub fn set_root(&mut self, root: Option<Root>) {
        self.gist.root = root;
    }

    /// Since when it is known.
    pub fn set_life(&mut self, life: Option<Life>) {
        self.gist.life = life;
    }
}

/// What is asked of it is never changed from outside: its subject is what it is opened with.
impl Deref for KeptFinding {
    type Target = Gist;

    fn deref(&self) -> &Gist {
        &self.gist
    }
}

impl std::fmt::Debug for KeptFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.open().fmt(f)
    }
}

impl From<Finding> for KeptFinding {
    fn from(finding: Finding) -> KeptFinding {
        FindingKeeper::default().keep(finding)
    }
}

/// Keeps findings, each beside the first of its kind.
#[derive(Debug, Default)]
pub struct FindingKeeper {
    moulds: HashMap<Code, Vec<Arc<Mould>>>,
}

impl FindingKeeper {
    /// Keeps one.
    pub fn keep(&mut self, finding: Finding) -> KeptFinding {
        let stamp = finding.stamp().to_le_bytes();
        let moulds = self.moulds.entry(finding.code).or_default();
        let kept = moulds.iter().find_map(|mould| Some((Arc::clone(mould), mould.told(&finding)?)));
        let (mould, told) = kept.unwrap_or_else(|| {
            let (mould, bytes) = Mould::of(&finding);
            let told = mould.squeeze(&finding, &bytes);
            let mould = Arc::new(mould);
            moulds.push(Arc::clone(&mould));
            (mould, told)
        });
        KeptFinding { gist: finding.gist, stamp, mould, told }
    }

    /// Changes one; `change` says whether it did.
    pub fn change(&mut self, kept: &mut KeptFinding, change: impl FnOnce(&mut Finding) -> bool) {
        let mut finding = kept.open();
        if change(&mut finding) {
            *kept = self.keep(finding);
        }
    }

    /// Keeps all of them.
    pub fn all(findings: impl IntoIterator<Item = Finding>) -> Vec<KeptFinding> {
        let mut keeper = FindingKeeper::default();
        findings.into_iter().map(|finding| keeper.keep(finding)).collect()
    }
}

#[cfg(test)]
mod tests;
