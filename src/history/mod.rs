//! The history: one SQLite file that remembers what no single audit can know.
//!
//! Since when, how often, who before. One audit is one transaction; only changes are written; what nobody read closes
//! nothing. Plain values come in ([`crate::model::record`]) and go out ([`query`], [`crate::model::Past`]); nothing
//! here judges, prints or knows of etcd or Kubernetes. Secrets never get here: what is written are names, addresses,
//! revisions, hashes, and the values of blocks, handles and endpoints that a release changes.

mod access;
mod check;
mod column;
pub mod export;
mod failed;
mod keeper;
mod kill;
mod migrate;
mod mode;
mod open;
mod own;
mod pair;
mod past;
mod prune;
pub mod query;
pub mod release;
mod rest;
mod rows;
mod schema1;
mod share;
mod state;
pub mod tight;
mod timeline;
mod trouble;
pub mod turn;
mod tx;
mod write;

pub use access::{access, no_place};
pub use keeper::Keeper;
pub use mode::Journal;
pub use open::{Db, PATIENCE, ToRead, ToWrite, default_path};
pub use own::is_of_the_history;
pub use prune::Pruned;
pub use state::{LeftFile, forget_left, left_path, read_left, write_left, write_over};
pub use tx::ReadTx;
pub use write::{Stale, Writing};
