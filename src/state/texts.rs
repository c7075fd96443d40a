//! Texts of a state: each stands where it is first used, and is a number from then on.
//!
//! A container's id (64 hexadecimal digits) takes half of its length.

use std::io::{self, Write};

use super::bytes::{StateReader, StateWriter};
use crate::model::hash::HashMap;
use crate::model::{Name, Names};

/// Not given.
const NONE: u32 = 0;
/// A new text follows as it is.
const PLAIN: u32 = 1;
/// A new text follows, as the bytes that its hexadecimal digits are.
const DIGITS: u32 = 2;
/// The first text that was met.
const FIRST: u32 = 3;

/// Shorter texts gain nothing as bytes of digits.
const LEAST_DIGITS: usize = 16;

/// The texts that were written.
pub struct TextsOut<'n> {
    names: &'n Names,
    met: HashMap<Name, u32>,
}

impl<'n> TextsOut<'n> {
    pub fn new(names: &'n Names) -> TextsOut<'n> {
        TextsOut { names, met: HashMap::default() }
    }

    /// Writes a name.
    ///
    /// # Errors
    /// As the writer's.
    pub fn put(&mut self, out: &mut StateWriter<impl Write>, name: Name) -> io::Result<()> {
        if name.is_none() {
            return out.put(NONE);
        }
        let next = u32::try_from(self.met.len()).map_err(io::Error::other)?.saturating_add(FIRST);
        let number = *self.met.entry(name).or_insert(next);
        if number != next {
            return out.put(number);
        }
        let text = self.names.get(name);
        match bytes_of_digits(text) {
            Some(bytes) => {
                out.put(DIGITS)?;
                out.put(bytes.len())?;
                out.raw(&bytes);
            }
            None => {
                out.put(PLAIN)?;
                out.put(text)?;
            }
        }
        Ok(())
    }
}

/// The texts that were read.
#[derive(Default)]
pub struct TextsIn {
    met: Vec<Name>,
    digits: String,
}

impl TextsIn {
    /// The next name, entered into `names`.
    pub fn take(&mut self, input: &mut StateReader<'_>, names: &mut Names) -> Option<Name> {
        let name = match input.take::<u32>()? {
            NONE => return Some(Name::NONE),
            PLAIN => {
                let length = input.length()?;
                names.intern(std::str::from_utf8(input.raw(length)?).ok()?)
            }
            DIGITS => {
                let length = input.length()?;
                self.digits.clear();
                for byte in input.raw(length)? {
                    let digit = |half: u8| char::from(half + if half < 10 { b'0' } else { b'a' - 10 });
                    self.digits.extend([digit(byte >> 4), digit(byte & 15)]);
                }
                names.intern(&self.digits)
            }
            number => return self.met.get(number.checked_sub(FIRST)? as usize).copied(),
        };
        self.met.push(name);
        Some(name)
    }
}

/// The bytes that lower-case hexadecimal digits are.
fn bytes_of_digits(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if text.len() < LEAST_DIGITS || !rest.is_empty() {
        return None;
    }
    let half = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    pairs.iter().map(|[high, low]| Some(half(*high)? << 4 | half(*low)?)).collect()
}
