//! The last guard before a terminal: whatever was printed, by whichever way, nothing hidden leaves.
//!
//! Every output escapes other people's names where it lays them out, in its own way (`\r` in a table, `\u000d` in JSON).
//! This guard stands behind all of them, at the streams themselves, so that an output which forgot a name does no
//! harm. It lets line ends pass, and our own colours (`ESC [ … m`) where colours are wanted at all.

use std::io::{Result, Write};

use crate::model::escape::{escape, is_hidden};

/// The longest colour that is ours, and then some.
const COLOR: usize = 32;
/// So many bytes are decoded at a time; more than any one character.
const NEAR: usize = 64;

/// A writer that lets no hidden character through. What was written must be finished, or dropped: the bytes of a
/// character or a colour that was cut in two wait for the rest.
#[derive(Debug)]
pub struct Guard<W: Write> {
    out: W,
    colors: bool,
    waiting: Vec<u8>,
}

impl<W: Write> Guard<W> {
    /// Before `out`; `colors`: whether escape sequences of colours are ours.
    pub fn new(out: W, colors: bool) -> Guard<W> {
        Guard { out, colors, waiting: Vec::new() }
    }

    /// Writes what still waits, whole or not.
    ///
    /// # Errors
    /// As the writer's.
    pub fn finish(&mut self) -> Result<()> {
        let rest = std::mem::take(&mut self.waiting);
        self.pass(&rest, true)?;
        self.out.flush()
    }

    /// Writes all of `bytes` that can be judged, and returns how many.
    fn pass(&mut self, bytes: &[u8], is_end: bool) -> Result<usize> {
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let plain = rest.iter().position(|b| !is_plain(*b)).unwrap_or(rest.len());
            let (plain, odd) = rest.split_at(plain);
            self.out.write_all(plain)?;
            done += plain.len();
            match self.odd(odd, is_end)? {
                0 => break,
                taken => done += taken,
            }
        }
        Ok(done)
    }

    /// Writes what stands at the beginning of `bytes`, one character or one colour; 0 when its rest is to come.
    fn odd(&mut self, bytes: &[u8], is_end: bool) -> Result<usize> {
        if self.colors && bytes.first() == Some(&0x1b) {
            match color(bytes) {
                ColorSequence::Whole(length) => {
                    self.out.write_all(bytes.get(..length).unwrap_or_default())?;
                    return Ok(length);
                }
                ColorSequence::Begun if !is_end => return Ok(0),
                ColorSequence::Begun | ColorSequence::None => {}
            }
        }
        // A few characters at a time: what follows is looked at when its turn comes.
        let near = bytes.get(..NEAR).unwrap_or(bytes);
        let (text, broken) = match std::str::from_utf8(near) {
            Ok(text) => (text, None),
            Err(e) => {
                let valid = near.get(..e.valid_up_to()).unwrap_or_default();
                (std::str::from_utf8(valid).unwrap_or_default(), Some(e.error_len()))
            }
        };
        let Some(first) = text.chars().next() else {
            return match broken {
                Some(None) if !is_end => Ok(0),
                Some(length) => {
                    let bad = bytes.get(..length.unwrap_or(bytes.len())).unwrap_or_default();
                    bad.iter().try_for_each(|byte| write!(self.out, "\\x{byte:02x}"))?;
                    Ok(bad.len())
                }
                None => Ok(0),
            };
        };
        // Mostly several in a row are harmless: `█` in a bar, a name in other letters.
        let harmless: usize = text.chars().take_while(|c| !is_hidden(*c)).map(char::len_utf8).sum();
        match harmless {
            0 => {
                let one = text.get(..first.len_utf8()).unwrap_or_default();
                self.out.write_all(escape(one).as_bytes())?;
                Ok(one.len())
            }
            length => {
                self.out.write_all(bytes.get(..length).unwrap_or_default())?;
                Ok(length)
            }
        }
    }
}

fn is_plain(byte: u8) -> bool {
    byte == b'\n' || (0x20..0x7f).contains(&byte)
}

/// What an escape character begins.
enum ColorSequence {
    Whole(usize),
    /// It may still become one.
    Begun,
    None,
}

fn color(bytes: &[u8]) -> ColorSequence {
    let inside = |b: &u8| b.is_ascii_digit() || matches!(b, b';' | b':');
    match bytes.get(1) {
        None => return ColorSequence::Begun,
        Some(b'[') => {}
        Some(_) => return ColorSequence::None,
    }
    let numbers = bytes.iter().skip(2).take_while(|b| inside(b)).count();
    match bytes.get(2 + numbers) {
        _ if numbers > COLOR => ColorSequence::None,
        Some(b'm') => ColorSequence::Whole(3 + numbers),
        None => ColorSequence::Begun,
        Some(_) => ColorSequence::None,
    }
}

impl<W: Write> Write for Guard<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        if self.waiting.is_empty() {
            let done = self.pass(bytes, false)?;
            self.waiting.extend_from_slice(bytes.get(done..).unwrap_or_default());
        } else {
            let mut all = std::mem::take(&mut self.waiting);
            all.extend_from_slice(bytes);
            let done = self.pass(&all, false)?;
            self.waiting.extend_from_slice(all.get(done..).unwrap_or_default());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Drop for Guard<W> {
    fn drop(&mut self) {
        // Nobody can be told any more.
        let _ = self.finish();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn through(pieces: &[&[u8]], colors: bool) -> String {
        let mut out = Vec::new();
        let mut guard = Guard::new(&mut out, colors);
        pieces.iter().for_each(|piece| guard.write_all(piece).unwrap());
        drop(guard);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn line_ends_and_our_colours_pass_and_nothing_else() {
        let text = "\u{1b}[1;31mIPA101\u{1b}[0m grüße ▕██▏ 日本\n";
        assert_eq!(through(&[text.as_bytes()], true), text);
        assert_eq!(through(&[text.as_bytes()], false), "\\x1b[1;31mIPA101\\x1b[0m grüße ▕██▏ 日本\n");
        for hostile in
            ["\u{1b}[2J", "\u{1b}]0;title\u{7}", "\u{1b}", "\u{1b}[31", "\u{9b}31m", "a\u{202e}b", "\r", "\u{200b}"]
        {
            for colors in [true, false] {
                assert!(!through(&[hostile.as_bytes()], colors).chars().any(is_hidden), "{hostile:?}");
            }
        }
        assert_eq!(through(&[b"\xff\xc3("], false), "\\xff\\xc3(");
    }

    #[test]
    fn what_is_cut_in_two_is_judged_as_one() {
        let text = "\u{1b}[31m█\u{202e}é\u{1b}[0m";
        for at in 0..=text.len() {
            let (a, b) = text.as_bytes().split_at(at);
            assert_eq!(through(&[a, b], true), "\u{1b}[31m█\\u{202e}é\u{1b}[0m", "{at}");
        }
        assert_eq!(through(&[&"é".as_bytes()[..1]], true), "\\xc3");
    }

    proptest! {
        /// Whatever is written in whatever pieces, and what is harmless comes out as it is.
        #[test]
        fn nothing_hidden_is_left(text: String, cuts in proptest::collection::vec(any::<u8>(), 0..40), at in 0usize..60) {
            let bytes = [text.as_bytes(), &cuts].concat();
            let (a, b) = bytes.split_at(at.min(bytes.len()));
            let out = through(&[a, b], false);
            prop_assert!(!out.chars().any(|c| is_hidden(c) && c != '\n'), "{out:?}");
            let harmless: String = text.chars().filter(|c| !is_hidden(*c)).collect();
            prop_assert_eq!(through(&[harmless.as_bytes()], true), harmless);
        }
    }
}
