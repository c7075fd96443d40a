//! Rules 3 to 8 for one handle, each a function of plain values; [`refusals`] asks them all.

use std::time::Duration;

use super::circumstances::{Address, Holder, NodeNow, PodNow, Refusal, Special, Word};
use crate::checks::addresses::leaked_address;
use crate::model::{Observation, Time};

/// How long a node must be known gone before addresses of its pods are released.
pub const DEPARTED: Duration = Duration::from_secs(60 * 60);
/// How many audits must have seen it.
pub const AUDITS: u32 = 3;
/// The least time between the first and the last of them.
pub const OVER: Duration = Duration::from_secs(15 * 60);

/// The result of one rule.
pub type Verdict = Result<(), Refusal>;

fn refuse(rule: u8, subject: &Address, words: impl Into<String>) -> Verdict {
    Err(Refusal::new(rule, subject.address.to_string(), words))
}

/// Everything that speaks against releasing the addresses of one handle. `grace` is the leak grace.
pub fn refusals(addresses: &[Address], word: &Word, now: Time, grace: Duration) -> Vec<Refusal> {
    let mut found = Vec::new();
    for address in addresses {
        // What tells most comes first: who holds it says more than that it is not proven leaked.
        let verdicts = [
            never(address, word.knows),
            holders(address),
            endpoints(address, &word.nodes_off, now),
            node(address, &word.nodes_off, word.knows, now),
            proof(address, word.knows),
            age(address, word, grace),
            pod_now(address, word.knows),
        ];
        found.extend(verdicts.into_iter().filter_map(Result::err));
    }
    found
}

/// Rule 3: the address is proven leaked. A special one has no such proof; the operator's word stands for it.
pub fn proof(address: &Address, knows: bool) -> Verdict {
    let special = knows && address.special.as_ref().is_some_and(|s| !s.is_never());
    match &address.proof {
        Some(_) => Ok(()),
        None if special => Ok(()),
        None => refuse(3, address, format!("it is not proven leaked ({})", leaked_address::CHECK.code)),
    }
}

/// Rule 3: nobody holds it, not even possibly. The pod that waits for it (IPA133) is no obstacle, unless it has it.
pub fn holders(address: &Address) -> Verdict {
    let waiting = match &address.special {
        Some(Special::Awaited(pod)) => Some(format!("pod {pod}")),
        _ => None,
    };
    let waits = |h: &Holder| h.grade == "possible" && waiting.as_ref() == Some(&h.who);
    let holder = |h: &&Holder| h.grade != "stale" && !waits(h);
    match address.holders.iter().find(holder) {
        None => Ok(()),
        Some(Holder { who, grade }) => refuse(3, address, format!("{who} is a {grade} holder")),
    }
}

/// Rule 3: no endpoint lists it or has its container, unless that endpoint goes in the same transaction.
/// Its container may run on another node than the allocation's, and that node must be known too.
pub fn endpoints(address: &Address, off: &[String], now: Time) -> Verdict {
    for left in &address.endpoints {
        if !left.is_stale {
            return refuse(3, address, format!("endpoint {} has it, and its pod is not proven gone", left.name));
        }
        if !off.contains(&left.node)
            && let Err(words) = is_settled(&left.node, &left.node_now, now)
        {
            return refuse(3, address, format!("endpoint {} has it: {words}", left.name));
        }
    }
    Ok(())
}

/// Rule 3: the owner's node is Ready, or gone for at least an hour, or off by the operator's word.
pub fn node(address: &Address, off: &[String], knows: bool, now: Time) -> Verdict {
    if off.contains(&address.node) && !address.node.is_empty() {
        return Ok(());
    }
    // Services, and what is nobody's, have no node; they pass by the operator's word only.
    if address.node.is_empty() && knows {
        return Ok(());
    }
    is_settled(&address.node, &address.node_now, now).or_else(|words| refuse(3, address, words))
}

/// Whether a node tells what runs on it, or provably runs nothing any more; else why not.
fn is_settled(node: &str, how: &NodeNow, now: Time) -> Result<(), String> {
    match how {
        NodeNow::Ready => Ok(()),
        NodeNow::Departed(Some(since)) if now.since(*since) >= DEPARTED => Ok(()),
        NodeNow::Departed(Some(since)) => Err(format!("node {node} is known gone only since {since}: less than 1h")),
        NodeNow::Departed(None) => Err(format!("node {node} is gone, and nobody knows since when")),
        NodeNow::NotReady => Err(format!(
            "node {node} is not Ready, so its pods may still run; --node-is-off {node} if it is switched off"
        )),
        NodeNow::Unknown(why) => Err(format!("nobody knows how node {node} is: {why}")),
    }
}

/// Rule 4 for an address. What no audit counts as leaked has been seen so by none, however many look.
fn age(address: &Address, word: &Word, grace: Duration) -> Verdict {
    let verdict = observed(&address.address.to_string(), address.observed, grace, word.skip_age);
    match &address.special {
        Some(special) if word.knows && address.observed.is_none() && !matches!(special, Special::Awaited(_)) => {
            let words = "audits watch what is proven leaked and never this, so its age is for you to judge: --skip-age";
            verdict.or_else(|_| refuse(4, address, words))
        }
        _ => verdict,
    }
}

/// Rule 4: seen as the same thing in three audits, five minutes apart, over a quarter of an hour or the leak grace.
pub fn observed(subject: &str, observed: Option<Observation>, grace: Duration, skip: bool) -> Verdict {
    match skip {
        true => Ok(()),
        false => seen_often(observed, grace).map_err(|words| {
            Refusal::new(4, subject, format!("{words}; run `ipaudit audit` again later, or --skip-age"))
        }),
    }
}

/// The same for what `--skip-age` does not waive it for.
pub fn observed_in_any_case(subject: &str, observed: Option<Observation>, grace: Duration) -> Verdict {
    seen_often(observed, grace).map_err(|words| {
        let words =
            format!("{words}; run `ipaudit audit` again later (its id comes again, --skip-age does not waive this)");
        Refusal::new(4, subject, words)
    })
}

/// Else what is missing.
fn seen_often(observed: Option<Observation>, grace: Duration) -> Result<(), String> {
    let over = OVER.max(grace);
    let words = match observed {
        Some(o) if o.audits >= AUDITS && o.last.since(o.first) >= over => return Ok(()),
        None => "no audit has seen it so".to_owned(),
        Some(o) if o.audits < AUDITS => {
            format!("{} of {AUDITS} audits (5 minutes apart) have seen it so", o.audits)
        }
        Some(o) => {
            let (seen, want) = (o.last.since(o.first), over);
            format!(
                "seen so over {}, and {} is asked for",
                humantime::format_duration(Duration::from_secs(seen.as_secs())),
                humantime::format_duration(want)
            )
        }
    };
    Err(words)
}

/// Rule 4: what is chosen by its age needs somebody who has watched.
pub fn by_age(is_bulk: bool, audits: u64) -> Verdict {
    match is_bulk && audits == 0 {
        false => Ok(()),
        true => {
            let words =
                "the history has no audit of this cluster, so nobody knows how old anything is; run `ipaudit audit`";
            Err(Refusal::new(4, super::circumstances::RUN, words))
        }
    }
}

/// Rule 5: the API server, asked right now about exactly this pod, says the same again.
pub fn pod_now(address: &Address, knows: bool) -> Verdict {
    match &address.pod_now {
        PodNow::Absent | PodNow::SameAndNoHolder => Ok(()),
        PodNow::Changed(what) => refuse(5, address, format!("read again right now: {what}")),
        PodNow::Unknown(_) if knows && address.proof.is_none() && address.special.is_some() => Ok(()),
        PodNow::Unknown(why) => refuse(5, address, format!("it could not be read again right now: {why}")),
    }
}

/// Rule 6: all of a handle's addresses or none. `alone` are addresses that pass every other rule, `all` how many the
/// handle has.
pub fn all_or_none(handle: &str, passing: usize, all: usize) -> Verdict {
    match passing == all {
        true => Ok(()),
        false => {
            let words = format!("{} of its {all} addresses may not be released, so none is", all - passing);
            Err(Refusal::new(6, handle, words))
        }
    }
}

/// Rule 7: never automatically. By `--address` with `--i-know-what-this-is` at most, and some not even then.
pub fn never(address: &Address, knows: bool) -> Verdict {
    match &address.special {
        None => Ok(()),
        Some(special) if knows && !special.is_never() => Ok(()),
        Some(special) => {
            let way = if special.is_never() { "" } else { "; only by --address with --i-know-what-this-is" };
            refuse(7, address, format!("it is {}{way}", special.words()))
        }
    }
}

/// Rule 7: what the operator alone answers for goes one at a time; `named` addresses and handles.
pub fn one_at_a_time(knows: bool, named: usize) -> Verdict {
    match knows && named != 1 {
        false => Ok(()),
        true => {
            let words = "--i-know-what-this-is goes with exactly one --address or --handle";
            Err(Refusal::new(7, super::circumstances::RUN, words))
        }
    }
}

/// Rule 10: no more than `--max` at a time; how many of `found` go now.
pub fn limit(found: usize, max: usize) -> usize {
    found.min(max)
}

#[cfg(test)]
mod tests;
