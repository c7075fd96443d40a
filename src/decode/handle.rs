//! Handles (domain facts, section 3).

use super::json::{Bad, GoString, object};
use super::pairs::Pairs;
use super::{Kv, quick, values};
use crate::model::handle::sanitised;
use crate::model::{Handle, HandleFields, HandleId, Names};

object! {
    [fold serde::de::IgnoredAny] struct RawHandle<'a> {
        counts: Pairs<GoString<'a>, Option<i64>> = "block",
        deleted: bool = "deleted",
    }
}

/// The handle of a key with this id.
pub(super) fn decode(names: &mut Names, kv: &Kv<'_>, id: &str) -> Result<Handle, Bad> {
    let raw: RawHandle<'_> = match quick::handle(kv.value) {
        Some(usual) => usual,
        None => super::json::parse(kv.value)?,
    };
    let mut counts = Vec::new();
    for (block, count) in raw.counts.map(Pairs::last).unwrap_or_default() {
        let (cidr, _) = values::cidr(&block).ok_or_else(|| Bad::text(kv.value, "block", &block, "network"))?;
        counts.push((cidr, count.unwrap_or_default()));
    }
    counts.sort_by_key(|(cidr, _)| *cidr);
    let fields = HandleFields {
        meta: kv.meta(),
        id: HandleId::intern(names, id)
            .ok_or_else(|| Bad::new("the handle's id in the key has nothing before its \\r"))?,
        odd_id: (sanitised(id) != id).then(|| id.as_bytes().into()),
        counts: counts.into(),
        deleted: raw.deleted.unwrap_or_default(),
    };
    Ok(fields.into())
}

#[cfg(test)]
mod tests {
    use crate::decode::keys::{handle_key, key_of};
    use crate::decode::testing::{bad, snapshot};
    use crate::model::snapshot::Dark;
    use crate::model::{HandleId, Input};

    #[test]
    fn counts_are_masked_sorted_and_never_merged() {
        let value = r#"{"block":{"fd00::/122":1,"10.0.0.64/26":2,"10.0.0.7/26":3,"10.0.0.0/26":9223372036854775807,
            "10.0.1.0\/26":null,"10.0.2.0/26":-1},"deleted":true}"#;
        let snapshot = snapshot(&[(&handle_key("k8s-pod-network.3f2c"), value)]);
        let handle = &snapshot.handles[0];
        let counts: Vec<String> = handle.counts().iter().map(|(cidr, n)| format!("{cidr}={n}")).collect();
        let want = [
            "10.0.0.0/26=9223372036854775807",
            "10.0.0.0/26=3",
            "10.0.0.64/26=2",
            "10.0.1.0/26=0",
            "10.0.2.0/26=-1",
            "fd00::/122=1",
        ];
        assert_eq!(counts, want);
        assert!(handle.deleted() && handle.odd_id().is_none());
    }

    #[test]
    fn a_malformed_id_is_sanitised_and_kept() {
        for id in ["k8s-pod-network.3f2c\r\neth0", "k8s-pod-network.3f2c\r"] {
            let snapshot = snapshot(&[(&handle_key(id), "{}")]);
            let handle = &snapshot.handles[0];
            assert_eq!(handle.id.text(&snapshot.names), "k8s-pod-network.3f2c");
            assert_eq!(handle.odd_id(), Some(id.as_bytes()));
            assert_eq!(key_of(&snapshot.names, handle), handle_key(id).as_bytes());
        }
        assert_eq!(bad(&handle_key("\r\neth0"), "{}").dark, []);
    }

    #[test]
    fn a_handle_that_cannot_be_read_is_known_to_exist() {
        for value in [r#"{"block":[]}"#, r#"{"block":{"x":1}}"#, r#"{"block":{"10.0.0.0/26":1.5}}"#, "x"] {
            let mut snapshot = snapshot(&[(&handle_key("net.3f2c\reth0"), value)]);
            let bad = snapshot.bad_values.pop().unwrap();
            let id = HandleId::intern(&mut snapshot.names, "net.3f2c").unwrap();
            assert_eq!((bad.input, bad.dark), (Input::Handles, vec![Dark::Handle(id)]), "{value}");
        }
    }
}
