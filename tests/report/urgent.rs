//! What a report must never be calm about: a datastore that is locked, audits that saw nothing, a datastore that is another one.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use super::{audit_of, is, loaded, objects, report};
use crate::servers::command::{ipaudit, json, stderr};
use crate::servers::{self, Etcd};

const CLUSTER: &str = "/calico/resources/v3/projectcalico.org/clusterinformations/default";

/// ClusterInformation, with this field of its spec.
fn set(etcd: &Etcd, field: &str, value: Value) {
    let mut information: Value = serde_json::from_slice(&etcd.get(CLUSTER).unwrap().value).unwrap();
    information["spec"][field] = value;
    etcd.put(CLUSTER, serde_json::to_vec(&information).unwrap());
}

fn flat(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}

fn audited(etcd: &Etcd, objects: &Path, db: &Path, times: &[&str], more: &[&str]) -> Output {
    let outputs = times.iter().map(|now| audit_of(etcd, objects, db, &format!("2026-11-24T{now}:00Z"), more));
    let outputs: Vec<Output> = outputs.collect();
    outputs.into_iter().next_back().unwrap()
}

/// However long ago the first audit found it so, and whatever the report is narrowed to.
#[test]
fn a_locked_datastore_is_no_known_noise() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded("clean-small");
    let (db, whole) = (folder.path().join("history.db"), case.moment().cluster_file.clone());
    set(&etcd, "datastoreReady", false.into());
    let audit = audited(&etcd, &whole, &db, &["13:00", "13:15", "20:00"], &[]);
    let says = "no pod can start or stop.";
    assert!(flat(&audit).starts_with("CRITICAL: datastore locked "), "{}", flat(&audit));
    assert!(flat(&audit).contains(says) && !flat(&audit).contains("Nothing urgent"), "{}", flat(&audit));
    let elsewhere = audited(&etcd, &whole, &db, &["20:15"], &["-n", "nowhere", "--pool", "default-ipv4-ippool"]);
    assert!(flat(&elsewhere).contains(says), "it is locked everywhere: {}", flat(&elsewhere));
    for (since, place) in [("1h", ""), ("24h", ""), ("1h", "--node=node-1")] {
        let args = ["--now", "2026-11-24T20:20:00Z", "--since", since];
        let told = flat(&report(
            &db,
            &[&args[..], if place.is_empty() { &[] } else { std::slice::from_ref(&place) }].concat(),
        ));
        let first =
            "Datastore locked since 13:00 at the least (IPA902): datastoreReady is false: no pod can start or stop. ";
        let day = first.replace("13:00", "24 Nov 13:00");
        assert!(told.starts_with(first) || told.starts_with(&day), "{since} {place}: {told}");
        assert!(!told.contains("nothing is open") && !told.contains("Nothing is open"), "{told}");
    }
    set(&etcd, "datastoreReady", true.into());
    audited(&etcd, &whole, &db, &["20:30"], &[]);
    let told = flat(&report(&db, &["--now", "2026-11-24T20:31:00Z", "--since", "1h"]));
    assert!(told.starts_with("1 warning from before ended by 20:30: IPA902 datastore-locked "), "{told}");
}

#[test]
fn a_night_of_blind_audits_is_no_all_clear() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded("clean-small");
    let (db, whole) = (folder.path().join("history.db"), case.moment().cluster_file.clone());
    audited(&etcd, &whole, &db, &["13:00"], &[]);
    let config = folder.path().join("config");
    let cluster = format!("{{name: c, cluster: {{server: 'http://127.0.0.1:{}'}}}}", servers::free_port());
    let contexts = "contexts: [{name: x, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]";
    let yaml = format!("apiVersion: v1\nkind: Config\nclusters: [{cluster}]\n{contexts}\ncurrent-context: x\n");
    std::fs::write(&config, yaml).unwrap();
    for now in ["13:15", "13:30", "13:45"] {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--now", &format!("2026-11-24T{now}:00Z"), "--db"]);
        command.arg(&db).args(["--etcd-endpoints", &etcd.endpoint(), "--settle", "0", "--kubeconfig"]).arg(&config);
        assert_eq!(command.output().unwrap().status.code(), Some(3));
    }
    let args = ["--now", "2026-11-24T13:50:00Z", "--since", "2026-11-24T13:20"];
    let told = report(&db, &args);
    assert_eq!(told.status.code(), Some(3));
    let text = flat(&told);
    assert!(text.starts_with("BLIND since 13:15 (3 audits): pods, nodes, services, namespaces: "), "{text}");
    assert!(text.contains("connection refused. What else began or ended since then, nobody knows"), "{text}");
    assert!(!text.to_lowercase().contains("nothing is open") && !text.contains("Nothing began"), "{text}");
    let document = json(&report(&db, &[&args[..], &["-o", "json"]].concat()));
    let blind = &document["clusters"][0]["audits"]["blind"];
    assert_eq!((blind["since"].as_str(), blind["audits"].as_u64()), (Some("2026-11-24T13:15:00Z"), Some(3)));
    let beside = stderr(&report(&db, &[&args[..], &["-o", "jsonl"]].concat()));
    assert!(beside.contains("blind since 2026-11-24T13:15:00Z (3 audits): pods, "), "{beside}");
    // Somebody looks again.
    audited(&etcd, &whole, &db, &["14:00"], &[]);
    let told = report(&db, &["--now", "2026-11-24T14:05:00Z", "--since", "2026-11-24T13:20"]);
    assert!(!flat(&told).contains("BLIND") && told.status.code() == Some(0), "{}", flat(&told));
    assert!(flat(&told).contains(" Unseen: "), "{}", flat(&told));
}

/// The cluster was made anew: another GUID, the same Kubernetes.
#[test]
fn a_datastore_that_was_replaced_is_one_line() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded("clean-small");
    let (db, whole) = (folder.path().join("history.db"), case.moment().cluster_file.clone());
    let lost = objects(folder.path(), &case, |items| items.retain(|i| !is(i, "Pod", "web-6d4cf56db6-ctbwj")));
    audited(&etcd, &lost, &db, &["13:00", "13:15"], &[]);
    let old =
        serde_json::from_slice::<Value>(&etcd.get(CLUSTER).unwrap().value).unwrap()["spec"]["clusterGUID"].clone();
    let old = old.as_str().unwrap();
    set(&etcd, "clusterGUID", "5eed5eed5eed5eed5eed5eed5eed5eed".into());
    audited(&etcd, &whole, &db, &["14:00", "14:15"], &[]);
    let args = ["--now", "2026-11-24T14:20:00Z", "--since", "2026-11-24T12:00"];
    let told = report(&db, &args);
    let text = flat(&told);
    assert_eq!(told.status.code(), Some(0), "what is open in the old one is nobody's any more: {text}");
    let line = text.find(&format!("Until 13:15 it was datastore {}", &old[..8])).unwrap_or_else(|| panic!("{text}"));
    assert!(text.find("datastore ").unwrap() < line && text[line..].contains("open then: "), "{text}");
    assert!(!text[..line].contains("IPA501"), "{text}");
    let command = text[line..].split(" ipaudit ").nth(1).unwrap().split(" exit ").next().unwrap();
    let words: Vec<&str> = command.trim().split(' ').collect();
    let asked = ipaudit().args(&words).args(["--now", "2026-11-24T14:20:00Z"]).output().unwrap();
    assert!(flat(&asked).contains("IPA501") && asked.status.code() == Some(1), "{command}: {}", flat(&asked));
    let markdown = flat(&report(&db, &[&args[..], &["-o", "markdown"]].concat()));
    assert!(markdown.contains("Until 2026-11-24 13:15 it was datastore "), "{markdown}");
    let document = json(&report(&db, &[&args[..], &["-o", "json"]].concat()));
    assert_eq!(document["clusters"][1]["guid"], old);
    assert_eq!(document["clusters"][1]["replaced_by"]["guid"], document["clusters"][0]["guid"]);
    assert_eq!(document["clusters"][0]["replaced_by"], Value::Null);
}

/// A suspect is looked at again after a while, and meanwhile somebody locks or unlocks the datastore.
#[test]
fn a_lock_between_the_two_looks_is_told() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded("clean-small");
    let lost = objects(folder.path(), &case, |items| items.retain(|i| !is(i, "Pod", "web-6d4cf56db6-ctbwj")));
    for (ready, told) in [
        (false, "the datastore was locked between the two looks of this audit: no pod can start or stop now"),
        (true, "the datastore was unlocked between the two looks of this audit: it was locked at the first"),
    ] {
        let mut command = ipaudit();
        command
            .args(["audit", "-v", "-o", "json", "--settle", "2s", "--fail-on", "never", "--kube-objects"])
            .arg(&lost);
        command.args(["--now", "2026-11-24T13:00:00Z", "--etcd-endpoints", &etcd.endpoint()]);
        let mut audit = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(audit.stderr.take().unwrap());
        // What was read is told when the first look is over.
        let mut said = String::new();
        while !said.contains("etcd was read") && errors.read_line(&mut said).unwrap() > 0 {}
        set(&etcd, "datastoreReady", ready.into());
        errors.read_to_string(&mut said).unwrap();
        let document = json(&audit.wait_with_output().unwrap());
        assert!(said.contains(told), "{said}");
        let has = |list: &str, is: &dyn Fn(&Value) -> bool| document[list].as_array().unwrap().iter().any(is);
        assert!(has("warnings", &|warning| warning == told), "{:#}", document["warnings"]);
        assert_eq!(has("findings", &|finding| finding["code"] == "IPA902"), !ready, "{:#}", document["findings"]);
        assert!(has("findings", &|finding| finding["code"] == "IPA110" || finding["code"] == "IPA501"));
        let releases = document.to_string().contains("ipaudit release ");
        assert!(ready || !releases, "a locked datastore takes no release: {document:#}");
    }
}

/// From the history alone, by its range and by its name.
#[test]
fn who_knows_a_pool_offline() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded("clean-small");
    let (db, whole) = (folder.path().join("history.db"), case.moment().cluster_file.clone());
    audited(&etcd, &whole, &db, &["13:00", "13:15"], &[]);
    let who = |what: &str, more: &[&str]| {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").env("COLUMNS", "200").args(["who", "--offline", "--db"]).arg(&db);
        command.args(["--now", "2026-11-24T13:20:00Z", what]).args(more).output().unwrap()
    };
    let says = "pool default-ipv4 10.65.0.0/16 has 38 of 65,536 addresses allocated, and 65,226 free";
    for what in ["10.65.0.0/16", "default-ipv4", "pool/default-ipv4", "pool/10.65.0.0/16"] {
        let told = who(what, &[]);
        let text = flat(&told);
        assert!(text.starts_with(&format!("{says} by the last audit that looked (2026-11-24T13:15:00Z)")), "{text}");
        assert_eq!(told.status.code(), Some(0), "{text}");
        assert!(text.contains(" BEFORE ") && text.contains(" older ones"), "{text}");
    }
    let then = who("10.65.0.0/16", &["--at", "2026-11-24T13:05"]);
    assert!(flat(&then).starts_with(&format!("at 2026-11-24T13:05:00Z {says}")), "{}", flat(&then));
    let document = json(&who("default-ipv4", &["-o", "json"]));
    assert_eq!(document["before"][0]["pool"]["allocated"], 38, "{document:#}");
    assert_eq!(who("10.99.0.0/16", &[]).status.code(), Some(2), "no pool, and nothing was ever there");
}
