//! Which release of ours gave an address back: what the first line says of one that nobody has.

use super::block;
use super::dossier::{AddressSheet, Dossier};
use super::word::Word;
use crate::ledger::Use;

/// What is added to the answer about an address; `None` when it is somebody's, or no release gave it back last.
pub fn said(asked: &Word<'_>, dossier: &Dossier) -> Option<String> {
    let address = block::address(asked)?;
    let sheet = dossier.addresses.iter().find(|sheet| sheet.address == address);
    let again = |sheet: &AddressSheet| sheet.allocations.iter().any(|a| a.used_for != Use::Cooling);
    if sheet.is_some_and(again) {
        return None;
    }
    let id = address.to_string();
    let freed = dossier.before.iter().flat_map(|before| &before.releases).filter(|freed| freed.subject == id.as_str());
    let newest = freed.max_by_key(|freed| freed.at).filter(|freed| freed.undoes.is_none())?;
    // Without the datastore the last word is an audit's or the release's.
    let seen = dossier.before.iter().flat_map(|before| &before.allocations);
    let seen = seen.filter(|i| i.row.address == address && i.span.is_open()).map(|i| i.span.last_seen.at).max();
    if sheet.is_none() && seen > Some(newest.at) {
        return None;
    }
    Some(format!("; release {} gave it back at {}", newest.release, newest.at))
}
