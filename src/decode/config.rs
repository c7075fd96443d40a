//! Settings that come as single objects, and host endpoints (domain facts, section 1).

use super::json::{Bad, GoString, given, object};
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
    [fold serde::de::IgnoredAny] struct RawIpamConfigurationSpec<'a> {
        strict_affinity: bool = "strictAffinity",
        auto_allocate_blocks: bool = "autoAllocateBlocks",
        max_blocks_per_host: i64 = "maxBlocksPerHost",
        cooldown_seconds: i64 = "ipCooldownSeconds",
        vm_address_persistence: GoString<'a> = "kubeVirtVMAddressPersistence",
    }
}

/// `ipamconfigurations/default`.
pub(super) fn decode_ipam_configuration(names: &mut Names, kv: &Kv<'_>) -> Result<IpamConfigResource, Bad> {
    let spec: RawIpamConfigurationSpec<'_> = super::json::spec(kv.value)?;
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
    [fold serde::de::IgnoredAny] struct RawClusterSpec<'a> {
        guid: GoString<'a> = "clusterGUID",
        version: GoString<'a> = "calicoVersion",
        ready: bool = "datastoreReady",
    }
}

/// `clusterinformations/default`.
pub(super) fn decode_cluster(names: &mut Names, kv: &Kv<'_>) -> Result<ClusterInformation, Bad> {
    let spec: RawClusterSpec<'_> = super::json::spec(kv.value)?;
    Ok(ClusterInformation {
        meta: Some(kv.meta()),
        guid: names.intern(given(&spec.guid).unwrap_or_default()),
        calico_version: names.intern(given(&spec.version).unwrap_or_default()),
        ready: spec.ready,
    })
}

object! {
    [fold serde::de::IgnoredAny] struct RawControllersSpec<'a> {
        controllers: RawControllerList<'a> = "controllers",
    }

    [fold serde::de::IgnoredAny] struct RawControllerList<'a> {
        node: RawNodeController<'a> = "node",
        load_balancer: RawLoadBalancer<'a> = "loadBalancer",
    }

    [fold serde::de::IgnoredAny] struct RawNodeController<'a> {
        grace: GoString<'a> = "leakGracePeriod",
    }

    [fold serde::de::IgnoredAny] struct RawLoadBalancer<'a> {
        assign: GoString<'a> = "assignIPs",
    }
}

/// `kubecontrollersconfigurations/default`.
pub(super) fn decode_kube_controllers(kv: &Kv<'_>) -> Result<KubeControllers, Bad> {
    const GRACE: &str = "spec: controllers: node: leakGracePeriod";
    let spec: RawControllersSpec<'_> = super::json::spec(kv.value)?;
    let controllers = spec.controllers.unwrap_or_default();
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
    [fold serde::de::IgnoredAny] struct RawHostEndpointSpec<'a> {
        addresses: Vec<Option<GoString<'a>>> = "expectedIPs",
    }
}

/// The host endpoint of a key with this name.
pub(super) fn decode_host_endpoint(names: &mut Names, kv: &Kv<'_>, name: &str) -> Result<HostEndpoint, Bad> {
    let spec: RawHostEndpointSpec<'_> = super::json::spec(kv.value)?;
    let addresses = values::addresses(kv.value, "spec: expectedIPs", &spec.addresses.unwrap_or_default())?;
    Ok(HostEndpoint { meta: kv.meta(), name: names.intern(name), addresses })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::decode::keys::*;
    use crate::decode::testing::{bad, snapshot};
    use crate::model::LoadBalancerMode;
    use crate::model::snapshot::Dark;
    use crate::model::{Gathering, Input};

    fn one(key: &str, value: &str) -> Gathering {
        let snapshot = snapshot(&[(key, value)]);
        assert!(snapshot.bad_values.is_empty(), "{:?}", snapshot.bad_values);
        snapshot
    }

    #[test]
    fn a_present_key_without_a_field_is_not_an_absent_key() {
        assert!(Gathering::default().ipam_config.auto_allocate_blocks);
        let bare = one(IPAM_CONFIG, "{}").ipam_config;
        assert!(!bare.auto_allocate_blocks && bare.meta.is_some());
        let full =
            r#"{"strict_affinity":true,"auto_allocate_blocks":true,"maxBlocksPerHost":7,"ipCooldownSeconds":-1}"#;
        let full = one(IPAM_CONFIG, full).ipam_config;
        assert!(full.strict_affinity && full.auto_allocate_blocks);
        assert_eq!((full.max_blocks_per_host, full.cooldown_seconds), (7, -1));
    }

    #[test]
    fn the_other_configuration_keeps_what_is_absent_apart() {
        let value =
            r#"{"spec":{"strictAffinity":false,"maxBlocksPerHost":0,"kubeVirtVMAddressPersistence":"Enabled"}}"#;
        let snapshot = one(IPAM_CONFIGURATION, value);
        let config = &snapshot.ipam_config_resource;
        assert_eq!((config.strict_affinity, config.auto_allocate_blocks), (Some(false), None));
        assert_eq!((config.max_blocks_per_host, config.cooldown_seconds), (Some(0), None));
        assert_eq!(snapshot.text(config.vm_address_persistence), "Enabled");
    }

    #[test]
    fn the_datastores_name_and_lock() {
        let value = r#"{"spec":{"clusterGUID":"de65","calicoVersion":"v3.30.0","datastoreReady":true}}"#;
        let snapshot = one(CLUSTER_INFORMATION, value);
        assert_eq!((snapshot.guid(), snapshot.cluster.ready), ("de65", Some(true)));
        assert_eq!(snapshot.text(snapshot.cluster.calico_version), "v3.30.0");
        for value in ["{}", r#"{"spec":null}"#, r#"{"spec":{"datastoreReady":null}}"#] {
            let cluster = one(CLUSTER_INFORMATION, value).cluster;
            assert!(cluster.meta.is_some() && cluster.ready.is_none() && cluster.guid.is_none(), "{value}");
        }
    }

    #[test]
    fn the_controllers_settings() {
        let controllers =
            |text: &str| one(KUBE_CONTROLLERS, &format!(r#"{{"spec":{{"controllers":{{{text}}}}}}}"#)).kube_controllers;
        let full = controllers(r#""node":{"leakGracePeriod":"20m0s"},"loadBalancer":{"assignIPs":"AllServices"}"#);
        assert_eq!(full.leak_grace, Some(Duration::from_secs(1200)));
        assert_eq!(full.load_balancer, Some(LoadBalancerMode::AllServices));
        let off =
            controllers(r#""node":{"leakGracePeriod":"0s"},"loadBalancer":{"assignIPs":"RequestedServicesOnly"}"#);
        assert_eq!(off.leak_grace, Some(Duration::ZERO));
        assert_eq!(off.load_balancer, Some(LoadBalancerMode::RequestedServicesOnly));
        let bare = controllers(r#""node":null,"loadBalancer":null"#);
        assert!(bare.leak_grace.is_none() && bare.load_balancer.is_none() && bare.meta.is_some());
        let odd = controllers(r#""node":{"leakGracePeriod":""},"loadBalancer":{}"#);
        assert!(odd.leak_grace.is_none() && odd.load_balancer == Some(LoadBalancerMode::AllServices));
    }

    #[test]
    fn wrong_settings_darken_the_configuration() {
        for (key, value) in [
            (IPAM_CONFIG, r#"{"strict_affinity":"yes"}"#),
            (IPAM_CONFIG, r#"{"ipCooldownSeconds":1.5}"#),
            (IPAM_CONFIGURATION, r#"{"spec":{"maxBlocksPerHost":"7"}}"#),
            (CLUSTER_INFORMATION, r#"{"spec":{"datastoreReady":"true"}}"#),
            (KUBE_CONTROLLERS, r#"{"spec":{"controllers":{"node":{"leakGracePeriod":"15"}}}}"#),
            (KUBE_CONTROLLERS, r#"{"spec":{"controllers":{"node":{"leakGracePeriod":900}}}}"#),
            (&format!("{HOST_ENDPOINTS}h"), r#"{"spec":{"expectedIPs":["x"]}}"#),
        ] {
            let bad = bad(key, value);
            assert_eq!((bad.input, bad.dark), (Input::Config, vec![Dark::All(Input::Config)]), "{key} {value}");
        }
    }

    #[test]
    fn host_endpoints_give_their_addresses() {
        let snapshot =
            one(&format!("{HOST_ENDPOINTS}node-1-eth0"), r#"{"spec":{"expectedIPs":["172.20.0.5","fd00::5"]}}"#);
        assert_eq!(snapshot.host_endpoint_addresses.len(), 2);
        assert_eq!(snapshot.host_endpoints[0].addresses.len(), 2);
    }
}
