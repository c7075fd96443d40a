//! Reading Kubernetes from a server of ours that does what a real one does on bad days only.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "servers/http1.rs"]
mod http1;

#[path = "kube_fake/kubeconfig.rs"]
mod kubeconfig;
#[path = "kube_fake/reading.rs"]
mod reading;
#[path = "kube_fake/second_look.rs"]
mod second_look;
#[path = "kube_fake/server.rs"]
mod server;
