//! `ipaudit node`: one node's kernel, read here, from what people paste of it or from its capture, held against etcd and
//! Kubernetes where these are given.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::time::Instant;

use super::asking::{self, From, LookAgain, Read};
use super::gather::{self, Kube, Sources};
use super::node_evidence_args::NodeEvidenceArgs;
use super::node_live::{self, LiveArgs};
use super::output::{self, OutputArgs, PlainOutput, Streams};
use super::parse::{duration, interface_prefix, interval, node_name, time};
use super::signal::Stop;
use super::source_args::SourceArgs;
use crate::checks::evidence::shell;
use crate::checks::{self, Outcome, World};
use crate::connect::choose::is_not_given;
use crate::environment::stream::is_standard_input;
use crate::error::{Error, Fault};
use crate::exit::{Conclusion, Course, Exit, FailOn, decide};
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::node_evidence::CALI;
use crate::model::{Gathering, Input, InputState, NodeEvidence, NodesSeen, Time};
use crate::render::{self, AuditCircumstances, AuditView, NodesAgain};
use crate::source::capture::Second;
use crate::source::{kube_objects, node_captures, node_line, node_pasted};
use crate::steady::Settling;

/// Flags of `node`.
#[derive(Args, Debug)]
pub struct NodeArgs {
    /// Not this machine, but a folder of what people paste of a node: link.json (ip -j -d link), addr.json, route.json, route6.json (ip -6), neigh.json,
    /// sysctl.txt (sysctl -a), verdicts.json, inside/NAMESPACE.POD/ (docs/node.md)
    #[arg(
        long,
        value_name = "DIR",
        env = "IPAUDIT_FROM_IP",
        help_heading = "The node",
        requires = "node",
        conflicts_with = "node_evidence"
    )]
    pub from_ip: Option<PathBuf>,

    #[command(flatten)]
    pub nodes: NodeEvidenceArgs,

    /// Calico's name of the node. Of this machine, where nobody says: NODENAME, /var/lib/calico/nodename, its host name
    #[arg(long, value_name = "NODE", env = "IPAUDIT_NODE", value_parser = node_name, help_heading = "The node")]
    pub node: Option<String>,

    #[command(flatten)]
    pub live: LiveArgs,

    /// What the names of workload interfaces begin with; comma separated or repeated
    #[arg(long, value_name = "PREFIX", value_delimiter = ',', default_value = CALI, env = "IPAUDIT_PREFIX", value_parser = interface_prefix, help_heading = "The node")]
    pub prefix: Vec<String>,

    /// Save what was read of the node, for audit --node-evidence; packed where the name ends in .gz; - for standard output. Of
    /// this machine the capture is all that is made: etcd and Kubernetes are not asked
    #[arg(
        long,
        value_name = "FILE",
        env = "IPAUDIT_CAPTURE",
        help_heading = "Output",
        conflicts_with = "node_evidence"
    )]
    pub capture: Option<PathBuf>,

    /// Capture this machine again and again, so long apart, from start to start; on standard output one line each, as audit
    /// --node-evidence pods:… reads it from a log. Ctrl-C or SIGTERM ends it, and no capture is half written
    #[arg(
        long,
        value_name = "DURATION",
        env = "IPAUDIT_EVERY",
        value_parser = interval, allow_hyphen_values = true,
        help_heading = "Output",
        requires = "capture",
        conflicts_with_all = ["from_ip", "now"]
    )]
    pub every: Option<Duration>,

    /// Compare with a dump of etcd's keys in place of a datastore: a line {"key":…,"value":…} for each
    #[arg(
        long,
        value_name = "FILE",
        env = "IPAUDIT_ETCD_DUMP",
        help_heading = "Connection",
        conflicts_with = "etcd_endpoints"
    )]
    pub etcd_dump: Option<PathBuf>,

    #[command(flatten)]
    pub sources: SourceArgs,

    /// Whose the datastore is. exclusive: no other cluster and no plain host uses it. auto: decided from the nodes
    #[arg(long, value_name = "SCOPE", default_value = "auto", env = "IPAUDIT_SCOPE", help_heading = "What counts")]
    pub scope: ScopeFlag,

    /// Judge ages as of this time (RFC 3339), for data that was saved earlier
    #[arg(long, value_name = "TIME", env = "IPAUDIT_NOW", value_parser = time, help_heading = "What counts")]
    pub now: Option<Time>,

    /// How long a thing must have been so before it counts: a live etcd is asked again after this time. 0: at once, what one
    /// look found is an unconfirmed note
    #[arg(long, value_name = "DURATION", default_value = "20s", env = "IPAUDIT_SETTLE", value_parser = duration, allow_hyphen_values = true, help_heading = "What counts")]
    pub settle: Duration,

    /// Every finding on its own, also those that another one explains
    #[arg(long, env = "IPAUDIT_ALL", help_heading = "Output")]
    pub all: bool,

    #[command(flatten)]
    pub how: OutputArgs<PlainOutput>,

    /// Exit with 1 when a finding is at least this bad; never: only failures count
    #[arg(long, value_name = "SEVERITY", default_value = "error", env = "IPAUDIT_FAIL_ON", help_heading = "Output")]
    pub fail_on: FailOn,
}

/// Runs the command.
///
/// # Errors
/// Usage, and files that are not what they must be; what could not be read is no error but exit code 3.
pub async fn run(args: &NodeArgs, streams: &Streams) -> Result<Exit, Error> {
    if let (Some(every), Some(path)) = (args.every, &args.capture) {
        return again_and_again(args, every, path, streams).await;
    }
    let evidence = evidence(args, streams).await?;
    if let Some(exit) = captured(args, &evidence, streams)? {
        return Ok(exit);
    }
    let started = gather::present();
    let mut read = against(args, streams).await?;
    read.snapshot.take_nodes(evidence);
    let mut ledger = Ledger::build(&read.snapshot, args.scope, None);
    let mut outcome = judge(&World { snapshot: &read.snapshot, ledger: &ledger, past: None });
    let settling = Settling { past: None, now: read.snapshot.now, settle: args.settle };
    let mut looked = true;
    if settling.has_suspects(&outcome) {
        drop(ledger);
        let how = LookAgain { scope: args.scope, now: args.now, waits: true };
        (outcome, looked) = asking::settle(&mut read, outcome, &settling, how, streams).await;
        ledger = Ledger::build(&read.snapshot, args.scope, None);
    }
    let snapshot = &read.snapshot;
    checks::leave_to_causes(&mut outcome.findings);
    let nodes_again = again(args, matches!(read.from, From::Sources(_)));
    nodes_again.rewrite(&mut outcome.findings);
    let about = AuditCircumstances {
        started: Some(started),
        fail_on: args.fail_on,
        nodes_again,
        ..AuditCircumstances::default()
    };
    let mut view = AuditView::of(snapshot, &ledger, &outcome, about);
    let seen = &snapshot.nodes_seen;
    let is_unread =
        seen.nodes.iter().enumerate().any(|(at, node)| node.unread().next().is_some() || !seen.is_judged(at));
    let worst = view.findings.iter().map(|f| f.severity).max();
    let incomplete = view.exit == Exit::Incomplete || !looked || is_unread;
    view.audit.complete &= !incomplete;
    view.exit = decide(Course { worst, incomplete, failed: false }, args.fail_on);
    let Streams { color, width, quiet, .. } = *streams;
    let table = render::table::Options { color, width, all: args.all, quiet, capacity: false };
    streams.stream(|out| match args.how.output {
        PlainOutput::Table => render::table::node::write(&view, seen, table, out),
        PlainOutput::Json => render::json::write(&view, out),
    })?;
    Ok(view.exit)
}

/// ` --node-evidence caps`, for a shell; empty where nobody gave any.
pub fn typed_evidence(nodes: &NodeEvidenceArgs) -> String {
    nodes.node_evidence.iter().map(|path| format!(" --node-evidence {}", shell(&path.to_string_lossy()))).collect()
}

/// How what is found here is seen again.
fn again(args: &NodeArgs, has_etcd: bool) -> NodesAgain {
    let now = args.now.map(|now| format!(" --now {}", now.to_rfc3339())).unwrap_or_default();
    if !args.nodes.node_evidence.is_empty() {
        let evidence = format!("{}{now}", typed_evidence(&args.nodes));
        return NodesAgain { evidence, ..NodesAgain::default() };
    }
    let mut command = "ipaudit node".to_owned();
    let paths = [("--from-ip", &args.from_ip), ("--etcd-dump", &args.etcd_dump)];
    for (flag, path) in paths {
        command.extend(path.iter().map(|path| format!(" {flag} {}", shell(&path.to_string_lossy()))));
    }
    let objects = args.sources.kube.kube_objects.iter().filter(|_| args.etcd_dump.is_some());
    command.extend(objects.map(|path| format!(" --kube-objects {}", shell(&path.to_string_lossy()))));
    command.extend(args.node.iter().map(|node| format!(" --node {}", shell(node))));
    NodesAgain { evidence: String::new(), node: Some(format!("{command}{now} --all")), has_who: has_etcd }
}

/// The checks of nodes. What nobody gave is no incompleteness here: an operator asks what one node says.
fn judge(world: &World<'_>) -> Outcome {
    let (_, family) = checks::node::FAMILY;
    let mut outcome = checks::run_these(world, family);
    let coverage = &world.snapshot.coverage;
    for skipped in &mut outcome.skipped {
        let inputs = checks::find(skipped.code).into_iter().flat_map(|check| check.needs.inputs());
        let mut missing = inputs.filter(|input| !coverage.complete(*input)).peekable();
        if missing.peek().is_some() && missing.all(|input| coverage.state(input) == InputState::NotAsked) {
            skipped.incomplete = false;
        }
    }
    outcome
}

async fn evidence(args: &NodeArgs, streams: &Streams) -> Result<NodesSeen, Error> {
    if let Some(nodes) = args.nodes.read(streams)? {
        return Ok(nodes);
    }
    let evidence = match &args.from_ip {
        Some(folder) => node_pasted::read(folder, args.node.as_deref().unwrap_or_default(), &args.prefix)?,
        None => node_live::read(&args.live, args.node.as_deref(), &args.prefix, streams).await?,
    };
    Ok(NodesSeen::newest(vec![evidence], false))
}

/// Captures until somebody ends it; the exit code is the last one's. A reading or a capture that fails is told and tried
/// again.
async fn again_and_again(args: &NodeArgs, every: Duration, path: &Path, streams: &Streams) -> Result<Exit, Error> {
    let stop = Stop::on_signal("ending: no other capture is begun", *streams);
    let mut last = Exit::Clean;
    loop {
        let began = Instant::now();
        // The second reading of a node may be far away.
        let seen = tokio::select! {
            seen = evidence(args, streams) => seen,
            () = stop.come() => return Ok(last),
        };
        let exit = match seen {
            Ok(seen) if is_standard_input(path) => {
                let line = seen.nodes.first().map(node_line::line).transpose()?;
                let exit = seen.nodes.first().map_or(Exit::Clean, |evidence| tell_unread(evidence, streams));
                match streams.print_while_read(format!("{}\n", line.unwrap_or_default()).as_bytes()) {
                    Ok(true) => Ok(exit),
                    // Nobody would ever read another one.
                    Ok(false) => return Ok(exit),
                    // A disk that is full may have room for the next one.
                    Err(error) => Err(error),
                }
            }
            Ok(seen) => captured(args, &seen, streams).map(|exit| exit.unwrap_or(Exit::Clean)),
            Err(error) => Err(error),
        };
        last = match exit {
            Ok(exit) => exit,
            Err(error) if error.fault == Fault::User => return Err(error),
            Err(error) => {
                output::tell(&error, None);
                Conclusion::Failed.exit()
            }
        };
        stop.pause(began + every).await;
        if stop.is_wanted() {
            return Ok(last);
        }
    }
}

/// Writes the capture, where one is wanted; the exit code where that was all.
fn captured(args: &NodeArgs, seen: &NodesSeen, streams: &Streams) -> Result<Option<Exit>, Error> {
    let (Some(path), Some(evidence)) = (&args.capture, seen.nodes.first()) else { return Ok(None) };
    let to_output = path.as_os_str() == "-";
    if to_output {
        streams.print(&node_captures::document(evidence)?)?;
    } else {
        node_captures::write(path, evidence)?;
        streams.note(&format!("captured: {}", path.display()));
    }
    if !to_output && args.from_ip.is_some() {
        return Ok(None);
    }
    Ok(Some(tell_unread(evidence, streams)))
}

/// Says what could not be read; how that ends.
fn tell_unread(evidence: &NodeEvidence, streams: &Streams) -> Exit {
    evidence.unread().for_each(|words| streams.warn(&words.shown()));
    let conclusion = if evidence.unread().next().is_some() { Conclusion::Incomplete } else { Conclusion::Done };
    conclusion.exit()
}

/// What the checks of nodes ask etcd for: not the handles, of which there is one for every pod of the cluster. Endpoints and
/// blocks of other nodes are asked for too: who has a stale route's address, whose machine is being moved, which remote
/// block has pods in it.
fn looked_at() -> Vec<Input> {
    let (_, family) = checks::node::FAMILY;
    let needs = family.iter().flat_map(|check| check.needs.and(check.ties.also).inputs());
    let mut inputs: Vec<Input> = needs.chain(BESIDE).filter(|input| input.is_calicos()).collect();
    inputs.sort_unstable();
    inputs.dedup();
    inputs
}

/// Whose datastore it is, and which ranges are the cluster's.
const BESIDE: [Input; 3] = [Input::CalicoNodes, Input::Pools, Input::Config];

/// What the node is held against: files, live sources, or nothing.
async fn against(args: &NodeArgs, streams: &Streams) -> Result<Read, Error> {
    if args.etcd_dump.is_none() {
        match args.sources.etcd.settings() {
            Ok(_) => {
                let sources = Sources::open(&args.sources, streams).await?.of_inputs(looked_at());
                return asking::of(sources, args.now, streams).await;
            }
            Err(error) if is_not_given(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let mut snapshot = Gathering { now: args.now.unwrap_or_else(gather::present), ..Gathering::default() };
    if let Some(dump) = &args.etcd_dump {
        node_pasted::read_dump(dump, &mut snapshot)?;
    }
    // Without etcd nothing is held against pods.
    let kube = match args.etcd_dump {
        Some(_) => gather::open_kube(&args.sources.kube, streams).await?,
        None => Kube::NotAsked,
    };
    match kube {
        Kube::Files(files) => drop(kube_objects::read(&files, &mut snapshot)?),
        Kube::Live(api) => {
            drop(crate::source::kube::read(&api, &mut snapshot).await);
            gather::silent_kubernetes(&snapshot).iter().for_each(|remark| streams.remark(remark));
        }
        Kube::NotAsked => {
            for input in [Input::Pods, Input::KubeNodes, Input::Services, Input::Namespaces] {
                snapshot.coverage.set(input, InputState::NotAsked, gather::NO_CLUSTER);
            }
        }
    }
    Ok(Read { snapshot: snapshot.sorted(), from: From::Capture(Second::None), incomplete: false })
}
