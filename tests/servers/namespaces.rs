//! A node with its pods, made of network namespaces: what Felix and CNI leave in a kernel, without either.
//!
//! Names hold the number of the process that made them; what a killed one left behind goes when the next node is made.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::process::{Server, run};
use super::{eventually, unique_name};

const NAMED: &str = "/run/netns";

fn ip() -> &'static Path {
    static IP: OnceLock<PathBuf> = OnceLock::new();
    IP.get_or_init(|| {
        let places = ["/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"];
        places.iter().map(PathBuf::from).find(|path| path.exists()).unwrap_or_else(|| "ip".into())
    })
}

/// Whether this machine or this user cannot make any.
pub fn missing() -> bool {
    static MISSING: OnceLock<bool> = OnceLock::new();
    *MISSING.get_or_init(|| {
        let name = unique_name("ipaudit-try");
        let made = batch(&format!(
            "netns add {name}\nlink add name veth0 netns {name} type veth peer name veth1 netns {name}\n"
        ));
        let _ = run(Command::new(ip()).args(["netns", "del", &name]));
        made.is_err() || run(Command::new("setpriv").arg("--version")).is_err()
    })
}

/// Runs lines of `ip`'s, in this namespace.
fn batch(lines: &str) -> Result<(), String> {
    let mut child = Command::new(ip())
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    child.stdin.take().expect("a pipe").write_all(lines.as_bytes()).map_err(|e| e.to_string())?;
    let output = child.wait_with_output().map_err(|e| e.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{said}of\n{lines}")) }
}

/// One pod of the node: its namespace, and what its endpoint says.
#[derive(Clone, Debug)]
pub struct LabPod {
    pub namespace: String,
    /// `shop/web-0`
    pub pod: String,
    pub interface: String,
    pub addresses: Vec<String>,
    pub mac: String,
}

/// A node.
pub struct Lab {
    host: String,
    uplink: String,
    pub pods: Vec<LabPod>,
    /// Processes of pods, as long as the node is there.
    _running: Vec<Server>,
}

impl Lab {
    /// The node of a golden folder: its endpoints' pods, the routes, neighbours and settings that were pasted there.
    pub fn of_golden(folder: &Path, node: &str) -> Lab {
        sweep();
        let file = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let json = |name: &str| -> Vec<Value> { serde_json::from_str(&file(name)).unwrap() };
        let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
        let host = unique_name("ipaudit-host");
        let uplink = unique_name("ipaudit-up");
        let mut pods = Vec::new();
        for line in file("etcd.jsonl").lines().filter(|line| line.contains("/workloadendpoints/")) {
            let line: Value = serde_json::from_str(line).unwrap();
            let endpoint: Value = serde_json::from_str(line["value"].as_str().unwrap()).unwrap();
            let spec = &endpoint["spec"];
            if spec["node"] != node {
                continue;
            }
            let addresses = spec["ipNetworks"].as_array().unwrap().iter();
            pods.push(LabPod {
                namespace: unique_name("ipaudit-pod"),
                pod: format!("{}/{}", text(&endpoint["metadata"], "namespace"), text(spec, "pod")),
                interface: text(spec, "interfaceName"),
                addresses: addresses.map(|a| a.as_str().unwrap().to_owned()).collect(),
                mac: text(spec, "mac"),
            });
        }
        let mut lab = Lab { host, uplink, pods, _running: Vec::new() };
        lab.links(&json("link.json"));
        for pod in &lab.pods {
            lab.wire(pod);
        }
        lab.settings(&file("sysctl.txt"));
        lab.up();
        let mut lines = String::new();
        for (route, family) in
            json("route.json").iter().map(|r| (r, "")).chain(json("route6.json").iter().map(|r| (r, "-6 ")))
        {
            lines.extend(route_line(route).map(|line| format!("{family}route add {line}\n")));
        }
        for neighbour in json("neigh.json").iter().filter(|n| n["state"][0] == "PERMANENT") {
            let (to, dev, mac) = (text(neighbour, "dst"), text(neighbour, "dev"), text(neighbour, "lladdr"));
            lines.push_str(&format!("neigh replace {to} lladdr {mac} dev {dev} nud permanent\n"));
        }
        lab.ip(&lines);
        lab
    }

    /// The interfaces in the order in which they were made there: the newest has the highest index.
    fn links(&mut self, links: &[Value]) {
        let mut lines = format!("netns add {}\nnetns add {}\n", self.host, self.uplink);
        lines.push_str(&format!(
            "link add name eth0 netns {} type veth peer name eth0 netns {}\n",
            self.host, self.uplink
        ));
        let at = |pod: &LabPod| links.iter().position(|link| link["ifname"] == pod.interface.as_str());
        self.pods.sort_by_key(at);
        for LabPod { namespace, interface, mac, .. } in &self.pods {
            lines.push_str(&format!("netns add {namespace}\n"));
            lines.push_str(&format!(
                "link add name {interface} address ee:ee:ee:ee:ee:ee netns {} type veth peer name eth0 address {mac} netns {namespace}\n",
                self.host
            ));
        }
        batch(&lines).unwrap();
    }

    fn wire(&self, pod: &LabPod) {
        let mut lines = "link set lo up\nlink set eth0 up\n".to_owned();
        for address in &pod.addresses {
            lines.push_str(&format!("addr add {address} dev eth0 nodad\n"));
        }
        lines.push_str("route add 169.254.1.1 dev eth0 scope link\nroute add default via 169.254.1.1 dev eth0\n");
        self.batch_in(&pod.namespace, &[], &lines);
    }

    fn settings(&self, sysctls: &str) {
        // Not those of eth0: it is another one here.
        let ours = sysctls.lines().filter(|line| !line.contains("/eth0/"));
        let lines = ours.filter_map(|line| line.split_once('=')).map(|(path, value)| {
            let path = format!("/proc/sys/{path}");
            format!("[ ! -e {path} ] || echo {value} > {path}\n")
        });
        self.shell(&lines.collect::<String>());
    }

    fn up(&self) {
        let mut lines = "link set lo up\naddr add 172.20.0.11/24 dev eth0\naddr add fd00:20::11/64 dev eth0 nodad\nlink set eth0 up\n".to_owned();
        for pod in &self.pods {
            lines.push_str(&format!("link set {} up\n", pod.interface));
        }
        self.batch_in(&self.uplink, &[], "link set eth0 up\n");
        self.batch_in(&self.host, &[], &lines);
        // The kernel notices a carrier when it has time, and gives the interface its own address then.
        eventually("every interface is up", Duration::from_secs(20), || {
            let links = self.ip_json(&["-d", "addr"]);
            let of = |link: &Value, what: &str| link[what].as_array().cloned().unwrap_or_default();
            links.iter().filter(|link| link["ifname"] != "lo").all(|link| {
                of(link, "flags").iter().any(|flag| flag == "LOWER_UP")
                    && of(link, "addr_info").iter().any(|address| address["scope"] == "link")
            })
        });
    }

    fn batch_in(&self, namespace: &str, flags: &[&str], lines: &str) {
        let mut command = Command::new(ip());
        command.args(["-n", namespace]).args(flags).args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\nof {flags:?}\n{lines}", String::from_utf8_lossy(&output.stderr));
    }

    /// Lines of `ip`'s on the node, also of those that begin with `-6`.
    pub fn ip(&self, lines: &str) {
        // `ip -batch` takes no family for a single line: those of one family between two of the other go together.
        let is_six = |line: &str| line.starts_with("-6 ");
        let lines: Vec<&str> = lines.lines().collect();
        for part in lines.chunk_by(|a, b| is_six(a) == is_six(b)) {
            let of: String = part.iter().map(|line| format!("{}\n", line.trim_start_matches("-6 "))).collect();
            self.batch_in(&self.host, if part.iter().any(|line| is_six(line)) { &["-6"] } else { &[] }, &of);
        }
    }

    /// Lines of `ip`'s in a pod (`shop/web-0`).
    pub fn ip_in(&self, pod: &str, lines: &str) {
        self.batch_in(&self.pod(pod).namespace, &[], lines);
    }

    /// What `ip -j` prints on the node.
    pub fn ip_json(&self, args: &[&str]) -> Vec<Value> {
        let text = self.ip_text(args);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{args:?}: {e}: {text}"))
    }

    /// The same as it is.
    pub fn ip_text(&self, args: &[&str]) -> String {
        run(Command::new(ip()).args(["-n", &self.host, "-j"]).args(args)).unwrap()
    }

    /// A script on the node.
    pub fn shell(&self, script: &str) -> String {
        run(Command::new(ip()).args(["netns", "exec", &self.host, "sh", "-ec", script])).unwrap()
    }

    /// The pod of this name.
    pub fn pod(&self, pod: &str) -> &LabPod {
        self.pods.iter().find(|p| p.pod == pod).unwrap_or_else(|| panic!("no pod {pod}"))
    }

    /// A command on the node.
    pub fn on_the_node(&self, command: &Command) -> Command {
        self.within(&[], command)
    }

    /// The same as a user without any right but these capabilities.
    pub fn as_anybody(&self, capabilities: &[&str], command: &Command) -> Command {
        let with = capabilities.iter().map(|capability| format!(",+{capability}")).collect::<String>();
        let flags = ["bounding-set", "inh-caps", "ambient-caps"].map(|flag| format!("--{flag}=-all{with}"));
        let mut before = vec!["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"];
        before.extend(flags.iter().map(String::as_str));
        self.within(&before, command)
    }

    fn within(&self, before: &[&str], command: &Command) -> Command {
        let mut inside = Command::new(ip());
        inside.env_clear().args(["netns", "exec", &self.host]).args(before);
        inside.arg(command.get_program()).args(command.get_args());
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    /// A process in every pod, so that they can be seen from outside.
    pub fn start_processes(&mut self, log: &Path) {
        for pod in &self.pods {
            let mut command = Command::new(ip());
            command.args(["netns", "exec", &pod.namespace, "sleep", "infinity"]);
            self._running.push(Server::spawn(command, log).unwrap());
        }
        let inode = |path: String| std::fs::read_link(path).ok();
        let own = inode("/proc/self/ns/net".to_owned());
        for server in &self._running {
            let is_inside = || inode(format!("/proc/{}/ns/net", server.pid())) != own;
            eventually("the process is in its pod", Duration::from_secs(20), is_inside);
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self._running.clear();
        let all = self.pods.iter().map(|pod| &pod.namespace).chain([&self.host, &self.uplink]);
        // One by one: what was never made must not keep the others.
        all.for_each(|name| drop(run(Command::new(ip()).args(["netns", "del", name]))));
    }
}

/// What `ip route add` wants for a route that was pasted; `None` for those of the kernel's own.
fn route_line(route: &Value) -> Option<String> {
    let text = |field: &str| route[field].as_str();
    let protocol = text("protocol").unwrap_or("boot");
    if protocol == "kernel" {
        return None;
    }
    let is_unicast = text("type") == Some("unicast");
    let kind = if is_unicast { String::new() } else { format!("{} ", text("type")?) };
    let mut line = format!("{kind}{} proto {}", text("dst")?, if protocol == "bird" { "12" } else { protocol });
    line.extend(text("gateway").map(|gateway| format!(" via {gateway}")));
    line.extend(text("dev").filter(|_| is_unicast).map(|dev| format!(" dev {dev}")));
    line.extend(route["metric"].as_u64().map(|metric| format!(" metric {metric}")));
    let is_link = text("scope") == Some("link") && !text("dst")?.contains(':');
    line.push_str(if is_link { " scope link" } else { "" });
    Some(line)
}

/// Removes what processes that are gone have left.
fn sweep() {
    for entry in std::fs::read_dir(NAMED).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = ["ipaudit-host-", "ipaudit-up-", "ipaudit-pod-", "ipaudit-try-"]
            .iter()
            .find_map(|kind| name.strip_prefix(kind)?.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = run(Command::new(ip()).args(["netns", "del", &name]));
        }
    }
}
