//! What a history is opened for, and how its journal is kept.

/// How SQLite keeps its journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Journal {
    /// Readers never wait. Needs shared memory: not for network volumes.
    #[default]
    Wal,
    /// For network volumes (NFS, ReadWriteMany): one writer, no shared memory.
    Truncate,
}

impl Journal {
    /// SQLite's word.
    pub const fn word(self) -> &'static str {
        match self {
            Journal::Wal => "wal",
            Journal::Truncate => "truncate",
        }
    }
}

/// What the file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Write,
    Read,
}
