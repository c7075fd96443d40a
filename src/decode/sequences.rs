//! The sequence numbers of a block's allocations.

use serde::{Deserialize, Deserializer};

use super::json::GoString;
use super::pairs::Pairs;

/// By ordinal. A key that is no ordinal as Calico spells it is never looked up, and a null number is Go's 0,
/// which is what an absent one reads as: neither is there.
#[derive(Default, Debug)]
pub(super) struct Sequences(pub Box<[(u32, u64)]>);

impl<'de> Deserialize<'de> for Sequences {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Sequences, D::Error> {
        let raw = Pairs::<GoString<'de>, Option<u64>>::deserialize(deserializer)?;
        let ordinal = |key: &str| key.parse::<u32>().ok().filter(|ordinal| ordinal.to_string() == key);
        let mut list: Vec<(u32, u64)> =
            raw.last().into_iter().filter_map(|(key, number)| Some((ordinal(&key)?, number?))).collect();
        list.sort_unstable();
        Ok(Sequences(list.into()))
    }
}
