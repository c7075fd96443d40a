//! Intervals: who had which address, which pod said so, how nodes and pools were.

use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};

use super::{AllocationInterval, CapacityAt, NodeInterval, PodInterval, Reboot, Seen, Span, Whose, Window};
use crate::error::Error;
use crate::history::ReadTx;
use crate::history::timeline::Timeline;
use crate::model::{Addr, Input, Time, Uid};

/// An address as it is stored: 4 or 16 bytes.
pub(in crate::history) fn address_bytes(address: Addr) -> Vec<u8> {
    match address.to_ip() {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The other way round.
pub(in crate::history) fn address_of(bytes: &[u8]) -> Option<Addr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let ip = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from)).ok()?;
    Some(ip.into())
}

fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Addr> {
    let bytes = row.get_ref(column)?.as_blob()?;
    Ok(address_of(bytes).unwrap_or_else(|| Addr::from_bits(0)))
}

/// A UID as it was written: a UUID is kept as its bytes.
pub(in crate::history) fn uid_text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Blob(bytes) => match <[u8; 16]>::try_from(bytes) {
            Ok(uuid) => Uid::Uuid(uuid).text(&crate::model::Names::default()),
            Err(_) => String::from_utf8_lossy(bytes).into_owned(),
        },
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}

/// The ends of intervals, from the numbers of audits.
struct Ends {
    timeline: Timeline,
    /// The last audit that could have missed something open.
    latest: Option<Seen>,
}

impl Ends {
    /// `inputs`: what has to be read for the thing to be seen.
    fn of(db: &ReadTx<'_>, pair: i64, inputs: &[Input]) -> rusqlite::Result<Ends> {
        let timeline = Timeline::of(db, pair)?;
        let looked = timeline.audits.iter().rev().find(|a| inputs.iter().all(|i| a.about.complete(*i)));
        let latest = looked.map(|a| Seen { audit: a.id, at: a.judged });
        Ok(Ends { timeline, latest })
    }

    fn seen(&self, audit: i64) -> Option<Seen> {
        self.timeline.get(audit).map(|a| Seen { audit, at: a.judged })
    }

    /// From four columns: not seen before, first seen, last seen, not seen after.
    fn span(&self, row: &Row<'_>, column: usize) -> rusqlite::Result<Span> {
        let (before, first): (i64, i64) = (row.get(column)?, row.get(column + 1)?);
        let (last, after): (Option<i64>, Option<i64>) = (row.get(column + 2)?, row.get(column + 3)?);
        let first_seen = self.seen(first).unwrap_or(Seen { audit: first, at: Time(0) });
        let open = self.latest.filter(|l| l.audit >= first).unwrap_or(first_seen);
        Ok(Span {
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
    /// Allocations by IPAM's record, by address, then oldest first. By address they come from an index; else the
    /// table is looked through.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn allocations(&self, pair: i64, whose: &Whose) -> Result<Vec<AllocationInterval>, Error> {
        let read = || {
            let ends = Ends::of(self, pair, &[Input::Blocks])?;
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
                Ok(AllocationInterval {
                    address: address(row, 0)?,
                    block: row.get(1)?,
                    block_create_revision: row.get(2)?,
                    sequence: row.get::<_, Option<i64>>(3)?.map(|s| s as u64),
                    handle: row.get(4)?,
                    used_for: row.get(5)?,
                    node: row.get(6)?,
                    namespace: row.get(7)?,
                    pod: row.get(8)?,
                    allocated: row.get::<_, Option<i64>>(9)?.map(Time),
                    more: row.get(10)?,
                    span: ends.span(row, 11)?,
                    changes: row.get::<_, Option<i64>>(15)?.map(i64::unsigned_abs),
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the allocations of the history"))
    }

    /// Addresses by the pods' own status, by address, then oldest first. A handle is nobody's here.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn pod_addresses(&self, pair: i64, whose: &Whose) -> Result<Vec<PodInterval>, Error> {
        let read = || {
            let ends = Ends::of(self, pair, &[Input::Pods])?;
            let (what, mut values) = asked(whose, "0 AND '' = ?", "node.text = ?", "a");
            values.push(Value::from(pair));
            let mut statement = self.prepare(&format!(
                "SELECT a.address, a.uid, ns.text, a.pod, node.text, g.text, a.not_seen_before, a.first_seen, a.last_seen, \
                 a.not_seen_after FROM pod_address a JOIN name ns ON ns.id = a.namespace JOIN name node ON node.id = a.node \
                 JOIN name g ON g.id = a.grade WHERE {what} AND a.pair = ? ORDER BY a.address, a.id"
            ))?;
            let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
                Ok(PodInterval {
                    address: address(row, 0)?,
                    uid: uid_text(row.get_ref(1)?),
                    namespace: row.get(2)?,
                    pod: row.get(3)?,
                    node: row.get(4)?,
                    grade: row.get(5)?,
                    span: ends.span(row, 6)?,
                })
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(self.failed("read the pods' addresses of the history"))
    }

    /// States of nodes, by name, then oldest first; `name` is Calico's or Kubernetes', `None`: all.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn nodes(&self, pair: i64, name: Option<&str>) -> Result<Vec<NodeInterval>, Error> {
        let read = || {
            let ends = Ends::of(self, pair, &[Input::CalicoNodes, Input::KubeNodes])?;
            let mut statement = self.prepare_cached(
                "SELECT c.text, k.text, s.ours, s.present, b.text, s.ready, a.text, s.not_seen_before, s.first_seen, \
                 s.last_seen, s.not_seen_after FROM node_state s LEFT JOIN name c ON c.id = s.calico \
                 LEFT JOIN name k ON k.id = s.kubernetes LEFT JOIN name b ON b.id = s.boot_id \
                 JOIN name a ON a.id = s.addresses WHERE s.pair = ?1 AND (?2 IS NULL OR c.text = ?2 OR k.text = ?2) \
                 ORDER BY coalesce(c.text, k.text), s.id",
            )?;
            let rows = statement.query_map((pair, name), |row| {
                Ok(NodeInterval {
                    calico: row.get(0)?,
                    kubernetes: row.get(1)?,
                    ours: row.get(2)?,
                    present: row.get(3)?,
                    boot_id: row.get(4)?,
                    ready: row.get(5)?,
                    addresses: row.get::<_, String>(6)?.split_whitespace().map(str::to_owned).collect(),
                    span: ends.span(row, 7)?,
                })
            })?;
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
        let name = |s: &NodeInterval| s.kubernetes.clone().or_else(|| s.calico.clone()).unwrap_or_default();
        let mut last: std::collections::HashMap<String, (String, Seen)> = std::collections::HashMap::new();
        let mut reboots = Vec::new();
        for state in &states {
            let Some(boot) = state.boot_id.clone() else { continue };
            let node = name(state);
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
            let mut statement = self.prepare_cached(
                "SELECT p.text, c.text, k.audit, k.addresses, k.allocated, k.in_use, k.leaked, k.cooling, k.reserved, \
                 k.free, k.blocks, k.free_blocks, k.gone FROM capacity k JOIN name p ON p.id = k.pool \
                 JOIN name c ON c.id = k.cidr WHERE k.pair = ?1 ORDER BY p.text, k.audit",
            )?;
            let rows = statement.query_map([pair], |row| {
                let audit: i64 = row.get(2)?;
                Ok(CapacityAt {
                    pool: row.get(0)?,
                    cidr: row.get(1)?,
                    at: Seen { audit, at: timeline.get(audit).map_or(Time(0), |a| a.judged) },
                    addresses: row.get(3)?,
                    allocated: row.get(4)?,
                    in_use: row.get(5)?,
                    leaked: row.get(6)?,
                    cooling: row.get(7)?,
                    reserved: row.get(8)?,
                    free: row.get(9)?,
                    blocks: row.get(10)?,
                    free_blocks: row.get(11)?,
                    gone: row.get(12)?,
                })
            })?;
            let mut kept: Vec<CapacityAt> = Vec::new();
            for state in rows {
                let state = state?;
                if state.at.at > window.until {
                    continue;
                }
                // Of what was before the window only the last counts: it was so when the window began.
                let replaces = |last: &CapacityAt| last.pool == state.pool && state.at.at <= window.since;
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
