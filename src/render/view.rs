//! Everything that an audit's output shows, as one plain value; each format shows all or part of it.
//!
//! Unknown is not absent: what was not read has no count, rather than the count 0.

use crate::model::hash::HashSet;
use serde::Serialize;
use std::time::Duration;

use super::capacity::{self, NodeFill, PoolRow};
use super::releases::{ReleaseOfAll, Releases};
use super::{folds::seen_once, narrow::Narrow, nodes_again::NodesAgain, unknown::UnknownName};
use crate::checks::{self, Outcome, Skipped};
use crate::exit::{self, Course, Exit, FailOn};
use crate::ledger::{Ledger, Standing, Use};
use crate::model::{
    Addr, Code, EtcdReading, EtcdStatus, FailedLook, Foreign, Gist, Input, InputState, KeptFinding, Sharing, Snapshot,
    State, Time,
};

/// So many nodes are shown when nobody says.
const NODES: usize = 10;

/// What one audit shows.
#[derive(Clone, Debug)]
pub struct AuditView<'a> {
    pub cluster: ClusterRow,
    pub audit: AuditHead,
    /// etcd's word of itself; `None`: not read.
    pub etcd: Option<EtcdStatus>,
    /// Every input, in the order of [`Input::ALL`]; evidence of nodes only where somebody asked for it.
    pub inputs: Vec<InputRow>,
    pub counts: Counts,
    pub pools: Vec<PoolRow>,
    /// The biggest nodes, by allocated addresses; `None`: the blocks were not read.
    pub nodes: Option<Vec<NodeFill>>,
    /// How many more nodes there are in IPAM.
    pub more_nodes: usize,
    /// In the order of the checks: worst first, then code, then subject; already narrowed.
    pub findings: Vec<&'a KeptFinding>,
    /// How many would be errors, whatever is shown, and nobody looked again.
    pub seen_once: usize,
    /// How many findings narrowing has taken away.
    pub hidden: usize,
    /// How many findings the operator ignores; neither shown nor among the hidden ones.
    pub ignored: usize,
    /// The flags that ignore them.
    pub ignored_by: Vec<String>,
    pub narrow: Narrow,
    /// The names that the view is narrowed to and that nobody has seen: exit code 3, though everything was read.
    pub unknown: Vec<UnknownName>,
    /// How many checks ran.
    pub checks_run: usize,
    pub skipped: &'a [Skipped],
    pub outside: OutsideRow,
    /// Why the second look failed, if it did.
    pub unlooked: Option<FailedLook>,
    /// What may be advised of releases.
    pub releases: Releases,
    /// Many orphaned handles that the history has known for so long would be let through; `None`: none would.
    pub handles_older_than: Option<&'static str>,
    /// `None` without a history.
    pub history: Option<HistoryRow>,
    /// The connection's flags of this run, which the commands that are shown leave out.
    pub connected_by: Vec<&'static str>,
    pub nodes_again: NodesAgain,
    /// Sentences for people; on the terminal they went to stderr already.
    pub warnings: Vec<Foreign>,
    pub exit: Exit,
}

/// Which cluster and datastore it was. The fields' names are those of the JSON.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ClusterRow {
    /// What people call it (a kubeconfig's context, say), if anybody said.
    pub name: Option<Foreign>,
    /// `unknown` without a ClusterInformation.
    pub guid: Foreign,
    pub kubernetes_uid: Option<Foreign>,
    /// The API server's address or a file's name; `None`: not asked.
    pub kubernetes_server: Option<Foreign>,
    pub calico_version: Option<Foreign>,
}

/// The audit itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditHead {
    /// Its number in the history; `None` when it was not recorded.
    pub id: Option<u64>,
    /// By the clock of the machine.
    pub started: Time,
    /// The moment by which ages were judged; another one than `started` with `--now`.
    pub judged: Time,
    pub etcd_revision: i64,
    pub duration: Duration,
    /// Whether silence proves anything.
    pub complete: bool,
    /// How etcd was read; `None` of a capture, and where it was not.
    pub reading: Option<EtcdReading>,
    /// `exclusive`, `shared`, or `unknown` when Kubernetes' nodes could not be read.
    pub scope: Sharing,
}

/// How much of an input was read. The fields' names are those of the JSON.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InputRow {
    pub input: Input,
    pub state: InputState,
    /// Why it is not complete; else empty.
    pub detail: Foreign,
    /// What can be done about it; empty where nobody has an idea.
    pub hint: Foreign,
    /// Keys and values of it that do not parse.
    pub undecodable: u64,
}

/// How much there is; `None`: not read. The fields' names are those of the JSON.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Counts {
    pub blocks: Option<u64>,
    pub handles: Option<u64>,
    pub affinities: Option<u64>,
    pub endpoints: Option<u64>,
    pub calico_nodes: Option<u64>,
    /// Pods that can hold an address: on a node, not finished, not in the host's network.
    pub pods: Option<u64>,
    /// Kubernetes' nodes.
    pub nodes: Option<u64>,
    pub services: Option<u64>,
    /// Allocated ordinals, cooling ones not counted.
    pub allocated: Option<u64>,
    pub cooling: Option<u64>,
    /// Addresses proven leaked (IPA110, IPA111, IPA112), whatever the view is narrowed to.
    pub leaked: u64,
}

/// What belongs to others and was not judged. The fields' names are those of the JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct OutsideRow {
    pub addresses: u64,
    pub nodes: u64,
}

/// What changed since the last audit. The fields' names are those of the JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct HistoryRow {
    pub new: u64,
    pub ongoing: u64,
    pub came_back: u64,
    pub resolved: u64,
}

/// What the caller knows of an audit beside its snapshot, ledger and outcome.
#[derive(Clone, Debug, Default)]
pub struct AuditCircumstances {
    /// What people call the cluster.
    pub name: String,
    pub id: Option<u64>,
    /// `None`: the snapshot's "now".
    pub started: Option<Time>,
    pub duration: Duration,
    pub history: Option<HistoryRow>,
    pub narrow: Narrow,
    /// The names that it is narrowed to and that nobody has seen.
    pub unknown: Vec<UnknownName>,
    /// Findings that the operator ignores: code and subject.
    pub ignored: HashSet<(Code, Foreign)>,
    /// The flags that ignore them, as people would type them.
    pub ignored_by: Vec<String>,
    /// How etcd was read.
    pub reading: Option<EtcdReading>,
    /// The connection's flags that were typed.
    pub connected_by: Vec<&'static str>,
    pub nodes_again: NodesAgain,
    /// So many nodes are in [`AuditView::nodes`]; `None`: the ten biggest.
    pub nodes: Option<usize>,
    pub fail_on: FailOn,
    /// Why suspects could not be looked at again: a failed second look leaves the audit incomplete.
    pub unlooked: Option<FailedLook>,
    /// What may be advised of releases.
    pub releases: Releases,
    /// Many orphaned handles that the history has known for so long would be let through; `None`: none would.
    pub handles_older_than: Option<&'static str>,
    /// The tool failed at something that it was asked for: a history that cannot be written.
    pub failed: bool,
    pub warnings: Vec<Foreign>,
}

impl<'a> AuditView<'a> {
    /// The view of what `outcome` says about `snapshot`.
    pub fn of(
        snapshot: &Snapshot,
        ledger: &Ledger<'_>,
        outcome: &'a Outcome,
        about: AuditCircumstances,
    ) -> AuditView<'a> {
        let inputs: Vec<InputRow> = snapshot.coverage.told().map(|input| input_row(snapshot, input)).collect();
        let incomplete = about.unlooked.is_some() || is_incomplete(&inputs, &outcome.skipped);
        let is_ignored =
            |f: &Gist| !about.ignored.is_empty() && about.ignored.contains(&(f.code, f.subject.id.clone()));
        let wanted: Vec<&KeptFinding> = outcome.findings.iter().filter(|f| !is_ignored(f)).collect();
        let findings: Vec<&KeptFinding> = wanted.iter().copied().filter(|f| about.narrow.keeps(f)).collect();
        let leaks: HashSet<Addr> = leaked(&outcome.findings).into_iter().collect();
        let (nodes, more_nodes) = capacity::nodes(snapshot, ledger, &leaks, about.nodes.unwrap_or(NODES));
        let worst = findings.iter().map(|f| f.severity).max();
        let seen_once = seen_once(&outcome.findings);
        let blind = incomplete || seen_once > 0 || !about.unknown.is_empty();
        AuditView {
            cluster: ClusterRow {
                name: given(&about.name),
                guid: snapshot.guid().into(),
                kubernetes_uid: snapshot.kube.uid().map(Foreign::from),
                kubernetes_server: given(&snapshot.kube.server),
                calico_version: given(snapshot.text(snapshot.cluster.calico_version)),
            },
            audit: AuditHead {
                id: about.id,
                started: about.started.unwrap_or(snapshot.now),
                judged: snapshot.now,
                etcd_revision: snapshot.etcd.revision,
                duration: about.duration,
                complete: !incomplete,
                reading: about.reading,
                scope: ledger.scope.sharing(),
            },
            etcd: snapshot.coverage.complete(Input::EtcdStatus).then(|| snapshot.etcd.status.clone()),
            inputs,
            counts: counts(snapshot, ledger, leaks.len()),
            pools: capacity::pools(snapshot, ledger, &leaks),
            nodes,
            more_nodes,
            seen_once,
            hidden: wanted.len() - findings.len(),
            ignored: outcome.findings.len() - wanted.len(),
            ignored_by: about.ignored_by,
            findings,
            narrow: about.narrow,
            unknown: about.unknown,
            checks_run: checks::ALL.len().saturating_sub(outcome.not_run().count()),
            skipped: &outcome.skipped,
            outside: outside(snapshot, ledger),
            unlooked: about.unlooked,
            releases: about.releases,
            handles_older_than: about.handles_older_than,
            history: about.history,
            connected_by: about.connected_by,
            nodes_again: about.nodes_again,
            warnings: about.warnings,
            exit: exit::decide(Course { worst, incomplete: blind, failed: about.failed }, about.fail_on),
        }
    }

    /// What has to be said first: the names that nobody has seen.
    pub fn unknown_names(&self) -> Option<String> {
        let says: Vec<String> = self.unknown.iter().map(|name| name.says(&|name| name.shown().into_owned())).collect();
        (!says.is_empty()).then(|| format!("{} This is no all-clear.", says.join(" ")))
    }

    /// The release of everything of a code at once, where that may be let through: what would go, and what not.
    pub fn release_of(&self, code: Code) -> Option<ReleaseOfAll> {
        let ties = &checks::find(code).filter(|check| check.ties.releasable)?.ties;
        let older_than = match (&self.releases, ties.proves_leak) {
            (Releases::Open { older_than }, true) => *older_than,
            (_, true) => return None,
            (_, false) => self.handles_older_than?,
        };
        Some(ReleaseOfAll::of(code, older_than, &self.findings, &self.narrow))
    }

    /// Inputs that should have been read and were not, or not wholly.
    pub fn unread(&self) -> impl Iterator<Item = &InputRow> {
        self.inputs.iter().filter(|row| row.is_unread())
    }
}

impl InputRow {
    /// The history is no input in this sense: a first audit is complete without it, and one that cannot be
    /// written is a failure. What nobody asked for is missing only where a check needs it.
    fn is_unread(&self) -> bool {
        self.input != Input::History && !matches!(self.state, InputState::Complete | InputState::NotAsked)
    }
}

/// The addresses that these findings prove leaked, sorted.
pub fn leaked(findings: &[KeptFinding]) -> Vec<Addr> {
    let leaks = findings.iter().filter(|f| f.state == State::Confirmed && checks::is_kept_leak(f));
    let mut addresses: Vec<Addr> = leaks.filter_map(|f| f.subject.address()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn given(text: &str) -> Option<Foreign> {
    Some(text).filter(|text| !text.is_empty()).map(Foreign::from)
}

fn input_row(snapshot: &Snapshot, input: Input) -> InputRow {
    InputRow {
        input,
        state: snapshot.coverage.state(input),
        detail: snapshot.coverage.detail(input),
        hint: snapshot.coverage.hint(input),
        undecodable: snapshot.bad_values.iter().filter(|bad| bad.input == input).count() as u64,
    }
}

fn is_incomplete(inputs: &[InputRow], skipped: &[Skipped]) -> bool {
    inputs.iter().any(|row| row.is_unread() || row.undecodable > 0) || skipped.iter().any(|s| s.incomplete)
}

fn counts(snapshot: &Snapshot, ledger: &Ledger<'_>, leaked: usize) -> Counts {
    let read = |input: Input, number: usize| match snapshot.coverage.state(input) {
        InputState::Complete | InputState::Partial => Some(number as u64),
        InputState::Forbidden | InputState::Unreachable | InputState::NotAsked => None,
    };
    let cooling = ledger.allocations.iter().filter(|a| a.used_for == Use::Cooling).count();
    Counts {
        blocks: read(Input::Blocks, ledger.blocks.len()),
        handles: read(Input::Handles, snapshot.handles.len()),
        affinities: read(Input::Affinities, ledger.affinities.len()),
        endpoints: read(Input::Endpoints, snapshot.endpoints.len()),
        calico_nodes: read(Input::CalicoNodes, snapshot.calico_nodes.len()),
        pods: read(Input::Pods, snapshot.pods.iter().filter(|p| p.may_hold()).count()),
        nodes: read(Input::KubeNodes, snapshot.kube_nodes.len()),
        services: read(Input::Services, snapshot.services.len()),
        allocated: read(Input::Blocks, ledger.allocations.len() - cooling),
        cooling: read(Input::Blocks, cooling),
        leaked: leaked as u64,
    }
}

/// Nobody is ours while Kubernetes' nodes are unknown; then the skipped checks say so, not this.
fn outside(snapshot: &Snapshot, ledger: &Ledger<'_>) -> OutsideRow {
    if !ledger.scope.known {
        return OutsideRow::default();
    }
    let foreign = |node| ledger.scope.standing(node) == Standing::Foreign;
    let mut nodes: HashSet<_> = snapshot.calico_nodes.iter().map(|n| n.name).filter(|&n| foreign(n)).collect();
    let mut addresses = 0;
    for allocation in ledger.allocations.iter().filter(|a| a.used_for != Use::Cooling) {
        if !ledger.is_judged(allocation) {
            addresses += 1;
            nodes.extend(ledger.owner_node(allocation).some());
        }
    }
    OutsideRow { addresses, nodes: nodes.len() as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::checks::{World, run};
    use crate::model::BadValue;

    fn exit_of(cluster: &mut Cluster, about: AuditCircumstances) -> (Exit, bool) {
        let snapshot = cluster.snapshot();
        let ledger = Ledger::build(&snapshot, cluster.scope, None);
        let outcome = run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
        let view = AuditView::of(&snapshot, &ledger, &outcome, about);
        (view.exit, view.audit.complete)
    }

    #[test]
    fn what_was_not_read_has_no_count_and_makes_the_audit_incomplete() {
        let mut c = Cluster::healthy();
        assert_eq!(exit_of(&mut c, AuditCircumstances::default()), (Exit::Clean, true));
        c.snapshot.coverage.set(Input::Pods, InputState::Forbidden, "pods: forbidden");
        c.snapshot.pods.clear();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let outcome = run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
        let view = AuditView::of(&snapshot, &ledger, &outcome, AuditCircumstances::default());
        assert_eq!((view.counts.pods, view.counts.blocks, view.counts.allocated), (None, Some(2), Some(6)));
        assert_eq!((view.exit, view.unread().count()), (Exit::Incomplete, 1));
        let pool = &view.pools[0];
        assert_eq!((pool.addresses, pool.allocated, pool.in_use, pool.leaked), (65_536, Some(6), None, None));
        assert_eq!((pool.free, pool.blocks, pool.free_blocks), (Some(65_530), 1024, Some(1022)));
    }

    #[test]
    fn a_value_that_does_not_decode_makes_it_incomplete_and_a_missing_history_does_not() {
        let mut c = Cluster::healthy();
        c.snapshot.coverage.set(Input::History, InputState::NotAsked, "");
        assert_eq!(exit_of(&mut c, AuditCircumstances::default()), (Exit::Clean, true));
        c.snapshot.bad_values.push(BadValue {
            key: b"/calico/x".to_vec(),
            input: Input::Handles,
            offset: None,
            reason: String::new(),
            dark: Vec::new(),
            mod_revision: 1,
        });
        assert_eq!(exit_of(&mut c, AuditCircumstances::default()).0, Exit::Incomplete);
    }

    #[test]
    fn narrowing_changes_exit_1_and_never_exit_3() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        assert_eq!(exit_of(&mut c, AuditCircumstances::default()).0, Exit::Findings);
        let narrow = || Narrow { codes: vec![Code(101)], ..Narrow::default() };
        assert_eq!(
            exit_of(&mut c, AuditCircumstances { narrow: narrow(), ..AuditCircumstances::default() }).0,
            Exit::Clean
        );
        let about = AuditCircumstances {
            narrow: narrow(),
            unlooked: Some(FailedLook::default()),
            ..AuditCircumstances::default()
        };
        assert_eq!(exit_of(&mut c, about), (Exit::Incomplete, false));
    }

    #[test]
    fn ignoring_changes_exit_1_and_never_what_is_leaked() {
        let mut c = Cluster::healthy();
        c.remove_pod("web-0");
        c.remove_endpoint("web-0");
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let mut outcome = run(&World { snapshot: &snapshot, ledger: &ledger, past: None });
        let ignored = HashSet::from([(Code(110), "10.65.0.1".into())]);
        let about = AuditCircumstances { ignored, ..AuditCircumstances::default() };
        let view = AuditView::of(&snapshot, &ledger, &outcome, about.clone());
        assert_eq!((view.exit, view.findings.len(), view.ignored, view.hidden), (Exit::Clean, 0, 1, 0));
        assert_eq!((view.counts.leaked, view.pools[0].leaked), (1, Some(1)));
        let about = AuditCircumstances { unlooked: Some(FailedLook::default()), ..about };
        let view = AuditView::of(&snapshot, &ledger, &outcome, about);
        assert_eq!(view.exit, Exit::Incomplete);
        outcome.findings[0].set_severity(crate::model::Severity::Note);
        assert_eq!(leaked(&outcome.findings).len(), 1, "nor does another severity make it less of a leak");
        let mut held = outcome.findings[0].open();
        held.evidence.push("held", true);
        outcome.findings[0] = held.into();
        assert!(leaked(&outcome.findings).is_empty(), "somebody shows it");
    }

    #[test]
    fn what_is_others_is_counted() {
        let mut c = Cluster::healthy();
        c.remove_kube_node("node-2");
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        // Without node-2 in Kubernetes, the datastore is shared as far as anybody can tell.
        assert_eq!(outside(&snapshot, &ledger), OutsideRow { addresses: 3, nodes: 1 });
        assert_eq!(ledger.scope.sharing(), Sharing::Shared);
    }
}
