//! What etcd says about a key beside its value.

/// The revisions of one key and a hash of its value: what "steady" and the fork test compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Meta {
    /// The revision at which the key was created; 0 where the source has no revisions.
    pub create_revision: i64,
    /// The revision of its last write; 0 where the source has no revisions.
    pub mod_revision: i64,
    /// How often it was written since its creation.
    pub version: i64,
    /// [`hash64`](super::finding::hash64) of the value's bytes; 0: not known, as of a value that does not decode.
    pub value_hash: u64,
}
