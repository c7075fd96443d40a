//! A CIDR in the table: its block with who is in it, or its blocks in short.

use std::collections::BTreeMap;
use std::io::Result;

use super::rows::{SHOWN, row};
use crate::ledger::Use;
use crate::model::Foreign;
use crate::render::table::paper::Paper;
use crate::who::{BlockUsage, Occupant, RangeKind, RangeSheet};

/// Up to so many addresses are told one by one.
const ONE_BY_ONE: usize = 24;
/// So many addresses of a group are named.
const NAMED: usize = 8;

/// Prints what is so now.
///
/// # Errors
/// When the paper cannot be written.
pub fn write(sheet: &RangeSheet, paper: &mut Paper<'_>) -> Result<()> {
    // Those with something wrong first: of hundreds only a few are told.
    let mut blocks: Vec<&BlockUsage> = sheet.blocks.iter().collect();
    blocks.sort_by_key(|block| (std::cmp::Reverse(block.findings), block.block));
    blocks.iter().take(SHOWN).try_for_each(|usage| block(usage, paper))?;
    more(blocks.len(), SHOWN, "blocks", paper)?;
    for claim in sheet.claims.iter().filter(|_| sheet.kind != RangeKind::Blocks) {
        row(paper, "affinity", &[&claim.owner.shown(), &claim.state.shown()])?;
    }
    sheet.pools.iter().take(SHOWN).try_for_each(|pool| row(paper, "pool", &[&pool.shown()]))?;
    match sheet.occupants.as_slice() {
        few if few.len() <= ONE_BY_ONE => few.iter().try_for_each(|occupant| one(occupant, paper)),
        many => groups(many, paper),
    }
}

fn block(usage: &BlockUsage, paper: &mut Paper<'_>) -> Result<()> {
    let owner = usage.owner.as_ref().map_or("no owner".into(), |owner| owner.shown());
    let some = |number: u64, word: &str| if number > 0 { format!("{number} {word}") } else { String::new() };
    let findings = if usage.findings == 1 { "finding" } else { "findings" };
    row(
        paper,
        "block",
        &[
            &usage.block.to_string(),
            &owner,
            &format!("{} of {} allocated", usage.count.allocated, usage.size),
            &some(usage.count.borrowed, "borrowed"),
            &some(usage.count.cooling, "cooling"),
            &some(usage.count.free, "free"),
            &some(usage.count.stranded.unwrap_or_default(), "stranded"),
            &some(usage.findings, findings),
        ],
    )
}

/// What an address is used for, and by whom.
fn user(occupant: &Occupant) -> String {
    let allocation = &occupant.allocation;
    match (&allocation.owner, &allocation.handle) {
        (Some(owner), _) => owner.shown().into_owned(),
        (None, Some(handle)) if allocation.used_for != Use::Cooling => format!("handle {}", handle.shown()),
        (None, _) => allocation.used_for.word().to_owned(),
    }
}

fn one(occupant: &Occupant, paper: &mut Paper<'_>) -> Result<()> {
    let allocation = &occupant.allocation;
    let on = allocation.node.as_ref().map(|node| format!("on {}", node.shown())).unwrap_or_default();
    let cooling = if allocation.used_for == Use::Cooling { "cooling" } else { "" };
    let borrowed = if occupant.borrowed { "borrowed" } else { "" };
    row(paper, &occupant.address.to_string(), &[&user(occupant), &on, cooling, borrowed, unheld(occupant)])
}

fn unheld(occupant: &Occupant) -> &'static str {
    let is_free_for_all = matches!(occupant.allocation.used_for, Use::Cooling | Use::Windows | Use::Reserved);
    match occupant.held {
        Some(false) if !is_free_for_all => "nobody is seen to hold it",
        _ => "",
    }
}

/// Many addresses by namespace, or by what they are used for; then one by one those that somebody asks for.
fn groups(occupants: &[Occupant], paper: &mut Paper<'_>) -> Result<()> {
    let mut groups: BTreeMap<Foreign, Vec<&Occupant>> = BTreeMap::new();
    for occupant in occupants {
        groups.entry(occupant.group()).or_default().push(occupant);
    }
    let mut groups: Vec<(Foreign, Vec<&Occupant>)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, of)| std::cmp::Reverse(of.len()));
    for (group, of) in groups.iter().take(SHOWN) {
        let mut named: Vec<String> = of.iter().take(NAMED).map(|occupant| occupant.address.to_string()).collect();
        if of.len() > NAMED {
            named.push("…".to_owned());
        }
        row(paper, &of.len().to_string(), &[&group.shown(), &named.join(" ")])?;
    }
    more(groups.len(), SHOWN, "groups", paper)?;
    let odd: Vec<&Occupant> = occupants.iter().filter(|o| o.borrowed || !unheld(o).is_empty()).collect();
    odd.iter().take(SHOWN).try_for_each(|occupant| one(occupant, paper))?;
    more(odd.len(), SHOWN, "of these", paper)
}

fn more(all: usize, shown: usize, what: &str, paper: &mut Paper<'_>) -> Result<()> {
    match all.saturating_sub(shown) {
        0 => Ok(()),
        left => row(paper, "", &[&format!("… {left} more {what}, -o json shows all")]),
    }
}
