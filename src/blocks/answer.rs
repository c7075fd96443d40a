//! The first line: one sentence that answers, and claims no more than what was read.

use std::collections::BTreeSet;

use super::listing::{BlockListing, Doubt};
use crate::checks::evidence::count;
use crate::model::foreign::foreign;
use crate::model::near::did_you_mean;
use crate::model::{Foreign, Input, InputState, Snapshot};
use crate::who::Occupant;

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
        many => format!("; {many} blocks do not decode"),
    };
    let said = match &listing.borrowed {
        Some(addresses) => borrowed(addresses, &narrowed),
        None => blocks(listing, &narrowed),
    };
    let unread = if listing.unread.is_empty() { "" } else { "; not everything was read" };
    foreign!("{}{hidden}{unread}", said)
}

fn blocks(listing: &BlockListing, narrowed: &Foreign) -> Foreign {
    let all = &listing.totals;
    if all.blocks == 0 {
        return foreign!("no block{}", narrowed);
    }
    let stranded = match all.count.stranded {
        Some(0) => String::new(),
        Some(number) => format!(", {number} of them stranded"),
        None => ", nobody can say how many of them are stranded".to_owned(),
    };
    let number = |number: u64| count(usize::try_from(number).unwrap_or(usize::MAX), "block");
    let wrong = match (all.wrong, all.suspected) {
        // Of what was not read nobody says that all is well.
        (0, 0) if !listing.unread.is_empty() => String::new(),
        (0, 0) => "; nothing wrong in them".to_owned(),
        (wrong, 0) => format!("; {wrong} with something wrong"),
        (0, suspected) => format!("; {suspected} in which one look saw something wrong"),
        (wrong, suspected) => {
            format!("; {wrong} with something wrong, and {suspected} in which one look saw something")
        }
    };
    let (blocks, free, size) = (number(all.blocks), all.count.free, all.addresses);
    foreign!("{blocks}{}: {free} of {size} addresses free{stranded}{wrong}", narrowed)
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
            let number = if number == 1 { "1 address".to_owned() } else { format!("{number} addresses") };
            let of = format!("{} of {}", count(blocks.len(), "block"), count(owners, "node"));
            foreign!("{number} borrowed{}: by {} from {of}", narrowed, count(nodes, "node"))
        }
    }
}

impl Doubt {
    /// A sentence.
    fn says(&self) -> Foreign {
        foreign!("no {} is called {} here{}", self.kind, self.name, did_you_mean(&self.near))
    }
}
