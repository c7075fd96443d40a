//! `ipaudit capture`: save what an audit reads, both looks, in one file.

use std::io;
use std::path::PathBuf;

use clap::Args;

use super::audit;
use super::changes::Earlier;
use super::gather::Sources;
use super::judging_args::Judging;
use super::memory::Memory;
use super::output::Streams;
use super::source_args::SourceArgs;
use crate::error::Error;
use crate::exit::{Conclusion, Exit};
use crate::source::capture::Writer;

/// Flags of `capture`.
#[derive(Args, Debug)]
pub struct CaptureArgs {
    /// The file to write (-: standard output)
    #[arg(short, long, value_name = "FILE", env = "IPAUDIT_FILE", help_heading = "Output")]
    pub file: PathBuf,

    #[command(flatten)]
    pub sources: SourceArgs,

    #[command(flatten)]
    pub judging: Judging,
}

/// Runs the command. A capture of inputs that could not all be read is made all the same, and exits with 3.
///
/// # Errors
/// Usage, and a file that cannot be written: then nothing is left behind.
pub async fn run(args: &CaptureArgs, streams: &Streams) -> Result<Exit, Error> {
    let to_output = args.file.as_os_str() == "-";
    if to_output && streams.is_terminal() {
        let error = Error::user("write a capture to a terminal").cause("it is compressed, and no text");
        return Err(error.hint("-f FILE names a file, > FILE or a pipe takes standard output"));
    }
    let sources = Sources::open(&args.sources, streams).await?;
    let mut writer = Writer::create(&args.file)?;
    let mut memory = Memory::none();
    let all = Earlier::None("a capture holds every key");
    let mut looked = audit::look(&sources, &args.judging, streams, &mut memory, Some(&mut writer), &all).await?;
    let ledger = looked.ledger(&memory);
    let (mut verdict, again) = looked.judge(&ledger, &args.judging, &memory);
    drop(ledger);
    if again {
        let writer = Some(&mut writer);
        verdict = looked.look_again(verdict, &sources, &args.judging, streams, &memory, writer).await;
    }
    writer.end()?.finish(|mut bytes| streams.give(|out| io::copy(&mut bytes, out).map(drop)))?;
    looked.warnings.iter().chain(&verdict.warnings).for_each(|w| streams.remark(w));
    let named = if to_output { "to standard output".to_owned() } else { args.file.display().to_string() };
    streams.note(&format!("captured: {named}"));
    let conclusion = if looked.is_incomplete(&verdict) { Conclusion::Incomplete } else { Conclusion::Done };
    Ok(conclusion.exit())
}
