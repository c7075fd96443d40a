//! The owner's node as rule 3 wants to know it.

use crate::checks::World;
use crate::ledger::Standing;
use crate::model::{KubeNode, Name};
use crate::plan::circumstances::{AgainNode, NodeNow, NodeUnknown};

/// The Kubernetes node of one of Calico's names.
fn kubernetes_node<'w>(world: &World<'w>, node: Name) -> Option<&'w KubeNode> {
    world.ledger.kube_node(world.ledger.scope.kubernetes_name(node))
}

/// A node (Calico's name) at the second look. `exclusive` is the operator's word that no other cluster uses the
/// datastore.
pub fn now(world: &World<'_>, exclusive: bool, node: Name) -> NodeNow {
    let text = world.ledger.text(node);
    match world.ledger.scope.standing(node) {
        Standing::Ours => match kubernetes_node(world, node) {
            Some(found) if found.ready == Some(true) => NodeNow::Ready,
            Some(_) => NodeNow::NotReady,
            None => NodeNow::Unknown(NodeUnknown::Lost),
        },
        // Another cluster on this datastore loses its Calico Nodes to our kube-controllers while its pods live on
        // (domain facts, section 8): only what the history knows as ours, or the operator's word, tells the two apart.
        // A machine's former name is this cluster's own, whoever else is here.
        Standing::Departed
            if !exclusive
                && !world.ledger.scope.is_former(node)
                && !world.past.is_some_and(|p| p.known_nodes.contains(text)) =>
        {
            NodeNow::Unknown(NodeUnknown::NeverOurs)
        }
        Standing::Departed => {
            let gone_since = world.past.and_then(|p| p.gone_since.get(text).copied());
            // While Calico still has it, no audit counts it as gone (IPA409): no waiting helps.
            let is_left = world.ledger.calico_node(node).is_some() && !world.ledger.scope.is_former(node);
            match gone_since.is_none() && is_left {
                true => NodeNow::Unknown(NodeUnknown::Lost),
                false => NodeNow::Departed(gone_since),
            }
        }
        Standing::Foreign => NodeNow::Unknown(NodeUnknown::Foreign),
    }
}

/// What Kubernetes must say of the node right before the write: its name there, and how it must be. `None` where the
/// operator's word stands for it.
pub fn again(world: &World<'_>, node: Name, how: &NodeNow) -> Option<(String, AgainNode)> {
    let name = || world.ledger.text(world.ledger.scope.kubernetes_name(node)).to_owned();
    match how {
        NodeNow::Ready => {
            let uid = kubernetes_node(world, node).map(|n| n.uid.text(&world.snapshot.names)).unwrap_or_default();
            Some((name(), AgainNode::Ready(uid)))
        }
        NodeNow::Departed(_) => Some((name(), AgainNode::Absent)),
        NodeNow::NotReady | NodeNow::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::ledger::{Ledger, ScopeFlag};
    use crate::model::{Past, Time};

    fn how(c: &mut Cluster, node: &str, past: &Past, exclusive: bool) -> NodeNow {
        let snapshot = c.snapshot();
        let name = c.snapshot.names.intern(node);
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, Some(past));
        let world = World { snapshot: &snapshot, ledger: &ledger, past: Some(past) };
        now(&world, exclusive, name)
    }

    #[test]
    fn a_node_is_departed_only_when_it_was_known_as_ours() {
        let mut c = Cluster::healthy();
        c.snapshot.calico_nodes.retain(|n| c.snapshot.names.get(n.name) != "node-1");
        c.snapshot.kube_nodes.retain(|n| c.snapshot.names.get(n.name) != "node-1");
        let gone_since = [("node-1".to_owned(), Time(7))].into();
        let known = Past { known_nodes: ["node-1".to_owned()].into(), gone_since, ..Past::default() };
        assert_eq!(how(&mut c, "node-1", &known, false), NodeNow::Departed(Some(Time(7))));
        let stranger = Past { known_nodes: Default::default(), ..known };
        assert!(matches!(how(&mut c, "node-1", &stranger, false), NodeNow::Unknown(NodeUnknown::NeverOurs)));
        assert_eq!(how(&mut c, "node-1", &stranger, true), NodeNow::Departed(Some(Time(7))));
    }

    /// Known gone since the audit that first saw it so; other clusters in the datastore change nothing.
    #[test]
    fn a_former_name_is_departed_since_it_was_known_to_be_one() {
        let mut c = Cluster::healthy();
        c.node("east-1", "172.31.0.1");
        c.node("old-1", "192.168.0.1");
        c.remove_kube_node("east-1");
        c.remove_kube_node("old-1");
        let first = Past::default();
        assert_eq!(how(&mut c, "old-1", &first, false), NodeNow::Departed(None), "nobody knows since when");
        let past = Past { gone_since: [("old-1".to_owned(), Time(7))].into(), ..Past::default() };
        assert_eq!(how(&mut c, "old-1", &past, false), NodeNow::Departed(Some(Time(7))));
        assert!(matches!(how(&mut c, "east-1", &past, false), NodeNow::Unknown(_)));
    }

    #[test]
    fn a_node_of_ours_without_its_calico_node_is_asked_by_kubernetes_name() {
        let mut c = Cluster::healthy();
        c.remove_calico_node("node-1");
        assert_eq!(how(&mut c, "node-1", &Past::default(), false), NodeNow::Ready);
        c.snapshot.kube_nodes[0].ready = Some(false);
        assert_eq!(how(&mut c, "node-1", &Past::default(), false), NodeNow::NotReady);
    }
}
