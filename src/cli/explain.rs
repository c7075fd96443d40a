//! `ipaudit explain [CODE]...`: the manual of checks, or the list of all.

use std::io;

use clap::Args;

use super::output::{OutputArgs, PlainOutput, Streams};
use crate::checks::{self, ALL, Check};
use crate::error::Error;
use crate::exit::{Conclusion, Exit};
use crate::model::near::asks;
use crate::render::{json, manual};

/// Flags of `explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// Codes or names, * stands for anything, ? for one character: IPA101, 101, duplicate-pod-address, 'IPA5*'; all codes
    /// when absent
    #[arg(value_name = "CODE")]
    pub codes: Vec<String>,

    #[command(flatten)]
    pub how: OutputArgs<PlainOutput>,
}

/// Runs the command.
///
/// # Errors
/// A word that is no code and no name, with what comes near it.
pub fn run(args: &ExplainArgs, streams: &Streams) -> Result<Exit, Error> {
    let checks = meant(&args.codes)?;
    let mut text = Vec::new();
    let written = match args.how.output {
        PlainOutput::Json => json::indented(&manual::document(&checks), &mut text),
        PlainOutput::Table if args.codes.is_empty() => manual::list(streams.width, streams.color, &mut text),
        PlainOutput::Table => chapters(&checks, streams, &mut text),
    };
    written.map_err(|e| Error::own("print the manual").cause(e))?;
    streams.print(&text)?;
    Ok(Conclusion::Done.exit())
}

fn chapters(checks: &[&Check], streams: &Streams, text: &mut Vec<u8>) -> io::Result<()> {
    for (n, check) in checks.iter().enumerate() {
        if n > 0 {
            text.extend_from_slice(b"\n\n");
        }
        manual::explain(check, streams.width, streams.color, text)?;
    }
    Ok(())
}

/// Each check once, in the order in which they were named; all when nothing is named.
fn meant(words: &[String]) -> Result<Vec<&'static Check>, Error> {
    if words.is_empty() {
        return Ok(ALL.clone());
    }
    let mut checks: Vec<&Check> = Vec::new();
    for word in words {
        let found = checks::meant(word);
        if found.is_empty() {
            return Err(unknown(word));
        }
        for check in found {
            if !checks.iter().any(|known| known.code == check.code) {
                checks.push(check);
            }
        }
    }
    Ok(checks)
}

fn unknown(word: &str) -> Error {
    let hint = asks(&checks::nearest(word)).unwrap_or_else(|| "ipaudit explain lists all".to_owned());
    Error::user(format!("explain \"{word}\"")).cause("no check has this code or name").hint(hint)
}
