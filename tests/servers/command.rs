//! The binary under test, as a user would start it, with an environment of its own: nothing of this machine's
//! settings gets in.

use std::process::{Command, Output};

use serde_json::Value;

/// `ipaudit`, with an empty environment, no home, and no history unless a test names one with `--db`.
pub fn ipaudit() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ipaudit"));
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
