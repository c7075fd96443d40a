//! IPA130: a pod holds an address that IPAM has allocated to somebody else.

use crate::checks::addresses::duplicate_pod_address;
use crate::checks::prelude::*;
use crate::ledger::Says;
use crate::model::Owner;

pub static CHECK: Check = Check {
    code: Code(130),
    name: "owner-mismatch",
    severity: Severity::Error,
    needs: Needs::B.and(Needs::P).and(Needs::W).and(Needs::N),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "A pod holds an address for certain, and no allocation of the address names it: not as its owner, not as \
        the target of a live migration.",
    matters: "Whoever the allocation names may hold the address too, now or when it starts; and when that owner is \
        found gone, the address is released under the pod that uses it.",
    arises: "The address was released under the pod and handed out again, or etcd was restored from a backup and has \
        given it to a new pod since.",
    action: "Restart the pod that IPAM does not name. Never release the address while a pod holds it.",
    silent: "An allocation without any owner (old ones have none) contradicts nobody. A launcher pod of the KubeVirt \
        machine that the allocation names. Of overlapping blocks one allocation that names the pod is enough. \
        Allocations of other clusters' nodes, addresses of host-local IPAM (IPA908), and ranges that do not decode.",
    ties: Ties {
        harm: Harm::Threat,
        explained_by: Some(duplicate_pod_address::explains),
        many: "addresses held by others than IPAM says",
        ..Ties::OURS
    },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    findings.extend(world.claims_by_address().filter_map(|(address, claims)| judge(world, address, claims)));
}

fn judge(world: &World<'_>, address: Addr, claims: &[Claim]) -> Option<Finding> {
    let ledger = world.ledger;
    let mut pods = world.certain_pods(claims).peekable();
    pods.peek()?;
    let allocations: Vec<&Allocation> =
        ledger.allocations_at(address).iter().filter(|a| a.used_for != Use::Cooling).collect();
    // Whatever stale allocation lies at an address of host-local IPAM says nothing about the pod there (IPA908).
    let strangers = pods.filter(|pod| contradicts(world, &allocations, pod) && !ledger.is_host_local(pod, address));
    let strangers: Vec<&Pod> = strangers.collect();
    let accuses = !strangers.is_empty() && !ledger.dark.address(address);
    accuses.then(|| report(world, address, &allocations, &strangers))
}

/// Whether every allocation names somebody else than this pod, and at least one may be held against it.
fn contradicts(world: &World<'_>, allocations: &[&Allocation], pod: &Pod) -> bool {
    let ledger = world.ledger;
    allocations.iter().all(|a| ledger.says(a, pod) == Says::Another) && allocations.iter().any(|a| ledger.is_judged(a))
}

fn report(world: &World<'_>, address: Addr, allocations: &[&Allocation], strangers: &[&Pod]) -> Finding {
    let ledger = world.ledger;
    let owners: Vec<String> =
        allocations.iter().flat_map(|a| ledger.owners_of(a)).map(|owner| owner_text(world, &owner)).collect();
    let first = strangers.first();
    let verb = if strangers.len() == 1 { "holds" } else { "hold" };
    let holders = format!("{} {verb} it", world.who(strangers));
    world
        .draft(&CHECK, address, format!("{holders}, IPAM allocated it to {}", few(&owners, " and ")))
        .advice(match strangers {
            [_] => "restart the pod that IPAM does not name, and never release the address while it runs".to_owned(),
            many => {
                format!(
                    "restart the {} pods that IPAM does not name, and never release the address while they run",
                    many.len()
                )
            }
        })
        .fact("owners", owners)
        .list("ipam", allocations.iter(), |a| world.allocation_facts(a))
        .list("pods", strangers.iter(), |p| world.pod_facts(p))
        .on_node(first.map(|p| world.home(p)).unwrap_or_default())
        .in_namespace(first.map(|p| p.namespace).unwrap_or_default())
        .in_pool_of(address)
        .rests_on_holders(world, strangers)
        .with_each(allocations, |d, a| d.rests_on_allocation(a))
        .next(format!("ipaudit who {address}"))
        .restart(&world.restart_order(strangers))
        .done()
}

/// Whom an owner set names, in a word or two.
fn owner_text(world: &World<'_>, owner: &Owner) -> String {
    let node = world.text(owner.node);
    if let Some((namespace, pod)) = owner.pod_name() {
        world.pair(namespace, pod)
    } else if !owner.service.is_none() {
        format!("service {}", world.pair(owner.namespace, owner.service))
    } else if !owner.vmi.is_none() {
        format!("machine {}", world.pair(owner.namespace, owner.vmi))
    } else if !owner.kind.is_none() {
        format!("{} of {node}", world.text(owner.kind))
    } else if !owner.note.is_none() {
        format!("{} of {node}", world.text(owner.note))
    } else {
        format!("node {node}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::ledger::ScopeFlag;
    use crate::model::{AttributeFields, HandleId, Name};

    /// web-0's address is allocated to shop/former-0, which is gone.
    fn renamed() -> Cluster {
        let mut c = Cluster::healthy();
        let former = c.name("former-0");
        c.attribute_mut("10.65.0.1").owner.pod = former;
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn the_holder_is_not_the_owner() {
        let found = renamed().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.1"));
        assert_eq!(found[0].summary, "shop/web-0 holds it, IPAM allocated it to shop/former-0");
        assert_eq!(found[0].next, ["ipaudit who 10.65.0.1", "kubectl -n shop delete pod web-0"]);
    }

    #[test]
    fn of_several_holders_only_those_that_ipam_does_not_name() {
        let mut c = Cluster::healthy();
        let address: Box<[Addr]> = ["10.65.0.1".parse().unwrap()].into();
        for pod in ["web-1", "web-2"] {
            c.pod_mut(pod).addresses = address.clone();
            c.endpoint_mut(pod).addresses = address.clone();
        }
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].summary.raw()), (1, "2 pods hold it, IPAM allocated it to shop/web-0"));
    }

    #[test]
    fn a_tunnels_allocation_is_another_owner() {
        let mut c = Cluster::healthy();
        let address: Box<[Addr]> = ["10.65.0.0".parse().unwrap()].into();
        c.pod_mut("web-1").addresses = address.clone();
        c.endpoint_mut("web-1").addresses = address;
        assert_eq!(c.subjects(&CHECK), ["10.65.0.0"]);
    }

    #[test]
    fn who_names_nobody_contradicts_nobody() {
        for damage in [
            (|c: &mut Cluster| c.attribute_mut("10.65.0.1").owner = Owner::default()) as fn(&mut Cluster),
            |c| c.attribute_mut("10.65.0.1").released_at = Some(c.snapshot.now),
            |c| c.block_mut("10.65.0.0/26").allocations[1] = Some(99),
            |c| c.free("10.65.0.1"),
            |c| c.dark("10.65.0.0/26"),
        ] {
            let mut c = renamed();
            damage(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn a_possible_holder_is_not_contradicted() {
        let mut c = renamed();
        c.pod_mut("web-0").deleting = Some(c.snapshot.now);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_live_migrations_target_and_a_machines_launcher_are_named() {
        let mut c = renamed();
        let target = Owner { namespace: c.name("shop"), pod: c.name("web-0"), ..Owner::default() };
        c.attribute_mut("10.65.0.1").alternate = Some(Box::new(target));
        assert!(c.find(&CHECK).is_empty());
        let mut c = renamed();
        let (vm, id) = (c.name("fedora"), "k8s-pod-network.vmi.shop.fedora");
        c.attribute_mut("10.65.0.1").handle = HandleId::intern(&mut c.snapshot.names, id);
        assert_eq!(c.find(&CHECK).len(), 1, "another pod than the machine's");
        c.pod_mut("web-0").vmi = vm;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn of_overlapping_blocks_one_that_names_it_is_enough() {
        let mut c = renamed();
        c.block("10.65.0.0/28", Some("node-2"));
        let attribute = c.pod_attribute("k8s-pod-network.x", "shop", "web-0", "node-1");
        let block = c.block_mut("10.65.0.0/28");
        block.allocations[1] = Some(0);
        block.attributes = [attribute.into()].into();
        assert!(c.find(&CHECK).is_empty());
        let block = c.block_mut("10.65.0.0/28");
        block.attributes = [AttributeFields::default().into()].into();
        assert!(c.find(&CHECK).is_empty(), "the one without an owner may be its own");
    }

    #[test]
    fn another_clusters_allocation_is_not_judged() {
        let mut c = renamed();
        c.node("east-1", "192.168.9.1");
        c.remove_kube_node("east-1");
        let east = c.name("east-1");
        c.attribute_mut("10.65.0.1").owner.node = east;
        assert!(c.find(&CHECK).is_empty());
        c.scope = ScopeFlag::Exclusive;
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"]);
        c.scope = ScopeFlag::Auto;
        c.attribute_mut("10.65.0.1").owner.node = Name::NONE;
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"], "the block's host stands in");
    }
}
