//! Settings that come as single objects, and host endpoints (domain facts, section 1).

use super::json::{Bad, Text, given, object};
use super::{Kv, values};
use crate::model::{
    ClusterInformation, HostEndpoint, IpamConfig, IpamConfigResource, KubeControllers, LoadBalancerMode, Names,
};

object! {
    [fold serde::de::IgnoredAny] struct RawIpamConfig<'a> {
        strict_affinity: bool = "strict_affinity",
        auto_allocate_blocks: bool = "auto_allocate_blocks",
        max_blocks_per_host: i64 = "maxBlocksPerHost",
        cooldown_seconds: i64 = "ipCooldownSeconds",
    }
}

/// `/calico/ipam/v2/config`; a field that is absent is Go's zero, also `auto_allocate_blocks`.
pub(super) fn decode_ipam_config(kv: &Kv<'_>) -> Result<IpamConfig, Bad> {
    let raw: RawIpamConfig<'_> = super::json::parse(kv.value)?;
    Ok(IpamConfig {
        meta: Some(kv.meta()),
        strict_affinity: raw.strict_affinity.unwrap_or_default(),
        auto_allocate_blocks: raw.auto_allocate_blocks.unwrap_or_default(),
        max_blocks_per_host: raw.max_blocks_per_host.unwrap_or_default(),
        cooldown_seconds: raw.cooldown_seconds.unwrap_or_default(),
    })
}

object! {
    [fold serde::de::IgnoredAny] struct RawIpamConfiguration<'a> {
        spec: RawIpamConfigurationSpec<'a> = "spec",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawIpamConfigurationSpec<'a> {
        strict_affinity: bool = "strictAffinity",
        auto_allocate_blocks: bool = "autoAllocateBlocks",
        max_blocks_per_host: i64 = "maxBlocksPerHost",
        cooldown_seconds: i64 = "ipCooldownSeconds",
        vm_address_persistence: Text<'a> = "kubeVirtVMAddressPersistence",
    }
}

/// `ipamconfigurations/default`.
pub(super) fn decode_ipam_configuration(names: &mut Names, kv: &Kv<'_>) -> Result<IpamConfigResource, Bad> {
    let raw: RawIpamConfiguration<'_> = super::json::parse(kv.value)?;
    let spec = raw.spec.unwrap_or_default();
    Ok(IpamConfigResource {
        meta: Some(kv.meta()),
        strict_affinity: spec.strict_affinity,
        auto_allocate_blocks: spec.auto_allocate_blocks,
        max_blocks_per_host: spec.max_blocks_per_host,
        cooldown_seconds: spec.cooldown_seconds,
        vm_address_persistence: names.intern(given(&spec.vm_address_persistence).unwrap_or_default()),
    })
}

object! {
    [fold serde::de::IgnoredAny] struct RawCluster<'a> {
        spec: RawClusterSpec<'a> = "spec",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawClusterSpec<'a> {
        guid: Text<'a> = "clusterGUID",
        version: Text<'a> = "calicoVersion",
        ready: bool = "datastoreReady",
    }
}

/// `clusterinformations/default`.
pub(super) fn decode_cluster(names: &mut Names, kv: &Kv<'_>) -> Result<ClusterInformation, Bad> {
    let raw: RawCluster<'_> = super::json::parse(kv.value)?;
    let spec = raw.spec.unwrap_or_default();
    Ok(ClusterInformation {
        meta: Some(kv.meta()),
        guid: names.intern(given(&spec.guid).unwrap_or_default()),
        calico_version: names.intern(given(&spec.version).unwrap_or_default()),
        ready: spec.ready,
    })
}

object! {
    [fold serde::de::IgnoredAny] struct RawControllers<'a> {
        spec: RawControllersSpec<'a> = "spec",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawControllersSpec<'a> {
        controllers: RawControllerList<'a> = "controllers",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawControllerList<'a> {
        node: RawNodeController<'a> = "node",
        load_balancer: RawLoadBalancer<'a> = "loadBalancer",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawNodeController<'a> {
        grace: Text<'a> = "leakGracePeriod",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawLoadBalancer<'a> {
        assign: Text<'a> = "assignIPs",
    }
}

/// `kubecontrollersconfigurations/default`.
pub(super) fn decode_kube_controllers(kv: &Kv<'_>) -> Result<KubeControllers, Bad> {
    const GRACE: &str = "spec: controllers: node: leakGracePeriod";
    let raw: RawControllers<'_> = super::json::parse(kv.value)?;
    let controllers = raw.spec.unwrap_or_default().controllers.unwrap_or_default();
    let grace = controllers.node.unwrap_or_default().grace;
    let leak_grace = match given(&grace) {
        None => None,
        Some(text) => Some(values::duration(text).ok_or_else(|| Bad::text(kv.value, GRACE, text, "duration"))?),
    };
    Ok(KubeControllers {
        meta: Some(kv.meta()),
        leak_grace,
        // An absent word means AllServices. One that we do not know is taken for the mode that claims fewer services.
        load_balancer: controllers.load_balancer.map(|controller| match given(&controller.assign) {
            None | Some("AllServices") => LoadBalancerMode::AllServices,
            Some(_) => LoadBalancerMode::RequestedServicesOnly,
        }),
    })
}

object! {
    [fold serde::de::IgnoredAny] struct RawHostEndpoint<'a> {
        spec: RawHostEndpointSpec<'a> = "spec",
    }
}

object! {
    [fold serde::de::IgnoredAny] struct RawHostEndpointSpec<'a> {
        addresses: Vec<Option<Text<'a>>> = "expectedIPs",
    }
}

/// The host endpoint of a key with this name.
pub(super) fn decode_host_endpoint(names: &mut Names, kv: &Kv<'_>, name: &str) -> Result<HostEndpoint, Bad> {
    let raw: RawHostEndpoint<'_> = super::json::parse(kv.value)?;
    let list = raw.spec.unwrap_or_default().addresses.unwrap_or_default();
    let addresses = values::addresses(kv.value, "spec: expectedIPs", &list)?;
    Ok(HostEndpoint { meta: kv.meta(), name: names.intern(name), addresses })
}
