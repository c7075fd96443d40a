//! Pods that hold an address for certain: who they are, what that rests on, and in which order to restart them.

use super::evidence::restarts::{WAIT, staying};
use super::evidence::{Draft, count};
use super::{World, few};
use crate::ledger::{Allocation, Claim, Claimant, Grade, Via};
use crate::model::number::grouped;
use crate::model::{Addr, Endpoint, Finding, Look, Name, Pod};

/// What an advice says of an address that must not be released.
const DO_NOT: &str = "do not release it";

/// Whether a finding's advice is not to release it: that comes before any other.
pub fn forbids_release(finding: &Finding) -> bool {
    finding.advice.raw().contains(DO_NOT)
}

/// Pods of several workloads that hold one address: who keeps it, and who does not, in the order to restart them. Of these
/// some may end already.
#[derive(Debug)]
pub struct Parted<'p> {
    pub keep: Option<&'p Pod>,
    others: Vec<&'p Pod>,
}

impl<'p> Parted<'p> {
    /// Those who are restarted: who ends already is not.
    pub fn restart(&self) -> Vec<&'p Pod> {
        staying(self.others.iter().copied())
    }

    fn ending(&self) -> Vec<&'p Pod> {
        self.others.iter().copied().chain(self.keep).filter(|pod| pod.is_terminating()).collect()
    }

    /// `IPAM gave it to shop/web-1: keep that, restart shop/web-2`.
    pub fn advice(&self, world: &World<'_>) -> String {
        let (ending, all) = (self.ending(), self.others.len() + self.keep.iter().count());
        if ending.len() == all {
            let ids: Vec<String> = ending.iter().map(|pod| world.pod_id(pod)).collect();
            return format!("all of them are Terminating already: {WAIT}{}", few(&ids, ", "));
        }
        let Some(keep) = self.keep else {
            let several = |number| {
                if number == 2 && all == 2 { "both".to_owned() } else { format!("all {}", grouped(number as u64)) }
            };
            return format!("IPAM gave it to none of them: {}", world.restart_words(&self.others, several));
        };
        let words = world.restart_words(&self.others, |number| format!("the other {}", grouped(number as u64)));
        format!("IPAM gave it to {}: keep that, {words}", world.pod_id(keep))
    }
}

impl World<'_> {
    /// Of pods that hold one address, the workload that IPAM's allocation names keeps it.
    pub fn part<'p>(&self, address: Addr, pods: &[&'p Pod]) -> Parted<'p> {
        let keep = self.pod_to_keep(address, pods);
        let kept = keep.map(|pod| self.ledger.workload_of_pod(pod));
        let others: Vec<&Pod> =
            pods.iter().copied().filter(|pod| kept != Some(self.ledger.workload_of_pod(pod))).collect();
        Parted { keep, others: self.restart_order(&others) }
    }

    /// The pod that IPAM's allocation names, by the container first: a StatefulSet pod comes back under its name. Of blocks
    /// that overlap the widest one's, as the smaller ones are to be emptied.
    pub fn pod_to_keep<'p>(&self, address: Addr, pods: &[&'p Pod]) -> Option<&'p Pod> {
        let ledger = self.ledger;
        let mut allocations: Vec<&Allocation> = ledger.allocations_at(address).iter().collect();
        allocations.sort_by_key(|allocation| ledger.block_of(allocation).cidr.prefix());
        allocations.into_iter().find_map(|allocation| {
            let handle = ledger.handle_of(allocation);
            let named = |p: &&Pod| ledger.owners_of(allocation).any(|o| o.pod_name() == Some((p.namespace, p.name)));
            let tied = |p: &&Pod| handle.is_some_and(|h| ledger.endpoints_at_home(p).any(|e| e.container == h.tail));
            pods.iter().copied().find(tied).or_else(|| pods.iter().copied().find(named))
        })
    }

    /// The pod that keeps an address which pods of several workloads hold for certain.
    pub fn kept_at(&self, address: Addr) -> Option<&Pod> {
        let certain: Vec<&Pod> = self.ledger.pods_by_grade(address, Grade::Certain).collect();
        let first = self.ledger.workload_of_pod(certain.first()?);
        let is_shared = certain.iter().any(|pod| self.ledger.workload_of_pod(pod) != first);
        is_shared.then(|| self.pod_to_keep(address, &certain)).flatten()
    }

    /// The living pod that an allocation names.
    pub fn pod_of(&self, allocation: &Allocation) -> Option<&Pod> {
        let (namespace, name) = self.ledger.owners_of(allocation).find_map(|o| o.pod_name())?;
        self.ledger.pod(namespace, name).filter(|pod| pod.may_hold() && self.ledger.is_judged(allocation))
    }

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

    /// Who keeps an address and who is restarted, as evidence and as commands.
    pub fn keep_and_restart(self, world: &World<'_>, parted: &Parted<'_>) -> Self {
        self.fact("keep", parted.keep.map(|pod| world.pod_id(pod)))
            .list("restart", parted.restart(), |pod| world.pod_id(pod))
            .list("ending", parted.ending(), |pod| world.pod_id(pod))
            .restart(&parted.others)
    }
}
