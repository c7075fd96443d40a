//! Flags that say what is true: how long, for whom, as of when.

use std::time::Duration;

use clap::Args;

use super::parse::{duration, time};
use crate::ledger::ScopeFlag;
use crate::model::Time;

/// Flags that decide what is true.
#[derive(Args, Debug, Clone, Copy)]
#[command(next_help_heading = "What counts")]
pub struct Judging {
    /// How long a thing must have been so before it counts: suspects are looked at again after this time. 0: no
    /// second look, they are told as unconfirmed notes
    #[arg(long, value_name = "DURATION", default_value = "20s", env = "IPAUDIT_SETTLE", value_parser = duration, allow_hyphen_values = true)]
    pub settle: Duration,

    /// Whose the datastore is. exclusive: no other cluster and no plain host uses it, so whatever this API server does not
    /// know is gone. auto: decided from the nodes
    /// [default: what was said last, else auto]
    #[arg(long, value_name = "SCOPE", env = "IPAUDIT_SCOPE")]
    pub scope: Option<ScopeFlag>,

    /// Judge ages, graces and cooldowns as of this time (RFC 3339), for data that was saved earlier
    #[arg(long, value_name = "TIME", env = "IPAUDIT_NOW", value_parser = time)]
    pub now: Option<Time>,
}
