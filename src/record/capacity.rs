//! How full the pools are, when it is otherwise than before.

use std::collections::HashSet;

use super::diff::Diff;
use crate::ledger::capacity;
use crate::model::row::{CapacityRow, PoolNumbers};
use crate::model::{Addr, Foreign, Input, KeptFinding, State};

impl Diff<'_, '_> {
    /// Pools whose capacity changed, and those that are no more.
    pub(super) fn capacity(&self, findings: &[KeptFinding]) -> Vec<CapacityRow> {
        if !self.complete(&[Input::Blocks, Input::Pools]) {
            return Vec::new();
        }
        let leaks = findings
            .iter()
            .filter(|f| f.state == State::Confirmed && crate::checks::is_kept_leak(f))
            .filter_map(|f| f.subject.id.raw().parse().ok());
        let leaked: crate::model::hash::HashSet<Addr> = leaks.collect();
        let held = self.complete(&[Input::Pods, Input::Endpoints]);
        let known = &self.past.last.capacity;
        let number = |n: u128| i64::try_from(n).unwrap_or(i64::MAX);
        let now = capacity::pools(self.ledger, &leaked).into_iter().map(|usage| CapacityRow {
            pool: self.text(usage.name).into(),
            cidr: usage.cidr.to_string().into(),
            numbers: PoolNumbers {
                addresses: number(usage.addresses),
                allocated: number(usage.allocated),
                in_use: if held { number(usage.in_use) } else { 0 },
                leaked: number(usage.leaked),
                cooling: number(usage.cooling),
                reserved: number(usage.reserved),
                free: number(usage.free),
                blocks: number(usage.blocks.possible),
                free_blocks: number(usage.blocks.free()),
            },
            gone: false,
        });
        let now: Vec<CapacityRow> = now.collect();
        let names: HashSet<&Foreign> = now.iter().map(|row| &row.pool).collect();
        let mut gone: Vec<&Foreign> = known.keys().filter(|pool| !names.contains(pool)).collect();
        gone.sort_unstable();
        let none = |pool: &Foreign| CapacityRow { pool: pool.clone(), gone: true, ..CapacityRow::default() };
        let gone: Vec<CapacityRow> = gone.into_iter().map(none).collect();
        let changed = now.into_iter().filter(|row| known.get(&row.pool) != Some(row));
        changed.chain(gone).collect()
    }
}
