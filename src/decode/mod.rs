//! From etcd's keys and bytes to the model, one file a kind; each value is read once, from borrowed bytes.
//!
//! Nothing that is read gets lost: a key under one of our prefixes becomes a value of the model, or a [`BadValue`] that says
//! why not and what stays dark for it (IPA901). Only `/calico/ipam/v2/host/<node>` alone is neither.
//! Bad is what Calico itself could not read, or an address, network or time that nobody can; what is readable and
//! wrong is a value, and a matter of the checks. No bytes make this panic or abort.

mod affinity;
mod block;
pub mod capture;
mod config;
pub mod encoding;
mod endpoint;
mod endpoint_name;
pub mod etcd_dump;
pub mod etcd_status;
mod handle;
pub mod ip_output;
mod json;
pub mod keys;
pub mod kube;
pub mod kube_item;
pub mod kube_json;
pub mod kube_page;
pub mod kube_pb;
pub mod kube_pb_item;
mod kv;
mod node;
pub mod node_capture;
pub mod pairs;
mod pool;
mod quick;
mod remove;
mod sequences;
mod values;

use json::Bad;
use keys::{BadKey, Key};

pub use kv::Kv;
pub use remove::{remove, take_out};

use crate::model::snapshot::Dark;
use crate::model::{
    BadValue, ClusterInformation, EtcdStatus, Gathering, HandleId, Input, IpamConfig, IpamConfigResource,
    KubeControllers, Names,
};

/// Decodes one key into the list where it belongs, or into `bad_values`. A key that is inserted twice stands twice. A key
/// under none of [`keys::PREFIXES`] and [`keys::SINGLE_KEYS`] is not ours and is passed over.
pub fn insert(snapshot: &mut Gathering, kv: &Kv<'_>) {
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

fn decode(snapshot: &mut Gathering, kv: &Kv<'_>, key: Key<'_>) -> Result<(), Bad> {
    let names = &mut snapshot.names;
    match key {
        Key::Block(cidr) => snapshot.blocks.push(block::decode(names, kv, cidr)?),
        Key::Handle(id) => snapshot.handles.push(handle::decode(names, kv, id)?),
        Key::Affinity(kind, name, cidr) => {
            snapshot.affinities.push(affinity::decode(names, kv, (kind, name, cidr))?);
        }
        Key::IpamHost(_) => snapshot.idle_keys.push(kv.key.to_vec()),
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
    let rest: &str = &bad.rest;
    let readable = |part: &&str| !part.is_empty() && !part.contains(char::REPLACEMENT_CHARACTER);
    match bad.input {
        // A key without a CIDR is unreachable for Calico; only its value may name a block.
        Input::Blocks => block::scan_cidr(kv.value).map(Dark::Range).into_iter().collect(),
        // An id with slashes can be written by its name, though no list finds it.
        Input::Handles => {
            let id = Some(rest).filter(readable).and_then(|id| HandleId::intern(names, id));
            id.map(Dark::Handle).into_iter().collect()
        }
        Input::Affinities => bad.cidr().map(Dark::Affinity).into_iter().collect(),
        Input::Endpoints => vec![dark_endpoint(names, rest.split('/'))],
        Input::CalicoNodes => match rest.split('/').find(readable) {
            Some(name) => vec![Dark::Node(names.intern(name))],
            None => vec![Dark::All(Input::CalicoNodes)],
        },
        input => vec![Dark::All(input)],
    }
}

/// The node that an endpoint's name tells, of the first part that is such a name.
fn dark_endpoint<'a>(names: &mut Names, parts: impl IntoIterator<Item = &'a str>) -> Dark {
    let mut found = parts.into_iter().filter_map(keys::parse_endpoint_name);
    match found.find(|name| !name.node.contains(char::REPLACEMENT_CHARACTER)) {
        Some(name) => Dark::Node(names.intern(&name.node)),
        None => Dark::All(Input::Endpoints),
    }
}

/// Takes out everything of one input: its whole list is read again.
pub fn clear(snapshot: &mut Gathering, input: Input) {
    match input {
        Input::Blocks => snapshot.blocks.clear(),
        Input::Handles => snapshot.handles.clear(),
        Input::Affinities => {
            snapshot.affinities.clear();
            snapshot.idle_keys.clear();
        }
        Input::Endpoints => snapshot.endpoints.clear(),
        Input::CalicoNodes => snapshot.calico_nodes.clear(),
        Input::Pools => {
            snapshot.pools.clear();
            snapshot.reservations.clear();
        }
        Input::Config => {
            snapshot.ipam_config = IpamConfig::default();
            snapshot.ipam_config_resource = IpamConfigResource::default();
            snapshot.cluster = ClusterInformation::default();
            snapshot.kube_controllers = KubeControllers::default();
            snapshot.host_endpoints.clear();
            snapshot.host_endpoint_addresses.clear();
        }
        Input::EtcdStatus => snapshot.etcd.status = EtcdStatus::default(),
        Input::Pods => snapshot.pods.clear(),
        Input::KubeNodes => snapshot.kube_nodes.clear(),
        Input::Services => snapshot.services.clear(),
        Input::Namespaces => snapshot.namespaces.clear(),
        // Neither comes key by key.
        Input::NodeEvidence | Input::History => {}
    }
    snapshot.bad_values.retain(|bad| bad.input != input);
}

#[cfg(test)]
mod testing {
    //! What the tests of all kinds share.

    use super::*;

    /// A snapshot of these keys and values, all at mod revision 7.
    pub fn snapshot(pairs: &[(&str, &str)]) -> Gathering {
        let mut snapshot = Gathering::default();
        for (key, value) in pairs {
            let (key, value) = (key.as_bytes(), value.as_bytes());
            insert(&mut snapshot, &Kv { key, value, create_revision: 5, mod_revision: 7, version: 2 });
        }
        snapshot
    }

    /// The one bad value that this key and value give.
    pub fn bad(key: &str, value: &str) -> BadValue {
        let mut snapshot = snapshot(&[(key, value)]);
        let bad = snapshot.bad_values.pop().expect(value);
        assert_eq!((bad.key.as_slice(), bad.mod_revision), (key.as_bytes(), 7));
        assert!(snapshot.bad_values.is_empty());
        bad
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{bad, snapshot};
    use super::*;
    use crate::model::Meta;
    use crate::model::finding::hash64;

    #[test]
    fn keys_of_others_are_passed_over() {
        let others = snapshot(&[
            ("/calico/ipam/v2/host/node-1", "{{{"),
            ("/calico/ipam/v2/config/x", "{{{"),
            ("/calico/felix/v1/host/node-1/endpoint/x", "{{{"),
            ("/calico/resources/v3/projectcalico.org/ipamconfigurations/other", "{{{"),
            ("/calico/resources/v3/projectcalico.org/nodesx", "{{{"),
            ("/registry/pods/shop/web", "{{{"),
        ]);
        assert!(others.bad_values.is_empty());
    }

    #[test]
    fn a_key_that_calico_would_not_recognise_is_bad_and_says_what_it_still_names() {
        let range = |text: &str| Dark::Range(crate::model::Cidr::parse(text).unwrap().0);
        let block = bad("/calico/ipam/v2/assignment/ipv4/block/10.77.300.0-26", "{}");
        assert_eq!((block.input, block.dark), (Input::Blocks, vec![]));
        let block = bad("/calico/ipam/v2/assignment/x", r#"{"cidr":"10.77.0.0/26"}"#);
        assert_eq!(block.dark, [range("10.77.0.0/26")]);
        let affinity = bad("/calico/ipam/v2/host/node-1/x/ipv4/block/10.77.0.0-26", "{}");
        assert_eq!(affinity.dark, [Dark::Affinity(crate::model::Cidr::parse("10.77.0.0/26").unwrap().0)]);
        assert_eq!(bad("/calico/ipam/v2/host/node-1/", "{}").dark, []);
        assert_eq!(bad("/calico/ipam/v2/virtual/load-balancer", "{}").input, Input::Affinities);
        for key in ["/calico/ipam/v2/host/", "/calico/ipam/v2/host//ipv4/block/10.0.0.0-26"] {
            assert_eq!(bad(key, "").input, Input::Affinities, "{key}");
        }
        assert!(matches!(bad("/calico/ipam/v2/handle/a/b/c", "{}").dark[..], [Dark::Handle(_)]));
        assert_eq!(bad("/calico/ipam/v2/handle/", "{}").dark, []);
        let pools = "/calico/resources/v3/projectcalico.org/ippools/";
        assert_eq!(bad(pools, "{}").dark, [Dark::All(Input::Pools)]);
        let nodes = "/calico/resources/v3/projectcalico.org/nodes/";
        assert_eq!(bad(nodes, "{}").dark, [Dark::All(Input::CalicoNodes)]);
        assert!(matches!(bad(&format!("{nodes}a/b"), "{}").dark[..], [Dark::Node(_)]));
        let endpoints = "/calico/resources/v3/projectcalico.org/workloadendpoints";
        assert!(matches!(bad(&format!("{endpoints}/shop/a-k8s-p-eth0/x"), "{}").dark[..], [Dark::Node(_)]));
        assert_eq!(bad(&format!("{endpoints}/shop"), "{}").dark, [Dark::All(Input::Endpoints)]);
        assert_eq!(bad(&format!("{endpoints}/shop/x"), "").dark, [Dark::All(Input::Endpoints)]);
    }

    #[test]
    fn a_key_that_is_not_utf8_still_says_what_its_other_parts_say() {
        let dark = |rest: &[u8], prefix: &str| {
            let mut snapshot = Gathering::default();
            let key = [prefix.as_bytes(), rest].concat();
            insert(&mut snapshot, &Kv { key: &key, value: b"{}", create_revision: 1, mod_revision: 1, version: 1 });
            let bad = snapshot.bad_values.pop().unwrap();
            assert_eq!((bad.reason.as_str(), bad.key), ("the key is not UTF-8", key));
            (bad.dark, snapshot.names)
        };
        let (found, names) = dark(b"shop/node--1-k8s-\xff-eth0", keys::ENDPOINTS);
        assert_eq!(found, [Dark::Node(names.find("node-1").unwrap())]);
        assert_eq!(dark(b"shop/n\xff-k8s-p-eth0", keys::ENDPOINTS).0, [Dark::All(Input::Endpoints)]);
        let cidr = crate::model::Cidr::parse("10.77.0.0/26").unwrap().0;
        assert_eq!(dark(b"n\xff/ipv4/block/10.77.0.0-26", keys::HOST_AFFINITIES).0, [Dark::Affinity(cidr)]);
        assert_eq!(dark(b"k8s-pod-network.\xff\xfe", keys::HANDLES).0, []);
        assert_eq!(dark(b"n\xff", keys::NODES).0, [Dark::All(Input::CalicoNodes)]);
    }

    #[test]
    fn no_object_is_bad_for_every_kind() {
        let keys = [
            "/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-26",
            "/calico/ipam/v2/handle/h",
            "/calico/ipam/v2/host/n/ipv4/block/10.0.0.0-26",
            "/calico/resources/v3/projectcalico.org/workloadendpoints/shop/n-k8s-p-eth0",
            "/calico/resources/v3/projectcalico.org/nodes/n",
            "/calico/resources/v3/projectcalico.org/ippools/p",
            "/calico/resources/v3/projectcalico.org/ipreservations/r",
            "/calico/resources/v3/projectcalico.org/hostendpoints/h",
            keys::IPAM_CONFIG,
            keys::IPAM_CONFIGURATION,
            keys::CLUSTER_INFORMATION,
            keys::KUBE_CONTROLLERS,
        ];
        for key in keys {
            for value in ["null", "[]", "7", "\"x\"", "x", "{} x", "{}{}", "\u{feff}{}", "{", " "] {
                let bad = bad(key, value);
                assert!(!bad.reason.is_empty() && !bad.reason.contains('\n'), "{key} {value}: {bad:?}");
                assert!(bad.offset.is_some_and(|at| at <= value.len()), "{key} {value}: {bad:?}");
            }
            if !key.contains("/host/") {
                assert_eq!(bad(key, "").reason, "the value is empty");
            }
        }
    }

    #[test]
    fn reasons_tell_the_field_and_the_place() {
        let handle = "/calico/ipam/v2/handle/h";
        let bad_count = bad(handle, r#"{"block":{"10.0.0.0/26":"one"}}"#);
        assert_eq!(bad_count.reason, "block: invalid type: string \"one\", expected i64");
        assert_eq!(bad_count.offset, Some(28));
        let name = bad(handle, "{\n \"block\": {\"10.0.0.0\": 1}}");
        assert_eq!(name.reason, "block: \"10.0.0.0\" is no network");
        assert_eq!(name.offset, Some(14));
        assert_eq!(bad(handle, "{\n\n  x}").offset, Some(5));
        let endless = format!("{{\"block\":{{\"{}\":1}}}}", "x".repeat(5000));
        assert!(bad(handle, &endless).reason.len() < 300);
        let endless = format!("{{\"block\":\"{}\"}}", "x\\n".repeat(5000));
        let reason = bad(handle, &endless).reason;
        assert!(reason.chars().count() < 300 && !reason.contains('\n'));
    }

    #[test]
    fn gos_rules_of_reading() {
        let snap = snapshot(&[
            ("/calico/ipam/v2/handle/a", r#"{"BLOCK":{"10.0.0.0/26":1},"deleted":true,"deleted":false,"x":{"y":[]}}"#),
            ("/calico/ipam/v2/handle/b", r#"{"block":{"10.0.0.0/26":1,"10.0.0.0/26":4},"deleted":null}"#),
            ("/calico/ipam/v2/handle/c", r#"{"block":null}"#),
            ("/calico/ipam/v2/handle/d", " {} \n"),
        ]);
        let counts: Vec<Vec<i64>> = snap.handles.iter().map(|h| h.counts().iter().map(|c| c.1).collect()).collect();
        assert_eq!(counts, [vec![1], vec![4], vec![], vec![]]);
        assert!(snap.handles.iter().all(|h| !h.deleted()) && snap.bad_values.is_empty());
    }

    #[test]
    fn revisions_and_the_values_hash_are_kept() {
        let snap = snapshot(&[("/calico/ipam/v2/handle/a", "{}")]);
        let meta = Meta { create_revision: 5, mod_revision: 7, version: 2, value_hash: hash64(b"{}") };
        assert_eq!(snap.handles[0].meta(), meta);
    }
}
