//! One etcd that stays up, and what lives in it: emptied and filled anew for each round.

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::budget::Random;
use super::calico::owners::{Owner, Tunnel};
use super::calico::{Calico, Workload, block_key, empty_block};
use super::gate::{Gate, Hook};
use super::kube::Kube;
use super::servers::{Etcd, EtcdVersion, Proxy, block_on};

pub const RESOURCES: &str = "/calico/resources/v3/projectcalico.org";
/// The blocks of node-1 and node-2: small ones, so that an address soon comes again.
pub const BLOCKS: [(&str, &str); 2] = [("10.65.0.0/28", "node-1"), ("10.65.0.16/28", "node-2")];
/// The block of the LoadBalancer services.
pub const SERVICES: &str = "10.66.0.0/28";

/// A pod that lives, or has left its address behind.
#[derive(Debug, Clone)]
pub struct Pod {
    pub workload: Workload,
    pub cidr: String,
    pub address: String,
}

/// A virtual machine; its address stays while it is stopped.
#[derive(Debug, Clone)]
pub struct Machine {
    pub name: String,
    pub node: String,
    pub cidr: String,
    pub address: String,
    /// The launcher pod, while it runs.
    pub launcher: Option<Workload>,
}

#[derive(Debug, Clone)]
pub struct Service {
    pub name: String,
    pub uid: String,
    pub address: String,
}

#[derive(Debug, Clone)]
pub struct TunnelAddress {
    pub tunnel: Tunnel,
    pub node: String,
    pub cidr: String,
    /// None: no such tunnel now.
    pub address: Option<String>,
}

impl Pod {
    /// Whether it comes and goes.
    pub fn is_guest(&self) -> bool {
        !self.workload.pod.starts_with("resident")
    }
}

impl Machine {
    pub fn handle(&self) -> String {
        Owner::machine("shop", &self.name, "", "", "").handle
    }
}

impl Service {
    pub fn handle(&self) -> String {
        Owner::service("shop", &self.name, &self.uid, "").handle
    }
}

impl TunnelAddress {
    pub fn handle(&self) -> String {
        Owner::tunnel(self.tunnel, &self.node).handle
    }
}

/// What is there when nobody is in the middle of anything; who is, has taken his own out.
#[derive(Debug, Default)]
pub struct Alive {
    pub pods: Vec<Pod>,
    pub machines: Vec<Machine>,
    pub services: Vec<Service>,
    pub tunnels: Vec<TunnelAddress>,
    /// Nodes that come and go, by number; false: away.
    pub guests: Vec<(usize, bool)>,
    /// Handles that nobody lives behind: leaks and orphans, for releases.
    pub leaked: Vec<Pod>,
    pub orphans: Vec<String>,
    /// Names of pods, machines and services that are free again.
    pub names: Vec<String>,
    /// Handles that got an address during this audit. No two looks can tell an allocation that was under way at the first
    /// and is being given back at the second from one that never came about: what is so young is not given back yet.
    pub young: BTreeSet<String>,
    pub count: usize,
}

pub struct Cluster {
    pub etcd: Etcd,
    /// Between the gate and etcd: it loses answers.
    pub proxy: Arc<Proxy>,
    pub gate: Gate,
    pub kube: Kube,
    pub folder: TempDir,
    alive: Mutex<Alive>,
}

impl Cluster {
    pub fn new(version: EtcdVersion) -> Arc<Cluster> {
        Cluster::on(Etcd::start(version))
    }

    pub fn on(etcd: Etcd) -> Arc<Cluster> {
        let proxy = Arc::new(Proxy::start(&etcd.address()));
        let gate = Gate::start(&proxy.address());
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster { etcd, proxy, gate, kube: Kube::start(), folder, alive: Mutex::default() };
        std::fs::write(cluster.folder.path().join("kubeconfig"), cluster.kube.kubeconfig()).unwrap();
        Arc::new(cluster)
    }

    pub fn alive(&self) -> MutexGuard<'_, Alive> {
        self.alive.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// An empty etcd, API and history again, then two nodes with their blocks and one pod each.
    pub fn begin(&self) {
        self.tell(None);
        self.etcd.delete_prefix("/calico/");
        self.kube.clear();
        for file in std::fs::read_dir(self.folder.path()).unwrap().flatten() {
            if file.file_name().to_string_lossy().starts_with("history.db") {
                std::fs::remove_file(file.path()).unwrap();
            }
        }
        *self.alive() = Alive { guests: vec![(3, false), (4, false)], ..Alive::default() };
        let spec = json!({"clusterGUID": "guid-1", "calicoVersion": "v3.29.1", "datastoreReady": true});
        self.resource("clusterinformations/default", spec);
        self.resource("ippools/v4", json!({"cidr": "10.65.0.0/16", "blockSize": 28, "ipipMode": "Always"}));
        let services = json!({"cidr": "10.66.0.0/24", "blockSize": 28, "allowedUses": ["LoadBalancer"]});
        self.resource("ippools/services", services);
        for (cidr, node) in BLOCKS {
            let address = node.replace("node-", "192.168.0.");
            self.kube.node(node, &address);
            self.resource(&format!("nodes/{node}"), node_spec(node, &address));
            self.claim(cidr, &format!("host:{node}"));
            for tunnel in Tunnel::ALL {
                let (node, cidr) = (node.to_owned(), cidr.to_owned());
                self.alive().tunnels.push(TunnelAddress { tunnel, node, cidr, address: None });
            }
            self.live(&format!("resident-{node}"), node, cidr);
        }
        self.claim(SERVICES, "virtual:load-balancer");
    }

    /// Who is told of every request of ipaudit, at both gates.
    pub fn tell(&self, hook: Option<Hook>) {
        self.gate.tell(hook.clone());
        self.kube.tell(hook);
    }

    pub fn resource(&self, path: &str, spec: Value) {
        let name = path.rsplit('/').next().unwrap();
        let value = json!({"apiVersion": "projectcalico.org/v3", "metadata": {"name": name}, "spec": spec});
        self.etcd.put(format!("{RESOURCES}/{path}"), value.to_string());
    }

    /// A block and its affinity, `host:node-1`.
    pub fn claim(&self, cidr: &str, affinity: &str) {
        self.etcd.put(block_key(cidr), fresh_block(cidr, affinity).to_string());
        self.etcd.put(affinity_key(cidr, affinity), r#"{"state":"confirmed","deleted":false}"#);
    }

    /// A compaction at a revision that is new.
    pub fn forget(&self) {
        let revision = self.etcd.put("/calico/compacted", "");
        self.etcd.compact(revision);
    }

    pub fn calico(&self) -> Calico {
        Calico::new(self.etcd.client())
    }

    /// A pod that lives, at once.
    pub fn live(&self, name: &str, node: &str, cidr: &str) -> Pod {
        let workload = self.workload(name, node);
        self.kube.pending(name, node, json!({}));
        let address = block_on(async {
            let mut calico = self.calico();
            let address = calico.assign(&Owner::pod_since(&workload, &timestamp()), cidr).await;
            calico.wire(&workload, &[&address]).await;
            address
        });
        self.kube.running(name, &address);
        let pod = Pod { workload, cidr: cidr.to_owned(), address };
        self.alive().pods.push(pod.clone());
        pod
    }

    /// A pod whose DEL never ran.
    pub fn leak(&self, name: &str, node: &str, cidr: &str) -> Pod {
        let pod = self.live(name, node, cidr);
        self.kube.remove("pods", "shop", name);
        let mut alive = self.alive();
        alive.pods.retain(|p| p.workload != pod.workload);
        alive.leaked.push(pod.clone());
        pod
    }

    /// The handle of a container that died between its handle and its block.
    pub fn orphan(&self, cidr: &str) {
        let id = self.workload("died", "node-1").handle();
        block_on(self.calico().increment(&id, cidr));
        self.alive().orphans.push(id);
    }

    pub fn value(&self, key: &str) -> Option<Value> {
        self.etcd.get(key).map(|stored| serde_json::from_slice(&stored.value).unwrap())
    }

    pub fn command(&self, command: &str, endpoint: &str) -> Command {
        let mut ipaudit = Command::new(env!("CARGO_BIN_EXE_ipaudit"));
        ipaudit.env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin");
        ipaudit.arg(command).args(["--etcd-endpoints", endpoint]);
        ipaudit.arg("--kubeconfig").arg(self.folder.path().join("kubeconfig"));
        if command != "audit" {
            ipaudit.arg("--db").arg(self.folder.path().join("history.db"));
        }
        ipaudit.stdin(Stdio::null());
        ipaudit
    }

    /// An audit through both gates.
    pub fn audit(&self) -> Run {
        let mut command = self.command("audit", &self.gate.endpoint());
        command.arg("--db").arg(self.folder.path().join("history.db"));
        Run::of(command.args(["--settle", "20ms", "-o", "json"]).output().unwrap())
    }

    /// An audit that reads what changed since the last one, and one that reads everything, of the same moment with the same
    /// past: both say the same.
    #[track_caller]
    pub fn same_in_full(&self, story: &str) {
        let now = chrono::Utc::now().to_rfc3339();
        let audit = |name: &str, args: &[&str]| {
            for end in ["", "-wal", ".state", ".seen"] {
                let file = |name: &str| self.folder.path().join(format!("{name}{end}"));
                let _ = std::fs::remove_file(file(name));
                if file("history.db").exists() {
                    std::fs::copy(file("history.db"), file(name)).unwrap();
                }
            }
            let mut command = self.command("audit", &self.etcd.endpoint());
            command.arg("--db").arg(self.folder.path().join(name));
            Run::of(
                command.args(["--settle", "20ms", "-o", "json", "--all", "--now", &now]).args(args).output().unwrap(),
            )
        };
        let (less, full) = (audit("history.db.less", &[]), audit("history.db.full", &["--full"]));
        let by = |run: &Run| run.json()["audit"]["reading"]["by"].as_str().unwrap().to_owned();
        assert_eq!(by(&full), "full", "{full:?}\n{story}");
        let bare = |run: &Run| {
            let mut document = run.json();
            for field in ["reading", "started", "duration_ms"] {
                document["audit"].as_object_mut().unwrap().remove(field);
            }
            document.as_object_mut().unwrap().remove("etcd");
            document
        };
        assert_eq!(bare(&less), bare(&full), "read {} and in full\n{story}", by(&less));
    }

    /// A release through both gates.
    pub fn release(&self, args: &[&str]) -> Run {
        let mut command = self.command("release", &self.gate.endpoint());
        Run::of(command.args(["--yes", "-o", "json"]).args(args).output().unwrap())
    }

    /// `history check` must say "whole".
    #[track_caller]
    pub fn history_is_whole(&self) {
        if !self.folder.path().join("history.db").exists() {
            return; // a release that was refused need not have begun one
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_ipaudit"));
        command.env_clear().env("HOME", "/nonexistent").args(["history", "check", "--db"]);
        let run = Run::of(command.arg(self.folder.path().join("history.db")).output().unwrap());
        assert_eq!(run.code, 0, "the history is not whole: {}{}", run.stdout, run.stderr);
    }

    /// A name that was used before, or a new one.
    pub fn name(&self, random: &mut Random, what: &str) -> String {
        let mut alive = self.alive();
        let used: Vec<usize> = (0..alive.names.len()).filter(|i| alive.names[*i].starts_with(what)).collect();
        if !used.is_empty() && random.chance(60) {
            let at = *random.pick(&used);
            return alive.names.remove(at);
        }
        alive.count += 1;
        format!("{what}{}", alive.count)
    }

    /// A container id that never was.
    pub fn workload(&self, pod: &str, node: &str) -> Workload {
        let mut alive = self.alive();
        alive.count += 1;
        let container = format!("{:064x}", 0xc0ff_ee00_0000_0000_u128 * 0x1_0001 + alive.count as u128);
        Workload { container, ..Workload::new(pod, node) }
    }
}

pub fn fresh_block(cidr: &str, affinity: &str) -> Value {
    let size = 1 << (32 - cidr.split('/').nth(1).unwrap().parse::<u32>().unwrap());
    let mut block = empty_block(cidr, None, size);
    block["affinity"] = json!(affinity);
    block
}

pub fn affinity_key(cidr: &str, affinity: &str) -> String {
    format!("/calico/ipam/v2/{}/ipv4/block/{}", affinity.replace(':', "/"), cidr.replace('/', "-"))
}

pub fn node_key(node: &str) -> String {
    format!("{RESOURCES}/nodes/{node}")
}

pub fn node_spec(node: &str, address: &str) -> Value {
    let orch = json!([{"orchestrator": "k8s", "nodeName": node}]);
    json!({"orchRefs": orch, "bgp": {"ipv4Address": format!("{address}/24")}})
}

/// Now, as Go prints it.
pub fn timestamp() -> String {
    chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.9f +0000 UTC").to_string()
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Run {
    /// -1: by a signal, which `status` names.
    pub code: i32,
    pub status: std::process::ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Run {
        Run {
            code: output.status.code().unwrap_or(-1),
            status: output.status,
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// `IPA201 warning 10.0.0.1 words`, one each.
    #[track_caller]
    pub fn findings(&self) -> Vec<String> {
        let document = self.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let line = |f: &Value| {
            [&f["code"], &f["severity"], &f["state"], &f["subject"]["id"], &f["summary"]].map(text).join(" ")
        };
        document["findings"].as_array().unwrap().iter().map(line).collect()
    }
}
