//! IPA602: a pool with free addresses and no free block.

use super::common::{block_facts, judged, usage, usage_facts, usage_with_leaks};
use crate::checks::addresses::leaked_address;
use crate::checks::affinities::node_gone;
use crate::checks::blocks::ownerless_block;
use crate::checks::evidence::operand::blocks_of_pool;
use crate::checks::evidence::{Draft, count};
use crate::checks::prelude::*;
use crate::ledger::{PoolUsage, Standing};
use crate::model::Block;

pub static CHECK: Check = Check {
    code: Code(602),
    name: "pool-out-of-blocks",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::O).and(Needs::C),
    steady: Steady::OneMoment,
    subject: SubjectKind::Pool,
    finds: "A pool of which no block is left for a new node, while addresses are free in the existing ones: every \
        block exists, and none of the empty ones can be had. An error with strict affinity. Who can have an empty \
        block depends on Calico's version (ClusterInformation): from v3.32.0 any node takes an empty block that was \
        claimed a minute ago or earlier; before that (and where the version is not known) only kube-controllers gives \
        empty blocks back, never a node's last one, and before v3.28.0 only while the node's other blocks have three \
        free addresses. What was built before a release (`-0.dev`, `-rc1`) counts as before it.",
    matters: "A node that has no block yet gets none: its tunnel and its pods must borrow from other nodes' blocks, \
        and with strict affinity no pod starts there at all, although the pool looks half empty.",
    arises: "More nodes than blocks, blocks of dead nodes that leaks keep alive, ownerless blocks that nothing gives \
        back, or empty blocks that stay with nodes which need none.",
    action: "Release the leaks that keep blocks alive (IPA110, IPA406), delete ownerless empty blocks (IPA305), or add \
        a pool, perhaps with smaller blocks. Calico v3.32 takes empty blocks from nodes by itself.",
    silent: "Pools as in IPA601; a pool without any free address (IPA601); a pool in which a block does not decode, \
        since that may be an empty one.",
    ties: Ties { harm: Harm::Outage, many: "pools without a free block", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for pool in judged(world) {
        let usage = usage(world, pool);
        let none_left = usage.blocks.free() == 0 && usage.blocks.unknown == 0 && usage.unknown == 0;
        if none_left && usage.free > 0 && usage.blocks.possible > 0 {
            let (usage, known) = usage_with_leaks(world, pool);
            findings.push(report(world, &usage, known));
        }
    }
}

fn report(world: &World<'_>, usage: &PoolUsage, known: bool) -> Finding {
    let name = world.text(usage.name);
    let strict = world.snapshot.ipam_config.strict_affinity;
    let suffer = if strict { "new nodes cannot start pods" } else { "new nodes can only borrow" };
    let stranded = match usage.blocks.stranded() {
        0 => String::new(),
        stranded => format!(" ({stranded} empty on other nodes)"),
    };
    let (blocks, free) = (usage.blocks.possible, usage.free);
    let none =
        if blocks == 1 { "its only block is not free".to_owned() } else { format!("none of {blocks} blocks is free") };
    let are = if free == 1 { "1 address is".to_owned() } else { format!("{free} addresses are") };
    let summary = format!("{none}{stranded} though {are}: {suffer}");
    let keepers = keepers(world, usage, known);
    let (advice, codes) = (advice(usage, known, &keepers), keepers.iter().map(|(code, _)| format!(" --code {code}")));
    let keepers = (!keepers.is_empty()).then(|| format!("ipaudit audit{}", codes.collect::<String>()));
    let version = world.text(world.snapshot.cluster.calico_version);
    world
        .draft(&CHECK, name, summary)
        .severity(if strict { Severity::Error } else { Severity::Warning })
        .advice(advice)
        .fact("cidr", usage.cidr)
        .fact("strict_affinity", strict)
        .fact("calico_version", Some(version).filter(|version| !version.is_empty()))
        .fact("usage", usage_facts(usage, known))
        .fact("blocks", block_facts(&usage.blocks))
        .in_pool(usage.name)
        .next(blocks_of_pool(name))
        .with_each(keepers, Draft::next)
        .done()
}

/// What keeps blocks of the pool that nobody needs: the code that names it, and how many there are in words.
fn keepers(world: &World<'_>, usage: &PoolUsage, known: bool) -> Vec<(Code, String)> {
    let is_dead = |block: &&Block| {
        let host = world.ledger.host_of(block).filter(|_| usage.cidr.covers(block.cidr));
        host.is_some_and(|host| world.ledger.scope.standing(host) == Standing::Departed)
    };
    let dead = world.ledger.blocks().filter(is_dead).count();
    let leaked = if known { usize::try_from(usage.leaked).unwrap_or(usize::MAX) } else { 0 };
    let ownerless = usize::try_from(usage.blocks.ownerless).unwrap_or(usize::MAX);
    let kept = [
        (leaked_address::CHECK.code, leaked, count(leaked, "leak")),
        (ownerless_block::CHECK.code, ownerless, count(ownerless, "ownerless block")),
        (node_gone::CHECK.code, dead, format!("{} of gone nodes", count(dead, "block"))),
    ];
    kept.into_iter().filter(|(_, number, _)| *number > 0).map(|(code, _, words)| (code, words)).collect()
}

/// What fits: to give back what keeps blocks, or, where nothing does, what else there is.
fn advice(usage: &PoolUsage, known: bool, keepers: &[(Code, String)]) -> String {
    const ADD: &str = "add a pool";
    if !keepers.is_empty() {
        let kept = keepers.iter().map(|(_, words)| words.as_str()).collect::<Vec<_>>().join(", ");
        return format!("give blocks back ({kept}), or {ADD}");
    }
    match usage.blocks.stranded() {
        _ if !known => format!("no ownerless block keeps one, and nobody knows what is leaked: look there, or {ADD}"),
        0 => format!("no leak, gone node or ownerless block keeps one: {ADD}"),
        1 => format!("1 block is empty and stays with the node that claims it, nothing else keeps one: {ADD}"),
        many => {
            format!("{many} blocks are empty and stay with the nodes that claim them, nothing else keeps one: {ADD}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr, undecodable_block};
    use crate::model::{AttributeFields, Meta, Reservation};

    /// A pool of four /28, all of them claimed and used.
    fn full() -> Cluster {
        let mut c = Cluster::healthy();
        c.pool("lean", "10.80.0.0/26").block_size = 28;
        for i in 0..4 {
            let first = i * 16;
            c.block(&format!("10.80.0.{first}/28"), Some("node-1"));
            c.allocate(&format!("10.80.0.{first}"), AttributeFields::default());
        }
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn no_block_left_though_addresses_are() {
        let found = full().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "lean"));
        assert_eq!(found[0].summary, "none of 4 blocks is free though 60 addresses are: new nodes can only borrow");
        assert_eq!(found[0].severity, Severity::Warning);
        let mut c = full();
        c.snapshot.ipam_config.strict_affinity = true;
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error);
    }

    #[test]
    fn an_absent_or_reclaimable_block_is_free_and_an_ownerless_one_is_not() {
        let mut c = full();
        c.snapshot.blocks.pop();
        assert!(c.find(&CHECK).is_empty(), "absent");
        let mut c = full();
        c.free("10.80.0.48");
        c.snapshot.cluster.calico_version = c.name("v3.32.0");
        assert!(c.find(&CHECK).is_empty(), "claimed and empty");
        c.block_mut("10.80.0.48/28").affinity = None;
        assert_eq!(c.subjects(&CHECK), ["lean"], "nobody's");
    }

    /// Four nodes, each with the one block that it has; of two nothing is used any more.
    #[test]
    fn empty_blocks_of_other_nodes_are_free_only_where_calico_takes_them() {
        let stranded = |version: &str| {
            let mut c = full();
            c.snapshot.cluster.calico_version = c.name(version);
            for i in 0..4 {
                let (node, range) = (format!("far-{i}"), format!("10.80.0.{}/28", i * 16));
                c.node(&node, &format!("192.168.9.{i}"));
                c.block_mut(&range).affinity = Some(c.host(&node));
            }
            c.free("10.80.0.32");
            c.free("10.80.0.48");
            c.find(&CHECK)
        };
        for version in ["v3.31.0", "v3.26.1", "master", ""] {
            let found = stranded(version);
            let says =
                "none of 4 blocks is free (2 empty on other nodes) though 62 addresses are: new nodes can only borrow";
            assert_eq!(found.iter().map(|f| f.summary.raw()).collect::<Vec<_>>(), [says], "{version}");
            let advice =
                "2 blocks are empty and stay with the nodes that claim them, nothing else keeps one: add a pool";
            assert_eq!((found[0].advice.raw(), found[0].next.len()), (advice, 1), "nothing that is not there");
        }
        for version in ["v3.32.0", "v3.34.0-0.dev-67-g87c15906f2"] {
            assert!(stranded(version).is_empty(), "{version}");
        }
    }

    #[test]
    fn the_advice_names_what_there_is() {
        let mut c = full();
        c.workload("shop", "gone", "node-1", &["10.80.0.5"]);
        c.remove_pod("gone");
        c.block_mut("10.80.0.16/28").affinity = None;
        let found = c.find(&CHECK);
        assert_eq!(found[0].advice, "give blocks back (1 leak, 1 ownerless block), or add a pool");
        assert_eq!(found[0].next[1], "ipaudit audit --code IPA110 --code IPA305");
        let mut c = full();
        c.block_mut("10.80.0.16/28").affinity = Some(c.host("dead-1"));
        c.scope = crate::ledger::ScopeFlag::Exclusive;
        let found = c.find(&CHECK);
        assert_eq!(found[0].advice, "give blocks back (1 block of gone nodes), or add a pool");
        assert_eq!(found[0].next[1], "ipaudit audit --code IPA406");
    }

    #[test]
    fn a_block_that_is_reserved_as_a_whole_is_not_free() {
        for empty in [true, false] {
            let mut c = full();
            match empty {
                true => c.free("10.80.0.48"),
                false => drop(c.snapshot.blocks.pop()),
            }
            let name = c.name("kept");
            let cidrs = [cidr("10.80.0.48/29"), cidr("10.80.0.56/29")].into();
            c.snapshot.reservations.push(Reservation { meta: Meta::default(), name, cidrs, created: None });
            assert_eq!(c.subjects(&CHECK), ["lean"]);
        }
    }

    #[test]
    fn without_free_addresses_it_is_another_finding() {
        let mut c = full();
        for i in (0..64).filter(|i| i % 16 != 0) {
            c.allocate(&format!("10.80.0.{i}"), AttributeFields::default());
        }
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn special_pools_and_what_does_not_decode() {
        let mut c = full();
        c.snapshot.pools[1].manual = true;
        assert!(c.find(&CHECK).is_empty());
        let mut c = full();
        c.snapshot.blocks.pop();
        c.snapshot.bad_values.push(undecodable_block("10.80.0.48/28"));
        assert!(c.find(&CHECK).is_empty());
    }
}
