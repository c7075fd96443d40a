//! IPA303: a block that no pool covers any more.

use super::common::{PodsIn, node_of};
use crate::checks::evidence::get_key;
use crate::checks::prelude::*;
use crate::model::keys;

pub static CHECK: Check = Check {
    code: Code(303),
    name: "block-outside-pools",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::O),
    steady: Steady::OneMoment,
    subject: SubjectKind::Block,
    finds: "A block that no pool covers as a whole, enabled or not.",
    matters: "Felix knows encapsulation and outgoing NAT from the pool: without one its addresses are routed without \
        tunnel and leave the cluster unmasked. Nothing new is allocated from it.",
    arises: "The pool was deleted while the block still held addresses, or was re-created with another or a smaller \
        CIDR.",
    action: "Restart the pods that still have addresses in it, so that the block empties and is deleted; or create the \
        pool again, disabled.",
    silent: "Disabled pools, pools that are being deleted and pools for manual assignment all cover their blocks. \
        While any pool does not decode, nobody can say which blocks have none.",
    ties: Ties { harm: Harm::Outage, many: "blocks outside of all pools", shows, ..Ties::ANYBODYS },
    run,
};

/// So many pods stand on a line.
const ON_A_LINE: usize = 2;

/// Who is in it. Many such blocks have one advice, so the names are not in that.
fn shows(finding: &Finding) -> Shown {
    let pods: Vec<&str> = finding.evidence.texts("pods").map(|pod| pod.raw()).collect();
    let lines = pods.chunks(ON_A_LINE).map(|pods| format!("in it: {}", pods.join(", ")).into());
    Shown { lines: lines.collect(), ..Shown::default() }
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    // A pool in the dark may cover any block; a reservation, which is read with the pools, covers none.
    if !world.snapshot.is_undecodable_under(keys::POOLS) {
        let bare = world.ledger.blocks().filter(|block| world.ledger.pool_of(block.cidr).is_none());
        findings.extend(bare.map(|block| report(world, block)));
    }
}

fn report(world: &World<'_>, block: &Block) -> Finding {
    let allocated = match block.allocated().count() {
        0 => "nothing is".to_owned(),
        1 => "1 address is".to_owned(),
        many => format!("{many} addresses are"),
    };
    let partly = world.snapshot.pools.iter().filter(|pool| pool.cidr.overlaps(block.cidr));
    let partly: Vec<&str> = partly.map(|pool| world.text(pool.name)).collect();
    let covers = match partly.as_slice() {
        [] => "no pool covers it".to_owned(),
        partly => format!("only part of it is in a pool ({})", few(partly, ", ")),
    };
    let empty = block.is_empty(&world.snapshot.names);
    let pods = PodsIn::of(world, block);
    let advice = if empty {
        "it is empty: its owner's affinity can be released, and the block goes with it"
    } else {
        "restart the pods that still have addresses in it, or create the pool again, disabled"
    };
    world
        .draft(&CHECK, block.cidr, format!("{covers}; {allocated} allocated in it"))
        .advice(advice)
        .restarts_pods(!empty)
        .restarts_later(&pods.restart)
        .fact("block", world.block_facts(block))
        .fact("partly_in", partly)
        .fact("pods", pods.names(world))
        .on_node(node_of(block))
        .next("calicoctl get ippools -o wide")
        .next(get_key(&world.block_key(block)))
        .looks_at(Look::Block(block.cidr))
        .looks_at(Look::Settings)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, bad};
    use crate::model::Input;
    use crate::model::snapshot::Dark;

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_deleted_pool_leaves_its_blocks_bare() {
        let mut c = Cluster::healthy();
        c.block("10.66.0.0/26", Some("node-1"));
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.66.0.0/26"));
        assert_eq!(found[0].summary, "no pool covers it; nothing is allocated in it");
        c.snapshot.pools.clear();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.0/26", "10.65.0.64/26", "10.66.0.0/26"]);
    }

    /// Whoever is to be restarted is named.
    #[test]
    fn the_pods_that_still_have_addresses_in_it_are_named() {
        let mut c = Cluster::healthy();
        c.snapshot.pools.clear();
        let found = c.find(&CHECK);
        assert_eq!(shows(&found[0]).lines, ["in it: shop/web-0, shop/web-1"]);
        assert_eq!(found[0].advice, found[1].advice, "many are told in one paragraph");
    }

    #[test]
    fn pools_out_of_use_cover_their_blocks() {
        let mut c = Cluster::healthy();
        let now = c.snapshot.now;
        let pool = &mut c.snapshot.pools[0];
        (pool.disabled, pool.manual, pool.deleting) = (true, true, Some(now));
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_pool_smaller_than_the_block_does_not_cover_it() {
        let mut c = Cluster::healthy();
        c.pool("half", "10.66.0.0/27");
        c.block("10.66.0.0/26", None);
        assert_eq!(c.find(&CHECK)[0].summary, "only part of it is in a pool (half); nothing is allocated in it");
    }

    #[test]
    fn a_pool_in_the_dark_may_cover_anything_and_a_reservation_nothing() {
        let mut c = Cluster::healthy();
        c.block("10.66.0.0/26", None);
        c.snapshot.bad_values.push(bad(
            "/calico/resources/v3/projectcalico.org/ipreservations/broken",
            Input::Pools,
            Dark::All(Input::Pools),
        ));
        assert_eq!(c.subjects(&CHECK), ["10.66.0.0/26"]);
        c.snapshot.bad_values.push(bad(
            "/calico/resources/v3/projectcalico.org/ippools/broken",
            Input::Pools,
            Dark::All(Input::Pools),
        ));
        assert!(c.find(&CHECK).is_empty());
    }
}
