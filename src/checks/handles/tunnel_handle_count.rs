//! IPA206: a tunnel's handle with more than one address.

use super::common::{node_of, spelled_in_blocks, stored_id};
use crate::checks::addresses::leaked_tunnel_address;
use crate::checks::prelude::*;

pub static CHECK: Check = Check {
    code: Code(206),
    name: "tunnel-handle-count",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::H),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Handle,
    finds: "A node's tunnel handle has more than one address in the blocks.",
    matters: "A node has one tunnel address of each kind. The others are lost to the pool, and Calico's collector \
        stumbles over them when the node goes (projectcalico/calico#5287).",
    arises: "calico/node died between allocating the address and writing it to its node, and allocated again; or the \
        node's address was edited.",
    action: "IPA111 names the addresses that the node does not use. Release them one by one by `ipaudit release \
        --address … --i-know-what-this-is`, never by handle while the node lives.",
    silent: "A tunnel handle without any address is IPA201. One address that two overlapping blocks have allocated is \
        IPA104.",
    ties: Ties::ANYBODYS,
    run,
};

fn run(world: &World<'_>, findings: &mut FindingSink) {
    for id in world.ledger.handles_named_twice().filter(|id| id.is_tunnel(&world.snapshot.names)) {
        let allocations: Vec<&Allocation> = world.ledger.allocations_of(id).collect();
        findings.extend(judge(world, id, &allocations));
    }
}

fn judge(world: &World<'_>, id: HandleId, allocations: &[&Allocation]) -> Option<Finding> {
    let ledger = world.ledger;
    let mut addresses: Vec<Addr> = allocations.iter().map(|a| a.address).collect();
    addresses.dedup();
    let first = *addresses.first().filter(|_| addresses.len() > 1)?;
    let listed: Vec<String> = addresses.iter().map(Addr::to_string).collect();
    let node = node_of(world, id, &[]);
    let calico = world.snapshot.calico_nodes.iter().find(|n| n.name == node);
    let used = calico.into_iter().flat_map(|n| n.tunnels.iter()).map(|(_, a)| *a).filter(|a| addresses.contains(a));
    let handle = ledger.handle(id);
    let text = handle.map_or_else(|| spelled_in_blocks(world, id), |h| stored_id(world, h));
    let draft = world
        .draft(&CHECK, text, format!("has {} addresses: {}", listed.len(), few(&listed, ", ")))
        .fact("addresses", addresses.clone())
        .fact("in_use", used.collect::<Vec<_>>())
        .list("ipam", allocations.iter(), |a| world.allocation_facts(a))
        .advice(format!(
            "release those that {} names, one by one, and never the handle while the node lives",
            leaked_tunnel_address::CHECK.code
        ))
        .on_node(node)
        .in_pool_of(first)
        .with_each(allocations, |d, a| d.rests_on_allocation(a))
        .looks_at(Look::Handle(id))
        .with_each(handle, |d, handle| d.rests_on_handle(handle));
    Some(draft.with_each(addresses, |d, address| d.next(format!("ipaudit who {address}"))).done())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::{AttributeFields, Fact, Foreign};

    fn doubled() -> Cluster {
        let mut c = Cluster::healthy();
        let handle = HandleId::intern(&mut c.snapshot.names, "ipip-tunnel-addr-node-1");
        c.allocate("10.65.0.60", AttributeFields { handle, ..AttributeFields::default() });
        c
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn two_addresses_of_one_tunnel() {
        let found = doubled().find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, "ipip-tunnel-addr-node-1"));
        assert_eq!(found[0].summary, "has 2 addresses: 10.65.0.0, 10.65.0.60");
        assert!(found[0].advice.raw().starts_with("release those that IPA111 names, one by one"));
        assert_eq!(found[0].node.as_ref().map(Foreign::raw), Some("node-1"));
        assert_eq!(found[0].evidence.get("in_use"), Some(&Fact::List(vec![Fact::from("10.65.0.0")])));
    }

    #[test]
    fn a_pod_may_have_many_and_a_cooling_one_is_nobodys() {
        let mut c = Cluster::healthy();
        let attribute = c.pod_attribute(&Cluster::handle_id("shop", "web-0"), "shop", "web-0", "node-1");
        c.allocate("10.65.0.60", attribute);
        assert!(c.find(&CHECK).is_empty());
        let mut c = doubled();
        let now = c.snapshot.now;
        c.attribute_mut("10.65.0.60").released_at = Some(now);
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn one_address_in_two_overlapping_blocks_is_one_address() {
        let mut c = Cluster::healthy();
        c.block("10.65.0.0/28", Some("node-1"));
        let handle = HandleId::intern(&mut c.snapshot.names, "ipip-tunnel-addr-node-1");
        let block = c.block_mut("10.65.0.0/28");
        block.allocations[0] = Some(0);
        block.attributes = [AttributeFields { handle, ..AttributeFields::default() }.into()].into();
        assert!(c.find(&CHECK).is_empty());
    }
}
