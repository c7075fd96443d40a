//! What is advised of a node is one thing: what explains a finding says what to do, a reason is told, a condition stands beside
//! what it is of, and a route that somebody made is shown as it was made.

use serde_json::{Value, json};

use super::servers::command::{document, ipaudit, json as json_of, stderr, text};
use super::servers::need;
use super::unread::Beside;
use super::whole_node::changed;
use super::{NodeCase, node, with_files};

/// 701 and 704 say who is to be restarted; 707 of the same address says nothing else.
#[test]
fn what_is_explained_advises_nothing_else() {
    need!(Etcd3_7);
    let beside = Beside::of("twins-11");
    let capture = beside.capture("twins.json", |_| ());
    let told = text(&beside.run("who", &capture, &["192.168.91.33"]));
    assert!(told.contains("IPA707") && !told.contains("its route back"), "{told}");
    assert!(told.contains("explained by IPA101 192.168.91.33"), "{told}");
    let audit = text(&beside.run("audit", &capture, &["--all"]));
    assert!(audit.contains("IPA707") && !audit.contains("is at fault"), "{audit}");
    let who = document(&beside.run("who", &capture, &["192.168.91.33", "-o", "json"]), "who");
    let node = document(&with_files(&beside.case, &["-o", "json"]), "audit");
    let of = |document: &Value, is: &dyn Fn(&Value) -> bool| -> Vec<Value> {
        document["findings"].as_array().unwrap().iter().filter(|f| of_nodes(f) && is(f)).cloned().collect()
    };
    let explained = of(&node, &|f| !f["root"].is_null());
    assert!(explained.len() >= 2, "{node:#}");
    for finding in explained {
        assert_eq!(finding["advice"], "", "{finding:#}");
        let repairs = |c: &&Value| !c.as_str().unwrap().starts_with("ipaudit ");
        assert_eq!(finding["next"].as_array().unwrap().iter().find(repairs), None, "{finding:#}");
    }
    // IPA101 explains all of them.
    assert!(of(&who, &|_| true).iter().all(|f| f["advice"] == ""), "{who:#}");
    // Alone it says whose word counts.
    let alone = json_of(&node_alone(&beside.case));
    let of = |f: &&Value| f["code"] == "IPA707" && f["root"].is_null();
    for finding in alone["findings"].as_array().unwrap().iter().filter(of) {
        assert!(finding["advice"].as_str().unwrap().contains("do what IPA701, IPA702 or IPA704 says"), "{finding:#}");
    }
}

fn node_alone(case: &NodeCase) -> std::process::Output {
    node(case, &["-o", "json"])
}

fn of_nodes(finding: &Value) -> bool {
    finding["code"].as_str().unwrap().starts_with("IPA7")
}

/// Without a default route no pod of the node gets an answer: the row says so, and each command once.
#[test]
fn a_row_of_many_tells_the_reason_that_all_have() {
    let folder = tempfile::tempdir().unwrap();
    let case = changed(folder.path(), "verdicts.json", |verdicts| {
        verdicts.iter_mut().for_each(|verdict| verdict["errno"] = json!(101));
    });
    let output = with_files(&case, &[]);
    let told = text(&output);
    let row: Vec<&str> = told.lines().skip_while(|line| !line.starts_with("IPA707")).collect();
    let row = row.join("\n");
    assert!(row.contains(" addresses on worker-1\n") && !told.contains("on nodes on"), "{told}");
    assert!(row.contains("it has no default route (ENETUNREACH)"), "{told}");
    assert!(row.contains("give it a default route, on the node itself"), "{told}");
    assert_eq!(row.matches("ipaudit node --from-ip").count(), 1, "{told}");
}

/// Judged as of another time it is seen again as of that time.
#[test]
fn what_to_type_next_takes_the_time_along() {
    let case = NodeCase::of("leftovers");
    let told = text(&with_files(&case, &[]));
    assert!(told.contains(&format!("--node worker-1 --now {} --all", case.text("captured_at"))), "{told}");
}

/// A capture that an editor or a shell wrote anew.
#[test]
fn a_capture_of_another_encoding_is_called_that() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    std::fs::write(file.path(), utf16).unwrap();
    let output = ipaudit().args(["node", "--node-evidence"]).arg(file.path()).output().unwrap();
    assert!(stderr(&output).contains("it is UTF-16") && stderr(&output).contains("iconv"), "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(2));
}

/// Restarting calico-node is right when the route stays, and at no other time.
#[test]
fn a_condition_stands_beside_its_command() {
    need!(Etcd3_7);
    let beside = Beside::of("clean");
    let capture = beside.capture("node.json", |_| ());
    beside.etcd.delete("/calico/resources/v3/projectcalico.org/workloadendpoints/data/worker--1-k8s-db--0-eth0");
    let told = text(&beside.run("who", &capture, &["192.168.91.12"]));
    let (_, next) = told.split_once("\nNEXT\n").unwrap();
    let lines: Vec<&str> = next.lines().map(str::trim).collect();
    let at = lines.iter().position(|line| line.contains(": when it stays for more than 100 s")).expect(&told);
    assert!(lines[at + 1].starts_with("kubectl delete pods") && lines[at + 1].contains("calico-node"), "{told}");
}

/// By its gateway and its protocol whoever made it is found.
#[test]
fn a_route_that_somebody_made_is_shown_as_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let case = changed(folder.path(), "route.json", |routes| {
        let route = json!({"type": "unicast", "dst": "192.168.91.10", "gateway": "172.20.0.9", "dev": "eth0",
            "protocol": "bird", "scope": "global", "flags": []});
        routes.push(route);
    });
    let told = text(&with_files(&case, &[]));
    assert!(told.contains("leads to eth0: 192.168.91.10 via 172.20.0.9 dev eth0 proto bird"), "{told}");
    assert!(told.contains("find who makes this route, by its protocol, and delete it"), "{told}");
}
