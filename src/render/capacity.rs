//! How full pools and nodes are, as rows for every format: the ledger's counts, and what of them is known.
//!
//! Unknown is not absent: a number for which an input was not read is none, rather than 0.

use crate::model::hash::HashSet;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::ledger::{Ledger, NodeUsage, PoolUsage, capacity};
use crate::model::{Addr, Foreign, Input, Snapshot};

/// Said of a pool that is smaller than a block of its size.
pub const NO_BLOCK: &str = "no block fits into it";

/// What is allocated, and neither in use nor leaked: one word for it everywhere.
pub const UNATTRIBUTED: &str = "unattributed";

/// Behind a pool's name: IPAM hands out nothing of it.
pub const DISABLED: &str = "(disabled)";

/// How full a pool is, in addresses and blocks; `None`: not known, for want of the inputs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PoolRow {
    pub name: Foreign,
    pub cidr: String,
    /// Whether IPAM hands out nothing of it, because somebody said so.
    pub disabled: bool,
    pub addresses: u128,
    /// In use or leaked; not cooling.
    pub allocated: Option<u128>,
    /// Allocated, and somebody holds it.
    pub in_use: Option<u128>,
    pub leaked: Option<u128>,
    /// Allocated, and neither: what is reserved for Windows or kept back, another cluster's, or of nobody who is known.
    pub unattributed: Option<u128>,
    pub cooling: Option<u128>,
    /// In an IPReservation and not taken.
    pub reserved: Option<u128>,
    /// In blocks that do not decode.
    pub unknown: Option<u128>,
    /// What automatic assignment can still hand out.
    pub free: Option<u128>,
    /// How many blocks of the pool's size fit into it.
    pub blocks: u128,
    /// Blocks that a new node can still get: never claimed, or empty and reclaimable.
    pub free_blocks: Option<u128>,
    /// What became of its blocks.
    pub fates: Option<BlockFates>,
}

/// What became of a pool's blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BlockFates {
    /// Blocks in the pool, of any size.
    pub existing: u128,
    /// Nobody claims them: a new node can.
    pub absent: u128,
    /// Claimed and empty.
    pub empty: u128,
    /// Of the empty ones those that another node can get; none where Calico's version, which decides it, was not read.
    pub reclaimable: Option<u128>,
    /// Of the empty ones those that no other node can get.
    pub stranded: Option<u128>,
    /// Without affinity: their free addresses can only be borrowed.
    pub ownerless: u128,
    /// They do not decode.
    pub unknown: u128,
}

/// One node's part of IPAM, by its Calico name. The fields' names are those of the JSON.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct NodeFill {
    pub name: Foreign,
    /// Blocks that are its own.
    pub ipv4_blocks: usize,
    pub ipv6_blocks: usize,
    /// All addresses of its blocks, held at 2^63 - 1.
    pub addresses: u64,
    /// Allocated in its blocks and not cooling, for itself or for others.
    pub allocated: usize,
    pub cooling: usize,
    /// Of the allocated ones those made for other nodes.
    pub lent: usize,
    /// Allocated for it in blocks of others.
    pub borrowed: usize,
    /// Allocated for it, wherever, and proven leaked.
    pub leaked: Option<usize>,
}

/// Which numbers are known.
#[derive(Clone, Copy)]
struct KnownParts {
    blocks: bool,
    holders: bool,
    leaks: bool,
    /// Calico's, which decides who can get an empty block.
    version: bool,
}

impl KnownParts {
    /// Pods of another cluster say nothing about this datastore's addresses.
    fn of(snapshot: &Snapshot, ledger: &Ledger<'_>) -> KnownParts {
        let complete = |inputs: &[Input]| inputs.iter().all(|&input| snapshot.coverage.complete(input));
        let blocks = complete(&[Input::Blocks]);
        let holders = blocks && ledger.pairing.holds() && complete(&[Input::Pods, Input::Endpoints]);
        // What IPA110 needs.
        let leaks = holders && complete(&[Input::CalicoNodes, Input::KubeNodes]);
        KnownParts { blocks, holders, leaks, version: complete(&[Input::Config]) }
    }
}

/// A row for every pool, in the snapshot's order.
pub fn pools(snapshot: &Snapshot, ledger: &Ledger<'_>, leaked: &HashSet<Addr>) -> Vec<PoolRow> {
    let known = KnownParts::of(snapshot, ledger);
    capacity::pools(ledger, leaked).iter().map(|usage| PoolRow::of(snapshot, usage, known)).collect()
}

/// The `most` biggest nodes, by what is allocated in their blocks, then by name; and how many more there are.
pub fn nodes(
    snapshot: &Snapshot,
    ledger: &Ledger<'_>,
    leaked: &HashSet<Addr>,
    most: usize,
) -> (Option<Vec<NodeFill>>, usize) {
    let known = KnownParts::of(snapshot, ledger);
    if !known.blocks {
        return (None, 0);
    }
    let mut usages = capacity::nodes(ledger, leaked);
    // They come by name, and a stable sort keeps that among equals.
    usages.sort_by_key(|usage| std::cmp::Reverse(usage.allocated));
    let rows: Vec<NodeFill> = usages.iter().take(most).map(|usage| NodeFill::of(snapshot, usage, known)).collect();
    let more = usages.len() - rows.len();
    (Some(rows), more)
}

impl PoolRow {
    /// The row of a pool's usage; what `snapshot` has not read wholly is not known.
    fn of(snapshot: &Snapshot, usage: &PoolUsage, known: KnownParts) -> PoolRow {
        let fates = BlockFates {
            existing: usage.blocks.existing,
            absent: usage.blocks.absent,
            empty: usage.blocks.empty,
            reclaimable: known.version.then_some(usage.blocks.reclaimable),
            stranded: known.version.then_some(usage.blocks.stranded()),
            ownerless: usage.blocks.ownerless,
            unknown: usage.blocks.unknown,
        };
        let unattributed = usage.allocated.saturating_sub(usage.in_use).saturating_sub(usage.leaked);
        PoolRow {
            name: snapshot.text(usage.name).into(),
            cidr: usage.cidr.to_string(),
            disabled: usage.disabled,
            addresses: usage.addresses,
            allocated: known.blocks.then_some(usage.allocated),
            in_use: known.holders.then_some(usage.in_use),
            leaked: known.leaks.then_some(usage.leaked),
            unattributed: known.leaks.then_some(unattributed),
            cooling: known.blocks.then_some(usage.cooling),
            reserved: known.blocks.then_some(usage.reserved),
            unknown: known.blocks.then_some(usage.unknown),
            free: known.blocks.then_some(usage.free),
            blocks: usage.blocks.possible,
            free_blocks: (known.blocks && known.version).then_some(usage.blocks.free()),
            fates: known.blocks.then_some(fates),
        }
    }
}

/// An IPv6 pool has more addresses than other languages' integers hold: in JSON a number stops at 2^63 - 1.
impl Serialize for PoolRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fates = self.fates;
        let numbers = [
            ("addresses", Some(self.addresses)),
            ("allocated", self.allocated),
            ("in_use", self.in_use),
            ("leaked", self.leaked),
            ("unattributed", self.unattributed),
            ("cooling", self.cooling),
            ("reserved", self.reserved),
            ("unknown", self.unknown),
            ("free", self.free),
            ("blocks", Some(self.blocks)),
            ("free_blocks", self.free_blocks),
            ("existing_blocks", fates.map(|f| f.existing)),
            ("absent_blocks", fates.map(|f| f.absent)),
            ("empty_blocks", fates.map(|f| f.empty)),
            ("reclaimable_blocks", fates.and_then(|f| f.reclaimable)),
            ("stranded_blocks", fates.and_then(|f| f.stranded)),
            ("ownerless_blocks", fates.map(|f| f.ownerless)),
            ("unknown_blocks", fates.map(|f| f.unknown)),
        ];
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("cidr", &self.cidr)?;
        map.serialize_entry("disabled", &self.disabled)?;
        for (name, number) in numbers {
            map.serialize_entry(name, &number.map(held))?;
        }
        map.end()
    }
}

/// A number as programs take it.
fn held(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX).min(i64::MAX as u64)
}

impl NodeFill {
    fn of(snapshot: &Snapshot, usage: &NodeUsage, known: KnownParts) -> NodeFill {
        let [ipv4_blocks, ipv6_blocks] = usage.blocks;
        NodeFill {
            name: snapshot.text(usage.node).into(),
            ipv4_blocks,
            ipv6_blocks,
            addresses: held(usage.addresses),
            allocated: usage.allocated,
            cooling: usage.cooling,
            lent: usage.lent,
            borrowed: usage.borrowed,
            leaked: known.leaks.then_some(usage.leaked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::ledger::ScopeFlag;
    use crate::model::InputState;

    fn rows(c: &mut Cluster, most: usize) -> (Option<Vec<NodeFill>>, usize) {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        nodes(&snapshot, &ledger, &HashSet::new(), most)
    }

    #[test]
    fn the_biggest_nodes_come_first_and_the_others_are_counted() {
        let mut c = Cluster::healthy();
        c.workload("shop", "guest", "node-1", &["10.65.0.70"]);
        let (rows_all, more) = rows(&mut c, 10);
        let rows_all = rows_all.unwrap();
        let shown: Vec<_> = rows_all.iter().map(|n| (n.name.raw(), n.allocated, n.lent, n.borrowed)).collect();
        assert_eq!((shown, more), (vec![("node-2", 4, 1, 0), ("node-1", 3, 0, 1)], 0));
        let (first, more) = rows(&mut c, 1);
        assert_eq!((first.unwrap().len(), more), (1, 1));
    }

    #[test]
    fn what_was_not_read_is_not_known() {
        let mut c = Cluster::healthy();
        c.snapshot.coverage.set(Input::Pods, InputState::Forbidden, "");
        assert_eq!(rows(&mut c, 10).0.unwrap()[0].leaked, None);
        c.snapshot.coverage.set(Input::Blocks, InputState::Unreachable, "");
        assert_eq!(rows(&mut c, 10), (None, 0));
    }
}
