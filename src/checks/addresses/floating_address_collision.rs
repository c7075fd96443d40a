//! IPA117: a floating address that somebody else has or will get.

use crate::checks::evidence::Draft;
use crate::checks::natural;
use crate::checks::prelude::*;
use crate::ledger::{Via, Workload};
use crate::model::keys;

pub static CHECK: Check = Check {
    code: Code(117),
    name: "floating-address-collision",
    severity: Severity::Error,
    needs: Needs::B.and(Needs::W).and(Needs::O),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "A floating address (`ipNATs`, annotation `floatingIPs`) that a second workload claims too, or that IPAM \
        has allocated to somebody else. A warning when it merely lies in a pool from which IPAM hands out addresses, \
        and no IPReservation covers it.",
    matters: "Floating addresses are never allocated in IPAM: it does not know that they are in use and gives them to \
        the next pod. Traffic for the one then reaches the other.",
    arises: "Two workloads were annotated with one address, as by a Deployment with several replicas; or floating \
        addresses are taken from a pod pool without reserving them.",
    action: "Give one of the two another address. Keep floating addresses outside the pools, or cover them with an \
        IPReservation.",
    silent: "The address lies in no pool, in a disabled or manual one, or in a reservation, and nobody else has it; a \
        reservation or the address's block does not decode, and nobody else has it; the allocation belongs to the same \
        workload or names nobody; the claim is that of an endpoint left behind, of a terminating pod without endpoint, \
        or of another cluster.",
    ties: Ties {
        harm: Harm::Threat,
        many: "floating addresses that may be others' too",
        judges: Judges::OnlyOurs,
        ..Ties::OURS
    },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let floating = world.claims_by_address().filter(|(_, claims)| claims.iter().any(|c| c.via == Via::Floating));
    findings.extend(floating.filter_map(|(address, claims)| judge(world, address, claims)));
}

/// A workload that has the address as a floating one.
#[derive(Clone, Copy)]
struct Floater<'w> {
    workload: Workload<'w>,
    endpoint: Option<&'w Endpoint>,
    pod: Option<&'w Pod>,
    judged: bool,
}

fn judge(world: &World<'_>, address: Addr, claims: &[Claim]) -> Option<Finding> {
    let floaters: Vec<Floater<'_>> = claims.iter().filter_map(|claim| floater(world, claim)).collect();
    let first = floaters.first()?;
    if !floaters.iter().any(|f| f.judged) {
        return None;
    }
    let is_other = |w: Workload<'_>| floaters.iter().all(|f| f.workload != w);
    let mut others: Vec<String> = claims.iter().filter_map(|claim| holder(world, claim, &is_other)).collect();
    others.sort_by(|a, b| natural(a, b));
    others.dedup();
    let allocations = world.ledger.allocations_at(address);
    let booked: Vec<&Allocation> = allocations.iter().filter(|a| a.used_for != Use::Cooling).collect();
    let theirs: Vec<&Allocation> = booked.iter().copied().filter(|a| is_anothers(world, a, &floaters)).collect();
    let several = floaters.iter().any(|f| f.workload != first.workload);
    if several || !others.is_empty() {
        let mut all: Vec<String> = floaters.iter().map(|f| world.ledger.workload_text(f.workload)).collect();
        all.sort_by(|a, b| natural(a, b));
        all.dedup();
        all.extend(others);
        let summary = format!("claimed by {}", few(&all, ", "));
        return Some(draft(world, address, &floaters, summary).fact("claimed_by", all).done());
    }
    let owner = world.ledger.workload_text(first.workload);
    if let Some(allocation) = theirs.first() {
        let named = world.named_by(allocation).unwrap_or_else(|| "another owner".to_owned());
        let summary = format!("floating address of {owner}, allocated to {named}");
        return Some(draft(world, address, &floaters, summary).done());
    }
    let pool = world.snapshot.pools.iter().find(|p| p.cidr.contains(address) && p.assigns_automatically());
    let reserved = world.snapshot.reservations.iter().flat_map(|r| &r.cidrs).any(|cidr| cidr.contains(address));
    // A reservation that does not decode may cover it, and a block may have it booked.
    let hidden = world.snapshot.is_undecodable_under(keys::RESERVATIONS) || world.ledger.dark.address(address);
    let pool = pool.filter(|_| booked.is_empty() && !reserved && !hidden)?;
    let summary = format!("floating address of {owner}, in pool {}, which may hand it out", world.text(pool.name));
    let draft = draft(world, address, &floaters, summary).severity(Severity::Warning);
    Some(draft.advice("cover it with an IPReservation").next("calicoctl get ipreservations -o yaml").done())
}

/// The workload behind a floating claim that is in force: the endpoint's `ipNATs` decide; the annotation of a
/// pod alone counts only where the pod has no endpoint, since an annotation that came later has no effect.
fn floater<'w>(world: &World<'w>, claim: &Claim) -> Option<Floater<'w>> {
    let ledger = world.ledger;
    if claim.via != Via::Floating || claim.grade == Grade::Stale {
        return None;
    }
    match claim.by {
        Claimant::Endpoint(index) => {
            let endpoint = world.snapshot.endpoints.get(index as usize)?;
            let workload = ledger.workload_of(endpoint);
            let judged = ledger.scope.judged(endpoint.node);
            Some(Floater { workload, endpoint: Some(endpoint), pod: None, judged })
        }
        Claimant::Pod(index) => {
            let pod = world.snapshot.pods.get(index as usize)?;
            let judged = ledger.scope.kubernetes_node_is_ours(pod.node);
            let bare = !pod.is_terminating() && ledger.endpoints_at_home(pod).next().is_none();
            (judged && bare).then(|| Floater {
                workload: ledger.workload_of_pod(pod),
                endpoint: None,
                pod: Some(pod),
                judged,
            })
        }
        _ => None,
    }
}

/// Somebody who has the address as an ordinary one, when it is none of the floating workloads themselves.
fn holder(world: &World<'_>, claim: &Claim, is_other: &dyn Fn(Workload<'_>) -> bool) -> Option<String> {
    let (ledger, snapshot) = (world.ledger, world.snapshot);
    if claim.via != Via::Object {
        return None;
    }
    let certain = claim.grade == Grade::Certain;
    match claim.by {
        Claimant::Pod(index) if certain => {
            let workload = ledger.workload_of_pod(snapshot.pods.get(index as usize)?);
            is_other(workload).then(|| ledger.workload_text(workload))
        }
        Claimant::Endpoint(index) if claim.grade != Grade::Stale => {
            let workload = ledger.workload_of(snapshot.endpoints.get(index as usize)?);
            is_other(workload).then(|| ledger.workload_text(workload))
        }
        Claimant::Tunnel(index, tunnel) if certain => {
            let node = snapshot.calico_nodes.get(index as usize)?;
            Some(format!("{} tunnel of {}", tunnel.word(), world.text(node.name)))
        }
        Claimant::Service(index) if certain => {
            let service = snapshot.services.get(index as usize)?;
            Some(format!("service {}", world.pair(service.namespace, service.name)))
        }
        _ => None,
    }
}

/// Whether an allocation is somebody else's: not tied to a floating workload by container or owner. One that
/// names nobody, or is a reservation by note, was made to keep the address out of use, and one without attribute is
/// IPA301's.
fn is_anothers(world: &World<'_>, allocation: &Allocation, floaters: &[Floater<'_>]) -> bool {
    let ledger = world.ledger;
    if matches!(allocation.used_for, Use::Broken | Use::Reserved) || ledger.names_nobody(allocation) {
        return false;
    }
    let handle = ledger.handle_of(allocation);
    let by_container = |f: &Floater<'_>| {
        f.endpoint.is_some_and(|e| !e.container.is_none() && handle.is_some_and(|h| h.tail == e.container))
    };
    let by_owner = |f: &Floater<'_>| {
        let mut owners = ledger.owners_of(allocation).filter_map(|o| o.pod_name());
        let same = |ours, (namespace, pod)| ledger.pod_or_machine(namespace, pod, ours) == f.workload;
        owners.any(|owner| same(true, owner) || same(false, owner))
    };
    !floaters.iter().any(|f| by_container(f) || by_owner(f))
}

fn draft<'w>(world: &'w World<'w>, address: Addr, floaters: &[Floater<'w>], summary: String) -> Draft<'w> {
    let ledger = world.ledger;
    let endpoints: Vec<&Endpoint> = floaters.iter().filter_map(|f| f.endpoint).collect();
    let pods: Vec<&Pod> = floaters.iter().filter_map(|f| f.pod).collect();
    let allocations = ledger.allocations_at(address);
    let first = endpoints.first();
    world
        .draft(&CHECK, address, summary)
        .advice("give one of them another address")
        .list("endpoints", endpoints.iter(), |e| world.endpoint_facts(e))
        .list("pods", pods.iter(), |p| world.pod_facts(p))
        .list("ipam", allocations.iter(), |a| world.allocation_facts(a))
        .on_node(first.map_or(Name::NONE, |e| e.node))
        .in_namespace(first.map(|e| e.namespace).or(pods.first().map(|p| p.namespace)).unwrap_or_default())
        .in_pool_of(address)
        .rests_on_claimants(ledger.claims_at(address))
        .with_each(endpoints, |d, e| d.looks_at_whose(e.node))
        .with_each(pods, |d, p| d.looks_at_endpoints_at_home(p).looks_at(Look::KubeNode(p.node)))
        .with_each(allocations, |d, a| d.rests_on_allocation(a).rests_on_owners(a))
        .looks_at_blocks_of(address)
        .looks_at(Look::Settings)
        .next(format!("ipaudit who {address}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr, bad, cidr, undecodable_block};
    use crate::model::snapshot::Dark;
    use crate::model::{AttributeFields, HandleId, Input, Meta, Nat, Reservation};

    fn nat(external: &str) -> Box<[Nat]> {
        [Nat { internal: addr("10.65.0.1"), external: addr(external) }].into()
    }

    /// web-0 has this floating address, by annotation and endpoint.
    fn with(external: &str) -> Cluster {
        let mut c = Cluster::healthy();
        c.endpoint_mut("web-0").nats = nat(external);
        c.pod_mut("web-0").floating = [addr(external)].into();
        c
    }

    fn reserve(c: &mut Cluster, range: &str) {
        let name = c.name("floating");
        let cidrs = [cidr(range)].into();
        c.snapshot.reservations.push(Reservation { meta: Meta::default(), name, cidrs, created: None });
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
        assert!(with("10.99.0.1").find(&CHECK).is_empty(), "outside every pool");
        let mut c = with("10.65.99.1");
        reserve(&mut c, "10.65.99.0/28");
        assert!(c.find(&CHECK).is_empty(), "reserved");
    }

    #[test]
    fn in_assignable_space_it_is_a_warning() {
        let mut c = with("10.65.99.1");
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Warning));
        assert_eq!(found[0].subject.id, "10.65.99.1");
        assert_eq!(found[0].summary, "floating address of shop/web-0, in pool default, which may hand it out");
        let now = c.snapshot.now;
        for spare in [
            (|p| p.disabled = true) as fn(&mut crate::model::Pool),
            |p| p.manual = true,
            |p| p.deleting = Some(crate::model::Time(1)),
        ] {
            let mut c = with("10.65.99.1");
            spare(&mut c.snapshot.pools[0]);
            assert!(c.find(&CHECK).is_empty());
        }
        // Released and cooling down, it will be handed out too.
        let mut c = with("10.65.0.9");
        c.allocate("10.65.0.9", AttributeFields { released_at: Some(now), ..AttributeFields::default() });
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Warning);
    }

    #[test]
    fn what_does_not_decode_may_keep_the_address_out_of_use() {
        let reservation = bad(&format!("{}floating", keys::RESERVATIONS), Input::Pools, Dark::All(Input::Pools));
        for hidden in [reservation, undecodable_block("10.65.99.0/26")] {
            let mut c = with("10.65.99.1");
            c.snapshot.bad_values.push(hidden.clone());
            assert!(c.find(&CHECK).is_empty(), "{hidden:?}");
            // Whom it collides with is known all the same.
            c.endpoint_mut("web-2").nats = nat("10.65.99.1");
            assert_eq!(c.find(&CHECK).len(), 1);
        }
    }

    #[test]
    fn two_workloads_with_one_floating_address_collide_wherever_it_lies() {
        let mut c = with("10.99.0.1");
        c.endpoint_mut("web-2").nats = nat("10.99.0.1");
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Error));
        assert_eq!(found[0].summary, "claimed by shop/web-0, shop/web-2");
    }

    #[test]
    fn somebodys_ordinary_address_collides() {
        // Allocated to web-1, who holds it.
        assert_eq!(with("10.65.0.2").find(&CHECK)[0].summary, "claimed by shop/web-0, shop/web-1");
        // Allocated to a pod that is gone, leaving nothing else.
        let mut c = with("10.65.0.2");
        c.remove_pod("web-1");
        c.remove_endpoint("web-1");
        let found = c.find(&CHECK);
        assert_eq!(found[0].summary, "floating address of shop/web-0, allocated to shop/web-1");
        assert_eq!(found[0].severity, Severity::Error);
        assert_eq!(with("10.65.0.64").find(&CHECK)[0].summary, "claimed by shop/web-0, IPIP tunnel of node-2");
        let mut c = with("10.99.0.1");
        c.service("edge", "api", "10.99.0.1");
        assert_eq!(c.find(&CHECK)[0].summary, "claimed by shop/web-0, service edge/api");
    }

    #[test]
    fn its_own_allocation_and_one_of_nobody_keep_the_address_out_of_use() {
        assert!(with("10.65.0.1").find(&CHECK).is_empty(), "the very address of the pod");
        let mut c = with("10.65.0.9");
        let own = c.pod_attribute("booked-for-it", "shop", "web-0", "node-1");
        c.allocate("10.65.0.9", own);
        assert!(c.find(&CHECK).is_empty());
        *c.attribute_mut("10.65.0.9") = AttributeFields::default();
        assert!(c.find(&CHECK).is_empty());
        let handle = HandleId::intern(&mut c.snapshot.names, "k8s-pod-network.0123");
        *c.attribute_mut("10.65.0.9") = AttributeFields { handle, ..AttributeFields::default() };
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error, "another container's");
        c.attribute_mut("10.65.0.9").reserved = true;
        assert!(c.find(&CHECK).is_empty(), "kept back with a note");
    }

    #[test]
    fn launcher_pods_of_one_machine_are_one_workload() {
        let mut c = with("10.99.0.1");
        c.endpoint_mut("web-2").nats = nat("10.99.0.1");
        let fedora = c.name("fedora");
        ["web-0", "web-2"].into_iter().for_each(|pod| c.pod_mut(pod).vmi = fedora);
        assert!(c.find(&CHECK).is_empty());
    }

    /// The floating address moved to web-2; web-0's endpoint was left behind.
    #[test]
    fn what_is_left_behind_or_not_in_force_claims_nothing() {
        let moved = || {
            let mut c = with("10.99.0.1");
            c.endpoint_mut("web-2").nats = nat("10.99.0.1");
            c
        };
        let mut c = moved();
        c.remove_pod("web-0");
        assert!(c.find(&CHECK).is_empty(), "stale endpoint");
        let mut c = moved();
        c.endpoint_mut("web-0").nats = [].into();
        assert!(c.find(&CHECK).is_empty(), "an annotation that came after the endpoint");
        let mut c = moved();
        c.remove_endpoint("web-0");
        assert_eq!(c.subjects(&CHECK), ["10.99.0.1"], "an annotation, the endpoint is lost");
        let now = c.snapshot.now;
        c.pod_mut("web-0").deleting = Some(now);
        assert!(c.find(&CHECK).is_empty(), "terminating, endpoint already gone");
    }

    #[test]
    fn another_clusters_floating_addresses_are_theirs() {
        let mut c = Cluster::healthy();
        c.node("east-1", "192.168.9.1");
        c.remove_kube_node("east-1");
        for pod in ["far-0", "far-1"] {
            c.endpoint("far", pod, "east-1", pod, &[]).nats = nat("10.65.99.1");
        }
        assert!(c.find(&CHECK).is_empty());
        c.endpoint_mut("web-0").nats = nat("10.65.99.1");
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error, "with one of ours it is ours");
    }
}
