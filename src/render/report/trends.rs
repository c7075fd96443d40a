//! The sums of a report for people: leaks by node, and how the pools fill.

use std::io::Result;

use super::{ClusterReport, Leaks, NodeLeaks, PoolTrend, ReportView, sparkline};
use crate::model::{Foreign, Severity, Time};
use crate::render::age::{age, moment};
use crate::render::table::paper::{BOLD, DIM, PLAIN, Paper, Text, style_of};

/// So many nodes are named.
const NODES: usize = 8;
/// Cells of a pool's line.
const CELLS: usize = 32;

/// Leaks that began, by node, beside the reboots that may explain them.
pub fn leaks(view: &ReportView, cluster: &ClusterReport, paper: &mut Paper<'_>) -> Result<()> {
    let Leaks { began, found_at_first, .. } = &cluster.leaks;
    if began.is_empty() && *found_at_first == 0 {
        return Ok(());
    }
    paper.blank()?;
    let mut text = Text::new().field(BOLD, "LEAKS");
    text = match cluster.leaks.per_hour() {
        _ if began.is_empty() => text.field(PLAIN, "none began"),
        Some(rate) => text.field(PLAIN, &format!("{} began, {rate:.1} an hour", began.len())),
        None => text.field(PLAIN, &format!("{} began", began.len())),
    };
    if *found_at_first > 0 {
        let were = if *found_at_first == 1 { "1 more was".to_owned() } else { format!("{found_at_first} more were") };
        let old = format!("{were} there when the first audit looked");
        text = text.field(DIM, &old);
    }
    paper.paragraph(0, 2, &text)?;
    let rows = cluster.leaks.by_node(&cluster.reboots);
    for row in rows.iter().take(NODES) {
        paper.paragraph(2, 4, &of_node(row, view))?;
    }
    if rows.len() > NODES {
        paper.paragraph(2, 4, &Text::new().field(DIM, &format!("… on {} more nodes", rows.len() - NODES)))?;
    }
    Ok(())
}

/// `slave-96  60  58 of them from 02:00 on; rebooted between 01:58 and 02:13, which explains 58`
fn of_node(row: &NodeLeaks<'_>, view: &ReportView) -> Text {
    let when = |at: Time| moment(at, view.now);
    let node = row.node.map_or("on no known node".into(), Foreign::shown);
    let mut text = Text::new().whole(PLAIN, &node).field(PLAIN, &row.count.to_string());
    let (hour, number) = row.peak;
    if row.count > 1 && number > 1 {
        let all = if number == row.count { "all".to_owned() } else { number.to_string() };
        text = text.field(DIM, &format!("{all} in the hour from {}", when(hour)));
    }
    if let Some((reboot, number)) = row.reboot {
        let ends = format!("rebooted between {} and {}", when(reboot.before.at), when(reboot.after.at));
        text = text.field(PLAIN, &format!("{ends}, which may explain {number}"));
    }
    text
}

/// How each pool fills.
pub fn pools(view: &ReportView, cluster: &ClusterReport, paper: &mut Paper<'_>) -> Result<()> {
    let end = cluster.last_audit.unwrap_or(view.until).min(view.until);
    let trends: Vec<_> = cluster.pools.iter().filter(|p| !p.points.is_empty()).collect();
    if trends.is_empty() {
        return Ok(());
    }
    paper.blank()?;
    paper.paragraph(0, 0, &Text::new().field(BOLD, "POOLS").field(DIM, "addresses allocated over this time"))?;
    for pool in trends {
        paper.paragraph(2, 4, &trend(pool, view.since, end))?;
    }
    Ok(())
}

fn trend(pool: &PoolTrend, since: Time, end: Time) -> Text {
    let text = Text::new().whole(PLAIN, &pool.cidr.shown()).field(DIM, &pool.name.shown());
    let (Some((_, first)), Some((_, last))) = (pool.points.first(), pool.points.last()) else { return text };
    let percent = i128::from(last.allocated) * 100 / i128::from(last.addresses.max(1));
    let grown = last.allocated.saturating_sub(first.allocated);
    let changed = if grown == 0 { "unchanged".to_owned() } else { format!("{grown:+}") };
    let text = text
        .whole(PLAIN, &sparkline(&pool.over(since, end, CELLS)))
        .field(PLAIN, &format!("{} of {} ({percent} %), {changed}", last.allocated, last.addresses))
        .field(PLAIN, &format!("{} leaked", last.leaked))
        .field(PLAIN, &format!("{} of {} blocks free", last.free_blocks, last.blocks));
    match pool.full_in(since, end) {
        Some(left) => text.field(style_of(Severity::Warning), &format!("full in {} at this rate", age(left))),
        None => text,
    }
}
