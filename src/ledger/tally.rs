//! Handles against blocks: what a handle counts, and what the blocks hold of it.
//!
//! Both sides are compared by sanitised id and masked CIDR (domain facts, section 3). Cooling addresses are nobody's.

use super::Ledger;
use crate::model::{Cidr, Few, Handle, HandleId, Name};

/// One handle id with everything on both sides.
#[derive(Clone, Debug)]
pub struct Tally<'s> {
    pub id: HandleId,
    /// The objects of this id, the canonical spelling first; more than one where two spellings (`x`, `x\r\neth0`)
    /// are one id, and then they count together.
    pub objects: &'s [Handle],
    /// How many addresses of which block the objects count together; by block.
    pub counted: Few<'s, (Cidr, i64)>,
    /// How many addresses of which block are allocated to the id; by block.
    pub held: Few<'s, (Cidr, i64)>,
}

/// A block of which a handle counts another number of addresses than the block has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Discord {
    pub block: Cidr,
    /// Addresses that the handle counts there.
    pub counted: i64,
    /// Addresses that the block has of it.
    pub held: i64,
}

impl Tally<'_> {
    /// Whether no block has any allocation of it.
    pub fn holds_nothing(&self) -> bool {
        self.held.is_empty()
    }

    /// Every block of which the two sides say different numbers.
    pub fn discords(&self) -> Vec<Discord> {
        if *self.counted == *self.held {
            return Vec::new();
        }
        let mut blocks = self.blocks();
        blocks.retain(|d| d.counted != d.held);
        blocks
    }

    /// Every block that either side names, with both numbers.
    fn blocks(&self) -> Vec<Discord> {
        let counted = self.counted.iter().map(|&(block, counted)| Discord { block, counted, held: 0 });
        let held = self.held.iter().map(|&(block, held)| Discord { block, counted: 0, held });
        let mut blocks: Vec<Discord> = counted.chain(held).collect();
        blocks.sort_by_key(|d| d.block);
        blocks.dedup_by(|from, into| {
            let same = from.block == into.block;
            if same {
                into.counted = into.counted.saturating_add(from.counted);
                into.held = into.held.saturating_add(from.held);
            }
            same
        });
        blocks
    }
}

impl<'s> Ledger<'s> {
    /// Every handle id that has an object, in the order of the snapshot.
    pub fn tallies(&self) -> impl Iterator<Item = Tally<'s>> {
        self.tallies_of(|_| true)
    }

    /// The same of some ids only.
    pub fn tallies_of(&self, wanted: impl Fn(HandleId) -> bool) -> impl Iterator<Item = Tally<'s>> {
        let mut rest = self.allocations_of_handle.as_slice();
        self.snapshot.handles.chunk_by(|a, b| a.id == b.id).filter_map(move |objects| {
            let id = objects.first().map(|o| o.id).filter(|&id| wanted(id))?;
            // Both lists are sorted by id: what stands before it belongs to no object.
            rest = rest.get(rest.iter().take_while(|(handle, _)| *handle < id).count()..)?;
            let (own, after) = rest.split_at(rest.iter().take_while(|(handle, _)| *handle == id).count());
            rest = after;
            Some(Tally { id, objects, counted: counted(objects), held: self.held_by(own) })
        })
    }

    /// How many addresses of which block are allocated to a handle id; by block.
    pub fn held(&self, id: HandleId) -> Vec<(Cidr, i64)> {
        sum(self.allocations_of(id).map(|a| (self.block_of(a).cidr, 1)).collect())
    }

    /// The same for entries of the index that are one handle's.
    fn held_by(&self, entries: &[(HandleId, u32)]) -> Few<'s, (Cidr, i64)> {
        let allocations = entries.iter().filter_map(|&(_, i)| self.allocations.get(i as usize));
        let mut blocks = allocations.map(|a| (self.block_of(a).cidr, 1));
        // Nearly every handle has one.
        match (blocks.next(), blocks.next()) {
            (Some(one), None) => Few::One(one),
            (first, second) => Few::Own(sum([first, second].into_iter().flatten().chain(blocks).collect())),
        }
    }

    /// Every handle id that any allocation names, once each.
    pub fn named_handles(&self) -> impl Iterator<Item = HandleId> {
        self.allocations_of_handle.chunk_by(|a, b| a.0 == b.0).filter_map(|chunk| chunk.first()).map(|&(id, _)| id)
    }

    /// The ids that more than one allocation names.
    pub fn handles_named_twice(&self) -> impl Iterator<Item = HandleId> {
        self.allocations_of_handle.chunk_by(|a, b| a.0 == b.0).filter_map(|chunk| chunk.get(1)).map(|&(id, _)| id)
    }

    /// Whether any endpoint, of any orchestrator and standing, has the container of this handle. A very old handle
    /// (`<namespace>.<pod>`) has none: there the pod's endpoint without a container counts.
    pub fn has_container(&self, id: HandleId) -> bool {
        let by_container = || self.endpoints_of_container(id.tail).next().is_some();
        let by_name = |(namespace, pod)| self.endpoints_of_pod(namespace, pod).any(|e| e.container.is_none());
        by_container() || self.old_form(id).is_some_and(by_name)
    }

    /// Namespace and pod of an id of the very old form; a namespace has no dots, a pod's name may.
    fn old_form(&self, id: HandleId) -> Option<(Name, Name)> {
        let names = &self.snapshot.names;
        match names.get(id.head).split_once('.') {
            _ if !id.dotted => None,
            None => Some((id.head, id.tail)),
            Some((namespace, rest)) => {
                let pod = format!("{rest}.{}", names.get(id.tail));
                Some((names.find(namespace)?, names.find(&pod)?))
            }
        }
    }
}

/// What the objects of one id count together. Nearly always there is one object, which has one entry a block already.
fn counted(objects: &[Handle]) -> Few<'_, (Cidr, i64)> {
    match objects {
        [one] if one.counts().is_sorted_by(|a, b| a.0 < b.0) => one.counts(),
        _ => Few::Own(sum(objects.iter().flat_map(|o| o.counts().to_vec()).collect())),
    }
}

/// One entry a block.
fn sum(mut counts: Vec<(Cidr, i64)>) -> Vec<(Cidr, i64)> {
    counts.sort_by_key(|&(cidr, _)| cidr);
    counts.dedup_by(|from, into| {
        let same = from.0 == into.0;
        if same {
            into.1 = into.1.saturating_add(from.1);
        }
        same
    });
    counts
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{Cluster, cidr};
    use crate::ledger::Ledger;
    use crate::model::HandleId;

    #[test]
    fn two_names_of_one_block_are_one_and_numbers_never_overflow() {
        let mut c = Cluster::healthy();
        let id = Cluster::handle_id("shop", "web-0");
        let block = cidr("10.65.0.0/26");
        c.handle_mut(&id).counts = [(block, i64::MAX), (block, 2), (cidr("10.65.0.64/26"), 0)].into();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let id = HandleId::find(&c.snapshot.names, &id).unwrap();
        let tally = ledger.tallies().find(|t| t.id == id).unwrap();
        assert_eq!(*tally.counted, [(block, i64::MAX), (cidr("10.65.0.64/26"), 0)]);
        assert_eq!(*tally.held, [(block, 1)]);
        assert_eq!(tally.blocks().iter().map(|d| (d.counted, d.held)).collect::<Vec<_>>(), [(i64::MAX, 1), (0, 0)]);
    }

    /// Whatever order the keys come in, the canonical spelling stands for the id.
    #[test]
    fn of_two_spellings_the_canonical_one_stands_for_both() {
        for odd_first in [true, false] {
            let mut c = Cluster::empty();
            for odd in [odd_first, !odd_first] {
                c.handle("net.0123", &[]);
                c.last_handle().odd_id = odd.then(|| b"net.0123\r".as_slice().into());
            }
            let snapshot = c.snapshot();
            let ledger = Ledger::build(&snapshot, c.scope, None);
            let id = HandleId::find(&c.snapshot.names, "net.0123").unwrap();
            assert!(ledger.handle(id).unwrap().odd_id().is_none());
            assert_eq!(ledger.tallies().map(|t| t.objects.len()).collect::<Vec<_>>(), [2]);
        }
    }

    #[test]
    fn a_very_old_handle_belongs_to_the_pod_that_it_names() {
        let mut c = Cluster::healthy();
        c.endpoint("shop", "db.a-0", "node-1", "", &["10.65.0.9"]);
        c.endpoint("shop", "new-0", "node-1", "0123", &["10.65.0.10"]);
        let mut has = |id: &str| {
            let id = HandleId::intern(&mut c.snapshot.names, id).unwrap();
            let snapshot = c.snapshot();
            Ledger::build(&snapshot, c.scope, None).has_container(id)
        };
        assert!(has("shop.db.a-0") && has("k8s-pod-network.0123") && has("other-net.0123"));
        assert!(!has("shop.new-0"), "a pod with a container has a handle by container");
        // An id without a network may be the container itself.
        assert!(has("0123") && !has("k8s-pod-network.4567") && !has("other.db.a-0"));
    }
}
