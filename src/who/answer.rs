//! The first line: one sentence that answers, and claims no more than what was read.

use std::collections::BTreeSet;

use super::Before;
use super::dossier::{AddressSheet, AllocationSheet, Dossier, HeldBy, HolderKind};
use crate::checks;
use crate::ledger::{AddressState, Grade, Use};
use crate::model::row::{AllocationRow, Interval, NodeRow, PodRow};
use crate::model::{Addr, Finding, State, SubjectKind, Term, Time};

/// How somebody holds an address.
fn holder(h: &HeldBy) -> String {
    let on = h.node.as_ref().map(|n| format!(" on {n}")).unwrap_or_default();
    match h.kind {
        HolderKind::Pod => format!("{}{on}", h.id),
        HolderKind::Tunnel => format!("the {} tunnel of {}", h.detail, h.id),
        HolderKind::HostEndpoint => "a host endpoint".to_owned(),
        kind => format!("{} {}{on}", kind.word(), h.id),
    }
}

/// Whom an allocation names.
fn owner(row: &AllocationSheet) -> String {
    match (&row.owner, &row.handle, row.used_for) {
        (_, _, Use::Windows) => "Windows' reservation".to_owned(),
        (_, Some(handle), Use::Reserved) => format!("reservation {handle}"),
        // The launcher pod changes, the VM stays.
        (_, Some(handle), Use::Vm) => format!("the VM of handle {handle}"),
        (Some(owner), _, _) => owner.clone(),
        (None, Some(handle), _) => format!("handle {handle}"),
        (None, None, _) => "nobody by name".to_owned(),
    }
}

/// About one address. `holders`: how many different ones hold it for certain.
pub fn address(sheet: &AddressSheet, holders: usize, findings: &[Finding], unread: bool) -> String {
    let a = sheet.address;
    if holders > 1 {
        return format!("{a} has {holders} holders");
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
        (Some(row), _) => format!("IPAM gave it to {}", owner(row)),
        (None, AddressState::Unknown) => "nobody can say what IPAM records of it".to_owned(),
        (None, state) => format!("IPAM has it as {}", state.word()),
    };
    let same =
        |who: &str| allocated.and_then(|r| r.owner.as_deref()).is_some_and(|o| who.starts_with(o) || who.ends_with(o));
    if let Some(who) = of_grade(Grade::Certain) {
        return if same(&who) { format!("{a} is held by {who}") } else { format!("{a} is held by {who}; {ipam}") };
    }
    if let Some(who) = of_grade(Grade::Possible) {
        return if same(&who) {
            format!("{a} is held, it seems, by {who}")
        } else {
            format!("{a} may be held by {who}; {ipam}")
        };
    }
    match (allocated, sheet.state) {
        (Some(row), _) => allocation(a, row, findings, unread),
        (None, AddressState::Cooling) => {
            let at = sheet.allocations.iter().find_map(|r| r.released).map(|t| format!(" since {}", t.to_rfc3339()));
            format!("{a} was released and is cooling down{}", at.unwrap_or_default())
        }
        (None, AddressState::Unknown) => format!("{a}: {ipam}"),
        (None, _) => free(sheet),
    }
}

fn allocation(a: Addr, row: &AllocationSheet, findings: &[Finding], unread: bool) -> String {
    let who = owner(row);
    let id = a.to_string();
    let leak = findings.iter().find(|f| {
        f.subject.kind == SubjectKind::Address
            && f.subject.id == id
            && checks::find(f.code).is_some_and(|check| check.ties.proves_leak)
    });
    match leak {
        Some(leak) if leak.state == State::Unconfirmed => {
            format!("{a} is allocated to {who}: leaked, if one look can be trusted, {}", leak.summary.raw())
        }
        Some(leak) if leak.summary == format!("pod {who} does not exist") => {
            format!("{a} is allocated to {who}, which does not exist: leaked")
        }
        Some(leak) => format!("{a} is allocated to {who}: leaked, {}", leak.summary.raw()),
        None if row.used_for == Use::Windows => format!("{a} is reserved for Windows"),
        None if row.used_for == Use::Reserved => format!("{a} is kept back by {who}"),
        None if unread => format!("{a} is allocated to {who}; not everything was read that could hold it"),
        None => format!("{a} is allocated to {who}; nobody is seen to hold it"),
    }
}

fn free(sheet: &AddressSheet) -> String {
    let a = sheet.address;
    match (sheet.queue_place, &sheet.block, &sheet.pool) {
        (Some(0), _, _) => format!("{a} is free, the next to be handed out"),
        (Some(n), _, _) => format!("{a} is free, next to be handed out after {n} more"),
        (None, Some(block), _) => format!("{a} is neither allocated nor in the free queue of block {block}"),
        (None, None, Some(pool)) => format!("{a} is free: no block of pool {pool} holds it yet"),
        (None, None, None) => format!("{a} is in no pool and no block: Calico does not hand it out"),
    }
}

fn list(addresses: impl IntoIterator<Item = Addr>) -> String {
    let all: Vec<String> = addresses.into_iter().map(|a| a.to_string()).collect();
    match all.as_slice() {
        [] => "no address".to_owned(),
        few if few.len() <= 3 => few.join(", "),
        [first, ..] => format!("{} addresses, {first} first", all.len()),
    }
}

/// About everything else, from what the dossier shows.
pub fn other(dossier: &Dossier) -> String {
    let Some(first) = dossier.matches.first() else {
        return format!("nothing is called {} here", dossier.asked);
    };
    let also = dossier.matches.len() - 1;
    let more = if also == 0 { String::new() } else { format!(" (and {also} more of that name)") };
    let answer = match first.kind {
        SubjectKind::Handle => handle(dossier, &first.id),
        SubjectKind::Pod => pod(dossier, &first.id),
        SubjectKind::Node => node(dossier),
        kind => {
            let kind = if kind == SubjectKind::Mac { "MAC" } else { kind.word() };
            let pods: Vec<String> = dossier.endpoints.iter().map(|e| format!("{} on {}", e.pod, e.node)).collect();
            let plural = if pods.len() == 1 { "endpoint" } else { "endpoints" };
            format!("{kind} {} is on {} {plural}: {}", first.id, pods.len(), pods.join(", "))
        }
    };
    // A handle's findings are mostly the handle itself: its counts stand below.
    let wrong = match dossier.findings.as_slice() {
        _ if !matches!(first.kind, SubjectKind::Pod | SubjectKind::Node) => String::new(),
        [] => String::new(),
        [one] => format!("; 1 finding, {}", one.code),
        [worst, ..] => format!("; {} findings, the worst {}", dossier.findings.len(), worst.code),
    };
    format!("{answer}{more}{wrong}")
}

fn handle(dossier: &Dossier, id: &str) -> String {
    let Some(sheet) = dossier.handles.iter().find(|h| h.id == id) else { return format!("handle {id}") };
    let number = sheet.addresses.len();
    let addresses = if number == 1 { "1 address".to_owned() } else { format!("{number} addresses") };
    let rows = dossier.addresses.iter().flat_map(|a| &a.allocations).filter(|r| r.handle.as_deref() == Some(id));
    let mut owners: Vec<&str> = rows.filter_map(|r| r.owner.as_deref()).collect();
    owners.sort_unstable();
    owners.dedup();
    let of = if owners.is_empty() { String::new() } else { format!(" of {}", owners.join(", ")) };
    match (sheet.exists, number) {
        (true, 0) => format!("handle {id} holds no address"),
        (true, _) => format!("handle {id} holds {addresses}{of}"),
        (false, _) => format!("handle {id} has no object, but {addresses}{of}"),
    }
}

fn pod(dossier: &Dossier, id: &str) -> String {
    match dossier.pods.iter().find(|p| p.pod == id) {
        Some(p) if p.host_network => format!("{id} uses the host's network on {}", p.node),
        Some(p) if p.node.is_empty() => format!("{id} is on no node yet and has no address"),
        Some(p) => format!("{id} on {} is {} and has {}", p.node, p.phase.word(), list(p.addresses.iter().copied())),
        None if dossier.unread.is_empty() => {
            format!("{id} does not exist, but its name is on {}", list(dossier.addresses.iter().map(|a| a.address)))
        }
        None => format!("{id} was not read; its name is on {}", list(dossier.addresses.iter().map(|a| a.address))),
    }
}

fn node(dossier: &Dossier) -> String {
    let Some(n) = dossier.nodes.first() else { return dossier.asked.clone() };
    let name = n.calico.as_deref().or(n.kubernetes.as_deref()).unwrap_or(&dossier.asked);
    let allocated: u64 = n.blocks.iter().map(|b| b.allocated).sum();
    let blocks = crate::checks::evidence::count(n.blocks.len(), "block");
    let pods = crate::checks::evidence::count(usize::try_from(n.pods).unwrap_or(usize::MAX), "pod");
    let addresses = if allocated == 1 { "1 address".to_owned() } else { format!("{allocated} addresses") };
    format!("node {name} ({}) has {blocks} with {addresses} allocated, and {pods}", n.standing.word())
}

/// From the history alone; `at`: as of this moment. Several clusters that know it are told one by one.
pub fn before(asked: &str, before: &[Before], at: Option<Time>) -> String {
    match before {
        [] => match at {
            Some(at) => format!("the history knows of no allocation of {asked} at {}", at.to_rfc3339()),
            None => format!("the history does not know {asked}"),
        },
        [only] => of_cluster(asked, only, at),
        many => {
            let same = |b: &Before| many.iter().filter(|other| other.guid == b.guid).count() > 1;
            let name = |b: &Before| match b.kubernetes_uids.first().filter(|_| same(b)) {
                Some(uid) => short(uid),
                None => short(&b.guid),
            };
            let each: Vec<String> =
                many.iter().map(|b| format!("in {}: {}", name(b), of_cluster(asked, b, at))).collect();
            format!("{} clusters of the history know it (--cluster ID); {}", many.len(), each.join("; "))
        }
    }
}

/// A UUID by its first eight digits.
fn short(id: &str) -> String {
    let start: String = id.chars().take(8).collect();
    if start.len() < id.len() { format!("{start}…") } else { start }
}

fn of_cluster(asked: &str, before: &Before, at: Option<Time>) -> String {
    let answer = match (before.nodes.as_slice(), at) {
        ([.., last], _) => of_node(before, last, at),
        ([], Some(at)) => then(asked, before, at),
        ([], None) => last_known(asked, before),
    };
    let worst = before.open.first().filter(|_| at.is_none());
    let open = worst.map(|f| match before.open.len() {
        1 => format!("; open: {} since {}", f.finding.code, f.opened.at.to_rfc3339()),
        n => format!("; {n} findings open, the worst {} since {}", f.finding.code, f.opened.at.to_rfc3339()),
    });
    answer + &open.unwrap_or_default()
}

fn named(i: &AllocationRow) -> String {
    match (i.used_for.known(), i.owner(), &i.handle) {
        (Some(Use::Windows), ..) => "Windows' reservation".to_owned(),
        (Some(Use::Reserved), _, Some(handle)) => format!("reservation {handle}"),
        (Some(Use::Cooling), ..) => "nobody: it was cooling down".to_owned(),
        (Some(Use::LoadBalancer), Some(owner), _) => format!("service {owner}"),
        (_, Some(owner), _) => owner,
        (_, None, Some(handle)) => format!("handle {handle}"),
        (_, None, None) => "nobody by name".to_owned(),
    }
}

fn then(asked: &str, before: &Before, at: Time) -> String {
    let when = at.to_rfc3339();
    let sure: Vec<&Interval<AllocationRow>> =
        before.allocations.iter().filter(|i| i.span.at(at) == Some(true)).collect();
    match (sure.as_slice(), before.allocations.as_slice()) {
        // Nobody looked after the last audit: it was so then.
        ([one], _) if one.span.is_open() && at > one.span.last_seen.at => {
            let last = one.span.last_seen.at.to_rfc3339();
            let whose = named(&one.row);
            format!("{} was allocated to {whose} at the last audit before {when} ({last})", one.row.address)
        }
        ([one], _) => format!("{} at {when} was allocated to {}", one.row.address, named(&one.row)),
        ([], []) => format!("the history knows of no allocation of {asked} at {when}"),
        ([], [one, ..]) => {
            let whose = named(&one.row);
            format!("{} at {when} may have been allocated to {whose}: no audit looked just then", one.row.address)
        }
        (many, _) => format!("{asked} at {when} had {} allocations", many.len()),
    }
}

fn last_known(asked: &str, before: &Before) -> String {
    // Of one address: pods that say at once that they have it. Two launcher pods of a VM are two pods, not two holders.
    let holds = |s: &&Interval<PodRow>| s.span.is_open() && s.row.grade == Term::Known(Grade::Certain);
    if let Some(address) = Addr::parse_with_prefix(asked) {
        let holding: Vec<&Interval<PodRow>> = before.pods.iter().filter(holds).collect();
        let pods: BTreeSet<(&str, &str)> = holding.iter().map(|s| (&*s.row.namespace, &*s.row.pod)).collect();
        if let ([first, ..], 2..) = (holding.as_slice(), pods.len()) {
            let last = first.span.last_seen.at.to_rfc3339();
            return format!("{address} has {} pods by the last audit that looked ({last})", pods.len());
        }
    }
    let all = &before.allocations;
    let newest = all.iter().rev().max_by_key(|i| (i.span.is_open(), i.span.last_seen.at));
    let open = all.iter().filter(|i| i.span.is_open()).count();
    match newest {
        None if before.is_nothing() => format!("the history does not know {asked}"),
        None => format!("the history knows {asked}, but no allocation of it"),
        Some(i) if open > 1 => {
            let last = i.span.last_seen.at.to_rfc3339();
            format!("{asked} has {open} allocations by the last audit that looked ({last}), {} first", first_of(all))
        }
        Some(i) if open == 1 => {
            let last = i.span.last_seen.at.to_rfc3339();
            format!("{} is allocated to {} by the last audit that looked ({last})", i.row.address, named(&i.row))
        }
        Some(i) => {
            let last = i.span.last_seen.at.to_rfc3339();
            format!("{} was last allocated to {}, seen until {last}", i.row.address, named(&i.row))
        }
    }
}

fn first_of(all: &[Interval<AllocationRow>]) -> String {
    all.iter().find(|i| i.span.is_open()).map(|i| i.row.address.to_string()).unwrap_or_default()
}

fn of_node(before: &Before, last: &Interval<NodeRow>, at: Option<Time>) -> String {
    let name = last.row.name().unwrap_or_default();
    let ready = match (last.row.present, last.row.ready) {
        (false, _) => "not in Kubernetes",
        (true, Some(true)) => "Ready",
        (true, Some(false)) => "not Ready",
        (true, None) => "in Kubernetes",
    };
    let addresses = match before.standing {
        1 => "1 address".to_owned(),
        n => format!("{n} addresses"),
    };
    match (at, last.span.not_seen_after) {
        (Some(at), _) => {
            let when = at.to_rfc3339();
            let sure = before.nodes.iter().any(|n| n.span.at(at) == Some(true));
            let was = if sure { "was" } else { "(no audit looked just then) may have been" };
            format!("node {name} at {when} {was} {ready}, with {addresses} allocated")
        }
        (None, None) => {
            let seen = last.span.last_seen.at.to_rfc3339();
            format!("node {name} is {ready} by the last audit that looked ({seen}), with {addresses} allocated")
        }
        (None, Some(_)) => {
            let seen = last.span.last_seen.at.to_rfc3339();
            format!("node {name} is gone, last seen {seen} ({ready}), with {addresses} allocated")
        }
    }
}
