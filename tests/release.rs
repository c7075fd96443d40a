//! `ipaudit release` and `undo`: the binary, real etcd servers, and clients that write meanwhile.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calico;
mod servers;

#[path = "release/adversary.rs"]
mod adversary;
#[path = "release/again.rs"]
mod again;
#[path = "release/ages.rs"]
mod ages;
#[path = "release/alarms.rs"]
mod alarms;
#[path = "release/awaited.rs"]
mod awaited;
#[path = "release/bulk.rs"]
mod bulk;
#[path = "release/clocks.rs"]
mod clocks;
#[path = "release/contract.rs"]
mod contract;
#[path = "release/fake_kube.rs"]
mod fake_kube;
#[path = "release/files.rs"]
mod files;
#[path = "release/hostile.rs"]
mod hostile;
#[path = "release/identity.rs"]
mod identity;
#[path = "release/kills.rs"]
mod kills;
#[path = "release/morning.rs"]
mod morning;
#[path = "release/narrow.rs"]
mod narrow;
#[path = "release/nodes.rs"]
mod nodes;
#[path = "release/plain.rs"]
mod plain;
#[path = "release/processes.rs"]
mod processes;
#[path = "release/races.rs"]
mod races;
#[path = "release/real_kube.rs"]
mod real_kube;
#[path = "release/recorded.rs"]
mod recorded;
#[path = "release/restores.rs"]
mod restores;
#[path = "release/runs.rs"]
mod runs;
#[path = "release/same_life.rs"]
mod same_life;
#[path = "release/soak.rs"]
mod soak;
#[path = "release/stops.rs"]
mod stops;
#[path = "release/terminal.rs"]
mod terminal;
#[path = "release/two_people.rs"]
mod two_people;
#[path = "release/waits.rs"]
mod waits;
#[path = "release/whose.rs"]
mod whose;
#[path = "release/world.rs"]
mod world;
