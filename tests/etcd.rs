//! The etcd edge against real servers of both ends of what Calico clusters run: 3.4 and 3.7.

mod etcd_edge;
mod servers;

use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions, Permission};
use etcd_edge::dns::Dns;
use etcd_edge::*;
use ipaudit::connect::etcd::Connection;
use ipaudit::connect::settings::{EtcdFlags, EtcdSettings, Secret, Source, load};
use ipaudit::error::Error;
use ipaudit::model::{Input, InputState};
use ipaudit::source::etcd::{Pin, ReadError, ReadOptions};
use ipaudit::source::etcd_look::read_keys;
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
    takes_pages_of_many_megabytes
    asks_for_less_when_an_answer_is_too_large
    leaves_the_other_keys_under_calico_alone
    starts_over_after_a_compaction
    gives_up_after_three_compactions
    learns_the_last_compaction
    looks_at_single_keys_at_one_later_revision
    speaks_tls_with_a_client_certificate
    says_what_is_wrong_with_tls
    logs_in_with_user_and_password
    says_what_is_wrong_with_the_login
    a_user_is_harmless_where_authentication_is_off
    a_forbidden_prefix_makes_one_input_unknown
    a_login_that_expires_in_the_middle_is_renewed
    a_restart_in_the_middle_is_survived
    dead_endpoints_are_passed_over
    a_frozen_first_endpoint_is_passed_over
    an_endpoint_that_dies_in_the_middle_is_left
    an_endpoint_that_falls_silent_in_the_middle_is_left
    a_frozen_server_is_an_error_in_time
    endpoints_of_two_clusters_are_told_apart
    a_restore_in_the_middle_is_an_error
    endpoints_are_discovered_by_dns
    calicoctls_file_with_inline_certificates_is_enough
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

fn takes_pages_of_many_megabytes(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 10, 10);
    let big =
        |n: usize| (format!("/calico/ipam/v2/assignment/ipv4/block/10.80.{n}.0-26").into_bytes(), vec![b'b'; 200_000]);
    etcd.put_many((0..120).map(big).collect());
    let mut sink = Kept::new();
    let read = read_all(&settings(&etcd), &mut sink).unwrap();
    assert!(read.bytes > 24_000_000 && sink.world == expected(&etcd) && !sink.twice);
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
    let read = read_all(&EtcdSettings::new([endpoint]), &mut sink).unwrap();
    assert!(sink.world == expected(&etcd));
    let bytes = proxy.bytes_to_client();
    assert!(bytes >= read.bytes && bytes < read.bytes * 5 / 4, "{bytes} bytes for {} of values", read.bytes);
}

/// Compacts everything up to now, after a write that makes now later than the read's revision.
fn compact(etcd: &Etcd) {
    let revision = etcd.put("/calico/ipam/v2/handle/k8s-pod-network.later", "later");
    etcd.compact(revision);
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
    assert_eq!((read.restarts, sink.restarts), (3, 3));
    assert!(sink.world == expected(&etcd) && !sink.twice);
    assert_eq!(read.keys, sink.world.len() as u64);
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
        let look = read_keys(&connection, &keys, None).await.unwrap();
        assert_eq!(look.found.len(), keys.len());
        for (key, found) in keys.iter().zip(&look.found) {
            let found = found.as_ref().map(|s| (s.value.clone(), s.create_revision, s.mod_revision, s.version));
            assert_eq!(found.as_ref(), world.get(key), "{}", String::from_utf8_lossy(key));
        }
        // No keys name a moment too, and the past can still be asked about.
        tokio::task::block_in_place(|| etcd_thread(|| etcd.delete(keys[0].clone())));
        let now = read_keys(&connection, &[], None).await.unwrap();
        assert!(now.found.is_empty() && now.pin.revision == look.pin.revision + 1);
        assert_eq!(read_keys(&connection, &keys[..1], None).await.unwrap().found, [None]);
        let past = read_keys(&connection, &keys[..1], Some(look.pin)).await.unwrap();
        assert!(past.pin == look.pin && past.found[0].is_some());
        // And the rest of a second look: a whole prefix at that moment.
        let options = ReadOptions { inputs: vec![Input::Handles], pin: Some(look.pin), ..ReadOptions::default() };
        let mut sink = Kept::new();
        let read = ipaudit::source::etcd::read(&connection, &options, &mut sink).await.unwrap();
        assert_eq!((read.facts.revision, read.keys), (look.pin.revision, 304));
        let wrong = Pin { cluster_id: 1, ..look.pin };
        let error: Error = read_keys(&connection, &keys[..1], Some(wrong)).await.unwrap_err().into();
        assert!(error.hint.contains("different etcd clusters"), "{error:?}");
        let future = Pin { revision: look.pin.revision + 100, ..look.pin };
        let error: Error = read_keys(&connection, &keys[..1], Some(future)).await.unwrap_err().into();
        assert!(error.hint.contains("restored"), "{error:?}");
    });
}

/// The harness blocks on a runtime of its own: not on a thread of ours.
fn etcd_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().expect("the harness worked"))
}

fn with_tls(etcd: &Etcd) -> EtcdSettings {
    let file = |path: &std::path::Path| Some(Source::File(path.to_owned()));
    let tls = etcd.tls();
    EtcdSettings { ca_cert: file(&tls.ca), cert: file(&tls.client.cert), key: file(&tls.client.key), ..settings(etcd) }
}

fn speaks_tls_with_a_client_certificate(version: EtcdVersion) {
    let etcd = Etcd::builder(version).tls().start();
    fill(&etcd, 100, 100);
    let mut sink = Kept::new();
    read_all(&with_tls(&etcd), &mut sink).unwrap();
    assert!(sink.world == expected(&etcd));
    // Inline, and without a scheme: certificates mean https.
    let tls = etcd.tls();
    let inline = |pem: String| Some(Source::Inline(Secret::new(pem)));
    let inline = EtcdSettings {
        ca_cert: inline(tls.ca_pem()),
        cert: inline(tls.client.cert_pem()),
        key: inline(tls.client.key_pem()),
        ..EtcdSettings::new([etcd.address()])
    };
    let read = read_all(&inline, &mut Kept::new()).unwrap();
    assert_eq!(read.facts.endpoints, [etcd.endpoint()]);
}

fn says_what_is_wrong_with_tls(version: EtcdVersion) {
    let etcd = Etcd::builder(version).tls().start();
    let tls = etcd.tls();
    let right = with_tls(&etcd);
    let file = |path: &std::path::Path| Some(Source::File(path.to_owned()));
    let told = |settings: EtcdSettings, wanted: &[&str]| {
        let text = refusal(&settings);
        eprintln!("{text}");
        for part in wanted {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    };
    told(EtcdSettings { ca_cert: file(&tls.other_ca), ..right.clone() }, &["UnknownIssuer", "--etcd-ca-cert"]);
    told(EtcdSettings { ca_cert: None, ..right.clone() }, &["UnknownIssuer", "--etcd-ca-cert"]);
    told(EtcdSettings { cert: None, key: None, ..right.clone() }, &["client certificate", "--etcd-cert"]);
    let other = EtcdSettings { cert: file(&tls.other_client.cert), key: file(&tls.other_client.key), ..right.clone() };
    told(other, &["client certificate", "--etcd-cert"]);
    let mixed = EtcdSettings { cert: file(&tls.other_client.cert), ..right.clone() };
    told(mixed, &["not a pair", "--etcd-key"]);
    told(EtcdSettings { cert: file(&tls.client.key), ..right.clone() }, &["holds no certificate"]);
    told(
        EtcdSettings { key: file(&tls.ca.with_file_name("nothing.pem")), ..right.clone() },
        &["No such file", "nothing.pem"],
    );
    let plain = right.endpoints[0].replace("https", "http");
    told(EtcdSettings { endpoints: vec![plain], ..right.clone() }, &["perhaps it speaks TLS"]);
    let insecure = Etcd::start(version);
    let secure = insecure.endpoint().replace("http", "https");
    told(EtcdSettings { endpoints: vec![secure], ..right }, &["does not speak TLS"]);
}

fn as_user(etcd: &Etcd, name: &str, password: &str) -> EtcdSettings {
    let password = Some(Source::Inline(Secret::new(password)));
    EtcdSettings { username: Some(name.to_owned()), password, ..settings(etcd) }
}

fn logs_in_with_user_and_password(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    fill(&etcd, 100, 100);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, format!("{}\n", READER.password)).unwrap();
    let from_file = EtcdSettings { password: Some(Source::File(file)), ..as_user(&etcd, READER.name, "") };
    for settings in [as_user(&etcd, READER.name, READER.password), from_file] {
        let mut sink = Kept::new();
        let read = read_all(&settings, &mut sink).unwrap();
        assert!(all_complete(&read) && sink.world == expected(&etcd));
    }
}

fn says_what_is_wrong_with_the_login(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    let text = refusal(&settings(&etcd));
    assert!(text.contains("user name is empty") && text.contains("--etcd-username"), "{text}");
    for (name, password) in [(READER.name, "hunter2"), ("stranger", "hunter2")] {
        let text = refusal(&as_user(&etcd, name, password));
        assert!(text.contains("authentication failed") && text.contains("password is wrong"), "{text}");
        assert!(text.contains(&etcd.endpoint()) && !text.contains("hunter2"), "{text}");
    }
    let error = read_all(&as_user(&etcd, NOBODY.name, NOBODY.password), &mut Kept::new()).unwrap_err();
    assert!(matches!(error, ReadError::Forbidden(_)), "{error:?}");
    let text = refusal(&as_user(&etcd, NOBODY.name, NOBODY.password));
    assert!(text.contains("permission denied") && text.contains("needs read on the prefix /calico/"), "{text}");
}

fn a_user_is_harmless_where_authentication_is_off(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 10, 10);
    assert!(all_complete(&read_all(&as_user(&etcd, "calico", "anything"), &mut Kept::new()).unwrap()));
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
    for (input, prefix) in [
        (Input::Handles, "/calico/ipam/v2/handle/*"),
        (Input::Affinities, "/calico/ipam/v2/virtual/*"),
        (Input::Config, "/calico/ipam/v2/config"),
    ] {
        let (state, detail) = state(&read, input);
        assert_eq!(state, InputState::Forbidden);
        assert!(detail.contains(prefix) && detail.contains("permission denied"), "{detail}");
    }
    assert!(sink.world.keys().any(|key| key.starts_with(b"/calico/ipam/v2/assignment/")));
    assert!(!sink.world.keys().any(|key| key.starts_with(b"/calico/ipam/v2/handle/")));
}

fn a_login_that_expires_in_the_middle_is_renewed(version: EtcdVersion) {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "a key for tests of logins, of 32 bytes or more").unwrap();
    let token = format!("--auth-token=jwt,priv-key={},sign-method=HS256,ttl=1s", key.display());
    // Filled under another kind of login: the harness renews none.
    let filled = Etcd::builder(version).auth().start();
    fill(&filled, 6000, 100);
    let world = expected(&filled);
    let etcd = Etcd::builder(version).auth().flag(token).restored_from(&filled.snapshot_save()).start();
    let mut sink = Kept::meddling(|| {
        // A login that is younger than the one of the read: when it is dead, so is the other.
        let user = ConnectOptions::new().with_user(READER.name, READER.password);
        let mut client = servers::block_on(Client::connect([etcd.endpoint()], Some(user))).unwrap();
        servers::eventually("a login of one second expires", Duration::from_secs(30), || {
            servers::block_on(client.get("/calico/", None)).is_err()
        });
    });
    let read = read_all(&as_user(&etcd, READER.name, READER.password), &mut sink).unwrap();
    assert!(all_complete(&read) && read.restarts == 0, "{read:?}");
    assert!(sink.world.keys().eq(world.keys()));
}

fn a_restart_in_the_middle_is_survived(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    fill(&etcd, 6000, 100);
    let before = expected(&etcd);
    let mut sink = Kept::meddling(|| etcd.restart());
    let read = read_all(&as_user(&etcd, READER.name, READER.password), &mut sink).unwrap();
    assert!(sink.world == before && !sink.twice && read.restarts == 0);
}

fn dead_endpoints_are_passed_over(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 100, 100);
    let (one, other) = (Dead::new(), Dead::new());
    let endpoints = [one.endpoint.clone(), etcd.endpoint(), other.endpoint.clone()];
    let mut sink = Kept::new();
    let read = read_all(&EtcdSettings::new(endpoints.clone()), &mut sink).unwrap();
    assert!(all_complete(&read) && sink.world == expected(&etcd));
    assert_eq!(read.facts.endpoints, endpoints);
    let text = refusal(&EtcdSettings::new([one.endpoint.clone(), other.endpoint.clone()]));
    assert!(text.contains(&one.endpoint) && text.contains(&other.endpoint), "{text}");
    assert!(text.contains("Connection refused") && text.contains("nobody listens there"), "{text}");
}

fn a_frozen_first_endpoint_is_passed_over(version: EtcdVersion) {
    let (frozen, etcd) = (Etcd::start(version), Etcd::start(version));
    fill(&etcd, 100, 100);
    let world = expected(&etcd);
    frozen.freeze();
    let settings = EtcdSettings::new([frozen.endpoint(), etcd.endpoint()]).with_timeout(Duration::from_secs(1));
    let mut sink = Kept::new();
    assert!(all_complete(&read_all(&settings, &mut sink).unwrap()) && sink.world == world);
    frozen.thaw();
}

fn an_endpoint_that_dies_in_the_middle_is_left(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 6000, 100);
    let world = expected(&etcd);
    let (proxy, first) = etcd.behind_proxy();
    let mut sink = Kept::meddling(|| {
        proxy.refuse();
        proxy.cut();
    });
    let read = read_all(&EtcdSettings::new([first, etcd.endpoint()]), &mut sink).unwrap();
    assert!(sink.world == world && !sink.twice && read.restarts == 0);
}

fn an_endpoint_that_falls_silent_in_the_middle_is_left(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 6000, 100);
    let world = expected(&etcd);
    let (proxy, first) = etcd.behind_proxy();
    let mut sink = Kept::meddling(|| proxy.blackhole());
    let settings = EtcdSettings::new([first, etcd.endpoint()]).with_timeout(Duration::from_secs(1));
    read_all(&settings, &mut sink).unwrap();
    assert!(sink.world == world && !sink.twice);
    assert!(proxy.bytes_to_client() > 0, "the read began there");
}

fn a_frozen_server_is_an_error_in_time(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 6000, 100);
    let settings = settings(&etcd).with_timeout(Duration::from_secs(1));
    let in_time = |sink: &mut Kept<'_>| {
        let began = Instant::now();
        let text = refused(read_all(&settings, sink));
        // Two tries of a second; a busy machine adds to it, a hang would add for ever.
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert!(text.contains("no answer within 1s") && text.contains("--etcd-timeout"), "{text}");
        etcd.thaw();
    };
    in_time(&mut Kept::meddling(|| etcd.freeze()));
    etcd.freeze();
    in_time(&mut Kept::new());
    read_all(&settings, &mut Kept::new()).unwrap();
}

fn endpoints_of_two_clusters_are_told_apart(version: EtcdVersion) {
    let (etcd, newer, older) = (Etcd::start(version), Etcd::start(version), Etcd::start(version));
    fill(&etcd, 6000, 100);
    fill(&newer, 6000, 1000);
    fill(&older, 10, 10);
    let (proxy, first) = etcd.behind_proxy();
    for (second, wanted) in [(&newer, "belong to different etcd clusters"), (&older, "another cluster")] {
        let mut sink = Kept::meddling(|| {
            proxy.refuse();
            proxy.cut();
        });
        let text = refused(read_all(&EtcdSettings::new([first.clone(), second.endpoint()]), &mut sink));
        assert!(text.contains(wanted), "{text}");
        proxy.open();
    }
}

fn a_restore_in_the_middle_is_an_error(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 100, 0);
    let backup = etcd.snapshot_save();
    fill(&etcd, 6000, 100);
    let text = refused(read_all(&settings(&etcd), &mut Kept::meddling(|| etcd.restore(&backup))));
    assert!(text.contains("future revision") && text.contains("restored"), "{text}");
}

fn endpoints_are_discovered_by_dns(version: EtcdVersion) {
    let (plain, secure) = (Etcd::start(version), Etcd::builder(version).tls().start());
    fill(&plain, 10, 10);
    fill(&secure, 20, 20);
    let port = |etcd: &Etcd| etcd.address().rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let dead = Dead::new();
    let dead_port: u16 = dead.endpoint.rsplit_once(':').unwrap().1.parse().unwrap();
    let dns = Dns::start(vec![
        ("_etcd-client._tcp.plain.example", vec![(20, 1, port(&plain), "localhost"), (10, 1, dead_port, "localhost")]),
        ("_etcd-client-ssl._tcp.both.example", vec![(10, 1, port(&secure), "localhost")]),
        ("_etcd-client._tcp.both.example", vec![(1, 1, port(&plain), "localhost")]),
    ]);
    let discover = |domain: &str, settings: EtcdSettings| EtcdSettings {
        endpoints: Vec::new(),
        discovery_srv: Some(domain.to_owned()),
        dns_server: Some(dns.address),
        ..settings
    };
    let mut sink = Kept::new();
    let read = read_all(&discover("plain.example", settings(&plain)), &mut sink).unwrap();
    let url = |scheme: &str, port: u16| format!("{scheme}://localhost:{port}");
    assert_eq!(read.facts.endpoints, [url("http", dead_port), url("http", port(&plain))]);
    assert!(sink.world == expected(&plain));
    // TLS goes first, and its certificate is checked for the name that DNS gave.
    let mut sink = Kept::new();
    let read = read_all(&discover("both.example", with_tls(&secure)), &mut sink).unwrap();
    assert_eq!(read.facts.endpoints, [url("https", port(&secure)), url("http", port(&plain))]);
    assert!(sink.world == expected(&secure));
    let text = refusal(&discover("nowhere.example", settings(&plain)));
    assert!(text.contains("_etcd-client-ssl._tcp.nowhere.example") && text.contains("--etcd-discovery-srv"), "{text}");
}

fn calicoctls_file_with_inline_certificates_is_enough(version: EtcdVersion) {
    let etcd = Etcd::builder(version).tls().start();
    fill(&etcd, 10, 10);
    let tls = etcd.tls();
    let block = |pem: String| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let text = format!(
        "apiVersion: projectcalico.org/v3\nkind: CalicoAPIConfig\nmetadata:\nspec:\n  datastoreType: etcdv3\n  \
         etcdEndpoints: {}\n  etcdCACert: |\n{}  etcdCert: |\n{}  etcdKey: |\n{}",
        etcd.endpoint(),
        block(tls.ca_pem()),
        block(tls.client.cert_pem()),
        block(tls.client.key_pem()),
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calicoctl.cfg");
    std::fs::write(&path, text).unwrap();
    let flags = EtcdFlags { config: Some(path.display().to_string()), ..EtcdFlags::default() };
    let settings = load(&flags, &|_| None).unwrap();
    let mut sink = Kept::new();
    read_all(&settings, &mut sink).unwrap();
    assert!(sink.world == expected(&etcd));
    // The environment's files beat the file's texts, one by one.
    let ca = tls.other_ca.display().to_string();
    let settings = load(&flags, &|name| (name == "ETCD_CA_CERT_FILE").then(|| ca.clone())).unwrap();
    assert!(refusal(&settings).contains("UnknownIssuer"));
}

#[test]
fn a_name_that_does_not_resolve_is_said() {
    // No name at all, so that no DNS server is asked.
    let text = refusal(&EtcdSettings::new(["http://no..such..name:2379"]));
    assert!(text.contains("does not resolve") && text.contains("http://no..such..name:2379"), "{text}");
}
