//! What an audit may say of giving leaks back: the caller judges it, the renderers repeat it.

use std::time::Duration;

use crate::model::Foreign;

/// What may be advised of releases. Only what would be let through is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Releases {
    /// Nobody has judged it.
    #[default]
    Unjudged,
    /// No release would be let through; why.
    Closed(Foreign),
    /// The same, and by no fault of the cluster's: Kubernetes was read from files, which answer nothing anew; in words.
    FromFiles(Foreign),
    /// No leak has been seen by enough audits, or many at once would be refused.
    Early,
    /// Leaks that the history has known for so long would be let through.
    Open { older_than: &'static str },
}

impl Releases {
    /// Leaks that the history has known for so long: the roundest age below that.
    pub const fn open(known_for: Duration) -> Releases {
        let older_than = match known_for.as_secs() {
            86_400.. => "24h",
            3_600.. => "1h",
            _ => "15m",
        };
        Releases::Open { older_than }
    }
}
