//! What the person on call reads when etcd itself is the trouble: the first line says the cause and what to do, the exit
//! code says that nothing is proven; and an alarm of etcd's is a finding, with commands that cure it.

use std::process::Command;

use super::*;
use crate::servers::etcd_trouble::Dropping;
use crate::servers::etcd_users::NOBODY;

/// Every trouble: the first line of all, exit 3, and each of Calico's inputs in this state.
#[track_caller]
fn told(args: &[&str], env: &[(&str, &str)], wanted: &[&str], as_state: &str) {
    let output = audit(args, true, env);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let first = stderr(&output).lines().next().unwrap_or_default().to_owned();
    assert!(wanted.iter().all(|part| first.contains(part)), "{wanted:?} are not in {first:?}");
    assert!(first.contains("(hint: "), "{first}");
    let document = json(&output);
    for input in ["blocks", "handles", "affinities", "endpoints", "calico-nodes", "pools", "config"] {
        assert_eq!(state(&document, input), as_state, "{input}");
    }
    assert!(document["findings"].as_array().unwrap().is_empty(), "unknown is not absent: {document}");
    // The table says it too, and once.
    let mut table = ipaudit();
    table.args(["audit", "--settle", "0"]).args(args).envs(env.iter().copied());
    let text = String::from_utf8(table.output().unwrap().stdout).unwrap().replace("\n ", " ");
    let line = text.lines().find(|line| line.starts_with("BLIND: etcd ")).unwrap_or_else(|| panic!("{text}"));
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(line.contains(wanted[0]), "{line}");
}

fn each_trouble(version: EtcdVersion) {
    let etcd = Etcd::builder(version).auth().start();
    let endpoint = etcd.endpoint();
    let at = ["--etcd-endpoints", endpoint.as_str()];
    told(&at, &[], &["user name is empty", "--etcd-username"], "forbidden");
    let user = |name, password| [("ETCD_USERNAME", name), ("ETCD_PASSWORD", password)];
    told(&at, &user(READER.name, "wrong"), &["authentication failed", "password is wrong"], "forbidden");
    let needs = ["permission denied", "read anything of Calico's", "grant-permission"];
    told(&at, &user(NOBODY.name, NOBODY.password), &needs, "forbidden");
    let plain = Etcd::start(version);
    let learner = plain.add_learner();
    let endpoint = learner.endpoint();
    let learns = ["not supported for learner", "name a voting member"];
    told(&["--etcd-endpoints", &endpoint], &[], &learns, "unreachable");
}

#[test]
fn each_trouble_is_told_in_the_first_line_3_4() {
    servers::need!(Etcd3_4);
    each_trouble(EtcdVersion::V3_4);
}

#[test]
fn each_trouble_is_told_in_the_first_line_3_7() {
    servers::need!(Etcd3_7);
    each_trouble(EtcdVersion::V3_7);
}

#[test]
fn an_endpoint_that_drops_packets_is_told_in_the_first_line() {
    let dropping = Dropping::new();
    let at = ["--etcd-endpoints", dropping.endpoint.as_str()];
    told(&at, &[], &["no connection within 5s", "firewall"], "unreachable");
}

/// One prefix alone is forbidden: its checks are skipped, and the cure is told all the same.
#[test]
fn a_right_that_is_missing_for_a_part_is_told_with_its_cure() {
    use etcd_client::Permission;
    servers::need!(Etcd3_7);
    let etcd = Etcd::builder(EtcdVersion::V3_7).auth().start();
    incident().moment().load_into(&etcd);
    let half = servers::etcd_users::User { name: "half", password: "half-secret" };
    etcd.add_user(half, &[Permission::read("/calico/ipam/").with_prefix()]);
    let endpoint = etcd.endpoint();
    let env = [("ETCD_USERNAME", half.name), ("ETCD_PASSWORD", half.password)];
    let output = audit(&["--etcd-endpoints", &endpoint], true, &env);
    let first = stderr(&output).lines().next().unwrap_or_default().to_owned();
    assert!(first.contains("cannot read endpoints") && first.contains("role needs read on the prefix"), "{first}");
    let document = json(&output);
    assert_eq!((state(&document, "blocks"), state(&document, "endpoints")), ("complete", "forbidden"));
    assert_eq!((output.status.code(), state(&document, "etcd-status")), (Some(3), "complete"));
}

/// The keys may all be forbidden, and the alarm is told all the same.
#[test]
fn an_alarm_is_found_by_a_user_without_any_right() {
    servers::need!(Etcd3_7);
    let etcd = Etcd::builder(EtcdVersion::V3_7).auth().quota(4 << 20).start();
    etcd.fill_up();
    let endpoint = etcd.endpoint();
    let env = [("ETCD_USERNAME", NOBODY.name), ("ETCD_PASSWORD", NOBODY.password)];
    let output = audit(&["--etcd-endpoints", &endpoint], true, &env);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(codes(&json(&output)), BTreeSet::from(["IPA910"]));
}

/// First the clean store gives nothing; then each damage exactly its own; then the commands of the finding cure it.
fn alarm_and_cure(version: EtcdVersion) {
    let etcd = Etcd::builder(version).quota(4 << 20).start();
    Case::load("clean-small").moment().load_into(&etcd);
    let endpoint = etcd.endpoint();
    let run = || {
        let case = Case::load("clean-small");
        let mut command = ipaudit();
        command.args(["audit", "-o", "json", "--settle", "0", "--etcd-endpoints", &endpoint]);
        command.args(["--now", &case.moment().captured_at]).arg("--kube-objects").arg(&case.moment().cluster_file);
        command.output().unwrap()
    };
    let clean = run();
    assert_eq!((clean.status.code(), codes(&json(&clean)).len()), (Some(0), 0), "{}", stderr(&clean));
    assert_eq!(json(&clean)["etcd"]["members"][0]["endpoint"], endpoint);
    etcd.fill_up();
    let cure = |says: &str| {
        let output = run();
        let document = json(&output);
        assert_eq!(codes(&document), BTreeSet::from(["IPA910"]), "{document}");
        assert_eq!((output.status.code(), &document["audit"]["complete"]), (Some(1), &Value::Bool(true)));
        let finding = &document["findings"][0];
        let summary = finding["summary"].as_str().unwrap();
        assert!(summary.starts_with(says) && summary.contains(etcd.member_name()), "{summary}");
        assert_eq!(
            document["etcd"]["alarms"].as_array().unwrap().len(),
            finding["evidence"]["alarms"].as_array().unwrap().len()
        );
        for line in finding["next"].as_array().unwrap() {
            let mut shell = Command::new("sh");
            shell.env_clear().env("PATH", format!("{}:/usr/bin:/bin", etcd.tools().display()));
            let done = shell.args(["-c", line.as_str().unwrap()]).output().unwrap();
            assert!(done.status.success(), "{line}: {done:?}");
        }
        assert_eq!(codes(&json(&run())).len(), 0);
        etcd.put("/after", "it takes writes again");
    };
    // What filled it is deleted, and compaction forgets it: deletions work under NOSPACE.
    etcd.delete_prefix("/filler");
    cure("NOSPACE on member ");
    etcd.declare_corrupt();
    cure("CORRUPT on member ");
    etcd.fill_up();
    etcd.delete_prefix("/filler");
    etcd.declare_corrupt();
    cure("CORRUPT on member ");
}

#[test]
fn an_alarm_is_one_finding_and_its_commands_cure_it_3_4() {
    servers::need!(Etcd3_4);
    alarm_and_cure(EtcdVersion::V3_4);
}

#[test]
fn an_alarm_is_one_finding_and_its_commands_cure_it_3_7() {
    servers::need!(Etcd3_7);
    alarm_and_cure(EtcdVersion::V3_7);
}

/// Files and captures of before do not hold etcd's status: the check is skipped, and nothing is incomplete for it.
#[test]
fn a_capture_without_etcds_status_is_a_whole_audit_and_one_with_an_alarm_tells_it() {
    use std::io::{Read, Write};
    servers::need!(Etcd3_7);
    let etcd = Etcd::builder(EtcdVersion::V3_7).quota(4 << 20).start();
    let case = Case::load("clean-small");
    case.moment().load_into(&etcd);
    etcd.fill_up();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("capture");
    let mut command = ipaudit();
    command.args([
        "capture",
        "--etcd-endpoints",
        &etcd.endpoint(),
        "--now",
        &case.moment().captured_at,
        "--settle",
        "0",
    ]);
    command.arg("-f").arg(&file).arg("--kube-objects").arg(&case.moment().cluster_file);
    assert_eq!(command.output().unwrap().status.code(), Some(0));
    let from = |file: &Path| ipaudit().args(["audit", "-o", "json", "--from"]).arg(file).output().unwrap();
    let document = json(&from(&file));
    assert_eq!(codes(&document), BTreeSet::from(["IPA910"]));

    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(std::fs::File::open(&file).unwrap()).read_to_string(&mut text).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if let Some(head) = line.get_mut("head") {
            head["version"] = 1.into();
        }
        if let Some(look) = line.get_mut("look").and_then(Value::as_object_mut) {
            look.remove("status");
            look["coverage"].as_array_mut().unwrap().retain(|input| input[0] != "etcd-status");
        }
        line.to_string()
    });
    let old = folder.path().join("old");
    let mut out = flate2::write::GzEncoder::new(std::fs::File::create(&old).unwrap(), flate2::Compression::fast());
    out.write_all((lines.collect::<Vec<_>>().join("\n") + "\n").as_bytes()).unwrap();
    out.finish().unwrap();
    let output = from(&old);
    let document = json(&output);
    assert_eq!((output.status.code(), codes(&document).len()), (Some(0), 0), "{}", stderr(&output));
    assert_eq!((&document["audit"]["complete"], &document["etcd"]), (&Value::Bool(true), &Value::Null));
    assert_eq!(state(&document, "etcd-status"), "not asked");
    let skipped = document["skipped"].as_array().unwrap().iter().find(|s| s["code"] == "IPA910").unwrap();
    assert_eq!(skipped["incomplete"], false);
    let table = ipaudit().args(["audit", "--from"]).arg(&old).output().unwrap();
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.split_whitespace().collect::<Vec<_>>().join(" ").contains("1 needs etcd's status"), "{table}");
}
