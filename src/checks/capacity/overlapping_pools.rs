//! IPA603: two pools share addresses.

use std::collections::BTreeMap;

use crate::checks::evidence::operand::get_pool;
use crate::checks::prelude::*;
use crate::model::Pool;

pub static CHECK: Check = Check {
    code: Code(603),
    name: "overlapping-pools",
    severity: Severity::Error,
    needs: Needs::O,
    steady: Steady::OneMoment,
    subject: SubjectKind::Pool,
    finds: "Two pools, enabled or not, that share addresses. The subject is the smaller one; of two equal ones the \
        later name.",
    matters: "A release computes the block from the pool that it finds first: with another block size it looks in the \
        wrong block, finds nothing and reports success. Encapsulation and NAT depend on which pool is found.",
    arises: "Pools written to etcd by hand or by an installer, past Calico's own validation; a pool deleted and \
        created again inside another.",
    action: "Disable the wrong one, move its pods away, and delete it.",
    silent: "Pools that only touch.",
    ties: Ties { harm: Harm::Threat, many: "pools that overlap others", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    // Networks never overlap by halves: of two the one lies in the other. The snapshot's order is by first
    // address, the wider first, then by name, so whatever covers a pool stands before it and is still open.
    let mut open: Vec<&Pool> = Vec::new();
    let mut overlaps: BTreeMap<usize, Vec<&Pool>> = BTreeMap::new();
    for (index, pool) in world.snapshot.pools.iter().enumerate() {
        open.retain(|wider| wider.cidr.covers(pool.cidr));
        if !open.is_empty() {
            overlaps.insert(index, open.clone());
        }
        open.push(pool);
    }
    for (index, wider) in overlaps {
        findings.extend(world.snapshot.pools.get(index).map(|pool| report(world, pool, &wider)));
    }
}

fn report(world: &World<'_>, pool: &Pool, wider: &[&Pool]) -> Finding {
    let name = world.text(pool.name);
    let told: Vec<String> = wider.iter().map(|w| format!("{} ({})", world.text(w.name), w.cidr)).collect();
    world
        .draft(&CHECK, name, format!("{} lies in {}", pool.cidr, few(&told, " and ")))
        .advice("disable the wrong one, move its pods away, and delete it")
        .fact("pool", pool_facts(world, pool))
        .list("lies_in", wider.iter(), |w| pool_facts(world, w))
        .in_pool(pool.name)
        .next(get_pool(name))
        .with_each(wider, |d, w| d.next(get_pool(world.text(w.name))))
        .done()
}

fn pool_facts(world: &World<'_>, pool: &Pool) -> Evidence {
    Evidence::new()
        .with("pool", world.text(pool.name))
        .with("cidr", pool.cidr)
        .with("block_size", u32::from(pool.block_size))
        .with("disabled", pool.disabled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;

    #[test]
    fn clean_gives_nothing() {
        let mut c = Cluster::healthy();
        c.pool("next", "10.66.0.0/16");
        c.pool("six", "fd00:65::/64");
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn the_smaller_one_is_told_once_with_all_that_cover_it() {
        let mut c = Cluster::healthy();
        c.pool("inner", "10.65.128.0/20");
        c.pool("innermost", "10.65.130.0/24").disabled = true;
        c.pool("beside", "10.65.144.0/24");
        let found = c.find(&CHECK);
        let subjects: Vec<&str> = found.iter().map(|f| f.subject.id.raw()).collect();
        assert_eq!(subjects, ["beside", "inner", "innermost"]);
        assert_eq!(found[2].summary, "10.65.130.0/24 lies in default (10.65.0.0/16) and inner (10.65.128.0/20)");
        assert_eq!(found[0].summary, "10.65.144.0/24 lies in default (10.65.0.0/16)");
    }

    #[test]
    fn of_equal_ones_the_later_name() {
        let mut c = Cluster::healthy();
        c.pool("zone", "10.65.0.0/16");
        assert_eq!(c.subjects(&CHECK), ["zone"]);
        let mut c = Cluster::healthy();
        c.pool("a-zone", "10.65.0.0/16");
        assert_eq!(c.subjects(&CHECK), ["default"]);
    }
}
