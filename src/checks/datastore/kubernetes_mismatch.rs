//! IPA905: the API server and the datastore do not belong together.

use crate::checks::prelude::*;
use crate::ledger::Pairing;
use crate::model::Foreign;
use crate::model::foreign::foreign;

pub static CHECK: Check = Check {
    code: Code(905),
    name: "kubernetes-mismatch",
    severity: Severity::Critical,
    needs: Needs::P.and(Needs::K).and(Needs::N).and(Needs::W),
    steady: Steady::KubernetesReadApart,
    subject: SubjectKind::Cluster,
    finds: "Fewer than half of the Kubernetes nodes are known to this datastore; or the names agree while neither the \
        nodes' addresses, nor the pods' endpoints, nor the history do. Or this etcd was left behind: more than half of \
        the live pods that have no endpoint here carry the annotations that only Calico's Kubernetes datastore writes.",
    matters: "Held against another cluster's pods every address looks leaked and every endpoint stale. Whoever \
        released them would take the addresses of all live pods.",
    arises: "The kubeconfig, the context, the files of --kube-objects or the etcd endpoints are another cluster's; or a \
        second cluster was built from the same names; or Calico was moved to the Kubernetes datastore and its etcd stayed.",
    action: "Check which cluster each of the two is. Until they agree, every check that needs Kubernetes is skipped, \
        and nothing is released. An etcd that Calico has left is not cured by restarting pods: take it out of use.",
    silent: "The pair is known from an earlier audit; most nodes' InternalIPs are those of their Calico nodes; most \
        pods have an endpoint of their name. A restored datastore fails the last one alone, and is judged. None of \
        them helps an etcd that was left behind; pods in the host's network, terminating ones and those that have \
        their endpoint here say nothing of that.",
    ties: Ties { judges: Judges::Pairing, ..Ties::ANYBODYS },
    run,
};

/// So many names are shown of each side.
const SHOWN: usize = 10;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let Pairing::Mismatch(why) = &world.ledger.pairing else { return };
    let snapshot = world.snapshot;
    let shown = |names: &mut dyn Iterator<Item = Name>| -> Vec<String> {
        names.take(SHOWN).map(|n| world.text(n).to_owned()).collect()
    };
    let abandoned = world.ledger.abandoned().filter(|_| world.ledger.pairing.is_abandoned());
    let files = snapshot.kube.files().map(Foreign::from);
    let advice = match (abandoned.is_some(), &files) {
        (true, _) => {
            "this cluster's Calico reads this etcd no more: take it out of use; restarting pods cures nothing".into()
        }
        (false, Some(files)) => foreign!("check that {} and the etcd endpoints are of one cluster", files),
        (false, None) => "check that the kubeconfig and the etcd endpoints are of one cluster".into(),
    };
    let mut wired = abandoned.as_ref().map(|a| a.wired.clone()).unwrap_or_default();
    // The oldest ones: those that come and go meanwhile make no other finding of it.
    wired.sort_by_key(|p| (p.created(), world.pod_id(p)));
    wired.truncate(SHOWN);
    let draft = world
        .draft(&CHECK, world.snapshot.guid(), why.as_str())
        .advice(advice)
        .fact("reason", why.as_str())
        .fact("kubernetes_server", snapshot.kube.server.as_str())
        .fact("kubernetes_uid", snapshot.kube.uid())
        .fact("etcd_endpoints", snapshot.etcd.endpoints.clone())
        .fact("kubernetes_nodes", snapshot.kube_nodes.len())
        .fact("calico_nodes", snapshot.calico_nodes.len())
        .fact("shared_nodes", world.ledger.shared_nodes(world.past))
        .fact("pods_without_endpoint", abandoned.as_ref().map(|a| a.without_endpoint))
        .fact("pods_of_the_kubernetes_datastore", abandoned.as_ref().map(|a| a.wired.len()))
        .list("examples", wired.iter(), |p| world.pod_id(p))
        .fact("kubernetes_names", shown(&mut snapshot.kube_nodes.iter().map(|n| n.name)))
        .fact("calico_names", shown(&mut snapshot.calico_nodes.iter().map(|n| n.name)))
        .with_each(&wired, |d, pod| d.rests_on_pod(pod).looks_at_endpoints_at_home(pod))
        .with_each(&snapshot.kube_nodes, |d, node| d.looks_at(Look::KubeNode(node.name)))
        .with_each(&snapshot.calico_nodes, |d, node| d.looks_at(Look::CalicoNode(node.name)));
    // Of files no kubeconfig tells anything.
    let draft = match files {
        Some(_) => draft,
        None => draft.next("kubectl config current-context").next("kubectl get nodes -o wide"),
    };
    findings.push(draft.next("calicoctl get nodes -o wide").done());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::{Cluster, addr};
    use crate::model::{Foreign, Past};

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn other_names_are_another_cluster() {
        let mut c = Cluster::healthy();
        for (i, node) in ["east-1", "east-2"].into_iter().enumerate() {
            c.snapshot.kube_nodes[i].name = c.snapshot.names.intern(node);
        }
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "guid-1"));
        assert_eq!(found[0].summary, "0 of 2 Kubernetes nodes are known to this datastore");
        assert_eq!(found[0].evidence.get("kubernetes_names"), Some(&vec!["east-1", "east-2"].into()));
    }

    /// Who gave files has no kubeconfig that would tell anything.
    #[test]
    fn files_of_another_cluster_are_named() {
        let mut c = Cluster::healthy();
        c.snapshot.calico_nodes.clear();
        let found = c.find(&CHECK);
        assert_eq!(found[0].next.first().map(Foreign::raw), Some("kubectl config current-context"));
        c.snapshot.kube.server = "east.json, pods\u{1b}.json".to_owned();
        let found = c.find(&CHECK);
        let says = "check that east.json, pods\u{1b}.json and the etcd endpoints are of one cluster";
        assert_eq!(found[0].advice, says);
        let next: Vec<&str> = found[0].next.iter().map(Foreign::raw).collect();
        assert_eq!(next, ["calicoctl get nodes -o wide"]);
        c.snapshot.kube.server = "https://10.0.0.1:6443".to_owned();
        assert_eq!(c.find(&CHECK)[0].next.len(), 3);
    }

    /// A second cluster of the same node names: other machines, other pods.
    #[test]
    fn the_same_names_with_other_addresses_and_pods() {
        let mut c = Cluster::healthy();
        for node in &mut c.snapshot.kube_nodes {
            node.internal_addresses = [addr("172.31.0.1")].into();
        }
        assert!(c.find(&CHECK).is_empty(), "the pods still have their endpoints");
        for i in 0..3 {
            c.snapshot.pods[i].name = c.snapshot.names.intern(&format!("db-{i}"));
        }
        assert_eq!(c.subjects(&CHECK), ["guid-1"]);
        c.past = Some(Past { audits: 1, pair_known: true, ..Past::default() });
        assert!(c.find(&CHECK).is_empty(), "known from the history");
    }

    #[test]
    fn an_etcd_that_calico_left_names_the_pods_that_tell() {
        let mut c = Cluster::healthy();
        let address: Box<[_]> = [addr("10.65.0.9")].into();
        c.pod("shop", "new-0", "node-1", &["10.65.0.9"]).annotated = address;
        let found = c.find(&CHECK);
        let why = "this cluster's Calico keeps its data in Kubernetes, not in this etcd";
        assert_eq!((found.len(), found[0].summary.raw()), (1, why));
        assert!(found[0].advice.raw().contains("restarting pods cures nothing"), "{:?}", found[0].advice);
        assert!(!found[0].restarts_pods, "nobody has to unlock an etcd that is to be taken out of use");
        assert_eq!(found[0].evidence.get("examples"), Some(&vec!["shop/new-0"].into()));
        let pod = (c.name("shop"), c.name("new-0"));
        assert!(found[0].rests.iter().any(|r| r.look == crate::model::Look::Pod(pod.0, pod.1)), "looked at again");
    }

    #[test]
    fn everything_with_kubernetes_is_skipped_then() {
        let mut c = Cluster::healthy();
        c.snapshot.calico_nodes.clear();
        let snapshot = c.snapshot();
        let ledger = crate::ledger::Ledger::build(&snapshot, c.scope, None);
        let outcome = crate::checks::run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
        assert_eq!(outcome.findings.iter().filter(|f| f.code == Code(905)).count(), 1);
        for check in crate::checks::ALL.iter() {
            let kubernetes = check.needs.has_any(Needs::P.and(Needs::K).and(Needs::S)) && check.code != Code(905);
            let skipped = outcome.skipped.iter().any(|s| s.code == check.code && s.incomplete);
            assert!(skipped || !kubernetes || check.needs.has(Needs::D), "{}", check.code);
        }
    }
}
