//! Names within a sentence: as many as people read, then how many more there are. All of them are in the evidence.

use crate::model::number::grouped;

/// So many names are told.
const NAMED: usize = 3;

/// `a and b and c`, or `a, b, c and 9,997 more`. `between` stands between those that are all told.
pub fn few(names: &[impl AsRef<str>], between: &str) -> String {
    let told: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(NAMED) {
        0 => told.join(between),
        more => format!("{} and {} more", told.join(", "), grouped(more as u64)),
    }
}

/// `node-1 and node-2`, or `10,000 nodes (node-1, node-2, node-3, …)`: where their number says the most. `many`: what they
/// are.
pub fn counted_few(names: &[impl AsRef<str>], between: &str, many: &str) -> String {
    if names.len() <= NAMED {
        return few(names, between);
    }
    let told: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    format!("{} {many} ({}, …)", grouped(names.len() as u64), told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::addresses::{duplicate_tunnel_address, floating_address_collision, service_address_unallocated};
    use crate::checks::affinities::affinity_conflict;
    use crate::checks::capacity::overlapping_pools;
    use crate::checks::endpoints::{duplicate_mac, interface_clash, twin_endpoints};
    use crate::checks::testing::{Cluster, addr};
    use crate::checks::{World, run};
    use crate::ledger::Ledger;
    use crate::model::{AffinityState, Interface, Nat, Tunnel};

    /// Two hundred of everything that a check puts into its sentence.
    fn crowd() -> Cluster {
        let mut c = Cluster::healthy();
        c.block("10.65.4.0/26", None);
        let interface = Interface::Other(c.name("cali0123"));
        for i in 0..200 {
            let (node, pod) = (format!("node-{}", i + 3), format!("many-{i}"));
            c.node(&node, &format!("192.168.1.{i}"));
            // One tunnel address on all of them, one pod with an endpoint on each.
            c.snapshot.calico_nodes.last_mut().unwrap().tunnels = [(Tunnel::Ipip, addr("10.65.4.1"))].into();
            c.endpoint("shop", "web-0", &node, &format!("{i:064x}"), &[]);
            // Pods that share a node's interface, a MAC, a floating address.
            let container = Cluster::container("shop", &pod);
            c.pod("shop", &pod, "node-1", &[]);
            let mut endpoint = c.endpoint("shop", &pod, "node-1", &container, &[]);
            (endpoint.interface, endpoint.mac) = (interface, Some(0x9a58_45be_44ee));
            endpoint.nats = [Nat { internal: addr("10.65.0.9"), external: addr("10.65.9.9") }].into();
            drop(endpoint);
            c.service("edge", &format!("api-{i}"), "10.65.4.2");
            let host = c.host(&node);
            c.affinity(host, "10.65.4.0/26", AffinityState::Confirmed);
            c.pool(&format!("pool-{i}"), "10.65.0.0/16");
        }
        c
    }

    /// Names that nobody can count are no sentence: whatever a check lists, it stays as short as one line is read.
    #[test]
    fn no_check_floods_its_sentence() {
        let mut c = crowd();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let found: Vec<_> = run(&World { snapshot: &snapshot, ledger: &ledger, past: None }).opened().collect();
        let flood = found.iter().find(|f| f.summary.raw().len() + f.advice.raw().len() > 400);
        assert_eq!(flood.map(|f| (f.code, f.summary.raw(), f.advice.raw())), None);
        for (check, many) in [
            (&twin_endpoints::CHECK, "201 nodes"),
            (&interface_clash::CHECK, "and 197 more"),
            (&duplicate_mac::CHECK, "and 197 more"),
            (&floating_address_collision::CHECK, "more"),
            (&duplicate_tunnel_address::CHECK, "more"),
            (&service_address_unallocated::CHECK, "and 197 more"),
            (&affinity_conflict::CHECK, "and 197 more"),
            (&overlapping_pools::CHECK, "more"),
        ] {
            let told = found.iter().any(|f| f.code == check.code && f.summary.raw().contains(many));
            let says: Vec<&str> = found.iter().filter(|f| f.code == check.code).map(|f| f.summary.raw()).collect();
            assert!(told, "{}: {says:?}", check.name);
        }
    }

    #[test]
    fn few_are_named_and_many_counted() {
        let names = |number: usize| (1..=number).map(|i| format!("node-{i}")).collect::<Vec<_>>();
        let nodes = |number: usize| counted_few(&names(number), " and ", "nodes");
        assert_eq!(few(&names(0), " and "), "");
        assert_eq!((few(&names(1), " and ").as_str(), nodes(1).as_str()), ("node-1", "node-1"));
        assert_eq!(few(&names(3), " and "), "node-1 and node-2 and node-3");
        assert_eq!(nodes(3), "node-1 and node-2 and node-3");
        assert_eq!(few(&names(4), "; "), "node-1, node-2, node-3 and 1 more");
        assert_eq!(nodes(10_000), "10,000 nodes (node-1, node-2, node-3, …)");
    }
}
