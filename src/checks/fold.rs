//! One cause gives many findings: `root` names the one that explains another.
//!
//! The rows of the catalogue say who folds whom: IPA101 the 102, 120, 130 and 131 of its address, IPA120 the 505 of
//! its pods, IPA409 the 406 and 103 of its node. Beside these, IPA503 explains the 502 of its workload, and an endpoint left behind (501,
//! 502) the leak of the very address that it lists. A fold must not hide a cause: whatever is worse than its root,
//! or merely of the same name, stands for itself.

use crate::model::hash::HashMap;

use crate::model::{Code, Fact, Finding, Root, Severity, SubjectKind};

/// Gives each finding that another one explains its root: the last one of the chain, which has none itself.
pub fn fold(findings: &mut [Finding]) {
    let known = Known::of(findings);
    let direct: HashMap<(Code, String), Root> =
        findings.iter().filter_map(|f| Some(((f.code, f.subject.id.clone()), known.explains(f)?))).collect();
    for finding in findings.iter_mut() {
        let mut root = direct.get(&(finding.code, finding.subject.id.clone()));
        // Chains are short (a leak, its endpoint, the twins); no rule leads back.
        while let Some(next) = root.and_then(|r| direct.get(&(r.code, r.id.clone()))) {
            root = Some(next);
        }
        finding.root = root.cloned();
    }
}

/// What was found, and how bad it is.
struct Known {
    severities: HashMap<(Code, String), Severity>,
    /// The pods of each IPA120, with its address; of several the first.
    unallocated: HashMap<String, String>,
}

impl Known {
    fn of(findings: &[Finding]) -> Known {
        let severities = findings.iter().map(|f| ((f.code, f.subject.id.clone()), f.severity)).collect();
        let mut unallocated = HashMap::new();
        for finding in findings.iter().filter(|f| f.code == Code(120)) {
            for pod in texts(finding, "restart") {
                unallocated.entry(pod).or_insert_with(|| finding.subject.id.clone());
            }
        }
        Known { severities, unallocated }
    }

    fn has(&self, code: u16, id: &str) -> bool {
        self.severities.contains_key(&(Code(code), id.to_owned()))
    }

    /// The finding that explains this one.
    fn explains(&self, finding: &Finding) -> Option<Root> {
        let root = |code: u16, id: String| Root { code: Code(code), id };
        let id = &finding.subject.id;
        match (finding.code.0, finding.subject.kind) {
            (102 | 120 | 130 | 131, SubjectKind::Address) => self.no_milder(finding, root(101, id.clone())),
            (406, _) if self.has(409, id) => Some(root(409, id.clone())),
            (103, _) => texts(finding, "nodes").into_iter().find(|n| self.has(409, n)).map(|n| root(409, n)),
            // The pod lost both: restarting it once is the cure of both.
            (505, _) => self.no_milder(finding, root(120, self.unallocated.get(id)?.clone())),
            (502, _) => self.no_milder(finding, root(503, text(finding, "workload")?)),
            (110, _) => endpoints_left(finding)
                .into_iter()
                .flat_map(|e| [root(501, e.clone()), root(502, e)])
                .find_map(|r| self.no_milder(finding, r)),
            _ => None,
        }
    }

    /// The root, when it was found and is at least as bad as what it explains: a warning hides nothing critical.
    fn no_milder(&self, finding: &Finding, root: Root) -> Option<Root> {
        let severity = self.severities.get(&(root.code, root.id.clone()))?;
        (*severity >= finding.severity).then_some(root)
    }
}

fn text(finding: &Finding, fact: &str) -> Option<String> {
    match finding.evidence.get(fact) {
        Some(Fact::Text(text)) => Some(text.clone()),
        _ => None,
    }
}

fn texts(finding: &Finding, fact: &str) -> Vec<String> {
    let Some(Fact::List(list)) = finding.evidence.get(fact) else { return Vec::new() };
    list.iter().filter_map(|f| if let Fact::Text(t) = f { Some(t.clone()) } else { None }).collect()
}

/// The endpoints that list a leaked address, as their findings name them.
fn endpoints_left(finding: &Finding) -> Vec<String> {
    let Some(Fact::List(list)) = finding.evidence.get("endpoints_left") else { return Vec::new() };
    let name = |fact: &Fact| match fact {
        Fact::Record(record) => match record.get("endpoint") {
            Some(Fact::Text(name)) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    };
    list.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{Cluster, addr};
    use crate::checks::{ALL, World, run_these};
    use crate::ledger::Ledger;

    /// Code and subject of a finding, and those of its root.
    type Tied = (u16, String, Option<(u16, String)>);

    /// Every finding of these codes, by code.
    fn roots(c: &mut Cluster, codes: &[u16]) -> Vec<Tied> {
        c.snapshot.sort();
        let ledger = Ledger::build(&c.snapshot, c.scope, None);
        let checks: Vec<_> = ALL.iter().copied().filter(|check| codes.contains(&check.code.0)).collect();
        let world = World { snapshot: &c.snapshot, ledger: &ledger, past: None };
        let mut found = run_these(&world, &checks).findings;
        found.sort_by_key(|f| f.code);
        found.into_iter().map(|f| (f.code.0, f.subject.id, f.root.map(|r| (r.code.0, r.id)))).collect()
    }

    const OLD: &str = "shop/node--1-k8s-web--0-eth0";

    /// web-0 moved to node-2; endpoint, handle and allocation of node-1 stayed.
    fn moved() -> Cluster {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.workload("shop", "web-0", "node-2", &["10.65.0.70"]);
        let new = c.name("sandbox2");
        let added = c.snapshot.endpoints.len() - 1;
        c.snapshot.endpoints[added].container = new;
        let handle = crate::model::HandleId::intern(&mut c.snapshot.names, "k8s-pod-network.sandbox2");
        c.attribute_mut("10.65.0.70").handle = handle;
        c
    }

    #[test]
    fn twins_explain_the_endpoint_left_behind_and_the_leak_behind_it() {
        let twins = Some((503, "shop/web-0/eth0".to_owned()));
        let found = roots(&mut moved(), &[110, 502, 503]);
        let expected = [
            (110, "10.65.0.1".to_owned(), twins.clone()),
            (502, OLD.to_owned(), twins),
            (503, "shop/web-0/eth0".to_owned(), None),
        ];
        assert_eq!(found, expected);
    }

    /// The same pod's leak of another sandbox, which no endpoint lists, has a cause of its own.
    #[test]
    fn a_leak_of_the_same_name_that_no_endpoint_lists_stands_for_itself() {
        let mut c = moved();
        let attribute = c.pod_attribute("k8s-pod-network.older", "shop", "web-0", "node-1");
        c.allocate("10.65.0.9", attribute);
        let found = roots(&mut c, &[110, 501, 502, 503]);
        assert!(found.contains(&(110, "10.65.0.9".to_owned(), None)), "{found:?}");
    }

    #[test]
    fn a_stale_endpoint_explains_the_leak_of_the_address_that_it_lists() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        let found = roots(&mut c, &[110, 501]);
        assert_eq!(found[0], (110, "10.65.0.1".to_owned(), Some((501, OLD.to_owned()))));
        c.remove_endpoint("web-0");
        assert_eq!(roots(&mut c, &[110, 501]), [(110, "10.65.0.1".to_owned(), None)]);
    }

    /// A restored backup loses endpoints together with allocations.
    #[test]
    fn the_lost_allocation_explains_the_lost_endpoint_of_its_pod() {
        let mut c = Cluster::healthy();
        c.free("10.65.0.1");
        c.remove_endpoint("web-0");
        c.remove_endpoint("web-2");
        let found = roots(&mut c, &[120, 505]);
        let expected = [
            (120, "10.65.0.1".to_owned(), None),
            (505, "shop/web-0".to_owned(), Some((120, "10.65.0.1".to_owned()))),
            (505, "shop/web-2".to_owned(), None),
        ];
        assert_eq!(found, expected, "web-2 has its allocation still");
    }

    #[test]
    fn a_milder_root_hides_nothing_worse() {
        let mut c = Cluster::healthy();
        c.endpoint_mut("web-2").addresses = [addr("10.65.0.2")].into();
        c.pod_mut("web-2").addresses = [addr("10.65.0.2")].into();
        let found = roots(&mut c, &[101, 102]);
        assert_eq!(found[1], (102, "10.65.0.2".to_owned(), Some((101, "10.65.0.2".to_owned()))));
        let now = c.snapshot.now;
        c.pod_mut("web-2").deleting = Some(now);
        // Now the one is a warning, and the endpoints are what they were.
        let found = roots(&mut c, &[101, 102]);
        assert_eq!((found.len(), &found[1].2), (2, &None), "{found:?}");
    }
}
