//! Audits that read only what changed since the last one: what they find is what a full read at the same revision finds,
//! and whatever is in doubt is read in full.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_macros)]

#[path = "../benches/generator/mod.rs"]
mod generator;
mod servers;

#[path = "changes/counting.rs"]
mod counting;
#[path = "changes/doubts.rs"]
mod doubts;
#[path = "changes/drawn.rs"]
mod drawn;
#[path = "changes/left_names.rs"]
mod left_names;
#[path = "changes/seen.rs"]
mod seen;
#[path = "changes/world.rs"]
mod world;
