//! One cause gives many findings: `root` names the one that explains another.
//!
//! What explains a finding, its own check says ([`Ties::explained_by`](super::Ties)). A fold must not hide a cause:
//! whatever is worse than its root, or merely of the same name, stands for itself.

use super::Causes;
use crate::model::hash::HashMap;
use crate::model::{Code, Foreign, KeptFinding, Root};

/// Gives each finding that another one explains its root: the last one of the chain, which has none itself.
pub fn fold(findings: &mut [KeptFinding]) {
    let direct = direct(findings);
    for finding in findings.iter_mut() {
        let mut root = direct.get(&(finding.code, finding.subject.id.clone()));
        // Chains are short (a leak, its endpoint, the twins); no rule leads back.
        while let Some(next) = root.and_then(|r| direct.get(&(r.code, r.id.clone()))) {
            root = Some(next);
        }
        finding.set_root(root.cloned());
    }
}

/// What explains which finding, by code and subject.
fn direct(findings: &[KeptFinding]) -> HashMap<(Code, Foreign), Root> {
    let causes = Causes::of(findings);
    let own = |f: &KeptFinding| super::find(f.code)?.ties.explained_by?(&f.open(), &causes);
    let worse = |f: &KeptFinding| {
        let mut of = super::ALL.iter().filter(|check| check.ties.explains.contains(&f.code));
        of.find_map(|check| causes.worse(&f.open(), check.code, f.subject.id.raw()))
    };
    let root = |f: &KeptFinding| own(f).or_else(|| worse(f));
    findings.iter().filter_map(|f| Some(((f.code, f.subject.id.clone()), root(f)?))).collect()
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::{Cluster, addr};
    use crate::checks::{ALL, World, run_these};
    use crate::ledger::Ledger;
    use crate::model::Foreign;

    /// Code and subject of a finding, and those of its root.
    type Tied = (u16, String, Option<(u16, String)>);

    /// Every finding of these codes, by code.
    fn roots(c: &mut Cluster, codes: &[u16]) -> Vec<Tied> {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let checks: Vec<_> = ALL.iter().copied().filter(|check| codes.contains(&check.code.0)).collect();
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let mut found = run_these(&world, &checks).findings;
        found.sort_by_key(|f| f.code);
        let id = |id: &Foreign| id.raw().to_owned();
        found
            .into_iter()
            .map(|f| (f.code.0, id(&f.subject.id), f.root.as_ref().map(|r| (r.code.0, id(&r.id)))))
            .collect()
    }

    const OLD: &str = "shop/node--1-k8s-web--0-eth0";

    /// web-0 moved to node-2; endpoint, handle and allocation of node-1 stayed.
    fn moved() -> Cluster {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.workload("shop", "web-0", "node-2", &["10.65.0.70"]);
        let new = c.name("sandbox2");
        c.last_endpoint().container = new;
        let handle = crate::model::HandleId::intern(&mut c.snapshot.names, "k8s-pod-network.sandbox2");
        c.attribute_mut("10.65.0.70").handle = handle;
        c
    }

    /// One address: that web-2 may hold it too is a warning, that two live endpoints list it is none.
    #[test]
    fn endpoints_of_one_address_explain_its_milder_duplicate() {
        let mut c = Cluster::healthy();
        c.pod_mut("web-2").addresses = [addr("10.65.0.2")].into();
        c.endpoint_mut("web-2").addresses = [addr("10.65.0.2")].into();
        let at = "10.65.0.2".to_owned();
        let pods = (101, at.clone(), None);
        assert_eq!(roots(&mut c, &[101, 102]), [pods, (102, at.clone(), Some((101, at.clone())))]);
        c.pod_mut("web-2").deleting = Some(c.snapshot.now);
        let found = roots(&mut c, &[101, 102]);
        assert_eq!(found, [(101, at.clone(), Some((102, at.clone()))), (102, at, None)]);
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
