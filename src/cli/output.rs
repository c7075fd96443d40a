//! Where output goes: findings to standard output, everything else to standard error, progress to a terminal only.
//!
//! Nothing else of ipaudit names the two streams (`tests/layers.rs`), so all that is printed passes the guard that
//! stands here ([`Guard`]): no other people's control character reaches a terminal, whatever printed it. Only the
//! progress is drawn past it; it shows our own words and numbers.

pub mod log;

use std::error::Error as StdError;
use std::io::{self, BufRead, BufWriter, IsTerminal, Write};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use log::{Level, LogFormat, Remark};
use tracing_subscriber::fmt::MakeWriter;

use crate::environment;
use crate::error::{Error, Fault, chain};
use crate::model::Foreign;
use crate::model::escape::{escape, is_hidden};
use crate::render::guard::Guard;

/// Flags of every command.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "Output")]
pub struct Global {
    /// Colours: auto is on a terminal only; NO_COLOR switches them off
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN", env = "IPAUDIT_COLOR")]
    pub color: Color,

    /// Nothing on standard error but errors, with their hints; findings only on standard output
    #[arg(short, long, global = true, env = "IPAUDIT_QUIET")]
    pub quiet: bool,

    /// What goes to standard error: for people, or one JSON object a line (time, level, message, hint)
    #[arg(long, global = true, value_enum, default_value = "text", value_name = "FORMAT", env = "IPAUDIT_LOG_FORMAT")]
    pub log_format: LogFormat,

    /// Say where settings came from and what is being done; twice: what the libraries do too
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// When to use colours.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Color {
    Auto,
    Always,
    Never,
}

/// Output formats of what is neither listed by line nor written for others to read.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlainOutput {
    /// For people
    Table,
    /// One versioned document (docs/output.md)
    Json,
}

/// How a command prints, of its own formats, which are each called `table` for people.
#[derive(Args, Debug, Clone)]
pub struct OutputArgs<F: ValueEnum + Send + Sync + 'static> {
    /// How to print
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "table",
        env = "IPAUDIT_OUTPUT",
        help_heading = "Output"
    )]
    pub output: F,
}

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
        let no_color = environment::value("NO_COLOR").is_some();
        let color = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => io::stdout().is_terminal() && !no_color,
        };
        let columns = environment::text("COLUMNS").and_then(|c| c.parse().ok());
        let width = columns.or_else(|| terminal_size::terminal_size().map(|(w, _)| usize::from(w.0)));
        Streams {
            color,
            width: width.unwrap_or(100).clamp(60, 160),
            quiet: global.quiet,
            verbose: global.verbose,
            terminal: io::stderr().is_terminal() && log::format() == LogFormat::Text,
        }
    }

    /// One line for people on standard error, unless `--quiet`.
    pub fn note(&self, text: &str) {
        self.say(Level::Info, text);
    }

    /// The same about what is not as it should be.
    pub fn warn(&self, text: &str) {
        self.say(Level::Warning, text);
    }

    /// One line on standard error with `-v`.
    pub fn verbose(&self, text: &str) {
        if self.verbose > 0 {
            self.say(Level::Debug, text);
        }
    }

    fn say(&self, level: Level, text: &str) {
        self.remark(&Remark { level, message: text.into(), hint: Foreign::default() });
    }

    /// What is told beside the answer, in one line or one object; with `--quiet` errors alone.
    pub fn remark(&self, remark: &Remark) {
        if self.quiet && remark.level != Level::Error {
            return;
        }
        match log::format() {
            // Nobody can be told that standard error is gone.
            LogFormat::Text => _ = writeln!(err(), "{}", remark.text().shown()),
            LogFormat::Json => object(remark.level, &remark.message.shown(), &remark.hint.shown()),
        }
    }

    /// Standard output behind its guard, for what is written bit by bit.
    pub fn out(&self) -> Guard<BufWriter<io::StdoutLock<'static>>> {
        Guard::new(BufWriter::new(io::stdout().lock()), self.color)
    }

    /// Writes `bytes` to standard output; a reader that went away (`| head`) is no error.
    ///
    /// # Errors
    /// When standard output cannot be written, as on a full disk.
    pub fn print(&self, bytes: &[u8]) -> Result<(), Error> {
        self.stream(|out| out.write_all(bytes))
    }

    /// Lets `write` write to standard output as it goes: the text of a hundred thousand findings is kept nowhere. A reader
    /// that went away is no error.
    ///
    /// # Errors
    /// When standard output cannot be written, as on a full disk.
    pub fn stream(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
        let mut out = self.out();
        match write(&mut out).and_then(|()| out.finish()) {
            Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(Error::input("write to standard output").cause(e)),
            _ => Ok(()),
        }
    }

    /// A person would see what standard output is given.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// [`Streams::stream`] for bytes that are no text: they pass no guard, and no terminal is given them.
    ///
    /// # Errors
    /// As [`Streams::stream`]; a reader that went away before it had all of them is one too.
    pub fn give(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
        let mut out = BufWriter::new(io::stdout().lock());
        let given = write(&mut out).and_then(|()| out.flush());
        given.map_err(|e| Error::input("write to standard output").cause(e))
    }

    /// [`Streams::print`] of what goes on and on: whether anybody reads it still.
    ///
    /// # Errors
    /// As [`Streams::stream`].
    pub fn print_while_read(&self, bytes: &[u8]) -> Result<bool, Error> {
        let mut is_read = true;
        self.stream(|out| {
            let written = out.write_all(bytes).and_then(|()| out.flush());
            is_read = !written.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::BrokenPipe);
            written
        })?;
        Ok(is_read)
    }

    /// Asks a person on standard error and reads the answer; `None` where nobody sits at a terminal, or a program reads.
    ///
    /// # Errors
    /// When the terminal cannot be written or read.
    pub fn ask(&self, question: &str) -> io::Result<Option<String>> {
        if !(io::stdin().is_terminal() && self.terminal) {
            return Ok(None);
        }
        write_all(err(), escape(question).as_bytes())?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(Some(answer.trim().to_owned()))
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

/// Standard error behind its guard.
fn err() -> Guard<io::Stderr> {
    Guard::new(io::stderr(), false)
}

/// One line of JSON on standard error.
fn object(level: Level, message: &str, hint: &str) {
    let _ = err().write_all(&log::object(level, message, hint));
}

/// For what the libraries log: each event is one write.
pub struct Libraries;

/// The writer of one event.
pub struct EventWriter(Level);

impl MakeWriter<'_> for Libraries {
    type Writer = EventWriter;

    fn make_writer(&self) -> EventWriter {
        EventWriter(Level::Debug)
    }

    fn make_writer_for(&self, about: &tracing::Metadata<'_>) -> EventWriter {
        EventWriter(match *about.level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warning,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        })
    }
}

impl Write for EventWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match log::format() {
            LogFormat::Text => err().write_all(bytes)?,
            LogFormat::Json => object(self.0, String::from_utf8_lossy(bytes).trim_end(), ""),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is said of what should never be.
const OWN: &str = "this is a fault of ipaudit itself: please report it, with the command and its version";

/// A panic is an error as well, and in JSON one object as every other.
pub fn tell_panics() {
    if log::format() == LogFormat::Json {
        std::panic::set_hook(Box::new(|panic| object(Level::Error, &panic.to_string(), OWN)));
    }
}

/// Prints an error: the chain in one line, then its hint, and whose fault it is where that is ours. `usage` is the command
/// whose help says more, after wrong usage that clap does not see.
pub fn tell(error: &Error, usage: Option<&str>) {
    let own = (error.fault == Fault::Own).then(|| OWN.to_owned());
    let usage = usage.map(|command| format!("usage: see ipaudit {command} --help"));
    match log::format() {
        LogFormat::Text => {
            let mut err = err();
            let _ = writeln!(err, "ipaudit: {}", escape(&chain(error)));
            let hint = hint(error).map(|hint| format!("hint: {}", escape(hint)));
            for line in hint.into_iter().chain(own).chain(usage) {
                let _ = writeln!(err, "  {line}");
            }
        }
        LogFormat::Json => {
            let hint = hint(error).map(str::to_owned).into_iter().chain(own).chain(usage);
            object(Level::Error, &chain(error), &hint.collect::<Vec<_>>().join("; "));
        }
    }
}

/// Prints what clap has to say of `command`: help and version to standard output, in colours where clap would, unless an
/// argument or one of our variables could be taken for a colour; wrong usage in the form of every other error.
pub fn tell_usage(usage: &clap::Error, command: &str) -> io::Result<()> {
    if usage.use_stderr() {
        return tell_wrong_usage(usage, command);
    }
    let variables = environment::values_of("IPAUDIT_");
    let is_foreign = std::env::args_os().chain(variables).any(|text| text.to_string_lossy().chars().any(is_hidden));
    let colors = io::stdout().is_terminal() && environment::value("NO_COLOR").is_none() && !is_foreign;
    let text = usage.render();
    let text = if colors { text.ansi().to_string() } else { text.to_string() };
    write_all(Guard::new(io::stdout(), colors), text.as_bytes())
}

fn tell_wrong_usage(usage: &clap::Error, command: &str) -> io::Result<()> {
    let see = format!("usage: see {command} --help");
    let text = usage.render().to_string();
    let is_json = asked_for() == LogFormat::Json;
    let (message, tip) = match usage.kind() {
        // Nothing is named: its help tells people what there is.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !is_json => return write_all(err(), text.as_bytes()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => ("no command is given".to_owned(), None),
        _ => log::usage(&text),
    };
    if is_json {
        let hint = tip.into_iter().chain([see]).collect::<Vec<_>>().join("; ");
        return write_all(err(), &log::object(Level::Error, &message, &hint));
    }
    let tip = tip.map(|tip| format!("  hint: {}\n", escape(&tip))).unwrap_or_default();
    write_all(err(), format!("ipaudit: {}\n{tip}  {see}\n", escape(&message)).as_bytes())
}

/// The format for wrong usage: nothing has been read of the command line.
fn asked_for() -> LogFormat {
    let line: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    log::asked_for(&line, environment::text("IPAUDIT_LOG_FORMAT").as_deref())
}

/// The error as a remark, for a command that goes on without what it is about.
pub fn as_remark(error: &Error) -> Remark {
    Remark::error(chain(error), hint(error).unwrap_or_default())
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

fn write_all(mut guard: Guard<impl Write>, bytes: &[u8]) -> io::Result<()> {
    guard.write_all(bytes)?;
    guard.finish()
}
