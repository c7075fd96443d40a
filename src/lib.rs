//! The flight recorder and repair kit for Calico IPAM.
//!
//! ```text
//!  etcd ─┐                                                                        ┌─ render ─> terminal, json
//!  kube ─┼─> source ─> SNAPSHOT ─> LEDGER ─> checks(snapshot, ledger, past) ─> FINDINGS ─┤
//!  file ─┘                ^                                    │                  └─ history (SQLite) ─> past
//!                         └────── second look (suspects) ──────┘
//! ```
//!
//! A snapshot, a ledger and findings are plain values, and everything between two of them is pure: no I/O,
//! no clock, no async, no printing. The outside world is touched at the edges alone ([`connect`], [`source`]),
//! one file for one outside thing. `tests/layers.rs` holds the imports to that.

pub mod apply;
pub mod checks;
pub mod cli;
pub mod connect;
pub mod decode;
pub mod error;
pub mod exit;
pub mod history;
pub mod judge;
pub mod ledger;
pub mod model;
pub mod plan;
pub mod record;
pub mod render;
pub mod settings;
pub mod source;
pub mod steady;
pub mod who;

#[cfg(doctest)]
#[doc = include_str!("../tests/does_not_compile.md")]
mod does_not_compile {}
