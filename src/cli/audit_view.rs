//! Flags of `audit` that decide what is shown and how a script learns of it.

use clap::Args;

use super::audit_formats::{LinesArgs, Output};
use super::output::OutputArgs;
use super::place_args::PlaceArgs;
use crate::checks;
use crate::exit::FailOn;
use crate::model::{Code, Severity};

/// Flags that decide what is shown and how a script learns of it.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Output")]
pub struct View {
    #[command(flatten)]
    pub how: OutputArgs<Output>,

    /// Exit with 1 when there is a finding at least this bad; never: only failures count
    #[arg(long, value_name = "SEVERITY", default_value = "error", env = "IPAUDIT_FAIL_ON")]
    pub fail_on: FailOn,

    /// Show (and count for exit 1) only these codes; checks' names too, comma separated or repeated
    #[arg(long, value_name = "CODE", value_delimiter = ',', env = "IPAUDIT_CODE", value_parser = checks::one)]
    pub code: Vec<Code>,

    /// Show (and count for exit 1) only findings at least this bad
    #[arg(long, value_name = "SEVERITY", env = "IPAUDIT_SEVERITY")]
    pub severity: Option<Severity>,

    #[command(flatten)]
    pub place: PlaceArgs,

    /// Every finding on its own, also those that another one explains; every pool, and every node in the JSON
    #[arg(long, env = "IPAUDIT_ALL")]
    pub all: bool,

    /// How full pools and nodes are, in full: addresses and blocks of each pool, and the biggest nodes
    #[arg(long, env = "IPAUDIT_CAPACITY")]
    pub capacity: bool,

    /// The connection's flags that stand on the command line, not in the environment alone.
    #[arg(skip)]
    pub connected_by: Vec<&'static str>,

    #[command(flatten)]
    pub lines: LinesArgs,
}
