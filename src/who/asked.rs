//! What a word can mean: an address, a handle, a pod, a node, a MAC, an interface. All that fit are meant.

use super::block;
use super::dossier::{Dossier, RangeKind};
use crate::ledger::Ledger;
use crate::model::{Addr, Cidr, HandleId, Name, SubjectKind, keys};

/// Everything of the name asked for that the snapshot knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    pub address: Option<Addr>,
    /// A CIDR that IPAM has anything to do with.
    pub range: Option<Cidr>,
    pub handles: Vec<HandleId>,
    /// Namespace and name; the pod need not exist any more.
    pub pods: Vec<(Name, Name)>,
    /// Calico's name (or Kubernetes' where Calico has none).
    pub nodes: Vec<Name>,
    pub mac: Option<u64>,
    pub interface: Option<Name>,
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
pub fn guesses(word: &str) -> Vec<Guess> {
    if let Some(address) = block::address(word) {
        return vec![Guess::Address(address)];
    }
    if let Some(range) = block::range(word) {
        return vec![Guess::Range(range)];
    }
    match word.split_once('/') {
        Some((namespace, name)) => vec![Guess::Pod(Some(namespace.to_owned()), name.to_owned())],
        None => {
            let word = word.to_owned();
            vec![Guess::Handle(word.clone()), Guess::Pod(None, word.clone()), Guess::Node(word)]
        }
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
            (SubjectKind::Handle, id) => Some(Guess::Handle(id.to_owned())),
            (SubjectKind::Pod, id) => {
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
    pub fn of(ledger: &Ledger<'_>, word: &str) -> Asked {
        if let Some(address) = block::address(word) {
            return Asked { address: Some(address), ..Asked::default() };
        }
        if let Some(range) = block::range(word) {
            return Asked { range: Some(range).filter(|range| block::is_known(ledger, *range)), ..Asked::default() };
        }
        let mut asked = Asked::default();
        if let Some(mac) = mac(word).filter(|m| ledger.snapshot.endpoints.iter().any(|e| e.mac == Some(*m))) {
            asked.mac = Some(mac);
        }
        asked.find_handles(ledger, word);
        asked.find_pods(ledger, word);
        asked.find_by_name(ledger, word);
        asked
    }

    /// The keys of the handles asked for.
    pub fn handle_keys(&self, ledger: &Ledger<'_>) -> impl Iterator<Item = String> {
        self.handles.iter().map(|id| keys::handle_key(&id.text(&ledger.snapshot.names)))
    }

    /// Whether nothing is called so.
    pub fn is_nothing(&self) -> bool {
        *self == Asked::default()
    }

    fn find_handles(&mut self, ledger: &Ledger<'_>, word: &str) {
        let names = &ledger.snapshot.names;
        let known = |id: &HandleId| ledger.handle(*id).is_some() || ledger.allocations_of(*id).next().is_some();
        self.handles.extend(HandleId::find(names, word).filter(known));
        // A container's id alone names its handle too.
        let Some(tail) = names.find(word).filter(|n| !n.is_none()) else { return };
        let objects = ledger.snapshot.handles.iter().map(|h| h.id);
        let of_container = objects.chain(ledger.named_handles()).filter(|id| id.dotted && id.tail == tail);
        self.handles.extend(of_container);
        self.handles.sort_by_key(|id| id.text(names));
        self.handles.dedup();
    }

    /// Pods that exist, that endpoints are of, and that allocations were made for.
    fn find_pods(&mut self, ledger: &Ledger<'_>, word: &str) {
        let snapshot = ledger.snapshot;
        let (namespace, name) = match word.split_once('/') {
            Some((namespace, name)) => (snapshot.names.find(namespace), snapshot.names.find(name)),
            None => (None, snapshot.names.find(word)),
        };
        let Some(name) = name.filter(|n| !n.is_none()) else { return };
        if word.contains('/') && namespace.is_none() {
            return;
        }
        let fits = |(ns, pod): (Name, Name)| pod == name && namespace.is_none_or(|n| n == ns);
        let pods = snapshot.pods.iter().map(|p| (p.namespace, p.name));
        let endpoints = snapshot.endpoints.iter().map(|e| (e.namespace, e.pod));
        self.pods.extend(pods.chain(endpoints).filter(|p| fits(*p)));
        for block in ledger.blocks() {
            let owners = block.attributes.iter().flat_map(|a| [Some(&a.owner), a.alternate.as_deref()]).flatten();
            self.pods.extend(owners.filter_map(|o| o.pod_name()).filter(|p| fits(*p)));
        }
        self.pods.sort_by_key(|&(ns, pod)| snapshot.pair(ns, pod));
        self.pods.dedup();
    }

    fn find_by_name(&mut self, ledger: &Ledger<'_>, word: &str) {
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
        self.interface = snapshot.endpoints.iter().any(|e| e.interface == name).then_some(name);
    }
}
