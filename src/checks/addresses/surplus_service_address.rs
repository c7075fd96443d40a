//! IPA118: a LoadBalancer service has more addresses in IPAM than it may have.

use super::leaked_service_address::load_balancer_handle;
use crate::checks::prelude::*;
use crate::model::Service;

pub static CHECK: Check = Check {
    code: Code(118),
    name: "surplus-service-address",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::S).and(Needs::C),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "An allocation of a LoadBalancer service that lives and that Calico manages, beyond the one address of a \
        family that the service may have (`spec.ipFamilies`, `spec.ipFamilyPolicy`). Of several it is the one that the \
        service's status does not show, else the one that was allocated later.",
    matters: "Service pools are small, and nobody uses this address. kube-controllers asks for another one whenever \
        the number is not the one that it wants, and no path of it gives the surplus one back \
        (projectcalico/calico#12503).",
    arises: "kube-controllers assigned an address twice, after a restart or a conflict; or a service became \
        single-stack.",
    action: "Release the surplus address by itself, when the service's status does not show it.",
    silent: "One address of each family of a dual-stack service; a server that does not say which families a service \
        has (one of each then); a service that is being deleted, or that Calico does not manage; addresses that are \
        cooling down. It is judged whoever else uses the datastore: the handle is the hash of this very service.",
    ties: Ties { many: "surplus service addresses", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let ledger = world.ledger;
    if ledger.allocations.iter().all(|a| a.used_for != Use::LoadBalancer) {
        return;
    }
    for service in world.snapshot.services.iter().filter(|service| is_meant(world, service)) {
        let Some(handle) = handle_of(world, service) else { continue };
        for (kept, surplus) in surplus(world, service, handle) {
            findings.extend(surplus.iter().map(|a| report(world, service, handle, a, kept)));
        }
    }
}

/// Whether this finds it.
pub fn is_surplus(world: &World<'_>, allocation: &Allocation) -> bool {
    let Some(handle) = world.ledger.handle_of(allocation) else { return false };
    let mut services = world.snapshot.services.iter().filter(|service| is_meant(world, service));
    let of_handle = services.find(|service| handle_of(world, service) == Some(handle));
    let is_it = |a: &&Allocation| a.address == allocation.address;
    of_handle.is_some_and(|service| surplus(world, service, handle).iter().any(|(_, more)| more.iter().any(is_it)))
}

fn is_meant(world: &World<'_>, service: &Service) -> bool {
    service.deleting.is_none() && world.ledger.is_managed(service)
}

/// Of each family what a service has by right, and what it has beside that.
fn surplus<'w>(
    world: &World<'w>,
    service: &Service,
    handle: HandleId,
) -> [(Option<&'w Allocation>, Vec<&'w Allocation>); 2] {
    let mut own: Vec<&Allocation> = world.ledger.allocations_of(handle).collect();
    // Of overlapping blocks both may have one address: it is one (IPA104).
    own.sort_by_key(|a| (a.address, a.block));
    own.dedup_by_key(|a| a.address);
    [true, false].map(|v4| {
        let family: Vec<&Allocation> = own.iter().copied().filter(|a| a.address.is_v4() == v4).collect();
        let may_have = family.first().is_some_and(|a| service.families.allow(a.address));
        let order = by_right(world, service, &family);
        let kept = order.first().copied().filter(|_| may_have);
        (kept, order.get(usize::from(may_have)..).unwrap_or_default().to_vec())
    })
}

/// The handle of a service's addresses, when any of its parts is known here.
fn handle_of(world: &World<'_>, service: &Service) -> Option<HandleId> {
    let names = &world.snapshot.names;
    let uid = service.uid.text(names);
    HandleId::find(names, &load_balancer_handle(world.text(service.name), world.text(service.namespace), &uid))
}

/// The service that lives, that Calico manages, and whose address this allocation is by right, whether its status shows it
/// yet or not: its handle is the hash of this very service, and of its family none has a better right.
pub fn rightful<'w>(world: &World<'w>, allocation: &Allocation) -> Option<&'w Service> {
    let ledger = world.ledger;
    let handle = ledger.handle_of(allocation).filter(|_| allocation.used_for == Use::LoadBalancer)?;
    let named = |service: &&Service| {
        let mut owners = ledger.owners_of(allocation).filter(|owner| !owner.service.is_none()).peekable();
        owners.peek().is_none() || owners.any(|o| (o.namespace, o.service) == (service.namespace, service.name))
    };
    let lives = |service: &&Service| service.deleting.is_none() && ledger.is_managed(service);
    let mut services = world.snapshot.services.iter().filter(named).filter(lives);
    let service = services.find(|service| handle_of(world, service) == Some(handle))?;
    let v4 = allocation.address.is_v4();
    let family: Vec<&Allocation> = ledger.allocations_of(handle).filter(|a| a.address.is_v4() == v4).collect();
    let first = *by_right(world, service, &family).first()?;
    let is_it = service.families.allow(allocation.address) && first.address == allocation.address;
    is_it.then_some(service)
}

/// A service's allocations of one family, the one with the best right first: what the status shows, then what was
/// allocated earlier, by the attributes' time where all have one, else by sequence number.
fn by_right<'w>(world: &World<'w>, service: &Service, family: &[&'w Allocation]) -> Vec<&'w Allocation> {
    let ledger = world.ledger;
    let time = |a: &Allocation| ledger.attribute_of(a).and_then(|at| at.owner().timestamp);
    let timed = family.iter().all(|a| time(a).is_some());
    let mut order = family.to_vec();
    order.sort_by_key(|a| {
        let shown = service.ingress.contains(&a.address);
        let sequence = ledger.block_of(a).allocation_sequence(a.ordinal);
        (!shown, time(a).filter(|_| timed), sequence, a.address)
    });
    order
}

fn report(
    world: &World<'_>,
    service: &Service,
    handle: HandleId,
    allocation: &Allocation,
    kept: Option<&Allocation>,
) -> Finding {
    let ledger = world.ledger;
    let address = allocation.address;
    let id = world.pair(service.namespace, service.name);
    let shown = service.ingress.contains(&address);
    let family = if address.is_v4() { "IPv4" } else { "IPv6" };
    let why = match kept {
        Some(kept) => format!("service {id} has {} already", kept.address),
        None => format!("service {id} has no {family}"),
    };
    let shows = if shown { "; its status shows both" } else { "" };
    let shows = if kept.is_none() && shown { "; its status shows it" } else { shows };
    let refused = shown.then_some("the service shows it: do not release it before it shows it no more");
    world
        .draft(&CHECK, address, format!("{why}{shows}"))
        .fact("service", id)
        .list("families", service.families.words(), str::to_owned)
        .fact("kept", kept.map(|a| a.address))
        .fact("shown", shown)
        .fact("status", service.ingress.to_vec())
        .fact("handle", handle.text(&world.snapshot.names))
        .fact("ipam", world.allocation_facts(allocation))
        .since(ledger.attribute_of(allocation).and_then(|a| a.owner().timestamp))
        .in_namespace(service.namespace)
        .in_pool_of(address)
        .rests_on_allocation(allocation)
        .with_each(kept, |d, a| d.rests_on_allocation(a))
        .rests_on_service(service)
        .release_alone(address, refused, "release it by itself: nothing else gives it back")
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::{AttributeFields, Families, LoadBalancerMode, Owner};

    const V4: Families = Families { v4: true, v6: false };

    /// Service edge/mail with these addresses in IPAM, the first of them in its status.
    fn mail(addresses: &[&str], families: Families) -> Cluster {
        let mut c = Cluster::healthy();
        c.pool("services", "10.77.3.0/28").load_balancers = true;
        c.pool("services-6", "fd00:77::/64").load_balancers = true;
        c.snapshot
            .pools
            .iter_mut()
            .filter(|p| p.load_balancers)
            .for_each(|p| (p.workloads, p.tunnels) = (false, false));
        c.block("10.77.3.0/28", None);
        c.block("fd00:77::/122", None);
        c.service("edge", "mail", addresses[0]).families = families;
        let uid = c.snapshot.services[0].uid.text(&c.snapshot.names);
        let id = load_balancer_handle("mail", "edge", &uid);
        for address in addresses {
            let owner = Owner {
                namespace: c.name("edge"),
                service: c.name("mail"),
                kind: c.name("LoadBalancer"),
                ..Owner::default()
            };
            let handle = HandleId::intern(&mut c.snapshot.names, &id);
            c.allocate(address, AttributeFields { handle, owner, ..AttributeFields::default() });
        }
        c.handle(&id, addresses);
        c
    }

    #[test]
    fn one_of_each_family_is_right() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
        assert!(mail(&["10.77.3.2"], V4).find(&CHECK).is_empty());
        assert!(mail(&["10.77.3.2", "fd00:77::2"], Families::BOTH).find(&CHECK).is_empty());
    }

    #[test]
    fn the_one_that_the_status_does_not_show() {
        let found = mail(&["10.77.3.2", "10.77.3.6"], V4).find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw(), found[0].severity), (1, "10.77.3.6", Severity::Warning));
        assert_eq!(found[0].summary, "service edge/mail has 10.77.3.2 already");
        assert_eq!(found[0].next[1], "ipaudit release --address 10.77.3.6 --i-know-what-this-is");
        // Though it is the earlier one.
        let mut c = mail(&["10.77.3.2", "10.77.3.6"], V4);
        c.snapshot.services[0].ingress = [addr("10.77.3.6")].into();
        assert_eq!(c.subjects(&CHECK), ["10.77.3.2"]);
        assert_eq!(mail(&["10.77.3.2", "10.77.3.6", "10.77.3.7"], V4).subjects(&CHECK), ["10.77.3.6", "10.77.3.7"]);
        assert_eq!(mail(&["10.77.3.2", "fd00:77::2", "fd00:77::3"], Families::BOTH).subjects(&CHECK), ["fd00:77::3"]);
    }

    /// By the time in the attributes, else by the sequence number.
    #[test]
    fn else_the_later_one() {
        for shown in [&[][..], &["10.77.3.6", "10.77.3.2"]] {
            let mut c = mail(&["10.77.3.6", "10.77.3.2"], V4);
            c.snapshot.services[0].ingress = shown.iter().map(|a| addr(a)).collect();
            let found = c.find(&CHECK);
            assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.77.3.2"), "allocated second");
            let releases = found[0].next.iter().any(|n| n.raw().contains("release"));
            assert_eq!(releases, shown.is_empty(), "what the status shows is in use");
            let (early, late) = (c.ago(3_600), c.ago(60));
            c.attribute_mut("10.77.3.2").owner.timestamp = Some(early);
            assert_eq!(c.subjects(&CHECK), ["10.77.3.2"], "one alone has a time");
            c.attribute_mut("10.77.3.6").owner.timestamp = Some(late);
            assert_eq!(c.subjects(&CHECK), ["10.77.3.6"]);
        }
    }

    #[test]
    fn a_family_that_the_service_may_not_have() {
        let found = mail(&["10.77.3.2", "fd00:77::2"], V4).find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "fd00:77::2"));
        assert_eq!(found[0].summary, "service edge/mail has no IPv6");
    }

    #[test]
    fn whoever_else_uses_the_datastore() {
        let mut c = mail(&["10.77.3.2", "10.77.3.6"], V4);
        c.node("east-1", "192.168.7.1");
        c.remove_kube_node("east-1");
        assert_eq!(c.subjects(&CHECK), ["10.77.3.6"], "the scope is not exclusive");
    }

    #[test]
    fn what_is_no_surplus() {
        for quiet in [
            (|c: &mut Cluster| c.snapshot.services[0].deleting = Some(c.snapshot.now)) as fn(&mut Cluster),
            |c| c.snapshot.kube_controllers.load_balancer = None,
            |c| c.snapshot.kube_controllers.load_balancer = Some(LoadBalancerMode::RequestedServicesOnly),
            |c| c.snapshot.services[0].class = Some(c.snapshot.names.intern("metallb")),
            |c| c.snapshot.services[0].load_balancer = false,
            |c| c.attribute_mut("10.77.3.6").released_at = Some(c.snapshot.now),
            // Made again since: that is a leak (IPA112).
            |c| c.snapshot.services[0].uid = crate::model::Uid::Other(c.snapshot.names.intern("another")),
        ] {
            let mut c = mail(&["10.77.3.2", "10.77.3.6"], V4);
            quiet(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    /// Two blocks that overlap have one address, and one address is no surplus.
    #[test]
    fn an_address_in_two_blocks_is_one() {
        let mut c = mail(&["10.77.3.2"], V4);
        let attribute = c.attribute_mut("10.77.3.2").clone();
        c.block("10.77.3.0/29", None);
        let small = c.snapshot.blocks.last_mut().unwrap();
        small.allocations[2] = Some(0);
        small.attributes = [attribute.into()].into();
        assert!(c.find(&CHECK).is_empty());
    }
}
