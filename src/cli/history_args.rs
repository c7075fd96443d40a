//! Flags that say where the history is.

use std::path::PathBuf;

use clap::Args;

use crate::error::Error;
use crate::history;

/// Where the history is.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "History")]
pub struct DbArgs {
    /// The history's file [default: $XDG_STATE_HOME/ipaudit/history.db, else ~/.local/state/ipaudit/history.db; as root
    /// /var/lib/ipaudit/history.db]
    #[arg(long, value_name = "PATH", env = "IPAUDIT_DB")]
    pub db: Option<PathBuf>,
}

impl DbArgs {
    /// The file that is meant.
    ///
    /// # Errors
    /// Neither a flag nor the environment names a place.
    pub fn path(&self) -> Result<PathBuf, Error> {
        self.db.clone().or_else(history::default_path).ok_or_else(|| {
            Error::new("find a place for the history")
                .cause("neither XDG_STATE_HOME nor HOME is set")
                .hint("--db PATH names one, --no-history does without")
        })
    }
}
