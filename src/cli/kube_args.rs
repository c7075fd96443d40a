//! How Kubernetes is found: flags and their environment variables.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::connect::kube::KubeSettings;
use crate::source::kube_api::Patience;

/// Flags of every command that reads Kubernetes.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Kubernetes")]
pub struct KubeArgs {
    /// Kubeconfig file [default: KUBECONFIG, the pod's own account, ~/.kube/config]
    #[arg(long, value_name = "FILE", env = "IPAUDIT_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig [default: its current context]
    #[arg(long, value_name = "NAME", env = "IPAUDIT_CONTEXT")]
    pub context: Option<String>,

    /// Read pods, nodes, services and namespaces from files instead of the API
    ///
    /// What `kubectl get pods,nodes,services,namespaces -A -o json` prints, also gzip; - is standard input. May be given several times
    /// or with commas. A kind of which the files hold nothing is not checked; an empty cluster is said with
    /// an empty typed list: {"kind":"PodList","apiVersion":"v1","items":[]}
    #[arg(long, value_name = "FILE", env = "IPAUDIT_KUBE_OBJECTS", value_delimiter = ',')]
    pub kube_objects: Vec<PathBuf>,

    /// How long one request to Kubernetes may take; all of them together ten times as long
    #[arg(
        long,
        value_name = "DURATION",
        env = "IPAUDIT_KUBE_TIMEOUT",
        default_value = "30s",
        value_parser = humantime::parse_duration
    )]
    pub kube_timeout: Duration,

    /// Objects a page
    #[arg(long, value_name = "N", env = "IPAUDIT_KUBE_PAGE", default_value_t = 1000, hide = true,
        value_parser = clap::value_parser!(u32).range(1..=5000))]
    pub kube_page: u32,
}

impl KubeArgs {
    /// How patiently and in what pieces the API is read.
    pub fn patience(&self) -> Patience {
        Patience { page: self.kube_page, ..Patience::with_timeout(self.kube_timeout) }
    }

    /// What they say about the connection.
    pub fn settings(&self) -> KubeSettings {
        KubeSettings { kubeconfig: self.kubeconfig.clone(), context: self.context.clone(), timeout: self.kube_timeout }
    }
}
