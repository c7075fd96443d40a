//! IPA306: a block's numbers contradict each other, or fell, or vanished: somebody writes here who does not know them.

use super::common::node_of;
use crate::checks::datastore::datastore_went_back::went_back;
use crate::checks::evidence::get_key;
use crate::checks::prelude::*;
use crate::model::{BlockSequence, Past};

pub static CHECK: Check = Check {
    code: Code(306),
    name: "sequence-broken",
    severity: Severity::Error,
    needs: Needs::B,
    steady: Steady::OneMoment,
    subject: SubjectKind::Block,
    finds: "An allocation whose sequence number is not below its block's. With a history also a block that had a \
        number and has none now, and one whose number fell though the block was not created anew.",
    matters: "The number is what keeps Calico (and ipaudit) from freeing an address that changed hands since it was \
        looked at. Where numbers repeat, that guard is gone.",
    arises: "Calico drops fields that it does not know: an older Calico writes to this datastore and erases the \
        numbers. Or a foreign tool, or a hand, wrote old bytes back.",
    action: "Find who writes: an old calico-node, kube-controllers or calicoctl. Bring all to one version. Numbers \
        grow again by themselves; do not release by address here until they do.",
    silent: "A missing or null map, blocks that never had numbers, and ordinals without an entry (reserved for \
        Windows, cooling down, allocated by an older version) are legal. A datastore that went back as a whole is \
        IPA903; so is a number that fell and is one of Calico's own all the same (10^18 and more).",
    ties: Ties { harm: Harm::Threat, many: "blocks with a broken sequence", ..Ties::ANYBODYS },
    run,
};

/// So many allocations are listed; their number is always said.
const LISTED: usize = 64;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let mut lost: Vec<(&Block, BlockSequence)> = Vec::new();
    for block in world.ledger.blocks() {
        let early = not_below(block);
        let before = world.past.and_then(|past| fallen(block, past));
        match (early.is_empty(), before) {
            (false, before) => findings.push(report(world, block, &early, before)),
            (true, Some(before)) => lost.push((block, before)),
            (true, None) => {}
        }
    }
    // Looked at last, and seldom: whether the past is this datastore's past at all. A restored one has older numbers
    // everywhere, and IPA903 says that once.
    if !lost.is_empty() && !went_back(world) {
        findings.extend(lost.into_iter().map(|(block, before)| report(world, block, &[], Some(before))));
    }
}

/// Allocated addresses with numbers that are not below the block's; a block without a number has 0, as for Calico.
fn not_below(block: &Block) -> Vec<(Addr, u64)> {
    let number = block.sequence.unwrap_or(0);
    let allocated = |ordinal: u32| block.allocations.get(ordinal as usize).is_some_and(Option::is_some);
    let entries = block.allocation_sequences.iter().filter(|(ordinal, own)| *own >= number && allocated(*ordinal));
    entries.filter_map(|&(ordinal, own)| Some((block.cidr.nth(u128::from(ordinal))?, own))).collect()
}

/// What the block's number was, when it is gone now, or fell under the same create revision.
fn fallen(block: &Block, past: &Past) -> Option<BlockSequence> {
    let before = *past.block_sequences.get(&block.cidr)?;
    let same_block = before.create_revision > 0 && before.create_revision == block.meta.create_revision;
    let broken = match block.sequence {
        None => true,
        Some(number) => same_block && number < before.highest,
    };
    broken.then_some(before)
}

fn report(world: &World<'_>, block: &Block, early: &[(Addr, u64)], before: Option<BlockSequence>) -> Finding {
    let number = block.sequence.map_or_else(|| "none".to_owned(), |number| number.to_string());
    let summary = match (early, before, block.sequence) {
        ([(address, own)], ..) => format!("{address} has number {own}, its block {number}"),
        ([(address, own), rest @ ..], ..) => {
            format!("{address} has number {own}, its block {number}; {} more are not below it either", rest.len())
        }
        ([], Some(before), None) => format!("the block had number {} and has none now", before.highest),
        ([], before, Some(_)) => {
            format!("the block's number fell from {} to {number}", before.map_or(0, |before| before.highest))
        }
        ([], None, None) => String::new(),
    };
    world
        .draft(&CHECK, block.cidr, summary)
        .advice("an older Calico or a foreign tool writes here: find it, and bring all parts to one version")
        .fact("block", world.block_facts(block))
        .list("allocations", early.iter().take(LISTED), |(a, n)| {
            Evidence::new().with("address", *a).with("sequence", *n)
        })
        .fact("allocations_count", early.len())
        .fact("highest_seen", before.map(|before| before.highest))
        .fact("create_revision", block.meta.create_revision)
        .on_node(node_of(block))
        .in_pool_of(block.cidr.first())
        .next(get_key(&world.block_key(block)))
        .looks_at(Look::Block(block.cidr))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};

    const BLOCK: &str = "10.65.0.0/26";

    #[test]
    fn clean_gives_nothing_with_and_without_a_past() {
        let mut c = Cluster::healthy();
        assert!(c.find(&CHECK).is_empty());
        c.remember();
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn an_allocations_number_is_below_its_blocks() {
        let mut c = Cluster::healthy();
        let block = c.block_mut(BLOCK);
        let number = block.sequence.unwrap();
        block.allocation_sequences[1].1 = number;
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, BLOCK));
        assert_eq!(found[0].summary, format!("10.65.0.1 has number {number}, its block {number}"));
        let block = c.block_mut(BLOCK);
        block.allocation_sequences[2].1 = number + 7;
        assert!(c.find(&CHECK)[0].summary.raw().starts_with("10.65.0.1 has number"));
        assert!(c.find(&CHECK)[0].summary.raw().ends_with("; 1 more are not below it either"));
    }

    #[test]
    fn the_map_without_the_blocks_own_number_is_broken() {
        let mut c = Cluster::healthy();
        c.block_mut(BLOCK).sequence = None;
        assert!(c.find(&CHECK)[0].summary.raw().ends_with(", its block none; 2 more are not below it either"));
    }

    #[test]
    fn old_blocks_and_ordinals_without_entries_are_legal() {
        let mut c = Cluster::healthy();
        c.block_mut(BLOCK).allocation_sequences = [].into();
        assert!(c.find(&CHECK).is_empty(), "no map");
        c.block_mut(BLOCK).sequence = None;
        assert!(c.find(&CHECK).is_empty(), "no numbers at all");
        let block = c.block_mut("10.65.0.64/26");
        let number = block.sequence.unwrap();
        let entries = [(9, number + 1), (900, number + 1)];
        block.allocation_sequences = block.allocation_sequences.iter().copied().chain(entries).collect();
        assert!(c.find(&CHECK).is_empty(), "an entry of a free ordinal is no allocation's");
    }

    #[test]
    fn a_number_that_vanished_or_fell_is_told_from_history() {
        let mut c = Cluster::healthy();
        c.remember();
        let block = c.block_mut(BLOCK);
        let number = block.sequence.unwrap();
        (block.sequence, block.allocation_sequences) = (None, [].into());
        block.meta.mod_revision += 1_000;
        block.meta.version += 1;
        assert_eq!(c.find(&CHECK)[0].summary, format!("the block had number {number} and has none now"));
        c.block_mut(BLOCK).meta.create_revision += 1_000;
        assert_eq!(c.subjects(&CHECK), [BLOCK], "created anew by an older Calico");
        let block = c.block_mut(BLOCK);
        block.meta.create_revision -= 1_000;
        block.sequence = Some(12);
        assert_eq!(c.find(&CHECK)[0].summary, format!("the block's number fell from {number} to 12"));
        let block = c.block_mut(BLOCK);
        block.meta.create_revision += 1_000;
        assert!(c.find(&CHECK).is_empty(), "a new block starts anew");
        let block = c.block_mut(BLOCK);
        block.meta.create_revision -= 1_000;
        block.sequence = Some(number + 1);
        assert!(c.find(&CHECK).is_empty());
        c.block_mut(BLOCK).sequence = Some(number - 1);
        assert!(c.find(&CHECK).is_empty(), "fallen among Calico's own numbers it is a restore's: IPA903");
    }

    #[test]
    fn another_etcd_or_an_older_one_is_no_past_of_this() {
        for went_back in [
            (|c: &mut Cluster| c.snapshot.etcd.cluster_id += 1) as fn(&mut Cluster),
            |c| c.snapshot.etcd.revision -= 1,
            |c| c.block_mut("10.65.0.64/26").meta.value_hash += 1,
        ] {
            let mut c = Cluster::healthy();
            c.snapshot.etcd.cluster_id = 7;
            c.remember();
            let block = c.block_mut(BLOCK);
            (block.sequence, block.allocation_sequences) = (Some(12), [].into());
            block.meta.mod_revision += 1_000;
            block.meta.version += 1;
            assert_eq!(c.subjects(&CHECK), [BLOCK]);
            went_back(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn without_revisions_nobody_can_say_that_it_is_the_same_block() {
        let mut c = Cluster::healthy();
        c.block_mut(BLOCK).meta = crate::model::Meta::default();
        c.remember();
        assert_eq!(c.past.as_ref().unwrap().block_sequences[&cidr(BLOCK)].create_revision, 0);
        let block = c.block_mut(BLOCK);
        (block.sequence, block.allocation_sequences) = (Some(12), [].into());
        assert!(c.find(&CHECK).is_empty());
    }
}
