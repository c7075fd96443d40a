//! Nodes that join and leave, as calico/node, the CNI plugin and kube-controllers write it.

use std::sync::Arc;

use serde_json::json;

use super::acts::{Kind, assigned, released, show, take};
use super::budget::Random;
use super::calico::block_key;
use super::calico::owners::{Owner, Tunnel};
use super::cluster::{Cluster, affinity_key, fresh_block, node_key, node_spec};
use super::play::{Act, Pause};
use super::servers::block_on;

pub fn choose(kind: Kind, cluster: &Arc<Cluster>, random: &mut Random) -> Option<Act> {
    let joins = kind == Kind::NodeJoins;
    let young = cluster.alive().young.clone();
    let may_leave = |number: usize| !young.contains(&format!("ipip-tunnel-addr-node-{number}"));
    let fits = |(number, here): &(usize, bool)| *here != joins && (joins || may_leave(*number));
    let (number, _) = take(random, &mut cluster.alive().guests, fits)?;
    let c = cluster.clone();
    let handle = format!("ipip-tunnel-addr-node-{number}");
    Some(match joins {
        true => Act::new(format!("node-{number} joins"), 8, handle, move |p| joining(&c, p, number)),
        false => Act::new(format!("node-{number} leaves"), 7, handle, move |p| leaving(&c, p, number)),
    })
}

/// The tunnel's block of a guest.
pub fn block_of(number: usize) -> String {
    format!("10.65.{number}.0/28")
}

/// The kubelet registers it, calico/node writes its node, claims a block for the tunnel's address and shows that.
fn joining(c: &Cluster, p: &Pause, number: usize) {
    let (node, address, cidr) = (format!("node-{number}"), format!("192.168.0.{number}"), block_of(number));
    let host = format!("host:{node}");
    c.kube.node(&node, &address);
    p.here();
    c.resource(&format!("nodes/{node}"), node_spec(&node, &address));
    p.here();
    c.etcd.put(affinity_key(&cidr, &host), r#"{"state":"pending","deleted":false}"#);
    p.here();
    c.etcd.put(block_key(&cidr), fresh_block(&cidr, &host).to_string());
    p.here();
    c.etcd.put(affinity_key(&cidr, &host), r#"{"state":"confirmed","deleted":false}"#);
    p.here();
    let tunnel = assigned(c, p, &Owner::tunnel(Tunnel::Ipip, &node), &cidr);
    show(c, Tunnel::Ipip, &node, Some(&tunnel));
    c.alive().guests.push((number, true));
}

/// Kubernetes forgets it; kube-controllers deletes the Calico node: its tunnel's address, its block and affinity, itself.
fn leaving(c: &Cluster, p: &Pause, number: usize) {
    let (node, cidr) = (format!("node-{number}"), block_of(number));
    let affinity = affinity_key(&cidr, &format!("host:{node}"));
    c.kube.remove("nodes", "", &node);
    p.here();
    released(c, p, &Owner::tunnel(Tunnel::Ipip, &node).handle, &cidr);
    p.here();
    block_on(c.calico().update(&affinity, |value| value["state"] = json!("pendingDeletion")));
    p.here();
    block_on(c.calico().remove(&block_key(&cidr)));
    p.here();
    block_on(c.calico().remove(&affinity));
    p.here();
    block_on(c.calico().remove(&node_key(&node)));
    c.alive().guests.push((number, false));
}
