//! The sandboxes that must be gone before an address goes: those of whoever it was given to, and of the endpoints left
//! behind, on nodes that run.
//!
//! Kubernetes says that the pod is gone or finished, and so does the proof; a runtime that was cut off may think otherwise.
//! A handle without an allocation has no sandbox to look for: nothing says on which node, and no address goes with it.

use super::case::Case;
use super::nodes;
use crate::checks::evidence::sandbox::is_container;
use crate::ledger::Allocation;
use crate::model::Name;
use crate::plan::circumstances::{NodeNow, SandboxLeft, SandboxName};

impl Case<'_> {
    /// Of everything that is released together, each once.
    pub(super) fn sandboxes(&self, allocations: &[&Allocation]) -> Vec<SandboxLeft> {
        let ledger = self.world.ledger;
        let mut all: Vec<SandboxLeft> = Vec::new();
        for allocation in allocations {
            // The id of a container in a handle is the sandbox's own.
            let handle = ledger.handle_of(allocation).map_or("", |id| self.text(id.tail));
            // A machine that moved has run on two nodes.
            let owners = ledger.owners_of(allocation).map(|owner| (owner.node, owner.pod_name()));
            let endpoints = self.endpoints(allocation).into_iter().map(|e| (e.node, Some((e.namespace, e.pod))));
            all.extend(owners.chain(endpoints).filter_map(|(node, pod)| self.sandbox(node, handle, pod)));
        }
        all.sort();
        all.dedup();
        all
    }

    /// `None` where nothing runs, or nobody knows by what it would be found.
    fn sandbox(&self, node: Name, handle: &str, pod: Option<(Name, Name)>) -> Option<SandboxLeft> {
        if nodes::now(&self.world, self.exclusive, node) != NodeNow::Ready {
            return None;
        }
        // By its name a pod that lives would be found whatever it holds.
        let lives = |(namespace, name)| {
            let pod = self.world.ledger.pod(namespace, name);
            pod.is_some_and(|pod| !pod.phase.is_finished())
        };
        let called = match pod.filter(|pod| !lives(*pod)) {
            _ if is_container(handle) => SandboxName::Container(handle.to_owned()),
            Some((namespace, name)) => SandboxName::Pod(self.text(namespace).to_owned(), self.text(name).to_owned()),
            None => return None,
        };
        let node = self.world.ledger.scope.kubernetes_name(node);
        Some(SandboxLeft { node: self.text(node).to_owned(), called })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::judge::testing::Scene;
    use crate::model::{HandleId, Phase};

    fn of_container(node: &str, id: &str) -> SandboxLeft {
        SandboxLeft { node: node.to_owned(), called: SandboxName::Container(id.to_owned()) }
    }

    #[test]
    fn a_pod_that_is_gone_or_finished_leaves_one_to_look_for() {
        let left = of_container("node-1", &Cluster::container("shop", "web-0"));
        assert_eq!(Scene::leaked().passes(&["10.65.0.1"]).sandboxes, std::slice::from_ref(&left));
        let mut c = Cluster::healthy();
        c.pod_mut("web-0").phase = Phase::Failed;
        c.remove_endpoint("web-0");
        assert_eq!(Scene::of(c).passes(&["10.65.0.1"]).sandboxes, [left]);
    }

    /// Its handle names no container: the launcher pod's name tells.
    #[test]
    fn so_does_a_machine_that_is_stopped() {
        let mut c = Cluster::healthy();
        let id = "k8s-pod-network.vmi.shop.vm-0";
        let attribute = c.pod_attribute(id, "shop", "virt-launcher-vm-0", "node-2");
        c.allocate("10.65.0.70", attribute);
        c.handle(id, &["10.65.0.70"]);
        let mut scene = Scene::of(c);
        scene.word.knows = true;
        let called = SandboxName::Pod("shop".to_owned(), "virt-launcher-vm-0".to_owned());
        assert_eq!(scene.passes(&["10.65.0.70"]).sandboxes, [SandboxLeft { node: "node-2".to_owned(), called }]);
    }

    /// Its handle is the sandbox's id, and the attribute says where.
    #[test]
    fn an_allocation_that_names_a_node_and_no_pod_has_one_by_its_container() {
        let mut c = Cluster::healthy();
        let container = "0a".repeat(32);
        let id = format!("k8s-pod-network.{container}");
        let mut attribute = c.pod_attribute(&id, "", "", "node-1");
        attribute.handle = HandleId::intern(&mut c.snapshot.names, &id);
        c.allocate("10.65.0.9", attribute);
        c.handle(&id, &["10.65.0.9"]);
        let mut scene = Scene::of(c);
        scene.word.knows = true;
        assert_eq!(scene.passes(&["10.65.0.9"]).sandboxes, [of_container("node-1", &container)]);
    }

    #[test]
    fn an_orphaned_handle_has_none() {
        let id = format!("k8s-pod-network.{}", "0a".repeat(32));
        assert_eq!(Scene::orphaned(&[&id]).passes(&[&id]).sandboxes, []);
    }
}
