//! Servers that are there and refuse: a learner, a missing right, an unknown user, a dead login, a full store; and one
//! that does not even refuse. Each is told by its cause, and as what it is: forbidden is not unreachable.

use std::time::{Duration, Instant};

use etcd_client::{AlarmAction, AlarmOptions, AlarmType};
use ipaudit::connect::settings::EtcdSettings;
use ipaudit::model::{EtcdAlarm, EtcdStatus};
use ipaudit::source::etcd_status;

use super::*;
use crate::servers::etcd_trouble::{Dropping, NotEtcd, WebServer};
use crate::servers::etcd_users::{NOBODY, READER};
use crate::servers::http1::{Answer, Http};
use crate::servers::{ApiServer, Etcd, EtcdVersion};

both! {
    a_learner_is_passed_over_and_alone_it_is_named
    an_endpoint_that_drops_packets_is_told_as_such_and_passed_over
    what_is_no_etcd_is_told_as_such_and_passed_over
    what_answers_instead_of_etcds_port_for_clients_is_told_as_such
    a_role_without_rights_no_user_a_wrong_password_and_a_dead_login_are_forbidden
    refusals_through_grpc_proxy_are_the_same
    every_member_says_how_it_is_a_learner_too
    an_alarm_is_told_with_the_members_name_and_goes_when_it_is_disarmed
    a_certificate_of_nobody_is_forbidden_and_the_hint_says_whose_it_must_be
    the_status_needs_no_right_and_a_dead_endpoint_does_not_hide_it
}

fn status(settings: &EtcdSettings) -> Result<EtcdStatus, ReadError> {
    block_on(async {
        let connection = Connection::open(settings).await.map_err(ReadError::Failed)?;
        etcd_status::read(&connection, 0).await
    })
}

fn forbidden(settings: &EtcdSettings, wanted: &[&str]) {
    let error = read_all(settings, &mut Kept::new()).expect_err("this read must fail");
    assert!(matches!(error, ReadError::Forbidden(_)), "{error:?}");
    let text = refused(Err(error));
    assert!(wanted.iter().all(|part| text.contains(part)), "{wanted:?} are not in {text}");
}

fn a_learner_is_passed_over_and_alone_it_is_named(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 100, 100);
    let learner = etcd.add_learner();
    let mut sink = Kept::new();
    let both = EtcdSettings::new([learner.endpoint(), etcd.endpoint()]);
    assert!(all_complete(&read_all(&both, &mut sink).unwrap()) && sink.world == expected(&etcd));
    let began = Instant::now();
    let text = refusal(&settings(&learner));
    assert!(text.contains("not supported for learner") && text.contains("name a voting member"), "{text}");
    // 3.4 calls itself unavailable, for which one would try again and again.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

fn an_endpoint_that_drops_packets_is_told_as_such_and_passed_over(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 100, 100);
    let dropping = Dropping::new();
    let quick = |endpoints: &[String]| EtcdSettings {
        connect_timeout: Duration::from_secs(1),
        ..EtcdSettings::new(endpoints.iter().cloned())
    };
    for user in [None, Some("calico")] {
        let mut settings = quick(std::slice::from_ref(&dropping.endpoint));
        if let Some(user) = user {
            settings = EtcdSettings { connect_timeout: settings.connect_timeout, ..as_user(&etcd, user, "x") };
            settings.endpoints = vec![dropping.endpoint.clone()];
        }
        let text = refusal(&settings);
        assert!(text.contains("no connection within 1s") && text.contains("firewall drop packets"), "{text}");
        assert!(text.contains(&dropping.endpoint) && !text.contains("deadline"), "{text}");
    }
    let mut sink = Kept::new();
    let read = read_all(&quick(&[dropping.endpoint.clone(), etcd.endpoint()]), &mut sink).unwrap();
    assert!(all_complete(&read) && sink.world == expected(&etcd));
}

/// A proxy's 404 is none of etcd's refusals.
fn what_is_no_etcd_is_told_as_such_and_passed_over(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 100, 100);
    for status in [404, 500] {
        let other = NotEtcd::new(status);
        let text = refusal(&EtcdSettings::new([other.endpoint.clone()]));
        assert!(text.contains("what answers there is no etcd") && text.contains(&other.endpoint), "{text}");
        let mut sink = Kept::new();
        let read = read_all(&EtcdSettings::new([other.endpoint, etcd.endpoint()]), &mut sink).unwrap();
        assert!(all_complete(&read) && sink.world == expected(&etcd));
    }
}

/// A port of another kind: each way of answering has its own hint.
fn what_answers_instead_of_etcds_port_for_clients_is_told_as_such(version: EtcdVersion) {
    let etcd = Etcd::builder(version).tls().start();
    let ca = EtcdSettings { cert: None, key: None, ..with_tls(&etcd) };
    let told = |endpoint: &str, wanted: &[&str]| {
        let text = refusal(&EtcdSettings { endpoints: vec![endpoint.to_owned()], ..ca.clone() });
        assert!(wanted.iter().all(|part| text.contains(part)), "{endpoint}: {wanted:?} are not in {text}");
    };
    // The peers' port, where 3.4 answers clients too, and etcd's own without TLS: what one sees of them is chance.
    match version {
        EtcdVersion::V3_4 => drop(read_all(&EtcdSettings::new([etcd.peer_url()]), &mut Kept::new()).unwrap()),
        EtcdVersion::V3_7 => told(&etcd.peer_url(), &["no etcd", "2380"]),
    }
    told(&etcd.endpoint().replace("https", "http"), &["https://", "--etcd-ca-cert"]);
    let web = Http::start(|_| Answer::Whole {
        code: 400,
        kind: "text/html",
        headers: Vec::new(),
        body: "<html></html>".to_owned(),
    });
    told(&web.url(), &["no etcd"]);
    told(&WebServer::over_tls(&etcd.tls().server).endpoint, &["HTTP/2 was not negotiated", "host and port (2379"]);
    told(&WebServer::closing("http").endpoint, &["hung up", "no etcd"]);
    told(&WebServer::closing("https").endpoint, &["hung up before TLS began", "load balancer"]);
}

#[test]
fn an_api_server_is_told_as_such_and_passed_over() {
    servers::need!(Etcd3_7, ApiServer);
    let server = ApiServer::shared();
    let ca_cert = Some(Source::File(server.ca().to_owned()));
    for user in [None, Some("calico")] {
        let username = user.map(str::to_owned);
        let settings = EtcdSettings {
            ca_cert: ca_cert.clone(),
            password: username.as_ref().map(|_| Source::Inline(Secret::new("x"))),
            username,
            ..EtcdSettings::new([server.url()])
        };
        let text = refusal(&settings);
        assert!(text.contains("the answer is no gRPC, but HTTP with status 40"), "{text}");
        assert!(text.contains("what answers there is no etcd") && !text.contains("flag"), "{text}");
    }
    let etcd = Etcd::start(EtcdVersion::V3_7);
    fill(&etcd, 10, 10);
    let both = EtcdSettings { ca_cert, ..EtcdSettings::new([server.url(), etcd.endpoint()]) };
    let mut sink = Kept::new();
    assert!(all_complete(&read_all(&both, &mut sink).unwrap()) && sink.world == expected(&etcd));
}

fn a_role_without_rights_no_user_a_wrong_password_and_a_dead_login_are_forbidden(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    let nobody = as_user(&etcd, NOBODY.name, NOBODY.password);
    forbidden(&nobody, &["permission denied", "read anything of Calico's", "needs read on the prefix /calico/"]);
    forbidden(&settings(&etcd), &["user name is empty", "--etcd-username"]);
    forbidden(&as_user(&etcd, READER.name, "hunter2"), &["authentication failed", "check --etcd-username"]);
    forbidden(&as_user(&etcd, "stranger", "hunter2"), &["authentication failed", "check --etcd-username"]);
    // A login that is dead when it is given: the ones that are too old are renewed.
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "a key for tests of logins, of 32 bytes or more").unwrap();
    let token = format!("--auth-token=jwt,priv-key={},sign-method=HS256,ttl=1ns", key.display());
    let dead = Etcd::builder(version).auth().flag(token).start();
    forbidden(&as_user(&dead, READER.name, READER.password), &["invalid auth token", "--auth-token"]);
}

/// It passes on the member's words, all under code Unknown.
fn refusals_through_grpc_proxy_are_the_same(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    let (_proxy, endpoint) = etcd.behind_grpc_proxy();
    let through = |settings: EtcdSettings| EtcdSettings { endpoints: vec![endpoint.clone()], ..settings };
    forbidden(&through(as_user(&etcd, NOBODY.name, NOBODY.password)), &["permission denied", "/calico/"]);
    forbidden(&through(settings(&etcd)), &["user name is empty", "--etcd-username"]);
    forbidden(&through(as_user(&etcd, READER.name, "hunter2")), &["authentication failed"]);
    fill(&etcd, 10, 10);
    let reader = through(as_user(&etcd, READER.name, READER.password));
    assert!(all_complete(&read_all(&reader, &mut Kept::new()).unwrap()));
}

fn every_member_says_how_it_is_a_learner_too(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    fill(&etcd, 100, 100);
    let learner = etcd.add_learner();
    let told = status(&EtcdSettings::new([etcd.endpoint(), learner.endpoint()])).unwrap();
    assert!(told.alarms.is_empty(), "{told:?}");
    let endpoints: Vec<&str> = told.members.iter().map(|m| m.endpoint.as_str()).collect();
    assert_eq!(endpoints, [etcd.endpoint(), learner.endpoint()]);
    assert_eq!(told.members.iter().map(|m| m.learner).collect::<Vec<_>>(), [false, true]);
    for member in &told.members {
        assert!(member.db_size > 0 && member.db_size_in_use > 0 && member.raft_index > 0, "{member:?}");
        assert!(member.revision > 1 && member.raft_term > 1 && member.version.starts_with("3."), "{member:?}");
        assert_eq!(member.quota.is_some(), version == EtcdVersion::V3_7, "3.4 does not tell");
    }
    assert_ne!(told.members[0].id, told.members[1].id);
    // A learner alone answers this, and nothing else.
    assert_eq!(status(&settings(&learner)).unwrap().members.len(), 1);
}

fn an_alarm_is_told_with_the_members_name_and_goes_when_it_is_disarmed(version: EtcdVersion) {
    let etcd = Etcd::builder(version).quota(2 << 20).start();
    assert!(status(&settings(&etcd)).unwrap().alarms.is_empty());
    etcd.fill_up();
    let full = status(&settings(&etcd)).unwrap();
    let alarm = |kind: &str| EtcdAlarm {
        kind: kind.to_owned(),
        member: full.members[0].id.clone(),
        name: etcd.member_name().to_owned(),
    };
    assert_eq!(full.alarms, [alarm(EtcdAlarm::NOSPACE)]);
    // Reads go on.
    assert!(all_complete(&read_all(&settings(&etcd), &mut Kept::new()).unwrap()));
    // Disarmed without room it comes back with the next write, as the manual of the check says.
    let mut client = etcd.client();
    servers::block_on(client.alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(of(&full)))).unwrap();
    assert!(status(&settings(&etcd)).unwrap().alarms.is_empty());
    assert!(servers::block_on(client.put("/filler/more", vec![b'x'; 200_000], None)).is_err());
    assert_eq!(status(&settings(&etcd)).unwrap().alarms, full.alarms);
    etcd.declare_corrupt();
    let both = status(&settings(&etcd)).unwrap();
    assert_eq!(both.alarms, [alarm(EtcdAlarm::CORRUPT), alarm(EtcdAlarm::NOSPACE)]);
    assert!(all_complete(&read_all(&settings(&etcd), &mut Kept::new()).unwrap()));
}

fn of(status: &EtcdStatus) -> AlarmOptions {
    let mut options = AlarmOptions::new();
    options.with_member(u64::from_str_radix(&status.members[0].id, 16).unwrap());
    options
}

/// etcd says "permission denied" of a user whom it does not know.
fn a_certificate_of_nobody_is_forbidden_and_the_hint_says_whose_it_must_be(version: EtcdVersion) {
    let etcd = Etcd::builder(version).tls().auth().start();
    forbidden(&with_tls(&etcd), &["permission denied", "client certificate's user is its common name"]);
}

fn the_status_needs_no_right_and_a_dead_endpoint_does_not_hide_it(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    let dead = Dead::new();
    let mut nobody = as_user(&etcd, NOBODY.name, NOBODY.password);
    nobody.endpoints.insert(0, dead.endpoint.clone());
    assert_eq!(status(&nobody).unwrap().members.len(), 1);
    // Without any user 3.4 answers, and 3.7 forbids.
    match (version, status(&settings(&etcd))) {
        (EtcdVersion::V3_4, Ok(told)) => assert_eq!(told.members.len(), 1),
        (EtcdVersion::V3_7, Err(ReadError::Forbidden(error))) => assert!(error.hint.contains("--etcd-username")),
        (_, other) => panic!("{other:?}"),
    }
    let error = status(&EtcdSettings::new([dead.endpoint.clone()])).unwrap_err();
    assert!(matches!(error, ReadError::Failed(_)), "{error:?}");
}
