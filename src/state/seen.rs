//! The fingerprints that an audit leaves: what it saw, which is what the history has open since.
//!
//! They are of one audit of one history, and of no other: its seal stands in front. An audit that finds everything as it
//! was puts another seal before the same fingerprints.

use std::io::Result;

use super::bytes;
use super::kept::{In, Kept, Out, record};
use super::mark::is_over;
use crate::model::prints::{KeysPrint, Prints, RangePrints};
use crate::model::{Addr, Names, Time};

/// What the fingerprints begin with.
const MAGIC: &[u8] = b"ipaudit seen\n";
/// Of their shape; a hash is made otherwise by another build.
const FORMAT: u32 = 2;
/// Bytes of the seal in front: the audit, the fingerprints' checksum, and one of these two. That of another audit takes its
/// place where the fingerprints are the same.
pub const SEAL: usize = 3 * size_of::<u128>();

/// What an audit leaves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LastSeen {
    pub prints: Prints,
    /// When every row was read last, by this machine's clock.
    pub read_in_full: Time,
}

impl LastSeen {
    /// Whether every row has to be read again by now: also where the clock ran back.
    pub fn is_old(&self, now: Time) -> bool {
        is_over(self.read_in_full, now)
    }
}

record! {
    LastSeen { prints, read_in_full }
    Prints { keys, allocations, pods }
    KeysPrint { keys, print }
}

impl Kept for u128 {
    fn put(&self, out: &mut Out<'_, '_>) {
        out.bytes.raw(&self.to_le_bytes());
    }

    fn take(input: &mut In<'_>) -> Option<u128> {
        input.bytes.exactly().map(u128::from_le_bytes)
    }
}

impl Kept for RangePrints {
    fn put(&self, out: &mut Out<'_, '_>) {
        out.number(self.iter().len() as u64);
        self.iter().for_each(|print| print.put(out));
    }

    fn take(input: &mut In<'_>) -> Option<RangePrints> {
        Vec::<(Addr, u128)>::take(input).map(|prints| prints.into_iter().collect())
    }
}

/// The bytes of what was seen by the audit of this fingerprint; `build` names the program.
///
/// # Errors
/// None: it is written into memory.
pub fn seal(seen: &LastSeen, audit: u128, build: &str) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    let names = Names::default();
    let mut out = Out::begin(&names, (MAGIC, FORMAT, build), &mut body);
    seen.put(&mut out);
    out.bytes.finish()?;
    let mut sealed = seal_of(audit, &body).to_vec();
    sealed.append(&mut body);
    Ok(sealed)
}

fn seal_of(audit: u128, body: &[u8]) -> [u8; SEAL] {
    let mut seal = [0; SEAL];
    let (parts, sum) = seal.split_at_mut(2 * size_of::<u128>());
    let of_body = bytes::sum(body);
    parts
        .iter_mut()
        .zip(audit.to_le_bytes().into_iter().chain(of_body.to_le_bytes()))
        .for_each(|(to, from)| *to = from);
    sum.copy_from_slice(&bytes::sum(parts).to_le_bytes());
    seal
}

/// What was seen by the audit of this fingerprint; `None`: these bytes are of another audit or build, or damaged.
pub fn unseal(sealed: &[u8], audit: u128, build: &str) -> Option<LastSeen> {
    let (seal, body) = sealed.split_first_chunk::<SEAL>()?;
    if *seal != seal_of(audit, body) {
        return None;
    }
    let body = bytes::checked(body)?.strip_prefix(MAGIC)?;
    let mut input = In::behind(body, (FORMAT, build))?;
    let seen = LastSeen::take(&mut input)?;
    input.bytes.is_empty().then_some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> LastSeen {
        let ranges = |from: u128| (0..40u128).map(|n| (Addr::from_bits(n * n * 64), from * n)).collect();
        let keys = KeysPrint { keys: 7, print: u128::MAX - 3 };
        LastSeen {
            prints: Prints { keys, allocations: ranges(u128::MAX / 41), pods: Some(ranges(5)) },
            read_in_full: Time(12_345),
        }
    }

    #[test]
    fn it_is_believed_whole_and_by_the_audit_that_left_it() {
        let sealed = seal(&seen(), 77, "build").unwrap();
        assert_eq!(unseal(&sealed, 77, "build"), Some(seen()));
        assert_eq!(unseal(&sealed, 78, "build"), None, "another audit");
        assert_eq!(unseal(&sealed, 77, "other"), None, "another build");
        for bit in 0..sealed.len() * 8 {
            let mut damaged = sealed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(&damaged, 77, "build"), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(unseal(&sealed[..length], 77, "build"), None, "{length} bytes");
        }
        assert_eq!(unseal(&[&sealed[..], &[0]].concat(), 77, "build"), None);
    }

    #[test]
    fn another_audit_seals_it_again_in_its_place() {
        let mut sealed = seal(&seen(), 77, "build").unwrap();
        let again = seal(&seen(), 78, "build").unwrap();
        sealed[..SEAL].copy_from_slice(&again[..SEAL]);
        assert_eq!((unseal(&sealed, 77, "build"), unseal(&sealed, 78, "build")), (None, Some(seen())));
        assert_eq!(sealed, again);
        // A seal of other fingerprints.
        let other = seal(&LastSeen::default(), 78, "build").unwrap();
        sealed[..SEAL].copy_from_slice(&other[..SEAL]);
        assert_eq!(unseal(&sealed, 78, "build"), None);
    }
}
