//! IPA305: an empty block that nobody owns: it is nobody's to fill, and nobody's to delete.

use crate::checks::evidence::{delete_key, get_key};
use crate::checks::prelude::*;

pub static CHECK: Check = Check {
    code: Code(305),
    name: "ownerless-block",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::A),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Block,
    finds: "A block that names no owner, for which no affinity exists in any state, and in which nothing is allocated \
        or cooling down (ordinals reserved for Windows do not count).",
    matters: "No node claims a block that exists, so its addresses are used by borrowing alone; with strict affinity \
        never. Many of them exhaust a pool's blocks though its addresses are free (IPA602).",
    arises: "A node gave the block up while an address in it was cooling down: when the cooldown ends Calico frees the \
        address and never deletes the block. Also when a pool or a node is deleted, and after interrupted releases.",
    action: "Delete the key, compared with its revision: nobody owns the block and nothing is allocated in it.",
    silent: "With addresses in it a block without owner is legal: its owner gave it up. A pending affinity is a claim \
        under way, one that is being deleted a release. Affinities that do not decode may own the block.",
    ties: Ties { many: "blocks that nobody owns", also: Needs::C, ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for block in world.ledger.blocks() {
        let claimed =
            || world.ledger.affinities_for(block.cidr).next().is_some() || world.ledger.dark.affinity(block.cidr);
        if block.affinity.is_none() && block.is_empty(&world.snapshot.names) && !claimed() {
            findings.push(report(world, block));
        }
    }
}

fn report(world: &World<'_>, block: &Block) -> Finding {
    let snapshot = world.snapshot;
    let strict = snapshot.strict_affinity();
    let usable = match strict {
        Some(true) => "unusable, since strict affinity is on",
        _ => "usable by borrowing alone",
    };
    let key = world.block_key(block);
    let next = if block.odd_key.is_none() { delete_key(&key, block.meta.mod_revision) } else { get_key(&key) };
    let deprecated = block.host_affinity.some().map(|name| Host { kind: HostKind::Host, name });
    world
        .draft(&CHECK, block.cidr, format!("empty and without owner: {usable}"))
        .advice("nobody owns it and nothing is in it: delete the key")
        .fact("block", world.block_facts(block))
        .fact("strict_affinity", strict)
        .in_pool_of(block.cidr.first())
        .next(next)
        .rests_on_block(block)
        .with_each(deprecated, |draft, host| draft.looks_at(Look::Affinity(host, block.cidr)))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, bad, cidr};
    use crate::model::snapshot::Dark;
    use crate::model::{AffinityState, AttributeFields, HandleId, Input};

    const BLOCK: &str = "10.65.1.0/26";

    fn ownerless() -> Cluster {
        let mut c = Cluster::healthy();
        c.block(BLOCK, None);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        let mut c = Cluster::healthy();
        c.block(BLOCK, Some("node-1"));
        assert!(c.find(&CHECK).is_empty(), "empty, but owned");
    }

    #[test]
    fn empty_and_without_owner_is_told_with_what_it_is_good_for() {
        let mut c = ownerless();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, BLOCK));
        assert_eq!(found[0].summary, "empty and without owner: usable by borrowing alone");
        let (key, revision) =
            ("/calico/ipam/v2/assignment/ipv4/block/10.65.1.0-26", c.block_mut(BLOCK).meta.mod_revision);
        let txn = format!(r#"printf 'mod("{key}") = "{revision}"\n\ndel {key}\n\n\n' | etcdctl txn"#);
        assert_eq!(found[0].next, [txn]);
        c.snapshot.ipam_config.strict_affinity = true;
        assert_eq!(c.find(&CHECK)[0].summary, "empty and without owner: unusable, since strict affinity is on");
    }

    #[test]
    fn windows_ordinals_alone_leave_it_empty() {
        let mut c = ownerless();
        let handle = HandleId::intern(&mut c.snapshot.names, "windows-reserved-ipam-handle");
        c.allocate("10.65.1.0", AttributeFields { handle, ..AttributeFields::default() });
        assert_eq!(c.subjects(&CHECK), [BLOCK]);
    }

    #[test]
    fn an_address_or_a_cooling_one_keeps_it() {
        let mut c = ownerless();
        c.allocate("10.65.1.7", AttributeFields::default());
        assert!(c.find(&CHECK).is_empty());
        let now = c.snapshot.now;
        c.attribute_mut("10.65.1.7").released_at = Some(now);
        assert!(c.find(&CHECK).is_empty());
        c.block_mut(BLOCK).attributes = [].into();
        assert!(c.find(&CHECK).is_empty(), "allocated, though its attribute is missing");
    }

    #[test]
    fn any_affinity_is_an_owner_or_a_claim() {
        for state in [AffinityState::Confirmed, AffinityState::Pending, AffinityState::PendingDeletion] {
            let mut c = ownerless();
            let host = c.host("node-1");
            c.affinity(host, BLOCK, state);
            assert!(c.find(&CHECK).is_empty(), "{state:?}");
        }
        let mut c = ownerless();
        c.snapshot.bad_values.push(bad(
            "/calico/ipam/v2/host/node-1/ipv4/block/10.65.1.0-26",
            Input::Affinities,
            Dark::Affinity(cidr(BLOCK)),
        ));
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn the_deprecated_host_and_a_word_that_is_no_host_own_nothing() {
        let mut c = ownerless();
        let name = c.name("node-1");
        c.block_mut(BLOCK).host_affinity = name;
        assert_eq!(c.subjects(&CHECK), [BLOCK]);
        c.block_mut(BLOCK).odd_affinity = name;
        assert_eq!(c.subjects(&CHECK), [BLOCK]);
    }

    #[test]
    fn a_write_to_the_block_unsettles_it() {
        let mut c = ownerless();
        let before = c.find(&CHECK)[0].stamp();
        c.block_mut(BLOCK).meta.mod_revision += 1;
        assert_ne!(c.find(&CHECK)[0].stamp(), before);
    }
}
