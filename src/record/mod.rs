//! What an audit adds to the history: the difference between what it saw and the past that it was held against.
//!
//! Pure: the same snapshot, findings and past give the same record. What was not read closes nothing: an interval ends
//! and a finding is over only when everything was read that could have shown it again.

mod capacity;
mod diff;
mod findings;
mod intervals;
mod keys;
mod seen;

use serde::Serialize;

use self::diff::Diff;
use crate::checks::datastore::datastore_went_back;
use crate::checks::{self, Outcome};
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::clock::SKEW;
use crate::model::record::{AuditRecord, ClusterKey, DarkRecord, Header};
use crate::model::snapshot::Dark;
use crate::model::{Foreign, Gathering, Input, InputState, Past, Severity, Snapshot};

pub use diff::AuditCourse;
pub use seen::{are_pods_read, is_all_recorded, keys_changed, keys_read, prints};

/// The names under which the history keeps this cluster; `None` when the datastore has no name: such an audit is not
/// recorded.
pub fn cluster_key(snapshot: &Snapshot) -> Option<ClusterKey> {
    snapshot.cluster.meta?;
    let guid = snapshot.text(snapshot.cluster.guid);
    (!guid.is_empty()).then(|| ClusterKey { guid: guid.to_owned(), uids: kubernetes_uids(snapshot) })
}

/// The names of the Kubernetes cluster; none where it did not answer.
pub fn kubernetes_uids(snapshot: &Gathering) -> Vec<String> {
    let kube = &snapshot.kube;
    let uids = [&kube.kube_system_uid, &kube.kubernetes_service_uid].into_iter().flatten();
    uids.filter(|uid| !uid.is_empty()).cloned().collect()
}

/// Why the datastore's name could not be read: the audit failed, and its row has no cluster. `None`: it was read, whether
/// or not there is one.
pub fn failure(snapshot: &Snapshot) -> Option<Foreign> {
    let was_read = || matches!(snapshot.coverage.state(Input::Config), InputState::Complete | InputState::NotAsked);
    (snapshot.cluster.meta.is_none() && !was_read()).then(|| snapshot.coverage.why(Input::Config))
}

/// What is written of an audit. The past that it is held against goes with it, so no second record can be made of it.
pub fn of<'l>(ledger: &'l Ledger<'_>, outcome: &Outcome, past: Past, course: &AuditCourse) -> AuditRecord<'l> {
    let snapshot = ledger.snapshot;
    let diff = Diff { ledger, snapshot, past: &past };
    let (allocations, continued) = diff.allocations();
    let config = diff.complete(&[Input::Config]) && !snapshot.is_undecodable_under(crate::model::keys::IPAM_CONFIG);
    AuditRecord {
        header: header(ledger, outcome, course),
        forked: outcome.findings.iter().any(|f| f.code == datastore_went_back::CHECK.code),
        proves_pair: course.complete && ledger.pairing.holds(),
        exclusive: course.said.map(|flag| flag == ScopeFlag::Exclusive),
        strict_affinity: config.then_some(snapshot.ipam_config.strict_affinity),
        keys: diff.keys(),
        blocks: diff.blocks(),
        allocations,
        continued,
        pods: diff.pods(),
        nodes: diff.nodes(),
        new_ours: diff.new_ours(),
        new_former: diff.new_former(),
        gone: diff.gone(),
        back: diff.back(),
        capacity: diff.capacity(&outcome.findings),
        findings: findings::entries(outcome, &past, snapshot.now),
        unseen: findings::unseen(&diff, outcome, course),
        dark: dark(ledger),
        past,
    }
}

fn header(ledger: &Ledger<'_>, outcome: &Outcome, course: &AuditCourse) -> Header {
    let snapshot = ledger.snapshot;
    let clocks = snapshot.kube.clocks.furthest();
    // Where one of the two clocks is wrong, nothing may be recorded as older than by either of them.
    let later = clocks.filter(|pair| pair.apart() > SKEW).map(|pair| pair.theirs_at(snapshot.now));
    Header {
        judged: snapshot.now.max(later.unwrap_or(snapshot.now)),
        started: course.started,
        duration: course.duration,
        // What their clock showed then: held against `started` it is the skew.
        api_date: clocks.map(|pair| pair.theirs_at(course.started)),
        etcd: snapshot.etcd.clone(),
        scope: ledger.scope.sharing(),
        complete: course.complete,
        tool: course.tool.clone(),
        about: about(snapshot, outcome),
        counts: course.counts.clone(),
        found: found(outcome),
    }
}

/// The same text for every audit that went the same way.
fn about(snapshot: &Snapshot, outcome: &Outcome) -> String {
    #[derive(Serialize)]
    struct ReachJson<'a> {
        inputs: Vec<InputReach>,
        ran: Vec<u16>,
        skipped: Vec<(u16, &'a str)>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        closed_pools: Vec<(&'a str, &'a str)>,
    }
    #[derive(Serialize)]
    struct InputReach {
        input: &'static str,
        state: &'static str,
        detail: Foreign,
        undecodable: usize,
    }
    let inputs = snapshot.coverage.told().filter(|input| *input != Input::History).map(|input| InputReach {
        input: input.word(),
        state: snapshot.coverage.state(input).word(),
        detail: snapshot.coverage.detail(input),
        undecodable: snapshot.bad_values.iter().filter(|bad| bad.input == input).count(),
    });
    let skipped: Vec<(u16, &str)> = outcome.not_run().map(|s| (s.code.0, s.reason.raw())).collect();
    let ran = checks::ALL.iter().map(|c| c.code.0).filter(|code| skipped.iter().all(|(other, _)| other != code));
    let closed = snapshot.pools.iter().filter_map(|pool| Some((snapshot.text(pool.name), pool.closed()?)));
    let mut closed_pools: Vec<(&str, &str)> = closed.collect();
    closed_pools.sort_unstable();
    let about = ReachJson { inputs: inputs.collect(), ran: ran.collect(), skipped, closed_pools };
    serde_json::to_string(&about).unwrap_or_default()
}

fn found(outcome: &Outcome) -> String {
    let count = |severity| outcome.findings.iter().filter(|f| f.severity == severity).count();
    let counts: serde_json::Map<String, serde_json::Value> = Severity::WORST_FIRST
        .into_iter()
        .map(|severity| (severity.word().to_owned(), count(severity).into()))
        .collect();
    serde_json::Value::Object(counts).to_string()
}

fn dark(ledger: &Ledger<'_>) -> DarkRecord {
    let snapshot = ledger.snapshot;
    let mut record = DarkRecord::default();
    for dark in snapshot.bad_values.iter().flat_map(|bad| &bad.dark) {
        match *dark {
            Dark::Range(cidr) | Dark::Affinity(cidr) => record.ranges.push(cidr),
            Dark::Node(node) => {
                record.nodes.extend([node, ledger.scope.kubernetes_name(node)].map(|n| snapshot.text(n).into()));
            }
            Dark::Handle(id) => record.handles.push(id.text(&snapshot.names).into()),
            Dark::All(Input::Blocks) => record.all_blocks = true,
            Dark::All(_) => {}
        }
    }
    record
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::checks::testing::Cluster;

    /// Held against `started` the API server's time is the skew of one answer, however long the reading took.
    #[test]
    fn the_api_servers_time_is_that_of_the_start() {
        let mut c = Cluster::healthy();
        c.api_time(40);
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        let started = c.ago(63);
        let course = AuditCourse { started, duration: Duration::from_secs(63), ..AuditCourse::default() };
        let header = header(&ledger, &Outcome::default(), &course);
        assert_eq!(header.api_date, Some(started.plus(Duration::from_secs(40))));
    }
}
