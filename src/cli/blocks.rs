//! `ipaudit blocks`: one look at everything, and every block in a line of its own.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::asking::{self, LookAgain};
use super::look_args::LookArgs;
use super::output::{OutputArgs, Streams};
use crate::blocks::{self, BlockFilter, BlockListing, BlockOrder};
use crate::checks::{self, World};
use crate::error::Error;
use crate::exit::{Conclusion, Exit};
use crate::ledger::Ledger;
use crate::render::blocks::ListOptions;
use crate::steady::Settling;
use crate::{record, render};

/// What an earlier audit saw so long ago stands, as for an audit's `--settle`.
const SETTLE: Duration = Duration::from_secs(20);

/// Flags of `blocks`.
#[derive(Args, Debug)]
pub struct BlocksArgs {
    /// Only blocks of this pool, by name or range
    #[arg(long, value_name = "NAME", env = "IPAUDIT_POOL", help_heading = "What to report")]
    pub pool: Option<String>,

    /// Only blocks that this node owns or uses, by Calico's name or Kubernetes'
    #[arg(long, value_name = "NAME", env = "IPAUDIT_NODE", help_heading = "What to report")]
    pub node: Option<String>,

    /// Only blocks with something wrong in them
    #[arg(long, env = "IPAUDIT_WRONG", help_heading = "What to report")]
    pub wrong: bool,

    /// Instead of blocks every address that another node than its block's owner uses
    #[arg(long, env = "IPAUDIT_BORROWED", help_heading = "What to report")]
    pub borrowed: bool,

    /// List the blocks of this capture (-: standard input) instead of a datastore's; "now" is then the capture's time
    /// unless --now
    #[arg(long, value_name = "FILE", env = "IPAUDIT_FROM", help_heading = "Connection", conflicts_with_all = ["etcd_endpoints", "kube_objects", "kubeconfig"])]
    pub from: Option<PathBuf>,

    #[command(flatten)]
    pub look: LookArgs,

    /// Do not ask the history: what must be seen twice is then only suspected
    #[arg(long, env = "IPAUDIT_NO_HISTORY", help_heading = "History")]
    pub no_history: bool,

    #[command(flatten)]
    pub how: OutputArgs<BlocksOutput>,

    /// Names and addresses upwards, numbers downwards; wrong: the worst first
    #[arg(
        long,
        value_enum,
        value_name = "COLUMN",
        default_value = "block",
        env = "IPAUDIT_SORT_BY",
        help_heading = "Output"
    )]
    pub sort_by: BlockOrder,

    /// Rows alone, for scripts: no first line, no titles
    #[arg(long, env = "IPAUDIT_NO_HEADERS", help_heading = "Output")]
    pub no_headers: bool,
}

/// Output formats of `blocks`.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum BlocksOutput {
    /// For people: one block a line; its first line answers
    Table,
    /// The same with every column: reserved addresses, why some are stranded, who claims the block, all codes
    Wide,
    /// One versioned document (docs/output.md)
    Json,
    /// One block a line
    Jsonl,
}

/// Runs the command.
///
/// # Errors
/// Usage and failures of the tool; what could not be read is no error but exit code 3.
pub async fn run(args: &BlocksArgs, streams: &Streams) -> Result<Exit, Error> {
    let capture = args.from.as_deref();
    let mut read = asking::read(capture, &args.look.sources, args.look.now, streams).await?;
    let mut failed = false;
    let has_history = asking::has_history(&args.look.db, args.no_history, capture, streams);
    let key = record::cluster_key(&read.snapshot).filter(|_| has_history);
    let past = key.as_ref().and_then(|key| asking::tell(args.look.db.look(|db| db.past(key)), &mut failed));
    past.iter().for_each(|past| read.snapshot.note_past(past));
    let past = past.as_ref();
    let mut ledger = Ledger::build(&read.snapshot, args.look.scope, past);
    let mut outcome = checks::run(&World { snapshot: &read.snapshot, ledger: &ledger, past });
    let settling = Settling { past, now: read.snapshot.now, settle: SETTLE };
    if settling.has_suspects(&outcome) {
        // One ledger at a time: a capture's second look is judged in the same snapshot.
        drop(ledger);
        let how = LookAgain { scope: args.look.scope, now: args.look.now, waits: false };
        outcome = asking::settle(&mut read, outcome, &settling, how, streams).await.0;
        ledger = Ledger::build(&read.snapshot, args.look.scope, past);
    }
    let filter =
        BlockFilter { pool: args.pool.clone(), node: args.node.clone(), wrong: args.wrong, borrowed: args.borrowed };
    let mut listing = blocks::list(&ledger, &outcome, &filter, args.sort_by);
    let conclusion = match (failed, listing.is_incomplete()) {
        (true, _) => Conclusion::Failed,
        (_, true) => Conclusion::Incomplete,
        _ => Conclusion::Done,
    };
    let exit = conclusion.exit();
    listing.exit_code = exit.code();
    print(&listing, args, streams)?;
    Ok(exit)
}

fn print(listing: &BlockListing, args: &BlocksArgs, streams: &Streams) -> Result<(), Error> {
    let options = |wide| ListOptions { color: streams.color, width: streams.width, wide, headers: !args.no_headers };
    streams.stream(|out| match args.how.output {
        BlocksOutput::Table => render::blocks::write(listing, options(false), out),
        BlocksOutput::Wide => render::blocks::write(listing, options(true), out),
        BlocksOutput::Json => render::json::by_entry(listing, out),
        BlocksOutput::Jsonl => render::blocks::write_lines(listing, out),
    })
}
