//! What is wrong in each of many blocks: findings about it, about its keys and affinities, and about addresses in it.
//!
//! What a handle miscounts is the handle's, and what a pool lacks the pool's: neither is told of a block.

use std::cmp::Reverse;

use super::dossier::{BlockUsage, WrongInBlock};
use crate::checks;
use crate::model::hash::HashMap;
use crate::model::{Cidr, Gist, State};

/// Tells each block what of `findings` is wrong in it.
pub fn tell<'f>(blocks: &mut [BlockUsage], findings: impl IntoIterator<Item = &'f Gist>) {
    let index = Index::of(blocks);
    for finding in findings {
        let Some(range) = finding.subject.range() else { continue };
        for at in index.sharing(range) {
            if let Some(block) = blocks.get_mut(at) {
                add(block, finding);
            }
        }
    }
    for block in blocks {
        block.wrong.sort_by_key(|wrong| (Reverse(wrong.severity), wrong.code));
    }
}

fn add(block: &mut BlockUsage, finding: &Gist) {
    block.findings += 1;
    let unconfirmed = u64::from(finding.state == State::Unconfirmed);
    match block.wrong.iter_mut().find(|wrong| wrong.code == finding.code) {
        Some(wrong) => {
            wrong.count += 1;
            wrong.unconfirmed += unconfirmed;
            wrong.severity = wrong.severity.max(finding.severity);
        }
        None => {
            let (code, severity) = (finding.code, finding.severity);
            block.wrong.push(WrongInBlock { code, name: checks::name(code), severity, count: 1, unconfirmed });
        }
    }
}

/// Finds the blocks that share addresses with a range, without looking at all of them.
struct Index {
    by_range: HashMap<Cidr, usize>,
    sorted: Vec<(Cidr, usize)>,
    /// The prefix lengths that occur.
    prefixes: Vec<u8>,
}

impl Index {
    fn of(blocks: &[BlockUsage]) -> Index {
        let mut sorted: Vec<(Cidr, usize)> = blocks.iter().enumerate().map(|(at, block)| (block.block, at)).collect();
        sorted.sort_unstable();
        let mut prefixes: Vec<u8> = sorted.iter().map(|(range, _)| range.prefix()).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        Index { by_range: sorted.iter().copied().collect(), sorted, prefixes }
    }

    /// Those that cover the range, and those that lie in it.
    fn sharing(&self, range: Cidr) -> Vec<usize> {
        let wider = self.prefixes.iter().filter(|prefix| **prefix <= range.prefix());
        let around = wider.filter_map(|prefix| self.by_range.get(&Cidr::new(range.first(), *prefix)?));
        let start = self.sorted.partition_point(|(block, _)| block.first() < range.first());
        let inside = self.sorted.iter().skip(start).take_while(|(block, _)| block.first() <= range.last());
        let inside = inside.filter(|(block, _)| *block != range && range.covers(*block)).map(|(_, at)| at);
        around.chain(inside).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};
    use crate::ledger::Ledger;
    use crate::model::Finding;
    use crate::model::{Code, Severity, Subject, SubjectKind};
    use crate::who::block;

    fn wrong(ranges: &[&str], findings: &[(SubjectKind, &str)]) -> Vec<u64> {
        let mut c = Cluster::empty();
        ranges.iter().for_each(|range| c.block(range, None));
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let mut blocks: Vec<BlockUsage> =
            ranges.iter().map(|range| block::usage(&ledger, ledger.block(cidr(range)).unwrap())).collect();
        let finding = |(kind, id): &(SubjectKind, &str)| {
            Finding::new(Code(301), Severity::Error, Subject::new(*kind, *id), "something")
        };
        let findings: Vec<Finding> = findings.iter().map(finding).collect();
        tell(&mut blocks, findings.iter().map(|finding| &finding.gist));
        blocks.iter().map(|block| block.findings).collect()
    }

    #[test]
    fn a_finding_is_told_of_every_block_that_it_touches() {
        let ranges = ["10.0.0.0/26", "10.0.0.16/28", "10.0.0.64/26", "fd00::/122", "::/116"];
        for (kind, id, told) in [
            (SubjectKind::Address, "10.0.0.20", [1, 1, 0, 0, 0]),
            (SubjectKind::Address, "10.0.0.70", [0, 0, 1, 0, 0]),
            (SubjectKind::Address, "fd00::9", [0, 0, 0, 1, 0]),
            (SubjectKind::Block, "10.0.0.0/26", [1, 1, 0, 0, 0]),
            (SubjectKind::Block, "10.0.0.16/28", [1, 1, 0, 0, 0]),
            (SubjectKind::Affinity, "host:node-1 10.0.0.0/25", [1, 1, 1, 0, 0]),
            (SubjectKind::Key, "/calico/ipam/v2/assignment/ipv4/block/10.0.0.64-26", [0, 0, 1, 0, 0]),
            (SubjectKind::Key, "/calico/ipam/v2/host/node-1/ipv6/block/fd00::-122", [0, 0, 0, 1, 0]),
            (SubjectKind::Key, "/calico/ipam/v2/handle/x", [0; 5]),
            (SubjectKind::Handle, "10.0.0.20", [0; 5]),
            (SubjectKind::Address, "10.0.9.9", [0; 5]),
        ] {
            assert_eq!(wrong(&ranges, &[(kind, id)]), told, "{kind:?} {id}");
        }
    }

    #[test]
    fn findings_are_counted_by_code_the_worst_first() {
        let mut c = Cluster::healthy();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let mut blocks = [block::usage(&ledger, ledger.block(cidr("10.65.0.0/26")).unwrap())];
        let finding = |code, severity, last: u8, state| {
            let subject = Subject::new(SubjectKind::Address, format!("10.65.0.{last}"));
            Gist { state, ..Finding::new(Code(code), severity, subject, "something").gist }
        };
        tell(
            &mut blocks,
            &[
                finding(113, Severity::Note, 1, State::Unconfirmed),
                finding(110, Severity::Error, 1, State::Confirmed),
                finding(110, Severity::Note, 2, State::Unconfirmed),
                finding(101, Severity::Critical, 3, State::Confirmed),
            ],
        );
        let told: Vec<_> = blocks[0].wrong.iter().map(|w| (w.code.0, w.severity, w.count, w.unconfirmed)).collect();
        let wanted = [(101, Severity::Critical, 1, 0), (110, Severity::Error, 2, 1), (113, Severity::Note, 1, 1)];
        assert_eq!((told.as_slice(), blocks[0].findings), (wanted.as_slice(), 4));
    }
}
