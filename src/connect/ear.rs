//! An ear for signals where a credential plugin may run: it is ended before the process is.
//!
//! Without one a signal ends the process at once, as it does any program, and nobody is left to end the plugin. Who answers
//! signals himself (a release that finishes its transaction, a watch) says so, and ends the process by [`end_by`] where he does.

use std::sync::atomic::{AtomicBool, Ordering};

use super::plugin;

static IS_ANSWERED: AtomicBool = AtomicBool::new(false);

/// Somebody else decides from here on what a signal does.
pub fn is_answered_elsewhere() {
    IS_ANSWERED.store(true, Ordering::SeqCst);
}

/// Ends this process as a shell shows the end by this signal: 128 and its number. No plugin stays behind.
pub fn end_by(signal: i32) -> ! {
    plugin::end_all();
    std::process::exit(128 + signal)
}

/// Listens from here on, once for all. What whoever started us wants ignored (`nohup`, a job in the background) stays so.
#[cfg(unix)]
pub(super) fn listen() {
    use std::sync::Once;

    use tokio::signal::unix::{SignalKind, signal};

    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()];
        for kind in kinds.into_iter().filter(|kind| !is_ignored(kind.as_raw_value())) {
            let Ok(mut signals) = signal(kind) else { continue };
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    let is_heard = [SignalKind::terminate(), SignalKind::interrupt()].contains(&kind);
                    if !(is_heard && IS_ANSWERED.load(Ordering::SeqCst)) {
                        end_by(kind.as_raw_value());
                    }
                }
            });
        }
    });
}

#[cfg(not(unix))]
pub(super) fn listen() {}

/// By what the kernel shows of this process; where it shows nothing, nothing is.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    let mask = mask.and_then(|mask| u64::from_str_radix(mask, 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}
