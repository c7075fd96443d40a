//! Whole lists that a second look reads once more, as far as they say what the first look read: of that nothing is held.
//!
//! Most of a list is as it was some seconds ago. A key that was not written since is neither decoded nor kept: the first
//! look's record of it stands. What is left is like what is read key by key: the keys that were written, came or went.

use std::collections::HashSet;

use super::boundaries;
use super::gather::Into;
use crate::decode::Kv;
use crate::model::finding::hash128;
use crate::model::hash::HashMap;
use crate::model::keys::put_key;
use crate::model::{Input, Meta, Name, Snapshot};
use crate::source::etcd::Sink;

/// The lists that are compared, key by key; of all others there is little.
const COMPARED: [Input; 5] = [Input::Blocks, Input::Handles, Input::Affinities, Input::Endpoints, Input::CalicoNodes];

/// What the first look read of the lists that are read once more.
#[derive(Default)]
pub struct Unchanged {
    inputs: Vec<Input>,
    /// Keys with their writes, as numbers in their order; whether each was met again.
    writes: Vec<u128>,
    met: Vec<bool>,
    /// Keys that the second look found otherwise, or new.
    found: HashSet<Vec<u8>>,
    /// Where endpoints can be cut into ranges.
    pods: HashMap<Name, usize>,
}

impl Unchanged {
    /// What the first look has of these inputs.
    pub fn of(first: &Snapshot, inputs: &[Input]) -> Unchanged {
        let inputs: Vec<Input> = inputs.iter().copied().filter(|input| COMPARED.contains(input)).collect();
        let mut bytes = Vec::new();
        let mut writes = Vec::new();
        each(first, &inputs, |key, meta| writes.push(write(&mut bytes, key, meta)));
        writes.sort_unstable();
        let met = vec![false; writes.len()];
        Unchanged { inputs, writes, met, found: HashSet::new(), pods: boundaries::pods(first) }
    }

    /// Whether a list is compared, so that what is left of it is known by its keys.
    pub fn has(&self, input: Input) -> bool {
        self.inputs.contains(&input)
    }

    /// Whether the first look read the very same.
    fn is_same(&mut self, kv: &Kv<'_>) -> bool {
        let place = self.writes.binary_search(&write(&mut Vec::new(), kv.key, kv.meta())).ok();
        let met = place.and_then(|place| self.met.get_mut(place));
        met.is_some_and(|met| !std::mem::replace(met, true))
    }

    /// The keys by which the lists differ, of whichever look: `first` is what this was made of.
    pub fn differing(self, first: &Snapshot) -> HashSet<Vec<u8>> {
        let Unchanged { inputs, writes, met, mut found, .. } = self;
        let mut bytes = Vec::new();
        each(first, &inputs, |key, meta| {
            let place = writes.binary_search(&write(&mut bytes, key, meta)).ok();
            if !place.and_then(|place| met.get(place)).is_some_and(|met| *met) {
                found.insert(key.to_vec());
            }
        });
        let bad = first.bad_values.iter().filter(|bad| inputs.contains(&bad.input));
        found.extend(bad.map(|bad| bad.key.clone()));
        found
    }
}

/// A key and its last write as one number.
fn write(bytes: &mut Vec<u8>, key: &[u8], meta: Meta) -> u128 {
    bytes.clear();
    for number in [meta.create_revision, meta.mod_revision, meta.version, meta.value_hash.cast_signed()] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(key);
    hash128(bytes)
}

/// Every key of these inputs that decoded.
fn each(first: &Snapshot, inputs: &[Input], mut see: impl FnMut(&[u8], Meta)) {
    let (names, mut key) = (&first.names, Vec::new());
    macro_rules! things {
        ($list:ident, $meta:expr) => {
            first.$list.iter().for_each(|thing| {
                put_key(&mut key, names, thing);
                see(&key, $meta(thing));
            })
        };
    }
    for input in inputs {
        match input {
            Input::Blocks => things!(blocks, |thing: &crate::model::Block| thing.meta),
            Input::Handles => things!(handles, crate::model::Handle::meta),
            Input::Affinities => things!(affinities, |thing: &crate::model::Affinity| thing.meta),
            Input::Endpoints => things!(endpoints, crate::model::Endpoint::meta),
            Input::CalicoNodes => things!(calico_nodes, |thing: &crate::model::CalicoNode| thing.meta),
            _ => {}
        }
    }
}

/// Decodes what is otherwise than at the first look; a capture sees all of it.
pub struct IntoChanged<'a> {
    pub into: Into<'a>,
    pub unchanged: &'a mut Unchanged,
}

impl Sink for IntoChanged<'_> {
    fn kv(&mut self, kv: Kv<'_>) {
        if self.unchanged.is_same(&kv) {
            self.into.capture.iter_mut().for_each(|capture| capture.kv(&kv));
        } else {
            self.unchanged.found.insert(kv.key.to_vec());
            self.into.kv(kv);
        }
    }

    /// Never of a read at a revision that was given.
    fn restart(&mut self) {
        self.unchanged.met.fill(false);
        self.unchanged.found.clear();
        self.into.restart();
    }

    fn endpoint_boundaries(&mut self, keys: usize) -> Vec<Vec<u8>> {
        boundaries::of(&self.unchanged.pods, self.into.snapshot, keys)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{Gathering, Patch};

    /// Keys of two handles, a block, an affinity and a node, and one that is none of Calico's forms.
    const KEYS: [&str; 6] = [
        "/calico/ipam/v2/handle/net.a",
        "/calico/ipam/v2/handle/net.b",
        "/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-26",
        "/calico/ipam/v2/host/node-1/ipv4/block/10.65.0.0-26",
        "/calico/resources/v3/projectcalico.org/nodes/node-1",
        "/calico/ipam/v2/assignment/ipv4/block/nonsense",
    ];

    /// The value of a key; every fourth does not decode.
    fn value(key: usize, variant: usize) -> String {
        let good = match key {
            0 | 1 => format!(r#"{{"handleID":"net.x","block":{{"10.65.0.0/26":{}}}}}"#, variant + 1),
            2 => format!(
                r#"{{"cidr":"10.65.0.0/26","allocations":[],"unallocated":[],"attributes":[],"sequenceNumber":{variant}}}"#
            ),
            3 => r#"{"state":"confirmed"}"#.to_owned(),
            _ => r#"{"metadata":{"name":"node-1"},"spec":{}}"#.to_owned(),
        };
        if variant == 3 { "{".to_owned() } else { good }
    }

    /// What each key has, if anything: a variant of its value, and the revision of its write.
    type Stored = [Option<(usize, i64)>; KEYS.len()];

    fn read(stored: &Stored, sink: &mut dyn Sink) {
        for (key, at) in stored.iter().enumerate() {
            let Some((variant, revision)) = *at else { continue };
            let value = value(key, variant);
            let kv = Kv {
                key: KEYS[key].as_bytes(),
                value: value.as_bytes(),
                create_revision: 1,
                mod_revision: revision,
                version: 1,
            };
            sink.kv(kv);
        }
    }

    fn first_look(stored: &Stored) -> Snapshot {
        let mut first = Gathering::default();
        let spinner = indicatif::ProgressBar::hidden();
        read(stored, &mut Into { snapshot: &mut first, capture: None, spinner: &spinner });
        first.sorted()
    }

    /// All that was read, in words; names are numbers of a table that only grows.
    fn words(snapshot: &Snapshot) -> String {
        let Gathering { names: _, blocks, handles, affinities, calico_nodes, bad_values, .. } = &**snapshot;
        format!("{blocks:?} {handles:?} {affinities:?} {calico_nodes:?} {bad_values:?}")
    }

    /// Each key and its write, with what the value was: names of two tables cannot be compared.
    fn writes(snapshot: &Snapshot) -> Vec<(Vec<u8>, Meta)> {
        let mut writes = Vec::new();
        each(snapshot, &COMPARED, |key, meta| writes.push((key.to_vec(), meta)));
        let bad = snapshot.bad_values.iter().map(|bad| (bad.key.clone(), bad.mod_revision));
        writes.extend(bad.map(|(key, mod_revision)| (key, Meta { mod_revision, ..Meta::default() })));
        writes.sort_by(|a, b| a.0.cmp(&b.0));
        writes
    }

    fn stored() -> impl Strategy<Value = Stored> {
        prop::array::uniform6(prop::option::of((0..4usize, 2..4i64)))
    }

    /// Else the rest would prove something of values that do not decode.
    #[test]
    fn the_values_are_what_they_seem() {
        let first = first_look(&[Some((0, 2)); KEYS.len()]);
        let lists = (first.handles.len(), first.blocks.len(), first.affinities.len(), first.calico_nodes.len());
        assert_eq!((lists, first.bad_values.len()), ((2, 1, 1, 1), 1), "{:?}", first.bad_values);
        assert_eq!(first_look(&[Some((3, 2)); KEYS.len()]).bad_values.len(), KEYS.len());
    }

    proptest! {
        /// Put in, the snapshot is what a look at everything sees; taken out, it is what it was. A value that another write
        /// would have given is another write.
        #[test]
        fn what_differs_put_in_is_all_that_the_second_look_read(then in stored(), now in stored()) {
            let now: Stored = std::array::from_fn(|key| match (then[key], now[key]) {
                (Some((_, at)), Some((_, again))) if at == again => then[key],
                (_, now) => now,
            });
            let mut first = first_look(&then);
            let before = words(&first);
            let mut unchanged = Unchanged::of(&first, &COMPARED);
            let mut patch = Patch::of(&first);
            patch.swap_names(&mut first);
            let spinner = indicatif::ProgressBar::hidden();
            let into = Into { snapshot: &mut patch.other, capture: None, spinner: &spinner };
            read(&now, &mut IntoChanged { into, unchanged: &mut unchanged });
            patch.swap_names(&mut first);
            let number = then.iter().zip(&now).filter(|(then, now)| then != now).count();
            let held = patch.other.handles.len() + patch.other.blocks.len() + patch.other.affinities.len();
            patch.keys = unchanged.differing(&first);
            prop_assert!(held <= number && patch.whole.is_empty());
            patch.swap(&mut first);
            prop_assert_eq!(writes(&first), writes(&first_look(&now)));
            patch.swap(&mut first);
            prop_assert_eq!(words(&first), before);
        }
    }
}
