//! 5xx: workload endpoints.

mod common;

family! {
    "Workload endpoints"
    pub mod stale_endpoint;
    pub mod endpoint_on_other_node;
    pub mod twin_endpoints;
    pub mod interface_clash;
    pub mod pod_without_endpoint;
    pub mod endpoint_address_mismatch;
    pub mod duplicate_mac;
    pub mod endpoint_without_node;
}
