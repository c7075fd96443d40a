//! The etcd edge against real servers of both ends of what Calico clusters run: 3.4 and 3.7.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod etcd_edge;
mod servers;
