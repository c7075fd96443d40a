//! Ctrl-C and SIGTERM: whoever writes finishes the running transaction, and begins no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How often a pause looks whether the run is stopped.
const LISTEN: Duration = Duration::from_millis(50);

/// Whether somebody wants the run to stop.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from here on, not only once somebody looks: a signal that comes before the first step stops the run as
    /// well.
    pub fn on_signal() -> Stop {
        let stop = Stop(Arc::new(AtomicBool::new(false)));
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
                let Ok(mut signals) = signal(kind) else { continue };
                let Stop(flag) = stop.clone();
                tokio::spawn(async move {
                    signals.recv().await;
                    flag.store(true, Ordering::SeqCst);
                });
            }
        }
        #[cfg(not(unix))]
        {
            let Stop(flag) = stop.clone();
            tokio::spawn(async move {
                if tokio::signal::ctrl_c().await.is_ok() {
                    flag.store(true, Ordering::SeqCst);
                }
            });
        }
        stop
    }

    pub fn is_wanted(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Waits until then, or until the run is stopped: a pause may be longer than whoever stops it has patience.
    pub async fn pause(&self, until: Instant) {
        while !self.is_wanted() && Instant::now() < until {
            sleep_until(until.min(Instant::now() + LISTEN)).await;
        }
    }
}
