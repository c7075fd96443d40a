//! Reading all: pages, waits, deadlines, answers that are none.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use ipaudit::judge::gates::Clocks;
use ipaudit::model::{Gathering, Input, Time};
use ipaudit::source::kube::read;
use ipaudit::source::kube_api::Patience;
use serde_json::json;

use ipaudit::model::InputState::{Complete, Forbidden, Partial, Unreachable};

use super::http1::Answer;
use super::server::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_protobuf_is_read_as_json_page_by_page() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => ok(list("Pod", "a/b+c=", &[pod("a"), pod("b")])),
        "/api/v1/pods?limit=2&continue=a%2Fb%2Bc%3D" => ok(list("Pod", "", &[pod("c")])),
        other => others(other),
    });
    let (snapshot, api) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete; 4], "{:?}", snapshot.coverage);
    assert_eq!(pods(&snapshot), ["a", "b", "c"]);
    assert_eq!(snapshot.kube.kube_system_uid.as_deref(), Some("ns-uid"));
    assert_eq!(snapshot.kube.kubernetes_service_uid.as_deref(), Some("svc-uid"));
    let theirs = snapshot.kube.clocks.last().map(|pair| pair.theirs);
    assert_eq!(theirs, Time::parse_rfc3339("2026-11-24T13:31:53Z"));
    assert_eq!(snapshot.kube.server, fake.url);
    assert_eq!((api.tally.json.load(Ordering::Relaxed), api.tally.protobuf.load(Ordering::Relaxed)), (5, 0));
    assert!(fake.asked().iter().all(|path| !path.contains("resourceVersion")), "{:?}", fake.asked());
}

/// A list of pods takes 63 s by the clocks of both sides: neither is wrong, and held against the end of the reading the
/// first answer's `Date` would say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_tells_its_own_time() {
    static NOW: AtomicI64 = AtomicI64::new(1_795_000_000);
    fn dated(answer: Answer) -> Answer {
        let now = chrono::DateTime::from_timestamp(NOW.load(Ordering::SeqCst), 0).unwrap();
        with_date(answer, &now.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
    }
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => {
            NOW.fetch_add(63, Ordering::SeqCst);
            dated(ok(list("Pod", "", &[pod("a")])))
        }
        other => dated(others(other)),
    });
    let mut api = api(&fake, patience()).await;
    api.clock = || Time(NOW.load(Ordering::SeqCst) * 1_000_000_000);
    let mut snapshot = Gathering::default();
    read(&api, &mut snapshot).await;
    let clocks = snapshot.kube.clocks;
    let seconds: Vec<i64> = clocks.iter().map(|pair| pair.theirs.seconds() - 1_795_000_000).collect();
    assert_eq!(seconds, [0, 63]);
    assert!(clocks.iter().all(|pair| pair.apart().is_zero()), "{clocks:?}");
    let end = (api.clock)();
    assert_eq!(clocks.theirs_at(end), Some(end));
    let asked = Clocks { local: end, last_audit: None, api: clocks.closest(), from_files: false };
    assert_eq!(ipaudit::judge::gates::clock(&asked), Ok(()));
}

/// As behind a proxy that answers the first request itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_answer_without_its_time_is_made_good_by_the_next() {
    let fake = Fake::start(|path, before| match (path, before) {
        ("/api/v1/namespaces?limit=2", _) => with_date(others(path), ""),
        ("/api/v1/pods?limit=2", _) => ok(list("Pod", "", &[pod("a")])),
        (other, _) => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(fake.asked()[0], "/api/v1/namespaces?limit=2");
    assert_eq!(snapshot.kube.clocks.last().map(|p| p.theirs), Time::parse_rfc3339("2026-11-24T13:31:53Z"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_list_is_begun_anew() {
    let fake = Fake::start(|path, before| match (path, before) {
        // The first time another page: what it held must not stay.
        ("/api/v1/pods?limit=2", 0) => ok(list("Pod", "old", &[pod("gone"), pod("a")])),
        ("/api/v1/pods?limit=2", _) => ok(list("Pod", "new", &[pod("a"), pod("b")])),
        ("/api/v1/pods?limit=2&continue=old", _) => {
            status(410, "Expired", "The provided continue parameter is too old")
        }
        ("/api/v1/pods?limit=2&continue=new", _) => ok(list("Pod", "", &[pod("c")])),
        (other, _) => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete; 4]);
    assert_eq!(pods(&snapshot), ["a", "b", "c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_forgotten_again_and_again_is_partial() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => ok(list("Pod", "old", &[pod("a"), pod("b")])),
        "/api/v1/pods?limit=2&continue=old" => status(410, "Expired", "too old"),
        other => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete, Complete, Complete, Partial]);
    assert_eq!(pods(&snapshot), ["a", "b"]);
    assert!(snapshot.coverage.detail(Input::Pods).raw().contains("too old"));
    assert_eq!(fake.asked().iter().filter(|path| *path == "/api/v1/pods?limit=2").count(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests_are_waited_out_as_long_as_the_server_asks() {
    let fake = Fake::start(|path, before| match (path, before) {
        ("/api/v1/nodes?limit=2", 0) => {
            let body = json!({ "kind": "Status", "message": "too many requests", "reason": "TooManyRequests" });
            with_headers(429, vec![("Retry-After", "1".to_owned())], &body)
        }
        ("/api/v1/services?limit=2", 0 | 1) => raw(503, "text/plain", "overloaded"),
        ("/api/v1/pods?limit=2", _) => ok(list("Pod", "", &[])),
        (other, _) => others(other),
    });
    let start = Instant::now();
    let (snapshot, api) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete; 4], "{:?}", snapshot.coverage);
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(api.tally.retries.load(Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_is_never_longer_than_ours_and_tries_are_counted() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => with_headers(429, vec![("Retry-After", "3600".to_owned())], &json!({})),
        other => others(other),
    });
    let patience = Patience { longest_wait: Duration::from_millis(5), attempts: 3, ..patience() };
    let (snapshot, _) = read_all(&fake, patience).await;
    assert_eq!(states(&snapshot), [Complete, Complete, Complete, Unreachable]);
    assert!(
        snapshot.coverage.detail(Input::Pods).raw().contains("429"),
        "{}",
        snapshot.coverage.detail(Input::Pods).raw()
    );
    assert_eq!(fake.asked().iter().filter(|path| path.contains("/pods")).count(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_list_is_kept_and_is_partial() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => ok(list("Pod", "next", &[pod("a"), pod("b")])),
        "/api/v1/pods?limit=2&continue=next" => Answer::Cut,
        other => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete, Complete, Complete, Partial]);
    assert_eq!(pods(&snapshot), ["a", "b"]);
    let detail = snapshot.coverage.detail(Input::Pods);
    let detail = detail.raw();
    assert!(detail.contains("broke off after 1 page:"), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_once_is_no_failure() {
    let fake = Fake::start(|path, before| match (path, before) {
        ("/api/v1/pods?limit=2", 0) => Answer::Cut,
        ("/api/v1/pods?limit=2", _) => ok(list("Pod", "", &[pod("a")])),
        (other, _) => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete; 4]);
    assert_eq!(pods(&snapshot), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_left_in_time_and_the_others_are_not_tried() {
    let fake = Fake::start(|_, _| Answer::Hang);
    let patience = Patience { request: Duration::from_millis(400), ..patience() };
    let (snapshot, _) = read_all(&fake, patience).await;
    assert_eq!(states(&snapshot), [Unreachable; 4]);
    let detail = snapshot.coverage.detail(Input::Pods);
    let detail = detail.raw();
    assert!(detail.contains("did not answer within 400ms"), "{detail}");
    // Twice, in case the connection was at fault.
    assert_eq!(fake.asked(), ["/api/v1/namespaces?limit=2"; 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_reading_has_a_deadline() {
    let fake = Fake::start(|path, before| match path {
        "/api/v1/namespaces?limit=2" => ok(list("Namespace", "", &[])),
        // Pages without end.
        _ => ok(list("Node", "again", &[json!({ "metadata": { "name": format!("node-{before}") } })])),
    });
    let patience = Patience { overall: Duration::from_millis(1500), ..patience() };
    let (snapshot, _) = read_all(&fake, patience).await;
    assert_eq!(states(&snapshot), [Complete, Partial, Unreachable, Unreachable]);
    assert!(snapshot.coverage.detail(Input::KubeNodes).raw().contains("within 1s 500ms"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_unreachable() {
    let fake = Fake::gone();
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Unreachable; 4]);
    let detail = snapshot.coverage.detail(Input::Namespaces);
    let detail = detail.raw();
    assert!(detail.contains("connection refused") && detail.contains(&fake.url), "{detail}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_something_else_is_no_answer() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/nodes?limit=2" => raw(200, "text/html; charset=utf-8", "<html>sign in</html>"),
        "/api/v1/services?limit=2" => ok(list("Pod", "", &[])),
        "/api/v1/pods?limit=2" => raw(200, "application/json", "{\"kind\":\"PodList\""),
        other => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete, Unreachable, Unreachable, Unreachable]);
    assert!(snapshot.coverage.detail(Input::KubeNodes).raw().contains("text/html"));
    assert!(snapshot.coverage.detail(Input::Services).raw().contains("PodList"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_object_that_does_not_decode_makes_the_kind_partial() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => ok(list("Pod", "", &[pod("a"), json!({ "status": { "phase": 5 } })])),
        other => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Complete, Complete, Complete, Partial]);
    assert_eq!(pods(&snapshot), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_uid_is_asked_for_where_the_list_is_forbidden() {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/namespaces/kube-system" => {
            let metadata = json!({ "name": "kube-system", "uid": "ns-uid" });
            ok(json!({ "kind": "Namespace", "apiVersion": "v1", "metadata": metadata }))
        }
        path if path.starts_with("/api/v1/namespaces") => status(403, "Forbidden", "namespaces is forbidden"),
        path if path.contains("/services") => status(403, "Forbidden", "services is forbidden"),
        "/api/v1/pods?limit=2" => ok(list("Pod", "", &[])),
        other => others(other),
    });
    let (snapshot, _) = read_all(&fake, patience()).await;
    assert_eq!(states(&snapshot), [Forbidden, Complete, Forbidden, Complete]);
    assert_eq!(snapshot.kube.uid(), Some("ns-uid"));
    assert!(snapshot.namespaces.is_empty());
    assert_eq!(snapshot.coverage.detail(Input::Services), "services is forbidden");
}
