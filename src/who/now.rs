//! Puts the dossier together: what matches, its sheets, its findings, the commands that help.

use std::collections::{BTreeSet, HashSet};

use super::concern::Concern;
use super::dossier::{Dossier, HolderKind, Match, MatchKind, SCHEMA};
use super::meant::meant;
use super::unread::{of_nodes, said, unread};
use super::word::Word;
use super::{Asked, Before, answer, block, sheets, wrong};
use crate::checks::evidence::looks::has_condition;
use crate::checks::evidence::{self, ask_who, operand};
use crate::checks::{Outcome, World};
use crate::ledger::{Allocation, Claimant, Grade, Ledger, Via};
use crate::model::foreign::foreign;
use crate::model::near::did_you_mean;
use crate::model::number::grouped;
use crate::model::{Addr, Finding, Foreign, Severity, Time, endpoint::mac_text};

/// So many addresses of one pod, handle or node are shown.
const SHOWN: usize = 32;

fn empty(asked: &str, now: Time) -> Dossier {
    Dossier { schema: SCHEMA, asked: asked.into(), judged_at: now, ..Dossier::default() }
}

/// The findings that concern what was asked for: only they need a second look.
pub fn about(ledger: &Ledger<'_>, mut outcome: Outcome, asked: &Asked) -> Outcome {
    let mut dossier = empty("", ledger.snapshot.now);
    dossier.matches = matches(ledger, asked);
    fill(&mut dossier, ledger, asked);
    let concern = Concern::of(&dossier);
    outcome.findings.retain(|f| concern.has(f) && asked.place.has_finding(ledger, f));
    outcome
}

/// What is so now, and the worst finding about it.
pub fn now(world: &World<'_>, outcome: &Outcome, word: &Word<'_>, asked: &Asked) -> (Dossier, Option<Severity>) {
    let (ledger, snapshot) = (world.ledger, world.snapshot);
    let mut dossier = empty(word.typed, snapshot.now);
    if asked.is_nothing() {
        dossier.near = meant(ledger, word);
    }
    dossier.etcd_revision = Some(snapshot.etcd.revision).filter(|r| *r > 0);
    dossier.matches = matches(ledger, asked);
    dossier.unread = unread(snapshot, outcome);
    fill(&mut dossier, ledger, asked);
    dossier.unread.extend(of_nodes(snapshot, &dossier));
    let concern = Concern::of(&dossier);
    let about: Vec<_> =
        outcome.findings.iter().filter(|f| concern.has(f) && asked.place.has_finding(ledger, f)).collect();
    dossier.findings = about.iter().map(|f| f.open()).collect();
    if let Some(sheet) = &mut dossier.range {
        wrong::tell(&mut sheet.blocks, dossier.findings.iter().map(|f| &f.gist));
    }
    dossier.answer = match asked.address {
        _ if block::range(word).is_some() || asked.range.is_some() => match &dossier.range {
            Some(sheet) => block::answer(sheet, ledger, &dossier.findings),
            None => answer::outside(&dossier.asked),
        },
        Some(a) => {
            let sheet = dossier.addresses.iter().find(|s| s.address == a);
            let sheet = sheet.cloned().unwrap_or_else(|| sheets::address(ledger, a));
            answer::address(&sheet, holders(ledger, a), &dossier.findings)
        }
        None => answer::other(&dossier),
    };
    let is_nothing = dossier.matches.is_empty();
    if let Some(doubt) = asked.place.unknown.first() {
        dossier.answer = doubt.says();
    } else if !asked.place.is_anywhere() {
        let flags = Foreign::joined(&asked.place.flags, " ");
        dossier.answer = match &dossier.range {
            Some(sheet) => {
                let number = counted(sheet.occupants.len());
                foreign!("{}; with {} {number}", dossier.answer, flags)
            }
            None => foreign!("{} ({})", dossier.answer, flags),
        };
    }
    if let Some(unread) = said(snapshot) {
        if is_nothing {
            dossier.answer = foreign!("nobody knows of {}{}", dossier.asked, did_you_mean(&dossier.near));
        }
        dossier.answer = foreign!("BLIND: {}; {}", unread, dossier.answer);
    }
    let alone = of_the_network(&mut dossier, word);
    let mut next: Vec<Foreign> = alone.into_iter().collect();
    let unconditional = |f: &Finding| f.next.iter().filter(|c| !has_condition(f, c)).cloned().collect::<Vec<_>>();
    next.extend(dossier.findings.iter().flat_map(unconditional));
    next.extend(commands(&dossier));
    let itself = ask_who(word.typed);
    let mut seen = HashSet::new();
    next.retain(|c| *c != itself && seen.insert(c.clone()));
    next.truncate(20);
    dossier.next = next;
    (dossier, about.iter().map(|f| f.severity).max())
}

/// Of a CIDR with host bits the answer says that it is the network's; the command that asks about the address alone.
fn of_the_network(dossier: &mut Dossier, word: &Word<'_>) -> Option<Foreign> {
    let (address, network) = block::host_bits(word)?;
    dossier.answer = foreign!("{} ({address} lies in it: this tells of {network})", dossier.answer);
    Some(ask_who(&address.to_string()).into())
}

/// `1 address`, `1,204 addresses`.
fn counted(number: usize) -> String {
    if number == 1 { "1 address".to_owned() } else { format!("{} addresses", grouped(number as u64)) }
}

/// From the history alone.
pub fn offline(word: &str, now: Time, before: Vec<Before>, at: Option<Time>) -> Dossier {
    let mut dossier = empty(word, at.unwrap_or(now));
    dossier.answer = answer::before(&dossier.asked, &before, at);
    let alone = of_the_network(&mut dossier, &Word::of(word));
    dossier.next.extend(alone);
    if !before.is_empty() {
        dossier.next.push(ask_who(word).into());
        let open = || before.iter().flat_map(|b| &b.open);
        let codes: BTreeSet<_> = open().map(|e| e.finding.code).collect();
        let others = open().map(|e| &e.finding.subject).filter(|subject| **subject != dossier.asked);
        // In the order of their words, as the findings' subjects are.
        let others: BTreeSet<&Foreign> = others.collect();
        let addresses = others.iter().filter_map(|subject| Addr::parse_with_prefix(subject.raw()));
        dossier.next.extend(addresses.take(3).map(|a| format!("ipaudit who {a} --offline").into()));
        dossier.next.extend(codes.iter().take(3).map(|code| format!("ipaudit explain {code}").into()));
    }
    dossier.before = before;
    dossier
}

fn matches(ledger: &Ledger<'_>, asked: &Asked) -> Vec<Match> {
    let snapshot = ledger.snapshot;
    let mut all = Vec::new();
    let mut add = |kind, id: Foreign| all.push(Match { kind, id });
    asked.address.iter().for_each(|a| add(MatchKind::Address, a.to_string().into()));
    asked.range.iter().for_each(|&range| add(block::kind(ledger, range), range.to_string().into()));
    // Before their handles: these are what was asked for.
    asked.services.iter().for_each(|&(ns, name)| add(MatchKind::Service, snapshot.pair(ns, name).into()));
    asked.machines.iter().for_each(|&(ns, name)| add(MatchKind::Vm, snapshot.pair(ns, name).into()));
    asked.handles.iter().for_each(|h| add(MatchKind::Handle, h.text(&snapshot.names).into()));
    asked.pods.iter().for_each(|&(ns, pod)| add(MatchKind::Pod, snapshot.pair(ns, pod).into()));
    asked.nodes.iter().for_each(|&node| add(MatchKind::Node, snapshot.named(node)));
    asked.mac.iter().for_each(|&mac| add(MatchKind::Mac, mac_text(mac).into()));
    asked.interface.iter().for_each(|&wire| add(MatchKind::Interface, wire.text(&snapshot.names).into()));
    all
}

/// Different workloads, tunnels and services that hold an address for certain.
fn holders(ledger: &Ledger<'_>, address: Addr) -> usize {
    let certain = ledger.claims_at(address).iter().filter(|c| c.grade == Grade::Certain && c.via == Via::Object);
    let mut workloads = HashSet::new();
    let mut others = HashSet::new();
    for claim in certain {
        match claim.by {
            Claimant::Pod(i) => {
                workloads.extend(ledger.snapshot.pods.get(i as usize).map(|p| ledger.workload_of_pod(p)));
            }
            Claimant::Service(i) => drop(others.insert(i)),
            _ => {}
        }
    }
    workloads.len() + others.len() + ledger.machines_at(address).len()
}

fn fill(dossier: &mut Dossier, ledger: &Ledger<'_>, asked: &Asked) {
    let snapshot = ledger.snapshot;
    dossier.range = asked.range.map(|range| block::sheet(ledger, range, &asked.place));
    let mut addresses: BTreeSet<Addr> = asked.address.into_iter().collect();
    let mut handles = asked.handles.clone();
    for &(ns, name) in &asked.pods {
        if let Some(pod) = ledger.pod(ns, name) {
            dossier.pods.push(sheets::pod(ledger, pod));
            if !pod.host_network {
                addresses.extend(pod.addresses().iter());
            }
        }
        addresses.extend(ledger.endpoints_of_pod(ns, name).flat_map(|e| e.addresses().to_vec()));
    }
    for service in snapshot.services.iter().filter(|s| asked.services.contains(&(s.namespace, s.name))) {
        addresses.extend(service.ingress.iter());
    }
    if !asked.services.is_empty() || !asked.machines.is_empty() {
        let named = |a: &&Allocation| {
            ledger.owners_of(a).any(|o| {
                asked.services.contains(&(o.namespace, o.service)) || asked.machines.contains(&(o.namespace, o.vmi))
            })
        };
        addresses.extend(ledger.allocations.iter().filter(named).map(|a| a.address));
    }
    if !asked.pods.is_empty() {
        let named = |a: &&Allocation| ledger.owners_of(a).filter_map(|o| o.pod_name()).any(|p| asked.pods.contains(&p));
        addresses.extend(ledger.allocations.iter().filter(named).map(|a| a.address));
    }
    for &id in &asked.handles {
        addresses.extend(ledger.allocations_of(id).map(|a| a.address));
    }
    let at: HashSet<Addr> = asked.address.into_iter().collect();
    for e in &snapshot.endpoints {
        let wired =
            asked.mac.is_some_and(|m| e.mac() == Some(m)) || asked.interface.is_some_and(|i| e.interface() == i);
        let of_pod = asked.pods.contains(&(e.namespace, e.pod));
        let of_handle = asked.handles.iter().any(|h| h.dotted && h.tail == e.container && !e.container.is_none());
        if !asked.place.has_endpoint(e) {
            continue;
        }
        if wired || of_handle {
            addresses.extend(e.addresses().iter());
        }
        if wired || of_pod || of_handle || e.addresses().iter().any(|a| at.contains(a)) {
            dossier.endpoints.push(sheets::endpoint(ledger, e));
        }
    }
    for &node in &asked.nodes {
        dossier.nodes.push(sheets::node(ledger, node));
        addresses.extend(ledger.calico_node(node).into_iter().flat_map(|n| n.tunnels.iter().map(|(_, a)| *a)));
    }
    let is_asked = |address: &Addr| asked.address == Some(*address) || asked.place.uses(ledger, *address);
    addresses.retain(is_asked);
    dossier.more_addresses = addresses.len().saturating_sub(SHOWN) as u64;
    dossier.addresses = addresses.iter().take(SHOWN).map(|&a| sheets::address(ledger, a)).collect();
    if asked.nodes.is_empty() {
        let shown = addresses.iter().take(SHOWN).flat_map(|&a| ledger.allocations_at(a));
        handles.extend(shown.filter_map(|a| ledger.handle_of(a)));
    }
    let mut seen = HashSet::new();
    handles.retain(|h| seen.insert(*h));
    dossier.handles = handles.into_iter().map(|id| sheets::handle(ledger, id)).collect();
}

/// Commands of the tools that people know. A foreign name is a word for the shell in them.
fn commands(dossier: &Dossier) -> Vec<Foreign> {
    let shell = |name: &Foreign| evidence::shell(name.raw());
    let mut next = Vec::new();
    next.extend(dossier.range.as_ref().map(|_| "calicoctl ipam show --show-blocks".to_owned()));
    for sheet in dossier.addresses.iter().take(4) {
        next.push(format!("calicoctl ipam show --ip={}", sheet.address));
        let on: BTreeSet<&Foreign> = sheet.holders.iter().filter_map(|h| h.node.as_ref()).collect();
        // OpenSSH takes no host that begins with a dash, behind `--` either.
        let hosts = on.into_iter().filter(|node| !node.raw().starts_with('-')).take(2);
        next.extend(hosts.map(|n| format!("ssh {} ip neigh show {}", shell(n), sheet.address)));
    }
    let holders = dossier.addresses.iter().flat_map(|s| &s.holders).filter(|h| h.kind == HolderKind::Pod);
    let pods: BTreeSet<&Foreign> = holders.map(|h| &h.id).chain(dossier.pods.iter().map(|p| &p.pod)).collect();
    for (namespace, pod) in pods.iter().take(3).filter_map(|p| p.raw().split_once('/')) {
        let (namespace, pod) = (evidence::shell(namespace), operand::operand(pod));
        next.push(format!("kubectl -n {namespace} get pod -o wide {pod}"));
    }
    for node in &dossier.nodes {
        next.extend(
            node.kubernetes.as_ref().map(|n| format!("kubectl get node -o wide {}", operand::operand(n.raw()))),
        );
        next.extend(node.calico.as_ref().map(|n| operand::calicoctl_node("get", n.raw(), " -o yaml")));
    }
    next.into_iter().map(Foreign::from).collect()
}
