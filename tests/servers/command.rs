//! The binary under test, as a user would start it, with an environment of its own: nothing of this machine's
//! settings gets in.

use std::process::{Command, Output};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_ipaudit");

/// `ipaudit`, with an empty environment, no home, and no history unless a test names one with `--db`.
pub fn ipaudit() -> Command {
    in_its_own_environment(Command::new(BINARY))
}

/// The same, heeding every signal: what runs the tests may ignore some (`nohup`, a shell's background), and that is
/// inherited.
pub fn ipaudit_that_hears() -> Command {
    let mut command = in_its_own_environment(Command::new("/usr/bin/env"));
    command.args(["--default-signal=HUP,INT,QUIT,TERM", BINARY]);
    command
}

fn in_its_own_environment(mut command: Command) -> Command {
    command.env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin").env("IPAUDIT_NO_HISTORY", "true");
    command
}

/// Standard output as JSON.
pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

/// Standard error as text.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Standard output as text.
pub fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The first line of standard output, on as many lines as it takes at this width.
pub fn first(output: &Output) -> String {
    let text = text(output);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_else(|| panic!("{output:?}")).to_owned();
    lines.take_while(|line| line.starts_with("  ")).fold(first, |all, line| format!("{all} {}", line.trim_start()))
}

/// The document that was printed, which is what `docs/<schema>.schema.json` says, every field of it.
pub fn document(output: &Output, schema: &str) -> Value {
    let document = json(output);
    let file = format!("{}/docs/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path)).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    document
}

/// `ipaudit COMMAND` about an etcd that a moment of a golden case was loaded into, at that moment.
pub fn at_moment(command: &str, etcd: &super::Etcd, moment: &super::golden::Moment) -> Command {
    let mut ipaudit = ipaudit();
    ipaudit.args([command, "--etcd-endpoints", &etcd.endpoint(), "--now", &moment.captured_at]);
    ipaudit.arg("--kube-objects").arg(&moment.cluster_file);
    ipaudit
}
