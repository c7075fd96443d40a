//! What a line on standard error looks like: for people, or one JSON object (`--log-format`).
//!
//! A line of JSON has `time` (RFC 3339, this machine's clock), `level`, `message`, and `hint` where there is one. Fields are
//! added, never renamed or removed. Writing it is the door's business.

use std::sync::OnceLock;

use clap::ValueEnum;
use serde::Serialize;

use crate::model::foreign::foreign;
use crate::model::{Foreign, Time};
use crate::render::json;

/// How standard error is written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people
    Text,
    /// One object a line
    Json,
}

/// Said once, when the command line has been read.
static FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// How much it matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    Error,
    Warning,
    Info,
    Debug,
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

#[derive(Serialize)]
struct LogLine<'a> {
    time: Time,
    level: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    hint: &'a str,
}

/// Sets the format; the first one counts.
pub fn speak(format: LogFormat) {
    FORMAT.get_or_init(|| format);
}

/// The format that was set.
pub fn format() -> LogFormat {
    FORMAT.get().copied().unwrap_or(LogFormat::Text)
}

/// What somebody asked for whose command line could not be read: the last word on it, else the environment's.
pub fn asked_for(line: &[String], variable: Option<&str>) -> LogFormat {
    let mut typed = line.iter().enumerate().filter_map(|(at, arg)| match arg.strip_prefix("--log-format")? {
        "" => line.get(at + 1).map(String::as_str),
        value => value.strip_prefix('='),
    });
    match typed.next_back().or(variable) {
        Some("json") => LogFormat::Json,
        _ => LogFormat::Text,
    }
}

/// A line of JSON, its end included; nothing where there is no memory for it.
pub fn object(level: Level, message: &str, hint: &str) -> Vec<u8> {
    // Milliseconds keep lines in order.
    let time = Time(chrono::Utc::now().timestamp_millis().saturating_mul(1_000_000));
    let mut text = Vec::new();
    // Writing to a vector does not fail.
    let _ = json::compact(&LogLine { time, level: level.word(), message, hint }, &mut text);
    text
}

/// Of what clap says of wrong usage: what is wrong, in one line, and its first tip.
pub fn usage(text: &str) -> (String, Option<String>) {
    const TIP: &str = "tip: ";
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n");
    let message = one_line(paragraphs.next().unwrap_or_default()).trim_start_matches("error: ").to_owned();
    let tip = paragraphs.find_map(|paragraph| {
        let (_, tips) = paragraph.split_once(TIP)?;
        Some(one_line(tips.split(TIP).next().unwrap_or_default()))
    });
    (message, tip)
}

/// What is told beside the answer: what it is about, what to do, and how much it matters.
#[derive(Clone, Debug)]
pub struct Remark {
    pub level: Level,
    pub message: Foreign,
    /// Empty where there is nothing to do, or no idea.
    pub hint: Foreign,
}

impl Remark {
    /// Something is not as it should be, and nothing is missing for that.
    pub fn warning(message: impl Into<Foreign>) -> Remark {
        Remark { level: Level::Warning, message: message.into(), hint: Foreign::default() }
    }

    /// Something that was asked for is missing.
    pub fn error(message: impl Into<Foreign>, hint: impl Into<Foreign>) -> Remark {
        Remark { level: Level::Error, message: message.into(), hint: hint.into() }
    }

    /// In one line for people, the hint at its end.
    pub fn text(&self) -> Foreign {
        if self.hint.is_empty() { self.message.clone() } else { foreign!("{} (hint: {})", self.message, self.hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_stands_at_the_end_of_its_line() {
        let error = |hint: &str| Remark::error("cannot read (etcd): refused", hint).text();
        assert_eq!(error("is it up?"), "cannot read (etcd): refused (hint: is it up?)");
        assert_eq!((error(""), Remark::warning("a").text()), ("cannot read (etcd): refused".into(), "a".into()));
    }

    #[test]
    fn the_format_of_a_line_that_nobody_can_read() {
        let asked = |line: &str, variable| asked_for(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), variable);
        for line in ["audit --log-format json --nonsense", "--log-format=json", "--log-format text --log-format=json"] {
            assert_eq!(asked(line, None), LogFormat::Json, "{line}");
        }
        assert_eq!(asked("audit", Some("json")), LogFormat::Json);
        for line in ["audit", "--log-format", "--log-format=text", "--log-formats=json", "--log-format xml"] {
            assert_eq!(asked(line, Some("text")), LogFormat::Text, "{line}");
        }
    }

    #[test]
    fn what_clap_says_is_one_line_and_its_first_tip() {
        let said =
            "error: unexpected argument '--x' found\n\n  tip: a similar one\n  exists\n  tip: another\n\nUsage: x\n";
        assert_eq!(usage(said), ("unexpected argument '--x' found".into(), Some("a similar one exists".into())));
        let said =
            "error: invalid value 'x' for '-o'\n  [possible values: a, b]\n\nFor more information, try '--help'.\n";
        assert_eq!(usage(said), ("invalid value 'x' for '-o' [possible values: a, b]".into(), None));
    }
}
