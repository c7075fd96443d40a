//! IPA101: one address, several pods. The incident of 2017.

use crate::checks::evidence::{Draft, count};
use crate::checks::prelude::*;
use crate::ledger::{EndpointState, Via, Workload};
use crate::model::Foreign;

pub static CHECK: Check = Check {
    code: Code(101),
    name: "duplicate-pod-address",
    severity: Severity::Critical,
    needs: Needs::P.and(Needs::W).and(Needs::N),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "Two or more pods of different workloads hold one address for certain: their status lists it, and their \
        endpoint on the same node lists it too (or they are Ready and lost their endpoint).",
    matters: "Only one of them gets the traffic; the others answer nobody or, worse, answer for each other. The kernel \
        of the node decides by its route, and nothing in Kubernetes shows it.",
    arises: "An address is released under a running pod (by `calicoctl ipam release`, a collector, a restored etcd, a \
        DEL for an old container) and IPAM hands it out again. Each new pod then repeats it.",
    action: "Keep the pod that IPAM's allocation names and restart the others; restart controllers' pods first, they \
        come back with a new address. Then look for IPA120: the addresses that will be next.",
    silent: "Finished pods, pods in the host's network, and launcher pods of one VirtualMachineInstance (a live \
        migration shares the address). A terminating pod whose endpoint is gone accuses nobody. With only one certain \
        holder and possible ones (an endpoint of another orchestrator or another cluster too), the finding is a \
        warning.",
    ties: Ties {
        harm: Harm::Outage,
        shows,
        many: "addresses held by several pods",
        urgency: Some(urgency),
        ..Ties::OURS
    },
    run,
};

/// How many endpoints list the address; the pods are on several nodes.
fn shows(finding: &Finding) -> Shown {
    let behind = match finding.evidence.entries("endpoints").count() {
        0 => Foreign::default(),
        many => format!(", {}", count(many, "endpoint")).into(),
    };
    Shown { behind, on_many_nodes: true, ..Shown::default() }
}

/// The most holders first.
fn urgency(finding: &Finding) -> u64 {
    u64::MAX - finding.evidence.entries("pods").count() as u64
}

/// Two pods with one address explain whatever else is wrong with that address.
pub fn explains(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let of_address = finding.subject.kind == SubjectKind::Address;
    of_address.then(|| causes.no_milder(finding, CHECK.code, finding.subject.id.raw()))?
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let shared = world.claims_by_address().filter(|(_, claims)| claims.len() > 1);
    findings.extend(shared.filter_map(|(address, claims)| judge(world, address, claims)));
}

fn judge(world: &World<'_>, address: Addr, claims: &[Claim]) -> Option<Finding> {
    let certain: Vec<&Pod> = world.ledger.pods_by_grade(address, Grade::Certain).collect();
    let workload = |pod: &Pod| if pod.vmi().is_none() { (pod.namespace, pod.name) } else { (pod.namespace, pod.vmi()) };
    let first = workload(certain.first()?);
    if certain.iter().any(|p| workload(p) != first) {
        return Some(duplicate(world, address, &certain));
    }
    let first = certain.first().map(|pod| world.ledger.workload_of_pod(pod))?;
    let mut possible = possible_holders(world, claims);
    possible.retain(|holder| holder.workload(world) != first);
    (!possible.is_empty()).then(|| possible_duplicate(world, address, &certain, &possible))
}

/// Who may hold the address beside the one that does.
enum Possible<'w> {
    Pod(&'w Pod),
    /// An endpoint that stands for no pod of this cluster: another orchestrator's, another cluster's, a plain host's.
    Endpoint(&'w Endpoint),
}

impl<'w> Possible<'w> {
    fn workload(&self, world: &World<'w>) -> Workload<'w> {
        match self {
            Possible::Pod(pod) => world.ledger.workload_of_pod(pod),
            Possible::Endpoint(endpoint) => world.ledger.workload_of(endpoint),
        }
    }

    fn text(&self, world: &World<'w>) -> String {
        match self {
            Possible::Pod(pod) => world.pod_id(pod),
            Possible::Endpoint(_) => world.ledger.workload_text(self.workload(world)),
        }
    }
}

/// Who may hold the address: pods by their status, by an endpoint of theirs without status, or on a secondary network;
/// and endpoints of others. A terminating pod without endpoint is not even that; a floating address is no pod's own.
fn possible_holders<'w>(world: &World<'w>, claims: &[Claim]) -> Vec<Possible<'w>> {
    let ledger = world.ledger;
    let accuses = |pod: &&Pod| {
        pod.may_hold()
            && (!pod.is_terminating() || ledger.endpoints_at_home(pod).next().is_some())
            && ledger.scope.kubernetes_node_is_ours(pod.node)
    };
    let own = |c: &&Claim| c.grade == Grade::Possible && matches!(c.via, Via::Object | Via::NetworkStatus);
    let (mut pods, mut endpoints): (Vec<&Pod>, Vec<&Endpoint>) = (Vec::new(), Vec::new());
    for claim in claims.iter().filter(own) {
        match claim.by {
            Claimant::Pod(index) => pods.extend(world.snapshot.pods.get(index as usize)),
            Claimant::Endpoint(index) => {
                let Some(endpoint) = world.snapshot.endpoints.get(index as usize) else { continue };
                match ledger.endpoint_state_at(index) {
                    EndpointState::NotJudged => endpoints.push(endpoint),
                    _ => pods.extend(ledger.pod(endpoint.namespace, endpoint.pod)),
                }
            }
            _ => {}
        }
    }
    pods.retain(accuses);
    pods.sort_by_cached_key(|p| world.pod_id(p));
    pods.dedup_by_key(|p| p.uid);
    endpoints.sort_by_cached_key(|e| (world.text(e.node), world.snapshot.endpoint_id(e)));
    pods.into_iter().map(Possible::Pod).chain(endpoints.into_iter().map(Possible::Endpoint)).collect()
}

fn duplicate(world: &World<'_>, address: Addr, pods: &[&Pod]) -> Finding {
    let parted = world.part(address, pods);
    let summary = format!("{} on {}", world.who(pods), nodes(world, pods));
    let draft = with_holders(world, address, summary, pods).advice(parted.advice(world));
    draft.keep_and_restart(world, &parted).next(format!("ipaudit who {address}")).done()
}

fn possible_duplicate(world: &World<'_>, address: Addr, certain: &[&Pod], possible: &[Possible<'_>]) -> Finding {
    let pods = possible.iter().filter_map(|holder| if let Possible::Pod(pod) = holder { Some(*pod) } else { None });
    let all: Vec<&Pod> = certain.iter().copied().chain(pods).collect();
    let mut others: Vec<String> = possible.iter().map(|holder| holder.text(world)).collect();
    others.dedup();
    let summary = format!("{} and perhaps {}", world.pod_id(certain[0]), few(&others, ", "));
    with_holders(world, address, summary, &all)
        .severity(Severity::Warning)
        .advice("look at the workloads' interfaces before restarting any of them")
        .restarts_pods(true)
        .fact("possible", others)
        .next(format!("ipaudit who {address}"))
        .done()
}

fn with_holders<'w>(world: &'w World<'w>, address: Addr, summary: String, pods: &[&Pod]) -> Draft<'w> {
    let ledger = world.ledger;
    let allocations = ledger.allocations_at(address);
    let endpoints: Vec<_> = ledger.endpoints_at(address).collect();
    world
        .draft(&CHECK, address, summary)
        .list("pods", pods, |p| world.pod_facts(p))
        .list("endpoints", &endpoints, |(e, grade)| world.endpoint_facts(e).with("grade", grade.word()))
        .list("ipam", allocations.iter(), |a| world.allocation_facts(a))
        .on_node(world.home(pods[0]))
        .in_namespace(pods[0].namespace)
        .in_pool_of(address)
        .rests_on_holders(world, pods)
        .with_each(endpoints, |d, (e, _)| d.rests_on_endpoint(e))
        .with_each(allocations, |d, a| d.rests_on_allocation(a))
}

/// Of several pods with one address those to restart: all but the one that IPAM gave it to, where IPAM says so; else all but
/// who has the node's route.
pub fn to_restart<'w>(
    world: &World<'w>,
    address: Addr,
    here: impl Iterator<Item = &'w Endpoint>,
    has_route: impl Fn(&Endpoint) -> bool,
) -> (Option<&'w Pod>, Vec<&'w Pod>) {
    let ledger = world.ledger;
    let all: Vec<(&Pod, bool)> = here.filter_map(|e| Some((ledger.pod(e.namespace, e.pod)?, has_route(e)))).collect();
    // IPAM's own may be on another node.
    let mut holders: Vec<&Pod> = ledger.pods_by_grade(address, Grade::Certain).collect();
    holders.extend(all.iter().map(|(pod, _)| *pod));
    let keep = world.pod_to_keep(address, &holders);
    let is_lost = |pod: &Pod, has_route: bool| keep.map_or(!has_route, |keep| keep.uid != pod.uid);
    let mut restart: Vec<&Pod> = Vec::new();
    for (pod, has_route) in all {
        if is_lost(pod, has_route) && restart.iter().all(|before| before.uid != pod.uid) {
            restart.push(pod);
        }
    }
    (keep, restart)
}

/// What is to be done with them.
pub fn restart_advice(world: &World<'_>, keep: Option<&Pod>) -> String {
    match keep {
        Some(pod) => {
            format!(
                "IPAM gave it to {}: keep that, restart the others: each takes an address of its own",
                world.pod_id(pod)
            )
        }
        None => "restart the pods that are cut off: each takes an address of its own".to_owned(),
    }
}

fn nodes(world: &World<'_>, pods: &[&Pod]) -> String {
    let mut nodes: Vec<&str> = pods.iter().map(|p| world.text(p.node)).collect();
    nodes.sort_by(|a, b| crate::checks::natural(a, b));
    nodes.dedup();
    match nodes.as_slice() {
        [node] => (*node).to_owned(),
        [a, b] => format!("{a} and {b}"),
        many => format!("{} nodes", many.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::Orchestrator;

    /// web-1's address is given to web-2 as well, endpoint included.
    fn doubled() -> Cluster {
        let mut c = Cluster::healthy();
        let address: Box<[Addr]> = ["10.65.0.2".parse().unwrap()].into();
        c.pod_mut("web-2").addresses = address.clone();
        c.endpoint_mut("web-2").addresses = address;
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn two_certain_holders_are_critical_and_ipams_own_is_kept() {
        let found = doubled().find(&CHECK);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].subject.id.raw(), found[0].severity), ("10.65.0.2", Severity::Critical));
        assert_eq!(found[0].advice, "IPAM gave it to shop/web-1: keep that, restart shop/web-2");
        assert_eq!(found[0].next, ["kubectl -n shop delete pod web-2", "ipaudit who 10.65.0.2"]);
        assert_eq!(found[0].summary, "2 pods on node-1 and node-2");
    }

    #[test]
    fn launcher_pods_of_one_machine_are_one_workload() {
        let mut c = doubled();
        let fedora = c.name("fedora");
        c.pod_mut("web-1").vmi = fedora;
        c.pod_mut("web-2").vmi = fedora;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_finished_or_host_network_pod_holds_nothing() {
        let mut c = doubled();
        c.pod_mut("web-2").phase = crate::model::Phase::Failed;
        assert!(c.find(&CHECK).is_empty());
        let mut c = doubled();
        c.pod_mut("web-2").host_network = true;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn a_terminating_pod_makes_a_warning_only_while_its_endpoint_is_there() {
        let mut c = doubled();
        let now = c.snapshot.now;
        c.pod_mut("web-2").deleting = Some(now);
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
        c.remove_endpoint("web-2");
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn an_endpoint_without_status_and_a_secondary_network_make_a_warning() {
        let mut c = Cluster::healthy();
        c.endpoint_mut("web-2").addresses = ["10.65.0.2".parse().unwrap()].into();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
        assert_eq!(found[0].summary, "shop/web-1 and perhaps shop/web-2");
        let mut c = Cluster::healthy();
        c.pod_mut("web-2").network_status = ["10.65.0.2".parse().unwrap()].into();
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning);
        c.pod_mut("web-2").network_status = [].into();
        c.pod_mut("web-2").floating = ["10.65.0.2".parse().unwrap()].into();
        assert!(c.find(&CHECK).is_empty(), "IPA117 tells floating addresses");
    }

    /// A container that the CNI plugin wired up outside Kubernetes, another cluster's pod, a plain host's workload.
    #[test]
    fn an_endpoint_that_is_no_pods_of_ours_makes_a_warning() {
        let with = |node: &str, orchestrator: &str| {
            let mut c = Cluster::healthy();
            c.node("east-1", "192.168.7.1");
            c.remove_kube_node("east-1");
            c.endpoint("shop", "web-1", node, "0123", &["10.65.0.2"]);
            let word = match orchestrator {
                "k8s" => Orchestrator::Kubernetes,
                "cni" => Orchestrator::Cni,
                other => Orchestrator::Other(c.name(other)),
            };
            c.last_endpoint().orchestrator = word;
            c
        };
        for (node, orchestrator, says) in [
            ("node-2", "cni", "shop/web-1 and perhaps cni 0123"),
            ("node-2", "openstack", "shop/web-1 and perhaps openstack web-1"),
            ("east-1", "k8s", "shop/web-1 and perhaps shop/web-1 (outside this cluster)"),
        ] {
            let found = with(node, orchestrator).find(&CHECK);
            assert_eq!((found.len(), found[0].severity), (1, Severity::Warning), "{orchestrator} on {node}");
            assert_eq!(found[0].summary, says);
            assert!(found[0].next.iter().all(|next| !next.raw().contains("delete pod")), "{:?}", found[0].next);
        }
        // Its own endpoint of another node is its twin (IPA503), not another workload.
        assert!(with("node-2", "k8s").find(&CHECK).is_empty());
    }

    #[test]
    fn a_ready_pod_that_lost_its_endpoint_is_certain() {
        let mut c = doubled();
        c.remove_endpoint("web-2");
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Critical);
        c.pod_mut("web-2").ready = false;
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning);
    }
}
