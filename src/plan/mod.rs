//! What a release or an undo would write, or why it may not: pure values, nothing is done here.
//!
//! The rule above all others is *refuse unless proven*. The parts: [`json`], [`block`] and [`handle`] edit a few
//! bytes of a value and keep all others; [`verify`] reads the result again; [`circumstances`] are what the rules of a
//! release judge by, [`rules`] the functions of them (rule 2 is `judge::gates`), [`refusal`] what they say against it, [`waiting`]
//! when that may end;
//! [`release`], [`orphans`] and [`undo`] make etcd transactions of fresh bytes; [`confirm::Plan`] carries what people are
//! shown, and [`confirm::Confirmed`] is the only way from there to a write; [`outcome`] says what it came to;
//! [`mod@file`] is a plan that another one carries out. Nothing here
//! may know of a connection, a clock or a file.

pub mod block;
pub mod circumstances;
pub mod confirm;
pub mod diff;
pub mod file;
pub mod fresh;
pub mod handle;
pub mod json;
pub mod orphans;
pub mod outcome;
pub mod refusal;
pub mod release;
pub mod rules;
#[cfg(test)]
pub(crate) mod testing;
pub mod transaction;
pub mod undo;
pub mod verify;
pub mod waiting;
