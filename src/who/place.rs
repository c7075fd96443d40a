//! Where things are that are asked for: on a node, in a pool. Of several of one name, and of many in a block, only those.

use crate::ledger::{Allocation, Ledger};
use crate::model::foreign::foreign;
use crate::model::near::{did_you_mean, near};
use crate::model::pool::near_pools;
use crate::model::{Addr, Cidr, Endpoint, Foreign, KeptFinding, Name, Narrow};

/// A name that something is narrowed to and that nothing in the cluster has: silence about it proves nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// `pool` or `node`.
    pub kind: &'static str,
    pub name: Foreign,
    /// Names that may have been meant, nearest first.
    pub near: Vec<Foreign>,
}

impl Doubt {
    /// A sentence.
    pub fn says(&self) -> Foreign {
        foreign!("no {} is called {} here{}", self.kind, self.name, did_you_mean(&self.near))
    }
}

/// Where: anywhere, unless somebody said so.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AskedPlace {
    /// Both names of each; `None`: any.
    pub nodes: Option<Vec<Name>>,
    /// Names and ranges; `None`: any.
    pub pools: Option<Vec<(Name, Cidr)>>,
    pub unknown: Vec<Doubt>,
    /// As people would type it.
    pub flags: Vec<Foreign>,
}

impl AskedPlace {
    /// The node, by Calico's name or Kubernetes', and the pool, by name or range, as the cluster knows them.
    pub fn of(ledger: &Ledger<'_>, node: Option<&str>, pool: Option<&str>) -> AskedPlace {
        let (names, all) = (&ledger.snapshot.names, &ledger.snapshot.pools);
        let mut place = AskedPlace::default();
        if let Some(word) = pool {
            let called = all.iter().filter(|pool| pool.is_called(word, names));
            let called: Vec<(Name, Cidr)> = called.map(|pool| (pool.name, pool.cidr)).collect();
            if called.is_empty() {
                let near = near_pools(all, names, word);
                place.unknown.push(Doubt { kind: "pool", name: word.into(), near });
            }
            place.flags.push(foreign!("--pool {}", Foreign::from(word)));
            place.pools = Some(called);
        }
        if let Some(word) = node {
            let called = ledger.nodes_called(word);
            if called.is_empty() {
                let near = near(word, &ledger.named_all(ledger.node_names()));
                place.unknown.push(Doubt { kind: "node", name: word.into(), near });
            }
            place.flags.push(foreign!("--node {}", Foreign::from(word)));
            place.nodes = Some(called);
        }
        place
    }

    /// Whether it is everywhere.
    pub fn is_anywhere(&self) -> bool {
        self.nodes.is_none() && self.pools.is_none()
    }

    /// Whether it takes this node.
    pub fn has_node(&self, node: Name) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(&node))
    }

    /// Whether it takes this address, wherever it is used.
    pub fn has_address(&self, address: Addr) -> bool {
        self.pools.as_ref().is_none_or(|pools| pools.iter().any(|(_, range)| range.contains(address)))
    }

    /// Whether a block lies in a pool that it takes.
    pub fn has_block(&self, ledger: &Ledger<'_>, block: Cidr) -> bool {
        let pool = || ledger.pool_of(block).map(|pool| pool.name);
        self.pools.as_ref().is_none_or(|pools| pools.iter().any(|(name, _)| Some(*name) == pool()))
    }

    /// Whether it takes an allocation: made for its node, in its pool.
    pub fn has_allocation(&self, ledger: &Ledger<'_>, allocation: &Allocation) -> bool {
        self.has_node(ledger.owner_node(allocation)) && self.has_address(allocation.address)
    }

    /// Whether it takes an endpoint.
    pub fn has_endpoint(&self, endpoint: &Endpoint) -> bool {
        let in_pool = self.pools.is_none() || endpoint.addresses().iter().any(|address| self.has_address(*address));
        self.has_node(endpoint.node) && in_pool
    }

    /// Whether an address is used there, by IPAM, an endpoint or a pod.
    pub fn uses(&self, ledger: &Ledger<'_>, address: Addr) -> bool {
        let of_endpoint = || {
            let lists = |e: &&Endpoint| e.addresses().contains(&address);
            ledger.snapshot.endpoints.iter().filter(lists).any(|endpoint| self.has_node(endpoint.node))
        };
        let of_pod = || {
            let has = |pod: &&crate::model::Pod| pod.addresses().contains(&address);
            ledger.snapshot.pods.iter().filter(has).any(|pod| self.has_node(pod.node))
        };
        let made = || ledger.allocations_at(address).iter().any(|a| self.has_node(ledger.owner_node(a)));
        self.has_address(address) && (self.nodes.is_none() || made() || of_endpoint() || of_pod())
    }

    /// Whether it takes a pod of this namespace and name: by where it runs, where its endpoints are, and what was allocated
    /// for it.
    pub fn has_pod(&self, ledger: &Ledger<'_>, pod: (Name, Name)) -> bool {
        let runs = ledger.pod(pod.0, pod.1).is_some_and(|p| {
            self.has_node(p.node) && (self.pools.is_none() || p.addresses().iter().any(|a| self.has_address(*a)))
        });
        let named = |a: &&Allocation| ledger.owners_of(a).any(|owner| owner.pod_name() == Some(pod));
        runs || ledger.endpoints_of_pod(pod.0, pod.1).any(|endpoint| self.has_endpoint(endpoint))
            || ledger.allocations.iter().filter(named).any(|a| self.has_allocation(ledger, a))
    }

    /// Whether a finding is not of another node or pool: one whose evidence names what is asked for is of that too.
    pub fn has_finding(&self, ledger: &Ledger<'_>, finding: &KeptFinding) -> bool {
        if self.nodes.is_none() && self.pools.is_none() {
            return true;
        }
        let (snapshot, opened) = (ledger.snapshot, finding.open());
        let touches = |narrow: Narrow| narrow.touches(finding.placed(), &opened.evidence);
        let named = |name: &Name| Some(snapshot.text(*name).to_owned());
        let on_node = |node: &Name| touches(Narrow { node: named(node), ..Narrow::default() });
        let in_pool = |(pool, _): &(Name, Cidr)| {
            touches(Narrow { pool: named(pool), called: snapshot.spellings(None), ..Narrow::default() })
        };
        let is_of_node = self.nodes.as_ref().is_none_or(|nodes| nodes.iter().any(on_node));
        let is_of_pool = self.pools.as_ref().is_none_or(|pools| pools.iter().any(in_pool));
        (finding.node.is_none() || is_of_node) && (finding.pool.is_none() || is_of_pool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, cidr};
    use crate::checks::{World, run_these};
    use crate::who::{Asked, Dossier, Word, now};

    fn ask(c: &mut Cluster, what: &str, node: Option<&str>, pool: Option<&str>) -> Dossier {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let word = Word::of(what);
        let asked = Asked::of(&ledger, &word).at(&ledger, AskedPlace::of(&ledger, node, pool));
        now(&world, &run_these(&world, &[]), &word, &asked).0
    }

    #[test]
    fn of_several_of_a_name_those_of_the_place_are_told() {
        let mut c = Cluster::healthy();
        c.workload("stage", "web-0", "node-2", &["10.65.0.70"]);
        let pods = |c: &mut Cluster, node, pool| {
            let dossier = ask(c, "web-0", node, pool);
            let addresses: Vec<String> = dossier.addresses.iter().map(|sheet| sheet.address.to_string()).collect();
            (dossier.matches.iter().map(|m| m.id.raw().to_owned()).collect::<Vec<_>>(), addresses)
        };
        let (all, _) = pods(&mut c, None, None);
        assert_eq!(all, ["shop/web-0", "stage/web-0"]);
        let on_two = pods(&mut c, Some("node-2"), None);
        assert_eq!(on_two, (vec!["stage/web-0".to_owned()], vec!["10.65.0.70".to_owned()]));
        assert_eq!(pods(&mut c, Some("node-2"), Some("default")), on_two);
        c.pool("other", "10.99.0.0/16");
        assert!(pods(&mut c, None, Some("other")).0.is_empty());
        let none = ask(&mut c, "web-0", None, Some("other")).answer;
        assert!(
            none.raw().starts_with("nothing is called web-0 here") && none.raw().ends_with(" (--pool other)"),
            "{none:?}"
        );
    }

    #[test]
    fn of_a_block_the_addresses_of_the_node_are_told() {
        let mut c = Cluster::healthy();
        c.workload("shop", "guest", "node-2", &["10.65.0.9"]);
        let block = cidr("10.65.0.0/26").to_string();
        let dossier = ask(&mut c, &block, Some("node-2"), None);
        let range = dossier.range.unwrap();
        let told: Vec<String> = range.occupants.iter().map(|o| o.address.to_string()).collect();
        assert_eq!(told, ["10.65.0.9"]);
        assert!(dossier.answer.raw().ends_with("; with --node node-2 1 address"), "{:?}", dossier.answer);
    }

    #[test]
    fn a_pool_is_told_by_its_name_as_by_its_range() {
        let mut c = Cluster::healthy();
        c.pool("web-0", "10.99.0.0/16");
        let by_range = ask(&mut c, "10.65.0.0/16", None, None);
        assert!(by_range.answer.raw().starts_with("10.65.0.0/16 is pool default: "), "{:?}", by_range.answer);
        for word in ["default", "pool/default", "ippool/default", "pool/10.65.0.0/16"] {
            let by_name = ask(&mut c, word, None, None);
            assert_eq!((&by_name.answer, &by_name.matches), (&by_range.answer, &by_range.matches), "{word}");
            assert_eq!(by_name.range.unwrap().range, by_range.range.as_ref().unwrap().range);
        }
        // A pod of that name goes before.
        assert!(ask(&mut c, "web-0", None, None).range.is_none());
        assert!(ask(&mut c, "pool/web-0", None, None).answer.raw().contains("pool web-0"));
        let unknown = ask(&mut c, "pool/defualt", None, None).answer;
        assert_eq!(unknown.raw(), "nothing is called pool/defualt here; did you mean pool/default?");
    }

    #[test]
    fn a_name_that_nothing_has_is_told() {
        let mut c = Cluster::healthy();
        let answer = ask(&mut c, "web-0", Some("nod-1"), None).answer;
        assert!(answer.raw().starts_with("no node is called nod-1 here; did you mean node-1"), "{answer:?}");
        let answer = ask(&mut c, "web-0", None, Some("defualt")).answer;
        assert!(answer.raw().starts_with("no pool is called defualt here; did you mean default"), "{answer:?}");
    }
}
