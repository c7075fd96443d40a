//! What a history is opened for, and how its journal is kept.

use crate::model::word::words;

/// How SQLite keeps its journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Journal {
    /// Readers never wait. Needs shared memory: not for network volumes.
    #[default]
    Wal,
    /// For network volumes (NFS, ReadWriteMany): one writer, no shared memory.
    Truncate,
}

words!(Journal { Wal = "wal", Truncate = "truncate" });

/// What the file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Write,
    Read,
}
