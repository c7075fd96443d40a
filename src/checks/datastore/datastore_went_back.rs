//! IPA903: etcd is older than at the last audit: restored from a backup.

use super::cluster;
use crate::checks::endpoints::pod_without_endpoint;
use crate::checks::evidence::{count, delete_pod, key_text};
use crate::checks::{Check, Docs, Steady, World, obstacle};
use crate::model::keys::Record;
use crate::model::past::KEPT_BY_KEY;
use crate::model::{Code, Evidence, Finding, Meta, Needs, Past, PastEtcd, PastKey, Pod, Severity, SubjectKind, keys};

pub static CHECK: Check = Check {
    code: Code(903),
    name: "datastore-went-back",
    severity: Severity::Critical,
    needs: Needs::D,
    steady: Steady::EarlierAudit,
    subject: SubjectKind::Cluster,
    docs: Docs {
        finds: "etcd's revision or cluster id is older, or another, than in the last complete audit; or (the fork test) a \
            key that was last written before that audit is not what that audit recorded: the same mod revision and value.",
        matters: "etcd was restored from a backup. Whatever started since the backup runs without endpoint and allocation \
            and its address will be given away again; whatever stopped since is back as a leak. Later writes hide the \
            older revision, not the fork.",
        arises: "A restore, a snapshot copied to a new cluster, or an audit that was pointed at another member's old data.",
        action: "Restart the listed pods, node by node, before IPAM hands their addresses to others (IPA120). Then deal with \
            the leaks. Nothing that was observed before counts for releases any more.",
        silent: "No complete audit is in the history yet, or the data come from a source without revisions.",
    },
    run,
};

/// So many keys and commands are shown.
const SHOWN: usize = 10;

fn run(world: &World<'_>, findings: &mut Vec<Finding>) {
    findings.extend(break_in(world).map(|found| report(world, &found)));
}

/// Whether etcd did not go on from where the last complete audit left it: what other checks compare with the past
/// then says nothing of this datastore.
pub fn went_back(world: &World<'_>) -> bool {
    break_in(world).is_some()
}

/// Where the line from the last complete audit to this one breaks.
struct Break {
    reason: String,
    before: PastEtcd,
    forked: Vec<Forked>,
}

fn break_in(world: &World<'_>) -> Option<Break> {
    let now = &world.snapshot.etcd;
    let (past, before) = world.past.and_then(|p| Some((p, p.etcd?))).filter(|_| now.revision > 0)?;
    let other = now.cluster_id != 0 && before.cluster_id != 0 && now.cluster_id != before.cluster_id;
    let older = now.revision < before.revision;
    // In another cluster every revision means something else: the test would say nothing new.
    let forked = if other { Vec::new() } else { forked_keys(world, past, before.revision) };
    let reason = match (other, older, forked.len()) {
        (true, _, _) => "etcd is another cluster than at the last complete audit".to_owned(),
        (_, true, _) => {
            format!("etcd is at revision {}, the last complete audit saw {}", now.revision, before.revision)
        }
        (_, _, 0) => return None,
        (_, _, n) => format!("{} not what the last complete audit recorded at these revisions", are(n)),
    };
    Some(Break { reason, before, forked })
}

fn are(keys: usize) -> String {
    format!("{} {}", count(keys, "key"), if keys == 1 { "is" } else { "are" })
}

/// A key that says something else than it did, though nobody wrote it since.
struct Forked {
    key: Vec<u8>,
    mod_revision: i64,
    /// What the last complete audit recorded under it; `None`: no such key.
    recorded: Option<PastKey>,
}

/// The fork test. Records of which the history keeps every key: blocks, handles, affinities, endpoints, nodes.
fn forked_keys(world: &World<'_>, past: &Past, revision: i64) -> Vec<Forked> {
    let snapshot = world.snapshot;
    let names = &snapshot.names;
    let mut forked = Vec::new();
    let mut test = |key: &[u8], meta: &Meta| {
        let recorded = past.keys.get(key);
        if !recorded.is_some_and(|then| then.is(meta)) {
            forked.push(Forked { key: key.to_vec(), mod_revision: meta.mod_revision, recorded });
        }
    };
    let old = |meta: &Meta| meta.mod_revision != 0 && meta.mod_revision <= revision;
    let records = snapshot.blocks.iter().map(|r| (Record::from(r), &r.meta));
    let records = records.chain(snapshot.handles.iter().map(|r| (r.into(), &r.meta)));
    let records = records.chain(snapshot.affinities.iter().map(|r| (r.into(), &r.meta)));
    let records = records.chain(snapshot.endpoints.iter().map(|r| (r.into(), &r.meta)));
    let records = records.chain(snapshot.calico_nodes.iter().map(|r| (r.into(), &r.meta)));
    let mut key = Vec::new();
    for (record, meta) in records.filter(|(_, meta)| old(meta)) {
        keys::put_record_key(&mut key, names, record);
        test(&key, meta);
    }
    // Of a value that does not decode the revision alone is known; the past has these keys too.
    for bad in snapshot.bad_values.iter().filter(|bad| KEPT_BY_KEY.contains(&bad.input)) {
        let meta = Meta { mod_revision: bad.mod_revision, ..Meta::default() };
        if old(&meta) {
            test(&bad.key, &meta);
        }
    }
    forked
}

fn report(world: &World<'_>, found: &Break) -> Finding {
    let Break { reason, before, forked } = found;
    let now = &world.snapshot.etcd;
    let restart = pods_to_restart(world);
    let advice = match &restart {
        None => "restart every pod that has no endpoint; which these are could not be read".to_owned(),
        Some(pods) if pods.is_empty() => "look for leaks that came back; no pod has lost its endpoint".to_owned(),
        Some(pods) => format!("restart {} without endpoint, node by node", count(pods.len(), "pod")),
    };
    let cluster_id = |id: u64| format!("{id:x}");
    let keys: Vec<Evidence> = forked
        .iter()
        .take(SHOWN)
        .map(|f| {
            Evidence::new()
                .with("key", key_text(&f.key))
                .with("mod_revision", f.mod_revision)
                .with("recorded_mod_revision", f.recorded.map(|r| r.mod_revision))
        })
        .collect();
    let pods = restart.unwrap_or_default();
    let draft = world
        .draft(&CHECK, cluster(world), reason.as_str())
        .advice(advice)
        .fact("revision", now.revision)
        .fact("revision_before", before.revision)
        .fact("cluster_id", cluster_id(now.cluster_id))
        .fact("cluster_id_before", cluster_id(before.cluster_id))
        .fact("forked_keys", forked.len())
        .fact("forked", keys)
        .fact("restart", by_node(world, &pods))
        .fact("last_audit", world.past.and_then(|p| p.last_audit))
        .with_each(pods.iter().take(SHOWN), |d, pod| d.next(delete_pod(&world.snapshot.names, pod)));
    match pods.len() > SHOWN {
        true => draft.next("ipaudit audit --code IPA505 --all").done(),
        false => draft.done(),
    }
}

/// Ready pods without endpoint, by node; `None` when nobody can tell.
fn pods_to_restart<'w>(world: &World<'w>) -> Option<Vec<&'w Pod>> {
    if obstacle(&pod_without_endpoint::CHECK, world).is_some() {
        return None;
    }
    let mut pods: Vec<&Pod> = pod_without_endpoint::suspects(world).into_iter().map(|(pod, _)| pod).collect();
    let natural = crate::checks::natural;
    pods.sort_by(|a, b| {
        let by_node = natural(world.text(a.node), world.text(b.node));
        by_node.then_with(|| natural(&world.pod_id(a), &world.pod_id(b)))
    });
    Some(pods)
}

fn by_node(world: &World<'_>, pods: &[&Pod]) -> Vec<Evidence> {
    let nodes = pods.chunk_by(|a, b| a.node == b.node);
    let facts = nodes.map(|pods| {
        let node = pods.first().map(|p| world.text(p.node));
        Evidence::new().with("node", node).with("pods", pods.iter().map(|p| world.pod_id(p)).collect::<Vec<_>>())
    });
    facts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;

    /// A healthy cluster at revision 1000, and a past that saw exactly this.
    fn known() -> Cluster {
        let mut c = Cluster::healthy();
        c.snapshot.etcd.revision = 1000;
        c.snapshot.etcd.cluster_id = 7;
        let names = &c.snapshot.names;
        let mut keys: Vec<(Vec<u8>, Meta)> = Vec::new();
        keys.extend(c.snapshot.blocks.iter().map(|r| (keys::record_key(names, r), r.meta)));
        keys.extend(c.snapshot.handles.iter().map(|r| (keys::record_key(names, r), r.meta)));
        keys.extend(c.snapshot.affinities.iter().map(|r| (keys::record_key(names, r), r.meta)));
        keys.extend(c.snapshot.endpoints.iter().map(|r| (keys::record_key(names, r), r.meta)));
        keys.extend(c.snapshot.calico_nodes.iter().map(|r| (keys::record_key(names, r), r.meta)));
        let etcd = Some(PastEtcd { revision: 1000, cluster_id: 7 });
        let keys = keys.into_iter().collect();
        c.past = Some(Past { audits: 1, pair_known: true, etcd, keys, ..Past::default() });
        c
    }

    fn past(c: &mut Cluster) -> &mut Past {
        c.past.as_mut().unwrap()
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(known().find(&CHECK).is_empty());
    }

    #[test]
    fn an_older_revision_or_another_cluster() {
        let mut c = known();
        c.snapshot.etcd.revision = 999;
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.as_str()), (1, "guid-1"));
        assert_eq!(found[0].summary, "etcd is at revision 999, the last complete audit saw 1000");
        let mut c = known();
        c.snapshot.etcd.cluster_id = 8;
        assert_eq!(c.find(&CHECK)[0].summary, "etcd is another cluster than at the last complete audit");
        let mut c = known();
        c.snapshot.etcd.cluster_id = 0;
        assert!(c.find(&CHECK).is_empty(), "an unknown id is no other one");
    }

    /// Writes have overtaken the restore: the revision is higher, and what it says is not what was recorded.
    #[test]
    fn the_fork_test_sees_a_restore_that_was_overtaken() {
        for change in [
            (|c: &mut Cluster| c.snapshot.blocks[0].meta.value_hash += 1) as fn(&mut Cluster),
            |c| c.snapshot.handles[0].meta.mod_revision -= 1,
            |c| c.snapshot.affinities[0].meta.mod_revision += 1,
            |c| c.snapshot.calico_nodes[0].meta.value_hash += 1,
            |c| past(c).keys.remove(b"/calico/ipam/v2/handle/ipip-tunnel-addr-node-1"),
        ] {
            let mut c = known();
            c.snapshot.etcd.revision = 2000;
            change(&mut c);
            let found = c.find(&CHECK);
            assert_eq!(found.len(), 1);
            assert_eq!(found[0].summary, "1 key is not what the last complete audit recorded at these revisions");
        }
    }

    #[test]
    fn a_value_that_does_not_decode_is_tested_by_its_revision() {
        let mut c = known();
        let bad = crate::checks::testing::undecodable_block("10.65.9.0/26");
        let (key, meta) = (bad.key.clone(), Meta { mod_revision: bad.mod_revision, ..Meta::default() });
        c.snapshot.bad_values.push(bad);
        assert_eq!(c.find(&CHECK).len(), 1, "at that revision there was no such key");
        past(&mut c).keys.insert(&key, meta);
        assert!(c.find(&CHECK).is_empty(), "the same");
        past(&mut c).keys.insert(&key, Meta { mod_revision: meta.mod_revision + 1, ..meta });
        assert_eq!(c.find(&CHECK).len(), 1);
    }

    /// What did not decode in one of the two audits (a value, or the ipaudit that read it) is the same by its revision.
    #[test]
    fn undecodable_in_one_of_two_audits_is_neither_a_fork_nor_hides_one() {
        for (then, is_fork) in [(0, false), (1, true), (-1, true)] {
            let mut c = known();
            let meta = c.snapshot.blocks[0].meta;
            let key = keys::record_key(&c.snapshot.names, &c.snapshot.blocks[0]);
            let recorded = Meta { mod_revision: meta.mod_revision + then, value_hash: 0, ..meta };
            past(&mut c).keys.insert(&key, recorded);
            assert_eq!(c.find(&CHECK).len(), usize::from(is_fork), "it did not decode then: {then}");
            // The other way round: recorded whole, now it does not decode.
            let mut c = known();
            past(&mut c).keys.insert(&key, Meta { mod_revision: meta.mod_revision + then, ..meta });
            c.snapshot.blocks.remove(0);
            let mut bad = crate::checks::testing::undecodable_block("10.65.0.0/26");
            (bad.key, bad.mod_revision) = (key, meta.mod_revision);
            c.snapshot.bad_values.push(bad);
            assert_eq!(c.find(&CHECK).len(), usize::from(is_fork), "it does not decode now: {then}");
        }
    }

    /// Settings and pools are not kept by key.
    #[test]
    fn an_undecodable_pool_is_no_fork() {
        let mut c = known();
        let mut bad = crate::checks::testing::undecodable_block("10.65.9.0/26");
        (bad.input, bad.key) =
            (crate::model::Input::Pools, b"/calico/resources/v3/projectcalico.org/ippools/x".to_vec());
        c.snapshot.bad_values.push(bad);
        assert!(c.find(&CHECK).is_empty());
    }

    /// A node that was renamed, a key in another spelling: written since, so it has a later revision.
    #[test]
    fn a_key_of_another_name_at_an_old_revision_is_a_fork() {
        let mut c = known();
        let renamed = c.snapshot.names.intern("renamed");
        c.snapshot.calico_nodes[0].name = renamed;
        assert_eq!(c.find(&CHECK).len(), 1);
        let nodes = &mut c.snapshot.calico_nodes;
        nodes.iter_mut().find(|n| n.name == renamed).unwrap().meta.mod_revision = 1001;
        c.snapshot.etcd.revision = 1001;
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn keys_written_since_or_deleted_since_are_no_fork() {
        let mut c = known();
        c.snapshot.etcd.revision = 2000;
        c.snapshot.blocks[0].meta.mod_revision = 1001;
        c.snapshot.blocks[0].meta.value_hash += 1;
        c.snapshot.handles.pop();
        assert!(c.find(&CHECK).is_empty());
    }

    #[test]
    fn the_pods_to_restart_are_listed_by_node() {
        let mut c = known();
        c.snapshot.etcd.revision = 500;
        c.remove_endpoint("web-3");
        c.remove_endpoint("web-0");
        let found = c.find(&CHECK);
        assert_eq!(found[0].advice, "restart 2 pods without endpoint, node by node");
        assert_eq!(found[0].next, ["kubectl -n shop delete pod web-0", "kubectl -n shop delete pod web-3"]);
    }

    #[test]
    fn a_source_without_revisions_and_a_past_without_a_complete_audit_say_nothing() {
        let mut c = known();
        c.snapshot.etcd.revision = 0;
        assert!(c.find(&CHECK).is_empty());
        let mut c = known();
        c.snapshot.etcd.revision = 1;
        past(&mut c).etcd = None;
        assert!(c.find(&CHECK).is_empty());
    }
}
