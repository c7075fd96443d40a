//! (under construction)
pub mod json_stream;
pub mod kube_objects;
