//! Intervals: who had which address, which pod said so, how nodes and pools were.

use std::collections::HashMap;

use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

use super::{CapacityAt, Whose, Window};
use crate::error::Error;
use crate::history::ReadTx;
use crate::history::column::{address, address_bytes, cidr, some_bits, some_time, term, uid_text};
use crate::history::timeline::Timeline;
use crate::model::row::{
    AllocationRow, AuditAt, CapacityRow, Interval, Lifespan, NodeRow, PodRow, PoolNumbers, Reboot,
};
use crate::model::{Foreign, Input, Time};

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
        let latest = timeline.looked(inputs, i64::MAX).map(|a| AuditAt { audit: a.id, at: a.judged });
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

/// Which rows of table `a` are meant; `handle`: as SQL, which of them are of a handle.
fn asked(whose: &Whose, handle: &str) -> (String, Vec<Value>) {
    let (what, values) = match whose {
        Whose::Address(address) => ("a.address = ?", vec![Value::from(address_bytes(*address))]),
        Whose::Range(range) => {
            let ends = [range.first(), range.last()].map(|end| Value::from(address_bytes(end)));
            // An IPv6 address of the same first bytes lies between two IPv4 ones.
            let bytes = if range.is_v4() { 4 } else { 16 };
            return (format!("a.address BETWEEN ? AND ? AND length(a.address) = {bytes}"), ends.into());
        }
        Whose::Handle(id) => (handle, vec![Value::from(id.clone())]),
        Whose::Pod { namespace: None, name } => ("a.pod = ?", vec![Value::from(name.clone())]),
        Whose::Pod { namespace: Some(namespace), name } => {
            ("a.pod = ? AND ns.text = ?", vec![Value::from(name.clone()), Value::from(namespace.clone())])
        }
        Whose::Node(name) => ("node.text = ?", vec![Value::from(name.clone())]),
        Whose::All => ("1", Vec::new()),
    };
    (what.to_owned(), values)
}

/// When a row was so: four columns for [`SpanReader::span`], behind its own.
const ENDS: &str = "not_seen_before, first_seen, last_seen, not_seen_after";

impl ReadTx<'_> {
    /// Rows of a pair that last, each with its [`ENDS`], which begin at column `ends`. The pair is the last value.
    fn intervals<T>(
        &self,
        pair: i64,
        inputs: &[Input],
        (what, mut values): (String, Vec<Value>),
        ends: usize,
        of: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<Interval<T>>> {
        let spans = SpanReader::of(self, pair, inputs)?;
        values.push(Value::from(pair));
        let interval = |row: &Row<'_>| Ok(Interval { row: of(row)?, span: spans.span(row, ends)? });
        self.rows(&what, params_from_iter(values), interval)
    }

    /// Allocations by IPAM, by address, then oldest first. By address they come from an index; else the
    /// table is looked through.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn allocations(&self, pair: i64, whose: &Whose) -> Result<Vec<Interval<AllocationRow>>, Error> {
        let (what, values) = asked(whose, "(a.handle = ?1 OR substr(a.handle, -length(?1) - 1) = '.' || ?1)");
        let what = format!(
            "SELECT a.address, b.cidr, a.block_create_revision, a.sequence, a.handle, u.text, node.text, ns.text, a.pod, \
             a.allocated, a.more, a.changes, {ENDS} FROM allocation a JOIN block b ON b.id = a.block \
             JOIN name u ON u.id = a.use LEFT JOIN name node ON node.id = a.node LEFT JOIN name ns ON ns.id = a.namespace \
             WHERE {what} AND a.pair = ? ORDER BY a.address, a.id"
        );
        let allocation = |row: &Row<'_>| {
            Ok(AllocationRow {
                address: address(row, 0)?,
                block: cidr(row, 1)?,
                block_create_revision: row.get(2)?,
                sequence: some_bits(row, 3)?,
                handle: row.get(4)?,
                used_for: term(row, 5)?,
                node: row.get(6)?,
                namespace: row.get(7)?,
                pod: row.get(8)?,
                allocated: some_time(row, 9)?,
                more: row.get(10)?,
                changes: row.get::<_, Option<i64>>(11)?.map(i64::unsigned_abs),
            })
        };
        let found = self.intervals(pair, &[Input::Blocks], (what, values), 12, allocation);
        found.map_err(self.failed("read the allocations of the history"))
    }

    /// Addresses by the pods' own status, by address, then oldest first. A handle is nobody's here.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn pod_addresses(&self, pair: i64, whose: &Whose) -> Result<Vec<Interval<PodRow>>, Error> {
        let (what, values) = asked(whose, "0 AND '' = ?");
        let what = format!(
            "SELECT a.address, a.uid, ns.text, a.pod, node.text, g.text, {ENDS} FROM pod_address a \
             JOIN name ns ON ns.id = a.namespace JOIN name node ON node.id = a.node JOIN name g ON g.id = a.grade \
             WHERE {what} AND a.pair = ? ORDER BY a.address, a.id"
        );
        let pod = |row: &Row<'_>| {
            Ok(PodRow {
                address: address(row, 0)?,
                uid: uid_text(row.get_ref(1)?).into(),
                namespace: row.get(2)?,
                pod: row.get(3)?,
                node: row.get(4)?,
                grade: term(row, 5)?,
            })
        };
        let found = self.intervals(pair, &[Input::Pods], (what, values), 6, pod);
        found.map_err(self.failed("read the pods' addresses of the history"))
    }

    /// States of nodes, by name, then oldest first; `name` is Calico's or Kubernetes', `None`: all.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn nodes(&self, pair: i64, name: Option<&str>) -> Result<Vec<Interval<NodeRow>>, Error> {
        let what = format!(
            "SELECT {NODE_STATE}, {ENDS} {FROM_NODE_STATE} WHERE (?1 IS NULL OR c.text = ?1 OR k.text = ?1) \
             AND s.pair = ?2 ORDER BY coalesce(c.text, k.text), s.id",
        );
        let values = vec![Value::from(name.map(str::to_owned))];
        let found = self.intervals(pair, &[Input::CalicoNodes, Input::KubeNodes], (what, values), 7, node_row);
        found.map_err(self.failed("read the nodes of the history"))
    }

    /// Nodes whose bootID changed: the audits around each reboot, those that ended within the window.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn reboots(&self, pair: i64, window: Window) -> Result<Vec<Reboot>, Error> {
        let states = self.nodes(pair, None)?;
        let mut last: HashMap<&Foreign, (&Foreign, AuditAt)> = HashMap::new();
        let mut reboots = Vec::new();
        for Interval { row, span } in &states {
            let (Some(boot), Some(node)) = (&row.boot_id, row.kubernetes.as_ref().or(row.calico.as_ref())) else {
                continue;
            };
            if let Some((id, before)) = last.insert(node, (boot, span.last_seen))
                && id != boot
                && window.has(span.first_seen.at)
            {
                reboots.push(Reboot { node: node.clone(), before, after: span.first_seen });
            }
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
            let what = format!("SELECT {CAPACITY}, k.audit {FROM_CAPACITY} WHERE k.pair = ?1 ORDER BY p.text, k.audit");
            self.rows(&what, [pair], |row| {
                let audit: i64 = row.get(12)?;
                let at = timeline.get(audit).map_or(Time(0), |a| a.judged);
                Ok(CapacityAt { row: capacity_row(row)?, at: AuditAt { audit, at } })
            })
        };
        let states: Vec<CapacityAt> = read().map_err(self.failed("read the capacity of the history"))?;
        let mut kept: Vec<CapacityAt> = Vec::new();
        for state in states.into_iter().filter(|state| state.at.at <= window.until) {
            // Of what was before the window only the last counts: it was so when the window began.
            let replaces = |last: &CapacityAt| last.row.pool == state.row.pool && state.at.at <= window.since;
            if kept.last().is_some_and(replaces) {
                kept.pop();
            }
            kept.push(state);
        }
        Ok(kept)
    }
}
