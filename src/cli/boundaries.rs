//! Where the endpoints' keys can be cut, as far as anybody knows.

use crate::model::hash::HashMap;
use crate::model::{Gathering, Name};
use crate::source::etcd_ranges;

/// The namespaces that blocks' owners name say where the endpoints can be cut into ranges of about the same size.
pub fn boundaries(snapshot: &Gathering, keys: usize) -> Vec<Vec<u8>> {
    of(&pods(snapshot), snapshot, keys)
}

/// How many owners of each namespace the blocks name.
pub fn pods(snapshot: &Gathering) -> HashMap<Name, usize> {
    let mut pods = HashMap::new();
    for attribute in snapshot.blocks.iter().flat_map(|block| &block.attributes) {
        *pods.entry(attribute.owner().namespace).or_insert(0usize) += 1;
    }
    pods.remove(&Name::NONE);
    pods
}

/// The boundaries of these, whose names `snapshot` has.
pub fn of(pods: &HashMap<Name, usize>, snapshot: &Gathering, keys: usize) -> Vec<Vec<u8>> {
    etcd_ranges::endpoint_boundaries(pods.iter().map(|(namespace, pods)| (snapshot.text(*namespace), *pods)), keys)
}
