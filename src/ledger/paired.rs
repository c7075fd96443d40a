//! Whether this API server and this datastore belong together ([`Pairing`]).
//!
//! A wrong kubeconfig would make every address look leaked. So before any check that needs pods, the two are
//! held against each other.

use crate::model::hash::HashSet;
use std::time::Duration;

use super::Ledger;
use super::pairing::{ABANDONED, Pairing};
use crate::model::{Addr, Input, Past};

/// A pod younger than this may not have its endpoint yet.
const YOUNG: Duration = Duration::from_secs(5 * 60);

impl Pairing {
    pub(super) fn of(ledger: &Ledger<'_>, past: Option<&Past>) -> Pairing {
        let coverage = &ledger.snapshot.coverage;
        for input in [Input::KubeNodes, Input::CalicoNodes] {
            if !coverage.complete(input) {
                return Pairing::Unknown(format!("{}: {}", input.word(), coverage.state(input).word()));
            }
        }
        let nodes = &ledger.snapshot.kube_nodes;
        let shared = ledger.shared_nodes(past);
        let enough = |shared: usize| shared > 0 && shared * 2 >= nodes.len();
        if !enough(shared) {
            let known = match nodes.len() {
                0 => "Kubernetes lists no nodes".to_owned(),
                all => format!("{shared} of {all} Kubernetes nodes are known to this datastore"),
            };
            // A Calico Node that does not decode may be the one that refers to a node.
            let hidden = undecodable(ledger, Input::CalicoNodes);
            return match enough(shared + hidden) {
                true => Pairing::Unknown(format!("{known}, and {hidden} Calico Nodes do not decode")),
                false => Pairing::Mismatch(known),
            };
        }
        // Whatever speaks for a pair: names, addresses and the history are as they were when it was one.
        if let Some(abandoned) = ledger.abandoned() {
            return match abandoned.certain {
                true => Pairing::Mismatch(ABANDONED.to_owned()),
                false => Pairing::Unknown(format!("perhaps {ABANDONED}: endpoints do not decode")),
            };
        }
        if past.is_some_and(|p| p.pair_known) {
            return Pairing::Paired("the pair is known from the history");
        }
        if most_internal_addresses_agree(ledger) {
            return Pairing::Paired("most nodes' InternalIPs are their Calico nodes' addresses");
        }
        match half_of_the_pods_have_endpoints(ledger) {
            Some(true) => Pairing::Paired("most pods have an endpoint of their name on their node"),
            Some(false) => Pairing::Mismatch(
                "node names agree, but neither the nodes' addresses nor the pods' endpoints do".to_owned(),
            ),
            None => Pairing::Unknown(
                "the nodes' addresses do not agree, and pods or endpoints could not be read or decoded".to_owned(),
            ),
        }
    }
}

impl Ledger<'_> {
    /// How many Kubernetes nodes are known to this datastore: a Calico Node refers to them; or, when the history knows
    /// the pair, an earlier audit knew them as ours. Many that have lost their Calico Node are no other cluster.
    pub fn shared_nodes(&self, past: Option<&Past>) -> usize {
        let known = past.filter(|p| p.pair_known).map(known_to_history).unwrap_or_default();
        let shared = |name| self.scope.has_calico_node(name) || known.contains(self.text(name));
        self.snapshot.kube_nodes.iter().filter(|n| shared(n.name)).count()
    }
}

/// Kubernetes' names of the nodes that earlier audits knew as ours.
fn known_to_history(past: &Past) -> HashSet<&str> {
    let mut names = HashSet::default();
    for calico in &past.known_nodes {
        names.insert(past.kubernetes_names.get(calico).unwrap_or(calico).as_str());
    }
    names
}

/// How many keys of an input do not decode.
fn undecodable(ledger: &Ledger<'_>, input: Input) -> usize {
    ledger.snapshot.bad_values.iter().filter(|bad| bad.input == input).count()
}

fn most_internal_addresses_agree(ledger: &Ledger<'_>) -> bool {
    let calico: HashSet<(crate::model::Name, Addr)> = ledger
        .snapshot
        .calico_nodes
        .iter()
        .flat_map(|n| n.addresses.iter().map(move |&a| (ledger.scope.kubernetes_name(n.name), a)))
        .collect();
    let internal = || {
        let ours = |n: &&crate::model::KubeNode| ledger.scope.has_calico_node(n.name);
        ledger
            .snapshot
            .kube_nodes
            .iter()
            .filter(ours)
            .flat_map(|n| n.internal_addresses.iter().map(move |&a| (n.name, a)))
    };
    let (all, agreeing) = (internal().count(), internal().filter(|pair| calico.contains(pair)).count());
    agreeing * 2 > all
}

fn half_of_the_pods_have_endpoints(ledger: &Ledger<'_>) -> Option<bool> {
    let snapshot = ledger.snapshot;
    if !snapshot.coverage.complete(Input::Pods) || !snapshot.coverage.complete(Input::Endpoints) {
        return None;
    }
    let settled = snapshot.pods.iter().filter(|p| {
        p.may_hold()
            && ledger.scope.has_calico_node(p.node)
            && p.created().is_some_and(|created| snapshot.now.since(created) > YOUNG)
    });
    let (mut pods, mut with_endpoint) = (0usize, 0usize);
    for pod in settled {
        pods += 1;
        with_endpoint += usize::from(ledger.endpoints_at_home(pod).next().is_some());
    }
    let enough = |with_endpoint: usize| pods > 0 && with_endpoint * 2 >= pods;
    // An endpoint that does not decode may be any pod's.
    let hidden = undecodable(ledger, Input::Endpoints);
    (enough(with_endpoint) || !enough(with_endpoint + hidden)).then(|| enough(with_endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, undecodable_endpoint, undecodable_node};
    use crate::ledger::ScopeFlag;

    fn pairing(c: &mut Cluster) -> Pairing {
        let snapshot = c.snapshot();
        Ledger::build(&snapshot, ScopeFlag::Auto, None).pairing
    }

    #[test]
    fn a_calico_node_that_does_not_decode_is_no_other_clusters() {
        let mut c = Cluster::healthy();
        c.node("node-3", "192.168.0.3");
        c.snapshot.calico_nodes.retain(|n| n.name == c.snapshot.kube_nodes[0].name);
        assert!(matches!(pairing(&mut c), Pairing::Mismatch(_)));
        let bad = undecodable_node(&mut c.snapshot.names, "node-2");
        c.snapshot.bad_values.push(bad);
        assert!(matches!(pairing(&mut c), Pairing::Unknown(_)), "it may be node-2");
        // One cannot stand for many.
        for i in 4..9 {
            c.node(&format!("node-{i}"), &format!("192.168.0.{i}"));
            c.snapshot.calico_nodes.pop();
        }
        assert!(matches!(pairing(&mut c), Pairing::Mismatch(_)));
    }

    #[test]
    fn no_nodes_at_all_are_said_to_be_none() {
        let mut c = Cluster::healthy();
        c.snapshot.kube_nodes.clear();
        assert_eq!(pairing(&mut c), Pairing::Mismatch("Kubernetes lists no nodes".to_owned()));
    }

    /// Three of four nodes have lost their Calico Nodes: many outages (IPA410), and no other cluster.
    #[test]
    fn nodes_that_earlier_audits_knew_as_ours_count_when_the_pair_is_known() {
        let mut c = Cluster::healthy();
        c.node("node-3", "192.168.0.3");
        c.node("node-4", "192.168.0.4");
        c.snapshot.calico_nodes.truncate(1);
        assert!(matches!(pairing(&mut c), Pairing::Mismatch(_)), "the first audit cannot know");
        let with_past = |c: &mut Cluster, change: &dyn Fn(&mut Past)| {
            let past = c.remember();
            past.known_nodes = ["node-1", "node-2", "rack-3"].map(str::to_owned).into();
            past.kubernetes_names = [("rack-3".to_owned(), "node-3".to_owned())].into();
            change(past);
            let snapshot = c.snapshot();
            let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, c.past.as_ref());
            (ledger.pairing.holds(), ledger.shared_nodes(c.past.as_ref()))
        };
        assert_eq!(with_past(&mut c, &|_| ()), (true, 3), "by both names");
        assert_eq!(with_past(&mut c, &|past| past.pair_known = false), (false, 1));
        c.snapshot.calico_nodes.clear();
        assert_eq!(with_past(&mut c, &|_| ()), (true, 3), "even all of them");
        assert_eq!(with_past(&mut c, &|past| past.known_nodes.clear()), (false, 0));
    }

    #[test]
    fn endpoints_that_do_not_decode_are_not_absent() {
        let mut c = Cluster::healthy();
        c.snapshot.calico_nodes.iter_mut().for_each(|n| n.addresses = [].into());
        c.snapshot.endpoints.truncate(1);
        assert!(matches!(pairing(&mut c), Pairing::Mismatch(_)));
        let bad = undecodable_endpoint(&mut c.snapshot.names, "node-1");
        c.snapshot.bad_values.push(bad);
        assert!(matches!(pairing(&mut c), Pairing::Unknown(_)), "2 of 4 pods may have an endpoint");
    }
}
