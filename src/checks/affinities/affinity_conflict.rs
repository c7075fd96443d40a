//! IPA401: one block, two confirmed owners.

use super::common::{delete_affinity, get_block};
use crate::checks::evidence::ask_who;
use crate::checks::prelude::*;
use crate::model::{AffinityState, Attribute, Input};

pub static CHECK: Check = Check {
    code: Code(401),
    name: "affinity-conflict",
    severity: Severity::Error,
    needs: Needs::A,
    steady: Steady::OneMoment,
    subject: SubjectKind::Block,
    finds: "Two or more hosts whose affinities for one block are all confirmed. Critical when two of them are nodes \
        that live.",
    matters: "Each node announces the block's route, so traffic splits between them, and what arrives at the wrong one \
        is dropped or goes round in circles. It does not by itself give one address twice.",
    arises: "A claim whose other half was lost (etcd away, a restored backup), old versions that ignored the state of \
        an affinity, or keys written by hand. Calico heals it only when the wrong node allocates again.",
    action: "The block's own `affinity` says who is right. Delete the other affinity; Calico does the same when that \
        node next meets it. When the block names neither, decide by who holds its addresses.",
    silent: "Affinities that are pending or being deleted own nothing (IPA403, IPA404). Two spellings of one \
        affinity's key are IPA307.",
    ties: Ties { harm: Harm::Outage, many: "blocks with more than one owner", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let confirmed = world.ledger.affinities().filter(|affinity| affinity.state == AffinityState::Confirmed);
    let confirmed: Vec<&Affinity> = confirmed.collect();
    let shared = confirmed.chunk_by(|a, b| a.cidr == b.cidr).filter(|owners| owners.len() > 1);
    findings.extend(shared.filter_map(|owners| report(world, owners)));
}

fn report(world: &World<'_>, owners: &[&Affinity]) -> Option<Finding> {
    let mut owners = owners.to_vec();
    owners.sort_by_key(|affinity| (world.text(affinity.host.name), affinity.host.kind));
    let cidr = owners.first()?.cidr;
    let block = world.ledger.block(cidr);
    let right = block.and_then(|block| block.affinity).filter(|host| owners.iter().any(|a| a.host == *host));
    let live = owners.iter().filter(|affinity| lives(world, affinity.host)).count();
    let wrong: Vec<&Affinity> =
        owners.iter().copied().filter(|affinity| right.is_some_and(|host| host != affinity.host)).collect();
    let draft = world
        .draft(&CHECK, cidr, format!("{}{}", claimed_by(world, &owners), hit(block, live)))
        .severity(if live > 1 { Severity::Critical } else { Severity::Error })
        .advice(advice(world, block, right, &wrong))
        .list("owners", owners.iter(), |a| world.affinity_facts(a))
        .fact("live_nodes", live)
        .fact("right", right.map(|host| world.host_id(host)))
        .fact("block", block.map(|block| world.block_facts(block)))
        .in_pool_of(cidr.first())
        .with_each(&wrong, |draft, affinity| draft.next(delete_affinity(world, affinity)))
        .next(get_block(cidr))
        .next(ask_who(&cidr.to_string()))
        .with_each(&owners, |draft, affinity| draft.rests_on_affinity(affinity));
    Some(draft.looks_at(Look::Block(cidr)).done())
}

/// `confirmed for node-1 and node-2`.
fn claimed_by(world: &World<'_>, owners: &[&Affinity]) -> String {
    let names: Vec<String> = owners.iter().map(|affinity| name(world, affinity.host)).collect();
    format!("confirmed for {}", few(&names, " and "))
}

/// Whom it hits: what is sent to the block's addresses, where more than one node says that they are there.
fn hit(block: Option<&Block>, live: usize) -> String {
    let cooling = |at: Option<&Attribute>| at.is_some_and(|at| at.released_at().is_some());
    let in_use = block.map_or(0, |block| block.allocated().filter(|(_, at)| !cooling(*at)).count());
    match (live > 1, in_use) {
        (false, _) => String::new(),
        (true, 0) => ", and each announces its route".to_owned(),
        (true, 1) => ", so traffic to its one allocated address may go to the wrong node".to_owned(),
        (true, many) => format!(", so traffic to its {many} allocated addresses may go to the wrong node"),
    }
}

/// Whose it is, and whose affinity goes.
fn advice(world: &World<'_>, block: Option<&Block>, right: Option<Host>, wrong: &[&Affinity]) -> String {
    match (block, right) {
        (_, Some(host)) => {
            let others: Vec<String> = wrong.iter().map(|affinity| name(world, affinity.host)).collect();
            let (others, noun) = (few(&others, " and "), if wrong.len() == 1 { "affinity" } else { "affinities" });
            format!("the block names {}: delete the {noun} of {others}", name(world, host))
        }
        (Some(_), None) => "the block names none of them: decide by who holds its addresses".to_owned(),
        (None, _) => "there is no such block: all of them can go".to_owned(),
    }
}

/// A node by its name alone, any other owner by what it is too.
fn name(world: &World<'_>, host: Host) -> String {
    if host.kind == HostKind::Host { world.text(host.name).to_owned() } else { world.host_id(host) }
}

/// A node that announces routes: its Calico Node is there, and its Kubernetes node is not gone.
fn lives(world: &World<'_>, host: Host) -> bool {
    host.kind == HostKind::Host
        && world.snapshot.coverage.complete(Input::CalicoNodes)
        && world.ledger.calico_node(host.name).is_some()
        && world.ledger.scope.standing(host.name) != Standing::Departed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};

    fn claim(c: &mut Cluster, kind: HostKind, name: &str, range: &str, state: AffinityState) {
        let host = Host { kind, name: c.name(name) };
        c.affinity(host, range, state);
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn two_live_nodes_are_critical_and_the_block_says_who_is_right() {
        let mut c = Cluster::healthy();
        claim(&mut c, HostKind::Host, "node-2", "10.65.0.0/26", AffinityState::Confirmed);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.0.0/26"));
        assert_eq!(
            (found[0].severity, found[0].summary.raw()),
            (
                Severity::Critical,
                "confirmed for node-1 and node-2, so traffic to its 3 allocated addresses may go to the wrong node"
            )
        );
        assert_eq!(found[0].advice, "the block names node-1: delete the affinity of node-2");
        let revision = c.snapshot.affinities.iter().find(|a| c.snapshot.text(a.host.name) == "node-2").unwrap();
        let key = "/calico/ipam/v2/host/node-2/ipv4/block/10.65.0.0-26";
        let revision = revision.meta.mod_revision;
        assert_eq!(
            found[0].next,
            [
                format!(r#"printf 'mod("{key}") = "{revision}"\n\ndel {key}\n\n\n' | etcdctl txn"#),
                "etcdctl get /calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26".to_owned(),
                "ipaudit who 10.65.0.0/26".to_owned(),
            ]
        );
    }

    #[test]
    fn a_departed_node_a_virtual_or_an_at_host_makes_an_error() {
        for (kind, name) in [(HostKind::Host, "gone"), (HostKind::Virtual, "node-2"), (HostKind::At, "node-2")] {
            let mut c = Cluster::healthy();
            claim(&mut c, kind, name, "10.65.0.0/26", AffinityState::Confirmed);
            let found = c.find(&CHECK);
            assert_eq!((found.len(), found[0].severity), (1, Severity::Error), "{kind:?}");
        }
        let mut c = Cluster::healthy();
        claim(&mut c, HostKind::Host, "node-2", "10.65.0.0/26", AffinityState::Confirmed);
        c.remove_calico_node("node-2");
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error);
    }

    #[test]
    fn only_confirmed_owns() {
        for state in [AffinityState::Pending, AffinityState::PendingDeletion] {
            let mut c = Cluster::healthy();
            claim(&mut c, HostKind::Host, "node-2", "10.65.0.0/26", state);
            assert!(c.find(&CHECK).is_empty());
        }
        let mut c = Cluster::healthy();
        let word = c.name("someday");
        claim(&mut c, HostKind::Host, "node-2", "10.65.0.0/26", AffinityState::Unknown(word));
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn two_spellings_of_one_affinity_are_one_owner() {
        let mut c = Cluster::healthy();
        claim(&mut c, HostKind::Host, "node-1", "10.65.0.0/26", AffinityState::Confirmed);
        let odd = b"/calico/ipam/v2/host/node-1/ipv4/block/10.65.0.9-26".as_slice();
        c.snapshot.affinities.last_mut().unwrap().odd_key = Some(odd.into());
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_block_that_is_absent_or_names_a_third_leaves_the_choice() {
        let mut c = Cluster::healthy();
        claim(&mut c, HostKind::Host, "node-2", "10.65.0.0/26", AffinityState::Confirmed);
        let third = c.host("node-3");
        c.block_mut("10.65.0.0/26").affinity = Some(third);
        let found = c.find(&CHECK);
        assert_eq!(found[0].advice, "the block names none of them: decide by who holds its addresses");
        let looks = ["etcdctl get ", "ipaudit who "];
        assert!(
            found[0].next.iter().zip(looks).all(|(next, look)| next.raw().starts_with(look))
                && found[0].next.len() == 2,
            "no deletion where nobody is known to be right"
        );
        c.snapshot.blocks.retain(|b| b.cidr != cidr("10.65.0.0/26"));
        assert_eq!(c.find(&CHECK)[0].advice, "there is no such block: all of them can go");
    }
}
