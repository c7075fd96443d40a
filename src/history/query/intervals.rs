//! Intervals: who had which address, which pod said so, how nodes and pools were.

use rusqlite::Row;
use rusqlite::types::Value;

use super::{CapacityAt, Whose, Window};
use crate::error::Error;
use crate::history::ReadTx;
use crate::history::column::{address, address_bytes, cidr, some_time, term, uid_text};
use crate::history::timeline::Timeline;
use crate::model::row::{
    AllocationRow, AuditAt, CapacityRow, Interval, Lifespan, NodeRow, PodRow, PoolNumbers, Reboot,
};
use crate::model::{Input, Time};

/// A node's state: seven columns for [`node_row`].
pub(in crate::history) const NODE_STATE: &str = "c.text, k.text, s.ours, s.present, b.text, s.ready, a.text";
pub(in crate::history) const FROM_NODE_STATE: &str = "FROM node_state s LEFT JOIN name c ON c.id = s.calico \
    LEFT JOIN name k ON k.id = s.kubernetes LEFT JOIN name b ON b.id = s.boot_id JOIN name a ON a.id = s.addresses";

pub(in crate::history) fn node_row(row: &Row<'_>) -> rusqlite::Result<NodeRow> {
    Ok(NodeRow {
        calico: row.get(0)?,
        kubernetes: row.get(1)?,
        ours: row.get(2)?,
        present: row.get(3)?,
        boot_id: row.get(4)?,
        ready: row.get(5)?,
        addresses: row.get(6)?,
    })
}

/// How full a pool is: twelve columns for [`capacity_row`].
pub(in crate::history) const CAPACITY: &str = "p.text, c.text, k.addresses, k.allocated, k.in_use, k.leaked, k.cooling, \
    k.reserved, k.free, k.blocks, k.free_blocks, k.gone";
pub(in crate::history) const FROM_CAPACITY: &str =
    "FROM capacity k JOIN name p ON p.id = k.pool JOIN name c ON c.id = k.cidr";

pub(in crate::history) fn capacity_row(row: &Row<'_>) -> rusqlite::Result<CapacityRow> {
    let numbers = PoolNumbers {
        addresses: row.get(2)?,
        allocated: row.get(3)?,
        in_use: row.get(4)?,
        leaked: row.get(5)?,
        cooling: row.get(6)?,
        reserved: row.get(7)?,
        free: row.get(8)?,
        blocks: row.get(9)?,
        free_blocks: row.get(10)?,
    };
    Ok(CapacityRow { pool: row.get(0)?, cidr: row.get(1)?, numbers, gone: row.get(11)? })
}

/// The ends of intervals, from the numbers of audits.
struct SpanReader {
    timeline: Timeline,
    /// The last audit that could have missed something open.
    latest: Option<AuditAt>,
}

impl SpanReader {
    /// `inputs`: what has to be read for the thing to be seen.
    fn of(db: &ReadTx<'_>, pair: i64, inputs: &[Input]) -> rusqlite::Result<SpanReader> {
        let timeline = Timeline::of(db, pair)?;
        let looked = timeline.audits.iter().rev().find(|a| inputs.iter().all(|i| a.about.complete(*i)));
        let latest = looked.map(|a| AuditAt { audit: a.id, at: a.judged });
        Ok(SpanReader { timeline, latest })
    }

    fn seen(&self, audit: i64) -> Option<AuditAt> {
        self.timeline.get(audit).map(|a| AuditAt { audit, at: a.judged })
    }

    /// From four columns: not seen before, first seen, last seen, not seen after.
    fn span(&self, row: &Row<'_>, column: usize) -> rusqlite::Result<Lifespan> {
        let (before, first): (i64, i64) = (row.get(column)?, row.get(column + 1)?);
        let (last, after): (Option<i64>, Option<i64>) = (row.get(column + 2)?, row.get(column + 3)?);
        let first_seen = self.seen(first).unwrap_or(AuditAt { audit: first, at: Time(0) });
        let open = self.latest.filter(|l| l.audit >= first).unwrap_or(first_seen);
        Ok(Lifespan {
            not_seen_before: Some(before).filter(|b| *b != 0).and_then(|b| self.seen(b)),
            first_seen,
            last_seen: last.map_or(Some(open), |l| self.seen(l)).unwrap_or(first_seen),
            not_seen_after: after.and_then(|a| self.seen(a)),
        })
    }
}

fn asked(whose: &Whose, handle: &str, node: &str, table: &str) -> (String, Vec<Value>) {
    match whose {
        Whose::Address(address) => (format!("{table}.address = ?"), vec![Value::from(address_bytes(*address))]),
        Whose::Handle(id) => (handle.to_owned(), vec![Value::from(id.clone())]),
        Whose::Pod { namespace: None, name } => (format!("{table}.pod = ?"), vec![Value::from(name.clone())]),
        Whose::Pod { namespace: Some(namespace), name } => (
            format!("{table}.pod = ? AND ns.text = ?"),
            vec![Value::from(name.clone()), Value::from(namespace.clone())],
        ),
        Whose::Node(name) => (node.to_owned(), vec![Value::from(name.clone())]),
        Whose::All => ("1".to_owned(), Vec::new()),
    }
}

impl ReadTx<'_> {
    /// Allocations by IPAM, by address, then oldest first. By address they come from an index; else the
    /// table is looked through.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn allocations(&self, pair: i64, whose: &Whose) -> Result<Vec<Interval<AllocationRow>>, Error> {
        let read = || {
            let spans = SpanReader::of(self, pair, &[Input::Blocks])?;
            let (what, mut values) =
                asked(whose, "(a.handle = ?1 OR substr(a.handle, -length(?1) - 1) = '.' || ?1)", "node.text = ?", "a");
            values.push(Value::from(pair));
            let mut statement = self.prepare(&format!(
                "SELECT a.address, b.cidr, a.block_create_revision, a.sequence, a.handle, u.text, node.text, ns.text, a.pod, \
                 a.allocated, a.more, a.not_seen_before, a.first_seen, a.last_seen, a.not_seen_after, a.changes \
                 FROM allocation a JOIN block b ON b.id = a.block JOIN name u ON u.id = a.use \
                 LEFT JOIN name node ON node.id = a.node LEFT JOIN name ns ON ns.id = a.namespace \
                 WHERE {what} AND a.pair = ? ORDER BY a.address, a.id"
            ))?;
            let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
                let allocation = AllocationRow {
                    address: address(row, 0)?,
                    block: cidr(row, 1)?,
                    block_create_revision: row.get(2)?,
                    sequence: row.get::<_, Option<i64>>(3)?.map(|s| s as u64),
                    handle: row.get(4)?,
                    used_for: term(row, 5)?,
                    node: row.get(6)?,
                    namespace: row.get(7)?,
                    pod: row.get(8)?,
                    allocated: some_time(row, 9)?,
                    more: row.get(10)?,
                    changes: row.get::<_, Option<i64>>(15)?.map(i64::unsigned_abs),
                };
                Ok(Interval { row: allocation, span: spans.span(row, 11)? })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the allocations of the history"))
    }

    /// Addresses by the pods' own status, by address, then oldest first. A handle is nobody's here.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn pod_addresses(&self, pair: i64, whose: &Whose) -> Result<Vec<Interval<PodRow>>, Error> {
        let read = || {
            let spans = SpanReader::of(self, pair, &[Input::Pods])?;
            let (what, mut values) = asked(whose, "0 AND '' = ?", "node.text = ?", "a");
            values.push(Value::from(pair));
            let mut statement = self.prepare(&format!(
                "SELECT a.address, a.uid, ns.text, a.pod, node.text, g.text, a.not_seen_before, a.first_seen, a.last_seen, \
                 a.not_seen_after FROM pod_address a JOIN name ns ON ns.id = a.namespace JOIN name node ON node.id = a.node \
                 JOIN name g ON g.id = a.grade WHERE {what} AND a.pair = ? ORDER BY a.address, a.id"
            ))?;
            let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
                let pod = PodRow {
                    address: address(row, 0)?,
                    uid: uid_text(row.get_ref(1)?),
                    namespace: row.get(2)?,
                    pod: row.get(3)?,
                    node: row.get(4)?,
                    grade: term(row, 5)?,
                };
                Ok(Interval { row: pod, span: spans.span(row, 6)? })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the pods' addresses of the history"))
    }

    /// States of nodes, by name, then oldest first; `name` is Calico's or Kubernetes', `None`: all.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn nodes(&self, pair: i64, name: Option<&str>) -> Result<Vec<Interval<NodeRow>>, Error> {
        let read = || {
            let spans = SpanReader::of(self, pair, &[Input::CalicoNodes, Input::KubeNodes])?;
            let mut statement = self.prepare_cached(&format!(
                "SELECT {NODE_STATE}, s.not_seen_before, s.first_seen, s.last_seen, s.not_seen_after {FROM_NODE_STATE} \
                 WHERE s.pair = ?1 AND (?2 IS NULL OR c.text = ?2 OR k.text = ?2) \
                 ORDER BY coalesce(c.text, k.text), s.id",
            ))?;
            let state = |row: &Row<'_>| Ok(Interval { row: node_row(row)?, span: spans.span(row, 7)? });
            let rows = statement.query_map((pair, name), state)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the nodes of the history"))
    }

    /// Nodes whose bootID changed: the audits around each reboot, those that ended within the window.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn reboots(&self, pair: i64, window: Window) -> Result<Vec<Reboot>, Error> {
        let states = self.nodes(pair, None)?;
        let name = |node: &NodeRow| node.kubernetes.clone().or_else(|| node.calico.clone()).unwrap_or_default();
        let mut last: std::collections::HashMap<String, (String, AuditAt)> = std::collections::HashMap::new();
        let mut reboots = Vec::new();
        for state in &states {
            let Some(boot) = state.row.boot_id.clone() else { continue };
            let node = name(&state.row);
            if let Some((_, before)) = last.get(&node).filter(|(id, _)| *id != boot) {
                let (before, after) = (*before, state.span.first_seen);
                if window.has(after.at) {
                    reboots.push(Reboot { node: node.clone(), before, after });
                }
            }
            last.insert(node, (boot, state.span.last_seen));
        }
        Ok(reboots)
    }

    /// How full every pool was: its state at the start of the window, and each change within it; by pool, then time.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn capacity(&self, pair: i64, window: Window) -> Result<Vec<CapacityAt>, Error> {
        let read = || {
            let timeline = Timeline::of(self, pair)?;
            let mut statement = self.prepare_cached(&format!(
                "SELECT {CAPACITY}, k.audit {FROM_CAPACITY} WHERE k.pair = ?1 ORDER BY p.text, k.audit",
            ))?;
            let rows = statement.query_map([pair], |row| {
                let audit: i64 = row.get(12)?;
                let at = AuditAt { audit, at: timeline.get(audit).map_or(Time(0), |a| a.judged) };
                Ok(CapacityAt { row: capacity_row(row)?, at })
            })?;
            let mut kept: Vec<CapacityAt> = Vec::new();
            for state in rows {
                let state = state?;
                if state.at.at > window.until {
                    continue;
                }
                // Of what was before the window only the last counts: it was so when the window began.
                let replaces = |last: &CapacityAt| last.row.pool == state.row.pool && state.at.at <= window.since;
                if kept.last().is_some_and(replaces) {
                    kept.pop();
                }
                kept.push(state);
            }
            Ok(kept)
        };
        read().map_err(self.failed("read the capacity of the history"))
    }
}
