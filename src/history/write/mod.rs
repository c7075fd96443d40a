//! One audit, one transaction: killed anywhere, the file holds it whole or not at all.
//!
//! The lock is taken first ([`Db::begin`]): what others wrote meanwhile is then seen, and nothing changes any more
//! until the commit. Rows are written in the order of their tables.

mod findings;
mod intervals;
mod names;

use std::cell::OnceCell;
use std::collections::HashSet;

use rusqlite::{OptionalExtension, params};

use self::names::NameTable;
use super::timeline::Timeline;
use super::tx::WriteTx;
use super::{Db, ReadTx, ToWrite, kill, pair, past};
use crate::error::Error;
use crate::model::finding::{hash64, hash128};
use crate::model::record::{AuditRecord, ClusterKey, Recorded};
use crate::model::{Input, Life, Meta, Past, Time};

/// The history, locked for one audit. Dropped, nothing was written.
#[derive(Debug)]
pub struct Writing<'a> {
    tx: WriteTx<'a>,
}

/// Another audit of the cluster has been recorded since a record's past was read, so the record was not written.
#[derive(Debug)]
pub struct Stale<'a> {
    /// The lock goes on: nobody else comes between.
    pub writing: Writing<'a>,
    /// What is recorded of the cluster now.
    pub past: Past,
}

impl ReadTx<'_> {
    /// The number of the last audit of any cluster; 0 when there is none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn last_audit(&self) -> Result<i64, Error> {
        let what = "SELECT coalesce(max(id), 0) FROM audit";
        self.query_row(what, [], |row| row.get(0)).map_err(self.failed("read the history"))
    }
}

impl Db<ToWrite> {
    /// Locks the file for one audit; another one that writes just now is waited for.
    ///
    /// # Errors
    /// The other audit does not finish, or the file cannot be written.
    pub fn begin(&mut self) -> Result<Writing<'_>, Error> {
        let failed = self.failed("write the audit into the history");
        let tx = self.begin_write().map_err(failed)?;
        kill::point("begin");
        Ok(Writing { tx })
    }
}

impl<'a> Writing<'a> {
    /// Writes an audit, whole or not at all, if the past that it was made with is still the last word.
    ///
    /// # Errors
    /// A file that cannot be written, a full disk: then nothing of it is there.
    pub fn record(self, record: AuditRecord<'_>) -> Result<Result<Recorded, Stale<'a>>, Error> {
        let failed = self.tx.failed("write the audit into the history");
        let last = &record.past.last;
        if self.last_of(&last.key).map_err(&failed)? != last.audit {
            let past = past::load(&self.tx, &last.key).map_err(&failed)?;
            return Ok(Err(Stale { writing: self, past }));
        }
        let recorded = AuditWriter::begin(&self.tx, &record).and_then(|writer| writer.write()).map_err(&failed)?;
        kill::point("commit");
        self.tx.commit().map_err(&failed)?;
        kill::point("committed");
        Ok(Ok(recorded))
    }

    /// The number of the last audit of this cluster; 0 when there is none.
    fn last_of(&self, key: &ClusterKey) -> rusqlite::Result<i64> {
        let Some(pair) = pair::find(&self.tx, key)? else { return Ok(0) };
        self.tx.query_row("SELECT coalesce(max(id), 0) FROM audit WHERE pair = ?1", [pair], |row| row.get(0))
    }
}

/// The audit being written.
struct AuditWriter<'a> {
    tx: &'a WriteTx<'a>,
    record: &'a AuditRecord<'a>,
    names: NameTable<'a>,
    pair: i64,
    /// Nobody can say which Kubernetes cluster it is: nothing is closed.
    apart: bool,
    /// This audit's number.
    audit: i64,
    /// The pair's last audit; 0 when there is none.
    before: i64,
    now: Time,
    /// The audits before this one, once somebody asks.
    timeline: OnceCell<Timeline>,
}

impl<'a> AuditWriter<'a> {
    fn begin(tx: &'a WriteTx<'a>, record: &'a AuditRecord<'a>) -> rusqlite::Result<AuditWriter<'a>> {
        let pair = pair::find_or_make(tx, &record.past.last.key)?;
        let number = |what: &str| tx.query_row(what, [pair], |row| row.get::<_, i64>(0));
        let before = number("SELECT coalesce(max(id), 0) FROM audit WHERE pair = ?1")?;
        let apart = number("SELECT apart FROM pair WHERE id = ?1")? == 1;
        let audit = tx.query_row("SELECT coalesce(max(id), 0) + 1 FROM audit", [], |row| row.get(0))?;
        let names = NameTable::new(tx);
        Ok(AuditWriter {
            tx,
            record,
            names,
            pair,
            apart,
            audit,
            before,
            now: record.header.judged,
            timeline: OnceCell::new(),
        })
    }

    fn write(mut self) -> rusqlite::Result<Recorded> {
        self.state_of_pair()?;
        kill::point("pair");
        // Findings come first, since the audit's row says how many are new.
        let recorded = self.findings()?;
        kill::point("findings");
        self.audit_row(&recorded)?;
        kill::point("audit");
        self.allocations()?;
        kill::point("allocations");
        self.pods()?;
        self.nodes()?;
        kill::point("nodes");
        self.capacity()?;
        self.keys()?;
        kill::point("keys");
        Ok(recorded)
    }

    /// The audits before this one.
    fn timeline(&self) -> rusqlite::Result<&Timeline> {
        if let Some(timeline) = self.timeline.get() {
            return Ok(timeline);
        }
        let timeline = Timeline::of(self.tx, self.pair)?;
        Ok(self.timeline.get_or_init(|| timeline))
    }

    /// The last audit before this one that read all of these inputs; 0 when there is none.
    fn looked(&self, inputs: &[Input]) -> rusqlite::Result<i64> {
        Ok(self.timeline()?.looked(inputs, self.before).map_or(0, |audit| audit.id))
    }

    /// Rows of the pair change seldom; an unchanged cluster's audit touches none of them.
    fn state_of_pair(&self) -> rusqlite::Result<()> {
        let (record, pair) = (self.record, self.pair);
        if record.forked {
            let set = "UPDATE pair SET epoch = epoch + 1, epoch_audit = ?2 WHERE id = ?1";
            self.tx.execute(set, [pair, self.audit])?;
            let forget = "UPDATE block SET highest_sequence = NULL, sequence_create_revision = NULL WHERE pair = ?1";
            self.tx.execute(forget, [pair])?;
        }
        if record.proves_pair && !self.apart {
            self.tx.execute("UPDATE pair SET known = 1 WHERE id = ?1 AND known = 0", [pair])?;
        }
        if let Some(exclusive) = record.exclusive {
            let set = "UPDATE pair SET exclusive = ?2 WHERE id = ?1 AND exclusive <> ?2";
            self.tx.execute(set, params![pair, exclusive])?;
        }
        let strict = match record.strict_affinity {
            Some(true) => "UPDATE pair SET strict_affinity_since = ?2 WHERE id = ?1 AND strict_affinity_since IS NULL",
            Some(false) => {
                "UPDATE pair SET strict_affinity_since = NULL WHERE id = ?1 AND strict_affinity_since IS NOT NULL AND ?2 >= 0"
            }
            None => return Ok(()),
        };
        self.tx.execute(strict, params![pair, self.now.0.max(0)])?;
        Ok(())
    }

    fn audit_row(&mut self, recorded: &Recorded) -> rusqlite::Result<()> {
        let header = &self.record.header;
        let tool = self.names.id(&header.tool)?;
        let about = self.about(&header.about)?;
        let before = "SELECT count(*) FROM audit WHERE id = ?1 AND (judged > ?2 OR started > ?3)";
        let back: i64 =
            self.tx.query_row(before, params![self.before, header.judged.0, header.started.0], |row| row.get(0))?;
        let epoch: i64 = self.tx.query_row("SELECT epoch FROM pair WHERE id = ?1", [self.pair], |row| row.get(0))?;
        let mut statement = self.tx.write(
            "INSERT INTO audit (id, pair, epoch, judged, started, duration, api_date, etcd_revision, compact_revision, \
             cluster_id, member_id, scope, complete, keys, clock_back, tool, about, counts, found, new, ongoing, came_back, \
             resolved, raft_term) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
             ?19, ?20, ?21, ?22, ?23, ?24)",
        )?;
        let etcd = &header.etcd;
        statement.execute(params![
            self.audit,
            self.pair,
            epoch,
            header.judged.0,
            header.started.0,
            i64::try_from(header.duration.as_nanos()).unwrap_or(i64::MAX),
            header.api_date.map(|t| t.0),
            etcd.revision,
            etcd.compact_revision,
            etcd.cluster_id as i64,
            etcd.member_id as i64,
            header.scope.word(),
            header.complete,
            self.record.keys.is_some(),
            back > 0,
            tool,
            about,
            header.counts,
            header.found,
            recorded.new as i64,
            recorded.ongoing as i64,
            recorded.came_back as i64,
            recorded.resolved as i64,
            (etcd.raft_term != 0).then_some(etcd.raft_term as i64),
        ])?;
        Ok(())
    }

    /// The number of a text: where its hash says, or at the next free place.
    fn about(&self, text: &str) -> rusqlite::Result<i64> {
        let mut select = self.tx.prepare_cached("SELECT text = ?2 FROM about WHERE id = ?1")?;
        let mut id = hash64(text.as_bytes()) as i64;
        loop {
            match select.query_row(params![id, text], |row| row.get(0)).optional()? {
                Some(true) => return Ok(id),
                Some(false) => id = id.wrapping_add(1),
                None => break,
            }
        }
        self.tx.write("INSERT INTO about (id, text) VALUES (?1, ?2)")?.execute(params![id, text])?;
        Ok(id)
    }

    fn capacity(&mut self) -> rusqlite::Result<()> {
        let mut statement = self.tx.write(
            "INSERT INTO capacity (pair, pool, audit, cidr, addresses, allocated, in_use, leaked, cooling, reserved, free, \
             blocks, free_blocks, gone) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?;
        for row in &self.record.capacity {
            let (pool, cidr) = (self.names.id(row.pool.raw())?, self.names.id(row.cidr.raw())?);
            let n = &row.numbers;
            statement.execute(params![
                self.pair,
                pool,
                self.audit,
                cidr,
                n.addresses,
                n.allocated,
                n.in_use,
                n.leaked,
                n.cooling,
                n.reserved,
                n.free,
                n.blocks,
                n.free_blocks,
                row.gone,
            ])?;
        }
        Ok(())
    }

    fn keys(&self) -> rusqlite::Result<()> {
        let Some(changes) = &self.record.keys else { return Ok(()) };
        self.forget_keys(&changes.closed)?;
        kill::point("keys deleted");
        let mut statement = self.tx.write(
            "INSERT INTO key (pair, key, create_revision, mod_revision, version, value_hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT (pair, key) DO UPDATE SET create_revision = excluded.create_revision, \
             mod_revision = excluded.mod_revision, version = excluded.version, value_hash = excluded.value_hash",
        )?;
        for row in changes.opened.iter() {
            let Meta { create_revision, mod_revision, version, value_hash } = row.meta;
            let hash = value_hash as i64;
            statement.execute(params![self.pair, row.key, create_revision, mod_revision, version, hash])?;
        }
        Ok(())
    }

    /// Keys that are gone, by their hashes: texts that nobody asked for stand in the file alone, which is looked through
    /// once.
    fn forget_keys(&self, gone: &[u128]) -> rusqlite::Result<()> {
        if gone.is_empty() {
            return Ok(());
        }
        let known = &self.record.past.keys;
        let (mut keys, mut unknown): (Vec<Vec<u8>>, HashSet<u128>) = (Vec::with_capacity(gone.len()), HashSet::new());
        for hash in gone {
            match known.bytes(*hash) {
                Some(key) => keys.push(key.to_vec()),
                None => _ = unknown.insert(*hash),
            }
        }
        if !unknown.is_empty() {
            self.tx.rows::<(), ()>("SELECT key FROM key WHERE pair = ?1", [self.pair], |row| {
                let key = row.get_ref(0)?.as_blob()?;
                keys.extend(unknown.contains(&hash128(key)).then(|| key.to_vec()));
                Ok(())
            })?;
        }
        let mut delete = self.tx.write("DELETE FROM key WHERE pair = ?1 AND key = ?2")?;
        for key in keys {
            delete.execute(params![self.pair, key])?;
        }
        Ok(())
    }
}

/// The life of a finding that this audit saw first.
fn born(now: Time, episode: u64) -> Life {
    Life { first_seen: now, last_seen: now, audits_seen: 1, episode }
}
