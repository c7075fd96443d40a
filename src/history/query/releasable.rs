//! What the history holds of things that a release takes: what goes with each, and what it knows of nodes and blocks.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use rusqlite::{OptionalExtension, Row, params, params_from_iter};

use super::named_in;
use crate::error::Error;
use crate::history::ReadTx;
use crate::history::column::{address, address_bytes, some_time};
use crate::history::past::{FORMER, OURS};
use crate::history::release::{Same, Watch};
use crate::model::release::{NodeKnown, SeenWhole};
use crate::model::row::Episode;
use crate::model::touch::NamingTexts;
use crate::model::{Addr, Cidr, Code, Foreign, Observation, SubjectKind};

/// An allocation that is open.
#[derive(Clone, PartialEq, Eq, Debug)]
struct HandedOut {
    address: Addr,
    node: Foreign,
    since: i64,
}

const PART: &str = "SELECT a.handle, a.address, ifnull(n.text, ''), a.tuple_since FROM allocation a \
    LEFT JOIN name n ON n.id = a.node WHERE a.pair = ?1 AND a.last_seen IS NULL AND ";

fn part(row: &Row<'_>) -> rusqlite::Result<(Option<String>, HandedOut)> {
    Ok((row.get(0)?, HandedOut { address: address(row, 1)?, node: row.get(2)?, since: row.get(3)? }))
}

impl ReadTx<'_> {
    /// What audits have seen of everything that goes with each of these open findings, by [`Episode::id`]: of an orphaned
    /// handle this very object, of an address all that its handle has, since a release takes all of it or nothing. What no
    /// audit has confirmed, all of it, is not there.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn seen_whole(&self, watch: &Watch, open: &[Episode]) -> Result<HashMap<i64, SeenWhole>, Error> {
        self.try_seen_whole(watch, open).map_err(self.failed("read the observations of the history"))
    }

    fn try_seen_whole(&self, watch: &Watch, open: &[Episode]) -> rusqlite::Result<HashMap<i64, SeenWhole>> {
        let mut found = HashMap::new();
        let mut of_addresses = Vec::new();
        for line in open {
            match line.finding.kind.known() {
                Some(SubjectKind::Handle) => {
                    let seen = self.orphan_seen(watch, line)?;
                    let whole = |observed| SeenWhole { observed, addresses: Vec::new(), nodes: Vec::new() };
                    found.extend(seen.map(|observed| (line.id, whole(observed))));
                }
                Some(_) => of_addresses.push((line, self.allocations_at(watch.pair, &line.finding.subject)?)),
                None => {}
            }
        }
        let handles = of_addresses.iter().flat_map(|(_, own)| own).filter_map(|(handle, _)| handle.as_deref());
        let others = self.parts_of(watch.pair, &handles.collect())?;
        for (line, own) in &of_addresses {
            let mut parts: Vec<&HandedOut> = own.iter().map(|(_, part)| part).collect();
            let handles = own.iter().filter_map(|(handle, _)| handle.as_deref());
            for part in handles.filter_map(|handle| others.get(handle)).flatten() {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
            found.extend(self.whole(watch, line.finding.code, &parts)?.map(|whole| (line.id, whole)));
        }
        Ok(found)
    }

    fn orphan_seen(&self, watch: &Watch, line: &Episode) -> rusqlite::Result<Option<Observation>> {
        let (code, handle) = (line.finding.code, line.finding.subject.raw());
        let what = "SELECT max(stamp_audit) FROM finding WHERE pair = ?1 AND code = ?2 AND kind = 'handle' \
                    AND subject = ?3 AND ended IS NULL";
        let since: Option<i64> =
            self.prepare_cached(what)?.query_row(params![watch.pair, code.0, handle], |row| row.get(0))?;
        let Some(since) = since else { return Ok(None) };
        self.observations(watch, code, SubjectKind::Handle, handle, Same::Since(since))
    }

    fn allocations_at(&self, pair: i64, subject: &Foreign) -> rusqlite::Result<Vec<(Option<String>, HandedOut)>> {
        let Ok(address) = subject.raw().parse::<Addr>() else { return Ok(Vec::new()) };
        self.rows(&format!("{PART} a.address = ?2"), params![pair, address_bytes(address)], part)
    }

    /// The open allocations of these handles. All of a pair are walked once, whatever is asked for: an index over handles
    /// would be written by every audit, for this alone.
    fn parts_of(&self, pair: i64, handles: &HashSet<&str>) -> rusqlite::Result<HashMap<String, Vec<HandedOut>>> {
        let mut parts: HashMap<String, Vec<HandedOut>> = HashMap::new();
        if handles.is_empty() {
            return Ok(parts);
        }
        self.rows::<(), ()>(&format!("{PART} a.handle IS NOT NULL"), [pair], |row| {
            if handles.contains(row.get_ref(0)?.as_str()?)
                && let (Some(handle), part) = part(row)?
            {
                parts.entry(handle).or_default().push(part);
            }
            Ok(())
        })?;
        Ok(parts)
    }

    fn whole(&self, watch: &Watch, code: Code, parts: &[&HandedOut]) -> rusqlite::Result<Option<SeenWhole>> {
        let mut observed: Option<Observation> = None;
        for part in parts {
            let since = part.since.max(self.silent_until(watch.pair, part.node.raw())?.saturating_add(1));
            let address = part.address.to_string();
            let seen = self.observations(watch, code, SubjectKind::Address, &address, Same::Since(since))?;
            let Some(seen) = seen else { return Ok(None) };
            observed = Some(observed.map_or(seen, |least| Observation {
                audits: least.audits.min(seen.audits),
                first: least.first.max(seen.first),
                last: least.last.min(seen.last),
            }));
        }
        Ok(observed.map(|observed| SeenWhole {
            observed,
            addresses: parts.iter().map(|part| part.address).collect(),
            nodes: parts.iter().map(|part| part.node.clone()).collect(),
        }))
    }

    /// Every node that audits of a pair know, by Calico's name.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn nodes_known(&self, pair: i64) -> Result<HashMap<Foreign, NodeKnown>, Error> {
        self.try_nodes_known(pair).map_err(self.failed("read the nodes of the history"))
    }

    fn try_nodes_known(&self, pair: i64) -> rusqlite::Result<HashMap<Foreign, NodeKnown>> {
        // Without a Calico Node of now (IPA410) a node has the Calico name that audits have seen of it, or its own.
        let what = "SELECT ifnull(c.text, k.text), s.calico IS NOT NULL, s.present, s.ours, ifnull(s.ready, 0) \
                    FROM node_state s LEFT JOIN name k ON k.id = s.kubernetes LEFT JOIN name c ON c.id = ifnull(s.calico, \
                    (SELECT max(o.calico) FROM node_state o WHERE o.pair = s.pair AND o.kubernetes = s.kubernetes)) \
                    WHERE s.pair = ?1 AND s.last_seen IS NULL AND ifnull(c.text, k.text) IS NOT NULL";
        let mut nodes: HashMap<Foreign, NodeKnown> = HashMap::new();
        self.rows::<(), ()>(what, [pair], |row| {
            let node = NodeKnown {
                in_calico: row.get(1)?,
                in_kubernetes: row.get(2)?,
                is_ours: row.get(3)?,
                is_ready: row.get(4)?,
                ..NodeKnown::default()
            };
            nodes.insert(row.get(0)?, node);
            Ok(())
        })?;
        let what = "SELECT n.text, d.ours, d.gone_since FROM node d JOIN name n ON n.id = d.name WHERE d.pair = ?1";
        self.rows::<(), ()>(what, [pair], |row| {
            let (ours, gone_since): (i64, _) = (row.get(1)?, some_time(row, 2)?);
            let node = nodes.entry(row.get(0)?).or_default();
            (node.was_ours, node.is_former, node.gone_since) = (ours == OURS, ours == FORMER, gone_since);
            Ok(())
        })?;
        Ok(nodes)
    }

    /// Whether the operator said that no other cluster uses the datastore.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn is_exclusive(&self, pair: i64) -> Result<bool, Error> {
        let exclusive = self.query_row("SELECT exclusive FROM pair WHERE id = ?1", [pair], |row| row.get(0)).optional();
        exclusive.map(Option::unwrap_or_default).map_err(self.failed("read the clusters of the history"))
    }

    /// The nodes that the evidence of a finding names.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn nodes_in_evidence(&self, finding: i64) -> Result<Vec<Foreign>, Error> {
        let nodes = RefCell::new(Vec::new());
        let told = self.evidence_of(finding).map_err(self.failed("read the findings of the history"))?;
        named_in::evidence(&told.unwrap_or_default()).any_text(&|field, text| {
            if field == "node" {
                nodes.borrow_mut().push(text.into());
            }
            false
        });
        Ok(nodes.into_inner())
    }

    fn evidence_of(&self, finding: i64) -> rusqlite::Result<Option<String>> {
        let mut what = self.prepare_cached("SELECT coalesce(last, first) FROM evidence WHERE finding = ?1")?;
        what.query_row([finding], |row| row.get(0)).optional()
    }

    /// The ranges that open findings of these codes are about: by their subject, or by a `cidr` in their evidence. Of keys
    /// those alone that begin with `under`.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn ranges_of_open(&self, pair: i64, codes: &[Code], under: &str) -> Result<Vec<Cidr>, Error> {
        let what = format!(
            "SELECT f.kind, f.subject, json_extract(coalesce(e.last, e.first), '$.cidr') FROM finding f \
             JOIN evidence e ON e.finding = f.id WHERE f.pair = ? AND f.ended IS NULL AND f.code IN ({})",
            vec!["?"; codes.len()].join(",")
        );
        let values = std::iter::once(pair).chain(codes.iter().map(|code| i64::from(code.0)));
        let told: rusqlite::Result<Vec<(String, String, Option<String>)>> =
            self.rows(&what, params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let told = told.map_err(self.failed("read the findings of the history"))?;
        let is_meant = |kind: &str, subject: &str| kind != SubjectKind::Key.word() || subject.starts_with(under);
        let meant = told.into_iter().filter(|(kind, subject, _)| is_meant(kind, subject));
        Ok(meant.filter_map(|(_, subject, cidr)| Cidr::parse(&cidr.unwrap_or(subject)).map(|(cidr, _)| cidr)).collect())
    }

    /// Whether the evidence of an open finding of this code says one of these words.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn is_told(&self, pair: i64, code: Code, words: &[&str]) -> Result<bool, Error> {
        let what = "SELECT coalesce(e.last, e.first) FROM finding f JOIN evidence e ON e.finding = f.id \
                    WHERE f.pair = ?1 AND f.code = ?2 AND f.ended IS NULL";
        let told: rusqlite::Result<Vec<String>> = self.rows(what, params![pair, code.0], |row| row.get(0));
        let told = told.map_err(self.failed("read the findings of the history"))?;
        let says = |text: &str| named_in::evidence(text).any_text(&|_, word| words.contains(&word));
        Ok(told.iter().any(|text| says(text)))
    }
}
