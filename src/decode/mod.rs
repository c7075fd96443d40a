//! (under construction)
pub mod kube;
pub mod kube_item;
pub mod kube_json;
pub mod kube_page;
pub mod kube_pb;
pub mod kube_pb_item;
