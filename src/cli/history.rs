//! `ipaudit history`: forget what is old, see whether the file is whole, get the data out.

use std::io;

use super::gather;
use super::history_args::DbArgs;
use super::history_args::{HistoryCommand, HistoryCommandArgs, PruneArgs};
use super::output::Streams;
use crate::error::Error;
use crate::exit::Exit;
use crate::render::escape::escape;
use crate::render::json;

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
    drop(args.db.open_to_read()?);
    let mut db = args.db.open_for_writing()?;
    let now = gather::present();
    let plan = db.prune_plan(now, args.keep)?;
    if plan.is_nothing() {
        streams.print(b"nothing is older than that\n")?;
        return Ok(Exit::Clean);
    }
    let border = now.minus(args.keep).to_rfc3339();
    streams.print(format!("older than {border}: {plan}\nopen findings and releases stay\n").as_bytes())?;
    if !args.yes && !agreed(streams) {
        streams.print(b"nothing was changed; --yes does it\n")?;
        return Ok(Exit::Clean);
    }
    let pruned = db.prune(now, args.keep)?;
    db.compact()?;
    streams.print(format!("gone: {pruned}\n").as_bytes())?;
    Ok(Exit::Clean)
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
    let wrong = args.open_to_read()?.check()?;
    let path = args.path()?.display().to_string();
    let path = escape(&path);
    if wrong.is_empty() {
        streams.print(format!("{path}: whole\n").as_bytes())?;
        return Ok(Exit::Clean);
    }
    let wrong: String = wrong.iter().map(|line| format!("  {}\n", escape(line))).collect();
    streams.print(format!("{path}: damaged, and left as it is\n{wrong}").as_bytes())?;
    Ok(Exit::Findings)
}

fn export(args: &DbArgs, streams: &Streams) -> Result<Exit, Error> {
    let db = args.open_to_read()?;
    let mut out = streams.out();
    let failed = |e: io::Error| Error::new("write the export").cause(e);
    let written = db.export(|row| json::compact(&row, &mut out).map_err(failed));
    match written.and_then(|()| out.finish().map_err(failed)) {
        // A reader that went away (`| head`) is no error.
        Err(e) if is_broken_pipe(&e) => Ok(Exit::Clean),
        Err(e) => Err(e),
        Ok(()) => Ok(Exit::Clean),
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let io = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<io::Error>());
    io.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
