//! `ipaudit version`: what this binary was built from.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::output::{OutputArgs, PlainOutput, Streams};
use crate::error::Error;
use crate::exit::{Conclusion, Exit};
use crate::render::json;

/// Flags of `version`.
#[derive(Args, Debug)]
pub struct VersionArgs {
    #[command(flatten)]
    pub how: OutputArgs<PlainOutput>,
}

/// What is known of a build, and the document `ipaudit/version/v1`.
#[derive(Serialize)]
struct Build {
    schema: &'static str,
    tool: json::ToolJson,
    /// Of the source, in full; `None`: it was built of one that does not tell. What was changed and not committed, nobody
    /// tells.
    commit: Option<&'static str>,
    /// Cargo's, in order.
    features: Vec<&'static str>,
    /// What it runs on: rustc's target triple.
    target: &'static str,
    rustc: Option<&'static str>,
}

impl Build {
    /// Of this binary (`build/main.rs`).
    fn this() -> Build {
        let known = |word: &'static str| Some(word).filter(|word| !word.is_empty());
        Build {
            schema: "ipaudit/version/v1",
            tool: json::TOOL,
            commit: known(env!("IPAUDIT_BUILD_COMMIT")),
            features: env!("IPAUDIT_BUILD_FEATURES").split(',').filter(|word| !word.is_empty()).collect(),
            target: env!("IPAUDIT_BUILD_TARGET"),
            rustc: known(env!("IPAUDIT_BUILD_RUSTC")),
        }
    }

    fn table(&self, out: &mut dyn Write) -> io::Result<()> {
        let features = if self.features.is_empty() { "none".to_owned() } else { self.features.join(", ") };
        writeln!(out, "{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "commit    {}", self.commit.unwrap_or("unknown"))?;
        writeln!(out, "features  {features}")?;
        writeln!(out, "target    {}", self.target)?;
        writeln!(out, "rustc     {}", self.rustc.unwrap_or("unknown"))
    }
}

/// Runs the command.
///
/// # Errors
/// When standard output cannot be written.
pub fn run(args: &VersionArgs, streams: &Streams) -> Result<Exit, Error> {
    let (build, mut text) = (Build::this(), Vec::new());
    let written = match args.how.output {
        PlainOutput::Table => build.table(&mut text),
        PlainOutput::Json => json::indented(&build, &mut text),
    };
    written.map_err(|e| Error::own("print the version").cause(e))?;
    streams.print(&text)?;
    Ok(Conclusion::Done.exit())
}
