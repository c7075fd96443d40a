//! IP pools and reservations (domain facts, section 1).

use super::json::{Bad, GoString, given, object};
use super::{Kv, values};
use crate::model::{Cidr, Names, Pool, Reservation};

object! {
    [fold serde::de::IgnoredAny] struct RawPoolSpec<'a> {
        cidr: GoString<'a> = "cidr",
        block_size: i64 = "blockSize",
        disabled: bool = "disabled",
        mode: GoString<'a> = "assignmentMode",
        node_selector: GoString<'a> = "nodeSelector",
        namespace_selector: GoString<'a> = "namespaceSelector",
        uses: Vec<Option<GoString<'a>>> = "allowedUses",
    }

    [fold serde::de::IgnoredAny] struct RawReservationSpec<'a> {
        cidrs: Vec<Option<GoString<'a>>> = "reservedCIDRs",
    }
}

/// The pool of a key with this name.
pub(super) fn decode_pool(names: &mut Names, kv: &Kv<'_>, name: &str) -> Result<Pool, Bad> {
    let (metadata, spec): (_, RawPoolSpec<'_>) = super::json::resource(kv.value)?;
    let written = given(&spec.cidr).ok_or_else(|| Bad::new("the pool has no cidr"))?;
    let (cidr, _) = values::cidr(written).ok_or_else(|| Bad::text(kv.value, "spec: cidr", written, "network"))?;
    let block_size = block_size(cidr, spec.block_size.unwrap_or_default())?;
    let (created, deleting) = values::metadata(kv.value, &metadata)?;
    let uses = spec.uses.unwrap_or_default();
    let has = |word: &str| uses.iter().flatten().any(|u| &**u == word);
    Ok(Pool {
        meta: kv.meta(),
        name: names.intern(name),
        cidr,
        block_size,
        disabled: spec.disabled.unwrap_or_default(),
        manual: given(&spec.mode) == Some("Manual"),
        node_selector: names.intern(given(&spec.node_selector).unwrap_or_default()),
        namespace_selector: names.intern(given(&spec.namespace_selector).unwrap_or_default()),
        workloads: uses.is_empty() || has("Workload"),
        tunnels: uses.is_empty() || has("Tunnel"),
        load_balancers: has("LoadBalancer"),
        created,
        deleting,
    })
}

/// The prefix length of the pool's blocks: 20 to 32 or 116 to 128; 0 is Go's "not given".
fn block_size(cidr: Cidr, given: i64) -> Result<u8, Bad> {
    let (range, default) = if cidr.is_v4() { (20..=32, 26) } else { (116..=128, 122) };
    match u8::try_from(given) {
        Ok(0) => Ok(default),
        Ok(size) if range.contains(&size) => Ok(size),
        _ => Err(Bad::new(format!("spec: blockSize {given} is not between {} and {}", range.start(), range.end()))),
    }
}

/// The reservation of a key with this name.
pub(super) fn decode_reservation(names: &mut Names, kv: &Kv<'_>, name: &str) -> Result<Reservation, Bad> {
    let (metadata, spec): (_, RawReservationSpec<'_>) = super::json::resource(kv.value)?;
    let (created, _) = values::metadata(kv.value, &metadata)?;
    let mut cidrs = Vec::new();
    for text in spec.cidrs.unwrap_or_default() {
        let text = text.as_deref().unwrap_or_default();
        let (cidr, _) =
            values::cidr(text).ok_or_else(|| Bad::text(kv.value, "spec: reservedCIDRs", text, "network"))?;
        cidrs.push(cidr);
    }
    Ok(Reservation { meta: kv.meta(), name: names.intern(name), cidrs: cidrs.into(), created })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::keys::{POOLS, RESERVATIONS, key_of};
    use crate::decode::testing::{bad, snapshot};
    use crate::model::snapshot::Dark;
    use crate::model::{Input, Name};

    fn pool(spec: &str) -> Pool {
        let key = format!("{POOLS}p");
        let mut snapshot = snapshot(&[(&key, &format!(r#"{{"spec":{{{spec}}}}}"#))]);
        assert!(snapshot.bad_values.is_empty(), "{:?}", snapshot.bad_values);
        let pool = snapshot.pools.pop().unwrap();
        assert_eq!(key_of(&snapshot.names, &pool), key.as_bytes());
        pool
    }

    #[test]
    fn what_is_absent_is_calicos_default() {
        let bare = pool(r#""cidr":"10.77.0.0/16""#);
        assert_eq!((bare.cidr.to_string().as_str(), bare.block_size), ("10.77.0.0/16", 26));
        assert!(bare.workloads && bare.tunnels && !bare.load_balancers && !bare.disabled && !bare.manual);
        assert!(bare.node_selector.is_none() && bare.namespace_selector.is_none() && bare.assigns_automatically());
        assert_eq!(pool(r#""cidr":"fd00::/64","blockSize":0"#).block_size, 122);
        assert_eq!(pool(r#""cidr":"fd00::/64","blockSize":null,"allowedUses":[]"#).block_size, 122);
        assert_eq!(pool(r#""cidr":"10.77.3.0/16""#).cidr, bare.cidr);
    }

    #[test]
    fn what_is_given_is_taken() {
        let given = pool(
            r#""cidr":"10.0.0.0/24","blockSize":28,"disabled":true,"assignmentMode":"Manual","nodeSelector":"all()",
            "namespaceSelector":"x","allowedUses":["LoadBalancer","Future"]"#,
        );
        assert!(given.block_size == 28 && given.disabled && given.manual && given.load_balancers);
        assert!(!given.workloads && !given.tunnels);
        assert!(given.node_selector != Name::NONE && given.namespace_selector != Name::NONE);
    }

    #[test]
    fn deletion_is_seen_and_wrong_pools_are_bad() {
        let value = r#"{"metadata":{"deletionTimestamp":"2026-11-24T12:12:52Z"},"spec":{"cidr":"10.0.0.0/24"}}"#;
        assert!(snapshot(&[(&format!("{POOLS}p"), value)]).pools[0].deleting.is_some());
        let wrong = [
            "",
            r#""cidr":"10.0.0.0""#,
            r#""cidr":"x""#,
            r#""cidr":"10.0.0.0/24","blockSize":19"#,
            r#""cidr":"10.0.0.0/24","blockSize":33"#,
            r#""cidr":"10.0.0.0/24","blockSize":122"#,
            r#""cidr":"fd00::/64","blockSize":26"#,
            r#""cidr":"10.0.0.0/24","blockSize":282"#,
            r#""cidr":"10.0.0.0/24","blockSize":"26""#,
            r#""cidr":"10.0.0.0/24","allowedUses":"Workload""#,
        ];
        for spec in wrong {
            let bad = bad(&format!("{POOLS}p"), &format!(r#"{{"spec":{{{spec}}}}}"#));
            assert_eq!((bad.input, bad.dark), (Input::Pools, vec![Dark::All(Input::Pools)]), "{spec}");
        }
    }

    #[test]
    fn reservations() {
        let key = format!("{RESERVATIONS}r");
        let snapshot = snapshot(&[(&key, r#"{"spec":{"reservedCIDRs":["10.71.84.130/32","10.71.250.7/24"]}}"#)]);
        let texts: Vec<String> = snapshot.reservations[0].cidrs.iter().map(Cidr::to_string).collect();
        assert_eq!(texts, ["10.71.84.130/32", "10.71.250.0/24"]);
        assert_eq!(key_of(&snapshot.names, &snapshot.reservations[0]), key.as_bytes());
        for list in [r#""10.0.0.0/8""#, r#"["10.0.0.1"]"#, r#"[null]"#] {
            let bad = bad(&key, &format!(r#"{{"spec":{{"reservedCIDRs":{list}}}}}"#));
            assert_eq!(bad.dark, [Dark::All(Input::Pools)], "{list}");
        }
    }
}
