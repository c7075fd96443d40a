//! The ways out: to etcd and to Kubernetes' API.
//!
//! What a user may say about a connection is gathered in [`settings`] by [`choose`] (pure over flags, environment
//! and file, so that precedence can be tested), turned into certificates by [`tls`] and endpoints by
//! [`srv`], and held open by [`etcd::Connection`]; Kubernetes' own order of places is in [`kube`], the
//! proxy before it in [`proxy`], and the end of a program that does not give its credentials in [`plugin`], also by a signal
//! ([`ear`]). Nothing
//! here knows what the keys mean, and no secret may leave it: not in an error, not in `Debug`, not in a log.

pub mod calicoctl;
pub mod choose;
mod common_name;
pub mod ear;
mod endpoint;
pub mod etcd;
pub mod kube;
pub mod kube_trouble;
pub mod plugin;
mod plugin_words;
pub mod proxy;
pub mod settings;
#[cfg(feature = "srv")]
pub mod srv;
pub mod tls;
pub mod trouble;
mod unreached;
