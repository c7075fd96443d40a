//! Which findings concern what was asked for: those about it, about what belongs to it, and those whose evidence
//! names it.

use std::collections::HashSet;

use super::dossier::{Dossier, MatchKind, RangeKind};
use crate::model::foreign::foreign;
use crate::model::{Addr, Cidr, Evidence, Fact, Foreign, Gist, KeptFinding, SubjectKind, keys};

/// The things whose findings are wanted.
#[derive(Debug, Default)]
pub struct Concern {
    subjects: HashSet<(SubjectKind, Foreign)>,
    /// Evidence that names one of these is about it.
    words: HashSet<Foreign>,
    /// Calico's and Kubernetes' names of nodes: all that belongs to them.
    nodes: HashSet<Foreign>,
    addresses: Vec<Addr>,
    /// A CIDR that was asked for: all that lies in it.
    range: Option<Cidr>,
    keys: HashSet<String>,
}

impl Concern {
    /// Of everything that the dossier shows.
    pub fn of(dossier: &Dossier) -> Concern {
        let mut concern = Concern::default();
        for m in &dossier.matches {
            match m.kind {
                MatchKind::Node => drop(concern.nodes.insert(m.id.clone())),
                _ => drop(concern.words.insert(m.id.clone())),
            }
        }
        let nodes = dossier.nodes.iter();
        concern.nodes.extend(nodes.flat_map(|n| [n.calico.clone(), n.kubernetes.clone()]).flatten());
        if let Some(sheet) = &dossier.range {
            concern.range = Some(sheet.range);
            let handles = sheet.occupants.iter().filter_map(|o| o.allocation.handle.clone());
            handles.for_each(|handle| concern.add_handle(handle));
            let pools = sheet.pools.iter().filter(|_| sheet.kind == RangeKind::Pool);
            pools.for_each(|pool| concern.add(SubjectKind::Pool, pool.clone()));
        }
        for sheet in &dossier.addresses {
            concern.addresses.push(sheet.address);
            concern.add(SubjectKind::Address, sheet.address.to_string().into());
            let handles = sheet.allocations.iter().filter_map(|a| a.handle.clone());
            handles.for_each(|h| concern.add_handle(h));
        }
        dossier.handles.iter().for_each(|h| concern.add_handle(h.id.clone()));
        for pod in dossier.matches.iter().filter(|m| m.kind == MatchKind::Pod) {
            concern.add(SubjectKind::Pod, pod.id.clone());
        }
        for e in &dossier.endpoints {
            concern.add(SubjectKind::Endpoint, e.endpoint.clone());
            concern.add(SubjectKind::Interface, foreign!("{} {}", e.node, e.interface));
            concern.subjects.extend(e.mac.iter().map(|mac| (SubjectKind::Mac, foreign!("{} {}", e.node, mac))));
            if let Some((namespace, name)) = e.endpoint.raw().split_once('/') {
                concern.keys.insert(keys::endpoint_key(namespace, name));
            }
        }
        concern
    }

    fn add(&mut self, kind: SubjectKind, id: Foreign) {
        self.subjects.insert((kind, id));
    }

    fn add_handle(&mut self, id: Foreign) {
        self.keys.insert(keys::handle_key(id.raw()));
        self.add(SubjectKind::Handle, id);
    }

    /// Whether a finding is about it.
    pub fn has(&self, finding: &KeptFinding) -> bool {
        self.has_gist(finding) || !is_everybodys(finding) && self.in_facts(&finding.open().evidence)
    }

    /// Whether it is by what it is, whatever it says.
    fn has_gist(&self, finding: &Gist) -> bool {
        let subject = &finding.subject;
        let id = subject.id.raw();
        let in_range = || subject.range().is_some_and(|range| self.covers(range));
        let by_subject = match subject.kind {
            SubjectKind::Address | SubjectKind::Block | SubjectKind::Affinity => in_range(),
            SubjectKind::NodeAddress | SubjectKind::NodeBlock => in_range(),
            SubjectKind::Node => self.nodes.contains(&subject.id),
            SubjectKind::Workload => id.rsplit_once('/').is_some_and(|(pod, _)| {
                let pod = Foreign::from(pod);
                self.words.contains(&pod) || self.subjects.contains(&(SubjectKind::Pod, pod))
            }),
            SubjectKind::Key => self.keys.contains(id) || in_range(),
            _ => false,
        };
        by_subject
            || self.subjects.contains(&(subject.kind, subject.id.clone()))
            || !is_everybodys(finding) && finding.node.as_ref().is_some_and(|n| self.nodes.contains(n))
    }

    /// Whether a block is one that was asked for, or of an address that was.
    fn covers(&self, block: Cidr) -> bool {
        self.addresses.iter().any(|a| block.contains(*a)) || self.range.is_some_and(|range| range.overlaps(block))
    }

    /// Whether a word is an address in the CIDR that was asked for.
    fn is_inside(&self, word: &str) -> bool {
        let address = || word.parse::<Addr>().ok();
        self.range.is_some_and(|range| address().is_some_and(|address| range.contains(address)))
    }

    fn in_facts(&self, facts: &Evidence) -> bool {
        facts.0.iter().any(|(_, fact)| self.in_fact(fact))
    }

    fn in_fact(&self, fact: &Fact) -> bool {
        match fact {
            Fact::Text(text) => self.words.contains(text) || self.is_inside(text.raw()),
            Fact::List(list) => list.iter().any(|f| self.in_fact(f)),
            Fact::Fields(fields) => self.in_facts(fields),
            _ => false,
        }
    }
}

/// A pool or the cluster is everybody's, unless it was asked for.
fn is_everybodys(finding: &Gist) -> bool {
    matches!(finding.subject.kind, SubjectKind::Pool | SubjectKind::Cluster)
}
