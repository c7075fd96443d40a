//! Puts the objects of a golden case into an [`ApiServer`].
//!
//! What `kubectl get -o json` prints cannot be posted as it is: the server sets
//! uid, resourceVersion and times itself, a status is a second request, and a
//! deletion time only comes from a DELETE. So uids differ from the file's;
//! [`Loaded`] translates. Ages are lost: everything was created just now.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::kube::ApiServer;
use super::kube_users::ADMIN;

/// Fields of `metadata` that are the server's.
const SERVER_SET: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
];
/// Keeps a pod that would vanish at its DELETE.
const HOLD: &str = "ipaudit.test/hold";
const CLIENTS: usize = 8;

/// What [`ApiServer::load_objects`] did.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The file's uid to the server's.
    pub uids: HashMap<String, String>,
    /// `namespace/name: why` of statuses that the server took for invalid; the
    /// object exists without its status then.
    pub refused: Vec<String>,
}

impl ApiServer {
    /// Loads a `List` of pods, nodes and services, their namespaces first, with
    /// eight clients at once. `default/kubernetes` is the server's own. Panics
    /// when the server refuses anything.
    pub fn load_objects(&self, list: &Value) -> Loaded {
        let loaded = self.load_acceptable_objects(list);
        assert!(loaded.refused.is_empty(), "{:#?}", loaded.refused);
        loaded
    }

    /// The same for damaged worlds, some of which no API server of today would
    /// store (a pod with two addresses of one family): see [`Loaded::refused`].
    pub fn load_acceptable_objects(&self, list: &Value) -> Loaded {
        let items = list["items"].as_array().expect("a List");
        let namespaces: BTreeSet<&str> =
            items.iter().filter_map(|item| item["metadata"]["namespace"].as_str()).collect();
        for namespace in namespaces {
            self.ensure_namespace(namespace);
        }
        let loaded = Mutex::new(Loaded::default());
        in_parallel(items, |item| {
            let (made, refusal) = self.load_object(item);
            let uid = |object: &Value| object["metadata"]["uid"].as_str().map(str::to_owned);
            let mut loaded = loaded.lock().unwrap();
            if let (Some(old), Some(new)) = (uid(item), uid(&made)) {
                loaded.uids.insert(old, new);
            }
            let namespace = item["metadata"]["namespace"].as_str().unwrap_or_default();
            let refused = refusal.map(|why| format!("{namespace}/{}: {why}", name(item)));
            loaded.refused.extend(refused);
        });
        loaded.into_inner().unwrap()
    }

    /// Creates the pod as `kubectl` printed it, status included; a pod with a
    /// deletion time stays terminating. Its namespace must exist.
    pub fn create_pod(&self, pod: &Value) -> Value {
        let (made, refusal) = self.create(pod);
        assert_eq!(refusal, None, "{pod}");
        made
    }

    /// Creates the object, then deletes it if it is terminating, then sets its
    /// status: a pod that is Failed or Succeeded would be given no grace.
    fn create(&self, object: &Value) -> (Value, Option<String>) {
        let collection = collection(object);
        let path = format!("{collection}/{}", name(object));
        let mut new = postable(object);
        let metadata = &object["metadata"];
        let terminating = !metadata["deletionTimestamp"].is_null();
        let grace = metadata["deletionGracePeriodSeconds"].as_u64();
        let grace = u32::try_from(grace.unwrap_or(30)).expect("a grace period");
        let graceful = object["spec"]["nodeName"].is_string() && grace > 0;
        if terminating && !graceful {
            new["metadata"]["finalizers"] = json!([HOLD]);
        }
        let made = self.admin_post(&collection, &new);
        if terminating {
            self.admin_delete(&path, grace);
        }
        if object["status"].as_object().is_none_or(|s| s.is_empty()) {
            return (made, None);
        }
        let status = json!({ "status": object["status"] });
        match self.request(ADMIN, "PATCH", &format!("{path}/status"), &status) {
            (200, changed) => (changed, None),
            (422, why) => (made, Some(why["message"].to_string())),
            (code, why) => panic!("{path}/status: {code} {why}\n{status}"),
        }
    }

    /// Unless it exists.
    pub fn ensure_namespace(&self, namespace: &str) {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace },
        });
        let (status, answer) = self.request(ADMIN, "POST", "/api/v1/namespaces", &object);
        assert!(matches!(status, 201 | 409), "{namespace}: {status} {answer}");
    }

    /// Removes all pods, nodes and services but `default/kubernetes`. The
    /// namespaces stay: finishing them is a controller's work.
    pub fn clear_objects(&self) {
        let mut items = Vec::new();
        for (kind, plural) in [("Pod", "pods"), ("Service", "services"), ("Node", "nodes")] {
            let list = self.admin_get(&format!("/api/v1/{plural}"));
            for mut item in list["items"].as_array().cloned().unwrap_or_default() {
                // The items of a list do not say their kind.
                item["kind"] = json!(kind);
                items.push(item);
            }
        }
        items.retain(|item| !is_the_servers(item));
        in_parallel(&items, |item| {
            let path = format!("{}/{}", collection(item), name(item));
            if item["metadata"]["finalizers"].is_array() {
                self.admin("PATCH", &path, &json!({ "metadata": { "finalizers": null } }));
            }
            let options = json!({ "gracePeriodSeconds": 0 });
            let (status, answer) = self.request(ADMIN, "DELETE", &path, &options);
            // A terminating pod goes when its finalizer does.
            assert!(status < 300 || status == 404, "{path}: {status} {answer}");
        });
    }

    fn load_object(&self, item: &Value) -> (Value, Option<String>) {
        match is_the_servers(item) {
            true => {
                let path = format!("{}/{}", collection(item), name(item));
                (self.admin_get(&path), None)
            }
            false => self.create(item),
        }
    }
}

fn is_the_servers(item: &Value) -> bool {
    item["kind"] == "Service" && item["metadata"]["namespace"] == "default" && name(item) == "kubernetes"
}

/// The URL of all objects of its kind (and namespace).
fn collection(item: &Value) -> String {
    let kind = item["kind"].as_str().expect("a kind").to_lowercase();
    match item["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/{kind}s"),
        None => format!("/api/v1/{kind}s"),
    }
}

fn name(item: &Value) -> &str {
    item["metadata"]["name"].as_str().expect("a name")
}

fn postable(item: &Value) -> Value {
    let mut object = item.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.retain(|field, _| !SERVER_SET.contains(&field.as_str()));
    }
    if object["kind"] == "Service" && object["spec"]["type"] == "ClusterIP" {
        forget_former_type(&mut object["spec"]);
    }
    object
}

/// The server clears these when a Service stops being a LoadBalancer, and
/// refuses to create one that has them.
fn forget_former_type(spec: &mut Value) {
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("allocateLoadBalancerNodePorts");
        fields.remove("externalTrafficPolicy");
    }
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        port.as_object_mut().map(|fields| fields.remove("nodePort"));
    }
}

fn in_parallel(items: &[Value], work: impl Fn(&Value) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS.min(items.len()) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}
