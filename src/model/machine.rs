//! What Kubernetes says of the machine behind a node, where somebody has to go there.

use super::word::words;

/// Whether it runs, as far as Kubernetes knows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum MachineNow {
    /// Its node is Ready, or nobody knows.
    Runs,
    NotReady,
    /// Kubernetes has no such node (any more); the machine may run all the same.
    Gone,
}

words!(MachineNow { Runs = "runs", NotReady = "not-ready", Gone = "gone" });
