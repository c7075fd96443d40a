//! Flags that say where the history is and how long it is kept.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PathBufValueParser, TypedValueParser as _};

use super::parse::duration;
use crate::checks::evidence::shell;
use crate::error::Error;
use crate::history::{self, Db, Journal, ReadTx, ToRead, ToWrite};

/// Where the history is.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "History")]
pub struct DbArgs {
    /// The history's file [default: $XDG_STATE_HOME/ipaudit/history.db, else ~/.local/state/ipaudit/history.db; as root
    /// /var/lib/ipaudit/history.db]
    #[arg(long, value_name = "PATH", env = "IPAUDIT_DB", value_parser = PathBufValueParser::new().try_map(no_stream))]
    pub db: Option<PathBuf>,

    /// How SQLite keeps its journal: truncate for a network volume (NFS, ReadWriteMany), where wal is unsafe
    #[arg(long, value_enum, value_name = "MODE", default_value = "wal", env = "IPAUDIT_DB_JOURNAL")]
    pub db_journal: Journal,

    /// How long to wait for another ipaudit that writes the history [default: 30s; for another release's turn 5m]
    #[arg(long, value_name = "DURATION", env = "IPAUDIT_DB_WAIT", value_parser = duration, allow_hyphen_values = true)]
    pub db_wait: Option<Duration>,
}

/// What other flags take `-` for.
fn no_stream(path: PathBuf) -> Result<PathBuf, &'static str> {
    match path.as_os_str() == "-" {
        true => Err("a history is a file, and no stream; a file of that name is ./-"),
        false => Ok(path),
    }
}

/// Whether and how an audit is recorded.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "History")]
pub struct HistoryArgs {
    #[command(flatten)]
    pub db: DbArgs,

    /// Neither read nor write a history: nothing is known of before, and what needs a past is skipped
    #[arg(long, env = "IPAUDIT_NO_HISTORY")]
    pub no_history: bool,

    /// How long audits and what has ended are kept; what is open and releases are kept for ever
    #[arg(long, value_name = "DURATION", default_value = "90d", env = "IPAUDIT_KEEP", value_parser = duration, allow_hyphen_values = true)]
    pub keep: Duration,

    /// Read every key of etcd, also where an earlier audit left its state beside the history and only what changed since
    /// would be read
    #[arg(long, env = "IPAUDIT_FULL", conflicts_with = "from")]
    pub full: bool,

    /// `--db` stands on the command line, not in the environment alone.
    #[arg(skip)]
    pub named: bool,
}

impl DbArgs {
    /// Opens the file for writing, and makes it when it is absent.
    ///
    /// # Errors
    /// As [`Db::open_to_write`].
    pub fn open_for_writing(&self) -> Result<Db<ToWrite>, Error> {
        Db::open_to_write(&self.path()?, self.db_journal, self.patience())
    }

    /// Opens the file, which must be there, for reading.
    ///
    /// # Errors
    /// As [`Db::open_to_read`].
    pub fn open_to_read(&self) -> Result<Db<ToRead>, Error> {
        Db::open_to_read(&self.path()?, self.patience())
    }

    /// The same; `None` where there is no file yet.
    ///
    /// # Errors
    /// As [`Db::open_to_read`].
    pub fn open_to_read_if_there(&self) -> Result<Option<Db<ToRead>>, Error> {
        self.path()?.exists().then(|| self.open_to_read()).transpose()
    }

    /// How long to wait for another ipaudit that writes.
    pub fn patience(&self) -> Duration {
        self.db_wait.unwrap_or(history::PATIENCE)
    }

    /// How long to wait for the turn of a release; `usual` unless somebody said.
    pub fn turn_patience(&self, usual: Duration) -> Duration {
        self.db_wait.map_or(usual, |said| said.min(usual))
    }

    /// Asks the history, perhaps twice: see [`Db::look`].
    ///
    /// # Errors
    /// As [`Db::look`].
    pub fn look<T>(&self, question: impl FnMut(&ReadTx<'_>) -> Result<T, Error>) -> Result<T, Error> {
        Db::look(&self.path()?, self.patience(), question)
    }

    /// The flag that names the file, for a command that is shown; `None` where nobody named one.
    pub fn flag(&self) -> Option<String> {
        Some(format!("--db {}", shell(&self.db.as_ref()?.to_string_lossy())))
    }

    /// The file that is meant.
    ///
    /// # Errors
    /// Neither a flag nor the environment names a place.
    pub fn path(&self) -> Result<PathBuf, Error> {
        self.db.clone().or_else(history::default_path).ok_or_else(|| {
            Error::configuration("find a place for the history")
                .cause("neither XDG_STATE_HOME nor HOME is set")
                .hint("--db PATH names one, --no-history does without")
        })
    }
}
