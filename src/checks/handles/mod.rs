//! 2xx: handles against blocks. Judged whoever owns them: they are the datastore itself.

mod common;

family! {
    "Handles"
    pub mod orphaned_handle;
    pub mod handle_overcount;
    pub mod handle_undercount;
    pub mod missing_handle;
    pub mod malformed_handle_id;
    pub mod tunnel_handle_count;
    pub mod deleted_flag;
    pub mod vm_handle_blocks_vm;
}
