//! Where somebody sits who pastes: a shell, a `PATH` of its own, an etcd, a history.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use ipaudit::model::Time;
use serde_json::Value;
use tempfile::TempDir;

use super::servers::golden::Moment;
use super::servers::{Etcd, binaries};

/// A kubeconfig of a server that is not there.
const KUBECONFIG: &str = r#"{"apiVersion":"v1","kind":"Config","current-context":"c",
"contexts":[{"name":"c","context":{"cluster":"k","user":"u"}}],"users":[{"name":"u","user":{}}],
"clusters":[{"name":"k","cluster":{"server":"http://127.0.0.1:1"}}]}"#;

pub struct Desk {
    pub folder: TempDir,
    endpoint: String,
    /// Kubernetes and its clock are asked live, and nothing tells `ipaudit` another time: as who releases has it.
    live: bool,
    /// What etcdctl said to reads.
    said: Mutex<Vec<u8>>,
}

impl Desk {
    /// Kubernetes is read from a file, and `kubectl` finds nobody.
    pub fn new(etcd: &Etcd) -> Desk {
        Desk::with(etcd, KUBECONFIG, false)
    }

    /// Everybody asks this Kubernetes.
    pub fn live(etcd: &Etcd, kubeconfig: &str) -> Desk {
        Desk::with(etcd, kubeconfig, true)
    }

    fn with(etcd: &Etcd, kubeconfig: &str, live: bool) -> Desk {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk { endpoint: etcd.endpoint(), live, said: Mutex::default(), folder };
        let bin = desk.path("bin");
        std::fs::create_dir_all(desk.path("things")).unwrap();
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::write(desk.path("kubeconfig"), kubeconfig).unwrap();
        let link = |program: &Path, name: &str| symlink(program, bin.join(name)).unwrap();
        link(Path::new(env!("CARGO_BIN_EXE_ipaudit")), "ipaudit");
        link(&binaries::etcd_3_7().unwrap().etcdctl, "etcdctl");
        for name in ["calicoctl", "crictl", "kubectl", "ssh"] {
            link(&standins().join(name), name);
        }
        // What the commands themselves pipe into, and what the stand-ins use.
        for name in ["cat", "grep"] {
            let found = ["/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(name)).find(|p| p.is_file());
            link(&found.unwrap_or_else(|| panic!("no {name}")), name);
        }
        desk
    }

    /// What is in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Tells the stand-ins what there is.
    pub fn knows(&self, moment: &Moment) {
        let under = |prefix: &str| -> Vec<String> {
            let keys = moment.keys.iter().filter_map(|(key, _)| String::from_utf8(key.clone()).ok());
            keys.filter_map(|key| key.strip_prefix(prefix).map(str::to_owned)).collect()
        };
        let resources = |kind: &str| under(&format!("/calico/resources/v3/projectcalico.org/{kind}/"));
        let objects = |kind: &str| -> Vec<String> {
            let items = moment.cluster["items"].as_array().unwrap().iter().filter(|item| item["kind"] == kind);
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let name = |item: &Value| match text(&item["metadata"]["namespace"]) {
                Some(namespace) => format!("{namespace}/{}", item["metadata"]["name"].as_str().unwrap()),
                None => text(&item["metadata"]["name"]).unwrap(),
            };
            items.map(name).collect()
        };
        let values = moment.keys.iter().filter(|(key, _)| String::from_utf8_lossy(key).contains("/workloadendpoints/"));
        let interfaces = values.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect();
        for (file, lines) in [
            ("endpoints", resources("workloadendpoints")),
            ("calico-nodes", resources("nodes")),
            ("pools", resources("ippools")),
            ("reservations", resources("ipreservations")),
            ("cluster", vec!["default".to_owned()]),
            ("nodes", nodes(moment)),
            ("pods", objects("Pod")),
            ("kube-nodes", objects("Node")),
            ("interfaces", interfaces),
        ] {
            std::fs::write(self.path("things").join(file), lines.join("\n") + "\n").unwrap();
        }
    }

    /// Everything by environment: the commands leave it out. `hour`: so long after the moment.
    fn command(&self, program: &Path, moment: &Moment, hour: i64) -> Command {
        let mut command = self.bare(program);
        if !self.live {
            let captured = Time::parse_rfc3339(&moment.captured_at).unwrap();
            command.env("IPAUDIT_NOW", Time(captured.0 + hour * 3_600 * 1_000_000_000).to_rfc3339());
            command.env("IPAUDIT_KUBE_OBJECTS", &moment.cluster_file);
        }
        command
    }

    fn bare(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.folder.path()).stdin(std::process::Stdio::null());
        command.env("PATH", self.path("bin")).env("HOME", self.folder.path()).env("ETCDCTL_API", "3");
        command.env("ETCD_ENDPOINTS", &self.endpoint).env("ETCDCTL_ENDPOINTS", &self.endpoint);
        command.env("IPAUDIT_DB", self.path("history.db")).env("IPAUDIT_SETTLE", "1ms");
        command.env("THINGS", self.path("things")).env("STANDINS", standins());
        command.env("KUBECONFIG", self.path("kubeconfig"));
        binaries::kubectl().map(|kubectl| command.env("KUBECTL", kubectl));
        command
    }

    /// What an audit prints.
    pub fn audit(&self, moment: &Moment, hour: i64, args: &[&str]) -> String {
        self.ipaudit(moment, hour, "audit", args)
    }

    /// What a command that only reads prints.
    pub fn ipaudit(&self, moment: &Moment, hour: i64, verb: &str, args: &[&str]) -> String {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_ipaudit")), moment, hour);
        if !self.live {
            // An address of the API server that does not answer is not asked.
            command.env_remove("KUBECONFIG");
        }
        let output = command.arg(verb).args(args).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What an audit prints that takes this for now.
    pub fn audit_at(&self, now: Time, args: &[&str]) -> String {
        let mut command = self.bare(Path::new(env!("CARGO_BIN_EXE_ipaudit")));
        let output = command.env("IPAUDIT_NOW", now.to_rfc3339()).arg("audit").args(args).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Pastes a line into a shell, and gives what it printed.
    ///
    /// # Errors
    /// What was refused, or did not do what it is for.
    pub fn paste(&self, moment: &Moment, hour: i64, line: &str) -> Result<String, String> {
        let output = self.shell(moment, hour, line);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if line.starts_with("etcdctl get ") {
            self.said.lock().unwrap().extend(&output.stdout);
        }
        let is_good = match (line.split(' ').next(), output.status.code()) {
            // Found something, nothing, or not everything: it is no misuse, and no failure.
            (Some("ipaudit"), code) => matches!(code, Some(0 | 1 | 3)),
            (_, code) if line.contains("etcdctl txn") => code == Some(0) && said.starts_with("SUCCESS"),
            (_, code) => code == Some(0),
        };
        if is_good { Ok(said) } else { Err(told(&output)) }
    }

    /// What becomes of a line in a shell.
    pub fn shell(&self, moment: &Moment, hour: i64, line: &str) -> Output {
        self.command(Path::new("/bin/sh"), moment, hour).args(["-c", line]).output().unwrap()
    }

    /// The same with the real kubectl and this kubeconfig.
    pub fn kubectl(&self, moment: &Moment, kubeconfig: &Path, line: &str) -> Output {
        let mut command = self.command(Path::new("/bin/sh"), moment, 0);
        command.env("KUBECONFIG", kubeconfig).env("CLUSTER", "real").args(["-c", line]).output().unwrap()
    }

    /// The words of a line as a shell parts them, quotes gone.
    pub fn words_of(&self, moment: &Moment, line: &str) -> Vec<String> {
        let output = self.shell(moment, 0, &format!("set -- {line}; printf '%s\\0' \"$@\""));
        let text = String::from_utf8(output.stdout).unwrap();
        text.split_terminator('\0').map(str::to_owned).collect()
    }

    /// Everything that `etcdctl get` printed.
    pub fn said(&self) -> Vec<u8> {
        self.said.lock().unwrap().clone()
    }

    /// Every word that a stand-in was given, a line each.
    pub fn words(&self) -> String {
        std::fs::read_to_string(self.path("things").join("words")).unwrap_or_default()
    }
}

fn standins() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/paste/bin")
}

/// Nodes by any name.
fn nodes(moment: &Moment) -> Vec<String> {
    let of_calico = moment.keys.iter().filter_map(|(key, _)| String::from_utf8(key.clone()).ok());
    let hosts = of_calico.filter_map(|key| {
        let rest = key.strip_prefix("/calico/resources/v3/projectcalico.org/nodes/");
        let host = key.strip_prefix("/calico/ipam/v2/host/").and_then(|rest| rest.split('/').next());
        rest.or(host).map(str::to_owned)
    });
    let items = moment.cluster["items"].as_array().unwrap().iter();
    let named = items.flat_map(|item| [&item["metadata"]["name"], &item["spec"]["nodeName"]]);
    hosts.chain(named.filter_map(Value::as_str).map(str::to_owned)).collect()
}

pub fn told(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}: {}", output.status, format!("{}{stderr}", stdout.chars().take(300).collect::<String>()).trim())
}
