//! What a release, an undo and the list of them show: [`words`] is the one table of their sentences, [`plan`] a plan
//! and [`outcome`] what became of it for people, [`document`] both for programs, [`list`] the releases of the past.

pub mod document;
pub mod list;
pub mod outcome;
pub mod plan;
pub mod words;
