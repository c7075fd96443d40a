//! 1xx: addresses.

family! {
    "Addresses"
    pub mod duplicate_pod_address;
    pub mod duplicate_endpoint_address;
    pub mod duplicate_tunnel_address;
    pub mod address_allocated_twice;
    pub mod leaked_address;
    pub mod leaked_tunnel_address;
    pub mod leaked_service_address;
    pub mod unattributed_allocation;
    pub mod cooldown_overdue;
    pub mod tunnel_address_unallocated;
    pub mod service_address_unallocated;
    pub mod floating_address_collision;
    pub mod surplus_service_address;
    pub mod unallocated_address_in_use;
    pub mod address_outside_pools;
    pub mod reserved_address_allocated;
    pub mod owner_mismatch;
    pub mod container_mismatch;
    pub mod node_mismatch;
    pub mod address_awaited;
}
