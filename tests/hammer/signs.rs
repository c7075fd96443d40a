//! The signs by which a restored etcd can be told, worked out apart from ipaudit: what it must see, and what nobody can.

use std::collections::BTreeMap;

use etcd_client::GetOptions;
use serde_json::Value;

use super::cluster::{Cluster, RESOURCES};
use super::servers::block_on;

/// What is known about one key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    create: i64,
    modified: i64,
    version: i64,
    value: Vec<u8>,
}

/// etcd at one moment, as far as an audit records it.
#[derive(Debug)]
pub struct Seen {
    pub revision: i64,
    cluster: u64,
    term: u64,
    keys: BTreeMap<Vec<u8>, Known>,
}

/// Blocks, handles and affinities; endpoints; nodes.
fn prefixes() -> [String; 3] {
    ["/calico/ipam/v2/".to_owned(), format!("{RESOURCES}/workloadendpoints/"), format!("{RESOURCES}/nodes/")]
}

/// Faster than this a second, over a minute at least, no etcd writes.
const GROWTH: i64 = 10_000 * 60;
/// Sequence numbers that are times.
const NANOSECONDS: u64 = 1_000_000_000_000_000_000;

impl Seen {
    pub fn now(cluster: &Cluster) -> Seen {
        let mut client = cluster.etcd.client();
        let mut seen = Seen { revision: 0, cluster: 0, term: 0, keys: BTreeMap::new() };
        for prefix in prefixes() {
            let answer = block_on(client.get(prefix, Some(GetOptions::new().with_prefix()))).unwrap();
            let header = answer.header().unwrap();
            (seen.revision, seen.cluster, seen.term) = (header.revision(), header.cluster_id(), header.raft_term());
            for kv in answer.kvs() {
                let (create, modified, version) = (kv.create_revision(), kv.mod_revision(), kv.version());
                let known = Known { create, modified, version, value: kv.value().to_vec() };
                seen.keys.insert(kv.key().to_vec(), known);
            }
        }
        seen
    }

    /// Why `self`, seen after `before`, cannot be the same life of one datastore.
    pub fn is_no_sequel_of(&self, before: &Seen) -> Option<String> {
        if self.cluster != before.cluster {
            return Some("another cluster id".to_owned());
        }
        if self.revision < before.revision {
            return Some(format!("revision {} after {}", self.revision, before.revision));
        }
        // A snapshot of what the audit saw, restored before anything was written, has lost nothing.
        let is_the_same = self.revision == before.revision && self.keys == before.keys;
        if self.term < before.term && !is_the_same {
            return Some(format!("term {} after {}", self.term, before.term));
        }
        if self.revision - before.revision > GROWTH {
            return Some(format!("revision {} soon after {}", self.revision, before.revision));
        }
        self.keys.iter().find_map(|(key, now)| {
            let why = forked(before.keys.get(key), now, before.revision)?;
            Some(format!("{}: {why}", String::from_utf8_lossy(key)))
        })
    }
}

fn forked(then: Option<&Known>, now: &Known, revision: i64) -> Option<&'static str> {
    if now.modified <= revision && then != Some(now) {
        return Some("it was not so at that revision");
    }
    let then = then.filter(|then| then.create == now.create)?;
    if now.modified > then.modified && now.version <= then.version {
        return Some("written again, and its version did not grow");
    }
    let sequence = |known: &Known| {
        let value: Value = serde_json::from_slice(&known.value).unwrap();
        value["sequenceNumber"].as_u64().filter(|number| *number >= NANOSECONDS)
    };
    let (was, is) = (sequence(then)?, sequence(now)?);
    (is < was).then_some("its sequence number fell")
}
