//! The plan of what is asked for: judged, looked at again, judged again, and its bytes read.

use super::ask::Ask;
use super::{by_hand, fresh};
use crate::checks::World;
use crate::cli::again;
use crate::cli::gather::{Sources, present};
use crate::cli::journal::record::Recorder;
use crate::cli::output::as_remark;
use crate::error::Error;
use crate::judge;
use crate::judge::case::Case;
use crate::judge::choose::{Selection, Wish, choose};
use crate::judge::gates::{self, RunFacts};
use crate::judge::named;
use crate::judge::off::nodes_off;
use crate::ledger::{Ledger, ScopeFlag};
use crate::model::{Foreign, Past, Patch, Snapshot, SubjectKind};
use crate::plan::circumstances::{OperatorWord, PodDoubt};
use crate::plan::confirm::Plan;
use crate::plan::refusal::{Note, Objection, Refusal};

/// Judges the wish, looks again at what is wanted, judges that, and reads the bytes that would be changed. From then on
/// the snapshot is what the second look saw: there is one of it, however big the cluster is.
///
/// # Errors
/// A name that nothing has, and failures of etcd.
pub async fn plan(
    ask: &Ask,
    sources: &Sources,
    snapshot: &mut Snapshot,
    past: &Past,
    recorder: &Recorder,
) -> Result<Plan, Error> {
    let (wish, scope, mut plan) = (&ask.wish, ask.scope, Plan::default());
    let past = (past.audits > 0).then_some(past);
    let live = sources.kube_api().is_some();
    let facts = || RunFacts { is_bulk: ask.is_bulk, live, knows_pair: recorder.knows_pair(), present: present() };
    let ledger = Ledger::build(snapshot, scope, past);
    let world = World { snapshot, ledger: &ledger, past };
    let audits = past.map_or(0, |past| past.audits);
    plan.refusals = gates::closed(&world, facts());
    let of_wish = wish.refusals(ask.knows, audits, recorder.absence()?.as_deref());
    // That there is no earlier audit to compare with is said by that there is none at all.
    if of_wish.iter().any(|refusal| matches!(refusal.objection, Objection::NoHistory(_))) {
        plan.refusals.retain(|refusal| refusal.objection != Objection::NoEarlierAudit);
    }
    plan.refusals.extend(of_wish);
    // etcd's own alarms stand before everything.
    if !live && !plan.refusals.iter().any(|refusal| matches!(refusal.objection, Objection::Alarm(_))) {
        let of_files = judge::files::all_of(wish, &world);
        if !of_files.is_empty() {
            // What is wrong with the datastore itself is so whatever Kubernetes is read from.
            plan.refusals.retain(|refusal| {
                matches!(refusal.objection, Objection::Unpaired(_) | Objection::Locked | Objection::Forked(_))
            });
            plan.refusals.splice(0..0, of_files);
        }
    }
    if !plan.refusals.is_empty() {
        return Ok(plan);
    }
    if let Wish::Found { code, older_than, max, only } = wish {
        if let Some(unknown) = only.unknown(&world).into_iter().next() {
            return Err(Error::user("tell what is to be released")
                .cause(unknown)
                .hint("names as `ipaudit audit` shows them"));
        }
        if let Some(check) = judge::by_hand::check(*code) {
            drop(ledger);
            let found = Selection { older_than: *older_than, max: *max, only };
            return by_hand::plan(check, &found, sources, snapshot, scope, past, recorder).await;
        }
    }
    for named in named::nothing(wish, &world) {
        if !recorder.knows(named.kind, &named.id)? {
            return Err(Error::user("tell what is to be released")
                .cause(named.says.shown())
                .hint("ids as `ipaudit audit` and `ipaudit who` show them"));
        }
    }
    let exclusive = scope == ScopeFlag::Exclusive || past.is_some_and(|p| p.exclusive);
    let word = |world: &World<'_>| {
        let (nodes_off, notes) = nodes_off(world, &ask.nodes_off);
        (OperatorWord { skip_age: ask.skip_age, knows: ask.knows, nodes_off }, notes)
    };
    let mut chosen = {
        let (word, before) = (word(&world).0, Patch::default());
        let case = Case { world, before: &before, live, observed: recorder, word: &word, exclusive };
        choose(wish, &world, |quarry| {
            let mut judged = Plan::default();
            case.judge(&[quarry], &mut judged);
            judged.refusals.is_empty()
        })
    };
    let suspects = chosen.second_look(snapshot.now);
    drop(ledger);
    plan.notes.extend(chosen.notes);
    plan.beyond_max = chosen.beyond_max;
    let mut patch = match again::second_look(sources, snapshot, suspects, None, None).await {
        Ok(patch) => patch,
        Err(error) => {
            let objection = Objection::NotReadAgain(PodDoubt::Failed(as_remark(&error).text()));
            plan.refusals.push(Refusal::of_run(objection));
            return Ok(plan);
        }
    };
    patch.swap(snapshot);
    let ledger = Ledger::build(snapshot, scope, past);
    let world = World { snapshot, ledger: &ledger, past };
    let (word, notes) = word(&world);
    plan.notes.extend(notes);
    plan.refusals = gates::closed(&world, facts());
    if !plan.refusals.is_empty() {
        return Ok(plan);
    }
    let case = Case { world, before: &patch, live, observed: recorder, word: &word, exclusive };
    let candidates = case.judge(&chosen.wanted, &mut plan);
    for note in &mut plan.notes {
        remember(note, recorder)?;
    }
    fresh::add_steps(&mut plan, candidates, sources).await?;
    Ok(plan)
}

/// What is not there since a release of ours gave it back is told by that.
fn remember(note: &mut Note, recorder: &Recorder) -> Result<(), Error> {
    let (kind, id) = match note {
        Note::NoSuchHandle(id) => (SubjectKind::Handle, id.clone()),
        Note::NotAllocated(address) => (SubjectKind::Address, Foreign::from(address.to_string())),
        _ => return Ok(()),
    };
    if let Some(release) = recorder.given_back(kind, &id)? {
        *note = Note::GivenBack(id, release);
    }
    Ok(())
}
