//! IPA112: a LoadBalancer address whose service is gone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::checks::prelude::*;
use crate::model::Service;
use crate::model::hash::HashSet;

pub static CHECK: Check = Check {
    code: Code(112),
    name: "leaked-service-address",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::S).and(Needs::C),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Address,
    finds: "An allocation of a LoadBalancer service (handle `lb-…`) to which no service's name, namespace and UID \
        hash. A service that was deleted and made again has another UID and so another handle.",
    matters: "Service pools are small; a fixed address that the new service asks for is refused while the old one's \
        allocation stands.",
    arises: "kube-controllers was not running, or crashed, while the service was deleted.",
    action: "Release the address by itself, once it is known that no other cluster uses this datastore.",
    silent: "The service exists, whatever its type and class are now; the datastore is shared with another cluster or \
        may be (nothing in such an allocation names a node); addresses that are cooling down.",
    ties: Ties { proves_leak: true, leak_of: "services", many: "leaked service addresses", ..Ties::OURS },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let ours = |a: &&Allocation| a.used_for == Use::LoadBalancer && world.ledger.is_judged(a);
    let mut allocations = world.ledger.allocations.iter().filter(ours).peekable();
    if allocations.peek().is_none() {
        return;
    }
    let live: HashSet<String> = world.snapshot.services.iter().map(|s| handle_of(world, s)).collect();
    for allocation in allocations {
        if let Some((handle, text)) = of_a_service(world, allocation).filter(|(_, text)| !live.contains(text)) {
            findings.push(report(world, allocation, handle, &text));
        }
    }
}

/// Whether this finds it.
pub fn is_leaked(world: &World<'_>, allocation: &Allocation) -> bool {
    let is_judged = allocation.used_for == Use::LoadBalancer && world.ledger.is_judged(allocation);
    let lives = |text: &str| world.snapshot.services.iter().any(|service| handle_of(world, service) == text);
    is_judged && of_a_service(world, allocation).is_some_and(|(_, text)| !lives(&text))
}

/// The handle of a service's address.
fn of_a_service(world: &World<'_>, allocation: &Allocation) -> Option<(HandleId, String)> {
    let names = &world.snapshot.names;
    let handle = world.ledger.handle_of(allocation).filter(|handle| handle.is_load_balancer(names))?;
    Some((handle, handle.text(names)))
}

fn handle_of(world: &World<'_>, service: &Service) -> String {
    let uid = service.uid.text(&world.snapshot.names);
    load_balancer_handle(world.text(service.name), world.text(service.namespace), &uid)
}

/// The handle id of a service's addresses, as kube-controllers makes it (domain facts, section 3).
pub fn load_balancer_handle(name: &str, namespace: &str, uid: &str) -> String {
    let hash = Sha256::digest(format!("{name}-{namespace}-{uid}").to_lowercase());
    let text = URL_SAFE_NO_PAD.encode(hash);
    format!("lb-{}", text.replace(['-', '_', '.'], ""))
}

fn report(world: &World<'_>, allocation: &Allocation, handle: HandleId, id: &str) -> Finding {
    let ledger = world.ledger;
    let address = allocation.address;
    let owner = ledger.attribute_of(allocation).map(|a| a.owner()).unwrap_or_default();
    let service =
        (!owner.namespace.is_none() && !owner.service.is_none()).then(|| world.pair(owner.namespace, owner.service));
    let key = (owner.namespace, owner.service);
    let reborn = world.snapshot.services.iter().find(|s| (s.namespace, s.name) == key);
    let why = match (&service, reborn) {
        (Some(service), Some(_)) => format!("of an earlier service {service}, which was made again since"),
        (Some(service), None) => format!("service {service} does not exist"),
        (None, _) => "of no service that exists".to_owned(),
    };
    let held = ledger.is_held(address);
    let draft = world
        .draft(&CHECK, address, format!("{why}{}", held_words(held)))
        .fact("service", service)
        .fact("made_again", reborn.map(|s| s.uid.text(&world.snapshot.names)))
        .fact("handle", id)
        .fact("held", held)
        .fact("ipam", world.allocation_facts(allocation))
        .since(owner.timestamp)
        .in_namespace(owner.namespace)
        .in_pool_of(address)
        .rests_on_allocation(allocation)
        .looks_at(Look::Handle(handle))
        .rests_on_owners(allocation);
    // Where no service is named, any may be the one that came since.
    let draft = if key.0.is_none() || key.1.is_none() { draft.looks_at(Look::Services) } else { draft };
    let refused = held.then_some("somebody shows it: do not release it");
    draft.release_alone(address, refused, "release it by itself").done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::{AttributeFields, Host, HostKind, Owner};

    /// edge/api with its address 10.65.9.0 from the LoadBalancer's block.
    fn with_service() -> Cluster {
        let mut c = Cluster::healthy();
        c.block("10.65.9.0/28", None);
        let virtual_host = Host { kind: HostKind::Virtual, name: c.name("load-balancer") };
        c.block_mut("10.65.9.0/28").affinity = Some(virtual_host);
        let uid = c.service("edge", "api", "10.65.9.0").uid.text(&c.snapshot.names);
        let handle = load_balancer_handle("api", "edge", &uid);
        let attribute = attribute(&mut c, &handle, "edge", "api");
        c.allocate("10.65.9.0", attribute);
        c
    }

    fn attribute(c: &mut Cluster, handle: &str, namespace: &str, service: &str) -> AttributeFields {
        AttributeFields {
            handle: HandleId::intern(&mut c.snapshot.names, handle),
            owner: Owner {
                namespace: c.name(namespace),
                service: c.name(service),
                kind: c.name("LoadBalancer"),
                timestamp: Some(c.ago(3_600)),
                ..Owner::default()
            },
            ..AttributeFields::default()
        }
    }

    /// Names, UIDs and handles of services that Calico's own library booked.
    #[test]
    fn handles_are_those_that_calico_makes() {
        for (name, namespace, uid, handle) in [
            ("api", "edge", "84e28132-200b-4152-aeff-a488987da00d", "lb-BJYmtJndZKvf3piVKVi31erthxyZMpCIm2eX7iv8U"),
            ("ingress", "edge", "7c72aa88-4efb-4220-a15b-82d1d63c6643", "lb-IY71QAbl86hBx6cTnZoc0BRdkGSFfZr3IKjJHLbI"),
            ("was-lb", "edge", "eb8c50f8-c912-46cc-a26d-c522e6fc1857", "lb-8ZW74YBN76VXQIjzMTCkbjmclj3oHWY1Z58nTrWay0"),
            ("web", "shop", "0cb80ff4-c0bf-45f7-aed5-e2c6676a85d6", "lb-NfDQLyCCuhVQbDzYFay2ZOp9sbb3vgfqc5lNiDXw9iU"),
            ("cart", "shop", "7736ca5b-66c3-4465-ad8e-4fd55f7d5010", "lb-1MqAYdBNYWSgOC0QcViK67hHpohmGtRD8KAZ1I9Q94"),
        ] {
            assert_eq!(load_balancer_handle(name, namespace, uid), handle);
        }
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(with_service().find(&CHECK).is_empty());
    }

    #[test]
    fn a_service_that_is_gone_leaves_its_address() {
        let mut c = with_service();
        c.snapshot.services.clear();
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "10.65.9.0"));
        assert_eq!(found[0].summary, "service edge/api does not exist");
        assert_eq!(found[0].next[1], "ipaudit release --address 10.65.9.0 --i-know-what-this-is");
        assert_eq!(found[0].rests.len(), 3);
    }

    #[test]
    fn a_service_that_was_made_again_is_another_service() {
        let mut c = with_service();
        c.snapshot.services.clear();
        c.service("edge", "api", "10.65.9.1");
        assert_eq!(c.find(&CHECK)[0].summary, "of an earlier service edge/api, which was made again since");
    }

    #[test]
    fn the_same_service_of_another_type_or_class_protects() {
        let mut c = with_service();
        let class = c.name("metallb.io/metallb");
        let service = &mut c.snapshot.services[0];
        (service.load_balancer, service.class, service.ingress) = (false, Some(class), [].into());
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn only_an_exclusive_scope_may_accuse() {
        let mut c = with_service();
        c.snapshot.services.clear();
        c.node("east-1", "192.168.9.1");
        c.remove_kube_node("east-1");
        assert!(c.find(&CHECK).is_empty());
        c.scope = crate::ledger::ScopeFlag::Exclusive;
        assert_eq!(c.subjects(&CHECK), ["10.65.9.0"]);
    }

    #[test]
    fn cooling_ones_and_other_handles_are_none() {
        let mut c = with_service();
        c.snapshot.services.clear();
        let now = c.snapshot.now;
        c.attribute_mut("10.65.9.0").released_at = Some(now);
        assert!(c.find(&CHECK).is_empty());
        let mut c = with_service();
        c.snapshot.services.clear();
        let other = attribute(&mut c, "booked-by-hand", "edge", "api");
        *c.attribute_mut("10.65.9.0") = other;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn an_address_that_a_service_shows_is_not_offered_for_release() {
        let mut c = with_service();
        c.snapshot.services.clear();
        c.service("edge", "api", "10.65.9.0");
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].next.as_slice()), (1, &["ipaudit who 10.65.9.0".into()][..]));
    }
}
