//! How a value of the model stands in a state: its fields one behind the other.
//!
//! Every field is named when a record is written ([`record!`]), so that one which is new in the model is no field that a
//! state loses, but a build that fails.

use std::io::{Result, Write};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bytes::{StateReader, StateWriter};
use super::texts::{TextsIn, TextsOut};
use crate::model::word::Spelled;
use crate::model::{Addr, Cidr, Meta, Name, Names, Time};

/// Where a state is written.
pub struct Out<'n, W> {
    pub bytes: StateWriter<W>,
    pub texts: TextsOut<'n>,
}

/// Where a state is read.
pub struct In<'b, 'n> {
    pub bytes: StateReader<'b>,
    pub texts: TextsIn,
    pub names: &'n mut Names,
}

/// What can stand in a state.
pub trait Kept: Sized {
    /// Writes it.
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()>;

    /// Reads one; `None` where none stands.
    fn take(input: &mut In<'_, '_>) -> Option<Self>;
}

/// Records of which every field is kept, in this order.
macro_rules! record {
    ($($kind:ident { $($field:ident),+ $(,)? })+) => {$(
        impl $crate::state::kept::Kept for $kind {
            fn put<W: std::io::Write>(&self, out: &mut $crate::state::kept::Out<'_, W>) -> std::io::Result<()> {
                let $kind { $($field),+ } = self;
                $($field.put(out)?;)+
                Ok(())
            }

            fn take(input: &mut $crate::state::kept::In<'_, '_>) -> Option<$kind> {
                $(let $field = $crate::state::kept::Kept::take(input)?;)+
                Some($kind { $($field),+ })
            }
        }
    )+};
}
pub(super) use record;

/// What postcard keeps as it is.
macro_rules! plain {
    ($($kind:ty),+) => {$(
        impl Kept for $kind {
            fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
                out.plain(self)
            }

            fn take(input: &mut In<'_, '_>) -> Option<$kind> {
                input.plain()
            }
        }
    )+};
}
plain!(bool, u8, u32, i32, u64, i64, usize, String, Box<str>);

impl<W: Write> Out<'_, W> {
    pub fn plain(&mut self, value: &impl Serialize) -> Result<()> {
        self.bytes.put(value)
    }
}

impl In<'_, '_> {
    pub fn plain<T: DeserializeOwned>(&mut self) -> Option<T> {
        self.bytes.take()
    }

    fn exactly<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes.raw(N)?.try_into().ok()
    }
}

impl<T: Kept> Kept for Option<T> {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        out.plain(&self.is_some())?;
        self.as_ref().map_or(Ok(()), |value| value.put(out))
    }

    fn take(input: &mut In<'_, '_>) -> Option<Option<T>> {
        match input.plain()? {
            true => T::take(input).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Kept> Kept for Vec<T> {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        put_all(self, out)
    }

    fn take(input: &mut In<'_, '_>) -> Option<Vec<T>> {
        let length = input.bytes.length()?;
        let mut list = Vec::with_capacity(length);
        for _ in 0..length {
            list.push(T::take(input)?);
        }
        Some(list)
    }
}

impl<T: Kept> Kept for Box<[T]> {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        put_all(self, out)
    }

    fn take(input: &mut In<'_, '_>) -> Option<Box<[T]>> {
        Vec::<T>::take(input).map(Vec::into_boxed_slice)
    }
}

/// A list of any kind.
///
/// # Errors
/// As the writer's.
pub fn put_all<T: Kept, W: Write>(list: &[T], out: &mut Out<'_, W>) -> Result<()> {
    out.plain(&list.len())?;
    list.iter().try_for_each(|value| value.put(out))
}

impl<A: Kept, B: Kept> Kept for (A, B) {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        self.0.put(out)?;
        self.1.put(out)
    }

    fn take(input: &mut In<'_, '_>) -> Option<(A, B)> {
        Some((A::take(input)?, B::take(input)?))
    }
}

impl Kept for Name {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        out.texts.put(&mut out.bytes, *self)
    }

    fn take(input: &mut In<'_, '_>) -> Option<Name> {
        input.texts.take(&mut input.bytes, input.names)
    }
}

/// A value of a list that only grows, by its place in it.
pub fn put_word<T: Spelled>(value: T, out: &mut Out<'_, impl Write>) -> Result<()> {
    out.plain(&T::VALUES.iter().position(|one| *one == value).unwrap_or(usize::MAX))
}

/// The same read.
pub fn take_word<T: Spelled>(input: &mut In<'_, '_>) -> Option<T> {
    T::VALUES.get(input.plain::<usize>()?).copied()
}

const SECOND: i64 = 1_000_000_000;

/// Whole seconds, which most moments are, as an even number; any other behind an odd one.
impl Kept for Time {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        match self.0 % SECOND {
            0 => out.plain(&(self.0 / SECOND * 2)),
            _ => out.plain(&(1i64, self.0)),
        }
    }

    fn take(input: &mut In<'_, '_>) -> Option<Time> {
        match input.plain::<i64>()? {
            1 => input.plain().map(Time),
            even if even % 2 == 0 => (even / 2).checked_mul(SECOND).map(Time),
            _ => None,
        }
    }
}

impl Kept for Duration {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        out.plain(&(self.as_secs(), self.subsec_nanos()))
    }

    fn take(input: &mut In<'_, '_>) -> Option<Duration> {
        let (seconds, nanos): (u64, u32) = input.plain()?;
        (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
    }
}

/// The hash is as random as it looks; revisions are close to each other.
impl Kept for Meta {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        let Meta { create_revision, mod_revision, version, value_hash } = *self;
        out.plain(&(version, mod_revision, mod_revision.wrapping_sub(create_revision)))?;
        out.bytes.raw(&value_hash.to_le_bytes());
        Ok(())
    }

    fn take(input: &mut In<'_, '_>) -> Option<Meta> {
        let (version, mod_revision, since): (i64, i64, i64) = input.plain()?;
        let value_hash = u64::from_le_bytes(input.exactly()?);
        Some(Meta { create_revision: mod_revision.wrapping_sub(since), mod_revision, version, value_hash })
    }
}

impl Kept for Addr {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        out.plain(&self.is_v4())?;
        match self.is_v4() {
            true => out.bytes.raw(&(self.bits() as u32).to_le_bytes()),
            false => out.bytes.raw(&self.bits().to_le_bytes()),
        }
        Ok(())
    }

    fn take(input: &mut In<'_, '_>) -> Option<Addr> {
        match input.plain()? {
            true => {
                Some(std::net::IpAddr::from(std::net::Ipv4Addr::from_bits(u32::from_le_bytes(input.exactly()?))).into())
            }
            false => Some(Addr::from_bits(u128::from_le_bytes(input.exactly()?))),
        }
    }
}

impl Kept for Cidr {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        out.plain(&self.prefix())?;
        self.first().put(out)
    }

    fn take(input: &mut In<'_, '_>) -> Option<Cidr> {
        let prefix = input.plain()?;
        Cidr::new(Addr::take(input)?, prefix)
    }
}
