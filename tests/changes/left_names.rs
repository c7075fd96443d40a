//! Names that only an earlier state had are left in the table of what an audit goes on from: nothing may depend on them.

use super::servers::{self, Etcd, EtcdVersion};
use super::world::World;
use serde_json::{Value, json};

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

/// A tunnel of which nothing else names the node is judged by its id; an audit that goes on from a state knows it too.
#[test]
fn a_tunnel_that_names_its_node_alone_stays_found() {
    let make = |etcd: &Etcd| {
        let blocks = etcd.list("/calico/ipam/v2/assignment/ipv4/block/");
        let free = |value: &Value| value["unallocated"].as_array().is_some_and(|free| free.len() > 3);
        let (key, mut value) = blocks
            .into_iter()
            .find_map(|(key, value)| {
                let value: Value = serde_json::from_slice(&value).unwrap();
                free(&value).then_some((key, value))
            })
            .unwrap();
        let ordinal = value["unallocated"].as_array_mut().unwrap().pop().unwrap().as_u64().unwrap() as usize;
        let attributes = value["attributes"].as_array_mut().unwrap();
        attributes.push(json!({"handle_id": "vxlan-tunnel-addr-ghost-8", "secondary": {}}));
        let index = attributes.len() - 1;
        value["allocations"][ordinal] = json!(index);
        let range = value["cidr"].as_str().unwrap().to_owned();
        etcd.put(key, value.to_string());
        for (id, block) in [("vxlan-tunnel-addr-ghost-8", range.as_str()), ("ipip-tunnel-addr-ghost-9", "10.99.0.0/26")]
        {
            let value = json!({"handleID": id, "block": {block: 1}, "deleted": false});
            etcd.put(format!("/calico/ipam/v2/handle/{id}"), value.to_string());
        }
    };
    let nothing = |_: &Etcd| {};
    compare("clean-small", &[&make, &nothing, &nothing]);
}
