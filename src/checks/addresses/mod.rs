//! 1xx: addresses.

pub mod address_allocated_twice;
pub mod cooldown_overdue;
pub mod duplicate_endpoint_address;
pub mod container_mismatch;
pub mod duplicate_pod_address;
pub mod duplicate_tunnel_address;
pub mod leaked_address;
pub mod leaked_service_address;
pub mod leaked_tunnel_address;
pub mod service_address_unallocated;
pub mod tunnel_address_unallocated;
pub mod unattributed_allocation;
pub mod node_mismatch;
pub mod owner_mismatch;
pub mod unallocated_address_in_use;
