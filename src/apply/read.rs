//! Reads the keys of a transaction right now, all at one moment.

use etcd_client::GetOptions;

use crate::connect::etcd::{Connection, Pin, Stored};
use crate::connect::trouble::Trouble;
use crate::error::Error;
use crate::plan::transaction::{Fresh, StoredKey};

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
    let read = connection.keys("read the keys of the release", keys, None).await.map_err(|t| t.error)?;
    let Pin { revision, cluster_id } = read.pin;
    let found = read.found.into_iter().map(|found| found.map(stored));
    Ok(SeenKeys { fresh: keys.iter().cloned().zip(found).collect(), revision, cluster_id })
}

fn stored(Stored { value, create_revision, mod_revision, .. }: Stored) -> StoredKey {
    StoredKey { value, create_revision, mod_revision }
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
