//! etcd 3.7's streams: what befalls one in the middle, and servers that have none.

use std::time::Duration;

use ipaudit::connect::etcd::Connection;
use ipaudit::connect::settings::EtcdSettings;
use ipaudit::source::etcd::{ReadOptions, read};

use super::*;
use crate::servers::http2::RANGE_STREAM;
use crate::servers::proxy::Then;
use crate::servers::{Etcd, EtcdVersion, need};

const HANDLE: &[u8] = b"/calico/ipam/v2/handle/";

/// Handles of 20 KB: 30 MB, far more than any buffer on the way takes, so that the first one is not the last.
fn many(version: EtcdVersion) -> Etcd {
    let etcd = Etcd::start(version);
    fill(&etcd, 0, 300);
    let handle = |n: u32| (format!("/calico/ipam/v2/handle/k8s-pod-network.{n:08x}").into_bytes(), vec![b'h'; 20_000]);
    etcd.put_many((0..1_500).map(handle).collect());
    etcd
}

/// In the middle of the handles.
fn among_the_handles<'a>(meddle: impl FnMut() + Send + 'a) -> Kept<'a> {
    Kept { at: Some(HANDLE), ..Kept::meddling(meddle) }
}

#[test]
fn a_stream_whose_connection_breaks_goes_on_where_it_was() {
    need!(Etcd3_7);
    let etcd = many(EtcdVersion::V3_7);
    let before = expected(&etcd);
    let (proxy, endpoint) = etcd.behind_proxy();
    let revision = etcd.revision();
    let mut sink = among_the_handles(|| {
        etcd.put("/calico/ipam/v2/handle/zz-fresh", "written meanwhile");
        proxy.cut();
    });
    let read = read_all(&EtcdSettings::new([endpoint]), &mut sink).unwrap();
    assert!(sink.world == before && !sink.twice && sink.restarts == 0, "{} keys", sink.world.len());
    assert!(all_complete(&read) && read.facts.revision == revision);
}

#[test]
fn a_stream_that_falls_silent_goes_on_at_another_endpoint() {
    need!(Etcd3_7);
    let etcd = many(EtcdVersion::V3_7);
    let before = expected(&etcd);
    let (proxy, first) = etcd.behind_proxy();
    let mut sink = among_the_handles(|| proxy.blackhole());
    let settings = EtcdSettings::new([first, etcd.endpoint()]).with_timeout(Duration::from_secs(1));
    read_all(&settings, &mut sink).unwrap();
    assert!(sink.world == before && !sink.twice && sink.restarts == 0);
}

#[test]
fn a_stream_that_is_compacted_under_starts_over() {
    need!(Etcd3_7);
    let etcd = many(EtcdVersion::V3_7);
    let mut sink = among_the_handles(|| {
        let revision = etcd.put("/calico/ipam/v2/handle/zz-fresh", "written meanwhile");
        etcd.compact(revision);
    });
    let read = read_all(&settings(&etcd), &mut sink).unwrap();
    assert!(sink.world == expected(&etcd) && sink.restarts == 1, "{} restarts", sink.restarts);
    assert!(all_complete(&read) && read.facts.revision == etcd.revision());
}

/// Messages are bounded by their keys, not by their bytes.
#[test]
fn a_chunk_that_is_too_large_is_asked_for_in_pages() {
    need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    fill(&etcd, 3_000, 300);
    let big = |n: usize| (format!("/calico/ipam/v2/handle/z-{n}").into_bytes(), vec![b'b'; 600_000]);
    etcd.put_many((0..30).map(big).collect());
    let settings = EtcdSettings { largest_answer: 4 << 20, ..settings(&etcd) };
    let mut sink = Kept::new();
    assert!(all_complete(&read_all(&settings, &mut sink).unwrap()));
    assert!(sink.world == expected(&etcd) && !sink.twice);
}

/// The same keys with and without streams, and gently.
#[test]
fn every_pace_reads_the_same() {
    need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    fill(&etcd, 6_000, 4_000);
    let world = expected(&etcd);
    let pages = ReadOptions { streams: false, ..ReadOptions::default() };
    for options in [ReadOptions::default(), pages, ReadOptions { gentle: true, ..ReadOptions::default() }] {
        let mut sink = Kept::new();
        assert!(all_complete(&read_with(&settings(&etcd), &options, &mut sink).unwrap()), "{options:?}");
        assert!(sink.world == world && !sink.twice, "{options:?}");
    }
}

/// Behind TLS it does not say so at the call.
#[test]
fn a_server_without_streams_is_read_in_pages_behind_tls_too() {
    need!(Etcd3_4);
    let etcd = Etcd::builder(EtcdVersion::V3_4).tls().start();
    fill(&etcd, 3_000, 300);
    let mut sink = Kept::new();
    assert!(all_complete(&read_all(&with_tls(&etcd), &mut sink).unwrap()));
    assert!(sink.world == expected(&etcd) && !sink.twice);
}

/// An endpoint that has no streams is asked for one once, and never again.
#[test]
fn a_server_without_streams_is_read_in_pages() {
    need!(Etcd3_4);
    let etcd = Etcd::start(EtcdVersion::V3_4);
    fill(&etcd, 3_000, 300);
    let (proxy, endpoint) = etcd.behind_proxy();
    block_on(async {
        let connection = Connection::open(&EtcdSettings::new([endpoint])).await.unwrap();
        for round in 0..2 {
            if round > 0 {
                etcd_thread(|| proxy.lose_request(RANGE_STREAM, Then::Refuse));
            }
            let mut sink = Kept::new();
            assert!(all_complete(&read(&connection, &ReadOptions::default(), &mut sink).await.unwrap()));
            let world = etcd_thread(|| expected(&etcd));
            assert!(sink.world == world && !sink.twice);
        }
    });
    assert_eq!(proxy.sprung(), 0, "it was asked for a stream again");
}
