//! An AllocationBlock: who has which address of one CIDR (domain facts, section 2).

use super::usual::AllocatedTo;
use super::word::words;
use super::{Addr, Attribute, Cidr, Meta, Name, Names, Time};

/// Which kind of owner an affinity names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum HostKind {
    /// `host:<node>`: a node, by its Calico name.
    Host,
    /// `virtual:<name>`: Calico itself, as `virtual:load-balancer`.
    Virtual,
    /// Type `@` of an affinity's key.
    At,
}

words!(HostKind { Host = "host", Virtual = "virtual", At = "@" });

/// The owner that a block or an affinity names: `host:slave-140`, `virtual:load-balancer`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Host {
    pub kind: HostKind,
    /// Without the kind's prefix.
    pub name: Name,
}

/// A block, as its key and value say. Never trusted to be consistent: every index is checked by its reader.
#[derive(Clone, Debug)]
pub struct Block {
    pub meta: Meta,
    /// The CIDR of the key, host bits masked.
    pub cidr: Cidr,
    /// The key's bytes when they are not the canonical spelling of `cidr` (host bits, wrong family segment).
    pub odd_key: Option<Box<[u8]>>,
    /// The value's `cidr`; decoding requires one.
    pub value_cidr: Cidr,
    /// The value's `cidr` as written, when it is not the canonical spelling of `value_cidr`. With host bits set
    /// Calico counts ordinals from *that* address, so it is not the key's CIDR even when `value_cidr` is.
    pub odd_value_cidr: Option<Box<str>>,
    /// The value's `affinity`; `None` when null, absent or empty.
    pub affinity: Option<Host>,
    /// An `affinity` text of no known form (not `host:…` or `virtual:…`); names nobody.
    pub odd_affinity: Name,
    /// The deprecated `hostAffinity`, which nothing reads any more.
    pub host_affinity: Name,
    /// The deprecated `strictAffinity` of old blocks.
    pub strict_affinity: bool,
    /// One entry an ordinal: the index into `attributes`, or `None` for null. As long as the value's list,
    /// which need not be the block's size.
    pub allocations: AllocatedTo,
    /// The FIFO of free ordinals as written; may hold nonsense.
    pub unallocated: Box<[i32]>,
    /// `attributes[]` in the value's order; what no ordinal indexes stands here too.
    pub attributes: Box<[Attribute]>,
    /// `sequenceNumber`; absent in blocks of old versions.
    pub sequence: Option<u64>,
    /// `sequenceNumberForAllocation`, sorted by ordinal.
    pub allocation_sequences: Box<[(u32, u64)]>,
    /// `affinity_claim_time`.
    pub claimed_at: Option<Time>,
    /// `deleted: true`, which etcd's Calico neither sets nor reads: the block is live all the same.
    pub deleted: bool,
}

impl Block {
    /// How many addresses the block has by its key (never above 2^32; Calico allows up to 4,096).
    pub fn size(&self) -> u32 {
        u32::try_from(self.cidr.size()).unwrap_or(u32::MAX)
    }

    /// The attribute of `ordinal`: `None` when the ordinal is not allocated, `Some(None)` when its index
    /// leads nowhere (a broken block, IPA301).
    pub fn allocation(&self, ordinal: u32) -> Option<Option<&Attribute>> {
        let index = (*self.allocations.get(ordinal as usize)?)?;
        Some(usize::try_from(index).ok().and_then(|i| self.attributes.get(i)))
    }

    /// The block's number at the moment of this ordinal's allocation, when recorded.
    pub fn allocation_sequence(&self, ordinal: u32) -> Option<u64> {
        let at = self.allocation_sequences.binary_search_by_key(&ordinal, |(o, _)| *o).ok()?;
        Some(self.allocation_sequences[at].1)
    }

    /// The place (0 = next to be handed out) of `address` in the free queue, reserved ordinals counted.
    pub fn queue_place(&self, address: Addr) -> Option<usize> {
        let ordinal = i32::try_from(self.cidr.ordinal(address)?).ok()?;
        self.unallocated.iter().position(|&o| o == ordinal)
    }

    /// The allocated ordinals, in order: each with its attribute, `None` where the index leads nowhere.
    pub fn allocated(&self) -> impl Iterator<Item = (u32, Option<&Attribute>)> {
        let ordinals = self.allocations.iter().zip(0u32..).filter(|(slot, _)| slot.is_some());
        ordinals.map(|(_, ordinal)| (ordinal, self.allocation(ordinal).flatten()))
    }

    /// Whether Calico takes the block for empty: nothing in it but ordinals reserved for Windows. A cooling
    /// address is not yet free, so a block with one is not empty.
    pub fn is_empty(&self, names: &Names) -> bool {
        let windows = |attribute: &Attribute| attribute.handle.is_some_and(|handle| handle.is_windows(names));
        self.allocated().all(|(_, attribute)| attribute.is_some_and(windows))
    }
}
