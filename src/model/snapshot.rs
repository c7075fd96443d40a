//! Everything that one audit read, and what it could not read.
//!
//! What is still being filled is a [`Gathering`]. A [`Snapshot`] is made of it at the end and is sorted; nobody changes its
//! lists any more, apart from the second look ([`super::Patch`]), which leaves it sorted.
//! "Now" is a field: nothing below `source` asks a clock.

use std::ops::Deref;

pub use super::coverage::{Coverage, InputState};
pub use super::etcd::EtcdFacts;
pub use super::input::{Input, Needs};
use super::touch::Spellings;
use super::{
    Affinity, Block, CalicoNode, Cidr, ClockPairs, ClusterInformation, Endpoint, Foreign, Handle, HandleId,
    HostEndpoint, IpamConfig, IpamConfigResource, KubeControllers, KubeNode, Name, Names, Namespace, NodesSeen, Past,
    Pod, Pool, Reservation, Service, Time, Tunnel, keys,
};

/// What a value that does not decode hides: nobody may argue from the absence of anything in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dark {
    /// All addresses of a block.
    Range(Cidr),
    /// Everything on a node (Calico's name).
    Node(Name),
    /// A handle of this id exists, though nobody can say what it counts.
    Handle(HandleId),
    /// An affinity for this block exists, though nobody can say whose or in which state.
    Affinity(Cidr),
    /// All of one input: the key itself does not say what it is about.
    All(Input),
}

/// A key or value that does not parse (IPA901).
#[derive(Clone, Debug)]
pub struct BadValue {
    /// The key's bytes.
    pub key: Vec<u8>,
    /// The input that is incomplete for it.
    pub input: Input,
    /// Where in the value, in bytes from its start, when that is known.
    pub offset: Option<usize>,
    /// One line: what is wrong.
    pub reason: String,
    /// What it hides: nothing there is judged.
    pub dark: Vec<Dark>,
    /// Of the key.
    pub mod_revision: i64,
}

/// What Kubernetes' API server said of itself.
#[derive(Clone, Debug, Default)]
pub struct KubeFacts {
    /// UID of namespace `kube-system`.
    pub kube_system_uid: Option<String>,
    /// UID of service `default/kubernetes`, the same cluster's other name.
    pub kubernetes_service_uid: Option<String>,
    /// The `Date` of its answers beside our clock at each.
    pub clocks: ClockPairs,
    /// The server's URL, or the files' names.
    pub server: String,
}

impl KubeFacts {
    /// The cluster's UID: of `kube-system`, else of service `default/kubernetes`.
    pub fn uid(&self) -> Option<&str> {
        self.kube_system_uid.as_deref().or(self.kubernetes_service_uid.as_deref())
    }

    /// The names of the files that stand in for a server; `None`: a server was asked, or nobody.
    pub fn files(&self) -> Option<&str> {
        Some(self.server.as_str()).filter(|server| !server.is_empty() && !server.contains("://"))
    }
}

/// What is said for the name of a datastore that has none, or whose name was not read.
pub const UNKNOWN_GUID: &str = "unknown";

/// What is being read, in the order in which it comes.
#[derive(Clone, Debug, Default)]
pub struct Gathering {
    /// The moment by which ages, graces and cooldowns are judged.
    pub now: Time,
    /// This machine's clock when the first look had been read to its end; `None` where `now` was given, and in files.
    pub read_until: Option<Time>,
    /// Every foreign text once; a [`super::Name`] of it says nothing beside another table.
    pub names: Names,
    /// What of each input could be read.
    pub coverage: Coverage,
    pub etcd: EtcdFacts,
    pub kube: KubeFacts,

    /// In a snapshot sorted by CIDR, and the others as they say.
    pub blocks: Vec<Block>,
    /// Sorted by id (numbers of the table, not text).
    pub handles: Vec<Handle>,
    /// Sorted by CIDR, then host.
    pub affinities: Vec<Affinity>,
    /// Sorted by namespace and name.
    pub endpoints: Vec<Endpoint>,
    /// Sorted by name; so are reservations, Kubernetes' nodes and namespaces.
    pub calico_nodes: Vec<CalicoNode>,
    /// Sorted by CIDR, then name.
    pub pools: Vec<Pool>,
    pub reservations: Vec<Reservation>,
    pub ipam_config: IpamConfig,
    pub ipam_config_resource: IpamConfigResource,
    pub cluster: ClusterInformation,
    pub kube_controllers: KubeControllers,
    /// Sorted by name.
    pub host_endpoints: Vec<HostEndpoint>,
    /// `spec.expectedIPs` of all host endpoints: never a leak. Sorted.
    pub host_endpoint_addresses: Vec<super::Addr>,
    /// What did not decode (IPA901), sorted by key.
    pub bad_values: Vec<BadValue>,
    /// Keys under one of our prefixes that say nothing (`/calico/ipam/v2/host/<node>` alone), sorted: they count among
    /// etcd's.
    pub idle_keys: Vec<Vec<u8>>,

    /// Sorted by namespace and name; so are services.
    pub pods: Vec<Pod>,
    pub kube_nodes: Vec<KubeNode>,
    pub services: Vec<Service>,
    pub namespaces: Vec<Namespace>,

    /// What nodes' kernels say, where somebody asked.
    pub nodes_seen: NodesSeen,
}

/// Everything that one audit read, every list in the order that its field promises. It is read as the [`Gathering`] that
/// it was; a list can be added to before only.
#[derive(Clone, Debug, Default)]
pub struct Snapshot(pub(super) Gathering);

impl Deref for Snapshot {
    type Target = Gathering;

    fn deref(&self) -> &Gathering {
        &self.0
    }
}

impl Snapshot {
    /// Judges by another moment than that of the reading (`--now`): then no clock of the reading counts.
    pub fn judge_at(&mut self, now: Option<Time>) {
        if let Some(now) = now {
            (self.0.now, self.0.read_until, self.0.etcd.read_at) = (now, None, None);
        }
    }

    /// Whether Calico may write by a later look: the rest of ClusterInformation stays as it was read.
    pub fn set_ready(&mut self, ready: Option<bool>) {
        self.0.cluster.ready = ready;
    }

    /// Every node that the history names has a name here from then on, whether or not anything that was read names it:
    /// what is judged of one must not depend on names that an earlier state left in the table.
    pub fn name_nodes_of(&mut self, past: &Past) {
        past.nodes().for_each(|node| _ = self.0.names.intern(node));
    }

    /// The history was read.
    pub fn note_past(&mut self, past: &Past) {
        self.note_history(InputState::Complete, "");
        self.name_nodes_of(past);
    }

    /// What came of reading the history, which is looked for once the datastore has told its name.
    pub fn note_history(&mut self, state: InputState, detail: &str) {
        self.0.coverage.set(Input::History, state, detail);
    }
}

impl Gathering {
    /// The nodes of tunnels' handles have names: an id names one that nothing else may name, and what is judged by it must
    /// not depend on who named it before.
    fn name_tunnels(&mut self) {
        let of_blocks = self.blocks.iter().flat_map(|block| &block.attributes).filter_map(|attribute| attribute.handle);
        let mut nodes: Vec<String> = Vec::new();
        // Nearly all are of one network.
        let mut network = Name::NONE;
        for id in self.handles.iter().map(|handle| handle.id).chain(of_blocks) {
            if id.dotted && id.head == network {
                continue;
            }
            match Tunnel::of_handle(&id.text(&self.names)) {
                Some((_, node)) => nodes.push(node.to_owned()),
                None if id.dotted => network = id.head,
                None => {}
            }
        }
        nodes.iter().for_each(|node| _ = self.names.intern(node));
    }

    /// Everything has been read.
    ///
    /// Where output follows a list, its order is that of the text, since the numbers of names depend on what was
    /// read first. Lists arrive nearly sorted, and then this is cheap.
    pub fn sorted(mut self) -> Snapshot {
        self.sort();
        Snapshot(self)
    }

    /// The text of a name.
    pub fn text(&self, name: Name) -> &str {
        self.names.get(name)
    }

    /// The same, to be shown.
    pub fn named(&self, name: Name) -> Foreign {
        self.text(name).into()
    }

    /// What this cluster calls its pools and, besides, this node of Kubernetes.
    pub fn spellings(&self, node: Option<Name>) -> Spellings {
        let is_it = |calico: &&CalicoNode| node.is_some() && calico.kubernetes_name == node;
        Spellings {
            nodes: self.calico_nodes.iter().filter(is_it).map(|calico| self.named(calico.name)).collect(),
            pools: self.pools.iter().map(|pool| (self.named(pool.name), pool.cidr)).collect(),
        }
    }

    /// Namespace and name of an endpoint's key, as [`Gathering::pair`] has them.
    pub fn endpoint_id(&self, endpoint: &Endpoint) -> String {
        match self.text(endpoint.namespace) {
            "" => endpoint.name().text(&self.names),
            namespace => format!("{namespace}/{}", endpoint.name().text(&self.names)),
        }
    }

    /// `namespace/name`; of what is in no namespace the name alone.
    pub fn pair(&self, namespace: Name, name: Name) -> String {
        match self.text(namespace) {
            "" => self.text(name).to_owned(),
            namespace => format!("{namespace}/{}", self.text(name)),
        }
    }

    /// Whether a key that begins so did not decode. Finer than the dark of a whole input, which settings, pools and
    /// reservations share with what has nothing to do with them.
    pub fn is_undecodable_under(&self, prefix: &str) -> bool {
        self.bad_values.iter().any(|bad| bad.key.starts_with(prefix.as_bytes()))
    }

    /// Whether strict affinity is on; `None`: the setting was not read or does not decode.
    pub fn strict_affinity(&self) -> Option<bool> {
        let known = self.coverage.complete(Input::Config) && !self.is_undecodable_under(keys::IPAM_CONFIG);
        known.then_some(self.ipam_config.strict_affinity)
    }

    /// The datastore's name (ClusterInformation's GUID); [`UNKNOWN_GUID`] when it has none.
    pub fn guid(&self) -> &str {
        match self.text(self.cluster.guid) {
            "" => UNKNOWN_GUID,
            guid => guid,
        }
    }

    /// Puts every list into the order that its field promises.
    pub(super) fn sort(&mut self) {
        self.name_tunnels();
        self.order_nodes();
        let names = &self.names;
        self.blocks.sort_by(|a, b| (a.cidr, &a.odd_key).cmp(&(b.cidr, &b.odd_key)));
        self.handles.sort_by(|a, b| (a.id, a.odd_id()).cmp(&(b.id, b.odd_id())));
        self.affinities.sort_by(|a, b| {
            let host = |x: &Affinity| (x.cidr, x.host.kind, names.get(x.host.name));
            host(a).cmp(&host(b)).then_with(|| a.odd_key.cmp(&b.odd_key))
        });
        self.endpoints.sort_by(|a, b| match a.namespace == b.namespace {
            true => a.name().order(b.name(), names),
            false => names.get(a.namespace).cmp(names.get(b.namespace)),
        });
        self.calico_nodes.sort_by(|a, b| names.get(a.name).cmp(names.get(b.name)));
        self.pools.sort_by(|a, b| (a.cidr, names.get(a.name)).cmp(&(b.cidr, names.get(b.name))));
        self.reservations.sort_by(|a, b| names.get(a.name).cmp(names.get(b.name)));
        self.host_endpoints.sort_by(|a, b| names.get(a.name).cmp(names.get(b.name)));
        self.host_endpoint_addresses.sort_unstable();
        self.idle_keys.sort_unstable();
        self.bad_values.sort_by(|a, b| a.key.cmp(&b.key));
        self.pods.sort_by(|a, b| by_pair(names, (a.namespace, a.name), (b.namespace, b.name)));
        self.kube_nodes.sort_by(|a, b| names.get(a.name).cmp(names.get(b.name)));
        self.services.sort_by(|a, b| by_pair(names, (a.namespace, a.name), (b.namespace, b.name)));
        self.namespaces.sort_by(|a, b| names.get(a.name).cmp(names.get(b.name)));
    }
}

/// Compares namespace, then name, as text; one namespace is one number.
fn by_pair(names: &Names, a: (Name, Name), b: (Name, Name)) -> std::cmp::Ordering {
    let namespaces = || names.get(a.0).cmp(names.get(b.0));
    if a.0 == b.0 { names.get(a.1).cmp(names.get(b.1)) } else { namespaces() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_read_like_the_catalogue() {
        const LEAK: Needs = Needs::B.and(Needs::P).and(Needs::K).and(Needs::W).and(Needs::N);
        assert_eq!(LEAK.to_string(), "B W N P K");
        assert!(LEAK.has(Needs::P) && !LEAK.has(Needs::S) && LEAK.has_any(Needs::S.and(Needs::K)));
    }
}
