//! IPA710: a pod's network namespace holds other addresses than everybody thinks.

use super::common::sight::{NodeSight, sights};
use super::common::trouble::pod_name;
use super::missing_interface;
use crate::checks::addresses::duplicate_pod_address;
use crate::checks::evidence::restarts::restart_it;
use crate::checks::prelude::*;
use crate::ledger::Workload;
use crate::model::Foreign;
use crate::model::node_evidence::PodInside;

pub static CHECK: Check = Check {
    code: Code(710),
    name: "pod-address-mismatch",
    severity: Severity::Error,
    needs: Needs::E.and(Needs::W).and(Needs::P),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Interface,
    finds: "A live pod that was looked into, whose network namespace lacks an address of its endpoint, or has one of a \
        Calico pool that is another workload's.",
    matters: "Traffic for the address reaches a pod that does not take it; a pod that uses another one's address takes \
        that one's answers.",
    arises: "The address was changed inside of the pod, by hand or by its own software, or the sandbox was made again and \
        the endpoint kept the old address.",
    action: "Restart the pod, unless its software changes addresses on purpose.",
    silent: "Further addresses that nobody else has: secondary networks, addresses that a pod gives itself, temporary ones \
        of IPv6. Virtual machines and pods that are young, terminating or moving.",
    ties: Ties {
        harm: Harm::Outage,
        explained_by: Some(explained_by),
        many: "pods with other addresses inside",
        ..Ties::OURS
    },
    run,
};

/// The address inside is another pod's too, and the datastore says so itself.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    let mut others = finding.evidence.texts("of_others").peekable();
    // An interface that is down inside has lost its IPv6 addresses.
    if others.peek().is_none() {
        return causes.no_milder(finding, missing_interface::CHECK.code, finding.subject.id.raw());
    }
    others.find_map(|address| causes.no_milder(finding, duplicate_pod_address::CHECK.code, address.raw()))
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world).filter(|sight| sight.knows_endpoints) {
        for (inside, interface) in sight.insides() {
            let (Some(interface), Some(addresses)) = (interface, inside.addresses.read()) else { continue };
            // Several endpoints on one interface say nothing of which one it is.
            let [endpoint] = sight.endpoints_of(interface) else { continue };
            let is_machine = matches!(world.ledger.workload_of(endpoint), Workload::Machine { .. });
            if is_machine || !sight.lives(endpoint) {
                continue;
            }
            let is_missing = |a: &Addr| !addresses.contains(a) && !inside.also.contains(a);
            let lacks: Vec<Addr> = endpoint.addresses().iter().copied().filter(is_missing).collect();
            let of_others: Vec<Addr> =
                addresses.iter().copied().filter(|a| is_anothers(&sight, endpoint, *a)).collect();
            if !lacks.is_empty() || !of_others.is_empty() {
                findings.push(report(&sight, interface, inside, endpoint, (&lacks, &of_others)));
            }
        }
    }
}

/// Whether another workload's endpoint lists the address, and nothing of this pod does.
fn is_anothers(sight: &NodeSight<'_>, endpoint: &Endpoint, address: Addr) -> bool {
    let (world, ledger) = (sight.world, sight.world.ledger);
    let own = ledger.endpoints_of_pod(endpoint.namespace, endpoint.pod).any(|e| e.addresses().contains(&address));
    let pod = ledger.pod(endpoint.namespace, endpoint.pod);
    let said = pod.is_some_and(|pod| {
        let lists = [pod.network_status(), pod.no_ipam(), pod.floating()];
        pod.addresses().contains(&address) || lists.iter().any(|list| list.contains(&address))
    });
    let workload = ledger.workload_of(endpoint);
    let other = |(e, grade): (&Endpoint, Grade)| grade != Grade::Stale && ledger.workload_of(e) != workload;
    !own && !said && world.pool_of(address).is_some() && ledger.endpoints_at(address).any(other)
}

fn report(
    sight: &NodeSight<'_>,
    interface: &Foreign,
    inside: &PodInside,
    endpoint: &Endpoint,
    (lacks, of_others): (&[Addr], &[Addr]),
) -> Finding {
    let world = sight.world;
    let words = |addresses: &[Addr]| addresses.iter().map(Addr::to_string).collect::<Vec<_>>().join(" ");
    let mut parts = Vec::new();
    if !lacks.is_empty() {
        parts.push(format!("lacks {} inside", words(lacks)));
    }
    if !of_others.is_empty() {
        parts.push(format!("has {} inside, which is another pod's", words(of_others)));
    }
    let pod = world.ledger.pod(endpoint.namespace, endpoint.pod);
    let held: Vec<Addr> = inside.addresses.each().copied().collect();
    world
        .draft(&CHECK, sight.id(interface.raw()), format!("{} {}", pod_name(sight, endpoint), parts.join(" and ")))
        .advice(format!("{}, unless its software changes addresses on purpose", restart_it(pod)))
        .restarts_pods(true)
        .fact("interfaces", vec![interface])
        .fact("lacks", lacks.to_vec())
        .fact("of_others", of_others.to_vec())
        .fact("addresses_inside", held)
        .fact("endpoint", world.endpoint_facts(endpoint))
        .at_node(sight.evidence)
        .in_namespace(endpoint.namespace)
        .with_each(lacks.iter().chain(of_others).take(1), |d, address| d.in_pool_of(*address))
        .restart_each(pod)
        .with_each(lacks.iter().chain(of_others), |d, address| d.next(format!("ipaudit who {address}")))
        .rests_on_endpoint(endpoint)
        .rests_on_pod_named(endpoint.namespace, endpoint.pod)
        .with_each(of_others.iter().flat_map(|a| world.ledger.endpoints_at(*a)), |d, (e, _)| d.rests_on_endpoint(e))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::node_evidence::Dump;

    fn with(inside: &[&str]) -> Cluster {
        let mut c = seen();
        c.node_mut().inside_of("web-0").addresses = Dump::Read(inside.iter().map(|a| addr(a)).collect());
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
        assert!(with(&["10.65.0.1", "172.16.0.7", "10.65.0.44"]).find(&CHECK).is_empty(), "nobody else has them");
    }

    #[test]
    fn an_address_that_is_lacking_and_one_of_another_pod() {
        let told = |inside: &[&str]| with(inside).find(&CHECK)[0].summary.raw().to_owned();
        assert_eq!(told(&[]), "shop/web-0 lacks 10.65.0.1 inside");
        assert_eq!(told(&["10.65.0.1", "10.65.0.2"]), "shop/web-0 has 10.65.0.2 inside, which is another pod's");
    }

    #[test]
    fn what_could_not_be_looked_into_lacks_nothing() {
        for change in [
            (|c: &mut Cluster| c.node_mut().inside_of("web-0").addresses = Dump::NotRead("EACCES".into()))
                as fn(&mut Cluster),
            |c| c.pod_mut("web-0").created = Some(c.ago(5)),
            |c| {
                let vmi = c.name("fedora");
                c.pod_mut("web-0").vmi = vmi;
            },
        ] {
            let mut c = with(&[]);
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }
}
