//! What an audit may say of giving leaks back: the caller judges it, the renderers repeat it.

use std::time::Duration;

use crate::model::{Code, Foreign};

/// What may be advised of releases. Only what would be let through is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Releases {
    /// Nobody has judged it.
    #[default]
    Unjudged,
    /// No release would be let through; why.
    Closed(Foreign),
    /// Not many at once, though single ones that three audits have seen would be let through; why.
    NotMany(Foreign),
    /// The same, and by no fault of the cluster's: Kubernetes was read from files, which answer nothing anew; in words.
    FromFiles(Foreign),
    /// No leak has been seen by enough audits; `again`: since the datastore was restored.
    Early { again: bool },
    /// Leaks that the history has known for so long would be let through.
    Open { older_than: &'static str },
}

impl Releases {
    /// Leaks that the history has known for so long: the roundest age below that.
    pub const fn open(known_for: Duration) -> Releases {
        Releases::Open { older_than: older_than(known_for) }
    }
}

/// The roundest age below that, as `--older-than` takes it.
pub const fn older_than(known_for: Duration) -> &'static str {
    match known_for.as_secs() {
        86_400.. => "24h",
        3_600.. => "1h",
        _ => "15m",
    }
}

/// The release of everything of a code that is so old.
pub fn release_by_code(code: Code, older_than: &str) -> String {
    format!("ipaudit release --code {code} --older-than {older_than}")
}
