//! Words of the command line that several commands understand alike.

use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::blocks::BlockOrder;
use crate::history::Journal;
use crate::ledger::ScopeFlag;
use crate::model::Time;
use crate::model::node_evidence::{LookInside, RoutesKept};
use crate::model::word::Spelled;
use crate::render::wide::SortBy;

/// What a flag may say of an enum of another room: its words.
macro_rules! said_by_words {
    ($($name:ty),+) => {
        $(impl ValueEnum for $name {
            fn value_variants<'a>() -> &'a [$name] {
                <$name>::VALUES
            }

            fn to_possible_value(&self) -> Option<PossibleValue> {
                Some(self.word().into())
            }
        })+
    };
}
said_by_words!(BlockOrder, Journal, LookInside, RoutesKept, ScopeFlag, SortBy);

/// A duration as people write it (`20s`, `1h30m`); a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) if text.strip_prefix('-').is_some_and(|length| duration(length).is_ok()) => {
            Err(format!("a duration has no sign: write {}", text.trim_start_matches('-')))
        }
        Err(_) => humantime::parse_duration(text).map_err(|e| format!("{e}; write 20s, 15m or 24h")),
    }
}

/// A pause between two audits: shorter ones would be a burden on etcd.
pub fn interval(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|said| if said < SHORTEST { Err("the shortest is 1s".to_owned()) } else { Ok(said) })
}

/// Calico's name of a node: no blank, nothing that is not printed.
pub fn node_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    match name.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '/') {
        Some(strange) => Err(format!("a node's name has no {strange:?}")),
        None => Ok(name.to_owned()),
    }
}

/// What names of interfaces begin with: no longer than they are, and something.
pub fn interface_prefix(text: &str) -> Result<String, String> {
    match text.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '/') {
        Some(strange) => Err(format!("an interface's name has no {strange:?}")),
        None if text.is_empty() => Err("with nothing every interface begins: write cali, eni or the like".to_owned()),
        None if text.len() > LONGEST_INTERFACE => {
            Err(format!("an interface's name has at most {LONGEST_INTERFACE} bytes"))
        }
        None => Ok(text.to_owned()),
    }
}

const LONGEST_INTERFACE: usize = 15;
const SHORTEST: Duration = Duration::from_secs(1);

/// A time with its zone.
pub fn time(text: &str) -> Result<Time, String> {
    Time::parse_rfc3339(text).ok_or_else(|| format!("{text:?} is no time; write 2026-11-24T03:04:11Z"))
}
