//! The sums of a report for people: leaks by node, and how the pools fill.

use std::io::Result;

use super::clock::Clock;
use super::pools::{as_of, words};
use super::{ClusterReport, Leaks, NodeLeaks, PoolTrend, ReportView, sparkline};
use crate::model::{Foreign, Severity, Time};
use crate::render::number::{grouped, plural};
use crate::render::table::paper::{BOLD, DIM, PLAIN, Paper, Text, style_of};

/// So many nodes are named.
const NODES: usize = 8;
/// Cells of a pool's line.
const CELLS: usize = 32;

/// `2 began, 0.2 an hour`, and how many nobody knows the beginning of.
pub fn leaks_title(leaks: &Leaks) -> Vec<String> {
    let Leaks { began, found_at_first, .. } = leaks;
    let number = grouped(began.len() as u64);
    let mut title = vec![match leaks.per_hour() {
        _ if began.is_empty() => "none began".to_owned(),
        Some(rate) => format!("{number} began, {rate:.1} an hour"),
        None => format!("{number} began"),
    }];
    if *found_at_first > 0 {
        title.push(format!("{} there at first", plural(*found_at_first, "more was", "more were")));
    }
    title
}

/// Leaks that began, by node, beside the reboots that may explain them.
pub fn leaks(cluster: &ClusterReport, clock: Clock, paper: &mut Paper<'_>) -> Result<()> {
    if cluster.leaks.began.is_empty() && cluster.leaks.found_at_first == 0 {
        return Ok(());
    }
    paper.blank()?;
    let title = Text::new().field(BOLD, "LEAKS");
    let title = leaks_title(&cluster.leaks).iter().fold(title, |text, part| text.field(PLAIN, part));
    paper.paragraph(0, 2, &title)?;
    let rows = cluster.leaks.by_node(&cluster.reboots);
    for row in rows.iter().take(NODES) {
        let node = row.node.map_or("on no known node".into(), Foreign::shown);
        let text = Text::new().whole(PLAIN, &node).field(PLAIN, &grouped(row.count));
        let text = of_node(row, clock).iter().fold(text, |text, part| text.field(PLAIN, part));
        paper.paragraph(2, 4, &text)?;
    }
    if rows.len() > NODES {
        let more = format!("… on {}", plural((rows.len() - NODES) as u64, "more node", "more nodes"));
        paper.paragraph(2, 4, &Text::new().field(DIM, &more))?;
    }
    Ok(())
}

/// `58 in the hour from 02:00`, `rebooted between 01:58 and 02:13, which may explain 58`.
pub fn of_node(row: &NodeLeaks<'_>, clock: Clock) -> Vec<String> {
    let mut parts = Vec::new();
    let (hour, number) = row.peak;
    if row.count > 1 && number > 1 {
        let all = if number == row.count { "all".to_owned() } else { grouped(number) };
        parts.push(format!("{all} in the hour from {}", clock.at(hour)));
    }
    if let Some((reboot, number)) = row.reboot {
        let when = clock.span(reboot.before.at, reboot.after.at);
        parts.push(format!("rebooted ({when}), which may explain {}", grouped(number)));
    }
    parts
}

/// How each pool fills.
pub fn pools(view: &ReportView, cluster: &ClusterReport, clock: Clock, paper: &mut Paper<'_>) -> Result<()> {
    let end = cluster.last_audit.unwrap_or(view.until).min(view.until);
    let trends: Vec<_> = cluster.pools.iter().filter(|p| !p.points.is_empty()).collect();
    if trends.is_empty() {
        return Ok(());
    }
    paper.blank()?;
    let title = Text::new().field(BOLD, "POOLS").field(DIM, "addresses allocated over this time");
    let as_of = as_of(cluster, clock);
    paper.paragraph(0, 2, &if as_of.is_empty() { title } else { title.field(PLAIN, &as_of) })?;
    for pool in trends {
        paper.paragraph(2, 4, &trend(pool, view.since, end))?;
    }
    Ok(())
}

fn trend(pool: &PoolTrend, since: Time, end: Time) -> Text {
    let mut text = Text::new().whole(PLAIN, &pool.cidr.shown()).field(DIM, &pool.name.shown());
    if let Some(why) = &pool.closed {
        text = text.field(style_of(Severity::Warning), &format!("({})", why.shown()));
    }
    let text = text.whole(PLAIN, &sparkline(&pool.over(since, end, CELLS)));
    words(pool, since, end).iter().fold(text, |text, part| text.field(PLAIN, part))
}
