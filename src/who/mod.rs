//! Everything that is known of one address, handle, pod, node, MAC or interface, as one plain value.
//!
//! What `ipaudit who` answers from: the first line, then now (every source side by side), then before. Pure: a
//! [`Dossier`] comes from a snapshot's ledger and the checks' findings; what the history and etcd's old revisions say
//! is brought by the caller as plain values. Nothing here judges anew: what is wrong are the checks' findings.

mod answer;
mod asked;
mod before;
mod block;
mod concern;
mod deep;
mod dossier;
pub mod freed;
mod kernel;
mod meant;
mod now;
mod place;
mod sheets;
mod unread;
mod word;
mod wrong;

pub use asked::{Asked, Guess, guesses};
pub use before::{Before, PoolBefore};
pub use block::{occupant, range, usage};
pub use deep::{block_says, handle_says, trail};
pub use dossier::{
    AddressSheet, AllocationSheet, BlockSheet, BlockUsage, Claimed, CountRow, Deep, DeepStep, Dossier, EndpointSheet,
    GatewaySheet, HandleSheet, HeldBy, HolderKind, KernelSheet, Match, MatchKind, NodeKernelSheet, NodeSheet, Occupant,
    PodSheet, RangeKind, RangeSheet, SCHEMA, WrongInBlock, tell_brief,
};
pub use now::{about, now, offline};
pub use place::{AskedPlace, Doubt};
pub use unread::{below, said as what_was_not_read, unread};
pub use word::{Word, WordKind};
pub use wrong::tell as tell_what_is_wrong;
