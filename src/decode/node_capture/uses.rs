//! Addresses in use beside the lists of a capture.

use serde::{Deserialize, Serialize};

use super::entries::addr;
use super::few::{ListEntry, MOST_ROUTES};
use crate::model::Addr;
use crate::model::node_evidence::{InUse, UsedBy};

impl ListEntry for UseEntry {
    const MOST: usize = MOST_ROUTES;
}

/// An address in use that no list of the capture shows.
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
    pub fn of((address, used): &(Addr, InUse)) -> UseEntry {
        let (by, pod) = match &used.by {
            UsedBy::Route => (UseWord::Route, String::new()),
            UsedBy::Host => (UseWord::Host, String::new()),
            UsedBy::Namespace(pod) => (UseWord::Namespace, pod.raw().to_owned()),
        };
        UseEntry { ip: address.to_string(), r#if: used.interface.raw().to_owned(), by, pod }
    }

    pub fn used(self) -> Result<(Addr, InUse), String> {
        let by = match self.by {
            UseWord::Route => UsedBy::Route,
            UseWord::Host => UsedBy::Host,
            UseWord::Namespace => UsedBy::Namespace(self.pod.into()),
        };
        Ok((addr(&self.ip)?, InUse { interface: self.r#if.into(), by }))
    }
}
