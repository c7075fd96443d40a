//! Single keys, all at one moment: what is looked at again, and what a release is about to change.

use etcd_client::{GetOptions, ResponseHeader, Txn, TxnOp, TxnOpResponse};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::Connection;
use crate::connect::settings::CONCURRENCY;
use crate::connect::trouble::Trouble;
use crate::error::Error;

/// etcd's own limit on the operations of a transaction.
const KEYS_PER_TRANSACTION: usize = 128;

/// One moment of one cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin {
    pub revision: i64,
    pub cluster_id: u64,
}

impl Pin {
    /// Another endpoint may have answered: the same cluster, and not an older state of it?
    ///
    /// # Errors
    /// What it is instead.
    pub fn check(self, header: &ResponseHeader, doing: &str) -> Result<(), Trouble> {
        let wrong = |text: String, hint: &str| Err(Trouble::other(Error::input(doing).cause(text).hint(hint)));
        if header.cluster_id() != self.cluster_id {
            let text = format!("cluster id {:x} instead of {:x}", header.cluster_id(), self.cluster_id);
            return wrong(text, "the endpoints belong to different etcd clusters");
        }
        if header.revision() < self.revision {
            let text = format!("revision {} after revision {}", header.revision(), self.revision);
            return wrong(text, "etcd was restored from a snapshot meanwhile: run again");
        }
        Ok(())
    }
}

/// A key that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    pub value: Vec<u8>,
    pub create_revision: i64,
    pub mod_revision: i64,
    pub version: i64,
}

/// The keys asked for, all at one moment.
#[derive(Clone, Debug)]
pub struct PinnedKeys {
    pub pin: Pin,
    /// In the order of the question; `None`: the key is absent at that moment.
    pub found: Vec<Option<Stored>>,
}

impl Connection {
    /// Reads these keys at one revision: `pin`, or the present one, which the answer then names. `doing` fits after
    /// "cannot".
    ///
    /// # Errors
    /// As [`Connection::call`]; a compaction between two transactions too, when there are more than 128 keys.
    pub async fn keys(&self, doing: &str, keys: &[Vec<u8>], pin: Option<Pin>) -> Result<PinnedKeys, Trouble> {
        let mut found = Vec::with_capacity(keys.len());
        let pin = self.each_key(doing, keys, pin, |_, stored| found.push(stored)).await?;
        Ok(PinnedKeys { pin, found })
    }

    /// The same of many keys: each is shown as it arrives, in the order of the question, and nobody holds all of them.
    ///
    /// # Errors
    /// As [`Connection::keys`]. What was shown then is to be thrown away.
    pub async fn each_key(
        &self,
        doing: &str,
        keys: &[Vec<u8>],
        pin: Option<Pin>,
        mut see: impl FnMut(&[u8], Option<Stored>),
    ) -> Result<Pin, Trouble> {
        let mut show = |group: &[Vec<u8>], found: Vec<Option<Stored>>| {
            if found.len() != group.len() {
                return Err(Trouble::other(Error::input(doing).cause("fewer answers than questions")));
            }
            group.iter().zip(found).for_each(|(key, stored)| see(key, stored));
            Ok(())
        };
        // No keys still name a moment: reads that follow can be pinned to it.
        let (head, rest) = keys.split_at(keys.len().min(KEYS_PER_TRANSACTION));
        let (pin, found) = self.group(doing, head, pin).await?;
        show(head, found)?;
        // The others at that moment, some of them at once.
        let groups = rest.chunks(KEYS_PER_TRANSACTION);
        let answers = stream::iter(groups.clone().map(|group| self.group(doing, group, Some(pin))));
        let mut answers = answers.buffered(CONCURRENCY);
        for group in groups {
            let Some((_, found)) = answers.try_next().await? else { break };
            show(group, found)?;
        }
        Ok(pin)
    }

    /// One transaction, at `pin` or at the moment that its answer names.
    async fn group(
        &self,
        doing: &str,
        group: &[Vec<u8>],
        pin: Option<Pin>,
    ) -> Result<(Pin, Vec<Option<Stored>>), Trouble> {
        let revision = pin.map(|p| p.revision);
        let answer = self.call(doing, |mut kv| {
            let txn = transaction(group, revision);
            async move { kv.txn(txn).await }
        });
        let answer = answer.await?;
        let fail = |text: &str| Trouble::other(Error::input(doing).cause(text.to_owned()));
        let header = answer.header().ok_or_else(|| fail("an answer without a header"))?;
        let pin = match pin {
            Some(pin) => pin.check(header, doing).map(|()| pin)?,
            None => Pin { revision: header.revision(), cluster_id: header.cluster_id() },
        };
        let mut found = Vec::with_capacity(group.len());
        for response in answer.op_responses().into_iter().take(group.len()) {
            let TxnOpResponse::Get(mut get) = response else { return Err(fail("not the answer to a read")) };
            found.push(get.take_kvs().into_iter().next().map(|kv| {
                let (create_revision, mod_revision, version) = (kv.create_revision(), kv.mod_revision(), kv.version());
                Stored { value: kv.into_key_value().1, create_revision, mod_revision, version }
            }));
        }
        Ok((pin, found))
    }
}

fn transaction(keys: &[Vec<u8>], revision: Option<i64>) -> Txn {
    let options = revision.map(|revision| GetOptions::new().with_revision(revision));
    let mut reads: Vec<TxnOp> = keys.iter().map(|key| TxnOp::get(key.clone(), options.clone())).collect();
    if reads.is_empty() {
        reads.push(TxnOp::get("/calico/", Some(GetOptions::new().with_count_only())));
    }
    Txn::new().and_then(reads)
}
