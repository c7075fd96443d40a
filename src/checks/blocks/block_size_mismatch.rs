//! IPA304: a block of another size than its pool's blocks: release by address finds nothing in it.

use super::common::{PodsIn, node_of};
use crate::checks::evidence::get_key;
use crate::checks::prelude::*;
use crate::model::Pool;

pub static CHECK: Check = Check {
    code: Code(304),
    name: "block-size-mismatch",
    severity: Severity::Error,
    needs: Needs::B.and(Needs::O),
    steady: Steady::OneMoment,
    subject: SubjectKind::Block,
    finds: "A block whose prefix length is not the block size of its pool. Where several pools cover it, its pool is \
        the first by name, as for Calico.",
    matters: "Calico computes an address's block from the pool. For this one it looks under a key that does not exist, \
        and reports success: `calicoctl ipam release --ip` and the collector free nothing, for ever. And a block of \
        the new size inside it hands out the same addresses (IPA302).",
    arises: "The pool was deleted and re-created with another `blockSize`, or changed by hand.",
    action: "Restart the pods in the block, so that CNI DEL, which goes by handle, empties it; then, or when it is \
        empty already, release its affinity. `ipaudit release` finds addresses by scanning blocks and works here.",
    silent: "A block that no pool covers is IPA303.",
    ties: Ties { many: "blocks of another size than their pool's", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for block in world.ledger.blocks() {
        let pool = world.ledger.pool_of(block.cidr).filter(|pool| pool.block_size != block.cidr.prefix());
        findings.extend(pool.map(|pool| report(world, block, pool)));
    }
}

fn report(world: &World<'_>, block: &Block, pool: &Pool) -> Finding {
    let (name, size) = (world.text(pool.name), pool.block_size);
    let covering = world.snapshot.pools.iter().filter(|pool| pool.cidr.covers(block.cidr));
    let covering: Vec<&str> = covering.map(|pool| world.text(pool.name)).collect();
    let which = if covering.len() > 1 { ", the first of those that cover it," } else { "" };
    let empty = block.is_empty(&world.snapshot.names);
    let pods = PodsIn::of(world, block);
    let advice = if empty {
        "it is empty: its owner's affinity can be released, and the block goes with it".to_owned()
    } else {
        let restart = pods.advice(world, "restart the pods in it");
        format!("{restart}; release by address does nothing here and says that it did")
    };
    world
        .draft(&CHECK, block.cidr, format!("/{}, though pool {name}{which} has /{size} blocks", block.cidr.prefix()))
        .advice(advice)
        .restarts_pods(!empty && pods.restarts())
        .fact("block", world.block_facts(block))
        .fact("pool", name)
        .fact("pool_block_size", u32::from(size))
        .fact("covering_pools", covering)
        .list("restart", pods.staying(), |pod| world.pod_id(pod))
        .on_node(node_of(block))
        .restart_each(pods.restart)
        .next(get_key(&world.block_key(block)))
        .looks_at(Look::Block(block.cidr))
        .in_pool(pool.name)
        .looks_at(Look::Settings)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::Foreign;

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_pool_with_another_block_size_accuses_its_old_blocks_even_when_out_of_use() {
        let mut c = Cluster::healthy();
        c.snapshot.pools[0].block_size = 28;
        c.snapshot.pools[0].disabled = true;
        c.block("10.65.1.0/28", Some("node-1"));
        let found = c.find(&CHECK);
        let subjects: Vec<&str> = found.iter().map(|f| f.subject.id.raw()).collect();
        assert_eq!(subjects, ["10.65.0.0/26", "10.65.0.64/26"]);
        assert_eq!(found[0].summary, "/26, though pool default has /28 blocks");
        assert_eq!(found[0].pool.as_ref().map(Foreign::raw), Some("default"));
    }

    /// Nobody is told to restart what is not there.
    #[test]
    fn an_empty_block_has_no_pods_to_restart() {
        let mut c = Cluster::healthy();
        c.block("10.65.1.0/28", Some("node-1"));
        let found = c.find(&CHECK);
        let [empty] = found.as_slice() else { panic!("{found:?}") };
        assert!(empty.advice.raw().starts_with("it is empty: ") && !empty.restarts_pods, "{empty:?}");
        c.snapshot.pools[0].block_size = 28;
        let found = c.find(&CHECK);
        assert!(found[0].advice.raw().starts_with("restart the 2 pods in it; ") && found[0].restarts_pods);
    }

    /// Whoever is restarted is named, and nobody is whom IPA101 keeps.
    #[test]
    fn the_pods_in_it_are_named_but_for_whom_a_duplicate_keeps() {
        let mut c = Cluster::healthy();
        c.snapshot.pools[0].block_size = 28;
        let of = |c: &mut Cluster| {
            let found = c.find(&CHECK).remove(0);
            let restart: Vec<String> = found.evidence.texts("restart").map(|pod| pod.raw().to_owned()).collect();
            (restart, found.next[0].raw().to_owned(), found.advice.raw().to_owned())
        };
        let (restart, next, _) = of(&mut c);
        assert_eq!(restart, ["shop/web-0", "shop/web-1"]);
        assert_eq!(next, "kubectl -n shop delete pod web-0");
        // web-1's address is web-2's too.
        c.pod_mut("web-2").addresses = [crate::checks::testing::addr("10.65.0.2")].into();
        c.endpoint_mut("web-2").addresses = [crate::checks::testing::addr("10.65.0.2")].into();
        let (restart, _, advice) = of(&mut c);
        assert_eq!(restart, ["shop/web-0"]);
        assert!(advice.starts_with("restart shop/web-0; IPA101 comes first, which keeps shop/web-1; "), "{advice}");
    }

    /// Calico's lists come sorted by name, and the first pool that holds the address decides.
    #[test]
    fn of_overlapping_pools_the_first_by_name_decides() {
        let mut c = Cluster::healthy();
        c.pool("inner", "10.65.0.0/20").block_size = 28;
        assert!(c.find(&CHECK).is_empty(), "default comes before inner");
        c.pool("a-wide-one", "10.0.0.0/8").block_size = 24;
        let found = c.find(&CHECK);
        assert_eq!(found[0].summary, "/26, though pool a-wide-one, the first of those that cover it, has /24 blocks");
    }

    #[test]
    fn no_pool_is_another_finding() {
        let mut c = Cluster::healthy();
        c.block("10.66.0.0/28", None);
        assert!(c.find(&CHECK).is_empty());
    }
}
