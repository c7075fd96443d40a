//! Reading Kubernetes from a real API server: rights, pages, ways to prove who one is, the second look.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use ipaudit::connect::kube::{KubeClient, KubeSettings, Surroundings, connect};
use ipaudit::decode::kube::{Remarks, insert};
use ipaudit::decode::kube_item::Kind;
use ipaudit::decode::kube_json;
use ipaudit::model::{Families, Gathering, Input, InputState, KubeNode, Pod, PodFields, Service};
use ipaudit::source::kube::read;
use ipaudit::source::kube_api::{KubeApi, Patience};
use ipaudit::source::kube_look::{Seen, Suspects, get_node, get_pod, look_again};
use ipaudit::source::kube_objects;
use serde_json::{Value, json};
use servers::kube_users::{ADMIN, ALICE, IPAUDIT};
use servers::{ApiServer, Case, block_on, need};

use InputState::{Complete, Forbidden, Unreachable};

const ALL: [&str; 4] = ["namespaces", "nodes", "services", "pods"];

/// The cluster that is loaded, for one test at a time: they change rights and objects.
fn cluster() -> (&'static ApiServer, MutexGuard<'static, ()>) {
    static LOADED: OnceLock<()> = OnceLock::new();
    static ONE: Mutex<()> = Mutex::new(());
    let guard = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let api = ApiServer::shared();
    LOADED.get_or_init(|| {
        api.load_objects(&Case::load("clean-small").moment().cluster);
        api.load_objects(&extras());
    });
    (api, guard)
}

/// What the golden cluster has none of.
fn extras() -> Value {
    let pod = |name: &str, metadata: Value, spec: Value, status: Value| {
        let mut pod =
            json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status });
        pod["metadata"]["name"] = json!(name);
        pod["metadata"]["namespace"] = json!("extras");
        pod["spec"]["containers"] = json!([{ "name": "c", "image": "i" }]);
        pod
    };
    let status = json!([{ "name": "k8s-pod-network", "ips": ["10.65.0.9"], "default": true }, { "ips": ["10.9.0.1"] }]);
    json!({ "items": [
        pod("unscheduled", json!({}), json!({}), json!({ "phase": "Pending" })),
        pod("virt-launcher-vm", json!({
            "labels": { "kubevirt.io": "virt-launcher", "vm.kubevirt.io/name": "vm-1" },
            "annotations": {
                "k8s.v1.cni.cncf.io/network-status": status.to_string(), "quote\"".trim_matches('"'): "é\n",
                "cni.projectcalico.org/podIP": "10.65.0.9/32", "cni.projectcalico.org/podIPs": "10.65.0.9/32,fd00:65::9/128",
            },
        }), json!({ "nodeName": "node-1" }), json!({
            "phase": "Running", "podIP": "10.65.0.9", "podIPs": [{ "ip": "10.65.0.9" }],
        })),
        pod("host", json!({}), json!({ "nodeName": "node-1", "hostNetwork": true }), json!({ "phase": "Running" })),
        { "apiVersion": "v1", "kind": "Node",
          "metadata": { "name": "windows-1", "labels": { "kubernetes.io/os": "windows" } },
          "spec": { "podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24", "fd00:1::/64"] },
          "status": { "nodeInfo": {
              "bootID": "boot-1", "operatingSystem": "windows", "architecture": "", "containerRuntimeVersion": "",
              "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "osImage": "",
              "systemUUID": "" } } },
        { "apiVersion": "v1", "kind": "Service",
          "metadata": { "name": "lb", "namespace": "extras",
              "annotations": { "projectcalico.org/loadBalancerIPs": "[\"10.1.1.1\"]" } },
          "spec": { "type": "LoadBalancer", "loadBalancerClass": "calico", "ports": [{ "port": 80 }] },
          "status": { "loadBalancer": { "ingress": [{ "ip": "10.1.1.1" }] } } },
    ] })
}

fn patience() -> Patience {
    Patience { request: Duration::from_secs(60), first_wait: Duration::from_millis(10), ..Patience::default() }
}

fn client(kubeconfig: PathBuf, context: Option<&str>) -> KubeClient {
    let settings = KubeSettings {
        kubeconfig: Some(kubeconfig),
        context: context.map(str::to_owned),
        timeout: Duration::from_secs(60),
    };
    block_on(connect(&settings, &Surroundings::default())).unwrap().unwrap()
}

fn read_as(kubeconfig: PathBuf, context: Option<&str>, patience: Patience) -> (Gathering, KubeApi) {
    let api = KubeApi::new(client(kubeconfig, context), patience);
    let mut snapshot = Gathering::default();
    let remarks = block_on(read(&api, &mut snapshot));
    assert!(remarks.notes().is_empty(), "{:?}", remarks.notes());
    (snapshot, api)
}

fn states(snapshot: &Gathering) -> [InputState; 4] {
    [Input::Namespaces, Input::KubeNodes, Input::Services, Input::Pods].map(|input| snapshot.coverage.state(input))
}

/// All of it in words, without the numbers of names. `exact`: with UIDs and times.
fn words(snapshot: &Gathering, exact: bool) -> Vec<String> {
    let text = |name| snapshot.text(name);
    let uid = |uid: ipaudit::model::Uid| if exact { uid.text(&snapshot.names) } else { String::new() };
    let pod = |pod: &Pod| {
        let pod = pod.fields();
        let PodFields { phase, host_network, ready, deleting, created, ref addresses, controller, mirror, .. } = pod;
        let times = if exact { format!("{deleting:?} {created:?}") } else { format!("{}", deleting.is_some()) };
        format!(
            "pod {} {} on {} {phase:?} {host_network} {ready} {times} {addresses:?} {:?} {mirror} {} {:?} {:?} {:?} {:?}",
            snapshot.pair(pod.namespace, pod.name),
            uid(pod.uid),
            text(pod.node),
            controller.map(|(kind, name)| (text(kind), text(name))),
            text(pod.vmi),
            pod.no_ipam,
            pod.network_status,
            pod.floating,
            pod.annotated
        )
    };
    let node = |node: &KubeNode| {
        let KubeNode { internal_addresses, ready, windows, created, pod_cidrs, .. } = node;
        let created = created.filter(|_| exact);
        let (name, boot) = (text(node.name), text(node.boot_id));
        format!(
            "node {name} {} {internal_addresses:?} {ready:?} {boot} {windows} {created:?} {pod_cidrs:?}",
            uid(node.uid)
        )
    };
    let service = |service: &Service| {
        let Service { load_balancer, requests_address, ingress, deleting, .. } = service;
        let class = service.class.map(text);
        let name = snapshot.pair(service.namespace, service.name);
        // A server fills in what a file leaves out.
        let families = if exact { service.families.words().collect::<Vec<_>>().join("+") } else { String::new() };
        format!(
            "{name} {} {load_balancer} {class:?} {requests_address} {ingress:?} {deleting:?} {families}",
            uid(service.uid)
        )
    };
    let mut words: Vec<String> = snapshot.pods.iter().map(pod).collect();
    words.extend(snapshot.kube_nodes.iter().map(node));
    words.extend(snapshot.services.iter().map(service));
    words.sort();
    words
}

#[test]
fn with_all_rights_everything_is_read_as_protobuf_and_says_what_json_says() {
    need!(ApiServer);
    let (server, _guard) = cluster();
    server.grant(&ALL);
    let (snapshot, api) = read_as(server.kubeconfig(IPAUDIT), None, patience());
    assert_eq!(states(&snapshot), [Complete; 4]);
    assert_eq!(api.tally.protobuf.load(Ordering::Relaxed), 4);
    assert_eq!(api.tally.json.load(Ordering::Relaxed), 0);
    assert_eq!(snapshot.kube.server, server.url());
    let uid = |path: &str| server.admin_get(path)["metadata"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(snapshot.kube.kube_system_uid, Some(uid("/api/v1/namespaces/kube-system")));
    assert_eq!(snapshot.kube.kubernetes_service_uid, Some(uid("/api/v1/namespaces/default/services/kubernetes")));
    let clocks = snapshot.kube.clocks;
    assert!(clocks.closest().unwrap().apart() < Duration::from_secs(60), "{clocks:?}");
    assert!(clocks.iter().count() > 1, "every answer tells its time");

    let mut from_json = Gathering::default();
    for kind in Kind::ALL {
        let list = server.admin_get(&format!("/api/v1/{}", kind.plural()));
        for item in list["items"].as_array().unwrap() {
            let text = item.to_string();
            insert(&mut from_json, kind, &kube_json::item(&text).unwrap(), &mut Remarks::default());
        }
    }
    assert_eq!(words(&snapshot, true), words(&from_json, true));
    assert_eq!(snapshot.namespaces.len(), from_json.namespaces.len());
    assert!(snapshot.pods.len() > 40 && snapshot.services.len() > 5);
    let single = |service: &&Service| service.families == Families { v4: true, v6: false };
    assert!(snapshot.services.iter().find(single).is_some(), "a server of one family alone");
    // The comparison is worth something: what is rare is there.
    let words = words(&snapshot, false).join("\n");
    for rare in [
        "vm-1",
        "boot-1",
        "[10.9.0.1]",
        "Some(\"calico\") true [10.1.1.1]",
        "Succeeded",
        "Some((\"StatefulSet\"",
        "[10.65.0.9, fd00:65::9]",
        "[10.244.1.0/24, fd00:1::/64]",
    ] {
        assert!(words.contains(rare), "{rare}\n{words}");
    }
}

#[test]
fn files_and_the_api_give_the_same() {
    need!(ApiServer);
    let (server, _guard) = cluster();
    server.grant(&ALL);
    let (from_api, _) = read_as(server.kubeconfig(IPAUDIT), None, patience());
    let folder = tempfile::tempdir().unwrap();
    let extra = folder.path().join("extras.json");
    std::fs::write(&extra, extras().to_string()).unwrap();
    let mut from_files = Gathering::default();
    let files = [Case::load("clean-small").moment().cluster_file.clone(), extra];
    kube_objects::read(&files, &mut from_files).unwrap();
    // The server made its own `default/kubernetes`.
    let rest = |snapshot: &Gathering| {
        let mut words = words(snapshot, false);
        words.retain(|line| !line.starts_with("default/kubernetes "));
        words
    };
    assert_eq!(rest(&from_api), rest(&from_files));
}

#[test]
fn a_right_that_is_missing_costs_its_own_input_only() {
    need!(ApiServer);
    let (server, _guard) = cluster();
    let kubeconfig = server.kubeconfig(IPAUDIT);
    for (i, missing) in ALL.iter().enumerate() {
        let granted: Vec<&str> = ALL.into_iter().filter(|right| right != missing).collect();
        server.grant(&granted);
        let (snapshot, _) = read_as(kubeconfig.clone(), None, patience());
        let mut expected = [Complete; 4];
        expected[i] = Forbidden;
        assert_eq!(states(&snapshot), expected, "{missing}");
        let input = Kind::ALL[i].input();
        let says = format!(
            "{missing} is forbidden: User \"system:serviceaccount:ipaudit:ipaudit\" cannot list resource \"{missing}\""
        );
        assert!(snapshot.coverage.detail(input).raw().contains(&says), "{}", snapshot.coverage.detail(input).raw());
        assert!(snapshot.kube.uid().is_some(), "the other name of the cluster is still there");
    }
}

#[test]
fn small_pages_give_the_same_as_one() {
    need!(ApiServer);
    let (server, _guard) = cluster();
    server.grant(&ALL);
    let (whole, _) = read_as(server.kubeconfig(IPAUDIT), None, patience());
    let (paged, api) = read_as(server.kubeconfig(IPAUDIT), None, Patience { page: 3, ..patience() });
    assert_eq!(states(&paged), [Complete; 4]);
    assert_eq!(words(&paged, true), words(&whole, true));
    let pages = api.tally.protobuf.load(Ordering::Relaxed) as usize;
    assert!(pages > whole.pods.len() / 3, "{pages}");
}

#[test]
fn without_rights_and_without_a_name_everything_is_forbidden() {
    need!(ApiServer);
    let (server, _guard) = cluster();
    for (token, says) in [(ALICE, "User \"alice\" cannot list"), ("no-such-token", "Unauthorized")] {
        let (snapshot, _) = read_as(server.kubeconfig(token), None, patience());
        assert_eq!(states(&snapshot), [Forbidden; 4], "{token}");
        let detail = snapshot.coverage.detail(Input::Pods);
        let detail = detail.raw();
        assert!(detail.contains(says) && !detail.contains("token"), "{detail}");
        assert_eq!(snapshot.kube.uid(), None);
    }
}

/// A kubeconfig with these users, each with a context of its name.
fn kubeconfig_of(server: &ApiServer, users: &[(&str, Value)], folder: &std::path::Path) -> PathBuf {
    let each = |make: &dyn Fn(&str, &Value) -> Value| -> Vec<Value> {
        users.iter().map(|(name, user)| make(name, user)).collect()
    };
    let cluster = json!({ "server": server.url(), "certificate-authority": server.ca() });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": users[0].0,
        "clusters": [{ "name": "test", "cluster": cluster }],
        "users": each(&|name, user| json!({ "name": name, "user": user })),
        "contexts": each(&|name, _| json!({ "name": name, "context": { "cluster": "test", "user": name } })),
    });
    let file = folder.join("config");
    std::fs::write(&file, config.to_string()).unwrap();
    file
}

#[test]
fn a_context_chooses_who_we_are_and_each_way_to_prove_it_works() {
    need!(ApiServer);
    let (server, _guard) = cluster();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), ADMIN).unwrap();
    let identity = &server.tls().client;
    let exec = json!({ "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "interactiveMode": "Never",
        "args": ["-c", format!(
            r#"echo '{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{ADMIN}"}}}}'"#
        )] });
    let users = [
        ("nobody", json!({ "token": "wrong" })),
        ("token", json!({ "token": ADMIN })),
        // Relative to the kubeconfig.
        ("token-file", json!({ "tokenFile": "token" })),
        ("plugin", json!({ "exec": exec })),
        ("certificate", json!({ "client-certificate": identity.cert, "client-key": identity.key })),
    ];
    let file = kubeconfig_of(server, &users, folder.path());
    let (snapshot, _) = read_as(file.clone(), None, patience());
    assert_eq!(states(&snapshot), [Forbidden; 4]);
    for context in ["token", "token-file", "plugin"] {
        let (snapshot, _) = read_as(file.clone(), Some(context), patience());
        assert_eq!(states(&snapshot), [Complete; 4], "{context}");
    }
    let (snapshot, _) = read_as(file, Some("certificate"), patience());
    assert_eq!(states(&snapshot), [Forbidden; 4]);
    let detail = snapshot.coverage.detail(Input::Pods);
    let detail = detail.raw();
    assert!(detail.contains("User \"ipaudit-client\" cannot list"), "{detail}");
}

#[test]
fn a_server_of_another_ca_is_not_spoken_to() {
    need!(ApiServer);
    let (server, _guard) = cluster();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let text = std::fs::read_to_string(server.kubeconfig(ADMIN)).unwrap();
    let ours = server.ca().display().to_string();
    std::fs::write(&file, text.replace(&ours, &server.tls().other_ca.display().to_string())).unwrap();
    let (snapshot, api) = read_as(file, None, patience());
    assert_eq!(states(&snapshot), [Unreachable; 4]);
    let detail = snapshot.coverage.detail(Input::Pods);
    let detail = detail.raw();
    let hint = snapshot.coverage.hint(Input::Pods);
    assert!(detail.contains("UnknownIssuer") && hint.raw().contains("another CA"), "{detail} {hint:?}");
    assert_eq!(api.tally.requests.load(Ordering::Relaxed), 1, "asking again cannot help");
}

#[test]
fn a_second_look_sees_what_is_there_now() {
    need!(ApiServer);
    let (server, _guard) = cluster();
    server.grant(&ALL);
    let make = |name: &str| {
        server.create_pod(&json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "extras" },
            "spec": { "nodeName": "node-1", "containers": [{ "name": "c", "image": "i" }] },
            "status": { "phase": "Running", "podIP": "10.65.9.9", "podIPs": [{ "ip": "10.65.9.9" }] },
        }))
    };
    for name in ["stays", "goes", "comes-back"] {
        make(name);
    }
    let (mut snapshot, api) = read_as(server.kubeconfig(IPAUDIT), None, patience());
    let before = words(&snapshot, true);
    for name in ["goes", "comes-back"] {
        server.admin_delete(&format!("/api/v1/namespaces/extras/pods/{name}"), 0);
    }
    let again = make("comes-back");
    let mut name = |text: &str| snapshot.names.intern(text);
    let extras = name("extras");
    let suspects = Suspects {
        pods: vec![
            (extras, name("stays")),
            (extras, name("goes")),
            (extras, name("comes-back")),
            (name("no-such-namespace"), name("stays")),
        ],
        nodes: vec![name("node-1"), name("no-such-node")],
        services: vec![(extras, name("lb")), (extras, name("no-such-service"))],
    };
    assert_eq!(block_on(look_again(&api, &mut snapshot, &suspects)), []);
    let after = words(&snapshot, true);
    let gone: Vec<&String> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<&String> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(gone.len() == 2 && new.len() == 1, "{gone:?} {new:?}");
    assert!(new[0].contains(again["metadata"]["uid"].as_str().unwrap()));

    let names = &mut snapshot.names;
    block_on(async {
        assert!(matches!(get_pod(&api, names, "extras", "stays").await, Seen::Present(_)));
        assert!(matches!(get_pod(&api, names, "extras", "goes").await, Seen::Absent));
        assert!(matches!(get_node(&api, names, "node-1").await, Seen::Present(_)));
        assert!(matches!(get_node(&api, names, "goes").await, Seen::Absent));
    });
    server.grant(&["nodes"]);
    let refused = block_on(look_again(&api, &mut snapshot, &suspects));
    assert_eq!(refused.len(), 6, "{refused:?}");
    assert_eq!(words(&snapshot, true), after, "what was refused stays as it was");
    for name in ["stays", "comes-back"] {
        server.admin_delete(&format!("/api/v1/namespaces/extras/pods/{name}"), 0);
    }
}

#[test]
fn a_list_that_the_network_cuts_is_asked_for_again() {
    need!(ApiServer);
    let (server, _guard) = cluster();
    let (proxy, url) = server.behind_proxy();
    let api = KubeApi::new(client(server.kubeconfig_at(&url, ADMIN), None), Patience { page: 5, ..patience() });
    proxy.cut_after_next_response();
    let mut snapshot = Gathering::default();
    block_on(read(&api, &mut snapshot));
    assert_eq!(states(&snapshot), [Complete; 4], "{:?}", snapshot.coverage);
    assert!(proxy.connections() > 1, "it was cut");
    proxy.refuse();
    proxy.cut();
    let mut snapshot = Gathering::default();
    block_on(read(&api, &mut snapshot));
    assert_eq!(states(&snapshot), [Unreachable; 4]);
    let detail = snapshot.coverage.detail(Input::Pods);
    let detail = detail.raw();
    assert!(detail.contains(&url) && detail.contains("connection refused"), "{detail}");
}
