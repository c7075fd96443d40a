//! IPA707: the node does not answer a pod that asks for its gateway.

use std::collections::{BTreeMap, BTreeSet};

use super::common::folds::{by_cut, of_route};
use super::common::sight::{NodeSight, sights};
use super::common::trouble::{NOT_FORWARDED, Silence, pod_or_interface, silences, sysctl};
use super::interface_sysctl;
use crate::checks::evidence::count;
use crate::checks::prelude::*;
use crate::model::Foreign;

pub static CHECK: Check = Check {
    code: Code(707),
    name: "gateway-unanswered",
    severity: Severity::Error,
    needs: Needs::E,
    steady: Steady::NodeReadApart,
    subject: SubjectKind::NodeAddress,
    finds: "A pod's address for which the node would not answer when the pod asks for its gateway, 169.254.1.1: the \
        kernel itself refuses the route, or proxy_arp is 0 on the interface and for all. Of IPv6: the host's end has no \
        link-local address. It needs no etcd: then the address is one that the kernel routes to the interface or that \
        the pod has inside.",
    matters: "Every packet of the pod goes by that gateway. A pod that is not answered shows FAILED in `ip neigh` and has \
        no network, though it looks healthy from outside.",
    arises: "Before it answers, the kernel checks that its own way to the pod's address leads back to this interface: with \
        the route elsewhere or missing (IPA701, IPA702) it stays silent, also with a loose rp_filter. Else forwarding is \
        off, the node has no default route, or somebody set proxy_arp to 0.",
    action: "The reason in the evidence says what to repair; Felix sets the interface's settings only at its start, and \
        when the interface or the endpoint changes.",
    silent: "Pods that speak BGP with the node (it has an address on their interface); pods that are young or gone; \
        interfaces that are missing. Without the kernel's verdicts and without sysctls nothing is judged.",
    ties: Ties {
        harm: Harm::Outage,
        also: Needs::W.and(Needs::P),
        explained_by: Some(explained_by),
        many: "pods that get no answer from their gateway",
        ..Ties::ANYBODYS
    },
    run,
};

/// What cuts the pod off, else that the whole node hands on nothing.
fn explained_by(finding: &Finding, causes: &Causes<'_>) -> Option<Root> {
    by_cut(finding, causes).or_else(|| interface_sysctl::explains(finding, causes))
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for sight in sights(world) {
        let mut of: BTreeMap<Addr, Vec<(Foreign, Vec<Silence>)>> = BTreeMap::new();
        for (address, interface) in asked(&sight) {
            let silences = silences(&sight, &interface, address);
            if !silences.is_empty() {
                of.entry(address).or_default().push((interface, silences));
            }
        }
        of.iter().for_each(|(address, silent)| findings.push(report(&sight, *address, silent)));
    }
}

/// Addresses of pods, each with its interface, which exists: by the endpoints, else by the kernel's routes and what pods
/// have inside. Never by a neighbour alone.
fn asked(sight: &NodeSight<'_>) -> BTreeSet<(Addr, Foreign)> {
    let evidence = sight.evidence;
    let mut asked = BTreeSet::new();
    if sight.knows_endpoints {
        for endpoint in sight.endpoints.iter().filter(|e| sight.may_live(e)) {
            let interface = sight.interface(endpoint);
            asked.extend(endpoint.addresses().iter().map(|address| (*address, interface.clone())));
        }
    } else {
        asked.extend(sight.workload_routes().map(|(dev, route)| (route.dst.first(), dev.clone())));
        let mut known: BTreeSet<Addr> = asked.iter().map(|(address, _)| *address).collect();
        known.extend(evidence.neighbours.each().filter(|n| n.is_permanent()).map(|n| n.address));
        for (inside, interface) in sight.insides() {
            let Some(interface) = interface else { continue };
            for v4 in [true, false] {
                let own: Vec<&Addr> = inside.addresses.each().filter(|address| address.is_v4() == v4).collect();
                // Where the node knows one of them, the others are the pod's own affair: a bridge, a second network.
                let has_known = own.iter().any(|address| known.contains(address));
                let counts = own.into_iter().filter(|address| !has_known || known.contains(address));
                asked.extend(counts.map(|address| (*address, interface.clone())));
            }
        }
    }
    asked.retain(|(_, interface)| sight.link(interface).is_some() && evidence.is_workload(interface));
    asked
}

/// What makes the node answer again where a setting keeps it silent, typed there.
fn cures(silent: &[(Foreign, Vec<Silence>)]) -> Vec<String> {
    let of = |silence: &Silence| match silence {
        Silence::NoProxyArp => Some("proxy_arp"),
        Silence::Refused(NOT_FORWARDED) => Some("forwarding"),
        Silence::Refused(_) | Silence::NoLinkLocal => None,
    };
    let each = silent.iter().flat_map(|(interface, silences)| silences.iter().map(move |silence| (interface, silence)));
    each.filter_map(|(interface, silence)| Some(sysctl("ipv4", interface, of(silence)?, 1))).collect()
}

/// What to set right. Where the route is at fault its own finding says who is to be restarted, or who makes it: anything
/// said here would be another word on the same thing.
fn advice(address: Addr, silent: &[(Foreign, Vec<Silence>)]) -> String {
    let silences: Vec<&Silence> = silent.iter().flat_map(|(_, silences)| silences).collect();
    if silences.iter().any(|silence| silence.is_of_route()) {
        let mut codes = of_route();
        codes.sort_unstable();
        let [first, second, third] = codes;
        return format!(
            "the route of {address} is at fault: do what {first}, {second} or {third} says of it; where none does, compare with etcd"
        );
    }
    let mut cures: Vec<&str> = silences.iter().map(|silence| silence.cure()).collect();
    cures.sort_unstable();
    cures.dedup();
    format!("{}, on the node itself", cures.join("; "))
}

fn report(sight: &NodeSight<'_>, address: Addr, silent: &[(Foreign, Vec<Silence>)]) -> Finding {
    let world = sight.world;
    let interfaces: Vec<&Foreign> = silent.iter().map(|(interface, _)| interface).collect();
    let mut words: Vec<&str> = silent.iter().flat_map(|(_, silences)| silences.iter().map(|s| s.words())).collect();
    words.sort_unstable();
    words.dedup();
    let who = match interfaces.as_slice() {
        [one] => pod_or_interface(sight, one).raw().to_owned(),
        many => count(many.len(), "pod"),
    };
    let entry = |(interface, silences): &(Foreign, Vec<Silence>)| {
        Evidence::new()
            .with("interface", interface)
            .with("errno", silences.iter().find_map(|silence| silence.errno()))
            .with("reasons", silences.iter().map(|silence| silence.words()).collect::<Vec<_>>())
    };
    let endpoints = || interfaces.iter().flat_map(|interface| sight.endpoints_of(interface)).copied();
    world
        .draft(&CHECK, sight.id(address), format!("the node answers {who} nothing: {}", words.join(", ")))
        .advice(advice(address, silent))
        .fact("address", address)
        .fact("reason", words.join(", "))
        .fact("interfaces", interfaces.clone())
        .list("silent", silent, entry)
        .at_node(sight.evidence)
        .in_pool_of(address)
        .with_each(cures(silent), |d, command| d.next(command))
        .next(format!("ipaudit who {address}"))
        .with_each(endpoints(), |d, e| d.rests_on_endpoint(e).rests_on_pod_named(e.namespace, e.pod))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::node::testing::{NodeUnderTest, seen};
    use crate::checks::testing::{Cluster, addr};
    use crate::model::node_evidence::{Dump, GatewayVerdict, HostAddress};
    use crate::model::{Input, InputState};

    /// Without etcd a pod's bridge is no address that the node should answer; the one that lost its route is.
    #[test]
    fn what_a_pod_has_for_itself_is_not_asked_for() {
        let mut c = without_etcd(seen());
        let verdict = GatewayVerdict { from: addr("172.17.0.1"), errno: 22, ..c.node_mut().verdicts()[0].clone() };
        c.node_mut().verdicts().push(verdict);
        let Dump::Read(inside) = &mut c.node_mut().insides()[0].addresses else { panic!("it was read") };
        inside.push(addr("172.17.0.1"));
        assert!(c.find(&CHECK).is_empty());
        c.node_mut().remove_route("10.65.0.1");
        c.node_mut().neighbours().clear();
        assert!(c.subjects(&CHECK).contains(&"node-1 10.65.0.1".to_owned()));
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(seen().find(&CHECK).is_empty());
        assert!(without_etcd(seen()).find(&CHECK).is_empty());
    }

    fn without_etcd(mut c: Cluster) -> Cluster {
        c.snapshot.endpoints.clear();
        c.snapshot.coverage.set(Input::Endpoints, InputState::NotAsked, "");
        c
    }

    #[test]
    fn the_kernels_refusal_is_told_with_its_cause() {
        for (errno, why) in [
            (22, "its own route to the pod's address does not lead to this interface (EINVAL)"),
            (101, "it has no default route (ENETUNREACH)"),
            (113, "forwarding is off (EHOSTUNREACH)"),
        ] {
            let mut c = seen();
            c.node_mut().verdict_mut("10.65.0.1").errno = errno;
            let found = c.find(&CHECK);
            assert_eq!(found[0].summary, format!("the node answers shop/web-0 nothing: {why}"));
            assert_eq!(without_etcd(c).subjects(&CHECK), ["node-1 10.65.0.1"]);
        }
    }

    #[test]
    fn proxy_arp_counts_by_the_interface_or_by_all() {
        let mut c = seen();
        let interface = c.interface_of("web-0");
        c.node_mut().sysctls_of(interface.raw()).proxy_arp = Some(0);
        let found = c.find(&CHECK);
        assert_eq!(
            found[0].summary,
            "the node answers shop/web-0 nothing: proxy_arp is 0, of the interface and of all"
        );
        let cure = format!("sysctl -w net/ipv4/conf/{}/proxy_arp=1", interface.raw());
        assert_eq!(found[0].next[0].raw(), cure);
        c.node_mut().sysctls_of("all").proxy_arp = Some(1);
        assert!(c.find(&CHECK).is_empty());
        c.node_mut().sysctls_of("all").proxy_arp = None;
        assert!(c.find(&CHECK).is_empty(), "unknown is not off");
    }

    #[test]
    fn an_ipv6_pod_needs_the_hosts_link_local_address() {
        let mut c = Cluster::healthy();
        let both = [addr("10.65.0.1"), addr("fd00:65::1")];
        (c.endpoint_mut("web-0").addresses, c.pod_mut("web-0").addresses) = (both.into(), both.into());
        c.see("node-1");
        let interface = c.interface_of("web-0");
        assert!(c.find(&CHECK).is_empty());
        c.node_mut().own_addresses().retain(|a| a.dev != interface);
        assert_eq!(c.subjects(&CHECK), ["node-1 fd00:65::1"]);
    }

    #[test]
    fn bgp_peers_the_young_the_gone_and_what_was_not_read_are_not_told() {
        for change in [
            (|c: &mut Cluster| {
                let dev = c.interface_of("web-0");
                let address = HostAddress { dev, address: addr("10.9.0.1"), prefix: 32, seen: 3 };
                c.node_mut().own_addresses().push(address);
            }) as fn(&mut Cluster),
            |c| c.pod_mut("web-0").created = Some(c.ago(30)),
            |c| c.remove_pod("web-0"),
            |c| c.node_mut().verdicts = Dump::NotAsked,
            |c| {
                c.node_mut().readings = 2;
                c.node_mut().verdict_mut("10.65.0.1").seen = 2;
            },
        ] {
            let mut c = seen();
            c.node_mut().verdict_mut("10.65.0.1").errno = 22;
            change(&mut c);
            assert!(c.find(&CHECK).is_empty());
        }
    }

    #[test]
    fn a_node_that_forwards_nothing_explains_every_pod_that_it_does_not_answer() {
        let mut c = seen();
        if let Dump::Read(sysctls) = &mut c.node_mut().sysctls {
            sysctls.ip_forward = Some(0);
        }
        assert_eq!(c.find(&interface_sysctl::CHECK)[0].severity, Severity::Warning, "nobody is hit");
        c.node_mut().verdicts().iter_mut().for_each(|verdict| verdict.errno = 113);
        let found = c.find(&interface_sysctl::CHECK);
        assert_eq!((found.len(), found[0].severity), (1, Severity::Error));
        let pods = c.find(&CHECK);
        let words = format!("ip_forward is 0, of the node: {} pods get no answer from the gateway", pods.len());
        assert_eq!(found[0].summary, words);
        let kept = crate::model::FindingKeeper::all(found);
        let causes = Causes::of(&kept);
        for pod in &pods {
            let root = CHECK.ties.explained_by.unwrap()(pod, &causes);
            assert_eq!(root.map(|root| root.id), Some("node-1 all".into()));
        }
        // What is silent for another reason too is no less so.
        let interface = c.interface_of("web-0");
        c.node_mut().sysctls_of(interface.raw()).proxy_arp = Some(0);
        let pods = c.find(&CHECK);
        let alone = pods.iter().filter(|pod| CHECK.ties.explained_by.unwrap()(pod, &causes).is_none());
        assert_eq!(alone.count(), 1);
    }
}
