//! From plain values to text: what an audit found, for people and for programs, and the manual of the checks.
//!
//! One file a format; all of them show the same [`AuditView`] and write to any `Write`. Renderers decide nothing:
//! what is wrong is the checks' to say, the exit code [`crate::exit`]'s. Foreign names come out escaped
//! ([`Foreign::shown`](crate::model::Foreign::shown)); [`guard`] stands behind them all. Nothing here asks a clock, a
//! terminal or the environment.

pub mod access;
pub mod age;
pub mod blocks;
mod capacity;
mod commands;
mod folds;
mod grid;
pub mod guard;
pub mod json;
pub mod manual;
mod narrow;
mod nodes_again;
mod number;
mod places;
mod pod_sets;
pub mod release;
mod releases;
pub mod report;
pub mod sarif;
pub mod table;
mod unknown;
mod verdict;
mod view;
pub mod who;
pub mod wide;
pub mod yaml;

pub use capacity::{BlockFates, NodeFill, PoolRow};
pub use folds::unconfirmed;
pub use narrow::Narrow;
pub use nodes_again::NodesAgain;
pub use releases::{Releases, older_than};
pub use unknown::UnknownName;
pub use verdict::{Sentence, Tone, verdict};
pub use view::{
    AuditCircumstances, AuditHead, AuditView, ClusterRow, Counts, HistoryRow, InputRow, OutsideRow, leaked,
};
