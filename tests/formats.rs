//! `-o wide`, `name`, `yaml` and `sarif`, through the binary on the capture of a real incident: the same findings as in
//! JSON, each format by its own rules.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod servers;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use servers::command::{ipaudit, json, stderr};

fn capture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/incident-2017/capture.gz")
}

fn audit(args: &[&str]) -> Output {
    ipaudit().args(["audit", "--from"]).arg(capture()).args(args).output().unwrap()
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(str::to_owned).collect()
}

fn findings(document: &Value) -> &Vec<Value> {
    document["findings"].as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

/// The cells of a line; none of these findings has two blanks in a cell.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn wide_has_a_line_for_each_finding_of_the_document_folded_or_not() {
    let document = json(&audit(&["-o", "json"]));
    let output = audit(&["-o", "wide"]);
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(1), ""));
    let lines = lines(&output);
    assert_eq!(cells(&lines[0]), ["CODE", "SEVERITY", "SUBJECT", "NODE", "SINCE", "ADVICE"]);
    let told: Vec<(String, String, String)> = lines[1..]
        .iter()
        .map(|line| {
            let cells = cells(line);
            assert_eq!(cells.len(), 6, "{line}");
            (cells[0].to_owned(), cells[1].to_owned(), cells[2].to_owned())
        })
        .collect();
    let of = |f: &Value| {
        (text(&f["code"]).to_owned(), text(&f["severity"]).to_owned(), text(&f["subject"]["id"]).to_owned())
    };
    assert_eq!(told, findings(&document).iter().map(of).collect::<Vec<_>>());
    let columns: BTreeSet<usize> =
        ["CODE", "SEVERITY", "SUBJECT", "NODE", "SINCE", "ADVICE"].map(|c| lines[0].find(c).unwrap()).into();
    for (line, finding) in lines[1..].iter().zip(findings(&document)) {
        assert!(columns.iter().all(|&at| at == 0 || (&line[at - 1..at] == " " && &line[at..=at] != " ")), "{line}");
        let root = &finding["root"];
        let mark = format!(
            "(explained by {} {})",
            root["code"].as_str().unwrap_or_default(),
            root["id"].as_str().unwrap_or_default()
        );
        assert_eq!(line.contains(&mark), !root.is_null(), "{line}");
    }
    let bare = audit(&["-o", "wide", "--no-headers"]);
    assert_eq!(String::from_utf8(bare.stdout).unwrap().lines().count(), lines.len() - 1);
}

#[test]
fn wide_sorts_by_a_column_and_other_formats_say_that_they_do_not() {
    let column = |by: &str, at: usize| {
        let output = audit(&["-o", "wide", "--no-headers", "--sort-by", by]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        lines(&output).iter().map(|line| cells(line)[at].to_owned()).collect::<Vec<_>>()
    };
    let codes = column("code", 0);
    assert!(codes.is_sorted() && codes.first() != codes.last(), "{codes:?}");
    let since = column("since", 4);
    assert!(since.iter().map(|s| (s == "-", s)).is_sorted() && since.len() == codes.len(), "{since:?}");
    let nodes = column("node", 3);
    assert_eq!(
        nodes.iter().position(|n| n == "-").unwrap_or(nodes.len()),
        nodes.iter().filter(|n| *n != "-").count(),
        "{nodes:?}"
    );
    let table = audit(&["--sort-by", "node"]);
    assert!(stderr(&table).contains("--sort-by sorts the lines of -o wide"), "{}", stderr(&table));
    assert_eq!(table.stdout, audit(&[]).stdout);
    let wrong = audit(&["-o", "wide", "--sort-by", "age"]);
    assert_eq!(wrong.status.code(), Some(2));
}

#[test]
fn names_are_the_things_of_the_document_each_once() {
    let document = json(&audit(&["-o", "json", "--severity", "error"]));
    let mut wanted: Vec<String> = Vec::new();
    for finding in findings(&document) {
        let name = format!("{}/{}", text(&finding["subject"]["kind"]), text(&finding["subject"]["id"]));
        if !wanted.contains(&name) {
            wanted.push(name);
        }
    }
    let output = audit(&["-o", "name", "--severity", "error"]);
    assert_eq!((lines(&output), output.status.code()), (wanted.clone(), Some(1)));
    assert!(wanted.contains(&"address/192.168.91.33".to_owned()) && wanted.len() < findings(&document).len());
}

/// Bare lines cannot say that nothing was read, nor that there is nothing: standard error does.
#[test]
fn no_lines_are_no_all_clear() {
    for format in ["wide", "name", "jsonl", "sarif"] {
        let mut command = ipaudit();
        command.args(["audit", "-o", format, "--etcd-endpoints", "http://127.0.0.1:1", "--etcd-timeout", "1s"]);
        let blind = command.output().unwrap();
        assert_eq!(blind.status.code(), Some(3), "{}", stderr(&blind));
        assert!(format == "sarif" || blind.stdout.is_empty());
        assert!(stderr(&blind).contains("BLIND: etcd did not answer ("), "{}", stderr(&blind));
    }
    for format in ["wide", "name"] {
        let none = audit(&["-o", format, "--code", "IPA601"]);
        assert_eq!((none.status.code(), none.stdout.len()), (Some(0), 0));
        assert!(
            stderr(&none).contains("no findings (") && stderr(&none).contains("outside this view"),
            "{}",
            stderr(&none)
        );
    }
}

#[test]
fn yaml_is_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("history.db");
    let audited = ipaudit()
        .env_remove("IPAUDIT_NO_HISTORY")
        .args(["audit", "--db"])
        .arg(&db)
        .arg("--from")
        .arg(capture())
        .output()
        .unwrap();
    assert_eq!(audited.status.code(), Some(1), "{}", stderr(&audited));
    let audit = |format: &str| audit(&["-o", format]);
    let who = |format: &str| {
        ipaudit().args(["who", "192.168.91.33", "-o", format, "--from"]).arg(capture()).output().unwrap()
    };
    let report = |format: &str| {
        let mut command = ipaudit();
        command.args(["report", "-o", format, "--now", "2026-11-24T13:00:00Z", "--since", "7d", "--db"]).arg(&db);
        command.output().unwrap()
    };
    for run in [&audit as &dyn Fn(&str) -> Output, &who, &report] {
        let (wanted, output) = (run("json"), run("yaml"));
        let yaml = String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json(&wanted), "{yaml}");
        assert_eq!(output.status.code(), wanted.status.code());
        assert!(yaml.starts_with("schema: ipaudit/"), "{yaml}");
        // For eyes: no line holds two fields.
        assert!(yaml.lines().count() > 50 && !yaml.contains("\": "), "{yaml}");
    }
}

/// What SARIF 2.1.0 demands of every log (section 3), and what its consumers join by.
#[test]
fn sarif_is_a_log_of_this_audit() {
    let document = json(&audit(&["-o", "json"]));
    let output = audit(&["-o", "sarif"]);
    assert_eq!(output.status.code(), Some(1));
    let log = json(&output);
    assert_eq!(log["version"], "2.1.0");
    assert!(text(&log["$schema"]).ends_with("/sarif-schema-2.1.0.json"));
    let run = &log["runs"][0];
    let driver = &run["tool"]["driver"];
    assert_eq!(driver["name"], "ipaudit");
    let rules = driver["rules"].as_array().unwrap();
    assert_eq!(rules.len(), ipaudit::checks::ALL.len());
    for (rule, check) in rules.iter().zip(ipaudit::checks::ALL.iter()) {
        assert_eq!((text(&rule["id"]), text(&rule["name"])), (check.code.to_string().as_str(), check.name));
        assert!(
            text(&rule["shortDescription"]["text"]).ends_with('.')
                && check.finds.starts_with(text(&rule["shortDescription"]["text"]))
        );
        assert_eq!(rule["fullDescription"]["text"], check.finds);
        assert!(
            text(&rule["help"]["text"]).contains(check.action)
                && text(&rule["help"]["markdown"]).contains(check.action)
        );
        assert!(["error", "warning", "note"].contains(&text(&rule["defaultConfiguration"]["level"])));
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), findings(&document).len());
    let mut prints = BTreeSet::new();
    for (result, finding) in results.iter().zip(findings(&document)) {
        let (code, subject) = (text(&finding["code"]), &finding["subject"]);
        assert_eq!(result["ruleId"], code);
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], code, "ruleIndex");
        let level = match text(&finding["severity"]) {
            "critical" | "error" => "error",
            other => other,
        };
        assert_eq!((text(&result["level"]), &result["properties"]["severity"]), (level, &finding["severity"]));
        let message = text(&result["message"]["text"]);
        assert!(message.starts_with(text(&subject["id"])) && message.contains(text(&finding["advice"])), "{message}");
        let logical = &result["locations"][0]["logicalLocations"][0];
        assert_eq!((&logical["name"], &logical["kind"]), (&subject["id"], &subject["kind"]));
        assert_eq!(
            text(&logical["fullyQualifiedName"]),
            format!("{}/{}", text(&subject["kind"]), text(&subject["id"]))
        );
        assert_eq!(result["properties"]["next"], finding["next"]);
        prints.insert(text(&result["fingerprints"]["ipaudit/v1"]).to_owned());
    }
    assert_eq!(prints.len(), results.len(), "a fingerprint is one finding's");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() > results.len(), "a line a result");
    let invocation = &run["invocations"][0];
    assert_eq!((&invocation["exitCode"], &invocation["executionSuccessful"]), (&Value::from(1), &Value::from(true)));
    assert!(run["automationDetails"]["id"].as_str().unwrap().contains(document["cluster"]["guid"].as_str().unwrap()));
}

#[test]
fn sarif_says_what_was_not_looked_at() {
    let mut command = ipaudit();
    command.args(["audit", "-o", "sarif", "--etcd-endpoints", "http://127.0.0.1:1", "--etcd-timeout", "1s"]);
    let output = command.output().unwrap();
    let log = json(&output);
    let invocation = &log["runs"][0]["invocations"][0];
    assert_eq!((output.status.code(), &invocation["executionSuccessful"]), (Some(3), &Value::from(false)));
    let told = invocation["toolExecutionNotifications"].as_array().unwrap();
    let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(told.len() > 10 && told.iter().any(|t| t["level"] == "warning"), "{told:?}");
    for notification in told {
        let index = usize::try_from(notification["associatedRule"]["index"].as_u64().unwrap()).unwrap();
        assert_eq!(notification["associatedRule"]["id"], rules[index]["id"]);
        assert!(text(&notification["message"]["text"]).starts_with("did not run: "));
    }
}
