//! The audits of one pair in order: what "last seen" and "seen in so many audits" follow from.
//!
//! An open finding was seen by every audit since it opened in which its check ran. So nothing has to be written for
//! what did not change; here it is counted.

use std::collections::HashMap;
use std::rc::Rc;

use serde::Deserialize;

use super::ReadTx;
use super::column::time;
use crate::model::{Code, Input, InputState, Term, Time};

/// What an audit read and ran; most audits share one.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// State, reason and number of undecodable keys of every input.
    pub inputs: Vec<AuditInput>,
    /// Codes of the checks that ran, sorted.
    pub ran: Vec<Code>,
    /// Codes that were skipped, and why.
    pub skipped: Vec<(Code, String)>,
}

/// One input of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditInput {
    pub input: Input,
    pub state: InputState,
    pub detail: String,
    pub undecodable: u64,
}

impl Reach {
    /// Whether the check of this code ran.
    pub fn ran(&self, code: Code) -> bool {
        self.ran.binary_search(&code).is_ok()
    }

    /// Whether all of an input was read.
    pub fn complete(&self, input: Input) -> bool {
        self.inputs.iter().any(|i| i.input == input && i.state == InputState::Complete)
    }

    fn parse(text: &str) -> Reach {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Raw {
            inputs: Vec<RawInput>,
            ran: Vec<u16>,
            skipped: Vec<(u16, String)>,
        }
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct RawInput {
            input: String,
            state: String,
            detail: String,
            undecodable: u64,
        }
        let raw: Raw = serde_json::from_str(text).unwrap_or_default();
        let input = |i: RawInput| {
            Some(AuditInput {
                input: Term::of(&i.input).known()?,
                state: Term::of(&i.state).known()?,
                detail: i.detail,
                undecodable: i.undecodable,
            })
        };
        let mut ran: Vec<Code> = raw.ran.into_iter().map(Code).collect();
        ran.sort_unstable();
        Reach {
            inputs: raw.inputs.into_iter().filter_map(input).collect(),
            ran,
            skipped: raw.skipped.into_iter().map(|(code, why)| (Code(code), why)).collect(),
        }
    }
}

/// One audit.
#[derive(Clone, Debug)]
pub struct Audit {
    pub id: i64,
    /// The moment by which ages were judged.
    pub judged: Time,
    /// By the clock of the machine.
    pub started: Time,
    /// Everything that is kept by key was read.
    pub keys: bool,
    pub about: Rc<Reach>,
}

/// All audits of a pair, by number.
#[derive(Debug, Default)]
pub struct Timeline {
    pub audits: Vec<Audit>,
}

impl Timeline {
    /// Reads it.
    pub fn of(tx: &ReadTx<'_>, pair: i64) -> rusqlite::Result<Timeline> {
        let mut abouts: HashMap<i64, Rc<Reach>> = HashMap::new();
        let mut read_about = tx.prepare_cached("SELECT text FROM about WHERE id = ?1")?;
        let mut about = |id: i64| -> rusqlite::Result<Rc<Reach>> {
            if let Some(known) = abouts.get(&id) {
                return Ok(Rc::clone(known));
            }
            let text: String = read_about.query_row([id], |row| row.get(0))?;
            let parsed = Rc::new(Reach::parse(&text));
            abouts.insert(id, Rc::clone(&parsed));
            Ok(parsed)
        };
        let mut statement =
            tx.prepare_cached("SELECT id, judged, started, keys, about FROM audit WHERE pair = ?1 ORDER BY id")?;
        let mut rows = statement.query([pair])?;
        let mut audits = Vec::new();
        while let Some(row) = rows.next()? {
            audits.push(Audit {
                id: row.get(0)?,
                judged: time(row, 1)?,
                started: time(row, 2)?,
                keys: row.get(3)?,
                about: about(row.get(4)?)?,
            });
        }
        Ok(Timeline { audits })
    }

    /// The audit of this number, while it is kept.
    pub fn get(&self, id: i64) -> Option<&Audit> {
        self.audits.binary_search_by_key(&id, |a| a.id).ok().and_then(|at| self.audits.get(at))
    }

    /// The audits from number `from` on in which the check of `code` ran.
    pub fn running(&self, code: Code, from: i64) -> impl DoubleEndedIterator<Item = &Audit> {
        let start = self.audits.partition_point(|a| a.id < from);
        self.audits.get(start..).unwrap_or_default().iter().filter(move |a| a.about.ran(code))
    }

    /// Counts such audits for many findings: the audits of each code are looked through once.
    pub fn counter(&self) -> Counter<'_> {
        Counter { timeline: self, by_code: HashMap::new() }
    }
}

/// Counts the audits in which a check ran.
pub struct Counter<'a> {
    timeline: &'a Timeline,
    by_code: HashMap<Code, Vec<(i64, Time)>>,
}

impl Counter<'_> {
    /// How many audits from number `from` up to and with `until` ran the check of `code`, and when the last one was.
    pub fn count(&mut self, code: Code, from: i64, until: i64) -> (u64, Option<(i64, Time)>) {
        let ran = self
            .by_code
            .entry(code)
            .or_insert_with(|| self.timeline.running(code, 0).map(|a| (a.id, a.judged)).collect());
        let start = ran.partition_point(|&(id, _)| id < from);
        let end = ran.partition_point(|&(id, _)| id <= until).max(start);
        let last = ran.get(start..end).and_then(<[_]>::last).copied();
        ((end - start) as u64, last)
    }
}
