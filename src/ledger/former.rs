//! A machine's former name: a Calico Node that this cluster does not know, with the host address of one that it knows.
//!
//! One host address cannot belong to two machines that use one datastore; calico/node itself refuses to start in this
//! state. So the name that Kubernetes does not know is that of the very machine before it was renamed, and what stands
//! under it is left behind: *departed*, whatever the scope.
//!
//! Whoever calls another cluster's node departed accuses its living pods. So everything here leans towards not knowing:
//! an address that several machines of ours have is nobody's own (every VirtualBox guest has 10.0.2.15), and whatever is
//! younger than the known node proves that the other name lives.

use crate::model::hash::{HashMap, HashSet};

use super::DarkRanges;
use crate::model::{Addr, CalicoNode, HostKind, Input, Name, Past, Snapshot, Time};

/// Former names, and the Calico Node that has the machine's address now; none where an earlier audit alone knew it.
pub(super) fn names(
    snapshot: &Snapshot,
    dark: &DarkRanges,
    past: Option<&Past>,
    is_ours: impl Fn(Name) -> bool,
    known_to_kubernetes: impl Fn(Name) -> bool,
) -> HashMap<Name, Name> {
    let mut owners: HashMap<Addr, Option<&CalicoNode>> = HashMap::default();
    for node in snapshot.calico_nodes.iter().filter(|n| is_ours(n.name)) {
        for &address in &node.host_addresses {
            let owner = owners.entry(address).or_insert(Some(node));
            // Two Calico Nodes of one Kubernetes node are one machine.
            *owner = owner.filter(|other| other.kubernetes_name == node.kubernetes_name);
        }
    }
    let unknown = snapshot.calico_nodes.iter().filter(|node| {
        // A host without a reference to Kubernetes is not Kubernetes': what it holds is its own.
        node.kubernetes_name.is_some_and(|name| !known_to_kubernetes(name)) && !known_to_kubernetes(node.name)
    });
    let candidates: Vec<(Name, &CalicoNode)> = unknown
        .filter_map(|node| {
            let mut now = node.host_addresses.iter().filter_map(|address| owners.get(address).copied().flatten());
            Some((node.name, now.next()?))
        })
        .collect();
    let remembered = remembered(snapshot, past, &known_to_kubernetes);
    if candidates.is_empty() && remembered.is_empty() || !all_is_known(snapshot, dark) {
        return HashMap::default();
    }
    let names = candidates.iter().map(|(name, _)| *name).chain(remembered.iter().map(|(name, _)| *name));
    let youngest = Youngest::of(snapshot, names.collect());
    let former = candidates.into_iter().filter(|(name, now)| {
        let since = known_since(snapshot, now);
        !dark.node(*name) && since.is_some_and(|since| youngest.of_node(*name).is_none_or(|made| made <= since))
    });
    let still = remembered
        .into_iter()
        .filter(|(name, since)| !dark.node(*name) && youngest.of_node(*name).is_none_or(|made| made <= *since));
    former.map(|(name, now)| (name, now.name)).chain(still.map(|(name, _)| (name, Name::NONE))).collect()
}

/// Names that an earlier audit knew as former ones, and since when: they stay so when the Calico Node is deleted, as it
/// should be, though its address goes with it. A Node of that name is judged by what it is.
fn remembered(
    snapshot: &Snapshot,
    past: Option<&Past>,
    known_to_kubernetes: impl Fn(Name) -> bool,
) -> Vec<(Name, Time)> {
    let Some(past) = past else { return Vec::new() };
    let names = past.former_nodes.iter().filter_map(|text| {
        let (name, since) = (snapshot.names.find(text)?, *past.gone_since.get(text)?);
        let gone = !known_to_kubernetes(name) && snapshot.calico_nodes.iter().all(|node| node.name != name);
        gone.then_some((name, since))
    });
    names.collect()
}

/// Whether everything was read that could be younger.
fn all_is_known(snapshot: &Snapshot, dark: &DarkRanges) -> bool {
    let inputs = [Input::Blocks, Input::Endpoints, Input::CalicoNodes, Input::KubeNodes];
    inputs.into_iter().all(|input| snapshot.coverage.complete(input) && !dark.all(input)) && dark.ranges().is_empty()
}

/// Since when the machine has its present name, at the latest: the earlier of what Kubernetes and Calico say. Either
/// object may have been deleted and made anew while the machine kept its name; the later one would let a living node of
/// another cluster look older than it is.
fn known_since(snapshot: &Snapshot, now: &CalicoNode) -> Option<Time> {
    let kubernetes = snapshot.kube_nodes.iter().find(|n| Some(n.name) == now.kubernetes_name);
    [now.created, kubernetes.and_then(|n| n.created)].into_iter().flatten().min()
}

/// When the last endpoint or allocation of each node was made. What does not say when (tunnels never do) says nothing.
struct Youngest(HashMap<Name, Time>);

impl Youngest {
    fn of(snapshot: &Snapshot, nodes: HashSet<Name>) -> Youngest {
        let mut youngest = Youngest(HashMap::default());
        let mut made = |node: Name, at: Option<Time>| {
            if let Some(at) = at.filter(|_| nodes.contains(&node)) {
                let last = youngest.0.entry(node).or_insert(at);
                *last = at.max(*last);
            }
        };
        snapshot.endpoints.iter().for_each(|e| made(e.node, e.created()));
        for block in &snapshot.blocks {
            let host = block.affinity.filter(|h| h.kind == HostKind::Host).map(|h| h.name);
            for attribute in &block.attributes {
                for owner in attribute.owners() {
                    made(owner.node.some().or(host).unwrap_or(Name::NONE), owner.timestamp);
                }
            }
        }
        youngest
    }

    fn of_node(&self, node: Name) -> Option<Time> {
        self.0.get(&node).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr, undecodable_block};
    use crate::ledger::{Ledger, Standing};
    use crate::model::InputState;

    /// node-1 was `old-1` until 30 days ago; an endpoint and an allocation of that time are left. Another cluster's
    /// node is in the datastore too.
    fn renamed() -> Cluster {
        let mut c = Cluster::healthy();
        c.node("east-1", "172.31.0.1");
        c.node("old-1", "192.168.0.1");
        c.remove_kube_node("east-1");
        c.remove_kube_node("old-1");
        c.block("10.65.1.0/26", Some("old-1"));
        let long_ago = Some(c.ago(40 * 86_400));
        let mut attribute = c.pod_attribute("k8s-pod-network.old", "shop", "gone", "old-1");
        attribute.owner.timestamp = long_ago;
        c.allocate("10.65.1.1", attribute);
        c.endpoint("shop", "gone", "old-1", "old", &["10.65.1.1"]).created = long_ago;
        c
    }

    fn standing(c: &mut Cluster) -> Standing {
        let name = c.name("old-1");
        let snapshot = c.snapshot();
        Ledger::build(&snapshot, c.scope, c.past.as_ref()).scope.standing(name)
    }

    fn node<'c>(c: &'c mut Cluster, name: &str) -> &'c mut CalicoNode {
        let name = c.name(name);
        c.snapshot.calico_nodes.iter_mut().find(|n| n.name == name).unwrap()
    }

    #[test]
    fn a_machines_former_name_is_departed_whatever_the_scope() {
        assert_eq!(standing(&mut renamed()), Standing::Departed);
        let mut c = renamed();
        let east = c.name("east-1");
        c.snapshot.calico_nodes.retain(|n| n.name != east);
        let snapshot = c.snapshot();
        assert!(Ledger::build(&snapshot, c.scope, None).scope.exclusive, "it does not keep the scope from it");
    }

    #[test]
    fn what_is_younger_than_the_known_node_proves_that_it_lives() {
        let mut c = renamed();
        let now = c.snapshot.now;
        c.endpoint_mut("gone").created = Some(now);
        assert_eq!(standing(&mut c), Standing::Foreign);
        let mut c = renamed();
        c.attribute_mut("10.65.1.1").owner.timestamp = Some(now);
        assert_eq!(standing(&mut c), Standing::Foreign);
        // Borrowed from another node's block.
        let mut c = renamed();
        let attribute = c.pod_attribute("k8s-pod-network.young", "shop", "young", "old-1");
        c.allocate("10.65.0.40", attribute);
        assert_eq!(standing(&mut c), Standing::Foreign);
        // What does not say when it was made says nothing: tunnels never do.
        let mut c = renamed();
        c.attribute_mut("10.65.1.1").owner.timestamp = None;
        assert_eq!(standing(&mut c), Standing::Departed);
    }

    /// Either object may have been made anew while the machine kept its name.
    #[test]
    fn the_earlier_of_both_ages_counts() {
        for kubernetes in [true, false] {
            let mut c = renamed();
            let long = Some(c.ago(50 * 86_400));
            match kubernetes {
                true => c.snapshot.kube_nodes[0].created = long,
                false => node(&mut c, "node-1").created = long,
            }
            assert_eq!(standing(&mut c), Standing::Foreign, "what old-1 has is younger than that");
        }
        let mut c = renamed();
        c.snapshot.kube_nodes[0].created = None;
        node(&mut c, "node-1").created = None;
        assert_eq!(standing(&mut c), Standing::Foreign, "nobody knows since when");
    }

    /// Deleting its Calico Node is the cure (IPA409), and takes the address that told with it.
    #[test]
    fn it_stays_departed_when_its_calico_node_is_deleted() {
        let cured = || {
            let mut c = renamed();
            c.remove_calico_node("old-1");
            let since = c.ago(3_600);
            let past = c.remember();
            past.former_nodes.insert("old-1".to_owned());
            past.gone_since.insert("old-1".to_owned(), since);
            c
        };
        assert_eq!(standing(&mut cured()), Standing::Departed);
        let mut c = cured();
        c.remember().former_nodes.clear();
        assert_eq!(standing(&mut c), Standing::Foreign, "nobody has known it so");
        let mut c = cured();
        let now = c.snapshot.now;
        c.endpoint_mut("gone").created = Some(now);
        assert_eq!(standing(&mut c), Standing::Foreign, "somebody lives there");
        let mut c = cured();
        c.node("old-1", "192.168.77.7");
        c.remove_kube_node("old-1");
        assert_eq!(standing(&mut c), Standing::Foreign, "a Calico Node of that name is another machine's");
    }

    #[test]
    fn only_an_address_of_one_machine_names_it() {
        let mut c = renamed();
        node(&mut c, "node-2").host_addresses = [addr("192.168.0.1")].into();
        assert_eq!(standing(&mut c), Standing::Foreign, "every guest of a kind has it");
        let mut c = renamed();
        let kubernetes = node(&mut c, "node-1").kubernetes_name;
        let mut twin = node(&mut c, "node-1").clone();
        twin.name = c.name("node-1-too");
        assert_eq!(twin.kubernetes_name, kubernetes);
        c.snapshot.calico_nodes.push(twin);
        assert_eq!(standing(&mut c), Standing::Departed, "two Calico Nodes of one Kubernetes node are one machine");
        // An ExternalIP is among the addresses, never among the host's.
        let mut c = renamed();
        node(&mut c, "old-1").host_addresses = [].into();
        assert_eq!(standing(&mut c), Standing::Foreign);
    }

    #[test]
    fn plain_hosts_and_what_may_be_hidden_are_left_alone() {
        let mut c = renamed();
        node(&mut c, "old-1").kubernetes_name = None;
        assert_eq!(standing(&mut c), Standing::Foreign);
        let mut c = renamed();
        c.snapshot.bad_values.push(undecodable_block("10.65.9.0/26"));
        assert_eq!(standing(&mut c), Standing::Foreign, "it may hold a younger one");
        let mut c = renamed();
        c.snapshot.coverage.set(Input::Endpoints, InputState::Partial, "");
        assert_eq!(standing(&mut c), Standing::Foreign);
    }
}
