//! `ipaudit audit` as its users run it: the binary, real etcd servers, golden datastores, real exit codes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

use serde_json::Value;
use servers::command::{ipaudit, json};
use servers::golden::{Case, Moment};
use servers::{Etcd, EtcdVersion};

fn audit(endpoint: &str, moment: &Moment, more: &[&str]) -> Output {
    let mut command = ipaudit();
    command.args(["audit", "--etcd-endpoints", endpoint, "--now", &moment.captured_at, "--settle", "100ms"]);
    command.arg("--kube-objects").arg(&moment.cluster_file).args(more);
    command.output().unwrap()
}

/// Code and subject of every finding.
fn found(document: &Value) -> BTreeSet<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    let findings = document["findings"].as_array().unwrap();
    findings.iter().map(|f| (text(&f["code"]), text(&f["subject"]["id"]))).collect()
}

fn expected(moment: &Moment, document: &Value) -> BTreeSet<(String, String)> {
    // Codes that this build does not have are in no list of the document.
    let known = ipaudit::checks::ALL.iter().map(|c| c.code.to_string()).collect::<BTreeSet<_>>();
    assert_eq!(document["schema"], "ipaudit/audit/v1");
    moment.expect.iter().map(|e| (e.code.clone(), e.subject.clone())).filter(|(c, _)| known.contains(c)).collect()
}

fn every_case(version: EtcdVersion) {
    let etcd = Etcd::start(version);
    for name in Case::names() {
        for (i, moment) in Case::load(&name).moments.iter().enumerate() {
            etcd.delete_prefix("/calico");
            moment.load_into(&etcd);
            let output = audit(&etcd.endpoint(), moment, &["-o", "json"]);
            let document = json(&output);
            assert_eq!(found(&document), expected(moment, &document), "{name}[{i}]");
            let incomplete = moment.expect.iter().any(|e| matches!(e.code.as_str(), "IPA901" | "IPA905"));
            let bad = document["findings"].as_array().unwrap().iter();
            let bad = bad.filter(|f| matches!(f["severity"].as_str(), Some("error" | "critical"))).count();
            let code = if incomplete { 3 } else { i32::from(bad > 0) };
            assert_eq!(output.status.code(), Some(code), "{name}[{i}] {}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(document["exit_code"], code, "{name}[{i}]");
        }
    }
}

#[test]
fn every_case_through_etcd_3_4() {
    servers::need!(Etcd3_4);
    every_case(EtcdVersion::V3_4);
}

#[test]
fn every_case_through_etcd_3_7() {
    servers::need!(Etcd3_7);
    every_case(EtcdVersion::V3_7);
}

/// A capture holds both looks: auditing it gives byte for byte the same findings, every time.
#[test]
fn a_capture_gives_the_same_findings() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let folder = tempfile::tempdir().unwrap();
    for name in Case::names() {
        let case = Case::load(&name);
        let moment = case.moments.last().unwrap();
        etcd.delete_prefix("/calico");
        moment.load_into(&etcd);
        let file = folder.path().join(&name);
        let mut command = ipaudit();
        command.args(["capture", "--etcd-endpoints", &etcd.endpoint(), "--now", &moment.captured_at]);
        command.args(["--settle", "100ms", "-f"]).arg(&file).arg("--kube-objects").arg(&moment.cluster_file);
        let output = command.output().unwrap();
        let code = if name == "undecodable" { 3 } else { 0 };
        assert_eq!(output.status.code(), Some(code), "{name}: {output:?}");
        let from = || ipaudit().args(["audit", "-o", "json", "--from"]).arg(&file).output().unwrap();
        let (first, second) = (from(), from());
        assert_eq!(first.stdout, second.stdout, "{name}");
        let live = audit(&etcd.endpoint(), moment, &["-o", "json"]);
        let (first_text, live_text) = (findings_text(&first), findings_text(&live));
        let unlike = first_text.lines().zip(live_text.lines()).find(|(a, b)| a != b);
        assert_eq!((unlike, first_text.len()), (None, live_text.len()), "{name}");
        assert_eq!(first.status.code(), live.status.code(), "{name}");
    }
}

/// The findings as text, without the audits' own times, which are the clock's.
fn findings_text(output: &Output) -> String {
    let mut document = json(output);
    for finding in document["findings"].as_array_mut().unwrap() {
        for time in ["first_seen", "last_seen"] {
            finding.as_object_mut().unwrap().remove(time);
        }
    }
    serde_json::to_string_pretty(&document["findings"]).unwrap()
}

fn captured(folder: &Path) -> std::path::PathBuf {
    let etcd = Etcd::start(EtcdVersion::V3_7);
    let case = Case::load("leaked-pods");
    case.moment().load_into(&etcd);
    let file = folder.join("capture");
    let mut command = ipaudit();
    command.args(["capture", "--etcd-endpoints", &etcd.endpoint(), "--settle", "0", "-f"]).arg(&file);
    let output = command.arg("--kube-objects").arg(&case.moment().cluster_file).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    file
}

#[test]
fn a_newer_a_cut_off_and_a_foreign_capture_are_refused() {
    servers::need!(Etcd3_7);
    use std::io::{Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let good = captured(folder.path());
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(&good).unwrap()).read_to_string(&mut text).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        let mut out = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::fast());
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap();
        path
    };
    let newer = write("newer", &text.replacen("\"version\":2", "\"version\":3", 1));
    let cut = write("cut", &text[..text.trim_end().rfind('\n').unwrap()]);
    let foreign = write("foreign", "{\"kind\":\"List\"}\n");
    let half = folder.path().join("half");
    let bytes = std::fs::read(&good).unwrap();
    std::fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    for (file, says) in [
        (&newer, "format 3 of ipaudit"),
        (&cut, "its last line is missing"),
        (&foreign, "not a capture"),
        (&half, "cannot read the capture"),
        (&folder.path().join("absent"), "No such file"),
    ] {
        let output = ipaudit().args(["audit", "--from"]).arg(file).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(says), "{stderr:?} does not say {says:?}");
        assert!(output.stdout.is_empty());
    }
}

/// What the format has gained since is unknown in a capture of the first version, and nothing else of it.
#[test]
fn a_capture_of_version_1_is_still_audited() {
    servers::need!(Etcd3_7);
    use std::io::{Read, Write};
    let folder = tempfile::tempdir().unwrap();
    let now = captured(folder.path());
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(&now).unwrap()).read_to_string(&mut text).unwrap();
    let mut removed = 0;
    let mut older = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(look) = line.get_mut("look").and_then(|look| look.as_object_mut()) {
            removed += ["raft_term", "read_at"].iter().filter(|field| look.remove(**field).is_some()).count();
        }
        line.to_string() + "\n"
    };
    let text: String = text.replacen("\"version\":2", "\"version\":1", 1).lines().map(&mut older).collect();
    assert!(removed >= 2, "a look of version 2 has both");
    let old = folder.path().join("old");
    let mut out = flate2::write::GzEncoder::new(std::fs::File::create(&old).unwrap(), flate2::Compression::fast());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap();
    let audit = |file: &std::path::Path| {
        let output = ipaudit().args(["audit", "-o", "json", "--from"]).arg(file).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
        servers::command::json(&output)["findings"].clone()
    };
    assert_eq!(audit(&old), audit(&now));
}

/// An audit of a capture with this many damaged blocks: how much it printed, and its peak memory, both in bytes.
// wait4 reaps it, and tells what this one child took, not the largest of all.
#[allow(unsafe_code, clippy::zombie_processes)]
fn cost_of(capture: &Path, format: &str) -> (u64, u64) {
    use std::io::Read;
    use std::os::unix::process::ExitStatusExt;
    let mut command = ipaudit();
    command.args(["audit", "--settle", "0", "-o", format, "--from"]).arg(capture);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let (mut printed, mut buffer) = (0, vec![0; 1 << 16]);
    loop {
        match out.read(&mut buffer).unwrap() {
            0 => break,
            read => printed += read as u64,
        }
    }
    let (mut status, mut usage) = (0, unsafe { std::mem::zeroed::<libc::rusage>() });
    let waited = unsafe { libc::wait4(child.id().try_into().unwrap(), &mut status, 0, &mut usage) };
    assert_eq!(waited, libc::pid_t::try_from(child.id()).unwrap());
    // One look alone: blind for what nobody looked at again.
    assert_eq!(std::process::ExitStatus::from_raw(status).code(), Some(3), "{format}");
    (printed, u64::try_from(usage.ru_maxrss).unwrap() * 1024)
}

/// A capture with blocks each of which has a leak, lacks its handle and its affinity.
fn damaged_blocks(blocks: u32, file: &Path) {
    use std::io::{Read, Write};
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/incident-2017/capture.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(example).unwrap()).read_to_string(&mut text).unwrap();
    let (head, rest) = text.split_once('\n').unwrap();
    // What follows etcd's keys; the last line counts the others.
    let mut kept: Vec<&str> = rest.lines().collect();
    kept.pop();
    let keys = kept.iter().position(|line| !line.starts_with(r#"{"etcd""#)).unwrap();
    let mut lines: Vec<String> = vec![head.to_owned()];
    lines.extend(kept[..keys].iter().map(|line| (*line).to_owned()));
    let mut put = |key: String, value: Value| {
        let pair = serde_json::json!({"k": {"t": key}, "v": {"t": value.to_string()}, "c": 2, "m": 2, "n": 1});
        lines.push(serde_json::json!({ "etcd": pair }).to_string());
    };
    put(
        "/calico/resources/v3/projectcalico.org/ippools/big".to_owned(),
        serde_json::json!({"kind": "IPPool", "apiVersion": "projectcalico.org/v3", "metadata": {"name": "big"},
            "spec": {"cidr": "10.0.0.0/8", "blockSize": 26}}),
    );
    for number in 0..blocks {
        let first = std::net::Ipv4Addr::from(0x0a00_0000 + 64 * number);
        let slots: Vec<Option<u32>> = std::iter::once(Some(0)).chain((1..64).map(|_| None)).collect();
        let secondary = serde_json::json!({"namespace": "gone", "pod": format!("gone-{number}"), "node": "slave-57",
            "timestamp": "2026-11-07 20:12:52.30100688 +0000 UTC"});
        put(
            format!("/calico/ipam/v2/assignment/ipv4/block/{first}-26"),
            serde_json::json!({
                "cidr": format!("{first}/26"), "affinity": "host:slave-57", "allocations": slots,
                "unallocated": (1..64).collect::<Vec<u32>>(), "sequenceNumber": 1, "deleted": false,
                "attributes": [{"handle_id": format!("k8s-pod-network.{number:064x}"), "secondary": secondary}],
            }),
        );
    }
    lines.extend(kept[keys..].iter().map(|line| (*line).to_owned()));
    lines.push(serde_json::json!({"end": {"lines": lines.len()}}).to_string());
    let mut out = flate2::write::GzEncoder::new(std::fs::File::create(file).unwrap(), flate2::Compression::fast());
    out.write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    out.finish().unwrap();
}

/// Findings are written as they are told, in every format: none has its whole text in memory first.
#[test]
fn what_is_printed_is_kept_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("capture.gz");
    damaged_blocks(4_000, &capture);
    let (few, least) = cost_of(&capture, "table");
    assert!(few < 100_000, "a table of {few} bytes");
    for format in ["json", "jsonl", "sarif"] {
        let (printed, peak) = cost_of(&capture, format);
        let more = peak.saturating_sub(least);
        assert!(printed > 6_000_000 && more < printed / 2, "{format}: {printed} bytes printed with {more} more");
    }
}
