//! What a report advises of releases, by what the history knows: nothing that would be refused.

use ipaudit::history::{Db, PATIENCE};
use ipaudit::model::release::{Conclusion, Intent, NewRelease, StepOutcome};
use ipaudit::model::{SubjectKind, Time};

use super::{audit_of, document, is, loaded, objects, report};
use crate::servers;
use crate::servers::command::stderr;

#[test]
fn no_release_is_advised_of_a_silent_node_or_after_a_blind_audit() {
    servers::need!(Etcd3_7);
    let (etcd, case, folder) = loaded("clean-small");
    let db = folder.path().join("history.db");
    let lost = "web-6d4cf56db6-ctbwj";
    let audit = |now: &str, is_ready: bool, code: i32| {
        let file = objects(folder.path(), &case, |items| {
            items.retain(|item| !is(item, "Pod", lost));
            for node in items.iter_mut().filter(|item| item["kind"] == "Node" && !is_ready) {
                let conditions = node["status"]["conditions"].as_array_mut().unwrap();
                for ready in conditions.iter_mut().filter(|condition| condition["type"] == "Ready") {
                    ready["status"] = "False".into();
                }
            }
        });
        let output = audit_of(&etcd, &file, &db, now, &[]);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    };
    let told = |now: &str| {
        let text = String::from_utf8(report(&db, &["--now", now]).stdout).unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let lists = |command: &str| text.contains(&format!("ipaudit {command} --code IPA110"));
        (lists("release"), lists("audit"), text)
    };
    for now in ["2026-11-23T20:00:00Z", "2026-11-23T20:15:00Z", "2026-11-23T20:30:00Z"] {
        audit(now, true, 0);
    }
    let (release, ask, text) = told("2026-11-23T20:31:00Z");
    assert!(release && !ask, "{text}");
    // A release gave them back a moment ago, and no audit has looked since; after the next one they count again, if they
    // are there.
    let leaks: Vec<_> = document(&db, &["--now", "2026-11-23T20:31:00Z"])["clusters"][0]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["code"] == "IPA110")
        .map(|finding| (SubjectKind::Address, finding["subject"]["id"].as_str().unwrap().into()))
        .collect();
    {
        let mut db = Db::open_to_write(&db, Default::default(), PATIENCE).unwrap();
        let at = Time::from_chrono(chrono::Utc::now()).unwrap();
        let asked = NewRelease { asked: "{}".to_owned(), started: at, plan: "{}".to_owned(), ..NewRelease::default() };
        let number = db.begin_release(1, &asked).unwrap();
        let step = db.intend(number, &Intent { subjects: leaks, ..Intent::default() }, at).unwrap();
        db.settle(step, StepOutcome::Applied, Some(9), "", at).unwrap();
        db.finish_release(number, Conclusion::Done, at).unwrap();
    }
    let (release, ask, text) = told("2026-11-23T20:31:00Z");
    assert!(!release && !ask, "{text}");
    // What was seen while its node did not answer, and before, does not count.
    audit("2026-11-23T20:45:00Z", false, 0);
    let (release, ask, text) = told("2026-11-23T20:46:00Z");
    assert!(!release && !ask, "{text}");
    for now in ["2026-11-23T21:00:00Z", "2026-11-23T21:15:00Z", "2026-11-23T21:30:00Z"] {
        audit(now, true, 0);
    }
    let (release, ask, text) = told("2026-11-23T21:31:00Z");
    assert!(release && !ask, "{text}");
    // A release refuses while a value does not decode: an audit is advised in its place.
    etcd.put("/calico/ipam/v2/handle/bad", "{");
    audit("2026-11-23T21:45:00Z", true, 3);
    let (release, ask, text) = told("2026-11-23T21:46:00Z");
    assert!(!release && ask && text.contains("no release of many is let through now ("), "{text}");
}

/// What a report says and lists of leaks of clean-small after audits at these minutes past 20:00.
struct Leaks {
    etcd: crate::servers::Etcd,
    case: crate::servers::Case,
    folder: tempfile::TempDir,
}

const LOST: &str = "web-6d4cf56db6-ctbwj";

impl Leaks {
    fn new() -> Leaks {
        let (etcd, case, folder) = loaded("clean-small");
        Leaks { etcd, case, folder }
    }

    fn audit(&self, minutes: &[u32], is_gone: impl Fn(&serde_json::Value) -> bool) {
        for minute in minutes {
            let file = objects(self.folder.path(), &self.case, |items| {
                items.retain(|item| !is(item, "Pod", LOST) && !is_gone(item));
            });
            let output = audit_of(&self.etcd, &file, &self.folder.path().join("history.db"), &at(*minute), &[]);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        }
    }

    /// Whether a release is listed, whether an audit is, and all words.
    fn told(&self, minute: u32) -> (bool, bool, String) {
        let output = report(&self.folder.path().join("history.db"), &["--now", &at(minute)]);
        let text = String::from_utf8(output.stdout).unwrap();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let lists = |command: &str| text.contains(&format!("ipaudit {command} --code IPA110"));
        (lists("release"), lists("audit"), text)
    }

    /// The key and the value of the block that has the lost pod's address, and the ordinal and attribute of it.
    fn block(&self, family: &str) -> (String, serde_json::Value, usize, i64) {
        let keys = self.case.moment().keys.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned());
        for key in keys.filter(|key| key.contains(&format!("/assignment/{family}/block/"))) {
            let block: serde_json::Value = serde_json::from_slice(&self.etcd.get(&*key).unwrap().value).unwrap();
            let attributes = block["attributes"].as_array().unwrap();
            let Some(index) = attributes.iter().position(|a| a["secondary"]["pod"] == LOST) else { continue };
            let allocations = block["allocations"].as_array().unwrap();
            let ordinal = allocations.iter().position(|slot| slot.as_u64() == Some(index as u64)).unwrap();
            return (key, block, ordinal, index as i64);
        }
        panic!("no block has {LOST}")
    }
}

fn at(minute: u32) -> String {
    format!("2026-11-23T{}:{:02}:00Z", 20 + minute / 60, minute % 60)
}

/// The second address of a pod was seen by one audit only: a release takes both or none (rule 6).
#[test]
fn a_handle_is_as_old_as_its_youngest_address() {
    servers::need!(Etcd3_7);
    let leaks = Leaks::new();
    let (key, whole, ordinal, _) = leaks.block("ipv6");
    let mut without = whole.clone();
    without["allocations"][ordinal] = serde_json::Value::Null;
    without["unallocated"].as_array_mut().unwrap().push(ordinal.into());
    leaks.etcd.put(&*key, serde_json::to_vec(&without).unwrap());
    leaks.audit(&[0, 15], |_| false);
    leaks.etcd.put(&*key, serde_json::to_vec(&whole).unwrap());
    leaks.audit(&[30], |_| false);
    let (release, ask, text) = leaks.told(31);
    assert!(!release && !ask, "{text}");
    leaks.audit(&[45, 60], |_| false);
    let (release, _, text) = leaks.told(61);
    assert!(release, "{text}");
}

/// Nobody can say which of two blocks means the address (rule 7).
#[test]
fn an_address_in_two_blocks_is_not_advised_to_go() {
    servers::need!(Etcd3_7);
    for spelled in ["/28", "as it is"] {
        let leaks = Leaks::new();
        let (key, mut block, ordinal, _) = leaks.block("ipv4");
        let cidr = block["cidr"].as_str().unwrap().to_owned();
        let base = cidr.split('/').next().unwrap().rsplit_once('.').unwrap();
        let first = base.1.parse::<usize>().unwrap() + ordinal;
        let other = match spelled {
            "/28" => {
                let start = first / 16 * 16;
                block["cidr"] = format!("{}.{start}/28", base.0).into();
                (block["allocations"], block["unallocated"]) = (vec![(); 16].into(), (0..16).collect());
                block["attributes"] = serde_json::json!([]);
                format!("/calico/ipam/v2/assignment/ipv4/block/{}.{start}-28", base.0)
            }
            // Host bits in the key: a second spelling of the same block, with nothing in it.
            _ => key.replace(&format!("{}.{}-", base.0, base.1), &format!("{}.{}-", base.0, first)),
        };
        leaks.etcd.put(&*other, serde_json::to_vec(&block).unwrap());
        leaks.audit(&[0, 15, 30], |_| false);
        let (release, ask, text) = leaks.told(31);
        assert!(!release && ask && text.contains("(two blocks have its address)"), "{other}: {text}");
    }
}

/// While Calico alone has the node no waiting helps: its Calico Node has to go first (IPA409).
#[test]
fn leaks_of_a_node_that_calico_alone_has_are_not_advised_to_go() {
    servers::need!(Etcd3_7);
    let leaks = Leaks::new();
    let node = leaks.block("ipv4").1["affinity"].as_str().unwrap().strip_prefix("host:").unwrap().to_owned();
    leaks.audit(&[0], |_| false);
    let is_gone = |item: &serde_json::Value| is(item, "Node", &node) || item["spec"]["nodeName"] == *node;
    leaks.audit(&[15, 30, 45], is_gone);
    let (release, ask, text) = leaks.told(46);
    assert!(!release && ask && text.contains("Calico has not: IPA409"), "{text}");
    // It is deleted, and an hour later known to be gone for an hour.
    assert!(leaks.etcd.delete(format!("/calico/resources/v3/projectcalico.org/nodes/{node}")));
    leaks.audit(&[60, 75], is_gone);
    let (release, ask, text) = leaks.told(76);
    assert!(!release && ask && text.contains("gone for an hour"), "{text}");
    let (release, _, text) = leaks.told(121);
    assert!(release, "{text}");
}

/// A node that was gone when the first audit looked may be another cluster's.
#[test]
fn leaks_of_a_node_that_no_audit_has_seen_are_not_advised_to_go() {
    servers::need!(Etcd3_7);
    let leaks = Leaks::new();
    let node = leaks.block("ipv4").1["affinity"].as_str().unwrap().strip_prefix("host:").unwrap().to_owned();
    assert!(leaks.etcd.delete(format!("/calico/resources/v3/projectcalico.org/nodes/{node}")));
    // No plain host shares the datastore: every node that is left is this cluster's.
    assert!(leaks.etcd.delete("/calico/resources/v3/projectcalico.org/nodes/router-7"));
    let is_gone = |item: &serde_json::Value| is(item, "Node", &node) || item["spec"]["nodeName"] == *node;
    leaks.audit(&[0, 15, 30, 90], is_gone);
    let (release, ask, text) = leaks.told(91);
    assert!(!release && ask && text.contains("no audit has seen its node as this cluster's"), "{text}");
}
