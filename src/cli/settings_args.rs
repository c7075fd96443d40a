//! What the operator says of the checks on the command line and in a file: flags, and the reading of that file.

use std::ffi::OsString;
use std::io::ErrorKind::{NotADirectory, NotFound};
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::log::Level;
use super::output::{Streams, as_remark};
use crate::environment;
use crate::environment::file::{Takes, read_text};
use crate::environment::stream;
use crate::error::Error;
use crate::model::foreign::foreign;
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

    /// Severities and ignores from a file (TOML, docs/settings.md; -: standard input); a flag's severity wins over the file's
    /// [default: $XDG_CONFIG_HOME/ipaudit/settings.toml, else ~/.config/ipaudit/settings.toml; then
    /// /etc/ipaudit/settings.toml]
    #[arg(long, value_name = "FILE", env = "IPAUDIT_SETTINGS")]
    pub settings: Option<PathBuf>,
}

impl SettingsArgs {
    /// The file and the flags together.
    ///
    /// # Errors
    /// As [`IgnoreArgs::settings`].
    pub fn settings(&self, streams: &Streams) -> Result<Settings, Error> {
        Ok(self.ignore.settings(streams)?.with(&self.severity_of, &[]))
    }
}

impl IgnoreArgs {
    /// The file that is named, or else the first one that is found, and the flags together; with `-v` told which.
    ///
    /// # Errors
    /// A file that was named and cannot be read, and any that does not say what such a file can say.
    pub fn settings(&self, streams: &Streams) -> Result<Settings, Error> {
        let found = match &self.settings {
            Some(file) => {
                Some((file.clone(), read_text(file, LIMIT, Takes::Anything).map_err(|e| unread(file).cause(e))?))
            }
            None => found(&places(environment::value), streams),
        };
        let Some((file, text)) = found else { return Ok(Settings::default().with(&[], &self.ignore)) };
        streams.verbose(&format!("settings from {}", stream::name(&file)));
        let hint = "docs/settings.md shows the file; `ipaudit explain` lists the codes";
        let settings = Settings::parse(&text).map_err(|e| unread(&file).cause(e).hint(hint))?;
        Ok(settings.with(&[], &self.ignore))
    }
}

/// Bytes that a file of settings has at most.
const LIMIT: u64 = 1 << 20;

fn unread(file: &Path) -> Error {
    Error::configuration("read the settings").at(stream::name(file))
}

/// Where settings lie that nobody names, the nearest first: those of the user, those of the machine.
fn places(variable: impl Fn(&'static str) -> Option<OsString>) -> Vec<PathBuf> {
    let set = |name| variable(name).map(PathBuf::from);
    let user = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let user = user.or_else(|| set("HOME").map(|home| home.join(".config")));
    let folders = user.into_iter().chain([PathBuf::from("/etc")]);
    folders.map(|folder| folder.join("ipaudit/settings.toml")).collect()
}

/// The first one that there is, with its text. One that may not be read is told: an audit whose home is another user's
/// goes on.
fn found(places: &[PathBuf], streams: &Streams) -> Option<(PathBuf, String)> {
    for file in places {
        // Nobody named it: what may never give anything is not waited for.
        match read_text(file, LIMIT, Takes::Files) {
            Ok(text) => return Some((file.clone(), text)),
            Err(e) if matches!(e.kind(), NotFound | NotADirectory) => {}
            Err(e) => {
                let mut remark = as_remark(&unread(file).cause(e));
                (remark.level, remark.message) =
                    (Level::Warning, foreign!("{}; the audit goes on without it", remark.message));
                streams.remark(&remark);
            }
        }
    }
    let looked: Vec<String> = places.iter().map(|file| file.display().to_string()).collect();
    streams.verbose(&format!("no settings: there is no {}", looked.join(" and no ")));
    None
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn the_users_settings_come_before_the_machines() {
        let places = |config: Option<&str>, home: Option<&str>| -> Vec<String> {
            let of = |name: &str| if name == "HOME" { home } else { config.filter(|_| name == "XDG_CONFIG_HOME") };
            places(|name| of(name).map(OsString::from)).iter().map(|file| file.display().to_string()).collect()
        };
        let (own, etc) = ("/home/u/.config/ipaudit/settings.toml", "/etc/ipaudit/settings.toml");
        assert_eq!(places(Some("/c"), Some("/home/u")), ["/c/ipaudit/settings.toml", etc]);
        for unset in [None, Some("relative")] {
            assert_eq!(places(unset, Some("/home/u")), [own, etc], "{unset:?}");
        }
        assert_eq!(places(None, None), [etc]);
    }

    #[test]
    fn what_has_no_end_is_passed_over_where_it_was_found_and_refused_where_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let (huge, good) = (folder.path().join("huge"), folder.path().join("good"));
        std::fs::write(&huge, " ".repeat(LIMIT as usize + 1)).unwrap();
        std::fs::write(&good, "ignore = []").unwrap();
        let line = crate::cli::Cli::try_parse_from(["ipaudit", "--quiet", "explain"]).unwrap();
        let streams = Streams::of(&line.global);
        for bad in [Path::new("/dev/zero"), &huge] {
            let (file, text) = found(&[bad.to_owned(), good.clone()], &streams).unwrap();
            assert_eq!((&file, text.as_str()), (&good, "ignore = []"), "{bad:?}");
            let named = IgnoreArgs { settings: Some(bad.to_owned()), ..IgnoreArgs::default() };
            assert!(named.settings(&streams).is_err(), "{bad:?}");
        }
        let none = IgnoreArgs { settings: Some("/dev/null".into()), ..IgnoreArgs::default() };
        assert!(none.settings(&streams).is_ok());
    }
}
