//! `ipaudit who` for people; programs take the dossier itself. The first line answers; then now, what is wrong, before, and what helps.

mod block;
mod kernel;
mod next;
mod rows;

use std::io::{BufWriter, Result, Write};

use rows::{SHOWN, row};

use super::age::moment;
use super::number::{audits, grouped, plural};
use super::table::paper::{BOLD, DIM, PLAIN, Paper, Text, short_ids, style_of};
use crate::checks;
use crate::ledger::{Grade, Use, Via};
use crate::model::row::{AllocationRow, Episode, Interval, Lifespan, NodeRow};
use crate::model::{Foreign, Root, State, Time};
use crate::who::{AddressSheet, AllocationSheet, Before, Dossier, MatchKind, below};

/// For people.
pub fn write(dossier: &Dossier, width: usize, color: bool, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::new(out);
    let mut paper = Paper::new(&mut out, width, color);
    paper.paragraph(0, 2, &Text::new().field(BOLD, &dossier.answer.shown()))?;
    now(dossier, &mut paper)?;
    wrong(dossier, &mut paper)?;
    for before in &dossier.before {
        past(before, dossier, &mut paper)?;
    }
    deep(dossier, &mut paper)?;
    if !dossier.next.is_empty() {
        heading(&mut paper, "NEXT")?;
        next::write(dossier, &mut paper)?;
    }
    if !dossier.unread.is_empty() {
        heading(&mut paper, "NOT READ")?;
        let mut unread = dossier.unread.iter().map(|unread| below(&dossier.answer, unread));
        unread.try_for_each(|u| paper.paragraph(2, 4, &Text::new().field(PLAIN, &u.shown())))?;
    }
    out.flush()
}

fn heading(paper: &mut Paper<'_>, text: &str) -> Result<()> {
    paper.blank()?;
    paper.paragraph(0, 0, &Text::new().field(BOLD, text))
}

fn now(dossier: &Dossier, paper: &mut Paper<'_>) -> Result<()> {
    let sheets = dossier.addresses.len() + dossier.handles.len() + dossier.pods.len() + dossier.nodes.len();
    if sheets == 0 && dossier.range.is_none() {
        return Ok(());
    }
    heading(paper, "NOW")?;
    dossier.range.iter().try_for_each(|sheet| block::write(sheet, paper))?;
    let named = dossier.matches.iter().filter(|m| m.kind == MatchKind::Node).map(|m| &m.id);
    for (node, id) in dossier.nodes.iter().zip(named) {
        let called = node.name().unwrap_or(id);
        let name = called.shown();
        let ready = match node.ready {
            Some(true) => "Ready",
            Some(false) => "not Ready",
            None => "",
        };
        let kubernetes = match &node.kubernetes {
            None => "not in Kubernetes".to_owned(),
            // Nobody but Kubernetes says whether it is Ready.
            Some(same) if same == called && node.ready.is_some() => String::new(),
            Some(same) if same == called => "in Kubernetes".to_owned(),
            Some(other) => format!("Kubernetes: {}", other.shown()),
        };
        let (pods, endpoints) = (plural(node.pods, "pod", "pods"), plural(node.endpoints, "endpoint", "endpoints"));
        let wired = format!("{pods}, {endpoints}");
        row(paper, "node", &[&name, node.standing.word(), &kubernetes, ready, &wired])?;
        for block in &node.blocks {
            let used = format!("{} of {} allocated", block.allocated, block.size);
            row(paper, "block", &[&block.block.to_string(), &used])?;
        }
        node.tunnels.iter().try_for_each(|t| row(paper, "tunnel", &[t]))?;
        node.kernel.iter().try_for_each(|kernel| kernel::of_node(kernel, dossier.judged_at, paper))?;
    }
    for pod in &dossier.pods {
        let addresses: Vec<String> = pod.addresses.iter().map(ToString::to_string).collect();
        let ready = if pod.ready { "ready" } else { "not ready" };
        let ending = if pod.terminating { "terminating" } else { "" };
        let (on, uid) = (format!("on {}", pod.node.shown()), format!("uid {}", pod.uid.shown()));
        let phase = pod.phase.word();
        row(paper, "pod", &[&pod.pod.shown(), &on, phase, ready, ending, &addresses.join(" "), &uid])?;
    }
    let held = dossier.addresses.iter().flat_map(|s| &s.holders).map(|h| &h.id).collect::<Vec<_>>();
    dossier.addresses.iter().try_for_each(|sheet| address(sheet, dossier.judged_at, paper))?;
    if dossier.more_addresses > 0 {
        row(paper, "", &[&format!("… {} more addresses", grouped(dossier.more_addresses))])?;
    }
    for e in dossier.endpoints.iter().filter(|e| !held.contains(&&e.endpoint)) {
        let on = format!("on {}", e.node.shown());
        let (wire, mac) = (e.interface.shown(), e.mac.as_ref().map(Foreign::shown).unwrap_or_default());
        row(paper, "endpoint", &[&e.endpoint.shown(), &on, &wire, &mac, e.state.word()])?;
    }
    for handle in &dossier.handles {
        let exists = if handle.exists { "" } else { "no object" };
        row(paper, "handle", &[&handle.id.shown(), exists])?;
        for c in &handle.counts {
            let agree = if c.counted == c.held { "" } else { "they disagree" };
            let says = format!("counts {}, the block has {}", c.counted, c.held);
            row(paper, "", &[&c.block.to_string(), &says, agree])?;
        }
    }
    Ok(())
}

/// `pool default`; nothing for what has no name.
fn named(word: &str, name: &Option<Foreign>) -> String {
    name.as_ref().map(|name| format!("{word} {}", name.shown())).unwrap_or_default()
}

/// `on node-1`; nothing beside what is called after the node: `IPIP tunnel of node-1`.
fn on_node(node: &Option<Foreign>, of: &Foreign) -> String {
    let is_named =
        |node: &Foreign| of == node || of.shown().strip_suffix(&*node.shown()).is_some_and(|of| of.ends_with(" of "));
    named("on", &node.clone().filter(|node| !is_named(node)))
}

fn address(sheet: &AddressSheet, now: Time, paper: &mut Paper<'_>) -> Result<()> {
    let (pool, reserved) = (named("pool", &sheet.pool), named("reserved by", &sheet.reservation));
    let place = sheet.queue_place.map(|p| format!("place {p} of the free queue")).unwrap_or_default();
    let block = sheet.block.filter(|_| sheet.allocations.is_empty()).map(|b| format!("block {b}")).unwrap_or_default();
    let state = if sheet.is_unknown_to_ipam() { "in no pool and no block" } else { sheet.state.word() };
    row(paper, "address", &[&sheet.address.to_string(), state, &place, &block, &pool, &reserved])?;
    sheet.allocations.iter().try_for_each(|a| allocation(a, now, paper))?;
    // Certain ones first: they are the answer.
    let graded = |grade: Grade| sheet.holders.iter().filter(move |h| h.grade == grade);
    for h in [Grade::Certain, Grade::Possible, Grade::Stale].into_iter().flat_map(graded).take(SHOWN) {
        let via = if h.via == Via::Object { "" } else { h.via.word() };
        let on = on_node(&h.node, &h.id);
        row(paper, h.kind.word(), &[h.grade.word(), &h.id.shown(), &on, &h.detail.shown(), via])?;
    }
    more(sheet.holders.len(), 0, paper)?;
    sheet.kernels.iter().try_for_each(|kernel| kernel::write(kernel, now, paper))
}

fn allocation(a: &AllocationSheet, now: Time, paper: &mut Paper<'_>) -> Result<()> {
    let owner = a.owner.as_ref().map_or(a.used_for.word().into(), Foreign::shown);
    let on = a.owner.as_ref().map_or_else(|| named("on", &a.node), |owner| on_node(&a.node, owner));
    let alternate = named("migrating to", &a.alternate);
    let when = match (a.released, a.allocated) {
        (Some(t), _) => format!("released {}", moment(t, now)),
        (None, Some(t)) => format!("allocated {}", moment(t, now)),
        (None, None) => String::new(),
    };
    let block = format!("block {} ordinal {}", a.block, a.ordinal);
    let affinity = a.affinity.as_ref().map_or("ownerless".into(), Foreign::shown);
    let kind = if a.used_for == Use::Vm && a.owner.is_some() { "VM" } else { "" };
    row(paper, "IPAM", &[&owner, kind, &on, &alternate, &when, &block, &affinity])
}

fn wrong(dossier: &Dossier, paper: &mut Paper<'_>) -> Result<()> {
    if dossier.findings.is_empty() {
        return Ok(());
    }
    heading(paper, "WRONG")?;
    for f in dossier.findings.iter().take(SHOWN) {
        let state = if f.state == State::Unconfirmed { "(one look only)" } else { "" };
        let text = Text::new()
            .field(style_of(f.severity), &f.code.to_string())
            .then(PLAIN, checks::name(f.code))
            .field(BOLD, &short_ids(&f.subject.id.shown()));
        let is_it = |o: &&Episode| (o.finding.code, &o.finding.subject) == (f.code, &f.subject.id);
        let known = dossier.before.iter().flat_map(|b| &b.open).find(is_it);
        let since = known.map(|o| Text::new().field(DIM, &life(o, dossier.judged_at))).unwrap_or_default();
        paper.with_right(2, 9, &text.field(PLAIN, &short_ids(&f.summary.shown())).field(DIM, state), &since)?;
        if !f.advice.is_empty() {
            paper.paragraph(9, 9, &Text::new().field(PLAIN, &short_ids(&f.advice.shown())))?;
        }
        let explains = |root: &&Root| dossier.findings.iter().any(|o| (o.code, &o.subject.id) == (root.code, &root.id));
        if let Some(root) = f.root.as_ref().filter(explains) {
            let words = format!("explained by {} {}", root.code, root.id.shown());
            paper.paragraph(9, 9, &Text::new().field(DIM, &words))?;
        }
    }
    match dossier.findings.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => paper.paragraph(
            2,
            2,
            &Text::new().field(DIM, &format!("… {} more, -o json shows all", grouped(more as u64))),
        ),
    }
}

/// `since 02:49, 2 audits`
fn life(f: &Episode, now: Time) -> String {
    format!("since {}, {}", moment(f.opened.at, now), audits(f.audits_seen))
}

/// `began 02:34-02:49, ended 03:04-03:19`: between which audits.
fn ends(span: &Lifespan, now: Time) -> String {
    let range = |from: Time, to: Time| match (moment(from, now), moment(to, now)) {
        // Audits of one minute.
        (from, to) if from == to => from,
        (from, to) if from.contains(' ') || to.contains(' ') => format!("{from} - {to}"),
        (from, to) => format!("{from}-{to}"),
    };
    let first = moment(span.first_seen.at, now);
    let began = match span.not_seen_before {
        Some(before) => format!("began {}", range(before.at, span.first_seen.at)),
        None => format!("there at {first} (first audit)"),
    };
    let last = moment(span.last_seen.at, now);
    match span.not_seen_after {
        Some(after) => format!("{began}, ended {}", range(span.last_seen.at, after.at)),
        None => format!("{began}, still at {last}"),
    }
}

fn past(before: &Before, dossier: &Dossier, paper: &mut Paper<'_>) -> Result<()> {
    let now = dossier.judged_at;
    heading(paper, "BEFORE")?;
    let span = match (before.first_audit, before.last_audit) {
        (Some(first), Some(last)) => {
            format!("{} from {} to {}", audits(before.audits), moment(first, now), moment(last, now))
        }
        _ => "no audit yet".to_owned(),
    };
    paper.paragraph(2, 4, &Text::new().field(DIM, &format!("cluster {}: {span}", short_ids(&before.guid.shown()))))?;
    for n in before.nodes.iter().rev().take(SHOWN) {
        node_before(n, now, paper)?;
    }
    more(before.nodes.len(), 0, paper)?;
    let mut newest: Vec<&Interval<AllocationRow>> = before.allocations.iter().rev().collect();
    newest.sort_by_key(|i| std::cmp::Reverse((i.span.is_open(), i.span.last_seen.at)));
    newest.iter().take(SHOWN).try_for_each(|i| interval(i, now, paper))?;
    more(newest.len(), before.more_allocations, paper)?;
    for s in before.pods.iter().rev().take(SHOWN) {
        let (pod, on) = (&s.row, format!("on {}", s.row.node.shown()));
        let (address, id) = (pod.address.to_string(), pod.id());
        row(paper, "pod", &[&address, &id.shown(), &on, &pod.grade.shown(), &ends(&s.span, now)])?;
    }
    more(before.pods.len(), 0, paper)?;
    for freed in before.releases.iter().rev().take(SHOWN) {
        let did = freed.undoes.map_or("gave it back".to_owned(), |id| format!("put it back (undo of {id})"));
        row(paper, "release", &[&freed.release.to_string(), &freed.subject.shown(), &did, &moment(freed.at, now)])?;
    }
    more(before.releases.len(), 0, paper)?;
    // What stands under WRONG is not said twice.
    let told = |o: &&Episode| {
        !dossier.findings.iter().any(|n| (n.code, &n.subject.id) == (o.finding.code, &o.finding.subject))
    };
    let open: Vec<&Episode> = before.open.iter().filter(told).collect();
    for episode in open.iter().take(SHOWN) {
        let f = &episode.finding;
        let open = if dossier.etcd_revision.is_some() { "not seen now, but open in the history" } else { "open" };
        let since = format!("{open} {}", life(episode, now));
        row(paper, &f.code.to_string(), &[&short_ids(&f.subject.shown()), &short_ids(&f.summary.shown()), &since])?;
    }
    more(open.len(), 0, paper)
}

/// How many are left out of what was cut to [`SHOWN`]; `beyond`: those that even the JSON has not.
fn more(all: usize, beyond: u64, paper: &mut Paper<'_>) -> Result<()> {
    match all.saturating_sub(SHOWN) as u64 + beyond {
        0 => Ok(()),
        left if beyond > 0 => row(paper, "", &[&format!("… {} older ones", grouped(left))]),
        left => row(paper, "", &[&format!("… {} more, -o json shows all", grouped(left))]),
    }
}

fn node_before(state: &Interval<NodeRow>, now: Time, paper: &mut Paper<'_>) -> Result<()> {
    let n = &state.row;
    let name = n.name().map(Foreign::shown).unwrap_or_default();
    let ready = match (n.present, n.ready) {
        (false, _) => "not in Kubernetes",
        (true, Some(true)) => "Ready",
        (true, Some(false)) => "not Ready",
        (true, None) => "",
    };
    let boot = n.boot_id.as_ref().map(|id| format!("boot {}", id.shown().chars().take(8).collect::<String>()));
    row(paper, "node", &[&name, ready, &boot.unwrap_or_default(), &n.addresses.shown(), &ends(&state.span, now)])
}

fn interval(interval: &Interval<AllocationRow>, now: Time, paper: &mut Paper<'_>) -> Result<()> {
    let (i, span) = (&interval.row, &interval.span);
    let owner = i.owner();
    let owner = owner.as_ref().map_or_else(|| i.used_for.shown(), Foreign::shown);
    let handle = i.handle.as_ref().map(|h| format!("handle {}", short_ids(&h.shown()))).unwrap_or_default();
    let changes = match (span.not_seen_after, i.changes) {
        (Some(_), Some(n)) => format!("at least 1, at most {} changes not seen", n.max(1)),
        (Some(_), None) => "at least 1 change not seen".to_owned(),
        (None, _) => String::new(),
    };
    row(paper, "IPAM", &[&i.address.to_string(), &owner, &handle, &ends(span, now), &changes])
}

fn deep(dossier: &Dossier, paper: &mut Paper<'_>) -> Result<()> {
    for deep in &dossier.deep {
        heading(paper, "IN ETCD'S OWN REVISIONS")?;
        let of = deep.address.map(|a| format!("{a} in ")).unwrap_or_default();
        paper.paragraph(2, 4, &Text::new().field(DIM, &format!("{of}{}", deep.key.shown())))?;
        for step in &deep.steps {
            let at = step.allocated.map(|t| format!("allocated {}", moment(t, dossier.judged_at))).unwrap_or_default();
            row(paper, &step.revision.to_string(), &[&step.says.shown(), &at])?;
        }
        paper.paragraph(2, 4, &Text::new().field(PLAIN, &deep.end.shown()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::checks::addresses::address_awaited;
    use crate::checks::testing::Cluster;
    use crate::checks::{Check, World, run_these};
    use crate::ledger::{Ledger, ScopeFlag};
    use crate::model::{Phase, Tunnel};
    use crate::who::{Asked, Word, now};

    /// What is said of a word, with what these checks find.
    fn told(c: &mut Cluster, word: &str, checks: &[&'static Check]) -> String {
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let word = Word::of(word);
        let (dossier, _) = now(&world, &run_these(&world, checks), &word, &Asked::of(&ledger, &word));
        let mut out = Vec::new();
        super::write(&dossier, 100, false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_node_is_named_once() {
        let mut c = Cluster::healthy();
        c.tunnel("node-1", Tunnel::Ipip, "10.65.0.20");
        let text = told(&mut c, "node/node-1", &[]);
        assert!(text.contains("\n  node        node-1  ours  Ready  2 pods, 2 endpoints\n"), "{text}");
        assert!(text.contains("IPIP tunnel of node-1  block ") && text.contains("certain  node-1  IPIP\n"), "{text}");
        // Known by its block alone.
        c.remove_calico_node("node-2");
        c.remove_kube_node("node-2");
        let text = told(&mut c, "node/node-2", &[]);
        assert!(text.starts_with("node node-2 (") && !text.contains("node/node-2"), "{text}");
    }

    #[test]
    fn a_machines_own_handle_is_none_of_its_namesakes() {
        let mut c = Cluster::healthy();
        let id = "k8s-pod-network.vmi.shop.vm-0";
        let mut attribute = c.pod_attribute(id, "shop", "virt-launcher-vm-0", "node-1");
        attribute.owner.vmi = c.name("vm-0");
        c.allocate("10.65.0.9", attribute);
        c.handle(id, &["10.65.0.9"]);
        let text = told(&mut c, "vm/vm-0", &[]);
        assert!(text.starts_with("VM shop/vm-0 has 10.65.0.9\n"), "{text}");
    }

    #[test]
    fn what_calico_has_nothing_to_do_with_is_not_free() {
        let mut c = Cluster::healthy();
        let text = told(&mut c, "192.0.2.7", &[]);
        assert!(text.starts_with("192.0.2.7 is in no pool and no block: ") && !text.contains("free"), "{text}");
        c.pod("shop", "odd-0", "node-1", &["192.0.2.7"]);
        let text = told(&mut c, "192.0.2.7", &[]);
        assert!(text.starts_with("192.0.2.7 is held by shop/odd-0 on node-1; no pool and no block has it"), "{text}");
        assert!(!text.contains("free"), "{text}");
    }

    /// The pod that it was allocated to says that it has none.
    #[test]
    fn an_address_that_is_waited_for_is_held_by_nobody() {
        let mut c = Cluster::healthy();
        let (created, before) = (c.ago(40 * 60), c.ago(3 * 86_400));
        let mut pod = c.pod_mut("web-0");
        (pod.addresses, pod.phase, pod.ready, pod.created) = ([].into(), Phase::Pending, false, Some(created));
        drop(pod);
        c.attribute_mut("10.65.0.1").owner.timestamp = Some(before);
        c.endpoint_mut("web-0").created = Some(before);
        let text = told(&mut c, "10.65.0.1", &[&address_awaited::CHECK]);
        assert!(text.starts_with("10.65.0.1 is waited for in vain: pod shop/web-0 waits "), "{text}");
    }

    /// An address of ten thousand pods has as many holders: some are told, and how many more there are.
    #[test]
    fn some_holders_are_told_and_the_others_counted() {
        let mut c = Cluster::healthy();
        (0..1_200).for_each(|i| drop(c.pod("shop", &format!("dup-{i}"), "node-1", &["10.65.0.1"])));
        let text = told(&mut c, "10.65.0.1", &[]);
        assert!(text.starts_with("10.65.0.1 has 1,201 holders") && text.lines().count() < 60, "{text}");
        assert!(text.contains(" more, -o json shows all\n"), "{text}");
    }
}
