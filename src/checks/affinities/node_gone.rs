//! IPA406: a node that is gone for good and still owns blocks.

use crate::checks::affinities::stale_calico_node;
use crate::checks::evidence::{ask_who, get_key};
use crate::checks::prelude::*;
use crate::ledger::capacity;
use crate::model::hash::{HashMap, HashSet};
use crate::model::{AffinityState, Time, keys};
use std::cell::LazyCell;

use super::common::get_block;

pub static CHECK: Check = Check {
    code: Code(406),
    name: "node-gone",
    severity: Severity::Warning,
    needs: Needs::A.and(Needs::B).and(Needs::N).and(Needs::K).and(Needs::D),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Node,
    finds: "A node of this cluster with neither a Calico Node nor a Kubernetes node, known to be gone for longer than \
        the grace, that still owns blocks or affinities, those without a block too. The evidence names the allocations \
        that keep them.",
    matters: "Its blocks are lost to the others, and its leaked addresses with them: pools run out of blocks though \
        few addresses are used.",
    arises: "The collector does not run, or one allocation stops it: an unknown type, a missing owner, a pod that is \
        pending for ever. Then nothing of the node is ever given back.",
    action: "Release what is proven leaked (IPA110, IPA111). The last address gone, Calico gives the blocks back; an \
        empty block's affinity can be deleted together with the block.",
    silent: "At a first audit nobody knows since when it is gone. Nodes of other clusters, plain hosts, nodes that \
        only Kubernetes or only Calico still knows (IPA409), `virtual` and `@` owners, nodes whose objects do not \
        decode; a host of which nothing is known but blocks in which an operator keeps addresses back with a note.",
    ties: Ties { many: "nodes that are gone and still own blocks", explained_by: Some(explained_by), ..Ties::OURS },
    run,
};

/// A Calico Node that stayed behind explains the blocks that its node left.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    causes.any(stale_calico_node::CHECK.code, finding.subject.id.raw())
}

/// An affinity for a block that does not exist, one and many.
const BARE: (&str, &str) = ("affinity without a block", "affinities without a block");

/// So many allocations are listed; their number is always said.
const LISTED: usize = 100;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    // Made only when there is something to ask it.
    let elsewhere = LazyCell::new(|| named_elsewhere(world));
    for (node, owned) in owned(world) {
        let Some(since) = gone_since(world, node) else { continue };
        if !owned.keeps_back(world) || elsewhere.contains(&node) {
            findings.push(report(world, node, &owned, since));
        }
    }
}

/// What one host owns.
#[derive(Default)]
struct Owned<'w> {
    blocks: Vec<&'w Block>,
    /// Confirmed affinities for blocks that do not exist.
    bare: Vec<Cidr>,
}

impl Owned<'_> {
    /// Whether ordinals of its blocks were kept back by an operator's own reservation.
    fn keeps_back(&self, world: &World<'_>) -> bool {
        let inside = self.blocks.iter().flat_map(|block| allocations_in(world, block.cidr));
        inside.into_iter().any(|allocation| allocation.used_for == Use::Reserved)
    }
}

/// The blocks of every host, those that name it and those for which it has a confirmed affinity, and its confirmed
/// affinities without a block.
fn owned<'w>(world: &World<'w>) -> HashMap<Name, Owned<'w>> {
    let mut owned: HashMap<Name, Owned<'_>> = HashMap::new();
    for block in world.ledger.blocks() {
        let confirmed = world.ledger.affinities_for(block.cidr).filter(|a| a.state == AffinityState::Confirmed);
        let hosts = block.affinity.into_iter().chain(confirmed.map(|affinity| affinity.host));
        for host in hosts.filter(|host| host.kind == HostKind::Host) {
            let blocks = &mut owned.entry(host.name).or_default().blocks;
            if blocks.last().is_none_or(|last| last.cidr != block.cidr) {
                blocks.push(block);
            }
        }
    }
    for affinity in world.ledger.affinities() {
        let (host, cidr) = (affinity.host, affinity.cidr);
        let confirmed = host.kind == HostKind::Host && affinity.state == AffinityState::Confirmed;
        if confirmed && world.ledger.block(cidr).is_none() && !world.ledger.dark.block(cidr) {
            owned.entry(host.name).or_default().bare.push(cidr);
        }
    }
    owned
}

/// Every node that anything but blocks, affinities and reservations names: owners of allocations, endpoints, the
/// nodes that earlier audits knew as ours. A host of which only reservations are known (`EnsureBlock` for a router or
/// an edge device) is an operator's own.
fn named_elsewhere(world: &World<'_>) -> HashSet<Name> {
    let ledger = world.ledger;
    let owners = ledger.allocations.iter().flat_map(|allocation| ledger.owners_of(allocation)).map(|owner| owner.node);
    let mut named: HashSet<Name> = owners.collect();
    named.extend(world.snapshot.endpoints.iter().map(|endpoint| endpoint.node));
    let known = world.past.into_iter().flat_map(|past| &past.known_nodes);
    named.extend(known.filter_map(|name| world.snapshot.names.find(name)));
    named
}

/// Since when a node is known to be gone, if that is longer than the grace.
fn gone_since(world: &World<'_>, node: Name) -> Option<Time> {
    let ledger = world.ledger;
    let gone = ledger.scope.standing(node) == Standing::Departed
        && ledger.calico_node(node).is_none()
        && !ledger.dark.node(node);
    let since = *world.past?.gone_since.get(world.text(node)).filter(|_| gone)?;
    (world.snapshot.now.since(since) > world.snapshot.kube_controllers.grace()).then_some(since)
}

fn report(world: &World<'_>, node: Name, owned: &Owned<'_>, since: Time) -> Finding {
    let blocks = &owned.blocks;
    let keeping: Vec<&Allocation> = blocks.iter().flat_map(|block| allocations_in(world, block.cidr)).collect();
    let kept = match keeping.as_slice() {
        [] if blocks.is_empty() => "nothing keeps it".to_owned(),
        [] => "nothing is left in them".to_owned(),
        [only] => format!("kept by {}", only.address),
        [first, rest @ ..] => format!("kept by {} and {} more", first.address, rest.len()),
    };
    let cidrs: Vec<Cidr> = blocks.iter().map(|block| block.cidr).collect();
    let host = Host { kind: HostKind::Host, name: node };
    let affinity_key = |cidr| keys::affinity_key(host.kind, world.text(node), cidr);
    let owns: Vec<String> = [(blocks.len(), "block", "blocks"), (owned.bare.len(), BARE.0, BARE.1)]
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, one, many)| format!("{number} {}", if number == 1 { one } else { many }))
        .collect();
    let advice = match keeping.len() {
        0 if blocks.is_empty() => "delete the affinity: nothing stands behind it",
        0 => "nothing keeps the blocks: the collector should give them back, so see whether it runs",
        _ => "release what is proven leaked among them; the blocks go with the last address",
    };
    world
        .draft(&CHECK, world.text(node), format!("gone, and still owns {}; {kept}", owns.join(" and ")))
        .advice(advice)
        .fact("gone_since", since)
        .fact("blocks", cidrs.clone())
        .fact("affinities_without_block", owned.bare.clone())
        .list("kept_by", keeping.iter().take(LISTED), |a| keeper_facts(world, a))
        .fact("kept_by_count", keeping.len())
        .since(Some(since))
        .on_node(node)
        .with_each(cidrs.first().or(owned.bare.first()), |draft, cidr| draft.in_pool_of(cidr.first()))
        .next(ask_who(world.text(node)))
        .with_each(&cidrs, |draft, cidr| draft.next(get_block(*cidr)))
        .with_each(&owned.bare, |draft, &cidr| draft.next(get_key(&affinity_key(cidr))))
        .looks_at(Look::CalicoNode(node))
        .looks_at_whose(node)
        .with_each(cidrs.iter().chain(&owned.bare), |draft, cidr| draft.rests_on_hold(host, *cidr))
        .done()
}

/// What keeps a block: everything allocated or cooling in it, Windows' reservations left out.
fn allocations_in<'w>(world: &World<'w>, cidr: Cidr) -> impl Iterator<Item = &'w Allocation> {
    let ledger = world.ledger;
    let inside = capacity::allocations_in(ledger, cidr).iter();
    inside.filter(move |a| a.used_for != Use::Windows && ledger.block_of(a).cidr == cidr)
}

fn keeper_facts(world: &World<'_>, allocation: &Allocation) -> Evidence {
    world.allocation_facts(allocation).with("held", world.ledger.is_held(allocation.address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, bad};
    use crate::ledger::ScopeFlag;
    use crate::model::snapshot::Dark;
    use crate::model::{AttributeFields, Fact, Foreign, HandleId, Input, Owner};

    const GRACE: u64 = 15 * 60;

    /// node-3 owned 10.65.1.0/26 and is gone since `seconds` ago.
    fn gone(seconds: u64) -> Cluster {
        let mut c = Cluster::healthy();
        c.block("10.65.1.0/26", Some("node-3"));
        let since = c.ago(seconds);
        c.remember().gone_since.insert("node-3".to_owned(), since);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        let mut c = Cluster::healthy();
        c.remember();
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn gone_for_longer_than_the_grace_and_still_owning() {
        let mut c = gone(GRACE + 1);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-3"));
        assert_eq!(found[0].summary, "gone, and still owns 1 block; nothing is left in them");
        let attribute = c.pod_attribute("k8s-pod-network.x", "shop", "lost", "node-3");
        c.allocate("10.65.1.7", attribute);
        let handle = HandleId::intern(&mut c.snapshot.names, "windows-reserved-ipam-handle");
        c.allocate("10.65.1.0", AttributeFields { handle, ..AttributeFields::default() });
        let found = c.find(&CHECK);
        assert_eq!(found[0].summary, "gone, and still owns 1 block; kept by 10.65.1.7");
        assert_eq!(found[0].evidence.get("kept_by_count"), Some(&Fact::Sequence(1)));
        assert_eq!(found[0].since, Some(c.ago(GRACE + 1)));
    }

    #[test]
    fn the_grace_is_the_configured_one_and_the_first_audit_knows_nothing() {
        assert!(gone(GRACE).find(&CHECK).is_empty());
        let mut c = gone(GRACE);
        c.snapshot.kube_controllers.leak_grace = Some(std::time::Duration::from_secs(60));
        assert_eq!(c.subjects(&CHECK), ["node-3"]);
        let mut c = gone(GRACE + 1);
        c.remember();
        assert!(c.find(&CHECK).is_empty(), "not known as gone by an earlier audit");
    }

    #[test]
    fn a_node_that_anybody_still_knows_is_not_gone() {
        let mut c = gone(GRACE + 1);
        c.node("node-3", "192.168.0.3");
        c.remove_calico_node("node-3");
        assert!(c.find(&CHECK).is_empty(), "Kubernetes knows it");
        let mut c = gone(GRACE + 1);
        c.node("node-3", "192.168.0.3");
        c.remove_kube_node("node-3");
        c.scope = ScopeFlag::Exclusive;
        assert!(c.find(&CHECK).is_empty(), "Calico knows it (IPA409)");
    }

    #[test]
    fn foreign_nodes_are_left_alone_and_remembered_ones_are_not() {
        let mut c = gone(GRACE + 1);
        c.node("east-1", "192.168.7.1");
        c.remove_kube_node("east-1");
        assert!(c.find(&CHECK).is_empty(), "the scope is not exclusive");
        c.past.as_mut().unwrap().known_nodes.insert("node-3".to_owned());
        assert_eq!(c.subjects(&CHECK), ["node-3"]);
    }

    #[test]
    fn virtual_owners_and_hosts_without_blocks_are_none() {
        let mut c = Cluster::healthy();
        let host = Host { kind: HostKind::Virtual, name: c.name("load-balancer") };
        c.block("10.65.1.0/26", None);
        c.block_mut("10.65.1.0/26").affinity = Some(host);
        let lone = c.host("node-3");
        c.affinity(lone, "10.65.2.0/26", AffinityState::Confirmed);
        c.block("10.65.3.0/26", None);
        c.affinity(lone, "10.65.3.0/26", AffinityState::PendingDeletion);
        c.snapshot.affinities.iter_mut().filter(|a| a.host == lone).for_each(|a| a.state = AffinityState::Pending);
        let since = c.ago(GRACE + 1);
        let past = c.remember();
        past.gone_since.insert("load-balancer".to_owned(), since);
        past.gone_since.insert("node-3".to_owned(), since);
        assert!(c.find(&CHECK).is_empty());
        c.snapshot.affinities.iter_mut().for_each(|a| a.state = AffinityState::Confirmed);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-3"), "a confirmed affinity owns its block");
        let says = "gone, and still owns 1 block and 1 affinity without a block; nothing is left in them";
        assert_eq!(found[0].summary, says);
    }

    #[test]
    fn an_affinity_without_a_block_is_owned_too() {
        let mut c = Cluster::healthy();
        let lone = c.host("node-3");
        c.affinity(lone, "10.65.2.0/26", AffinityState::Confirmed);
        let since = c.ago(GRACE + 1);
        c.remember().gone_since.insert("node-3".to_owned(), since);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].pool.as_ref().map(Foreign::raw)), (1, Some("default")));
        assert_eq!(found[0].summary, "gone, and still owns 1 affinity without a block; nothing keeps it");
        assert!(
            found[0].next.iter().any(|n| n.raw().contains("/host/node-3/ipv4/block/10.65.2.0-26")),
            "{:?}",
            found[0].next
        );
        c.dark("10.65.2.0/26");
        assert!(c.find(&CHECK).is_empty(), "the block exists and does not decode");
    }

    /// An edge device whose addresses an operator keeps back with `EnsureBlock` has no node anywhere.
    #[test]
    fn a_host_of_which_only_reservations_are_known_is_an_operators_own() {
        let reserved = |handle: &str| {
            let mut c = gone(GRACE + 1);
            let owner = Owner { note: c.name("edge host rsvd"), ..Owner::default() };
            let handle = HandleId::intern(&mut c.snapshot.names, handle);
            c.allocate("10.65.1.0", AttributeFields { handle, owner, reserved: true, ..AttributeFields::default() });
            c
        };
        let mut c = reserved("edge");
        assert!(c.find(&CHECK).is_empty());
        // Somebody else may borrow there; that says nothing of the host.
        let borrowed = c.pod_attribute("k8s-pod-network.x", "shop", "guest", "node-1");
        c.allocate("10.65.1.7", borrowed);
        assert!(c.find(&CHECK).is_empty());
        let own = c.pod_attribute("k8s-pod-network.y", "shop", "lost", "node-3");
        c.allocate("10.65.1.8", own);
        assert_eq!(c.subjects(&CHECK), ["node-3"], "a pod was there");

        let mut c = reserved("edge");
        c.endpoint("shop", "lost", "node-3", "0123", &["10.65.0.9"]);
        assert_eq!(c.subjects(&CHECK), ["node-3"], "an endpoint was there");
        let mut c = reserved("edge");
        c.past.as_mut().unwrap().known_nodes.insert("node-3".to_owned());
        assert_eq!(c.subjects(&CHECK), ["node-3"], "an earlier audit knew it as ours");
        assert_eq!(reserved("windows-reserved-ipam-handle").subjects(&CHECK), ["node-3"], "a Windows node");
    }

    #[test]
    fn a_node_that_does_not_decode_may_be_there() {
        let mut c = gone(GRACE + 1);
        c.scope = ScopeFlag::Exclusive;
        let node = c.name("node-3");
        c.snapshot.bad_values.push(bad(
            "/calico/resources/v3/projectcalico.org/nodes/node-3",
            Input::CalicoNodes,
            Dark::Node(node),
        ));
        assert!(c.find(&CHECK).is_empty());
    }
}
