//! The first line: one sentence that answers, and claims no more than what was read.

use std::collections::BTreeSet;

use super::dossier::{AddressSheet, AllocationSheet, Dossier, HeldBy, HolderKind, Match};
use super::word::Word;
use super::{Before, MatchKind, block};
use crate::checks;
use crate::checks::addresses::address_awaited;
use crate::checks::evidence::count;
use crate::ledger::{AddressState, Grade, Use};
use crate::model::foreign::foreign;
use crate::model::near::did_you_mean;
use crate::model::number::grouped;
use crate::model::row::{AllocationRow, Episode, Interval, NodeRow, PodRow};
use crate::model::{Addr, Finding, Foreign, State, Term, Time};

/// How somebody holds an address.
fn holder(h: &HeldBy) -> Foreign {
    let on = h.node.as_ref().map(|n| foreign!(" on {}", n)).unwrap_or_default();
    match h.kind {
        HolderKind::Pod => foreign!("{}{}", h.id, on),
        HolderKind::Tunnel => foreign!("the {} tunnel of {}", h.detail, h.id),
        HolderKind::HostEndpoint => "a host endpoint".into(),
        kind => foreign!("{} {}{}", kind.word(), h.id, on),
    }
}

/// Whom an allocation names.
fn owner(row: &AllocationSheet) -> Foreign {
    match (&row.owner, &row.handle, row.used_for) {
        (_, _, Use::Windows) => "Windows' reservation".into(),
        (_, Some(handle), Use::Reserved) => foreign!("reservation {}", handle),
        // The launcher pod changes, the VM stays.
        (_, Some(handle), Use::Vm) => foreign!("the VM of handle {}", handle),
        (Some(owner), _, _) => owner.clone(),
        (None, Some(handle), _) => foreign!("handle {}", handle),
        (None, None, _) => "nobody by name".into(),
    }
}

/// `1 address`, `3 addresses`.
fn addresses(number: impl Into<u64>) -> String {
    let number = number.into();
    if number == 1 { "1 address".to_owned() } else { format!("{} addresses", grouped(number)) }
}

/// `; 1 finding, IPA101`, `; 3 findings, the worst IPA101`; nothing where nothing is wrong. Every first line ends so: who looks
/// no further knows that he should.
pub fn wrong(findings: &[Finding]) -> String {
    match findings {
        [] => String::new(),
        [one] => format!("; 1 finding, {}", one.code),
        [first, ..] => {
            let worst = findings.iter().min_by_key(|f| checks::worst_first(f.gravity(), f.code)).unwrap_or(first);
            format!("; {} findings, the worst {}", grouped(findings.len() as u64), worst.code)
        }
    }
}

/// About one address. `holders`: how many different ones hold it for certain.
pub fn address(sheet: &AddressSheet, holders: usize, findings: &[Finding]) -> Foreign {
    foreign!("{}{}", holding(sheet, holders, findings), wrong(findings))
}

fn holding(sheet: &AddressSheet, holders: usize, findings: &[Finding]) -> Foreign {
    let a = sheet.address;
    if holders > 1 {
        return format!("{a} has {} holders", grouped(holders as u64)).into();
    }
    let of_grade = |grade: Grade| {
        // A pod's endpoint is the same holder.
        let rank = |h: &&HeldBy| match h.kind {
            HolderKind::Pod => 0,
            HolderKind::Endpoint => 2,
            _ => 1,
        };
        sheet.holders.iter().filter(|h| h.grade == grade).min_by_key(rank).map(holder)
    };
    let allocated = sheet.allocations.iter().find(|r| r.used_for != Use::Cooling);
    let ipam = match (allocated, sheet.state) {
        (Some(row), _) => foreign!("IPAM gave it to {}", owner(row)),
        (None, AddressState::Unknown) => "nobody can say what IPAM records of it".into(),
        (None, AddressState::Free) => match sheet.queue_place {
            Some(0) => "free in IPAM: the next pod gets it".into(),
            Some(n) => format!("free in IPAM: handed out after {} more", grouped(n)).into(),
            None if sheet.is_unknown_to_ipam() => "no pool and no block has it".into(),
            None => "IPAM has it as free".into(),
        },
        (None, state) => format!("IPAM has it as {}", state.word()).into(),
    };
    // Whatever the predecessor left behind: the pod that it is allocated to says that it has none.
    let waits = |f: &&Finding| f.code == address_awaited::CHECK.code && f.subject.address() == Some(a);
    if let Some(awaited) = findings.iter().find(waits) {
        return foreign!("{a} is waited for in vain: {}", awaited.summary);
    }
    let same = |who: &Foreign| {
        let owner = allocated.and_then(|r| r.owner.as_ref()).map(Foreign::raw);
        owner.is_some_and(|owner| who.raw().starts_with(owner) || who.raw().ends_with(owner))
    };
    if let Some(who) = of_grade(Grade::Certain) {
        return if same(&who) {
            foreign!("{a} is held by {}", who)
        } else {
            foreign!("{a} is held by {}; {}", who, ipam)
        };
    }
    if let Some(who) = of_grade(Grade::Possible) {
        return if same(&who) {
            foreign!("{a} is held, it seems, by {}", who)
        } else {
            foreign!("{a} may be held by {}; {}", who, ipam)
        };
    }
    match (allocated, sheet.state) {
        (Some(row), _) => allocation(a, row, findings),
        (None, AddressState::Cooling) => {
            let at = sheet.allocations.iter().find_map(|r| r.released).map(|t| format!(" since {t}"));
            format!("{a} was released and is cooling down{}", at.unwrap_or_default()).into()
        }
        (None, AddressState::Unknown) => foreign!("{a}: {}", ipam),
        (None, _) => free(sheet),
    }
}

fn allocation(a: Addr, row: &AllocationSheet, findings: &[Finding]) -> Foreign {
    let who = owner(row);
    let leak = findings.iter().find(|f| f.subject.address() == Some(a) && checks::is_leak(f));
    match leak {
        Some(leak) if leak.state == State::Unconfirmed => {
            foreign!("{a} is allocated to {}: leaked, if one look can be trusted, {}", who, leak.summary)
        }
        Some(leak) if leak.summary == foreign!("pod {} does not exist", who) => {
            foreign!("{a} is allocated to {}, which does not exist: leaked", who)
        }
        Some(leak) => foreign!("{a} is allocated to {}: leaked, {}", who, leak.summary),
        None if row.used_for == Use::Windows => format!("{a} is reserved for Windows").into(),
        None if row.used_for == Use::Reserved => foreign!("{a} is kept back by {}", who),
        None => foreign!("{a} is allocated to {}; nobody is seen to hold it", who),
    }
}

fn free(sheet: &AddressSheet) -> Foreign {
    let a = sheet.address;
    match (sheet.queue_place, &sheet.block, &sheet.pool) {
        (Some(0), _, _) => format!("{a} is free, the next to be handed out").into(),
        (Some(n), _, _) => format!("{a} is free, next to be handed out after {n} more").into(),
        (None, Some(block), _) => format!("{a} is neither allocated nor in the free queue of block {block}").into(),
        (None, None, Some(pool)) => foreign!("{a} is free: no block of pool {} holds it yet", pool),
        (None, None, None) => outside(&a.to_string().into()),
    }
}

fn list(addresses: impl IntoIterator<Item = Addr>) -> String {
    let all: Vec<String> = addresses.into_iter().map(|a| a.to_string()).collect();
    match all.as_slice() {
        [] => "no address".to_owned(),
        few if few.len() <= 3 => few.join(", "),
        [first, ..] => format!("{} addresses, {first} first", grouped(all.len() as u64)),
    }
}

/// About a CIDR that IPAM has nothing to do with.
pub fn outside(range: &Foreign) -> Foreign {
    foreign!("{} is in no pool and no block: Calico does not hand it out", range)
}

/// What helps who asked so.
fn hint(asked: &Foreign) -> String {
    Word::of(asked.raw()).hint().map(|hint| format!(": {hint}")).unwrap_or_default()
}

/// About everything else, from what the dossier shows.
pub fn other(dossier: &Dossier) -> Foreign {
    let Some(first) = dossier.matches.first() else {
        return foreign!(
            "nothing is called {} here{}{}",
            dossier.asked,
            did_you_mean(&dossier.near),
            hint(&dossier.asked)
        );
    };
    // Handles behind a service or a machine are its own.
    let is_own = |m: &&Match| m.kind == MatchKind::Handle && matches!(first.kind, MatchKind::Service | MatchKind::Vm);
    let also = dossier.matches.iter().skip(1).filter(|m| !is_own(m)).count();
    let more = if also == 0 { String::new() } else { format!(" (and {also} more of that name)") };
    let answer = match first.kind {
        MatchKind::Handle => handle(dossier, &first.id),
        MatchKind::Pod => pod(dossier, &first.id),
        MatchKind::Node => node(dossier, &first.id),
        MatchKind::Service | MatchKind::Vm => named_on(dossier, first),
        kind => {
            let kind = if kind == MatchKind::Mac { "MAC" } else { kind.word() };
            let pods = dossier.endpoints.iter().map(|e| foreign!("{} on {}", e.pod, e.node));
            let endpoints = count(dossier.endpoints.len(), "endpoint");
            foreign!("{kind} {} is on {endpoints}: {}", first.id, Foreign::joined(pods, ", "))
        }
    };
    let wrong = wrong(&dossier.findings);
    foreign!("{}{more}{wrong}", answer)
}

/// A service, or a machine: neither has a sheet of its own.
fn named_on(dossier: &Dossier, found: &Match) -> Foreign {
    let kind = if found.kind == MatchKind::Vm { "VM" } else { found.kind.word() };
    foreign!("{kind} {} has {}", found.id, list(dossier.addresses.iter().map(|a| a.address)))
}

fn handle(dossier: &Dossier, id: &Foreign) -> Foreign {
    let Some(sheet) = dossier.handles.iter().find(|h| h.id == *id) else { return foreign!("handle {}", id) };
    let addresses = addresses(sheet.addresses.len() as u64);
    let rows = dossier.addresses.iter().flat_map(|a| &a.allocations).filter(|r| r.handle.as_ref() == Some(id));
    let owners: BTreeSet<&Foreign> = rows.filter_map(|r| r.owner.as_ref()).collect();
    let of = if owners.is_empty() { Foreign::default() } else { foreign!(" of {}", Foreign::joined(owners, ", ")) };
    match (sheet.exists, sheet.addresses.is_empty()) {
        (true, true) => foreign!("handle {} holds no address", id),
        (true, false) => foreign!("handle {} holds {addresses}{}", id, of),
        (false, _) => foreign!("handle {} has no object, but {addresses}{}", id, of),
    }
}

fn pod(dossier: &Dossier, id: &Foreign) -> Foreign {
    let named = || list(dossier.addresses.iter().map(|a| a.address));
    match dossier.pods.iter().find(|p| p.pod == *id) {
        Some(p) if p.host_network => foreign!("{} uses the host's network on {}", id, p.node),
        Some(p) if p.node.is_empty() => foreign!("{} is on no node yet and has no address", id),
        Some(p) => {
            let has = list(p.addresses.iter().copied());
            foreign!("{} on {} is {} and has {has}", id, p.node, p.phase.word())
        }
        None if dossier.unread.is_empty() => foreign!("{} does not exist, but its name is on {}", id, named()),
        None => foreign!("{} was not read; its name is on {}", id, named()),
    }
}

fn node(dossier: &Dossier, id: &Foreign) -> Foreign {
    let Some(n) = dossier.nodes.first() else { return foreign!("node {}", id) };
    let name = n.name().unwrap_or(id);
    let addresses = addresses(n.blocks.iter().map(|b| b.allocated).sum::<u64>());
    let blocks = count(n.blocks.len(), "block");
    let pods = count(usize::try_from(n.pods).unwrap_or(usize::MAX), "pod");
    foreign!("node {} ({}) has {blocks} with {addresses} allocated, and {pods}", name, n.standing.word())
}

/// From the history alone; `at`: as of this moment. Several clusters that know it are told one by one.
pub fn before(asked: &Foreign, before: &[Before], at: Option<Time>) -> Foreign {
    match before {
        [] => match at {
            Some(at) => foreign!("the history knows of no allocation of {} at {at}", asked),
            None => foreign!("the history does not know {}", asked),
        },
        [only] => of_cluster(asked, only, at),
        many => {
            let same = |b: &Before| many.iter().filter(|other| other.guid == b.guid).count() > 1;
            let name = |b: &Before| b.kubernetes_uids.first().filter(|_| same(b)).unwrap_or(&b.guid).short(8);
            let each = many.iter().map(|b| foreign!("in {}: {}", name(b), of_cluster(asked, b, at)));
            let each = Foreign::joined(each, "; ");
            foreign!("{} clusters of the history know it (--cluster ID); {}", many.len(), each)
        }
    }
}

fn of_cluster(asked: &Foreign, before: &Before, at: Option<Time>) -> Foreign {
    let of_pool = before.pool.as_ref().map(|pool| match (at, before.last_audit) {
        (None, Some(last)) => foreign!("{} by the last audit that looked ({last})", pool.says()),
        (None, None) => pool.says(),
        (Some(at), _) => foreign!("at {at} {}", pool.says()),
    });
    let answer = match (before.nodes.as_slice(), at) {
        _ if of_pool.is_some() => of_pool.unwrap_or_default(),
        ([.., last], _) => of_node(before, last, at),
        ([], Some(at)) => then(asked, before, at),
        ([], None) => last_known(asked, before),
    };
    let rank = |f: &&Episode| checks::worst_first(f.finding.severity, f.finding.code);
    let worst = before.open.iter().min_by_key(rank).filter(|_| at.is_none());
    let open = worst.map(|f| match before.open.len() {
        1 => format!("; open: {} since {}", f.finding.code, f.opened.at),
        n => format!("; {n} findings open, the worst {} since {}", f.finding.code, f.opened.at),
    });
    foreign!("{}{}", answer, open.unwrap_or_default())
}

fn named(i: &AllocationRow) -> Foreign {
    match (i.used_for.known(), i.owner(), &i.handle) {
        (Some(Use::Windows), ..) => "Windows' reservation".into(),
        (Some(Use::Reserved), _, Some(handle)) => foreign!("reservation {}", handle),
        (Some(Use::Cooling), ..) => "nobody: it was cooling down".into(),
        (Some(Use::LoadBalancer), Some(owner), _) => foreign!("service {}", owner),
        (_, Some(owner), _) => owner,
        (_, None, Some(handle)) => foreign!("handle {}", handle),
        (_, None, None) => "nobody by name".into(),
    }
}

fn then(asked: &Foreign, before: &Before, at: Time) -> Foreign {
    let sure: Vec<&Interval<AllocationRow>> =
        before.allocations.iter().filter(|i| i.span.at(at) == Some(true)).collect();
    match (sure.as_slice(), before.allocations.as_slice()) {
        // Nobody looked after the last audit: it was so then.
        ([one], _) if one.span.is_open() && at > one.span.last_seen.at => {
            let (address, last) = (one.row.address, one.span.last_seen.at);
            foreign!("{address} was allocated to {} at the last audit before {at} ({last})", named(&one.row))
        }
        ([one], _) => foreign!("{} at {at} was allocated to {}", one.row.address, named(&one.row)),
        ([], []) => foreign!("the history knows of no allocation of {} at {at}", asked),
        ([], [one, ..]) => {
            let (address, whose) = (one.row.address, named(&one.row));
            foreign!("{address} at {at} may have been allocated to {}: no audit looked just then", whose)
        }
        (many, _) => foreign!("{} at {at} had {} allocations", asked, many.len()),
    }
}

fn last_known(asked: &Foreign, before: &Before) -> Foreign {
    // Of one address: pods that say at once that they have it. Two launcher pods of a VM are two pods, not two holders.
    let holds = |s: &&Interval<PodRow>| s.span.is_open() && s.row.grade == Term::Known(Grade::Certain);
    if let Some(address) = block::address(&Word::of(asked.raw())) {
        let holding: Vec<&Interval<PodRow>> = before.pods.iter().filter(holds).collect();
        let pods = holding.iter().map(|s| (&s.row.namespace, &s.row.pod)).collect::<BTreeSet<_>>().len();
        if let ([first, ..], 2..) = (holding.as_slice(), pods) {
            let last = first.span.last_seen.at;
            return format!("{address} has {pods} pods by the last audit that looked ({last})").into();
        }
    }
    let all = &before.allocations;
    let open: Vec<&Interval<AllocationRow>> = all.iter().filter(|i| i.span.is_open()).collect();
    let Some(newest) = all.iter().rev().max_by_key(|i| (i.span.is_open(), i.span.last_seen.at)) else {
        return match before.is_nothing() {
            true => foreign!("the history does not know {}{}", asked, hint(asked)),
            false => foreign!("the history knows {}, but no allocation of it", asked),
        };
    };
    let (address, last) = (newest.row.address, newest.span.last_seen.at);
    match open.as_slice() {
        [] => foreign!("{address} was last allocated to {}, seen until {last}", named(&newest.row)),
        [_] => foreign!("{address} is allocated to {} by the last audit that looked ({last})", named(&newest.row)),
        [first, ..] => {
            let (number, first) = (open.len(), first.row.address);
            foreign!("{} has {number} allocations by the last audit that looked ({last}), {first} first", asked)
        }
    }
}

fn of_node(before: &Before, last: &Interval<NodeRow>, at: Option<Time>) -> Foreign {
    let name = last.row.name().cloned().unwrap_or_default();
    let ready = match (last.row.present, last.row.ready) {
        (false, _) => "not in Kubernetes",
        (true, Some(true)) => "Ready",
        (true, Some(false)) => "not Ready",
        (true, None) => "in Kubernetes",
    };
    let (addresses, seen) = (addresses(before.standing), last.span.last_seen.at);
    match (at, last.span.not_seen_after) {
        (Some(at), _) => {
            let sure = before.nodes.iter().any(|n| n.span.at(at) == Some(true));
            let was = if sure { "was" } else { "(no audit looked just then) may have been" };
            foreign!("node {} at {at} {was} {ready}, with {addresses} allocated", name)
        }
        (None, None) => {
            foreign!("node {} is {ready} by the last audit that looked ({seen}), with {addresses} allocated", name)
        }
        (None, Some(_)) => foreign!("node {} is gone, last seen {seen} ({ready}), with {addresses} allocated", name),
    }
}
