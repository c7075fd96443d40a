//! `--deep`: steps back through etcd's own revisions of a key, one write at a time, until compaction ends it.

use super::gather::Sources;
use crate::connect::etcd::{Connection, Stored};
use crate::decode;
use crate::error::{Error, chain};
use crate::history::ReadTx;
use crate::history::query::{LastKnown, Pair};
use crate::ledger::Ledger;
use crate::model::foreign::foreign;
use crate::model::{Addr, Cidr, Foreign, Gathering, keys};
use crate::source::etcd::{self, Pin, ReadError};
use crate::who::{self, Asked, Deep, DeepStep, Dossier, Guess, Word};

/// So many writes of one key are read, newest first.
const STEPS: usize = 1000;
/// So many keys are stepped through.
const KEYS: usize = 4;

/// What is gone from etcd, and where the history last knew it.
#[derive(Debug, Default)]
pub struct Gone {
    handles: Vec<LastKnown<Foreign>>,
    blocks: Vec<(Addr, LastKnown<Cidr>)>,
}

impl Gone {
    /// The first line, for a handle that nobody has any more and the history knew.
    pub fn words(&self) -> Option<Foreign> {
        let LastKnown { what, at, .. } = self.newest()?;
        Some(foreign!("handle {} is gone: no key, no block; the last audit that saw it is of {at}", what))
    }

    /// The same from the history alone, which has no allocation of it.
    pub fn known(&self) -> Option<Foreign> {
        let LastKnown { what, at, .. } = self.newest()?;
        let last = format!("the last audit that saw it is of {at}");
        Some(foreign!("the history knows handle {}, but no allocation of it; {last}", what))
    }

    fn newest(&self) -> Option<&LastKnown<Foreign>> {
        self.handles.iter().max_by_key(|known| known.at)
    }

    /// Handles of these words that the history knows.
    ///
    /// # Errors
    /// A history that cannot be read.
    pub fn add_handles(&mut self, db: &ReadTx<'_>, pair: &Pair, guesses: &[Guess]) -> Result<(), Error> {
        for guess in guesses {
            if let Guess::Handle(id) = guess {
                self.handles.extend(db.handles_last_known(pair.id, id)?);
            }
        }
        Ok(())
    }
}

/// Handles of the word asked for that are no more, and blocks of addresses that no block has any more.
///
/// # Errors
/// A history that cannot be read.
pub fn gone(db: &ReadTx<'_>, pair: &Pair, asked: &Asked, dossier: &Dossier, word: &Word<'_>) -> Result<Gone, Error> {
    let mut gone = Gone::default();
    for guess in who::guesses(word) {
        match guess {
            Guess::Handle(id) if asked.handles.is_empty() => gone.handles.extend(db.handles_last_known(pair.id, &id)?),
            Guess::Address(address) if dossier.addresses.iter().all(|sheet| sheet.block.is_none()) => {
                gone.blocks.extend(db.block_last_known(pair.id, address)?.map(|known| (address, known)));
            }
            _ => {}
        }
    }
    Ok(gone)
}

/// What etcd still knows of the blocks of the addresses asked for, and of the handles.
///
/// # Errors
/// etcd cannot be reached at all.
pub async fn of(
    sources: &Sources,
    ledger: &Ledger<'_>,
    asked: &Asked,
    dossier: &Dossier,
    gone: &Gone,
) -> Result<Vec<Deep>, Error> {
    let connection = sources.connection()?;
    let mut deep = Vec::new();
    for sheet in dossier.addresses.iter().take(KEYS) {
        let Some(block) = sheet.block else { continue };
        deep.push(Trail::new(connection, keys::block_key(block), Some(sheet.address)).back(None).await?);
    }
    for key in asked.handle_keys(ledger).take(KEYS) {
        deep.push(Trail::new(connection, key, None).back(None).await?);
    }
    for (address, known) in gone.blocks.iter().take(KEYS) {
        let trail = Trail::new(connection, keys::block_key(known.what), Some(*address));
        deep.push(trail.back_from(known).await?);
    }
    for known in gone.handles.iter().take(KEYS) {
        deep.push(Trail::new(connection, keys::handle_key(known.what.raw()), None).back_from(known).await?);
    }
    Ok(deep)
}

/// One key, stepped back through.
struct Trail<'a> {
    connection: &'a Connection,
    key: String,
    asked: [Vec<u8>; 1],
    address: Option<Addr>,
    /// Newest first.
    seen: Vec<DeepStep>,
}

impl<'a> Trail<'a> {
    fn new(connection: &'a Connection, key: String, address: Option<Addr>) -> Trail<'a> {
        let asked = [key.clone().into_bytes()];
        Trail { connection, key, asked, address, seen: Vec::new() }
    }

    fn end(self, end: String) -> Deep {
        let (key, end) = (self.key.into(), end.into());
        Deep { key, address: self.address, steps: who::trail(self.seen), end }
    }

    /// The value at a moment, and which moment that was.
    async fn at(&self, pin: Option<Pin>) -> Result<(Pin, Option<Stored>), ReadError> {
        let look = self.connection.keys("read single keys again", &self.asked, pin).await?;
        Ok((look.pin, look.found.into_iter().next().flatten()))
    }

    /// From where the history last knew it; first of all, when it was deleted.
    async fn back_from<T>(mut self, known: &LastKnown<T>) -> Result<Deep, Error> {
        let (now, there) = self.at(None).await.map_err(Error::from)?;
        if there.is_some() {
            return self.back(Some(now)).await;
        }
        let (revision, at) = (known.revision, known.at);
        if now.cluster_id != known.cluster_id || now.revision < revision {
            return Ok(self.end(format!("the key does not exist; the history knew it in another life of etcd, {at}")));
        }
        let pin = |revision| Some(Pin { revision, cluster_id: now.cluster_id });
        match self.at(pin(revision)).await {
            Ok((_, Some(_))) => {}
            Ok((_, None)) => {
                return Ok(self.end(format!("the key does not exist, nor did it at revision {revision}, audited {at}")));
            }
            Err(ReadError::Compacted(_)) => {
                let knew = format!("the history last knew it at revision {revision} ({at})");
                return Ok(self.end(format!("the key does not exist; {knew}, and etcd has compacted that away")));
            }
            Err(error) => return Err(error.into()),
        }
        // Deleted within (there, gone]: found by halving, some thirty reads at most.
        let (mut there, mut gone) = (revision, now.revision);
        while gone - there > 1 {
            let middle = there + (gone - there) / 2;
            match self.at(pin(middle)).await.map_err(Error::from)? {
                (_, Some(_)) => there = middle,
                (_, None) => gone = middle,
            }
        }
        self.seen.push(DeepStep { revision: gone, says: "deleted".into(), allocated: None });
        self.back(pin(there)).await
    }

    /// One write at a time, from the present or from `pin`.
    async fn back(mut self, mut pin: Option<Pin>) -> Result<Deep, Error> {
        let mut created = None;
        let end = loop {
            let (at, stored) = match self.at(pin).await {
                Ok(read) => read,
                Err(ReadError::Compacted(_)) => {
                    let before = pin.map_or(0, |p| p.revision);
                    break format!(
                        "compaction ends it: etcd has forgotten everything up to revision {before}, or more"
                    );
                }
                Err(error) if self.seen.is_empty() => return Err(error.into()),
                Err(error) => break format!("cut short: {}", chain(&Error::from(error))),
            };
            let Some(stored) = stored else {
                break match created {
                    Some(revision) => format!("the key was created at revision {revision}"),
                    None => "the key does not exist; its older revisions cannot be found without it".to_owned(),
                };
            };
            let mut snapshot = Gathering::default();
            if let Some(key) = self.asked.first() {
                decode::insert(&mut snapshot, &etcd::kv(key, &stored));
            }
            let snapshot = snapshot.sorted();
            let (says, allocated) = match self.address {
                Some(address) => who::block_says(&snapshot, address),
                None => who::handle_says(&snapshot),
            };
            self.seen.push(DeepStep { revision: stored.mod_revision, says, allocated });
            created = Some(stored.create_revision);
            if self.seen.len() >= STEPS {
                break format!("{STEPS} writes were read; older ones were not");
            }
            let revision = stored.mod_revision - 1;
            if revision < 1 {
                break "etcd has no older revision".to_owned();
            }
            pin = Some(Pin { revision, cluster_id: at.cluster_id });
        };
        Ok(self.end(end))
    }
}
