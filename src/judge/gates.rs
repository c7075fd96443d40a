//! Rule 2: the gates of a whole run. [`conditions`] fills what they judge by from what was read, remembered, and told
//! by clocks; each gate is a function of its own, and [`refusals`] asks them all.
//!
//! `--skip-age` never opens a gate.

use std::collections::HashMap;

use crate::checks::addresses::leaked_address;
use crate::checks::datastore::datastore_went_back;
use crate::checks::{World, run_these};
use crate::decode::keys::key_of;
use crate::ledger::Pairing;
use crate::model::clock::SKEW;
use crate::model::{
    Block, ClockPair, EtcdAlarm, Foreign, Input, InputState, Name, Snapshot, SubjectKind, Time, UNKNOWN_GUID,
    keys::key_text,
};
use crate::plan::circumstances::{Fork, Nameless, Surge};
use crate::plan::refusal::{Objection, Refusal};

/// As many newly leaked allocations are nobody's alarm, whatever their share.
pub const FEW: u64 = 20;

/// What the edge alone knows of a run.
#[derive(Clone, Copy, Debug)]
pub struct RunFacts {
    /// `--code …`: as many as are found, not what the operator named himself.
    pub is_bulk: bool,
    /// Kubernetes can be asked about single objects.
    pub live: bool,
    /// The pair has a name, so that a release can be recorded and found again.
    pub knows_pair: bool,
    /// This machine's clock.
    pub present: Time,
}

/// The clocks that must agree before ages mean anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clocks {
    /// This machine's.
    pub local: Time,
    /// Real time of the last audit in the history.
    pub last_audit: Option<Time>,
    /// The API server's clock beside this machine's, at the answer at which they were least apart; `None` when no answer
    /// told the time.
    pub api: Option<ClockPair>,
    /// Kubernetes was read from files, which have no clock.
    pub from_files: bool,
}

/// The conditions of a whole run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conditions {
    pub is_bulk: bool,
    /// Why nobody knows that Kubernetes and datastore belong together.
    pub unpaired: Option<String>,
    /// Whether Kubernetes' nodes could be read, so that everybody's standing is known.
    pub scope_known: bool,
    /// GUID and Kubernetes UID: without a name nothing can be recorded or undone.
    pub nameless: Option<Nameless>,
    /// IPA903 since the first observation that this run relies on.
    pub fork: Option<Fork>,
    /// The state of every input that must be complete, with its detail.
    pub inputs: Vec<(Input, InputState, String)>,
    /// Keys whose values do not decode, as text.
    pub bad_values: Vec<String>,
    /// Blocks with an allocation of which nobody can say whose it is (IPA301), as text.
    pub broken_blocks: Vec<String>,
    pub clocks: Clocks,
    /// Calico may not write: ClusterInformation's `datastoreReady` is `false` or null, or there is none.
    pub locked: bool,
    /// etcd's own alarms; that nobody could ask for them is told by the inputs.
    pub alarms: Vec<EtcdAlarm>,
    /// Places with newly leaked allocations; `None` when there is no last audit to compare with.
    pub surges: Option<Vec<Surge>>,
}

/// Everything that forbids this run.
pub fn closed(world: &World<'_>, run: RunFacts) -> Vec<Refusal> {
    refusals(&conditions(world, run))
}

/// The conditions of this run.
pub fn conditions(world: &World<'_>, run: RunFacts) -> Conditions {
    let snapshot = world.snapshot;
    let is_required = |i: &Input| match i {
        Input::History | Input::Namespaces => false,
        // It may forbid a release, and none needs it. Of what node it was had, that is asked of each address.
        Input::NodeEvidence => !snapshot.coverage.is_rightly_absent(*i) && snapshot.nodes_seen.nodes.is_empty(),
        _ => true,
    };
    let required = Input::ALL.into_iter().filter(is_required);
    let inputs = required.map(|i| (i, snapshot.coverage.state(i), snapshot.coverage.detail(i).raw().to_owned()));
    Conditions {
        is_bulk: run.is_bulk,
        unpaired: match &world.ledger.pairing {
            Pairing::Paired(_) => None,
            Pairing::Mismatch(why) | Pairing::Unknown(why) => Some(why.clone()),
        },
        scope_known: world.ledger.scope.known,
        nameless: nameless(snapshot).or((!run.knows_pair).then_some(Nameless::NoCluster)),
        fork: fork(world),
        inputs: inputs.collect(),
        bad_values: snapshot.bad_values.iter().map(|bad| key_text(&bad.key)).collect(),
        broken_blocks: broken(snapshot),
        clocks: Clocks {
            local: run.present,
            last_audit: world.past.and_then(|past| past.last_started),
            api: snapshot.kube.clocks.closest(),
            from_files: !run.live,
        },
        locked: snapshot.cluster.ready != Some(true),
        alarms: snapshot.etcd.status.alarms.clone(),
        surges: world.past.filter(|past| past.audits > 0).map(|_| surges(world)),
    }
}

/// Why the datastore has no name, if it has none. That it could not be read is not that it has none.
pub fn nameless(snapshot: &Snapshot) -> Option<Nameless> {
    let state = snapshot.coverage.state(Input::Config);
    match state {
        _ if snapshot.guid() != UNKNOWN_GUID => None,
        InputState::Complete => Some(Nameless::NoGuid),
        _ => Some(Nameless::Unread(snapshot.coverage.why(Input::Config))),
    }
}

/// Blocks with an allocation that leads nowhere, or lies outside of the block.
fn broken(snapshot: &Snapshot) -> Vec<String> {
    let outside =
        |b: &Block| b.allocations.get(b.size() as usize..).is_some_and(|rest| rest.iter().any(Option::is_some));
    let nowhere = |b: &Block| b.allocated().any(|(_, attribute)| attribute.is_none());
    let broken = snapshot.blocks.iter().filter(|b| nowhere(b) || outside(b));
    broken.map(|b| key_text(&key_of(&snapshot.names, b))).collect()
}

/// IPA903 now: the datastore is not the one that was observed, or an older state of it.
fn fork(world: &World<'_>) -> Option<Fork> {
    let past = world.past?.etcd?;
    let now = &world.snapshot.etcd;
    if now.cluster_id != past.cluster_id {
        return Some(Fork::OtherCluster);
    }
    if now.revision < past.revision {
        return Some(Fork::WentBack { now: now.revision, then: past.revision });
    }
    let found = run_these(world, &[&datastore_went_back::CHECK]).findings;
    match found.first() {
        Some(finding) => Some(Fork::Found(finding.open().summary)),
        None => world.past.is_some_and(|past| past.restored_last).then_some(Fork::AtLastAudit),
    }
}

/// Per node and pool: allocations, and those that are leaked and were not so at the last audit.
fn surges(world: &World<'_>) -> Vec<Surge> {
    let ledger = world.ledger;
    let mut nodes: HashMap<Name, (u64, u64)> = HashMap::new();
    let mut pools: Vec<(u64, u64)> = vec![(0, 0); world.snapshot.pools.len()];
    for allocation in &ledger.allocations {
        let known = |address: String| {
            world
                .past
                .is_some_and(|past| past.open.get(leaked_address::CHECK.code, SubjectKind::Address, &address).is_some())
        };
        let leaked = leaked_address::proof(world, allocation).is_some() && !known(allocation.address.to_string());
        let node = nodes.entry(ledger.owner_node(allocation)).or_default();
        let pool = world.snapshot.pools.iter().position(|p| p.cidr.contains(allocation.address));
        let pool = pool.and_then(|i| pools.get_mut(i));
        for (newly, all) in [Some(node), pool].into_iter().flatten() {
            *newly += u64::from(leaked);
            *all += 1;
        }
    }
    let of_nodes = nodes.into_iter().map(|(name, counts)| (format!("node {}", ledger.text(name)), counts));
    let of_pools = world.snapshot.pools.iter().map(|p| format!("pool {}", ledger.text(p.name))).zip(pools);
    let mut surges: Vec<Surge> = of_nodes
        .chain(of_pools)
        .map(|(place, (newly_leaked, allocations))| Surge { place: place.into(), newly_leaked, allocations })
        .collect();
    surges.sort_by(|a, b| a.place.cmp(&b.place));
    surges
}

/// The result of one gate.
type Gate = Result<(), Objection>;

/// Everything that forbids the run. etcd's alarms first, since nothing else matters then; then what was not read, which much
/// of the rest follows from.
pub fn refusals(all: &Conditions) -> Vec<Refusal> {
    let gates = [
        alarms(&all.alarms),
        // The cause of much that follows.
        inputs(&all.inputs),
        all.unpaired.clone().map_or(Ok(()), |why| Err(Objection::Unpaired(why.into()))),
        if all.scope_known { Ok(()) } else { Err(Objection::NodesUnread) },
        all.nameless.clone().map_or(Ok(()), |why| Err(Objection::Nameless(why))),
        // The datastore was not restored or replaced since it was observed: that voids all observations.
        all.fork.clone().map_or(Ok(()), |how| Err(Objection::Forked(how))),
        // A value that does not decode may hide a holder; an allocation that leads nowhere may be anybody's.
        first(&all.bad_values, Objection::Undecoded),
        first(&all.broken_blocks, Objection::LeadsNowhere),
        clock(&all.clocks),
        if all.locked { Err(Objection::Locked) } else { Ok(()) },
        surge(all.is_bulk, all.surges.as_deref()),
    ];
    gates.into_iter().filter_map(Result::err).map(Refusal::of_run).collect()
}

/// etcd takes writes: it refuses every one under an alarm. The gravest is told.
pub fn alarms(alarms: &[EtcdAlarm]) -> Gate {
    let of = |kind: &str| alarms.iter().find(|alarm| alarm.kind == kind);
    let worst = of(EtcdAlarm::CORRUPT).or(of(EtcdAlarm::NOSPACE)).or(alarms.first());
    worst.map_or(Ok(()), |alarm| Err(Objection::Alarm(alarm.clone())))
}

/// Every input was read completely.
pub fn inputs(inputs: &[(Input, InputState, String)]) -> Gate {
    let missing = inputs.iter().find(|(_, state, _)| *state != InputState::Complete);
    missing
        .map_or(Ok(()), |(input, state, detail)| Err(Objection::InputMissing(*input, *state, detail.as_str().into())))
}

/// The first of what must not be, and how many more there are.
fn first(found: &[String], objection: fn(Foreign, usize) -> Objection) -> Gate {
    match found {
        [] => Ok(()),
        [first, more @ ..] => Err(objection(first.as_str().into(), more.len())),
    }
}

/// The clock is not behind the last audit, and within [`SKEW`] of the API server's at one and the same answer.
pub fn clock(clocks: &Clocks) -> Gate {
    if let Some(last_audit) = clocks.last_audit.filter(|last| clocks.local < *last) {
        return Err(Objection::ClockBehind { ours: clocks.local, last_audit });
    }
    match clocks.api {
        Some(pair) if pair.apart() > SKEW => Err(Objection::ClocksApart { pair, most: SKEW }),
        None if !clocks.from_files => Err(Objection::ClockUntold),
        _ => Ok(()),
    }
}

/// No sudden mass leak: more than max(20, 10 %) of a node's or pool's allocations newly leaked since the last audit
/// is a fault of something else, and no bulk release may tidy up behind it.
pub fn surge(is_bulk: bool, surges: Option<&[Surge]>) -> Gate {
    let surges = match surges {
        _ if !is_bulk => return Ok(()),
        None => return Err(Objection::NoEarlierAudit),
        Some(surges) => surges,
    };
    let sudden = surges.iter().find(|s| s.newly_leaked > FEW.max(s.allocations / 10));
    sudden.map_or(Ok(()), |surge| Err(Objection::Surge(surge.clone())))
}

#[cfg(test)]
mod tests;
