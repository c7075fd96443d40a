//! IPA202: a handle counts addresses that its blocks do not have.

use super::common::{belongs, block_list, discord_facts, objects_facts, owner_pods, stored_id};
use crate::checks::evidence::ask_who;
use crate::checks::prelude::*;
use crate::ledger::{Discord, Tally};
use crate::model::Input;

pub static CHECK: Check = Check {
    code: Code(202),
    name: "handle-overcount",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::H),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Handle,
    finds: "A handle counts more addresses of a block than the block has of it, or its container has an endpoint and \
        no block has any address of it: a lost allocation.",
    matters: "The handle outlives its last address and becomes an orphan. Where an endpoint still has the container, a \
        pod's allocation was lost: look for IPA120.",
    arises: "Calico writes block and handle one after the other: a crash between the two, a lost compare-and-swap of a \
        static address (it counts again on each retry), or a request for more addresses than the block had left.",
    action: "`ipaudit release` sets the handle right when its owner goes. Restart a pod that lost its allocation.",
    silent: "A handle of which no block has anything is IPA201, unless an endpoint has its container. Blocks that do \
        not decode are not compared.",
    ties: Ties { many: "handles that count too much", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for tally in world.ledger.tallies() {
        let dark = is_dark(world, &tally);
        let lost = tally.holds_nothing() && !dark && world.ledger.has_container(tally.id);
        // Without any allocation it is an orphan (IPA201), or nobody can tell.
        let orphan = tally.holds_nothing() && !dark && !lost;
        let over = overcounted(world, &tally);
        if lost || (!orphan && !over.is_empty()) {
            findings.push(report(world, &tally, &over, lost));
        }
    }
}

/// The readable blocks of which it counts more than they have.
fn overcounted(world: &World<'_>, tally: &Tally<'_>) -> Vec<Discord> {
    let over = tally.discords().into_iter().filter(|d| d.counted > d.held);
    over.filter(|d| !world.ledger.dark.block(d.block)).collect()
}

/// Whether a block that does not decode may hold allocations of it.
fn is_dark(world: &World<'_>, tally: &Tally<'_>) -> bool {
    let dark = &world.ledger.dark;
    dark.all(Input::Blocks) || tally.counted.iter().any(|&(cidr, _)| dark.block(cidr))
}

fn report(world: &World<'_>, tally: &Tally<'_>, over: &[Discord], lost: bool) -> Finding {
    let blocks: Vec<Cidr> = over.iter().map(|d| d.block).collect();
    // Of two spellings of one id the one that counts too much; mostly there is but one object.
    let counts = |object: &&crate::model::Handle| object.counts().iter().any(|(cidr, _)| blocks.contains(cidr));
    let object = tally.objects.iter().find(counts).or(tally.objects.first());
    let id = object.map(|o| stored_id(world, o)).unwrap_or_default();
    let summary = match over {
        _ if lost => "no block has an address of it, and an endpoint still has its container".to_owned(),
        [one] => format!("counts {} in {}, the block has {}", one.counted, one.block, one.held),
        _ => format!("counts more than they have in {}", block_list(&blocks)),
    };
    let endpoints: Vec<_> = world.ledger.endpoints_of_container(tally.id.tail).filter(|_| lost).collect();
    let addresses: Vec<_> = world.ledger.allocations_of(tally.id).map(|a| a.address).collect();
    let all: Vec<Cidr> = tally.counted.iter().map(|(cidr, _)| *cidr).collect();
    let draft = world
        .draft(&CHECK, &id, summary)
        .list("over", over.iter(), discord_facts)
        .fact("lost_allocation", lost)
        .fact("objects", objects_facts(world, tally))
        .fact("addresses", addresses)
        .fact("owner_pods", owner_pods(world, tally.id))
        .list("endpoints", endpoints.iter(), |e| world.endpoint_facts(e))
        .with_each(tally.objects, |d, object| d.rests_on_handle(object))
        .with_each(endpoints, |d, endpoint| d.rests_on_endpoint(endpoint))
        .with_each(&all, |d, &cidr| d.looks_at(Look::Block(cidr)));
    let advice = match lost {
        true => "if the pod of that endpoint lives, its allocation was lost: restart the pod",
        false => "leave it as it is: the release of its addresses sets it right, once its owner is gone",
    };
    belongs(draft, world, tally.id, &all).advice(advice).restarts_pods(lost).next(ask_who(&id)).done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};
    use crate::model::Foreign;

    fn id() -> String {
        Cluster::handle_id("shop", "web-0")
    }

    fn counting(counts: &[(&str, i64)]) -> Cluster {
        let mut c = Cluster::healthy();
        c.handle_mut(&id()).counts = counts.iter().map(|&(block, count)| (cidr(block), count)).collect();
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn it_names_the_block_of_which_it_counts_too_much() {
        let found = counting(&[("10.65.0.0/26", 3)]).find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.clone()), (1, id().into()));
        assert_eq!(found[0].summary, "counts 3 in 10.65.0.0/26, the block has 1");
        assert!(found[0].advice.raw().starts_with("leave it as it is: ") && !found[0].restarts_pods, "{found:?}");
        let found = counting(&[("10.65.0.0/26", 1), ("10.99.0.0/26", 1)]).find(&CHECK);
        assert_eq!(found[0].summary, "counts 1 in 10.99.0.0/26, the block has 0", "a block that does not exist");
        let found = counting(&[("10.65.0.0/26", 2), ("10.65.0.64/26", 1)]).find(&CHECK);
        assert_eq!(found[0].summary, "counts more than they have in 10.65.0.0/26 and 10.65.0.64/26");
    }

    #[test]
    fn a_tunnel_that_counts_twice() {
        let mut c = Cluster::healthy();
        c.handle_mut("ipip-tunnel-addr-node-1").counts[0].1 = 2;
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].node.as_ref().map(Foreign::raw)), (1, Some("node-1")));
    }

    #[test]
    fn what_counts_right_or_too_little_is_not_told_here() {
        assert!(counting(&[("10.65.0.0/26", 1), ("10.65.0.64/26", 0)]).find(&CHECK).is_empty());
        assert!(counting(&[]).find(&CHECK).is_empty());
        // Two names of one block count together.
        assert!(counting(&[("10.65.0.0/26", 1), ("10.65.0.0/26", 0)]).find(&CHECK).is_empty());
        assert_eq!(counting(&[("10.65.0.0/26", 1), ("10.65.0.0/26", 1)]).find(&CHECK).len(), 1);
    }

    #[test]
    fn an_orphan_is_201_and_a_lost_allocation_is_this() {
        let mut c = Cluster::healthy();
        c.free("10.65.0.1");
        let found = c.find(&CHECK);
        assert_eq!(found[0].summary, "no block has an address of it, and an endpoint still has its container");
        c.handle_mut(&id()).counts = [].into();
        assert_eq!(c.find(&CHECK).len(), 1, "even when it counts nothing");
        c.remove_endpoint("web-0");
        assert!(c.find(&CHECK).is_empty(), "an orphan");
        c.handle_mut(&id()).counts = [(cidr("10.65.0.0/26"), 3)].into();
        assert!(c.find(&CHECK).is_empty(), "however much it counts");
    }

    #[test]
    fn a_dark_block_is_not_compared_and_the_others_are() {
        let mut c = counting(&[("10.65.0.0/26", 3)]);
        c.dark("10.65.0.0/28");
        assert!(c.find(&CHECK).is_empty());
        let mut c = counting(&[("10.65.0.0/26", 3), ("10.65.0.64/26", 1)]);
        c.dark("10.65.0.0/28");
        assert_eq!(c.find(&CHECK)[0].summary, "counts 1 in 10.65.0.64/26, the block has 0");
        let mut c = Cluster::healthy();
        c.snapshot.blocks.retain(|b| b.cidr != cidr("10.65.0.0/26"));
        c.dark("10.65.0.0/26");
        assert!(c.find(&CHECK).is_empty(), "nothing is lost that may be hidden");
    }

    #[test]
    fn two_spellings_of_one_id_count_together() {
        let mut c = Cluster::healthy();
        c.handle(&id(), &["10.65.0.9"]);
        let odd = format!("{}\r\neth0", id());
        c.last_handle().odd_id = Some(odd.as_bytes().into());
        assert_eq!(c.find(&CHECK)[0].summary, "counts 2 in 10.65.0.0/26, the block has 1");
        let attribute = c.pod_attribute(&odd, "shop", "web-0", "node-1");
        c.allocate("10.65.0.9", attribute);
        assert!(c.find(&CHECK).is_empty());
    }
}
