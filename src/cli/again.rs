//! The second look at the edge: reads what suspects rest on again, and nothing else.
//!
//! All of etcd's at one later revision, then Kubernetes'. The first look read both at the same time, and was over
//! before this one began: so what was the same in both looks was so on both sides at once, from the later of the first
//! look's two readings up to this revision. What was read becomes a patch for the first look's snapshot, never a second
//! snapshot.

use std::collections::BTreeSet;

use indicatif::ProgressBar;

use super::gather::{Into, Kube, Sources, present};
use super::unchanged::{IntoChanged, Unchanged};
use crate::checks::{self, Check, Stamps, World};
use crate::connect::etcd::{Connection, Stored};
use crate::decode::{self, kube_item::Kind};
use crate::error::Error;
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::hash::HashMap;
use crate::model::{Block, Gathering, HandleId, Meta, Name, Names, Past, Patch, Snapshot, Time, keys};
use crate::source::capture::Writer;
use crate::source::etcd::{self, ReadError, ReadOptions};
use crate::source::kube;
use crate::source::kube_api::{KubeApi, Patience};
use crate::source::kube_look::{self, Suspects, Unlooked};
use crate::steady::{Again, SecondLook};

/// What fails when Kubernetes does not answer, and what to do about it.
const AGAIN: &str = "look again at suspects in Kubernetes";
const ONCE_MORE: &str = "run it once more when the API server answers: one look alone confirms nothing";

/// Reads the suspects again; what was seen is for [`Patch::swap`].
///
/// # Errors
/// When anything of it could not be read: then nothing is confirmed.
pub async fn second_look(
    sources: &Sources,
    first: &mut Snapshot,
    look: SecondLook,
    now: Option<Time>,
    capture: Option<&mut Writer>,
) -> Result<Patch, Error> {
    let page = sources.kube_api().map_or_else(|| Patience::default().page, |api| api.patience.page);
    let look = look.batched(first, page as usize);
    let mut patch = Patch::of(first);
    patch.other.now = now.unwrap_or_else(present);
    let mut asked = KeysAgain::of(first, keys_of(first, &look));
    asked.ask_for_the_lock(first, &look);
    let mut unchanged = Unchanged::of(first, &look.whole_inputs());
    // On loan: what is read again shares its names with what was read first.
    patch.swap_names(first);
    let read = read(sources, &mut patch, &look, asked, &mut unchanged, capture).await;
    patch.swap_names(first);
    read?;
    // What says the same twice is held once.
    patch.keys.extend(unchanged.differing(first));
    patch.forget_unchanged_pods(first);
    Ok(patch)
}

/// Takes over whether the datastore is locked, as the second look saw it: what is told and advised holds of the end of an audit.
/// What became of it, where it is otherwise than at the first look.
pub fn take_lock(first: &mut Snapshot, patch: &Patch) -> Option<&'static str> {
    if first.cluster.meta.is_none() || patch.other.cluster.meta.is_none() {
        return None;
    }
    let (before, now) = (first.cluster.ready == Some(true), patch.other.cluster.ready == Some(true));
    first.set_ready(patch.other.cluster.ready);
    match (before, now) {
        (true, false) => {
            Some("the datastore was locked between the two looks of this audit: no pod can start or stop now")
        }
        (false, true) => {
            Some("the datastore was unlocked between the two looks of this audit: it was locked at the first")
        }
        _ => None,
    }
}

/// What of these checks' findings is there when the second look is put into the snapshot; it is taken out again. No ledger may live
/// meanwhile, so that there is one of everything.
pub fn judge(
    snapshot: &mut Snapshot,
    patch: &mut Patch,
    checks: &[&'static Check],
    scope: ScopeFlag,
    past: Option<&Past>,
) -> Stamps {
    patch.swap(snapshot);
    let ledger = Ledger::build(snapshot, scope, past);
    let stamps = checks::stamps_of(&World { snapshot, ledger: &ledger, past }, checks);
    drop(ledger);
    patch.swap(snapshot);
    stamps
}

async fn read(
    sources: &Sources,
    patch: &mut Patch,
    look: &SecondLook,
    asked: KeysAgain,
    unchanged: &mut Unchanged,
    mut capture: Option<&mut Writer>,
) -> Result<(), Error> {
    let connection = sources.connection()?;
    let pace = sources.pace();
    look_at_etcd(connection, pace, patch, look, (asked, unchanged), capture.as_deref_mut()).await?;
    match &sources.kube {
        Kube::Live(api) => look_at_kubernetes(api, patch, look).await?,
        // A file is read again as a file: it says the same.
        Kube::Files(_) | Kube::NotAsked => {}
    }
    if let Some(writer) = capture {
        writer.kubernetes_again(patch);
    }
    Ok(())
}

async fn look_at_etcd(
    connection: &Connection,
    pace: ReadOptions,
    patch: &mut Patch,
    look: &SecondLook,
    (asked, unchanged): (KeysAgain, &mut Unchanged),
    mut capture: Option<&mut Writer>,
) -> Result<(), Error> {
    let Patch { keys, other, .. } = patch;
    let KeysAgain { keys: asked, blocks, guid } = asked;
    let see = |key: &[u8], found: Option<Stored>| {
        match (&found, &mut capture) {
            (Some(stored), Some(writer)) => writer.kv(&etcd::kv(key, stored)),
            (None, Some(writer)) => writer.absent(key),
            (_, None) => {}
        }
        let kv = found.as_ref().map(|stored| etcd::kv(key, stored));
        // What says the same is not held twice: a block is as big as all that is in it.
        if kv.is_some_and(|kv| blocks.get(key) == Some(&kv.meta())) {
            return;
        }
        keys.insert(key.to_vec());
        kv.iter().for_each(|kv| decode::insert(other, kv));
    };
    let pin = connection.each_key("read single keys again", &asked, None, see).await.map_err(|t| t.error)?;
    let first = &patch.other.etcd;
    if pin.cluster_id != first.cluster_id || pin.revision < first.revision {
        return Err(Error::input("look again at suspects in etcd")
            .cause("it was restored or replaced since the first look")
            .hint("run the audit once more"));
    }
    let inputs = look.whole_inputs();
    patch.whole.extend(inputs.iter().copied().filter(|input| !unchanged.has(*input)));
    if !inputs.is_empty() {
        let options = ReadOptions { inputs, pin: Some(pin), ..pace };
        read_whole(connection, &mut patch.other, unchanged, &options, capture).await.map_err(Error::from)?;
    }
    patch.other.etcd.revision = pin.revision;
    let now = &patch.other.cluster;
    match guid {
        Some(guid) if now.meta.is_none() || now.guid != guid => Err(Error::input("look again at suspects in etcd")
            .cause("its ClusterInformation is gone, unreadable or another's since the first look")
            .hint("run the audit once more")),
        _ => Ok(()),
    }
}

async fn read_whole(
    connection: &Connection,
    seen: &mut Gathering,
    unchanged: &mut Unchanged,
    options: &ReadOptions,
    mut capture: Option<&mut Writer>,
) -> Result<(), ReadError> {
    options.inputs.iter().for_each(|&input| capture.iter_mut().for_each(|w| w.again(input)));
    let spinner = ProgressBar::hidden();
    let into = Into { snapshot: seen, capture, spinner: &spinner };
    let mut sink = IntoChanged { into, unchanged };
    let read = etcd::read(connection, options, &mut sink).await?;
    let seen = sink.into.snapshot;
    for (input, state, detail) in read.inputs {
        seen.coverage.set(input, state, detail);
    }
    Ok(())
}

/// What is read again key by key.
struct KeysAgain {
    keys: Vec<Vec<u8>>,
    /// Of the blocks among them the writes that the first look read.
    blocks: HashMap<Vec<u8>, Meta>,
    /// The datastore's name at the first look, where it is read again whether it is locked.
    guid: Option<Name>,
}

impl KeysAgain {
    fn of(first: &Snapshot, asked: BTreeSet<Vec<u8>>) -> KeysAgain {
        let is_asked =
            |block: &&Block| block.odd_key.is_none() && asked.contains(keys::block_key(block.cidr).as_bytes());
        let blocks = first.blocks.iter().filter(is_asked).map(|block| (keys::key_of(&first.names, block), block.meta));
        KeysAgain { blocks: blocks.collect(), keys: asked.into_iter().collect(), guid: None }
    }

    /// Whatever is suspect: a locked datastore decides what may be advised of it.
    fn ask_for_the_lock(&mut self, first: &Snapshot, look: &SecondLook) {
        if first.cluster.meta.is_none() {
            return;
        }
        self.guid = Some(first.cluster.guid);
        if !look.settings {
            self.keys.push(keys::CLUSTER_INFORMATION.as_bytes().to_vec());
        }
    }
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
    each(&look.endpoints, |(ns, name)| add(keys::endpoint_key(text(*ns), &name.text(names))));
    // Absent at the first look, so the snapshot has no name for the key.
    each(&look.endpoints_of_pods, |(node, ns, pod)| {
        add(decode::keys::endpoint_of_pod_key(text(*ns), text(*node), text(*pod)));
    });
    each(&look.calico_nodes, |node| add(keys::node_key(text(*node))));
    asked.extend(odd_keys(snapshot, names, look));
    asked
}

fn each<T>(again: &Again<T>, see: impl FnMut(&T)) {
    if let Again::These(list) = again {
        list.iter().for_each(see);
    }
}

/// What stands under another key than the canonical one.
fn odd_keys(snapshot: &Snapshot, names: &Names, look: &SecondLook) -> Vec<Vec<u8>> {
    fn has<T: Ord>(again: &Again<T>, item: &T) -> bool {
        matches!(again, Again::These(list) if list.contains(item))
    }
    let blocks = snapshot.blocks.iter().filter(|b| b.odd_key.is_some() && has(&look.blocks, &b.cidr));
    let odd_handle = |id: &HandleId| has(&look.handles, id);
    let handles = snapshot.handles.iter().filter(|h| h.odd_id().is_some() && odd_handle(&h.id));
    let affinities =
        snapshot.affinities.iter().filter(|a| a.odd_key.is_some() && has(&look.affinities, &(a.host, a.cidr)));
    let mut found: Vec<Vec<u8>> = blocks.map(|b| keys::key_of(names, b)).collect();
    found.extend(handles.map(|h| keys::key_of(names, h)));
    found.extend(affinities.map(|a| keys::key_of(names, a)));
    found
}

async fn look_at_kubernetes(api: &KubeApi, patch: &mut Patch, look: &SecondLook) -> Result<(), Error> {
    let suspects =
        Suspects { pods: these(&look.pods), nodes: these(&look.kube_nodes), services: these(&look.services) };
    let kinds = [
        (look.kube_nodes == Again::All, Kind::Node),
        (look.services == Again::All, Kind::Service),
        (look.pods == Again::All, Kind::Pod),
    ];
    for (_, kind) in kinds.into_iter().filter(|(whole, _)| *whole) {
        kube::relist(api, kind, api.deadline(), &mut patch.other)
            .await
            .map_err(|why| Error::input(AGAIN).at(api.server.clone()).cause(why).hint(ONCE_MORE))?;
        patch.whole.insert(kind.input());
    }
    let unlooked = kube_look::look_again(api, &mut patch.other, &suspects).await;
    patch.pods = suspects.pods.into_iter().collect();
    patch.nodes = suspects.nodes.into_iter().collect();
    patch.services = suspects.services.into_iter().collect();
    cannot_look(&patch.other, &unlooked).map_or(Ok(()), Err)
}

/// What could not be looked at again, if anything: the first of it by its kind and name, and how much more there is.
fn cannot_look(seen: &Gathering, unlooked: &[Unlooked]) -> Option<Error> {
    let first = unlooked.first()?;
    let more = if unlooked.len() == 1 { String::new() } else { format!(" and {} more", unlooked.len() - 1) };
    let error = Error::input(AGAIN)
        .at(format!("{} {}{more}", first.kind.word(), seen.pair(first.namespace, first.name)))
        .cause(first.reason.clone())
        .hint(ONCE_MORE);
    Some(error)
}

fn these<T: Copy>(again: &Again<T>) -> Vec<T> {
    match again {
        Again::These(list) => list.iter().copied().collect(),
        Again::All => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in no namespace has a name and no slash.
    #[test]
    fn what_could_not_be_looked_at_again_is_named_with_a_hint() {
        let mut seen = Gathering::default();
        let [node, shop, web] = ["node-9", "shop", "web-0"].map(|text| seen.names.intern(text));
        let unlooked = |kind, namespace, name| Unlooked { kind, namespace, name, reason: "no answer".to_owned() };
        let (of_node, of_pod) = (unlooked(Kind::Node, Name::NONE, node), unlooked(Kind::Pod, shop, web));
        let at = |list: &[Unlooked]| cannot_look(&seen, list).map(|error| (error.at, error.hint.is_empty()));
        assert_eq!(at(&[]), None);
        assert_eq!(at(std::slice::from_ref(&of_node)), Some(("Node node-9".to_owned(), false)));
        assert_eq!(at(&[of_pod, of_node]), Some(("Pod shop/web-0 and 1 more".to_owned(), false)));
    }

    #[test]
    fn an_endpoint_that_was_absent_is_asked_for_by_its_key() {
        let mut snapshot = Gathering::default();
        let [node, ns, pod] = ["node-1", "shop", "web-0"].map(|text| snapshot.names.intern(text));
        let look = SecondLook { endpoints_of_pods: Again::These([(node, ns, pod)].into()), ..SecondLook::default() };
        let key = "/calico/resources/v3/projectcalico.org/workloadendpoints/shop/node--1-k8s-web--0-eth0";
        assert_eq!(keys_of(&snapshot.sorted(), &look), [key.as_bytes().to_vec()].into());
    }
}
