//! `--deep` of what is gone: found through a revision at which the history knew it.

use std::path::Path;

use serde_json::Value;

use super::{document, loaded, text, who};
use crate::servers::command::{first, ipaudit, stderr};
use crate::servers::golden::Moment;
use crate::servers::{self, Etcd};

fn audit(etcd: &Etcd, moment: &Moment, db: &Path) {
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["audit", "--settle", "0", "--fail-on", "never", "--db"]).arg(db);
    command.args(["--etcd-endpoints", &etcd.endpoint(), "--now", &moment.captured_at]);
    let output = command.arg("--kube-objects").arg(&moment.cluster_file).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output));
}

fn deep(etcd: &Etcd, moment: &Moment, db: &Path, what: &str) -> Value {
    let mut command = ipaudit();
    command.env_remove("IPAUDIT_NO_HISTORY").args(["who", what, "--deep", "--settle", "0", "-o", "json", "--db"]);
    command.arg(db).args(["--etcd-endpoints", &etcd.endpoint(), "--now", &moment.captured_at]);
    document(&command.arg("--kube-objects").arg(&moment.cluster_file).output().unwrap())
}

fn steps(deep: &Value) -> Vec<(i64, &str)> {
    let steps = deep["steps"].as_array().unwrap().iter();
    steps.map(|s| (s["revision"].as_i64().unwrap(), s["says"].as_str().unwrap())).collect()
}

const HANDLE: &str = "k8s-pod-network.de1e7edde1e7ed";

#[test]
fn a_deleted_handle_is_found_through_the_history_until_compaction() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("clean-small");
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    let key = format!("/calico/ipam/v2/handle/{HANDLE}");
    let counts = |n: u32| format!(r#"{{"block":{{"10.65.0.0/26":{n}}},"deleted":false}}"#);
    let (one, two) = (etcd.put(key.clone(), counts(1)), etcd.put(key.clone(), counts(2)));
    audit(&etcd, &moment, &db);
    (0..5).for_each(|_| _ = etcd.put("/another/tenant", "writes"));
    let three = etcd.put(key.clone(), counts(3));
    assert!(etcd.delete(key.clone()));
    let deleted = etcd.revision();
    (0..5).for_each(|_| _ = etcd.put("/another/tenant", "writes"));

    // By the container's id alone, too.
    for what in [HANDLE, "de1e7edde1e7ed"] {
        let says = deep(&etcd, &moment, &db, what);
        let trail = &says["deep"][0];
        assert_eq!(trail["key"], key.as_str(), "{says:#}");
        // The history has heard of it, so it is no mistyped name.
        assert!(says["answer"].as_str().unwrap().starts_with(&format!("handle {HANDLE} is gone")), "{says:#}");
        assert_eq!(says["exit_code"], 0, "{says:#}");
        let [at_deletion, last, before, first] = steps(trail)[..] else { panic!("{trail:#}") };
        assert_eq!(at_deletion, (deleted, "deleted"));
        assert_eq!(last, (three, "counts 3 of 10.65.0.0/26"));
        assert_eq!((before.0, first.0), (two, one));
        assert_eq!(trail["end"], format!("the key was created at revision {one}"));
    }
    // Once an audit has seen it gone, the last one that saw it counts.
    audit(&etcd, &moment, &db);
    assert_eq!(steps(&deep(&etcd, &moment, &db, HANDLE)["deep"][0])[0], (deleted, "deleted"));
    // The history alone says no more than it knows.
    let alone = ipaudit().env_remove("IPAUDIT_NO_HISTORY").args(["who", HANDLE, "--offline", "--db"]).arg(&db).output();
    let alone = alone.unwrap();
    assert_eq!(alone.status.code(), Some(0), "{}", text(&alone));
    assert!(
        first(&alone).starts_with(&format!(
            "the history knows handle {HANDLE}, but no allocation of it; the last audit that saw it"
        )),
        "{}",
        text(&alone)
    );

    etcd.compact(deleted);
    let says = deep(&etcd, &moment, &db, HANDLE);
    let end = says["deep"][0]["end"].as_str().unwrap();
    assert!(end.contains("the history last knew it at revision") && end.contains("etcd has compacted"), "{end}");
    assert!(steps(&says["deep"][0]).is_empty());
    // Nobody ever knew this one.
    assert!(text(&who(&etcd, &moment, &["k8s-pod-network.0123", "--deep"])).contains("k8s-pod-network.0123"));
}

/// A block that is gone is found the same way, by an address that was in it.
#[test]
fn an_address_of_a_deleted_block_is_found_through_the_history() {
    servers::need!(Etcd3_7);
    let (etcd, moment) = loaded("leaked-pods");
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    audit(&etcd, &moment, &db);
    let says = deep(&etcd, &moment, &db, "10.65.247.4");
    let key = says["deep"][0]["key"].as_str().unwrap().to_owned();
    assert!(etcd.delete(key.clone()));
    let deleted = etcd.revision();
    let says = deep(&etcd, &moment, &db, "10.65.247.4");
    let trail = &says["deep"][0];
    assert_eq!((&trail["key"], &trail["address"]), (&key.into(), &"10.65.247.4".into()), "{says:#}");
    let [at_deletion, owner, ..] = steps(trail)[..] else { panic!("{trail:#}") };
    assert_eq!(at_deletion, (deleted, "deleted"));
    assert!(owner.1.starts_with("data/queue-0"), "{owner:?}");
}
