//! What the operator says of the checks on the command line and in a file: flags, and the reading of that file.

use std::path::PathBuf;

use clap::Args;

use crate::error::Error;
use crate::settings::{Ignore, Settings, SeverityOf};

/// Flags that say how bad a finding is here, and which ones are known.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "What counts")]
pub struct SettingsArgs {
    /// Findings of a code count as this bad: IPA201=note; comma separated or repeated. What is unconfirmed stays a note
    #[arg(long, value_name = "CODE=SEVERITY", value_delimiter = ',', env = "IPAUDIT_SEVERITY_OF")]
    pub severity_of: Vec<SeverityOf>,

    #[command(flatten)]
    pub ignore: IgnoreArgs,
}

/// Flags that say which findings are known. A report takes these alone: what the history recorded has its severity.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = "What counts")]
pub struct IgnoreArgs {
    /// Do not show findings of a code, or those whose subject fits, nor count them for exit 1: IPA113, IPA110:10.65.*
    /// (* anything, ? one character); comma separated or repeated. The history records them all the same
    #[arg(long, value_name = "CODE[:SUBJECT]", value_delimiter = ',', env = "IPAUDIT_IGNORE")]
    pub ignore: Vec<Ignore>,

    /// Severities and ignores from a file (TOML, docs/settings.md); a flag's severity wins over the file's
    #[arg(long, value_name = "FILE", env = "IPAUDIT_SETTINGS")]
    pub settings: Option<PathBuf>,
}

impl SettingsArgs {
    /// The file and the flags together.
    ///
    /// # Errors
    /// As [`IgnoreArgs::settings`].
    pub fn settings(&self) -> Result<Settings, Error> {
        Ok(self.ignore.settings()?.with(&self.severity_of, &[]))
    }
}

impl IgnoreArgs {
    /// The file and the flags together.
    ///
    /// # Errors
    /// A file that cannot be read or does not say what such a file can say.
    pub fn settings(&self) -> Result<Settings, Error> {
        let file = self.settings.as_ref().map(|file| {
            let error = || Error::configuration("read the settings").at(file.display().to_string());
            let text = std::fs::read_to_string(file).map_err(|e| error().cause(e))?;
            let hint = "docs/settings.md shows the file; `ipaudit explain` lists the codes";
            Settings::parse(&text).map_err(|e| error().cause(e).hint(hint))
        });
        Ok(file.transpose()?.unwrap_or_default().with(&[], &self.ignore))
    }
}
