//! Every kind of holder is answered in the first line, and judged as an audit judges it.

use serde_json::{Value, json};

use super::{document, first, loaded, text, who};
use crate::servers;
use crate::servers::command::stderr;

/// IPv6 in any spelling, VMs, tunnels, services: the address's holder by its name.
#[test]
fn holders_of_every_kind() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let vm = "the VM of handle k8s-pod-network.vmi.vms.fedora";
    for (asked, answer) in [
        ("fd00:65::7:7783", "fd00:65::7:7783 is held by shop/web-6d4cf56db6-ctbwj on node-1"),
        ("FD00:0065:0:0:0:0:7:7783", "fd00:65::7:7783 is held by shop/web-6d4cf56db6-ctbwj on node-1"),
        ("fd00:65::7:7783/128", "fd00:65::7:7783 is held by shop/web-6d4cf56db6-ctbwj on node-1"),
        ("fd00:65::8:f709", "fd00:65::8:f709 is held by vms/virt-launcher-alpine-vn9qh on node-2"),
        ("10.65.247.9", "10.65.247.9 is held by vms/virt-launcher-alpine-vn9qh on node-2"),
        ("10.65.247.0", "10.65.247.0 is held by the WireGuard tunnel of node-2"),
        ("fd00:65::8:f701", "fd00:65::8:f701 is held by the VXLAN IPv6 tunnel of node-2"),
        ("10.165.9.160", "10.165.9.160 is held by service shop/web"),
        (
            "lb-NfDQLyCCuhVQbDzYFay2ZOp9sbb3vgfqc5lNiDXw9iU",
            "handle lb-NfDQLyCCuhVQbDzYFay2ZOp9sbb3vgfqc5lNiDXw9iU holds 1 address of service shop/web",
        ),
    ] {
        let output = who(&etcd, &moment, &[asked]);
        assert_eq!(first(&output), answer, "{}", stderr(&output));
        assert_eq!(output.status.code(), Some(0), "{asked}: {}", text(&output));
    }
    let moved = document(&who(&etcd, &moment, &["10.65.247.10", "-o", "json"]));
    let held = "10.65.247.10 is held by vms/virt-launcher-fedora-2zf75 on node-3; IPAM gave it to ";
    assert_eq!(moved["answer"], format!("{held}{vm}"), "a migrated VM");
    let by_handle = document(&who(&etcd, &moment, &["k8s-pod-network.vmi.vms.alpine", "-o", "json"]));
    let addresses: Vec<&Value> = by_handle["addresses"].as_array().unwrap().iter().map(|a| &a["address"]).collect();
    assert_eq!(addresses, ["10.65.247.9", "fd00:65::8:f709"]);
    assert_eq!(by_handle["addresses"][0]["allocations"][0]["used_for"], "vm");
}

#[test]
fn reserved_for_windows_and_a_stopped_vm() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-churned");
    let output = who(&etcd, &moment, &["10.80.3.65"]);
    assert_eq!(first(&output), "10.80.3.65 is reserved for Windows", "{}", stderr(&output));
    assert_eq!(output.status.code(), Some(0));
    let (etcd, moment) = loaded("leaked-pods");
    let says = document(&who(&etcd, &moment, &["10.65.247.8", "-o", "json"]));
    let answer = says["answer"].as_str().unwrap();
    assert!(answer.contains("the VM of handle k8s-pod-network.vmi.vms.stopped"), "{answer}");
    assert!(!answer.contains("leaked"), "a stopped VM keeps its address: {answer}");
}

/// `who` says what an audit says: the second look confirms, the absence of one is an unconfirmed note.
#[test]
fn it_is_judged_like_an_audit() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("leaked-pods");
    let states = |args: &[&str]| {
        let output = who(&etcd, &moment, &[&["10.65.247.4", "-o", "json"], args].concat());
        let says = document(&output);
        let found = says["findings"].as_array().unwrap();
        let leak = found.iter().find(|f| f["code"] == "IPA110").unwrap().clone();
        (output.status.code(), leak["severity"].clone(), leak["state"].clone(), says["answer"].clone())
    };
    let (code, severity, state, answer) = states(&[]);
    assert_eq!((code, severity, state), (Some(1), json!("error"), json!("confirmed")), "looked at twice");
    assert_eq!(
        answer,
        "10.65.247.4 is allocated to data/queue-0, which does not exist: leaked; 2 findings, the worst IPA110"
    );
    let (code, severity, state, answer) = states(&["--settle", "0"]);
    assert_eq!((code, severity, state), (Some(0), json!("note"), json!("unconfirmed")), "looked at once");
    assert!(answer.as_str().unwrap().contains("if one look can be trusted"), "{answer}");
    // Nothing is wrong with it: nobody waits.
    let healthy = document(&who(&etcd, &moment, &["10.65.84.128", "--settle", "1d", "-o", "json"]));
    assert_eq!((&healthy["findings"], &healthy["exit_code"]), (&json!([]), &json!(0)), "a tunnel in health");
}
