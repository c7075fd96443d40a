//! `ipaudit node` on a node made of network namespaces: what a healthy one, the incident and every single damage give, by every
//! means, as root and as anybody.

#![cfg(all(feature = "node", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "node_live/every.rs"]
mod every;
mod servers;
#[path = "node_live/veto.rs"]
mod veto;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ipaudit::model::NodeEvidence;
use ipaudit::model::node_evidence::{Dump, KernelNeighbour};
use ipaudit::source::{node_captures, node_pasted};
use serde_json::Value;
use servers::command::{document, ipaudit, json, stderr, text};
use servers::namespaces::Lab;
use servers::need;

const NODE: &str = "worker-1";
const WEB: &str = "calia4fc3c48bd8";

/// A node as a golden folder has it, and files to hold it against.
struct LiveCase {
    lab: Lab,
    folder: tempfile::TempDir,
    golden: PathBuf,
    case: Value,
}

impl LiveCase {
    fn of(name: &str) -> LiveCase {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden-node").join(name);
        let folder = tempfile::tempdir().unwrap();
        // Other users read there too.
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), everybody).unwrap();
        // Long ago by every clock: nothing of it is young.
        let cluster =
            std::fs::read_to_string(golden.join("cluster.json")).unwrap().replace("2026-11-29T", "2020-11-29T");
        std::fs::write(folder.path().join("cluster.json"), cluster).unwrap();
        let case = serde_json::from_slice(&std::fs::read(golden.join("case.json")).unwrap()).unwrap();
        LiveCase { lab: Lab::of_golden(&golden, NODE), folder, golden, case }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = ipaudit();
        command.args(["node", "--node", NODE, "--twice", "0"]).args(args).env("COLUMNS", "160");
        command
    }

    fn with_files(&self, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.arg("--etcd-dump").arg(self.golden.join("etcd.jsonl"));
        command.arg("--kube-objects").arg(self.path("cluster.json"));
        command
    }

    fn run(&self, command: &Command) -> Output {
        self.lab.on_the_node(command).output().unwrap()
    }

    /// What the node gives, held against the files.
    fn document(&self) -> Value {
        let output = self.run(&self.with_files(&["-o", "json"]));
        assert!(output.status.code() < Some(2), "{}{}", stderr(&output), text(&output));
        document(&output, "audit")
    }

    fn list(&self, field: &str) -> BTreeSet<(String, String)> {
        let of = |e: &Value| (e["code"].as_str().unwrap().to_owned(), e["subject"].as_str().unwrap().to_owned());
        self.case[field].as_array().unwrap().iter().map(of).collect()
    }

    /// The evidence, by a capture.
    fn captured(&self, args: &[&str]) -> NodeEvidence {
        let path = self.path("capture.json");
        let output = self.run(&self.command(&[args, &["--capture", path.to_str().unwrap()]].concat()));
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        read(&path)
    }
}

fn read(path: &Path) -> NodeEvidence {
    node_captures::read(&[path.to_path_buf()]).unwrap().seen.nodes.remove(0)
}

/// Codes and subjects, also of what another finding explains.
fn told(document: &Value) -> BTreeSet<(String, String)> {
    findings(document, |_| true)
}

/// Those that nothing explains.
fn roots(document: &Value) -> BTreeSet<(String, String)> {
    findings(document, |finding| finding["root"].is_null())
}

fn findings(document: &Value, which: impl Fn(&&Value) -> bool) -> BTreeSet<(String, String)> {
    let of = |f: &Value| (f["code"].as_str().unwrap().to_owned(), f["subject"]["id"].as_str().unwrap().to_owned());
    let all = document["findings"].as_array().unwrap().iter().filter(which);
    all.map(of).filter(|(code, _)| code.starts_with("IPA7")).collect()
}

fn set(list: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    list.iter().map(|(code, of)| ((*code).to_owned(), format!("{NODE} {of}"))).collect()
}

/// Routes of every kind that there is, and interfaces that are none of a pod's.
const ODD: &str = "route add 11.0.0.0/24 nexthop via 172.20.0.12 dev eth0 nexthop via 172.20.0.13 dev eth0
-6 route add fd00:11::/64 nexthop via fd00:20::12 dev eth0 nexthop via fd00:20::13 dev eth0
route add unreachable 11.0.1.0/24 metric 77
route add prohibit 11.0.2.0/24
route add throw 11.0.3.0/24 proto 80
route add 11.0.4.0/24 via inet6 fd00:20::12 dev eth0 proto static
route add 11.0.5.0/24 dev eth0 scope link src 172.20.0.11 mtu 1400 advmss 1300 proto dhcp
nexthop add id 7 via 172.20.0.12 dev eth0
route add 11.0.6.0/24 nhid 7
-6 route add unreachable fd00:12::/64
-6 route add fd00:13::/64 dev eth0 proto ra metric 5 pref high
link add name odd type veth peer name even
link set odd up
";

/// What is read is what `ip` prints at the same moment.
#[test]
fn what_is_read_is_what_ip_prints() {
    need!(Namespaces);
    let case = LiveCase::of("clean");
    case.lab.ip(ODD);
    let folder = tempfile::tempdir().unwrap();
    for (file, args) in [
        ("link.json", &["-d", "link"] as &[&str]),
        ("addr.json", &["-d", "addr"]),
        ("route.json", &["-d", "route"]),
        ("route6.json", &["-6", "-d", "route"]),
        ("neigh.json", &["neigh"]),
    ] {
        std::fs::write(folder.path().join(file), case.lab.ip_text(args)).unwrap();
    }
    let sysctls = "cd /proc/sys && for f in net/ipv4/ip_forward net/ipv[46]/conf/*/* net/ipv4/neigh/*/proxy_delay; do \
        echo \"$f=$(cat $f 2>/dev/null)\"; done";
    std::fs::write(folder.path().join("sysctl.txt"), case.lab.shell(sysctls)).unwrap();
    let pasted = node_pasted::read(folder.path(), NODE, &["cali".to_owned()]).unwrap();
    let live = case.captured(&["--inside", "none"]);
    assert_eq!(live.links, pasted.links);
    assert_eq!(live.addresses, sorted(&live.addresses, &pasted.addresses));
    assert_eq!((&live.routes4, &live.routes6), (&pasted.routes4, &pasted.routes6));
    let many = live.routes4.each().chain(live.routes6.each()).filter(|route| route.hops.len() > 1).count();
    assert_eq!(many, 2, "of both families");
    // Others come and go.
    let kept = |dump: &Dump<Vec<KernelNeighbour>>| -> Vec<String> {
        let mut kept: Vec<String> = dump.each().filter(|n| n.is_permanent()).map(|n| format!("{n:?}")).collect();
        kept.sort();
        kept
    };
    assert_eq!((kept(&live.neighbours), kept(&live.neighbours).len()), (kept(&pasted.neighbours), 6));
    let (own, theirs) = (live.sysctls.read().unwrap(), pasted.sysctls.read().unwrap());
    assert_eq!(own.ip_forward, theirs.ip_forward);
    assert_eq!(own.of.len(), 2 + 6, "all, default and the pods'");
    own.of.iter().for_each(|(name, settings)| assert_eq!(*settings, theirs.dev(name), "{name:?}"));
    assert_eq!(live.verdicts.read().unwrap().len(), 6);
    assert!(!live.boot_id.is_empty() && !live.kernel.is_empty() && live.taken.len() == 1);
}

/// The same ones in the order of the other.
fn sorted<T: Clone + PartialEq>(order: &Dump<Vec<T>>, of: &Dump<Vec<T>>) -> Dump<Vec<T>> {
    let (Dump::Read(order), Dump::Read(of)) = (order, of) else { return of.clone() };
    assert_eq!(order.len(), of.len());
    Dump::Read(order.iter().filter(|thing| of.contains(thing)).cloned().collect())
}

#[test]
fn a_healthy_node_and_the_incident_give_what_they_must_give() {
    need!(Namespaces);
    for name in ["clean", "twins-11"] {
        let case = LiveCase::of(name);
        let pods = case.lab.pods.len();
        if name == "twins-11" {
            case.lab.ip_in("data/db-1", "neigh replace 169.254.1.1 dev eth0 nud failed\n");
        }
        let output = case.run(&case.with_files(&[]));
        let table = text(&output);
        assert!(
            table.contains(&format!("{pods} pods looked into by netns  one reading")),
            "{table}{}",
            stderr(&output)
        );
        let found = told(&case.document());
        let (expected, allowed) = (case.list("expect"), case.list("allow"));
        let missing: Vec<_> = expected.difference(&found).collect();
        let more: Vec<_> = found.iter().filter(|t| !expected.contains(t) && !allowed.contains(t)).collect();
        assert!(missing.is_empty() && more.is_empty(), "{name}: missing {missing:?}, more {more:?}");
        let is_wrong = i32::from(!expected.is_empty());
        assert_eq!(output.status.code(), Some(is_wrong), "{table}");
        // By itself a node that was looked into says who has the address.
        let alone = json(&case.run(&case.command(&["-o", "json"])));
        let twins = alone["findings"].as_array().unwrap().iter().find(|f| f["code"] == "IPA704");
        assert_eq!(twins.map(|f| f["severity"].as_str().unwrap()), (is_wrong == 1).then_some("critical"), "{alone:#}");
        if name == "twins-11" {
            assert!(table.starts_with("CRITICAL: worker-1 192.168.91.33 "), "{table}");
            let silent = case.captured(&[]);
            let refused = silent.verdicts.each().filter(|verdict| verdict.errno == 22).count();
            assert_eq!((refused, silent.inside.pods.read().unwrap().len()), (10, pods));
            assert!(found.contains(&("IPA711".to_owned(), "worker-1 192.168.91.33".to_owned())), "{found:?}");
        }
    }
}

fn unanswered(range: &str) -> (String, String) {
    ("IPA707".to_owned(), format!("{NODE} {}", range.trim_end_matches("/32")))
}

/// Something that is done to a node.
enum Do {
    Ip(String),
    Shell(String),
    /// In the pod shop/web-0.
    Inside(String),
    Nothing,
}

impl Do {
    fn to(&self, lab: &Lab) {
        match self {
            Do::Ip(lines) => lab.ip(lines),
            Do::Shell(script) => drop(lab.shell(script)),
            Do::Inside(lines) => lab.ip_in("shop/web-0", lines),
            Do::Nothing => {}
        }
    }
}

/// One damage at a time, each its own codes, and nothing once it is repaired.
#[test]
fn every_damage_is_its_own_finding() {
    need!(Namespaces);
    let case = LiveCase::of("clean");
    let a = "192.168.91.10";
    let route = format!("route replace {a}/32 dev {WEB} metric 1024 proto boot scope link\n");
    let mac = &case.lab.pod("shop/web-0").mac;
    let neighbour = format!("neigh replace {a} lladdr {mac} dev {WEB} nud permanent\n");
    let six = format!("route replace fd00:91::10/128 dev {WEB} metric 1024 proto boot\n");
    let proxy_arp = |value: u8| format!("echo {value} > /proc/sys/net/ipv4/conf/{WEB}/proxy_arp");
    let forwarding = |value: u8| format!("echo {value} > /proc/sys/net/ipv4/conf/{WEB}/forwarding");
    let back = "route replace 169.254.1.1 dev eth0 scope link\nroute replace default via 169.254.1.1 dev eth0\n";
    /// What is done, how it is undone, and what it gives.
    type Damage = (&'static str, Do, Do, BTreeSet<(String, String)>);
    let damages: Vec<Damage> = vec![
        (
            "route moved",
            Do::Ip(format!("route replace {a}/32 dev cali751425ce827 metric 1024 proto boot scope link\n")),
            Do::Ip(route.clone()),
            set(&[("IPA701", a)]),
        ),
        ("route lost", Do::Ip(format!("route del {a}/32\n")), Do::Ip(route.clone()), set(&[("IPA702", a)])),
        (
            "another route before it",
            Do::Ip(format!("route add {a}/32 via 172.20.0.12 dev eth0 proto 12\n")),
            Do::Ip(format!("route del {a}/32 via 172.20.0.12\n")),
            set(&[("IPA701", a)]),
        ),
        (
            "a blackhole of another node's block",
            Do::Ip("route replace blackhole 192.168.92.0/26 proto 12\n".to_owned()),
            Do::Ip("route replace 192.168.92.0/26 via 172.20.0.12 dev eth0 proto 12\n".to_owned()),
            set(&[("IPA720", "192.168.92.0/26")]),
        ),
        ("proxy_arp", Do::Shell(proxy_arp(0)), Do::Shell(proxy_arp(1)), set(&[("IPA707", a), ("IPA708", WEB)])),
        ("forwarding", Do::Shell(forwarding(0)), Do::Shell(forwarding(1)), set(&[("IPA707", a), ("IPA708", WEB)])),
        (
            "no default route",
            Do::Ip("route del default\n".to_owned()),
            Do::Ip("route add default via 172.20.0.1 dev eth0\n".to_owned()),
            case.lab.pods.iter().map(|pod| unanswered(&pod.addresses[0])).collect(),
        ),
        (
            "another MAC",
            Do::Ip(format!("neigh replace {a} lladdr 02:00:00:00:00:01 dev {WEB} nud permanent\n")),
            Do::Ip(neighbour.clone()),
            set(&[("IPA709", a)]),
        ),
        (
            "another MAC in the pod",
            Do::Inside("link set eth0 address 02:00:00:00:00:02\n".to_owned()),
            Do::Inside(format!("link set eth0 address {mac}\n")),
            set(&[("IPA709", a)]),
        ),
        (
            "interface down",
            Do::Ip(format!("link set {WEB} down\n")),
            Do::Ip(format!("link set {WEB} up\n{route}{neighbour}{six}")),
            set(&[("IPA705", WEB)]),
        ),
        (
            "address gone inside",
            Do::Inside(format!("addr del {a}/32 dev eth0\n")),
            Do::Inside(format!("addr add {a}/32 dev eth0\n{back}")),
            set(&[("IPA710", WEB)]),
        ),
        (
            "no carrier",
            Do::Inside("link set eth0 down\n".to_owned()),
            // The kernel takes IPv6 addresses away with the interface.
            Do::Inside(format!("link set eth0 up\naddr add fd00:91::10/128 dev eth0 nodad\n{back}")),
            set(&[("IPA705", WEB)]),
        ),
        // Harmless ones.
        (
            "set down and up, and repaired",
            Do::Ip(format!("link set {WEB} down\nlink set {WEB} up\n{route}{neighbour}{six}")),
            Do::Nothing,
            set(&[]),
        ),
        (
            "a pod that speaks BGP with the node",
            Do::Ip(format!("addr add 10.9.0.1/32 dev {WEB}\n")),
            // With its last IPv4 address an interface loses its routes.
            Do::Ip(format!("addr del 10.9.0.1/32 dev {WEB}\n{route}")),
            set(&[]),
        ),
        (
            "a machine that moves here",
            Do::Ip(format!("route add {a}/32 via 172.20.0.12 dev eth0 metric 512 proto 12\n")),
            Do::Ip(format!("route del {a}/32 via 172.20.0.12 metric 512\n")),
            set(&[]),
        ),
        (
            "a table of somebody's own",
            Do::Ip(format!("route add {a}/32 dev cali751425ce827 table 77\n")),
            Do::Ip("route flush table 77\n".to_owned()),
            set(&[]),
        ),
        (
            "services",
            Do::Ip(
                "link add name kube-ipvs0 type veth peer name ipvs1\naddr add 10.96.0.1/32 dev kube-ipvs0\n".to_owned(),
            ),
            Do::Ip("link del kube-ipvs0\n".to_owned()),
            set(&[]),
        ),
        (
            "another network in the pod",
            Do::Inside("link add name net1 type veth peer name net2\naddr add 10.200.0.5/24 dev net1\n".to_owned()),
            Do::Inside("link del net1\n".to_owned()),
            set(&[]),
        ),
        (
            "an address that has gone and left its neighbour",
            Do::Ip(format!("neigh replace 192.168.91.40 lladdr {mac} dev {WEB} nud permanent\n")),
            Do::Ip(format!("neigh del 192.168.91.40 dev {WEB}\n")),
            set(&[]),
        ),
        // Names that only end like a pod's interface.
        (
            "eBPF's own interfaces",
            Do::Ip("link add name bpfin.cali type veth peer name bpfout.cali\n".to_owned()),
            Do::Ip("link del bpfin.cali\n".to_owned()),
            set(&[]),
        ),
        ("interface gone", Do::Ip(format!("link del {WEB}\n")), Do::Nothing, set(&[("IPA705", WEB)])),
    ];
    let mut wrong = Vec::new();
    for (damage, make, repair, expected) in damages {
        make.to(&case.lab);
        let found = roots(&case.document());
        if found != expected {
            wrong.push(format!("{damage}: {found:?}, not {expected:?}"));
        }
        repair.to(&case.lab);
        if damage != "interface gone" {
            let after = told(&case.document());
            assert!(after.is_empty(), "{damage} was repaired: {after:?}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn inside(evidence: &NodeEvidence) -> BTreeSet<(Option<u32>, Vec<String>)> {
    let of = |pod: &ipaudit::model::node_evidence::PodInside| {
        let mut addresses: Vec<String> = pod.addresses.each().map(ToString::to_string).collect();
        addresses.sort();
        (pod.host_link, addresses)
    };
    evidence.inside.pods.read().unwrap().iter().map(of).collect()
}

/// One that somebody put on `lo`, or made for its link alone, is answered for all the same.
#[test]
fn an_address_inside_is_in_use_whatever_its_scope() {
    need!(Namespaces);
    let mut case = LiveCase::of("clean");
    let added = "addr add 10.9.9.9/32 dev eth0 scope link\naddr add 10.9.9.8/32 dev lo scope host\n";
    case.lab.ip_in("shop/web-0", added);
    case.lab.start_processes(&case.path("log"));
    for how in ["netns", "nsid", "proc"] {
        let seen: Vec<String> =
            inside(&case.captured(&["--inside", how])).into_iter().flat_map(|(_, all)| all).collect();
        assert!(["10.9.9.9", "10.9.9.8"].iter().all(|own| seen.iter().any(|a| a == own)), "{how}: {seen:?}");
    }
}

/// All means see the same pods at the same interfaces; each needs its right and says what it lacks.
#[test]
fn anybody_reads_a_node_and_each_means_needs_its_right() {
    need!(Namespaces);
    let mut case = LiveCase::of("clean");
    let everything = case.captured(&["--inside", "netns"]);
    let expected = inside(&everything);
    let all: usize = expected.iter().map(|(_, addresses)| addresses.len()).sum();
    assert_eq!((expected.len(), all), (6, 10));
    let by = |case: &LiveCase, capabilities: &[&str], how: &str| {
        let command = case.command(&["--inside", how, "--capture", "-"]);
        let output = case.lab.as_anybody(capabilities, &command).output().unwrap();
        let path = case.path("anybody.json");
        std::fs::write(&path, &output.stdout).unwrap();
        (read(&path), output.status.code(), stderr(&output))
    };
    // Without any right everything of the node itself is read.
    let (bare, exit, said) = by(&case, &[], "auto");
    assert_eq!((exit, bare.unread().count()), (Some(0), 0), "{said}");
    assert_eq!(
        (&bare.links, &bare.routes4, &bare.verdicts),
        (&everything.links, &everything.routes4, &everything.verdicts)
    );
    assert_eq!(bare.inside.pods, Dump::NotAsked);
    assert!(said.contains("pods were not looked into, no means was granted: netns: "), "{said}");
    assert!(said.contains("nsid: Operation not permitted") || said.contains("nsid: Permission denied"), "{said}");
    for how in ["netns", "nsid", "proc"] {
        let (refused, exit, said) = by(&case, &[], how);
        // Refused is not empty.
        assert!(matches!(refused.inside.pods, Dump::NotRead(_)), "{how}: {said}");
        assert_eq!((exit, refused.inside.means.unwrap().raw()), (Some(3), how));
        assert!(said.contains("pods' insides not read: "), "{said}");
    }
    case.lab.start_processes(&case.path("log"));
    for (capabilities, how, means) in [
        (&[] as &[&str], "auto", "proc"),
        (&["net_admin"], "auto", "nsid"),
        (&["sys_admin"], "auto", "netns"),
        (&["net_admin", "sys_admin"], "nsid", "nsid"),
        (&["net_admin", "sys_admin"], "proc", "proc"),
    ] {
        let (evidence, exit, said) = by(&case, capabilities, how);
        assert_eq!(exit, Some(0), "{capabilities:?} {how}: {said}");
        assert_eq!(evidence.inside.means.as_ref().unwrap().raw(), means, "{capabilities:?} {how}: {said}");
        assert_eq!(inside(&evidence), expected, "{capabilities:?} {how}");
        assert!(evidence.inside.failed.is_empty());
        let macs = evidence.inside.pods.each().filter(|pod| pod.mac.is_some()).count();
        assert_eq!(macs, if means == "proc" { 0 } else { 6 }, "{means}");
        let routes = evidence.inside.pods.each().all(|pod| pod.routes.each().any(|route| route.dst.prefix() == 0));
        assert_eq!(routes, means != "nsid", "{means}");
    }
    let (none, _, said) = by(&case, &["sys_admin"], "none");
    assert_eq!((none.inside.means, said.as_str()), (None, ""));
}

/// What the first reading alone saw is no finding.
#[test]
fn what_is_repaired_between_two_readings_is_not_told() {
    need!(Namespaces);
    let case = LiveCase::of("clean");
    let lost = "route del 192.168.91.10/32\n";
    let back = format!("route add 192.168.91.10/32 dev {WEB} metric 1024 proto boot scope link\n");
    let run = |between: &str| {
        let mut command = ipaudit();
        command.args(["node", "--node", NODE, "--twice", "2s", "-o", "json", "--etcd-dump"]);
        command.arg(case.golden.join("etcd.jsonl")).arg("--kube-objects").arg(case.path("cluster.json"));
        let mut child = case.lab.on_the_node(&command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        // It says when it has read once.
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.contains("read once, and again in 2s"), "{said}");
        case.lab.ip(between);
        document(&child.wait_with_output().unwrap(), "audit")
    };
    case.lab.ip(lost);
    assert_eq!(told(&run(&back)), set(&[]), "repaired");
    assert_eq!(told(&run(lost)), set(&[]), "lost after the first one");
    let always = told(&run("link set lo up\n"));
    assert_eq!(always, set(&[("IPA702", "192.168.91.10"), ("IPA707", "192.168.91.10")]));
}

/// A capture needs nothing else, and is judged anywhere.
#[test]
fn a_capture_is_written_whole_packed_by_its_name_or_to_standard_output() {
    need!(Namespaces);
    let case = LiveCase::of("twins-11");
    let run = |path: &str| {
        let mut command = case.command(&["--capture", path]);
        // Nobody listens there: it is not asked.
        command.env("ETCD_ENDPOINTS", "http://127.0.0.1:1");
        let output = case.run(&command);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    };
    let (plain, packed) = (case.path("node.json"), case.path("node.json.gz"));
    assert_eq!(text(&run(plain.to_str().unwrap())), "", "nothing else is printed");
    assert!(stderr(&run(packed.to_str().unwrap())).contains("captured: "));
    let streamed = case.path("streamed.json");
    std::fs::write(&streamed, run("-").stdout).unwrap();
    assert!(std::fs::read(&packed).unwrap().starts_with(&[0x1f, 0x8b]));
    assert!(std::fs::read(&plain).unwrap().starts_with(b"{"));
    let left: Vec<_> = std::fs::read_dir(case.folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "no unfinished file: {left:?}");
    for path in [&plain, &packed, &streamed] {
        let evidence = read(path);
        assert_eq!((evidence.node.raw(), evidence.links.read().unwrap().len()), (NODE, 19));
        let mut command = ipaudit();
        command.args(["node", "-o", "json", "--etcd-dump"]).arg(case.golden.join("etcd.jsonl"));
        command.arg("--kube-objects").arg(case.path("cluster.json")).arg("--node-evidence").arg(path);
        let found = told(&document(&command.output().unwrap(), "audit"));
        assert!(case.list("expect").is_subset(&found), "{found:?}");
    }
    let unwritable = case.run(&case.command(&["--capture", case.path("absent/x").to_str().unwrap()]));
    assert_eq!(unwritable.status.code(), Some(2), "{}", stderr(&unwritable));
}

/// Which node this is, is said, found in the environment, or the machine's name; a wrong one accuses nobody.
#[test]
fn a_node_has_the_name_that_calico_gave_it() {
    need!(Namespaces);
    let case = LiveCase::of("clean");
    let name = |args: &[&str], nodename: Option<&str>| {
        let mut command = ipaudit();
        command.args(["node", "--twice", "0", "--inside", "none", "--capture", "-"]).args(args);
        command.envs(nodename.map(|name| ("NODENAME", name)));
        json(&case.run(&command))["node"].as_str().unwrap().to_owned()
    };
    assert_eq!(name(&["--node", "Other"], Some("worker-1")), "other");
    assert_eq!(name(&[], Some("Worker-1\n")), "worker-1");
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let noted = std::fs::read_to_string("/var/lib/calico/nodename").unwrap_or(hostname);
    assert_eq!(name(&[], None), noted.trim().to_lowercase());
    let mut wrong = ipaudit();
    wrong.args(["node", "--node", "worker-2", "--twice", "0", "-o", "json", "--etcd-dump"]);
    wrong.arg(case.golden.join("etcd.jsonl")).arg("--kube-objects").arg(case.path("cluster.json"));
    let output = case.run(&wrong);
    let found = told(&document(&output, "audit"));
    assert_eq!(
        found.iter().map(|(code, id)| (code.as_str(), id.as_str())).collect::<Vec<_>>(),
        [("IPA790", "worker-2")]
    );
    assert_eq!(output.status.code(), Some(3));
}

/// Whoever reads the captures goes away, and nobody captures on for nobody.
#[test]
fn captures_end_with_their_reader() {
    let mut command = ipaudit();
    command.args(["node", "--node", NODE, "--twice", "0", "--inside", "none", "--capture", "-", "--every", "1s"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.starts_with("ipaudit-capture:1:"), "{line}");
    drop(reader);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if std::time::Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            break None;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(status.is_some_and(|status| status.code().is_some()), "it captures on for nobody: {status:?}");
}
