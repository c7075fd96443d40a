//! `ipaudit history`: forget what is old, see whether the file is whole, get the data out.

use std::io::{BufRead, BufWriter, IsTerminal, Write};

use super::gather;
use super::history_args::DbArgs;
use super::history_args::{HistoryCommand, HistoryCommandArgs, PruneArgs};
use super::output::{self, Streams};
use crate::error::Error;
use crate::exit::Exit;
use crate::history::{Db, Mode};

/// Runs the command.
///
/// # Errors
/// A history that cannot be opened, read or written.
pub fn run(args: &HistoryCommandArgs, streams: &Streams) -> Result<Exit, Error> {
    match &args.command {
        HistoryCommand::Prune(args) => prune(args, streams),
        HistoryCommand::Check(args) => check(args),
        HistoryCommand::Export(args) => export(args),
    }
}

fn prune(args: &PruneArgs, streams: &Streams) -> Result<Exit, Error> {
    let path = args.db.path()?;
    // Nothing to prune is no reason to make a file.
    drop(Db::open(&path, Mode::Read)?);
    let mut db = args.db.open_for_writing()?;
    let now = gather::present();
    let plan = db.prune_plan(now, args.keep)?;
    if plan.is_nothing() {
        output::print(b"nothing is older than that\n")?;
        return Ok(Exit::Clean);
    }
    let border = now.minus(args.keep).to_rfc3339();
    output::print(format!("older than {border}: {plan}\nopen findings and releases stay\n").as_bytes())?;
    if !args.yes && !agreed(streams) {
        output::print(b"nothing was changed; --yes does it\n")?;
        return Ok(Exit::Clean);
    }
    let pruned = db.prune(now, args.keep)?;
    db.compact()?;
    output::print(format!("gone: {pruned}\n").as_bytes())?;
    Ok(Exit::Clean)
}

/// Asks on a terminal; elsewhere nobody can answer.
fn agreed(streams: &Streams) -> bool {
    if !std::io::stdin().is_terminal() || streams.quiet {
        return false;
    }
    let _ = write!(std::io::stderr(), "go on? [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn check(args: &DbArgs) -> Result<Exit, Error> {
    let path = args.path()?;
    let db = Db::open(&path, Mode::Read)?;
    let (wrong, mixed) = (db.check()?, db.mixed()?);
    if wrong.is_empty() {
        let mixed: String = mixed.iter().map(|what| format!("  mixed up by an older ipaudit: {what}\n")).collect();
        output::print(format!("{}: whole\n{mixed}", path.display()).as_bytes())?;
        return Ok(Exit::Clean);
    }
    output::print(format!("{}: damaged, and left as it is\n  {}\n", path.display(), wrong.join("\n  ")).as_bytes())?;
    Ok(Exit::Findings)
}

fn export(args: &DbArgs) -> Result<Exit, Error> {
    let db = Db::open(&args.path()?, Mode::Read)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    match db.export(&mut out).and_then(|()| out.flush().map_err(|e| Error::new("write the export").cause(e))) {
        // A reader that went away (`| head`) is no error.
        Err(e) if is_broken_pipe(&e) => Ok(Exit::Clean),
        Err(e) => Err(e),
        Ok(()) => Ok(Exit::Clean),
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let io = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
