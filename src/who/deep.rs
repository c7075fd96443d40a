//! What etcd's own old revisions say of one key: who had the address at each change.
//!
//! The caller brings one decoded value a revision, newest first; equal neighbours become one step.

use super::DeepStep;
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::foreign::foreign;
use crate::model::{Addr, Foreign, Snapshot, Time};

/// What a snapshot that holds one version of a block says of an address.
pub fn block_says(snapshot: &Snapshot, address: Addr) -> (Foreign, Option<Time>) {
    if let Some(bad) = snapshot.bad_values.first() {
        return (foreign!("does not decode: {}", bad.reason), None);
    }
    let ledger = Ledger::build(snapshot, ScopeFlag::Auto, None);
    let Some(allocation) = ledger.allocations_at(address).first() else { return ("free".into(), None) };
    let row = super::sheets::allocation(&ledger, allocation);
    let who = row.owner.unwrap_or_else(|| row.used_for.word().into());
    match (row.released, row.handle) {
        (Some(at), _) => (foreign!("cooling down, released {at}"), None),
        (None, Some(handle)) => (foreign!("{} by handle {}", who, handle), row.allocated),
        (None, None) => (who, row.allocated),
    }
}

/// What a snapshot that holds one version of a handle says.
pub fn handle_says(snapshot: &Snapshot) -> (Foreign, Option<Time>) {
    if let Some(bad) = snapshot.bad_values.first() {
        return (foreign!("does not decode: {}", bad.reason), None);
    }
    let counts = snapshot.handles.iter().flat_map(|h| h.counts().to_vec()).map(|(c, n)| format!("{n} of {c}"));
    let counts: Vec<String> = counts.collect();
    (if counts.is_empty() { "counts nothing".into() } else { format!("counts {}", counts.join(", ")).into() }, None)
}

/// One step a change: of equal neighbours the older revision is when it became so.
pub fn trail(seen: impl IntoIterator<Item = DeepStep>) -> Vec<DeepStep> {
    let mut steps: Vec<DeepStep> = Vec::new();
    for step in seen {
        match steps.last_mut().filter(|last| (&last.says, last.allocated) == (&step.says, step.allocated)) {
            Some(last) => last.revision = step.revision,
            None => steps.push(step),
        }
    }
    steps
}
