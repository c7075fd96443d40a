//! Every check that there is.

use std::sync::LazyLock;

use super::{Check, Family, addresses, affinities, blocks, capacity, datastore, endpoints, handles};
use crate::model::Code;

/// The families, by code.
pub static FAMILIES: [&Family; 7] = [
    &addresses::FAMILY,
    &handles::FAMILY,
    &blocks::FAMILY,
    &affinities::FAMILY,
    &endpoints::FAMILY,
    &capacity::FAMILY,
    &datastore::FAMILY,
];

/// Every check, by code.
pub static ALL: LazyLock<Vec<&'static Check>> =
    LazyLock::new(|| FAMILIES.iter().flat_map(|(_, checks)| checks.iter().copied()).collect());

/// Reads a code as people write it: `IPA101`, `ipa101`.
///
/// # Errors
/// Anything else; in words, with an example.
pub fn code(text: &str) -> Result<Code, String> {
    let example = addresses::duplicate_pod_address::CHECK.code;
    text.parse().map_err(|e| format!("{e}; codes look like {example}"))
}

/// The check of this code.
pub fn find(code: Code) -> Option<&'static Check> {
    let at = ALL.binary_search_by_key(&code, |check| check.code).ok()?;
    ALL.get(at).copied()
}

/// The name of the check of this code; empty for a code of another version.
pub fn name(code: Code) -> &'static str {
    find(code).map_or("", |check| check.name)
}
