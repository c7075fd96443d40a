//! IPA203: a handle counts fewer addresses than the blocks have of it.

use super::common::{belongs, block_list, discord_facts, objects_facts, owner_pods, stored_id};
use crate::checks::evidence::ask_who;
use crate::checks::prelude::*;
use crate::ledger::{Discord, Tally};

pub static CHECK: Check = Check {
    code: Code(203),
    name: "handle-undercount",
    severity: Severity::Error,
    needs: Needs::B.and(Needs::H),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Handle,
    finds: "A block has more addresses of a handle than the handle counts of the block.",
    matters: "A release by handle, which is what CNI DEL does, looks only where the handle counts: the rest stays \
        behind as a leak. It does not heal by itself.",
    arises: "A write of the block timed out but took effect, and the handle was decremented for it; or a foreign tool \
        wrote the handle.",
    action: "When the owner is gone, `ipaudit release --handle …` finds the addresses in the blocks and releases all \
        of them. While it lives nothing is urgent.",
    silent: "Blocks and handles that do not decode. Cooling addresses are nobody's, and ordinals that were kept back \
        when their block was made are in no handle. A handle without any object is IPA204.",
    ties: Ties { many: "handles that count too little", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for tally in world.ledger.tallies() {
        // Another spelling of the id that does not decode may count the rest.
        if !world.ledger.dark.handle(tally.id) {
            let under = tally.discords().into_iter().filter(|d| d.counted < d.held);
            let under: Vec<Discord> =
                under.filter(|d| d.counted < d.held - kept_back(world, &tally, d.block)).collect();
            findings.extend((!under.is_empty()).then(|| report(world, &tally, &under)));
        }
    }
}

/// How many ordinals of a block were kept back under this id when the block was made: no handle counts these.
fn kept_back(world: &World<'_>, tally: &Tally<'_>, block: Cidr) -> i64 {
    let reserved = world.ledger.allocations_of(tally.id).filter(|a| a.used_for == Use::Reserved);
    reserved.filter(|a| world.ledger.block_of(a).cidr == block).fold(0, |sum, _| sum + 1)
}

fn report(world: &World<'_>, tally: &Tally<'_>, under: &[Discord]) -> Finding {
    let blocks: Vec<Cidr> = under.iter().map(|d| d.block).collect();
    let id = tally.objects.first().map(|o| stored_id(world, o)).unwrap_or_default();
    let summary = match under {
        [one] => format!("counts {} in {}, the block has {}", one.counted, one.block, one.held),
        _ => format!("counts fewer than they have in {}", block_list(&blocks)),
    };
    let allocations: Vec<_> =
        world.ledger.allocations_of(tally.id).filter(|a| blocks.contains(&world.ledger.block_of(a).cidr)).collect();
    let addresses: Vec<_> = allocations.iter().map(|a| a.address).collect();
    let draft = world
        .draft(&CHECK, &id, summary)
        .advice("while its owner lives nothing is urgent; once that is gone, a release of the handle takes all of them")
        .list("under", under.iter(), discord_facts)
        .fact("objects", objects_facts(world, tally))
        .fact("addresses", addresses)
        .fact("owner_pods", owner_pods(world, tally.id))
        .with_each(tally.objects, |d, object| d.rests_on_handle(object))
        .with_each(allocations, |d, a| d.rests_on_allocation(a));
    belongs(draft, world, tally.id, &blocks).next(ask_who(&id)).done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};
    use crate::model::snapshot::Dark;
    use crate::model::{AttributeFields, HandleId, Input};

    fn id() -> String {
        Cluster::handle_id("shop", "web-0")
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn it_names_the_block_that_has_more() {
        let mut c = Cluster::healthy();
        c.handle_mut(&id()).counts = [].into();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.clone(), found[0].severity), (1, id().into(), Severity::Error));
        assert_eq!(found[0].summary, "counts 0 in 10.65.0.0/26, the block has 1");
        c.handle_mut(&id()).counts = [(cidr("10.99.0.0/26"), 4)].into();
        assert_eq!(c.find(&CHECK).len(), 1, "what it counts elsewhere does not help");
        c.handle_mut(&id()).counts = [(cidr("10.65.0.0/26"), -1)].into();
        assert_eq!(c.find(&CHECK)[0].summary, "counts -1 in 10.65.0.0/26, the block has 1");
    }

    #[test]
    fn ordinals_that_were_kept_back_are_in_no_handle() {
        let mut c = Cluster::healthy();
        let handle = HandleId::intern(&mut c.snapshot.names, "edge");
        let attribute = AttributeFields { handle, reserved: true, ..AttributeFields::default() };
        c.allocate("10.65.0.9", attribute.clone());
        c.allocate("10.65.0.10", AttributeFields { reserved: false, ..attribute });
        c.handle("edge", &["10.65.0.10"]);
        assert!(c.find(&CHECK).is_empty());
        c.handle_mut("edge").counts = [].into();
        assert_eq!(c.subjects(&CHECK), ["edge"], "one was asked for");
    }

    #[test]
    fn cooling_addresses_and_what_counts_too_much_are_not_told() {
        let mut c = Cluster::healthy();
        let now = c.snapshot.now;
        c.handle_mut(&id()).counts = [].into();
        c.attribute_mut("10.65.0.1").released_at = Some(now);
        assert!(c.find(&CHECK).is_empty());
        let mut c = Cluster::healthy();
        c.handle_mut(&id()).counts = [(cidr("10.65.0.0/26"), 5)].into();
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn spellings_count_together_and_one_that_does_not_decode_silences() {
        let mut c = Cluster::healthy();
        let odd = format!("{}\r\neth0", id());
        let attribute = c.pod_attribute(&odd, "shop", "web-0", "node-1");
        c.allocate("10.65.0.9", attribute);
        assert_eq!(c.find(&CHECK)[0].summary, "counts 1 in 10.65.0.0/26, the block has 2");
        let hidden = HandleId::intern(&mut c.snapshot.names, &odd).unwrap();
        c.bad(Input::Handles, Dark::Handle(hidden));
        assert!(c.find(&CHECK).is_empty());
        c.snapshot.bad_values.clear();
        c.handle(&id(), &["10.65.0.9"]);
        c.last_handle().odd_id = Some(odd.as_bytes().into());
        assert!(c.find(&CHECK).is_empty());
    }
}
