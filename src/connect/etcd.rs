//! One connection to etcd that survives a dead, frozen or restarted member.
//!
//! etcd-client can hold several endpoints itself, but its balancer keeps sending requests to a member that
//! accepts connections and never answers, and it repeats nothing. So we hold one endpoint at a time, in the order given:
//! it stays until it fails, then the next one is taken ([`Connection::call`]). That also tells which member
//! answered, and whom an error is about.
//!
//! Only reads may go through [`Connection::call`], because it repeats them. A transaction that writes is sent once
//! ([`Connection::once`]): when its answer is lost, its outcome is unknown and must be looked up.

mod keys;
mod login;
mod status;
mod stream;
mod watch;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, KvClient, StatusResponse};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::endpoint::Target;
use super::settings::{EtcdSettings, Secret, read_text};
use super::tls::{self, EtcdTls};
use super::trouble::{self, Contact, Trouble, TroubleKind};
use crate::error::Error;

pub use keys::{Pin, PinnedKeys, Stored};
pub use stream::RangeStream;
pub use watch::{Watched, Watching};

/// A member that is only slow answers these; a dead one is noticed after 15 seconds.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));
/// The first pause before another try; doubled each time.
const BACKOFF: Duration = Duration::from_millis(100);
/// Tries of one call on a connection that has worked: with the pauses, about three seconds, which a restart of
/// etcd takes.
const TRIES: usize = 6;
/// Tries when nobody has ever answered: a wrong port should be told at once.
const FIRST_TRIES: usize = 2;

/// What we are doing as long as nobody says it better.
const CONNECT: &str = "connect to etcd";

/// An etcd to read from; clones share it.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    targets: Vec<Target>,
    user: Option<(String, Secret)>,
    tls: EtcdTls,
    has_certificate: bool,
    connect_timeout: Duration,
    request_timeout: Duration,
    largest_answer: usize,
    /// Whether any answer ever came.
    proven: AtomicBool,
    /// Whether etcd took the first login, or has no authentication.
    login: OnceLock<bool>,
    /// Endpoints without RangeStream, as they are shown.
    cannot_stream: std::sync::Mutex<BTreeSet<String>>,
    state: Mutex<TargetInUse>,
}

struct TargetInUse {
    /// Which target.
    at: usize,
    /// Grows with every change of target or client, so that two calls that fail together move on once.
    generation: u64,
    client: Option<Client>,
}

/// A client of one endpoint, for one call.
struct Current {
    client: Client,
    /// The endpoint, without credentials.
    endpoint: String,
    generation: u64,
}

/// Who gave an answer.
struct AnsweredBy {
    /// The endpoint, without credentials.
    endpoint: String,
    generation: u64,
}

impl Connection {
    /// Prepares a connection: reads the certificates, asks DNS where asked to. Nothing is connected yet.
    ///
    /// # Errors
    /// A certificate that cannot be used, a domain without records, an endpoint that is no URL.
    pub async fn open(settings: &EtcdSettings) -> Result<Connection, Error> {
        let endpoints = match &settings.discovery_srv {
            Some(domain) => discover(domain, settings).await?,
            None => settings.endpoints.clone(),
        };
        let targets: Vec<Target> =
            endpoints.iter().map(|e| Target::parse(e, settings.has_tls())).collect::<Result<_, _>>()?;
        let https = targets.iter().any(Target::is_https);
        let tls = if https { tls::options(settings)? } else { EtcdTls::default() };
        let user = match (&settings.username, &settings.password) {
            (Some(name), Some(password)) => {
                let text = read_text(password, "the etcd password")?;
                Some((name.clone(), Secret::new(text.trim_end_matches(['\r', '\n']))))
            }
            _ => None,
        };
        Ok(Connection(Arc::new(Inner {
            targets,
            user,
            tls,
            has_certificate: settings.cert.is_some(),
            connect_timeout: settings.connect_timeout,
            request_timeout: settings.request_timeout,
            largest_answer: settings.largest_answer,
            proven: AtomicBool::new(false),
            login: OnceLock::new(),
            cannot_stream: std::sync::Mutex::default(),
            state: Mutex::new(TargetInUse { at: 0, generation: 0, client: None }),
        })))
    }

    /// The endpoints as people wrote them (or DNS named them), without credentials.
    pub fn endpoints(&self) -> Vec<String> {
        self.0.targets.iter().map(|t| t.shown.clone()).collect()
    }

    /// The login is under a deadline as well: it too hangs on a frozen server.
    async fn current(&self, limit: Duration) -> Result<Current, Trouble> {
        let mut state = self.0.state.lock().await;
        let Some(target) = self.0.targets.get(state.at) else {
            return Err(self.0.trouble(TroubleKind::Other, "", "no endpoint"));
        };
        let client = match &state.client {
            Some(client) => client.clone(),
            None => {
                let made = timeout(limit, self.0.connect(target)).await;
                let made = made.unwrap_or_else(|_| Err(self.0.no_answer(&target.shown, limit)));
                if made.is_err() {
                    state.move_on(self.0.targets.len());
                }
                state.client.insert(made?).clone()
            }
        };
        Ok(Current { client, endpoint: target.shown.clone(), generation: state.generation })
    }

    /// What the endpoint in use says of itself; `None` when it does not, for whatever reason. Never repeated: it is about
    /// this very member.
    pub async fn own_status(&self) -> Option<StatusResponse> {
        let limit = self.0.connect_timeout;
        let mut client = self.current(limit).await.ok()?.client;
        timeout(limit, client.status()).await.ok()?.ok()
    }

    /// Sends a request that writes: once. When the trouble is one to try [again](Trouble::again), nobody knows whether the
    /// server has done it; the next call goes to another endpoint.
    ///
    /// # Errors
    /// A refusal, which means that nothing was done; or an unknown outcome.
    pub async fn once<T, F, R>(&self, doing: &str, request: F) -> Result<T, Trouble>
    where
        F: Fn(KvClient) -> R,
        R: Future<Output = Result<T, etcd_client::Error>>,
    {
        let request = |client: Client| request(self.0.kv(&client));
        let answer = self.try_once(&request, self.0.request_timeout).await;
        answer.map(|(answer, _)| answer).map_err(|trouble| trouble.while_doing(doing))
    }

    /// Sends a *read* until it is answered: each try with a deadline, the next endpoint after a failure, pauses
    /// between rounds. `doing` fits after "cannot".
    ///
    /// # Errors
    /// A refusal at once; when nobody answers, what each endpoint said.
    pub async fn call<T, F, R>(&self, doing: &str, request: F) -> Result<T, Trouble>
    where
        F: Fn(KvClient) -> R,
        R: Future<Output = Result<T, etcd_client::Error>>,
    {
        let answer = self.repeat(doing, |client: Client| request(self.0.kv(&client))).await;
        answer.map(|(answer, _)| answer)
    }

    /// The same with the whole client; the answer comes with the endpoint that gave it.
    async fn repeat<T, F, R>(&self, doing: &str, request: F) -> Result<(T, AnsweredBy), Trouble>
    where
        F: Fn(Client) -> R,
        R: Future<Output = Result<T, etcd_client::Error>>,
    {
        let began = Instant::now();
        let mut failures = Failures::default();
        let mut pause = BACKOFF;
        loop {
            match self.try_once(&request, self.deadline(&failures)).await {
                Ok(answer) => return Ok(answer),
                Err(trouble) if trouble.again() => failures.add(trouble),
                Err(trouble) => return Err(trouble.while_doing(doing)),
            }
            if self.gives_up(&failures, began) {
                return Err(failures.sum().while_doing(doing));
            }
            if failures.count.is_multiple_of(self.0.targets.len()) {
                sleep(pause).await;
                pause *= 2;
            }
        }
    }

    async fn try_once<T, F, R>(&self, request: &F, limit: Duration) -> Result<(T, AnsweredBy), Trouble>
    where
        F: Fn(Client) -> R,
        R: Future<Output = Result<T, etcd_client::Error>>,
    {
        let current = self.current(limit).await?;
        let trouble = match timeout(limit, request(current.client)).await {
            Ok(Ok(answer)) => {
                self.0.proven.store(true, Relaxed);
                return Ok((answer, AnsweredBy { endpoint: current.endpoint, generation: current.generation }));
            }
            Ok(Err(error)) => self.0.trouble(trouble::kind(&error), &current.endpoint, &trouble::text(&error)),
            Err(_) => self.0.no_answer(&current.endpoint, limit),
        };
        self.leave_after(&trouble, current.generation).await;
        Err(trouble)
    }

    /// Goes to the next endpoint when this trouble is worth another try.
    async fn leave_after(&self, trouble: &Trouble, generation: u64) {
        if trouble.again() {
            let mut state = self.0.state.lock().await;
            // Two calls that fail together move on once.
            if state.generation == generation {
                state.move_on(self.0.targets.len());
            }
        }
    }

    /// With other endpoints to go to, one that has never answered gets no more than the time for a connection;
    /// in the second round it gets all the time there is, since slow is not dead.
    fn deadline(&self, failures: &Failures) -> Duration {
        let proven = self.0.proven.load(Relaxed);
        let endpoints = self.0.targets.len();
        match !proven && endpoints > 1 && failures.count < endpoints {
            true => self.0.connect_timeout,
            false => self.0.request_timeout,
        }
    }

    fn gives_up(&self, failures: &Failures, began: Instant) -> bool {
        let proven = self.0.proven.load(Relaxed);
        let endpoints = self.0.targets.len();
        let tries = if proven { TRIES.max(2 * endpoints) } else { FIRST_TRIES * endpoints };
        // Each endpoint's turn and one more.
        let turns = u32::try_from(endpoints + 1).unwrap_or(u32::MAX);
        let patience = self.0.request_timeout.saturating_mul(turns).saturating_add(self.0.connect_timeout);
        // Learners stay learners: when every endpoint is one, asking again changes nothing.
        let all_learn =
            failures.last.len() == endpoints && failures.last.iter().all(|t| t.kind == TroubleKind::Learner);
        failures.count >= tries || failures.timeouts > endpoints || all_learn || began.elapsed() >= patience
    }
}

#[cfg(feature = "srv")]
async fn discover(domain: &str, settings: &EtcdSettings) -> Result<Vec<String>, Error> {
    super::srv::discover(domain, settings.dns_server, settings.request_timeout).await
}

#[cfg(not(feature = "srv"))]
async fn discover(domain: &str, _: &EtcdSettings) -> Result<Vec<String>, Error> {
    let hint = "name the endpoints themselves (--etcd-endpoints), or use a build with the feature srv";
    let cause = "this ipaudit was built without SRV discovery";
    Err(Error::configuration("discover etcd's endpoints")
        .at(format!("SRV records of {domain}"))
        .cause(cause)
        .hint(hint))
}

/// What each endpoint said during one call.
#[derive(Default)]
struct Failures {
    count: usize,
    timeouts: usize,
    /// The last trouble of each endpoint, in the order met.
    last: Vec<Trouble>,
}

impl Failures {
    fn add(&mut self, trouble: Trouble) {
        self.count += 1;
        self.timeouts += usize::from(trouble.kind == TroubleKind::Timeout);
        self.last.retain(|t| t.error.at != trouble.error.at);
        self.last.push(trouble);
    }

    /// One endpoint: its own story. Several: each one's.
    fn sum(mut self) -> Trouble {
        let first = self.last.first().map(|t| t.kind);
        let kind = first.filter(|kind| self.last.iter().all(|t| t.kind == *kind)).unwrap_or(TroubleKind::Retry);
        if self.last.len() == 1
            && let Some(only) = self.last.pop()
        {
            return only;
        }
        let story = |t: &Trouble| {
            let cause = t.error.cause.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{}: {cause}", t.error.at)
        };
        let at: Vec<&str> = self.last.iter().map(|t| t.error.at.as_str()).collect();
        let causes: Vec<String> = self.last.iter().map(story).collect();
        let hint = self.last.iter().map(|t| t.error.hint.as_str()).find(|h| !h.is_empty()).unwrap_or_default();
        Trouble { kind, error: Error::input(CONNECT).at(at.join(", ")).cause(causes.join("; ")).hint(hint) }
    }
}

impl TargetInUse {
    /// Leaves the client for the next endpoint.
    fn move_on(&mut self, endpoints: usize) {
        self.at = (self.at + 1) % endpoints.max(1);
        self.generation += 1;
        self.client = None;
    }
}

impl Inner {
    fn kv(&self, client: &Client) -> KvClient {
        client.kv_client().max_decoding_message_size(self.largest_answer)
    }

    async fn connect(&self, target: &Target) -> Result<Client, Trouble> {
        let with_user = self.client(target, true).await;
        let client = match with_user {
            // Calico's client takes it so: a user where nobody asks for one does no harm.
            Err(error) if self.user.is_some() && trouble::authentication_is_off(&error) => {
                self.login.get_or_init(|| false);
                self.client(target, false).await
            }
            Ok(client) => {
                if self.user.is_some() {
                    self.login.get_or_init(|| true);
                }
                Ok(client)
            }
            failed => failed,
        };
        client.map_err(|error| {
            let (kind, text) = (trouble::kind(&error), trouble::text(&error));
            self.trouble(kind, &target.shown, &text)
        })
    }

    async fn client(&self, target: &Target, log_in: bool) -> Result<Client, etcd_client::Error> {
        let (interval, patience) = KEEP_ALIVE;
        let mut options = ConnectOptions::new()
            .with_connect_timeout(self.connect_timeout)
            .with_keep_alive(interval, patience)
            // etcd hangs up on clients that ping it without asking anything.
            .with_keep_alive_while_idle(false)
            .with_auto_token_refresh(true);
        if target.is_https() {
            options = options.with_tls(self.tls.options.clone());
        }
        if let (Some((name, password)), true) = (&self.user, log_in) {
            options = options.with_user(name, password.expose());
        }
        Client::connect([target.url.as_str()], Some(options)).await
    }

    fn trouble(&self, kind: TroubleKind, endpoint: &str, text: &str) -> Trouble {
        let in_time = format!("no connection within {}", humantime::format_duration(self.connect_timeout));
        let text = if text.contains(trouble::DROPPED) { &in_time } else { text };
        let how = Contact {
            https: endpoint.starts_with("https"),
            trusts_nobody: self.tls.trusts_nobody,
            certificate: self.has_certificate,
            proven: self.proven.load(Relaxed),
        };
        let hint = trouble::hint(text, how);
        Trouble { kind, error: Error::input(CONNECT).at(endpoint).cause(text.to_owned()).hint(hint) }
    }

    fn no_answer(&self, endpoint: &str, limit: Duration) -> Trouble {
        self.trouble(TroubleKind::Timeout, endpoint, &format!("no answer within {}", humantime::format_duration(limit)))
    }
}
