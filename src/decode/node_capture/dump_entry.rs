//! A dump as a capture has it.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::few::{BoundedList, ListEntry, brief};
use crate::model::node_evidence::{Dump, not_understood};

/// What was read, or why not; neither: nobody asked.
#[derive(Serialize)]
pub struct DumpEntry<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<T>,
    #[serde(rename = "notRead", skip_serializing_if = "Option::is_none")]
    pub not_read: Option<String>,
}

impl<T> Default for DumpEntry<T> {
    fn default() -> DumpEntry<T> {
        DumpEntry { read: None, not_read: None }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for DumpEntry<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DumpEntry<T>, D::Error> {
        deserializer.deserialize_map(DumpWords(PhantomData))
    }
}

struct DumpWords<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for DumpWords<T> {
    type Value = DumpEntry<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was read, or why not")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut words: A) -> Result<DumpEntry<T>, A::Error> {
        let mut entry = DumpEntry::default();
        while let Some(word) = words.next_key::<String>()? {
            match word.as_str() {
                "read" => entry.read = words.next_value()?,
                "notRead" => entry.not_read = words.next_value()?,
                // Whatever it says of the list, the list is not known to be whole.
                strange => {
                    words.next_value::<IgnoredAny>()?;
                    entry.not_read.get_or_insert_with(|| format!("{strange:?} is no word of this version's"));
                }
            }
        }
        Ok(entry)
    }
}

impl<E: ListEntry> DumpEntry<BoundedList<E>> {
    /// What it says, each entry made by `make`. One that cannot be made is missing, so that the dump is a part.
    pub fn dump<T>(self, make: impl Fn(E) -> Result<T, String>) -> Dump<Vec<T>> {
        let not_read = self.not_read.map(brief);
        let Some(BoundedList { list, more, mut bad, mut why }) = self.read else {
            return not_read.map_or(Dump::NotAsked, Dump::NotRead);
        };
        let all = list.len() + bad;
        let mut made = Vec::with_capacity(list.len());
        for (entry, at) in list.into_iter().zip(1usize..) {
            match make(entry) {
                Ok(entry) => made.push(entry),
                Err(cause) => {
                    bad += 1;
                    why.get_or_insert_with(|| format!("entry {at}: {cause}"));
                }
            }
        }
        let bad = || why.map(|why| brief(not_understood(bad, all, &why)));
        let cut = || more.then(|| format!("it has more than {} entries", E::MOST).into());
        Dump::of(made, not_read.or_else(cut).or_else(bad))
    }

    pub fn of<T>(dump: &Dump<Vec<T>>, make: impl Fn(&T) -> E) -> DumpEntry<BoundedList<E>> {
        let read = dump.had().map(|list| BoundedList::of(list.iter().map(make).collect()));
        DumpEntry { read, not_read: dump.failure().map(|why| why.raw().to_owned()) }
    }
}
