//! Handles (domain facts, section 3).

use super::json::{Bad, Pairs, object};
use super::{Kv, values};
use crate::model::handle::sanitised;
use crate::model::{Handle, HandleId, Names};

object! {
    [fold serde::de::IgnoredAny] struct RawHandle<'a> {
        counts: Pairs<'a, i64> = "block",
        deleted: bool = "deleted",
    }
}

/// The handle of a key with this id.
pub(super) fn decode(names: &mut Names, kv: &Kv<'_>, id: &str) -> Result<Handle, Bad> {
    let raw: RawHandle<'_> = super::json::parse(kv.value)?;
    let mut counts = Vec::new();
    for (block, count) in raw.counts.map(Pairs::last).unwrap_or_default() {
        let (cidr, _) = values::cidr(&block).ok_or_else(|| Bad::text(kv.value, "block", &block, "network"))?;
        counts.push((cidr, count.unwrap_or_default()));
    }
    counts.sort_by_key(|(cidr, _)| *cidr);
    Ok(Handle {
        meta: kv.meta(),
        id: HandleId::intern(names, id)
            .ok_or_else(|| Bad::new("the handle's id in the key has nothing before its \\r"))?,
        odd_id: (sanitised(id) != id).then(|| id.as_bytes().into()),
        counts: counts.into(),
        deleted: raw.deleted.unwrap_or_default(),
    })
}
