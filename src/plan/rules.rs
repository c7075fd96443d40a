//! Rules 3 to 8 for one handle, each a function of plain values; [`refusals`] asks them all.

use std::time::Duration;

use super::circumstances::{
    Address, Claimer, HolderNow, Lacking, NodeDoubt, NodeNow, OperatorWord, PodNow, Recurring, Special,
};
use super::refusal::{Objection, Refusal};
use crate::ledger::Grade;
use crate::model::observation::APART;
use crate::model::time::moment;
use crate::model::{Foreign, Observation, Time};

/// How long a node must be known gone before addresses of its pods are released.
pub const DEPARTED: Duration = Duration::from_secs(60 * 60);
/// Said of what nothing but that keeps back: what follows, if anything, says since when they count.
pub const WHEN_SEEN: &str = "a release is let through when three audits have seen it";
/// The same, where it is known what is missing: how [`needs`] begins.
pub const NEEDS: &str = "a release needs ";
/// How many audits must have seen it.
pub const AUDITS: u32 = 3;
/// The least time between the first and the last of them.
pub const OVER: Duration = Duration::from_secs(15 * 60);

/// The roundest age below that, as `--older-than` takes it; never less than rule 4 asks for.
pub const fn older_than(known_for: Duration) -> &'static str {
    match known_for.as_secs() {
        86_400.. => "24h",
        3_600.. => "1h",
        _ => "15m",
    }
}

/// `a release needs 2 more audits (after 15:52 UTC)`.
pub fn needs(lacking: Lacking, now: Time) -> String {
    let (audits, from) = (more_audits(lacking), moment(lacking.from, now));
    format!("{NEEDS}{audits} (after {from} UTC)")
}

/// `2 more audits`.
pub fn more_audits(lacking: Lacking) -> String {
    let audits = lacking.audits;
    format!("{audits} more {}", if audits == 1 { "audit" } else { "audits" })
}

/// The result of one rule.
pub type Ruling = Result<(), Objection>;

/// `Err` when a rule is broken.
fn unless(broken: bool, objection: Objection) -> Ruling {
    if broken { Err(objection) } else { Ok(()) }
}

/// Everything that speaks against releasing the addresses of one handle. `grace` is the leak grace.
pub fn refusals(addresses: &[Address], word: &OperatorWord, now: Time, grace: Duration) -> Vec<Refusal> {
    let mut found = Vec::new();
    for address in addresses {
        // What tells most comes first: who holds it says more than that it is not proven leaked.
        let rulings = [
            never(address, word.knows),
            holders(address),
            seen(address),
            endpoints(address, &word.nodes_off, now),
            node(address, &word.nodes_off, word.knows, now),
            proof(address, word.knows),
            age(address, word, now, grace),
            pod_now(address, word.knows),
        ];
        let mut objections: Vec<Objection> = rulings.into_iter().filter_map(Result::err).collect();
        // What no waiting cures comes before what waits.
        objections.sort_by_key(waits);
        found.extend(objections.into_iter().map(|objection| Refusal::new(address.address.to_string(), objection)));
    }
    found
}

/// Whether it stands behind what no waiting cures.
fn waits(objection: &Objection) -> bool {
    use Objection as O;
    matches!(objection, O::TooYoung(_) | O::TooYoungInAnyCase(_) | O::Unwatched | O::PodChanged(_) | O::NotReadAgain(_))
}

/// Rule 3: the address is proven leaked. A special one has no such proof; the operator's word stands for it.
pub fn proof(address: &Address, knows: bool) -> Ruling {
    let special = knows && address.special.as_ref().is_some_and(|s| !s.is_never());
    unless(address.proof.is_none() && !special, Objection::Unproven)
}

/// Rule 3: nobody holds it, not even possibly. The pod that waits for it (IPA133) is no obstacle, unless it has it.
pub fn holders(address: &Address) -> Ruling {
    let waits = |h: &HolderNow| match (&address.special, &h.who) {
        (Some(Special::Awaited(namespace, pod)), Claimer::Pod(ns, name)) => {
            h.grade == Grade::Possible && (ns, name) == (namespace, pod)
        }
        _ => false,
    };
    let holder = address.holders.iter().find(|h| h.grade != Grade::Stale && !waits(h));
    holder.map_or(Ok(()), |holding| Err(Objection::Held(holding.clone())))
}

/// Rule 3: whoever has the evidence of nodes asked for is not told by what could not be read that nobody holds it.
pub fn seen(address: &Address) -> Ruling {
    address.unseen.clone().map_or(Ok(()), |(node, why)| Err(Objection::Unseen(node, why)))
}

/// Rule 3: no endpoint lists it or has its container, unless that endpoint goes in the same transaction.
/// Its container may run on another node than the allocation's, and that node must be known too.
pub fn endpoints(address: &Address, off: &[String], now: Time) -> Ruling {
    for left in &address.endpoints {
        let endpoint = Foreign::from(left.name.as_str());
        unless(!left.is_stale, Objection::EndpointHas(endpoint.clone()))?;
        if let (false, Some(doubt)) = (off.contains(&left.node), doubt(&left.node_now, now)) {
            return Err(Objection::EndpointOn { endpoint, node: left.node.as_str().into(), doubt });
        }
    }
    Ok(())
}

/// Rule 3: the owner's node is Ready, or gone for at least an hour, or off by the operator's word.
pub fn node(address: &Address, off: &[String], knows: bool, now: Time) -> Ruling {
    let node = &address.node;
    // Services, and what is nobody's, have no node; they pass by the operator's word only.
    let passes = if node.is_empty() { knows } else { off.contains(node) };
    match doubt(&address.node_now, now).filter(|_| !passes) {
        None => Ok(()),
        Some(doubt) => Err(Objection::Node(node.as_str().into(), doubt)),
    }
}

/// Why a node neither tells what runs on it nor provably runs nothing any more.
pub fn doubt(how: &NodeNow, now: Time) -> Option<NodeDoubt> {
    match how {
        NodeNow::Ready => None,
        NodeNow::Departed(Some(since)) if now.since(*since) >= DEPARTED => None,
        NodeNow::Departed(Some(since)) => Some(NodeDoubt::GoneSince(*since)),
        NodeNow::Departed(None) => Some(NodeDoubt::GoneUnknownSince),
        NodeNow::NotReady => Some(NodeDoubt::NotReady),
        NodeNow::Unknown(why) => Some(NodeDoubt::Unknown(*why)),
    }
}

/// Rule 4 for an address. What no audit counts as leaked has been seen so by none, however many look.
fn age(address: &Address, word: &OperatorWord, now: Time, grace: Duration) -> Ruling {
    let ruling = observed(None, address.observed, grace, word.skip_age, now);
    match &address.special {
        Some(_) if word.knows && !address.is_watched => ruling.or(Err(Objection::Unwatched)),
        _ => ruling,
    }
}

/// Rule 4: seen as the same thing in three audits, five minutes apart, over a quarter of an hour or the leak grace.
/// `--skip-age` does not waive it for a handle whose id comes again.
pub fn observed(
    recurring: Option<Recurring>,
    seen: Option<Observation>,
    grace: Duration,
    skip: bool,
    now: Time,
) -> Ruling {
    let wanted = OVER.max(grace);
    if seen.is_some_and(|o| o.audits >= AUDITS && o.last.since(o.first) >= wanted) {
        return Ok(());
    }
    let lacking = lacking(seen, wanted, now);
    match recurring {
        None => unless(!skip, Objection::TooYoung(lacking)),
        Some(_) => Err(Objection::TooYoungInAnyCase(lacking)),
    }
}

/// What is missing, when the next audit that counts comes as soon as it can: it is at least [`APART`] from the last one.
fn lacking(seen: Option<Observation>, wanted: Duration, now: Time) -> Lacking {
    let audits = AUDITS.saturating_sub(seen.map_or(0, |o| o.audits)).max(1);
    let next = seen.map_or(now, |o| now.max(o.last.plus(APART)));
    let last = next.plus(APART * (audits - 1));
    let from = last.max(seen.map_or(next, |o| o.first).plus(wanted));
    Lacking { audits, from }
}

/// Rule 5: the API server, asked right now about exactly this pod, says the same again.
pub fn pod_now(address: &Address, knows: bool) -> Ruling {
    match &address.pod_now {
        PodNow::Absent | PodNow::SameAndNoHolder => Ok(()),
        PodNow::Changed(what) => Err(Objection::PodChanged(*what)),
        PodNow::Unknown(_) if knows && address.proof.is_none() && address.special.is_some() => Ok(()),
        PodNow::Unknown(why) => Err(Objection::NotReadAgain(why.clone())),
    }
}

/// Rule 6: all of a handle's addresses or none. `passing` pass every other rule, of `all` that the handle has.
pub fn all_or_none(passing: usize, all: usize) -> Ruling {
    unless(passing != all, Objection::NotAll { failing: all.saturating_sub(passing), all })
}

/// Rule 7: never automatically. By `--address` with `--i-know-what-this-is` at most, and some not even then.
pub fn never(address: &Address, knows: bool) -> Ruling {
    match &address.special {
        Some(special) if !knows || special.is_never() => Err(Objection::Special(special.clone())),
        _ => Ok(()),
    }
}

/// Rule 7: a handle whose id comes again goes by the operator's word alone.
///
/// A container's id never comes again, so its orphaned handle is nobody's for ever. The id of a tunnel, a KubeVirt
/// machine, a LoadBalancer service or a very old pod (`<namespace>.<pod>`, a StatefulSet's) is taken again by the next
/// allocation of the same thing. Calico releases in two writes, first the block and then the handle (domain facts,
/// section 3). While such a release waits between the two, its handle looks orphaned; when it goes and comes again
/// meanwhile, the late decrement counts down the handle of an address that is in use. The fence stops an ADD that is
/// under way, and nothing stops that: so these go by the operator's word alone, one at a time, and never without age.
pub fn automatically(recurring: Option<Recurring>, knows: bool) -> Ruling {
    recurring.filter(|_| !knows).map_or(Ok(()), |whose| Err(Objection::IdComesAgain(whose)))
}

#[cfg(test)]
mod tests;
