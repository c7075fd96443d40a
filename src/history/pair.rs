//! Which cluster an audit belongs to: the pair of Calico's GUID and Kubernetes' UID.
//!
//! UIDs of namespace kube-system and of service default/kubernetes are two names of one cluster; losing one right does
//! not make a new one. When Kubernetes cannot be asked, the only known pair of the GUID is meant; with none or several
//! the audit is kept apart and closes nothing.

use rusqlite::{OptionalExtension, params};

use super::tx::{ReadTx, WriteTx};
use crate::model::record::ClusterKey;

/// The pair that is meant, when the file has it.
pub(super) fn find(tx: &ReadTx<'_>, key: &ClusterKey) -> rusqlite::Result<Option<i64>> {
    let mut alias = tx.prepare_cached("SELECT pair FROM alias WHERE guid = ?1 AND uid = ?2")?;
    for uid in &key.uids {
        if let Some(pair) = alias.query_row([&key.guid, uid], |row| row.get(0)).optional()? {
            return Ok(Some(pair));
        }
    }
    if !key.uids.is_empty() {
        return Ok(None);
    }
    let known = "SELECT id FROM pair WHERE guid = ?1 AND known = 1 AND apart = 0";
    let known: Vec<i64> = tx.rows(known, [&key.guid], |row| row.get(0))?;
    match known.as_slice() {
        [only] => Ok(Some(*only)),
        _ => {
            let apart = "SELECT id FROM pair WHERE guid = ?1 AND apart = 1";
            tx.query_row(apart, [&key.guid], |row| row.get(0)).optional()
        }
    }
}

/// The same, made when it is absent; all its names are known afterwards.
pub(super) fn find_or_make(tx: &WriteTx<'_>, key: &ClusterKey) -> rusqlite::Result<i64> {
    let pair = match find(tx, key)? {
        Some(pair) => pair,
        None => {
            let apart = key.uids.is_empty();
            tx.execute("INSERT INTO pair (guid, apart) VALUES (?1, ?2)", params![key.guid, apart])?;
            tx.last_row()
        }
    };
    let known = "SELECT count(*) FROM alias WHERE guid = ?1 AND uid = ?2 AND pair = ?3";
    for uid in &key.uids {
        // An alias that named another pair: both were one cluster all along, seen by different names.
        if tx.query_row(known, params![key.guid, uid, pair], |row| row.get::<_, i64>(0))? == 0 {
            let set = "INSERT INTO alias (guid, uid, pair) VALUES (?1, ?2, ?3) \
                       ON CONFLICT (guid, uid) DO UPDATE SET pair = excluded.pair";
            tx.execute(set, params![key.guid, uid, pair])?;
        }
    }
    Ok(pair)
}
