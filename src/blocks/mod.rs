//! All blocks side by side: whose each is, how full, what is wrong in it, and who borrows from whom.
//!
//! A listing for people who know `calicoctl ipam show --show-blocks` and `--show-borrowed`. It judges nothing: the numbers
//! are the ledger's, a block's row is the dossier's, and what is wrong the checks have said.

mod answer;
mod listing;
mod make;
mod order;

pub use crate::who::Doubt;
pub use listing::{BlockFilter, BlockListing, BlockTotals, HiddenBlock, WrongPool};
pub use make::list;
pub use order::BlockOrder;

/// The name and version of the document's shape.
pub const SCHEMA: &str = "ipaudit/blocks/v1";
