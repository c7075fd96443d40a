//! The flight recorder and repair kit for Calico IPAM: a command, and the library below it.
//!
//! What `ipaudit capture` saved is audited in ten lines:
//!
//! ```
//! use ipaudit::checks::{self, World};
//! use ipaudit::ledger::{Ledger, ScopeFlag};
//! use ipaudit::source::capture;
//!
//! let snapshot = capture::read("examples/incident-2017/capture.gz".as_ref())?.first;
//! let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
//! let audit = checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
//! for finding in audit.findings.iter().filter(|finding| finding.root.is_none()) {
//!     println!("{} {} {:?}", finding.severity, finding.code, finding.subject.id);
//! }
//! # assert!(audit.findings.iter().any(|f| f.code.to_string() == "IPA101" && f.subject.id == *"192.168.91.33"));
//! # assert!(audit.skipped.iter().all(|skipped| !skipped.incomplete));
//! # Ok::<(), ipaudit::error::Error>(())
//! ```
//!
//! # What others may build on
//!
//! The pure half: plain values, and functions from one to the next. No I/O, no clock, no async, no printing.
//!
//! | module | from | to |
//! |---|---|---|
//! | [`decode`] | etcd's keys and bytes, Kubernetes' objects | a [`model::Gathering`], and sorted a [`model::Snapshot`] |
//! | [`ledger`] | a snapshot | a [`ledger::Ledger`]: one row an address |
//! | [`checks`] | both, and the past ([`model::Past`]) | [`model::Finding`]s, and what was [skipped](checks::Skipped) |
//! | [`steady`] | findings of one look | what a second look must read, and which findings stand |
//! | [`judge`], [`plan`] | a snapshot, and a handle or an address | what a release would write, or why it may not |
//! | [`render`] | findings | a table, JSON, Markdown |
//!
//! A finding of one look is a suspicion where its check [is steady](checks::Check::is_steady): Kubernetes is read at
//! another moment than etcd, and Calico writes most things in two writes. [`source::capture`] reads both looks of a capture.
//!
//! # What the command is made of
//!
//! [`record`], [`who`], [`blocks`] and [`settings`] are pure as well. The outside world is touched at the edges alone ([`connect`],
//! [`source`], [`history`], [`apply`]), one file for one outside thing, and [`cli`] carries values between them. These
//! change without notice. ARCHITECTURE.md has the picture and two walks through it; `tests/layers.rs` holds the imports
//! to it.

pub mod apply;
pub mod blocks;
pub mod checks;
pub mod cli;
pub mod connect;
pub mod decode;
pub mod environment;
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
pub mod state;
pub mod steady;
pub mod who;

#[cfg(doctest)]
#[doc = include_str!("../tests/does_not_compile.md")]
mod does_not_compile {}
