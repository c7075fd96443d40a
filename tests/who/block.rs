//! `who` and a CIDR: a block, a part of one, a pool, nothing of Calico's; from a capture, so without servers.

use std::process::Output;

use super::{document, first, text};
use crate::servers::command::{ipaudit, stderr};

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/incident-2017/capture.gz");

fn ask(args: &[&str]) -> Output {
    ipaudit().args(["who", "--from", CAPTURE]).args(args).output().unwrap()
}

#[test]
fn a_block_is_answered_for_as_a_whole() {
    let output = ask(&["192.168.91.0/26"]);
    let says = text(&output);
    let starts = "block 192.168.91.0/26 belongs to host:slave-140: ";
    assert!(says.starts_with(starts), "{says}{}", stderr(&output));
    assert_eq!(output.status.code(), Some(1), "what is wrong in it counts");
    for word in
        ["IPA101 duplicate-pod-address  192.168.91.33", "adqsdxadc/store-mysql-0", "192.168.91.33", "of 64 allocated"]
    {
        assert!(says.contains(word), "{word:?} is missing:\n{says}");
    }
    let json = document(&ask(&["192.168.91.0/26", "-o", "json"]));
    assert_eq!(json["matches"], serde_json::json!([{"kind": "block", "id": "192.168.91.0/26"}]));
    let (range, block) = (&json["range"], &json["range"]["blocks"][0]);
    assert_eq!(
        (&range["kind"], &block["owner"], &block["size"]),
        (&"block".into(), &"host:slave-140".into(), &64.into())
    );
    let number = |field: &str| block[field].as_u64().unwrap();
    assert_eq!(number("allocated") + number("cooling") + number("free"), 64);
    let occupants = range["occupants"].as_array().unwrap();
    assert_eq!(occupants.len() as u64, number("allocated") + number("cooling"));
    let held = occupants.iter().find(|o| o["address"] == "192.168.91.33").unwrap();
    assert_eq!((&held["owner"], &held["held"]), (&"adqsdxadc/store-mysql-0".into(), &true.into()));
    let in_block = |f: &&serde_json::Value| {
        let id = f["subject"]["id"].as_str().unwrap();
        id.starts_with("192.168.91.") && f["subject"]["kind"] == "address"
    };
    let inside = json["findings"].as_array().unwrap().iter().filter(in_block).count() as u64;
    assert!(inside > 0 && number("findings") >= inside, "{json:#}");
    let elsewhere = json["findings"].as_array().unwrap().iter().find(|f| f["subject"]["id"] == "192.168.201.71");
    assert!(elsewhere.is_none(), "{elsewhere:?}");
}

#[test]
fn a_part_of_a_block_a_pool_and_an_address_with_its_prefix() {
    let part = first(&ask(&["192.168.91.32/28"]));
    assert!(
        part.starts_with("192.168.91.32/28 is a part of block 192.168.91.0/26, which belongs to host:slave-140: "),
        "{part}"
    );
    let pool = ask(&["192.168.0.0/16"]);
    assert!(text(&pool).replace("\n  ", " ").contains("/16 is pool "), "{}", text(&pool));
    let json = document(&ask(&["192.168.0.0/16", "-o", "json"]));
    let name =
        text(&pool).replace("\n  ", " ").split_once("/16 is pool ").unwrap().1.split(':').next().unwrap().to_owned();
    assert_eq!(first(&ask(&[&name])), first(&pool));
    assert_eq!(document(&ask(&[&format!("pool/{name}"), "-o", "json"]))["matches"], json["matches"]);
    assert_eq!((&json["matches"][0]["kind"], &json["range"]["kind"]), (&"pool".into(), &"pool".into()));
    assert_eq!(json["range"]["blocks"].as_array().unwrap().len(), 8);
    assert_eq!(json["range"]["occupants"], serde_json::json!([]));
    // As `ip addr` prints an address.
    let host_bits = ask(&["192.168.91.33/26"]);
    let says = text(&host_bits).replace("\n  ", " ");
    assert!(says.starts_with("block 192.168.91.0/26 belongs to host:slave-140: "), "{says}");
    assert!(says.contains(" (192.168.91.33 lies in it: this tells of 192.168.91.0/26)"), "{says}");
    assert!(text(&host_bits).contains("ipaudit who 192.168.91.33\n"), "{}", text(&host_bits));
    let json = document(&ask(&["192.168.91.33/26", "-o", "json"]));
    assert_eq!(json["matches"], serde_json::json!([{"kind": "block", "id": "192.168.91.0/26"}]));
    for alone in ["192.168.91.33", "192.168.91.33/32"] {
        assert_eq!(first(&ask(&[alone])), "192.168.91.33 has 10 holders; 7 findings, the worst IPA101");
    }
    assert_eq!(document(&ask(&["192.168.91.33", "-o", "json"]))["range"], serde_json::Value::Null);
    let empty = ask(&["192.168.7.0/26"]);
    assert!(first(&empty).starts_with("there is no block in 192.168.7.0/26 of pool "), "{}", first(&empty));
    assert_eq!(empty.status.code(), Some(0));
}

#[test]
fn what_calico_has_nothing_to_do_with_is_an_unknown_name() {
    let outside = ask(&["203.0.113.0/24"]);
    assert_eq!(first(&outside), "203.0.113.0/24 is in no pool and no block: Calico does not hand it out");
    assert_eq!(outside.status.code(), Some(2), "as for every name that nobody knows");
    document(&ask(&["203.0.113.0/24", "-o", "json"]));
    let unread = ipaudit().args(["who", "192.168.91.0/26", "--etcd-endpoints", "http://127.0.0.1:1"]).output().unwrap();
    assert_eq!(unread.status.code(), Some(3), "nobody can say: {}", text(&unread));
    assert!(!first(&unread).contains("in no pool"), "{}", first(&unread));
}

#[test]
fn the_history_answers_for_a_block_and_not_for_its_first_address() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    let run = |args: &[&str]| {
        let mut command = ipaudit();
        command.env_remove("IPAUDIT_NO_HISTORY").args(args).arg("--db").arg(&db).output().unwrap()
    };
    run(&["audit", "--from", CAPTURE]);
    let offline = run(&["who", "192.168.91.0/26", "--offline", "-o", "json"]);
    let json = document(&offline);
    let before = json["before"][0]["allocations"].as_array().unwrap();
    assert!(before.iter().any(|a| a["address"] == "192.168.91.33"), "{json:#}");
    assert!(before.iter().all(|a| a["address"].as_str().unwrap().starts_with("192.168.91.")), "{json:#}");
    assert!(json["before"][0]["open"].as_array().unwrap().iter().any(|f| f["code"] == "IPA101"), "{json:#}");
    assert_eq!(offline.status.code(), Some(1));
    let online = run(&["who", "192.168.91.0/26", "--from", CAPTURE, "-o", "json"]);
    assert_eq!(document(&online)["before"][0]["allocations"].as_array().unwrap().len(), before.len());
    let outside = run(&["who", "203.0.113.0/24", "--offline"]);
    assert_eq!(
        (outside.status.code(), first(&outside).as_str()),
        (Some(2), "the history does not know 203.0.113.0/24")
    );
    // An IPv6 block is no mixture of the two families.
    assert_eq!(run(&["who", "::/0", "--offline"]).status.code(), Some(2));
}
