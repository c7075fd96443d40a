//! Who may own an address, as Calico writes it into blocks: pods, virtual machines, tunnels, LoadBalancer services.
//!
//! Only a pod's handle is new each time. The handle of a machine, of a node's tunnel, of a service by the same name and
//! UID comes again; that is what makes a late decrement dangerous.

use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Calico, Workload, block_key, ordinals_of};

/// A handle and the attributes that go with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub handle: String,
    pub secondary: Value,
}

/// Which tunnel of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tunnel {
    Ipip,
    Vxlan,
    Wireguard,
}

impl Tunnel {
    pub const ALL: [Tunnel; 3] = [Tunnel::Ipip, Tunnel::Vxlan, Tunnel::Wireguard];

    pub fn word(self) -> &'static str {
        match self {
            Tunnel::Ipip => "ipip",
            Tunnel::Vxlan => "vxlan",
            Tunnel::Wireguard => "wireguard",
        }
    }

    /// Puts its address (none: takes it away) into the specification of a Calico node.
    pub fn write(self, spec: &mut Value, address: Option<&str>) {
        let (parent, field) = match self {
            Tunnel::Ipip => (&mut spec["bgp"], "ipv4IPIPTunnelAddr"),
            Tunnel::Vxlan => (spec, "ipv4VXLANTunnelAddr"),
            Tunnel::Wireguard => (&mut spec["wireguard"], "interfaceIPv4Address"),
        };
        match (address, parent.as_object_mut()) {
            (Some(address), _) => parent[field] = json!(address),
            (None, Some(fields)) => drop(fields.remove(field)),
            (None, None) => {}
        }
    }
}

impl Owner {
    pub fn pod(workload: &Workload) -> Owner {
        Owner::pod_since(workload, "2026-11-22 08:00:00.123456789 +0000 UTC")
    }

    /// `timestamp` as Go prints it.
    pub fn pod_since(workload: &Workload, timestamp: &str) -> Owner {
        let Workload { namespace, pod, node, .. } = workload;
        let secondary = json!({"namespace": namespace, "pod": pod, "node": node, "timestamp": timestamp});
        Owner { handle: workload.handle(), secondary }
    }

    /// A KubeVirt machine; `launcher` is the pod that runs it now.
    pub fn machine(namespace: &str, machine: &str, launcher: &str, node: &str, timestamp: &str) -> Owner {
        Owner {
            handle: format!("k8s-pod-network.vmi.{namespace}.{machine}"),
            secondary: json!({
                "namespace": namespace, "pod": launcher, "node": node, "timestamp": timestamp,
                "vmi-name": machine, "vmi-uid": format!("vmi-{machine}"), "vm-uid": format!("vm-{machine}"),
            }),
        }
    }

    pub fn tunnel(tunnel: Tunnel, node: &str) -> Owner {
        Owner {
            handle: format!("{}-tunnel-addr-{node}", tunnel.word()),
            secondary: json!({"node": node, "type": format!("{}TunnelAddress", tunnel.word())}),
        }
    }

    pub fn service(namespace: &str, name: &str, uid: &str, timestamp: &str) -> Owner {
        let digest = Sha256::digest(format!("{name}-{namespace}-{uid}").to_lowercase());
        let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest).replace(['-', '_', '.'], "");
        Owner {
            handle: format!("lb-{hash}"),
            secondary: json!({
                "namespace": namespace, "service": name, "type": "LoadBalancer", "timestamp": timestamp,
            }),
        }
    }
}

impl Calico {
    /// Handle, block; conflicts as in [`Calico::finish_add`].
    pub async fn assign(&mut self, owner: &Owner, cidr: &str) -> String {
        let add = self.begin(owner, cidr).await;
        self.finish_add(add).await
    }

    /// Writes other attributes to every address of a handle: a machine starts, moves, stops (`null`).
    pub async fn set_attributes(&mut self, handle: &str, cidr: &str, secondary: &Value) {
        loop {
            let (mut block, revision) = self.get(&block_key(cidr)).await.expect("the block");
            for ordinal in ordinals_of(&block, handle) {
                let index = block["allocations"][ordinal].as_u64().unwrap() as usize;
                block["attributes"][index]["secondary"] = secondary.clone();
            }
            block["sequenceNumber"] = json!(block["sequenceNumber"].as_u64().unwrap() + 1);
            if self.swap(&block_key(cidr), revision, Some(&block)).await {
                return;
            }
        }
    }

    /// Changes a value by compare-and-swap; nothing happens when it is absent.
    pub async fn update(&mut self, key: &str, change: impl Fn(&mut Value)) {
        while let Some((mut value, revision)) = self.get(key).await {
            change(&mut value);
            if self.swap(key, revision, Some(&value)).await {
                return;
            }
        }
    }

    pub async fn remove(&mut self, key: &str) {
        while let Some((_, revision)) = self.get(key).await {
            if self.swap(key, revision, None).await {
                return;
            }
        }
    }
}
