//! `ipaudit history`: forget what is old, see whether the file is whole, get the data out.

use std::io::{BufRead, BufWriter, IsTerminal, Write};

use super::gather;
use super::history_args::DbArgs;
use super::history_args::{HistoryCommand, HistoryCommandArgs, PruneArgs};
use super::output::{self, Streams};
use crate::error::Error;
use crate::exit::Exit;
use crate::history::tight::{Tight, is_out_of_room};
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
    args.db.look(|_| Ok(()))?;
    let now = gather::present();
    let here = args.db.open_for_writing().and_then(|mut db| {
        let plan = db.prune_plan(now, args.keep)?;
        Ok((plan, Some(db)))
    });
    let (plan, db) = match here {
        Err(full) if is_out_of_room(&full) => {
            (Tight::open(&path, args.db.db_wait)?.db.prune_plan(now, args.keep)?, None)
        }
        here => here?,
    };
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
    let mut pruned = match db {
        None => None,
        Some(mut db) => match db.prune(now, args.keep) {
            Err(full) if is_out_of_room(&full) => None,
            Err(error) => return Err(error),
            Ok(pruned) => match db.compact() {
                Ok(()) => {
                    output::print(format!("gone: {pruned}\n").as_bytes())?;
                    return Ok(Exit::Clean);
                }
                Err(full) if is_out_of_room(&full) => Some(pruned),
                Err(error) => return Err(error),
            },
        },
    };
    let mut tight = Tight::open(&path, args.db.db_wait)?;
    if pruned.is_none() {
        pruned = Some(tight.db.prune(now, args.keep)?);
    }
    tight.db.compact()?;
    streams.note(&format!(
        "the disk is full: the history is made smaller in {} and written over the old one; should that be interrupted, \
         the whole history is there",
        tight.copy().display()
    ));
    tight.write_back()?;
    output::print(format!("gone: {}\n", pruned.unwrap_or_default()).as_bytes())?;
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
    let (wrong, mixed) = args.look(|db| Ok((db.check()?, db.mixed()?)))?;
    if wrong.is_empty() {
        let mixed: String = mixed.iter().map(|what| format!("  mixed up by an older ipaudit: {what}\n")).collect();
        output::print(format!("{}: whole\n{mixed}", path.display()).as_bytes())?;
        return Ok(Exit::Clean);
    }
    output::print(format!("{}: damaged, and left as it is\n  {}\n", path.display(), wrong.join("\n  ")).as_bytes())?;
    Ok(Exit::Findings)
}

fn export(args: &DbArgs) -> Result<Exit, Error> {
    let path = args.path()?;
    let db = Db::open_patiently(&path, Mode::Read, args.db_wait)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    match db.export(&mut out).and_then(|()| out.flush().map_err(|e| Error::new("write the export").cause(e))) {
        // A reader that went away (`| head`) is no error.
        Err(e) if is_broken_pipe(&e) => Ok(Exit::Clean),
        // Said already, so it cannot be asked again.
        _ if db.has_moved() => Err(Error::new("export the history")
            .at(path.display().to_string())
            .cause("somebody wrote it meanwhile, so what was printed may be of two moments")
            .hint("run it again")),
        Err(e) => Err(e),
        Ok(()) => Ok(Exit::Clean),
    }
}

fn is_broken_pipe(error: &Error) -> bool {
    let io = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<std::io::Error>());
    io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}
