//! Rule 2: the gates of a whole run. Each is a function of its own; [`refusals`] asks them all.
//!
//! `--skip-age` never opens a gate.

use std::time::Duration;

use super::circumstances::{Ask, Circumstances, Clocks, Lock, RUN, Refusal, Surge};
use crate::checks::blocks::invalid_block;
use crate::checks::datastore::{etcd_alarm, undecodable_value};
use crate::model::{EtcdAlarm, Input, InputState};

/// The number of the rule that all gates are.
pub const RULE: u8 = 2;

/// How far this machine's clock and the API server's may be apart.
pub const SKEW: Duration = Duration::from_secs(60);

/// As many newly leaked allocations are nobody's alarm, whatever their share.
pub const FEW: u64 = 20;

type Gate = Result<(), Refusal>;

fn closed(words: impl Into<String>) -> Gate {
    Err(Refusal::new(RULE, RUN, words))
}

/// Everything that forbids the run.
pub fn refusals(all: &Circumstances) -> Vec<Refusal> {
    let gates = [
        alarms(&all.alarms),
        pairing(&all.pairing),
        scope(all.scope_known),
        identity(&all.identity),
        fork(all.fork.as_deref()),
        inputs(&all.inputs),
        values(&all.bad_values),
        allocations(&all.broken_blocks),
        clock(&all.clocks),
        lock(all.lock),
        surge(all.ask, all.surges.as_deref()),
    ];
    gates.into_iter().filter_map(Result::err).collect()
}

/// etcd takes writes: it refuses every one under an alarm. First of all, since nothing else matters then.
pub fn alarms(alarms: &[EtcdAlarm]) -> Gate {
    let of = |kind: &str| alarms.iter().find(|alarm| alarm.kind == kind);
    let code = etcd_alarm::CHECK.code;
    match (of(EtcdAlarm::CORRUPT).or(of(EtcdAlarm::NOSPACE)), alarms.first()) {
        (None, None) => Ok(()),
        (Some(alarm), _) if alarm.kind == EtcdAlarm::CORRUPT => closed(format!(
            "etcd has the alarm CORRUPT ({}): its members differ, it refuses every write, and what it says may be wrong \
             ({code})",
            alarm.who()
        )),
        (Some(alarm), _) => closed(format!(
            "etcd has the alarm NOSPACE ({}): it is full and refuses every write, Calico's too, until it is compacted, \
             defragmented and disarmed ({code})",
            alarm.who()
        )),
        (None, Some(alarm)) => closed(format!("etcd has the alarm {} ({}) ({code})", alarm.kind, alarm.who())),
    }
}

/// This API server and this datastore belong together.
pub fn pairing(pairing: &Result<(), String>) -> Gate {
    match pairing {
        Ok(()) => Ok(()),
        Err(why) => closed(format!("nobody knows that this API server and this datastore belong together: {why}")),
    }
}

/// It is known whose the nodes are.
pub fn scope(known: bool) -> Gate {
    match known {
        true => Ok(()),
        false => closed("Kubernetes' nodes could not be read, so nobody knows whose the addresses are"),
    }
}

/// Datastore and cluster have names under which intent and outcome can be recorded.
pub fn identity(identity: &Result<(), String>) -> Gate {
    match identity {
        Ok(()) => Ok(()),
        Err(why) => closed(format!("what is released could not be recorded: {why}")),
    }
}

/// The datastore was not restored or replaced since it was observed: that voids all observations.
pub fn fork(found: Option<&str>) -> Gate {
    match found {
        None => Ok(()),
        Some(what) => closed(format!("the datastore was restored or replaced since it was observed ({what})")),
    }
}

/// Every input was read completely.
pub fn inputs(inputs: &[(Input, InputState, String)]) -> Gate {
    let missing = inputs.iter().find(|(_, state, _)| *state != InputState::Complete);
    match missing {
        None => Ok(()),
        Some((input, state, detail)) => {
            let why = if detail.is_empty() { state.word() } else { detail };
            closed(format!("{} could not be read completely: {why}", input.word()))
        }
    }
}

/// Every value was decoded: one that was not may hide a holder.
pub fn values(bad: &[String]) -> Gate {
    let code = undecodable_value::CHECK.code;
    match bad {
        [] => Ok(()),
        [one] => closed(format!("{one} does not decode, and may hide a holder ({code})")),
        [first, rest @ ..] => {
            closed(format!("{first} and {} more do not decode, and may hide a holder ({code})", rest.len()))
        }
    }
}

/// Every allocation leads to an attribute: one that leads nowhere may be anybody's.
pub fn allocations(broken: &[String]) -> Gate {
    match broken {
        [] => Ok(()),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more blocks", rest.len()) };
            let code = invalid_block::CHECK.code;
            closed(format!("{first}{more}: an allocation leads nowhere, so nobody knows whose it is ({code})"))
        }
    }
}

/// The clock is not behind the last audit, and within [`SKEW`] of the API server's at one and the same answer.
pub fn clock(clocks: &Clocks) -> Gate {
    if let Some(last) = clocks.last_audit.filter(|last| clocks.local < *last) {
        return closed(format!("this machine's clock ({}) is behind the last audit ({last})", clocks.local));
    }
    match clocks.api {
        Some(pair) if pair.apart() > SKEW => {
            let (ours, theirs, skew) = (pair.ours, pair.theirs, SKEW.as_secs());
            closed(format!("this machine's clock ({ours}) and the API server's ({theirs}) are more than {skew}s apart"))
        }
        None if !clocks.from_files => closed("the API server did not tell its time"),
        _ => Ok(()),
    }
}

/// The datastore is not locked.
pub fn lock(lock: Lock) -> Gate {
    match lock {
        Lock::Open => Ok(()),
        Lock::Locked => closed("the datastore is locked (datastoreReady is not true): somebody migrates or repairs it"),
    }
}

/// No sudden mass leak: more than max(20, 10 %) of a node's or pool's allocations newly leaked since the last audit
/// is a fault of something else, and no bulk release may tidy up behind it.
pub fn surge(ask: Ask, surges: Option<&[Surge]>) -> Gate {
    let surges = match (ask, surges) {
        (Ask::Named, _) => return Ok(()),
        (Ask::Bulk, None) => return closed("no earlier audit says how many addresses are newly leaked"),
        (Ask::Bulk, Some(surges)) => surges,
    };
    let sudden = |s: &&Surge| s.newly_leaked > FEW.max(s.allocations / 10);
    match surges.iter().find(sudden) {
        None => Ok(()),
        Some(Surge { place, newly_leaked, allocations }) => closed(format!(
            "a sudden mass leak: {newly_leaked} of {allocations} allocations of {place} are leaked since the last audit"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ClockPair, Time};

    fn at(seconds: i64) -> Time {
        Time(seconds * 1_000_000_000)
    }

    fn pair(theirs: i64, ours: i64) -> ClockPair {
        ClockPair { theirs: at(theirs), ours: at(ours) }
    }

    fn words(gate: Gate) -> String {
        let refusal = gate.unwrap_err();
        assert_eq!((refusal.rule, refusal.subject.as_str()), (2, "run"));
        refusal.words
    }

    fn good() -> Circumstances {
        Circumstances {
            ask: Ask::Bulk,
            pairing: Ok(()),
            scope_known: true,
            identity: Ok(()),
            fork: None,
            inputs: vec![(Input::Blocks, InputState::Complete, String::new())],
            bad_values: Vec::new(),
            broken_blocks: Vec::new(),
            clocks: Clocks {
                local: at(1000),
                last_audit: Some(at(1000)),
                api: Some(pair(1000, 1000)),
                from_files: false,
            },
            lock: Lock::Open,
            alarms: Vec::new(),
            surges: Some(Vec::new()),
            grace: Duration::from_secs(900),
        }
    }

    #[test]
    fn all_gates_open_let_the_run_through_and_each_closed_one_is_told() {
        assert_eq!(refusals(&good()), []);
        let shut = Circumstances {
            pairing: Err("x".into()),
            scope_known: false,
            identity: Err("y".into()),
            fork: Some("revision went back".into()),
            inputs: vec![(Input::Pods, InputState::Forbidden, String::new())],
            bad_values: vec!["/calico/x".into()],
            broken_blocks: vec!["10.65.0.0/26".into()],
            clocks: Clocks { local: at(0), ..good().clocks },
            lock: Lock::Locked,
            alarms: vec![alarm("NOSPACE")],
            surges: None,
            ..good()
        };
        assert_eq!(refusals(&shut).len(), 11);
        assert!(refusals(&shut)[0].words.contains("NOSPACE"), "it is said before everything else");
    }

    #[test]
    fn rule_2_pairing_scope_identity_and_fork() {
        assert!(pairing(&Ok(())).is_ok() && words(pairing(&Err("no nodes".into()))).contains("no nodes"));
        assert!(scope(true).is_ok() && scope(false).is_err());
        assert!(identity(&Ok(())).is_ok() && identity(&Err("no GUID".into())).is_err());
        assert!(fork(None).is_ok() && words(fork(Some("IPA903"))).contains("IPA903"));
    }

    #[test]
    fn rule_2_inputs_wants_every_one_complete() {
        let with = |state| {
            inputs(&[(Input::Pods, InputState::Complete, String::new()), (Input::Services, state, String::new())])
        };
        assert!(with(InputState::Complete).is_ok());
        for state in [InputState::Partial, InputState::Forbidden, InputState::Unreachable, InputState::NotAsked] {
            assert!(words(with(state)).starts_with("services could not be read completely"), "{state:?}");
        }
    }

    #[test]
    fn rule_2_values_wants_every_one_decoded() {
        assert!(values(&[]).is_ok());
        assert!(words(values(&["/a".into()])).starts_with("/a does not decode"));
        assert!(words(values(&["/a".into(), "/b".into(), "/c".into()])).starts_with("/a and 2 more"));
    }

    #[test]
    fn rule_2_allocations_wants_every_one_to_lead_somewhere() {
        assert!(allocations(&[]).is_ok());
        assert!(words(allocations(&["10.65.0.0/26".into()])).starts_with("10.65.0.0/26: an allocation leads nowhere"));
        assert!(words(allocations(&["a".into(), "b".into()])).starts_with("a and 1 more blocks"));
    }

    #[test]
    fn rule_2_clock_just_inside_and_just_outside() {
        let with = |local, last: Option<i64>, api: Option<i64>| {
            let api = api.map(|theirs| pair(theirs, local));
            clock(&Clocks { local: at(local), last_audit: last.map(at), api, from_files: false })
        };
        assert!(with(1000, Some(1000), Some(1000)).is_ok());
        assert!(words(with(999, Some(1000), Some(999))).contains("behind the last audit"));
        assert!(with(1000, None, Some(1060)).is_ok() && with(1060, None, Some(1000)).is_ok());
        assert!(with(1000, None, Some(1061)).is_err() && with(1061, None, Some(1000)).is_err());
        assert!(with(1000, None, None).is_err());
        // The reading went on for an hour after that answer: the clocks agree all the same.
        let long = Clocks { local: at(4600), last_audit: None, api: Some(pair(1000, 1000)), from_files: false };
        assert!(clock(&long).is_ok());
        let files = Clocks { local: at(1000), last_audit: None, api: None, from_files: true };
        assert!(clock(&files).is_ok());
    }

    fn alarm(kind: &str) -> EtcdAlarm {
        EtcdAlarm { kind: kind.to_owned(), member: "ab12".to_owned(), name: "etcd-1".to_owned() }
    }

    #[test]
    fn rule_2_alarms_any_of_them_closes() {
        assert!(alarms(&[]).is_ok());
        assert!(words(alarms(&[alarm("NOSPACE")])).contains("NOSPACE (member etcd-1): it is full"));
        let both = [alarm("CORRUPT"), alarm("NOSPACE")];
        assert!(words(alarms(&both)).contains("CORRUPT (member etcd-1): its members differ"));
        assert!(words(alarms(&[alarm("NEWER")])).contains("the alarm NEWER"));
    }

    #[test]
    fn rule_2_lock() {
        assert!(lock(Lock::Open).is_ok() && lock(Lock::Locked).is_err());
    }

    #[test]
    fn rule_2_surge_the_circuit_breaker_just_inside_and_just_outside() {
        let with = |newly_leaked, allocations| {
            surge(Ask::Bulk, Some(&[Surge { place: "node n".into(), newly_leaked, allocations }]))
        };
        assert!(with(20, 20).is_ok(), "few are nobody's alarm");
        assert!(with(21, 209).is_err() && with(21, 210).is_ok());
        assert!(with(100, 1000).is_ok() && words(with(101, 1000)).contains("101 of 1000 allocations of node n"));
        assert!(surge(Ask::Bulk, None).is_err(), "nothing to compare with");
        assert!(surge(Ask::Named, None).is_ok(), "what the operator named himself");
    }
}
