//! `ipaudit report`: what the history says of a stretch of time. The cluster may be down.
//!
//! Here the history's rows become the report's plain values; what belongs where is decided there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::history_args::DbArgs;
use super::moment::{Moment, moment};
use super::output::{OutputArgs, Streams};
use super::parse::time;
use super::place_args::PlaceArgs;
use super::report_names;
use super::report_order;
use super::settings_args::IgnoreArgs;
use crate::checks::evidence::shell;
use crate::checks::{self, NO_EARLIER_AUDIT, NO_NODES, NO_STATUS};
use crate::error::Error;
use crate::exit::{Exit, FailOn};
use crate::history::ReadTx;
use crate::history::query::{AuditRow, CapacityAt, Pair, Which, Window};
use crate::model::coverage::reason;
use crate::model::foreign::foreign;
use crate::model::given_back::TakenAway;
use crate::model::keys::BLOCKS;
use crate::model::row::{AuditAt, Ending, Episode};
use crate::model::{Code, Foreign, InputState, Narrow, Severity, Time};
use crate::render;
use crate::render::report::release_facts::{PlacesKnown, long_enough};
use crate::render::report::{
    self, BlindSpan, ClusterReport, IncompleteAudit, Leaks, PoolTrend, ReleaseFacts, ReportView,
};
use crate::settings::Ignore;

/// Flags of `report`.
#[derive(Args, Debug, Clone)]
#[command(next_help_heading = "What to report")]
pub struct ReportArgs {
    /// From when: so long before now (24h, 7d) or a time: 2026-11-24 (its beginning) and 2026-11-24T03:04 in UTC, or RFC
    /// 3339 with a zone
    #[arg(long, value_name = "WHEN", default_value = "24h", env = "IPAUDIT_SINCE", value_parser = moment, allow_hyphen_values = true)]
    pub since: Moment,

    /// Until when, likewise; now when absent
    #[arg(long, value_name = "WHEN", env = "IPAUDIT_UNTIL", value_parser = moment, allow_hyphen_values = true)]
    pub until: Option<Moment>,

    /// Only this cluster: the beginning of its datastore's GUID or of a Kubernetes UID
    #[arg(long, value_name = "ID", env = "IPAUDIT_CLUSTER")]
    pub cluster: Option<String>,

    /// Only these codes; comma separated or repeated
    #[arg(long, value_name = "CODE", value_delimiter = ',', env = "IPAUDIT_CODE", value_parser = checks::code)]
    pub code: Vec<Code>,

    /// Only findings at least this bad
    #[arg(long, value_name = "SEVERITY", env = "IPAUDIT_SEVERITY")]
    pub severity: Option<Severity>,

    #[command(flatten)]
    pub place: PlaceArgs,

    /// Exit with 1 when something at least this bad is open; never: only failures count
    #[arg(long, value_name = "SEVERITY", default_value = "error", env = "IPAUDIT_FAIL_ON", help_heading = "Output")]
    pub fail_on: FailOn,

    /// Every line of every section
    #[arg(long, env = "IPAUDIT_ALL", help_heading = "Output")]
    pub all: bool,

    #[command(flatten)]
    pub how: OutputArgs<ReportOutput>,

    /// Take this for now (RFC 3339)
    #[arg(long, value_name = "TIME", env = "IPAUDIT_NOW", value_parser = time, help_heading = "What counts")]
    pub now: Option<Time>,

    #[command(flatten)]
    pub ignore: IgnoreArgs,

    #[command(flatten)]
    pub db: DbArgs,
}

impl ReportArgs {
    fn now(&self) -> Time {
        self.now.unwrap_or_else(super::gather::present)
    }
}

/// Output formats of a report.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReportOutput {
    /// For people
    Table,
    /// One versioned document (docs/output.md)
    Json,
    /// The same document as YAML
    Yaml,
    /// One finding a line
    Jsonl,
    /// For a ticket or a chat
    Markdown,
}

/// Runs the command.
///
/// # Errors
/// No history, one that cannot be read, or a window that ends before it begins.
pub fn run(args: &ReportArgs, streams: &Streams) -> Result<Exit, Error> {
    let now = args.now();
    let until = args.until.map_or(now, |until| until.at(now));
    let window = Window { since: args.since.at(now), until };
    if window.since > window.until {
        return Err(Error::user("report").cause("--since is later than --until"));
    }
    let (known, over) = args.ignore.settings(streams)?.as_of(now);
    over.iter().for_each(|ended| streams.warn(ended));
    let (clusters, failed, ignored_by) = args.db.look(|db| {
        let mut ignored_by = BTreeSet::new();
        let mut clusters = Vec::new();
        let pairs: Vec<Pair> = db.pairs()?.into_iter().filter(|pair| pair.is_called(args.cluster.as_deref())).collect();
        for pair in &pairs {
            let mut report = cluster(db, pair, window, args, known.ignores(), &mut ignored_by)?;
            report.replaced_by = report_order::replaced_by(pair, &pairs, until);
            clusters.push(report);
        }
        report_order::last_audited_first(&mut clusters);
        Ok((clusters, db.failed_audits_of_nobody(window)?, ignored_by))
    })?;
    let exit = report::exit(&clusters, &failed, args.fail_on);
    let cluster = args.cluster.as_ref().map(|id| format!("--cluster {}", shell(id)));
    let narrowed_by = narrow(args).flags().into_iter().chain(cluster).chain(ignored_by).collect();
    let view = ReportView { since: window.since, until, now, clusters, failed, narrowed_by, db: args.db.flag(), exit };
    print(&view, args, streams)?;
    Ok(exit)
}

fn print(view: &ReportView, args: &ReportArgs, streams: &Streams) -> Result<(), Error> {
    // Formats for programs have no first line.
    if matches!(args.how.output, ReportOutput::Json | ReportOutput::Yaml | ReportOutput::Jsonl) {
        report::first::remarks(view).iter().for_each(|remark| streams.note(remark));
    }
    let Streams { color, width, .. } = *streams;
    streams.stream(|out| match args.how.output {
        ReportOutput::Table => {
            report::table::write(view, report::table::ReportOptions { color, width, all: args.all }, out)
        }
        ReportOutput::Json => report::json::write(view, out),
        ReportOutput::Yaml => render::yaml::write(view, out),
        ReportOutput::Jsonl => report::json::write_lines(view, out),
        ReportOutput::Markdown => report::markdown::write(view, out),
    })
}

fn narrow(args: &ReportArgs) -> Narrow {
    Narrow { codes: args.code.clone(), severity: args.severity, ..args.place.narrow() }
}

/// What one cluster's part says; findings that are ignored are left out, and `ignored_by` learns by what.
fn cluster(
    db: &ReadTx<'_>,
    pair: &Pair,
    window: Window,
    args: &ReportArgs,
    ignores: &[Ignore],
    ignored_by: &mut BTreeSet<String>,
) -> Result<ClusterReport, Error> {
    let audits = Audits::of(db, pair, window)?;
    let wanted = narrow(args);
    let narrow = report_names::of_pair(db, pair, &wanted)?;
    let narrowed = wanted != Narrow::default();
    let within = || audits.until.iter().filter(|a| window.has(a.judged));
    let mut report = ClusterReport {
        guid: pair.guid.clone(),
        kubernetes_uids: pair.uids.to_vec(),
        apart: pair.apart,
        since: window.since,
        audits: within().count() as u64,
        first_audit: within().next().map(|a| a.judged),
        last_audit: within().next_back().map(|a| a.judged),
        last_ever: audits.until.last().map(|a| a.judged),
        incomplete: within().filter(|a| !a.complete).map(incomplete).collect(),
        failed: db.failed_audits(pair.id, window)?,
        unknown: report_names::unknown(db, pair, &Narrow { pool: narrow.pool.clone(), ..wanted })?,
        restores: db.restores(pair.id, window)?,
        narrowed,
        ..ClusterReport::default()
    };
    // Who could not look tried to.
    let before = Window { since: Time(i64::MIN), ..window };
    let tried = db.failed_audits(pair.id, before)?;
    let times: Vec<Time> = audits.until.iter().map(|a| a.judged).chain(tried.iter().map(|failed| failed.at)).collect();
    let looked = audits.until.iter().map(|a| (a.judged, (!a.complete).then(|| incomplete(a).why)));
    let failed = tried.into_iter().map(|failed| (failed.at, Some(failed.why)));
    report.blind_span = BlindSpan::of(looked.chain(failed).collect());
    report.gaps = report::gaps(&times, window.since, window.until);
    report.begins = times.iter().min().copied().filter(|first| report.gaps.iter().any(|(_, to)| to == first));
    // A time that is over knows nothing of the releases after it.
    let released_until = if window.until < args.now() { window.until } else { Time(i64::MAX) };
    report.release = release_facts(db, pair, before, &audits, released_until)?;
    for row in db.findings(pair.id, Which::Alive, window, &narrow)? {
        match ignores.iter().find(|i| i.matches(row.finding.code, &row.finding.subject)) {
            Some(ignore) => _ = ignored_by.insert(ignore.flag()),
            None => {
                if audits.found_at_first(&row) {
                    report.found_at_first.insert(row.id);
                }
                if !narrow.owns(row.finding.placed()) {
                    report.of_others.insert(row.id);
                }
                report.file(audits.at(row, window.until), window.since, window.until);
            }
        }
    }
    report.sort();
    let reboots = db.reboots(pair.id, window)?.into_iter();
    let on_node = |node: &Foreign| narrow.node.as_ref().is_none_or(|wanted| node == wanted);
    report.reboots = reboots.filter(|r| on_node(&r.node)).collect();
    report.pools = pools(db.capacity(pair.id, window)?, audits.closed_pools(), narrow.pool.as_deref());
    report.leaks = leaks(db, pair, window, narrow, &audits)?;
    Ok(report)
}

/// Whatever is narrowed or ignored: a release asks all of it.
fn release_facts(
    db: &ReadTx<'_>,
    pair: &Pair,
    until: Window,
    audits: &Audits,
    released_until: Time,
) -> Result<ReleaseFacts, Error> {
    let closing = Narrow { codes: report::release_facts::closing(), ..Narrow::default() };
    let open = db.findings(pair.id, Which::Open, until, &closing)?;
    let codes: Vec<Code> = checks::ALL.iter().filter(|check| check.ties.releasable).map(|check| check.code).collect();
    let watch = db.watch(pair.id, until.until)?;
    let releasable = db.findings(pair.id, Which::Open, until, &Narrow { codes, ..Narrow::default() })?;
    let whole = db.seen_whole(&watch, &releasable)?;
    let places = PlacesKnown {
        nodes: db.nodes_known(pair.id)?,
        exclusive: db.is_exclusive(pair.id)?,
        twice: db.ranges_of_open(pair.id, &report::release_facts::in_two_blocks(), BLOCKS)?,
        now: until.until,
    };
    let mut held_back = HashMap::new();
    for (id, whole) in whole.iter().filter(|(_, whole)| long_enough(&whole.observed).is_some()) {
        // Of an orphaned handle no node is asked.
        let named = if whole.nodes.is_empty() { Vec::new() } else { db.nodes_in_evidence(*id)? };
        held_back.extend(places.hold_back(whole, &named).map(|why| (*id, why)));
    }
    let (code, words) = report::release_facts::leading_nowhere();
    let given_back = match audits.until.last() {
        Some(last) => db.freed_within(pair.id, last.started, released_until)?,
        None => TakenAway::default(),
    };
    let mut parted = HashSet::new();
    for check in checks::ALL.iter().filter(|check| !check.ties.between.is_empty() && !given_back.deleted.is_empty()) {
        let between = db.endpoints_of_open(pair.id, check.code, check.ties.between)?;
        parted.extend(report::release_facts::parted(between, &given_back));
    }
    Ok(ReleaseFacts {
        observed: whole.into_iter().map(|(id, whole)| (id, whole.observed)).collect(),
        held_back,
        given_back,
        parted,
        leads_nowhere: db.is_told(pair.id, code, &words)?,
        wrong_clock: audits.until.last().is_some_and(|last| !last.right_clock),
        closed_by: open.iter().map(|row| row.finding.code).collect(),
        audits: audits.until.iter().map(|audit| AuditAt { audit: audit.id, at: audit.judged }).collect(),
        restored: db.restores(pair.id, until)?.last().map(|restore| restore.after.audit),
    })
}

/// Leaks that began, whatever `--severity` says; none where `--code` leaves them out.
fn leaks(db: &ReadTx<'_>, pair: &Pair, window: Window, narrow: Narrow, audits: &Audits) -> Result<Leaks, Error> {
    let is_wanted = |code: &Code| narrow.codes.is_empty() || narrow.codes.contains(code);
    let codes: Vec<Code> = checks::leaks().filter(is_wanted).collect();
    if codes.is_empty() {
        return Ok(Leaks::default());
    }
    let only = Narrow { codes, severity: None, ..narrow };
    let mut leaks = Leaks { watched: audits.watched(window), ..Leaks::default() };
    let began = db.findings(pair.id, Which::Opened, window, &only)?;
    for row in began.into_iter().filter(|row| checks::is_leak_told(&row.finding) && only.owns(row.finding.placed())) {
        if audits.found_at_first(&row) {
            leaks.found_at_first += 1;
        } else {
            leaks.began.push((row.opened.at, row.finding.node));
        }
    }
    Ok(leaks)
}

/// The audits of a pair, before and after the end of the window.
struct Audits {
    until: Vec<AuditRow>,
    later: Vec<AuditRow>,
}

impl Audits {
    fn of(db: &ReadTx<'_>, pair: &Pair, window: Window) -> Result<Audits, Error> {
        let all = db.audits(pair.id, Window::ALL)?;
        let (until, later) = all.into_iter().partition(|a| a.judged <= window.until);
        Ok(Audits { until, later })
    }

    /// Whether it was there when its check first could look: nobody knows since when. What compares with an earlier audit
    /// has looked since the first one.
    fn found_at_first(&self, episode: &Episode) -> bool {
        let code = episode.finding.code;
        let compares = |why: &Foreign| *why == *NO_EARLIER_AUDIT;
        let looks = |a: &&AuditRow| a.about.ran(code) || a.about.skipped(code).is_some_and(compares);
        self.until.iter().find(looks).is_some_and(|first| first.id == episode.opened.audit)
    }

    /// Pools that IPAM hands out nothing of by itself at the end of the window, and why.
    fn closed_pools(&self) -> &[(Foreign, Foreign)] {
        self.until.last().map(|last| last.about.closed_pools.as_slice()).unwrap_or_default()
    }

    /// How long anybody looked: from the first audit that could have told what was there before.
    fn watched(&self, window: Window) -> Duration {
        let ends = self.until.first().zip(self.until.last().filter(|last| window.has(last.judged)));
        ends.map_or(Duration::ZERO, |(first, last)| last.judged.since(first.judged.max(window.since)))
    }

    /// The episode as it was at `until`: without what only later audits saw of it.
    fn at(&self, mut episode: Episode, until: Time) -> Episode {
        if self.later.is_empty() || episode.ended.is_some_and(|e| e.at <= until) {
            return episode;
        }
        let (opened, last_seen) = (episode.opened.audit, episode.last_seen.audit);
        let ran = |audit: &&AuditRow| audit.about.skipped(episode.finding.code).is_none();
        let seen_later = self.later.iter().filter(|a| a.id <= last_seen).filter(ran).count() as u64;
        let mut before = self.until.iter().rev().take_while(|a| a.id >= opened).filter(ran);
        let last = before.find(|a| a.id <= last_seen).map(|a| AuditAt { audit: a.id, at: a.judged });
        let could_look = last.map(|seen| seen.audit) == self.until.last().map(|a| a.id);
        episode.audits_seen = episode.audits_seen.saturating_sub(seen_later).max(1);
        episode.last_seen = last.unwrap_or(episode.opened);
        episode.ended = None;
        episode.ending = if could_look { Ending::Open } else { Ending::InputMissing };
        episode
    }
}

fn incomplete(audit: &AuditRow) -> IncompleteAudit {
    // A cause is told once, with everything that it hit: by what is said of each but for its own name.
    let mut causes: Vec<(String, Foreign, Vec<Foreign>)> = Vec::new();
    for i in &audit.about.inputs {
        // What nobody asked for is missing only where a check needs it, and then the check says so.
        let cause: Foreign = match (i.state.known(), i.undecodable) {
            (Some(InputState::Complete | InputState::NotAsked), 0) => continue,
            (Some(InputState::Complete), 1) => "1 key does not decode".into(),
            (Some(InputState::Complete), n) => format!("{n} keys do not decode").into(),
            _ => audit.about.why_unread(i).unwrap_or_else(|| foreign!("{}", i.state)),
        };
        let input = foreign!("{}", i.input);
        let reason = reason(&input, &cause);
        match causes.iter_mut().find(|(known, ..)| *known == reason) {
            Some((.., inputs)) => inputs.push(input),
            None => causes.push((reason, cause, vec![input])),
        }
    }
    let told =
        |(_, cause, inputs): (_, Foreign, Vec<Foreign>)| foreign!("{}: {}", Foreign::joined(inputs, ", "), cause);
    let mut why: Vec<Foreign> = causes.into_iter().map(told).collect();
    if why.is_empty() {
        let innocent = [NO_EARLIER_AUDIT, NO_STATUS, NO_NODES];
        why.extend(audit.about.reasons().filter(|reason| innocent.iter().all(|word| **reason != *word)).cloned());
        why.dedup();
    }
    let why = if why.is_empty() { "a second look failed".into() } else { Foreign::joined(why, "; ") };
    IncompleteAudit { id: audit.id, at: audit.judged, why }
}

fn pools(points: Vec<CapacityAt>, closed: &[(Foreign, Foreign)], called: Option<&str>) -> Vec<PoolTrend> {
    let mut trends: Vec<PoolTrend> = Vec::new();
    let wanted = |p: &CapacityAt| !p.row.gone && called.is_none_or(|name| p.row.pool == *name);
    for CapacityAt { row, at } in points.into_iter().filter(wanted) {
        let point = (at.at, row.numbers);
        // A pool that was made anew with another range is another pool.
        match trends.last_mut().filter(|t| t.name == row.pool && t.cidr == row.cidr) {
            Some(trend) => trend.points.push(point),
            None => {
                let closed = closed.iter().find(|(name, _)| *name == row.pool).map(|(_, why)| why.clone());
                trends.push(PoolTrend { name: row.pool, cidr: row.cidr, closed, points: vec![point] });
            }
        }
    }
    trends
}
