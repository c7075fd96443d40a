//! Does a confirmed plan, step by step: ask Kubernetes once more, read, decide, record the intent, write, record the
//! outcome.
//!
//! A step that somebody else's write defeats is read and decided again, at most three times, only for the same holders.
//! The first state that cannot be explained stops the run (rule 10); Ctrl-C stops it after the running transaction.

use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::Instant;

use crate::apply::{self, Fate, SeenKeys, Settled};
use crate::cli::gather::present;
use crate::cli::journal::record::Recorder;
use crate::cli::output::as_remark;
use crate::cli::signal::Stop;
use crate::connect::etcd::Connection;
use crate::error::{Error, chain};
use crate::judge::last_look;
use crate::model::release::StepOutcome;
use crate::model::snapshot::EtcdFacts;
use crate::model::{Names, Time};
use crate::plan::circumstances::LastLook;
use crate::plan::confirm::{Confirmed, Licence, Permit, Ready};
use crate::plan::fresh::Decision;
use crate::plan::outcome::{RunEnd, RunOutcome};
use crate::plan::refusal::{Objection, Refusal};
use crate::plan::transaction::Transaction;
use crate::source::kube_api::KubeApi;
use crate::source::kube_look::{Seen, get_node, get_pod};

/// How often a step is read and decided again.
const TRIES: usize = 3;

/// With what a run is done.
pub struct Carrier<'a> {
    pub connection: &'a Connection,
    /// `None`: Kubernetes cannot be asked about single objects.
    pub api: Option<&'a KubeApi>,
    pub recorder: &'a mut Recorder,
    /// Of the looks on which the plan rests.
    pub etcd: &'a EtcdFacts,
    /// Transactions a second; `None`: as fast as it goes.
    pub rate: Option<f64>,
    pub stop: Stop,
    pub bar: ProgressBar,
}

/// How one step ended.
enum StepEnd {
    /// So many handles and addresses.
    Done(usize),
    /// So many were gone already, and nothing was written.
    Gone(usize),
    Refused(Refusal),
    Unknown(Error),
    Failed(Error),
}

impl Carrier<'_> {
    /// Does all steps, or as many as can be done; with the failure that ended it, if one did.
    pub async fn run(&mut self, confirmed: &Confirmed) -> (RunOutcome, Option<Error>) {
        let mut outcome = RunOutcome::default();
        let mut failure = None;
        let steps = confirmed.licences().count();
        for (i, licence) in confirmed.licences().enumerate() {
            outcome.left = steps - i;
            if self.stop.is_wanted() {
                outcome.end = RunEnd::Stopped;
                break;
            }
            let began = Instant::now();
            outcome.left -= 1;
            match self.step(&licence, &mut outcome).await {
                StepEnd::Done(done) => outcome.done += done,
                StepEnd::Gone(gone) => outcome.gone += gone,
                StepEnd::Refused(refusal) => {
                    // The next step would wait as long for the same.
                    if refusal.objection.is_unanswered() {
                        outcome.end = RunEnd::Unanswered;
                    }
                    outcome.refused.push(refusal);
                }
                StepEnd::Unknown(error) => outcome.end = RunEnd::Unknown(as_remark(&error).text()),
                StepEnd::Failed(error) => {
                    outcome.end = RunEnd::Failed(chain(&error).into());
                    failure = Some(error);
                }
            }
            self.bar.inc(licence.step().work.count() as u64);
            if outcome.end != RunEnd::Through {
                break;
            }
            // After the last one there is nothing to slow down, and others wait for the turn.
            if let Some(rate) = self.rate.filter(|_| i + 1 < steps) {
                self.stop.pause(began + Duration::from_secs_f64(1.0 / rate)).await;
            }
        }
        self.bar.finish_and_clear();
        (outcome, failure)
    }

    async fn step(&mut self, licence: &Licence<'_>, outcome: &mut RunOutcome) -> StepEnd {
        let work = &licence.step().work;
        // Transactions that seemed not to be done after their answer was lost: they may arrive late.
        let mut late: Vec<Late> = Vec::new();
        for _ in 0..TRIES {
            for look in &licence.step().again {
                if let Err(objection) = self.look(look).await {
                    let refused = StepEnd::Refused(Refusal::new(work.subject(), objection));
                    return self.arrived_late(&late).await.unwrap_or(refused);
                }
            }
            let permit = match self.decide(licence).await {
                Ok(permit) => permit,
                Err(error) => return StepEnd::Failed(error),
            };
            let left_alone = permit.gone + permit.dropped.len();
            let ready = match permit.ready {
                Ok(ready) => ready,
                Err(decision) => {
                    if let Some(end) = self.arrived_late(&late).await {
                        return end;
                    }
                    outcome.refused.extend(permit.dropped);
                    return decision.refusal(work.subject()).map_or(StepEnd::Gone(permit.gone), StepEnd::Refused);
                }
            };
            let count = work.count().saturating_sub(left_alone);
            let step = match self.recorder.intend(work, ready.transaction()) {
                Ok(step) => step,
                Err(error) => return StepEnd::Failed(error),
            };
            match self.write(step, &ready).await {
                Ok(Fate::Done { .. }) => {
                    outcome.transactions += 1;
                    outcome.gone += permit.gone;
                    outcome.refused.extend(permit.dropped);
                    return self.read_back(&ready, count).await;
                }
                Ok(Fate::Lost { answer_lost: true }) => {
                    late.push(Late { step, transaction: ready.transaction().clone(), count });
                }
                Ok(Fate::Lost { answer_lost: false }) => {}
                Ok(Fate::Unknown(error)) => return StepEnd::Unknown(error),
                Err(error) => return StepEnd::Failed(error),
            }
        }
        let refused = StepEnd::Refused(Refusal::new(work.subject(), Objection::WrittenOver(TRIES)));
        self.arrived_late(&late).await.unwrap_or(refused)
    }

    /// Whether an earlier try of ours, whose answer was lost, was done after all.
    async fn arrived_late(&mut self, late: &[Late]) -> Option<StepEnd> {
        for Late { step, transaction, count } in late {
            match apply::settle(self.connection, transaction.changes()).await {
                Ok(Settled::Done { revision }) if revision > 0 => {
                    let recorded = self.recorder.settle(*step, StepOutcome::Applied, revision, "");
                    return Some(recorded.map_or_else(StepEnd::Failed, |()| StepEnd::Done(*count)));
                }
                Ok(_) => {}
                Err(error) => return Some(StepEnd::Unknown(error)),
            }
        }
        None
    }

    /// Reads what is needed at one moment, and decides.
    async fn decide(&self, licence: &Licence<'_>) -> Result<Permit, Error> {
        let moment = self.moment();
        let check = |seen: &SeenKeys| self.same_datastore(seen);
        let more = |permit: &Permit| permit.ready.as_ref().err().and_then(Decision::wants).map(<[_]>::to_vec);
        apply::read_until(
            self.connection,
            licence.step().work.keys(),
            check,
            |fresh| licence.decide(fresh, moment),
            more,
        )
        .await
    }

    fn same_datastore(&self, seen: &SeenKeys) -> Result<(), Error> {
        let what = match () {
            () if seen.cluster_id != self.etcd.cluster_id => "another etcd cluster answers now",
            () if seen.revision < self.etcd.revision => "etcd's revision went back: it was restored",
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

    /// Writes what is recorded as this step's intent, and records what became of it.
    async fn write(&mut self, step: i64, ready: &Ready) -> Result<Fate, Error> {
        let fate = apply::apply(self.connection, ready).await;
        let recorded = match &fate {
            Ok(Fate::Done { revision }) => self.recorder.settle(step, StepOutcome::Applied, *revision, ""),
            Ok(Fate::Lost { .. }) => self.recorder.settle(step, StepOutcome::NotApplied, 0, ""),
            // Left open: the next run looks what became of it.
            Ok(Fate::Unknown(_)) => Ok(()),
            Err(error) => self.recorder.settle(step, StepOutcome::Refused, 0, &chain(error)),
        };
        fate.and_then(|fate| recorded.map(|()| fate))
    }

    /// What was written must be there, or have been written over since.
    async fn read_back(&self, ready: &Ready, done: usize) -> StepEnd {
        match apply::settle(self.connection, ready.transaction().changes()).await {
            Ok(Settled::NotDone) => {
                let cause = "etcd said that it was done, and the keys say that it was not";
                StepEnd::Unknown(Error::input("read the release back").cause(cause))
            }
            Ok(_) => StepEnd::Done(done),
            Err(error) => StepEnd::Unknown(error),
        }
    }

    /// Rule 5: GET, without `resourceVersion`; anything but the same answer refuses.
    async fn look(&self, wanted: &LastLook) -> Result<(), Objection> {
        let api = self.api.ok_or(Objection::FilesAgain)?;
        let mut names = Names::default();
        match get_pod(api, &mut names, &wanted.namespace, &wanted.name).await {
            Seen::Present(pod) => last_look::pod(wanted, &names, Some(&pod))?,
            Seen::Absent => last_look::pod(wanted, &names, None)?,
            Seen::Unknown(why) => {
                let id = format!("{}/{}", wanted.namespace, wanted.name);
                return Err(Objection::PodUnanswered(id.into(), why.into()));
            }
        }
        let Some((name, how)) = &wanted.node else { return Ok(()) };
        match get_node(api, &mut names, name).await {
            Seen::Present(node) => last_look::node(name, how, &names, Some(&node)),
            Seen::Absent => last_look::node(name, how, &names, None),
            Seen::Unknown(why) => Err(Objection::NodeUnanswered(name.as_str().into(), why.into())),
        }
    }
}

/// A transaction whose answer was lost and that seemed not to be done.
struct Late {
    step: i64,
    transaction: Transaction,
    /// How many handles and addresses it settles.
    count: usize,
}
