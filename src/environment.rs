//! The one reader of the environment. A variable that is set and empty counts as unset: that is how manifests and compose
//! files make one that nobody filled in.
//!
//! [`mod@file`] reads small files that people name, [`stream`] those of any size; [`whole_file`] writes them. What variables say of flags is decided before the command line is parsed,
//! in `cli/variables.rs`.

pub mod file;
pub mod stream;
pub mod whole_file;

use std::ffi::OsString;
use std::path::PathBuf;

/// The value of a variable, unless it is empty.
pub fn value(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The same as text; `None` also where it is no UTF-8.
pub fn text(name: &str) -> Option<String> {
    value(name)?.into_string().ok()
}

/// Values of all variables whose names begin like this, however they look.
pub fn values_of(prefix: &str) -> impl Iterator<Item = OsString> {
    let ours = move |name: &OsString| name.to_string_lossy().starts_with(prefix);
    std::env::vars_os().filter(move |(name, _)| ours(name)).map(|(_, value)| value)
}

/// The folder for temporary files: `TMPDIR`, else this system's.
pub fn temporary_folder() -> PathBuf {
    let folder = std::env::temp_dir();
    if folder.as_os_str().is_empty() { PathBuf::from("/tmp") } else { folder }
}
