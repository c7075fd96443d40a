//! Lists of others, as long as they can be on purpose: three bytes of a document may become hundreds in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// What stands in a list.
pub trait Entry: DeserializeOwned {
    /// So many of them at most.
    const MOST: usize;
}

impl Entry for String {
    const MOST: usize = 4_096;
}

/// A list; of one that is longer than it can be on purpose no more than that is kept.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Few<E> {
    pub list: Vec<E>,
    /// There were more.
    #[serde(skip)]
    pub more: bool,
}

impl<'de, E: Entry> Deserialize<'de> for Few<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Few<E>, D::Error> {
        deserializer.deserialize_seq(Listed(PhantomData))
    }
}

struct Listed<E>(PhantomData<E>);

impl<'de, E: Entry> Visitor<'de> for Listed<E> {
    type Value = Few<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Few<E>, A::Error> {
        let mut list = Vec::new();
        while list.len() < E::MOST {
            match entries.next_element()? {
                Some(entry) => list.push(entry),
                None => return Ok(Few { list, more: false }),
            }
        }
        let mut more = false;
        while entries.next_element::<IgnoredAny>()?.is_some() {
            more = true;
        }
        Ok(Few { list, more })
    }
}

/// A list that has no word for being cut off.
///
/// # Errors
/// One that is longer than it can be on purpose.
pub fn few<'de, D: Deserializer<'de>, E: Entry>(deserializer: D) -> Result<Vec<E>, D::Error> {
    let Few { list, more } = Few::deserialize(deserializer)?;
    if more { Err(Error::custom(format!("a list has more than {} entries", E::MOST))) } else { Ok(list) }
}

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
