//! The etcd edge against real servers of both ends of what Calico clusters run: 3.4 and 3.7.

mod etcd_edge;
mod servers;

use std::time::{Duration, Instant};

use etcd_edge::*;
use ipaudit::connect::settings::{EtcdFlags, EtcdSettings, Secret, Source, load};
use ipaudit::model::{Input, InputState};
use ipaudit::source::etcd::{ReadError, ReadOptions};
use ipaudit::source::etcd_ranges::endpoint_boundaries;
use servers::etcd_data::{NOBODY, READER, User};
use servers::{Etcd, EtcdVersion, need};

/// Every test once a version of etcd; a version that is not installed skips it aloud.
macro_rules! both {
    ($($name:ident)*) => {
        mod etcd_3_4 {
            use super::*;
            $(#[test] fn $name() { need!(Etcd3_4); super::$name(EtcdVersion::V3_4); })*
        }
        mod etcd_3_7 {
            use super::*;
            $(#[test] fn $name() { need!(Etcd3_7); super::$name(EtcdVersion::V3_7); })*
        }
    };
}

both! {
    reads_everything_at_one_revision_while_others_write
    cuts_endpoints_where_it_is_told_to
    reads_only_the_inputs_asked_for
}

fn settings(etcd: &Etcd) -> EtcdSettings {
    EtcdSettings::new([etcd.endpoint()])
}

fn reads_everything_at_one_revision_while_others_write(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 6000, 4000);
    let before = expected(&etcd);
    let revision = etcd.revision();
    let mut sink = Kept::meddling(|| {
        etcd.put("/calico/ipam/v2/handle/k8s-pod-network.fresh", "new");
        etcd.put("/calico/ipam/v2/assignment/ipv4/block/10.65.7.0-26", "changed");
        assert!(etcd.delete_prefix(format!("{RESOURCES}/workloadendpoints/ns-3/")) > 0);
        assert!(etcd.delete("/calico/ipam/v2/host/node-1/ipv4/block/10.65.0.0-26"));
    });
    let read = read_all(&settings(&etcd), &mut sink).unwrap();
    assert!(etcd.revision() > revision, "the writes came in the middle");
    assert!(sink.world == before, "{} keys instead of {}", sink.world.len(), before.len());
    assert!(!sink.twice, "a key came twice");
    assert!(all_complete(&read), "{:?}", read.inputs);
    assert_eq!((read.facts.revision, read.facts.cluster_id), (revision, etcd.cluster_id()));
    assert_ne!(read.facts.member_id, 0);
    assert_eq!((read.keys, read.restarts), (before.len() as u64, 0));
    assert_eq!(read.facts.endpoints, [etcd.endpoint()]);
}

fn cuts_endpoints_where_it_is_told_to(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 10, 9000);
    // As Kubernetes would say it, wrong in every way that may happen meanwhile.
    let pods = [("ns-3", 2000), ("ns-0", 2000), ("gone", 4000), ("ns-5", 0), ("ns-6", 3000)];
    let boundaries = endpoint_boundaries(pods);
    assert!(boundaries.len() >= 2, "{boundaries:?}");
    let options = ReadOptions { endpoint_boundaries: Some(boundaries), concurrency: 4, ..ReadOptions::default() };
    let mut sink = Kept::new();
    read_with(&settings(&etcd), &options, &mut sink).unwrap();
    assert!(sink.world == expected(&etcd) && !sink.twice);
}

fn reads_only_the_inputs_asked_for(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 10, 10);
    let options = ReadOptions { inputs: vec![Input::Pools, Input::CalicoNodes], ..ReadOptions::default() };
    let mut sink = Kept::new();
    let read = read_with(&settings(&etcd), &options, &mut sink).unwrap();
    let keys: Vec<&[u8]> = sink.world.keys().map(|key| key.strip_prefix(RESOURCES.as_bytes()).unwrap()).collect();
    assert_eq!(keys, [&b"/ippools/default"[..], b"/ipreservations/some", b"/nodes/node-1", b"/nodes/node-2"]);
    let inputs: Vec<Input> = read.inputs.iter().map(|(input, _, _)| *input).collect();
    assert_eq!(inputs, [Input::CalicoNodes, Input::Pools]);
}
