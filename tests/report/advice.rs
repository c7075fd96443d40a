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
    // Its evidence names a node that is not Ready now: the release asks that node too.
    let silent = std::collections::BTreeMap::from([("node-9".into(), i64::MAX)]);
    let history = rusqlite::Connection::open(&db).unwrap();
    let of_silent = || {
        let db = Db::open_to_read(&db, PATIENCE).unwrap();
        let codes = [ipaudit::model::Code(110)];
        db.read().unwrap().of_silent_nodes(1, &codes, &silent).unwrap().len()
    };
    assert_eq!(of_silent(), 0);
    let leaks = "finding IN (SELECT id FROM finding WHERE code = 110)";
    history
        .execute(&format!("UPDATE evidence SET last = '{{\"at\":[{{\"node\":\"node-9\"}}]}}' WHERE {leaks}"), [])
        .unwrap();
    assert!(of_silent() > 0);
    history.execute(&format!("UPDATE evidence SET last = NULL WHERE {leaks}"), []).unwrap();
    drop(history);
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
