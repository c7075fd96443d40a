//! Findings: opened, changed, hidden, ended.

use std::collections::HashMap;

use rusqlite::{OptionalExtension, params};

use super::{AuditWriter, born};
use crate::history::column::{root_text, stamp_bytes};
use crate::history::query::findings::Gap;
use crate::model::record::{ChangedRow, FindingEntry, NewWords, Recorded, Unseen, Why};
use crate::model::row::{Ending, FindingRow};
use crate::model::{Addr, Cidr, Code, Foreign, State, Term};

impl AuditWriter<'_> {
    pub(super) fn findings(&mut self) -> rusqlite::Result<Recorded> {
        let mut recorded = Recorded { id: self.audit, ..Recorded::default() };
        let record = self.record;
        let any_before = self.before != 0 && self.any_ended()?;
        for entry in &record.findings {
            let life = match entry {
                FindingEntry::Unchanged(life) => *life,
                FindingEntry::Changed(life, change, words) => {
                    self.change(*change, words)?;
                    *life
                }
                FindingEntry::New(new) => {
                    let episode = if any_before { self.episodes(&new.finding)? + 1 } else { 1 };
                    self.open(new, episode)?;
                    born(self.now, episode)
                }
            };
            match (entry, life.episode) {
                (FindingEntry::New(_), 1) => recorded.new += 1,
                (FindingEntry::New(_), _) => recorded.came_back += 1,
                _ => recorded.ongoing += 1,
            }
            recorded.lives.push(life);
        }
        if !record.unseen.is_empty() {
            recorded.resolved = self.unseen()?;
        }
        Ok(recorded)
    }

    fn any_ended(&self) -> rusqlite::Result<bool> {
        let what = "SELECT EXISTS (SELECT 1 FROM finding WHERE pair = ?1 AND ended IS NOT NULL) \
                    OR EXISTS (SELECT 1 FROM forgotten WHERE pair = ?1)";
        self.tx.query_row(what, [self.pair], |row| row.get(0))
    }

    /// How often it was there before, whether or not its rows were pruned since.
    fn episodes(&self, new: &FindingRow) -> rusqlite::Result<u64> {
        let one = "pair = ?1 AND code = ?2 AND kind = ?3 AND subject = ?4";
        let mut statement = self.tx.prepare_cached(&format!(
            "SELECT max(coalesce((SELECT max(episode) FROM finding WHERE {one}), 0), \
             coalesce((SELECT episode FROM forgotten WHERE {one}), 0))"
        ))?;
        let last = statement
            .query_row(params![self.pair, new.code.0, new.kind.word(), new.subject], |row| row.get::<_, i64>(0))?;
        Ok(last.unsigned_abs())
    }

    fn open(&mut self, new: &NewWords, episode: u64) -> rusqlite::Result<()> {
        let told = &new.finding;
        let confirmed = (told.state == Term::Known(State::Confirmed)).then_some(self.audit);
        let (node, namespace, pool) = self.places(told)?;
        let mut statement = self.tx.write(
            "INSERT INTO finding (pair, code, kind, subject, episode, opened, opened_at, stamp, stamp_since, stamp_audit, \
             confirmed_audit, face, severity, state, summary, root, node, namespace, pool) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?7, ?6, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
        )?;
        statement.execute(params![
            self.pair,
            told.code.0,
            told.kind.word(),
            told.subject,
            episode as i64,
            self.audit,
            self.now.0,
            stamp_bytes(new.stamp),
            confirmed,
            new.face as i64,
            told.severity.word(),
            told.state.word(),
            told.summary,
            told.root.as_ref().map(root_text),
            node,
            namespace,
            pool,
        ])?;
        let id = self.tx.last_row();
        let mut statement = self.tx.write("INSERT INTO evidence (finding, first) VALUES (?1, ?2)")?;
        statement.execute(params![id, new.evidence])?;
        Ok(())
    }

    fn places(&mut self, told: &FindingRow) -> rusqlite::Result<(Option<i64>, Option<i64>, Option<i64>)> {
        let mut id = |name: &Option<Foreign>| self.names.some(name.as_ref().map(Foreign::raw));
        Ok((id(&told.node)?, id(&told.namespace)?, id(&told.pool)?))
    }

    fn change(&mut self, change: ChangedRow, new: &NewWords) -> rusqlite::Result<()> {
        let told = &new.finding;
        let (node, namespace, pool) = self.places(told)?;
        // Confirmed since: kept while it stays confirmed.
        let confirmed = match (told.state == Term::Known(State::Confirmed), change.was_confirmed) {
            (false, _) => "NULL",
            (true, true) => "confirmed_audit",
            (true, false) => "?3",
        };
        let stamped = match change.restamped {
            true => "stamp = ?2, stamp_since = ?4, stamp_audit = ?3",
            false => "stamp = ?2, stamp_since = coalesce(stamp_since, ?4), stamp_audit = coalesce(stamp_audit, ?3)",
        };
        let mut statement = self.tx.write(&format!(
            "UPDATE finding SET {stamped}, confirmed_audit = {confirmed}, face = ?5, severity = ?6, state = ?7, \
             summary = ?8, root = ?9, node = ?10, namespace = ?11, pool = ?12 WHERE id = ?1"
        ))?;
        statement.execute(params![
            change.row,
            stamp_bytes(new.stamp),
            self.audit,
            self.now.0,
            new.face as i64,
            told.severity.word(),
            told.state.word(),
            told.summary,
            told.root.as_ref().map(root_text),
            node,
            namespace,
            pool,
        ])?;
        let mut statement = self.tx.write("UPDATE evidence SET last = ?2 WHERE finding = ?1")?;
        statement.execute(params![change.row, new.evidence])?;
        if change.was_hidden {
            let set = "UPDATE gap SET last = ?2 WHERE finding = ?1 AND last IS NULL";
            self.tx.write(set)?.execute([change.row, self.before])?;
        }
        Ok(())
    }

    /// What was not seen: ended, or hidden. Gives the number of those that ended.
    fn unseen(&self) -> rusqlite::Result<u64> {
        let timeline = self.timeline()?;
        let gaps = Gap::all(self.tx, self.pair)?;
        let released = self.released()?;
        let mut counter = timeline.counter();
        let mut ended = 0;
        let record = self.record;
        for unseen in &record.unseen {
            let subject = self.about_to_end(unseen.row)?;
            if self.apart || unseen.why == Why::Hidden || (unseen.why == Why::Gone && self.is_dark(&subject)) {
                self.hide(unseen)?;
                continue;
            }
            let hidden = Gap::of(&gaps, unseen.row);
            let until = hidden.iter().filter(|g| g.last.is_none()).map(|g| g.first - 1).next().unwrap_or(self.before);
            let (mut seen, last) = counter.count(subject.code, subject.opened, until);
            for gap in hidden.iter().filter(|g| g.last.is_some()) {
                seen = seen.saturating_sub(counter.count(subject.code, gap.first, gap.last.unwrap_or(0)).0);
            }
            let release = released.get(&subject.text).copied();
            let ending = match (unseen.why, release) {
                (_, Some(_)) => Ending::Released(release),
                (Why::RuleChanged, None) => Ending::RuleChanged,
                _ => Ending::Resolved,
            };
            let mut statement = self.tx.write(
                "UPDATE finding SET ended = ?2, ended_at = ?3, last_seen = ?4, audits_seen = ?5 + seen_before, ending = ?6, \
                 release = ?7 WHERE id = ?1",
            )?;
            let last = last.map_or(subject.opened, |(id, _)| id);
            statement.execute(params![
                unseen.row,
                self.audit,
                self.now.0,
                last,
                seen as i64,
                ending.word(),
                release
            ])?;
            ended += 1;
        }
        Ok(ended)
    }

    fn hide(&self, unseen: &Unseen) -> rusqlite::Result<()> {
        if !unseen.was_hidden {
            let mut statement = self.tx.write("INSERT INTO gap (finding, first) VALUES (?1, ?2)")?;
            statement.execute([unseen.row, self.audit])?;
        }
        Ok(())
    }

    /// Addresses and handles that a release of ours has taken away since the audit before, and the release.
    fn released(&self) -> rusqlite::Result<HashMap<String, i64>> {
        let since: Option<i64> =
            self.tx.query_row("SELECT started FROM audit WHERE id = ?1", [self.before], |row| row.get(0)).optional()?;
        let mut statement = self.tx.prepare_cached(
            "SELECT s.subject, t.release FROM release_subject s JOIN release_step t ON t.id = s.step \
             JOIN release r ON r.id = t.release WHERE r.pair = ?1 AND t.outcome = 'applied' AND t.settled >= ?2 \
             AND r.undoes IS NULL",
        )?;
        let rows = statement.query_map([self.pair, since.unwrap_or(i64::MIN)], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    fn about_to_end(&self, row: i64) -> rusqlite::Result<OpenRow> {
        let mut statement = self.tx.prepare_cached(
            "SELECT f.code, f.subject, n.text, f.opened FROM finding f LEFT JOIN name n ON n.id = f.node WHERE f.id = ?1",
        )?;
        statement.query_row([row], |row| {
            Ok(OpenRow { code: Code(row.get(0)?), text: row.get(1)?, node: row.get(2)?, opened: row.get(3)? })
        })
    }

    /// Whether a value that does not decode may hide this finding.
    fn is_dark(&self, subject: &OpenRow) -> bool {
        let dark = &self.record.dark;
        let text = subject.text.as_str();
        let on_node = subject.node.as_ref().is_some_and(|node| dark.nodes.contains(node));
        let about = dark.nodes.iter().any(|node| node == text) || dark.handles.iter().any(|handle| handle == text);
        // `host:NODE CIDR` ends with its CIDR.
        let last = text.rsplit(' ').next().unwrap_or(text);
        let address = last.parse::<Addr>().ok();
        let cidr = Cidr::parse(last).map(|(cidr, _)| cidr);
        let covered = dark
            .ranges
            .iter()
            .any(|range| address.is_some_and(|a| range.contains(a)) || cidr.is_some_and(|c| range.overlaps(c)));
        on_node || about || covered
    }
}

/// What has to be known of an open finding to end it.
struct OpenRow {
    code: Code,
    text: String,
    /// Kubernetes' name where known.
    node: Option<String>,
    opened: i64,
}
