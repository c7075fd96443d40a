//! 1xx: addresses.

pub mod duplicate_pod_address;
pub mod leaked_address;
