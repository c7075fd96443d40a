//! `ipaudit history`: forget what is old, see whether the file is whole, get the data out.

use std::io;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::gather;
use super::history_args::DbArgs;
use super::output::Streams;
use super::parse::duration;
use crate::error::Error;
use crate::exit::{Conclusion, Exit};
use crate::history::tight::{Tight, is_out_of_room};
use crate::model::Foreign;
use crate::render::json;

/// Flags of `history`.
#[derive(Args, Debug)]
pub struct HistoryCommandArgs {
    #[command(subcommand)]
    pub command: HistoryCommand,
}

/// What to do with the history.
#[derive(Subcommand, Debug)]
pub enum HistoryCommand {
    /// Forget audits and what has ended, once they are older than --keep; says what goes before it goes
    Prune(PruneArgs),
    /// Whether the file is whole; reads all of it. Exit code 1: it is not
    Check(DbArgs),
    /// Every row of every table as a line of JSON (docs/history.md)
    Export(DbArgs),
}

/// Flags of `history prune`.
#[derive(Args, Debug)]
pub struct PruneArgs {
    #[command(flatten)]
    pub db: DbArgs,

    /// How long audits and what has ended are kept
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "90d",
        env = "IPAUDIT_KEEP",
        help_heading = "History",
        value_parser = duration, allow_hyphen_values = true
    )]
    pub keep: Duration,

    /// Do it without asking
    #[arg(long, help_heading = "Safety")]
    pub yes: bool,
}

/// Runs the command.
///
/// # Errors
/// A history that cannot be opened, read or written.
pub fn run(args: &HistoryCommandArgs, streams: &Streams) -> Result<Exit, Error> {
    match &args.command {
        HistoryCommand::Prune(args) => prune(args, streams),
        HistoryCommand::Check(args) => check(args, streams),
        HistoryCommand::Export(args) => export(args, streams),
    }
}

fn prune(args: &PruneArgs, streams: &Streams) -> Result<Exit, Error> {
    // Nothing to prune is no reason to make a file.
    args.db.look(|_| Ok(()))?;
    let path = args.db.path()?;
    let now = gather::present();
    let here = args.db.open_for_writing().and_then(|mut db| Ok((db.prune_plan(now, args.keep)?, db)));
    let (plan, db) = match with_room(here)? {
        Some((plan, db)) => (plan, Some(db)),
        None => (Tight::open(&path, args.db.patience())?.db.prune_plan(now, args.keep)?, None),
    };
    if plan.is_nothing() {
        streams.print(b"nothing is older than that\n")?;
        return Ok(Conclusion::Done.exit());
    }
    let border = now.minus(args.keep);
    streams.print(format!("older than {border}: {plan}\nopen findings and releases stay\n").as_bytes())?;
    if !args.yes && !agreed(streams) {
        streams.print(b"nothing was changed; --yes does it\n")?;
        return Ok(Conclusion::Done.exit());
    }
    let mut pruned = None;
    let whole = db.map(|mut db| {
        pruned = with_room(db.prune(now, args.keep))?;
        pruned.map_or(Ok(None), |_| with_room(db.compact()))
    });
    if whole.transpose()?.flatten().is_none() {
        let mut tight = Tight::open(&path, args.db.patience())?;
        if pruned.is_none() {
            pruned = Some(tight.db.prune(now, args.keep)?);
        }
        tight.db.compact()?;
        streams.warn(&format!(
            "the disk is full: the history is made smaller in {} and written over the old one; should that be \
             interrupted, the whole history is there",
            tight.copy().display()
        ));
        tight.write_back()?;
    }
    streams.print(format!("gone: {}\n", pruned.unwrap_or_default()).as_bytes())?;
    Ok(Conclusion::Done.exit())
}

/// What was done; `None` where it failed for want of room.
fn with_room<T>(tried: Result<T, Error>) -> Result<Option<T>, Error> {
    match tried {
        Err(full) if is_out_of_room(&full) => Ok(None),
        tried => tried.map(Some),
    }
}

/// Asks on a terminal; elsewhere nobody can answer.
fn agreed(streams: &Streams) -> bool {
    if streams.quiet {
        return false;
    }
    let answer = streams.ask("go on? [y/N] ");
    answer.is_ok_and(|answer| matches!(answer.as_deref(), Some("y" | "Y" | "yes")))
}

fn check(args: &DbArgs, streams: &Streams) -> Result<Exit, Error> {
    let (wrong, mixed) = args.look(|db| Ok((db.check()?, db.mixed()?)))?;
    let path = Foreign::from(args.path()?.display().to_string());
    let path = path.shown();
    if wrong.is_empty() {
        let mixed = mixed.iter().map(|what| format!("  mixed up by an older ipaudit: {}\n", what.shown()));
        streams.print(format!("{path}: whole\n{}", mixed.collect::<String>()).as_bytes())?;
        return Ok(Conclusion::Done.exit());
    }
    let wrong: String = wrong.iter().map(|line| format!("  {}\n", line.shown())).collect();
    streams.print(format!("{path}: damaged, and left as it is\n{wrong}").as_bytes())?;
    Ok(Conclusion::Found.exit())
}

fn export(args: &DbArgs, streams: &Streams) -> Result<Exit, Error> {
    let path = args.path()?;
    let db = args.open_to_read()?;
    let mut out = streams.out();
    let failed = |e: io::Error| Error::input("write the export").cause(e);
    let written = db.read().and_then(|tx| tx.export(|row| json::compact(&row, &mut out).map_err(failed)));
    match written.and_then(|()| out.finish().map_err(failed)) {
        // A reader that went away (`| head`) is no error.
        Err(e) if is_broken_pipe(&e) => Ok(Conclusion::Done.exit()),
        // Said already, so it cannot be asked again.
        _ if db.has_moved() => Err(Error::input("export the history")
            .at(path.display().to_string())
            .cause("somebody wrote it meanwhile, so what was printed may be of two moments")
            .hint("run it again")),
        Err(e) => Err(e),
        Ok(()) => Ok(Conclusion::Done.exit()),
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let io = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
