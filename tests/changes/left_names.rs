//! Names that only an earlier state had are left in the table of what an audit goes on from: nothing may depend on them.

use super::servers::{self, Etcd, EtcdVersion};
use super::world::World;

const NODES: &str = "/calico/resources/v3/projectcalico.org/nodes";

/// Minutes later.
fn later(world: &mut World, minutes: i64) {
    let now = chrono::DateTime::parse_from_rfc3339(&world.now).unwrap() + chrono::Duration::minutes(minutes);
    world.now = now.to_rfc3339();
}

/// Compares once, then before and after each step, a quarter of an hour apart.
fn compare(case: &str, steps: &[&dyn Fn(&Etcd)]) {
    servers::need!(Etcd3_7);
    let mut world = World::of(Etcd::start(EtcdVersion::V3_7), case);
    world.compare();
    for step in steps {
        step(&world.etcd);
        later(&mut world, 15);
        assert_ne!(world.compare().0, "full");
    }
    later(&mut world, 15);
    world.compare();
}

/// A copy of a Calico Node under another name: two Nodes of one machine.
fn make_node(etcd: &Etcd, of: &str, name: &str) {
    let value = etcd.list(format!("{NODES}/{of}")).into_iter().next().unwrap().1;
    etcd.put(format!("{NODES}/{name}"), value);
}

#[test]
fn a_calico_node_that_came_and_went_is_gone_since_the_same_audit() {
    let make = |etcd: &Etcd| make_node(etcd, "node-3", "node-3-2");
    let delete = |etcd: &Etcd| _ = etcd.delete(format!("{NODES}/node-3-2"));
    compare("leaked-pods", &[&make, &delete]);
}

/// The handle alone names the node, as soon as its Calico Node is gone.
#[test]
fn a_tunnels_handle_is_told_of_its_node_whoever_named_it_before() {
    let handle = "/calico/ipam/v2/handle/ipip-tunnel-addr-edge-7";
    let value = r#"{"handleID":"ipip-tunnel-addr-edge-7","block":{"10.65.0.0/26":1},"deleted":false}"#;
    let make = |etcd: &Etcd| {
        make_node(etcd, "node-3", "edge-7");
        etcd.put(handle, value);
    };
    let delete = |etcd: &Etcd| _ = etcd.delete(format!("{NODES}/edge-7"));
    compare("leaked-pods", &[&make, &delete]);
}

#[test]
fn tunnels_are_told_alike_when_a_block_of_theirs_is_gone() {
    for block in ["ipv6/block/fd00:75::4:b740-122", "ipv4"] {
        let delete = |etcd: &Etcd| {
            let prefix = format!("/calico/ipam/v2/assignment/{block}");
            etcd.list(prefix).into_iter().for_each(|(key, _)| _ = etcd.delete(key));
        };
        compare("tunnels-and-services", &[&delete]);
    }
}
