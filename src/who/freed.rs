//! Which release of ours gave something back: what the first line says of an address that nobody has, and of what is gone.

use super::block;
use super::dossier::{AddressSheet, Dossier, Match, MatchKind};
use super::word::Word;
use crate::ledger::Use;
use crate::model::given_back::GivenBack;
use crate::model::row::{AllocationRow, Interval};
use crate::model::{Addr, SubjectKind, Time};

/// What is added to the answer; `None` when it is somebody's or is there, or no release gave it back last.
pub fn said(asked: &Word<'_>, dossier: &Dossier) -> Option<String> {
    match block::address(asked) {
        Some(address) => of_address(address, dossier),
        None => of_what_is_gone(dossier),
    }
}

fn of_address(address: Addr, dossier: &Dossier) -> Option<String> {
    let sheet = dossier.addresses.iter().find(|sheet| sheet.address == address);
    let again = |sheet: &AddressSheet| sheet.allocations.iter().any(|a| a.used_for != Use::Cooling);
    if sheet.is_some_and(again) {
        return None;
    }
    let id = address.to_string();
    let newest = newest(dossier, |freed| freed.subject == id.as_str())?;
    // Without the datastore the last word is an audit's or the release's.
    let is_of = |i: &&Interval<AllocationRow>| i.row.address == address;
    if sheet.is_none() && seen(dossier, is_of) > Some(newest.at) {
        return None;
    }
    Some(format!("; release {} gave it back at {}", newest.release, newest.at))
}

/// A pod or a handle of which nothing is there any more: its addresses and its handle are what the history has of it.
fn of_what_is_gone(dossier: &Dossier) -> Option<String> {
    // Of a handle that is gone there is a sheet all the same.
    let is_gone =
        |m: &Match| m.kind == MatchKind::Handle && dossier.handles.iter().all(|h| !h.exists && h.addresses.is_empty());
    if !dossier.matches.iter().all(is_gone) || dossier.range.is_some() {
        return None;
    }
    let newest = newest(dossier, |freed| freed.kind == SubjectKind::Address)
        .or_else(|| newest(dossier, |freed| freed.kind == SubjectKind::Handle))?;
    if dossier.etcd_revision.is_none() && seen(dossier, |_| true) > Some(newest.at) {
        return None;
    }
    let what = if newest.kind == SubjectKind::Address { newest.subject.raw() } else { "it" };
    Some(format!("; release {} gave {what} back at {}", newest.release, newest.at))
}

/// The last release or undo of these, where it is a release.
fn newest(dossier: &Dossier, is_of: impl Fn(&&GivenBack) -> bool) -> Option<&GivenBack> {
    let freed = dossier.before.iter().flat_map(|before| &before.releases).filter(is_of);
    freed.max_by_key(|freed| freed.at).filter(|freed| freed.undoes.is_none())
}

/// When an audit saw these allocations last that no audit has seen end.
fn seen(dossier: &Dossier, is_of: impl Fn(&&Interval<AllocationRow>) -> bool) -> Option<Time> {
    let all = dossier.before.iter().flat_map(|before| &before.allocations).filter(is_of);
    all.filter(|i| i.span.is_open()).map(|i| i.span.last_seen.at).max()
}
