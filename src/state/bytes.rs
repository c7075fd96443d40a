//! Bytes of a state: values one behind the other, and the one checksum over all of them.
//!
//! A value says nothing of its own damage: of 400 single flipped bits 373 decode to another value without a word. So
//! nothing is taken from bytes whose checksum was not compared first, and a state is taken whole or not at all.

use std::io::{self, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Bytes of the checksum, which stands at the end.
const SUM: usize = size_of::<u128>();

/// The checksum of bytes.
pub fn sum(bytes: &[u8]) -> u128 {
    xxh3_128(bytes)
}

/// The bytes before the checksum; `None` where they are not what was written.
pub fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (body, sum) = bytes.split_last_chunk::<SUM>()?;
    (u128::from_le_bytes(*sum) == xxh3_128(body)).then_some(body)
}

/// Writes values, and counts them into the checksum.
pub struct StateWriter<W> {
    out: W,
    sum: Xxh3,
    piece: Vec<u8>,
}

/// So many bytes go out at once.
const PIECE: usize = 64 << 10;

impl<W: Write> StateWriter<W> {
    pub fn new(out: W) -> StateWriter<W> {
        StateWriter { out, sum: Xxh3::new(), piece: Vec::with_capacity(2 * PIECE) }
    }

    /// Writes one value.
    ///
    /// # Errors
    /// As the writer's.
    pub fn put(&mut self, value: impl Serialize) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        self.piece = postcard::to_extend(&value, piece).map_err(io::Error::other)?;
        if self.piece.len() >= PIECE { self.spill() } else { Ok(()) }
    }

    /// Writes bytes whose number the reader knows.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.piece.extend_from_slice(bytes);
    }

    fn spill(&mut self) -> io::Result<()> {
        self.sum.update(&self.piece);
        self.out.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }

    /// Writes the checksum: the end.
    ///
    /// # Errors
    /// As the writer's.
    pub fn finish(mut self) -> io::Result<()> {
        self.spill()?;
        self.out.write_all(&self.sum.digest128().to_le_bytes())?;
        self.out.flush()
    }
}

/// Takes values out of [`checked`] bytes.
pub struct StateReader<'b>(&'b [u8]);

impl<'b> StateReader<'b> {
    pub fn new(bytes: &'b [u8]) -> StateReader<'b> {
        StateReader(bytes)
    }

    /// The next value; `None` where there is none of this kind.
    pub fn take<T: DeserializeOwned>(&mut self) -> Option<T> {
        let (value, rest) = postcard::take_from_bytes(self.0).ok()?;
        self.0 = rest;
        Some(value)
    }

    /// So many bytes.
    pub fn raw(&mut self, bytes: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// The number of values that follow. Each has a byte at least, so that no number asks for more memory than the bytes
    /// have.
    pub fn length(&mut self) -> Option<usize> {
        self.take::<usize>().filter(|length| *length <= self.0.len())
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
