//! Looking again at single objects, or at one more list.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ipaudit::decode::kube_item::Kind;
use ipaudit::model::Gathering;
use ipaudit::source::kube::relist;
use ipaudit::source::kube_api::Patience;
use ipaudit::source::kube_look::{Seen, Suspects, get_pod, look_again};
use serde_json::json;

use super::http1::Answer;
use super::server::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_404_about_the_object_itself_is_absence() {
    let fake = Fake::start(|path, _| {
        let details = |kind: &str, name: &str| json!({ "kind": kind, "name": name });
        match path.rsplit('/').next().unwrap() {
            "absent" => status_with(404, "NotFound", "pods \"absent\" not found", details("pods", "absent")),
            "namespace" => status_with(404, "NotFound", "namespaces \"n\" not found", details("namespaces", "n")),
            "path" => status(404, "NotFound", "the server could not find the requested resource"),
            "proxy" => raw(404, "text/html", "<html>no such site</html>"),
            "other" => ok(json!({ "kind": "Pod", "metadata": { "namespace": "n", "name": "a" } })),
            "list" => ok(list("Pod", "", &[])),
            "odd" => {
                let mut odd = pod("odd");
                odd["kind"] = json!("Pod");
                odd["status"]["podIP"] = json!("300.1.2.3");
                ok(odd)
            }
            "forbidden" => status(403, "Forbidden", "pods is forbidden"),
            name => {
                let mut pod = pod(name);
                pod["kind"] = json!("Pod");
                ok(pod)
            }
        }
    });
    let api = api(&fake, patience()).await;
    let mut snapshot = Gathering::default();
    let names = &mut snapshot.names;
    assert!(matches!(get_pod(&api, names, "n", "a").await, Seen::Present(_)));
    assert!(matches!(get_pod(&api, names, "n", "absent").await, Seen::Absent));
    for name in ["namespace", "path", "proxy", "other", "list", "odd", "forbidden"] {
        let seen = get_pod(&api, names, "n", name).await;
        assert!(matches!(&seen, Seen::Unknown(reason) if !reason.is_empty()), "{name}: {seen:?}");
    }
}

/// A snapshot with these pods, and a server on which `a` has a new UID, `b` is gone and `c` is forbidden.
fn three_pods() -> (Fake, Gathering, Suspects) {
    let fake = Fake::start(|path, _| match path {
        "/api/v1/namespaces/n/pods/a" => {
            let mut pod = pod("a");
            pod["kind"] = json!("Pod");
            pod["metadata"]["uid"] = json!("new");
            ok(pod)
        }
        "/api/v1/namespaces/n/pods/b" => status_with(404, "NotFound", "gone", json!({ "kind": "pods", "name": "b" })),
        "/api/v1/namespaces/n/pods/c" => status(403, "Forbidden", "pods is forbidden"),
        "/api/v1/nodes/node-1" => status_with(404, "NotFound", "gone", json!({ "kind": "nodes", "name": "node-1" })),
        "/api/v1/pods?limit=2" => ok(list("Pod", "", &[pod("d")])),
        other => panic!("{other}"),
    });
    let mut snapshot = Gathering::default();
    let mut remarks = Default::default();
    for name in ["a", "b", "c"] {
        let text = pod(name).to_string();
        let item = ipaudit::decode::kube_json::item(&text).unwrap();
        ipaudit::decode::kube::insert(&mut snapshot, Kind::Pod, &item, &mut remarks);
    }
    let node = json!({ "metadata": { "name": "node-1" } }).to_string();
    let node = ipaudit::decode::kube_json::item(&node).unwrap();
    ipaudit::decode::kube::insert(&mut snapshot, Kind::Node, &node, &mut remarks);
    let suspects = Suspects {
        pods: snapshot.pods.iter().map(|pod| (pod.namespace, pod.name)).collect(),
        nodes: snapshot.kube_nodes.iter().map(|node| node.name).collect(),
        services: Vec::new(),
    };
    (fake, snapshot, suspects)
}

fn uids(snapshot: &Gathering) -> Vec<String> {
    let snapshot = snapshot.clone().sorted();
    snapshot.pods.iter().map(|pod| pod.uid.text(&snapshot.names)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_look_replaces_what_it_saw_and_names_what_it_did_not() {
    let (fake, mut snapshot, suspects) = three_pods();
    let api = api(&fake, patience()).await;
    let unlooked = look_again(&api, &mut snapshot, &suspects).await;
    assert_eq!(pods(&snapshot), ["a", "c"]);
    assert_eq!(uids(&snapshot), ["new", "uid-c"]);
    assert!(snapshot.kube_nodes.is_empty());
    assert_eq!(unlooked.len(), 1);
    assert_eq!((unlooked[0].kind, unlooked[0].reason.as_str()), (Kind::Pod, "pods is forbidden"));
    assert_eq!(snapshot.pair(unlooked[0].namespace, unlooked[0].name), "n/c");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_suspects_are_one_list() {
    let (fake, mut snapshot, suspects) = three_pods();
    let api = api(&fake, Patience { single_looks: 2, ..patience() }).await;
    assert!(look_again(&api, &mut snapshot, &suspects).await.is_empty());
    assert_eq!(pods(&snapshot), ["d"]);
    assert_eq!(fake.asked(), ["/api/v1/nodes/node-1", "/api/v1/pods?limit=2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_fails_leaves_the_snapshot_as_it_was() {
    let (_, mut snapshot, suspects) = three_pods();
    let fake = Fake::start(|path, _| match path {
        "/api/v1/pods?limit=2" => ok(list("Pod", "next", &[pod("d")])),
        path if path.contains("/pods") => status(403, "Forbidden", "no longer"),
        path => status(403, "Forbidden", path),
    });
    let api = api(&fake, Patience { single_looks: 2, ..patience() }).await;
    assert!(relist(&api, Kind::Pod, api.deadline(), &mut snapshot).await.is_err());
    assert_eq!(look_again(&api, &mut snapshot, &suspects).await.len(), 4);
    assert_eq!(pods(&snapshot), ["a", "b", "c"]);
    assert_eq!(snapshot.kube_nodes.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nobody_answers_the_rest_is_not_asked() {
    let (_, mut snapshot, mut suspects) = three_pods();
    suspects.nodes.clear();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let fake = Fake::start(move |_, _| {
        counted.fetch_add(1, Ordering::Relaxed);
        Answer::Hang
    });
    let patience = Patience { in_flight: 1, request: Duration::from_millis(300), ..patience() };
    let api = api(&fake, patience).await;
    let unlooked = look_again(&api, &mut snapshot, &suspects).await;
    assert_eq!(unlooked.len(), 3);
    assert_eq!(pods(&snapshot), ["a", "b", "c"]);
    assert_eq!(count.load(Ordering::Relaxed), 2);
}
