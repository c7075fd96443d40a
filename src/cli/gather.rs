//! Carries values from the sources into a snapshot: the first look at everything, and the second at suspects.
//!
//! Pods, nodes and services are listed once, before etcd is read at one revision. What cannot be read is told by
//! the coverage and never looks like absence. A capture being written sees every key as it arrives.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use super::etcd_args::EtcdArgs;
use super::kube_args::KubeArgs;
use super::output::Streams;
use crate::connect::etcd::Connection;
use crate::connect::kube::Surroundings;
use crate::connect::settings::CONCURRENCY;
use crate::decode::{self, Kv, keys};
use crate::error::{Error, chain};
use crate::model::{HandleId, Input, InputState, Name, Names, Snapshot, Time};
use crate::source::capture::{KubeLooked, Writer};
use crate::source::etcd::{self, Pin, ReadError, ReadOptions, Sink};
use crate::source::etcd_look::read_keys;
use crate::source::kube_api::KubeApi;
use crate::source::kube_look::{self, Suspects};
use crate::source::{etcd_ranges, kube, kube_objects};
use crate::steady::{Again, SecondLook};

/// Where an audit reads from.
pub struct Sources {
    etcd: Result<Connection, Error>,
    etcd_concurrency: usize,
    kube: Kube,
}

enum Kube {
    NotAsked,
    Live(Box<KubeApi>),
    Files(Vec<PathBuf>),
}

impl Sources {
    /// Resolves the settings of both sides. Reaching nobody is no error here: the inputs are then unreachable.
    ///
    /// # Errors
    /// Settings that cannot be meant: contradictions, missing files, a kubeconfig that does not parse.
    pub async fn open(etcd: &EtcdArgs, kube: &KubeArgs, streams: &Streams) -> Result<Sources, Error> {
        let settings = etcd.settings()?;
        settings.explain().iter().for_each(|line| streams.verbose(line));
        let etcd_concurrency = settings.concurrency.clamp(1, 16);
        let etcd = Connection::open(&settings).await;
        let kube = if kube.kube_objects.is_empty() {
            match crate::connect::kube::connect(&kube.settings(), &Surroundings::of_process()).await? {
                None => Kube::NotAsked,
                Some(client) => {
                    streams.verbose(&format!("Kubernetes: {} from {}", client.server, client.source));
                    Kube::Live(Box::new(KubeApi::new(client, kube.patience())))
                }
            }
        } else {
            Kube::Files(kube.kube_objects.clone())
        };
        Ok(Sources { etcd, etcd_concurrency, kube })
    }

    /// The connection to etcd, to write with.
    ///
    /// # Errors
    /// When none could be made of the settings.
    pub fn connection(&self) -> Result<&Connection, Error> {
        self.etcd.as_ref().map_err(Error::again)
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
    /// Sentences about what could not be read, for standard error.
    pub warnings: Vec<String>,
}

/// Reads everything once; `now` is `--now`.
///
/// # Errors
/// A file that cannot be read; servers that cannot be reached are told by the coverage.
pub async fn first_look(
    sources: &Sources,
    streams: &Streams,
    now: Option<Time>,
    mut capture: Option<&mut Writer>,
) -> Result<FirstLook, Error> {
    let clock = Instant::now();
    let started = present();
    let mut snapshot = Snapshot { now: now.unwrap_or(started), ..Snapshot::default() };
    let mut warnings = Vec::new();
    let spinner = streams.spinner("reading Kubernetes");
    let remarks = match &sources.kube {
        Kube::NotAsked => {
            let why = "no kubeconfig, no account of a pod, no --kube-objects";
            for input in [Input::Pods, Input::KubeNodes, Input::Services, Input::Namespaces] {
                snapshot.coverage.set(input, InputState::NotAsked, why);
            }
            None
        }
        Kube::Live(api) => Some(kube::read(api, &mut snapshot).await),
        Kube::Files(files) => Some(kube_objects::read(files, &mut snapshot)?),
    };
    warnings.extend(remarks.iter().flat_map(|r| r.notes()));
    spinner.set_message("reading etcd");
    if let Err(error) = read_etcd(sources, &mut snapshot, &spinner, capture.as_deref_mut()).await {
        unreachable(&mut snapshot, &error);
        warnings.push(with_hint(&error));
    }
    spinner.finish_and_clear();
    snapshot.sort();
    let duration = clock.elapsed();
    if let Some(writer) = capture {
        writer.kubernetes(&snapshot);
        writer.look(&snapshot, started, duration);
    }
    Ok(FirstLook { snapshot, started, duration, warnings })
}

/// The clock of this machine.
pub fn present() -> Time {
    Time::from_chrono(chrono::Utc::now()).unwrap_or_default()
}

fn with_hint(error: &Error) -> String {
    let hint = super::output::hint(error).map(|h| format!(" (hint: {h})"));
    format!("{}{}", chain(error), hint.unwrap_or_default())
}

fn unreachable(snapshot: &mut Snapshot, error: &Error) {
    for input in Input::ALL.into_iter().filter(|i| !i.is_kubernetes() && *i != Input::History) {
        decode::clear(snapshot, input);
        snapshot.coverage.set(input, InputState::Unreachable, chain(error));
    }
}

async fn read_etcd(
    sources: &Sources,
    snapshot: &mut Snapshot,
    spinner: &ProgressBar,
    capture: Option<&mut Writer>,
) -> Result<(), Error> {
    let connection = sources.etcd.as_ref().map_err(Error::again)?;
    let options = ReadOptions {
        concurrency: sources.etcd_concurrency,
        endpoint_boundaries: boundaries(snapshot),
        ..ReadOptions::default()
    };
    let mut sink = Into { snapshot, capture, spinner };
    let read = etcd::read(connection, &options, &mut sink).await.map_err(Error::from)?;
    for (input, state, detail) in read.inputs {
        snapshot.coverage.set(input, state, detail);
    }
    snapshot.etcd = read.facts;
    Ok(())
}

/// Pods' namespaces say where the endpoints can be cut into ranges of about the same size.
fn boundaries(snapshot: &Snapshot) -> Option<Vec<Vec<u8>>> {
    let mut pods = std::collections::BTreeMap::new();
    for pod in snapshot.pods.iter().filter(|p| p.may_hold()) {
        *pods.entry(snapshot.text(pod.namespace)).or_insert(0usize) += 1;
    }
    (!pods.is_empty()).then(|| etcd_ranges::endpoint_boundaries(pods))
}

/// Decodes each key as it arrives, and lets a capture see it.
struct Into<'a> {
    snapshot: &'a mut Snapshot,
    capture: Option<&'a mut Writer>,
    spinner: &'a ProgressBar,
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

    fn page(&mut self, keys: u64) {
        self.spinner.set_position(keys);
    }
}

/// Reads the suspects again, all of etcd's at one later revision, Kubernetes' after it, and puts them into a copy of
/// the first look's snapshot.
///
/// # Errors
/// When anything of it could not be read: then nothing is confirmed.
pub async fn second_look(
    sources: &Sources,
    first: &Snapshot,
    look: &SecondLook,
    now: Option<Time>,
    mut capture: Option<&mut Writer>,
) -> Result<Snapshot, Error> {
    let mut second = first.clone();
    second.now = now.unwrap_or_else(present);
    look_at_etcd(sources, &mut second, look, capture.as_deref_mut()).await?;
    let looked =
        KubeLooked { pods: listed(&look.pods), nodes: listed(&look.kube_nodes), services: listed(&look.services) };
    match &sources.kube {
        Kube::Live(api) => look_at_kubernetes(api, &mut second, &looked).await?,
        // A file is read again as a file: it says the same.
        Kube::Files(_) | Kube::NotAsked => {}
    }
    second.sort();
    if let Some(writer) = capture {
        writer.kubernetes_again(&second, &looked);
    }
    Ok(second)
}

fn listed<T: Copy>(again: &Again<T>) -> Option<Vec<T>> {
    match again {
        Again::These(list) => Some(list.iter().copied().collect()),
        Again::All => None,
    }
}

async fn look_at_etcd(
    sources: &Sources,
    second: &mut Snapshot,
    look: &SecondLook,
    mut capture: Option<&mut Writer>,
) -> Result<(), Error> {
    let connection = sources.etcd.as_ref().map_err(Error::again)?;
    let asked: Vec<Vec<u8>> = keys_of(second, look).into_iter().collect();
    let answer = read_keys(connection, &asked, None).await.map_err(Error::from)?;
    decode::remove(second, &asked.iter().cloned().collect::<HashSet<_>>());
    for (key, found) in asked.iter().zip(&answer.found) {
        match (found, &mut capture) {
            (Some(stored), writer) => {
                let kv = stored.kv(key);
                decode::insert(second, &kv);
                writer.iter_mut().for_each(|w| w.kv(&kv));
            }
            (None, Some(writer)) => writer.absent(key),
            (None, None) => {}
        }
    }
    let inputs = look.whole_inputs();
    if !inputs.is_empty() {
        read_whole(connection, second, inputs, answer.pin, capture).await.map_err(Error::from)?;
    }
    second.etcd.revision = answer.pin.revision;
    Ok(())
}

async fn read_whole(
    connection: &Connection,
    second: &mut Snapshot,
    inputs: Vec<Input>,
    pin: Pin,
    mut capture: Option<&mut Writer>,
) -> Result<(), ReadError> {
    for &input in &inputs {
        decode::clear(second, input);
        capture.iter_mut().for_each(|w| w.again(input));
    }
    let options = ReadOptions { concurrency: CONCURRENCY, inputs, pin: Some(pin), ..ReadOptions::default() };
    let spinner = ProgressBar::hidden();
    let read = etcd::read(connection, &options, &mut Into { snapshot: second, capture, spinner: &spinner }).await?;
    for (input, state, detail) in read.inputs {
        second.coverage.set(input, state, detail);
    }
    Ok(())
}

/// The keys of the suspects: as they were found, and as Calico would spell them.
fn keys_of(snapshot: &Snapshot, look: &SecondLook) -> BTreeSet<Vec<u8>> {
    let names = &snapshot.names;
    let mut asked = BTreeSet::new();
    let mut add = |key: String| asked.extend([key.into_bytes()]);
    let text = |name: Name| names.get(name);
    each(&look.blocks, |cidr| add(keys::block_key(*cidr)));
    each(&look.handles, |id| add(keys::handle_key(&id.text(names))));
    each(&look.affinities, |(host, cidr)| add(keys::affinity_key(host.kind, text(host.name), *cidr)));
    each(&look.endpoints, |(ns, name)| add(keys::endpoint_key(text(*ns), text(*name))));
    // Absent at the first look, so the snapshot has no name for the key.
    each(&look.endpoints_of_pods, |(node, ns, pod)| add(keys::endpoint_of_pod_key(text(*ns), text(*node), text(*pod))));
    each(&look.calico_nodes, |node| add(keys::node_key(text(*node))));
    asked.extend(odd_keys(snapshot, names, look));
    asked
}

fn each<T>(again: &Again<T>, see: impl FnMut(&T)) {
    if let Again::These(list) = again {
        list.iter().for_each(see);
    }
}

/// Records that stand under another key than the canonical one.
fn odd_keys(snapshot: &Snapshot, names: &Names, look: &SecondLook) -> Vec<Vec<u8>> {
    fn has<T: Ord>(again: &Again<T>, item: &T) -> bool {
        matches!(again, Again::These(list) if list.contains(item))
    }
    let blocks = snapshot.blocks.iter().filter(|b| b.odd_key.is_some() && has(&look.blocks, &b.cidr));
    let odd_handle = |id: &HandleId| has(&look.handles, id);
    let handles = snapshot.handles.iter().filter(|h| h.odd_id.is_some() && odd_handle(&h.id));
    let affinities =
        snapshot.affinities.iter().filter(|a| a.odd_key.is_some() && has(&look.affinities, &(a.host, a.cidr)));
    let mut found: Vec<Vec<u8>> = blocks.map(|b| keys::record_key(names, b)).collect();
    found.extend(handles.map(|h| keys::record_key(names, h)));
    found.extend(affinities.map(|a| keys::record_key(names, a)));
    found
}

async fn look_at_kubernetes(api: &KubeApi, second: &mut Snapshot, looked: &KubeLooked) -> Result<(), Error> {
    let doing = "look again at suspects in Kubernetes";
    let suspects = Suspects {
        pods: looked.pods.clone().unwrap_or_default(),
        nodes: looked.nodes.clone().unwrap_or_default(),
        services: looked.services.clone().unwrap_or_default(),
    };
    let whole = [
        (looked.nodes.is_none(), decode::kube_item::Kind::Node),
        (looked.services.is_none(), decode::kube_item::Kind::Service),
        (looked.pods.is_none(), decode::kube_item::Kind::Pod),
    ];
    for (_, kind) in whole.into_iter().filter(|(whole, _)| *whole) {
        kube::relist(api, kind, api.deadline(), second)
            .await
            .map_err(|why| Error::new(doing).at(api.server.clone()).cause(why))?;
    }
    let unlooked = kube_look::look_again(api, second, &suspects).await;
    match unlooked.first() {
        None => Ok(()),
        Some(first) => Err(Error::new(doing)
            .at(second.pair(first.namespace, first.name))
            .cause(first.reason.clone())
            .hint("what could not be looked at again stays unconfirmed; run the audit once more")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_was_absent_is_asked_for_by_its_key() {
        let mut snapshot = Snapshot::default();
        let [node, ns, pod] = ["node-1", "shop", "web-0"].map(|text| snapshot.names.intern(text));
        let look = SecondLook { endpoints_of_pods: Again::These([(node, ns, pod)].into()), ..SecondLook::default() };
        let key = "/calico/resources/v3/projectcalico.org/workloadendpoints/shop/node--1-k8s-web--0-eth0";
        assert_eq!(keys_of(&snapshot, &look), [key.as_bytes().to_vec()].into());
    }
}
