//! Every command of kubectl that is printed, carried out by kubectl on a real API server that has the case's objects.
//!
//! There is no kubelet: what is deleted is finished here, as one would; logs come from [`Kubelet`], and what a container
//! is to run is held against what reaches it. A form of command that no case prints is a failure, and so is one that this
//! file does not know.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::desk::{Desk, told};
use super::servers::golden::Moment;
use super::servers::kube_users::ADMIN;
use super::servers::kubelet::Kubelet;
use super::servers::{ApiServer, Etcd};

/// Of one form so many are carried out in each moment.
const ALIKE: usize = 2;

/// The forms there are where Kubernetes is read from files: a command's words with names left out.
const FORMS: [&str; 13] = [
    "get nodes --ignore-not-found #",
    "get node -o wide #",
    "get pods --all-namespaces -l k8s-app=calico-kube-controllers",
    "delete pods --all-namespaces -l k8s-app=calico-node --field-selector #",
    "debug # -it --image=busybox -- date -u",
    "-n kube-system logs deployment/calico-kube-controllers --tail=100",
    "-n kube-system get configmap calico-config -o yaml",
    "-n # get pod -o wide #",
    "-n # exec # -- ip addr",
    "-n # delete pod #",
    "-n # delete pod # #",
    "-C; kubectl -n # get pod # -o yaml > # && kubectl -n # delete pod #",
    "-C; kubectl -n # get pod # -o yaml > # && ! grep '^  ephemeralContainers:' # && kubectl -n # delete pod # && kubectl \
     create -f #",
];

/// The number of a line's form; `None`: it is new.
fn form(words: &[&str]) -> Option<usize> {
    let fits = |form: &&str| {
        let form: Vec<&str> = form.split(' ').collect();
        // Several names: two or more.
        let many = form.ends_with(&["#", "#"]) && words.len() > form.len();
        let words = if many { &words[..form.len()] } else { words };
        form.len() == words.len() && form.iter().zip(words).all(|(form, word)| *form == "#" || form == word)
    };
    FORMS.iter().position(fits)
}

pub struct Cluster {
    api: ApiServer,
    kubelet: Kubelet,
    kubeconfig: PathBuf,
    /// How often each form was carried out.
    met: Mutex<HashMap<usize, usize>>,
}

impl Cluster {
    pub fn start() -> Cluster {
        let api = ApiServer::start();
        let (kubelet, kubeconfig) =
            (Kubelet::start(api.tls(), |_| Some("a line of a log\n".to_owned())), api.kubeconfig(ADMIN));
        Cluster { api, kubelet, kubeconfig, met: Mutex::default() }
    }

    /// What went wrong with these commands of a moment.
    pub fn failures(&self, name: &str, moment: &Moment, etcd: &Etcd, lines: &[String]) -> Vec<String> {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        let mut failures = Vec::new();
        let mut chosen = Vec::new();
        for line in lines {
            let words: Vec<&str> = line.split(' ').skip(1).collect();
            let Some(form) = form(&words) else {
                failures.push(format!("{name}: {line}\n    a form that nobody knows"));
                continue;
            };
            let count = counts.entry(form).or_default();
            *count += 1;
            if *count <= ALIKE {
                chosen.push((form, line, words));
            }
        }
        if chosen.is_empty() {
            return failures;
        }
        self.load(&moment.cluster);
        let desk = Desk::new(etcd);
        desk.knows(moment);
        for (form, line, words) in chosen {
            *self.met.lock().unwrap().entry(form).or_default() += 1;
            if let Err(why) = self.carry_out(&desk, moment, line, &words) {
                failures.push(format!("{name}: {line}\n    {why}"));
            }
        }
        self.api.clear_objects();
        failures
    }

    /// The forms that no case has printed.
    pub fn unmet(&self) -> Vec<&'static str> {
        let met = self.met.lock().unwrap();
        FORMS.iter().enumerate().filter(|(number, _)| !met.contains_key(number)).map(|(_, form)| *form).collect()
    }

    /// The case's objects, and what every cluster with Calico has beside them. All kubelets are ours.
    fn load(&self, list: &Value) {
        self.api.load_acceptable_objects(list);
        self.api.ensure_namespace("kube-system");
        for node in self.items("nodes") {
            let name = node["metadata"]["name"].as_str().unwrap();
            let status = json!({
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": self.kubelet.port}},
            });
            self.api.admin_patch_status(&format!("/api/v1/nodes/{name}"), &status);
        }
        let (app, map) = ("calico-kube-controllers", "calico-config");
        let of_app = json!({"k8s-app": app});
        let containers = json!([{"name": "c", "image": "i"}]);
        let template = json!({"metadata": {"labels": of_app}, "spec": {"containers": containers}});
        let metadata = |name: &str| json!({"namespace": "kube-system", "name": name, "labels": of_app});
        self.put(
            "/apis/apps/v1",
            "deployments",
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(app),
                "spec": {"selector": {"matchLabels": of_app}, "template": template},
            }),
        );
        self.put(
            "/api/v1",
            "configmaps",
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(map), "data": {"calico_backend": "bird"},
            }),
        );
        let node = self.items("nodes").first().map(|node| node["metadata"]["name"].clone());
        self.api.load_acceptable_objects(&json!({"items": [{
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata(&format!("{app}-0")),
            "spec": {"nodeName": node, "hostNetwork": true, "containers": containers},
            "status": {"phase": "Running"},
        }]}));
        // One of calico-node on each node.
        let agents = self.items("nodes").into_iter().enumerate().map(|(number, node)| {
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "namespace": "kube-system", "name": format!("calico-node-agent-{number}"),
                    "labels": {"k8s-app": "calico-node"},
                },
                "spec": {"nodeName": node["metadata"]["name"], "hostNetwork": true, "containers": containers},
                "status": {"phase": "Running"},
            })
        });
        self.api.load_acceptable_objects(&json!({"items": agents.collect::<Vec<_>>()}));
    }

    /// Unless it is there from an earlier case.
    fn put(&self, group: &str, plural: &str, object: Value) {
        let path = format!("{group}/namespaces/kube-system/{plural}");
        let (status, answer) = self.api.request(ADMIN, "POST", &path, &object);
        assert!(matches!(status, 201 | 409), "{path}: {status} {answer}");
    }

    fn items(&self, plural: &str) -> Vec<Value> {
        self.api.admin_get(&format!("/api/v1/{plural}"))["items"].as_array().unwrap().clone()
    }

    /// All pods by namespace and name.
    fn pods(&self) -> BTreeMap<(String, String), Value> {
        let key = |pod: &Value| {
            let part = |field: &str| pod["metadata"][field].as_str().unwrap().to_owned();
            (part("namespace"), part("name"))
        };
        self.items("pods").into_iter().map(|pod| (key(&pod), pod)).collect()
    }

    fn carry_out(&self, desk: &Desk, moment: &Moment, line: &str, words: &[&str]) -> Result<(), String> {
        self.kubelet.asked();
        let run = || desk.kubectl(moment, &self.kubeconfig, line);
        let ok = |output: Output| if output.status.success() { Ok(output) } else { Err(told(&output)) };
        match words {
            ["-n", namespace, "delete", "pod", names @ ..] => {
                let named = names.iter().map(|name| ((*namespace).to_owned(), (*name).to_owned())).collect();
                self.deletes(&named, run)
            }
            ["-C;", "kubectl", "-n", namespace, "get", "pod", name, ..] => {
                let key = ((*namespace).to_owned(), (*name).to_owned());
                match words.contains(&"create") {
                    true => self.makes_anew(&key, run),
                    false => self.deletes(&BTreeSet::from([key]), run),
                }
            }
            ["delete", "pods", .., selector] => {
                let node = selector.strip_prefix("spec.nodeName=").ok_or("another selector")?;
                let on = |pod: &Value| {
                    pod["spec"]["nodeName"] == node && pod["metadata"]["labels"]["k8s-app"] == "calico-node"
                };
                let named = self.pods().into_iter().filter(|(_, pod)| on(pod)).map(|(key, _)| key).collect();
                self.deletes(&named, run)
            }
            // The kubelet is asked to run exactly this, and runs nothing.
            ["-n", namespace, "exec", name, ..] => {
                let output = run();
                let asked = self.kubelet.asked();
                let wanted = format!("/exec/{namespace}/{name}/");
                let is_it = |path: &String| path.starts_with(&wanted) && path.contains("command=ip&command=addr");
                if asked.iter().any(is_it) { Ok(()) } else { Err(format!("{asked:?}: {}", told(&output))) }
            }
            ["debug", node, ..] => self.debugs(node.strip_prefix("node/").unwrap_or(node), run),
            [.., "logs", _, _] => {
                let said = ok(run())?.stdout;
                let asked = self.kubelet.asked();
                let is_it =
                    |path: &String| path.starts_with("/containerLogs/kube-system/") && path.contains("tailLines=100");
                match said == b"a line of a log\n" && asked.iter().any(is_it) {
                    true => Ok(()),
                    false => Err(format!("{asked:?}: {}", String::from_utf8_lossy(&said))),
                }
            }
            ["config", ..] => (ok(run())?.stdout == b"test\n").then_some(()).ok_or("another context".to_owned()),
            // What is there is shown by its name.
            ["-n", _, "get", "pod", .., name] | ["get", "node", .., name] => {
                let said = String::from_utf8_lossy(&ok(run())?.stdout).into_owned();
                if said.contains(name) { Ok(()) } else { Err(format!("it does not show {name}: {said}")) }
            }
            _ => ok(run()).map(|_| ()),
        }
    }

    /// What is gone afterwards is what was named, and nothing else. Then it is put back.
    fn deletes(&self, named: &BTreeSet<(String, String)>, run: impl FnOnce() -> Output) -> Result<(), String> {
        let before = self.pods();
        if named.is_empty() || named.iter().any(|key| !before.contains_key(key)) {
            return Err(format!("{named:?} are not there"));
        }
        let output = self.beside_a_kubelet(&before, named, run);
        let after = self.pods();
        let gone: BTreeSet<_> = before.keys().filter(|key| !after.contains_key(*key)).cloned().collect();
        let lost: Vec<Value> = gone
            .iter()
            .map(|key| {
                let mut pod = before[key].clone();
                (pod["apiVersion"], pod["kind"]) = (json!("v1"), json!("Pod"));
                pod
            })
            .collect();
        self.api.load_acceptable_objects(&json!({ "items": lost }));
        match output.status.success() && gone == *named {
            true => Ok(()),
            false => Err(format!("gone are {gone:?}: {}", told(&output))),
        }
    }

    /// Afterwards another pod of that name is there, as it was made and with no status yet. Then the old one is put back.
    fn makes_anew(&self, key: &(String, String), run: impl FnOnce() -> Output) -> Result<(), String> {
        let before = self.pods();
        let output = self.beside_a_kubelet(&before, &BTreeSet::from([key.clone()]), run);
        let after = self.pods();
        let (Some(old), Some(new)) = (before.get(key), after.get(key)) else {
            return Err(format!("{key:?} is not there: {}", told(&output)));
        };
        self.finish(key);
        let mut pod = old.clone();
        (pod["apiVersion"], pod["kind"]) = (json!("v1"), json!("Pod"));
        self.api.load_acceptable_objects(&json!({ "items": [pod] }));
        let is_it = old["metadata"]["uid"] != new["metadata"]["uid"]
            && old["metadata"]["labels"] == new["metadata"]["labels"]
            && old["spec"]["nodeName"] == new["spec"]["nodeName"]
            && old["spec"]["containers"] == new["spec"]["containers"]
            && new["status"]["phase"] == "Pending"
            && before.len() == after.len();
        match output.status.success() && is_it {
            true => Ok(()),
            false => Err(format!("{new}: {}", told(&output))),
        }
    }

    /// While it runs, pods that are being deleted end, as a kubelet ends them; those that hung before hang on, unless
    /// they are meant.
    fn beside_a_kubelet(
        &self,
        before: &BTreeMap<(String, String), Value>,
        named: &BTreeSet<(String, String)>,
        run: impl FnOnce() -> Output,
    ) -> Output {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    for (key, pod) in self.pods() {
                        let hung = before.get(&key).is_some_and(|pod| !pod["metadata"]["deletionTimestamp"].is_null());
                        if !pod["metadata"]["deletionTimestamp"].is_null() && (!hung || named.contains(&key)) {
                            self.finish(&key);
                        }
                    }
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
            });
            let output = run();
            is_over.store(true, Ordering::SeqCst);
            output
        })
    }

    fn finish(&self, (namespace, name): &(String, String)) {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        self.api.request(ADMIN, "PATCH", &path, &json!({ "metadata": { "finalizers": null } }));
        self.api.request(ADMIN, "DELETE", &path, &json!({ "gracePeriodSeconds": 0 }));
    }

    /// The pod that looks at the node's clock is made for that node and that command, and its end is waited for.
    fn debugs(&self, node: &str, run: impl FnOnce() -> Output) -> Result<(), String> {
        let before = self.pods();
        let is_over = AtomicBool::new(false);
        let (made, output) = std::thread::scope(|scope| {
            let kubelet = scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let made = self.pods().into_iter().find(|(key, _)| !before.contains_key(key));
                    if let Some(((namespace, name), pod)) = made {
                        let container = pod["spec"]["containers"][0]["name"].clone();
                        let state = json!({"terminated": {"exitCode": 0, "reason": "Completed"}});
                        let status = json!({"name": container, "image": "busybox", "imageID": "", "ready": false,
                            "restartCount": 0, "state": state});
                        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
                        self.api
                            .admin_patch_status(&path, &json!({"phase": "Succeeded", "containerStatuses": [status]}));
                        return Some(pod);
                    }
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                None
            });
            let output = run();
            is_over.store(true, Ordering::SeqCst);
            (kubelet.join().unwrap(), output)
        });
        let pod = made.ok_or_else(|| format!("no pod was made: {}", told(&output)))?;
        let container = &pod["spec"]["containers"][0];
        let is_it = pod["spec"]["nodeName"] == node
            && container["image"] == "busybox"
            && (container["command"] == json!(["date", "-u"]) || container["args"] == json!(["date", "-u"]));
        match is_it && output.status.success() {
            true => Ok(()),
            false => Err(format!("{}: {pod}", told(&output))),
        }
    }
}
