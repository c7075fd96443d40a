//! Ctrl-C and SIGTERM: whoever writes finishes the running transaction, and begins no other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::output::Streams;

/// How often a pause looks whether the run is stopped.
const LISTEN: Duration = Duration::from_millis(50);

/// What a signal that is not the first may do.
#[derive(Clone, Copy, Debug)]
struct AtOnce {
    code: u8,
    answer: &'static str,
    streams: Streams,
}

/// Whether somebody wants the run to stop.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens from here on, not only once somebody looks: a signal that comes before the first step stops the run as
    /// well.
    pub fn on_signal() -> Stop {
        Stop::listening(None)
    }

    /// The same for a run that may last: the first signal is answered on standard error, and a Ctrl-C after it ends the
    /// process with this code, whatever it does.
    pub fn on_signal_or_at_once(code: u8, answer: &'static str, streams: Streams) -> Stop {
        Stop::listening(Some(AtOnce { code, answer, streams }))
    }

    fn listening(at_once: Option<AtOnce>) -> Stop {
        let stop = Stop(Arc::new(AtomicBool::new(false)));
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
                let Ok(mut signals) = signal(kind) else { continue };
                let stop = stop.clone();
                tokio::spawn(async move {
                    while signals.recv().await.is_some() {
                        stop.hear(kind == SignalKind::interrupt(), at_once);
                    }
                });
            }
        }
        #[cfg(not(unix))]
        {
            let stop = stop.clone();
            tokio::spawn(async move {
                while tokio::signal::ctrl_c().await.is_ok() {
                    stop.hear(true, at_once);
                }
            });
        }
        stop
    }

    /// A signal came.
    fn hear(&self, is_interrupt: bool, at_once: Option<AtOnce>) {
        let is_first = !self.0.swap(true, Ordering::SeqCst);
        match at_once {
            Some(AtOnce { answer, streams, .. }) if is_first => streams.note(answer),
            Some(AtOnce { code, .. }) if is_interrupt => std::process::exit(i32::from(code)),
            _ => {}
        }
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
