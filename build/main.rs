//! Tells the crate what it was built from: `ipaudit version` prints it.
//!
//! Neither git nor the network is asked, and what cannot be learned is unknown: a build never fails for it. It runs
//! again when another commit is checked out, not with every build.

mod commit;

use std::io::{Result, Write};
use std::path::Path;

fn main() -> Result<()> {
    let mut cargo = std::io::stdout().lock();
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let found = commit::find(Path::new(&variable("CARGO_MANIFEST_DIR")), &variable("IPAUDIT_COMMIT"));
    writeln!(cargo, "cargo::rerun-if-env-changed=IPAUDIT_COMMIT")?;
    for file in found.watch {
        writeln!(cargo, "cargo::rerun-if-changed={}", file.display())?;
    }
    writeln!(cargo, "cargo::rustc-env=IPAUDIT_BUILD_COMMIT={}", found.commit.unwrap_or_default())?;
    writeln!(cargo, "cargo::rustc-env=IPAUDIT_BUILD_TARGET={}", variable("TARGET"))?;
    writeln!(cargo, "cargo::rustc-env=IPAUDIT_BUILD_FEATURES={}", features().join(","))?;
    writeln!(cargo, "cargo::rustc-env=IPAUDIT_BUILD_RUSTC={}", rustc(&variable("RUSTC")).unwrap_or_default())
}

/// The features that were chosen, as Cargo.toml writes them.
fn features() -> Vec<String> {
    let names = std::env::vars().filter_map(|(name, _)| name.strip_prefix("CARGO_FEATURE_").map(str::to_lowercase));
    let mut names: Vec<String> = names.filter(|name| name != "default").map(|name| name.replace('_', "-")).collect();
    names.sort();
    names
}

/// `1.91.0` of `rustc 1.91.0 (f8297e351 2025-10-28)`.
fn rustc(compiler: &str) -> Option<String> {
    let said = std::process::Command::new(compiler).arg("--version").output().ok()?;
    String::from_utf8(said.stdout).ok()?.split_whitespace().nth(1).map(str::to_owned)
}
