//! What a release, an undo and the list of them show: [`words`] and [`notes`] are the one table of their
//! sentences, [`plan`] a plan,
//! `reasons` what it refuses, by reason, `by_hand` what cures that which no release takes, `sandboxes` what to make
//! sure of on its nodes, and [`outcome`] what became of it for people, [`document`] both for programs, [`list`] the
//! releases of the past ([`asked`]: what they were asked for).

pub mod asked;
mod by_hand;
pub mod document;
pub mod list;
pub mod notes;
pub mod outcome;
pub mod plan;
mod reasons;
mod sandboxes;
pub mod words;
mod wrap;
