//! IPA903: etcd is older than at the last audit: restored from a backup.

mod signs;

use crate::checks::endpoints::pod_without_endpoint;
use crate::checks::evidence::{Draft, count, key_text};
use crate::checks::prelude::*;
use crate::checks::{natural, obstacle};
use crate::model::keys::Keyed;
use crate::model::past::KEPT_BY_KEY;
use crate::model::{Gathering, Meta, Past, PastEtcd, PastKey, keys};

pub static CHECK: Check = Check {
    code: Code(903),
    name: "datastore-went-back",
    severity: Severity::Critical,
    needs: Needs::D,
    steady: Steady::EarlierAudit,
    subject: SubjectKind::Cluster,
    finds: "etcd's revision or raft term is smaller, or its cluster id another, than in the last complete audit; or \
        (the fork test) a key that was last written before that audit is not what that audit recorded: the same mod \
        revision and value; or a key was written since and its version did not grow; or a block's sequence number \
        fell; or the revision grew by more than 10,000 a second: nothing of it happens in one life of an etcd.",
    matters: "etcd was restored from a backup. Whatever started since the backup runs without endpoint and allocation \
        and its address will be given away again; whatever stopped since is back as a leak. Later writes and \
        `--bump-revision` hide the older revision, not these signs.",
    arises: "A restore, a snapshot copied to a new cluster, or an audit that was pointed at another member's old data.",
    action: "Restart the listed pods, node by node, before IPAM hands their addresses to others (IPA120). Then deal \
        with the leaks. Nothing that was observed before counts for releases any more.",
    silent: "No complete audit is in the history yet, or the data come from a source without revisions. After an \
        upgrade by snapshot (the raft term fell) when nothing was written between the audits before and after it. A \
        restore that no sign covers: docs/operations.md. Compaction, defragmentation, a restart, an election, a \
        replaced member and a learner show no sign.",
    ties: Ties { harm: Harm::Threat, ..Ties::ANYBODYS },
    run,
};

/// So many keys and commands are shown.
const SHOWN: usize = 10;

fn run(world: &World<'_>, findings: &mut FindingSink) {
    findings.extend(break_in(world).map(|found| report(world, &found)));
}

/// Whether etcd did not go on from where the last complete audit left it: what other checks compare with the past
/// then says nothing of this datastore.
pub fn went_back(world: &World<'_>) -> bool {
    break_in(world).is_some()
}

/// Where the line from the last complete audit to this one breaks.
struct Break {
    /// By strength; the first is the summary.
    signs: Vec<String>,
    before: PastEtcd,
    keys: Keys,
}

fn break_in(world: &World<'_>) -> Option<Break> {
    let now = &world.snapshot.etcd;
    let (past, before) = world.past.and_then(|p| Some((p, p.etcd?))).filter(|_| now.revision > 0)?;
    let mut signs: Vec<String> = Vec::new();
    if now.cluster_id != 0 && before.cluster_id != 0 && now.cluster_id != before.cluster_id {
        // In another cluster every revision means something else: nothing more would say anything.
        signs.push("etcd is another cluster than at the last complete audit".to_owned());
        return Some(Break { signs, before, keys: Keys::default() });
    }
    if now.revision < before.revision {
        signs.push(format!("etcd is at revision {}, the last complete audit saw {}", now.revision, before.revision));
    }
    let keys = compare(world, past, before.revision);
    if !keys.forked.is_empty() {
        let are = if keys.forked.len() == 1 { "is" } else { "are" };
        let keys = count(keys.forked.len(), "key");
        signs.push(format!("{keys} {are} not what the last complete audit recorded at these revisions"));
    }
    // An upgrade by snapshot is a restore as well; it lost nothing when nothing was written between the two audits.
    let untouched = now.revision == before.revision && keys.are_as_recorded(world, past);
    signs.extend(signs::fallen_term(now, &before).filter(|_| !untouched));
    if !keys.uncounted.is_empty() {
        signs.push(match keys.uncounted.len() {
            1 => "1 key was written since the last complete audit, and its version did not grow".to_owned(),
            n => format!("{n} keys were written since the last complete audit, and their versions did not grow"),
        });
    }
    let fallen = signs::fallen_numbers(world.ledger, past);
    signs.extend(fallen.first().map(|first| match fallen.len() {
        1 => first.clone(),
        n => format!("{first}, and those of {} more", n - 1),
    }));
    // As the history keeps it: the API server's clock at a moment of ours.
    let date = now.read_at.and_then(|ours| world.snapshot.kube.clocks.theirs_at(ours));
    signs.extend(signs::leap(now, date, &before, past.last_started));
    (!signs.is_empty()).then_some(Break { signs, before, keys })
}

/// A key that says something else than one life of etcd could.
struct StrayKey {
    key: Vec<u8>,
    mod_revision: i64,
    version: i64,
    /// What the last complete audit recorded under it; `None`: no such key.
    recorded: Option<PastKey>,
}

/// The keys of which the history keeps every one, held against it.
#[derive(Default)]
struct Keys {
    /// Other than recorded, though nobody wrote them since (the fork test).
    forked: Vec<StrayKey>,
    /// Written since, and not counted.
    uncounted: Vec<StrayKey>,
    /// So many are exactly as recorded.
    same: usize,
    /// So many were written since.
    later: usize,
}

impl Keys {
    /// Whether not one key came, went or changed.
    fn are_as_recorded(&self, world: &World<'_>, past: &Past) -> bool {
        let all_read = KEPT_BY_KEY.iter().all(|input| world.snapshot.coverage.complete(*input));
        all_read && self.later == 0 && self.forked.is_empty() && self.same == past.keys.count()
    }
}

/// What decodes of the inputs of which the history keeps every key ([`KEPT_BY_KEY`]).
pub fn keyed(snapshot: &Gathering) -> impl Iterator<Item = (Keyed<'_>, Meta)> {
    let keyed = snapshot.blocks.iter().map(|r| (Keyed::from(r), r.meta));
    let keyed = keyed.chain(snapshot.handles.iter().map(|r| (r.into(), r.meta())));
    let keyed = keyed.chain(snapshot.affinities.iter().map(|r| (r.into(), r.meta)));
    let keyed = keyed.chain(snapshot.endpoints.iter().map(|r| (r.into(), r.meta())));
    keyed.chain(snapshot.calico_nodes.iter().map(|r| (r.into(), r.meta)))
}

/// Holds every key of a block, handle, affinity, endpoint and node against what was recorded at `revision`.
fn compare(world: &World<'_>, past: &Past, revision: i64) -> Keys {
    let snapshot = world.snapshot;
    let names = &snapshot.names;
    let mut keys = Keys::default();
    let mut test = |key: &[u8], meta: &Meta, recorded: Option<PastKey>| {
        let odd = || StrayKey { key: key.to_vec(), mod_revision: meta.mod_revision, version: meta.version, recorded };
        match recorded {
            _ if meta.mod_revision > revision => {
                keys.later += 1;
                keys.uncounted.extend(recorded.filter(|then| signs::written_uncounted(meta, then)).map(|_| odd()));
            }
            Some(then) if then.is(meta) => keys.same += 1,
            // Of a key that an old history could not keep apart nothing is known.
            None if !past.keys.knows(key) => {}
            _ => keys.forked.push(odd()),
        }
    };
    let mut key = Vec::new();
    for (thing, meta) in keyed(snapshot).filter(|(_, meta)| meta.mod_revision != 0) {
        // A key that is as it was recorded is no stray one, and need not be spelled.
        if past.keys.is_surely_as_read(&meta) {
            test(&[], &meta, Some(meta.into()));
            continue;
        }
        keys::put_key(&mut key, names, thing);
        test(&key, &meta, past.keys.get(&key, &meta));
    }
    // Of a value that does not decode the revision alone is known; the past has these keys too.
    for bad in snapshot.bad_values.iter().filter(|bad| KEPT_BY_KEY.contains(&bad.input) && bad.mod_revision != 0) {
        let meta = Meta { mod_revision: bad.mod_revision, ..Meta::default() };
        test(&bad.key, &meta, past.keys.get(&bad.key, &meta));
    }
    keys
}

fn report(world: &World<'_>, found: &Break) -> Finding {
    let Break { signs, before, keys } = found;
    let now = &world.snapshot.etcd;
    let restart = pods_to_restart(world);
    let restarts = restart.as_ref().is_none_or(|pods| !pods.is_empty());
    let advice = match &restart {
        None => "restart every pod that has no endpoint; which these are could not be read".to_owned(),
        Some(pods) if pods.is_empty() => "look for leaks that came back; no pod has lost its endpoint".to_owned(),
        Some(pods) => format!("restart {} without endpoint, node by node", count(pods.len(), "pod")),
    };
    let cluster_id = |id: u64| format!("{id:x}");
    let stray = |f: &StrayKey| {
        Evidence::new()
            .with("key", key_text(&f.key))
            .with("mod_revision", f.mod_revision)
            .with("recorded_mod_revision", f.recorded.map(|r| r.mod_revision))
            .with("version", f.version)
            .with("recorded_version", f.recorded.map(|r| r.version))
    };
    let term = |term: u64| (term != 0).then_some(term);
    let pods = restart.unwrap_or_default();
    let more = (pods.len() > SHOWN).then(|| format!("ipaudit audit --code {} --all", pod_without_endpoint::CHECK.code));
    world
        .draft(&CHECK, world.snapshot.guid(), signs.first().map_or("", String::as_str))
        .advice(advice)
        .restarts_pods(restarts)
        .fact("revision", now.revision)
        .fact("revision_before", before.revision)
        .fact("cluster_id", cluster_id(now.cluster_id))
        .fact("cluster_id_before", cluster_id(before.cluster_id))
        .fact("raft_term", term(now.raft_term))
        .fact("raft_term_before", term(before.raft_term))
        .fact("signs", signs.clone())
        .fact("forked_keys", keys.forked.len())
        .list("forked", keys.forked.iter().take(SHOWN), stray)
        .fact("uncounted_keys", keys.uncounted.len())
        .list("uncounted", keys.uncounted.iter().take(SHOWN), stray)
        .list("restart", pods.chunk_by(|a, b| a.node == b.node), |pods| of_node(world, pods))
        .fact("last_audit", world.past.and_then(|p| p.last_audit))
        .restart_each(pods.iter().copied().take(SHOWN))
        .with_each(more, Draft::next)
        .done()
}

/// Ready pods without endpoint, by node; `None` when nobody can tell.
fn pods_to_restart<'w>(world: &World<'w>) -> Option<Vec<&'w Pod>> {
    if obstacle(&pod_without_endpoint::CHECK, world).is_some() {
        return None;
    }
    let mut pods: Vec<&Pod> = pod_without_endpoint::suspects(world).into_iter().map(|(pod, _)| pod).collect();
    pods.sort_by(|a, b| {
        let by_node = natural(world.text(a.node), world.text(b.node));
        by_node.then_with(|| natural(&world.pod_id(a), &world.pod_id(b)))
    });
    Some(pods)
}

fn of_node(world: &World<'_>, pods: &[&Pod]) -> Evidence {
    let node = pods.first().map(|p| world.text(p.node));
    Evidence::new().with("node", node).with("pods", pods.iter().map(|p| world.pod_id(p)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
