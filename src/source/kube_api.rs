//! One request to Kubernetes' API: deadline, another try where that helps, and what the server says.
//!
//! Only GETs are made, so every request may be repeated. `Client::send` is used rather than the kube crate's typed
//! calls: they copy the body twice, decode everything, and log a body that does not decode.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::client::Body;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use prost::bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use crate::connect::kube::KubeClient;
use crate::connect::kube_trouble;
use crate::connect::plugin::Plugin;
use crate::decode::kube::http_date;
use crate::decode::kube_json::{ErrorDetails, ErrorStatus};
use crate::decode::kube_page::{Content, status};
use crate::error::{Error, chain};
use crate::model::{ClockPair, ClockPairs, InputState, Time};

/// The largest answer that is accepted, in bytes: a page of pods is a few MB.
const LARGEST: usize = 512 * 1024 * 1024;

/// How patiently and how gently Kubernetes is read.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Objects a page; 1..=5000. Larger pages only cost memory on both sides.
    pub page: u32,
    /// For one request, its whole answer included.
    pub request: Duration,
    /// For one whole reading, all requests and waits included.
    pub overall: Duration,
    /// How often one request is tried in all; a request that timed out twice is given up.
    pub attempts: u32,
    /// The wait after the first failure; it doubles with each.
    pub first_wait: Duration,
    /// No wait is longer, whatever `Retry-After` says.
    pub longest_wait: Duration,
    /// Requests at once in a second look.
    pub in_flight: usize,
    /// Above so many suspects of one kind a second look lists the kind instead.
    pub single_looks: usize,
}

impl Patience {
    /// The defaults, with this time for one request (`--kube-timeout`) and ten times that for all.
    pub fn with_timeout(request: Duration) -> Patience {
        Patience { request, overall: request.saturating_mul(10), ..Patience::default() }
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            page: 1000,
            request: Duration::from_secs(30),
            overall: Duration::from_secs(300),
            attempts: 5,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(30),
            in_flight: 8,
            single_looks: 300,
        }
    }
}

/// What was asked and answered, for `-v`.
#[derive(Debug, Default)]
pub struct Traffic {
    pub requests: AtomicU64,
    pub retries: AtomicU64,
    /// Good answers in protobuf.
    pub protobuf: AtomicU64,
    /// Good answers in JSON.
    pub json: AtomicU64,
    /// Answers of any kind, errors too.
    pub answers: AtomicU64,
    /// The `Date` of every answer that has one, beside our clock then.
    clocks: Mutex<ClockPairs>,
}

impl Traffic {
    /// What the answers so far said of the clocks.
    pub fn clocks(&self) -> ClockPairs {
        *self.clocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, pair: ClockPair) {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner).note(pair);
    }
}

/// A Kubernetes API to be read.
#[derive(Clone)]
pub struct KubeApi {
    /// Why there is none: its credentials could not be had, which every request says.
    client: Result<kube::Client, Failure>,
    /// What the client may be waiting for.
    plugin: Option<Plugin>,
    pub server: String,
    /// The server, and the proxy before it: for what goes wrong on the way.
    way: String,
    pub patience: Patience,
    pub tally: Arc<Traffic>,
    /// This machine's clock; another one in tests.
    pub clock: fn() -> Time,
}

/// A good answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub content: Content,
    pub body: Bytes,
}

/// Why there is no good answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Failure {
    /// 401: the server does not know us, or not any more. Its whole word.
    Unauthorized,
    /// 403: a right is missing. The server's words.
    Forbidden(String),
    /// 404 for exactly this object: it does not exist.
    NotFound { plural: String, name: String },
    /// 410: the list that is being paged through has been forgotten.
    Gone(String),
    /// Anything else: nobody there, no answer in time, an answer that is none.
    Unreachable {
        /// Who, and why.
        why: String,
        /// What to do about it; empty where nobody has an idea.
        hint: String,
    },
}

impl Failure {
    /// What a person can do about it; empty where [`Failure::detail`] says it, or nobody has an idea.
    pub fn hint(&self) -> &str {
        match self {
            Failure::Unauthorized => kube_trouble::WHO_ARE_WE,
            Failure::Forbidden(_) => kube_trouble::MISSING_RIGHT,
            Failure::Unreachable { hint, .. } => hint,
            Failure::NotFound { .. } | Failure::Gone(_) => "",
        }
    }

    /// How an input is called that failed so.
    pub const fn state(&self) -> InputState {
        match self {
            Failure::Unauthorized | Failure::Forbidden(_) => InputState::Forbidden,
            Failure::NotFound { .. } | Failure::Gone(_) | Failure::Unreachable { .. } => InputState::Unreachable,
        }
    }

    /// Nobody there, and no idea what to do about it.
    pub fn unreachable(why: impl Into<String>) -> Failure {
        Failure::Unreachable { why: why.into(), hint: String::new() }
    }

    /// [`Failure::detail`] and what to do about nobody's being there, in one line.
    pub fn sentence(self) -> String {
        match self {
            Failure::Unreachable { why, hint } if !hint.is_empty() => format!("{why}; {hint}"),
            other => other.detail(),
        }
    }

    /// What a person reads about it.
    pub fn detail(self) -> String {
        match self {
            Failure::Forbidden(text) | Failure::Gone(text) | Failure::Unreachable { why: text, .. } => text,
            Failure::Unauthorized => "Unauthorized".to_owned(),
            Failure::NotFound { plural, name } => format!("{plural} {name:?} not found"),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AnswerForm {
    Object,
    /// Whatever the server calls it: a log.
    Text,
}

/// How one try ended.
enum Try {
    Done(Answer),
    Failed(Failure),
    /// Worth another try, not before this wait if the server named one.
    Again {
        failure: Failure,
        wait: Option<Duration>,
    },
    TimedOut,
}

impl KubeApi {
    /// An API behind this client.
    pub fn new(client: KubeClient, patience: Patience) -> KubeApi {
        let KubeClient { client, server, way, plugin, .. } = client;
        KubeApi { client: Ok(client), plugin, server, way, patience, tally: Arc::default(), clock: present }
    }

    /// An API whose credentials cannot be had: it answers nothing, and says why.
    pub fn without_credentials(why: Error, patience: Patience) -> KubeApi {
        let (server, way) = (why.at.clone(), why.at.clone());
        let client = Err(unanswered(why));
        KubeApi { client, plugin: None, server, way, patience, tally: Arc::default(), clock: present }
    }

    /// The same API, asked so often for one thing.
    #[must_use]
    pub fn with_attempts(&self, attempts: u32) -> KubeApi {
        let patience = Patience { attempts, ..self.patience.clone() };
        KubeApi { patience, ..self.clone() }
    }

    /// When a reading that begins now must be over.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.patience.overall
    }

    /// GETs `path` (with its query).
    ///
    /// # Errors
    /// Why there is no good answer, after as many tries as patience allows.
    pub async fn get(&self, path: &str, deadline: Instant) -> Result<Answer, Failure> {
        self.ask(path, deadline, AnswerForm::Object).await
    }

    /// GETs `path`, of which the answer is a text.
    ///
    /// # Errors
    /// As [`KubeApi::get`].
    pub async fn get_text(&self, path: &str, deadline: Instant) -> Result<Bytes, Failure> {
        self.ask(path, deadline, AnswerForm::Text).await.map(|answer| answer.body)
    }

    async fn ask(&self, path: &str, deadline: Instant, form: AnswerForm) -> Result<Answer, Failure> {
        let client = self.client.as_ref().map_err(Clone::clone)?;
        let mut timeouts = 0;
        let mut attempt = 1;
        loop {
            let now = Instant::now();
            let time = self.patience.request.min(deadline.saturating_duration_since(now));
            if time.is_zero() {
                return Err(Failure::unreachable(self.over()));
            }
            self.tally.requests.fetch_add(1, Ordering::Relaxed);
            let ended = timeout(time, self.once(client, path, form)).await.unwrap_or(Try::TimedOut);
            let hangs = self.plugin.as_ref().filter(|p| matches!(ended, Try::TimedOut) && p.end());
            if let Some(plugin) = hangs {
                return Err(unanswered(kube_trouble::plugin_hangs(&plugin.name, round(time)).at(&self.way)));
            }
            let (failure, asked) = match ended {
                Try::Done(answer) => return Ok(answer),
                Try::Failed(failure) => return Err(failure),
                Try::Again { failure, wait } => (failure, wait),
                // The request was cut short by the end of the whole reading: that says nothing about the request.
                Try::TimedOut if Instant::now() >= deadline => return Err(Failure::unreachable(self.over())),
                Try::TimedOut => {
                    timeouts += 1;
                    let time = humantime::format_duration(round(time));
                    let why = format!("{} did not answer within {time}", self.way);
                    (Failure::Unreachable { why, hint: kube_trouble::SILENT.to_owned() }, None)
                }
            };
            let doubled = self.patience.first_wait.saturating_mul(1 << (attempt - 1).min(16));
            let wait = asked.unwrap_or(doubled).min(self.patience.longest_wait);
            if attempt >= self.patience.attempts || timeouts > 1 || Instant::now() + wait >= deadline {
                return Err(failure);
            }
            tracing::debug!(?failure, ?wait, "asking Kubernetes again");
            self.tally.retries.fetch_add(1, Ordering::Relaxed);
            sleep(wait).await;
            attempt += 1;
        }
    }

    fn over(&self) -> String {
        let overall = humantime::format_duration(self.patience.overall);
        format!("{} was not read within {overall} in all", self.way)
    }

    async fn once(&self, client: &kube::Client, path: &str, form: AnswerForm) -> Try {
        let request = Request::get(path).header(header::ACCEPT, Content::ACCEPT).body(Body::empty());
        let request = match request {
            Ok(request) => request,
            Err(error) => return Try::Failed(Failure::unreachable(chain(&error))),
        };
        let response = match client.send(request).await {
            Ok(response) => response,
            // An unanswered connection attempt has cost its time already.
            Err(error) if chain(&error).contains("deadline has elapsed") => return Try::TimedOut,
            Err(error) => {
                let (way, plugin) = (&self.way, self.plugin.as_ref());
                let failure = unanswered(kube_trouble::explain(&error, "reach Kubernetes", way, plugin));
                return match kube_trouble::is_final(&error) {
                    true => Try::Failed(failure),
                    false => Try::Again { failure, wait: None },
                };
            }
        };
        let (head, body) = response.into_parts();
        self.tally.answers.fetch_add(1, Ordering::Relaxed);
        if let Some(theirs) = text(&head.headers, header::DATE).and_then(http_date) {
            self.tally.note(ClockPair { theirs, ours: (self.clock)() });
        }
        let body = match Limited::new(body, LARGEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                let reason = format!("{}: the answer broke off: {}", self.way, chain(&*error));
                return Try::Again { failure: Failure::unreachable(reason), wait: None };
            }
        };
        self.judge(head.status, &head.headers, body, form)
    }

    fn judge(&self, code: StatusCode, headers: &HeaderMap, body: Bytes, form: AnswerForm) -> Try {
        let kind = text(headers, header::CONTENT_TYPE).unwrap_or_default();
        if code == StatusCode::OK && form == AnswerForm::Text {
            return Try::Done(Answer { content: Content::Json, body });
        }
        if code == StatusCode::OK {
            let Some(content) = Content::parse(kind) else {
                let reason = format!("{} answered with {kind:?}: is a proxy in between?", self.way);
                return Try::Failed(Failure::unreachable(reason));
            };
            let count = if content == Content::Protobuf { &self.tally.protobuf } else { &self.tally.json };
            count.fetch_add(1, Ordering::Relaxed);
            return Try::Done(Answer { content, body });
        }
        let said = status(&body);
        let reason = match &said {
            // That names who may not do what.
            Some(status) if code == StatusCode::FORBIDDEN && !status.message.is_empty() => status.message.clone(),
            // The API server passes its own etcd's words on, which is not Calico's.
            Some(status) if !status.message.is_empty() => {
                format!("{} answered {code}: {}", self.server, status.message)
            }
            Some(status) if !status.reason.is_empty() => format!("{} answered {code}: {}", self.server, status.reason),
            _ => match first_line(kind, &body) {
                Some(line) => format!("{} answered {code}: {line}", self.server),
                None => format!("{} answered {code}", self.server),
            },
        };
        let hint = match &said {
            Some(_) => "",
            None => kube_trouble::not_its_word(matches!(code.as_u16(), 429 | 502 | 503 | 504)),
        };
        let unreachable = |why| Failure::Unreachable { why, hint: hint.to_owned() };
        match (code.as_u16(), said) {
            (401, _) => Try::Failed(Failure::Unauthorized),
            (403, _) => Try::Failed(Failure::Forbidden(reason)),
            // A path that does not exist is 404 too, and names nothing.
            (404, Some(ErrorStatus { reason, details: Some(ErrorDetails { name, kind }), .. }))
                if reason == "NotFound" && !name.is_empty() =>
            {
                Try::Failed(Failure::NotFound { plural: kind, name })
            }
            (410, _) => Try::Failed(Failure::Gone(reason)),
            (429 | 500 | 502 | 503 | 504, _) => {
                let seconds = text(headers, header::RETRY_AFTER).and_then(|text| text.trim().parse().ok());
                Try::Again { failure: unreachable(reason), wait: seconds.map(Duration::from_secs) }
            }
            _ => Try::Failed(unreachable(reason)),
        }
    }
}

/// What is said in plain text instead of a Status, as an API server does that panics: its first line, if that is a short one.
fn first_line(kind: &str, body: &[u8]) -> Option<String> {
    const LONGEST: usize = 200;
    let line = std::str::from_utf8(body).ok().filter(|_| kind.starts_with("text/plain"))?.lines().next()?.trim();
    (!line.is_empty() && line.len() <= LONGEST).then(|| line.to_owned())
}

/// The clock of this machine.
pub fn present() -> Time {
    Time::from_chrono(chrono::Utc::now()).unwrap_or_default()
}

/// Whole seconds where there are some: nobody wants to read nanoseconds.
fn round(time: Duration) -> Duration {
    match time.as_secs() {
        0 => Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        seconds => Duration::from_secs(seconds),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The error as a failure: who, why, and what to do about it.
fn unanswered(error: Error) -> Failure {
    let cause = error.cause.as_deref().map(|cause| chain(cause)).unwrap_or_default();
    Failure::Unreachable { why: format!("{}: {cause}", error.at), hint: error.hint }
}

/// `text` as part of a URL's path or query.
pub fn encoded(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, SEGMENT)
}

/// Everything but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_segment() {
        assert_eq!(encoded("web-0.a_b~").to_string(), "web-0.a_b~");
        assert_eq!(encoded("../é?x=1&y").to_string(), "..%2F%C3%A9%3Fx%3D1%26y");
    }

    #[test]
    fn times_are_shown_short() {
        assert_eq!(round(Duration::from_nanos(29_999_123_456)), Duration::from_secs(29));
        assert_eq!(round(Duration::from_micros(250_700)), Duration::from_millis(250));
    }
}
