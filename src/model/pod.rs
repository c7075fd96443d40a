//! One pod, reduced to what checks need (domain facts, section 6): as its object says, and in its usual form.

use super::usual::{Few, Odd, OneV4, WholeSecond};
use super::{Addr, Name, Phase, Time, Uid};

/// What becomes of a pod that is deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comeback {
    /// Its controller makes another one.
    Controller,
    /// Nobody makes it anew.
    Never,
    /// Its object does not say: it was cut down, or of its owners none is marked as its controller.
    Unknown,
    /// It is a static pod's mirror: its kubelet runs the pod on, and makes the mirror anew.
    Kubelet,
}

impl Comeback {
    pub const ALL: [Comeback; 4] = [Comeback::Controller, Comeback::Never, Comeback::Unknown, Comeback::Kubelet];
}

/// One pod, as its object says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodFields {
    pub uid: Uid,
    pub namespace: Name,
    pub name: Name,
    /// `spec.nodeName`, Kubernetes' name; [`Name::NONE`] when not scheduled.
    pub node: Name,
    /// `status.phase`.
    pub phase: Phase,
    /// `spec.hostNetwork`: its addresses are the node's.
    pub host_network: bool,
    /// Condition `Ready` is `True`.
    pub ready: bool,
    /// `metadata.deletionTimestamp`: terminating.
    pub deleting: Option<Time>,
    /// `metadata.creationTimestamp`, by the API server's clock.
    pub created: Option<Time>,
    /// `status.podIPs`, else `status.podIP`.
    pub addresses: Box<[Addr]>,
    /// Kind and name of the controller among its owners, as `ReplicaSet`, `web-6d4cf56db6`.
    pub controller: Option<(Name, Name)>,
    /// Annotation `kubernetes.io/config.mirror`: a static pod's mirror, which can be younger than the sandbox.
    pub mirror: bool,
    /// Its object is whole and names no owner at all: nobody makes it anew once it is deleted.
    pub bare: bool,
    /// The VirtualMachineInstance of a `virt-launcher` pod; [`Name::NONE`] for others.
    pub vmi: Name,
    /// Addresses in annotation `cni.projectcalico.org/ipAddrsNoIpam`: in use without allocation by design.
    pub no_ipam: Box<[Addr]>,
    /// Addresses in annotation `cni.projectcalico.org/ipAddrs`: allocated because they were asked for.
    pub asked_for: Box<[Addr]>,
    /// Addresses in annotation `k8s.v1.cni.cncf.io/network-status`: secondary networks.
    pub network_status: Box<[Addr]>,
    /// Addresses in annotation `cni.projectcalico.org/floatingIPs`.
    pub floating: Box<[Addr]>,
    /// Addresses in annotation `cni.projectcalico.org/podIPs`, else `podIP`: only the client of Calico's Kubernetes
    /// datastore writes them.
    pub annotated: Box<[Addr]>,
}

impl PodFields {
    /// [`Pod::may_hold`].
    pub fn may_hold(&self) -> bool {
        !self.host_network && !self.node.is_none() && !self.phase.is_finished()
    }
}

/// One pod in its usual form ([`super::usual`]): made of [`PodFields`], which it gives back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pod {
    pub uid: Uid,
    pub namespace: Name,
    pub name: Name,
    /// `spec.nodeName`, Kubernetes' name; [`Name::NONE`] when not scheduled.
    pub node: Name,
    /// Kind and name of the controller among its owners, as `ReplicaSet`, `web-6d4cf56db6`.
    pub controller: Option<(Name, Name)>,
    /// `status.phase`.
    pub phase: Phase,
    /// `spec.hostNetwork`: its addresses are the node's.
    pub host_network: bool,
    /// Condition `Ready` is `True`.
    pub ready: bool,
    /// Annotation `kubernetes.io/config.mirror`: a static pod's mirror, which can be younger than the sandbox.
    pub mirror: bool,
    created: WholeSecond,
    address: OneV4,
    odd: Odd<OddPod>,
}

/// What differs from the usual form.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct OddPod {
    bare: bool,
    created: Option<Time>,
    addresses: Option<Box<[Addr]>>,
    deleting: Option<Time>,
    vmi: Name,
    no_ipam: Box<[Addr]>,
    asked_for: Box<[Addr]>,
    network_status: Box<[Addr]>,
    floating: Box<[Addr]>,
    annotated: Box<[Addr]>,
}

impl From<PodFields> for Pod {
    fn from(fields: PodFields) -> Pod {
        let PodFields { uid, namespace, name, node, phase, host_network, ready, controller, mirror, .. } = fields;
        let PodFields { bare, deleting, created, addresses, vmi, no_ipam, asked_for, .. } = fields;
        let PodFields { network_status, floating, annotated, .. } = fields;
        let (address, second) = (OneV4::of(&addresses), WholeSecond::of(created));
        let odd = OddPod {
            bare,
            created: created.filter(|_| second.is_none()),
            addresses: address.is_none().then_some(addresses),
            deleting,
            vmi,
            no_ipam,
            asked_for,
            network_status,
            floating,
            annotated,
        };
        Pod {
            uid,
            namespace,
            name,
            node,
            controller,
            phase,
            host_network,
            ready,
            mirror,
            created: second.unwrap_or_default(),
            address: address.unwrap_or_default(),
            odd: (odd != OddPod::default()).then(|| Box::new(odd)),
        }
    }
}

impl Pod {
    fn list(&self, which: impl FnOnce(&OddPod) -> &[Addr]) -> &[Addr] {
        self.odd.as_deref().map(which).unwrap_or_default()
    }

    /// `metadata.deletionTimestamp`: terminating.
    pub fn deleting(&self) -> Option<Time> {
        self.odd.as_deref()?.deleting
    }

    /// `metadata.creationTimestamp`, by the API server's clock.
    pub fn created(&self) -> Option<Time> {
        self.odd.as_deref().and_then(|odd| odd.created).or_else(|| self.created.time())
    }

    /// `status.podIPs`, else `status.podIP`.
    pub fn addresses(&self) -> Few<'_, Addr> {
        match self.address.address() {
            Some(address) => Few::One(address),
            None => Few::Many(self.list(|odd| odd.addresses.as_deref().unwrap_or_default())),
        }
    }

    /// Its object is whole and names no owner at all: nobody makes it anew once it is deleted.
    pub fn is_bare(&self) -> bool {
        self.odd.as_deref().is_some_and(|odd| odd.bare)
    }

    /// The VirtualMachineInstance of a `virt-launcher` pod; [`Name::NONE`] for others.
    pub fn vmi(&self) -> Name {
        self.odd.as_deref().map(|odd| odd.vmi).unwrap_or_default()
    }

    /// Addresses in annotation `cni.projectcalico.org/ipAddrsNoIpam`: in use without allocation by design.
    pub fn no_ipam(&self) -> &[Addr] {
        self.list(|odd| &odd.no_ipam)
    }

    /// Addresses in annotation `cni.projectcalico.org/ipAddrs`: allocated because they were asked for.
    pub fn asked_for(&self) -> &[Addr] {
        self.list(|odd| &odd.asked_for)
    }

    /// Addresses in annotation `k8s.v1.cni.cncf.io/network-status`: secondary networks.
    pub fn network_status(&self) -> &[Addr] {
        self.list(|odd| &odd.network_status)
    }

    /// Addresses in annotation `cni.projectcalico.org/floatingIPs`.
    pub fn floating(&self) -> &[Addr] {
        self.list(|odd| &odd.floating)
    }

    /// Addresses in annotation `cni.projectcalico.org/podIPs`, else `podIP`: only the client of Calico's Kubernetes
    /// datastore writes them.
    pub fn annotated(&self) -> &[Addr] {
        self.list(|odd| &odd.annotated)
    }

    /// What it was made of.
    pub fn fields(&self) -> PodFields {
        PodFields {
            uid: self.uid,
            namespace: self.namespace,
            name: self.name,
            node: self.node,
            phase: self.phase,
            host_network: self.host_network,
            ready: self.ready,
            deleting: self.deleting(),
            created: self.created(),
            addresses: (*self.addresses()).into(),
            controller: self.controller,
            mirror: self.mirror,
            bare: self.is_bare(),
            vmi: self.vmi(),
            no_ipam: self.no_ipam().into(),
            asked_for: self.asked_for().into(),
            network_status: self.network_status().into(),
            floating: self.floating().into(),
            annotated: self.annotated().into(),
        }
    }
}

impl Pod {
    /// Whether it is terminating.
    pub fn is_terminating(&self) -> bool {
        self.deleting().is_some()
    }

    /// What becomes of it when it is deleted.
    pub fn comeback(&self) -> Comeback {
        match (self.mirror, self.controller.is_some(), self.is_bare()) {
            (true, ..) => Comeback::Kubelet,
            (_, true, _) => Comeback::Controller,
            (_, _, true) => Comeback::Never,
            _ => Comeback::Unknown,
        }
    }

    /// Whether its sandbox was wired through Calico's *Kubernetes* datastore: the annotations say what its status says.
    /// A single-stack kubelet tells one address of two.
    pub fn is_wired_through_kubernetes(&self) -> bool {
        let (addresses, annotated) = (self.addresses(), self.annotated());
        !addresses.is_empty() && addresses.iter().all(|address| annotated.contains(address))
    }

    /// Whether it can hold a pod address at all: on a node, not in the host's network, not finished.
    pub fn may_hold(&self) -> bool {
        !self.host_network && !self.node.is_none() && !self.phase.is_finished()
    }
}
