//! What a report advises of releases, by what the history knows: nothing that would be refused.

use super::{audit_of, is, loaded, objects, report};
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
