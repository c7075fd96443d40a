//! The operator's `--node-is-off`.

use crate::checks::World;
use crate::plan::refusal::Note;

/// `--node-is-off` as Calico's names: what was said may be Calico's or Kubernetes' name. Names that fit no node are told.
pub fn nodes_off(world: &World<'_>, said: &[String]) -> (Vec<String>, Vec<Note>) {
    let (mut off, mut notes) = (Vec::new(), Vec::new());
    let names = &world.snapshot.names;
    for text in said {
        let name = names.find(text);
        let as_kubernetes = name.map_or(&[][..], |n| world.ledger.scope.calico_names(n));
        off.extend(as_kubernetes.iter().map(|n| world.ledger.text(*n).to_owned()));
        let is_calico = name.is_some_and(|n| {
            world.ledger.calico_node(n).is_some()
                || world.ledger.allocations.iter().any(|a| world.ledger.owner_node(a) == n)
        });
        match is_calico {
            true => off.push(text.clone()),
            false if as_kubernetes.is_empty() => notes.push(Note::NoSuchNode(text.as_str().into())),
            false => {}
        }
    }
    (off, notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::ledger::{Ledger, ScopeFlag};

    #[test]
    fn both_names_of_a_node_that_is_off_are_understood_and_others_told() {
        let mut c = Cluster::healthy();
        let kubernetes = c.snapshot.names.intern("ip-10-0-0-1");
        c.snapshot.kube_nodes.iter_mut().find(|n| c.snapshot.names.get(n.name) == "node-1").unwrap().name = kubernetes;
        let calico = c.snapshot.names.intern("node-1");
        c.snapshot.calico_nodes.iter_mut().find(|n| n.name == calico).unwrap().kubernetes_name = Some(kubernetes);
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let said = |name: &str| nodes_off(&world, &[name.to_owned()]);
        assert_eq!(said("node-1"), (vec!["node-1".to_owned()], vec![]));
        assert_eq!(said("ip-10-0-0-1"), (vec!["node-1".to_owned()], vec![]));
        let (none, notes) = said("node-l");
        assert_eq!((none, notes), (vec![], vec![Note::NoSuchNode("node-l".into())]));
    }
}
