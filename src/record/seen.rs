//! What an audit sees of what lasts, as it stands in the history; and the fingerprints of it.

use serde::Serialize;

use crate::checks::datastore::datastore_went_back::keyed;
use crate::ledger::{Allocation, Claim, Claimant, Ledger, Via};
use crate::model::finding::hash128;
use crate::model::hash::HashSet;
use crate::model::index::{OwnedBy, PodAddress};
use crate::model::keys::{Keyed, put_key};
use crate::model::past::KEPT_BY_KEY;
use crate::model::prints::{KeysPrint, KeysRead, Prints, RangePrints, Touched, print_of};
use crate::model::snapshot::Dark;
use crate::model::{Addr, BadValue, Gathering, Grade, Input, Meta, Name, Names, Owner, Pod, Snapshot, Uid};

/// What the grade of a pod's address is made from.
const OF_PODS: [Input; 4] = [Input::Pods, Input::Endpoints, Input::CalicoNodes, Input::KubeNodes];

/// What a row says of the owners of an allocation; `more` as [`more`] gives it.
pub(super) fn owned_by<'t>(ledger: &'t Ledger<'_>, a: &Allocation, more: Option<&'t str>) -> OwnedBy<'t> {
    let named = ledger.attribute_of(a).map(|at| at.owner()).unwrap_or_default();
    let text = |name: Name| name.some().map(|name| ledger.snapshot.text(name));
    OwnedBy {
        block: ledger.block_of(a).cidr,
        used_for: a.used_for.word(),
        node: text(ledger.owner_node(a)),
        namespace: text(named.namespace),
        pod: text(named.pod).or_else(|| text(named.service)),
        allocated: named.timestamp,
        more,
    }
}

/// What has no column of its own, as JSON.
pub(super) fn more(ledger: &Ledger<'_>, a: &Allocation) -> Option<String> {
    #[derive(Serialize)]
    struct More<'t> {
        #[serde(skip_serializing_if = "str::is_empty")]
        r#type: &'t str,
        #[serde(skip_serializing_if = "str::is_empty")]
        vmi: &'t str,
        #[serde(skip_serializing_if = "str::is_empty")]
        note: &'t str,
        #[serde(skip_serializing_if = "Option::is_none")]
        alternate: Option<Other<'t>>,
    }
    #[derive(Serialize)]
    struct Other<'t> {
        namespace: &'t str,
        pod: &'t str,
        node: &'t str,
        vmi: &'t str,
    }
    let attribute = ledger.attribute_of(a)?;
    let (owner, alternate) = (attribute.owner(), attribute.alternate());
    let rest = [owner.kind, owner.vmi, owner.note];
    if rest.iter().all(|n| n.is_none()) && alternate.is_none() {
        return None;
    }
    let text = |name: Name| ledger.snapshot.text(name);
    let other =
        |o: &Owner| Other { namespace: text(o.namespace), pod: text(o.pod), node: text(o.node), vmi: text(o.vmi) };
    let more = More {
        r#type: text(owner.kind),
        vmi: text(owner.vmi),
        note: text(owner.note),
        alternate: alternate.map(other),
    };
    serde_json::to_string(&more).ok()
}

/// The addresses that pods say they have, sorted.
pub(super) fn pod_addresses<'l>(ledger: &'l Ledger<'_>) -> impl Iterator<Item = (PodAddress<'l>, &'l Pod, Grade)> {
    ledger.claims.iter().filter_map(|claim| pod_address(ledger, claim))
}

/// The address of a claim, where it is a pod's own word.
pub(super) fn pod_address<'l>(ledger: &'l Ledger<'_>, claim: &Claim) -> Option<(PodAddress<'l>, &'l Pod, Grade)> {
    let snapshot = ledger.snapshot;
    let (Via::Object, Claimant::Pod(index)) = (claim.via, claim.by) else { return None };
    let pod = snapshot.pods.get(index as usize)?;
    let uid: &[u8] = match &pod.uid {
        Uid::Uuid(bytes) => bytes,
        Uid::Other(name) => snapshot.text(*name).as_bytes(),
    };
    let address = PodAddress {
        address: claim.address,
        uid,
        namespace: snapshot.text(pod.namespace),
        pod: snapshot.text(pod.name),
        node: snapshot.text(pod.node),
        grade: claim.grade.word(),
    };
    Some((address, pod, claim.grade))
}

/// What stands under a key that the history keeps.
#[derive(Clone, Copy)]
pub(super) enum UnderKey<'g> {
    Thing(Keyed<'g>),
    Bad(&'g BadValue),
}

impl UnderKey<'_> {
    /// The bytes of its key, in the place of what `key` held.
    pub(super) fn put_key(self, key: &mut Vec<u8>, names: &Names) {
        match self {
            UnderKey::Thing(thing) => put_key(key, names, thing),
            UnderKey::Bad(bad) => {
                key.clear();
                key.extend_from_slice(&bad.key);
            }
        }
    }

    /// What is recorded of it.
    pub(super) fn meta(self) -> Meta {
        match self {
            UnderKey::Thing(thing) => thing.meta(),
            UnderKey::Bad(bad) => Meta { mod_revision: bad.mod_revision, ..Meta::default() },
        }
    }
}

/// Every key that the history keeps and that is wanted, by what etcd says of it; with what is recorded of it, and what stands
/// there. The bytes are those of one buffer.
pub(super) fn recorded_keys<'g>(
    names: &Names,
    read: &'g Gathering,
    wanted: impl Fn(&Meta) -> bool,
    mut see: impl FnMut(&[u8], Meta, UnderKey<'g>),
) {
    let mut key = Vec::new();
    let bad = read.bad_values.iter().filter(|bad| KEPT_BY_KEY.contains(&bad.input)).map(UnderKey::Bad);
    for recorded in keyed(read).map(|(thing, _)| UnderKey::Thing(thing)).chain(bad) {
        let meta = recorded.meta();
        if wanted(&meta) {
            recorded.put_key(&mut key, names);
            see(&key, meta, recorded);
        }
    }
}

/// Whether all is read that the history keeps by key.
pub(super) fn are_keys_read(snapshot: &Gathering) -> bool {
    KEPT_BY_KEY.iter().all(|input| snapshot.coverage.complete(*input)) && snapshot.etcd.revision > 0
}

/// The keys that the history keeps, and those among them that have these bytes; `None`: not all of them was read.
pub fn keys_read(snapshot: &Gathering, touched: &[Vec<u8>]) -> Option<KeysRead> {
    are_keys_read(snapshot).then_some(())?;
    let touched: HashSet<u128> = touched.iter().map(|key| hash128(key)).collect();
    let mut read = KeysRead::default();
    recorded_keys(
        &snapshot.names,
        snapshot,
        |_| true,
        |key, meta, _| {
            let hash = hash128(key);
            read.all.add(hash, meta.into());
            if touched.contains(&hash) {
                read.touched.add(hash, meta.into());
                read.revisions.insert(meta.mod_revision);
            }
        },
    );
    Some(read)
}

/// The same, by what is known of all of them before: of those `removed` were taken out, and what is among the touched ones
/// now was written at these `revisions`. So hardly a key has to be spelled.
pub fn keys_changed(
    before: KeysPrint,
    removed: &Gathering,
    snapshot: &Gathering,
    touched: &HashSet<Vec<u8>>,
    revisions: HashSet<i64>,
) -> KeysRead {
    let (mut gone, mut come) = (KeysPrint::default(), KeysPrint::default());
    recorded_keys(&snapshot.names, removed, |_| true, |key, meta, _| gone.add(hash128(key), meta.into()));
    let may_be_touched = |meta: &Meta| revisions.contains(&meta.mod_revision);
    recorded_keys(&snapshot.names, snapshot, may_be_touched, |key, meta, _| {
        if touched.contains(key) {
            come.add(hash128(key), meta.into());
        }
    });
    KeysRead { all: before.without(gone).with(come), touched: come, revisions }
}

/// The fingerprints of what this audit sees. Another one that sees the same has nothing to record, if [`is_all_recorded`].
///
/// What a block's addresses are recorded as stands in its own value: `then`, what was seen when no other blocks were read
/// otherwise than the touched ones, holds of all others.
pub fn prints(ledger: &Ledger<'_>, keys: KeysPrint, then: Option<(&RangePrints, &Touched)>) -> Prints {
    let allocations = match then {
        Some((then, touched)) => {
            then.but(allocations(ledger, |address| touched.has(address)), |first| !touched.has(first))
        }
        None => allocations(ledger, |_| true),
    };
    Prints { keys, allocations, pods: are_pods_read(ledger.snapshot).then(|| pods(ledger)) }
}

fn allocations(ledger: &Ledger<'_>, wanted: impl Fn(Addr) -> bool) -> RangePrints {
    let mut allocations = RangePrints::default();
    let mut once = Once::default();
    for allocation in ledger.allocations.iter().filter(|allocation| wanted(allocation.address)) {
        let index = ledger.tuple_index_of(allocation);
        if once.is_first(allocation.address.bits(), index) {
            let more = more(ledger, allocation);
            let owner = owned_by(ledger, allocation, more.as_deref()).hash();
            allocations.add(allocation.address, print_of(index, [owner, 0, 0, 0]));
        }
    }
    allocations
}

fn pods(ledger: &Ledger<'_>) -> RangePrints {
    let mut pods = RangePrints::default();
    let mut once = Once::default();
    for (pod, ..) in pod_addresses(ledger) {
        let index = pod.index();
        if once.is_first(pod.address.bits(), index) {
            pods.add(pod.address, index);
        }
    }
    pods
}

/// Whether all is read that the grade of a pod's address is made from; else none is opened or closed.
pub fn are_pods_read(snapshot: &Snapshot) -> bool {
    OF_PODS.iter().all(|input| snapshot.coverage.complete(*input))
}

/// Whether an audit of this is recorded so that another one that sees the same has nothing to record of keys and
/// allocations: nothing unread or undecodable hides the end of any.
pub fn is_all_recorded(ledger: &Ledger<'_>) -> bool {
    let snapshot = ledger.snapshot;
    let read = snapshot.coverage.complete(Input::Blocks);
    let hides = |dark: &Dark| matches!(dark, Dark::Range(_) | Dark::Affinity(_) | Dark::All(Input::Blocks));
    read && are_keys_read(snapshot) && !snapshot.bad_values.iter().flat_map(|bad| &bad.dark).any(hides)
}

/// Tells what was met before among things that come by address.
#[derive(Default)]
struct Once {
    address: u128,
    met: Vec<u128>,
}

impl Once {
    fn is_first(&mut self, address: u128, index: u128) -> bool {
        if self.address != address {
            self.address = address;
            self.met.clear();
        }
        let first = !self.met.contains(&index);
        self.met.extend(first.then_some(index));
        first
    }
}
