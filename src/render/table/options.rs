//! How the table is wanted.

/// How to show it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    pub color: bool,
    /// Columns; less than 60 counts as 60.
    pub width: usize,
    /// Every finding on its own, the explained ones too.
    pub all: bool,
    /// Findings and what was not checked; no head, no pools, no summary.
    pub quiet: bool,
    /// Pools in full, and the biggest nodes, in place of a line a pool.
    pub capacity: bool,
}

impl Options {
    /// The width when nobody knows it.
    pub const WIDTH: usize = 100;
}

impl Default for Options {
    fn default() -> Options {
        Options { color: false, width: Options::WIDTH, all: false, quiet: false, capacity: false }
    }
}
