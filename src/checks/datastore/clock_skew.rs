//! IPA909: a node whose clock runs ahead.

use std::time::Duration;

use crate::checks::evidence::{Draft, shell};
use crate::checks::prelude::*;
use crate::model::hash::HashMap;
use crate::model::{Owner, Time};

pub static CHECK: Check = Check {
    code: Code(909),
    name: "clock-skew",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::W),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Node,
    finds: "Allocations or endpoints of a node, whoever owns it, whose timestamps lie more than 60 s ahead of the API \
        server's clock when they were read (without an API server: of this machine's).",
    matters: "The timestamps are those of the node's clock: the ages of its allocations lie, cooldowns that it starts \
        end too late, and its certificates may fail.",
    arises: "The node does not synchronise its clock.",
    action: "Check the time on the node.",
    silent: "A clock that runs behind: nobody can tell it from age. `releasedAt`, which other hosts write (IPA301).",
    ties: Ties::ANYBODYS,
    run,
};

/// What a clock may be ahead.
const ALLOWED: Duration = Duration::from_secs(60);

/// What one node has written with a time ahead.
struct Ahead<'w> {
    worst: Time,
    /// Allocation or endpoint, for people.
    what: String,
    count: usize,
    /// The least of them: later ones come while the clock runs ahead, this one stays.
    least: (Time, Dated<'w>),
}

/// What bears a timestamp.
#[derive(Clone, Copy)]
enum Dated<'w> {
    /// An attribute of a block, by its number there.
    Attribute(&'w Block, usize),
    Endpoint(&'w Endpoint),
}

fn run<'w>(world: &World<'w>, findings: &mut FindingSink) {
    let reference = reference(world);
    let limit = reference.plus(ALLOWED);
    let mut ahead: HashMap<Name, Ahead<'w>> = HashMap::new();
    let mut note = |node: Name, at: Option<Time>, dated: Dated<'w>, what: &dyn Fn() -> String| {
        let Some(at) = at.filter(|at| *at > limit && !node.is_none()) else { return };
        let entry =
            ahead.entry(node).or_insert_with(|| Ahead { worst: at, what: what(), count: 0, least: (at, dated) });
        entry.count += 1;
        if at < entry.least.0 {
            entry.least = (at, dated);
        }
        if at > entry.worst {
            (entry.worst, entry.what) = (at, what());
        }
    };
    for block in world.ledger.blocks() {
        for (index, attribute) in block.attributes.iter().enumerate() {
            for owner in attribute.owners() {
                note(owner.node, owner.timestamp, Dated::Attribute(block, index), &|| {
                    format!("allocation of {} in {}", owner_text(world, &owner), block.cidr)
                });
            }
        }
    }
    for endpoint in &world.snapshot.endpoints {
        let what = || format!("endpoint {}", world.snapshot.endpoint_id(endpoint));
        note(endpoint.node, endpoint.created(), Dated::Endpoint(endpoint), &what);
    }
    findings.extend(ahead.iter().map(|(&node, ahead)| report(world, node, ahead, reference)));
}

/// The moment of the reading, which no right clock had passed when it wrote: by the API server's clock as its last
/// answer told it, else by ours.
fn reference(world: &World<'_>) -> Time {
    let snapshot = world.snapshot;
    let clocks = &snapshot.kube.clocks;
    match (clocks.last(), snapshot.read_until) {
        (Some(pair), Some(until)) => pair.theirs_at(until.max(pair.ours)),
        (Some(pair), None) => pair.theirs,
        (None, until) => until.unwrap_or(snapshot.now),
    }
}

fn owner_text(world: &World<'_>, owner: &Owner) -> String {
    match owner.pod_name() {
        Some((namespace, pod)) => world.pair(namespace, pod),
        None => world.text(owner.kind).to_owned(),
    }
}

/// What the claim rests on: what is dated itself, which is proof enough.
fn rest<'w>(draft: Draft<'w>, world: &World<'_>, dated: Dated<'_>) -> Draft<'w> {
    let (block, index) = match dated {
        Dated::Endpoint(endpoint) => return draft.rests_on_endpoint(endpoint),
        Dated::Attribute(block, index) => (block, index),
    };
    let mut ordinals =
        block.allocations.iter().zip(0u128..).filter(|(slot, _)| slot.is_some_and(|i| i as usize == index));
    let address = ordinals.next().and_then(|(_, ordinal)| block.cidr.nth(ordinal));
    let allocations = address.map_or(&[][..], |address| world.ledger.allocations_at(address));
    match allocations.iter().find(|a| world.ledger.block_of(a).cidr == block.cidr) {
        Some(allocation) => draft.rests_on_allocation(allocation),
        None => draft.looks_at(Look::Block(block.cidr)),
    }
}

fn report(world: &World<'_>, node: Name, ahead: &Ahead<'_>, reference: Time) -> Finding {
    let name = world.text(node);
    let seconds = ahead.worst.since(reference).as_secs();
    let kubernetes = world.text(world.ledger.scope.kubernetes_name(node));
    let of = if world.snapshot.kube.clocks.is_empty() { "this audit" } else { "the API server" };
    let draft = world
        .draft(&CHECK, name, format!("its clock is {seconds} s ahead of {of}: {}", ahead.what))
        .advice("check the time on the node")
        .fact("node", name)
        .fact("ahead_seconds", seconds)
        .fact("worst", Evidence::new().with("what", ahead.what.as_str()).with("timestamp", ahead.worst))
        .fact("reference", reference)
        .fact("reference_is_api_server", !world.snapshot.kube.clocks.is_empty())
        .fact("timestamps_ahead", ahead.count)
        .on_node(node)
        .next(format!("kubectl debug node/{} -it --image=busybox -- date -u", shell(kubernetes)));
    rest(draft, world, ahead.least.1).done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;

    fn later(c: &Cluster, seconds: u64) -> Option<Time> {
        Some(c.snapshot.now.plus(Duration::from_secs(seconds)))
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn more_than_a_minute_ahead_is_told_once_a_node() {
        let mut c = Cluster::healthy();
        c.attribute_mut("10.65.0.1").owner.timestamp = later(&c, 60);
        assert!(c.find(&CHECK).is_empty());
        c.attribute_mut("10.65.0.1").owner.timestamp = later(&c, 61);
        c.endpoint_mut("web-1").created = later(&c, 90);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1"));
        assert_eq!(found[0].summary, "its clock is 90 s ahead of this audit: endpoint shop/node--1-k8s-web--1-eth0");
        assert_eq!(found[0].evidence.get("timestamps_ahead"), Some(&2_usize.into()));
    }

    #[test]
    fn the_api_servers_time_goes_before_ours() {
        let mut c = Cluster::healthy();
        c.endpoint_mut("web-2").created = later(&c, 90);
        c.api_time(40);
        assert!(c.find(&CHECK).is_empty());
        c.api_time(10);
        let found = c.find(&CHECK);
        assert!(
            found[0].summary.raw().starts_with("its clock is 80 s ahead of the API server"),
            "{:?}",
            found[0].summary
        );
    }

    /// Pods were listed for 63 s, and a node with a right clock started one of them near the end.
    #[test]
    fn a_reading_that_takes_long_accuses_no_right_clock() {
        let mut c = Cluster::healthy();
        c.attribute_mut("10.65.0.1").owner.timestamp = later(&c, 62);
        c.api_time(0);
        assert_eq!(c.find(&CHECK).len(), 1, "read at once, this is ahead");
        c.snapshot.read_until = later(&c, 63);
        assert!(c.find(&CHECK).is_empty());
        c.attribute_mut("10.65.0.1").owner.timestamp = later(&c, 63 + 61);
        assert_eq!(c.find(&CHECK)[0].evidence.get("ahead_seconds"), Some(&61_u64.into()));
        // Without an API server the same by our own clock.
        c.snapshot.kube.clocks = crate::model::ClockPairs::default();
        assert_eq!(c.find(&CHECK)[0].evidence.get("ahead_seconds"), Some(&61_u64.into()));
    }

    #[test]
    fn foreign_nodes_and_migration_targets_count_and_releases_do_not() {
        let mut c = Cluster::healthy();
        c.remove_kube_node("node-2");
        let (node_2, at) = (c.name("node-2"), later(&c, 90));
        let target = Owner { node: node_2, timestamp: at, ..Owner::default() };
        c.attribute_mut("10.65.0.1").alternate = Some(Box::new(target));
        assert_eq!(c.subjects(&CHECK), ["node-2"]);
        let mut c = Cluster::healthy();
        c.attribute_mut("10.65.0.1").released_at = at;
        assert!(c.find(&CHECK).is_empty());
    }
}
