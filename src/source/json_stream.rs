//! JSON from a reader, value by value, with no more than a few of them in memory.
//!
//! `serde_json` reads from a slice several times faster than from a reader and can then borrow; a file of
//! 500 MB must not be one slice. So the text is held in a window that moves: a value is parsed where
//! it stands, and when the window ends inside it, more is read and the value is parsed again.

use std::io::{self, Read};

use serde::de::IgnoredAny;
use serde_json::error::Category;

use crate::decode::kube_item::Item;

/// Read at once; holds about fifty pods, so that one in fifty is parsed twice.
const CHUNK: usize = 256 * 1024;

/// The largest single value that is accepted; etcd takes objects of 1.5 MB.
const LARGEST: usize = 64 * 1024 * 1024;

/// Why a text could not be read on.
#[derive(Debug)]
pub enum BrokenStream {
    /// The reader failed.
    Io(io::Error),
    /// Not UTF-8.
    Encoding,
    /// Not JSON.
    Syntax(String),
    /// There is nothing in it.
    Empty,
    /// It ends in the middle.
    Truncated,
    /// A value that is larger than 64 MiB.
    TooLarge,
}

/// A moving window over JSON text.
pub struct JsonStream<R> {
    input: R,
    /// Read at once, at least.
    chunk: usize,
    /// What has been read and not been let go of.
    text: String,
    /// Where in `text` the next value stands.
    at: usize,
    /// What must be kept: the start of a value that is still being walked through.
    pin: Option<usize>,
    /// Bytes in front of `text`.
    gone: u64,
    /// Bytes as they were read; between two reads the begun character at the end of the last chunk. Kept, since the
    /// memory of a new one would come fresh from the kernel for every chunk.
    raw: Vec<u8>,
    ended: bool,
    /// How far into the rest an error was found.
    error_at: usize,
}

impl<R: Read> JsonStream<R> {
    /// Begins at the start of `input`.
    pub fn new(input: R) -> JsonStream<R> {
        JsonStream {
            input,
            chunk: CHUNK,
            text: String::new(),
            at: 0,
            pin: None,
            gone: 0,
            raw: Vec::new(),
            ended: false,
            error_at: 0,
        }
    }

    /// Bytes from the start of the input to the next value, or to the error that was found.
    pub fn offset(&self) -> u64 {
        self.gone + (self.at + self.error_at) as u64
    }

    /// The next byte that is no white space; `None` at the end.
    pub fn peek(&mut self) -> Result<Option<u8>, BrokenStream> {
        loop {
            let rest = self.rest().as_bytes();
            match rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
                Some(blanks) => {
                    let found = rest.get(blanks).copied();
                    self.at += blanks;
                    return Ok(found);
                }
                None => self.at = self.text.len(),
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Takes `byte`, which must come next.
    pub fn take(&mut self, byte: u8) -> Result<(), BrokenStream> {
        match self.peek()? {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(BrokenStream::Syntax(format!("expected `{}`", char::from(byte)))),
            None => Err(BrokenStream::Truncated),
        }
    }

    /// Takes the byte-order mark that some editors put in front of UTF-8.
    pub fn skip_mark(&mut self) -> Result<(), BrokenStream> {
        while self.text.is_empty() && self.fill()? {}
        if self.rest().starts_with('\u{feff}') {
            self.at += '\u{feff}'.len_utf8();
        }
        Ok(())
    }

    /// From here on everything is kept, until [`JsonStream::unpin`].
    pub fn pin(&mut self) {
        self.pin = Some(self.at);
    }

    /// Lets go of what was kept, and returns it.
    pub fn unpin(&mut self) -> &str {
        let start = self.pin.take().unwrap_or(self.at);
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// Takes the next value whatever it is; its text.
    pub fn raw(&mut self) -> Result<&str, BrokenStream> {
        self.peek()?;
        loop {
            let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<IgnoredAny>();
            let found = values.next();
            let used = values.byte_offset();
            match found {
                // A number at the end of the window may go on behind it.
                Some(Ok(_)) if !self.ended && self.at + used == self.text.len() => drop(self.fill()?),
                Some(Ok(_)) => {
                    let start = self.at;
                    self.at += used;
                    return Ok(self.text.get(start..self.at).unwrap_or_default());
                }
                Some(Err(error)) if error.classify() != Category::Eof => return Err(self.syntax(&error)),
                _ => self.more()?,
            }
        }
    }

    /// Takes the next value as an object of Kubernetes. `then` gets it, or the text and the
    /// reason when it is JSON of another form.
    pub fn item(&mut self, then: impl FnOnce(Result<&Item<'_>, (&str, String)>)) -> Result<(), BrokenStream> {
        self.peek()?;
        let reason = loop {
            let mut values = serde_json::Deserializer::from_str(self.rest()).into_iter::<Item<'_>>();
            match values.next() {
                Some(Ok(item)) => {
                    then(Ok(&item));
                    self.at += values.byte_offset();
                    return Ok(());
                }
                Some(Err(error)) if error.classify() == Category::Data => break error.to_string(),
                Some(Err(error)) if error.classify() != Category::Eof => return Err(self.syntax(&error)),
                _ => self.more()?,
            }
        };
        let text = self.raw()?;
        then(Err((text, reason)));
        Ok(())
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Reads on inside a value.
    fn more(&mut self) -> Result<(), BrokenStream> {
        if self.text.len() - self.at > LARGEST {
            return Err(BrokenStream::TooLarge);
        }
        if self.fill()? { Ok(()) } else { Err(BrokenStream::Truncated) }
    }

    /// Moves the window: lets go of what was taken and reads at least as much as is left, so that a large
    /// value is parsed a few times and not once a chunk. False at the end.
    fn fill(&mut self) -> Result<bool, BrokenStream> {
        if self.ended {
            return Ok(false);
        }
        let keep = self.pin.unwrap_or(self.at).min(self.at);
        self.text.drain(..keep);
        self.gone += keep as u64;
        self.at -= keep;
        self.pin = self.pin.map(|_| 0);

        let want = self.chunk.max(self.text.len()) as u64;
        let read = (&mut self.input).take(want).read_to_end(&mut self.raw).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => BrokenStream::Truncated,
            _ => BrokenStream::Io(error),
        })?;
        let valid = match std::str::from_utf8(&self.raw) {
            Ok(text) => text,
            // A character that the chunk cuts; at the end of the input it is an error.
            Err(error) if error.error_len().is_none() && read > 0 => {
                let text = self.raw.get(..error.valid_up_to()).unwrap_or_default();
                std::str::from_utf8(text).unwrap_or_default()
            }
            Err(error) => {
                self.error_at = self.text.len() - self.at + error.valid_up_to();
                return Err(BrokenStream::Encoding);
            }
        };
        self.text.push_str(valid);
        let taken = valid.len();
        self.raw.drain(..taken);
        self.ended = read == 0;
        Ok(read > 0)
    }

    fn syntax(&mut self, error: &serde_json::Error) -> BrokenStream {
        let lines = self.rest().split_inclusive('\n');
        let before: usize = lines.take(error.line().saturating_sub(1)).map(str::len).sum();
        self.error_at = before + error.column().saturating_sub(1);
        let text = error.to_string();
        // The position within the window means nothing to anybody.
        BrokenStream::Syntax(text.split(" at line ").next().unwrap_or_default().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(text: &str, chunk: usize) -> JsonStream<&[u8]> {
        JsonStream { chunk, ..JsonStream::new(text.as_bytes()) }
    }

    /// The names of a list's items, read through a window of `chunk` bytes.
    fn names(text: &str, chunk: usize) -> Result<Vec<String>, BrokenStream> {
        let mut stream = stream(text, chunk);
        let mut names = Vec::new();
        stream.skip_mark()?;
        stream.take(b'[')?;
        loop {
            stream.item(|item| {
                names.push(item.map_or_else(|(raw, _)| format!("bad {}", raw.len()), |i| i.metadata.name.to_string()));
            })?;
            if stream.peek()? != Some(b',') {
                break;
            }
            stream.take(b',')?;
        }
        stream.take(b']')?;
        assert_eq!(stream.peek()?, None);
        assert_eq!(stream.offset(), text.len() as u64);
        Ok(names)
    }

    const LIST: &str = " [ {\"metadata\":{\"name\":\"a€\\\"}\"},\"n\":123456} ,\n{\"status\":{\"phase\":7}, \"x\":\"é\"},\r\n\t{\"metadata\":{\"name\":\"日本\"}} ] ";

    #[test]
    fn the_window_may_end_anywhere() {
        for chunk in 1..LIST.len() + 2 {
            assert_eq!(names(LIST, chunk).unwrap(), ["a€\"}", "bad 32", "日本"], "{chunk}");
        }
    }

    #[test]
    fn a_number_that_the_window_cuts_is_read_whole() {
        for chunk in 1..8 {
            let mut stream = stream("1234567 ", chunk);
            assert_eq!(stream.raw().unwrap(), "1234567");
        }
    }

    #[test]
    fn what_is_pinned_stays() {
        for chunk in 1..20 {
            let mut stream = stream(r#"  {"a": "long enough", "b": [1, 2]} 5"#, chunk);
            stream.peek().unwrap();
            stream.pin();
            stream.take(b'{').unwrap();
            for name in ["\"a\"", "\"b\""] {
                assert_eq!(stream.raw().unwrap(), name);
                stream.take(b':').unwrap();
                stream.raw().unwrap();
                if name == "\"a\"" {
                    stream.take(b',').unwrap();
                }
            }
            stream.take(b'}').unwrap();
            assert_eq!(stream.unpin(), r#"{"a": "long enough", "b": [1, 2]}"#);
            assert_eq!(stream.raw().unwrap(), "5");
        }
    }

    #[test]
    fn errors_tell_where() {
        for chunk in [1, 5, 1000] {
            let text = "[{\"metadata\":\n{\"name\": \"a\"},\n !}]";
            let mut broken = stream(text, chunk);
            broken.take(b'[').unwrap();
            assert!(matches!(broken.item(|_| ()), Err(BrokenStream::Syntax(_))));
            assert_eq!(broken.offset() as usize, text.find('!').unwrap(), "{chunk}");

            let mut bytes = b"{\"a\": \"bc".to_vec();
            bytes.extend([0xff, b'"', b'}']);
            let mut broken = JsonStream { chunk, ..JsonStream::new(bytes.as_slice()) };
            assert!(matches!(broken.raw(), Err(BrokenStream::Encoding)));
            assert_eq!(broken.offset(), 9, "{chunk}");
        }
    }
}
