//! Values that do not decode, and what they hide.

use crate::model::snapshot::Dark;
use crate::model::{BadValue, Cidr, Input, Names};

/// An endpoint of `node` that does not decode.
pub fn undecodable_endpoint(names: &mut Names, node: &str) -> BadValue {
    let key = format!("/calico/resources/v3/projectcalico.org/workloadendpoints/shop/{}-k8s-x-eth0", node);
    bad(&key, Input::Endpoints, Dark::Node(names.intern(node)))
}

/// A Calico Node that does not decode.
pub fn undecodable_node(names: &mut Names, node: &str) -> BadValue {
    let key = format!("/calico/resources/v3/projectcalico.org/nodes/{node}");
    bad(&key, Input::CalicoNodes, Dark::Node(names.intern(node)))
}

/// A block that does not decode.
pub fn undecodable_block(range: &str) -> BadValue {
    let key = format!("/calico/ipam/v2/assignment/ipv4/block/{}", range.replace('/', "-"));
    bad(&key, Input::Blocks, Dark::Range(Cidr::parse(range).unwrap().0))
}

/// Any value that does not decode.
pub fn bad(key: &str, input: Input, dark: Dark) -> BadValue {
    let key = key.as_bytes().to_vec();
    BadValue { key, input, offset: Some(17), reason: "cut off".to_owned(), dark: vec![dark], mod_revision: 9 }
}
