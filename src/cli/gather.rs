//! Carries values from the sources into a snapshot: the first look, at everything. The second is in [`super::again`].
//!
//! Pods, nodes and services are listed once, while etcd is read at one revision: by a task of its own, which has its
//! own table of names. Which of the two was read earlier is nobody's to know: what rests on both must be seen to hold
//! twice ([`crate::checks::Steady::KubernetesReadApart`]). What cannot be read is told by the coverage and never looks
//! like absence. A capture being written sees every key as it arrives.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::future::try_join;
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use super::boundaries::boundaries;
use super::changes::{Earlier, GoneOn};
use super::kube_args::KubeArgs;
use super::output::log::Remark;
use super::output::{Streams, as_remark};
use super::source_args::SourceArgs;
use crate::connect::etcd::Connection;
use crate::connect::kube::Surroundings;
use crate::connect::kube_trouble;
use crate::connect::settings::EtcdSettings;
use crate::connect::trouble::MISSING_RIGHT;
use crate::decode::kube::Remarks;
use crate::decode::{self, Kv};
use crate::error::{Error, Fault, chain};
use crate::model::coverage::reason;
use crate::model::foreign::foreign;
use crate::model::snapshot::EtcdFacts;
use crate::model::{EtcdReading, Foreign, Gathering, Input, InputState, ReadBy, Snapshot, Time};
use crate::record;
use crate::source::capture::Writer;
use crate::source::etcd::{self, ReadError, ReadOptions, Sink};
use crate::source::kube_api::KubeApi;
use crate::source::{etcd_status, kube, kube_objects};

pub use crate::source::kube_api::present;

/// Where an audit reads from.
pub struct Sources {
    etcd: Result<Connection, Error>,
    pace: ReadOptions,
    pub(super) kube: Kube,
}

pub(super) enum Kube {
    NotAsked,
    Live(Box<KubeApi>),
    Files(Vec<PathBuf>),
}

/// Why Kubernetes is not asked.
pub(super) const NO_CLUSTER: &str = "no kubeconfig, no account of a pod, no --kube-objects";

/// A connection to etcd, after `-v` has heard where the settings are from.
///
/// # Errors
/// When none can be made of the settings.
pub(super) async fn open_etcd(settings: &EtcdSettings, streams: &Streams) -> Result<Connection, Error> {
    settings.explain().iter().for_each(|line| streams.verbose(line));
    Connection::open(settings).await
}

/// Where Kubernetes' objects are from. A cluster that was named and whose credentials cannot be had is one that does not
/// answer: what else was asked for is seen all the same.
///
/// # Errors
/// A kubeconfig or a context that cannot be meant.
pub(super) async fn open_kube(args: &KubeArgs, streams: &Streams) -> Result<Kube, Error> {
    if !args.kube_objects.is_empty() {
        return Ok(Kube::Files(args.kube_objects.clone()));
    }
    let client = match crate::connect::kube::connect(&args.settings(), &Surroundings::of_process()).await {
        Ok(Some(client)) => client,
        Ok(None) => return Ok(Kube::NotAsked),
        Err(why) if why.fault == Fault::Input => {
            return Ok(Kube::Live(Box::new(KubeApi::without_credentials(why, args.patience()))));
        }
        Err(error) => return Err(error),
    };
    streams.verbose(&format!("Kubernetes: {} from {}", client.server, client.source));
    Ok(Kube::Live(Box::new(KubeApi::new(client, args.patience()))))
}

impl Sources {
    /// Resolves the settings of both sides. Reaching nobody is no error here: the inputs are then unreachable.
    ///
    /// # Errors
    /// Settings that cannot be meant: contradictions, missing files, a kubeconfig that does not parse.
    pub async fn open(args: &SourceArgs, streams: &Streams) -> Result<Sources, Error> {
        let settings = args.etcd.settings()?;
        let concurrency = settings.concurrency.clamp(1, 16);
        let pace = ReadOptions { concurrency, gentle: settings.gentle, ..ReadOptions::default() };
        let etcd = open_etcd(&settings, streams).await;
        let kube = open_kube(&args.kube, streams).await?;
        Ok(Sources { etcd, pace, kube })
    }

    /// The connection to etcd, to write with.
    ///
    /// # Errors
    /// When none could be made of the settings.
    pub fn connection(&self) -> Result<&Connection, Error> {
        self.etcd.as_ref().map_err(Error::again)
    }

    /// The same, of etcd these inputs alone. The others count as not asked for.
    #[must_use]
    pub fn of_inputs(self, inputs: Vec<Input>) -> Sources {
        Sources { pace: ReadOptions { inputs, ..self.pace }, ..self }
    }

    /// How gently etcd is to be read.
    pub(super) fn pace(&self) -> ReadOptions {
        self.pace.clone()
    }

    /// Kubernetes' API, when it is asked and not read from files.
    pub fn kube_api(&self) -> Option<&KubeApi> {
        match &self.kube {
            Kube::Live(api) => Some(api),
            Kube::NotAsked | Kube::Files(_) => None,
        }
    }
}

/// What the first look saw.
pub struct FirstLook {
    pub snapshot: Snapshot,
    /// By this machine's clock.
    pub started: Time,
    pub duration: Duration,
    /// What could not be read, for standard error.
    pub warnings: Vec<Remark>,
    /// How etcd was read; `None`: it was not.
    pub reading: Option<EtcdReading>,
    /// Of the earlier audit that it went on from.
    pub earlier: Option<GoneOn>,
}

/// Reads everything once, in full; `now` is `--now`.
///
/// # Errors
/// A file that cannot be read; servers that cannot be reached are told by the coverage.
pub async fn first_look(
    sources: &Sources,
    streams: &Streams,
    now: Option<Time>,
    capture: Option<&mut Writer>,
) -> Result<FirstLook, Error> {
    first_look_since(sources, streams, now, capture, &Earlier::None("in full")).await
}

/// The same; of etcd only what changed since an earlier audit, where that can be told without a doubt.
///
/// # Errors
/// As [`first_look`].
pub async fn first_look_since(
    sources: &Sources,
    streams: &Streams,
    now: Option<Time>,
    mut capture: Option<&mut Writer>,
    earlier: &Earlier,
) -> Result<FirstLook, Error> {
    let clock = Instant::now();
    let started = present();
    let mut snapshot = Gathering { now: now.unwrap_or(started), ..Gathering::default() };
    let mut warnings = Vec::new();
    let spinner = streams.spinner("reading etcd and Kubernetes");
    let mut kubernetes = read_kubernetes(&sources.kube);
    let etcd = read_etcd(sources, &mut snapshot, &spinner, capture.as_deref_mut(), earlier);
    let (mut etcd, kubernetes) = beside(etcd, &mut kubernetes).await?;
    match kubernetes {
        Some((read, remarks)) => {
            snapshot.take_kubernetes(read);
            warnings.extend(remarks.notes().into_iter().map(Remark::warning));
        }
        None => {
            for input in [Input::Pods, Input::KubeNodes, Input::Services, Input::Namespaces] {
                snapshot.coverage.set(input, InputState::NotAsked, NO_CLUSTER);
                snapshot.coverage.set_hint(input, kube_trouble::NOT_GIVEN);
            }
        }
    }
    warnings.extend(silent_kubernetes(&snapshot));
    // Whose cluster it is has been told by now.
    if let Ok((_, Some(earlier))) = &etcd
        && let Some(why) = earlier.mark.is_of_others(&record::kubernetes_uids(&snapshot))
    {
        Input::ALL.into_iter().filter(|i| i.is_calicos()).for_each(|input| decode::clear(&mut snapshot, input));
        etcd = read_etcd(sources, &mut snapshot, &spinner, capture.as_deref_mut(), &Earlier::None(why)).await;
    }
    match &etcd {
        Ok(_) => warnings.extend(missing_right(&snapshot)),
        Err(error) => warnings.push(as_remark(unread(&mut snapshot, error))),
    }
    let (reading, earlier) = etcd.ok().unzip();
    warnings.extend(read_status(sources, &mut snapshot).await);
    spinner.finish_and_clear();
    // Under --now nobody says how much real time went by.
    snapshot.etcd.read_at = snapshot.etcd.read_at.filter(|_| now.is_none());
    snapshot.read_until = now.is_none().then(present);
    let snapshot = snapshot.sorted();
    let duration = clock.elapsed();
    if let Some(writer) = capture {
        writer.kubernetes(&snapshot);
        writer.look(&snapshot, started, duration);
    }
    Ok(FirstLook { snapshot, started, duration, warnings, reading, earlier: earlier.flatten() })
}

/// What Kubernetes said, in a gathering of its own.
type KubernetesRead = Result<(Gathering, Remarks), Error>;

/// Begins to read Kubernetes; an empty set where nobody is asked. A set, because it stops its task when it is dropped.
fn read_kubernetes(kube: &Kube) -> JoinSet<KubernetesRead> {
    let mut reading = JoinSet::new();
    let mut read = Gathering::default();
    match kube {
        Kube::NotAsked => {}
        Kube::Live(api) => {
            let api = api.clone();
            reading.spawn(async move {
                let remarks = kube::read(&api, &mut read).await;
                Ok((read, remarks))
            });
        }
        Kube::Files(files) => {
            let files = files.clone();
            reading.spawn_blocking(move || kube_objects::read(&files, &mut read).map(|remarks| (read, remarks)));
        }
    }
    reading
}

/// Both sides; a file that cannot be read ends the other one's reading.
async fn beside<E>(
    etcd: impl Future<Output = E>,
    kubernetes: &mut JoinSet<KubernetesRead>,
) -> Result<(E, Option<(Gathering, Remarks)>), Error> {
    let kubernetes = async {
        let read = kubernetes.join_next().await;
        read.map(|joined| joined.map_err(|e| Error::own("read Kubernetes").cause(e))?).transpose()
    };
    try_join(async { Ok(etcd.await) }, kubernetes).await
}

fn set_hint(snapshot: &mut Gathering, input: Input, error: &Error) {
    if let Some(hint) = super::output::hint(error) {
        snapshot.coverage.set_hint(input, hint);
    }
}

/// Nothing of Calico's was read: because etcd refuses us, or because it cannot be reached.
fn unread<'e>(snapshot: &mut Gathering, failed: &'e ReadError) -> &'e Error {
    let (ReadError::Compacted(error) | ReadError::Forbidden(error) | ReadError::Failed(error)) = failed;
    let forbidden = matches!(failed, ReadError::Forbidden(_));
    let state = if forbidden { InputState::Forbidden } else { InputState::Unreachable };
    for input in Input::ALL.into_iter().filter(|i| i.is_calicos() || *i == Input::EtcdStatus) {
        decode::clear(snapshot, input);
        snapshot.coverage.set(input, state, why(error));
        set_hint(snapshot, input, error);
    }
    error
}

/// Who and why: what we were doing stands where this is told.
fn why(error: &Error) -> String {
    let cause = error.cause.as_deref().map(|cause| chain(cause)).unwrap_or_default();
    let names_them = error.at.split(", ").next().is_some_and(|first| cause.starts_with(first));
    match (error.at.is_empty() || cause.is_empty(), names_them) {
        (true, _) => chain(error),
        (false, true) => cause,
        (false, false) => format!("{}: {cause}", error.at),
    }
}

/// Kubernetes was asked and did not answer, or not all of it: each cause once, with what is missing for it, and its cure.
pub(super) fn silent_kubernetes(snapshot: &Gathering) -> Vec<Remark> {
    let (coverage, server) = (&snapshot.coverage, &snapshot.kube.server);
    let is_missing =
        |i: &Input| i.is_kubernetes() && !matches!(coverage.state(*i), InputState::Complete | InputState::NotAsked);
    let mut causes: Vec<(String, Vec<Input>)> = Vec::new();
    for input in Input::ALL.into_iter().filter(is_missing) {
        let reason = reason(&input.word().into(), &coverage.detail(input));
        match causes.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, inputs)) => inputs.push(input),
            None => causes.push((reason, vec![input])),
        }
    }
    let told = |(_, inputs): (String, Vec<Input>)| {
        let first = *inputs.first()?;
        let what = inputs.iter().map(|input| input.word()).collect::<Vec<_>>().join(", ");
        let detail = coverage.detail(first);
        // Who did not answer is named once.
        let why = detail.raw().strip_prefix(&format!("{server}: ")).unwrap_or(detail.raw());
        let message = foreign!("cannot read {what} from Kubernetes ({}): {}", server, Foreign::from(why));
        Some(Remark::error(message, coverage.hint(first)))
    };
    causes.into_iter().filter_map(told).collect()
}

/// A part that the user may not read: the first one is told with its cure, which is the same for all.
fn missing_right(snapshot: &Gathering) -> Option<Remark> {
    let coverage = &snapshot.coverage;
    let mut calicos = Input::ALL.into_iter().filter(|i| i.is_calicos());
    let input = calicos.find(|i| coverage.state(*i) == InputState::Forbidden)?;
    Some(Remark::error(coverage.detail(input).clone(), MISSING_RIGHT))
}

async fn read_etcd(
    sources: &Sources,
    snapshot: &mut Gathering,
    spinner: &ProgressBar,
    capture: Option<&mut Writer>,
    earlier: &Earlier,
) -> Result<(EtcdReading, Option<GoneOn>), ReadError> {
    let connection = sources.etcd.as_ref().map_err(|error| ReadError::Failed(error.again()))?;
    let why = match earlier.read(connection, snapshot).await {
        Ok((reading, earlier)) => return Ok((reading, Some(earlier))),
        Err(why) => why,
    };
    let mut sink = Into { snapshot, capture, spinner };
    let read = etcd::read(connection, &sources.pace, &mut sink).await?;
    for (input, state, detail) in read.inputs {
        snapshot.coverage.set(input, state, detail);
        if state == InputState::Forbidden {
            snapshot.coverage.set_hint(input, MISSING_RIGHT);
        }
    }
    // After the read: the growth of a revision is then held against the longer time.
    snapshot.etcd = EtcdFacts { read_at: Some(present()), ..read.facts };
    Ok((EtcdReading { by: ReadBy::Full, why, decoded: read.keys }, None))
}

/// etcd's word of itself, after the keys: it has one even where the user may read none of them. Nobody who did not
/// answer for the keys is waited for again.
async fn read_status(sources: &Sources, snapshot: &mut Gathering) -> Option<Remark> {
    let (Ok(connection), false) = (&sources.etcd, is_unreachable(snapshot)) else { return None };
    match etcd_status::read(connection, snapshot.etcd.cluster_id).await {
        Ok(status) => {
            snapshot.etcd.status = status;
            snapshot.coverage.set(Input::EtcdStatus, InputState::Complete, "");
            None
        }
        Err(failed) => {
            let forbidden = matches!(failed, ReadError::Forbidden(_));
            let error = Error::from(failed);
            let state = if forbidden { InputState::Forbidden } else { InputState::Unreachable };
            // Whoever is let in nowhere has been told so, and why.
            if snapshot.coverage.state(Input::EtcdStatus) == state {
                return None;
            }
            snapshot.coverage.set(Input::EtcdStatus, state, chain(&error));
            set_hint(snapshot, Input::EtcdStatus, &error);
            Some(as_remark(&error))
        }
    }
}

fn is_unreachable(snapshot: &Gathering) -> bool {
    snapshot.coverage.state(Input::Blocks) == InputState::Unreachable
}

/// Decodes each key as it arrives, and lets a capture see it.
pub(super) struct Into<'a> {
    pub snapshot: &'a mut Gathering,
    pub capture: Option<&'a mut Writer>,
    pub spinner: &'a ProgressBar,
}

impl Sink for Into<'_> {
    fn kv(&mut self, kv: Kv<'_>) {
        decode::insert(self.snapshot, &kv);
        if let Some(capture) = &mut self.capture {
            capture.kv(&kv);
        }
    }

    fn restart(&mut self) {
        for input in Input::ALL.into_iter().filter(|i| !i.is_kubernetes()) {
            decode::clear(self.snapshot, input);
        }
        if let Some(capture) = &mut self.capture {
            capture.restart();
        }
    }

    fn endpoint_boundaries(&mut self, keys: usize) -> Vec<Vec<u8>> {
        boundaries(self.snapshot, keys)
    }

    fn page(&mut self, keys: u64) {
        self.spinner.set_position(keys);
    }
}
