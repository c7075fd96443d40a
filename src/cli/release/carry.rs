//! Does a confirmed plan, step by step: ask Kubernetes once more, read, decide, record the intent, write, record the
//! outcome.
//!
//! A step that somebody else's write defeats is read and decided again, at most three times, only for the same holders.
//! The first state that cannot be explained stops the run (rule 10); Ctrl-C stops it after the running transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::Instant;

use super::record::{Recorder, StepOutcome};
use crate::apply::{self, Outcome, Seen, Settled};
use crate::cli::gather::present;
use crate::connect::etcd::Connection;
use crate::error::{Error, chain};
use crate::model::{Names, Pod, Time};
use crate::plan::circumstances::{Again, AgainNode, AgainPod, Refusal};
use crate::plan::confirm::{Confirmed, Licence, Permit, Ready};
use crate::plan::fresh::Decision;
use crate::plan::outcome::{Course, End as Ended};
use crate::plan::transaction::{Fresh, Transaction};
use crate::source::kube_api::KubeApi;
use crate::source::kube_look::{self, Looked};

/// How often a step is read and decided again.
const TRIES: usize = 3;
/// How often a pause looks whether the run is stopped.
const LISTEN: Duration = Duration::from_millis(50);
/// How often more keys may turn out to be needed.
const ROUNDS: usize = 4;

/// What the run came to so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Handles and addresses that were released (or put back).
    pub done: usize,
    /// That were gone already.
    pub gone: usize,
    pub transactions: usize,
    pub refused: Vec<Refusal>,
    /// An outcome that nobody knows; the run has stopped there.
    pub unknown: Option<Error>,
    /// The tool or etcd failed; the run has stopped there.
    pub failed: Option<Error>,
    /// Ctrl-C.
    pub stopped: bool,
    /// Kubernetes did not answer any more; the run has stopped there.
    pub unanswered: bool,
    /// Steps that were not begun.
    pub left: usize,
}

impl Tally {
    /// What it came to; `refused`: the plan had refusals.
    pub fn course(&self, refused: bool) -> Course {
        let end = match () {
            () if self.unknown.is_some() => Ended::Unknown,
            () if self.failed.is_some() => Ended::Failed,
            () if self.unanswered => Ended::Unanswered,
            () if self.stopped => Ended::Stopped,
            () => Ended::Through,
        };
        Course { end, settled: self.done + self.gone, refused: refused || !self.refused.is_empty() }
    }
}

/// With what a run is done.
pub struct Carrier<'a> {
    pub connection: &'a Connection,
    /// `None`: Kubernetes cannot be asked about single objects.
    pub api: Option<&'a KubeApi>,
    pub recorder: &'a mut Recorder,
    /// Of the looks on which the plan rests.
    pub cluster_id: u64,
    pub revision: i64,
    /// Transactions a second; `None`: as fast as it goes.
    pub rate: Option<f64>,
    pub stop: Arc<AtomicBool>,
    pub bar: ProgressBar,
}

/// How one step ended.
enum End {
    /// So many handles and addresses.
    Done(usize),
    /// So many were gone already, and nothing was written.
    Gone(usize),
    Refused(Refusal),
    /// Kubernetes does not answer: this step is refused, and none is begun after it.
    Unanswered(Refusal),
    Unknown(Error),
    Failed(Error),
}

impl Carrier<'_> {
    /// Does all steps, or as many as can be done.
    pub async fn run(&mut self, confirmed: &Confirmed) -> Tally {
        let mut tally = Tally::default();
        let steps = confirmed.licences().count();
        for (i, licence) in confirmed.licences().enumerate() {
            if self.stop.load(Ordering::SeqCst) {
                tally.stopped = true;
                tally.left = steps - i;
                break;
            }
            let began = Instant::now();
            let count = licence.step().work.count();
            match self.step(&licence, &mut tally).await {
                End::Done(done) => tally.done += done,
                End::Gone(gone) => tally.gone += gone,
                End::Refused(refusal) => tally.refused.push(refusal),
                End::Unanswered(refusal) => {
                    tally.refused.push(refusal);
                    tally.unanswered = true;
                }
                End::Unknown(error) => tally.unknown = Some(error),
                End::Failed(error) => tally.failed = Some(error),
            }
            self.bar.inc(count as u64);
            if tally.unknown.is_some() || tally.failed.is_some() || tally.unanswered {
                tally.left = steps - i - 1;
                break;
            }
            // After the last one there is nothing to slow down, and others wait for the turn.
            if let Some(rate) = self.rate.filter(|_| i + 1 < steps) {
                self.pause(began + Duration::from_secs_f64(1.0 / rate)).await;
            }
        }
        self.bar.finish_and_clear();
        tally
    }

    /// Waits until then, or until the run is stopped: a pause may be longer than whoever stops it has patience.
    async fn pause(&self, until: Instant) {
        while !self.stop.load(Ordering::SeqCst) && Instant::now() < until {
            tokio::time::sleep_until(until.min(Instant::now() + LISTEN)).await;
        }
    }

    async fn step(&mut self, licence: &Licence<'_>, tally: &mut Tally) -> End {
        let subject = licence.step().work.subject();
        // Transactions that seemed not to be done after their answer was lost: they may arrive late.
        let mut late: Vec<Late> = Vec::new();
        for _ in 0..TRIES {
            for again in &licence.step().again {
                let refused = match self.ask_again(again).await {
                    Ok(()) => continue,
                    Err(Objection::Changed(words)) => End::Refused(Refusal::new(5, subject, words)),
                    Err(Objection::Unanswered(words)) => End::Unanswered(Refusal::new(5, subject, words)),
                };
                return self.arrived_late(&late).await.unwrap_or(refused);
            }
            let permit = match self.decide(licence).await {
                Ok(permit) => permit,
                Err(error) => return End::Failed(error),
            };
            let ready = match permit.ready {
                Ok(ready) => ready,
                Err(decision) => {
                    if let Some(end) = self.arrived_late(&late).await {
                        return end;
                    }
                    tally.refused.extend(permit.dropped);
                    return without_write(decision, subject, permit.gone);
                }
            };
            match self.write(licence, &ready).await {
                Ok(Outcome::Done { .. }) => {
                    tally.transactions += 1;
                    tally.gone += permit.gone;
                    let left_alone = permit.gone + permit.dropped.len();
                    tally.refused.extend(permit.dropped);
                    return self.read_back(&ready, licence.step().work.count().saturating_sub(left_alone)).await;
                }
                Ok(Outcome::Lost { answer_lost: true }) => late.push(Late {
                    step: self.recorder.last_step(),
                    transaction: ready.transaction().clone(),
                    count: licence.step().work.count().saturating_sub(permit.gone + permit.dropped.len()),
                }),
                Ok(Outcome::Lost { answer_lost: false }) => {}
                Ok(Outcome::Unknown(error)) => return End::Unknown(error),
                Err(error) => return End::Failed(error),
            }
        }
        if let Some(end) = self.arrived_late(&late).await {
            return end;
        }
        let words = format!("somebody else wrote these keys {TRIES} times meanwhile: try again later");
        End::Refused(Refusal::new(9, subject, words))
    }

    /// Whether an earlier try of ours, whose answer was lost, was done after all.
    async fn arrived_late(&mut self, late: &[Late]) -> Option<End> {
        for Late { step, transaction, count } in late {
            match apply::settle(self.connection, transaction.changes()).await {
                Ok(Settled::Done { revision }) if revision > 0 => {
                    let recorded = self.recorder.settle(*step, StepOutcome::Applied { revision });
                    return Some(recorded.map_or_else(End::Failed, |()| End::Done(*count)));
                }
                Ok(_) => {}
                Err(error) => return Some(End::Unknown(error)),
            }
        }
        None
    }

    /// Reads what is needed at one moment, and decides.
    async fn decide(&self, licence: &Licence<'_>) -> Result<Permit, Error> {
        let moment = self.moment();
        let check = |seen: &Seen| self.same_datastore(seen);
        let more = |permit: &Permit| permit.ready.as_ref().err().and_then(Decision::wants).map(<[_]>::to_vec);
        read_until(self.connection, licence.step().work.keys(), check, |fresh| licence.decide(fresh, moment), more)
            .await
    }

    fn same_datastore(&self, seen: &Seen) -> Result<(), Error> {
        let what = match () {
            () if seen.cluster_id != self.cluster_id => "another etcd cluster answers now",
            () if seen.revision < self.revision => "etcd's revision went back: it was restored",
            () => return Ok(()),
        };
        Err(Error::input("go on releasing").cause(what).hint("nothing more was written; run `ipaudit audit`"))
    }

    /// The later of our clock and the API server's.
    fn moment(&self) -> Time {
        let ours = present();
        let theirs = self.api.and_then(|api| api.tally.clocks().theirs_at(ours));
        theirs.map_or(ours, |theirs| theirs.max(ours))
    }

    /// Intent, write, outcome.
    async fn write(&mut self, licence: &Licence<'_>, ready: &Ready) -> Result<Outcome, Error> {
        self.recorder.intend(&licence.step().work, ready.transaction())?;
        let outcome = apply::apply(self.connection, ready).await;
        let recorded = match &outcome {
            Ok(Outcome::Done { revision }) => self.recorder.settle_last(StepOutcome::Applied { revision: *revision }),
            Ok(Outcome::Lost { .. }) => self.recorder.settle_last(StepOutcome::NotApplied),
            // Left open: the next run looks what became of it.
            Ok(Outcome::Unknown(_)) => Ok(()),
            Err(error) => self.recorder.settle_last(StepOutcome::Refused(chain(error))),
        };
        match (outcome, recorded) {
            (Ok(outcome), Ok(())) => Ok(outcome),
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
        }
    }

    /// What was written must be there, or have been written over since.
    async fn read_back(&self, ready: &Ready, done: usize) -> End {
        match apply::settle(self.connection, ready.transaction().changes()).await {
            Ok(Settled::NotDone) => {
                let cause = "etcd said that it was done, and the keys say that it was not";
                End::Unknown(Error::input("read the release back").cause(cause))
            }
            Ok(_) => End::Done(done),
            Err(error) => End::Unknown(error),
        }
    }

    /// Rule 5: GET, without `resourceVersion`; anything but the same answer refuses.
    async fn ask_again(&self, again: &Again) -> Result<(), Objection> {
        let Some(api) = self.api else {
            let words = "Kubernetes was read from files, and files cannot be asked again";
            return Err(Objection::Changed(words.to_owned()));
        };
        let mut names = Names::default();
        let id = format!("pod {}/{}", again.namespace, again.name);
        match (kube_look::get_pod(api, &mut names, &again.namespace, &again.name).await, &again.pod) {
            (Looked::Absent, AgainPod::Absent) => {}
            (Looked::Present(pod), AgainPod::As(before)) if fingerprint(&names, &pod) == *before => {}
            (Looked::Unknown(why), _) => {
                return Err(Objection::Unanswered(format!("{id} could not be read again right now: {why}")));
            }
            (Looked::Absent, AgainPod::As(_)) => {
                return Err(Objection::Changed(format!("{id} is gone now: judge anew")));
            }
            (Looked::Present(_), _) => {
                return Err(Objection::Changed(format!("{id} is another one or changed meanwhile")));
            }
        }
        let Some((node, wanted)) = &again.node else { return Ok(()) };
        match (kube_look::get_node(api, &mut names, node).await, wanted) {
            (Looked::Present(found), AgainNode::Ready(uid))
                if found.ready == Some(true) && found.uid.text(&names) == *uid =>
            {
                Ok(())
            }
            (Looked::Absent, AgainNode::Absent) => Ok(()),
            (Looked::Unknown(why), _) => {
                Err(Objection::Unanswered(format!("node {node} could not be read again right now: {why}")))
            }
            _ => Err(Objection::Changed(format!("node {node} is not what it was any more"))),
        }
    }
}

/// Why Kubernetes' answer right before a write forbids it.
enum Objection {
    Changed(String),
    /// It gave none: the next step would wait as long for the same.
    Unanswered(String),
}

/// A transaction whose answer was lost and that seemed not to be done.
struct Late {
    step: i64,
    transaction: Transaction,
    /// How many handles and addresses it settles.
    count: usize,
}

/// The end of a step for which there is nothing to write.
fn without_write(decision: Decision, subject: String, gone: usize) -> End {
    match decision {
        Decision::Nothing(_) => End::Gone(gone),
        Decision::Changed(words) => End::Refused(Refusal::new(9, subject, format!("changed hands: {words}"))),
        Decision::Refused(refusal) => End::Refused(refusal),
        Decision::Read(_) => End::Refused(Refusal::new(9, subject, "it names more and more blocks")),
        Decision::Write(_) => End::Failed(Error::own("decide about a release").cause("a decision was lost")),
    }
}

/// Reads keys at one moment and decides; more keys may turn out to be needed, then all are read anew.
///
/// # Errors
/// As for any read, and what `check` says of the moment.
pub async fn read_until<T>(
    connection: &Connection,
    mut keys: Vec<Vec<u8>>,
    check: impl Fn(&Seen) -> Result<(), Error>,
    decide: impl Fn(&Fresh) -> T,
    more: impl Fn(&T) -> Option<Vec<Vec<u8>>>,
) -> Result<T, Error> {
    let mut round = 0;
    loop {
        keys.sort();
        keys.dedup();
        let seen = apply::read(connection, &keys).await?;
        check(&seen)?;
        let decided = decide(&seen.fresh);
        round += 1;
        match more(&decided) {
            Some(more) if round < ROUNDS => keys.extend(more),
            _ => return Ok(decided),
        }
    }
}

/// What must be the same of a pod at the next look: who it is, whether it can hold an address, and all that it claims.
pub fn fingerprint(names: &Names, pod: &Pod) -> String {
    let claims = [&pod.addresses, &pod.network_status, &pod.floating, &pod.no_ipam];
    let claims = claims.map(|list| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","));
    format!(
        "{} {} {} {} {} {}",
        pod.uid.text(names),
        pod.phase.word(),
        names.get(pod.node),
        pod.host_network,
        pod.deleting.is_some(),
        claims.join(" ")
    )
}
