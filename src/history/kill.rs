//! Named places at which a test build dies when it is told to: what a power failure would leave there is looked at.
//!
//! `IPAUDIT_KILL_AT=begin` dies at the first pass of the point `begin`, `=begin:3` at the third. A release build has
//! none of this.

/// A point of the write; the tests list them.
#[cfg(debug_assertions)]
pub(super) fn point(name: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static PASSES: AtomicU32 = AtomicU32::new(0);
    let Some(wanted) = crate::environment::text("IPAUDIT_KILL_AT") else { return };
    let (point, pass) = wanted.split_once(':').unwrap_or((&wanted, "1"));
    if point != name || pass.parse() != Ok(PASSES.fetch_add(1, Ordering::Relaxed) + 1) {
        return;
    }
    let _ = std::process::Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
    loop {
        std::thread::park();
    }
}

#[cfg(not(debug_assertions))]
pub(super) fn point(_: &str) {}
