//! What is needed to reach etcd, and which place said it. Plain values; [`super::choose`] fills them.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::environment::file::{self, Takes};
use crate::environment::stream;
use crate::error::Error;

/// What a user may give on the command line (or in the flag's `IPAUDIT_…` variable).
#[derive(Clone, Debug, Default)]
pub struct EtcdFlags {
    /// Comma separated.
    pub endpoints: Option<String>,
    pub discovery_srv: Option<String>,
    pub ca_cert: Option<String>,
    pub cert: Option<String>,
    pub key: Option<String>,
    pub username: Option<String>,
    /// A file, because `ps` shows command lines.
    pub password_file: Option<String>,
    /// calicoctl's configuration file; `None` looks at [`super::calicoctl::DEFAULT_PATH`].
    pub config: Option<String>,
    /// Reads in flight, 1..=16.
    pub concurrency: Option<usize>,
    /// See [`EtcdSettings::gentle`].
    pub gentle: bool,
    /// How long one request may take.
    pub timeout: Option<Duration>,
}

/// Where a value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    Flag(&'static str),
    Environment(&'static str),
    File(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) | Origin::Environment(name) => f.write_str(name),
            Origin::File(path) => f.write_str(path),
        }
    }
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one who must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A certificate or key, or a password: in a file, or given as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Source {
    File(PathBuf),
    Inline(Secret),
}

/// Everything that is needed to reach etcd.
#[derive(Clone, Debug)]
pub struct EtcdSettings {
    /// As people wrote them, with or without scheme; empty with `discovery_srv`.
    pub endpoints: Vec<String>,
    /// The domain whose SRV records name the endpoints.
    pub discovery_srv: Option<String>,
    pub ca_cert: Option<Source>,
    pub cert: Option<Source>,
    pub key: Option<Source>,
    pub username: Option<String>,
    pub password: Option<Source>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// Reads in flight, 1..=16.
    pub concurrency: usize,
    /// Others' writes come first: one short read in flight.
    pub gentle: bool,
    /// The largest answer that is accepted, in bytes; a page that is larger is asked for in smaller pieces.
    pub largest_answer: usize,
    /// A DNS server for SRV discovery instead of the system's (tests; unusual networks).
    pub dns_server: Option<std::net::SocketAddr>,
    /// What was set and by whom, in the order of the fields.
    pub origins: Vec<(&'static str, Origin)>,
    /// What was seen and not used.
    pub notes: Vec<String>,
}

/// How long one request may take unless the user says otherwise.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take to come about.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// etcd-client's own limit is 4 MiB; a page of full blocks is more.
pub const LARGEST_ANSWER: usize = 256 << 20;
/// Reads in flight unless the user says otherwise: more makes other people's writes wait.
pub const CONCURRENCY: usize = 2;

impl EtcdSettings {
    /// Plain settings for these endpoints, everything else by default.
    pub fn new<S: Into<String>>(endpoints: impl IntoIterator<Item = S>) -> EtcdSettings {
        EtcdSettings {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            discovery_srv: None,
            ca_cert: None,
            cert: None,
            key: None,
            username: None,
            password: None,
            connect_timeout: CONNECT_TIMEOUT,
            request_timeout: REQUEST_TIMEOUT,
            concurrency: CONCURRENCY,
            gentle: false,
            largest_answer: LARGEST_ANSWER,
            dns_server: None,
            origins: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Sets how long one request may take; a connection may never take longer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> EtcdSettings {
        self.request_timeout = timeout;
        self.connect_timeout = CONNECT_TIMEOUT.min(timeout);
        self
    }

    /// Whether any certificate or key was given: an endpoint without scheme then means https.
    pub fn has_tls(&self) -> bool {
        self.ca_cert.is_some() || self.cert.is_some() || self.key.is_some()
    }

    /// One line a value, for `-v`: what is used and where it came from. Holds no secret.
    pub fn explain(&self) -> Vec<String> {
        let lines = self.origins.iter().map(|(what, origin)| format!("{what} from {origin}"));
        lines.chain(self.notes.iter().cloned()).collect()
    }
}

/// Bytes that calicoctl's configuration, a certificate, a key or a password has at most: a bundle of CAs is the biggest.
pub(super) const SMALL_FILE: u64 = 16 << 20;

/// The file's text, with the file's name in the error. For certificates, keys and passwords.
pub(super) fn read_text(source: &Source, what: &str) -> Result<String, Error> {
    match source {
        Source::File(path) => {
            let fail = || Error::configuration(format!("read {what}")).at(stream::name(path));
            let text = file::read_text(path, SMALL_FILE, Takes::Anything).map_err(|e| fail().cause(e))?;
            match text.trim().is_empty() {
                true => Err(fail().cause(format!("{} is empty", stream::what(path)))),
                false => Ok(text),
            }
        }
        Source::Inline(secret) => Ok(secret.0.clone()),
    }
}
