//! Columns as values: addresses, moments, words. What does not read is an error, never another value.

use rusqlite::Row;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};

use crate::model::kube::uuid_text;
use crate::model::word::Spelled;
use crate::model::{Addr, Cidr, Foreign, Root, Term, Time};

impl ToSql for Foreign {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.raw().to_sql()
    }
}

impl FromSql for Foreign {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Foreign> {
        value.as_str().map(Foreign::from)
    }
}

/// A column of time.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Time> {
    row.get(column).map(Time)
}

/// A column of time that may be empty.
pub(super) fn some_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Time>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Time))
}

/// A count.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

/// 64 bits without sign, kept as SQLite's signed number.
pub(super) fn bits(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|number| number as u64)
}

/// The same, where it may be empty.
pub(super) fn some_bits(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|number| number as u64))
}

/// A word, of this version or another.
pub(super) fn term<T: Spelled>(row: &Row<'_>, column: usize) -> rusqlite::Result<Term<T>> {
    row.get_ref(column)?.as_str().map(Term::of).map_err(Into::into)
}

/// A word by which something is decided: one that this version does not know is an error.
pub(super) fn known<T: Spelled>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let word = term(row, column)?;
    word.known().ok_or_else(|| unread(column, Type::Text, format!("{:?} is a word of another ipaudit", word.raw())))
}

/// What a column holds cannot be read: why.
pub(super) fn unread(column: usize, is: Type, why: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, is, why.into())
}

/// An address as it is stored: 4 or 16 bytes.
pub(super) fn address_bytes(address: Addr) -> Vec<u8> {
    match address.to_ip() {
        std::net::IpAddr::V4(v4) => v4.octets().to_vec(),
        std::net::IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The other way round.
pub(super) fn address_of(bytes: &[u8]) -> Option<Addr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
    let ip = v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from)).ok()?;
    Some(ip.into())
}

pub(super) fn address(row: &Row<'_>, column: usize) -> rusqlite::Result<Addr> {
    let bytes = row.get_ref(column)?.as_blob()?;
    address_of(bytes).ok_or_else(|| unread(column, Type::Blob, format!("{} bytes are no address", bytes.len())))
}

pub(super) fn cidr(row: &Row<'_>, column: usize) -> rusqlite::Result<Cidr> {
    let text = row.get_ref(column)?.as_str()?;
    let cidr = Cidr::parse(text).map(|(cidr, _)| cidr);
    cidr.ok_or_else(|| unread(column, Type::Text, format!("{text:?} is no CIDR")))
}

/// A UID as it was written: a UUID is kept as its bytes.
pub(super) fn uid_text(value: ValueRef<'_>) -> String {
    let uuid = value.as_blob().ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    uuid.map_or_else(|| String::from_utf8_lossy(value.as_bytes().unwrap_or_default()).into_owned(), uuid_text)
}

/// A stamp as it is stored.
pub(super) fn stamp_bytes(stamp: u128) -> [u8; 16] {
    stamp.to_be_bytes()
}

/// The other way round.
pub(super) fn stamp_of(bytes: &[u8]) -> Option<u128> {
    bytes.try_into().ok().map(u128::from_be_bytes)
}

/// `IPA101 192.168.91.33`.
pub(super) fn root_text(root: &Root) -> String {
    format!("{} {}", root.code, root.id.raw())
}

/// The other way round.
pub(super) fn some_root(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Root>> {
    let Some(text) = row.get::<_, Option<String>>(column)? else { return Ok(None) };
    let root = text.split_once(' ').and_then(|(code, id)| Some(Root { code: code.parse().ok()?, id: id.into() }));
    root.map(Some).ok_or_else(|| unread(column, Type::Text, format!("{text:?} names no finding")))
}
