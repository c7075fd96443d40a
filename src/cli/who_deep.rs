//! `--deep`: steps back through etcd's own revisions of a key, one write at a time, until compaction ends it.

use super::gather::Sources;
use crate::connect::etcd::Connection;
use crate::decode;
use crate::error::{Error, chain};
use crate::ledger::Ledger;
use crate::model::{Addr, Cidr, Snapshot, keys};
use crate::source::etcd::{Pin, ReadError};
use crate::source::etcd_look::read_keys;
use crate::who::{self, Asked, Deep, Dossier, Step};

/// So many writes of one key are read, newest first.
const STEPS: usize = 1000;
/// So many keys are stepped through.
const KEYS: usize = 4;

/// What etcd still knows of the blocks of the addresses asked for, and of the handles.
///
/// # Errors
/// etcd cannot be reached at all.
pub async fn of(sources: &Sources, ledger: &Ledger<'_>, asked: &Asked, dossier: &Dossier) -> Result<Vec<Deep>, Error> {
    let connection = sources.connection()?;
    let mut deep = Vec::new();
    for sheet in dossier.addresses.iter().take(KEYS) {
        let Some((block, _)) = sheet.block.as_deref().and_then(Cidr::parse) else { continue };
        deep.push(back(connection, keys::block_key(block), Some(sheet.address)).await?);
    }
    for id in asked.handles.iter().take(KEYS) {
        deep.push(back(connection, keys::handle_key(&id.text(&ledger.snapshot.names)), None).await?);
    }
    Ok(deep)
}

async fn back(connection: &Connection, key: String, address: Option<Addr>) -> Result<Deep, Error> {
    let asked = [key.clone().into_bytes()];
    let mut pin: Option<Pin> = None;
    let mut seen: Vec<Step> = Vec::new();
    let mut created = None;
    let end = loop {
        let look = match read_keys(connection, &asked, pin).await {
            Ok(look) => look,
            Err(ReadError::Compacted(_)) => {
                let before = pin.map_or(0, |p| p.revision);
                break format!("compaction ends it: etcd has forgotten everything up to revision {before}, or more");
            }
            Err(error) if seen.is_empty() => return Err(error.into()),
            Err(error) => break format!("cut short: {}", chain(&Error::from(error))),
        };
        let Some(stored) = look.found.into_iter().next().flatten() else {
            break match created {
                Some(revision) => format!("the key was created at revision {revision}"),
                None => "the key does not exist; its older revisions cannot be found without it".to_owned(),
            };
        };
        let mut snapshot = Snapshot::default();
        if let Some(key) = asked.first() {
            decode::insert(&mut snapshot, &stored.kv(key));
        }
        snapshot.sort();
        let (says, allocated) = match address {
            Some(address) => who::block_says(&snapshot, address),
            None => who::handle_says(&snapshot),
        };
        seen.push(Step { revision: stored.mod_revision, says, allocated });
        created = Some(stored.create_revision);
        if seen.len() >= STEPS {
            break format!("{STEPS} writes were read; older ones were not");
        }
        let revision = stored.mod_revision - 1;
        if revision < 1 {
            break "etcd has no older revision".to_owned();
        }
        pin = Some(Pin { revision, cluster_id: look.pin.cluster_id });
    };
    Ok(Deep { key, address, steps: who::trail(seen), end })
}
