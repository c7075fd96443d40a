//! What a release or an undo would write, or why it may not: pure values, nothing is done here.
//!
//! The rule above all others is *refuse unless proven*. The parts: [`json`], [`block`] and [`handle`] edit a few
//! bytes of a value and keep all others; [`verify`] reads the result again; [`circumstances`], [`gates`] and [`rules`]
//! are the ten rules of a release, each a function of plain values ([`recurring`]: for handles whose id comes again); [`release`], [`orphans`] and [`undo`] make etcd
//! transactions of fresh bytes; [`confirm::Plan`] carries what people are shown, and [`confirm::Confirmed`] is the only way
//! from there to a write; [`outcome`] says what it came to. Nothing here may know of a connection, a clock or a file.

pub mod block;
pub mod circumstances;
pub mod confirm;
pub mod diff;
pub mod fresh;
pub mod gates;
pub mod handle;
pub mod json;
pub mod orphans;
pub mod outcome;
pub mod recurring;
pub mod release;
pub mod rules;
#[cfg(test)]
mod testing;
pub mod transaction;
pub mod undo;
pub mod verify;
