//! The first line: one sentence that answers, and claims no more than what was read.

use super::dossier::{AddressSheet, AllocationRow, Dossier, Found, Holder};
use super::{Before, Interval};
use crate::model::{Addr, Code, Time};

/// How somebody holds an address.
fn holder(h: &Holder) -> String {
    let on = h.node.as_ref().map(|n| format!(" on {n}")).unwrap_or_default();
    match h.kind {
        "pod" => format!("{}{on}", h.id),
        "tunnel" => format!("the {} tunnel of {}", h.detail, h.id),
        "host-endpoint" => "a host endpoint".to_owned(),
        kind => format!("{kind} {}{on}", h.id),
    }
}

/// Whom an allocation names.
fn owner(row: &AllocationRow) -> String {
    match (&row.owner, &row.handle, row.used_for) {
        (_, _, "windows") => "Windows' reservation".to_owned(),
        (Some(owner), _, _) => owner.clone(),
        (None, Some(handle), _) => format!("handle {handle}"),
        (None, None, _) => "nobody by name".to_owned(),
    }
}

/// About one address. `holders`: how many different ones hold it for certain.
pub fn address(sheet: &AddressSheet, holders: usize, findings: &[Found], unread: bool) -> String {
    let a = sheet.address;
    if holders > 1 {
        return format!("{a} has {holders} holders");
    }
    let of_grade = |grade: &str| {
        // A pod's endpoint is the same holder.
        let rank = |h: &&Holder| match h.kind {
            "pod" => 0,
            "endpoint" => 2,
            _ => 1,
        };
        sheet.holders.iter().filter(|h| h.grade == grade).min_by_key(rank).map(holder)
    };
    let allocated = sheet.allocations.iter().find(|r| r.used_for != "cooling");
    let ipam = match (allocated, sheet.state) {
        (Some(row), _) => format!("IPAM gave it to {}", owner(row)),
        (None, "unknown") => "nobody can say what IPAM records of it".to_owned(),
        (None, state) => format!("IPAM has it as {state}"),
    };
    let same =
        |who: &str| allocated.and_then(|r| r.owner.as_deref()).is_some_and(|o| who.starts_with(o) || who.ends_with(o));
    if let Some(who) = of_grade("certain") {
        return if same(&who) { format!("{a} is held by {who}") } else { format!("{a} is held by {who}; {ipam}") };
    }
    if let Some(who) = of_grade("possible") {
        return if same(&who) {
            format!("{a} is held, it seems, by {who}")
        } else {
            format!("{a} may be held by {who}; {ipam}")
        };
    }
    match (allocated, sheet.state) {
        (Some(row), _) => allocation(a, row, findings, unread),
        (None, "cooling") => {
            let at = sheet.allocations.iter().find_map(|r| r.released).map(|t| format!(" since {}", t.to_rfc3339()));
            format!("{a} was released and is cooling down{}", at.unwrap_or_default())
        }
        (None, "unknown") => format!("{a}: {ipam}"),
        (None, _) => free(sheet),
    }
}

fn allocation(a: Addr, row: &AllocationRow, findings: &[Found], unread: bool) -> String {
    let who = owner(row);
    let id = a.to_string();
    let leak = findings.iter().find(|f| {
        f.subject.kind == "address" && f.subject.id == id && matches!(f.code, Code(110) | Code(111) | Code(112))
    });
    match leak {
        Some(leak) if leak.summary == format!("pod {who} does not exist") => {
            format!("{a} is allocated to {who}, which does not exist: leaked")
        }
        Some(leak) => format!("{a} is allocated to {who}: leaked, {}", leak.summary),
        None if row.used_for == "windows" => format!("{a} is reserved for Windows"),
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
        "handle" => handle(dossier, &first.id),
        "pod" => pod(dossier, &first.id),
        "node" => node(dossier),
        kind => {
            let kind = if kind == "mac" { "MAC" } else { kind };
            let pods: Vec<String> = dossier.endpoints.iter().map(|e| format!("{} on {}", e.pod, e.node)).collect();
            let plural = if pods.len() == 1 { "endpoint" } else { "endpoints" };
            format!("{kind} {} is on {} {plural}: {}", first.id, pods.len(), pods.join(", "))
        }
    };
    format!("{answer}{more}")
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
        Some(p) => format!("{id} on {} is {} and has {}", p.node, p.phase, list(p.addresses.iter().copied())),
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
    format!("node {name} ({}) has {blocks} with {allocated} addresses allocated, and {pods}", n.standing)
}

/// From the history alone; `at`: as of this moment.
pub fn before(asked: &str, before: &[Before], at: Option<Time>) -> String {
    let all: Vec<&Interval> = before.iter().flat_map(|b| &b.allocations).collect();
    let when = at.map(|t| format!(" at {}", t.to_rfc3339())).unwrap_or_default();
    let named = |i: &Interval| i.owner.clone().or_else(|| i.handle.clone()).unwrap_or_else(|| i.used_for.clone());
    if let Some(at) = at {
        let sure: Vec<&&Interval> = all.iter().filter(|i| i.ends.at(at) == Some(true)).collect();
        return match (sure.as_slice(), all.as_slice()) {
            ([one], _) => format!("{}{when} was allocated to {}", one.address, named(one)),
            ([], []) => format!("the history knows of no allocation of {asked}{when}"),
            ([], [one, ..]) => {
                format!("{}{when} may have been allocated to {}: no audit looked just then", one.address, named(one))
            }
            (many, _) => format!("{asked}{when} had {} allocations", many.len()),
        };
    }
    match all.iter().rev().max_by_key(|i| (i.ends.not_seen_after.is_none(), i.ends.last_seen)) {
        None if before.iter().any(|b| !b.pods.is_empty() || !b.open.is_empty()) => {
            format!("the history knows {asked}, but no allocation of it")
        }
        None => format!("the history does not know {asked}"),
        Some(i) if i.ends.not_seen_after.is_none() => {
            let last = i.ends.last_seen.to_rfc3339();
            format!("{} is allocated to {} by the last audit that looked ({last})", i.address, named(i))
        }
        Some(i) => {
            format!("{} was last allocated to {}, seen until {}", i.address, named(i), i.ends.last_seen.to_rfc3339())
        }
    }
}
