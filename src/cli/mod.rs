//! The commands: one thin file each, which carries values between the rooms and decides nothing itself.

mod again;
mod asking;
mod audit;
mod audit_formats;
mod audit_names;
mod audit_view;
mod blocks;
mod boundaries;
mod capture;
mod changes;
mod check_access;
mod etcd_args;
mod explain;
#[cfg(test)]
mod flags;
mod gather;
mod help;
mod history;
mod history_args;
mod journal;
mod judging_args;
mod kube_args;
mod look_args;
mod memory;
mod moment;
mod node;
mod node_evidence_args;
mod node_live;
mod output;
mod parse;
mod place_args;
mod recall;
mod release;
mod releases;
mod report;
mod report_names;
mod report_order;
mod settings_args;
mod signal;
mod source_args;
mod unchanged;
mod undo;
mod variables;
mod version;
mod watch;
mod who;
mod who_before;
mod who_deep;

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use audit::AuditArgs;
use blocks::BlocksArgs;
use capture::CaptureArgs;
use check_access::CheckAccessArgs;
use explain::ExplainArgs;
use history::HistoryCommandArgs;
use node::NodeArgs;
use output::{Global, Streams};
use release::args::ReleaseArgs;
use report::ReportArgs;
use undo::UndoArgs;
use version::VersionArgs;
use who::WhoArgs;

use crate::environment;
use crate::error::{Error, Fault};
use crate::exit::{Conclusion, Exit};

/// The flight recorder and repair kit for Calico IPAM on etcd: which address is leaked or held twice, and by whom.
///
/// Reads Calico's blocks, handles, affinities and workload endpoints at one etcd revision and holds them against the
/// pods that really live. Exit codes: 0 clean, 1 findings at or above --fail-on, 2 usage or failure, 3 incomplete.
#[derive(Parser, Debug)]
#[command(name = "ipaudit", bin_name = "ipaudit", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    #[command(flatten)]
    global: Global,
}

/// What to do.
#[derive(Subcommand, Debug)]
enum Command {
    /// Read, check and tell: one pass, what a CronJob runs
    Audit(Box<AuditArgs>),
    /// Every block: pool, owner, how full, borrowed, cooling, free and stranded addresses, and what is wrong in it
    Blocks(Box<BlocksArgs>),
    /// What this user may read and write, before the first audit: etcd, Kubernetes, the history
    CheckAccess(Box<CheckAccessArgs>),
    /// Save everything that an audit reads in one file, to be audited elsewhere
    Capture(Box<CaptureArgs>),
    /// What a node's kernel really does with its pods' addresses: of this node, or of what people paste or capture of one
    Node(Box<NodeArgs>),
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
    /// Who holds an address, block, handle, pod, node, MAC or interface now, what is wrong with it, and who had it before
    Who(Box<WhoArgs>),
    /// What this binary was built from: version, commit, features, target
    Version(VersionArgs),
}

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> Exit {
    let (cli, command, passed_over) = match typed() {
        Ok(typed) => typed,
        Err((e, command)) => {
            // Nobody can be told that the streams are gone.
            let _ = output::tell_usage(&e, &command);
            let conclusion = if e.use_stderr() { Conclusion::Failed } else { Conclusion::Done };
            return conclusion.exit();
        }
    };
    let streams = streams(&cli);
    passed_over.iter().for_each(|variable| streams.verbose(variable));
    match run(cli, &streams) {
        Ok(exit) => exit,
        Err(error) => {
            output::tell(&error, (error.fault == Fault::User).then_some(command.as_str()));
            Conclusion::Failed.exit()
        }
    }
}

fn streams(cli: &Cli) -> Streams {
    output::log::speak(cli.global.log_format);
    log(cli.global.verbose);
    output::tell_panics();
    let streams = Streams::of(&cli.global);
    environment::stream::tell_waits(move |wait| streams.note(wait));
    streams
}

/// What leads an audit or a release to its cluster and its history, by clap's name and as it is typed.
const CONNECTION: [(&str, &str); 13] = [
    ("etcd_endpoints", "--etcd-endpoints"),
    ("etcd_discovery_srv", "--etcd-discovery-srv"),
    ("etcd_ca_cert", "--etcd-ca-cert"),
    ("etcd_cert", "--etcd-cert"),
    ("etcd_key", "--etcd-key"),
    ("etcd_username", "--etcd-username"),
    ("etcd_password_file", "--etcd-password-file"),
    ("config", "--config"),
    ("kubeconfig", "--kubeconfig"),
    ("context", "--context"),
    ("kube_objects", "--kube-objects"),
    ("node_evidence", "--node-evidence"),
    ("db", "--db"),
];

/// All commands and their flags, as they are shown.
pub fn commands() -> clap::Command {
    help::arranged(Cli::command())
}

/// The command line with its command's name, which of it was typed rather than found in the environment where that
/// matters, and which variables were passed over; or what clap says, and of which command.
fn typed() -> Result<(Cli, String, Vec<String>), (clap::Error, String)> {
    let line: Vec<OsString> = std::env::args_os().collect();
    let heeded = variables::heed(commands(), &line);
    let matches = heeded.command.clone().try_get_matches_from(line);
    let matches = matches.map_err(|error| (heeded.named(error), heeded.path.clone()))?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| (error, heeded.path.clone()))?;
    if let Some((_, flags)) = matches.subcommand() {
        let is_typed = |id: &str| flags.value_source(id) == Some(ValueSource::CommandLine);
        let connected_by = || CONNECTION.into_iter().filter(|(id, _)| is_typed(id)).map(|(_, flag)| flag).collect();
        match &mut cli.command {
            Command::Audit(args) => {
                args.history.named = is_typed("db");
                args.view.connected_by = connected_by();
            }
            Command::Release(args) => args.connected_by = connected_by(),
            _ => {}
        }
    }
    Ok((cli, matches.subcommand_name().unwrap_or_default().to_owned(), heeded.passed_over))
}

fn run(cli: Cli, streams: &Streams) -> Result<Exit, Error> {
    // Both TLS users (etcd-client, kube) take the process's provider; a second one in the tree would make kube panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Error::own("start the runtime").cause(e))?;
    match cli.command {
        Command::Audit(args) => runtime.block_on(watch::run(&args, streams)),
        Command::Blocks(args) => runtime.block_on(blocks::run(&args, streams)),
        Command::CheckAccess(args) => runtime.block_on(check_access::run(&args, streams)),
        Command::Capture(args) => runtime.block_on(capture::run(&args, streams)),
        Command::Node(args) => runtime.block_on(node::run(&args, streams)),
        Command::Release(args) => runtime.block_on(release::run(&args, streams)),
        Command::Undo(args) => runtime.block_on(undo::run(&args, streams)),
        Command::Explain(args) => explain::run(&args, streams),
        Command::History(args) => history::run(&args, streams),
        Command::Report(args) => report::run(&args, streams),
        Command::Who(args) => runtime.block_on(who::run(&args, streams)),
        Command::Version(args) => version::run(&args, streams),
    }
}

/// What the libraries do, with `-vv`.
fn log(verbose: u8) {
    if verbose > 1 {
        let said = environment::text(tracing_subscriber::EnvFilter::DEFAULT_ENV);
        let filter = said.and_then(|said| tracing_subscriber::EnvFilter::try_new(said).ok());
        let filter = filter.unwrap_or_else(|| tracing_subscriber::EnvFilter::new("info,kube=debug"));
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(output::Libraries)
            .try_init();
    }
}
