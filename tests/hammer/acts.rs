//! What Calico and Kubernetes do, write by write, in the order of their own code: pods, machines, services, tunnels.
//!
//! Between two writes there is a [`Pause`]. Each act takes what it works on out of [`Alive`] before it begins and puts
//! what has become of it back at its end: whoever is in there is in the middle of nothing.

use std::sync::Arc;

use serde_json::json;

use super::budget::Random;
use super::calico::Workload;
use super::calico::owners::{Owner, Tunnel};
use super::cluster::{Alive, BLOCKS, Cluster, Machine, Pod, SERVICES, Service, TunnelAddress, node_key, timestamp};
use super::play::{Act, Pause};
use super::servers::block_on;

/// Everything that can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    PodMade,
    PodDeleted,
    MachineMade,
    MachineStopped,
    MachineStarted,
    MachineDeleted,
    ServiceMade,
    ServiceDeleted,
    TunnelUp,
    TunnelMoved,
    TunnelDown,
    NodeJoins,
    NodeLeaves,
}

pub const PODS: [Kind; 2] = [Kind::PodMade, Kind::PodDeleted];
pub const MACHINES: [Kind; 4] = [Kind::MachineMade, Kind::MachineStopped, Kind::MachineStarted, Kind::MachineDeleted];
pub const SERVED: [Kind; 2] = [Kind::ServiceMade, Kind::ServiceDeleted];
pub const TUNNELS: [Kind; 3] = [Kind::TunnelUp, Kind::TunnelMoved, Kind::TunnelDown];
pub const NODES: [Kind; 2] = [Kind::NodeJoins, Kind::NodeLeaves];
pub const ALL: [&[Kind]; 5] = [&PODS, &MACHINES, &SERVED, &TUNNELS, &NODES];

/// Few enough that no block runs full.
const MOST: usize = 5;

/// An act of this kind, where there is anybody for it.
pub fn choose(kind: Kind, cluster: &Arc<Cluster>, random: &mut Random) -> Option<Act> {
    match kind {
        Kind::PodMade => pod_made(cluster, random),
        Kind::PodDeleted => {
            let pod = old(random, cluster, |a| &mut a.pods, |p| p.workload.handle(), |p| p.is_guest())?;
            let c = cluster.clone();
            let name = format!("pod {} is deleted", pod.workload.pod);
            Some(Act::new(name, 5, pod.workload.handle(), move |p| pod_deleted(&c, p, &pod)))
        }
        Kind::MachineMade => machine_made(cluster, random),
        Kind::MachineStopped => {
            let machine = take(random, &mut cluster.alive().machines, |m| m.launcher.is_some())?;
            let c = cluster.clone();
            let name = format!("machine {} is stopped", machine.name);
            Some(Act::new(name, 4, machine.handle(), move |p| machine_stopped(&c, p, machine)))
        }
        Kind::MachineStarted => {
            let machine = take(random, &mut cluster.alive().machines, |m| m.launcher.is_none())?;
            let c = cluster.clone();
            let name = format!("machine {} is started", machine.name);
            Some(Act::new(name, 4, machine.handle(), move |p| machine_started(&c, p, machine)))
        }
        Kind::MachineDeleted => {
            let stopped = |m: &Machine| m.launcher.is_none();
            let machine = old(random, cluster, |a| &mut a.machines, Machine::handle, stopped)?;
            let c = cluster.clone();
            let name = format!("machine {} is deleted", machine.name);
            Some(Act::new(name, 2, machine.handle(), move |p| machine_deleted(&c, p, machine)))
        }
        Kind::ServiceMade => {
            if cluster.alive().services.len() >= MOST {
                return None;
            }
            let name = cluster.name(random, "service");
            let (c, uid) = (cluster.clone(), cluster.kube.uid());
            let handle = Owner::service("shop", &name, &uid, "").handle;
            Some(Act::new(format!("{name} is made"), 4, handle, move |p| service_made(&c, p, name, uid)))
        }
        Kind::ServiceDeleted => {
            let service = old(random, cluster, |a| &mut a.services, Service::handle, |_| true)?;
            let c = cluster.clone();
            let name = format!("{} is deleted", service.name);
            Some(Act::new(name, 3, service.handle(), move |p| service_deleted(&c, p, service)))
        }
        Kind::TunnelUp => {
            let tunnel = take(random, &mut cluster.alive().tunnels, |t| t.address.is_none())?;
            let c = cluster.clone();
            Some(Act::new(told(&tunnel, "comes up"), 3, tunnel.handle(), move |p| tunnel_up(&c, p, tunnel)))
        }
        Kind::TunnelMoved => {
            let tunnel = old(random, cluster, |a| &mut a.tunnels, TunnelAddress::handle, |t| t.address.is_some())?;
            let c = cluster.clone();
            Some(Act::new(told(&tunnel, "moves"), 5, tunnel.handle(), move |p| tunnel_moved(&c, p, tunnel)))
        }
        Kind::TunnelDown => {
            let tunnel = old(random, cluster, |a| &mut a.tunnels, TunnelAddress::handle, |t| t.address.is_some())?;
            let c = cluster.clone();
            Some(Act::new(told(&tunnel, "goes down"), 3, tunnel.handle(), move |p| tunnel_down(&c, p, tunnel)))
        }
        Kind::NodeJoins | Kind::NodeLeaves => super::nodes::choose(kind, cluster, random),
    }
}

pub fn take<T>(random: &mut Random, from: &mut Vec<T>, fits: impl Fn(&T) -> bool) -> Option<T> {
    let places: Vec<usize> = (0..from.len()).filter(|i| fits(&from[*i])).collect();
    (!places.is_empty()).then(|| from.remove(*random.pick(&places)))
}

/// The same among those that did not get their address during this audit.
fn old<T>(
    random: &mut Random,
    cluster: &Cluster,
    list: impl Fn(&mut Alive) -> &mut Vec<T>,
    handle: impl Fn(&T) -> String,
    fits: impl Fn(&T) -> bool,
) -> Option<T> {
    let mut alive = cluster.alive();
    let young = alive.young.clone();
    take(random, list(&mut alive), |one| fits(one) && !young.contains(&handle(one)))
}

fn told(tunnel: &TunnelAddress, what: &str) -> String {
    format!("the {} tunnel of {} {what}", tunnel.tunnel.word(), tunnel.node)
}

fn pod_made(cluster: &Arc<Cluster>, random: &mut Random) -> Option<Act> {
    if cluster.alive().pods.len() >= 2 * MOST {
        return None;
    }
    let (cidr, node) = *random.pick(&BLOCKS);
    let name = cluster.name(random, "pod");
    let workload = cluster.workload(&name, node);
    let c = cluster.clone();
    Some(Act::new(format!("pod {name} is made"), 5, workload.handle(), move |p| {
        c.kube.pending(&workload.pod, node, json!({}));
        p.here();
        let owner = Owner::pod_since(&workload, &timestamp());
        let address = wired(&c, p, &owner, &workload, cidr);
        c.kube.running(&workload.pod, &address);
        c.alive().pods.push(Pod { workload, cidr: cidr.to_owned(), address });
    }))
}

/// Handle, block, endpoint, with a pause after each.
fn wired(c: &Cluster, p: &Pause, owner: &Owner, workload: &Workload, cidr: &str) -> String {
    let address = assigned(c, p, owner, cidr);
    block_on(c.calico().wire(workload, &[&address]));
    p.here();
    address
}

/// Handle, block, with a pause after each.
pub fn assigned(c: &Cluster, p: &Pause, owner: &Owner, cidr: &str) -> String {
    let mut calico = c.calico();
    let add = block_on(calico.begin(owner, cidr));
    p.here();
    let address = block_on(calico.finish_add(add));
    c.alive().young.insert(owner.handle.clone());
    p.here();
    address
}

/// Block, then handle, with a pause between.
pub fn released(c: &Cluster, p: &Pause, handle: &str, cidr: &str) {
    let mut calico = c.calico();
    let freed = block_on(calico.release_blocks(handle, &[cidr]));
    p.here();
    for (cidr, count) in freed {
        block_on(calico.decrement(handle, &cidr, count));
    }
}

fn pod_deleted(c: &Cluster, p: &Pause, pod: &Pod) {
    let workload = &pod.workload;
    c.kube.terminate(&workload.pod);
    p.here();
    block_on(c.calico().unwire(workload));
    p.here();
    released(c, p, &workload.handle(), &pod.cidr);
    p.here();
    c.kube.remove("pods", "shop", &workload.pod);
    c.alive().names.push(workload.pod.clone());
}

fn launcher(c: &Cluster, machine: &str, node: &str) -> Workload {
    let workload = c.workload("", node);
    Workload { pod: format!("virt-launcher-{machine}-{}", &workload.container[58..]), ..workload }
}

fn machine_made(cluster: &Arc<Cluster>, random: &mut Random) -> Option<Act> {
    if cluster.alive().machines.len() >= MOST {
        return None;
    }
    let (cidr, node) = *random.pick(&BLOCKS);
    let name = cluster.name(random, "machine");
    let workload = launcher(cluster, &name, node);
    let c = cluster.clone();
    let handle = Owner::machine("shop", &name, "", "", "").handle;
    Some(Act::new(format!("machine {name} is made"), 5, handle, move |p| {
        c.kube.pending(&workload.pod, node, labels(&name));
        p.here();
        let owner = Owner::machine("shop", &name, &workload.pod, node, &timestamp());
        let address = wired(&c, p, &owner, &workload, cidr);
        c.kube.running(&workload.pod, &address);
        let (node, cidr) = (node.to_owned(), cidr.to_owned());
        c.alive().machines.push(Machine { name, node, cidr, address, launcher: Some(workload) });
    }))
}

fn labels(machine: &str) -> serde_json::Value {
    json!({"kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": machine})
}

/// Its allocation stays, in nobody's name.
fn machine_stopped(c: &Cluster, p: &Pause, machine: Machine) {
    let workload = machine.launcher.clone().unwrap();
    c.kube.terminate(&workload.pod);
    p.here();
    block_on(c.calico().unwire(&workload));
    p.here();
    block_on(c.calico().set_attributes(&machine.handle(), &machine.cidr, &json!({})));
    p.here();
    c.kube.remove("pods", "shop", &workload.pod);
    c.alive().machines.push(Machine { launcher: None, ..machine });
}

/// Its allocation is found by its handle and gets the new launcher's name.
fn machine_started(c: &Cluster, p: &Pause, machine: Machine) {
    let workload = launcher(c, &machine.name, &machine.node);
    c.kube.pending(&workload.pod, &machine.node, labels(&machine.name));
    p.here();
    let owner = Owner::machine("shop", &machine.name, &workload.pod, &machine.node, &timestamp());
    block_on(c.calico().set_attributes(&owner.handle, &machine.cidr, &owner.secondary));
    p.here();
    block_on(c.calico().wire(&workload, &[&machine.address]));
    p.here();
    c.kube.running(&workload.pod, &machine.address);
    c.alive().machines.push(Machine { launcher: Some(workload), ..machine });
}

fn machine_deleted(c: &Cluster, p: &Pause, machine: Machine) {
    released(c, p, &machine.handle(), &machine.cidr);
    c.alive().names.push(machine.name);
}

fn service_made(c: &Cluster, p: &Pause, name: String, uid: String) {
    let spec = json!({"type": "LoadBalancer", "loadBalancerClass": "calico", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"});
    c.kube.put("services", "shop", json!({"metadata": {"name": name, "uid": uid}, "spec": spec}));
    p.here();
    let address = assigned(c, p, &Owner::service("shop", &name, &uid, &timestamp()), SERVICES);
    c.kube.change("services", "shop", &name, |s| s["status"]["loadBalancer"]["ingress"] = json!([{"ip": address}]));
    c.alive().services.push(Service { name, uid, address });
}

fn service_deleted(c: &Cluster, p: &Pause, service: Service) {
    c.kube.remove("services", "shop", &service.name);
    p.here();
    released(c, p, &service.handle(), SERVICES);
    c.alive().names.push(service.name);
}

/// IPAM first, then the node; so does calico/node.
fn tunnel_up(c: &Cluster, p: &Pause, mut tunnel: TunnelAddress) {
    let address = assigned(c, p, &Owner::tunnel(tunnel.tunnel, &tunnel.node), &tunnel.cidr);
    show(c, tunnel.tunnel, &tunnel.node, Some(&address));
    tunnel.address = Some(address);
    c.alive().tunnels.push(tunnel);
}

fn tunnel_moved(c: &Cluster, p: &Pause, mut tunnel: TunnelAddress) {
    let owner = Owner::tunnel(tunnel.tunnel, &tunnel.node);
    released(c, p, &owner.handle, &tunnel.cidr);
    p.here();
    let address = assigned(c, p, &owner, &tunnel.cidr);
    show(c, tunnel.tunnel, &tunnel.node, Some(&address));
    tunnel.address = Some(address);
    c.alive().tunnels.push(tunnel);
}

fn tunnel_down(c: &Cluster, p: &Pause, mut tunnel: TunnelAddress) {
    released(c, p, &tunnel.handle(), &tunnel.cidr);
    p.here();
    show(c, tunnel.tunnel, &tunnel.node, None);
    tunnel.address = None;
    c.alive().tunnels.push(tunnel);
}

pub fn show(c: &Cluster, tunnel: Tunnel, node: &str, address: Option<&str>) {
    block_on(c.calico().update(&node_key(node), |value| tunnel.write(&mut value["spec"], address)));
}
