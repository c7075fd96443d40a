//! Which workload an endpoint belongs to, whoever made it.
//!
//! Two endpoints of one workload that list one address are twins (IPA503) or a live migration; only endpoints
//! of *different* workloads are a duplicate. So the identity leans towards sameness: where nobody can tell two
//! apart, they are one.

use super::{Allocation, Ledger};
use crate::model::{Endpoint, Name, Orchestrator, Pod};

/// The identity of a workload; equal values are one workload.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Workload<'s> {
    /// A pod. `ours`: of this Kubernetes cluster; another cluster's namesake is another workload.
    Pod { namespace: Name, pod: Name, ours: bool },
    /// A KubeVirt VirtualMachineInstance: all its launcher pods are one workload.
    Machine { namespace: Name, vmi: &'s str, ours: bool },
    /// Another orchestrator's, by the best id that its endpoint carries.
    Other { orchestrator: Orchestrator, namespace: Name, id: Name },
}

impl<'s> Ledger<'s> {
    /// The workload of an endpoint.
    pub fn workload_of(&self, endpoint: &Endpoint) -> Workload<'s> {
        if endpoint.orchestrator() != Orchestrator::Kubernetes {
            return self.foreign_workload(endpoint);
        }
        let node = endpoint.node;
        let ours =
            self.scope.judged(node) || self.scope.is_known_to_kubernetes(node) || self.scope.is_undecodable(node);
        // An endpoint that names no pod stands for itself.
        let pod = endpoint.pod.some().or(endpoint.name().other()).unwrap_or_default();
        self.pod_or_machine(endpoint.namespace, pod, ours)
    }

    /// The workload of a pod of this cluster.
    pub fn workload_of_pod(&self, pod: &Pod) -> Workload<'s> {
        self.pod_or_machine(pod.namespace, pod.name, true)
    }

    /// The workload that a pod's namespace and name stand for. A launcher pod that is gone, or could not be
    /// read, still shows its machine in its name; that only ever makes two workloads one.
    pub fn pod_or_machine(&self, namespace: Name, pod: Name, ours: bool) -> Workload<'s> {
        let known = self.pod(namespace, pod).filter(|_| ours);
        let vmi = match known {
            Some(known) => known.vmi().some().map(|vmi| self.text(vmi)),
            None => machine_of_launcher(self.text(pod)),
        };
        match vmi {
            Some(vmi) => Workload::Machine { namespace, vmi, ours },
            None => Workload::Pod { namespace, pod, ours },
        }
    }

    fn foreign_workload(&self, endpoint: &Endpoint) -> Workload<'s> {
        let orchestrator = endpoint.orchestrator();
        let best = match orchestrator {
            Orchestrator::Cni => [endpoint.container, endpoint.pod],
            // libnetwork calls every workload "libnetwork"; there the endpoint's own id is the container's.
            Orchestrator::Other(word) if !word.is_none() && word == endpoint.pod => {
                [endpoint.endpoint(), endpoint.container]
            }
            Orchestrator::Other(_) | Orchestrator::Kubernetes => [endpoint.pod, endpoint.container],
        };
        let id = best.into_iter().find(|name| !name.is_none()).or(endpoint.name().other()).unwrap_or_default();
        Workload::Other { orchestrator, namespace: endpoint.namespace, id }
    }

    /// Whether an allocation is this pod's: its handle is of the container of the pod's endpoint at home, or
    /// either owner set names the pod.
    pub fn names_pod(&self, allocation: &Allocation, pod: &Pod) -> bool {
        let handle = self.handle_of(allocation);
        handle.is_some_and(|h| self.endpoints_at_home(pod).any(|e| !e.container.is_none() && e.container == h.tail))
            || self.owners_of(allocation).any(|owner| owner.pod_name() == Some((pod.namespace, pod.name)))
    }

    /// A workload for people: `shop/web-0`, `vms/fedora (machine)`, `openstack vm-1`.
    pub fn workload_text(&self, workload: Workload<'_>) -> String {
        let theirs = |ours: bool| if ours { "" } else { " (outside this cluster)" };
        match workload {
            Workload::Pod { namespace, pod, ours } => {
                format!("{}/{}{}", self.text(namespace), self.text(pod), theirs(ours))
            }
            Workload::Machine { namespace, vmi, ours } => {
                format!("{}/{vmi} (machine){}", self.text(namespace), theirs(ours))
            }
            Workload::Other { orchestrator, id, .. } => {
                let word = match orchestrator {
                    Orchestrator::Kubernetes => "k8s",
                    Orchestrator::Cni => "cni",
                    Orchestrator::Other(word) => word.some().map_or("unknown", |w| self.text(w)),
                };
                format!("{word} {}", self.text(id))
            }
        }
    }
}

/// `fedora` of `virt-launcher-fedora-hztsv`, as KubeVirt names its launcher pods.
fn machine_of_launcher(pod: &str) -> Option<&str> {
    let (vmi, suffix) = pod.strip_prefix("virt-launcher-")?.rsplit_once('-')?;
    (!vmi.is_empty() && suffix.len() == 5).then_some(vmi)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::ledger::ScopeFlag;

    #[test]
    fn launcher_pods_show_their_machine() {
        assert_eq!(machine_of_launcher("virt-launcher-my-vm-hztsv"), Some("my-vm"));
        assert_eq!(machine_of_launcher("virt-launcher-hztsv"), None);
        assert_eq!(machine_of_launcher("web-0"), None);
    }

    /// An endpoint on a node that does not decode may well be the twin of the pod here.
    #[test]
    fn whose_node_does_not_decode_is_not_another_clusters() {
        let mut c = Cluster::healthy();
        c.endpoint("shop", "web-0", "rack-b", "0123", &["10.65.0.1"]);
        let bad = crate::checks::testing::undecodable_node(&mut c.snapshot.names, "rack-b");
        let same = |c: &mut Cluster| {
            let (snapshot, rack) = (c.snapshot(), c.name("rack-b"));
            let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
            let mut of_web = snapshot.endpoints.iter().filter(|e| snapshot.text(e.pod) == "web-0");
            let [one, other] = [of_web.next().unwrap(), of_web.next().unwrap()];
            assert!(one.node == rack || other.node == rack);
            ledger.workload_of(one) == ledger.workload_of(other)
        };
        c.snapshot.calico_nodes.push(crate::model::CalicoNode {
            kubernetes_name: Some(c.snapshot.names.intern("theirs")),
            name: c.snapshot.names.intern("rack-b"),
            ..c.snapshot.calico_nodes[0].clone()
        });
        assert!(!same(&mut c), "another cluster's namesake");
        c.snapshot.calico_nodes.pop();
        c.snapshot.bad_values.push(bad);
        assert!(same(&mut c));
    }

    /// Of every orchestrator two endpoints: what is one workload and what is two.
    #[test]
    fn other_orchestrators_are_told_apart_by_the_id_that_they_have() {
        let mut c = Cluster::healthy();
        let mut two = |orchestrator: &str, pods: [&str; 2], endpoints: [&str; 2], containers: [&str; 2]| {
            let word = match orchestrator {
                "cni" => Orchestrator::Cni,
                other => Orchestrator::Other(c.name(other)),
            };
            let made = [0, 1].map(|i| {
                let (pod, endpoint, container) = (c.name(pods[i]), c.name(endpoints[i]), c.name(containers[i]));
                let mut e = c.snapshot.endpoints[0].fields();
                (e.orchestrator, e.pod, e.endpoint, e.container) = (word, pod, endpoint, container);
                Endpoint::from(e)
            });
            let snapshot = c.snapshot();
            let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
            ledger.workload_of(&made[0]) == ledger.workload_of(&made[1])
        };
        assert!(!two("cni", ["", ""], ["eth0", "eth0"], ["c1", "c2"]));
        assert!(two("cni", ["", ""], ["eth0", "eth1"], ["c1", "c1"]));
        assert!(!two("libnetwork", ["libnetwork", "libnetwork"], ["ep1", "ep2"], ["", ""]));
        assert!(two("openstack", ["vm-1", "vm-1"], ["ep1", "ep2"], ["", ""]), "a live migration");
        assert!(!two("openstack", ["vm-1", "vm-2"], ["ep1", "ep1"], ["", ""]));
    }
}
