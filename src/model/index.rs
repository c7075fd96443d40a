//! By what the tables of the past find an allocation's owners and a pod's address: the hash of a row's own texts.
//!
//! No rows, but views of one that borrow. An audit of a big cluster makes hundreds of thousands of them, from the
//! ledger and from the file alike, and all that it keeps of one is the hash; a row is made for what changed alone.

use super::finding::Parts;
use super::row::AllocationRow;
use super::{Addr, Cidr, Foreign, Time};

/// Whose an allocation is, as far as the history keeps it: an allocation of the same tuple whose owners changed begins
/// another row.
#[derive(Clone, Copy, Debug)]
pub struct OwnedBy<'a> {
    pub block: Cidr,
    /// The word of a [`super::Use`].
    pub used_for: &'a str,
    /// `owner.node`, Calico's name.
    pub node: Option<&'a str>,
    /// Of the owner's pod or service.
    pub namespace: Option<&'a str>,
    pub pod: Option<&'a str>,
    /// When the owner says that it was given to him.
    pub allocated: Option<Time>,
    /// JSON: whatever else the owner's attributes say.
    pub more: Option<&'a str>,
}

impl OwnedBy<'_> {
    /// The number by which a change is noticed, made from what stands in the row.
    pub fn hash(&self) -> u64 {
        let block = Parts::new().wide(self.block.first().bits()).number(self.block.prefix());
        let whose = block.text(self.used_for).given(self.node).given(self.namespace).given(self.pod);
        whose.number(self.allocated.map_or(i128::MIN, |t| t.0.into())).given(self.more).hash64()
    }
}

impl<'a> From<&'a AllocationRow> for OwnedBy<'a> {
    fn from(row: &'a AllocationRow) -> OwnedBy<'a> {
        OwnedBy {
            block: row.block,
            used_for: row.used_for.raw(),
            node: row.node.as_ref().map(Foreign::raw),
            namespace: row.namespace.as_ref().map(Foreign::raw),
            pod: row.pod.as_ref().map(Foreign::raw),
            allocated: row.allocated,
            more: row.more.as_ref().map(Foreign::raw),
        }
    }
}

/// What names a pod's address through time.
#[derive(Clone, Copy, Debug)]
pub struct PodAddress<'a> {
    pub address: Addr,
    /// The bytes of a UUID, or the text of any other UID.
    pub uid: &'a [u8],
    pub namespace: &'a str,
    pub pod: &'a str,
    /// Kubernetes' name.
    pub node: &'a str,
    /// The word of a [`super::Grade`].
    pub grade: &'a str,
}

impl PodAddress<'_> {
    /// By what a table in memory finds it.
    pub fn index(&self) -> u128 {
        let pod = Parts::new().wide(self.address.bits()).text(self.uid).text(self.namespace).text(self.pod);
        pod.text(self.node).text(self.grade).hash128()
    }
}
