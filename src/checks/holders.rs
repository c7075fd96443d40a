//! Pods that hold an address for certain: who they are, what that rests on, and in which order to restart them.

use super::World;
use super::evidence::{Draft, count};
use crate::ledger::{Claim, Claimant, Grade, Via};
use crate::model::{Endpoint, Name, Pod};

impl World<'_> {
    /// The pods of these claims that hold their address for certain, by their status.
    pub fn certain_pods<'a>(&'a self, claims: &'a [Claim]) -> impl Iterator<Item = &'a Pod> {
        let certain = claims.iter().filter(|c| c.grade == Grade::Certain && c.via == Via::Object);
        certain.filter_map(|c| match c.by {
            Claimant::Pod(index) => self.snapshot.pods.get(index as usize),
            _ => None,
        })
    }

    /// Calico's name of a pod's node; Kubernetes' where Calico has none.
    pub fn home(&self, pod: &Pod) -> Name {
        self.ledger.scope.calico_names(pod.node).first().copied().unwrap_or(pod.node)
    }

    /// `shop/web-0`, or how many there are.
    pub fn who(&self, pods: &[&Pod]) -> String {
        match pods {
            [pod] => self.pod_id(pod),
            many => count(many.len(), "pod"),
        }
    }

    /// The order to restart pods in: controllers' pods first, they come back by themselves.
    pub fn restart_order<'p>(&self, pods: &[&'p Pod]) -> Vec<&'p Pod> {
        let mut order = pods.to_vec();
        order.sort_by_key(|p| (p.controller.is_none(), self.pod_id(p)));
        order
    }
}

impl Draft<'_> {
    /// What makes pods holders: the same pods, their endpoints on their own nodes unchanged, or still none there.
    pub fn rests_on_holders(self, world: &World<'_>, pods: &[&Pod]) -> Self {
        self.with_each(pods, |draft, pod| {
            let at_home: Vec<&Endpoint> = world.ledger.endpoints_at_home(pod).collect();
            let draft = draft.rests_on_pod(pod).looks_at_kube_node(pod.node).looks_at_calico_node(world.home(pod));
            let draft = if at_home.is_empty() { draft.looks_at_endpoints_at_home(pod) } else { draft };
            draft.with_each(at_home, |d, endpoint| d.rests_on_endpoint(endpoint))
        })
    }

    /// Commands that restart pods, in this order. A static pod's mirror cannot be restarted by deleting it.
    pub fn restart(self, pods: &[&Pod]) -> Self {
        self.restarts_pods(true).with_each(pods.iter().filter(|p| !p.mirror), |draft, pod| draft.delete_pod(pod))
    }
}
