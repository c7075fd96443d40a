//! IPA208: a KubeVirt machine's handle counts an address that no block holds.

use super::common::{belongs, objects_facts, stored_id};
use super::orphaned_handle;
use crate::checks::evidence::{Draft, ask_who};
use crate::checks::prelude::*;
use crate::ledger::Tally;
use crate::model::Input;

pub static CHECK: Check = Check {
    code: Code(208),
    name: "vm-handle-blocks-vm",
    severity: Severity::Error,
    needs: Needs::B.and(Needs::H),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Handle,
    finds: "A KubeVirt machine's handle counts an address of a family of which no block holds any.",
    matters: "A machine may have one address of a family. CNI ADD believes the handle, refuses to allocate another, \
        and finds none to reuse: every start of the machine fails.",
    arises: "A CNI ADD of a launcher pod died between its write of the handle and that of the block.",
    action: "Stop the machine, then `ipaudit release --handle … --i-know-what-this-is` where the handle has no address \
        at all, once three audits have seen it so; it starts again with a new one.",
    silent: "A stopped machine keeps its allocation by design. Families of which some block holds an address, and \
        handles that count in blocks that do not decode.",
    ties: Ties {
        harm: Harm::Outage,
        many: "handles that keep a machine from its address",
        one: "vm-blocking handle",
        ..Ties::ANYBODYS
    },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for tally in world.ledger.tallies_of(|id| id.is_vm(&world.snapshot.names)) {
        let blocking: Vec<Cidr> = [true, false].into_iter().flat_map(|v4| blocking(world, &tally, v4)).collect();
        if !blocking.is_empty() {
            findings.push(report(world, &tally, blocking));
        }
    }
}

/// The blocks of one family in which the handle counts, when no block holds any address of that family.
fn blocking(world: &World<'_>, tally: &Tally<'_>, v4: bool) -> Vec<Cidr> {
    let dark = &world.ledger.dark;
    let counted = tally.counted.iter().filter(|(cidr, count)| cidr.is_v4() == v4 && *count > 0);
    let blocks: Vec<Cidr> = counted.map(|(cidr, _)| *cidr).collect();
    let held = tally.held.iter().any(|(cidr, _)| cidr.is_v4() == v4);
    let hidden = dark.all(Input::Blocks) || blocks.iter().any(|&cidr| dark.block(cidr));
    if held || hidden { Vec::new() } else { blocks }
}

fn report(world: &World<'_>, tally: &Tally<'_>, blocks: Vec<Cidr>) -> Finding {
    let id = tally.objects.first().map(|o| stored_id(world, o)).unwrap_or_default();
    let families = match (blocks.iter().any(|c| c.is_v4()), blocks.iter().any(|c| !c.is_v4())) {
        (true, false) => "an IPv4 address",
        (false, true) => "an IPv6 address",
        _ => "addresses of both families",
    };
    let draft = world
        .draft(&CHECK, &id, format!("counts {families} that no block holds: the machine cannot start"))
        .fact("blocks", blocks.clone())
        .fact("objects", objects_facts(world, tally))
        .with_each(tally.objects, |d, object| d.rests_on_handle(object))
        .with_each(&blocks, |d, &cidr| d.looks_at(Look::Block(cidr)));
    // What the other family holds is the machine's, and nobody takes that away.
    let free = tally.holds_nothing().then(|| orphaned_handle::first_of_all(world, tally.id)).flatten();
    let draft = draft.with_each(free, Draft::advice);
    belongs(draft, world, tally.id, &blocks).next(next(world, tally, &id)).done()
}

/// A handle without any allocation can be released; what the other family holds is the machine's.
fn next(world: &World<'_>, tally: &Tally<'_>, id: &str) -> String {
    match tally.holds_nothing() {
        true => orphaned_handle::release(world, tally.id, id),
        false => ask_who(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};
    use crate::model::AttributeFields;

    const VM: &str = "k8s-pod-network.vmi.vms.cursed";

    /// A machine with an IPv6 address, whose handle counts an IPv4 one too.
    fn cursed() -> Cluster {
        let mut c = Cluster::healthy();
        c.block("fd00:65::/122", Some("node-1"));
        let handle = c.handle(VM, &["10.65.0.40", "fd00:65::9"]);
        c.allocate("fd00:65::9", AttributeFields { handle: Some(handle), ..AttributeFields::default() });
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_family_that_no_block_holds_blocks_the_machine() {
        let mut c = cursed();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, VM));
        assert_eq!(found[0].summary, "counts an IPv4 address that no block holds: the machine cannot start");
        assert_eq!(found[0].next, [format!("ipaudit who {VM}")], "it has an address still");
        c.free("fd00:65::9");
        assert_eq!(found[0].advice, "");
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 1, "one finding for both families");
        assert!(found[0].advice.raw().starts_with("stop the machine first"), "{:?}", found[0].advice);
        assert_eq!(found[0].next, [format!("ipaudit release --handle {VM} --i-know-what-this-is")]);
    }

    #[test]
    fn one_address_of_the_family_anywhere_is_enough() {
        let mut c = cursed();
        let handle = c.snapshot.handles.iter().find(|h| h.id.is_vm(&c.snapshot.names)).unwrap().id;
        c.allocate("10.65.0.70", AttributeFields { handle: Some(handle), ..AttributeFields::default() });
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn what_counts_nothing_is_hidden_or_is_no_machine_is_not_told() {
        let mut c = cursed();
        c.handle_mut(VM).counts = [(cidr("10.65.0.0/26"), 0), (cidr("fd00:65::/122"), 1)].into();
        assert!(c.find(&CHECK).is_empty());
        let mut c = cursed();
        c.dark("10.65.0.0/26");
        assert!(c.find(&CHECK).is_empty());
        let mut c = Cluster::healthy();
        c.handle("k8s-pod-network.dead", &["10.65.0.40"]);
        assert!(c.find(&CHECK).is_empty());
    }
}
