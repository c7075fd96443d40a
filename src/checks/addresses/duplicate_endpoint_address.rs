//! IPA102: one address in the endpoints of several workloads, whoever made them.

use std::collections::BTreeMap;

use crate::checks::addresses::duplicate_pod_address;
use crate::checks::evidence::{count, get_endpoint};
use crate::checks::holders::Parted;
use crate::checks::natural;
use crate::checks::prelude::*;
use crate::ledger::{EndpointState, Via, Workload};
use crate::model::Input;

pub static CHECK: Check = Check {
    code: Code(102),
    name: "duplicate-endpoint-address",
    severity: Severity::Error,
    needs: Needs::W,
    steady: Steady::OneMoment,
    subject: SubjectKind::Address,
    finds: "Workload endpoints of two or more different workloads list one address, whichever orchestrator made them \
        and whichever cluster they belong to. Critical when two or more of the workloads have live pods.",
    matters: "Felix programs routes and policy by endpoint. Of two nodes with an endpoint of one address the node \
        whose name sorts first gets the traffic; on one node the kernel's last route wins. An ADD with a fixed address \
        frees the addresses of an old endpoint by address alone, so even an endpoint without a pod is dangerous.",
    arises: "A CNI DEL that never ran left an endpoint behind and its address was given to somebody else; an address \
        was released under a running workload; two clusters use one pool.",
    action: "When pods of several workloads live, keep the one that IPAM's allocation names and restart the others, as \
        with IPA101. When one of the endpoints is left behind (IPA501), \
        delete that one, and only that one.",
    silent: "The endpoints belong to one workload: twins on several nodes (IPA503), several interfaces, the launcher \
        pods of one VirtualMachineInstance, a machine that another orchestrator migrates.",
    ties: Ties {
        harm: Harm::Outage,
        explained_by: Some(duplicate_pod_address::explains),
        many: "addresses that several endpoints list",
        between: "workload",
        explains: &[duplicate_pod_address::CHECK.code],
        ..Ties::ANYBODYS
    },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let shared = world.claims_by_address().filter(|(_, claims)| claims.iter().filter(|c| is_endpoint(c)).count() > 1);
    findings.extend(shared.filter_map(|(address, _)| judge(world, address)));
}

fn is_endpoint(claim: &Claim) -> bool {
    claim.via == Via::Object && matches!(claim.by, Claimant::Endpoint(_))
}

/// Endpoints that list one address, by workload.
type ByWorkload<'w> = BTreeMap<Workload<'w>, Vec<(&'w Endpoint, Grade)>>;

fn judge(world: &World<'_>, address: Addr) -> Option<Finding> {
    let mut workloads = ByWorkload::new();
    for (endpoint, grade) in world.ledger.endpoints_at(address) {
        workloads.entry(world.ledger.workload_of(endpoint)).or_default().push((endpoint, grade));
    }
    (workloads.len() > 1).then(|| report(world, address, &workloads))
}

fn report(world: &World<'_>, address: Addr, workloads: &ByWorkload<'_>) -> Finding {
    let ledger = world.ledger;
    let is_live = |e: &Endpoint| ledger.endpoint_state(e) == EndpointState::Live;
    let live = workloads.values().filter(|of_one| of_one.iter().any(|(e, _)| is_live(e))).count();
    let mut endpoints: Vec<(&Endpoint, Grade)> = workloads.values().flatten().copied().collect();
    endpoints.sort_by_key(|(e, _)| (world.text(e.node), world.snapshot.endpoint_id(e)));
    let stale: Vec<&Endpoint> = endpoints.iter().filter(|(_, g)| *g == Grade::Stale).map(|(e, _)| *e).collect();
    let mut names: Vec<String> = workloads.keys().map(|w| ledger.workload_text(*w)).collect();
    names.sort_by(|a, b| natural(a, b));
    let unjudged = unjudged(world);
    let living = match unjudged {
        None => format!("{live} live"),
        Some(why) => format!("which of them live is not known ({why})"),
    };
    let summary = format!("{} of {}, {living}", count(endpoints.len(), "endpoint"), count(names.len(), "workload"));
    let parted = (live > 1).then(|| world.part(address, &live_pods(world, &endpoints)));
    let advice = match (&parted, stale.as_slice()) {
        (Some(parted), _) => parted.advice(world),
        (_, []) if unjudged.is_some() => "delete none of them before an audit can tell which of them live".to_owned(),
        (_, []) if endpoints.len() == 2 => "find out which of them lives; the other endpoint must go".to_owned(),
        (_, []) => "find out which of them lives; the other endpoints must go".to_owned(),
        (_, stale) => format!("{} left behind: nobody lives there any more", count(stale.len(), "endpoint")),
    };
    world
        .draft(&CHECK, address, summary)
        .severity(if live > 1 { Severity::Critical } else { Severity::Error })
        .fact("workloads", names)
        .fact("live_workloads", unjudged.is_none().then_some(live))
        .list("endpoints", &endpoints, |(e, grade)| facts(world, e, *grade))
        .fact("traffic", traffic(world, &endpoints))
        .list("ipam", ledger.allocations_at(address), |a| world.allocation_facts(a))
        .advice(advice)
        .with_each(&parted, |d, parted| d.keep_and_restart(world, parted))
        .on_node(node_of(world, &endpoints, parted.as_ref(), &stale))
        .in_namespace(endpoints.first().map(|(e, _)| e.namespace).unwrap_or_default())
        .in_pool_of(address)
        .with_each(endpoints, |d, (e, _)| d.rests_on_endpoint(e))
        .next(format!("ipaudit who {address}"))
        .with_each(stale.into_iter().take(1), |d, e| d.next(look_at(world, e)))
        .done()
}

/// The node where something is to be done: that of the first pod to restart, else of the first endpoint left behind.
fn node_of(
    world: &World<'_>,
    endpoints: &[(&Endpoint, Grade)],
    parted: Option<&Parted<'_>>,
    stale: &[&Endpoint],
) -> Name {
    let restart = parted.and_then(|parted| parted.restart().first().map(|pod| world.home(pod)));
    let first = || stale.first().map(|e| e.node).or_else(|| endpoints.first().map(|(e, _)| e.node));
    restart.or_else(first).unwrap_or_default()
}

/// The pods of endpoints that live, each once.
fn live_pods<'w>(world: &World<'w>, endpoints: &[(&Endpoint, Grade)]) -> Vec<&'w Pod> {
    let live = endpoints.iter().filter(|(e, _)| world.ledger.endpoint_state(e) == EndpointState::Live);
    let mut pods: Vec<&Pod> = live.filter_map(|(e, _)| world.ledger.pod(e.namespace, e.pod)).collect();
    pods.sort_by_cached_key(|pod| world.pod_id(pod));
    pods.dedup_by_key(|pod| pod.uid);
    pods
}

/// Why nobody can say of any endpoint whether its pod lives: no pod seen is not no pod there.
fn unjudged(world: &World<'_>) -> Option<&'static str> {
    if !world.snapshot.coverage.complete(Input::Pods) {
        return Some("pods were not read");
    }
    (!world.ledger.pairing.holds()).then_some("nobody knows that API server and datastore belong together")
}

/// Who gets the traffic: Felix takes the endpoint of the node whose name sorts first; among several endpoints
/// on that node the kernel's route decides, which only the node knows.
fn traffic(world: &World<'_>, endpoints: &[(&Endpoint, Grade)]) -> Evidence {
    let node = endpoints.iter().map(|(e, _)| world.text(e.node)).min().unwrap_or_default();
    let there = endpoints.iter().filter(|(e, _)| world.text(e.node) == node);
    let there: Vec<String> = there.map(|(e, _)| world.snapshot.endpoint_id(e)).collect();
    Evidence::new().with("node", node).with("certain", there.len() == 1).with("endpoints", there)
}

fn facts(world: &World<'_>, endpoint: &Endpoint, grade: Grade) -> Evidence {
    let workload = world.ledger.workload_text(world.ledger.workload_of(endpoint));
    world.endpoint_facts(endpoint).with("workload", workload).with("grade", grade.word())
}

fn look_at(world: &World<'_>, endpoint: &Endpoint) -> String {
    get_endpoint(world.text(endpoint.namespace), &endpoint.name().text(&world.snapshot.names))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::{Fact, InputState, Orchestrator, Phase};

    /// web-1's address stands in web-2's endpoint too.
    fn doubled() -> Cluster {
        let mut c = Cluster::healthy();
        c.pod_mut("web-2").addresses = [addr("10.65.0.2")].into();
        c.endpoint_mut("web-2").addresses = [addr("10.65.0.2")].into();
        c
    }

    fn traffic_of(finding: &Finding) -> (Option<Fact>, Option<Fact>) {
        match finding.evidence.get("traffic") {
            Some(Fact::Fields(traffic)) => (traffic.get("node").cloned(), traffic.get("certain").cloned()),
            _ => (None, None),
        }
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn endpoints_of_two_live_pods_are_critical_and_the_first_node_gets_the_traffic() {
        let found = doubled().find(&CHECK);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].subject.id.raw(), found[0].severity), ("10.65.0.2", Severity::Critical));
        assert_eq!(found[0].summary, "2 endpoints of 2 workloads, 2 live");
        assert_eq!(traffic_of(&found[0]), (Some("node-1".into()), Some(Fact::Flag(true))));
        assert_eq!(found[0].rests.len(), 2);
        assert_eq!(found[0].advice, "IPAM gave it to shop/web-1: keep that, restart shop/web-2");
        assert_eq!(found[0].next, ["kubectl -n shop delete pod web-2", "ipaudit who 10.65.0.2"]);
        assert_eq!(found[0].evidence.text("keep").map(|pod| pod.raw()), Some("shop/web-1"));
        let mut c = doubled();
        c.free("10.65.0.2");
        let found = c.find(&CHECK);
        assert_eq!(found[0].advice, "IPAM gave it to none of them: restart both");
        assert_eq!(found[0].evidence.texts("restart").count(), 2);
    }

    /// IPA101 tells neither: nobody holds the address for certain.
    #[test]
    fn pods_that_end_or_have_no_status_yet_are_named_with_what_restarts_them() {
        let mut c = doubled();
        let now = c.snapshot.now;
        for pod in ["web-1", "web-2"] {
            c.pod_mut(pod).deleting = Some(now);
        }
        assert!(c.find(&duplicate_pod_address::CHECK).is_empty());
        let found = c.find(&CHECK);
        let says = "all of them are Terminating already: wait for the end of shop/web-2, shop/web-1";
        assert_eq!((found[0].severity, found[0].advice.raw()), (Severity::Critical, says));
        assert_eq!(found[0].next, ["kubectl -n shop describe pod web-2", "ipaudit who 10.65.0.2"]);
        c.pod_mut("web-1").deleting = None;
        let found = c.find(&CHECK);
        let says =
            "IPAM gave it to shop/web-1: keep that, wait for the end of shop/web-2, which is Terminating already";
        assert_eq!(found[0].advice, says);
        assert_eq!(found[0].next, ["kubectl -n shop describe pod web-2", "ipaudit who 10.65.0.2"]);
        assert_eq!(found[0].evidence.texts("restart").count(), 0);
        let mut c = doubled();
        for pod in ["web-1", "web-2"] {
            c.pod_mut(pod).addresses = [].into();
        }
        let found = c.find(&CHECK);
        assert_eq!(found[0].advice, "IPAM gave it to shop/web-1: keep that, restart shop/web-2");
        assert_eq!(found[0].next[0], "kubectl -n shop delete pod web-2");
    }

    /// A machine that migrates has two pods and keeps both; one left behind beside them is looked at after the restarts.
    #[test]
    fn of_a_machine_that_keeps_its_address_no_pod_is_restarted() {
        let mut c = doubled();
        c.endpoint("shop", "copy-0", "node-2", "c0ffee", &["10.65.0.2"]);
        c.workload("shop", "web-9", "node-2", &["10.65.0.2"]);
        let vm = c.name("vm");
        c.pod_mut("web-1").vmi = vm;
        c.pod_mut("web-9").vmi = vm;
        let found = c.find(&CHECK);
        let restart: Vec<&str> = found[0].evidence.texts("restart").map(|pod| pod.raw()).collect();
        assert_eq!(restart, ["shop/web-2"]);
        assert!(found[0].next[2].raw().starts_with("calicoctl get workloadendpoint "), "{:?}", found[0].next);
    }

    #[test]
    fn a_stale_endpoint_counts_and_is_no_more_than_an_error() {
        let mut c = Cluster::healthy();
        c.endpoint("shop", "copy-0", "node-2", "c0ffee", &["10.65.0.2"]);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Error));
        assert_eq!(found[0].advice, "1 endpoint left behind: nobody lives there any more");
        assert_eq!(
            found[0].next[1],
            "calicoctl get workloadendpoint node--2-k8s-copy--0-eth0 --namespace=shop -o yaml"
        );
        let mut c = doubled();
        c.pod_mut("web-2").phase = Phase::Succeeded;
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error);
    }

    #[test]
    fn several_on_the_first_node_leave_the_traffic_open() {
        let mut c = Cluster::healthy();
        c.endpoint_mut("web-0").addresses = [addr("10.65.0.2")].into();
        let found = c.find(&CHECK);
        assert_eq!(traffic_of(&found[0]), (Some("node-1".into()), Some(Fact::Flag(false))));
    }

    #[test]
    fn any_orchestrator_and_every_cluster_count() {
        let mut c = Cluster::healthy();
        let (docker, id) = (c.name("libnetwork"), c.name("ep1"));
        let mut e = c.endpoint("default", "libnetwork", "far-away", "", &["10.65.0.2"]);
        (e.orchestrator, e.endpoint) = (Orchestrator::Other(docker), id);
        drop(e);
        assert_eq!(c.subjects(&CHECK), ["10.65.0.2"]);
        // Two more containers of Docker alone (calico#2461).
        let mut c = Cluster::healthy();
        for id in ["ep1", "ep2"] {
            let (docker, id) = (c.name("libnetwork"), c.name(id));
            let mut e = c.endpoint("default", "libnetwork", "far-away", "", &["10.65.0.9"]);
            (e.orchestrator, e.endpoint) = (Orchestrator::Other(docker), id);
        }
        assert_eq!(c.subjects(&CHECK), ["10.65.0.9"]);
    }

    #[test]
    fn another_clusters_namesake_is_another_workload() {
        let mut c = Cluster::healthy();
        c.node("east-1", "192.168.9.1");
        c.remove_kube_node("east-1");
        c.endpoint("shop", "web-1", "east-1", "ea57", &["10.65.0.2"]);
        assert_eq!(c.subjects(&CHECK), ["10.65.0.2"]);
        c.scope = crate::ledger::ScopeFlag::Exclusive;
        assert!(c.find(&CHECK).is_empty(), "of a departed node it is a twin: IPA503");
    }

    #[test]
    fn twins_of_one_workload_are_none() {
        let mut c = Cluster::healthy();
        c.endpoint("shop", "web-1", "node-2", "01d", &["10.65.0.2"]);
        assert!(c.find(&CHECK).is_empty());
        // Kubernetes knows the twin's node, though its Calico Node is gone.
        c.node("node-3", "192.168.0.3");
        c.remove_calico_node("node-3");
        c.endpoint("shop", "web-1", "node-3", "01d", &["10.65.0.2"]);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_live_migration_is_one_workload_even_when_pods_could_not_be_read() {
        let mut c = Cluster::healthy();
        c.workload("vms", "virt-launcher-fedora-aaaaa", "node-1", &["10.65.0.9"]);
        c.pod("vms", "virt-launcher-fedora-bbbbb", "node-2", &["10.65.0.9"]);
        c.endpoint("vms", "virt-launcher-fedora-bbbbb", "node-2", "b0", &["10.65.0.9"]);
        let fedora = c.name("fedora");
        c.pod_mut("virt-launcher-fedora-aaaaa").vmi = fedora;
        c.pod_mut("virt-launcher-fedora-bbbbb").vmi = fedora;
        assert!(c.find(&CHECK).is_empty());
        c.remove_pod("virt-launcher-fedora-aaaaa");
        assert!(c.find(&CHECK).is_empty(), "the source pod is gone, its endpoint is still there");
        c.snapshot.pods.clear();
        c.snapshot.coverage.set(Input::Pods, InputState::Forbidden, "");
        assert!(c.find(&CHECK).is_empty());
        c.endpoint("vms", "virt-launcher-alpine-ccccc", "node-2", "c0", &["10.65.0.9"]);
        assert_eq!(c.subjects(&CHECK), ["10.65.0.9"], "another machine");
    }

    #[test]
    fn without_pods_nobody_knows_who_lives_and_nothing_must_go() {
        let mut c = doubled();
        c.snapshot.coverage.set(Input::Pods, InputState::Forbidden, "");
        let found = c.find(&CHECK);
        assert_eq!(found[0].severity, Severity::Error);
        let says = "2 endpoints of 2 workloads, which of them live is not known (pods were not read)";
        assert_eq!(found[0].summary, says);
        assert_eq!(found[0].advice, "delete none of them before an audit can tell which of them live");
        assert_eq!(found[0].evidence.get("live_workloads"), Some(&None::<u64>.into()));
        // Another cluster's pods say nothing either.
        let mut c = doubled();
        for (i, node) in ["east-1", "east-2"].into_iter().enumerate() {
            c.snapshot.kube_nodes[i].name = c.snapshot.names.intern(node);
        }
        let found = c.find(&CHECK);
        assert!(found[0].summary.raw().contains("live is not known (nobody knows that"), "{:?}", found[0].summary);
    }

    #[test]
    fn of_many_endpoints_the_others_must_go() {
        for (pods, says) in [(2, "the other endpoint must go"), (3, "the other endpoints must go")] {
            let mut c = Cluster::healthy();
            for i in 0..pods {
                let (docker, id) = (c.name("libnetwork"), c.name(&format!("ep{i}")));
                let mut e = c.endpoint("default", "libnetwork", "far-away", "", &["10.65.0.9"]);
                (e.orchestrator, e.endpoint) = (Orchestrator::Other(docker), id);
            }
            let found = c.find(&CHECK);
            assert!(found[0].advice.raw().ends_with(says), "{pods}: {:?}", found[0].advice);
        }
    }

    #[test]
    fn floating_addresses_and_pods_without_endpoint_are_other_checks_work() {
        let mut c = doubled();
        c.remove_endpoint("web-2");
        c.endpoint_mut("web-0").nats =
            [crate::model::Nat { internal: addr("10.65.0.1"), external: addr("10.65.0.2") }].into();
        assert!(c.find(&CHECK).is_empty());
    }
}
