//! Bytes without what is known already: text that stood before is a place and a length.
//!
//! Findings of one code say the same in other words: what one of them has in common with the first one, and with its own
//! subject, takes three bytes. Plain LZ77 with a dictionary; a few hundred bytes are squeezed and opened again at once,
//! tens of thousands of times.

/// Shorter runs gain nothing.
const LEAST: usize = 4;
/// Runs that stand further back are not found again: a distance has two bytes.
const FAR: usize = u16::MAX as usize;
/// A half of a token that says: a number follows.
const MORE: usize = 15;
/// Bits of the places that are remembered.
const BITS: u32 = 10;

/// Bytes that both sides know, and where its runs stand.
#[derive(Clone)]
pub struct Dictionary {
    bytes: Box<[u8]>,
    runs: Runs,
}

impl Dictionary {
    /// Of these bytes; what is over the reach of a distance is left out.
    pub fn of(mut bytes: Vec<u8>) -> Dictionary {
        bytes.truncate(FAR / 8);
        let mut runs = Runs::default();
        (0..bytes.len()).for_each(|at| runs.enter(&bytes, at));
        Dictionary { bytes: bytes.into(), runs }
    }

    /// `bytes`, squeezed beside `own`, which is given again when it is opened.
    pub fn squeeze(&self, own: &[u8], bytes: &[u8]) -> Box<[u8]> {
        let all = [&self.bytes, own, bytes].concat();
        let begin = self.bytes.len() + own.len();
        let mut runs = self.runs.clone();
        (self.bytes.len()..begin).for_each(|at| runs.enter(&all, at));
        let mut out = Vec::with_capacity(bytes.len() / 2);
        let (mut at, mut told) = (begin, begin);
        while at < all.len() {
            let from = runs.replace(&all, at).filter(|from| at - from <= FAR);
            let run = from.map_or(0, |from| common(&all[from..], &all[at..]));
            let Some(from) = from.filter(|_| run >= LEAST) else {
                at += 1;
                continue;
            };
            token(&mut out, &all[told..at], run - LEAST);
            out.extend_from_slice(&((at - from) as u16).to_le_bytes());
            (at + 1..at + run).for_each(|at| runs.enter(&all, at));
            at += run;
            told = at;
        }
        if told < all.len() {
            token(&mut out, &all[told..], 0);
        }
        out.into()
    }

    /// The bytes again; `None` of what was not squeezed here beside `own`.
    pub fn open(&self, own: &[u8], mut squeezed: &[u8]) -> Option<Vec<u8>> {
        let begin = self.bytes.len() + own.len();
        let mut all = Vec::with_capacity(begin + 4 * squeezed.len());
        all.extend_from_slice(&self.bytes);
        all.extend_from_slice(own);
        while let Some((&token, rest)) = squeezed.split_first() {
            squeezed = rest;
            let plain = half(usize::from(token >> 4), &mut squeezed)?;
            let (plain, rest) = squeezed.split_at_checked(plain)?;
            all.extend_from_slice(plain);
            squeezed = rest;
            if squeezed.is_empty() {
                break;
            }
            let run = half(usize::from(token & 15), &mut squeezed)?.checked_add(LEAST)?;
            let (distance, rest) = squeezed.split_first_chunk::<2>()?;
            squeezed = rest;
            let from = all.len().checked_sub(usize::from(u16::from_le_bytes(*distance)))?;
            // A run may go on into itself.
            for place in from..from.checked_add(run)? {
                all.push(*all.get(place)?);
            }
        }
        all.drain(..begin);
        Some(all)
    }
}

impl std::fmt::Debug for Dictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dictionary({} bytes)", self.bytes.len())
    }
}

/// Where runs begin, by their first bytes: the last place of each, counted from 1.
#[derive(Clone)]
struct Runs(Box<[u32; 1 << BITS]>);

impl Default for Runs {
    fn default() -> Runs {
        Runs(Box::new([0; 1 << BITS]))
    }
}

impl Runs {
    /// Enters the run at this place.
    fn enter(&mut self, bytes: &[u8], at: usize) {
        let _ = self.replace(bytes, at);
    }

    /// Enters the run at this place, and tells where one of its kind stood before.
    fn replace(&mut self, bytes: &[u8], at: usize) -> Option<usize> {
        let first = bytes.get(at..)?.first_chunk::<LEAST>()?;
        let hash = u32::from_le_bytes(*first).wrapping_mul(0x9e37_79b1) >> (u32::BITS - BITS);
        let place = self.0.get_mut(hash as usize)?;
        let before = std::mem::replace(place, u32::try_from(at + 1).ok()?);
        (before as usize).checked_sub(1)
    }
}

/// How many bytes are the same from the start.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// What is told plainly, and the length of the run behind it.
fn token(out: &mut Vec<u8>, plain: &[u8], run: usize) {
    let (most, least) = (plain.len().min(MORE), run.min(MORE));
    out.push((most << 4 | least) as u8);
    if most == MORE {
        number(out, (plain.len() - MORE) as u64);
    }
    out.extend_from_slice(plain);
    if least == MORE {
        number(out, (run - MORE) as u64);
    }
}

fn half(half: usize, bytes: &mut &[u8]) -> Option<usize> {
    if half < MORE { Some(half) } else { usize::try_from(take(bytes)?).ok()?.checked_add(MORE) }
}

/// A number in as few bytes as it needs.
pub fn number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The same, taken off the front.
pub fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0u64, 0);
    loop {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_known_takes_three_bytes() {
        let known = Dictionary::of(b"no block has an address of it, though it counts in 10.0.0.0/26".to_vec());
        let bytes = b"no block has an address of it, though it counts in 10.9.1.0/26";
        let squeezed = known.squeeze(b"", bytes);
        assert!(squeezed.len() < 20, "{squeezed:?}");
        assert_eq!(known.open(b"", &squeezed).as_deref(), Some(&bytes[..]));
        let zeros = [0; 100_000];
        let squeezed = known.squeeze(b"", &zeros);
        assert!(squeezed.len() < 20, "{}", squeezed.len());
        assert_eq!(known.open(b"", &squeezed).as_deref(), Some(&zeros[..]));
    }

    /// Bytes with and without runs that come again.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let runs = prop::collection::vec((any::<u8>(), 0..5u8, 0..40usize), 0..40);
        let runs = runs.prop_map(|runs| {
            runs.into_iter()
                .flat_map(|(byte, step, number)| (0..number).map(move |i| byte.wrapping_add(step * i as u8)))
        });
        prop_oneof![runs.prop_map(Iterator::collect), prop::collection::vec(any::<u8>(), 0..600)]
    }

    proptest! {
        #[test]
        fn what_was_squeezed_opens_as_it_was(known in bytes(), own in bytes(), told in bytes()) {
            let dictionary = Dictionary::of(known);
            let squeezed = dictionary.squeeze(&own, &told);
            prop_assert_eq!(dictionary.open(&own, &squeezed), Some(told));
        }
    }
}
