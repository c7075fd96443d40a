//! Where a command reads: etcd and Kubernetes. Whatever looks at a cluster takes these flags.

use clap::Args;

use super::etcd_args::EtcdArgs;
use super::kube_args::KubeArgs;

/// How both sides are reached.
#[derive(Args, Debug, Clone)]
pub struct SourceArgs {
    #[command(flatten)]
    pub etcd: EtcdArgs,

    #[command(flatten)]
    pub kube: KubeArgs,
}
