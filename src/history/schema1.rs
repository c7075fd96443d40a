//! What schema 1 mixed up, found and made good when such a file is brought up to date.
//!
//! It named findings, allocations, keys and more by a hash of 64 bits in which two digits a fixed distance apart cancel
//! out: 10.65.27.173 and 10.65.29.103 were one finding. What was written of two such things is in one row and cannot be
//! unmixed, so it counts as not seen from here on. This is the only place that still knows that hash.

use std::collections::HashMap;

use rusqlite::params;
use rusqlite::types::ValueRef;

use super::column::{address_of, uid_text};
use super::tx::{ReadTx, WriteTx};
use crate::model::index::OwnedBy;
use crate::model::{Cidr, Code, Time};

/// The hash of schema 1, as it was.
fn hash(bytes: &[u8]) -> u64 {
    let mix = |mut x: u64| {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let step = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
    let (words, tail) = bytes.as_chunks::<8>();
    let start = mix(bytes.len() as u64 ^ 0x9e37_79b9_7f4a_7c15);
    let hash = words.iter().fold(start, |hash, word| step(hash, u64::from_le_bytes(*word)));
    let last = tail.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    mix(step(hash, last))
}

/// A finding that may have been another's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mixed {
    pub finding: i64,
    pub code: Code,
    pub subject: String,
    /// What shared its number.
    pub with: String,
}

/// Findings of a file of schema 1 whose subject shared its number with another subject, allocation, pod, node, block or
/// key that the file knows of the same cluster.
pub(super) fn mixed(tx: &ReadTx<'_>) -> rusqlite::Result<Vec<Mixed>> {
    let what = "SELECT id, pair, code, subject FROM finding ORDER BY id";
    let mut findings: Vec<(i64, Mixed)> = tx.rows(what, [], |row| {
        let (finding, code, subject) = (row.get(0)?, Code(row.get(2)?), row.get(3)?);
        Ok((row.get(1)?, Mixed { finding, code, subject, with: String::new() }))
    })?;
    let mut by_hash: HashMap<(i64, u64), Vec<usize>> = HashMap::new();
    for (place, (pair, finding)) in findings.iter().enumerate() {
        by_hash.entry((*pair, hash(finding.subject.as_bytes()))).or_default().push(place);
    }
    named(tx, &mut |pair, text| {
        for place in by_hash.get(&(pair, hash(text.as_bytes()))).into_iter().flatten() {
            if let Some((_, finding)) = findings.get_mut(*place).filter(|(_, f)| f.subject != text) {
                text.clone_into(&mut finding.with);
            }
        }
    })?;
    Ok(findings.into_iter().map(|(_, finding)| finding).filter(|f| !f.with.is_empty()).collect())
}

/// Addresses and handles of one cluster that shared their number: an audit that found the same of both could not be
/// written at all. Gives how many share one, and the first two.
pub(super) fn alike(tx: &ReadTx<'_>) -> rusqlite::Result<Option<(usize, String, String)>> {
    let mut seen: HashMap<(i64, u64), String> = HashMap::new();
    let mut found = None;
    let mut tell = |pair: i64, text: &str| {
        let other = seen.entry((pair, hash(text.as_bytes()))).or_insert_with(|| text.to_owned());
        if other != text {
            let (count, first, second) = found.take().unwrap_or_else(|| (0, other.clone(), text.to_owned()));
            found = Some((count + 1, first, second));
        }
    };
    read(tx, "SELECT DISTINCT pair, address FROM allocation ORDER BY address", &mut tell)?;
    read(tx, HANDLES, &mut tell)?;
    Ok(found)
}

/// Handles that the file knows by their keys.
const HANDLES: &str = "SELECT pair, CAST(substr(key, 24) AS TEXT) FROM key \
    WHERE substr(key, 1, 23) = CAST('/calico/ipam/v2/handle/' AS BLOB)";

/// Every text that the file knows and that a finding can be about, with its pair.
fn named(tx: &ReadTx<'_>, tell: &mut dyn FnMut(i64, &str)) -> rusqlite::Result<()> {
    for what in [
        "SELECT pair, subject FROM finding",
        "SELECT DISTINCT pair, address FROM allocation",
        "SELECT DISTINCT pair, address FROM pod_address",
        "SELECT DISTINCT pair, handle FROM allocation WHERE handle IS NOT NULL",
        "SELECT DISTINCT a.pair, n.text || '/' || a.pod FROM pod_address a JOIN name n ON n.id = a.namespace",
        "SELECT s.pair, n.text FROM node_state s JOIN name n ON n.id IN (s.calico, s.kubernetes)",
        "SELECT pair, cidr FROM block",
        "SELECT pair, CAST(key AS TEXT) FROM key",
        HANDLES,
        "SELECT pair, CAST(substr(key, 58) AS TEXT) FROM key WHERE \
         substr(key, 1, 57) = CAST('/calico/resources/v3/projectcalico.org/workloadendpoints/' AS BLOB)",
    ] {
        read(tx, what, tell)?;
    }
    Ok(())
}

/// Tells each row of a pair and a text or an address.
fn read(tx: &ReadTx<'_>, what: &str, tell: &mut dyn FnMut(i64, &str)) -> rusqlite::Result<()> {
    tx.rows(what, [], |row| {
        let pair = row.get(0)?;
        match row.get_ref(1)? {
            ValueRef::Blob(bytes) => address_of(bytes).into_iter().for_each(|a| tell(pair, &a.to_string())),
            value => tell(pair, &uid_text(value)),
        }
        Ok(())
    })
}

/// Allocations that took over the age of another one: their numbers were equal, their handles were not.
fn of_another_age(tx: &ReadTx<'_>) -> rusqlite::Result<Vec<i64>> {
    let what = "SELECT id FROM allocation WHERE tuple_since <> first_seen AND (pair, tuple) IN (SELECT pair, tuple \
                FROM allocation GROUP BY pair, tuple HAVING count(DISTINCT quote(address) || quote(sequence) || \
                block_create_revision || quote(handle)) > 1)";
    tx.rows(what, [], |row| row.get(0))
}

/// Brings a file of schema 1 to schema 2, whose tables `tables` makes.
pub(super) fn to_schema_2(tx: &WriteTx<'_>, tables: &str) -> rusqlite::Result<()> {
    let (mixed, aged) = (mixed(tx)?, of_another_age(tx)?);
    tx.execute_batch(tables)?;
    let mut mark = tx.write(
        "UPDATE finding SET mixed_with = ?2, mixed_until = (SELECT coalesce(max(id), 0) FROM audit WHERE pair = finding.pair) \
         WHERE id = ?1",
    )?;
    for finding in mixed {
        mark.execute(params![finding.finding, finding.with])?;
    }
    let mut young = tx.write(
        "UPDATE allocation SET tuple_since = first_seen, tuple_since_at = coalesce((SELECT judged FROM audit \
         WHERE id = first_seen), tuple_since_at) WHERE id = ?1",
    )?;
    for allocation in aged {
        young.execute([allocation])?;
    }
    owners(tx)
}

/// The hashes of the owners of what is open, made anew from the row: else the next audit would take every allocation for
/// one whose owners changed.
fn owners(tx: &WriteTx<'_>) -> rusqlite::Result<()> {
    let mut select = tx.prepare(
        "SELECT a.id, b.cidr, u.text, node.text, ns.text, a.pod, a.allocated, a.more FROM allocation a \
         JOIN block b ON b.id = a.block JOIN name u ON u.id = a.use LEFT JOIN name node ON node.id = a.node \
         LEFT JOIN name ns ON ns.id = a.namespace WHERE a.last_seen IS NULL",
    )?;
    let mut rows = select.query([])?;
    let mut known: Vec<(i64, u64)> = Vec::new();
    while let Some(row) = rows.next()? {
        let text = |place: usize| row.get_ref(place).and_then(|value| Ok(value.as_str_or_null()?));
        let Some((block, _)) = Cidr::parse(row.get_ref(1)?.as_str()?) else { continue };
        let owned = OwnedBy {
            block,
            used_for: row.get_ref(2)?.as_str()?,
            node: text(3)?,
            namespace: text(4)?,
            pod: text(5)?,
            allocated: row.get::<_, Option<i64>>(6)?.map(Time),
            more: text(7)?,
        };
        known.push((row.get(0)?, owned.hash()));
    }
    let mut update = tx.write("UPDATE allocation SET owner = ?2 WHERE id = ?1")?;
    for (id, owner) in known {
        update.execute([id, owner as i64])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pairs with which it was found.
    #[test]
    fn the_hash_of_schema_1_is_as_it_was() {
        assert_eq!(hash(b"10.65.27.173"), hash(b"10.65.29.103"));
        let key = |node: &str| hash(crate::model::keys::node_key(node).as_bytes());
        assert_eq!(key("ip-10-0-96-160.ec2.internal"), key("ip-10-0-114-10.ec2.internal"));
        assert_ne!(hash(b"10.65.27.173"), hash(b"10.65.27.174"));
        assert_ne!(hash(b""), hash(b"\0"));
        // What the property tests of today's hashes would have found.
        let addresses: Vec<String> = (0..=u16::MAX).map(|n| format!("10.65.{}.{}", n >> 8, n & 255)).collect();
        let mut seen: HashMap<u64, usize> = HashMap::new();
        addresses.iter().for_each(|a| *seen.entry(hash(a.as_bytes())).or_default() += 1);
        assert_eq!(seen.values().filter(|n| **n > 1).sum::<usize>(), 5_680);
    }
}
