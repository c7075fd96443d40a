//! `ipaudit undo`: puts a wrong release back, where that is still right.

use super::output::Streams;
use super::release_args::UndoArgs;
use crate::error::Error;
use crate::exit::Exit;

/// Runs the command.
///
/// # Errors
/// Usage and failures of the tool.
pub async fn run(args: &UndoArgs, streams: &Streams) -> Result<Exit, Error> {
    args.with.check()?;
    let _ = streams;
    Err(Error::new("undo a release"))
}
