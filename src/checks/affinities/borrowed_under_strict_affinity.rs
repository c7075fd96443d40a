//! IPA407: an address on another node's block, though strict affinity forbids borrowing.

use super::common::get_block;
use crate::checks::prelude::*;
use crate::model::{Past, Time};

pub static CHECK: Check = Check {
    code: Code(407),
    name: "borrowed-under-strict-affinity",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::C).and(Needs::O),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "An allocation for one node in a block that names another, while strict affinity is on. An error when its \
        own timestamp lies after an audit that saw strict affinity on already.",
    matters: "Strict affinity is set where every address of a block must be on its node: Windows, fabrics that route \
        whole blocks. There the borrowed address is unreachable.",
    arises: "Borrowed before strict affinity was switched on; or a node that does not know the setting, or a foreign \
        tool, allocates.",
    action: "Restart the pod: it gets an address from its own node's blocks.",
    silent: "Without strict affinity borrowing is legal. KubeVirt machines keep their address when they migrate. \
        Ordinals of Windows, cooling addresses, services, blocks without owner, allocations that name no node, nodes \
        of other clusters.",
    ties: Ties {
        harm: Harm::Outage,
        many: "addresses borrowed though affinity is strict",
        judges: Judges::OnlyOurs,
        ..Ties::OURS
    },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    if !world.snapshot.ipam_config.strict_affinity {
        return;
    }
    let borrowed = world.ledger.allocations.iter().filter_map(|a| Some((a, borrowed(world, a)?)));
    findings.extend(borrowed.map(|(allocation, (node, host))| report(world, allocation, node, host)));
}

/// The node that an allocation is for, and the other one that its block names.
fn borrowed(world: &World<'_>, allocation: &Allocation) -> Option<(Name, Name)> {
    // A machine that migrated took its address along: no allocation was made on another node's block.
    let bound = !matches!(
        allocation.used_for,
        Use::Cooling | Use::Windows | Use::Reserved | Use::Vm | Use::LoadBalancer | Use::Broken
    );
    let host = world.ledger.block_of(allocation).affinity.filter(|host| bound && host.kind == HostKind::Host)?;
    let attribute = world.ledger.attribute_of(allocation).filter(|attribute| attribute.alternate().is_none())?;
    let node = attribute.owner().node.some().filter(|node| *node != host.name)?;
    world.ledger.is_judged(allocation).then_some((node, host.name))
}

fn report(world: &World<'_>, allocation: &Allocation, node: Name, host: Name) -> Finding {
    let block = world.ledger.block_of(allocation);
    let owner = world.ledger.attribute_of(allocation).map(|attribute| attribute.owner()).unwrap_or_default();
    let seen_on = world.past.and_then(|past| past.strict_affinity_since);
    let after = world.past.is_some_and(|past| was_made_after(world, allocation, owner.timestamp, past));
    let when = if after { ", made after strict affinity was seen on" } else { "" };
    let summary = format!("for {} in the block of {}{when}", world.text(node), world.text(host));
    let pod = world.pod_of(allocation);
    let whom = match pod {
        Some(pod) => world.restart_words(&[pod], |_| String::new()),
        None => "let the owner allocate again".to_owned(),
    };
    world
        .draft(&CHECK, allocation.address, summary)
        .severity(if after { Severity::Error } else { Severity::Warning })
        .advice(format!("{whom}: it gets an address of its own node"))
        .fact("ipam", world.allocation_facts(allocation))
        .fact("block_node", world.text(host))
        .fact("strict_affinity_seen_since", seen_on)
        .since(owner.timestamp)
        .on_node(node)
        .in_namespace(owner.namespace)
        .in_pool_of(allocation.address)
        .next(format!("ipaudit who {}", allocation.address))
        .next(get_block(block.cidr))
        .restart_each(pod)
        .rests_on_allocation(allocation)
        .rests_on_hold(Host { kind: HostKind::Host, name: host }, block.cidr)
        .looks_at_whose(node)
        .looks_at(Look::Settings)
        .done()
}

/// By its own timestamp alone, unless an audit had seen it by then: when one first saw it says how old it is at the
/// least, never that it is younger.
fn was_made_after(world: &World<'_>, allocation: &Allocation, timestamp: Option<Time>, past: &Past) -> bool {
    let first_seen = past.allocations.get(&world.ledger.tuple_of(allocation));
    let after = |seen_on: Time| timestamp.is_some_and(|made| made > seen_on) && first_seen.is_none_or(|s| s > seen_on);
    past.strict_affinity_since.is_some_and(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::{AttributeFields, Foreign, Owner, Tunnel};

    /// shop/borrower-0 of node-2 has an address of node-1's block, allocated an hour ago; strict affinity is on.
    fn borrowed_pod() -> Cluster {
        let mut c = Cluster::healthy();
        let attribute = c.pod_attribute("k8s-pod-network.b", "shop", "borrower-0", "node-2");
        c.allocate("10.65.0.30", attribute);
        c.snapshot.ipam_config.strict_affinity = true;
        c
    }

    #[test]
    fn clean_gives_nothing() {
        let mut c = Cluster::healthy();
        c.snapshot.ipam_config.strict_affinity = true;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn borrowing_is_legal_only_without_strict_affinity() {
        let mut c = borrowed_pod();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.30"));
        assert_eq!(
            (found[0].summary.raw(), found[0].severity),
            ("for node-2 in the block of node-1", Severity::Warning)
        );
        assert_eq!(found[0].node.as_ref().map(Foreign::raw), Some("node-2"));
        c.snapshot.ipam_config.strict_affinity = false;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn tunnels_are_bound_too() {
        let mut c = Cluster::healthy();
        let owner = Owner { node: c.name("node-2"), kind: c.name(Tunnel::Vxlan.attribute()), ..Owner::default() };
        c.allocate("10.65.0.30", AttributeFields { owner, ..AttributeFields::default() });
        c.snapshot.ipam_config.strict_affinity = true;
        assert_eq!(c.subjects(&CHECK), ["10.65.0.30"]);
    }

    #[test]
    fn made_after_an_audit_that_saw_it_on_is_an_error() {
        let mut c = borrowed_pod();
        let (before, after) = (c.ago(3_700), c.ago(3_500));
        c.remember().strict_affinity_since = Some(before);
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error);
        c.remember().strict_affinity_since = Some(after);
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning);
    }

    #[test]
    fn when_it_was_first_seen_says_before_and_never_after() {
        let mut c = borrowed_pod();
        c.attribute_mut("10.65.0.30").owner.timestamp = None;
        let (seen_on, first_seen) = (c.ago(3_700), c.ago(3_600));
        let snapshot = c.snapshot();
        let ledger = crate::ledger::Ledger::build(&snapshot, c.scope, None);
        let tuple = ledger.tuple_of(&ledger.allocations_at(addr("10.65.0.30"))[0]);
        let past = c.remember();
        past.strict_affinity_since = Some(seen_on);
        past.allocations.insert(tuple.clone(), first_seen);
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning, "it may have been there for years");
        // Its own timestamp says after, and no audit knows better.
        c.attribute_mut("10.65.0.30").owner.timestamp = Some(first_seen);
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error);
        // The audit that saw the setting on saw the allocation too: its node's clock is wrong.
        c.past.as_mut().unwrap().allocations.insert(tuple, seen_on);
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning);
    }

    #[test]
    fn what_calico_itself_leaves_there_is_none() {
        for legal in [
            (|c: &mut Cluster| c.attribute_mut("10.65.0.30").alternate = Some(Box::default())) as fn(&mut Cluster),
            |c| {
                let machine = c.name("fedora");
                c.attribute_mut("10.65.0.30").owner.vmi = machine;
            },
            |c| {
                let now = c.snapshot.now;
                c.attribute_mut("10.65.0.30").released_at = Some(now);
            },
            |c| c.attribute_mut("10.65.0.30").owner.node = Name::NONE,
            |c| c.block_mut("10.65.0.0/26").affinity = None,
            |c| {
                let name = c.name("load-balancer");
                c.block_mut("10.65.0.0/26").affinity = Some(Host { kind: HostKind::Virtual, name });
            },
            |c| {
                let id = crate::model::HandleId::intern(&mut c.snapshot.names, "windows-reserved-ipam-handle");
                c.attribute_mut("10.65.0.30").handle = id;
            },
        ] {
            let mut c = borrowed_pod();
            legal(&mut c);
            assert!(c.find(&CHECK).iter().all(|found| found.subject.id != "10.65.0.30"));
        }
    }

    #[test]
    fn another_clusters_pods_are_left_alone() {
        let mut c = borrowed_pod();
        c.node("east-1", "192.168.7.1");
        c.remove_kube_node("east-1");
        let east = c.name("east-1");
        c.attribute_mut("10.65.0.30").owner.node = east;
        assert!(c.find(&CHECK).is_empty());
    }
}
