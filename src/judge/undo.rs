//! The state of things around a release that is to be undone, and what of it can be put back.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::claimer;
use crate::ledger::{Claim, Claimant, Grade, Ledger, Use};
use crate::model::{Addr, Cidr, Name};
use crate::plan::circumstances::{Claimer, Fork, Ground, HolderNow};
use crate::plan::confirm::{Candidate, Plan, Work};
use crate::plan::refusal::{Note, NothingBack, Objection, Refusal};
use crate::plan::undo::{Back, Site, UndoStanding, Undoing, Written, refusals};

/// A release as the history recorded it.
#[derive(Clone, Debug)]
pub struct PastWrites {
    pub id: i64,
    /// Its GUID and Kubernetes UID are those of now.
    pub same_pair: bool,
    /// An audit since then saw the datastore go back.
    pub forked_since: bool,
    /// It never said how it ended.
    pub under_way: bool,
    /// Nobody knows what became of one of its transactions.
    pub unknown: bool,
    /// The keys of each of its transactions that was done.
    pub written: Vec<Vec<Written>>,
    /// Addresses that earlier undos of it have put back.
    pub put_back: BTreeSet<String>,
}

/// Judges an undo. Refusals and notes go into the plan; what may be put back comes back, without its bytes.
pub fn judge(release: &PastWrites, ledger: &Ledger<'_>, fork: Option<Fork>, plan: &mut Plan) -> Vec<Candidate> {
    let subject = format!("release {}", release.id);
    let mut undone = false;
    let mut undoings = Vec::new();
    let mut nothing = NothingBack::WroteNothing;
    for (written, number) in release.written.iter().zip(1..) {
        match Undoing::of(&format!("{subject}, transaction {number}"), written) {
            // An undo that was stopped goes on where it stopped.
            Ok(undoing) if undoing.places.iter().all(|p| release.put_back.contains(&p.address.to_string())) => {
                undone = true;
            }
            Ok(undoing) => undoings.push(undoing),
            Err(why) => nothing = why,
        }
    }
    let undone = undone && undoings.is_empty();
    if undoings.is_empty() && !undone {
        plan.refusals.push(Refusal::new(subject, Objection::NothingBack(nothing)));
        return Vec::new();
    }
    let standing = UndoStanding {
        same_pair: release.same_pair,
        fork: release.forked_since.then_some(Fork::SinceRelease).or(fork),
        under_way: release.under_way,
        unknown: release.unknown,
        undone,
        holders: holders(ledger, undoings.iter().flat_map(|u| &u.places)),
        sites: undoings.iter().flat_map(|u| u.deleted.keys()).map(|cidr| (*cidr, site(ledger, *cidr))).collect(),
    };
    plan.refusals.extend(refusals(&subject, &standing));
    // The new holder's pod is the one to restart.
    plan.notes.extend(standing.holders.iter().filter_map(|(address, holding)| match &holding.who {
        Claimer::Pod(namespace, name) => {
            let names = &ledger.snapshot.names;
            let pod = ledger.pod(names.find(namespace.raw())?, names.find(name.raw())?)?;
            // One that ends already is not restarted.
            let note = || Note::Restart(*address, namespace.clone(), name.clone(), pod.comeback());
            (!pod.is_terminating()).then(note)
        }
        _ => None,
    }));
    if !plan.refusals.is_empty() {
        return Vec::new();
    }
    let candidate = |undoing| Candidate {
        work: Work::Undo(undoing),
        grounds: vec![Ground::Undone(release.id)],
        holders: Vec::new(),
        again: Vec::new(),
        sandboxes: Vec::new(),
    };
    undoings.into_iter().map(candidate).collect()
}

/// Whether a claim is the owner's own, which the release has wronged.
fn is_own(ledger: &Ledger<'_>, claim: &Claim, place: &Back) -> bool {
    let Some((namespace, pod)) = &place.owner else { return false };
    let is = |ns: Name, name: Name| ledger.text(ns) == namespace && ledger.text(name) == pod;
    let snapshot = ledger.snapshot;
    match claim.by {
        Claimant::Pod(i) => snapshot.pods.get(i as usize).is_some_and(|p| is(p.namespace, p.name)),
        Claimant::Endpoint(i) => snapshot.endpoints.get(i as usize).is_some_and(|e| {
            let container = ledger.text(e.container);
            let same = place.handle.as_deref().is_some_and(|h| h.rsplit('.').next() == Some(container));
            is(e.namespace, e.pod) && same
        }),
        _ => false,
    }
}

/// Who else holds one of the addresses now, certainly or possibly.
fn holders<'b>(ledger: &Ledger<'_>, places: impl Iterator<Item = &'b Back>) -> Vec<(Addr, HolderNow)> {
    let mut found: BTreeMap<(Addr, Claimer), Grade> = BTreeMap::new();
    for place in places {
        let address = place.address;
        let others = ledger.claims_at(address).iter().filter(|c| c.grade != Grade::Stale && !is_own(ledger, c, place));
        found.extend(others.map(|claim| ((address, claimer(ledger, claim)), claim.grade)));
        for allocation in ledger.allocations_at(address).iter().filter(|a| a.used_for != Use::Cooling) {
            let handle = ledger.handle_of(allocation).map(|h| h.text(&ledger.snapshot.names)).unwrap_or_default();
            found.insert((address, Claimer::Handle(handle.into())), Grade::Certain);
        }
    }
    found.into_iter().map(|((address, who), grade)| (address, HolderNow { who, grade })).collect()
}

fn site(ledger: &Ledger<'_>, cidr: Cidr) -> Site {
    let pools = &ledger.snapshot.pools;
    Site {
        pool_covers: pools.iter().any(|p| p.cidr.covers(cidr) && p.block_size == cidr.prefix() && p.deleting.is_none()),
        overlapped: ledger.snapshot.blocks.iter().any(|b| b.cidr.overlaps(cidr)),
        claimed: ledger.affinities_for(cidr).next().is_some(),
    }
}

#[cfg(test)]
mod tests;
