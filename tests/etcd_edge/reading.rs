//! What is read, and at which moment.

use etcd_client::Permission;
use ipaudit::connect::etcd::Connection;
use ipaudit::connect::settings::EtcdSettings;
use ipaudit::error::Error;
use ipaudit::model::{Input, InputState};
use ipaudit::source::etcd::{Pin, ReadError, ReadOptions, read};
use ipaudit::source::etcd_ranges::endpoint_boundaries;

use super::*;
use crate::servers::etcd_users::User;
use crate::servers::{Etcd, EtcdVersion};

both! {
    reads_everything_at_one_revision_while_others_write
    cuts_endpoints_where_it_is_told_to
    reads_only_the_inputs_asked_for
    takes_pages_of_many_megabytes
    asks_for_less_when_an_answer_is_too_large
    leaves_the_other_keys_under_calico_alone
    starts_over_after_a_compaction
    gives_up_after_three_compactions
    learns_the_last_compaction
    looks_at_single_keys_at_one_later_revision
    a_forbidden_prefix_makes_one_input_unknown
}

fn compact(etcd: &Etcd) {
    let revision = etcd.put("/calico/ipam/v2/handle/k8s-pod-network.later", "later");
    etcd.compact(revision);
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
    assert_eq!(sink.restarts, 0);
    assert_eq!(read.facts.endpoints, [etcd.endpoint()]);
}

fn cuts_endpoints_where_it_is_told_to(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 10, 9000);
    // As blocks would say it, wrong in every way that may happen meanwhile.
    let pods = [("ns-3", 2000), ("ns-0", 2000), ("gone", 4000), ("ns-5", 0), ("ns-6", 3000)];
    let boundaries = endpoint_boundaries(pods, 2500);
    assert!(boundaries.len() >= 2, "{boundaries:?}");
    let options = ReadOptions { concurrency: 4, streams: false, ..ReadOptions::default() };
    let mut sink = Kept { boundaries, ..Kept::new() };
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

fn takes_pages_of_many_megabytes(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 10, 10);
    let big =
        |n: usize| (format!("/calico/ipam/v2/assignment/ipv4/block/10.80.{n}.0-26").into_bytes(), vec![b'b'; 200_000]);
    etcd.put_many((0..120).map(big).collect());
    let mut sink = Kept::new();
    read_all(&settings(&etcd), &mut sink).unwrap();
    assert!(sink.bytes() > 24_000_000 && sink.world == expected(&etcd) && !sink.twice);
}

fn asks_for_less_when_an_answer_is_too_large(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    let big =
        |n: usize| (format!("/calico/ipam/v2/assignment/ipv4/block/10.80.{n}.0-26").into_bytes(), vec![b'b'; 150_000]);
    etcd.put_many((0..30).map(big).collect());
    let small = |limit| EtcdSettings { largest_answer: limit, ..settings(&etcd) };
    let mut sink = Kept::new();
    read_all(&small(1 << 20), &mut sink).unwrap();
    assert!(sink.world == expected(&etcd) && !sink.twice);
    // One value alone is too large: an error, not a loop.
    assert!(refusal(&small(100_000)).contains("message length too large"));
}

fn leaves_the_other_keys_under_calico_alone(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 100, 100);
    let other = |n: usize| {
        let kind = ["networkpolicies/ns", "profiles", "globalnetworksets"][n % 3];
        (format!("{RESOURCES}/{kind}/big-{n}").into_bytes(), vec![b'p'; 500_000])
    };
    etcd.put_many((0..100).map(other).collect());
    let (proxy, endpoint) = etcd.behind_proxy();
    let mut sink = Kept::new();
    read_all(&EtcdSettings::new([endpoint]), &mut sink).unwrap();
    assert!(sink.world == expected(&etcd));
    let (bytes, read) = (proxy.bytes_to_client(), sink.bytes());
    assert!(bytes >= read && bytes < read * 5 / 4, "{bytes} bytes for {read} of values");
}

fn starts_over_after_a_compaction(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 6000, 100);
    let mut compactions = 0;
    let mut sink = Kept::meddling(|| {
        compactions += 1;
        if compactions <= 3 {
            compact(&etcd);
        }
    });
    let read = read_all(&settings(&etcd), &mut sink).unwrap();
    assert_eq!(sink.restarts, 3);
    assert!(sink.world == expected(&etcd) && !sink.twice);
    assert_eq!(read.facts.revision, etcd.revision());
}

fn gives_up_after_three_compactions(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 6000, 100);
    let mut sink = Kept::meddling(|| compact(&etcd));
    let error = read_all(&settings(&etcd), &mut sink).unwrap_err();
    assert_eq!(sink.restarts, 3);
    assert!(matches!(error, ReadError::Compacted(_)), "{error:?}");
    // A read of a given moment cannot start over.
    let pin = Pin { revision: etcd.revision(), cluster_id: etcd.cluster_id() };
    let mut sink = Kept::meddling(|| compact(&etcd));
    let options = ReadOptions { pin: Some(pin), ..ReadOptions::default() };
    let error = read_with(&settings(&etcd), &options, &mut sink).unwrap_err();
    assert_eq!(sink.restarts, 0);
    assert!(matches!(error, ReadError::Compacted(_)), "{error:?}");
}

fn learns_the_last_compaction(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 1000, 1000);
    let compaction = || read_all(&settings(&etcd), &mut Kept::new()).unwrap().facts.compact_revision;
    assert_eq!(compaction(), Some(0));
    for back in [7, 3, 0] {
        let revision = etcd.revision() - back;
        etcd.compact(revision);
        assert_eq!(compaction(), Some(revision));
    }
}

fn looks_at_single_keys_at_one_later_revision(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 300, 0);
    let world = expected(&etcd);
    let mut keys: Vec<Vec<u8>> = world.keys().cloned().collect();
    keys.insert(5, b"/calico/ipam/v2/handle/absent".to_vec());
    keys.push(keys[0].clone());
    assert!(keys.len() > 300);
    block_on(async {
        let connection = Connection::open(&settings(&etcd)).await.unwrap();
        let look = connection.keys("look", &keys, None).await.unwrap();
        assert_eq!(look.found.len(), keys.len());
        for (key, found) in keys.iter().zip(&look.found) {
            let found = found.as_ref().map(|s| (s.value.clone(), s.create_revision, s.mod_revision, s.version));
            assert_eq!(found.as_ref(), world.get(key), "{}", String::from_utf8_lossy(key));
        }
        // No keys name a moment too, and the past can still be asked about.
        etcd_thread(|| etcd.delete(keys[0].clone()));
        let now = connection.keys("look", &[], None).await.unwrap();
        assert!(now.found.is_empty() && now.pin.revision == look.pin.revision + 1);
        assert_eq!(connection.keys("look", &keys[..1], None).await.unwrap().found, [None]);
        let past = connection.keys("look", &keys[..1], Some(look.pin)).await.unwrap();
        assert!(past.pin == look.pin && past.found[0].is_some());
        // And the rest of a second look: a whole prefix at that moment.
        let options = ReadOptions { inputs: vec![Input::Handles], pin: Some(look.pin), ..ReadOptions::default() };
        let mut sink = Kept::new();
        let read = read(&connection, &options, &mut sink).await.unwrap();
        assert_eq!((read.facts.revision, sink.world.len()), (look.pin.revision, 304));
        let wrong = Pin { cluster_id: 1, ..look.pin };
        let error: Error = connection.keys("look", &keys[..1], Some(wrong)).await.unwrap_err().error;
        assert!(error.hint.contains("different etcd clusters"), "{error:?}");
        let future = Pin { revision: look.pin.revision + 100, ..look.pin };
        let error: Error = connection.keys("look", &keys[..1], Some(future)).await.unwrap_err().error;
        assert!(error.hint.contains("restored"), "{error:?}");
    });
}

fn a_forbidden_prefix_makes_one_input_unknown(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    fill(&etcd, 6000, 100);
    let narrow = User { name: "narrow", password: "narrow-secret" };
    // Neither the single keys of the configuration nor the handles, and a part of the affinities.
    let rights = ["/calico/ipam/v2/assignment/", "/calico/ipam/v2/host/", RESOURCES];
    etcd.add_user(narrow, &rights.map(|prefix| Permission::read(prefix).with_prefix()));
    let mut sink = Kept::new();
    let read = read_all(&as_user(&etcd, narrow.name, narrow.password), &mut sink).unwrap();
    for input in [Input::Blocks, Input::Endpoints, Input::CalicoNodes, Input::Pools] {
        assert_eq!(state(&read, input), (InputState::Complete, ""));
    }
    let refused = |input: Input| {
        let (state, detail) = state(&read, input);
        assert_eq!(state, InputState::Forbidden);
        // Which server it was changes from run to run.
        detail.replace(&etcd.endpoint(), "SERVER").to_owned()
    };
    let denied = "(SERVER): etcdserver: permission denied";
    assert_eq!(refused(Input::Handles), format!("cannot read handles (/calico/ipam/v2/handle/*) {denied}"));
    assert_eq!(refused(Input::Config), format!("cannot read config (/calico/ipam/v2/config) {denied}"));
    let both = format!("cannot read affinities (/calico/ipam/v2/@/*) {denied}; the same for /calico/ipam/v2/virtual/");
    assert_eq!(refused(Input::Affinities), both);
    assert!(sink.world.keys().any(|key| key.starts_with(b"/calico/ipam/v2/assignment/")));
    assert!(!sink.world.keys().any(|key| key.starts_with(b"/calico/ipam/v2/handle/")));
}
