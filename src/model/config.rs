//! The settings that decide how Calico hands out and takes back addresses (domain facts, section 1).

use std::time::Duration;

use super::{Meta, Name};

/// `/calico/ipam/v2/config`. [`Default`] is what an absent key means.
#[derive(Clone, Debug)]
pub struct IpamConfig {
    /// `None`: the key is absent.
    pub meta: Option<Meta>,
    /// No node borrows from a block of another one.
    pub strict_affinity: bool,
    /// True when the key is absent, **false** when the key is present without the field.
    pub auto_allocate_blocks: bool,
    /// 0 stands for Calico's default of 20.
    pub max_blocks_per_host: i64,
    /// Seconds; 0 or less: no cooldown.
    pub cooldown_seconds: i64,
}

impl Default for IpamConfig {
    fn default() -> IpamConfig {
        IpamConfig {
            meta: None,
            strict_affinity: false,
            auto_allocate_blocks: true,
            max_blocks_per_host: 0,
            cooldown_seconds: 0,
        }
    }
}

impl IpamConfig {
    /// How long a released address cools down; zero when it does not.
    pub fn cooldown(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.cooldown_seconds).unwrap_or(0))
    }
}

/// `ipamconfigurations/default`: almost the same thing under another key; `None` = the field is absent.
#[derive(Clone, Debug, Default)]
pub struct IpamConfigResource {
    /// `None`: the object is absent.
    pub meta: Option<Meta>,
    pub strict_affinity: Option<bool>,
    pub auto_allocate_blocks: Option<bool>,
    pub max_blocks_per_host: Option<i64>,
    /// Seconds.
    pub cooldown_seconds: Option<i64>,
    /// `kubeVirtVMAddressPersistence`; [`Name::NONE`] when absent.
    pub vm_address_persistence: Name,
}

/// `clusterinformations/default`.
#[derive(Clone, Debug, Default)]
pub struct ClusterInformation {
    /// `None`: the object is absent, and with it the datastore's name.
    pub meta: Option<Meta>,
    /// `spec.clusterGUID`: names the datastore, not the Kubernetes cluster.
    pub guid: Name,
    /// `spec.calicoVersion` as written: see [`super::Version::parse`]; [`Name::NONE`] when absent.
    pub calico_version: Name,
    /// `spec.datastoreReady`; anything but `Some(true)` locks the datastore.
    pub ready: Option<bool>,
}

/// `spec.controllers.loadBalancer.assignIPs`: whose services Calico manages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadBalancerMode {
    AllServices,
    RequestedServicesOnly,
}

/// `kubecontrollersconfigurations/default`.
#[derive(Clone, Debug, Default)]
pub struct KubeControllers {
    /// `None`: the object is absent.
    pub meta: Option<Meta>,
    /// `spec.controllers.node.leakGracePeriod`; `None` when absent (15 minutes).
    pub leak_grace: Option<Duration>,
    /// `None` when there is no LoadBalancer controller in it.
    pub load_balancer: Option<LoadBalancerMode>,
}

impl KubeControllers {
    /// The grace that we judge by: "0s" switches the collector off and counts as the default for us.
    pub fn grace(&self) -> Duration {
        self.leak_grace.filter(|g| !g.is_zero()).unwrap_or(Duration::from_secs(15 * 60))
    }
}
