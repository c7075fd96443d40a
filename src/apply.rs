//! Carries out one transaction of a confirmed plan, and finds out afterwards what became of it.
//!
//! The transaction is sent once. When its answer is lost, nobody knows whether etcd has done it, and then nothing is
//! said before the keys have been read and compared with what was intended (`apply::settle`). Nothing is ever forced: a
//! compare that fails leaves everything as it was. Only a [`Ready`] can be applied, which only a licence of a confirmed
//! plan makes.

mod read;
mod settle;

use etcd_client::{Compare, CompareOp, Txn, TxnOp};

use crate::connect::etcd::Connection;
use crate::connect::trouble::{Trouble, TroubleKind};
use crate::error::Error;
use crate::plan::confirm::Ready;
use crate::plan::transaction::{After, Change, Transaction};

pub use read::{SeenKeys, read, read_until};
pub use settle::{Settled, settle};

/// How a transaction ended.
#[derive(Debug)]
pub enum Fate {
    /// It was done, at this revision (0: done, and the revision is not known, since the answer was lost).
    Done { revision: i64 },
    /// Nothing was written: a compare failed, since somebody else was faster. With `answer_lost` the answer was lost and
    /// the keys say that nothing was written; such a transaction may still arrive, late.
    Lost { answer_lost: bool },
    /// The answer was lost, and the keys do not tell: nobody knows.
    Unknown(Error),
}

/// Applies a transaction and, when its answer is lost, settles what became of it.
///
/// # Errors
/// A refusal by etcd: nothing was written. A missing right is named.
pub async fn apply(connection: &Connection, ready: &Ready) -> Result<Fate, Error> {
    let transaction = ready.transaction();
    let doing = "write the release";
    let sent = connection.once(doing, |mut kv| {
        let txn = request(transaction);
        async move { kv.txn(txn).await }
    });
    match sent.await {
        Ok(answer) if answer.succeeded() => {
            let revision = answer.header().map_or(0, |h| h.revision());
            Ok(Fate::Done { revision })
        }
        Ok(_) => Ok(Fate::Lost { answer_lost: false }),
        Err(trouble) if trouble.again() => {
            tracing::debug!(error = %crate::error::chain(&trouble.error), "the answer was lost: looking what became of it");
            Ok(match settle(connection, transaction.changes()).await {
                Ok(Settled::Done { revision }) => Fate::Done { revision },
                Ok(Settled::NotDone) => Fate::Lost { answer_lost: true },
                Ok(Settled::Unknown(why)) => Fate::Unknown(trouble.error.hint(why)),
                Err(error) => Fate::Unknown(error),
            })
        }
        Err(trouble) => Err(refused(trouble, transaction)),
    }
}

/// Compares, puts and deletes of a transaction.
fn request(transaction: &Transaction) -> Txn {
    let (mut when, mut then) = (Vec::new(), Vec::new());
    for Change { key, before, after, .. } in transaction.changes() {
        match before {
            Some(stored) => {
                when.push(Compare::mod_revision(key.clone(), CompareOp::Equal, stored.mod_revision));
                when.push(Compare::value(key.clone(), CompareOp::Equal, stored.value.clone()));
            }
            None => when.push(Compare::create_revision(key.clone(), CompareOp::Equal, 0)),
        }
        match after {
            After::Same => {}
            After::Put(value) => then.push(TxnOp::put(key.clone(), value.clone(), None)),
            After::Delete => then.push(TxnOp::delete(key.clone(), None)),
        }
    }
    Txn::new().when(when).and_then(then)
}

/// A refusal, with the right that is missing.
fn refused(trouble: Trouble, transaction: &Transaction) -> Error {
    if trouble.kind != TroubleKind::Forbidden {
        return trouble.error;
    }
    let mut prefixes: Vec<&str> =
        transaction.changes().iter().filter(|c| c.after != After::Same).filter_map(|c| prefix(&c.key)).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    let grants: Vec<String> = prefixes
        .iter()
        .map(|prefix| format!("etcdctl role grant-permission ROLE --prefix=true readwrite {prefix}"))
        .collect();
    let hint = format!("this user may read and not write; its role lacks: {}", grants.join("; "));
    trouble.error.hint(hint)
}

/// The prefix that a role must be able to write for this key (docs/release.md).
fn prefix(key: &[u8]) -> Option<&'static str> {
    use crate::model::keys::{BLOCKS, ENDPOINTS, HANDLES};
    [BLOCKS, HANDLES, ENDPOINTS].into_iter().find(|prefix| key.starts_with(prefix.as_bytes()))
}
