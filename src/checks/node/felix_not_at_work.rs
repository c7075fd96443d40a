//! IPA724: Felix of a node does not do its work.

use super::common::sight::{NodeSight, sights};
use crate::checks::datastore::datastore_locked;
use crate::checks::evidence::count;
use crate::checks::prelude::*;
use crate::model::node_evidence::{KernelRoute, RouteProtocol};
use crate::model::{Foreign, Input, Version};

pub static CHECK: Check = Check {
    code: Code(724),
    name: "felix-not-at-work",
    severity: Severity::Warning,
    needs: Needs::E.and(Needs::W).and(Needs::C),
    steady: Steady::NodeReadApart,
    subject: SubjectKind::Node,
    finds: "A node with IPv4 host routes of metric 0 to interfaces whose endpoints list the address: CNI made them, and Felix, \
        which replaces each within a second by one with metric 1024, has not. Or the datastore is locked (IPA902): then \
        Felix ends within two seconds, and the kernel stays as it is.",
    matters: "Without Felix nobody follows: routes of pods that go and come, policy, other nodes' blocks.",
    arises: "calico-node is dead or hangs on the node, does not reach its datastore, or does not program routes \
        (`RouteSyncDisabled`).",
    action: "Look at calico-node on the node.",
    silent: "Calico before v3.32, which leaves metric 0; pods younger than a minute; IPv6, whose routes look the same from \
        both.",
    ties: Ties {
        harm: Harm::Threat,
        also: Needs::P,
        explained_by: Some(explained_by),
        many: "nodes where Felix does not work",
        ..Ties::OURS
    },
    run,
};

/// Felix makes routes with a metric since then.
const WITH_METRIC: Version = Version::release(3, 32, 0);

fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let datastore = finding.evidence.text("locked_datastore")?;
    causes.no_milder(finding, datastore_locked::CHECK.code, datastore.raw())
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let snapshot = world.snapshot;
    let is_locked = snapshot.cluster.meta.is_some() && snapshot.cluster.ready != Some(true);
    let is_unknown = snapshot.bad_values.iter().any(|bad| bad.input == Input::Config);
    let version = Version::parse(snapshot.text(snapshot.cluster.calico_version));
    let has_metric = version.is_none_or(|version| version >= WITH_METRIC);
    for sight in sights(world).filter(|sight| sight.knows_endpoints && world.ledger.scope.judged(sight.calico)) {
        let raw: Vec<_> =
            sight.workload_routes().filter(|(dev, route)| has_metric && is_of_cni(&sight, dev, route)).collect();
        let locked = is_locked && !is_unknown && !sight.endpoints.is_empty();
        if locked || !raw.is_empty() {
            findings.push(report(&sight, &raw, locked));
        }
    }
}

fn is_of_cni(sight: &NodeSight<'_>, dev: &Foreign, route: &KernelRoute) -> bool {
    let lists = |e: &&Endpoint| e.addresses().contains(&route.dst.first()) && sight.may_live(e);
    route.metric == 0
        && route.dst.is_v4()
        && route.protocol.known() == Some(RouteProtocol::Boot)
        && sight.endpoints_of(dev).iter().any(lists)
}

fn report(sight: &NodeSight<'_>, raw: &[(&Foreign, &KernelRoute)], locked: bool) -> Finding {
    let world = sight.world;
    let home = world.ledger.scope.kubernetes_name(sight.calico);
    let routes = count(raw.len(), "pod's route");
    let summary = match (locked, raw.len()) {
        (true, _) => "the datastore is locked: Felix has ended, and the kernel's routes stay as they are".to_owned(),
        (false, _) => format!("{routes} with metric 0 still, as CNI made it"),
    };
    let endpoints = raw.iter().flat_map(|(dev, _)| sight.endpoints_of(dev)).copied();
    world
        .draft(&CHECK, sight.name(), summary)
        .advice("look at calico-node on the node")
        .fact("addresses", raw.iter().map(|(_, route)| route.dst.first()).collect::<Vec<Addr>>())
        .fact("interfaces", raw.iter().map(|(dev, _)| *dev).collect::<Vec<&Foreign>>())
        .fact("locked_datastore", locked.then(|| world.snapshot.guid()))
        .at_node(sight.evidence)
        .next(format!(
            "kubectl get pods --all-namespaces -o wide -l k8s-app=calico-node --field-selector {}",
            selector(world, home)
        ))
        .looks_at(Look::Settings)
        .looks_at(Look::CalicoNode(sight.calico))
        .with_each(endpoints, |d, e| d.rests_on_endpoint(e).rests_on_pod_named(e.namespace, e.pod))
        .done()
}

fn selector(world: &World<'_>, node: Name) -> String {
    crate::checks::evidence::shell(&format!("spec.nodeName={}", world.text(node)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::Cluster;

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
    }

    fn dead() -> Cluster {
        let mut c = seen();
        c.node_mut().routes().iter_mut().filter(|r| r.metric == 1024).for_each(|r| r.metric = 0);
        c
    }

    #[test]
    fn metric_0_that_stays_is_cnis_own() {
        let found = dead().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1"));
        assert_eq!(found[0].summary, "2 pod's routes with metric 0 still, as CNI made it");
    }

    #[test]
    fn a_locked_datastore_ends_felix() {
        let mut c = seen();
        c.snapshot.cluster.ready = Some(false);
        assert_eq!(c.find(&CHECK)[0].evidence.text("locked_datastore").unwrap(), "guid-1");
    }

    #[test]
    fn older_releases_and_new_pods_have_metric_0() {
        for change in [
            (|c: &mut Cluster| c.snapshot.cluster.calico_version = c.name("v3.31.2")) as fn(&mut Cluster),
            |c| {
                let now = c.snapshot.now;
                c.each_pod(|pod| pod.created = Some(now));
            },
            |c| c.node_mut().readings = 0,
        ] {
            let mut c = dead();
            change(&mut c);
            if c.node_mut().readings == 0 {
                c.node_mut().readings = 2;
                c.node_mut().routes().iter_mut().for_each(|r| r.seen = 1);
            }
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
