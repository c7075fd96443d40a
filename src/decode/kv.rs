//! One key and its value, as etcd gives them.

use crate::model::Meta;
use crate::model::finding::hash64;

/// One key of etcd, borrowed from the answer.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
}

impl Kv<'_> {
    /// What everything that is read keeps of its key.
    pub(super) fn meta(&self) -> Meta {
        Meta {
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            value_hash: hash64(self.value),
        }
    }
}
