//! What an audit is, and what it is held against.

use std::collections::HashSet;
use std::time::Duration;

use crate::ledger::{Ledger, ScopeFlag};
use crate::model::{Foreign, HostKind, Input, Name, Past, Snapshot, Time};

/// What the caller knows beside snapshot, ledger, findings and past.
#[derive(Clone, Debug, Default)]
pub struct AuditCourse {
    /// By the clock of the machine.
    pub started: Time,
    pub duration: Duration,
    /// Every input read, every value decoded, every suspect looked at again.
    pub complete: bool,
    /// `--scope`, when it was given.
    pub said: Option<ScopeFlag>,
    /// Version of the tool.
    pub tool: String,
    /// JSON of the counts that the output shows.
    pub counts: String,
}

/// What is compared.
pub(super) struct Diff<'l, 'p> {
    pub(super) ledger: &'l Ledger<'l>,
    pub(super) snapshot: &'l Snapshot,
    pub(super) past: &'p Past,
}

impl Diff<'_, '_> {
    /// Whether all of these inputs were read.
    pub(super) fn complete(&self, inputs: &[Input]) -> bool {
        inputs.iter().all(|&input| self.snapshot.coverage.complete(input))
    }

    /// Whether nothing may be closed at all: nobody can say which cluster it is.
    pub(super) fn is_apart(&self) -> bool {
        self.past.last.apart
    }

    pub(super) fn text(&self, name: Name) -> &str {
        self.snapshot.text(name)
    }

    pub(super) fn given(&self, name: Name) -> Option<Foreign> {
        name.some().map(|name| self.text(name).into())
    }

    /// Calico's names of hosts that have blocks or affinities.
    pub(super) fn hosts(&self) -> HashSet<Name> {
        let of_blocks = self.snapshot.blocks.iter().filter_map(|b| b.affinity);
        let hosts = of_blocks.chain(self.snapshot.affinities.iter().map(|a| a.host));
        hosts.filter(|h| h.kind == HostKind::Host).map(|h| h.name).collect()
    }
}
