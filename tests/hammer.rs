//! The hammer: Calico, Kubernetes and etcd go on living while audits and releases run, and every step is put where it
//! hurts.
//!
//! Nothing waits for a lucky moment: a gate before etcd and one before the API server hold a request back until the
//! other writer has taken its next step (`gate.rs`, `play.rs`). Rounds are drawn from a seed; one that fails prints what
//! repeats it. `make hammer SECONDS=3600` runs as long as one likes, `cargo test` for two minutes at most.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_macros)]

mod calico;
mod servers;

#[path = "hammer/acts.rs"]
mod acts;
#[path = "hammer/budget.rs"]
mod budget;
#[path = "hammer/cluster.rs"]
mod cluster;
#[path = "hammer/gate.rs"]
mod gate;
#[path = "hammer/invariants.rs"]
mod invariants;
#[path = "hammer/kube.rs"]
mod kube;
#[path = "hammer/nodes.rs"]
mod nodes;
#[path = "hammer/play.rs"]
mod play;
#[path = "hammer/releases.rs"]
mod releases;
#[path = "hammer/restores.rs"]
mod restores;
#[path = "hammer/signs.rs"]
mod signs;
#[path = "hammer/windows.rs"]
mod windows;
