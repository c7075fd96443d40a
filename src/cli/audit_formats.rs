//! In which formats an audit is told, the flags of those that have a line a finding, and what these cannot say
//! themselves.

use clap::{Args, ValueEnum};

use super::output::Streams;
use crate::render::wide::{SortBy, WideOptions};
use crate::render::{AuditView, Tone, verdict};

/// Output formats of an audit.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// For people
    Table,
    /// One finding a line, in columns
    Wide,
    /// What something is wrong with, one thing a line: KIND/ID
    Name,
    /// One versioned document (docs/output.md)
    Json,
    /// The same document as YAML
    Yaml,
    /// One finding a line, as in the document
    Jsonl,
    /// For viewers and trackers of findings (SARIF 2.1.0)
    Sarif,
}

/// Flags of `-o wide` and `-o name`.
#[derive(Args, Debug, Clone, Copy)]
#[command(next_help_heading = "Output")]
pub struct LinesArgs {
    /// Sort the lines of -o wide and -o name: node and subject in natural order, since from the oldest on
    /// [default: worst first, then by code and subject]
    #[arg(long, value_enum, value_name = "COLUMN", env = "IPAUDIT_SORT_BY")]
    pub sort_by: Option<SortBy>,

    /// No line with the names of the columns in -o wide
    #[arg(long, env = "IPAUDIT_NO_HEADERS")]
    pub no_headers: bool,
}

impl LinesArgs {
    /// How lines are wanted.
    pub fn options(&self, streams: &Streams) -> WideOptions {
        WideOptions { color: streams.color, sort_by: self.sort_by, no_headers: self.no_headers }
    }

    /// What was not seen and why, for standard error, where the format tells it nowhere: a document has its `verdict`.
    pub fn unseen(output: Output, view: &AuditView) -> Vec<String> {
        if matches!(output, Output::Table | Output::Json | Output::Yaml) {
            return Vec::new();
        }
        let blind = verdict(view).into_iter().filter(|sentence| sentence.tone == Tone::Blind);
        let blind: Vec<String> = blind.map(|sentence| format!("BLIND: {}", sentence.text.shown())).collect();
        match blind.is_empty() && !view.audit.complete {
            true => vec!["this audit is incomplete, so what is not here may be there all the same".to_owned()],
            false => blind,
        }
    }

    /// Sentences for standard error: only the table has a first line, and bare lines do not say that there are none.
    pub fn remarks(&self, output: Output, view: &AuditView<'_>) -> Vec<String> {
        let mut remarks: Vec<String> = view.unknown_names().filter(|_| output != Output::Table).into_iter().collect();
        if !matches!(output, Output::Wide | Output::Name) {
            let idle = "--sort-by sorts the lines of -o wide and -o name: every other format has its one order";
            remarks.extend(self.sort_by.map(|_| idle.to_owned()));
            return remarks;
        }
        if view.findings.is_empty() {
            let hidden = view.hidden + view.ignored;
            let others = if hidden > 0 { format!(" ({hidden} outside this view or ignored)") } else { String::new() };
            remarks.push(format!("no findings{others}"));
        }
        remarks
    }
}
