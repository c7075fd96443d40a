//! IPA408: a host that may claim no further block.

use std::collections::BTreeMap;

use crate::checks::evidence::get_key;
use crate::checks::prelude::*;
use crate::model::keys;

pub static CHECK: Check = Check {
    code: Code(408),
    name: "too-many-blocks",
    severity: Severity::Note,
    needs: Needs::A.and(Needs::C).and(Needs::O),
    steady: Steady::OneMoment,
    subject: SubjectKind::Node,
    finds: "A host that has as many blocks of one family, in enabled pools, as `maxBlocksPerHost` allows (0 or absent: \
        20). Affinities of every state count, as they do for Calico.",
    matters: "Its next block is refused: with strict affinity pods there do not start once the blocks are full, \
        without it they borrow.",
    arises: "More pods than the limit foresees, blocks that leaks keep alive, or a limit from a time of larger blocks.",
    action: "Look for leaks on the node (IPA110), raise the limit, or make the pool's blocks larger.",
    silent: "Blocks in disabled pools, in pools that are being deleted and in none do not count; the owners of \
        LoadBalancer addresses have no limit of this kind; a negative limit is none. Calico counts only the pools that \
        a request may use, so a node may have room for other pools.",
    ties: Ties::ANYBODYS,
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let Some(limit) = limit(world) else { return };
    let mut blocks: BTreeMap<Name, [Vec<&Affinity>; 2]> = BTreeMap::new();
    for affinity in world.ledger.affinities() {
        if affinity.host.kind == HostKind::Host && is_in_enabled_pool(world, affinity.cidr) {
            let [v4, v6] = blocks.entry(affinity.host.name).or_default();
            if affinity.cidr.is_v4() { v4 } else { v6 }.push(affinity);
        }
    }
    for (node, families) in blocks {
        let full: Vec<&[&Affinity]> = families.iter().map(Vec::as_slice).filter(|f| f.len() >= limit).collect();
        if !full.is_empty() {
            findings.push(report(world, node, limit, &full));
        }
    }
}

/// How many blocks a host may have of one family; `None`: any number, or a setting that does not decode.
fn limit(world: &World<'_>) -> Option<usize> {
    if world.snapshot.is_undecodable_under(keys::IPAM_CONFIG) {
        return None;
    }
    match world.snapshot.ipam_config.max_blocks_per_host {
        0 => Some(20),
        limit => usize::try_from(limit).ok(),
    }
}

/// Calico goes by the block's first address.
fn is_in_enabled_pool(world: &World<'_>, cidr: Cidr) -> bool {
    let enabled = world.snapshot.pools.iter().filter(|pool| !pool.disabled && pool.deleting.is_none());
    enabled.into_iter().any(|pool| pool.cidr.contains(cidr.first()))
}

fn report(world: &World<'_>, node: Name, limit: usize, full: &[&[&Affinity]]) -> Finding {
    let family = |list: &[&Affinity]| if list.first().is_some_and(|a| a.cidr.is_v4()) { "IPv4" } else { "IPv6" };
    let counts: Vec<String> = full.iter().map(|list| format!("{} {}", list.len(), family(list))).collect();
    let config = &world.snapshot.ipam_config;
    let effect = if config.strict_affinity { "pods there stop starting" } else { "pods there borrow" };
    let of = |wanted: &str| -> Vec<Cidr> {
        let lists = full.iter().filter(|list| family(list) == wanted);
        lists.flat_map(|list| list.iter().map(|affinity| affinity.cidr)).collect()
    };
    world
        .draft(&CHECK, world.text(node), format!("{} blocks, and {limit} is the limit", counts.join(" and ")))
        .advice(format!("once these blocks are full {effect}: look for leaks, or raise maxBlocksPerHost"))
        .fact("limit", limit)
        .fact("configured_limit", config.max_blocks_per_host)
        .fact("strict_affinity", config.strict_affinity)
        .fact("ipv4_blocks", of("IPv4"))
        .fact("ipv6_blocks", of("IPv6"))
        .on_node(node)
        .next("calicoctl ipam show --show-configuration")
        .next(format!("{} --prefix --keys-only", get_key(&format!("/calico/ipam/v2/host/{}/", world.text(node)))))
        .looks_at(Look::Settings)
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, bad};
    use crate::model::snapshot::Dark;
    use crate::model::{AffinityState, Host, Input};

    /// node-1 has four IPv4 blocks and an IPv6 one, and `limit` is set.
    fn with_limit(limit: i64) -> Cluster {
        let mut c = Cluster::healthy();
        c.pool("v6", "fd00:65::/64");
        for range in ["10.65.1.0/26", "10.65.2.0/26", "10.65.3.0/26", "fd00:65::/122"] {
            c.block(range, Some("node-1"));
        }
        c.snapshot.ipam_config.max_blocks_per_host = limit;
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
        assert!(with_limit(5).find(&CHECK).is_empty(), "families are counted apart");
    }

    #[test]
    fn a_host_at_its_limit_is_one_finding_for_both_families() {
        let found = with_limit(4).find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1"));
        assert_eq!((found[0].summary.raw(), found[0].severity), ("4 IPv4 blocks, and 4 is the limit", Severity::Note));
        let found = with_limit(1).find(&CHECK);
        let subjects: Vec<&str> = found.iter().map(|f| f.subject.id.raw()).collect();
        assert_eq!(subjects, ["node-1", "node-2"]);
        assert_eq!(found[0].summary, "4 IPv4 and 1 IPv6 blocks, and 1 is the limit");
    }

    #[test]
    fn no_limit_means_twenty_and_a_negative_one_means_none() {
        let mut c = with_limit(0);
        for i in 4..19 {
            c.block(&format!("10.65.{i}.0/26"), Some("node-1"));
        }
        assert!(c.find(&CHECK).is_empty(), "nineteen");
        let host = c.host("node-1");
        c.affinity(host, "10.65.19.0/26", AffinityState::Pending);
        assert_eq!(c.subjects(&CHECK), ["node-1"]);
        c.snapshot.ipam_config.max_blocks_per_host = -1;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_setting_that_does_not_decode_is_no_limit_of_twenty() {
        let mut c = with_limit(0);
        for i in 4..20 {
            c.block(&format!("10.65.{i}.0/26"), Some("node-1"));
        }
        assert_eq!(c.subjects(&CHECK), ["node-1"]);
        c.snapshot.bad_values.push(bad(keys::IPAM_CONFIG, Input::Config, Dark::All(Input::Config)));
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn only_enabled_pools_and_only_nodes_count() {
        let mut c = with_limit(4);
        let now = c.snapshot.now;
        for out_of_use in [|p: &mut crate::model::Pool, _| p.disabled = true, |p, now| p.deleting = Some(now)]
            as [fn(&mut crate::model::Pool, crate::model::Time); 2]
        {
            let mut c = with_limit(4);
            out_of_use(&mut c.snapshot.pools[0], now);
            assert!(c.find(&CHECK).is_empty());
        }
        c.snapshot.pools[0].manual = true;
        assert_eq!(c.subjects(&CHECK), ["node-1"], "a pool for manual assignment is enabled");
        let virtual_host = Host { kind: HostKind::Virtual, name: c.name("load-balancer") };
        c.snapshot.affinities.iter_mut().for_each(|a| a.host = virtual_host);
        assert!(c.find(&CHECK).is_empty());
    }
}
