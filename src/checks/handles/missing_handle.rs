//! IPA204: a block names a handle that does not exist.

use super::common::{belongs, block_list, owner_pods, spelled_in_blocks};
use crate::checks::evidence::{ask_who, count};
use crate::checks::prelude::*;

pub static CHECK: Check = Check {
    code: Code(204),
    name: "missing-handle",
    severity: Severity::Error,
    needs: Needs::B.and(Needs::H),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Handle,
    finds: "An allocation names a handle, and there is no such handle.",
    matters: "A release by handle, which is what CNI DEL does, finds nothing and reports success: the address leaks as \
        soon as its pod goes. Calico's collector never looks at it.",
    arises: "A write of the block timed out but took effect, and the handle was taken back for it; handles were \
        deleted by hand or by `calicoctl ipam release --from-report --force`; a migration wrote malformed ids.",
    action: "While its owner lives: restart it. When the owner is gone: `ipaudit release --address …` one by one.",
    silent: "Ordinals that were kept back when their block was made, for Windows or by an operator's own reservation \
        (the attributes are nothing but a note): these have no handle. A handle that exists and does not decode \
        (IPA901). Ids are compared up to the first control byte `\\r`.",
    ties: Ties { many: "handles that blocks name and nobody finds", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let ledger = world.ledger;
    for id in ledger.named_handles() {
        let exists = ledger.handle(id).is_some() || ledger.dark.handle(id);
        if !exists && !id.is_windows(&world.snapshot.names) {
            // Ordinals that were kept back when a block was made never have a handle object, whatever it is called.
            let allocations = ledger.allocations_of(id).filter(|a| a.used_for != Use::Reserved);
            let allocations: Vec<&Allocation> = allocations.collect();
            findings.extend((!allocations.is_empty()).then(|| report(world, id, &allocations)));
        }
    }
}

fn report(world: &World<'_>, id: HandleId, allocations: &[&Allocation]) -> Finding {
    let ledger = world.ledger;
    let text = spelled_in_blocks(world, id);
    let mut blocks: Vec<Cidr> = allocations.iter().map(|a| ledger.block_of(a).cidr).collect();
    blocks.dedup();
    let by = count(allocations.len(), "allocation");
    let summary = format!("no such handle, named by {by} of {}", block_list(&blocks));
    let draft = world
        .draft(&CHECK, &text, summary)
        .list("addresses", allocations.iter(), |a| a.address)
        .fact("owner_pods", owner_pods(world, id))
        .list("ipam", allocations.iter(), |a| world.allocation_facts(a))
        .with_each(allocations, |d, a| d.rests_on_allocation(a))
        .looks_at(Look::Handle(id))
        .with_each(allocations.first(), |d, a| d.next(format!("ipaudit who {}", a.address)));
    belongs(draft, world, id, &blocks).next(ask_who(&text)).done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::snapshot::Dark;
    use crate::model::{AttributeFields, Foreign, Input, Owner};

    fn id() -> String {
        Cluster::handle_id("shop", "web-0")
    }

    fn missing() -> Cluster {
        let mut c = Cluster::healthy();
        c.remove_handle(&id());
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_handle_that_only_a_block_names() {
        let found = missing().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.clone(), found[0].severity), (1, id().into(), Severity::Error));
        assert_eq!(found[0].summary, "no such handle, named by 1 allocation of 10.65.0.0/26");
        assert_eq!(found[0].next[0], "ipaudit who 10.65.0.1");
        assert_eq!(
            (found[0].node.as_ref().map(Foreign::raw), found[0].namespace.as_ref().map(Foreign::raw)),
            (Some("node-1"), Some("shop"))
        );
    }

    #[test]
    fn once_an_id_however_many_blocks_name_it() {
        let mut c = missing();
        let attribute = c.pod_attribute(&id(), "shop", "web-0", "node-1");
        c.allocate("10.65.0.70", attribute);
        let found = c.find(&CHECK);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].summary, "no such handle, named by 2 allocations of 10.65.0.0/26 and 10.65.0.64/26");
    }

    #[test]
    fn another_spelling_is_the_same_handle() {
        let mut c = missing();
        let odd = format!("{}\r\neth0", id());
        c.attribute_mut("10.65.0.1").odd_handle = Some(odd.as_str().into());
        assert_eq!(c.subjects(&CHECK), [odd.as_str()]);
        c.handle(&id(), &["10.65.0.1"]);
        assert!(c.find(&CHECK).is_empty());
        c.last_handle().odd_id = Some(odd.as_bytes().into());
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn ordinals_that_were_kept_back_have_no_handle() {
        let mut c = Cluster::healthy();
        let handle = HandleId::intern(&mut c.snapshot.names, "edge");
        let owner = Owner { note: c.name("edge host rsvd"), ..Owner::default() };
        let attribute = AttributeFields { handle, owner, reserved: true, ..AttributeFields::default() };
        c.allocate("10.65.0.9", attribute.clone());
        assert!(c.find(&CHECK).is_empty());
        // The same id for an address that somebody asked for is a handle like any other.
        c.allocate("10.65.0.10", AttributeFields { reserved: false, ..attribute });
        let found = c.find(&CHECK);
        assert_eq!(found[0].summary, "no such handle, named by 1 allocation of 10.65.0.0/26");
    }

    #[test]
    fn windows_cooling_undecodable_and_nameless_are_not_told() {
        for quiet in [
            (|c: &mut Cluster| {
                let windows = HandleId::intern(&mut c.snapshot.names, "Windows-Reserved-IPAM-Handle");
                c.attribute_mut("10.65.0.1").handle = windows;
            }) as fn(&mut Cluster),
            |c| c.attribute_mut("10.65.0.1").released_at = Some(c.snapshot.now),
            |c| *c.attribute_mut("10.65.0.1") = AttributeFields::default(),
            |c| {
                let hidden = HandleId::intern(&mut c.snapshot.names, &id()).unwrap();
                c.bad(Input::Handles, Dark::Handle(hidden));
            },
        ] {
            let mut c = missing();
            quiet(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
