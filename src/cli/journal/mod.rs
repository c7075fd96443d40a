//! What runs of `release` and `undo` have written, and what audits saw: the history, as both commands use it.

pub mod earlier;
pub mod list;
pub mod observed;
pub mod record;
