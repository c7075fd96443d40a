//! A small cluster for releases: a real etcd with Calico's keys, a Kubernetes API, a history, and the binary.

use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::calico::{Calico, Workload, block_key, empty_block};
use super::fake_kube::FakeKube;
use super::servers::{Etcd, EtcdVersion, block_on};

pub const RESOURCES: &str = "/calico/resources/v3/projectcalico.org";
/// node-1's block and node-2's.
pub const BLOCK: &str = "10.65.0.0/26";
pub const OTHER: &str = "10.65.0.64/26";
pub const V6: &str = "fd00:65::/122";

pub struct World {
    pub etcd: Etcd,
    pub kube: Arc<FakeKube>,
    pub folder: TempDir,
}

impl World {
    pub fn new(version: EtcdVersion) -> World {
        World::on(Etcd::start(version))
    }

    pub fn on(etcd: Etcd) -> World {
        let world = World { etcd, kube: Arc::new(FakeKube::start()), folder: tempfile::tempdir().unwrap() };
        std::fs::write(world.folder.path().join("kubeconfig"), world.kube.kubeconfig()).unwrap();
        world.lock(Some(true));
        world.resource("ippools/v4", json!({"cidr": "10.65.0.0/16", "blockSize": 26, "ipipMode": "Never"}));
        world.resource("ippools/v6", json!({"cidr": "fd00:65::/64", "blockSize": 122}));
        for (node, address) in [("node-1", "192.168.0.1"), ("node-2", "192.168.0.2")] {
            let orch = json!([{"orchestrator": "k8s", "nodeName": node}]);
            let bgp = json!({"ipv4Address": format!("{address}/24")});
            world.resource(&format!("nodes/{node}"), json!({"orchRefs": orch, "bgp": bgp}));
            world.kube.node(node, address, true);
        }
        world.claim(BLOCK, "node-1", 64);
        world.claim(OTHER, "node-2", 64);
        world.claim(V6, "node-1", 64);
        // Somebody lives here, so that the two belong together.
        world.live("resident-1", "node-1", BLOCK);
        world.live("resident-2", "node-2", OTHER);
        world
    }

    pub fn lock(&self, ready: Option<bool>) {
        let spec = json!({"clusterGUID": "guid-1", "calicoVersion": "v3.29.1", "datastoreReady": ready});
        self.resource("clusterinformations/default", spec);
    }

    pub fn resource(&self, path: &str, spec: Value) {
        let name = path.rsplit('/').next().unwrap();
        let value = json!({"apiVersion": "projectcalico.org/v3", "metadata": {"name": name}, "spec": spec});
        self.etcd.put(format!("{RESOURCES}/{path}"), value.to_string());
    }

    /// A block and its affinity.
    pub fn claim(&self, cidr: &str, node: &str, size: usize) {
        self.etcd.put(block_key(cidr), empty_block(cidr, Some(node), size).to_string());
        let family = if cidr.contains(':') { 6 } else { 4 };
        let key = format!("/calico/ipam/v2/host/{node}/ipv{family}/block/{}", cidr.replace('/', "-"));
        self.etcd.put(key, r#"{"state":"confirmed","deleted":false}"#);
    }

    pub fn calico(&self) -> Calico {
        Calico::new(self.etcd.client())
    }

    /// A pod that lives, with its address.
    pub fn live(&self, pod: &str, node: &str, cidr: &str) -> (Workload, String) {
        let workload = Workload::new(pod, node);
        self.kube.pod("shop", pod, node, &[]);
        let address = block_on(self.calico().add(&workload, cidr));
        self.kube.pod("shop", pod, node, &[&address]);
        (workload, address)
    }

    /// A pod whose DEL never ran: endpoint, handle and allocation are left.
    pub fn leak(&self, pod: &str, node: &str, cidr: &str) -> (Workload, String) {
        let (workload, address) = self.live(pod, node, cidr);
        self.kube.remove_pod("shop", pod);
        (workload, address)
    }

    /// A handle that no block names; gives its id. A pod's (`k8s-pod-network.gone`) has the form of a container's.
    pub fn orphan(&self, id: &str, cidr: &str) -> String {
        let id = match id.split_once('.') {
            Some(("k8s-pod-network", name)) if !name.starts_with("vmi.") => of_container(name),
            _ => id.to_owned(),
        };
        block_on(self.calico().increment(&id, cidr));
        id
    }

    pub fn value(&self, key: &str) -> Option<Value> {
        self.etcd.get(key).map(|stored| serde_json::from_slice(&stored.value).unwrap())
    }

    pub fn text(&self, key: &str) -> Option<String> {
        self.etcd.get(key).map(|stored| String::from_utf8(stored.value).unwrap())
    }

    pub fn command(&self, command: &str, endpoint: &str) -> Command {
        let mut ipaudit = Command::new(env!("CARGO_BIN_EXE_ipaudit"));
        ipaudit.env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin");
        ipaudit.arg(command).args(["--etcd-endpoints", endpoint]);
        ipaudit.arg("--kubeconfig").arg(self.folder.path().join("kubeconfig"));
        ipaudit.arg("--db").arg(self.folder.path().join("history.db"));
        ipaudit.stdin(Stdio::null());
        ipaudit
    }

    pub fn release(&self, args: &[&str]) -> Run {
        Run::of(self.command("release", &self.etcd.endpoint()).args(args).output().unwrap())
    }

    /// With `--yes --skip-age`, as JSON.
    pub fn force(&self, args: &[&str]) -> Run {
        let all: Vec<&str> = ["--yes", "--skip-age", "-o", "json"].into_iter().chain(args.iter().copied()).collect();
        self.release(&all)
    }

    pub fn start(&self, endpoint: &str, args: &[&str]) -> Child {
        let mut command = self.command("release", endpoint);
        command.args(["--yes", "--skip-age", "-o", "json"]).args(args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn undo(&self, id: i64, args: &[&str]) -> Run {
        let mut command = self.command("undo", &self.etcd.endpoint());
        Run::of(command.arg(id.to_string()).args(["-o", "json"]).args(args).output().unwrap())
    }
}

/// The handle of a pod's container: 64 hexadecimal digits, as every runtime's.
pub fn of_container(name: &str) -> String {
    let digits: String = name.bytes().map(|b| format!("{b:02x}")).collect();
    format!("k8s-pod-network.{digits:0>64}")
}

/// What a run printed and how it ended.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    pub fn of(output: Output) -> Run {
        let mut stdout = String::from_utf8(output.stdout).unwrap();
        if !stdout.starts_with('{') {
            // Sentences wrap at the width; what they say is looked for.
            stdout = stdout.replace("\n        ", " ");
        }
        Run { code: output.status.code().unwrap_or(-1), stdout, stderr: String::from_utf8(output.stderr).unwrap() }
    }

    pub fn json(&self) -> Value {
        let document = serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        super::contract::hold(&document);
        document
    }

    /// The rules that refused, of the plan or of the outcome.
    pub fn rules(&self) -> Vec<u64> {
        let document = self.json();
        let lists = [&document["plan"]["refused"], &document["outcome"]["refused"]];
        let all = lists.into_iter().filter_map(Value::as_array).flatten();
        all.map(|r| r["rule"].as_u64().unwrap()).collect()
    }

    #[track_caller]
    pub fn done(&self, count: u64) -> &Run {
        assert_eq!(self.code, 0, "{self:?}");
        assert_eq!(self.json()["outcome"]["done"], count, "{self:?}");
        self
    }

    #[track_caller]
    pub fn refused(&self, rule: u64) -> &Run {
        assert_eq!(self.code, 1, "{self:?}");
        assert!(self.rules().contains(&rule), "{self:?}");
        self
    }
}
