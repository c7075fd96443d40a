//! Kubernetes nodes on which Calico runs, and of which it has no Node: ours all the same.
//!
//! A Calico Node goes missing when a node is deleted from Kubernetes and registers again without calico-node being
//! restarted, or when another cluster's controller deletes it. What says which name Calico gave the machine goes with
//! it. It is Kubernetes' own name, unless the history or the endpoints of its living pods say otherwise.

use crate::model::hash::{HashMap, HashSet};

use crate::model::{HostKind, Input, Name, Orchestrator, Past, Pod, Snapshot};

/// Kubernetes' name of hosts that have no Calico Node, by the name that Calico gave them.
#[derive(Debug, Default)]
pub(super) struct Unregistered {
    /// As the history knows them, whether Kubernetes still has them or not.
    pub names: HashMap<Name, Name>,
    /// Those that are nodes of this cluster now, and have no Calico Node under any name.
    pub hosts: HashMap<Name, Name>,
}

impl Unregistered {
    /// `referred`: Kubernetes nodes to which a Calico Node refers.
    pub fn of(snapshot: &Snapshot, past: Option<&Past>, referred: impl Fn(Name) -> bool) -> Unregistered {
        let mut found = Unregistered::default();
        let both = [Input::CalicoNodes, Input::KubeNodes].into_iter().all(|input| snapshot.coverage.complete(input));
        if !both {
            return found;
        }
        let registered: HashSet<Name> = snapshot.calico_nodes.iter().map(|n| n.name).collect();
        for (calico, kubernetes) in past.into_iter().flat_map(|p| &p.kubernetes_names) {
            let names = [snapshot.names.find(calico), snapshot.names.find(kubernetes)];
            if let [Some(calico), Some(kubernetes)] = names
                && !registered.contains(&calico)
            {
                found.names.insert(calico, kubernetes);
            }
        }
        let kubernetes: HashSet<Name> = snapshot.kube_nodes.iter().map(|n| n.name).collect();
        let missing = |name: &Name| kubernetes.contains(name) && !referred(*name) && !registered.contains(name);
        let without: HashSet<Name> = kubernetes.iter().copied().filter(|name| missing(name)).collect();
        if without.is_empty() {
            return found;
        }
        let hosts = traces(snapshot);
        found.hosts = hosts.iter().filter(|host| without.contains(*host)).map(|&host| (host, host)).collect();
        let known = found.names.iter().filter(|(_, name)| without.contains(*name) && !found.hosts.contains_key(*name));
        let known: Vec<(Name, Name)> = known.map(|(&calico, &name)| (calico, name)).collect();
        found.hosts.extend(known);
        let stranger = |host: Name| !registered.contains(&host) && !kubernetes.contains(&host);
        let by_pods = by_pods(snapshot, &found.hosts, |name| without.contains(&name), stranger);
        found.names.extend(&by_pods);
        found.hosts.extend(by_pods);
        found
    }
}

/// Every host that has an endpoint, a block or an affinity: Calico runs there, or did.
fn traces(snapshot: &Snapshot) -> HashSet<Name> {
    let owners = snapshot.blocks.iter().filter_map(|b| b.affinity).chain(snapshot.affinities.iter().map(|a| a.host));
    let hosts = owners.filter(|host| host.kind == HostKind::Host).map(|host| host.name);
    hosts.chain(snapshot.endpoints.iter().map(|e| e.node)).filter(|name| !name.is_none()).collect()
}

/// Hosts whose endpoints are those of pods that live, with the endpoint's very address, on one Kubernetes node without
/// Calico Node, and that have no endpoint under a name by which the node is known. Whoever lives on two such nodes has
/// moved, and says nothing.
fn by_pods(
    snapshot: &Snapshot,
    hosts: &HashMap<Name, Name>,
    missing: impl Fn(Name) -> bool,
    stranger: impl Fn(Name) -> bool,
) -> HashMap<Name, Name> {
    let living = snapshot.pods.iter().filter(|p| p.may_hold() && !p.is_terminating() && missing(p.node));
    let mut living: HashMap<(Name, Name), &Pod> = living.map(|p| ((p.namespace, p.name), p)).collect();
    let endpoints = || snapshot.endpoints.iter().filter(|e| e.orchestrator() == Orchestrator::Kubernetes);
    for endpoint in endpoints() {
        let pod = (endpoint.namespace, endpoint.pod);
        if let Some(home) = hosts.get(&endpoint.node)
            && living.get(&pod).is_some_and(|p| p.node == *home)
        {
            living.remove(&pod);
        }
    }
    let mut of_host: HashMap<Name, Option<Name>> = HashMap::default();
    let mut of_node: HashMap<Name, Option<Name>> = HashMap::default();
    for endpoint in endpoints().filter(|e| stranger(e.node) && !hosts.contains_key(&e.node)) {
        let Some(pod) = living.get(&(endpoint.namespace, endpoint.pod)) else { continue };
        if pod.addresses().iter().any(|address| endpoint.addresses().contains(address)) {
            let same = |seen: &mut Option<Name>, name: Name| *seen = seen.filter(|&other| other == name);
            same(of_host.entry(endpoint.node).or_insert(Some(pod.node)), pod.node);
            same(of_node.entry(pod.node).or_insert(Some(endpoint.node)), endpoint.node);
        }
    }
    let only = |(host, node): (Name, Option<Name>)| {
        let node = node?;
        (of_node.get(&node) == Some(&Some(host))).then_some((host, node))
    };
    of_host.into_iter().filter_map(only).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr, undecodable_node};
    use crate::ledger::{EndpointState, Ledger, ScopeFlag, Standing};
    use crate::model::InputState;

    fn with<T>(c: &mut Cluster, then: impl FnOnce(&Ledger<'_>) -> T) -> T {
        let snapshot = c.snapshot();
        then(&Ledger::build(&snapshot, c.scope, c.past.as_ref()))
    }

    /// Standing of a host, Kubernetes' name of it, whether it is one that has lost its Calico Node.
    fn how(c: &mut Cluster, host: &str) -> (Standing, String, bool) {
        let name = c.name(host);
        with(c, |ledger| {
            let scope = &ledger.scope;
            (scope.standing(name), ledger.text(scope.kubernetes_name(name)).to_owned(), scope.is_unregistered(name))
        })
    }

    fn ours(kubernetes: &str) -> (Standing, String, bool) {
        (Standing::Ours, kubernetes.to_owned(), true)
    }

    /// Another cluster's node is in the datastore too, so that nothing follows from being alone.
    fn shared() -> Cluster {
        let mut c = Cluster::healthy();
        c.node("east-1", "172.31.0.1");
        c.remove_kube_node("east-1");
        c
    }

    #[test]
    fn a_node_that_lost_its_calico_node_is_ours_with_everything_on_it() {
        let mut c = shared();
        c.remove_calico_node("node-1");
        assert_eq!(how(&mut c, "node-1"), ours("node-1"));
        let states = with(&mut c, |l| l.endpoints_with_states().map(|(.., state)| state).collect::<Vec<_>>());
        assert!(states.iter().all(|state| *state == EndpointState::Live), "{states:?}");
        // A block or an affinity alone is enough of a trace.
        c.snapshot.endpoints.clear();
        assert_eq!(how(&mut c, "node-1"), ours("node-1"));
        let node = c.name("node-1");
        assert!(with(&mut c, |l| l.scope.kubernetes_node_is_ours(node)));
        c.snapshot.blocks.clear();
        c.snapshot.affinities.clear();
        assert!(!with(&mut c, |l| l.scope.kubernetes_node_is_ours(node)), "another CNI plugin's, for all we know");
    }

    #[test]
    fn what_was_not_read_or_does_not_decode_is_not_missing() {
        let mut c = shared();
        c.remove_calico_node("node-1");
        let bad = undecodable_node(&mut c.snapshot.names, "node-1");
        c.snapshot.bad_values.push(bad);
        assert_eq!(how(&mut c, "node-1").0, Standing::Foreign);
        c.snapshot.bad_values.clear();
        c.snapshot.coverage.set(Input::CalicoNodes, InputState::Partial, "");
        assert_eq!(how(&mut c, "node-1").0, Standing::Foreign);
        let mut c = shared();
        c.snapshot.calico_nodes[0].kubernetes_name = None;
        assert_eq!(how(&mut c, "node-1").0, Standing::Foreign, "a plain host is there, and is its own");
    }

    /// Calico's name of it was another one, and went with the Calico Node.
    fn renamed() -> Cluster {
        let mut c = shared();
        let rack = c.name("rack-b.1");
        c.remove_calico_node("node-1");
        c.snapshot.endpoints.iter_mut().take(2).for_each(|e| e.node = rack);
        c.snapshot.blocks[0].affinity.iter_mut().for_each(|h| h.name = rack);
        c.snapshot.affinities[0].host.name = rack;
        c
    }

    #[test]
    fn its_living_pods_tell_the_name_that_calico_gave_it() {
        assert_eq!(how(&mut renamed(), "rack-b.1"), ours("node-1"));
        let mut c = renamed();
        c.each_pod(|p| p.addresses = [addr("10.65.0.40")].into());
        assert_eq!(how(&mut c, "rack-b.1").0, Standing::Foreign, "a namesake with another address says nothing");
    }

    #[test]
    fn who_lives_on_two_such_nodes_has_moved_and_says_nothing() {
        let mut c = renamed();
        let node_2 = c.name("node-2");
        c.remove_calico_node("node-2");
        c.pod_mut("web-1").node = node_2;
        assert_eq!(how(&mut c, "rack-b.1").0, Standing::Foreign);
        // A pod that has its endpoint under the node's own name does not stand for a second name.
        let mut c = renamed();
        c.endpoint("shop", "web-0", "node-1", "4567", &["10.65.0.1"]);
        c.endpoint("shop", "web-1", "node-1", "89ab", &["10.65.0.2"]);
        assert_eq!(how(&mut c, "rack-b.1").0, Standing::Foreign);
    }

    #[test]
    fn the_history_remembers_the_name_without_any_pod() {
        let mut c = renamed();
        c.snapshot.pods.clear();
        assert_eq!(how(&mut c, "rack-b.1").0, Standing::Foreign);
        let names = [("rack-b.1".to_owned(), "node-1".to_owned())].into();
        c.remember().kubernetes_names = names;
        assert_eq!(how(&mut c, "rack-b.1"), ours("node-1"));
        // In an exclusive scope as well: it is not gone.
        c.scope = ScopeFlag::Exclusive;
        assert_eq!(how(&mut c, "rack-b.1"), ours("node-1"));
        c.remove_kube_node("node-1");
        assert_eq!(how(&mut c, "rack-b.1").0, Standing::Departed);
    }
}
