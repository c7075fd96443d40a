//! IPA122: an address was assigned automatically though it is reserved.

use crate::checks::prelude::*;
use crate::model::{Input, Owner, Reservation, Service, Time};

pub static CHECK: Check = Check {
    code: Code(122),
    name: "reserved-address-allocated",
    severity: Severity::Note,
    needs: Needs::B.and(Needs::O),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "An IPReservation covers an address that IPAM has assigned automatically.",
    matters: "A reservation stops new assignments alone; what was assigned before stays assigned. Whoever needs the \
        reserved address for something else meets the pod there.",
    arises: "The reservation was made after the assignment; the evidence says so where that is proven.",
    action: "Restart the pod: it gets another address. A node's tunnel moves when its old address is released and \
        calico/node restarts.",
    silent: "Addresses that were asked for (annotation ipAddrs, a service that requests one), which a reservation does \
        not bind, and those of pods and services that are gone, of which nobody can tell; Windows' reserved ordinals, \
        cooling addresses, allocations that name nobody.",
    ties: Ties { many: "allocated addresses that are reserved", also: Needs::P.and(Needs::S), ..Ties::ANYBODYS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    if world.snapshot.reservations.is_empty() {
        return;
    }
    let by_address = world.ledger.allocations.chunk_by(|a, b| a.address == b.address);
    let automatic = by_address.filter_map(|allocations| allocations.iter().find(|a| is_automatic(world, a)));
    findings.extend(automatic.filter_map(|a| Some(report(world, a, world.ledger.reservation_of(a.address)?))));
}

/// Whether IPAM chose the address by itself. An allocation does not say so: it is taken for automatic when its
/// pod or service is there and does not ask for addresses. Where these could not be read, or are gone, nobody can tell.
fn is_automatic(world: &World<'_>, allocation: &Allocation) -> bool {
    let read = |input| world.snapshot.coverage.complete(input);
    match allocation.used_for {
        Use::Tunnel => true,
        Use::Pod | Use::Vm => {
            let mut pods = owners(world, allocation).peekable();
            read(Input::Pods) && pods.peek().is_some() && !pods.any(|p| p.asked_for().contains(&allocation.address))
        }
        Use::LoadBalancer => {
            let mut services = services(world, allocation).peekable();
            read(Input::Services) && services.peek().is_some() && !services.any(|s| s.requests_address)
        }
        Use::Cooling | Use::Windows | Use::Reserved | Use::Unknown | Use::Unattributed | Use::Broken => false,
    }
}

/// The pods that either owner set names.
fn owners<'w>(world: &World<'w>, allocation: &Allocation) -> impl Iterator<Item = &'w Pod> {
    let ledger = world.ledger;
    ledger.owners_of(allocation).filter_map(|o| o.pod_name()).filter_map(|(namespace, pod)| ledger.pod(namespace, pod))
}

/// The services that either owner set names.
fn services<'w>(world: &World<'w>, allocation: &Allocation) -> impl Iterator<Item = &'w Service> {
    let named = |owner: Owner| {
        let key = (owner.namespace, owner.service);
        world.snapshot.services.iter().find(|s| (s.namespace, s.name) == key)
    };
    world.ledger.owners_of(allocation).filter_map(named)
}

/// Whether it was assigned before the reservation was made. An audit that saw it earlier proves that it was; one that
/// first saw it later proves nothing, since nobody knows for how long it had been there: then the CNI host's clock alone
/// says so.
fn was_before(reserved: Time, first_seen: Option<Time>, timestamp: Option<Time>) -> Option<bool> {
    match first_seen {
        Some(seen) if seen < reserved => Some(true),
        _ => timestamp.map(|assigned| assigned < reserved),
    }
}

fn report(world: &World<'_>, allocation: &Allocation, reservation: &Reservation) -> Finding {
    let ledger = world.ledger;
    let owner = ledger.owners_of(allocation).next().unwrap_or_default();
    let name = world.text(reservation.name);
    let seen = world.past.and_then(|p| p.allocations.get(&ledger.tuple_of(allocation)));
    let before = reservation.created.and_then(|reserved| was_before(reserved, seen, owner.timestamp));
    let when = match before {
        Some(true) => ", assigned before that was made",
        Some(false) => ", assigned after that was made",
        None => "",
    };
    world
        .draft(&CHECK, allocation.address, format!("reservation {name} covers it{when}"))
        .fact("reservation", name)
        .fact("reserved_since", reservation.created)
        .fact("assigned_before", before)
        .fact("first_seen", seen)
        .fact("ipam", world.allocation_facts(allocation))
        .on_node(ledger.owner_node(allocation))
        .in_namespace(owner.namespace)
        .in_pool_of(allocation.address)
        .since(owner.timestamp)
        .rests_on_allocation(allocation)
        .rests_on_owners(allocation)
        .looks_at(Look::Settings)
        .next(format!("ipaudit who {}", allocation.address))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::ledger::Ledger;
    use crate::model::{AttributeFields, Fact, InputState, Past};

    /// web-0's address and node-1's tunnel are reserved.
    fn reserved() -> Cluster {
        let mut c = Cluster::healthy();
        c.reservation("late", &["10.65.0.0/31", "10.65.0.200/30"]).created = None;
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn a_pods_and_a_tunnels_address() {
        let mut c = reserved();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.0", "10.65.0.1"]);
        let found = c.find(&CHECK);
        assert_eq!((found[1].summary.raw(), found[1].severity), ("reservation late covers it", Severity::Note));
    }

    #[test]
    fn before_or_after_the_reservation() {
        let mut c = reserved();
        let before = |c: &mut Cluster| c.find(&CHECK)[1].evidence.get("assigned_before").cloned();
        assert_eq!(before(&mut c), Some(Fact::Null));
        c.snapshot.reservations[0].created = Some(c.ago(60));
        assert_eq!(before(&mut c), Some(Fact::Flag(true)));
        c.snapshot.reservations[0].created = Some(c.ago(7_200));
        assert_eq!(before(&mut c), Some(Fact::Flag(false)));
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let tuple = ledger.tuple_of(&ledger.allocations_at(addr("10.65.0.1"))[0]);
        c.past = Some(Past { audits: 1, allocations: [(tuple, c.ago(9_000))].into(), ..Past::default() });
        assert_eq!(before(&mut c), Some(Fact::Flag(true)), "the history saw it before");
    }

    /// It was first seen after the reservation was made, and may have been there for years.
    #[test]
    fn first_seen_after_the_reservation_proves_nothing() {
        let mut c = reserved();
        c.attribute_mut("10.65.0.1").owner.timestamp = None;
        c.snapshot.reservations[0].created = Some(c.ago(7_200));
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let tuple = ledger.tuple_of(&ledger.allocations_at(addr("10.65.0.1"))[0]);
        c.past = Some(Past { audits: 1, allocations: [(tuple, c.ago(60))].into(), ..Past::default() });
        let found = &c.find(&CHECK)[1];
        assert_eq!(found.evidence.get("assigned_before"), Some(&Fact::Null));
        assert_eq!(found.summary, "reservation late covers it");
        // A timestamp of its own says after, whatever the history first saw.
        let assigned = c.ago(3_600);
        c.attribute_mut("10.65.0.1").owner.timestamp = Some(assigned);
        assert_eq!(c.find(&CHECK)[1].summary, "reservation late covers it, assigned after that was made");
    }

    #[test]
    fn what_was_asked_for_is_not_bound() {
        let mut c = reserved();
        c.pod_mut("web-0").asked_for = [addr("10.65.0.1")].into();
        assert_eq!(c.subjects(&CHECK), ["10.65.0.0"]);
        c.pod_mut("web-0").asked_for = [addr("10.65.0.9")].into();
        assert_eq!(c.find(&CHECK).len(), 2, "it asked for another");
    }

    #[test]
    fn a_service_that_requests_addresses_is_not_bound() {
        let mut c = Cluster::healthy();
        let owner = Owner { namespace: c.name("edge"), service: c.name("web"), ..Owner::default() };
        c.allocate("10.65.0.40", AttributeFields { owner, ..AttributeFields::default() });
        c.reservation("late", &["10.65.0.40/32"]);
        c.service("edge", "web", "10.65.0.40");
        assert_eq!(c.subjects(&CHECK), ["10.65.0.40"]);
        c.snapshot.services[0].requests_address = true;
        assert!(c.find(&CHECK).is_empty());
        c.snapshot.services.clear();
        assert!(c.find(&CHECK).is_empty(), "perhaps it had requested one");
    }

    #[test]
    fn what_was_not_assigned_or_by_nobody_knows_whom_is_not_told() {
        for quiet in [
            (|c: &mut Cluster| c.free("10.65.0.1")) as fn(&mut Cluster),
            |c| c.attribute_mut("10.65.0.1").released_at = Some(c.snapshot.now),
            |c| *c.attribute_mut("10.65.0.1") = AttributeFields::default(),
            // Perhaps it had asked: its annotation went with it.
            |c| c.remove_pod("web-0"),
            |c| c.snapshot.coverage.set(Input::Pods, InputState::Forbidden, "no right"),
            |c| {
                let windows = crate::model::HandleId::intern(&mut c.snapshot.names, "windows-reserved-ipam-handle");
                c.attribute_mut("10.65.0.1").handle = windows;
            },
        ] {
            let mut c = reserved();
            quiet(&mut c);
            assert_eq!(c.subjects(&CHECK), ["10.65.0.0"]);
        }
    }
}
