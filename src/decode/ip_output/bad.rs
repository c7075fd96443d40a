//! What of a pasted file cannot be meant, and what says nothing.

use crate::model::Foreign;

/// A file that cannot be meant, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadPaste {
    /// Its name within the folder.
    pub file: String,
    pub cause: Foreign,
    pub hint: &'static str,
}

/// Why a file says nothing, if it does: `ip` has failed then.
pub fn silence(bytes: &[u8]) -> Option<&'static str> {
    match bytes.trim_ascii() {
        b"" => Some("the file is empty: ip failed, see its exit code and what it said on standard error"),
        b"[" => Some("the file holds a lone \"[\": ip was asked for a table that does not exist"),
        _ => None,
    }
}
