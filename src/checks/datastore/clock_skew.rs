//! IPA909: a node whose clock runs ahead.

use crate::model::hash::HashMap;
use std::time::Duration;

use crate::checks::evidence::shell;
use crate::checks::{Check, Docs, World};
use crate::model::{Code, Evidence, Finding, Name, Needs, Owner, Severity, Subject, SubjectKind, Time};

pub static CHECK: Check = Check {
    code: Code(909),
    name: "clock-skew",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::W),
    steady: false,
    subject: SubjectKind::Node,
    docs: Docs {
        finds: "Allocations or endpoints of a node, whoever owns it, whose timestamps lie more than 60 s ahead of the API \
            server's `Date` (without an API server: of this audit's time).",
        matters: "The timestamps are those of the node's clock: the ages of its allocations lie, cooldowns that it starts \
            end too late, and its certificates may fail.",
        arises: "The node does not synchronise its clock.",
        action: "Check the time on the node.",
        silent: "A clock that runs behind: nobody can tell it from age. `releasedAt`, which other hosts write (IPA301).",
    },
    run,
};

/// What a clock may be ahead.
const ALLOWED: Duration = Duration::from_secs(60);

/// What one node has written with a time ahead.
struct Ahead {
    worst: Time,
    /// Allocation or endpoint, for people.
    what: String,
    count: usize,
}

fn run(world: &World<'_>, findings: &mut Vec<Finding>) {
    let reference = world.snapshot.kube.date.unwrap_or(world.snapshot.now);
    let limit = reference.plus(ALLOWED);
    let mut ahead: HashMap<Name, Ahead> = HashMap::new();
    let mut note = |node: Name, at: Option<Time>, what: &dyn Fn() -> String| {
        let Some(at) = at.filter(|at| *at > limit && !node.is_none()) else { return };
        let entry = ahead.entry(node).or_insert_with(|| Ahead { worst: at, what: what(), count: 0 });
        entry.count += 1;
        if at > entry.worst {
            (entry.worst, entry.what) = (at, what());
        }
    };
    for block in world.ledger.blocks() {
        for attribute in &block.attributes {
            for owner in [Some(&attribute.owner), attribute.alternate.as_deref()].into_iter().flatten() {
                note(owner.node, owner.timestamp, &|| {
                    format!("allocation of {} in {}", owner_text(world, owner), block.cidr)
                });
            }
        }
    }
    for endpoint in &world.snapshot.endpoints {
        let what = || format!("endpoint {}", world.pair(endpoint.namespace, endpoint.name));
        note(endpoint.node, endpoint.created, &what);
    }
    findings.extend(ahead.iter().map(|(&node, ahead)| report(world, node, ahead, reference)));
}

fn owner_text(world: &World<'_>, owner: &Owner) -> String {
    match owner.pod_name() {
        Some((namespace, pod)) => world.pair(namespace, pod),
        None => world.text(owner.kind).to_owned(),
    }
}

fn report(world: &World<'_>, node: Name, ahead: &Ahead, reference: Time) -> Finding {
    let name = world.text(node);
    let seconds = ahead.worst.since(reference).as_secs();
    let kubernetes = world.text(world.ledger.scope.kubernetes_name(node));
    let of = if world.snapshot.kube.date.is_some() { "the API server" } else { "this audit" };
    world
        .draft(
            &CHECK,
            Subject::new(SubjectKind::Node, name),
            format!("its clock is {seconds} s ahead of {of}: {}", ahead.what),
        )
        .advice("check the time on the node")
        .fact("node", name)
        .fact("ahead_seconds", seconds)
        .fact("worst", Evidence::new().with("what", ahead.what.as_str()).with("timestamp", ahead.worst))
        .fact("reference", reference)
        .fact("reference_is_api_server", world.snapshot.kube.date.is_some())
        .fact("timestamps_ahead", ahead.count)
        .on_node(node)
        .next(format!("kubectl debug node/{} -it --image=busybox -- date -u", shell(kubernetes)))
        .done()
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
        assert_eq!((found.len(), found[0].subject.id.as_str()), (1, "node-1"));
        assert_eq!(found[0].summary, "its clock is 90 s ahead of this audit: endpoint shop/node--1-k8s-web--1-eth0");
        assert_eq!(found[0].evidence.get("timestamps_ahead"), Some(&2_usize.into()));
    }

    #[test]
    fn the_api_servers_time_goes_before_ours() {
        let mut c = Cluster::healthy();
        c.endpoint_mut("web-2").created = later(&c, 90);
        c.snapshot.kube.date = later(&c, 40);
        assert!(c.find(&CHECK).is_empty());
        c.snapshot.kube.date = later(&c, 10);
        let found = c.find(&CHECK);
        assert!(found[0].summary.starts_with("its clock is 80 s ahead of the API server"), "{}", found[0].summary);
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
