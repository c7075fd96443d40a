//! IPA504: two endpoints of one node want one host interface.

use super::common::on_one_node;
use crate::checks::evidence::count;
use crate::checks::evidence::operand::operand;
use crate::checks::prelude::*;
use crate::model::Orchestrator;

pub static CHECK: Check = Check {
    code: Code(504),
    name: "interface-clash",
    severity: Severity::Error,
    needs: Needs::W,
    steady: Steady::OneMoment,
    subject: SubjectKind::Interface,
    finds: "Two or more endpoints of one node, whoever owns it, with the same host interface name. A note when all of \
        them are of one pod.",
    matters: "Felix programs one interface for two endpoints: policy and route of one of them win, and it has crashed \
        on this. One of the two pods is cut off or, worse, filtered by the other's rules.",
    arises: "Endpoints were copied or edited by hand, two pods' names hash to one interface name (11 hex digits), or \
        an endpoint of another orchestrator or container of the same pod stayed behind.",
    action: "Find out which of them is live, and remove the other endpoint or restart its pod.",
    silent: "The same name on different nodes (IPA503 when it is one workload); endpoints without an interface name.",
    ties: Ties {
        harm: Harm::Outage,
        many: "interfaces that several endpoints claim",
        between: "endpoint",
        ..Ties::ANYBODYS
    },
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let interface = |e: &Endpoint| e.interface().some().filter(|_| !e.node.is_none());
    on_one_node(world, interface, |clash| findings.push(report(world, clash)));
}

fn report(world: &World<'_>, clash: &[&Endpoint]) -> Finding {
    let (node, interface) = (world.text(clash[0].node), clash[0].interface().text(&world.snapshot.names));
    let pods: Vec<(Name, Name)> = clash.iter().map(|e| (e.namespace, e.pod)).collect();
    let one_pod = pods.windows(2).all(|two| two[0] == two[1])
        && clash.iter().all(|e| e.orchestrator() == Orchestrator::Kubernetes && !e.pod.is_none());
    let all: Vec<String> = pods.iter().map(|&(namespace, pod)| world.pair(namespace, pod)).collect();
    let whose = if one_pod { format!(" of pod {}", all[0]) } else { format!(": {}", few(&all, ", ")) };
    let summary = format!("{}{whose}", count(clash.len(), "endpoint"));
    world
        .draft(&CHECK, format!("{node} {interface}"), summary)
        .severity(if one_pod { Severity::Note } else { Severity::Error })
        .advice("find out which of them is live, and remove the other endpoint or restart its pod")
        .restarts_pods(true)
        .fact("node", node)
        .fact("interface", interface.as_str())
        .fact("one_pod", one_pod)
        .list("endpoints", clash, |e| world.endpoint_facts(e))
        .on_node(clash[0].node)
        .in_namespace(if one_pod { clash[0].namespace } else { Name::NONE })
        .with_each(clash, |d, e| d.rests_on_endpoint(e))
        .next(format!("calicoctl get workloadendpoints --all-namespaces -o wide | grep -F {}", operand(&interface)))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::Interface;

    /// web-1's endpoint took web-0's interface name.
    fn clash() -> Cluster {
        let mut c = Cluster::healthy();
        let interface = Interface::Other(c.name("cali0123"));
        c.endpoint_mut("web-0").interface = interface;
        c.endpoint_mut("web-1").interface = interface;
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn two_pods_of_one_node_clash() {
        let found = clash().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1 cali0123"));
        assert_eq!(found[0].summary, "2 endpoints: shop/web-0, shop/web-1");
        assert_eq!(found[0].severity, Severity::Error);
    }

    #[test]
    fn a_note_when_they_are_of_one_pod() {
        let mut c = clash();
        let web_0 = c.name("web-0");
        c.endpoint_mut("web-1").pod = web_0;
        let found = c.find(&CHECK);
        assert_eq!((found[0].severity, found[0].summary.raw()), (Severity::Note, "2 endpoints of pod shop/web-0"));
        // A third one of another pod makes it a clash.
        let interface = Interface::Other(c.name("cali0123"));
        c.endpoint("shop", "web-9", "node-1", "0123", &[]).interface = interface;
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error);
        // Every libnetwork workload is called "libnetwork".
        let mut c = clash();
        let libnetwork = c.name("libnetwork");
        for pod in ["web-0", "web-1"] {
            let mut endpoint = c.endpoint_mut(pod);
            (endpoint.orchestrator, endpoint.pod) = (Orchestrator::Other(libnetwork), libnetwork);
        }
        assert_eq!(c.find(&CHECK)[0].severity, Severity::Error);
    }

    #[test]
    fn other_nodes_and_no_names_do_not_clash() {
        let mut c = clash();
        let node_2 = c.name("node-2");
        c.endpoint_mut("web-1").node = node_2;
        assert!(c.find(&CHECK).is_empty());
        let mut c = clash();
        c.endpoint_mut("web-0").interface = Interface::Other(Name::NONE);
        c.endpoint_mut("web-1").interface = Interface::Other(Name::NONE);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn the_datastore_is_judged_whoever_owns_the_node() {
        let mut c = clash();
        c.remove_kube_node("node-1");
        assert_eq!(c.subjects(&CHECK), ["node-1 cali0123"]);
    }
}
