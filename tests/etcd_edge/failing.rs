//! Servers that die, fall silent, come back, or turn out to be others.

use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions};
use ipaudit::connect::etcd::Connection;
use ipaudit::connect::settings::EtcdSettings;

use super::*;
use crate::servers::etcd_users::READER;
use crate::servers::http2::Request;
use crate::servers::proxy::Then;
use crate::servers::{self, Etcd, EtcdVersion};

both! {
    a_login_that_expires_in_the_middle_is_renewed
    a_restart_in_the_middle_is_survived
    dead_endpoints_are_passed_over
    a_frozen_first_endpoint_is_passed_over
    an_endpoint_that_dies_in_the_middle_is_left
    an_endpoint_that_falls_silent_in_the_middle_is_left
    a_frozen_server_is_an_error_in_time
    endpoints_of_two_clusters_are_told_apart
    a_restore_in_the_middle_is_an_error
    a_write_is_sent_once
    a_wrong_certificate_at_one_endpoint_is_passed_over
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
    assert!(all_complete(&read) && sink.restarts == 0, "{read:?}");
    assert!(sink.world.keys().eq(world.keys()));
}

fn a_restart_in_the_middle_is_survived(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    fill(&etcd, 6000, 100);
    let before = expected(&etcd);
    let mut sink = Kept::meddling(|| etcd.restart());
    read_all(&as_user(&etcd, READER.name, READER.password), &mut sink).unwrap();
    assert!(sink.world == before && !sink.twice && sink.restarts == 0);
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
    assert!(text.contains("connection refused") && text.contains("nobody listens there"), "{text}");
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
    read_all(&EtcdSettings::new([first, etcd.endpoint()]), &mut sink).unwrap();
    assert!(sink.world == world && !sink.twice && sink.restarts == 0);
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

fn a_write_is_sent_once(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    let (proxy, first) = etcd.behind_proxy();
    let key = "/calico/ipam/v2/handle/h";
    block_on(async {
        let connection = Connection::open(&EtcdSettings::new([first, etcd.endpoint()])).await.unwrap();
        let write =
            |value: &'static str| connection.once("write", move |mut kv| async move { kv.put(key, value, None).await });
        proxy.lose_answer(Request::Grpc("/etcdserverpb.KV/Put"), Then::Refuse);
        let trouble = write("one").await.unwrap_err();
        assert!(trouble.again() && trouble.error.doing == "write", "{trouble:?}");
        assert_eq!(proxy.sprung(), 1);
        assert_eq!(etcd_thread(|| etcd.get(key).unwrap().version), 1, "done, and done once");
        // The next one goes elsewhere.
        write("two").await.unwrap();
        assert_eq!(etcd_thread(|| etcd.get(key).unwrap().value), b"two");
    });
}

fn a_wrong_certificate_at_one_endpoint_is_passed_over(version: EtcdVersion) {
    let (etcd, stranger) = (Etcd::builder(version).tls().start(), Etcd::builder(version).tls().start());
    fill(&etcd, 10, 10);
    let settings = EtcdSettings { endpoints: vec![stranger.endpoint(), etcd.endpoint()], ..with_tls(&etcd) };
    let mut sink = Kept::new();
    read_all(&settings, &mut sink).unwrap();
    assert!(sink.world == expected(&etcd));
}
