//! How a value of the model stands in a state: its fields one behind the other.
//!
//! Every field is named when a record is written ([`record!`]), so that one which is new in the model is no field that a
//! state loses, but a build that fails.

use std::io::Write;
use std::time::Duration;

use super::bytes::{StateReader, StateWriter};
use super::texts::{TextsIn, TextsOut};
use crate::model::word::Spelled;
use crate::model::{Addr, Cidr, Meta, Name, Names, Time};

/// Where a state is written.
pub struct Out<'n, 'w> {
    pub bytes: StateWriter<'w>,
    pub texts: TextsOut<'n>,
}

/// Where a state is read.
pub struct In<'b> {
    pub bytes: StateReader<'b>,
    pub texts: TextsIn,
}

/// What can stand in a state.
pub trait Kept: Sized {
    /// Writes it.
    fn put(&self, out: &mut Out<'_, '_>);

    /// Reads one; `None` where none stands.
    fn take(input: &mut In<'_>) -> Option<Self>;
}

/// Records of which every field is kept, in this order.
macro_rules! record {
    ($($kind:ident { $($field:ident),+ $(,)? })+) => {$(
        impl $crate::state::kept::Kept for $kind {
            fn put(&self, out: &mut $crate::state::kept::Out<'_, '_>) {
                let $kind { $($field),+ } = self;
                $($field.put(out);)+
            }

            fn take(input: &mut $crate::state::kept::In<'_>) -> Option<$kind> {
                $(let $field = $crate::state::kept::Kept::take(input)?;)+
                Some($kind { $($field),+ })
            }
        }
    )+};
}
pub(super) use record;

/// Numbers that are never negative.
macro_rules! naturals {
    ($($kind:ty),+) => {$(
        impl Kept for $kind {
            fn put(&self, out: &mut Out<'_, '_>) {
                out.number(*self as u64);
            }

            fn take(input: &mut In<'_>) -> Option<$kind> {
                <$kind>::try_from(input.number()?).ok()
            }
        }
    )+};
}
naturals!(u8, u32, u64, usize);

/// Numbers of which small ones are near zero on either side: the sign stands in the lowest bit.
macro_rules! integers {
    ($($kind:ty),+) => {$(
        impl Kept for $kind {
            fn put(&self, out: &mut Out<'_, '_>) {
                let number = i64::from(*self);
                out.number((number << 1 ^ number >> 63).cast_unsigned());
            }

            fn take(input: &mut In<'_>) -> Option<$kind> {
                let number = input.number()?;
                <$kind>::try_from((number >> 1).cast_signed() ^ -(number & 1).cast_signed()).ok()
            }
        }
    )+};
}
integers!(i32, i64);

impl Kept for bool {
    fn put(&self, out: &mut Out<'_, '_>) {
        out.number(u64::from(*self));
    }

    fn take(input: &mut In<'_>) -> Option<bool> {
        match input.number()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Kept for Box<str> {
    fn put(&self, out: &mut Out<'_, '_>) {
        out.number(self.len() as u64);
        out.bytes.raw(self.as_bytes());
    }

    fn take(input: &mut In<'_>) -> Option<Box<str>> {
        let length = input.bytes.length()?;
        std::str::from_utf8(input.bytes.raw(length)?).ok().map(Into::into)
    }
}

impl Kept for String {
    fn put(&self, out: &mut Out<'_, '_>) {
        out.number(self.len() as u64);
        out.bytes.raw(self.as_bytes());
    }

    fn take(input: &mut In<'_>) -> Option<String> {
        <Box<str> as Kept>::take(input).map(String::from)
    }
}

impl<'n, 'w> Out<'n, 'w> {
    /// What stands first in everything that is left: what it is, of which shape, and which program's.
    pub fn begin(names: &'n Names, (magic, format, build): (&[u8], u32, &str), out: &'w mut dyn Write) -> Out<'n, 'w> {
        let mut out = Out { bytes: StateWriter::new(out), texts: TextsOut::new(names) };
        out.bytes.raw(magic);
        format.put(&mut out);
        build.to_owned().put(&mut out);
        out
    }

    #[inline]
    pub fn number(&mut self, number: u64) {
        self.bytes.number(number);
    }
}

impl<'b> In<'b> {
    /// What stands behind [`Out::begin`]; `None`: of another shape or program. The first word was looked at before.
    pub fn behind(body: &'b [u8], (format, build): (u32, &str)) -> Option<In<'b>> {
        let mut input = In { bytes: StateReader::new(body), texts: TextsIn::default() };
        let is_ours = u32::take(&mut input) == Some(format) && String::take(&mut input).as_deref() == Some(build);
        is_ours.then_some(input)
    }

    #[inline]
    pub fn number(&mut self) -> Option<u64> {
        self.bytes.number()
    }
}

impl<T: Kept> Kept for Option<T> {
    fn put(&self, out: &mut Out<'_, '_>) {
        self.is_some().put(out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(input: &mut In<'_>) -> Option<Option<T>> {
        match bool::take(input)? {
            true => T::take(input).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Kept> Kept for Vec<T> {
    fn put(&self, out: &mut Out<'_, '_>) {
        put_all(self, out);
    }

    fn take(input: &mut In<'_>) -> Option<Vec<T>> {
        let length = input.bytes.length()?;
        let mut list = Vec::with_capacity(length);
        for _ in 0..length {
            list.push(T::take(input)?);
        }
        Some(list)
    }
}

impl<T: Kept> Kept for Box<[T]> {
    fn put(&self, out: &mut Out<'_, '_>) {
        put_all(self, out);
    }

    fn take(input: &mut In<'_>) -> Option<Box<[T]>> {
        Vec::<T>::take(input).map(Vec::into_boxed_slice)
    }
}

/// A list of any kind.
pub fn put_all<T: Kept>(list: &[T], out: &mut Out<'_, '_>) {
    out.number(list.len() as u64);
    for value in list {
        value.put(out);
        out.bytes.between();
    }
}

impl<A: Kept, B: Kept> Kept for (A, B) {
    fn put(&self, out: &mut Out<'_, '_>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut In<'_>) -> Option<(A, B)> {
        Some((A::take(input)?, B::take(input)?))
    }
}

impl Kept for Name {
    fn put(&self, out: &mut Out<'_, '_>) {
        let number = out.texts.number(*self);
        out.number(u64::from(number));
    }

    fn take(input: &mut In<'_>) -> Option<Name> {
        let number = input.number()?;
        input.texts.name(number)
    }
}

/// A value of a list that only grows, by its place in it.
pub fn put_word<T: Spelled>(value: T, out: &mut Out<'_, '_>) {
    out.number(T::VALUES.iter().position(|one| *one == value).unwrap_or(usize::MAX) as u64);
}

/// The same read.
pub fn take_word<T: Spelled>(input: &mut In<'_>) -> Option<T> {
    T::VALUES.get(usize::take(input)?).copied()
}

const SECOND: i64 = 1_000_000_000;

/// Whole seconds, which most moments are, as an even number; any other behind an odd one.
impl Kept for Time {
    fn put(&self, out: &mut Out<'_, '_>) {
        match self.0 % SECOND {
            0 => (self.0 / SECOND * 2).put(out),
            _ => (1i64, self.0).put(out),
        }
    }

    fn take(input: &mut In<'_>) -> Option<Time> {
        match i64::take(input)? {
            1 => i64::take(input).map(Time),
            even if even % 2 == 0 => (even / 2).checked_mul(SECOND).map(Time),
            _ => None,
        }
    }
}

impl Kept for Duration {
    fn put(&self, out: &mut Out<'_, '_>) {
        (self.as_secs(), self.subsec_nanos()).put(out);
    }

    fn take(input: &mut In<'_>) -> Option<Duration> {
        let (seconds, nanos): (u64, u32) = Kept::take(input)?;
        (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
    }
}

/// The hash is as random as it looks; revisions are close to each other.
impl Kept for Meta {
    fn put(&self, out: &mut Out<'_, '_>) {
        let Meta { create_revision, mod_revision, version, value_hash } = *self;
        version.put(out);
        mod_revision.put(out);
        mod_revision.wrapping_sub(create_revision).put(out);
        out.bytes.raw(&value_hash.to_le_bytes());
    }

    fn take(input: &mut In<'_>) -> Option<Meta> {
        let (version, mod_revision) = (i64::take(input)?, i64::take(input)?);
        let create_revision = mod_revision.wrapping_sub(i64::take(input)?);
        let value_hash = u64::from_le_bytes(input.bytes.exactly()?);
        Some(Meta { create_revision, mod_revision, version, value_hash })
    }
}

impl Kept for Addr {
    fn put(&self, out: &mut Out<'_, '_>) {
        self.to_v4_bits().is_some().put(out);
        match self.to_v4_bits() {
            Some(bits) => out.bytes.raw(&bits.to_le_bytes()),
            None => out.bytes.raw(&self.bits().to_le_bytes()),
        }
    }

    fn take(input: &mut In<'_>) -> Option<Addr> {
        Some(match bool::take(input)? {
            true => Addr::from_v4_bits(u32::from_le_bytes(input.bytes.exactly()?)),
            false => Addr::from_bits(u128::from_le_bytes(input.bytes.exactly()?)),
        })
    }
}

impl Kept for Cidr {
    fn put(&self, out: &mut Out<'_, '_>) {
        self.prefix().put(out);
        self.first().put(out);
    }

    fn take(input: &mut In<'_>) -> Option<Cidr> {
        let prefix = Kept::take(input)?;
        Cidr::new(Addr::take(input)?, prefix)
    }
}
