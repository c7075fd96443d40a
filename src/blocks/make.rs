//! Makes the listing of a ledger and of what the checks have said.

use std::collections::BTreeSet;

use super::listing::{BlockFilter, BlockListing, BlockTotals, HiddenBlock, WrongPool};
use super::{BlockOrder, answer};
use crate::checks::Outcome;
use crate::ledger::{BlockCount, Ledger};
use crate::model::snapshot::Dark;
use crate::model::{Block, Cidr, Foreign, Input, KeptFinding, Name, SubjectKind, keys};
use crate::who::{self, AskedPlace, BlockUsage, Doubt, Occupant};

/// The blocks that `filter` wants, with what `outcome` says is wrong in them.
pub fn list(ledger: &Ledger<'_>, outcome: &Outcome, filter: &BlockFilter, order: BlockOrder) -> BlockListing {
    let snapshot = ledger.snapshot;
    let wanted = BlocksWanted::of(ledger, filter);
    let kept: Vec<&Block> = ledger.blocks().filter(|block| wanted.has(ledger, block)).collect();
    let mut blocks: Vec<BlockUsage> = kept.iter().map(|block| who::usage(ledger, block)).collect();
    who::tell_what_is_wrong(&mut blocks, outcome.findings.iter().map(|f| &**f));
    blocks.retain(|block| !filter.wrong || block.findings > 0);
    blocks.retain(|block| !filter.borrowed || block.count.borrowed > 0);
    let borrowed = filter.borrowed.then(|| {
        let lends = |block: &&&Block| blocks.binary_search_by_key(&block.cidr, |row| row.block).is_ok();
        let mut addresses: Vec<Occupant> =
            kept.iter().filter(lends).flat_map(|block| wanted.borrowed(ledger, block)).collect();
        order.sort_borrowed(&mut addresses);
        addresses
    });
    let undecodable = hidden(ledger).into_iter().filter(|hidden| wanted.may_have(hidden)).collect();
    order.sort(&mut blocks);
    let pools = wrong_pools(ledger, outcome, &wanted);
    let mut totals = totals(&blocks);
    let names: BTreeSet<&Foreign> = pools.iter().map(|wrong| &wrong.pool).collect();
    totals.wrong_pools = names.len() as u64;
    let mut listing = BlockListing {
        answer: Foreign::default(),
        judged_at: snapshot.now,
        etcd_revision: Some(snapshot.etcd.revision).filter(|revision| *revision > 0),
        narrowed_by: filter.flags(),
        unknown: wanted.unknown,
        totals,
        blocks,
        undecodable,
        pools,
        borrowed,
        unread: who::unread(snapshot, outcome),
        exit_code: 0,
    };
    listing.answer = answer::of(&listing, snapshot);
    listing
}

/// The names of a filter as the cluster knows them.
struct BlocksWanted {
    /// The pools' ranges; `None`: any.
    pools: Option<Vec<(Name, Cidr)>>,
    nodes: Option<Vec<Name>>,
    unknown: Vec<Doubt>,
}

impl BlocksWanted {
    fn of(ledger: &Ledger<'_>, filter: &BlockFilter) -> BlocksWanted {
        let AskedPlace { nodes, pools, unknown, .. } =
            AskedPlace::of(ledger, filter.node.as_deref(), filter.pool.as_deref());
        BlocksWanted { pools, nodes, unknown }
    }

    fn has(&self, ledger: &Ledger<'_>, block: &Block) -> bool {
        let in_pool = |pools: &Vec<(Name, Cidr)>| {
            let pool = ledger.pool_of(block.cidr).map(|pool| pool.name);
            pools.iter().any(|(name, _)| Some(*name) == pool)
        };
        let of_node = |nodes: &Vec<Name>| {
            ledger.host_of(block).is_some_and(|owner| nodes.contains(&owner))
                || ledger.allocations_of_block(block).any(|a| nodes.contains(&ledger.owner_node(a)))
        };
        self.pools.as_ref().is_none_or(in_pool) && self.nodes.as_ref().is_none_or(of_node)
    }

    /// Whose it is nobody can say: any node's.
    fn may_have(&self, hidden: &HiddenBlock) -> bool {
        let inside = |pools: &Vec<(Name, Cidr)>| {
            hidden.block.is_none_or(|block| pools.iter().any(|(_, pool)| pool.overlaps(block)))
        };
        self.pools.as_ref().is_none_or(inside)
    }

    /// What a block lends; of a wanted node what it lends or borrows.
    fn borrowed(&self, ledger: &Ledger<'_>, block: &Block) -> Vec<Occupant> {
        let owned = |nodes: &Vec<Name>| ledger.host_of(block).is_some_and(|owner| nodes.contains(&owner));
        let all = self.nodes.as_ref().is_none_or(owned);
        let lent = ledger.allocations_of_block(block).filter(|allocation| ledger.is_borrowed(allocation));
        let wanted = lent.filter(|a| all || self.nodes.as_ref().is_some_and(|n| n.contains(&ledger.owner_node(a))));
        wanted.map(|allocation| who::occupant(ledger, allocation)).collect()
    }
}

fn hidden(ledger: &Ledger<'_>) -> Vec<HiddenBlock> {
    let bad = ledger.snapshot.bad_values.iter().filter(|bad| bad.input == Input::Blocks);
    let range = |dark: &[Dark]| {
        dark.iter().find_map(|dark| match dark {
            Dark::Range(range) => Some(*range),
            _ => None,
        })
    };
    let hidden = bad.map(|bad| HiddenBlock {
        block: range(&bad.dark),
        key: keys::key_text(&bad.key).into(),
        reason: bad.reason.as_str().into(),
    });
    hidden.collect()
}

/// What is wrong with the pools asked for; of one node's blocks nobody asks that.
fn wrong_pools(ledger: &Ledger<'_>, outcome: &Outcome, wanted: &BlocksWanted) -> Vec<WrongPool> {
    let is_wanted = |finding: &&KeptFinding| {
        let id = finding.subject.id.raw();
        let is_named = |pools: &Vec<(Name, Cidr)>| pools.iter().any(|(name, _)| ledger.text(*name) == id);
        finding.subject.kind == SubjectKind::Pool
            && wanted.nodes.is_none()
            && wanted.pools.as_ref().is_none_or(is_named)
    };
    let wrong = outcome.findings.iter().filter(is_wanted).map(|finding| {
        let told = finding.open();
        WrongPool {
            pool: finding.subject.id.clone(),
            code: finding.code,
            severity: finding.severity,
            summary: told.summary,
            advice: told.advice,
        }
    });
    let mut wrong: Vec<WrongPool> = wrong.collect();
    wrong.sort_by_key(|wrong| std::cmp::Reverse(wrong.severity));
    wrong
}

fn totals(blocks: &[BlockUsage]) -> BlockTotals {
    let is_sure = |block: &BlockUsage| block.wrong.iter().any(|wrong| wrong.count > wrong.unconfirmed);
    let mut all =
        BlockTotals { count: BlockCount { stranded: Some(0), ..BlockCount::default() }, ..BlockTotals::default() };
    for block in blocks {
        let (sum, count) = (&mut all.count, &block.count);
        for (sum, number) in [
            (&mut all.blocks, 1),
            (&mut all.addresses, block.size),
            (&mut sum.allocated, count.allocated),
            (&mut sum.borrowed, count.borrowed),
            (&mut sum.cooling, count.cooling),
            (&mut sum.reserved, count.reserved),
            (&mut sum.free, count.free),
            (&mut all.wrong, u64::from(is_sure(block))),
            (&mut all.suspected, u64::from(block.findings > 0 && !is_sure(block))),
        ] {
            *sum = sum.saturating_add(number);
        }
        sum.stranded = sum.stranded.zip(count.stranded).map(|(sum, number)| sum.saturating_add(number));
    }
    all
}
