//! A WorkloadEndpoint: what the CNI plugin wired up on a node (domain facts, section 5).

use super::usual::{EndpointKey, Few, Interface, Odd, OneV4, Revisions, WholeSecond};
use super::{Addr, Meta, Name, Time};

/// Who made the endpoint; only `k8s` ones can be held against pods.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Orchestrator {
    Kubernetes,
    /// `cni`: made by the CNI plugin outside Kubernetes.
    Cni,
    /// Anything else: `libnetwork`, `openstack`, …, also none.
    Other(Name),
}

/// A floating address: `ipNATs[]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Nat {
    /// `internalIP`: an address of the endpoint.
    pub internal: Addr,
    /// `externalIP`: the floating one.
    pub external: Addr,
}

/// One workload endpoint, as its key and value say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointFields {
    pub meta: Meta,
    /// Namespace of the key.
    pub namespace: Name,
    /// Name of the key (`<node>-k8s-<pod>-<endpoint>`, dashes inside a part doubled).
    pub name: EndpointKey,
    pub orchestrator: Orchestrator,
    /// The Calico name of its node.
    pub node: Name,
    /// `spec.pod`, or `spec.workload` of the other orchestrators.
    pub pod: Name,
    /// `spec.endpoint`: the interface inside, mostly `eth0`.
    pub endpoint: Name,
    /// `spec.containerID`: the strongest tie to an allocation.
    pub container: Name,
    /// `spec.interfaceName`: the host's side.
    pub interface: Interface,
    /// The six bytes of `spec.mac` as a number; `None` when absent or unreadable.
    pub mac: Option<u64>,
    /// `spec.ipNetworks` without their prefix lengths.
    pub addresses: Box<[Addr]>,
    /// `spec.ipNATs`.
    pub nats: Box<[Nat]>,
    /// `metadata.creationTimestamp`: of the endpoint's first creation, by the CNI host's clock.
    pub created: Option<Time>,
}

/// One workload endpoint in its usual form ([`super::usual`]): made of [`EndpointFields`], which it gives back.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub namespace: Name,
    /// The Calico name of its node.
    pub node: Name,
    /// `spec.pod`, or `spec.workload` of the other orchestrators.
    pub pod: Name,
    /// `spec.containerID`: the strongest tie to an allocation.
    pub container: Name,
    revisions: Revisions,
    address: OneV4,
    created: WholeSecond,
    /// The interface's number.
    cali: u64,
    mac: Mac,
    odd: Odd<OddEndpoint>,
}

/// The six bytes of a MAC address, and whether there is one.
#[derive(Clone, Copy, Debug)]
struct Mac {
    given: bool,
    bytes: [u8; 6],
}

/// What differs from the usual form; `None`: nothing does.
#[derive(Clone, Debug, Default)]
struct OddEndpoint {
    meta: Option<Meta>,
    name: Option<EndpointKey>,
    orchestrator: Option<Orchestrator>,
    endpoint: Option<Name>,
    interface: Option<Interface>,
    mac: Option<u64>,
    addresses: Option<Box<[Addr]>>,
    nats: Box<[Nat]>,
    created: Option<Time>,
}

impl OddEndpoint {
    fn is_none(&self) -> bool {
        let OddEndpoint { meta, name, orchestrator, endpoint, interface, mac, addresses, nats, created } = self;
        let texts = name.is_none() && orchestrator.is_none() && endpoint.is_none() && interface.is_none();
        texts && meta.is_none() && mac.is_none() && addresses.is_none() && nats.is_empty() && created.is_none()
    }
}

/// `spec.endpoint` of every pod: Kubelet's interface is always `eth0`.
const USUAL_ENDPOINT: Name = Name::ETH0;

/// An endpoint of which nothing differs from the usual form.
#[derive(Clone, Copy, Debug)]
pub struct UsualEndpoint {
    pub namespace: Name,
    pub node: Name,
    pub pod: Name,
    pub container: Name,
    pub revisions: Revisions,
    pub address: OneV4,
    pub created: WholeSecond,
    /// The number of its [`Interface::Cali`].
    pub cali: u64,
    pub mac: Option<[u8; 6]>,
}

impl From<UsualEndpoint> for Endpoint {
    fn from(usual: UsualEndpoint) -> Endpoint {
        let UsualEndpoint { namespace, node, pod, container, revisions, address, created, cali, mac } = usual;
        let mac = Mac { given: mac.is_some(), bytes: mac.unwrap_or_default() };
        Endpoint { namespace, node, pod, container, revisions, address, created, cali, mac, odd: None }
    }
}

impl From<EndpointFields> for Endpoint {
    fn from(fields: EndpointFields) -> Endpoint {
        let EndpointFields { meta, namespace, name, orchestrator, node, pod, endpoint, container, interface, .. } =
            fields;
        let EndpointFields { mac, addresses, nats, created, .. } = fields;
        let (revisions, address, second) = (Revisions::of(meta), OneV4::of(&addresses), WholeSecond::of(created));
        let cali = if let Interface::Cali(number) = interface { Some(number) } else { None };
        let [high, low, bytes @ ..] = mac.unwrap_or_default().to_be_bytes();
        let fits = (high, low) == (0, 0);
        let odd = OddEndpoint {
            meta: revisions.is_none().then_some(meta),
            name: (name != EndpointKey::OfPod { node, pod }).then_some(name),
            orchestrator: (orchestrator != Orchestrator::Kubernetes).then_some(orchestrator),
            endpoint: (endpoint != USUAL_ENDPOINT).then_some(endpoint),
            interface: cali.is_none().then_some(interface),
            mac: mac.filter(|_| !fits),
            addresses: address.is_none().then_some(addresses),
            nats,
            created: created.filter(|_| second.is_none()),
        };
        Endpoint {
            namespace,
            node,
            pod,
            container,
            revisions: revisions.unwrap_or_default(),
            address: address.unwrap_or_default(),
            created: second.unwrap_or_default(),
            cali: cali.unwrap_or_default(),
            mac: Mac { given: mac.is_some() && fits, bytes },
            odd: (!odd.is_none()).then(|| Box::new(odd)),
        }
    }
}

impl Endpoint {
    fn odd<T>(&self, what: impl FnOnce(&OddEndpoint) -> Option<T>) -> Option<T> {
        self.odd.as_deref().and_then(what)
    }

    /// All of it, where nothing differs.
    pub fn usual(&self) -> Option<UsualEndpoint> {
        let Endpoint { namespace, node, pod, container, revisions, address, created, cali, mac, ref odd } = *self;
        let mac = mac.given.then_some(mac.bytes);
        odd.is_none().then_some(UsualEndpoint {
            namespace,
            node,
            pod,
            container,
            revisions,
            address,
            created,
            cali,
            mac,
        })
    }

    /// Revisions of its key.
    pub fn meta(&self) -> Meta {
        self.odd(|odd| odd.meta).unwrap_or_else(|| self.revisions.meta())
    }

    /// Name of its key.
    pub fn name(&self) -> EndpointKey {
        self.odd(|odd| odd.name).unwrap_or(EndpointKey::OfPod { node: self.node, pod: self.pod })
    }

    pub fn orchestrator(&self) -> Orchestrator {
        self.odd(|odd| odd.orchestrator).unwrap_or(Orchestrator::Kubernetes)
    }

    /// `spec.endpoint`: the interface inside, mostly `eth0`.
    pub fn endpoint(&self) -> Name {
        self.odd(|odd| odd.endpoint).unwrap_or(USUAL_ENDPOINT)
    }

    /// `spec.interfaceName`: the host's side.
    pub fn interface(&self) -> Interface {
        self.odd(|odd| odd.interface).unwrap_or(Interface::Cali(self.cali))
    }

    /// The six bytes of `spec.mac` as a number; `None` when absent or unreadable.
    pub fn mac(&self) -> Option<u64> {
        let [a, b, c, d, e, f] = self.mac.bytes;
        self.odd(|odd| odd.mac).or_else(|| self.mac.given.then(|| u64::from_be_bytes([0, 0, a, b, c, d, e, f])))
    }

    /// `spec.ipNetworks` without their prefix lengths.
    pub fn addresses(&self) -> Few<'_, Addr> {
        match (self.address.address(), self.odd.as_deref()) {
            (Some(address), _) => Few::One(address),
            (None, odd) => Few::Many(odd.and_then(|odd| odd.addresses.as_deref()).unwrap_or_default()),
        }
    }

    /// `spec.ipNATs`.
    pub fn nats(&self) -> &[Nat] {
        self.odd.as_deref().map(|odd| &*odd.nats).unwrap_or_default()
    }

    /// `metadata.creationTimestamp`: of the endpoint's first creation, by the CNI host's clock.
    pub fn created(&self) -> Option<Time> {
        self.odd(|odd| odd.created).or_else(|| self.created.time())
    }

    /// What it was made of.
    pub fn fields(&self) -> EndpointFields {
        EndpointFields {
            meta: self.meta(),
            namespace: self.namespace,
            name: self.name(),
            orchestrator: self.orchestrator(),
            node: self.node,
            pod: self.pod,
            endpoint: self.endpoint(),
            container: self.container,
            interface: self.interface(),
            mac: self.mac(),
            addresses: (*self.addresses()).into(),
            nats: self.nats().into(),
            created: self.created(),
        }
    }
}

/// One host endpoint: addresses that a host has by itself, which are never a leak.
#[derive(Clone, Debug)]
pub struct HostEndpoint {
    pub meta: Meta,
    pub name: Name,
    /// `spec.expectedIPs`.
    pub addresses: Box<[Addr]>,
}

/// A MAC address as `aa:bb:cc:dd:ee:ff`.
pub fn mac_text(mac: u64) -> String {
    let b = mac.to_be_bytes();
    format!("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", b[2], b[3], b[4], b[5], b[6], b[7])
}
