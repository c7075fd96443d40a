//! From etcd's keys and bytes to the model, one file a kind; each value is read once, from borrowed bytes.
//!
//! Nothing that is read gets lost: a key under one of our prefixes becomes a record, or a [`BadValue`] that says
//! why not and what stays dark for it (IPA901). Only `/calico/ipam/v2/host/<node>` alone is neither.
//! Bad is what Calico itself could not read, or an address, network or time that nobody can; what is readable and
//! wrong is a record, and a matter of the checks. No bytes make this panic or abort.

mod affinity;
mod block;
pub mod capture;
mod config;
mod endpoint;
mod endpoint_name;
mod handle;
mod json;
pub mod keys;
pub mod kube;
pub mod kube_item;
pub mod kube_json;
pub mod kube_page;
pub mod kube_pb;
pub mod kube_pb_item;
mod node;
mod pool;
mod values;

use std::collections::HashSet;

use json::Bad;
use keys::{BadKey, Key, record_key};

use crate::model::finding::stable_hash;
use crate::model::snapshot::Dark;
use crate::model::{
    BadValue, ClusterInformation, HandleId, Input, IpamConfig, IpamConfigResource, KubeControllers, Meta, Names,
    Snapshot,
};

/// One key of etcd, borrowed from the answer.
#[derive(Clone, Copy, Debug)]
pub struct Kv<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
}

impl Kv<'_> {
    fn meta(&self) -> Meta {
        Meta {
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
            value_hash: stable_hash(self.value),
        }
    }
}

/// Decodes one key into the list where it belongs, or into `bad_values`. The lists stay unsorted:
/// call [`Snapshot::sort`] once at the end. A key under none of [`keys::PREFIXES`] and
/// [`keys::SINGLE_KEYS`] is not ours and is passed over.
pub fn insert(snapshot: &mut Snapshot, kv: &Kv<'_>) {
    let (input, bad, dark) = match keys::parse(kv.key) {
        None => return,
        Some(Err(bad)) => (bad.input, Bad::new(bad.reason), dark_key(&mut snapshot.names, kv, &bad)),
        Some(Ok(key)) => match decode(snapshot, kv, key) {
            Ok(()) => return,
            Err(bad) => {
                let (input, dark) = dark_value(&mut snapshot.names, kv, key);
                (input, bad, dark)
            }
        },
    };
    snapshot.bad_values.push(BadValue {
        key: kv.key.to_vec(),
        input,
        offset: bad.offset,
        reason: bad.reason,
        dark,
        mod_revision: kv.mod_revision,
    });
}

fn decode(snapshot: &mut Snapshot, kv: &Kv<'_>, key: Key<'_>) -> Result<(), Bad> {
    let names = &mut snapshot.names;
    match key {
        Key::Block(cidr) => snapshot.blocks.push(block::decode(names, kv, cidr)?),
        Key::Handle(id) => snapshot.handles.push(handle::decode(names, kv, id)?),
        Key::Affinity(kind, name, cidr) => {
            snapshot.affinities.push(affinity::decode(names, kv, (kind, name, cidr))?);
        }
        Key::IpamHost(_) => {}
        Key::Endpoint(namespace, name) => snapshot.endpoints.push(endpoint::decode(names, kv, namespace, name)?),
        Key::Node(name) => snapshot.calico_nodes.push(node::decode(names, kv, name)?),
        Key::Pool(name) => snapshot.pools.push(pool::decode_pool(names, kv, name)?),
        Key::Reservation(name) => snapshot.reservations.push(pool::decode_reservation(names, kv, name)?),
        Key::HostEndpoint(name) => {
            let endpoint = config::decode_host_endpoint(names, kv, name)?;
            snapshot.host_endpoint_addresses.extend(&endpoint.addresses);
            snapshot.host_endpoints.push(endpoint);
        }
        Key::IpamConfig => snapshot.ipam_config = config::decode_ipam_config(kv)?,
        Key::IpamConfiguration => snapshot.ipam_config_resource = config::decode_ipam_configuration(names, kv)?,
        Key::ClusterInformation => snapshot.cluster = config::decode_cluster(names, kv)?,
        Key::KubeControllers => snapshot.kube_controllers = config::decode_kube_controllers(kv)?,
    }
    Ok(())
}

/// What a value hides that does not decode, though its key does.
fn dark_value(names: &mut Names, kv: &Kv<'_>, key: Key<'_>) -> (Input, Vec<Dark>) {
    match key {
        Key::Block(cidr) => {
            // A value that names another CIDR than its key hides that one too.
            let value = block::scan_cidr(kv.value).filter(|value| *value != cidr);
            (Input::Blocks, [Some(cidr), value].into_iter().flatten().map(Dark::Range).collect())
        }
        Key::Handle(id) => (Input::Handles, HandleId::intern(names, id).map(Dark::Handle).into_iter().collect()),
        Key::Affinity(_, _, cidr) => (Input::Affinities, vec![Dark::Affinity(cidr)]),
        Key::IpamHost(_) => (Input::Affinities, Vec::new()),
        Key::Endpoint(_, name) => (Input::Endpoints, vec![dark_endpoint(names, [name])]),
        Key::Node(name) => (Input::CalicoNodes, vec![Dark::Node(names.intern(name))]),
        Key::Pool(_) | Key::Reservation(_) => (Input::Pools, vec![Dark::All(Input::Pools)]),
        Key::HostEndpoint(_)
        | Key::IpamConfig
        | Key::IpamConfiguration
        | Key::ClusterInformation
        | Key::KubeControllers => (Input::Config, vec![Dark::All(Input::Config)]),
    }
}

/// What a key hides that Calico would not recognise: whatever it still names.
fn dark_key(names: &mut Names, kv: &Kv<'_>, bad: &BadKey<'_>) -> Vec<Dark> {
    let rest = bad.rest.unwrap_or_default();
    match bad.input {
        // A key without a CIDR is unreachable for Calico; only its value may name a block.
        Input::Blocks => block::scan_cidr(kv.value).map(Dark::Range).into_iter().collect(),
        // An id with slashes can be written by its name, though no list finds it.
        Input::Handles => HandleId::intern(names, rest).map(Dark::Handle).into_iter().collect(),
        Input::Affinities => bad.cidr().map(Dark::Affinity).into_iter().collect(),
        Input::Endpoints => vec![dark_endpoint(names, rest.split('/'))],
        Input::CalicoNodes => match rest.split('/').find(|part| !part.is_empty()) {
            Some(name) => vec![Dark::Node(names.intern(name))],
            None => vec![Dark::All(Input::CalicoNodes)],
        },
        input => vec![Dark::All(input)],
    }
}

/// The node that an endpoint's name tells, of the first part that is such a name.
fn dark_endpoint<'a>(names: &mut Names, parts: impl IntoIterator<Item = &'a str>) -> Dark {
    match parts.into_iter().find_map(keys::parse_endpoint_name) {
        Some(name) => Dark::Node(names.intern(&name.node)),
        None => Dark::All(Input::Endpoints),
    }
}

/// Takes out whatever came from these keys, records and bad values; settings go back to what an absent key means.
/// The lists keep their order. The second look does this before it inserts what it read again.
pub fn remove(snapshot: &mut Snapshot, keys: &HashSet<Vec<u8>>) {
    if keys.is_empty() {
        return;
    }
    let names = &snapshot.names;
    let gone = |key: Vec<u8>| keys.contains(&key);
    snapshot.blocks.retain(|record| !gone(record_key(names, record)));
    snapshot.handles.retain(|record| !gone(record_key(names, record)));
    snapshot.affinities.retain(|record| !gone(record_key(names, record)));
    snapshot.endpoints.retain(|record| !gone(record_key(names, record)));
    snapshot.calico_nodes.retain(|record| !gone(record_key(names, record)));
    snapshot.pools.retain(|record| !gone(record_key(names, record)));
    snapshot.reservations.retain(|record| !gone(record_key(names, record)));
    snapshot.host_endpoints.retain(|record| {
        let gone = gone(record_key(names, record));
        if gone {
            for address in &record.addresses {
                let at = snapshot.host_endpoint_addresses.iter().position(|a| a == address);
                at.map(|at| snapshot.host_endpoint_addresses.remove(at));
            }
        }
        !gone
    });
    snapshot.bad_values.retain(|bad| !keys.contains(&bad.key));

    let gone = |key: &str| keys.contains(key.as_bytes());
    if gone(keys::IPAM_CONFIG) {
        snapshot.ipam_config = IpamConfig::default();
    }
    if gone(keys::IPAM_CONFIGURATION) {
        snapshot.ipam_config_resource = IpamConfigResource::default();
    }
    if gone(keys::CLUSTER_INFORMATION) {
        snapshot.cluster = ClusterInformation::default();
    }
    if gone(keys::KUBE_CONTROLLERS) {
        snapshot.kube_controllers = KubeControllers::default();
    }
}
