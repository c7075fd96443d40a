//! How far back etcd remembers.

use etcd_client::GetOptions;

use crate::connect::etcd::Connection;
use crate::connect::trouble::TroubleKind;

/// The oldest revision that can still be read, i.e. the one of the last compaction; `None` when it cannot be learned.
///
/// etcd tells it in no answer but that of a watch, which would make a server that was never compacted read its
/// whole history. So it is found by halving: some thirty reads of one key, answered by the member alone.
pub(super) async fn oldest_revision(connection: Connection, newest: i64) -> Option<i64> {
    oldest_revision_since(connection, newest, None).await
}

/// The same where an earlier look has learned `then`: it only grows.
pub(super) async fn oldest_revision_since(connection: Connection, newest: i64, then: Option<i64>) -> Option<i64> {
    let readable = async |revision: i64| {
        let options = GetOptions::new().with_revision(revision).with_serializable().with_keys_only();
        let answer =
            connection.call("learn the last compaction", |mut kv| {
                let options = options.clone();
                async move {
                    kv.get("/calico/resources/v3/projectcalico.org/clusterinformations/default", Some(options)).await
                }
            });
        match answer.await {
            Ok(_) => Some(true),
            Err(trouble) if trouble.kind == TroubleKind::Compacted => Some(false),
            Err(_) => None,
        }
    };
    // Nothing was ever compacted as long as revision 1 can be read.
    let oldest = then.unwrap_or(0).max(0);
    if readable(oldest.max(1)).await? {
        return Some(oldest);
    }
    let (mut gone, mut there) = (oldest.max(1), newest);
    while there - gone > 1 {
        let middle = gone + (there - gone) / 2;
        match readable(middle).await? {
            true => there = middle,
            false => gone = middle,
        }
    }
    Some(there)
}
