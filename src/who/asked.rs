//! What a word can mean: an address, a handle, a pod, a node, a MAC, an interface; and if none of these, a service, a machine
//! or a pool. All that fit are meant, or all of the kind that it names.

use super::dossier::{Dossier, RangeKind};
use super::word::{Word, WordKind};
use super::{AskedPlace, MatchKind, block};
use crate::ledger::{Allocation, Ledger};
use crate::model::{Addr, Cidr, HandleId, Interface, Name, Owner, keys};

/// Everything of the name asked for that the snapshot knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    pub address: Option<Addr>,
    /// A CIDR that IPAM has anything to do with; that of a pool by its name too.
    pub range: Option<Cidr>,
    pub handles: Vec<HandleId>,
    /// Namespace and name; the pod need not exist any more.
    pub pods: Vec<(Name, Name)>,
    /// Calico's name (or Kubernetes' where Calico has none).
    pub nodes: Vec<Name>,
    pub mac: Option<u64>,
    pub interface: Option<Interface>,
    /// Namespace and name of services that are there, or that addresses were allocated for.
    pub services: Vec<(Name, Name)>,
    /// Namespace and name of KubeVirt's machines by their allocations and pods.
    pub machines: Vec<(Name, Name)>,
    /// Where it is looked for.
    pub place: AskedPlace,
}

/// What a word can mean by its form alone, for the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Guess {
    Address(Addr),
    Range(Cidr),
    Handle(String),
    Pod(Option<String>, String),
    Node(String),
}

/// What `word` can mean when nothing of that name is there now.
pub fn guesses(word: &Word<'_>) -> Vec<Guess> {
    let name = word.name.to_owned();
    if let Some(address) = block::address(word) {
        return vec![Guess::Address(address)];
    }
    if let Some(range) = block::range(word) {
        return vec![Guess::Range(range)];
    }
    let pod = |name: &str| match name.split_once('/') {
        Some((namespace, name)) => Guess::Pod(Some(namespace.to_owned()), name.to_owned()),
        None => Guess::Pod(word.namespace.map(str::to_owned), name.to_owned()),
    };
    match word.kind {
        Some(WordKind::Address | WordKind::Pool) => Vec::new(),
        Some(WordKind::Handle) => vec![Guess::Handle(name)],
        Some(WordKind::Node) => vec![Guess::Node(name)],
        // A service's allocations are told by its name as a pod's are.
        Some(WordKind::Pod | WordKind::Service) => vec![pod(&name)],
        // The end of its handle, `<network>.vmi.<namespace>.<vm>`.
        Some(WordKind::Vm) => vec![Guess::Handle(name.replace('/', "."))],
        None if name.contains('/') => vec![pod(&name)],
        None => vec![Guess::Handle(name.clone()), pod(&name), Guess::Node(name)],
    }
}

impl Dossier {
    /// What the history is asked for, by everything that the dossier shows.
    pub fn guesses(&self) -> Vec<Guess> {
        let mut guesses: Vec<Guess> = self.addresses.iter().map(|sheet| Guess::Address(sheet.address)).collect();
        // All that a pool ever held is too much to tell.
        let ranges = self.range.iter().filter(|sheet| !matches!(sheet.kind, RangeKind::Pool | RangeKind::Blocks));
        guesses.extend(ranges.map(|sheet| Guess::Range(sheet.range)));
        guesses.extend(self.matches.iter().filter_map(|found| match (found.kind, found.id.raw()) {
            (MatchKind::Handle, id) => Some(Guess::Handle(id.to_owned())),
            (MatchKind::Pod, id) => {
                id.split_once('/').map(|(namespace, name)| Guess::Pod(Some(namespace.to_owned()), name.to_owned()))
            }
            // Nodes, MACs and interfaces: what belongs to them stands among the addresses and nodes.
            _ => None,
        }));
        let named = self.nodes.iter().flat_map(|node| node.calico.iter().chain(&node.kubernetes));
        guesses.extend(named.map(|name| Guess::Node(name.raw().to_owned())));
        guesses
    }
}

fn mac(word: &str) -> Option<u64> {
    let parts: Vec<&str> = word.split([':', '-']).collect();
    let bytes = parts.iter().map(|p| (p.len() == 2).then(|| u64::from_str_radix(p, 16).ok()).flatten());
    let bytes: Vec<u64> = bytes.collect::<Option<_>>()?;
    (bytes.len() == 6).then(|| bytes.iter().fold(0, |mac, byte| mac << 8 | byte))
}

impl Asked {
    /// Finds everything that `word` names.
    pub fn of(ledger: &Ledger<'_>, word: &Word<'_>) -> Asked {
        if let Some(address) = block::address(word) {
            return Asked { address: Some(address), ..Asked::default() };
        }
        if let Some(range) = block::range(word) {
            return Asked { range: Some(range).filter(|range| block::is_known(ledger, *range)), ..Asked::default() };
        }
        let mut asked = Asked::default();
        let name = word.name;
        if let (None, Some(mac)) = (word.kind, mac(name)) {
            asked.mac = Some(mac).filter(|mac| ledger.snapshot.endpoints.iter().any(|e| e.mac() == Some(*mac)));
        }
        if word.may_be(WordKind::Handle) {
            asked.find_handles(ledger, word);
        }
        if word.may_be(WordKind::Pod) {
            asked.find_pods(ledger, name);
            asked.keep_namespace(ledger, word);
        }
        if word.may_be(WordKind::Node) {
            asked.find_nodes(ledger, name);
        }
        if word.kind.is_none() {
            let interface = Interface::find(&ledger.snapshot.names, name).and_then(Interface::some);
            asked.interface = interface.filter(|i| ledger.snapshot.endpoints.iter().any(|e| e.interface() == *i));
        }
        if word.kind == Some(WordKind::Service) || (word.kind.is_none() && asked.is_nothing()) {
            asked.find_services(ledger, name);
        }
        if word.kind == Some(WordKind::Vm) || (word.kind.is_none() && asked.is_nothing()) {
            asked.find_machines(ledger, name);
        }
        asked.keep_namespace(ledger, word);
        if word.kind == Some(WordKind::Pool) || (word.kind.is_none() && asked.is_nothing()) {
            let pools = &mut ledger.snapshot.pools.iter();
            asked.range = pools.find(|pool| pool.is_called(name, &ledger.snapshot.names)).map(|pool| pool.cidr);
        }
        // A namespace may be called as a kind is.
        if word.kind.is_some() && asked.is_nothing() {
            asked.find_pods(ledger, word.typed);
        }
        asked
    }

    /// The keys of the handles asked for.
    pub fn handle_keys(&self, ledger: &Ledger<'_>) -> impl Iterator<Item = String> {
        self.handles.iter().map(|id| keys::handle_key(&id.text(&ledger.snapshot.names)))
    }

    /// Of what has a namespace only what is in the one that is meant.
    fn keep_namespace(&mut self, ledger: &Ledger<'_>, word: &Word<'_>) {
        let Some(namespace) = word.namespace.filter(|_| !word.name.contains('/')) else { return };
        let wanted = ledger.snapshot.names.find(namespace);
        for things in [&mut self.pods, &mut self.services, &mut self.machines] {
            things.retain(|(namespace, _)| Some(*namespace) == wanted);
        }
    }

    /// The same of what is at a place. An address and a range are what they are; who is in them is narrowed where it is told.
    #[must_use]
    pub fn at(mut self, ledger: &Ledger<'_>, place: AskedPlace) -> Asked {
        if !place.is_anywhere() {
            let has = |a: &Allocation| place.has_allocation(ledger, a);
            let owned = |wanted: &dyn Fn(&Owner) -> bool| {
                ledger.allocations.iter().any(|a| has(a) && ledger.owners_of(a).any(|o| wanted(&o)))
            };
            self.handles.retain(|id| ledger.allocations_of(*id).any(has));
            self.pods.retain(|pod| place.has_pod(ledger, *pod));
            self.nodes.retain(|node| place.has_node(*node));
            // Neither a service's address nor a machine's is of one node alone.
            self.services.retain(|of| place.nodes.is_none() && owned(&|o| (o.namespace, o.service) == *of));
            self.machines.retain(|of| owned(&|o| (o.namespace, o.vmi) == *of));
            let endpoints = || ledger.snapshot.endpoints.iter().filter(|e| place.has_endpoint(e));
            self.mac = self.mac.filter(|mac| endpoints().any(|e| e.mac() == Some(*mac)));
            self.interface = self.interface.filter(|wire| endpoints().any(|e| e.interface() == *wire));
        }
        self.place = place;
        self
    }

    /// Whether nothing is called so.
    pub fn is_nothing(&self) -> bool {
        Asked { place: AskedPlace::default(), ..self.clone() } == Asked::default()
    }

    fn find_handles(&mut self, ledger: &Ledger<'_>, word: &Word<'_>) {
        let (snapshot, names) = (ledger.snapshot, &ledger.snapshot.names);
        let known = |id: &HandleId| ledger.handle(*id).is_some() || ledger.allocations_of(*id).next().is_some();
        self.handles.extend(HandleId::find(names, word.name).filter(known));
        let all = || snapshot.handles.iter().map(|h| h.id).chain(ledger.named_handles()).filter(|id| id.dotted);
        // A container's id alone names its handle too.
        if let Some(tail) = names.find(word.name).filter(|n| !n.is_none()) {
            self.handles.extend(all().filter(|id| id.tail == tail));
        }
        // So does its beginning, and its endpoint where the handle is gone.
        if let Some(part) = word.container().filter(|_| self.handles.is_empty()) {
            let begins = |container: Name| names.get(container).starts_with(&part);
            self.handles.extend(all().filter(|id| begins(id.tail)));
            if self.handles.is_empty() {
                self.pods
                    .extend(snapshot.endpoints.iter().filter(|e| begins(e.container)).map(|e| (e.namespace, e.pod)));
            }
        }
        self.handles.sort_by_key(|id| id.text(names));
        self.handles.dedup();
    }

    /// Pods that exist, that endpoints are of, and that allocations were made for.
    fn find_pods(&mut self, ledger: &Ledger<'_>, word: &str) {
        let snapshot = ledger.snapshot;
        let Some(fits) = called(ledger, word) else { return };
        let pods = snapshot.pods.iter().map(|p| (p.namespace, p.name));
        let endpoints = snapshot.endpoints.iter().map(|e| (e.namespace, e.pod));
        self.pods.extend(pods.chain(endpoints).filter(|p| fits(*p)));
        for block in ledger.blocks() {
            let owners = block.attributes.iter().flat_map(crate::model::Attribute::owners);
            self.pods.extend(owners.filter_map(|o| o.pod_name()).filter(|p| fits(*p)));
        }
        self.pods.sort_by_key(|&(ns, pod)| snapshot.pair(ns, pod));
        self.pods.dedup();
    }

    fn find_services(&mut self, ledger: &Ledger<'_>, word: &str) {
        let Some(fits) = called(ledger, word) else { return };
        let snapshot = ledger.snapshot;
        let services = snapshot.services.iter().map(|service| (service.namespace, service.name));
        let owners = ledger.allocations.iter().flat_map(|allocation| ledger.owners_of(allocation));
        let named = owners.filter(|owner| !owner.service.is_none()).map(|owner| (owner.namespace, owner.service));
        self.services.extend(services.chain(named).filter(|service| fits(*service)));
        self.services.sort_by_key(|&(namespace, name)| snapshot.pair(namespace, name));
        self.services.dedup();
    }

    fn find_machines(&mut self, ledger: &Ledger<'_>, word: &str) {
        let Some(fits) = called(ledger, word) else { return };
        let snapshot = ledger.snapshot;
        let owners = ledger.allocations.iter().flat_map(|allocation| ledger.owners_of(allocation));
        let named = owners.filter(|owner| !owner.vmi.is_none()).map(|owner| (owner.namespace, owner.vmi));
        let pods = snapshot.pods.iter().filter(|pod| !pod.vmi().is_none()).map(|pod| (pod.namespace, pod.vmi()));
        self.machines.extend(named.chain(pods).filter(|machine| fits(*machine)));
        // Of a stopped machine only the handle tells the name: `<network>.vmi.<namespace>.<vm>`.
        let names = &snapshot.names;
        let end = format!(".{}", word.replace('/', "."));
        let all = snapshot.handles.iter().map(|handle| handle.id).chain(ledger.named_handles());
        let by_handle = all.filter(|id| id.is_vm(names) && id.text(names).ends_with(&end));
        self.handles.extend(by_handle);
        self.handles.sort_by_key(|id| id.text(names));
        self.handles.dedup();
        self.machines.sort_by_key(|&(namespace, name)| snapshot.pair(namespace, name));
        self.machines.dedup();
    }

    fn find_nodes(&mut self, ledger: &Ledger<'_>, word: &str) {
        let snapshot = ledger.snapshot;
        let Some(name) = snapshot.names.find(word).filter(|n| !n.is_none()) else { return };
        let calico = snapshot.calico_nodes.iter().filter(|n| n.name == name || n.kubernetes_name == Some(name));
        self.nodes.extend(calico.map(|n| n.name));
        let owns = snapshot.affinities.iter().any(|a| a.host.name == name)
            || snapshot.blocks.iter().any(|b| b.affinity.is_some_and(|h| h.name == name))
            || snapshot.kube_nodes.iter().any(|n| n.name == name)
            || snapshot.endpoints.iter().any(|e| e.node == name);
        if self.nodes.is_empty() && owns {
            self.nodes.push(name);
        }
    }
}

/// Whether namespace and name are those of a word, with or without its namespace; `None` where nothing can be.
fn called(ledger: &Ledger<'_>, word: &str) -> Option<impl Fn((Name, Name)) -> bool + use<>> {
    let names = &ledger.snapshot.names;
    let (namespace, name) = match word.split_once('/') {
        Some((namespace, name)) => (Some(names.find(namespace)?), names.find(name)?),
        None => (None, names.find(word)?),
    };
    let fits = move |(of, called): (Name, Name)| called == name && namespace.is_none_or(|wanted| wanted == of);
    (!name.is_none()).then_some(fits)
}
