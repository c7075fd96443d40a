//! IPA116: a LoadBalancer service shows an address that IPAM believes free.

use std::collections::BTreeMap;

use crate::checks::natural;
use crate::checks::prelude::*;
use crate::ledger::Belief;
use crate::model::Service;

pub static CHECK: Check = Check {
    code: Code(116),
    name: "service-address-unallocated",
    severity: Severity::Error,
    needs: Needs::B.and(Needs::S).and(Needs::C).and(Needs::O),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "The ingress address of a LoadBalancer service that Calico manages lies in a pool, and IPAM has it free (or \
        cooling down, which is free a moment later).",
    matters: "The next service of that pool gets the same address; traffic for one then reaches the other.",
    arises: "A restored etcd, a release by hand, or a status that somebody wrote without asking IPAM.",
    action: "Make kube-controllers book it again: restart it, or change the service's type back and forth when the \
        address may change.",
    silent: "Calico does not manage the service (another class, or only requested services are managed); the service \
        is being deleted; the address lies in no pool, or in a block that does not decode.",
    ties: Ties { harm: Harm::Threat, many: "service addresses that IPAM calls free", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let mut unbooked: BTreeMap<Addr, Vec<&Service>> = BTreeMap::new();
    for claim in world.ledger.claims.iter().filter(|c| c.grade == Grade::Certain) {
        let Claimant::Service(index) = claim.by else { continue };
        let Some(service) = world.snapshot.services.get(index as usize) else { continue };
        if service.deleting.is_none() && is_unbooked(world, claim.address) {
            unbooked.entry(claim.address).or_default().push(service);
        }
    }
    findings.extend(unbooked.iter().map(|(address, services)| report(world, *address, services)));
}

fn is_unbooked(world: &World<'_>, address: Addr) -> bool {
    world.pool_of(address).is_some() && matches!(world.ledger.belief(address), Belief::Free(_) | Belief::Cooling)
}

fn report(world: &World<'_>, address: Addr, services: &[&Service]) -> Finding {
    let ledger = world.ledger;
    let belief = ledger.belief(address);
    let mut ids: Vec<String> = services.iter().map(|s| world.pair(s.namespace, s.name)).collect();
    ids.sort_by(|a, b| natural(a, b));
    let allocations = ledger.allocations_at(address);
    let place = if let Belief::Free(Some((_, place))) = belief { Some(place) } else { None };
    world
        .draft(&CHECK, address, format!("shown by service {}, {}", few(&ids, ", "), belief.word()))
        .advice("make kube-controllers book it again before another service gets it")
        .fact("services", ids)
        .fact("recorded", belief.word())
        .fact("queue_place", place)
        .list("ipam", allocations.iter(), |a| world.allocation_facts(a))
        .in_namespace(services.first().map(|s| s.namespace).unwrap_or_default())
        .in_pool_of(address)
        .with_each(services, |d, service| d.rests_on_service(service))
        .with_each(allocations, |d, a| d.rests_on_allocation(a))
        .looks_at_blocks_of(address)
        .looks_at(Look::Settings)
        .next("kubectl get pods --all-namespaces -l k8s-app=calico-kube-controllers")
        .next(format!("ipaudit who {address}"))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::{AttributeFields, BadValue, Input, LoadBalancerMode, snapshot::Dark};

    /// edge/api with 10.65.9.1, in the LoadBalancer's block and pool, booked.
    fn booked() -> Cluster {
        let mut c = Cluster::healthy();
        c.block("10.65.9.0/28", None);
        c.service("edge", "api", "10.65.9.1");
        c.allocate("10.65.9.1", AttributeFields::default());
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(booked().find(&CHECK).is_empty());
    }

    #[test]
    fn free_cooling_and_without_a_block_are_unbooked() {
        let mut c = booked();
        c.free("10.65.9.1");
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.9.1"));
        assert_eq!(found[0].summary, "shown by service edge/api, free");
        assert_eq!(found[0].rests.len(), 3, "service, block, pools");
        let mut c = booked();
        let now = c.snapshot.now;
        c.attribute_mut("10.65.9.1").released_at = Some(now);
        assert_eq!(c.find(&CHECK)[0].summary, "shown by service edge/api, cooling");
        let mut c = booked();
        c.service("edge", "web", "10.65.77.1");
        assert_eq!(c.subjects(&CHECK), ["10.65.77.1"]);
    }

    #[test]
    fn two_services_with_one_free_address_are_one_finding() {
        let mut c = booked();
        c.service("edge", "web", "10.65.9.2");
        c.service("edge", "web-2", "10.65.9.2");
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].summary.raw()), (1, "shown by service edge/web, edge/web-2, free"));
    }

    /// Our own service's address is ours to judge, shared datastore or not.
    #[test]
    fn the_scope_need_not_be_exclusive() {
        let mut c = booked();
        c.free("10.65.9.1");
        c.node("east-1", "192.168.9.1");
        c.remove_kube_node("east-1");
        assert_eq!(c.subjects(&CHECK), ["10.65.9.1"]);
    }

    #[test]
    fn what_calico_does_not_manage_is_none() {
        let mut c = booked();
        c.free("10.65.9.1");
        let (metallb, calico) = (c.name("metallb.io/metallb"), c.name("calico"));
        let mut found = |change: &dyn Fn(&mut Service), mode| {
            let before = c.snapshot.services.clone();
            change(&mut c.snapshot.services[0]);
            c.snapshot.kube_controllers.load_balancer = mode;
            let found = c.find(&CHECK).len();
            c.snapshot.services = before;
            found
        };
        let all = Some(LoadBalancerMode::AllServices);
        let requested = Some(LoadBalancerMode::RequestedServicesOnly);
        assert_eq!(found(&|_| {}, all), 1);
        assert_eq!(found(&|s| s.class = Some(calico), requested), 1);
        assert_eq!(found(&|s| s.requests_address = true, requested), 1);
        assert_eq!(found(&|_| {}, requested), 0);
        assert_eq!(found(&|s| s.class = Some(metallb), all), 0);
        assert_eq!(found(&|s| s.load_balancer = false, all), 0);
        assert_eq!(found(&|_| {}, None), 0);
    }

    #[test]
    fn outside_pools_dark_or_going_away_is_none() {
        let mut c = booked();
        c.service("edge", "cloud", "203.0.113.10");
        assert!(c.find(&CHECK).is_empty());
        let mut c = booked();
        c.free("10.65.9.1");
        let now = c.snapshot.now;
        c.snapshot.services[0].deleting = Some(now);
        assert!(c.find(&CHECK).is_empty());
        let mut c = booked();
        c.service("edge", "web", "10.65.77.1");
        c.snapshot.bad_values.push(BadValue {
            key: b"/calico/ipam/v2/assignment/ipv4/block/10.65.77.0-28".to_vec(),
            input: Input::Blocks,
            offset: None,
            reason: "no JSON".to_owned(),
            dark: vec![Dark::Range(crate::checks::testing::cidr("10.65.77.0/28"))],
            mod_revision: 1,
        });
        assert!(c.find(&CHECK).is_empty());
    }
}
