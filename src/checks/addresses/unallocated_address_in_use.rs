//! IPA120: a pod holds an address that IPAM takes for free. The next duplicate.

use crate::checks::addresses::duplicate_pod_address;
use crate::checks::blocks::invalid_block;
use crate::checks::prelude::*;
use crate::model::Pool;

pub static CHECK: Check = Check {
    code: Code(120),
    name: "unallocated-address-in-use",
    severity: Severity::Critical,
    needs: Needs::B.and(Needs::P).and(Needs::O).and(Needs::W).and(Needs::N),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "A pod holds a pool's address for certain, and IPAM believes that nobody does: it is not allocated, or \
        stands in a free queue though this or an overlapping block has it allocated, or cools down, or its block does \
        not exist.",
    matters: "IPAM will hand the address out again: the next duplicate (IPA101). The evidence says after how many more \
        allocations from its block; 1 means now.",
    arises: "An address was released under a running pod (`calicoctl ipam release`, a collector, a DEL for an old \
        container), or etcd was restored from a backup that is older than the pod.",
    action: "Restart the pod before its turn comes: it gets a new address, properly allocated. Nothing else cures it; \
        start where the queue is shortest. In a block that breaks its own rules (IPA301) a restart alone cures nothing, \
        the next pod may get the same address again: repair the block first, or cordon its node, so that the pod comes \
        back in another block.",
    silent: "Pods that hold the address only possibly, annotation ipAddrsNoIpam (it bypasses IPAM on purpose), \
        addresses outside all pools (IPA121), blocks that do not decode, and addresses of host-local IPAM, which the \
        nodes' podCIDRs explain (IPA908). It is never silent for being many.",
    ties: Ties {
        harm: Harm::Threat,
        explained_by: Some(duplicate_pod_address::explains),
        many: "addresses in use that IPAM calls free",
        urgency: Some(urgency),
        ..Ties::OURS
    },
    run,
};

/// The shortest queue first, and last what has no turn.
fn urgency(finding: &Finding) -> u64 {
    finding.evidence.count("handed_out_after").unwrap_or(u64::MAX)
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    findings.extend(world.claims_by_address().filter_map(|(address, claims)| judge(world, address, claims)));
}

fn judge(world: &World<'_>, address: Addr, claims: &[Claim]) -> Option<Finding> {
    // Annotation ipAddrsNoIpam bypasses IPAM on purpose, and IPA908 stands for the thousands of host-local IPAM.
    let by_design = |p: &Pod| p.no_ipam().contains(&address) || world.ledger.is_host_local(p, address);
    let holders: Vec<&Pod> = world.certain_pods(claims).filter(|p| !by_design(p)).collect();
    if holders.is_empty() {
        return None;
    }
    let danger = danger(world, address)?;
    let pool = world.pool_of(address)?;
    let hidden = world.ledger.dark.address(address);
    (!hidden).then(|| report(world, address, &holders, pool, &danger))
}

/// Why IPAM may hand the address out.
enum Danger<'w> {
    /// In the free queue of this block, at this place (0 = next).
    Queued(&'w Block, usize),
    /// Not allocated in this block, and not in its free queue either (IPA301): free once the block is repaired.
    Unqueued(&'w Block),
    Cooling(&'w Allocation),
    /// No block covers it.
    NoBlock,
}

fn danger<'w>(world: &World<'w>, address: Addr) -> Option<Danger<'w>> {
    let ledger = world.ledger;
    let covering = ledger.blocks_covering(address);
    let queues = covering.iter().filter_map(|&block| Some((block, block.queue_place(address)?)));
    // Of overlapping blocks the one where its turn comes first.
    let next = queues.min_by_key(|&(block, place)| turn(world, block, address, place).unwrap_or(u64::MAX));
    if let Some((block, place)) = next {
        return Some(Danger::Queued(block, place));
    }
    let allocations = ledger.allocations_at(address);
    // A cooling ordinal is free soon, whatever an overlapping block has the address allocated to.
    if let Some(cooling) = allocations.iter().find(|a| a.used_for == Use::Cooling) {
        return Some(Danger::Cooling(cooling));
    }
    if !allocations.is_empty() {
        return None;
    }
    Some(covering.first().map_or(Danger::NoBlock, |block| Danger::Unqueued(block)))
}

/// After how many more allocations from `block` the address at `place` of its queue is handed out; reserved
/// addresses ahead of it are passed over. 1 = by the next. `None`: reserved itself, so never by itself.
fn turn(world: &World<'_>, block: &Block, address: Addr, place: usize) -> Option<u64> {
    let reserved = |address: Addr| world.ledger.reservation_of(address).is_some();
    let ahead = block.unallocated.iter().take(place).filter(|&&ordinal| {
        let address = u128::try_from(ordinal).ok().and_then(|o| block.cidr.nth(o));
        !address.is_some_and(reserved)
    });
    (!reserved(address)).then(|| ahead.count() as u64 + 1)
}

fn report(world: &World<'_>, address: Addr, holders: &[&Pod], pool: &Pool, danger: &Danger<'_>) -> Finding {
    let ledger = world.ledger;
    let who = match holders {
        [pod] => format!("{} on {}", world.pod_id(pod), world.text(pod.node)),
        many => world.who(many),
    };
    let (block, place, turn) = match *danger {
        Danger::Queued(block, place) => (Some(block), Some(place), turn(world, block, address, place)),
        Danger::Unqueued(block) => (Some(block), None, None),
        Danger::Cooling(allocation) => (Some(ledger.block_of(allocation)), None, None),
        Danger::NoBlock => (None, None, None),
    };
    let cidr = block.map(|b| b.cidr).or_else(|| Cidr::new(address, pool.block_size));
    let released = match danger {
        Danger::Cooling(allocation) => ledger.attribute_of(allocation).and_then(|a| a.released_at()),
        _ => None,
    };
    let allocations = ledger.allocations_at(address);
    let restart = world.restart_order(holders);
    let first = holders.first();
    let covering = ledger.blocks_covering(address);
    let broken = covering.iter().find(|b| invalid_block::is_broken(b, world.snapshot.now)).map(|b| b.cidr);
    world
        .draft(&CHECK, address, format!("{who}: {}", state(danger, turn)))
        .advice(match broken {
            Some(cidr) => advice_in_broken(cidr, &restart, world),
            None => advice(danger, turn, &restart, world),
        })
        .fact("broken_block", broken)
        .fact("state", word(danger))
        .fact("block", cidr)
        .fact("queue_place", place)
        .fact("handed_out_after", turn)
        .fact("reserved", ledger.reservation_of(address).map(|r| world.text(r.name)))
        .fact("pool_assigns", pool.assigns_automatically())
        .fact("released", released)
        .fact("cooling_until", released.map(|at| at.plus(world.snapshot.ipam_config.cooldown())))
        .list("ipam", allocations.iter(), |a| world.allocation_facts(a))
        .list("pods", holders.iter(), |p| world.pod_facts(p))
        .list("restart", restart.iter(), |p| world.pod_id(p))
        .on_node(first.map(|p| world.home(p)).unwrap_or_default())
        .in_namespace(first.map(|p| p.namespace).unwrap_or_default())
        .in_pool_of(address)
        .since(released)
        .rests_on_holders(world, holders)
        .with_each(covering, |d, b| d.looks_at(Look::Block(b.cidr)))
        .with_each(cidr, |d, cidr| d.looks_at(Look::Block(cidr)))
        .looks_at(Look::Settings)
        .with_each(broken, |d, cidr| d.next(format!("ipaudit who {cidr}")).restarts_pods(true).restarts_later(&restart))
        .with_each(broken.is_none().then_some(()), |d, ()| d.restart(&restart))
        .next(format!("ipaudit who {address}"))
        .done()
}

fn word(danger: &Danger<'_>) -> &'static str {
    match danger {
        Danger::Queued(..) => "free",
        Danger::Unqueued(_) => "neither free nor allocated",
        Danger::Cooling(_) => "cooling",
        Danger::NoBlock => "no block",
    }
}

fn state(danger: &Danger<'_>, turn: Option<u64>) -> String {
    match (danger, turn) {
        (Danger::Queued(..), Some(1)) => "free in IPAM, handed out by the next allocation".to_owned(),
        (Danger::Queued(..), Some(turn)) => format!("free in IPAM, handed out after {turn} more allocations"),
        (Danger::Queued(..), None) => "free in IPAM, reserved: not handed out by itself".to_owned(),
        (Danger::Unqueued(_), _) => "not allocated in IPAM, nor in the free queue".to_owned(),
        (Danger::Cooling(_), _) => "cooling down in IPAM, then free".to_owned(),
        (Danger::NoBlock, _) => "IPAM has no block for it: free as soon as a node claims it".to_owned(),
    }
}

fn advice(danger: &Danger<'_>, turn: Option<u64>, restart: &[&Pod], world: &World<'_>) -> String {
    let whom = world.who(restart);
    match (danger, turn) {
        (Danger::Queued(..), Some(1)) => format!("restart {whom} now: the next pod gets the same address"),
        _ => format!("restart {whom} before the address is handed out again"),
    }
}

/// Where the block breaks its own rules, a pod that comes back into it may get the same address, or another pod's.
fn advice_in_broken(block: Cidr, restart: &[&Pod], world: &World<'_>) -> String {
    let (code, whom) = (invalid_block::CHECK.code, world.who(restart));
    let home = restart.first().map_or("its node", |pod| world.text(pod.node));
    format!(
        "block {block} breaks its own rules ({code}), so a restart into it is no cure: repair it first, or cordon {home}, \
         so that {whom} comes back in another block, and restart it then"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr, cidr};
    use crate::model::{AttributeFields, Fact, Foreign, Phase};

    /// web-0 runs on, its address was given back.
    fn released() -> Cluster {
        let mut c = Cluster::healthy();
        c.free("10.65.0.1");
        c
    }

    fn fact(c: &mut Cluster, name: &str) -> Fact {
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 1);
        found[0].evidence.get(name).cloned().unwrap()
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_free_address_tells_its_turn() {
        let found = released().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.1"));
        assert_eq!(found[0].severity, Severity::Critical);
        assert_eq!(found[0].summary, "shop/web-0 on node-1: free in IPAM, handed out after 62 more allocations");
        assert_eq!(found[0].next, ["kubectl -n shop delete pod web-0", "ipaudit who 10.65.0.1"]);
        assert_eq!(
            (found[0].node.as_ref().map(Foreign::raw), found[0].pool.as_ref().map(Foreign::raw)),
            (Some("node-1"), Some("default"))
        );
    }

    /// The address is allocated and in the free queue: a restart gives both back and takes one of them again.
    #[test]
    fn in_a_broken_block_a_restart_is_no_cure() {
        let mut c = Cluster::healthy();
        let block = c.block_mut("10.65.0.0/26");
        block.unallocated = std::iter::once(1).chain(block.unallocated.iter().copied()).collect();
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 1, "{found:?}");
        let advice = found[0].advice.raw();
        assert!(advice.starts_with("block 10.65.0.0/26 breaks its own rules (IPA301), so a restart"), "{advice}");
        assert!(advice.contains("cordon node-1, so that shop/web-0 comes back in another block"), "{advice}");
        assert_eq!(found[0].next, ["ipaudit who 10.65.0.0/26", "ipaudit who 10.65.0.1"]);
    }

    #[test]
    fn at_the_head_of_the_queue_it_is_now() {
        let mut c = released();
        c.block_mut("10.65.0.0/26").unallocated.rotate_right(1);
        assert_eq!(fact(&mut c, "handed_out_after"), Fact::from(1u64));
        assert_eq!(c.find(&CHECK)[0].advice, "restart shop/web-0 now: the next pod gets the same address");
    }

    #[test]
    fn reserved_ordinals_are_skipped_and_a_reserved_address_has_no_turn() {
        let mut c = released();
        c.reservation("infra", &["10.65.0.8/29", "10.65.0.32/27"]);
        assert_eq!(fact(&mut c, "handed_out_after"), Fact::from(62u64 - 8 - 32));
        c.reservation("more", &["10.65.0.1/32"]);
        assert_eq!(fact(&mut c, "handed_out_after"), Fact::Null);
        assert_eq!(fact(&mut c, "reserved"), Fact::from("more"));
    }

    #[test]
    fn an_allocated_address_in_the_free_queue_is_free() {
        let mut c = Cluster::healthy();
        let block = c.block_mut("10.65.0.0/26");
        block.unallocated = [1].into_iter().chain(block.unallocated.iter().copied()).collect();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"]);
        assert_eq!(fact(&mut c, "handed_out_after"), Fact::from(1u64));
    }

    #[test]
    fn an_overlapping_blocks_queue_counts_and_its_silence_does_not() {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/28", Some("node-2"));
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1", "10.65.0.2"]);
        c.block_mut("10.65.0.0/28").unallocated = [].into();
        assert!(c.find(&CHECK).is_empty(), "allocated here, handed out by nobody there");
    }

    #[test]
    fn cooling_counts_as_free_soon() {
        let mut c = Cluster::healthy();
        let now = c.snapshot.now;
        c.snapshot.ipam_config.cooldown_seconds = 60;
        *c.attribute_mut("10.65.0.1") = AttributeFields { released_at: Some(now), ..AttributeFields::default() };
        let found = c.find(&CHECK);
        assert_eq!(found[0].summary, "shop/web-0 on node-1: cooling down in IPAM, then free");
        let until = now.plus(std::time::Duration::from_secs(60));
        assert_eq!(fact(&mut c, "cooling_until"), Fact::Time(until));
    }

    #[test]
    fn a_block_that_is_absent_or_holds_the_ordinal_nowhere_counts() {
        let mut c = Cluster::healthy();
        c.snapshot.blocks.retain(|b| b.cidr.to_string() != "10.65.0.0/26");
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1", "10.65.0.2"]);
        assert_eq!(c.find(&CHECK)[0].evidence.get("block"), Some(&Fact::from("10.65.0.0/26")));
        let mut c = released();
        c.block_mut("10.65.0.0/26").unallocated = [].into();
        assert_eq!(fact(&mut c, "state"), Fact::from("neither free nor allocated"));
    }

    #[test]
    fn a_ready_pod_that_lost_its_endpoint_too_is_the_restored_backup() {
        let mut c = released();
        c.remove_endpoint("web-0");
        assert_eq!(c.subjects(&CHECK), ["10.65.0.1"]);
        let rests = c.find(&CHECK)[0].rests.clone();
        let node = c.name("node-1");
        let pod = (c.name("shop"), c.name("web-0"));
        let absent = crate::model::Look::EndpointsOfPod(node, pod.0, pod.1);
        assert!(rests.iter().any(|r| r.look == absent), "the absent endpoint is looked at again");
        c.pod_mut("web-0").ready = false;
        assert!(c.find(&CHECK).is_empty(), "only possible");
    }

    #[test]
    fn who_holds_it_only_possibly_accuses_nobody() {
        for protect in [
            (|c: &mut Cluster| c.pod_mut("web-0").deleting = Some(c.snapshot.now)) as fn(&mut Cluster),
            |c| c.pod_mut("web-0").phase = Phase::Succeeded,
            |c| c.pod_mut("web-0").host_network = true,
            |c| c.pod_mut("web-0").no_ipam = [addr("10.65.0.1")].into(),
            |c| c.endpoint_mut("web-0").addresses = [addr("10.65.0.40")].into(),
            |c| c.remove_pod("web-0"),
            |c| c.snapshot.pools.clear(),
        ] {
            let mut c = released();
            protect(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn a_tunnel_is_another_checks_matter() {
        let mut c = Cluster::healthy();
        c.free("10.65.0.0");
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn what_does_not_decode_hides_its_range() {
        let mut c = released();
        c.dark("10.65.0.0/26");
        assert!(c.find(&CHECK).is_empty());
    }

    /// Every pod's allocation is gone, at the first audit: critical, unless the nodes' podCIDRs explain the addresses.
    #[test]
    fn a_wiped_ipam_is_critical_and_host_local_ipam_is_not() {
        let mut c = Cluster::healthy();
        for address in ["10.65.0.1", "10.65.0.2", "10.65.0.65", "10.65.0.66"] {
            c.free(address);
        }
        c.snapshot.handles.clear();
        assert_eq!(c.find(&CHECK).len(), 4);
        c.snapshot.kube_nodes[0].pod_cidrs = [cidr("10.65.0.0/26")].into();
        assert_eq!(c.find(&CHECK).len(), 4, "the other node's do not");
        c.snapshot.kube_nodes[1].pod_cidrs = [cidr("10.65.0.64/26")].into();
        assert!(c.find(&CHECK).is_empty());
        // One that lost its endpoint is host-local's as well; one from elsewhere is not.
        c.remove_endpoint("web-0");
        assert!(c.find(&CHECK).is_empty());
        c.pod_mut("web-0").addresses = [addr("10.65.0.70")].into();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.70"]);
    }
}
