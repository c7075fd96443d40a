//! Hashes that are the same in every run and build: a stored one can be compared with a new one.
//!
//! A hash finds a thing in memory (128 bits) or says that something of it changed (64 bits are enough for that). It is
//! never what a thing *is*: that say its own code, subject, key, address, handle. Not made to withstand an attacker.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// 64 bits over bytes: whether something changed. Never 0, which stands for "not known".
pub fn hash64(bytes: &[u8]) -> u64 {
    xxh3_64(bytes).max(1)
}

/// 128 bits over bytes: an index over what the bytes name.
pub fn hash128(bytes: &[u8]) -> u128 {
    xxh3_128(bytes)
}

/// Several values as one run of bytes in which their order and borders count.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Parts(Vec<u8>);

impl Parts {
    /// None yet.
    pub fn new() -> Parts {
        // Most have a few texts and numbers: one allocation.
        Parts(Vec::with_capacity(256))
    }

    /// Bytes or a text, behind their length.
    pub fn text(mut self, text: impl AsRef<[u8]>) -> Parts {
        let text = text.as_ref();
        self.0.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.0.extend_from_slice(text);
        self
    }

    /// One text, which is these pieces behind each other.
    pub fn joined(mut self, pieces: &[&str]) -> Parts {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.0.extend_from_slice(&(length as u64).to_le_bytes());
        pieces.iter().for_each(|piece| self.0.extend_from_slice(piece.as_bytes()));
        self
    }

    /// A text that may be absent, which is another thing than empty.
    pub fn given(self, text: Option<impl AsRef<[u8]>>) -> Parts {
        match text {
            Some(text) => self.number(1).text(text),
            None => self.number(0),
        }
    }

    /// A number.
    pub fn number(mut self, number: impl Into<i128>) -> Parts {
        self.0.extend_from_slice(&number.into().to_le_bytes());
        self
    }

    /// A number of 128 bits without sign, as an address or another hash.
    pub fn wide(mut self, number: u128) -> Parts {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// [`hash64`] of them all.
    pub fn hash64(&self) -> u64 {
        hash64(&self.0)
    }

    /// [`hash128`] of them all.
    pub fn hash128(&self) -> u128 {
        hash128(&self.0)
    }
}
