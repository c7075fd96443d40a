//! Lists of others, as long as they can be on purpose: three bytes of a document may become hundreds in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::Foreign;

/// What stands in a list.
pub trait ListEntry: DeserializeOwned {
    /// So many of them at most.
    const MOST: usize;
}

impl ListEntry for String {
    const MOST: usize = 4_096;
}

/// A list; of one that is longer than it can be on purpose no more than that is kept.
#[derive(Serialize)]
#[serde(transparent)]
pub struct BoundedList<E> {
    pub list: Vec<E>,
    /// There were more.
    #[serde(skip)]
    pub more: bool,
    /// So many entries are not of its kind, and what is wrong with the first.
    #[serde(skip)]
    pub bad: usize,
    #[serde(skip)]
    pub why: Option<String>,
}

impl<E> BoundedList<E> {
    /// All of these.
    pub const fn of(list: Vec<E>) -> BoundedList<E> {
        BoundedList { list, more: false, bad: 0, why: None }
    }
}

impl<'de, E: ListEntry> Deserialize<'de> for BoundedList<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<BoundedList<E>, D::Error> {
        deserializer.deserialize_seq(ListedValues(PhantomData))
    }
}

struct ListedValues<E>(PhantomData<E>);

impl<'de, E: ListEntry> Visitor<'de> for ListedValues<E> {
    type Value = BoundedList<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<BoundedList<E>, A::Error> {
        let mut all = BoundedList::of(Vec::new());
        while all.list.len() + all.bad < E::MOST {
            // First where it ends, so that one that is damaged costs no other.
            let Some(entry) = entries.next_element::<&RawValue>()? else { return Ok(all) };
            match serde_json::from_str(entry.get()) {
                Ok(entry) => all.list.push(entry),
                Err(e) => {
                    all.bad += 1;
                    let at = all.list.len() + all.bad;
                    all.why.get_or_insert_with(|| format!("entry {at}: {e}"));
                }
            }
        }
        while entries.next_element::<IgnoredAny>()?.is_some() {
            all.more = true;
        }
        Ok(all)
    }
}

/// A list that has no word for being cut off.
///
/// # Errors
/// One that is longer than it can be on purpose, or has an entry that is none.
pub fn few<'de, D: Deserializer<'de>, E: ListEntry>(deserializer: D) -> Result<Vec<E>, D::Error> {
    let BoundedList { list, more, why, .. } = BoundedList::deserialize(deserializer)?;
    match (more, why) {
        (true, _) => Err(Error::custom(format!("a list has more than {} entries", E::MOST))),
        (false, Some(why)) => Err(Error::custom(why)),
        (false, None) => Ok(list),
    }
}

/// More routes than a node can have on purpose.
pub const MOST_ROUTES: usize = 1_000_000;
/// More interfaces than a node has.
pub const MOST_DEVICES: usize = 100_000;

/// Settings by interface.
///
/// # Errors
/// More interfaces than there can be on purpose.
pub fn few_devices<'de, D: Deserializer<'de>, V: DeserializeOwned>(
    deserializer: D,
) -> Result<BTreeMap<String, V>, D::Error> {
    struct Mapped<V>(PhantomData<V>);
    impl<'de, V: DeserializeOwned> Visitor<'de> for Mapped<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("settings by interface")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<BTreeMap<String, V>, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, value)) = entries.next_entry()? {
                map.insert(name, value);
                if map.len() > MOST_DEVICES {
                    return Err(Error::custom(format!("there are settings of more than {MOST_DEVICES} interfaces")));
                }
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(Mapped(PhantomData))
}

/// Of a text for people so many characters are kept.
const LONGEST_TEXT: usize = 1_000;

/// A text for people, as far as anybody reads it.
pub fn brief(text: String) -> Foreign {
    match text.char_indices().nth(LONGEST_TEXT) {
        Some((end, _)) => text.get(..end).unwrap_or_default().into(),
        None => text.into(),
    }
}
