//! `ipaudit report`: what the history says of a stretch of time. The cluster may be down.

use std::time::Duration;

use super::args::{ReportArgs, ReportOutput};
use super::output::{self, Streams};
use crate::checks;
use crate::error::Error;
use crate::exit::Exit;
use crate::history::query::{self, Ending, Filter, FindingRow, Pair, Which, Window};
use crate::history::{Db, Mode};
use crate::model::{InputState, Time};
use crate::render::report::{
    self, ClusterReport, Ended, How, IncompleteAudit, Leaks, Line, PoolPoint, PoolTrend, Reboot, ReportView,
};

/// Twice the usual distance between two audits is a gap; with fewer than three audits nobody knows what is usual.
const GAP: u32 = 2;

/// Runs the command.
///
/// # Errors
/// No history, one that cannot be read, or a window that ends before it begins.
pub fn run(args: &ReportArgs, streams: &Streams) -> Result<Exit, Error> {
    let path = args.db.path()?;
    if !path.exists() {
        let none = Error::new("read the history").at(path.display().to_string()).cause("no such file");
        return Err(none.hint("ipaudit audit writes it; --db PATH names another one"));
    }
    let db = Db::open(&path, Mode::Read)?;
    let now = args.now.unwrap_or_else(super::gather::present);
    let until = args.until.map_or(now, |until| until.at(now));
    let window = Window { since: args.since.at(now), until };
    if window.since > window.until {
        return Err(Error::new("report").cause("--since is later than --until"));
    }
    let wanted = |pair: &Pair| {
        args.cluster.as_ref().is_none_or(|c| pair.guid.starts_with(c) || pair.uids.iter().any(|u| u.starts_with(c)))
    };
    let mut clusters = Vec::new();
    for pair in db.pairs()?.iter().filter(|p| wanted(p)) {
        clusters.push(cluster(&db, pair, window, args)?);
    }
    let exit = report::exit(&clusters, args.fail_on);
    let view = ReportView { since: window.since, until, now, clusters, narrowed_by: narrowed_by(args), exit };
    print(&view, args, streams)?;
    Ok(exit)
}

fn print(view: &ReportView, args: &ReportArgs, streams: &Streams) -> Result<(), Error> {
    let mut text = Vec::new();
    let written = match args.output {
        ReportOutput::Table => {
            let Streams { color, width, .. } = *streams;
            report::table::write(view, report::table::Options { color, width, all: args.all }, &mut text)
        }
        ReportOutput::Json => report::json::write(view, &mut text),
        ReportOutput::Jsonl => report::json::write_lines(view, &mut text),
        ReportOutput::Markdown => report::markdown::write(view, &mut text),
    };
    written.map_err(|e| Error::new("print the report").cause(e))?;
    output::print(&text)
}

fn narrowed_by(args: &ReportArgs) -> Vec<String> {
    let mut flags: Vec<String> = args.code.iter().map(|code| format!("--code {code}")).collect();
    flags.extend(args.severity.map(|s| format!("--severity {s}")));
    let named =
        [("node", &args.node), ("namespace", &args.namespace), ("pool", &args.pool), ("cluster", &args.cluster)];
    flags.extend(named.into_iter().filter_map(|(flag, value)| value.as_ref().map(|v| format!("--{flag} {v}"))));
    flags
}

fn cluster(db: &Db, pair: &Pair, window: Window, args: &ReportArgs) -> Result<ClusterReport, Error> {
    let filter = Filter {
        codes: args.code.clone(),
        severity: args.severity,
        node: args.node.clone(),
        namespace: args.namespace.clone(),
        pool: args.pool.clone(),
    };
    let audits = db.audits(pair.id, window)?;
    let mut report = ClusterReport {
        guid: pair.guid.clone(),
        kubernetes_uids: pair.uids.clone(),
        apart: pair.apart,
        audits: audits.len() as u64,
        last_audit: audits.last().map(|a| a.judged),
        incomplete: audits.iter().filter(|a| !a.complete).map(incomplete).collect(),
        ..ClusterReport::default()
    };
    report.gaps = gaps(&audits);
    for row in db.findings(pair.id, Which::Alive, window, &filter)? {
        let opened_here = window.has(row.opened.at);
        let line = line(&row);
        if line.ended.is_some_and(|e| window.has(e.at)) {
            report.ended.push(line);
        } else if !opened_here {
            report.ongoing.push(line);
        } else if line.episode > 1 {
            report.came_back.push(line);
        } else {
            report.new.push(line);
        }
    }
    report.sort();
    let leaks = db.leaks_per_hour(pair.id, window)?.into_iter();
    let on_node = |node: &Option<String>| args.node.is_none() || *node == args.node;
    report.leaks =
        leaks.filter(|l| on_node(&l.node)).map(|l| Leaks { node: l.node, hour: l.hour, count: l.opened }).collect();
    let reboots = db.reboots(pair.id, window)?.into_iter();
    report.reboots = reboots.map(|r| Reboot { node: r.node, before: r.before.at, after: r.after.at }).collect();
    report.pools = pools(db.capacity(pair.id, window)?, args);
    Ok(report)
}

fn incomplete(audit: &query::AuditRow) -> IncompleteAudit {
    let unread = audit.inputs.iter().filter(|i| i.state != InputState::Complete || i.undecodable > 0);
    let why: Vec<String> = unread
        .map(|i| match (i.state, i.undecodable) {
            (InputState::Complete, n) => format!("{}: {n} keys do not decode", i.input.word()),
            (state, _) => format!("{}: {}", i.input.word(), state.word()),
        })
        .collect();
    let why = if why.is_empty() { "a second look failed".to_owned() } else { why.join(", ") };
    IncompleteAudit { id: audit.id, at: audit.judged, why }
}

/// Between two audits more than twice as far apart as usual (the median) nobody looked.
fn gaps(audits: &[query::AuditRow]) -> Vec<(Time, Time)> {
    let pairs = || audits.windows(2).map(|w| (w[0].judged, w[1].judged));
    let mut distances: Vec<Duration> = pairs().map(|(from, to)| to.since(from)).collect();
    if distances.len() < 2 {
        return Vec::new();
    }
    distances.sort_unstable();
    let usual = distances[distances.len() / 2].max(Duration::from_secs(60));
    pairs().filter(|(from, to)| to.since(*from) > usual * GAP).collect()
}

fn line(row: &FindingRow) -> Line {
    let how = match row.ending {
        Ending::Open | Ending::InputMissing => None,
        Ending::Resolved => Some(How::Resolved),
        Ending::Released(id) => Some(How::Released(id)),
        Ending::RuleChanged => Some(How::RuleChanged),
    };
    Line {
        code: row.code,
        name: checks::find(row.code).map_or("", |c| c.name),
        severity: row.severity,
        kind: row.kind.clone(),
        subject: row.subject.clone(),
        summary: row.summary.clone(),
        node: row.node.clone(),
        namespace: row.namespace.clone(),
        pool: row.pool.clone(),
        root: row.root.clone(),
        first_seen: row.opened.at,
        last_seen: row.last_seen.at,
        audits_seen: row.audits_seen,
        episode: row.episode,
        ended: how.zip(row.ended).map(|(how, seen)| Ended { at: seen.at, how }),
        input_missing: row.ending == Ending::InputMissing,
    }
}

fn pools(points: Vec<query::CapacityAt>, args: &ReportArgs) -> Vec<PoolTrend> {
    let mut trends: Vec<PoolTrend> = Vec::new();
    for p in points.into_iter().filter(|p| !p.gone && args.pool.as_ref().is_none_or(|name| *name == p.pool)) {
        let point = PoolPoint {
            at: p.at.at,
            addresses: p.addresses,
            allocated: p.allocated,
            leaked: p.leaked,
            free_blocks: p.free_blocks,
        };
        match trends.last_mut().filter(|t| t.name == p.pool) {
            Some(trend) => trend.points.push(point),
            None => trends.push(PoolTrend { name: p.pool, cidr: p.cidr, points: vec![point] }),
        }
    }
    trends
}
