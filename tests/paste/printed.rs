//! The commands of an audit's outputs, and what must not be among them.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// A command, and whose it is.
#[derive(Clone)]
pub struct Pasted {
    pub code: String,
    pub line: String,
}

impl Pasted {
    /// Whether it changes the etcd that all the others are about.
    pub fn writes(&self) -> bool {
        self.line.contains("etcdctl txn")
    }
}

pub struct Printed(pub Vec<Pasted>);

impl Printed {
    /// Every `next` of the document, if there is one, and every line of the tables that is a command; each once.
    pub fn of(document: &Value, tables: &[&str]) -> Printed {
        let findings = document["findings"].as_array().into_iter().flatten();
        let of_json = findings.flat_map(|finding| {
            let code = finding["code"].as_str().unwrap();
            next(finding).into_iter().map(|line| Pasted { code: code.to_owned(), line })
        });
        let of_tables = tables.iter().flat_map(|table| lines(table));
        let mut seen = HashSet::new();
        Printed(of_json.chain(of_tables).filter(|pasted| seen.insert(pasted.line.clone())).collect())
    }

    /// In the order in which they may be run on one etcd: what writes comes last. Of those of ipaudit that differ in
    /// a plain name alone, the first `alike`.
    pub fn in_order(self, alike: usize) -> Vec<Pasted> {
        let mut counts: HashMap<(String, String), usize> = HashMap::new();
        let mut few: Vec<Pasted> = self.0;
        few.retain(|pasted| {
            let count = counts.entry((pasted.code.clone(), form(&pasted.line))).or_default();
            *count += 1;
            *count <= alike || !pasted.line.starts_with("ipaudit ")
        });
        few.sort_by_key(Pasted::writes);
        few
    }
}

fn next(finding: &Value) -> Vec<String> {
    let next = finding["next"].as_array().into_iter().flatten();
    next.map(|line| line.as_str().unwrap().to_owned()).collect()
}

/// The lines that begin with a program, with the code of the finding above them.
fn lines(table: &str) -> Vec<Pasted> {
    let mut code = "first lines".to_owned();
    let mut commands = Vec::new();
    for line in table.lines() {
        if line.starts_with("IPA") {
            code = line.split(' ').next().unwrap().to_owned();
        }
        let line = line.trim_start();
        if is_command(line) {
            commands.push(Pasted { code: code.clone(), line: line.to_owned() });
        }
    }
    commands
}

fn is_command(line: &str) -> bool {
    [
        "ipaudit ",
        "etcdctl ",
        "ETCDCTL_",
        "calicoctl ",
        "kubectl ",
        "crictl ",
        "printf ",
        "for id in ",
        "ssh ",
        "(set -C; ",
    ]
    .iter()
    .any(|program| line.starts_with(program))
}

/// A command with its plain names (addresses, ids of containers) left out.
pub fn form(line: &str) -> String {
    let plain = |word: &str| {
        word.len() > 3
            && word.chars().any(|c| c.is_ascii_digit())
            && !word.starts_with('-')
            && !word.starts_with("IPA")
            && word.chars().all(|c| c.is_ascii_alphanumeric() || ".:-/".contains(c))
    };
    line.split(' ').map(|word| if plain(word) { "#" } else { word }).collect::<Vec<_>>().join(" ")
}

/// What is not whole, and what would do harm to whoever pastes it.
pub fn harm(document: &Value, tables: &[&str]) -> Vec<String> {
    let findings = document["findings"].as_array().unwrap();
    let has = |code: &str| findings.iter().any(|finding| finding["code"] == code);
    let of_json = findings.iter().map(|f| next(f).into_iter().map(|line| pasted(f, line)).collect::<Vec<_>>());
    let mut failures = Vec::new();
    for run in of_json.chain(tables.iter().map(|table| lines(table))) {
        let mut locked = has("IPA902");
        for Pasted { code, line } in run {
            let mut wrong = |why: &str| failures.push(format!("{code}: {line}\n    {why}"));
            locked &= line != "calicoctl datastore migrate unlock";
            if line.contains('…') || line.ends_with(" more") || line.contains(" more ") {
                wrong("is not whole");
            }
            if !line.bytes().all(|b| (b' '..=b'~').contains(&b)) {
                wrong("is not what a terminal shows");
            }
            if locked && line.contains(" delete pod") {
                wrong("restarts pods while the datastore is locked");
            }
            if locked && (line.starts_with("calicoctl delete ") || line.contains("etcdctl txn")) {
                wrong("writes what somebody migrates");
            }
            if (has("IPA903") || has("IPA905")) && line.starts_with("ipaudit release ") {
                wrong("releases what is not this cluster's");
            }
            if has("IPA905") && line.contains("--scope exclusive") {
                wrong("makes departed nodes of another cluster's");
            }
        }
    }
    if (has("IPA903") || has("IPA905")) && tables.iter().any(|table| table.contains("--scope exclusive")) {
        failures.push("--scope exclusive is spoken of".to_owned());
    }
    failures
}

/// Whether a line deletes a pod that nothing makes anew, without saving it, or one that ends already.
pub fn loses(cluster: &Value, line: &str) -> Option<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["kubectl", "-n", namespace, "delete", "pod", names @ ..] = &words[..] else { return None };
    let items = cluster["items"].as_array()?.iter().filter(|item| item["kind"] == "Pod");
    let named = |item: &&Value| {
        let metadata = &item["metadata"];
        metadata["namespace"] == *namespace && names.iter().any(|name| metadata["name"] == *name)
    };
    let is_lost = |item: &&Value| {
        let metadata = &item["metadata"];
        let mut owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        let is_static = !metadata["annotations"]["kubernetes.io/config.mirror"].is_null();
        !owners.any(|owner| owner["controller"] == true) || is_static || !metadata["deletionTimestamp"].is_null()
    };
    items.filter(named).find(is_lost).map(|item| format!("{} does not come back", item["metadata"]["name"]))
}

fn pasted(finding: &Value, line: String) -> Pasted {
    Pasted { code: finding["code"].as_str().unwrap().to_owned(), line }
}

/// Whether these bytes stand somewhere among others.
pub fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
