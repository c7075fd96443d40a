//! Findings in a window of time: opened, ended, open, came back; and what they were made from.

use std::collections::HashSet;

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, params_from_iter};

use super::{Window, named_in};
use crate::error::Error;
use crate::history::ReadTx;
use crate::history::column::{count, known, some_root, term, time};
use crate::history::timeline::{Counter, Timeline};
use crate::model::row::{AuditAt, Ending, Episode, FindingRow};
use crate::model::{Code, Narrow, Time};

/// Which episodes are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// Opened within the window.
    Opened,
    /// Open at the end of the window (and opened before it ended).
    Open,
    /// All that were open at any time within it.
    Alive,
}

/// What findings can be about: one of these is enough.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct About {
    /// Subjects of any kind: an address, a handle, a block, a node, `namespace/name`.
    pub subjects: Vec<String>,
    /// Everything that belongs to these nodes, by either name.
    pub nodes: Vec<String>,
    /// `namespace/name`: their workloads too.
    pub pods: Vec<String>,
    /// An interface or a MAC, on any node.
    pub wires: Vec<String>,
    /// Evidence that names one of these, as a whole.
    pub words: Vec<String>,
}

impl About {
    /// As SQL, joined by OR; the texts are values.
    fn condition(&self) -> (String, Vec<Value>) {
        let (mut any, mut values) = (Vec::new(), Vec::new());
        for (column, wanted) in [("f.subject", &self.subjects), ("n.text", &self.nodes)] {
            if !wanted.is_empty() {
                any.push(format!("{column} IN ({})", vec!["?"; wanted.len()].join(",")));
                values.extend(wanted.iter().cloned().map(Value::from));
            }
        }
        let mut each = |what: &str, wanted: &[String], form: fn(&str) -> String| {
            any.extend(wanted.iter().map(|_| what.to_owned()));
            values.extend(wanted.iter().map(|text| Value::from(form(text))));
        };
        // Names may hold what LIKE takes for a pattern, so the texts are compared as they are.
        let starts = "f.kind = 'workload' AND instr(f.subject, ?) = 1";
        each(starts, &self.pods, |pod| format!("{pod}/"));
        let ends = "f.kind IN ('interface', 'mac') AND substr(f.subject, instr(f.subject, ' ')) = ?";
        each(ends, &self.wires, |wire| format!(" {wire}"));
        // A pool's and the cluster's findings are everybody's.
        let named = "f.kind NOT IN ('pool', 'cluster') AND EXISTS (SELECT 1 FROM evidence e WHERE e.finding = f.id AND instr(coalesce(e.last, e.first), ?) > 0)";
        each(named, &self.words, |word| serde_json::Value::from(word).to_string());
        (any.join(" OR "), values)
    }
}

const COLUMNS: &str = "f.id, f.code, f.kind, f.subject, f.episode, f.opened, f.opened_at, f.seen_before, \
    f.severity, f.state, f.summary, f.root, n.text, s.text, p.text, f.ended, f.ended_at, f.last_seen, f.audits_seen, \
    f.ending, f.release";

const JOINS: &str = "FROM finding f LEFT JOIN name n ON n.id = f.node LEFT JOIN name s ON s.id = f.namespace \
    LEFT JOIN name p ON p.id = f.pool";

impl ReadTx<'_> {
    /// Findings of a pair, worst first, then by code, then in the order in which they were found.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn findings(&self, pair: i64, which: Which, window: Window, narrow: &Narrow) -> Result<Vec<Episode>, Error> {
        self.try_findings(pair, which, window, narrow).map_err(self.failed("read the findings of the history"))
    }

    /// Open findings about anything of `about`, worst first.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn findings_about(&self, pair: i64, about: &About) -> Result<Vec<Episode>, Error> {
        let (what, mut values) = about.condition();
        if what.is_empty() {
            return Ok(Vec::new());
        }
        values.push(Value::from(pair));
        let what = format!("f.ended IS NULL AND ({what}) AND f.pair = ?");
        self.select(pair, &what, values).map_err(self.failed("read the findings of the history"))
    }

    fn try_findings(&self, pair: i64, which: Which, window: Window, narrow: &Narrow) -> rusqlite::Result<Vec<Episode>> {
        let (since, until) = (Value::from(window.since.0), Value::from(window.until.0));
        let (when, times) = match which {
            Which::Opened => ("f.opened_at BETWEEN ? AND ?", vec![since, until]),
            Which::Open => ("f.opened_at <= ? AND (f.ended_at IS NULL OR f.ended_at > ?)", vec![until.clone(), until]),
            Which::Alive => ("f.opened_at <= ? AND (f.ended_at IS NULL OR f.ended_at >= ?)", vec![until, since]),
        };
        let mut what = format!("f.pair = ? AND {when}");
        let mut values = vec![Value::from(pair)];
        values.extend(times);
        if !narrow.codes.is_empty() {
            what.push_str(&format!(" AND f.code IN ({})", vec!["?"; narrow.codes.len()].join(",")));
            values.extend(narrow.codes.iter().map(|code| Value::from(i64::from(code.0))));
        }
        let mut found = self.select(pair, &what, values)?;
        found.retain(|e| narrow.severity.is_none_or(|least| e.finding.severity >= least));
        if narrow.has_place() {
            let elsewhere = self.elsewhere(&found, narrow)?;
            found.retain(|episode| !elsewhere.contains(&episode.id));
        }
        Ok(found)
    }

    /// Those that neither belong to the place of a view nor have evidence that names it.
    fn elsewhere(&self, found: &[Episode], narrow: &Narrow) -> rusqlite::Result<HashSet<i64>> {
        let mut evidence = self.prepare_cached("SELECT coalesce(last, first) FROM evidence WHERE finding = ?1")?;
        let mut elsewhere = HashSet::new();
        let is_here = |f: &FindingRow| narrow.everywhere.contains(&f.code) || narrow.owns(f.placed());
        for episode in found.iter().filter(|episode| !is_here(&episode.finding)) {
            let told: Option<String> = evidence.query_row([episode.id], |row| row.get(0)).optional()?;
            let facts = named_in::evidence(told.as_deref().unwrap_or_default());
            if !narrow.touches(episode.finding.placed(), &facts) {
                elsewhere.insert(episode.id);
            }
        }
        Ok(elsewhere)
    }

    fn select(&self, pair: i64, what: &str, values: Vec<Value>) -> rusqlite::Result<Vec<Episode>> {
        let timeline = Timeline::of(self, pair)?;
        let mut seen = Lives { timeline: &timeline, counter: timeline.counter(), gaps: Gap::all(self, pair)? };
        let what = format!("SELECT {COLUMNS} {JOINS} WHERE {what}");
        let mut found: Vec<Episode> = self.rows(&what, params_from_iter(values), |row| seen.episode(row))?;
        found.sort_by_key(|e: &Episode| (std::cmp::Reverse(e.finding.severity), e.finding.code, e.id));
        Ok(found)
    }
}

/// Audits in which an open finding was hidden though its check ran.
#[derive(Clone, Copy, Debug)]
pub(in crate::history) struct Gap {
    pub finding: i64,
    pub first: i64,
    /// `None`: it still is.
    pub last: Option<i64>,
}

impl Gap {
    /// All of a pair, by finding.
    pub(in crate::history) fn all(tx: &ReadTx<'_>, pair: i64) -> rusqlite::Result<Vec<Gap>> {
        let what = "SELECT g.finding, g.first, g.last FROM gap g JOIN finding f ON f.id = g.finding WHERE f.pair = ?1 \
                    ORDER BY 1, 2";
        tx.rows(what, [pair], |row| Ok(Gap { finding: row.get(0)?, first: row.get(1)?, last: row.get(2)? }))
    }

    /// Those of one finding.
    pub(in crate::history) fn of(all: &[Gap], finding: i64) -> &[Gap] {
        let start = all.partition_point(|g| g.finding < finding);
        let end = all.partition_point(|g| g.finding <= finding);
        all.get(start..end).unwrap_or_default()
    }

    /// In how many audits a finding of these gaps was seen since it opened, and in which one last.
    pub(in crate::history) fn seen(
        hidden: &[Gap],
        counter: &mut Counter<'_>,
        code: Code,
        opened: i64,
    ) -> (u64, Option<(i64, Time)>) {
        let (mut seen, mut last) = counter.count(code, opened, i64::MAX);
        for gap in hidden.iter().rev() {
            seen = seen.saturating_sub(counter.count(code, gap.first, gap.last.unwrap_or(i64::MAX)).0);
            if last.is_some_and(|(audit, _)| gap.holds(audit)) {
                last = counter.count(code, opened, gap.first - 1).1;
            }
        }
        (seen, last)
    }

    /// Whether it was hidden in this audit.
    pub(in crate::history) fn holds(&self, audit: i64) -> bool {
        self.first <= audit && self.last.is_none_or(|last| audit <= last)
    }
}

/// Works out what follows from the audits.
struct Lives<'a> {
    timeline: &'a Timeline,
    counter: Counter<'a>,
    gaps: Vec<Gap>,
}

impl Lives<'_> {
    fn episode(&mut self, row: &Row<'_>) -> rusqlite::Result<Episode> {
        let id: i64 = row.get(0)?;
        let code = Code(row.get(1)?);
        let opened = AuditAt { audit: row.get(5)?, at: time(row, 6)? };
        let ended: Option<i64> = row.get(15)?;
        let (last_seen, audits_seen, ending) = match ended {
            Some(_) => {
                let last: i64 = row.get(17)?;
                let at = self.timeline.get(last).map_or(opened.at, |a| a.judged);
                let ending = Ending::of(row.get_ref(19)?.as_str()?, row.get(20)?);
                (AuditAt { audit: last, at }, count(row, 18)?, ending)
            }
            None => self.open(id, code, opened, count(row, 7)?),
        };
        let finding = FindingRow {
            code,
            kind: term(row, 2)?,
            subject: row.get(3)?,
            severity: known(row, 8)?,
            state: term(row, 9)?,
            summary: row.get(10)?,
            root: some_root(row, 11)?,
            node: row.get(12)?,
            namespace: row.get(13)?,
            pool: row.get(14)?,
        };
        let number = count(row, 4)?;
        let ended = ended.map(|audit| Ok::<_, rusqlite::Error>(AuditAt { audit, at: time(row, 16)? })).transpose()?;
        Ok(Episode { id, finding, number, opened, last_seen, audits_seen, ended, ending })
    }

    fn open(&mut self, id: i64, code: Code, opened: AuditAt, before: u64) -> (AuditAt, u64, Ending) {
        let (count, last) = Gap::seen(Gap::of(&self.gaps, id), &mut self.counter, code, opened.audit);
        let last = last.map_or(opened, |(audit, at)| AuditAt { audit, at });
        let latest = self.timeline.audits.last().map(|a| a.id);
        let ending = if latest == Some(last.audit) { Ending::Open } else { Ending::InputMissing };
        (last, before + count, ending)
    }
}
