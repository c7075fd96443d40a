//! The long form of how full pools and nodes are: `--capacity`.

use std::io::Result;

use super::options::Options;
use super::paper::{BOLD, DIM, PLAIN, Paper, Text, style_of};
use crate::model::{Input, InputState, Severity};
use crate::render::capacity::{DISABLED, UNATTRIBUTED};
use crate::render::number::{grouped, number};
use crate::render::{AuditView, NodeFill, PoolRow};

/// The indent of what belongs to a pool or node.
const INDENT: usize = 2;

pub fn write(view: &AuditView<'_>, options: Options, paper: &mut Paper<'_>) -> Result<()> {
    paper.blank()?;
    paper.paragraph(0, 0, &Text::new().field(BOLD, "POOLS"))?;
    for pool in &view.pools {
        write_pool(pool, paper)?;
    }
    if view.pools.is_empty() {
        let read = view.inputs.iter().any(|i| i.input == Input::Pools && i.state == InputState::Complete);
        let none = if read { "there are none" } else { "not read" };
        paper.paragraph(INDENT, INDENT, &Text::new().field(style_of(Severity::Warning), none))?;
    }
    paper.blank()?;
    paper.paragraph(0, 0, &Text::new().field(BOLD, "NODES").field(DIM, "the biggest first, by allocated addresses"))?;
    write_nodes(view, options, paper)
}

fn write_pool(pool: &PoolRow, paper: &mut Paper<'_>) -> Result<()> {
    let title = Text::new().field(PLAIN, &pool.name.shown()).field(PLAIN, &pool.cidr);
    let title = if pool.disabled { title.then(style_of(Severity::Warning), DISABLED) } else { title };
    paper.paragraph(0, INDENT, &title)?;
    let known = |text: Text, amount: Option<u128>, word: &str| match amount {
        Some(amount) => text.field(PLAIN, &format!("{} {word}", number(amount))),
        None => text.field(style_of(Severity::Warning), &format!("{word} not known")),
    };
    let addresses = [
        (pool.allocated, "allocated"),
        (pool.in_use, "in use"),
        (pool.leaked, "leaked"),
        (pool.cooling, "cooling"),
        (pool.reserved, "reserved"),
        (pool.free, "free"),
    ];
    let total = Text::new().field(DIM, "addresses").field(PLAIN, &format!("{}:", number(pool.addresses)));
    let mut text = total;
    for (amount, word) in addresses {
        text = known(text, amount, word);
        // The parts of what is allocated add up to it.
        if let (true, Some(rest @ 1..)) = (word == "leaked", pool.unattributed) {
            text = text.field(PLAIN, &format!("{} {UNATTRIBUTED}", number(rest)));
        }
    }
    paper.paragraph(INDENT, 2 * INDENT, &hidden(text, pool.unknown))?;
    let fates = pool.fates;
    let blocks = [
        (fates.map(|f| f.absent), "absent"),
        (fates.and_then(|f| f.reclaimable), "reclaimable"),
        (fates.map(|f| f.ownerless), "ownerless"),
        (fates.map(|f| f.existing), "exist"),
    ];
    let total = Text::new().column(DIM, "blocks", 0).column(PLAIN, &format!("{}:", number(pool.blocks)), 11);
    let text = blocks.into_iter().fold(total, |text, (amount, word)| known(text, amount, word));
    let text = match stranded(pool) {
        Some(amount) => text.field(PLAIN, &amount),
        None => text,
    };
    paper.paragraph(INDENT, 2 * INDENT, &hidden(text, fates.map(|f| f.unknown)))
}

/// `2 empty on other nodes`: blocks that look free and that a new node cannot get.
pub(super) fn stranded(pool: &PoolRow) -> Option<String> {
    let amount = pool.fates?.stranded.filter(|amount| *amount > 0)?;
    Some(format!("{} empty on other nodes", number(amount)))
}

/// What does not decode, where anything does not.
fn hidden(text: Text, unknown: Option<u128>) -> Text {
    match unknown.filter(|amount| *amount > 0) {
        Some(amount) => text.field(style_of(Severity::Warning), &format!("{} not decoded", number(amount))),
        None => text,
    }
}

fn write_nodes(view: &AuditView<'_>, options: Options, paper: &mut Paper<'_>) -> Result<()> {
    let Some(nodes) = &view.nodes else {
        return paper.paragraph(INDENT, INDENT, &Text::new().field(style_of(Severity::Warning), "blocks not read"));
    };
    let widest = nodes.iter().map(|node| node.name.shown().chars().count()).max().unwrap_or(0);
    for node in nodes {
        paper.paragraph(0, 2 * INDENT, &node_line(node, widest + 2))?;
    }
    if view.more_nodes > 0 {
        let how = if options.all { "" } else { " (--all)" };
        paper.paragraph(
            0,
            0,
            &Text::new().field(DIM, &format!("… {} more nodes{how}", grouped(view.more_nodes as u64))),
        )?;
    }
    Ok(())
}

fn node_line(node: &NodeFill, column: usize) -> Text {
    let blocks = match (node.ipv4_blocks, node.ipv6_blocks) {
        (0, 0) => "no block of its own".to_owned(),
        (1, 0) => "1 block".to_owned(),
        (v4, 0) => format!("{v4} blocks"),
        (v4, v6) => format!("{v4}+{v6} blocks"),
    };
    let text = Text::new().field(PLAIN, &node.name.shown()).column(PLAIN, &blocks, column);
    let text = match node.addresses {
        0 => text,
        all => {
            text.field(PLAIN, &format!("{} of {} allocated", grouped(node.allocated as u64), number(u128::from(all))))
        }
    };
    let rest = [
        (node.leaked.unwrap_or(0), "leaked"),
        (node.cooling, "cooling"),
        (node.lent, "lent"),
        (node.borrowed, "borrowed"),
    ];
    rest.into_iter()
        .filter(|(amount, _)| *amount > 0)
        .fold(text, |text, (amount, word)| text.field(PLAIN, &format!("{} {word}", grouped(amount as u64))))
}
