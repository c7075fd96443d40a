//! (under construction)

pub mod etcd_args;
