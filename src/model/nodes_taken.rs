//! What nodes say, taken into a snapshot: how much of it counts is decided here, once, for whoever asks. What could not be
//! read, is of another time or of another node is no silence of the node.

use std::time::Duration;

use super::foreign::foreign;
use super::hash::HashMap;
use super::node_evidence::{DoubtKind, DumpState, EvidenceDoubt, NodeEvidence, NodesSeen};
use super::snapshot::{Dark, Gathering, Snapshot};
use super::{Endpoint, Foreign, Input, InputState, Interface, Name, Time};

/// Evidence that is older says too little of now: pods come and go.
pub const OLDEST: Duration = Duration::from_secs(10 * 60);
/// What is to be done about evidence that does not count.
pub const CAPTURE_AGAIN: &str = "capture again, on that node and with its name";

impl Snapshot {
    /// Adds what nodes say: of another moment than etcd and Kubernetes, and read from elsewhere.
    pub fn take_nodes(&mut self, mut nodes: NodesSeen) {
        // A capture has Calico's name of its node, and the pod that printed it Kubernetes'.
        nodes.believe(|node, on| {
            let own = self.0.calico_nodes.iter().find(|own| self.0.text(own.name) == node.raw());
            let own = own.and_then(|own| own.kubernetes_name).map_or(node.raw(), |name| self.0.text(name));
            own.eq_ignore_ascii_case(on.raw())
        });
        // As of the nodes of the history.
        nodes.nodes.iter().for_each(|evidence| _ = self.0.names.intern(evidence.node.raw()));
        self.0.nodes_seen = nodes;
        self.0.order_nodes();
        let (state, why, hint) = match self.0.nodes_seen.failed.clone() {
            Some(failed) => failed,
            None => extent(&self.0.nodes_seen),
        };
        self.0.coverage.set(Input::NodeEvidence, state, why);
        if !hint.is_empty() {
            self.0.coverage.set_hint(Input::NodeEvidence, hint);
        }
    }
}

impl Gathering {
    /// Puts what nodes say in order, and what is to be said of it.
    pub(super) fn order_nodes(&mut self) {
        self.nodes_seen.index();
        let doubts = self.doubts();
        self.nodes_seen.doubts = doubts;
    }

    /// Of each node's evidence what is wrong with it.
    fn doubts(&self) -> Vec<Vec<EvidenceDoubt>> {
        let nodes = &self.nodes_seen.nodes;
        let name = |evidence: &NodeEvidence| self.names.find(evidence.node.raw()).unwrap_or(Name::NONE);
        let mut of: HashMap<Name, Vec<&Endpoint>> = nodes.iter().map(|evidence| (name(evidence), Vec::new())).collect();
        of.remove(&Name::NONE);
        if !of.is_empty() {
            for endpoint in &self.endpoints {
                of.get_mut(&endpoint.node).into_iter().for_each(|endpoints| endpoints.push(endpoint));
            }
        }
        let none = Vec::new();
        let doubts = |evidence| self.doubts_of(evidence, name(evidence), of.get(&name(evidence)).unwrap_or(&none));
        nodes.iter().map(doubts).collect()
    }

    fn doubts_of(&self, evidence: &NodeEvidence, node: Name, endpoints: &[&Endpoint]) -> Vec<EvidenceDoubt> {
        let mut doubts = Vec::new();
        let mut add = |kind, words: Foreign| doubts.push(EvidenceDoubt { kind, words });
        if let Some(at) = evidence.taken_at().filter(|at| apart(self.now, *at) > OLDEST) {
            let minutes = apart(self.now, at).as_secs() / 60;
            let words = if at > self.now { "ahead of now: see the node's clock" } else { "old" };
            add(DoubtKind::OtherTime, format!("{minutes} minutes {words}").into());
        }
        if self.is_of_another_boot(evidence, node) {
            add(DoubtKind::OtherBoot, "of another boot of the machine".into());
        }
        if self.is_unknown(node) && endpoints.is_empty() {
            add(DoubtKind::UnknownNode, "Calico knows no node of this name".into());
        }
        if self.is_mistaken(evidence, endpoints) {
            let words =
                "not one of the node's endpoints is among its interfaces: another node's, or another data plane";
            add(DoubtKind::OtherNode, words.into());
        }
        evidence.unread().for_each(|words| add(DoubtKind::NotRead, words));
        let failed = &evidence.inside.failed;
        if let Some(first) = failed.first() {
            let words = foreign!("{} pods could not be looked into: {}", failed.len(), &first.why);
            add(DoubtKind::NotRead, words);
        }
        doubts
    }

    /// Whether Kubernetes knows another boot of the machine.
    fn is_of_another_boot(&self, evidence: &NodeEvidence, node: Name) -> bool {
        let calico = self.calico_nodes.iter().find(|calico| calico.name == node);
        let kubernetes = calico.and_then(|calico| calico.kubernetes_name).unwrap_or(node);
        let machine = self.kube_nodes.iter().find(|machine| machine.name == kubernetes);
        let known = machine.and_then(|machine| machine.boot_id.some()).map(|boot| self.text(boot));
        known.is_some_and(|known| evidence.boot_id.some().is_some_and(|boot| *boot != *known))
    }

    /// Whether nobody but the evidence speaks of the node, though they were asked: a name that was mistyped makes strangers
    /// of its own blocks.
    fn is_unknown(&self, node: Name) -> bool {
        let is_hidden = |dark: &Dark| match dark {
            Dark::Node(name) => *name == node,
            _ => true,
        };
        let mut bad = self.bad_values.iter().filter(|bad| bad.input == Input::CalicoNodes);
        let may_be_hidden = bad.any(|bad| bad.dark.is_empty() || bad.dark.iter().any(is_hidden));
        let is_known = self.calico_nodes.iter().any(|calico| calico.name == node);
        self.coverage.complete(Input::CalicoNodes) && !is_known && !may_be_hidden
    }

    /// Whether it is of another node than it says, or Calico's pods are wired in a way that the kernel does not show: there
    /// are endpoints and workload interfaces, and not one of them is the other's.
    fn is_mistaken(&self, evidence: &NodeEvidence, endpoints: &[&Endpoint]) -> bool {
        let Some(links) = evidence.links.read() else { return false };
        let wired: super::hash::HashSet<Interface> = endpoints.iter().filter_map(|e| e.interface().some()).collect();
        let number = endpoints.iter().filter(|e| !e.interface().is_none()).count();
        let has_own = links.iter().any(|link| evidence.is_workload(&link.name));
        let is_one = |name: &Foreign| Interface::find(&self.names, name.raw()).is_some_and(|i| wired.contains(&i));
        // One pod alone may have lost its interface.
        !links.iter().any(|link| is_one(&link.name)) && (number > 1 || number > 0 && has_own)
    }
}

fn apart(now: Time, at: Time) -> Duration {
    now.since(at).max(at.since(now))
}

/// How much of all evidence counts, why not all, and what can be done about it. Of several nodes one that was read says that
/// it could be done; a list that no node's evidence has whole was not had.
fn extent(seen: &NodesSeen) -> (InputState, Foreign, Foreign) {
    let judged: Vec<usize> = (0..seen.nodes.len()).filter(|at| seen.is_judged(*at)).collect();
    let dumps: Vec<_> = judged.iter().filter_map(|at| seen.nodes.get(*at)).map(NodeEvidence::dumps).collect();
    let of = |list: usize| dumps.iter().filter_map(move |dumps| dumps.get(list)).map(|(_, state)| *state);
    let lists = || 0..dumps.first().map_or(0, |dumps| dumps.len());
    let is_read = |list: &usize| of(*list).any(|state| state == DumpState::Read);
    let is_lost = |list: &usize| !is_read(list) && of(*list).any(|state| state != DumpState::NotAsked);
    let state = match () {
        () if seen.nodes.is_empty() => InputState::Complete,
        () if !lists().any(|list| is_read(&list)) => InputState::Unreachable,
        () if lists().any(|list| is_lost(&list)) => InputState::Partial,
        () => InputState::Complete,
    };
    if state == InputState::Complete {
        return (state, Foreign::default(), Foreign::default());
    }
    let mut doubtful = seen.nodes.iter().enumerate().map(|(at, node)| (node, seen.doubts(at)));
    let doubtful: Vec<_> = doubtful.by_ref().filter(|(_, doubts)| !doubts.is_empty()).collect();
    let Some((first, doubts)) = doubtful.first() else { return (state, Foreign::default(), CAPTURE_AGAIN.into()) };
    let more = match doubtful.len() - 1 {
        0 => String::new(),
        1 => ", and of 1 more node".to_owned(),
        more => format!(", and of {more} more nodes"),
    };
    (state, foreign!("of node {} {}{more}", &first.node, EvidenceDoubt::sentence(doubts)), CAPTURE_AGAIN.into())
}
