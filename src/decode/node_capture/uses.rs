//! Addresses in use beside the lists of a capture.

use serde::{Deserialize, Serialize};

use super::entries::{addr, range};
use super::few::{ListEntry, MOST_ROUTES};
use crate::model::Cidr;
use crate::model::node_evidence::{InUse, UsedBy};

impl ListEntry for UseEntry {
    const MOST: usize = MOST_ROUTES;
}

/// An address or range in use that no list of the capture shows.
#[derive(Serialize, Deserialize)]
pub struct UseEntry {
    ip: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    r#if: String,
    by: UseWord,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pod: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum UseWord {
    Host,
    Namespace,
    /// And whatever a later version calls it: it is in use.
    #[serde(other)]
    Route,
}

impl UseEntry {
    pub fn of((range, used): &(Cidr, InUse)) -> UseEntry {
        let (by, pod) = match &used.by {
            UsedBy::Route => (UseWord::Route, String::new()),
            UsedBy::Host => (UseWord::Host, String::new()),
            UsedBy::Namespace(pod) => (UseWord::Namespace, pod.raw().to_owned()),
        };
        // One address as it always was written.
        let is_one = Cidr::of_one(range.first()) == Some(*range);
        let ip = if is_one { range.first().to_string() } else { range.to_string() };
        UseEntry { ip, r#if: used.interface.raw().to_owned(), by, pod }
    }

    pub fn used(self) -> Result<(Cidr, InUse), String> {
        let by = match self.by {
            UseWord::Route => UsedBy::Route,
            UseWord::Host => UsedBy::Host,
            UseWord::Namespace => UsedBy::Namespace(self.pod.into()),
        };
        let range = match self.ip.contains('/') {
            true => range(&self.ip)?,
            false => Cidr::of_one(addr(&self.ip)?).ok_or("an address without a range")?,
        };
        Ok((range, InUse { interface: self.r#if.into(), by }))
    }
}
