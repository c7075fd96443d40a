//! Reads single keys again: the second look at what an audit suspects, and what a release is about to change.

use etcd_client::{GetOptions, Txn, TxnOp, TxnOpResponse};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::etcd::{Pin, ReadError, same_cluster};
use crate::connect::etcd::Connection;
use crate::connect::settings::CONCURRENCY;
use crate::connect::trouble::{Trouble, TroubleKind};
use crate::error::Error;

/// etcd's own limit on the operations of a transaction.
const KEYS_PER_TRANSACTION: usize = 128;

/// A key that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    pub value: Vec<u8>,
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
}

impl Stored {
    /// As the decoders want it.
    pub fn kv<'a>(&'a self, key: &'a [u8]) -> crate::decode::Kv<'a> {
        crate::decode::Kv {
            key,
            value: &self.value,
            create_revision: self.create_revision,
            mod_revision: self.mod_revision,
            version: self.version,
        }
    }
}

/// The keys asked for, all at one moment.
#[derive(Clone, Debug)]
pub struct PinnedKeys {
    pub pin: Pin,
    /// In the order of the question; `None`: the key is absent at that moment.
    pub found: Vec<Option<Stored>>,
}

/// Reads these keys at one revision: `pin`, or the present one, which the answer then names.
///
/// # Errors
/// As for a read; a compaction between two transactions too, when there are more than 128 keys.
pub async fn read_keys(connection: &Connection, keys: &[Vec<u8>], pin: Option<Pin>) -> Result<PinnedKeys, ReadError> {
    let doing = "read single keys again";
    // No keys still name a moment: reads that follow can be pinned to it.
    let (head, rest) = keys.split_at(keys.len().min(KEYS_PER_TRANSACTION));
    let (pin, mut found) = read_group(connection, head, pin, doing).await?;
    // The others at that moment, some of them at once.
    let groups = rest.chunks(KEYS_PER_TRANSACTION).map(|group| read_group(connection, group, Some(pin), doing));
    let groups: Vec<(Pin, Vec<Option<Stored>>)> = stream::iter(groups).buffered(CONCURRENCY).try_collect().await?;
    found.extend(groups.into_iter().flat_map(|(_, found)| found));
    match found.len() == keys.len() {
        true => Ok(PinnedKeys { pin, found }),
        false => Err(ReadError::Failed(Error::input(doing).cause("fewer answers than questions"))),
    }
}

/// One transaction, at `pin` or at the moment that its answer names.
async fn read_group(
    connection: &Connection,
    group: &[Vec<u8>],
    pin: Option<Pin>,
    doing: &str,
) -> Result<(Pin, Vec<Option<Stored>>), ReadError> {
    let revision = pin.map(|p| p.revision);
    let answer = connection.call(doing, |mut kv| {
        let txn = transaction(group, revision);
        async move { kv.txn(txn).await }
    });
    let answer = answer.await?;
    let fail = |text: &str| Trouble { kind: TroubleKind::Other, error: Error::input(doing).cause(text.to_owned()) };
    let header = answer.header().ok_or_else(|| fail("an answer without a header"))?;
    let pin = match pin {
        Some(pin) => same_cluster(header, pin, doing).map(|()| pin)?,
        None => Pin { revision: header.revision(), cluster_id: header.cluster_id() },
    };
    let mut found = Vec::with_capacity(group.len());
    for response in answer.op_responses().into_iter().take(group.len()) {
        let TxnOpResponse::Get(mut get) = response else { return Err(fail("not the answer to a read").into()) };
        found.push(get.take_kvs().into_iter().next().map(|kv| {
            let (create_revision, mod_revision, version) = (kv.create_revision(), kv.mod_revision(), kv.version());
            Stored { value: kv.into_key_value().1, create_revision, mod_revision, version }
        }));
    }
    Ok((pin, found))
}

fn transaction(keys: &[Vec<u8>], revision: Option<i64>) -> Txn {
    let mut options = GetOptions::new();
    if let Some(revision) = revision {
        options = options.with_revision(revision);
    }
    let mut reads: Vec<TxnOp> = keys.iter().map(|key| TxnOp::get(key.clone(), Some(options.clone()))).collect();
    if reads.is_empty() {
        reads.push(TxnOp::get("/calico/", Some(GetOptions::new().with_count_only())));
    }
    Txn::new().and_then(reads)
}
