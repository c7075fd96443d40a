//! The first line: one sentence that answers, and claims no more than what was read.

use std::collections::BTreeSet;

use super::listing::BlockListing;
use crate::checks::evidence::count;
use crate::model::foreign::foreign;
use crate::model::number::grouped;
use crate::model::{Foreign, Input, InputState, Snapshot};
use crate::who::{Occupant, what_was_not_read};

/// About a listing that has everything but this.
pub fn of(listing: &BlockListing, snapshot: &Snapshot) -> Foreign {
    let coverage = &snapshot.coverage;
    if !matches!(coverage.state(Input::Blocks), InputState::Complete | InputState::Partial) {
        return foreign!("BLIND: the blocks were not read ({})", coverage.why(Input::Blocks));
    }
    if let Some(doubt) = listing.unknown.first() {
        return doubt.says();
    }
    let narrowed = match listing.narrowed_by.as_slice() {
        [] => Foreign::default(),
        flags => foreign!(" ({})", Foreign::joined(flags, " ")),
    };
    let hidden = match listing.undecodable.len() {
        0 => String::new(),
        1 => "; 1 block does not decode".to_owned(),
        many => format!("; {} blocks do not decode", grouped(many as u64)),
    };
    let said = match &listing.borrowed {
        Some(addresses) => borrowed(addresses, &narrowed),
        None => blocks(listing, &narrowed),
    };
    let pools = if listing.borrowed.is_some() { Foreign::default() } else { pools(listing) };
    let blind = what_was_not_read(snapshot).filter(|_| !listing.unread.is_empty());
    let blind = blind.map(|why| foreign!("BLIND: {}; ", why)).unwrap_or_default();
    let unread = if listing.unread.is_empty() || !blind.is_empty() { "" } else { "; not everything was read" };
    foreign!("{}{}{}{hidden}{unread}", blind, pools, said)
}

fn blocks(listing: &BlockListing, narrowed: &Foreign) -> Foreign {
    let all = &listing.totals;
    if all.blocks == 0 {
        return foreign!("no block{}", narrowed);
    }
    let stranded = match all.count.stranded {
        Some(0) => String::new(),
        Some(number) => format!(", {} of them stranded", grouped(number)),
        None => ", nobody can say how many of them are stranded".to_owned(),
    };
    let number = |number: u64| count(usize::try_from(number).unwrap_or(usize::MAX), "block");
    let wrong = match (all.wrong, all.suspected) {
        // Of what was not read nobody says that all is well.
        (0, 0) if !listing.unread.is_empty() => String::new(),
        (0, 0) if !listing.pools.is_empty() => "; nothing wrong in the blocks themselves".to_owned(),
        (0, 0) => "; nothing wrong in them".to_owned(),
        (wrong, 0) => format!("; {} with something wrong", grouped(wrong)),
        (0, suspected) => format!("; {} in which one look saw something wrong", grouped(suspected)),
        (wrong, suspected) => {
            format!(
                "; {} with something wrong, and {} in which one look saw something",
                grouped(wrong),
                grouped(suspected)
            )
        }
    };
    let (blocks, free, size) = (number(all.blocks), grouped(all.count.free), grouped(all.addresses));
    foreign!("{blocks}{}: {free} of {size} addresses free{stranded}{wrong}", narrowed)
}

/// `pool pods: none of 4 blocks is free … (IPA602); `: what is wrong with pools comes before what their blocks have.
fn pools(listing: &BlockListing) -> Foreign {
    let Some(worst) = listing.pools.first() else { return Foreign::default() };
    let others = match listing.totals.wrong_pools {
        0 | 1 => String::new(),
        many => format!("{} pools with something wrong, ", grouped(many)),
    };
    let code = worst.code;
    foreign!("{others}pool {}: {} ({code}); ", worst.pool, worst.summary)
}

fn borrowed(addresses: &[Occupant], narrowed: &Foreign) -> Foreign {
    let different =
        |what: fn(&Occupant) -> Option<&Foreign>| addresses.iter().filter_map(what).collect::<BTreeSet<_>>();
    let nodes = different(|address| address.allocation.node.as_ref()).len();
    let owners = different(|address| address.allocation.affinity.as_ref()).len();
    let blocks: BTreeSet<_> = addresses.iter().map(|address| address.allocation.block).collect();
    match addresses.len() {
        0 => foreign!("no address is borrowed{}", narrowed),
        number => {
            let number =
                if number == 1 { "1 address".to_owned() } else { format!("{} addresses", grouped(number as u64)) };
            let of = format!("{} of {}", count(blocks.len(), "block"), count(owners, "node"));
            foreign!("{number} borrowed{}: by {} from {of}", narrowed, count(nodes, "node"))
        }
    }
}
