//! Reads the keys of a transaction right now, all at one moment.

use std::collections::BTreeMap;

use etcd_client::{GetOptions, Txn, TxnOp, TxnOpResponse};

use crate::connect::etcd::Connection;
use crate::connect::trouble::Trouble;
use crate::error::Error;
use crate::plan::transaction::{Fresh, OPERATIONS, StoredKey};

/// How often more keys may turn out to be needed.
const ROUNDS: usize = 4;

/// The keys at one moment.
#[derive(Clone, Debug)]
pub struct SeenKeys {
    pub fresh: Fresh,
    pub revision: i64,
    pub cluster_id: u64,
}

/// Reads these keys, all at one revision.
///
/// # Errors
/// As for any read; a compaction between two transactions too, when there are more than 128 keys.
pub async fn read(connection: &Connection, keys: &[Vec<u8>]) -> Result<SeenKeys, Error> {
    let doing = "read the keys of the release";
    let mut seen: Option<SeenKeys> = None;
    for group in keys.chunks(OPERATIONS) {
        let pin = seen.as_ref().map(|s| s.revision);
        let answer = connection.call(doing, |mut kv| {
            let options = pin.map(|revision| GetOptions::new().with_revision(revision));
            let reads: Vec<TxnOp> = group.iter().map(|key| TxnOp::get(key.clone(), options.clone())).collect();
            async move { kv.txn(Txn::new().and_then(reads)).await }
        });
        let answer = answer.await.map_err(|t| t.error)?;
        let fail = |text: &str| Error::input(doing).cause(text.to_owned());
        let header = answer.header().ok_or_else(|| fail("an answer without a header"))?;
        let now = seen.get_or_insert_with(|| SeenKeys {
            fresh: BTreeMap::new(),
            revision: header.revision(),
            cluster_id: header.cluster_id(),
        });
        if now.cluster_id != header.cluster_id() {
            return Err(fail("another etcd cluster answers now"));
        }
        let responses = answer.op_responses();
        if responses.len() < group.len() {
            return Err(fail("fewer answers than questions"));
        }
        for (key, response) in group.iter().zip(responses) {
            let TxnOpResponse::Get(mut get) = response else { return Err(fail("not the answer to a read")) };
            let stored = get.take_kvs().into_iter().next().map(|kv| {
                let (create_revision, mod_revision) = (kv.create_revision(), kv.mod_revision());
                StoredKey { value: kv.into_key_value().1, create_revision, mod_revision }
            });
            now.fresh.insert(key.clone(), stored);
        }
    }
    seen.ok_or_else(|| Error::own(doing).cause("no keys"))
}

/// Reads keys at one moment and decides; more keys may turn out to be needed, then all are read anew.
///
/// # Errors
/// As for any read, and what `check` says of the moment.
pub async fn read_until<T>(
    connection: &Connection,
    mut keys: Vec<Vec<u8>>,
    check: impl Fn(&SeenKeys) -> Result<(), Error>,
    decide: impl Fn(&Fresh) -> T,
    more: impl Fn(&T) -> Option<Vec<Vec<u8>>>,
) -> Result<T, Error> {
    let mut round = 0;
    loop {
        keys.sort();
        keys.dedup();
        let seen = read(connection, &keys).await?;
        check(&seen)?;
        let decided = decide(&seen.fresh);
        round += 1;
        match more(&decided) {
            Some(more) if round < ROUNDS => keys.extend(more),
            _ => return Ok(decided),
        }
    }
}

/// One key as it was at a revision; `None`: absent then.
pub(super) async fn read_at(connection: &Connection, key: &[u8], revision: i64) -> Result<Option<StoredKey>, Trouble> {
    let answer = connection.call("look up what became of the release", |mut kv| {
        let (key, options) = (key.to_vec(), GetOptions::new().with_revision(revision));
        async move { kv.get(key, Some(options)).await }
    });
    let mut answer = answer.await?;
    Ok(answer.take_kvs().into_iter().next().map(|kv| {
        let (create_revision, mod_revision) = (kv.create_revision(), kv.mod_revision());
        StoredKey { value: kv.into_key_value().1, create_revision, mod_revision }
    }))
}
