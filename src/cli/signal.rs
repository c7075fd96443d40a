//! Ctrl-C and SIGTERM: whoever writes finishes the running transaction, and begins no other. Nothing here waits for a
//! credential plugin, and none is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::output::Streams;
use crate::connect::{ear, plugin};

/// How often a pause looks whether the run is stopped.
const LISTEN: Duration = Duration::from_millis(50);

/// So long what runs may go on after the first signal, where it may last: less than whoever stops containers waits (ten
/// seconds) before he kills.
const GRACE: Duration = Duration::from_secs(8);

const SIGINT: i32 = 2;

/// What is answered to the first signal.
#[derive(Clone, Copy, Debug)]
struct FirstWord {
    words: &'static str,
    /// The same where nothing runs.
    idle: &'static str,
    /// Said when the patience is over. `None`: what runs is waited for, however long it takes.
    given_up: Option<&'static str>,
    streams: Streams,
}

/// What both sides see.
#[derive(Debug, Default)]
struct Shared {
    wanted: AtomicBool,
    /// Nothing runs: the next one is waited for.
    idle: AtomicBool,
}

/// Whether somebody wants the run to stop.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Shared>);

impl Stop {
    /// Listens from here on, not only once somebody looks: a signal that comes before the first step stops the run as
    /// well. The first one is answered on standard error.
    pub fn on_signal(answer: &'static str, streams: Streams) -> Stop {
        Stop::listening(FirstWord { words: answer, idle: answer, given_up: None, streams })
    }

    /// The same for a run that may last: the first signal is answered with `idle` in a pause, and a Ctrl-C after it ends
    /// the process, whatever it does; so do [`GRACE`] seconds, which is told as `given_up`.
    pub fn on_signal_or_at_once(
        answer: &'static str,
        idle: &'static str,
        given_up: &'static str,
        streams: Streams,
    ) -> Stop {
        Stop::listening(FirstWord { words: answer, idle, given_up: Some(given_up), streams })
    }

    fn listening(answer: FirstWord) -> Stop {
        let stop = Stop(Arc::default());
        ear::is_answered_elsewhere();
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
                let Ok(mut signals) = signal(kind) else { continue };
                let stop = stop.clone();
                tokio::spawn(async move {
                    while signals.recv().await.is_some() {
                        stop.hear(kind.as_raw_value(), answer);
                    }
                });
            }
        }
        #[cfg(not(unix))]
        {
            let stop = stop.clone();
            tokio::spawn(async move {
                while tokio::signal::ctrl_c().await.is_ok() {
                    stop.hear(SIGINT, answer);
                }
            });
        }
        stop
    }

    /// A signal came.
    fn hear(&self, signal: i32, answer: FirstWord) {
        let is_first = !self.0.wanted.swap(true, Ordering::SeqCst);
        let FirstWord { words, idle, given_up, streams } = answer;
        if is_first {
            streams.note(self.says(words, idle));
        }
        match given_up {
            // Whoever is asked for credentials is waited for by nobody any more: what begins no transaction needs none.
            None if is_first => plugin::keep_ending(),
            Some(given_up) if is_first => {
                let end = move || {
                    std::thread::sleep(GRACE);
                    streams.note(given_up);
                    ear::end_by(signal)
                };
                // Where no thread can be had the second Ctrl-C is left.
                _ = std::thread::Builder::new().name("patience".to_owned()).spawn(end);
            }
            Some(_) if signal == SIGINT => ear::end_by(SIGINT),
            _ => {}
        }
    }

    /// What is answered: whether anything runs decides.
    fn says(&self, answer: &'static str, idle: &'static str) -> &'static str {
        if self.0.idle.load(Ordering::SeqCst) { idle } else { answer }
    }

    pub fn is_wanted(&self) -> bool {
        self.0.wanted.load(Ordering::SeqCst)
    }

    /// Waits until the run is stopped.
    pub async fn come(&self) {
        while !self.is_wanted() {
            tokio::time::sleep(LISTEN).await;
        }
    }

    /// Waits until then, or until the run is stopped: a pause may be longer than whoever stops it has patience.
    pub async fn pause(&self, until: Instant) {
        self.0.idle.store(true, Ordering::SeqCst);
        while !self.is_wanted() && Instant::now() < until {
            sleep_until(until.min(Instant::now() + LISTEN)).await;
        }
        self.0.idle.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn in_a_pause_nothing_runs() {
        let stop = Stop(Arc::default());
        let said = || stop.says("after the audit", "at once");
        assert_eq!(said(), "after the audit");
        let pause = stop.pause(Instant::now() + Duration::from_secs(3600));
        let listen = async {
            assert_eq!(said(), "at once");
            stop.0.wanted.store(true, Ordering::SeqCst);
        };
        tokio::join!(pause, listen);
        assert_eq!(said(), "after the audit");
    }
}
