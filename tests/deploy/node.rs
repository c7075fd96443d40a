//! The pods that look at their nodes: what `deploy/kustomize/node` installs, and what Pod Security says of it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::servers::command::ipaudit;
use super::servers::{self, ApiServer};
use super::{dry_run, of_kind, rendered, repository};

fn objects() -> Vec<Value> {
    rendered(&repository("deploy/kustomize/node"))
}

fn pod_of(daemonset: &Value, namespace: &str) -> Value {
    let template = &daemonset["spec"]["template"];
    let mut spec = template["spec"].clone();
    // As the DaemonSet's controller places it.
    spec["nodeName"] = json!("worker-1");
    // Nobody makes its account there, and who posts a pod names one that exists.
    spec.as_object_mut().unwrap().remove("serviceAccountName");
    json!({ "apiVersion": "v1", "kind": "Pod", "spec": spec,
        "metadata": { "name": "node", "namespace": namespace, "labels": template["metadata"]["labels"] } })
}

#[test]
fn it_has_the_node_in_view_and_nothing_in_hand() {
    servers::need!(Kubectl);
    let objects = objects();
    let daemonset = of_kind(&objects, "DaemonSet");
    let spec = &daemonset["spec"]["template"]["spec"];
    assert_eq!((&spec["hostNetwork"], &spec["hostPID"]), (&json!(true), &json!(true)));
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert!(spec["volumes"].is_null() && spec["initContainers"].is_null(), "no volume");
    assert!(spec["securityContext"]["runAsUser"].as_u64().unwrap() > 0);
    assert_eq!(spec["tolerations"], json!([{ "operator": "Exists" }]));
    let [container] = spec["containers"].as_array().unwrap().as_slice() else { panic!("one container") };
    assert!(container["ports"].is_null() && container["envFrom"].is_null(), "no port, no certificate");
    let context = &container["securityContext"];
    let is = (&context["capabilities"], &context["readOnlyRootFilesystem"], &context["allowPrivilegeEscalation"]);
    assert_eq!(is, (&json!({ "drop": ["ALL"] }), &json!(true), &json!(false)));
    // The audit may read these logs, and nobody else's.
    let role = of_kind(&objects, "Role");
    assert_eq!(role["rules"], json!([{ "apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"] }]));
    let subject = json!([{ "kind": "ServiceAccount", "name": "ipaudit", "namespace": "ipaudit" }]);
    assert_eq!(of_kind(&objects, "RoleBinding")["subjects"], subject);
    // What the manual tells to give the audit is what the pods are called by.
    let place = "pods:ipaudit-node/app.kubernetes.io/component=node";
    assert!(super::text("docs/node.md").contains(place));
    let metadata = &daemonset["spec"]["template"]["metadata"];
    assert_eq!(metadata["labels"]["app.kubernetes.io/component"], "node");
    assert_eq!(daemonset["metadata"]["namespace"], "ipaudit-node");
}

/// The container's own command line, on this machine: a line of the log is a capture, and SIGTERM ends it.
#[test]
fn what_its_container_prints_is_a_capture_of_its_node() {
    servers::need!(Kubectl);
    let objects = objects();
    let container = &of_kind(&objects, "DaemonSet")["spec"]["template"]["spec"]["containers"][0];
    let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
    assert_eq!(container["env"][0]["name"], "NODENAME");
    let mut command = ipaudit();
    command.args(args).env("NODENAME", "worker-1").env("IPAUDIT_TWICE", "0").stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let captures = ipaudit::source::node_line::last(line.as_bytes()).unwrap();
    let captures = captures.unwrap_or_else(|bad| panic!("{bad:?}"));
    assert_eq!(captures[0].node, *"worker-1");
    assert!(
        captures[0].unread().all(|why| !why.raw().starts_with("links ")),
        "the node's own links are read by anybody"
    );
    let stopped = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(stopped.success() && child.wait().unwrap().success());
}

/// The API server takes a DaemonSet whose pods it would refuse: that these are taken, only a pod shows.
#[test]
fn pod_security_takes_its_pods_as_privileged_and_not_below() {
    servers::need!(Etcd3_7, ApiServer, Kubectl);
    let api = ApiServer::start();
    let objects = objects();
    let namespace = of_kind(&objects, "Namespace");
    api.admin_post("/api/v1/namespaces", namespace);
    for object in objects.iter().filter(|o| o["kind"] != "Namespace") {
        let (status, answer) = dry_run(&api, object);
        assert_eq!(status, 201, "{object}\n{answer}");
    }
    let daemonset = of_kind(&objects, "DaemonSet");
    let (status, answer) = dry_run(&api, &pod_of(daemonset, "ipaudit-node"));
    assert_eq!(status, 201, "{answer}");
    for level in ["baseline", "restricted"] {
        let mut stricter = namespace.clone();
        stricter["metadata"] = json!({ "name": level, "labels": { "pod-security.kubernetes.io/enforce": level } });
        api.admin_post("/api/v1/namespaces", &stricter);
        let mut there = daemonset.clone();
        there["metadata"]["namespace"] = json!(level);
        assert_eq!(dry_run(&api, &there).0, 201, "the DaemonSet is taken");
        let (status, answer) = dry_run(&api, &pod_of(daemonset, level));
        assert_eq!(status, 403, "{level}: {answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("hostNetwork=true") && message.contains("hostPID=true"), "{level}: {message}");
        // And for nothing else: what the node's network and processes do not ask for is as in the audit's pod.
        let others =
            ["allowPrivilegeEscalation", "capabilities", "runAsNonRoot", "seccompProfile", "hostPath", "hostPort"];
        assert!(others.iter().all(|other| !message.contains(other)), "{level}: {message}");
    }
}
