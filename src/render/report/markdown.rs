//! A report as Markdown, for a ticket or a chat: the answer, then lists that are read as they are, and the commands in a
//! block of their own. It counts and folds as the table does.
//!
//! Of many findings of one code a few rows stand for all; a ticket is no database, `-o json` has them all. What others
//! wrote stands between backticks, where nothing of it is a link, a heading or a mention.

use std::io::{BufWriter, Result, Write};

use super::answer::answer;
use super::clock::Clock;
use super::doubts::doubts;
use super::first::{Telling, failures, no_cluster};
use super::lives::{ends, life, oldest, title};
use super::pools::{as_of, words};
use super::repairs::{Repair, repairs};
use super::replaced::replaced;
use super::sections::{Section, sections};
use super::trends::{leaks_title, of_node};
use super::{ClusterReport, ReportView, commands, sparkline};
use crate::checks;
use crate::model::row::Episode;
use crate::model::{Foreign, Severity};
use crate::render::age::age;
use crate::render::number::{audits, grouped};
use crate::render::table::paper::short_ids;

/// So many rows of one code in one list.
const ROWS: usize = 20;
/// Of so many findings of one code a command asks.
const FEW: usize = 3;
/// So many commands.
const COMMANDS: usize = 12;
/// Cells of a pool's line.
const CELLS: usize = 16;

/// Prints the report.
///
/// # Errors
/// When `out` cannot be written.
pub fn write(view: &ReportView, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    let clock = Clock::whole(view);
    let foreign = |text: &Foreign| code(&short_ids(&text.shown()).into());
    if let Some(failed) = failures(view, &Telling { when: &|at| clock.at(at), foreign: &foreign }) {
        writeln!(out, "**{failed}**\n")?;
    }
    if view.clusters.is_empty() {
        writeln!(out, "{}", no_cluster(view))?;
    }
    for cluster in &view.clusters {
        match replaced(cluster, view, clock) {
            Some((says, command)) => writeln!(out, "\n{says}\n\n```sh\n{}\n```", command.shown())?,
            None => one(view, cluster, &mut out)?,
        }
    }
    out.flush()
}

fn one(view: &ReportView, cluster: &ClusterReport, out: &mut dyn Write) -> Result<()> {
    let clock = Clock::whole(view);
    let telling = Telling { when: &|at| clock.at(at), foreign: &|text| code(&short_ids(&text.shown()).into()) };
    writeln!(out, "## IPAM of datastore {}\n", code(&cluster.guid.short(12)))?;
    let says: Vec<String> = answer(cluster, clock, &telling).into_iter().map(|said| said.text).collect();
    writeln!(out, "**{}**\n", says.join(" "))?;
    write!(out, "{} UTC, {}", clock.span(view.since, view.until), audits(cluster.audits))?;
    if let Some(last) = cluster.last_audit {
        write!(out, ", the last {} before the end", age(view.until.since(last)))?;
    }
    writeln!(out, ".")?;
    if !view.narrowed_by.is_empty() {
        writeln!(out, "Only {}.", code(&view.narrowed_by.join(" ").into()))?;
    }
    let doubts = doubts(cluster, &telling);
    if !doubts.is_empty() {
        writeln!(out, "\n### Unseen\n")?;
        for doubt in doubts {
            writeln!(out, "- {}: {}", doubt.when(clock), doubt.says)?;
        }
    }
    let sections = sections(cluster, false);
    sections.iter().try_for_each(|told| section(told, cluster, clock, out))?;
    let repairs = repairs(cluster, view);
    release(&repairs, out)?;
    leaks(cluster, clock, out)?;
    pools(view, cluster, out)?;
    let asked = asked(&sections, cluster, view);
    ask(&asked, out)?;
    if repairs.iter().map(|repair| &repair.command).chain(&asked).any(commands::reads_live) {
        writeln!(out, "\n{}", commands::LEFT_OUT)?;
    }
    Ok(())
}

fn section(section: &Section<'_>, cluster: &ClusterReport, clock: Clock, out: &mut dyn Write) -> Result<()> {
    let (first, rest) = section.title.split_at(1);
    let about = if section.about.is_empty() { String::new() } else { format!(" ({})", section.about) };
    writeln!(out, "\n### {first}{}: {}{about}\n", rest.to_lowercase(), grouped(section.told() as u64))?;
    for same in &section.groups {
        let Some(line) = same.first() else { continue };
        let (number, name, severity) = (line.finding.code, checks::name(line.finding.code), line.finding.severity);
        let has_ended = same.iter().any(|line| line.ended.is_some());
        let ends = if has_ended { format!("; {}", ends(same, cluster, clock)) } else { String::new() };
        let since = clock.at(oldest(same));
        writeln!(out, "- **{number} {name}** ({severity}): {}, since {since}{ends}", title(same, &code))?;
        same.iter().take(ROWS).try_for_each(|line| row(line, cluster, clock, out))?;
        if same.len() > ROWS {
            writeln!(out, "  - … {} more", grouped((same.len() - ROWS) as u64))?;
        }
    }
    if section.explained > 0 {
        writeln!(out, "- {} more, explained by what is told", grouped(section.explained as u64))?;
    }
    Ok(())
}

fn row(line: &Episode, cluster: &ClusterReport, clock: Clock, out: &mut dyn Write) -> Result<()> {
    let told = &line.finding;
    let node = told.node.as_ref().filter(|node| !told.summary.has(node));
    let node = node.map(|node| format!(" on {}", code(node))).unwrap_or_default();
    let what = code(&short_ids(&told.summary.shown()).into());
    writeln!(out, "  - {}{node}: {what}, {}", code(&told.short_subject()), life(line, cluster, clock))
}

fn leaks(cluster: &ClusterReport, clock: Clock, out: &mut dyn Write) -> Result<()> {
    let rows = cluster.leaks.by_node(&cluster.reboots);
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### Leaks: {}\n", leaks_title(&cluster.leaks).join(", "))?;
    for row in rows.iter().take(ROWS) {
        let node = row.node.map_or_else(|| "on no known node".to_owned(), code);
        let parts = [vec![grouped(row.count)], of_node(row, clock)].concat();
        writeln!(out, "- {node}: {}", parts.join(", "))?;
    }
    Ok(())
}

/// What gives back what is open, a command each.
fn release(repairs: &[Repair], out: &mut dyn Write) -> Result<()> {
    if repairs.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### To release\n")?;
    repairs.iter().try_for_each(|repair| writeln!(out, "{}\n\n```sh\n{}\n```", repair.says, repair.command.shown()))
}

fn pools(view: &ReportView, cluster: &ClusterReport, out: &mut dyn Write) -> Result<()> {
    let end = cluster.last_audit.unwrap_or(view.until).min(view.until);
    let known: Vec<_> = cluster.pools.iter().filter(|pool| !pool.points.is_empty()).collect();
    if known.is_empty() || !cluster.unknown.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### Pools\n")?;
    let as_of = as_of(cluster, Clock::whole(view));
    if !as_of.is_empty() {
        let (first, rest) = as_of.split_at(1);
        writeln!(out, "{}{rest}:\n", first.to_uppercase())?;
    }
    for pool in known {
        let closed = pool.closed.as_ref().map(|why| format!(", {}", code(why))).unwrap_or_default();
        let line = sparkline(&pool.over(view.since, end, CELLS));
        let said = words(pool, view.since, end).join("; ");
        writeln!(out, "- {} ({}{closed}): {line} {said}", code(&pool.cidr), code(&pool.name))?;
    }
    Ok(())
}

/// What can be typed: about what is open and urgent, then all of what is told in part.
fn asked(sections: &[Section<'_>], cluster: &ClusterReport, view: &ReportView) -> Vec<Foreign> {
    let open = sections.iter().filter(|section| !section.ended);
    let urgent = open
        .flat_map(|section| &section.groups)
        .filter(|same| same.first().is_some_and(|line| line.finding.severity >= Severity::Error));
    let who = urgent.flat_map(|same| commands::ask(same, FEW, &cluster.guid, view));
    let many = sections.iter().flat_map(|section| &section.groups).filter(|same| same.len() > ROWS);
    let all =
        many.filter_map(|same| same.first()).map(|line| commands::see_all(line.finding.code, &cluster.guid, view));
    let mut typed: Vec<Foreign> = Vec::new();
    for command in who.chain(all) {
        if !typed.contains(&command) && typed.len() < COMMANDS {
            typed.push(command);
        }
    }
    typed
}

fn ask(typed: &[Foreign], out: &mut dyn Write) -> Result<()> {
    if typed.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### Commands\n\n```sh")?;
    typed.iter().try_for_each(|command| writeln!(out, "{}", command.shown()))?;
    writeln!(out, "```")
}

/// Foreign text as code, where only its own end can hurt.
fn code(foreign: &Foreign) -> String {
    let shown = foreign.shown();
    let longest = shown.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let pad = if shown.starts_with('`') || shown.ends_with('`') || shown.is_empty() { " " } else { "" };
    format!("{fence}{pad}{shown}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{line, report};
    use super::*;

    fn written(view: &ReportView) -> String {
        let mut out = Vec::new();
        write(view, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn foreign_text_stays_text() {
        let code = |s: &str| code(&s.into());
        assert_eq!(code("10.0.0.9"), "`10.0.0.9`");
        assert_eq!(
            code("a_b|c <script> @all [x](http://evil)\u{202e}"),
            r"`a_b|c <script> @all [x](http://evil)\u{202e}`"
        );
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
    }

    #[test]
    fn a_ticket_has_the_answer_every_section_and_the_commands() {
        let text = written(&report());
        for says in [
            "### New: 2\n",
            "- **IPA110 leaked-address** (error): 2 addresses on `node-1`, since 2026-11-24 07:00\n",
            "  - `10.0.0.9` on `node-1`: `pod shop/web-0 does not exist`, since 2026-11-24 07:00, 33 audits\n",
            "### Not looked at: 1 (",
            "; last seen 2026-11-24 15:00",
            "- 1 more, explained by what is told",
            "released by us (release 7) by 2026-11-24 11:00 (after 4h)",
            "### Leaks: 2 began, 0.2 an hour",
            "which may explain 2",
            "### Pools",
            "```sh\nipaudit who 10.0.0.9\nipaudit who 10.0.0.10\nipaudit who 10.0.0.1\n```\n",
            commands::LEFT_OUT,
        ] {
            assert!(text.contains(says), "{says}: {text}");
        }
        assert!(!text.chars().any(|c| c != '\n' && crate::model::escape::is_hidden(c)), "{text:?}");
    }

    #[test]
    fn many_rows_are_a_few() {
        let mut view = report();
        view.clusters[0].new =
            (0..1500).map(|i| line(110, Severity::Error, &format!("10.0.{}.{}", i / 256, i % 256))).collect();
        let text = written(&view);
        assert!(text.contains("### New: 1,500") && text.contains("… 1,480 more"), "{text}");
        assert!(text.contains("\nipaudit report --since ") && text.contains(" --code IPA110 --all\n"), "{text}");
        assert!(text.lines().count() < 90, "{text}");
    }

    /// Nothing that others wrote stands outside of backticks.
    #[test]
    fn ugly_names_open_nothing() {
        let mut view = report();
        let ugly = "</div>[x](http://evil) @all *b* ``` #";
        for line in &mut view.clusters[0].new {
            line.finding.subject = ugly.into();
            line.finding.summary = ugly.into();
            line.finding.node = Some(ugly.into());
        }
        view.clusters[0].guid = ugly.into();
        let text = written(&view);
        for row in text.lines().filter(|row| row.contains("evil") && !row.starts_with("ipaudit ")) {
            let outside: String = row.split("````").step_by(2).collect();
            assert!(!outside.contains("evil") && !outside.contains("@all"), "{row}");
        }
    }
}
