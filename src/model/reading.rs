//! How an audit came to know what stands in etcd: by reading all of it, or only what changed since the last one.

use super::Foreign;
use super::foreign::foreign;
use super::word::words;

/// By what the keys were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadBy {
    /// Every key with its value.
    Full,
    /// A watch told what was written since the last audit.
    Watch,
    /// etcd listed its keys without their values; the values of those that changed were read.
    Listing,
    /// Nothing was written to etcd since the last audit.
    Unchanged,
}

words!(ReadBy { Full = "full", Watch = "watch", Listing = "listing", Unchanged = "unchanged" });

/// How the datastore was read. The findings are the same, whichever it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EtcdReading {
    pub by: ReadBy,
    /// Why it was read so: of a full read why nothing less would do.
    pub why: Foreign,
    /// The values that were decoded.
    pub decoded: u64,
}

impl EtcdReading {
    /// For people.
    pub fn sentence(&self) -> Foreign {
        let EtcdReading { by, why, decoded } = self;
        foreign!("etcd was read: {} ({}), {decoded} values", by.word(), why)
    }
}
