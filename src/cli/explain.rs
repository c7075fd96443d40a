//! `ipaudit explain [CODE]`: the manual of a check, or the list of all.

use clap::Args;

use super::output::Streams;
use crate::checks;
use crate::error::Error;
use crate::exit::{Conclusion, Exit};
use crate::model::Code;
use crate::render::manual;

/// Flags of `explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// A code as IPA101; all codes when absent
    #[arg(value_parser = checks::code)]
    pub code: Option<Code>,
}

/// Runs the command.
///
/// # Errors
/// A code that no check has.
pub fn run(args: &ExplainArgs, streams: &Streams) -> Result<Exit, Error> {
    let mut text = Vec::new();
    let written = match args.code {
        None => manual::list(streams.width, streams.color, &mut text),
        Some(code) => {
            let check = checks::find(code).ok_or_else(|| {
                Error::user(format!("explain {code}")).cause("no check has this code").hint("ipaudit explain lists all")
            })?;
            manual::explain(check, streams.width, streams.color, &mut text)
        }
    };
    written.map_err(|e| Error::own("print the manual").cause(e))?;
    streams.print(&text)?;
    Ok(Conclusion::Done.exit())
}
