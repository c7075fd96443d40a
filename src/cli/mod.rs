//! (under construction)
pub mod kube_args;
