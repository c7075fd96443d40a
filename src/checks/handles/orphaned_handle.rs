//! IPA201: a handle of which no block has any address.

use super::common::{belongs, block_list, host_of, objects_facts, stored_id};
use crate::checks::evidence::release_handle;
use crate::checks::prelude::*;
use crate::ledger::Tally;
use crate::model::{Handle, Input};

pub static CHECK: Check = Check {
    code: Code(201),
    name: "orphaned-handle",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::H).and(Needs::W),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Handle,
    finds: "A handle exists, and no block has an allocation of it.",
    matters: "Nothing collects orphaned handles: clusters have been seen with 63,000 of them beside 6,500 good ones. \
        They fill etcd and every list of handles. One alone does no harm.",
    arises: "CNI ADD writes the handle before the block, and CNI DEL the block before the handle: who dies in between \
        leaves an orphan. A pod storm does it by the thousand.",
    action: "`ipaudit release --handle …` for one, `ipaudit release --code IPA201 --older-than 24h` for many pods'. \
        The release is fenced against a CNI ADD that is under way. It is not fenced against an ADD that follows a DEL \
        under way, and need not be for a container's id, which never comes again. The ids of tunnels, KubeVirt \
        machines, LoadBalancer services and very old pods do: such a handle goes alone, by `ipaudit release --handle … \
        --i-know-what-this-is`, after three audits that saw it.",
    silent: "A handle whose container an endpoint still has is no orphan but the evidence of a lost allocation \
        (IPA202). Blocks that do not decode hide what they hold, so handles that count in them are not judged. A \
        stopped KubeVirt machine keeps its allocation, and with it its handle. An address that was being allocated at \
        the first look and is being given back at the second leaves its handle as an orphan's is, at both: a release \
        wants three audits.",
    ties: Ties { releasable: true, many: "orphaned handles", ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for tally in world.ledger.tallies() {
        if is_orphaned(world, &tally) {
            findings.extend(tally.objects.iter().map(|object| report(world, &tally, object)));
        }
    }
}

/// Whether all objects of an id are orphaned (the rule of the catalogue's row).
pub fn is_orphaned(world: &World<'_>, tally: &Tally<'_>) -> bool {
    tally.holds_nothing() && !is_dark(world, tally) && !world.ledger.has_container(tally.id)
}

/// The stamp of the finding about this object: an audit that recorded the same one has seen this very object.
pub fn stamp(world: &World<'_>, tally: &Tally<'_>, object: &Handle) -> u128 {
    report(world, tally, object).stamp()
}

/// What must be done before: a machine that starts meanwhile takes its handle into use.
pub(super) fn first_of_all(world: &World<'_>, id: HandleId) -> Option<&'static str> {
    id.is_vm(&world.snapshot.names)
        .then_some("stop the machine first, then release its handle; it starts with a new address")
}

/// The command that releases an orphan: one whose id comes again takes the operator's word.
pub(super) fn release(world: &World<'_>, id: HandleId, stored: &str) -> String {
    let word = if id.comes_again(&world.snapshot.names) { " --i-know-what-this-is" } else { "" };
    format!("{}{word}", release_handle(stored))
}

/// Whether something that does not decode may hold an allocation of it, or an endpoint with its container.
fn is_dark(world: &World<'_>, tally: &Tally<'_>) -> bool {
    let dark = &world.ledger.dark;
    let hidden = |&(cidr, _): &(Cidr, i64)| dark.block(cidr) || dark.node(host_of(world, cidr));
    dark.all(Input::Blocks) || dark.all(Input::Endpoints) || tally.counted.iter().any(hidden)
}

fn report(world: &World<'_>, tally: &Tally<'_>, object: &Handle) -> Finding {
    let id = stored_id(world, object);
    let blocks: Vec<Cidr> = object.counts().iter().map(|(cidr, _)| *cidr).collect();
    let summary = if blocks.is_empty() {
        "no block has an address of it, and it counts none".to_owned()
    } else {
        format!("no block has an address of it, though it counts in {}", block_list(&blocks))
    };
    let draft = world
        .draft(&CHECK, &id, summary)
        .fact("objects", objects_facts(world, tally))
        .fact("blocks", blocks.clone())
        .rests_on_handle(object)
        .with_each(&blocks, |d, &cidr| d.looks_at(Look::Block(cidr)));
    let by_itself = if tally.id.comes_again(&world.snapshot.names) { " by itself" } else { "" };
    let advice = first_of_all(world, tally.id).map(str::to_owned);
    let draft =
        draft.advice(advice.unwrap_or_else(|| format!("nothing depends on it any more: release it{by_itself}")));
    belongs(draft, world, tally.id, &blocks).next(release(world, tally.id, &id)).done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};
    use crate::model::snapshot::Dark;
    use crate::model::{Foreign, Orchestrator};

    const DEAD: &str = "k8s-pod-network.deaddeaddeaddeaddeaddeaddeaddeaddeaddeaddeaddeaddeaddeaddeaddead";

    /// A CNI ADD died between the handle and the block.
    fn orphan() -> Cluster {
        let mut c = Cluster::healthy();
        c.handle(DEAD, &["10.65.0.40"]);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_handle_that_no_block_names() {
        let found = orphan().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, DEAD));
        assert_eq!(found[0].summary, "no block has an address of it, though it counts in 10.65.0.0/26");
        assert_eq!(found[0].advice, "nothing depends on it any more: release it");
        assert_eq!(found[0].next, [format!("ipaudit release --handle {DEAD}")]);
        assert_eq!(
            (found[0].node.as_ref().map(Foreign::raw), found[0].pool.as_ref().map(Foreign::raw)),
            (Some("node-1"), Some("default"))
        );
    }

    #[test]
    fn whatever_it_counts_and_whatever_the_flag_says() {
        let mut c = orphan();
        c.handle_mut(DEAD).counts = [].into();
        assert_eq!(c.find(&CHECK)[0].summary, "no block has an address of it, and it counts none");
        c.handle_mut(DEAD).counts = [(cidr("10.99.0.0/26"), 1)].into();
        assert_eq!(c.subjects(&CHECK), [DEAD], "a block that does not exist");
        c.handle_mut(DEAD).counts = [(cidr("10.65.0.0/26"), 0)].into();
        c.handle_mut(DEAD).deleted = true;
        assert_eq!(c.subjects(&CHECK), [DEAD]);
    }

    #[test]
    fn tunnels_services_and_machines_too() {
        for id in ["ipip-tunnel-addr-node-9", "lb-po9BrpGz", "k8s-pod-network.vmi.vms.cursed", "shop.ancient-0"] {
            let mut c = Cluster::healthy();
            c.handle(id, &["10.65.0.40"]);
            assert_eq!(c.subjects(&CHECK), [id]);
            let word = format!("ipaudit release --handle {id} --i-know-what-this-is");
            let found = c.find(&CHECK);
            assert_eq!(found[0].next, [word], "its id comes again");
            assert_eq!(found[0].advice.raw().starts_with("stop the machine first"), id.contains(".vmi."), "{id}");
        }
    }

    #[test]
    fn a_released_and_cooling_address_is_nobodys() {
        let mut c = Cluster::healthy();
        let now = c.snapshot.now;
        c.attribute_mut("10.65.0.1").released_at = Some(now);
        c.remove_endpoint("web-0");
        assert_eq!(c.subjects(&CHECK), [Cluster::handle_id("shop", "web-0")]);
    }

    #[test]
    fn an_endpoint_with_the_container_makes_it_a_lost_allocation() {
        let mut c = Cluster::healthy();
        c.free("10.65.0.1");
        assert!(c.find(&CHECK).is_empty());
        c.endpoint_mut("web-0").orchestrator = Orchestrator::Cni;
        c.remove_pod("web-0");
        assert!(c.find(&CHECK).is_empty(), "of any orchestrator, pod or no pod");
        c.remove_endpoint("web-0");
        assert_eq!(c.find(&CHECK).len(), 1);
    }

    #[test]
    fn a_very_old_handle_of_a_pod_that_lives_is_a_lost_allocation() {
        let mut c = Cluster::healthy();
        c.handle("shop.ancient-0", &["10.65.0.40"]);
        c.endpoint("shop", "ancient-0", "node-1", "", &["10.65.0.40"]);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_stopped_machine_keeps_its_allocation() {
        let mut c = Cluster::healthy();
        let id = c.handle("k8s-pod-network.vmi.vms.stopped", &["10.65.0.40"]);
        c.allocate("10.65.0.40", crate::model::AttributeFields { handle: Some(id), ..Default::default() });
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn what_does_not_decode_hides_what_it_holds() {
        let mut c = orphan();
        c.dark("10.65.0.0/24");
        assert!(c.find(&CHECK).is_empty(), "its block");
        let mut c = orphan();
        c.handle_mut(DEAD).counts = [].into();
        c.bad(Input::Blocks, Dark::All(Input::Blocks));
        assert!(c.find(&CHECK).is_empty(), "any block");
        let mut c = orphan();
        let node = c.name("node-1");
        c.bad(Input::Endpoints, Dark::Node(node));
        assert!(c.find(&CHECK).is_empty(), "an endpoint of its block's node");
        let mut c = orphan();
        let node = c.name("node-2");
        c.bad(Input::Endpoints, Dark::Node(node));
        assert_eq!(c.find(&CHECK).len(), 1, "another node's endpoint");
    }

    /// Two spellings are one id: an allocation of it in either keeps both, and without one both are orphaned.
    #[test]
    fn two_spellings_stand_and_fall_together() {
        let mut c = orphan();
        c.handle(DEAD, &["10.65.0.41"]);
        c.last_handle().odd_id = Some(format!("{DEAD}\r\neth0").as_bytes().into());
        assert_eq!(c.subjects(&CHECK), [DEAD.to_owned(), format!("{DEAD}\r\neth0")]);
        assert_eq!(c.find(&CHECK)[1].next, [format!(r#"ipaudit release --handle "$(printf '{DEAD}\r\neth0')""#)]);
        let attribute = c.pod_attribute(DEAD, "shop", "gone-0", "node-1");
        c.allocate("10.65.0.40", attribute);
        assert!(c.find(&CHECK).is_empty());
    }
}
