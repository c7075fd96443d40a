//! Bytes of a state: numbers and bytes one behind the other, and the one checksum over all of them.
//!
//! A number says nothing of its own damage: of 400 single flipped bits 373 decode to another value without a word. So
//! nothing is taken from bytes whose checksum was not compared first, and a state is taken whole or not at all.
//!
//! A number takes a byte for every seven bits, the lowest first, and the highest bit of each but the last is set.

use std::io::{Error, Result, Write};

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

/// So many bytes go out at once.
const PIECE: usize = 64 << 10;
const BITS: u32 = 7;
const MORE: u8 = 1 << BITS;

/// Writes numbers and bytes, and counts them into the checksum.
pub struct StateWriter<'w> {
    out: &'w mut dyn Write,
    sum: Xxh3,
    piece: Vec<u8>,
    written: u64,
    /// Told at the end: nobody who writes half a million numbers asks after each.
    failed: Option<Error>,
}

impl<'w> StateWriter<'w> {
    pub fn new(out: &'w mut dyn Write) -> StateWriter<'w> {
        StateWriter { out, sum: Xxh3::new(), piece: Vec::with_capacity(2 * PIECE), written: 0, failed: None }
    }

    pub fn number(&mut self, mut number: u64) {
        while number >= u64::from(MORE) {
            self.piece.push(number as u8 | MORE);
            number >>= BITS;
        }
        self.piece.push(number as u8);
    }

    /// Writes bytes whose number the reader knows.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.piece.extend_from_slice(bytes);
    }

    /// How many bytes were written.
    pub fn written(&self) -> u64 {
        self.written + self.piece.len() as u64
    }

    /// Lets go what is there, if that is much: after each thing of a long list.
    pub fn between(&mut self) {
        if self.piece.len() >= PIECE {
            self.spill();
        }
    }

    fn spill(&mut self) {
        self.sum.update(&self.piece);
        self.written += self.piece.len() as u64;
        if self.failed.is_none() {
            self.failed = self.out.write_all(&self.piece).err();
        }
        self.piece.clear();
    }

    /// Writes the checksum: the end.
    ///
    /// # Errors
    /// The writer's first one.
    pub fn finish(mut self) -> Result<()> {
        self.spill();
        match self.failed {
            Some(failed) => Err(failed),
            None => self.out.write_all(&self.sum.digest128().to_le_bytes()).and_then(|()| self.out.flush()),
        }
    }
}

/// Takes numbers and bytes out of [`checked`] bytes.
#[derive(Clone)]
pub struct StateReader<'b>(&'b [u8]);

impl<'b> StateReader<'b> {
    pub fn new(bytes: &'b [u8]) -> StateReader<'b> {
        StateReader(bytes)
    }

    /// The next number; `None` where there is none, and where it is none of 64 bits.
    #[inline]
    pub fn number(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first()?;
        if *first < MORE {
            self.0 = rest;
            return Some(u64::from(*first));
        }
        self.long_number()
    }

    fn long_number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0u64, 0);
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let digit = u64::from(byte & (MORE - 1));
            let shifted = digit.checked_shl(shift).filter(|shifted| shifted >> shift == digit)?;
            number |= shifted;
            if byte & MORE == 0 {
                return Some(number);
            }
            shift += BITS;
        }
    }

    /// So many bytes.
    pub fn raw(&mut self, bytes: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// The same, of a number that is known here.
    pub fn exactly<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    /// Takes so many bytes off the end.
    pub fn last(&mut self, bytes: usize) -> Option<&'b [u8]> {
        let (rest, taken) = self.0.split_at_checked(self.0.len().checked_sub(bytes)?)?;
        self.0 = rest;
        Some(taken)
    }

    /// The number of values that follow. Each has a byte at least, so that no number asks for more memory than the bytes
    /// have.
    pub fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok().filter(|length| *length <= self.0.len())
    }

    /// How many bytes are left.
    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_what_is_cut_off_is_none() {
        let numbers = (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1, u64::MAX >> bit]);
        for number in numbers {
            let mut written = Vec::new();
            let mut out = StateWriter::new(&mut written);
            out.number(number);
            assert!(out.written() <= 10);
            out.finish().unwrap();
            let body = checked(&written).unwrap();
            let mut input = StateReader::new(body);
            assert_eq!((input.number(), input.is_empty()), (Some(number), true));
            for length in 0..body.len() {
                assert_eq!(StateReader::new(&body[..length]).number(), None, "{number}, {length} bytes");
            }
        }
        assert_eq!(StateReader::new(&[0xff; 9]).number(), None);
        assert_eq!(StateReader::new(&[0xff; 40]).number(), None, "no number of 64 bits");
        let mut large = [0xff; 10];
        large[9] = 2;
        assert_eq!(StateReader::new(&large).number(), None, "one bit too many");
        large[9] = 1;
        assert_eq!(StateReader::new(&large).number(), Some(u64::MAX));
    }

    #[test]
    fn a_writer_that_fails_is_told_at_the_end() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> Result<usize> {
                Err(Error::other("full"))
            }
            fn flush(&mut self) -> Result<()> {
                Ok(())
            }
        }
        let mut full = Full;
        let mut out = StateWriter::new(&mut full);
        (0..100_000).for_each(|number| {
            out.number(number);
            out.between();
        });
        assert_eq!(out.finish().unwrap_err().to_string(), "full");
    }
}
