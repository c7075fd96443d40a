//! The commands: one thin file each, which carries values between the rooms and decides nothing itself.

mod again;
pub mod args;
mod audit;
mod capture;
pub mod etcd_args;
mod explain;
#[cfg(test)]
mod flags;
mod gather;
mod history;
pub mod history_args;
pub mod kube_args;
mod memory;
pub mod moment;
mod output;
mod release;
pub mod release_args;
mod report;
pub mod settings_args;
mod undo;
mod who;
mod who_before;
mod who_deep;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};

use args::{Cli, Command};
use output::Streams;

use crate::error::Error;
use crate::exit::Exit;

/// Parses the command line, runs the command, and says how it ended.
pub fn main() -> Exit {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Nobody can be told that the streams are gone.
            let _ = output::tell_usage(&e);
            return if e.use_stderr() { Exit::Failure } else { Exit::Clean };
        }
    };
    let streams = Streams::of(&cli.global);
    log(cli.global.verbose);
    match run(cli, &streams) {
        Ok(exit) => exit,
        Err(error) => {
            output::tell(&error);
            Exit::Failure
        }
    }
}

/// The command line, and which of it was typed rather than found in the environment where that matters.
fn parse() -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches()?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let (Command::Audit(args), Some((_, flags))) = (&mut cli.command, matches.subcommand()) {
        args.history.named = flags.value_source("db") == Some(ValueSource::CommandLine);
    }
    Ok(cli)
}

fn run(cli: Cli, streams: &Streams) -> Result<Exit, Error> {
    // Both TLS users (etcd-client, kube) take the process's provider; a second one in the tree would make kube panic.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| Error::new("start the runtime").cause(e))?;
    match cli.command {
        Command::Audit(args) => runtime.block_on(audit::run(&args, streams)),
        Command::Capture(args) => runtime.block_on(capture::run(&args, streams)),
        Command::Release(args) => runtime.block_on(release::run(&args, streams)),
        Command::Undo(args) => runtime.block_on(undo::run(&args, streams)),
        Command::Explain(args) => explain::run(&args, streams),
        Command::History(args) => history::run(&args, streams),
        Command::Report(args) => report::run(&args, streams),
        Command::Who(args) => runtime.block_on(who::run(&args, streams)),
    }
}

/// What the libraries do, with `-vv`.
fn log(verbose: u8) {
    if verbose > 1 {
        let filter = tracing_subscriber::EnvFilter::try_from_default_env()
            .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,kube=debug"));
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(output::err).try_init();
    }
}
