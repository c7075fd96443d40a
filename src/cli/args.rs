//! What can be said on the command line: the types that clap fills, and nothing else.
//!
//! Every flag has an environment variable `IPAUDIT_…`; each is documented where it is defined.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::etcd_args::EtcdArgs;
use super::history_args::{DbArgs, HistoryArgs, HistoryCommandArgs};
use super::kube_args::KubeArgs;
use super::moment::{Moment, moment};
use super::release_args::{ReleaseArgs, UndoArgs};
use super::settings_args::{IgnoreArgs, SettingsArgs};
use crate::exit::FailOn;
use crate::ledger::ScopeFlag;
use crate::model::{Code, Severity, Time};

/// The flight recorder and repair kit for Calico IPAM on etcd: which address is leaked or held twice, and by whom.
///
/// Reads Calico's blocks, handles, affinities and workload endpoints at one etcd revision and holds them against the
/// pods that really live. Exit codes: 0 clean, 1 findings at or above --fail-on, 2 usage or failure, 3 incomplete.
#[derive(Parser, Debug)]
#[command(name = "ipaudit", version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    #[command(flatten)]
    pub global: Global,
}

/// Flags of every command.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Output")]
pub struct Global {
    /// Colours: auto is on a terminal only; NO_COLOR switches them off
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN", env = "IPAUDIT_COLOR")]
    pub color: Color,

    /// Nothing on standard error but errors, and findings only on standard output
    #[arg(short, long, global = true, env = "IPAUDIT_QUIET")]
    pub quiet: bool,

    /// Say where settings came from and what is being done; twice: what the libraries do too
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// When to use colours.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Read, check and tell: one pass, what a CronJob runs
    Audit(Box<AuditArgs>),
    /// Save everything that an audit reads in one file, to be audited elsewhere
    Capture(Box<CaptureArgs>),
    /// Give leaked addresses and orphaned handles back: plan, show, ask, write, verify
    Release(Box<ReleaseArgs>),
    /// Put a wrong release back, where that is still right
    Undo(Box<UndoArgs>),
    /// What a code means: risk, how it comes about, what to do; without a code, all of them
    Explain(ExplainArgs),
    /// What is kept of earlier audits: forget what is old, see whether the file is whole, get the data out
    History(HistoryCommandArgs),
    /// What the history says of a stretch of time: new, ongoing, came back, ended; works while the cluster does not
    Report(ReportArgs),
    /// Who holds an address, handle, pod, node, MAC or interface now, what is wrong with it, and who had it before
    Who(Box<WhoArgs>),
}

/// Flags of `who`.
#[derive(Args, Debug)]
pub struct WhoArgs {
    /// An address, a handle or container id, a pod or namespace/pod, a node, a MAC or an interface
    #[arg(value_name = "WHAT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub what: String,

    /// From the history alone: works when the cluster does not
    #[arg(long, env = "IPAUDIT_OFFLINE", conflicts_with_all = ["no_history", "from", "deep"])]
    pub offline: bool,

    /// Who had it at this time, by the history: a time as for report --since, or so long ago (24h)
    #[arg(long, value_name = "WHEN", env = "IPAUDIT_AT", value_parser = moment, conflicts_with_all = ["no_history", "from", "deep"])]
    pub at: Option<Moment>,

    /// Step back through etcd's own revisions of the block and handle, as far as compaction has left them
    #[arg(long, env = "IPAUDIT_DEEP")]
    pub deep: bool,

    /// Look into this capture instead of a datastore, and into a history only where --db or IPAUDIT_DB names one; "now" is
    /// then the capture's time unless --now
    #[arg(long, value_name = "FILE", env = "IPAUDIT_FROM", conflicts_with_all = ["etcd_endpoints", "kube_objects", "kubeconfig"])]
    pub from: Option<PathBuf>,

    #[command(flatten)]
    pub etcd: EtcdArgs,

    #[command(flatten)]
    pub kube: KubeArgs,

    #[command(flatten)]
    pub db: DbArgs,

    /// Do not ask the history
    #[arg(long, env = "IPAUDIT_NO_HISTORY", help_heading = "History")]
    pub no_history: bool,

    /// With --offline or --at, only this cluster of the file: the beginning of its datastore's GUID or of a Kubernetes UID
    #[arg(long, value_name = "ID", env = "IPAUDIT_CLUSTER", help_heading = "History")]
    pub cluster: Option<String>,

    /// How long a thing must have been so before it counts: what is wrong with it is looked at again after this time,
    /// unless the history saw it too. 0: answer at once, what one look found is an unconfirmed note
    #[arg(long, value_name = "DURATION", default_value = "20s", env = "IPAUDIT_SETTLE", value_parser = duration, help_heading = "What counts")]
    pub settle: Duration,

    /// exclusive: no other cluster and no plain host uses this datastore. auto: decided from the nodes
    #[arg(long, value_name = "SCOPE", default_value = "auto", env = "IPAUDIT_SCOPE", help_heading = "What counts")]
    pub scope: ScopeArg,

    /// Judge ages, graces and cooldowns as of this time (RFC 3339), for data that was saved earlier
    #[arg(long, value_name = "TIME", env = "IPAUDIT_NOW", value_parser = time, help_heading = "What counts")]
    pub now: Option<Time>,

    /// How to print
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "table",
        env = "IPAUDIT_OUTPUT",
        help_heading = "Output"
    )]
    pub output: WhoOutput,

    /// Exit with 1 when a finding about it is at least this bad; never: only failures count
    #[arg(long, value_name = "SEVERITY", default_value = "error", env = "IPAUDIT_FAIL_ON", help_heading = "Output")]
    pub fail_on: FailOn,
}

/// Output formats of `who`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhoOutput {
    /// For people; its first line answers
    Table,
    /// One versioned document (docs/output.md)
    Json,
}

/// Flags of `audit`.
#[derive(Args, Debug)]
pub struct AuditArgs {
    /// Audit this capture instead of a datastore; "now" is then the capture's time unless --now. Recorded in a history only
    /// with --db on the command line
    #[arg(long, value_name = "FILE", env = "IPAUDIT_FROM", conflicts_with_all = ["etcd_endpoints", "kube_objects", "kubeconfig"])]
    pub from: Option<PathBuf>,

    #[command(flatten)]
    pub etcd: EtcdArgs,

    #[command(flatten)]
    pub kube: KubeArgs,

    #[command(flatten)]
    pub judging: Judging,

    #[command(flatten)]
    pub settings: SettingsArgs,

    #[command(flatten)]
    pub history: HistoryArgs,

    #[command(flatten)]
    pub view: View,
}

/// Flags of `capture`.
#[derive(Args, Debug)]
pub struct CaptureArgs {
    /// The file to write
    #[arg(short, long, value_name = "FILE", env = "IPAUDIT_CAPTURE_FILE")]
    pub file: PathBuf,

    #[command(flatten)]
    pub etcd: EtcdArgs,

    #[command(flatten)]
    pub kube: KubeArgs,

    #[command(flatten)]
    pub judging: Judging,
}

/// Flags of `explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// A code as IPA101; all codes when absent
    pub code: Option<Code>,
}

/// Flags of `report`.
#[derive(Args, Debug, Clone)]
pub struct ReportArgs {
    /// From when: so long before now (24h, 7d) or a time: 2026-11-24 (its beginning) and 2026-11-24T03:04 in UTC, or RFC
    /// 3339 with a zone
    #[arg(long, value_name = "WHEN", default_value = "24h", env = "IPAUDIT_SINCE", value_parser = moment)]
    pub since: Moment,

    /// Until when, likewise; now when absent
    #[arg(long, value_name = "WHEN", env = "IPAUDIT_UNTIL", value_parser = moment)]
    pub until: Option<Moment>,

    /// Only this cluster: the beginning of its datastore's GUID or of a Kubernetes UID
    #[arg(long, value_name = "ID", env = "IPAUDIT_CLUSTER")]
    pub cluster: Option<String>,

    /// Only these codes; comma separated or repeated
    #[arg(long, value_name = "CODE", value_delimiter = ',', env = "IPAUDIT_CODE")]
    pub code: Vec<Code>,

    /// Only findings at least this bad
    #[arg(long, value_name = "SEVERITY", env = "IPAUDIT_SEVERITY")]
    pub severity: Option<Severity>,

    /// Only what belongs to this node
    #[arg(long, value_name = "NODE", env = "IPAUDIT_NODE")]
    pub node: Option<String>,

    /// Only what belongs to this namespace
    #[arg(long, value_name = "NAMESPACE", env = "IPAUDIT_NAMESPACE")]
    pub namespace: Option<String>,

    /// Only what belongs to this pool
    #[arg(long, value_name = "POOL", env = "IPAUDIT_POOL")]
    pub pool: Option<String>,

    /// Exit with 1 when something at least this bad is open; never: only failures count
    #[arg(long, value_name = "SEVERITY", default_value = "error", env = "IPAUDIT_FAIL_ON")]
    pub fail_on: FailOn,

    /// Every line of every section
    #[arg(long, env = "IPAUDIT_ALL")]
    pub all: bool,

    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table", env = "IPAUDIT_REPORT_OUTPUT")]
    pub output: ReportOutput,

    /// Take this for now (RFC 3339)
    #[arg(long, value_name = "TIME", env = "IPAUDIT_NOW", value_parser = time)]
    pub now: Option<Time>,

    #[command(flatten)]
    pub ignore: IgnoreArgs,

    #[command(flatten)]
    pub db: DbArgs,
}

/// Output formats of a report.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportOutput {
    /// For people
    Table,
    /// One versioned document (docs/output.md)
    Json,
    /// One finding a line
    Jsonl,
    /// For a ticket or a chat
    Markdown,
}

/// Flags that decide what is true.
#[derive(Args, Debug, Clone, Copy)]
#[command(next_help_heading = "What counts")]
pub struct Judging {
    /// How long a thing must have been so before it counts: suspects are looked at again after this time. 0: no
    /// second look, they are told as unconfirmed notes
    #[arg(long, value_name = "DURATION", default_value = "20s", env = "IPAUDIT_SETTLE", value_parser = duration)]
    pub settle: Duration,

    /// exclusive: no other cluster and no plain host uses this datastore, so whatever this API server does not know
    /// is gone. auto: decided from the nodes
    /// [default: what was said last, else auto]
    #[arg(long, value_name = "SCOPE", env = "IPAUDIT_SCOPE")]
    pub scope: Option<ScopeArg>,

    /// Judge ages, graces and cooldowns as of this time (RFC 3339), for data that was saved earlier
    #[arg(long, value_name = "TIME", env = "IPAUDIT_NOW", value_parser = time)]
    pub now: Option<Time>,
}

/// `--scope`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScopeArg {
    Auto,
    Exclusive,
}

impl Judging {
    /// The scope that was asked for, now or (by the history) before.
    pub fn scope_flag(&self) -> ScopeFlag {
        self.scope.map_or(ScopeFlag::Auto, ScopeFlag::from)
    }
}

impl From<ScopeArg> for ScopeFlag {
    fn from(arg: ScopeArg) -> ScopeFlag {
        match arg {
            ScopeArg::Auto => ScopeFlag::Auto,
            ScopeArg::Exclusive => ScopeFlag::Exclusive,
        }
    }
}

/// Flags that decide what is shown and how a script learns of it.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Output")]
pub struct View {
    /// How to print
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "table", env = "IPAUDIT_OUTPUT")]
    pub output: Output,

    /// Exit with 1 when there is a finding at least this bad; never: only failures count
    #[arg(long, value_name = "SEVERITY", default_value = "error", env = "IPAUDIT_FAIL_ON")]
    pub fail_on: FailOn,

    /// Show (and count for exit 1) only these codes; comma separated or repeated
    #[arg(long, value_name = "CODE", value_delimiter = ',', env = "IPAUDIT_CODE")]
    pub code: Vec<Code>,

    /// Show (and count for exit 1) only findings at least this bad
    #[arg(long, value_name = "SEVERITY", env = "IPAUDIT_SEVERITY")]
    pub severity: Option<Severity>,

    /// Every finding on its own, also those that another one explains; every pool, and every node in the JSON
    #[arg(long, env = "IPAUDIT_ALL")]
    pub all: bool,

    /// How full pools and nodes are, in full: addresses and blocks of each pool, and the biggest nodes
    #[arg(long, env = "IPAUDIT_CAPACITY")]
    pub capacity: bool,
}

/// Output formats of an audit.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// For people
    Table,
    /// One versioned document (docs/output.md)
    Json,
    /// One finding a line
    Jsonl,
}

/// A duration as people write it (`20s`, `1h30m`); a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => humantime::parse_duration(text).map_err(|e| format!("{e}; write 20s, 15m or 24h")),
    }
}

pub(super) fn time(text: &str) -> Result<Time, String> {
    Time::parse_rfc3339(text).ok_or_else(|| format!("{text:?} is no time; write 2026-11-24T03:04:11Z"))
}
