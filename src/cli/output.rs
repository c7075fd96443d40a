//! Where output goes: findings to standard output, everything else to standard error, progress to a terminal only.

use std::error::Error as StdError;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::{Color, Global};
use crate::error::{Error, chain};
use crate::render::escape;

/// What the two streams can do, decided once.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    /// Colours on standard output.
    pub color: bool,
    /// Columns of the terminal; 100 where there is none.
    pub width: usize,
    pub quiet: bool,
    /// `-v`, counted.
    pub verbose: u8,
    /// Standard error is a terminal.
    terminal: bool,
}

impl Streams {
    /// From the flags and the terminal.
    pub fn of(global: &Global) -> Streams {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && !no_color,
        };
        let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok());
        let width = columns.or_else(|| terminal_size::terminal_size().map(|(w, _)| usize::from(w.0)));
        Streams {
            color,
            width: width.unwrap_or(100).clamp(60, 160),
            quiet: global.quiet,
            verbose: global.verbose,
            terminal: io::stderr().is_terminal(),
        }
    }

    /// One line for people on standard error, unless `--quiet`.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            // Nobody can be told that standard error is gone.
            let _ = writeln!(io::stderr(), "{}", escape::escape(text));
        }
    }

    /// One line on standard error with `-v`.
    pub fn verbose(&self, text: &str) {
        if self.verbose > 0 {
            self.note(text);
        }
    }

    /// A spinner on standard error, on a terminal only.
    pub fn spinner(&self, doing: &str) -> ProgressBar {
        if !self.terminal || self.quiet {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {human_pos}") {
            bar.set_style(style);
        }
        bar.set_message(doing.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        bar
    }

    /// A bar with an estimate on standard error, on a terminal only.
    pub fn bar(&self, length: u64, doing: &str) -> ProgressBar {
        if !self.terminal || self.quiet {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(length);
        let template = "{msg} {bar:30} {human_pos}/{human_len}  {per_sec}  {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(doing.to_owned());
        bar
    }
}

/// Prints an error: the chain in one line, then its hint.
pub fn tell(error: &Error) {
    let mut err = io::stderr().lock();
    let _ = writeln!(err, "ipaudit: {}", escape::escape(&chain(error)));
    if let Some(hint) = hint(error) {
        let _ = writeln!(err, "  hint: {}", escape::escape(hint));
    }
}

/// The hint of the innermost error that has one: it is the most specific.
pub fn hint(error: &Error) -> Option<&str> {
    let mut hint = Some(error.hint.as_str()).filter(|h| !h.is_empty());
    let mut next = StdError::source(error);
    while let Some(cause) = next {
        if let Some(inner) = cause.downcast_ref::<Error>().filter(|e| !e.hint.is_empty()) {
            hint = Some(inner.hint.as_str());
        }
        next = cause.source();
    }
    hint
}

/// Writes `bytes` to standard output; a reader that went away (`| head`) is no error.
///
/// # Errors
/// When standard output cannot be written, as on a full disk.
pub fn print(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Error::new("write to standard output").cause(e)),
        _ => Ok(()),
    }
}
