//! IPA302: two blocks that share addresses: each gives them out without looking at the other.

use super::common::{PodsIn, node_of};
use crate::checks::addresses::address_allocated_twice;
use crate::checks::evidence::get_key;
use crate::checks::prelude::*;
use crate::ledger::capacity::allocations_in;

pub static CHECK: Check = Check {
    code: Code(302),
    name: "overlapping-blocks",
    severity: Severity::Critical,
    needs: Needs::B,
    steady: Steady::OneMoment,
    subject: SubjectKind::Block,
    finds: "A block that lies inside a larger one. The subject is the smaller block; every block around it is in the \
        evidence, and so are the addresses that both have allocated (IPA104).",
    matters: "An address is taken by compare-and-swap on one block's key, so two blocks give the same address twice, \
        and nothing in Calico notices. Both nodes announce a route; the longer prefix wins.",
    arises: "The pool was re-created with another block size while its old blocks lived on, or two pools overlap, or a \
        block was restored or written by hand.",
    action: "Restart the pods of one of the two blocks (the smaller one, where its node can get another), then release \
        its affinity so that it is deleted. Drain before changing a pool's block size.",
    silent: "Two spellings of one block's key are IPA307. Blocks that do not decode are not compared.",
    ties: Ties { harm: Harm::Threat, many: "blocks inside of other blocks", ..Ties::ANYBODYS },
    run,
};

/// So many shared addresses are listed; their number is always said.
const LISTED: usize = 64;

/// Blocks are sorted by first address, the wider first, and two networks are nested or disjoint: those around the
/// present one are the stack.
fn run(world: &World<'_>, findings: &mut FindingSink) {
    let (mut around, mut full): (Vec<&Block>, Vec<bool>) = (Vec::new(), Vec::new());
    for block in world.ledger.blocks() {
        while around.last().is_some_and(|outer| !outer.cidr.covers(block.cidr)) {
            around.pop();
            full.pop();
        }
        if !around.is_empty() {
            findings.push(report(world, block, &around, full.contains(&true)));
        }
        around.push(block);
        full.push(!block.is_empty(&world.snapshot.names));
    }
}

/// `is_held`: a block around it has addresses as well.
fn report(world: &World<'_>, block: &Block, around: &[&Block], is_held: bool) -> Finding {
    let owner = |block: &Block| world.owner_text(block).unwrap_or_else(|| "nobody".to_owned());
    let shown: Vec<String> = around.iter().map(|outer| format!("{} of {}", outer.cidr, owner(outer))).collect();
    let summary = format!("block of {} lies inside {}", owner(block), few(&shown, " and inside "));
    let twice = allocated_twice(world, block);
    let code = address_allocated_twice::CHECK.code;
    let are = if twice.len() == 1 { "an address is".to_owned() } else { format!("{} addresses are", twice.len()) };
    let is_empty = block.is_empty(&world.snapshot.names);
    // The smaller block is the one to give up, where both have addresses.
    let pods = if is_held && !is_empty { PodsIn::of(world, block) } else { PodsIn::default() };
    let restart = pods.advice(world, "restart the pods in it");
    let advice = match twice.is_empty() {
        false => format!("{are} allocated twice already ({code}), so empty this block: {restart}"),
        true if is_empty => "it is empty: its owner's affinity can be released, and the block goes with it".to_owned(),
        true if !is_held => {
            "nothing is allocated in what lies around it: that is to be given up, and no pod is to be restarted"
                .to_owned()
        }
        true => format!("no address is allocated twice yet: empty this block before one is: {restart}"),
    };
    world
        .draft(&CHECK, block.cidr, summary)
        .advice(advice)
        .restarts_pods(is_held && !is_empty && pods.restarts())
        .fact("block", world.block_facts(block))
        .list("around", around.iter(), |outer| around_facts(world, outer))
        .fact("allocated_twice", twice.iter().copied().take(LISTED).collect::<Vec<Addr>>())
        .fact("allocated_twice_count", twice.len())
        .list("restart", pods.staying(), |pod| world.pod_id(pod))
        .restart_each(pods.restart)
        .on_node(node_of(block))
        .in_pool_of(block.cidr.first())
        .with_each([block].iter().chain(around), |d, b| d.next(get_key(&world.block_key(b))))
        .looks_at(Look::Block(block.cidr))
        .with_each(around, |d, outer| d.looks_at(Look::Block(outer.cidr)))
        .done()
}

/// No counts: a foreign block may be wide, and lie around thousands of others.
fn around_facts(world: &World<'_>, outer: &Block) -> Evidence {
    Evidence::new().with("block", outer.cidr).with("affinity", world.owner_text(outer)).with("size", outer.size())
}

/// The addresses of a block that are allocated in a block around it as well, cooling ones left out.
fn allocated_twice(world: &World<'_>, block: &Block) -> Vec<Addr> {
    let twice = |same: &&[Allocation]| {
        let held = || same.iter().filter(|a| a.used_for != Use::Cooling).map(|a| world.ledger.block_of(a).cidr);
        held().any(|cidr| cidr == block.cidr) && held().count() > 1
    };
    let inside = allocations_in(world.ledger, block.cidr).chunk_by(|a, b| a.address == b.address);
    inside.filter(twice).filter_map(|same| same.first().map(|a| a.address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, Opened, cidr};
    use crate::model::Attribute;
    use crate::model::Fact;

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    /// The pool was re-created with /28 blocks: node-2 claims one inside node-1's /26.
    #[test]
    fn the_smaller_block_is_the_subject_and_shared_allocations_are_shown() {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/28", Some("node-2"));
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.0/28"));
        assert_eq!(found[0].severity, Severity::Critical);
        assert_eq!(found[0].summary, "block of host:node-2 lies inside 10.65.0.0/26 of host:node-1");
        assert_eq!(found[0].evidence.get("allocated_twice"), Some(&Fact::List(Vec::new())));
        let attribute = c.pod_attribute("k8s-pod-network.x", "shop", "x", "node-2");
        let small = c.block_mut("10.65.0.0/28");
        (small.allocations[1], small.attributes) = (Some(0), [attribute.into()].into());
        let found = c.find(&CHECK);
        assert_eq!(found[0].evidence.get("allocated_twice"), Some(&vec!["10.65.0.1"].into()));
        let now = c.snapshot.now;
        Opened::of(&mut c.block_mut("10.65.0.0/28").attributes[0], Attribute::fields).released_at = Some(now);
        assert_eq!(c.find(&CHECK)[0].evidence.get("allocated_twice"), Some(&Fact::List(Vec::new())), "cooling");
    }

    /// The pods of the smaller block are named, as IPA104 and IPA101 name them.
    #[test]
    fn who_is_in_the_smaller_block_is_restarted_by_name() {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/28", Some("node-2"));
        let small = c.snapshot.blocks.pop().unwrap();
        c.snapshot.blocks.insert(0, small);
        c.workload("shop", "web-4", "node-2", &["10.65.0.1"]);
        let found = c.find(&CHECK);
        let says = "an address is allocated twice already (IPA104), so empty this block: restart shop/web-4";
        assert_eq!(found[0].advice, says);
        assert_eq!(found[0].next[0], "kubectl -n shop delete pod web-4");
        assert_eq!(found[0].evidence.texts("restart").count(), 1);
    }

    /// Before an address is given twice there is most to be won, and who is in the smaller block is known.
    #[test]
    fn who_is_in_the_smaller_block_is_named_before_an_address_is_given_twice() {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/25", Some("node-2"));
        let found = c.find(&CHECK);
        let says = "nothing is allocated in what lies around it: that is to be given up, and no pod is to be restarted";
        assert_eq!(found.iter().map(|f| f.advice.raw()).collect::<Vec<_>>(), [says, says]);
        let attribute = c.pod_attribute("k8s-pod-network.x", "shop", "x", "node-2");
        let wide = c.block_mut("10.65.0.0/25");
        (wide.allocations[90], wide.attributes) = (Some(0), [attribute.into()].into());
        c.pod_mut("web-2").deleting = Some(c.snapshot.now);
        let found = c.find(&CHECK);
        let first = "no address is allocated twice yet: empty this block before one is: ";
        let says = [
            format!("{first}restart the 2 pods in it"),
            format!("{first}restart shop/web-3; Terminating already: shop/web-2"),
        ];
        assert_eq!(found.iter().map(|f| f.advice.raw()).collect::<Vec<_>>(), says);
        assert_eq!(found[0].next[..2], ["kubectl -n shop delete pod web-0", "kubectl -n shop delete pod web-1"]);
        assert_eq!(found[1].evidence.texts("restart").map(|pod| pod.raw()).collect::<Vec<_>>(), ["shop/web-3"]);
    }

    #[test]
    fn nested_blocks_are_one_finding_each_and_neighbours_none() {
        let mut c = Cluster::healthy();
        for range in
            ["10.65.0.32/28", "10.65.0.48/28", "10.65.0.48/30", "10.65.0.52/30", "fd00:65::/122", "fd00:66::/122"]
        {
            c.block(range, Some("node-2"));
        }
        let found = c.find(&CHECK);
        let subjects: Vec<&str> = found.iter().map(|f| f.subject.id.raw()).collect();
        assert_eq!(subjects, ["10.65.0.32/28", "10.65.0.48/28", "10.65.0.48/30", "10.65.0.52/30"]);
        assert_eq!(
            found[3].summary,
            "block of host:node-2 lies inside 10.65.0.0/26 of host:node-1 and inside 10.65.0.48/28 of host:node-2"
        );
    }

    #[test]
    fn two_spellings_of_one_block_do_not_overlap() {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/26", None);
        c.snapshot.blocks.last_mut().unwrap().odd_key =
            Some(b"/calico/ipam/v2/assignment/ipv4/block/10.65.0.5-26".as_slice().into());
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn ownerless_blocks_overlap_too() {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/24", None);
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].summary, "block of host:node-1 lies inside 10.65.0.0/24 of nobody");
        assert!(cidr("10.65.0.0/24").covers(cidr("10.65.0.64/26")));
    }
}
