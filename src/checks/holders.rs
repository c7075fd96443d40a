//! Pods that hold an address for certain: who they are, what that rests on, and in which order to restart them.

use super::World;
use super::evidence::{Draft, count};
use crate::ledger::{Allocation, Claim, Claimant, Grade, Via};
use crate::model::{Addr, Endpoint, Finding, Look, Name, Pod};

/// What an advice says of an address that must not be released.
const DO_NOT: &str = "do not release it";

/// Whether a finding's advice is not to release it: that comes before any other.
pub fn forbids_release(finding: &Finding) -> bool {
    finding.advice.raw().contains(DO_NOT)
}

impl World<'_> {
    /// Who claims what, address by address.
    pub fn claims_by_address(&self) -> impl Iterator<Item = (Addr, &[Claim])> {
        let claims = self.ledger.claims.chunk_by(|a, b| a.address == b.address);
        claims.filter_map(|of_one| Some((of_one.first()?.address, of_one)))
    }

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

    /// The pod that an allocation names, else its handle, for people.
    pub fn named_by(&self, allocation: &Allocation) -> Option<String> {
        let pod = self.ledger.owners_of(allocation).find_map(|o| o.pod_name());
        let handle = || Some(format!("handle {}", self.ledger.handle_of(allocation)?.text(&self.snapshot.names)));
        pod.map(|(namespace, pod)| self.pair(namespace, pod)).or_else(handle)
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
            let draft = draft.rests_on_pod(pod).looks_at(Look::KubeNode(pod.node));
            let draft = draft.looks_at(Look::CalicoNode(world.home(pod)));
            let draft = if at_home.is_empty() { draft.looks_at_endpoints_at_home(pod) } else { draft };
            draft.with_each(at_home, |d, endpoint| d.rests_on_endpoint(endpoint))
        })
    }

    /// How to release an address by itself. Where somebody has it meanwhile, only why not: whoever frees it takes it
    /// from under a live holder.
    pub fn release_alone(self, address: Addr, refused: Option<&'static str>, advice: &'static str) -> Self {
        let draft = self.advice(refused.unwrap_or(advice)).next(format!("ipaudit who {address}"));
        let release = || format!("ipaudit release --address {address} --i-know-what-this-is");
        draft.with_each(refused.is_none().then(release), Draft::next)
    }

    /// Commands that restart pods, in this order. A static pod's mirror cannot be restarted by deleting it.
    pub fn restart(self, pods: &[&Pod]) -> Self {
        self.restarts_pods(true).with_each(pods.iter().filter(|p| !p.mirror), |draft, pod| draft.delete_pod(pod))
    }
}
