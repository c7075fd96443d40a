//! What of a pasted file cannot be meant, and what says nothing.

use crate::decode::encoding;
use crate::model::Foreign;

/// What `sysctl` prints.
pub const SYSCTL: &str = "sysctl.txt";
/// What no program prints by itself.
pub const VERDICTS: &str = "verdicts.json";

/// A file that cannot be meant, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadPaste {
    /// Its name within the folder.
    pub file: String,
    pub cause: Foreign,
    pub hint: &'static str,
}

impl BadPaste {
    /// A file that was written in another encoding.
    pub fn encoded(file: &str, bytes: &[u8]) -> Option<BadPaste> {
        let cause = encoding::marked(bytes)?.into();
        Some(BadPaste { file: file.to_owned(), cause, hint: encoding::HINT })
    }
}

/// Why a file says nothing, if it does: what prints it has failed then.
pub fn silence(file: &str, bytes: &[u8]) -> Option<&'static str> {
    match bytes.trim_ascii() {
        b"" if file == SYSCTL => {
            Some("the file is empty: sysctl failed, see its exit code and what it said on standard error")
        }
        b"" if file == VERDICTS => Some("the file is empty: whatever asked the kernel failed"),
        b"" => Some("the file is empty: ip failed, see its exit code and what it said on standard error"),
        b"[" => Some("the file holds a lone \"[\": ip was asked for a table that does not exist"),
        _ => None,
    }
}
