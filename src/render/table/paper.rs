//! Lines of a given width out of words: wrapping, hanging indents, something at the right edge, colour.
//!
//! Every word is escaped on its way in, so no foreign name reaches a terminal raw. Words are never broken:
//! an identity or a command that is longer than the line stays whole and can be copied.

use std::io::{Result, Write};

use anstyle::{AnsiColor, Style};

use crate::model::Severity;
use crate::model::escape::escape;

pub const PLAIN: Style = Style::new();
pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const COMMAND: Style = AnsiColor::Cyan.on_default();
pub const GOOD: Style = AnsiColor::Green.on_default().bold();

/// The style of a severity.
pub const fn style_of(severity: Severity) -> Style {
    match severity {
        Severity::Critical => AnsiColor::Red.on_default().bold(),
        Severity::Error => AnsiColor::Red.on_default(),
        Severity::Warning => AnsiColor::Yellow.on_default(),
        Severity::Note => AnsiColor::Blue.on_default(),
    }
}

/// One word: what is never broken.
#[derive(Clone, Debug)]
struct StyledWord {
    text: String,
    style: Style,
    /// Blanks before it, unless it opens a line.
    gap: usize,
}

impl StyledWord {
    /// In characters; Kubernetes' and Calico's names are ASCII, so wide characters are not counted as two.
    fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// Text that will be wrapped.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Text(Vec<StyledWord>);

impl Text {
    /// No words yet.
    pub fn new() -> Text {
        Text::default()
    }

    /// Adds words, two blanks after what stands before.
    pub fn field(self, style: Style, text: &str) -> Text {
        self.words(style, text, 2)
    }

    /// Adds words, one blank after what stands before.
    pub fn then(self, style: Style, text: &str) -> Text {
        self.words(style, text, 1)
    }

    /// Adds words so that they begin at `column` (counted from the start of the text), or two blanks later.
    pub fn column(self, style: Style, text: &str, column: usize) -> Text {
        let gap = column.saturating_sub(self.width()).max(2);
        self.words(style, text, gap)
    }

    /// The same for text that must stay on one line.
    pub fn column_whole(self, style: Style, text: &str, column: usize) -> Text {
        let gap = column.saturating_sub(self.width()).max(2);
        let mut text = self.whole(style, text);
        if let Some(word) = text.0.last_mut() {
            word.gap = gap;
        }
        text
    }

    /// Adds text that must stay on one line, blanks and all.
    pub fn whole(mut self, style: Style, text: &str) -> Text {
        if !text.is_empty() {
            self.0.push(StyledWord { text: escape(text).into_owned(), style, gap: 2 });
        }
        self
    }

    /// Adds another text, two blanks after what stands before.
    pub fn append(mut self, other: Text) -> Text {
        self.0.extend(other.0);
        self
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Its width on one line.
    pub fn width(&self) -> usize {
        self.0.iter().enumerate().map(|(i, w)| w.width() + if i == 0 { 0 } else { w.gap }).sum()
    }

    fn words(mut self, style: Style, text: &str, mut gap: usize) -> Text {
        for word in text.split(' ').filter(|w| !w.is_empty()) {
            self.0.push(StyledWord { text: escape(word).into_owned(), style, gap });
            gap = 1;
        }
        self
    }
}

/// Where lines go.
pub struct Paper<'w> {
    out: &'w mut dyn Write,
    pub width: usize,
    color: bool,
}

impl<'w> Paper<'w> {
    /// Paper of `width` columns, 60 at least.
    pub fn new(out: &'w mut dyn Write, width: usize, color: bool) -> Paper<'w> {
        Paper { out, width: width.max(60), color }
    }

    /// An empty line.
    pub fn blank(&mut self) -> Result<()> {
        self.out.write_all(b"\n")
    }

    /// One paragraph: its first line indented by `first`, further ones by `hang`.
    pub fn paragraph(&mut self, first: usize, hang: usize, text: &Text) -> Result<()> {
        self.with_right(first, hang, text, &Text::new())
    }

    /// The same with `right` at the right edge of the last line, or on a line of its own where it does not fit.
    pub fn with_right(&mut self, first: usize, hang: usize, text: &Text, right: &Text) -> Result<()> {
        let at = self.words(first, hang, text)?;
        if !right.is_empty() {
            self.right(at, hang, right)?;
        }
        self.blank()
    }

    /// On a line of its own it begins where the paragraph's further lines do: nobody looks for it in the far corner. What is
    /// longer than a line goes on below.
    fn right(&mut self, at: usize, indent: usize, right: &Text) -> Result<()> {
        let width = right.width();
        if at > 0 && at + 2 + width <= self.width {
            let edge = self.width.saturating_sub(at + width);
            for (i, word) in right.0.iter().enumerate() {
                self.word(word, if i == 0 { edge } else { word.gap })?;
            }
            return Ok(());
        }
        if at > 0 {
            self.blank()?;
        }
        self.words(indent, indent, right).map(drop)
    }

    /// Writes words on as many lines as they need; returns where the last one ends.
    fn words(&mut self, first: usize, hang: usize, text: &Text) -> Result<usize> {
        let mut at = 0;
        for word in &text.0 {
            if at == 0 {
                at = self.word(word, first)?;
            } else if at + word.gap + word.width() > self.width {
                self.blank()?;
                at = self.word(word, hang)?;
            } else {
                at += self.word(word, word.gap)?;
            }
        }
        Ok(at)
    }

    /// Writes a word behind `gap` blanks; returns the columns taken.
    fn word(&mut self, word: &StyledWord, gap: usize) -> Result<usize> {
        write!(self.out, "{:gap$}", "")?;
        if self.color && word.style != PLAIN {
            let style = word.style;
            write!(self.out, "{style}{}{style:#}", word.text)?;
        } else {
            self.out.write_all(word.text.as_bytes())?;
        }
        Ok(gap + word.width())
    }
}

/// A sentence with its container ids cut to twelve digits, as container tools show them: 64 digits break every line
/// and nobody reads them. Never for a subject or a command, which people copy.
pub fn short_ids(sentence: &str) -> String {
    const ID: usize = 32;
    const SHOWN: usize = 12;
    let mut out = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some(c) = rest.chars().next() {
        let is_hex = c.is_ascii_hexdigit();
        let end = rest.find(|c: char| c.is_ascii_hexdigit() != is_hex).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        match run.get(..SHOWN) {
            Some(start) if is_hex && run.len() >= ID => {
                out.push_str(start);
                out.push('…');
            }
            _ => out.push_str(run),
        }
        rest = after;
    }
    out
}

/// How many of `items` fit on `lines` lines behind a hanging indent, with room for a closing `… 12345 more`.
pub fn fitting(items: impl Iterator<Item = impl AsRef<str>>, width: usize, hang: usize, lines: usize) -> usize {
    const CLOSING: usize = 16;
    let room = width.saturating_sub(hang);
    let (mut line, mut at, mut taken) = (1, 0, 0);
    for item in items {
        let item = escape(item.as_ref()).chars().count();
        let end = if at == 0 { item } else { at + 2 + item };
        let reserve = if line == lines { CLOSING } else { 0 };
        if at > 0 && end + reserve > room {
            if line == lines {
                break;
            }
            line += 1;
            at = item;
        } else {
            at = end;
        }
        taken += 1;
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(width: usize, color: bool, make: impl FnOnce(&mut Paper<'_>) -> Result<()>) -> String {
        let mut out = Vec::new();
        make(&mut Paper::new(&mut out, width, color)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn paragraphs_wrap_with_a_hanging_indent() {
        let text = Text::new().field(PLAIN, &"word ".repeat(20));
        let told = written(60, false, |p| p.paragraph(2, 4, &text));
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("  word") && lines[1].starts_with("    word"));
        assert!(lines.iter().all(|l| l.len() <= 60));
    }

    #[test]
    fn the_right_goes_to_the_edge_or_to_its_own_line() {
        let (text, right) = (Text::new().field(PLAIN, "left"), Text::new().whole(COMMAND, "ipaudit who 10.0.0.1"));
        let told = written(60, false, |p| p.with_right(7, 7, &text, &right));
        assert_eq!(told, format!("       left{:29}ipaudit who 10.0.0.1\n", ""));
        // What is longer than a line goes on below, within the page.
        let since = Text::new().field(DIM, &"since then ".repeat(8));
        let told = written(60, false, |p| p.with_right(7, 7, &text, &since));
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(told.lines().all(|line| line.len() <= 60 && line.starts_with("       ")), "{told}");
        let long = Text::new().field(PLAIN, &"x".repeat(45));
        let told = written(60, false, |p| p.with_right(7, 7, &long, &right));
        assert_eq!(told, format!("       {}\n       ipaudit who 10.0.0.1\n", "x".repeat(45)));
    }

    #[test]
    fn a_long_word_stays_whole() {
        let id = format!("k8s-pod-network.{}", "f".repeat(64));
        let told = written(60, false, |p| p.paragraph(0, 2, &Text::new().field(PLAIN, "IPA201").field(PLAIN, &id)));
        assert_eq!(told, format!("IPA201\n  {id}\n"));
    }

    #[test]
    fn colour_is_there_only_when_asked_for() {
        let text = Text::new().field(style_of(Severity::Critical), "CRITICAL").field(PLAIN, "x");
        assert_eq!(written(60, false, |p| p.paragraph(0, 0, &text)), "CRITICAL  x\n");
        assert_eq!(written(60, true, |p| p.paragraph(0, 0, &text)), "\u{1b}[1m\u{1b}[31mCRITICAL\u{1b}[0m  x\n");
    }

    #[test]
    fn columns_line_up_or_give_way() {
        let line = |name: &str| {
            let text = Text::new().field(BOLD, "IPA110").then(PLAIN, name).column(PLAIN, "63", 20);
            written(60, false, |p| p.paragraph(0, 0, &text))
        };
        assert_eq!(line("leaked"), "IPA110 leaked       63\n");
        assert_eq!(line("a-very-long-name"), "IPA110 a-very-long-name  63\n");
    }

    #[test]
    fn long_ids_are_cut_in_sentences() {
        let id = "c2362ca77b8a1ce2df9057123b44b1cc215a32d872e9f615698d5623a2d875fe";
        assert_eq!(short_ids(&format!("is handle net.{id}'s now")), "is handle net.c2362ca77b8a…'s now");
        for same in ["", "cali3201341d16", "00000000-0000-4000-8000-000000000001", "10.65.0.0/26 für node-1 日本"] {
            assert_eq!(short_ids(same), same);
        }
    }

    #[test]
    fn only_so_many_items_fit() {
        let items = ["10.65.100.100"; 100];
        assert_eq!(fitting(items.into_iter(), 60, 0, 1), 3);
        assert_eq!(fitting(items.into_iter(), 60, 0, 2), 7);
        assert_eq!(fitting(items.into_iter().take(3), 120, 0, 1), 3);
        assert_eq!(fitting(["x".repeat(300).as_str()].into_iter(), 60, 0, 1), 1);
    }
}
