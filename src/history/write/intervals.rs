//! Intervals: allocations, pods' addresses, states of nodes; and the last state of blocks.

use std::collections::HashMap;

use rusqlite::{CachedStatement, OptionalExtension, Row, params};

use super::AuditWriter;
use crate::history::column::{address_bytes, cidr, some_bits};
use crate::model::index::OwnedBy;
use crate::model::kube;
use crate::model::row::{AllocationRow, BlockRow};
use crate::model::{Cidr, Foreign, Input};

impl AuditWriter<'_> {
    pub(super) fn allocations(&mut self) -> rusqlite::Result<()> {
        let record = self.record;
        let written: HashMap<Cidr, &BlockRow> = record.blocks.iter().map(|b| (b.cidr, b)).collect();
        if record.allocations.opened.is_empty() && record.allocations.closed.is_empty() {
            return self.blocks().map(drop);
        }
        let before = self.looked(&[Input::Blocks])?;
        self.close_allocations(&written, before)?;
        let (blocks, tx) = (self.blocks()?, self.tx);
        let mut insert = tx.write(
            "INSERT INTO allocation (pair, address, owner, block, block_create_revision, sequence, handle, use, node, namespace, \
             pod, allocated, more, not_seen_before, first_seen, tuple_since, tuple_since_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?;
        for (row, continues) in record.allocations.opened.iter() {
            let block = match blocks.get(&row.block) {
                Some(id) => *id,
                None => self.block_id(row.block)?,
            };
            self.open_allocation(&mut insert, &row, continues, (block, before))?;
        }
        Ok(())
    }

    /// Ends what is no more, apart from what lies in blocks that do not decode. How often the block was written
    /// between the two audits bounds how often the address changed hands.
    fn close_allocations(&mut self, written: &HashMap<Cidr, &BlockRow>, before: i64) -> rusqlite::Result<()> {
        let record = self.record;
        let mut select = self.tx.prepare_cached(
            "SELECT b.cidr, b.create_revision, b.version FROM allocation a JOIN block b ON b.id = a.block WHERE a.id = ?1",
        )?;
        let mut update = self.tx.write(
            "UPDATE allocation SET last_seen = max(?2, first_seen), not_seen_after = ?3, changes = ?4 WHERE id = ?1",
        )?;
        for row in &record.allocations.closed {
            let block = |row: &Row<'_>| Ok((cidr(row, 0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?));
            let (cidr, created, version) = select.query_row([row], block)?;
            let hidden = record.dark.all_blocks || record.dark.ranges.iter().any(|range| range.overlaps(cidr));
            if hidden && !record.continued.contains(row) {
                continue;
            }
            let now = written.get(&cidr).filter(|b| b.create_revision == created && created != 0);
            let changes = now.map(|b| (b.version - version).max(1));
            update.execute(params![row, before, self.audit, changes])?;
        }
        Ok(())
    }

    /// The last state of blocks; gives the rows of those that were written.
    fn blocks(&mut self) -> rusqlite::Result<HashMap<Cidr, i64>> {
        let mut ids = HashMap::new();
        let mut select = self.tx.prepare_cached(
            "SELECT id, sequence_create_revision, highest_sequence FROM block WHERE pair = ?1 AND cidr = ?2",
        )?;
        let mut insert = self.tx.write(
            "INSERT INTO block (pair, cidr, create_revision, version, sequence_create_revision, highest_sequence) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        let mut update = self.tx.write(
            "UPDATE block SET create_revision = ?2, version = ?3, sequence_create_revision = ?4, highest_sequence = ?5 \
             WHERE id = ?1",
        )?;
        for BlockRow { cidr, create_revision, version, sequence } in &self.record.blocks {
            let name = cidr.to_string();
            let old = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, some_bits(row, 2)?));
            let known = select.query_row(params![self.pair, name], old).optional()?;
            let before = known.and_then(|(_, created, highest)| Some((created?, highest?)));
            // A block that lost its number keeps the one that it had; a block made anew begins anew.
            let highest = match (before, *sequence) {
                (Some((created, highest)), Some(now)) if created == *create_revision => {
                    Some((created, highest.max(now)))
                }
                (_, Some(now)) => Some((*create_revision, now)),
                (before, None) => before,
            };
            let (created, highest) = (highest.map(|h| h.0), highest.map(|h| h.1 as i64));
            let id = match known {
                Some((id, ..)) => {
                    update.execute(params![id, create_revision, version, created, highest])?;
                    id
                }
                None => {
                    insert.execute(params![self.pair, name, create_revision, version, created, highest])?;
                    self.tx.last_row()
                }
            };
            ids.insert(*cidr, id);
        }
        Ok(ids)
    }

    fn block_id(&self, cidr: Cidr) -> rusqlite::Result<i64> {
        let mut select = self.tx.prepare_cached("SELECT id FROM block WHERE pair = ?1 AND cidr = ?2")?;
        select.query_row(params![self.pair, cidr.to_string()], |row| row.get(0))
    }

    fn open_allocation(
        &mut self,
        insert: &mut CachedStatement<'_>,
        row: &AllocationRow,
        continues: Option<i64>,
        (block, before): (i64, i64),
    ) -> rusqlite::Result<()> {
        let used_for = self.names.id(row.used_for.raw())?;
        let (node, namespace) = (self.names.some(row.node.as_ref())?, self.names.some(row.namespace.as_ref())?);
        // The same tuple under other owner attributes is known for as long as before.
        let (since, since_at) = match continues {
            Some(before) => {
                let mut select =
                    self.tx.prepare_cached("SELECT tuple_since, tuple_since_at FROM allocation WHERE id = ?1")?;
                let since = select.query_row([before], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                since.unwrap_or((self.audit, self.now.0))
            }
            None => (self.audit, self.now.0),
        };
        insert.execute(params![
            self.pair,
            address_bytes(row.address),
            OwnedBy::from(row).hash() as i64,
            block,
            row.block_create_revision,
            row.sequence.map(|s| s as i64),
            row.handle,
            used_for,
            node,
            namespace,
            row.pod,
            row.allocated.map(|t| t.0),
            row.more,
            before,
            self.audit,
            since,
            since_at,
        ])?;
        Ok(())
    }

    pub(super) fn pods(&mut self) -> rusqlite::Result<()> {
        let record = self.record;
        if record.pods.opened.is_empty() && record.pods.closed.is_empty() {
            return Ok(());
        }
        let before = self.looked(&[Input::Pods, Input::Endpoints, Input::CalicoNodes, Input::KubeNodes])?;
        self.close("pod_address", &record.pods.closed, before)?;
        let tx = self.tx;
        let mut insert = tx.write(
            "INSERT INTO pod_address (pair, address, uid, namespace, pod, node, grade, not_seen_before, first_seen) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        for row in record.pods.opened.iter() {
            let [namespace, node, grade] = [row.namespace.raw(), row.node.raw(), row.grade.raw()];
            let (namespace, node, grade) = (self.names.id(namespace)?, self.names.id(node)?, self.names.id(grade)?);
            let uuid = kube::uuid(row.uid.raw());
            let uid: &dyn rusqlite::ToSql = match &uuid {
                Some(bytes) => bytes,
                None => &row.uid,
            };
            let address = address_bytes(row.address);
            insert.execute(params![self.pair, address, uid, namespace, row.pod, node, grade, before, self.audit])?;
        }
        Ok(())
    }

    pub(super) fn nodes(&mut self) -> rusqlite::Result<()> {
        let record = self.record;
        if record.nodes.opened.is_empty() && record.nodes.closed.is_empty() {
            return self.known_nodes();
        }
        let before = self.looked(&[Input::CalicoNodes, Input::KubeNodes])?;
        self.close("node_state", &record.nodes.closed, before)?;
        for row in &record.nodes.opened {
            let names = &mut self.names;
            let (calico, kubernetes) = (names.some(row.calico.as_ref())?, names.some(row.kubernetes.as_ref())?);
            let (boot, addresses) = (names.some(row.boot_id.as_ref())?, names.id(row.addresses.raw())?);
            let mut insert = self.tx.write(
                "INSERT INTO node_state (pair, calico, kubernetes, ours, present, boot_id, ready, addresses, not_seen_before, \
                 first_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?;
            insert.execute(params![
                self.pair,
                calico,
                kubernetes,
                row.ours,
                row.present,
                boot,
                row.ready,
                addresses,
                before,
                self.audit,
            ])?;
        }
        self.known_nodes()
    }

    fn known_nodes(&mut self) -> rusqlite::Result<()> {
        let record = self.record;
        let mut set = |names: &[Foreign], what: &str| -> rusqlite::Result<()> {
            for name in names {
                let id = self.names.id(name.raw())?;
                self.tx.write(what)?.execute(params![self.pair, id, self.now.0])?;
            }
            Ok(())
        };
        set(
            &record.new_ours,
            "INSERT INTO node (pair, name, ours) SELECT ?1, ?2, 1 WHERE ?3 IS NOT NULL \
             ON CONFLICT (pair, name) DO UPDATE SET ours = 1",
        )?;
        set(
            &record.new_former,
            "INSERT INTO node (pair, name, ours) SELECT ?1, ?2, 2 WHERE ?3 IS NOT NULL \
             ON CONFLICT (pair, name) DO UPDATE SET ours = 2 WHERE ours = 0",
        )?;
        set(
            &record.gone,
            "INSERT INTO node (pair, name, ours, gone_since) VALUES (?1, ?2, 0, ?3) \
             ON CONFLICT (pair, name) DO UPDATE SET gone_since = excluded.gone_since",
        )?;
        set(&record.back, "UPDATE node SET gone_since = NULL WHERE pair = ?1 AND name = ?2 AND ?3 IS NOT NULL")
    }

    fn close(&self, table: &str, rows: &[i64], before: i64) -> rusqlite::Result<()> {
        let what = format!("UPDATE {table} SET last_seen = max(?2, first_seen), not_seen_after = ?3 WHERE id = ?1");
        let mut update = self.tx.write(&what)?;
        for row in rows {
            update.execute([*row, before, self.audit])?;
        }
        Ok(())
    }
}
