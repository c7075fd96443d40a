//! Flags of a question that looks at a cluster once and asks the history: `who`, `blocks`.

use clap::Args;

use super::history_args::DbArgs;
use super::parse::time;
use super::source_args::SourceArgs;
use crate::ledger::ScopeFlag;
use crate::model::Time;

/// Where a question looks, and by what it judges.
#[derive(Args, Debug)]
pub struct LookArgs {
    #[command(flatten)]
    pub sources: SourceArgs,

    #[command(flatten)]
    pub db: DbArgs,

    /// Whose the datastore is. exclusive: no other cluster and no plain host uses it. auto: decided from the nodes
    #[arg(long, value_name = "SCOPE", default_value = "auto", env = "IPAUDIT_SCOPE", help_heading = "What counts")]
    pub scope: ScopeFlag,

    /// Judge ages, graces and cooldowns as of this time (RFC 3339), for data that was saved earlier
    #[arg(long, value_name = "TIME", env = "IPAUDIT_NOW", value_parser = time, help_heading = "What counts")]
    pub now: Option<Time>,
}
