//! Rows of the history that an audit is compared with, and that it adds.

/// A node's state: equal ones are one.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct NodeRow {
    pub calico: Option<String>,
    pub kubernetes: Option<String>,
    pub ours: bool,
    pub present: bool,
    pub boot_id: Option<String>,
    pub ready: Option<bool>,
    /// Separated by blanks.
    pub addresses: String,
}

/// A pool's capacity that is another one than before; numbers of addresses end at 2^63 - 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CapacityRow {
    pub pool: String,
    pub cidr: String,
    /// Addresses, allocated, in use, leaked, cooling, reserved, free, blocks, free blocks.
    pub numbers: [i64; 9],
    pub gone: bool,
}
