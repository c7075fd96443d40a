//! Pods with more than a few endpoints (ten thousand on as many nodes, IPA503): what one of their allocations is about is
//! found without looking at all of them each time.

use super::{Allocation, Claimant, Ledger, Scope, equal};
use crate::model::{Endpoint, Name, Pod, Snapshot};

/// Up to so many endpoints of one pod are looked at one by one.
const FEW: usize = 8;

/// Of pods with more than a few endpoints each by (namespace, pod, Kubernetes' name of its node), sorted. `of_pod`: all
/// endpoints by (namespace, pod), sorted.
pub(super) fn at_home(
    snapshot: &Snapshot,
    scope: &Scope,
    of_pod: &[(Name, Name, u32)],
) -> Vec<((Name, Name, Name), u32)> {
    let crowds = of_pod.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).filter(|of_one| of_one.len() > FEW);
    let place = |&(namespace, pod, index): &(Name, Name, u32)| {
        let endpoint = snapshot.endpoints.get(index as usize)?;
        Some(((namespace, pod, scope.kubernetes_name(endpoint.node)), index))
    };
    let mut found: Vec<_> = crowds.flatten().filter_map(place).collect();
    found.sort_unstable();
    found
}

impl<'s> Ledger<'s> {
    /// The `k8s` endpoints of `pod` on the very node where it lives, after name mapping.
    pub fn endpoints_at_home(&self, pod: &Pod) -> impl Iterator<Item = &'s Endpoint> {
        let (home, all) = (pod.node, &self.snapshot.endpoints);
        let of_pod = equal(&self.endpoints_of_pod, (pod.namespace, pod.name), |&(ns, p, _)| (ns, p));
        let (few, crowd) = match of_pod.len() > FEW {
            true => (&[][..], equal(&self.crowds_at_home, (pod.namespace, pod.name, home), |&(at, _)| at)),
            false => (of_pod, &[][..]),
        };
        let places = few.iter().map(|&(_, _, i)| i).chain(crowd.iter().map(|&(_, i)| i));
        places.filter_map(move |i| all.get(i as usize)).filter(move |e| self.scope.kubernetes_name(e.node) == home)
    }

    /// The endpoints of the pod `namespace/name` that may tell of an allocation whether it is the pod's: all, or of more
    /// than a few those on the pod's own node, those that list or float the address and those of its container, which
    /// is the whole id of a handle without a network.
    pub fn endpoints_about(&self, allocation: &Allocation, namespace: Name, name: Name) -> Vec<&'s Endpoint> {
        let of_pod = equal(&self.endpoints_of_pod, (namespace, name), |&(ns, p, _)| (ns, p));
        if of_pod.len() <= FEW {
            return self.endpoints_of_pod(namespace, name).collect();
        }
        let is_its = |e: &&Endpoint| self.is_endpoint_of(e, namespace, name);
        let at_home = self.pod(namespace, name).into_iter().flat_map(|pod| self.endpoints_at_home(pod));
        let container = self.handle_of(allocation).map(|id| id.tail);
        let of_container = container.into_iter().flat_map(|tail| self.endpoints_of_container(tail)).filter(is_its);
        let claiming = self.claims_at(allocation.address).iter().filter_map(|claim| match claim.by {
            Claimant::Endpoint(index) => self.snapshot.endpoints.get(index as usize),
            _ => None,
        });
        let mut found: Vec<&'s Endpoint> = at_home.chain(of_container).chain(claiming.filter(is_its)).collect();
        // They lie in one list, in the snapshot's order.
        found.sort_by_key(|e| std::ptr::from_ref::<Endpoint>(e));
        found.dedup_by_key(|e| std::ptr::from_ref::<Endpoint>(e));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::Nat;

    /// web-0 with so many endpoints more, each on a node of its own; what is found at home, and about its allocation.
    fn found(more: usize) -> (usize, usize) {
        let mut c = Cluster::healthy();
        for number in 0..more {
            let node = format!("other-{number}");
            c.node(&node, "192.168.1.1");
            c.endpoint("shop", "web-0", &node, &format!("{number:064x}"), &["10.65.0.99"]);
        }
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let pod = snapshot.pods.iter().find(|pod| snapshot.text(pod.name) == "web-0").unwrap();
        let allocation = &ledger.allocations_at(addr("10.65.0.1"))[0];
        let about = ledger.endpoints_about(allocation, pod.namespace, pod.name);
        assert!(about.is_sorted_by_key(|e| snapshot.endpoint_id(e)));
        (ledger.endpoints_at_home(pod).count(), about.len())
    }

    #[test]
    fn of_a_crowd_those_are_found_that_are_asked_for() {
        assert_eq!([0, 1, 7, 8, 100].map(found), [(1, 1), (1, 2), (1, 8), (1, 1), (1, 1)]);
    }

    /// Where a handle's container is the whole id (the networks of old CNI configurations), and where a floating address
    /// is the allocation's: what an endpoint says of it counts in a crowd as it does in a few.
    #[test]
    fn of_a_crowd_what_lists_what_floats_and_what_has_the_container_is_found() {
        for handle in ["k8s-pod-network.c0ffee", "c0ffee"] {
            let mut c = Cluster::healthy();
            let attribute = c.pod_attribute(handle, "shop", "web-9", "node-1");
            c.allocate("10.65.0.9", attribute);
            for number in 0..100 {
                let node = format!("other-{number}");
                c.node(&node, "192.168.1.1");
                let address = if number == 10 { "10.65.0.9" } else { "10.65.0.99" };
                let container = if number == 30 { "c0ffee".to_owned() } else { format!("{number:064x}") };
                let mut made = c.endpoint("shop", "web-9", &node, &container, &[address]);
                if number == 20 {
                    made.nats = [Nat { internal: addr("10.65.0.99"), external: addr("10.65.0.9") }].into();
                }
            }
            let snapshot = c.snapshot();
            let ledger = Ledger::build(&snapshot, c.scope, None);
            let allocation = &ledger.allocations_at(addr("10.65.0.9"))[0];
            let owner = ledger.owners_of(allocation).next().unwrap();
            let about = ledger.endpoints_about(allocation, owner.namespace, owner.pod);
            let mut nodes: Vec<&str> = about.iter().map(|e| snapshot.text(e.node)).collect();
            nodes.sort_unstable();
            assert_eq!(nodes, ["other-10", "other-20", "other-30"], "{handle}");
        }
    }
}
