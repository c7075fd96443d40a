//! IPA132: an allocation names the right pod on the wrong node.

use crate::checks::prelude::*;

pub static CHECK: Check = Check {
    code: Code(132),
    name: "node-mismatch",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::P).and(Needs::N),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "An allocation names the pod that holds the address for certain, and another node than the pod's.",
    matters: "Calico's collector has taken this for a pod that moved away, released the address under the running pod, \
        and handed it out again (projectcalico/calico#12257). It is never a reason to release.",
    arises: "A node was renamed or re-created under another name, or something edited the allocation.",
    action: "Restart the pod: its new allocation names the right node.",
    silent: "Nodes are compared after mapping Calico's names to Kubernetes'. KubeVirt machines, which migrate, other \
        clusters' nodes, and nodes that do not decode.",
    ties: Ties { harm: Harm::Threat, many: "addresses allocated to another node than their pod's", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let by_address = world.ledger.allocations.chunk_by(|a, b| a.address == b.address);
    findings.extend(by_address.filter_map(|allocations| judge(world, allocations)));
}

fn judge(world: &World<'_>, allocations: &[Allocation]) -> Option<Finding> {
    // In overlapping blocks one allocation that names the pod on its own node is enough.
    let mut mismatch = None;
    for allocation in allocations {
        let Some((pod, node)) = named_holder(world, allocation) else { continue };
        if world.ledger.scope.kubernetes_name(node) == pod.node {
            return None;
        }
        mismatch = mismatch.or(Some((allocation, pod, node)));
    }
    let (allocation, pod, node) = mismatch?;
    Some(report(world, allocation, pod, node))
}

/// The certain holder that an allocation names, and the node that it names with it, where both can be compared.
fn named_holder<'w>(world: &World<'w>, allocation: &Allocation) -> Option<(&'w Pod, Name)> {
    let ledger = world.ledger;
    let attribute = ledger.attribute_of(allocation)?;
    let node = attribute.owner().node.some()?;
    if allocation.used_for != Use::Pod || !ledger.is_judged(allocation) || ledger.dark.node(node) {
        return None;
    }
    let (namespace, name) = attribute.owner().pod_name()?;
    let pod = ledger.pod(namespace, name).filter(|pod| pod.vmi().is_none())?;
    let certain = attribute.alternate().is_none() && ledger.pod_is_certain(namespace, name, allocation.address);
    certain.then_some((pod, node))
}

fn report(world: &World<'_>, allocation: &Allocation, pod: &Pod, node: Name) -> Finding {
    let (home, named) = (world.text(pod.node), world.text(world.ledger.scope.kubernetes_name(node)));
    let summary = format!("{} runs on {home}, its allocation names {named}", world.pod_id(pod));
    world
        .draft(&CHECK, allocation.address, summary)
        .advice("never release it for this: the pod holds it")
        .fact("pod", world.pod_facts(pod))
        .fact("ipam", world.allocation_facts(allocation))
        .fact("named_node", world.text(node))
        .on_node(world.home(pod))
        .in_namespace(pod.namespace)
        .in_pool_of(allocation.address)
        .rests_on_holders(world, &[pod])
        .rests_on_allocation(allocation)
        .looks_at(Look::CalicoNode(node))
        .next(format!("ipaudit who {}", allocation.address))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::snapshot::Dark;
    use crate::model::{AttributeFields, Input};

    /// web-0 runs on node-1, its allocation says node-2.
    fn moved() -> Cluster {
        let mut c = Cluster::healthy();
        let node = c.name("node-2");
        c.attribute_mut("10.65.0.1").owner.node = node;
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn the_right_pod_on_the_wrong_node() {
        let found = moved().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.1"));
        assert_eq!(found[0].summary, "shop/web-0 runs on node-1, its allocation names node-2");
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(!found[0].next.iter().any(|n| n.raw().contains("release")), "never a reason to release");
    }

    #[test]
    fn nodes_are_compared_after_mapping_their_names() {
        let mut c = Cluster::healthy();
        let (calico, kubernetes) = (c.name("worker-03.rack-b"), c.name("node-1"));
        let node = c.snapshot.calico_nodes.iter_mut().find(|n| n.name == kubernetes).unwrap();
        node.name = calico;
        c.attribute_mut("10.65.0.1").owner.node = calico;
        c.endpoint_mut("web-0").node = calico;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn only_the_holder_that_the_allocation_names() {
        let mut c = moved();
        c.pod_mut("web-1").addresses = [addr("10.65.0.1")].into();
        c.endpoint_mut("web-1").addresses = [addr("10.65.0.1")].into();
        assert_eq!(c.find(&CHECK).len(), 1);
        let former = c.name("former-0");
        c.attribute_mut("10.65.0.1").owner.pod = former;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn nothing_certain_nothing_to_compare() {
        for damage in [
            (|c: &mut Cluster| c.attribute_mut("10.65.0.1").owner.node = Name::NONE) as fn(&mut Cluster),
            |c| c.pod_mut("web-0").deleting = Some(c.snapshot.now),
            |c| *c.attribute_mut("10.65.0.1") = AttributeFields::default(),
            |c| c.attribute_mut("10.65.0.1").alternate = Some(Box::default()),
            |c| {
                let vm = c.name("fedora");
                c.pod_mut("web-0").vmi = vm;
            },
            |c| {
                let hidden = c.name("node-2");
                c.bad(Input::CalicoNodes, Dark::Node(hidden));
            },
            |c| {
                c.node("east-1", "192.168.9.1");
                c.remove_kube_node("east-1");
                let east = c.name("east-1");
                c.attribute_mut("10.65.0.1").owner.node = east;
            },
        ] {
            let mut c = moved();
            damage(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
