//! The keys that a state knows: how many under each prefix, which were written last, and which of a list of etcd's are
//! other than they were.

use crate::decode::keys::{PREFIXES, SINGLE_KEYS};
use crate::model::finding::hash128;
use crate::model::hash::HashMap;
use crate::model::keys::{
    AT_AFFINITIES, BLOCKS, CLUSTER_INFORMATION, ENDPOINTS, HANDLES, HOST_AFFINITIES, HOST_ENDPOINTS, IPAM_CONFIG,
    IPAM_CONFIGURATION, KUBE_CONTROLLERS, Keyed, NODES, POOLS, RESERVATIONS, VIRTUAL_AFFINITIES, put_key,
};
use crate::model::{Gathering, HostKind, Meta};

/// Whether `now` is the very write of a key that was known `then`, as far as anything is known of both (0: not known).
pub fn is_same_write(then: Meta, now: Meta) -> bool {
    let known = |then: i64, now: i64| then == 0 || now == 0 || then == now;
    then.mod_revision == now.mod_revision
        && known(then.create_revision, now.create_revision)
        && known(then.version, now.version)
        && (then.value_hash == 0 || now.value_hash == 0 || then.value_hash == now.value_hash)
}

/// A key: of a thing, or spelled out.
#[derive(Clone, Copy)]
enum Spelling<'s> {
    Of(Keyed<'s>),
    As(&'s [u8]),
}

/// Every key that is known, with what etcd said of it.
fn each<'s>(snapshot: &'s Gathering, mut see: impl FnMut(Spelling<'s>, Meta)) {
    macro_rules! things {
        ($($list:ident),+) => {
            $(snapshot.$list.iter().for_each(|thing| see(Spelling::Of(Keyed::from(thing)), thing.meta));)+
        };
    }
    things!(blocks, affinities, calico_nodes, pools, reservations, host_endpoints);
    snapshot.handles.iter().for_each(|handle| see(Spelling::Of(Keyed::from(handle)), handle.meta()));
    snapshot.endpoints.iter().for_each(|endpoint| see(Spelling::Of(Keyed::from(endpoint)), endpoint.meta()));
    for (key, meta) in singles(snapshot) {
        meta.into_iter().for_each(|meta| see(Spelling::As(key.as_bytes()), meta));
    }
    // Of a value that does not decode the revision alone is known; of a key that says nothing not even that.
    for bad in &snapshot.bad_values {
        see(Spelling::As(&bad.key), Meta { mod_revision: bad.mod_revision, ..Meta::default() });
    }
    for key in &snapshot.idle_keys {
        see(Spelling::As(key), Meta::default());
    }
}

fn singles(snapshot: &Gathering) -> [(&'static str, Option<Meta>); 4] {
    [
        (CLUSTER_INFORMATION, snapshot.cluster.meta),
        (IPAM_CONFIG, snapshot.ipam_config.meta),
        (IPAM_CONFIGURATION, snapshot.ipam_config_resource.meta),
        (KUBE_CONTROLLERS, snapshot.kube_controllers.meta),
    ]
}

/// How many keys there are under each of [`PREFIXES`] and [`SINGLE_KEYS`], in their order.
pub fn counts(snapshot: &Gathering) -> Vec<(&'static str, usize)> {
    let affinities = |kind: HostKind| snapshot.affinities.iter().filter(|a| a.host.kind == kind).count();
    let decoded = |prefix: &str| match prefix {
        BLOCKS => snapshot.blocks.len(),
        HANDLES => snapshot.handles.len(),
        HOST_AFFINITIES => affinities(HostKind::Host),
        VIRTUAL_AFFINITIES => affinities(HostKind::Virtual),
        AT_AFFINITIES => affinities(HostKind::At),
        ENDPOINTS => snapshot.endpoints.len(),
        NODES => snapshot.calico_nodes.len(),
        POOLS => snapshot.pools.len(),
        RESERVATIONS => snapshot.reservations.len(),
        HOST_ENDPOINTS => snapshot.host_endpoints.len(),
        single => singles(snapshot).iter().filter(|(key, meta)| *key == single && meta.is_some()).count(),
    };
    let others = || snapshot.bad_values.iter().map(|bad| &bad.key).chain(&snapshot.idle_keys);
    let under = |prefix: &str| others().filter(|key| key.starts_with(prefix.as_bytes())).count();
    let is = |single: &str| others().filter(|key| key.as_slice() == single.as_bytes()).count();
    let prefixes = PREFIXES.iter().map(|(_, prefix)| (*prefix, decoded(prefix) + under(prefix)));
    prefixes.chain(SINGLE_KEYS.iter().map(|(_, key)| (*key, decoded(key) + is(key)))).collect()
}

/// The keys that were written last, at most so many, the last one first: after a restore from before these writes they
/// are not there, or other ones.
pub fn newest(snapshot: &Gathering, most: usize) -> Vec<(Vec<u8>, Meta)> {
    let mut last: Vec<(i64, Spelling<'_>, Meta)> = Vec::with_capacity(most + 1);
    each(snapshot, |spelling, meta| {
        let place = last.partition_point(|(revision, ..)| *revision >= meta.mod_revision);
        // Of a key that says nothing no revision is known.
        if place < most && meta.mod_revision > 0 {
            last.insert(place, (meta.mod_revision, spelling, meta));
            last.truncate(most);
        }
    });
    let mut text = Vec::new();
    let mut spelled = |spelling: Spelling<'_>| {
        spell(&mut text, snapshot, spelling);
        text.clone()
    };
    last.into_iter().map(|(_, spelling, meta)| (spelled(spelling), meta)).collect()
}

fn spell(text: &mut Vec<u8>, snapshot: &Gathering, spelling: Spelling<'_>) {
    match spelling {
        Spelling::Of(thing) => put_key(text, &snapshot.names, thing),
        Spelling::As(key) => {
            text.clear();
            text.extend_from_slice(key);
        }
    }
}

/// Every key that is known, by the hash of its bytes: held against a list of etcd's.
pub struct KnownKeys(HashMap<u128, Meta>);

impl KnownKeys {
    /// Of everything in `snapshot`.
    pub fn of(snapshot: &Gathering) -> KnownKeys {
        let mut known = HashMap::default();
        known.reserve(counts(snapshot).iter().map(|(_, count)| count).sum());
        let mut text = Vec::new();
        each(snapshot, |spelling, meta| {
            spell(&mut text, snapshot, spelling);
            known.insert(hash128(&text), meta);
        });
        KnownKeys(known)
    }

    /// How many have not been met yet.
    pub fn unmet(&self) -> usize {
        self.0.len()
    }

    /// Meets a key of the list: whether it is as it was.
    pub fn meet(&mut self, key: &[u8], now: Meta) -> bool {
        self.0.remove(&hash128(key)).is_some_and(|then| is_same_write(then, now))
    }

    /// The keys that were not met: they are gone.
    pub fn gone(&self, snapshot: &Gathering) -> Vec<Vec<u8>> {
        let mut gone = Vec::new();
        if self.0.is_empty() {
            return gone;
        }
        let mut text = Vec::new();
        each(snapshot, |spelling, _| {
            spell(&mut text, snapshot, spelling);
            if self.0.contains_key(&hash128(&text)) {
                gone.push(text.clone());
            }
        });
        gone
    }
}
