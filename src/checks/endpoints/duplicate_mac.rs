//! IPA507: two endpoints of one node share a MAC address.

use super::common::on_one_node;
use crate::checks::evidence::{ask_who, count};
use crate::checks::prelude::*;
use crate::model::endpoint;

pub static CHECK: Check = Check {
    code: Code(507),
    name: "duplicate-mac",
    severity: Severity::Note,
    needs: Needs::W,
    steady: Steady::OneMoment,
    subject: SubjectKind::Mac,
    finds: "Two or more endpoints of one node, whoever owns it, whose inner interfaces have the same MAC address.",
    matters: "Calico routes, so mostly nothing breaks; but Felix's anti-spoofing rule for one endpoint lets the \
        other's frames pass, and neighbour entries may point at the wrong pod.",
    arises: "A chained plugin or a template sets the MAC; or one of the endpoints stayed behind.",
    action: "Look whether one of them is stale (IPA501, IPA502); else at what sets the MAC.",
    silent: "The same MAC on different nodes; endpoints without a MAC; `ee:ee:ee:ee:ee:ee`, which libnetwork's plugin \
        gives to every endpoint.",
    ties: Ties { between: "endpoint", ..Ties::ANYBODYS },
    run,
};

/// `ee:ee:ee:ee:ee:ee`, which libnetwork's plugin gives to every endpoint.
const CONSTANT: u64 = 0xeeee_eeee_eeee;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let mac = |e: &Endpoint| e.mac().filter(|&mac| mac != CONSTANT && !e.node.is_none());
    on_one_node(world, mac, |same| findings.extend(report(world, same)));
}

fn report(world: &World<'_>, same: &[&Endpoint]) -> Option<Finding> {
    let (node, mac) = (world.text(same[0].node), endpoint::mac_text(same[0].mac()?));
    let pods: Vec<String> = same.iter().map(|e| world.pair(e.namespace, e.pod)).collect();
    let draft = world
        .draft(&CHECK, format!("{node} {mac}"), format!("{}: {}", count(same.len(), "endpoint"), few(&pods, ", ")))
        .fact("node", node)
        .fact("mac", mac.as_str())
        .list("endpoints", same, |e| world.endpoint_facts(e))
        .on_node(same[0].node)
        .with_each(same, |d, e| d.rests_on_endpoint(e))
        .with_each(&pods, |d, pod| d.next(ask_who(pod)));
    Some(draft.done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;

    fn same_mac() -> Cluster {
        let mut c = Cluster::healthy();
        c.endpoint_mut("web-0").mac = Some(0x9a58_45be_44ee);
        c.endpoint_mut("web-1").mac = Some(0x9a58_45be_44ee);
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn two_endpoints_of_one_node() {
        let found = same_mac().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "node-1 9a:58:45:be:44:ee"));
        assert_eq!(
            (found[0].severity, found[0].summary.raw()),
            (Severity::Note, "2 endpoints: shop/web-0, shop/web-1")
        );
    }

    #[test]
    fn other_nodes_and_no_mac_are_nothing() {
        let mut c = same_mac();
        let node_2 = c.name("node-2");
        c.endpoint_mut("web-1").node = node_2;
        assert!(c.find(&CHECK).is_empty());
        let mut c = same_mac();
        c.each_endpoint(|e| e.mac = None);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn the_constant_that_libnetwork_gives_to_all_is_nothing() {
        let mut c = same_mac();
        c.endpoint_mut("web-0").mac = Some(CONSTANT);
        c.endpoint_mut("web-1").mac = Some(CONSTANT);
        assert_eq!(endpoint::mac_text(CONSTANT), "ee:ee:ee:ee:ee:ee");
        assert!(c.find(&CHECK).is_empty());
    }
}
