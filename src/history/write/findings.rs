//! Findings: opened, changed, hidden, ended.

use std::collections::HashMap;

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params, params_from_iter};

use super::{AuditWriter, born};
use crate::history::column::{root_text, stamp_bytes};
use crate::history::query::findings::Gap;
use crate::model::record::{ChangedRow, FindingEntry, NewWords, Recorded, Unseen, Why};
use crate::model::row::{Ending, FindingRow};
use crate::model::{Addr, Cidr, Code, Foreign, State, Term};

/// Columns of what is told of a finding.
const TOLD: &str = "stamp, face, severity, state, summary, root, node, namespace, pool";

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
            .query_row(params![self.pair, new.code.0, new.kind.raw(), new.subject], |row| row.get::<_, i64>(0))?;
        Ok(last.unsigned_abs())
    }

    /// What is told of a finding, as the nine values of [`TOLD`].
    fn told(&mut self, new: &NewWords) -> rusqlite::Result<Vec<Value>> {
        let told = &new.finding;
        let mut place = |name: &Option<Foreign>| self.names.some(name.as_ref()).map(Value::from);
        Ok(vec![
            stamp_bytes(new.stamp).to_vec().into(),
            (new.face as i64).into(),
            told.severity.word().to_owned().into(),
            told.state.raw().to_owned().into(),
            told.summary.raw().to_owned().into(),
            told.root.as_ref().map(root_text).into(),
            place(&told.node)?,
            place(&told.namespace)?,
            place(&told.pool)?,
        ])
    }

    fn open(&mut self, new: &NewWords, episode: u64) -> rusqlite::Result<()> {
        let mut values = self.told(new)?;
        let told = &new.finding;
        let confirmed = (told.state == Term::Known(State::Confirmed)).then_some(self.audit);
        let numbers = [self.pair, told.code.0.into(), episode as i64, self.audit, self.now.0];
        values.extend(numbers.map(Value::from));
        values.extend([told.kind.raw().to_owned().into(), told.subject.raw().to_owned().into(), confirmed.into()]);
        let mut statement = self.tx.write(&format!(
            "INSERT INTO finding ({TOLD}, pair, code, episode, opened, opened_at, kind, subject, confirmed_audit, \
             stamp_audit, stamp_since) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
             ?17, ?13, ?14)"
        ))?;
        statement.execute(params_from_iter(values))?;
        let mut statement = self.tx.write("INSERT INTO evidence (finding, first) VALUES (?1, ?2)")?;
        statement.execute(params![self.tx.last_row(), new.evidence])?;
        Ok(())
    }

    fn change(&mut self, change: ChangedRow, new: &NewWords) -> rusqlite::Result<()> {
        let mut values = self.told(new)?;
        values.extend([change.row, self.audit, self.now.0].map(Value::from));
        // Confirmed since: kept while it stays confirmed.
        let confirmed = match (new.finding.state == Term::Known(State::Confirmed), change.was_confirmed) {
            (false, _) => "NULL",
            (true, true) => "confirmed_audit",
            (true, false) => "?11",
        };
        let stamped = match change.restamped {
            true => "?12, ?11",
            false => "coalesce(stamp_since, ?12), coalesce(stamp_audit, ?11)",
        };
        let mut statement = self.tx.write(&format!(
            "UPDATE finding SET ({TOLD}, confirmed_audit, stamp_since, stamp_audit) = \
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, {confirmed}, {stamped}) WHERE id = ?10"
        ))?;
        statement.execute(params_from_iter(values))?;
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
        let mut counter = self.timeline()?.counter();
        let gaps = Gap::all(self.tx, self.pair)?;
        let released = self.released()?;
        let mut ended = 0;
        let record = self.record;
        for unseen in &record.unseen {
            let subject = self.about_to_end(unseen.row)?;
            if self.apart || unseen.why == Why::Hidden || (unseen.why == Why::Gone && self.is_dark(&subject)) {
                self.hide(unseen)?;
                continue;
            }
            let (seen, last) = Gap::seen(Gap::of(&gaps, unseen.row), &mut counter, subject.code, subject.opened);
            let release = released.get(&subject.text).copied();
            let ending = match (unseen.why, release) {
                (_, Some(_)) => Ending::Released(release),
                (Why::RuleChanged, None) => Ending::RuleChanged,
                _ => Ending::Resolved,
            };
            let set = "UPDATE finding SET ended = ?2, ended_at = ?3, last_seen = ?4, audits_seen = ?5 + seen_before, \
                       ending = ?6, release = ?7 WHERE id = ?1";
            let last = last.map_or(subject.opened, |(id, _)| id);
            let values = params![unseen.row, self.audit, self.now.0, last, seen as i64, ending.raw(), release];
            self.tx.write(set)?.execute(values)?;
            ended += 1;
        }
        Ok(ended)
    }

    fn hide(&self, unseen: &Unseen) -> rusqlite::Result<()> {
        if !unseen.was_hidden {
            self.tx.write("INSERT INTO gap (finding, first) VALUES (?1, ?2)")?.execute([unseen.row, self.audit])?;
        }
        Ok(())
    }

    /// Addresses and handles that a release of ours has taken away since the audit before, and the release.
    fn released(&self) -> rusqlite::Result<HashMap<String, i64>> {
        let since: Option<i64> =
            self.tx.query_row("SELECT started FROM audit WHERE id = ?1", [self.before], |row| row.get(0)).optional()?;
        let what = "SELECT s.subject, t.release FROM release_subject s JOIN release_step t ON t.id = s.step \
                    JOIN release r ON r.id = t.release WHERE r.pair = ?1 AND t.outcome = 'applied' AND t.settled >= ?2 \
                    AND r.undoes IS NULL";
        self.tx.rows(what, [self.pair, since.unwrap_or(i64::MIN)], |row| Ok((row.get(0)?, row.get(1)?)))
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
        let on_node = subject.node.as_ref().is_some_and(|node| dark.nodes.iter().any(|dark| dark == node));
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
