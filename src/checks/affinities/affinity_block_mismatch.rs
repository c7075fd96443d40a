//! IPA402: a block's own `affinity` and the confirmed affinity object disagree.

use super::common::{delete_affinity, get_block};
use crate::checks::evidence::{Draft, ask_who, get_key};
use crate::checks::prelude::*;
use crate::model::{AffinityState, keys};

pub static CHECK: Check = Check {
    code: Code(402),
    name: "affinity-block-mismatch",
    severity: Severity::Error,
    needs: Needs::A.and(Needs::B),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Affinity,
    finds: "A confirmed affinity whose block names another host or nobody, or a block that names a host which has no \
        affinity for it in any state. One finding a block: its subject is the confirmed affinity (of several the first \
        by name), else the affinity that the block claims.",
    matters: "The node with the affinity announces the route, the one in the block hands out the addresses: traffic \
        for its pods goes to the wrong node. A block whose host has no affinity is not announced at all, and is never \
        given back.",
    arises: "A claim or a release that broke off between its two writes, a restored backup, keys deleted by hand, or a \
        block of an old version that has only the deprecated `hostAffinity`, which names nobody today.",
    action: "Decide by the block and by who holds its addresses. An affinity whose block names another host is deleted \
        by Calico when its node next allocates, and can be deleted at once.",
    silent: "A host that the block names and whose affinity is pending or being deleted is a claim or a release under \
        way. Where two hosts are confirmed, IPA401 says it, unless the block names a third. Without a confirmed \
        affinity a block that names nobody is legal, or IPA305. Blocks and affinities that do not decode are not \
        judged.",
    ties: Ties { harm: Harm::Outage, many: "affinities that do not agree with their block", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for block in world.ledger.blocks() {
        // An affinity that cannot be read may be the very one that agrees.
        if !world.ledger.dark.affinity(block.cidr) {
            let affinities: Vec<&Affinity> = world.ledger.affinities_for(block.cidr).collect();
            findings.extend(judge(world, block, &affinities));
        }
    }
}

fn judge(world: &World<'_>, block: &Block, affinities: &[&Affinity]) -> Option<Finding> {
    let owner = owner(world, block, affinities);
    let mut confirmed: Vec<&Affinity> =
        affinities.iter().copied().filter(|affinity| affinity.state == AffinityState::Confirmed).collect();
    confirmed.sort_by_key(|affinity| (world.text(affinity.host.name), affinity.host.kind));
    let names = |affinities: &[&Affinity], host: Host| affinities.iter().any(|affinity| affinity.host == host);
    match (confirmed.as_slice(), owner) {
        ([], Some(host)) if !names(affinities, host) => Some(claimed_only(world, block, host, affinities)),
        ([], _) => None,
        ([first, ..], Some(host)) if !names(&confirmed, host) => Some(disagreeing(world, block, first, affinities)),
        ([only], None) => Some(disagreeing(world, block, only, affinities)),
        _ => None,
    }
}

/// Whom the block names. Affinities of type `@` exist, so a block may name such a host; what has no affinity of
/// that type and is neither `host:` nor `virtual:` names nobody.
fn owner(world: &World<'_>, block: &Block, affinities: &[&Affinity]) -> Option<Host> {
    let word = world.text(block.odd_affinity);
    let at = || {
        let name = word.strip_prefix(HostKind::At.word())?.strip_prefix(':')?;
        affinities.iter().map(|a| a.host).find(|host| host.kind == HostKind::At && world.text(host.name) == name)
    };
    block.affinity.or_else(at)
}

/// The block names a host that has no affinity for it.
fn claimed_only(world: &World<'_>, block: &Block, host: Host, affinities: &[&Affinity]) -> Finding {
    let key = keys::affinity_key(host.kind, world.text(host.name), block.cidr);
    let says = format!("the block names {}, which has no affinity for it", world.host_id(host));
    draft(world, block, host, affinities, "no-affinity", &says)
        .advice("nobody announces the block, and nobody will give it back: see who holds its addresses")
        .next(ask_who(&block.cidr.to_string()))
        .next(get_block(block.cidr))
        .next(get_key(&key))
        .looks_at(Look::Affinity(host, block.cidr))
        .done()
}

/// What both show.
fn draft<'w>(
    world: &'w World<'w>,
    block: &Block,
    host: Host,
    affinities: &[&Affinity],
    reason: &str,
    says: &str,
) -> Draft<'w> {
    world
        .draft(&CHECK, world.affinity_id(host, block.cidr), says)
        .fact("reason", reason)
        .list("affinities", affinities, |a| world.affinity_facts(a))
        .fact("block", world.block_facts(block))
        .on_node(host.name)
        .in_pool_of(block.cidr.first())
        .rests_on_owner(block)
        .with_each(affinities, |draft, affinity| draft.rests_on_affinity(affinity))
}

/// The confirmed affinity and the block disagree.
fn disagreeing(world: &World<'_>, block: &Block, confirmed: &Affinity, affinities: &[&Affinity]) -> Finding {
    let host = confirmed.host;
    let (reason, says) = match world.owner_text(block) {
        Some(word) if block.affinity.is_some() => ("other-host", format!("the block names {word}")),
        Some(word) => ("no-host", format!("the block names nobody ({word:?} is no host)")),
        None if !block.host_affinity.is_none() => {
            ("no-host", "the block has only the deprecated hostAffinity, which names nobody today".to_owned())
        }
        None => ("no-host", "the block names nobody".to_owned()),
    };
    let advice = if block.affinity.is_some() {
        "the block decides: Calico deletes this affinity when its node next allocates"
    } else {
        "the node announces a block that it cannot allocate from: Calico deletes this affinity when it next allocates"
    };
    draft(world, block, host, affinities, reason, &format!("{} is confirmed, {says}", world.host_id(host)))
        .advice(advice)
        .next(get_block(block.cidr))
        .next(delete_affinity(world, confirmed))
        .with_each(block.affinity, |draft, named| draft.looks_at(Look::Affinity(named, block.cidr)))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, bad, cidr};
    use crate::model::snapshot::Dark;
    use crate::model::{Input, Name};

    const BLOCK: &str = "10.65.0.0/26";

    fn claim(c: &mut Cluster, name: &str, state: AffinityState) {
        let host = c.host(name);
        c.affinity(host, BLOCK, state);
    }

    /// node-1's block, without node-1's affinity.
    fn unclaimed() -> Cluster {
        let mut c = Cluster::healthy();
        c.snapshot.affinities.retain(|a| a.cidr != cidr(BLOCK));
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn another_host_in_the_block_is_told_by_the_confirmed_affinity() {
        let mut c = Cluster::healthy();
        let other = c.host("node-2");
        c.block_mut(BLOCK).affinity = Some(other);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "host:node-1 10.65.0.0/26"));
        assert_eq!(found[0].summary, "host:node-1 is confirmed, the block names host:node-2");
        assert!(
            found[0].next[1].raw().starts_with("printf 'mod(\"/calico/ipam/v2/host/node-1/"),
            "{:?}",
            found[0].next
        );
        claim(&mut c, "node-2", AffinityState::PendingDeletion);
        assert_eq!(c.subjects(&CHECK), ["host:node-1 10.65.0.0/26"], "the other host's own claim is not confirmed");
    }

    #[test]
    fn a_block_that_names_nobody_disagrees_with_a_confirmed_affinity() {
        let mut c = Cluster::healthy();
        c.block_mut(BLOCK).affinity = None;
        assert_eq!(c.find(&CHECK)[0].summary, "host:node-1 is confirmed, the block names nobody");
        let node = c.name("node-1");
        c.block_mut(BLOCK).host_affinity = node;
        let found = c.find(&CHECK);
        assert_eq!(found[0].subject.id, "host:node-1 10.65.0.0/26");
        assert!(found[0].summary.raw().ends_with("the deprecated hostAffinity, which names nobody today"));
        let bare = c.name("node-1");
        c.block_mut(BLOCK).odd_affinity = bare;
        assert_eq!(
            c.find(&CHECK)[0].summary,
            "host:node-1 is confirmed, the block names nobody (\"node-1\" is no host)"
        );
    }

    #[test]
    fn a_host_without_any_affinity_is_told_by_the_claim_of_the_block() {
        let mut c = unclaimed();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "host:node-1 10.65.0.0/26"));
        assert_eq!(found[0].summary, "the block names host:node-1, which has no affinity for it");
        claim(&mut c, "node-2", AffinityState::Pending);
        assert_eq!(c.subjects(&CHECK), ["host:node-1 10.65.0.0/26"], "another host's claim is none of node-1's");
    }

    #[test]
    fn a_claim_or_a_release_under_way_is_none() {
        let word = AffinityState::Unknown(Name::NONE);
        for state in [AffinityState::Pending, AffinityState::PendingDeletion, word] {
            let mut c = unclaimed();
            claim(&mut c, "node-1", state);
            assert!(c.find(&CHECK).is_empty(), "{state:?}");
            let mut c = Cluster::healthy();
            claim(&mut c, "node-2", state);
            assert!(c.find(&CHECK).is_empty(), "{state:?} beside the right one");
        }
    }

    #[test]
    fn a_block_of_nobody_without_a_confirmed_affinity_is_another_matter() {
        let mut c = unclaimed();
        c.block_mut(BLOCK).affinity = None;
        assert!(c.find(&CHECK).is_empty());
        claim(&mut c, "node-2", AffinityState::Pending);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_conflict_is_told_only_with_a_third_host_and_by_the_first_name() {
        let mut c = Cluster::healthy();
        claim(&mut c, "a-node", AffinityState::Confirmed);
        assert!(c.find(&CHECK).is_empty(), "the block names one of the two");
        c.block_mut(BLOCK).affinity = None;
        assert!(c.find(&CHECK).is_empty(), "the block names nobody");
        let third = c.host("node-3");
        c.block_mut(BLOCK).affinity = Some(third);
        assert_eq!(c.subjects(&CHECK), ["host:a-node 10.65.0.0/26"]);
    }

    #[test]
    fn kinds_of_hosts_are_told_apart() {
        let mut c = Cluster::healthy();
        let host = Host { kind: HostKind::Virtual, name: c.name("node-1") };
        c.block_mut(BLOCK).affinity = Some(host);
        assert_eq!(c.subjects(&CHECK), ["host:node-1 10.65.0.0/26"]);
        let mut c = unclaimed();
        let host = Host { kind: HostKind::At, name: c.name("x") };
        c.affinity(host, BLOCK, AffinityState::Confirmed);
        let word = c.name("@:x");
        let block = c.block_mut(BLOCK);
        (block.affinity, block.odd_affinity) = (None, word);
        assert!(c.find(&CHECK).is_empty(), "the block says @:x, and @:x is confirmed");
        let word = c.name("@:y");
        c.block_mut(BLOCK).odd_affinity = word;
        assert_eq!(c.subjects(&CHECK), ["@:x 10.65.0.0/26"]);
    }

    #[test]
    fn an_affinity_that_does_not_decode_leaves_the_block_in_the_dark() {
        let mut c = unclaimed();
        c.snapshot.bad_values.push(bad(
            "/calico/ipam/v2/host/node-1/ipv4/block/10.65.0.0-26",
            Input::Affinities,
            Dark::Affinity(cidr(BLOCK)),
        ));
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_busy_block_stays_steady_and_a_changed_owner_does_not() {
        let stamp = |c: &mut Cluster| c.find(&CHECK)[0].stamp();
        let mut c = Cluster::healthy();
        let (two, three) = (c.host("node-2"), c.host("node-3"));
        c.block_mut(BLOCK).affinity = Some(two);
        let before = stamp(&mut c);
        let block = c.block_mut(BLOCK);
        (block.meta.mod_revision, block.meta.version) = (999, 40);
        assert_eq!(stamp(&mut c), before);
        c.block_mut(BLOCK).affinity = Some(three);
        assert_ne!(stamp(&mut c), before);
        c.block_mut(BLOCK).affinity = Some(two);
        c.snapshot.affinities.iter_mut().find(|a| a.cidr == cidr(BLOCK)).unwrap().meta.mod_revision = 999;
        assert_ne!(stamp(&mut c), before);
    }
}
