//! One key and its value, as etcd gives them.

use crate::model::Meta;
use crate::model::finding::hash64;

/// One key of etcd, borrowed from the answer.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a> {
    /// The whole key, `/calico/…`.
    pub key: &'a [u8],
    /// As stored: not yet looked into.
    pub value: &'a [u8],
    /// Revisions of etcd; 0 where the source has none.
    pub create_revision: i64,
    pub mod_revision: i64,
    /// How often it was written since its creation.
    pub version: i64,
}

impl Kv<'_> {
    /// What everything that is read keeps of its key.
    pub fn meta(&self) -> Meta {
        Meta {
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            value_hash: hash64(self.value),
        }
    }
}
