//! Whether this cluster's Calico left this etcd for the Kubernetes datastore.
//!
//! Nodes and their addresses still agree then, so the two look like a pair; but nobody reads or writes here any more,
//! and held against the pods of today everything here looks lost. Pods tell: only the client of the Kubernetes
//! datastore writes its addresses into a pod's annotations.

use super::Ledger;
use crate::model::{Input, Pod};

/// How many live pods have no endpoint here, and which of them were wired through the Kubernetes datastore.
#[derive(Debug)]
pub struct Abandoned<'s> {
    pub without_endpoint: usize,
    pub wired: Vec<&'s Pod>,
    /// Whether it is so however the values that do not decode would read.
    pub certain: bool,
}

impl<'s> Ledger<'s> {
    /// More than half of the live pods that have no endpoint here were wired through Calico's Kubernetes datastore.
    /// Pods that have their endpoint say nothing: in the middle of a migration they live on as they are.
    pub fn abandoned(&self) -> Option<Abandoned<'s>> {
        let snapshot = self.snapshot;
        if ![Input::Pods, Input::Endpoints].into_iter().all(|input| snapshot.coverage.complete(input)) {
            return None;
        }
        // Without an address CNI ADD may not have answered; CNI DEL takes the endpoint before the pod goes.
        let live = |p: &&Pod| p.may_hold() && !p.is_terminating() && !p.addresses().is_empty();
        // A pod of another plugin's node says nothing; one that was wired through Kubernetes does on any node, and the
        // nodes that joined since have none of theirs here.
        let counts = |p: &&Pod| p.is_wired_through_kubernetes() || self.scope.kubernetes_node_is_ours(p.node);
        let (mut wired, mut others) = ([0usize; 2], [0usize; 2]);
        let mut shown = Vec::new();
        for pod in snapshot.pods.iter().filter(live).filter(counts).filter(|p| !self.has_endpoint(p)) {
            // An endpoint that does not decode may be this pod's.
            let dark = self.scope.calico_names(pod.node).iter().any(|&home| self.dark.node(home));
            let count = if pod.is_wired_through_kubernetes() { &mut wired } else { &mut others };
            count[usize::from(dark)] += 1;
            if pod.is_wired_through_kubernetes() {
                shown.push(pod);
            }
        }
        let most = |wired: usize, others: usize| wired > others;
        let certain = most(wired[0], others[0] + others[1]);
        most(wired[0] + wired[1], others[0]).then(|| Abandoned {
            without_endpoint: wired[0] + wired[1] + others[0] + others[1],
            wired: shown,
            certain,
        })
    }

    /// Whether an endpoint on the pod's own node lists any of its addresses; one of its name alone is its predecessor's.
    fn has_endpoint(&self, pod: &Pod) -> bool {
        self.endpoints_at_home(pod).any(|e| e.addresses().iter().any(|address| pod.addresses().contains(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, undecodable_endpoint};
    use crate::ledger::Pairing;
    use crate::ledger::pairing::ABANDONED;
    use crate::model::{Addr, Phase, PodFields};

    fn pairing(c: &mut Cluster) -> Pairing {
        let snapshot = c.snapshot();
        Ledger::build(&snapshot, c.scope, c.past.as_ref()).pairing
    }

    fn wire(c: &mut Cluster, pod: &str) {
        let mut pod = c.pod_mut(pod);
        pod.annotated = pod.addresses.clone();
    }

    /// Calico left this etcd: what it had then stands there still, and today's pods were wired elsewhere.
    fn left() -> Cluster {
        let mut c = Cluster::healthy();
        for pod in ["new-0", "new-1"] {
            c.pod("shop", pod, "node-1", &["10.65.0.9"]);
            wire(&mut c, pod);
        }
        c
    }

    #[test]
    fn an_etcd_that_calico_left_is_no_pair_whatever_else_agrees() {
        assert_eq!(pairing(&mut left()), Pairing::Mismatch(ABANDONED.to_owned()));
        let mut c = left();
        c.remember();
        assert!(pairing(&mut c).is_abandoned(), "the history of the time before does not help");
        // A StatefulSet's pod that came back to its node has an endpoint of its name, its predecessor's.
        let mut c = Cluster::healthy();
        let address: Box<[Addr]> = ["10.65.0.9".parse().unwrap()].into();
        c.pod_mut("web-0").addresses = address;
        wire(&mut c, "web-0");
        assert!(pairing(&mut c).is_abandoned());
    }

    /// Nodes that joined after Calico left have nothing here, and may have all the pods of since.
    #[test]
    fn pods_of_nodes_that_joined_since_tell_too() {
        let mut c = left();
        c.node("node-3", "192.168.0.3");
        c.remove_calico_node("node-3");
        let joined = c.name("node-3");
        ["new-0", "new-1"].into_iter().for_each(|pod| c.pod_mut(pod).node = joined);
        assert!(pairing(&mut c).is_abandoned());
    }

    #[test]
    fn half_of_them_is_not_more_than_half() {
        let mut c = left();
        c.pod("shop", "lost-0", "node-1", &["10.65.0.11"]);
        assert!(pairing(&mut c).is_abandoned(), "2 of 3");
        c.pod("shop", "lost-1", "node-1", &["10.65.0.12"]);
        assert!(pairing(&mut c).holds(), "2 of 4");
    }

    /// In the middle of a migration the pods of before have their endpoints here, whatever their annotations say.
    #[test]
    fn pods_with_their_endpoint_say_nothing() {
        let mut c = Cluster::healthy();
        for pod in ["web-0", "web-1", "web-2", "web-3"] {
            wire(&mut c, pod);
        }
        assert!(pairing(&mut c).holds());
        // The first pod after it is wired elsewhere: from then on nothing here may be argued from.
        c.pod("shop", "new-0", "node-1", &["10.65.0.9"]);
        wire(&mut c, "new-0");
        assert!(pairing(&mut c).is_abandoned());
    }

    #[test]
    fn who_holds_no_address_of_calicos_says_nothing() {
        for change in [
            (|p: &mut PodFields| p.host_network = true) as fn(&mut PodFields),
            |p| p.deleting = p.created,
            |p| p.phase = Phase::Failed,
            |p| p.addresses = [].into(),
            |p| p.node = crate::model::Name::NONE,
            |p| p.annotated = [].into(),
            |p| p.annotated = ["10.65.0.10".parse().unwrap()].into(),
        ] {
            let mut c = left();
            ["new-0", "new-1"].into_iter().for_each(|pod| change(&mut c.pod_mut(pod)));
            assert!(pairing(&mut c).holds());
        }
        // On a node of another CNI plugin.
        let mut c = left();
        let edge = c.name("edge-1");
        for pod in ["new-0", "new-1"] {
            c.pod_mut(pod).node = edge;
            c.pod_mut(pod).annotated = [].into();
        }
        assert!(pairing(&mut c).holds());
    }

    #[test]
    fn an_endpoint_that_does_not_decode_may_be_theirs() {
        let mut c = left();
        let bad = undecodable_endpoint(&mut c.snapshot.names, "node-1");
        c.snapshot.bad_values.push(bad);
        assert!(matches!(pairing(&mut c), Pairing::Unknown(_)));
        let mut c = left();
        let bad = undecodable_endpoint(&mut c.snapshot.names, "node-2");
        c.snapshot.bad_values.push(bad);
        assert!(pairing(&mut c).is_abandoned(), "another node's");
    }
}
