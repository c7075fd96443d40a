//! `ipaudit blocks`: a line a block for people, and the document for programs.

use std::borrow::Cow;
use std::io::{BufWriter, Result, Write};

use super::capacity::DISABLED;
use super::grid::{self, Cell, Column};
use super::json::{self, TOOL};
use super::number::grouped;
use super::table::paper::{BOLD, PLAIN, Paper, Text, style_of};
use crate::blocks::{BlockListing, BlockTotals, Doubt, HiddenBlock, SCHEMA, WrongPool};
use crate::checks::datastore::undecodable_value;
use crate::ledger::Use;
use crate::model::json::in_json;
use crate::model::{Foreign, Severity};
use crate::who::{BlockUsage, Occupant, below};

/// So many codes of a block are told in the narrow table.
const CODES: usize = 4;

/// How the lines look.
#[derive(Clone, Copy, Debug)]
pub struct ListOptions {
    pub color: bool,
    pub width: usize,
    /// Every column.
    pub wide: bool,
    /// The first line, the titles, and what was not read; else the rows alone.
    pub headers: bool,
}

/// For people: the answer, then one line a block, or an address with `--borrowed`.
///
/// # Errors
/// As the writer's.
pub fn write(listing: &BlockListing, options: ListOptions, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    let ListOptions { color, width, headers, .. } = options;
    if headers {
        let answer = Text::new().field(BOLD, &listing.answer.shown());
        Paper::new(&mut out, width, color).paragraph(0, 2, &answer)?;
    }
    let (columns, rows) = match &listing.borrowed {
        Some(addresses) => (BORROWED.to_vec(), addresses.iter().map(borrowed).collect()),
        None => {
            let of_blocks = listing.blocks.iter().map(|usage| block(usage, options.wide));
            let rows: Vec<_> = of_blocks.chain(listing.undecodable.iter().map(|b| hidden(b, options.wide))).collect();
            let columns = BLOCKS.iter().filter(|(_, _, wide)| options.wide || !wide).map(|&(title, n, _)| (title, n));
            (columns.collect(), rows)
        }
    };
    if !rows.is_empty() {
        if headers {
            out.write_all(b"\n")?;
        }
        grid::write(&columns, rows.iter(), headers, color, &mut out)?;
    }
    if headers && !listing.unread.is_empty() {
        let mut paper = Paper::new(&mut out, width, color);
        paper.blank()?;
        paper.paragraph(0, 0, &Text::new().field(style_of(Severity::Warning).bold(), "NOT READ"))?;
        let mut unread = listing.unread.iter().map(|unread| below(&listing.answer, unread));
        unread.try_for_each(|u| paper.paragraph(2, 4, &Text::new().field(PLAIN, &u.shown())))?;
    }
    out.flush()
}

/// One block, or one borrowed address, a line.
///
/// # Errors
/// As the writer's.
pub fn write_lines(listing: &BlockListing, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    match &listing.borrowed {
        Some(addresses) => addresses.iter().try_for_each(|address| json::compact(address, &mut out))?,
        None => listing.blocks.iter().try_for_each(|block| json::compact(block, &mut out))?,
    }
    out.flush()
}

/// Title, whether it is a number, and whether it is told in the wide table alone.
const BLOCKS: &[(&str, bool, bool)] = &[
    ("BLOCK", false, false),
    ("POOL", false, false),
    ("OWNER", false, false),
    ("SIZE", true, false),
    ("ALLOCATED", true, false),
    ("BORROWED", true, false),
    ("COOLING", true, false),
    ("RESERVED", true, true),
    ("FREE", true, false),
    ("STRANDED", true, false),
    ("BECAUSE", false, true),
    ("CLAIMS", false, true),
    ("WRONG", false, false),
];

const BORROWED: &[Column] = &[
    ("ADDRESS", false),
    ("BORROWED-BY", false),
    ("BLOCK", false),
    ("OWNER", false),
    ("TYPE", false),
    ("ALLOCATED-TO", false),
];

/// What nobody has, in a column that is never empty.
const NONE: &str = "none";

fn plain<'t>(text: impl Into<Cow<'t, str>>) -> Cell<'t> {
    (text.into(), PLAIN)
}

fn shown(name: Option<&Foreign>) -> Cell<'_> {
    plain(name.map_or(NONE.into(), Foreign::shown))
}

/// `node-1` of `host:node-1`; a virtual owner keeps its kind.
fn owner_name(owner: &Foreign) -> String {
    let shown = owner.shown();
    shown.strip_prefix("host:").unwrap_or(&shown).to_owned()
}

/// The owner; and whoever else has confirmed that the block is his.
fn owners(usage: &BlockUsage) -> String {
    let mut names = vec![usage.owner.as_ref().map_or(NONE.to_owned(), owner_name)];
    let others =
        usage.claims.iter().filter(|claim| claim.state == "confirmed" && Some(&claim.owner) != usage.owner.as_ref());
    names.extend(others.map(|claim| owner_name(&claim.owner)));
    names.join(",")
}

/// The pool, in one word also where it is disabled: columns are cut at blanks.
fn pool(usage: &BlockUsage) -> Cell<'_> {
    match usage.pool.as_ref().filter(|_| usage.pool_disabled) {
        Some(pool) => (format!("{}{DISABLED}", pool.shown()).into(), style_of(Severity::Warning)),
        None => shown(usage.pool.as_ref()),
    }
}

fn block(usage: &BlockUsage, wide: bool) -> Vec<Cell<'_>> {
    let count = &usage.count;
    let number = |number: u64| plain(grouped(number));
    let mut cells = vec![
        plain(usage.block.to_string()),
        pool(usage),
        plain(owners(usage)),
        number(usage.size),
        number(count.allocated),
        number(count.borrowed),
        number(count.cooling),
    ];
    cells.extend(wide.then(|| number(count.reserved)));
    cells.push(number(count.free));
    cells.push(count.stranded.map_or_else(|| plain("?"), number));
    if wide {
        let claims = usage.claims.iter().map(|claim| format!("{}={}", owner_name(&claim.owner), claim.state.shown()));
        let claims = claims.collect::<Vec<_>>().join(",");
        cells.push(plain(count.because.map_or(NONE, |why| why.word())));
        cells.push(plain(if claims.is_empty() { NONE.to_owned() } else { claims }));
    }
    cells.push(wrong(usage, if wide { usize::MAX } else { CODES }));
    cells
}

/// `IPA101 IPA110×3`; a question mark where one look alone saw it.
fn wrong(usage: &BlockUsage, most: usize) -> Cell<'static> {
    let code = |wrong: &crate::who::WrongInBlock| {
        let times = if wrong.count > 1 { format!("×{}", wrong.count) } else { String::new() };
        let doubt = if wrong.unconfirmed == wrong.count { "?" } else { "" };
        format!("{}{times}{doubt}", wrong.code)
    };
    let mut codes: Vec<String> = usage.wrong.iter().take(most).map(code).collect();
    if usage.wrong.len() > most {
        codes.push(format!("+{}", usage.wrong.len() - most));
    }
    (codes.join(" ").into(), usage.wrong.first().map_or(PLAIN, |worst| style_of(worst.severity)))
}

fn hidden(block: &HiddenBlock, wide: bool) -> Vec<Cell<'_>> {
    let name = block.block.map_or_else(|| block.key.shown().into_owned(), |block| block.to_string());
    let unknown = BLOCKS.iter().filter(|(_, _, in_wide)| wide || !in_wide).count().saturating_sub(2);
    let mut cells = vec![plain(name)];
    cells.extend(std::iter::repeat_n(plain("?"), unknown));
    let check = &undecodable_value::CHECK;
    cells.push((check.code.to_string().into(), style_of(check.severity)));
    cells
}

fn borrowed(address: &Occupant) -> Vec<Cell<'_>> {
    let allocation = &address.allocation;
    let to = match (&allocation.owner, &allocation.handle) {
        (Some(owner), _) => shown(Some(owner)),
        (None, Some(handle)) if allocation.used_for != Use::Cooling => plain(format!("handle:{}", handle.shown())),
        (None, _) => plain(NONE),
    };
    vec![
        plain(address.address.to_string()),
        shown(allocation.node.as_ref()),
        plain(allocation.block.to_string()),
        plain(allocation.affinity.as_ref().map_or(NONE.to_owned(), owner_name)),
        plain(allocation.used_for.word()),
        to,
    ]
}

in_json!(|listing: &BlockListing| {
    "schema": SCHEMA,
    "tool": TOOL,
    "answer": listing.answer,
    "judged_at": listing.judged_at,
    "etcd_revision": listing.etcd_revision,
    "narrowed_by": listing.narrowed_by,
    "unknown": listing.unknown,
    "counts": listing.totals,
    "blocks": listing.blocks,
    "undecodable": listing.undecodable,
    "pools": listing.pools,
    "borrowed": listing.borrowed,
    "unread": listing.unread,
    "exit_code": listing.exit_code,
});

in_json!(|all: &BlockTotals| {
    "blocks": all.blocks,
    "addresses": all.addresses,
    "allocated": all.count.allocated,
    "borrowed": all.count.borrowed,
    "cooling": all.count.cooling,
    "reserved": all.count.reserved,
    "free": all.count.free,
    "stranded": all.count.stranded,
    "wrong": all.wrong,
    "suspected": all.suspected,
    "wrong_pools": all.wrong_pools,
});

in_json!(|wrong: &WrongPool| {
    "pool": wrong.pool,
    "code": wrong.code,
    "severity": wrong.severity,
    "summary": wrong.summary,
    "advice": wrong.advice,
});

in_json!(|doubt: &Doubt| { "kind": doubt.kind, "name": doubt.name, "near": doubt.near });

in_json!(|hidden: &HiddenBlock| { "block": hidden.block, "key": hidden.key, "reason": hidden.reason });
