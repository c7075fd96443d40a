//! The first lines: the verdict; then whose cluster at which moment, how much there is, the pools.

use std::io::Result;

use super::capacity;
use super::options::Options;
use super::paper::{BOLD, COMMAND, DIM, GOOD, PLAIN, Paper, Text, short_ids, style_of};
use crate::model::{InputState, Severity};
use crate::render::age::{moment, took};
use crate::render::capacity::{DISABLED, NO_BLOCK, UNATTRIBUTED};
use crate::render::number::{grouped, number};
use crate::render::verdict::{Sentence, Tone, verdict};
use crate::render::{AuditView, PoolRow};

/// So many pools are shown without `--all`: the fullest.
const POOLS: usize = 8;
/// Cells of a pool's bar.
const CELLS: usize = 10;

pub fn write(view: &AuditView<'_>, options: Options, paper: &mut Paper<'_>) -> Result<()> {
    for sentence in verdict(view) {
        say(&sentence, paper)?;
    }
    paper.paragraph(0, 2, &title(view))?;
    paper.paragraph(0, 2, &counts(view))?;
    if options.capacity { capacity::write(view, options, paper) } else { pools(view, options, paper) }
}

/// A sentence of the verdict, and its command on a line of its own, where it has room: a longer one stands with its
/// finding.
fn say(sentence: &Sentence, paper: &mut Paper<'_>) -> Result<()> {
    let (lead, style) = match sentence.tone {
        Tone::Blind => ("BLIND:", style_of(Severity::Warning).bold()),
        Tone::Critical => ("CRITICAL:", style_of(Severity::Critical)),
        Tone::Error => ("ERROR:", style_of(Severity::Error).bold()),
        Tone::Minor | Tone::Well => ("", PLAIN),
    };
    let rest = if sentence.tone == Tone::Well { GOOD } else { PLAIN };
    let text = Text::new().field(style, lead).then(rest, &short_ids(&sentence.text.shown()));
    paper.paragraph(0, 2, &text)?;
    match sentence.command.as_ref().map(|command| Text::new().whole(COMMAND, &command.shown())) {
        Some(command) if command.width() + 2 <= paper.width => paper.paragraph(2, 2, &command),
        _ => Ok(()),
    }
}

fn title(view: &AuditView<'_>) -> Text {
    let (cluster, audit) = (&view.cluster, &view.audit);
    let guid = cluster.guid.short(12);
    let guid = guid.shown();
    let mut text = match &cluster.name {
        None => Text::new().field(BOLD, "datastore").then(BOLD, &guid),
        Some(name) => Text::new().field(BOLD, &name.shown()).then(PLAIN, &format!("({guid})")),
    };
    if let Some(version) = &cluster.calico_version {
        text = text.field(PLAIN, &format!("Calico {}", version.shown()));
    }
    text = text.field(PLAIN, &format!("etcd revision {}", audit.etcd_revision));
    text = text.field(PLAIN, &audit.started.to_chrono().format("%-d %b %H:%M:%SZ").to_string());
    if audit.started != audit.judged {
        text = text.field(BOLD, &format!("judged as of {}Z", moment(audit.judged, audit.started)));
    }
    text
}

/// How much there is.
fn counts(view: &AuditView<'_>) -> Text {
    let c = &view.counts;

    let rows = [
        (c.blocks, "block"),
        (c.handles, "handle"),
        (c.endpoints, "endpoint"),
        (c.pods, "live pod"),
        (c.nodes, "node"),
    ];
    let text = rows.into_iter().fold(Text::new(), |text, (number, what)| match number {
        Some(1) => text.field(PLAIN, &format!("1 {what}")),
        Some(number) => text.field(PLAIN, &format!("{} {what}s", grouped(number))),
        None => text.field(style_of(Severity::Warning), &format!("{what}s not read")),
    });
    // What is judged and looked at again comes after it.
    text.field(DIM, &format!("read in {}", took(view.audit.duration)))
}

fn pools(view: &AuditView<'_>, options: Options, paper: &mut Paper<'_>) -> Result<()> {
    let mut rows: Vec<&PoolRow> = view.pools.iter().collect();
    if rows.len() > POOLS && !options.all {
        // The fullest first, those of one fullness in their order.
        rows.sort_by_key(|pool| std::cmp::Reverse(permille(pool)));
        rows.truncate(POOLS);
    }
    let table: Vec<Cells> = rows.iter().map(|pool| Cells::of(pool)).collect();
    let parts = parts_in_line(&table, paper.width);
    let ends = ends(&table, parts);
    let width = paper.width;
    let lines = |bars| -> Vec<Text> {
        rows.iter().zip(&table).map(|(pool, row)| pool_line(pool, row, parts, ends, bars, width)).collect()
    };
    // A bar compares pools: all have one, or none.
    let with_bars = lines(true);
    let fit = with_bars.iter().all(|line| line.width() <= width);
    for line in if fit { with_bars } else { lines(false) } {
        paper.paragraph(0, 2, &line)?;
    }
    if rows.len() < view.pools.len() {
        let more = format!("… {} more pools, less full", grouped((view.pools.len() - rows.len()) as u64));
        paper.paragraph(0, 2, &Text::new().field(DIM, &more))?;
    }
    if view.pools.is_empty()
        && view.inputs.iter().any(|i| i.input == crate::model::Input::Pools && i.state != InputState::Complete)
    {
        paper.paragraph(0, 2, &Text::new().field(style_of(Severity::Warning), "pools not read"))?;
    }
    Ok(())
}

/// What a pool's line says.
struct Cells {
    cidr: String,
    /// How much is taken, by what: the first always, others where there are any.
    taken: Vec<String>,
    free: String,
    blocks: String,
}

impl Cells {
    fn of(pool: &PoolRow) -> Cells {
        let first = match (pool.in_use, pool.allocated) {
            (Some(in_use), _) => format!("{} in use", number(in_use)),
            (None, Some(allocated)) => format!("{} allocated", number(allocated)),
            (None, None) => "usage not known".to_owned(),
        };
        let rest = [
            (pool.leaked, "leaked"),
            (pool.unattributed, UNATTRIBUTED),
            (pool.cooling, "cooling"),
            (pool.reserved, "reserved"),
            (pool.unknown, "not decoded"),
        ];
        let rest = rest.into_iter().filter_map(|(amount, word)| {
            let amount = amount.filter(|amount| *amount > 0)?;
            Some(format!("{} {word}", number(amount)))
        });
        let free = pool.free.map(|free| format!("{} free", number(free)));
        let blocks = pool.free_blocks.map(|free| match pool.blocks {
            0 => NO_BLOCK.to_owned(),
            1 => format!("{} of 1 block free", number(free)),
            all => format!("{} of {} blocks free", number(free), number(all)),
        });
        Cells {
            cidr: pool.cidr.clone(),
            taken: std::iter::once(first).chain(rest).collect(),
            free: free.unwrap_or_default(),
            blocks: blocks.unwrap_or_default(),
        }
    }

    /// The first parts of what is taken, which stand in the line.
    fn in_line(&self, parts: usize) -> String {
        self.taken.get(..parts).unwrap_or(&self.taken).join("  ")
    }

    /// The others, which stand behind it.
    fn behind(&self, parts: usize) -> Text {
        self.taken.iter().skip(parts).fold(Text::new(), |text, part| text.whole(PLAIN, part))
    }
}

/// Where the columns behind the CIDR, what is taken and what is free begin, with so many parts of what is taken in line.
fn ends(table: &[Cells], parts: usize) -> [usize; 3] {
    let widest = |width: &dyn Fn(&Cells) -> usize| table.iter().map(width).max().unwrap_or(0);
    let cidr = widest(&|row| row.cidr.chars().count()) + 2;
    let taken = cidr + widest(&|row| row.in_line(parts).chars().count()) + 2;
    [cidr, taken, taken + widest(&|row| row.free.chars().count()) + 2]
}

/// How many parts of what is taken stand in line, so that each pool's line is wide enough for its columns; of a page that
/// is too narrow for any alignment all of them.
fn parts_in_line(table: &[Cells], width: usize) -> usize {
    let most = table.iter().map(|row| row.taken.len()).max().unwrap_or(0);
    let fits = |parts: &usize| {
        let [.., behind] = ends(table, *parts);
        table.iter().all(|row| behind + row.blocks.chars().count() <= width)
    };
    (1..=most).rev().find(fits).unwrap_or(most)
}

/// Where there is no room the bar goes first, then what else is taken goes behind the line, and last the columns'
/// alignment. The name stands always, and so do blocks that look free and are not: on a line of their own when there is no
/// room for them.
fn pool_line(pool: &PoolRow, row: &Cells, parts: usize, ends: [usize; 3], bars: bool, width: usize) -> Text {
    let bare = [row.cidr.as_str()].into_iter().chain(row.taken.iter().map(String::as_str));
    let bare = bare.chain([row.free.as_str(), row.blocks.as_str()]);
    let bare = bare.fold(Text::new(), |text, part| text.field(PLAIN, part));
    let style = match permille(pool) {
        950.. => style_of(Severity::Error),
        900..950 => style_of(Severity::Warning),
        _ => PLAIN,
    };
    let aligned = Text::new().whole(PLAIN, &row.cidr).column_whole(PLAIN, &row.in_line(parts), ends[0]);
    let aligned = aligned.column_whole(PLAIN, &row.free, ends[1]);
    let line = match bars {
        true => aligned.column_whole(style, &bar(pool), ends[2]).field(PLAIN, &row.blocks),
        false => aligned.column_whole(PLAIN, &row.blocks, ends[2]),
    };
    let stranded = capacity::stranded(pool).map_or_else(Text::new, |amount| Text::new().whole(PLAIN, &amount));
    let name = Text::new().whole(DIM, &pool.name.shown());
    let name = if pool.disabled { name.then(style_of(Severity::Warning), DISABLED) } else { name };
    let behind = row.behind(parts).append(stranded).append(name);
    let line = if line.width() <= width { line } else { bare };
    line.append(behind)
}

/// How full, from 0 to 1000, as far as that is known; what cools down or is reserved is not free either.
fn permille(pool: &PoolRow) -> u128 {
    let (total, taken) = (pool.addresses, pool.addresses.saturating_sub(pool.free.unwrap_or(pool.addresses)));
    match total {
        0 => 0,
        huge if huge > u128::MAX / 1000 => taken / (huge / 1000),
        _ => taken * 1000 / total,
    }
}

/// `▕██▍       ▏`: full to an eighth of a cell; anything taken at all shows.
fn bar(pool: &PoolRow) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let steps = (CELLS * 8) as u128;
    let mut filled = usize::try_from(permille(pool).min(1000) * steps / 1000).unwrap_or(0);
    if filled == 0 && pool.free.is_some_and(|free| free < pool.addresses) {
        filled = 1;
    }
    let part = EIGHTHS.get(filled % 8).copied().unwrap_or_default();
    let cells = format!("{}{part}", "█".repeat(filled / 8));
    format!("▕{cells:CELLS$}▏")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(addresses: u128, free: u128) -> PoolRow {
        PoolRow { addresses, free: Some(free), ..PoolRow::default() }
    }

    #[test]
    fn bars_show_what_is_taken() {
        assert_eq!(bar(&pool(1000, 1000)), "▕          ▏");
        assert_eq!(bar(&pool(65536, 65535)), "▕▏         ▏");
        assert_eq!(bar(&pool(1000, 500)), "▕█████     ▏");
        assert_eq!(bar(&pool(1000, 0)), "▕██████████▏");
        assert_eq!(bar(&pool(0, 0)), "▕          ▏");
        assert_eq!(bar(&pool(u128::MAX, u128::MAX / 2)), "▕█████     ▏");
    }

    #[test]
    fn big_numbers_are_short() {
        assert_eq!(number(65_536), "65,536");
        assert_eq!(number(1 << 80), "1.2e24");
    }
}
