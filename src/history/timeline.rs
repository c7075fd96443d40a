//! The audits of one pair in order: what "last seen" and "seen in so many audits" follow from.
//!
//! An open finding was seen by every audit since it opened in which its check ran. So nothing has to be written for
//! what did not change; here it is counted.

use std::collections::HashMap;
use std::rc::Rc;

use rusqlite::Row;
use rusqlite::types::Type;
use serde::Deserialize;

use super::ReadTx;
use super::column::{some_time, time, unread};
use crate::model::clock::{ClockPair, SKEW};
use crate::model::foreign::foreign;
use crate::model::{Code, Foreign, Input, InputState, Term, Time};

/// What an audit read and ran; most audits share one. Codes are the numbers of them.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Reach {
    /// State and number of undecodable keys of every input.
    pub inputs: Vec<AuditInput>,
    /// Checks that ran, sorted.
    ran: Vec<u16>,
    /// Checks that were skipped, and why.
    skipped: Vec<(u16, Foreign)>,
    /// Pools of which IPAM hands out nothing by itself, and why.
    pub closed_pools: Vec<(Foreign, Foreign)>,
}

/// One input of an audit.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct AuditInput {
    pub input: Term<Input>,
    pub state: Term<InputState>,
    /// Why it is not complete; empty where nobody said so.
    #[serde(default)]
    pub detail: Foreign,
    #[serde(default)]
    pub undecodable: u64,
}

impl Reach {
    /// Whether the check of this code ran.
    pub fn ran(&self, code: Code) -> bool {
        self.ran.binary_search(&code.0).is_ok()
    }

    /// Why the check of this code was skipped, where it was.
    pub fn skipped(&self, code: Code) -> Option<&Foreign> {
        self.skipped.iter().find(|(skipped, _)| *skipped == code.0).map(|(_, why)| why)
    }

    /// Why checks were skipped, in their order.
    pub fn reasons(&self) -> impl Iterator<Item = &Foreign> {
        self.skipped.iter().map(|(_, why)| why)
    }

    /// Why an input was not read, where it says so itself or a check that needed it does.
    pub fn why_unread(&self, input: &AuditInput) -> Option<Foreign> {
        if let Some(detail) = input.detail.some() {
            return Some(detail.clone());
        }
        let begins = format!("{}: ", foreign!("{}", input.input).raw());
        self.reasons().find_map(|reason| reason.raw().strip_prefix(&begins).map(Foreign::from))
    }

    /// Whether all of these inputs were read.
    pub fn complete(&self, inputs: &[Input]) -> bool {
        let read = self.inputs.iter().filter(|i| i.state.known() == Some(InputState::Complete));
        inputs.iter().all(|wanted| read.clone().any(|i| i.input.known() == Some(*wanted)))
    }

    fn parse(text: &str) -> serde_json::Result<Reach> {
        let mut reach: Reach = serde_json::from_str(text)?;
        reach.ran.sort_unstable();
        Ok(reach)
    }
}

/// One audit.
#[derive(Clone, Debug)]
pub struct AuditRow {
    pub id: i64,
    /// The moment by which ages were judged.
    pub judged: Time,
    /// By the clock of the machine.
    pub started: Time,
    /// Every input read, every value decoded, every suspect looked at again.
    pub complete: bool,
    /// Everything that is kept by key was read.
    pub keys: bool,
    /// Its clock was not proven wrong: the API server's showed the same, or nobody could ask it.
    pub right_clock: bool,
    pub about: Rc<Reach>,
}

/// All audits of a pair, by number.
#[derive(Debug, Default)]
pub struct Timeline {
    pub audits: Vec<AuditRow>,
}

impl Timeline {
    /// Reads it.
    pub fn of(tx: &ReadTx<'_>, pair: i64) -> rusqlite::Result<Timeline> {
        let mut abouts: HashMap<i64, Rc<Reach>> = HashMap::new();
        let mut about = |id: i64| -> rusqlite::Result<Rc<Reach>> {
            if let Some(known) = abouts.get(&id) {
                return Ok(Rc::clone(known));
            }
            let read = |row: &Row<'_>| {
                let is_none =
                    |e| unread(0, Type::Text, format!("what audits read (about {id}) is of another ipaudit: {e}"));
                Reach::parse(row.get_ref(0)?.as_str()?).map_err(is_none)
            };
            let parsed = Rc::new(tx.query_row("SELECT text FROM about WHERE id = ?1", [id], read)?);
            abouts.insert(id, Rc::clone(&parsed));
            Ok(parsed)
        };
        let what = "SELECT id, judged, started, complete, keys, about, api_date FROM audit WHERE pair = ?1 ORDER BY id";
        let audits = tx.rows(what, [pair], |row| {
            let (id, judged, started) = (row.get(0)?, time(row, 1)?, time(row, 2)?);
            let (complete, keys, about) = (row.get(3)?, row.get(4)?, about(row.get(5)?)?);
            let theirs = some_time(row, 6)?.map(|theirs| ClockPair { ours: started, theirs });
            let right_clock = theirs.is_none_or(|pair| pair.apart() <= SKEW);
            Ok(AuditRow { id, judged, started, complete, keys, right_clock, about })
        })?;
        Ok(Timeline { audits })
    }

    /// The last audit up to number `until` that read all of these inputs.
    pub fn looked(&self, inputs: &[Input], until: i64) -> Option<&AuditRow> {
        self.audits.iter().rev().find(|audit| audit.id <= until && audit.about.complete(inputs))
    }

    /// The audit of this number, while it is kept.
    pub fn get(&self, id: i64) -> Option<&AuditRow> {
        self.audits.binary_search_by_key(&id, |a| a.id).ok().and_then(|at| self.audits.get(at))
    }

    /// When what audit `opened` found at `at` is first known: by a clock that was not proven wrong, where any was.
    pub fn known_since(&self, opened: i64, at: Time) -> Time {
        let right = |audit: &&AuditRow| audit.right_clock;
        match self.get(opened) {
            Some(wrong) if !wrong.right_clock => {
                let start = self.audits.partition_point(|audit| audit.id < opened);
                let first = self.audits.get(start..).unwrap_or_default().iter().find(right);
                first.map_or(at, |first| first.judged)
            }
            _ => at,
        }
    }

    /// The audits from number `from` on in which the check of `code` ran.
    pub fn running(&self, code: Code, from: i64) -> impl DoubleEndedIterator<Item = &AuditRow> {
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
