//! Carries the history's rows about one thing into the plain values of [`crate::who`].

use std::collections::BTreeSet;

use crate::error::Error;
use crate::history::ReadTx;
use crate::history::query::{About, FindingRow, Pair, Span, Whose, Window};
use crate::who::{Before, Dossier, Ends, Guess, Interval, NodeStay, OpenFinding, Stay};

/// What the history is asked for, by everything that the dossier shows.
pub fn named(dossier: &Dossier) -> Vec<Guess> {
    let mut guesses: Vec<Guess> = dossier.addresses.iter().map(|s| Guess::Address(s.address)).collect();
    for m in &dossier.matches {
        match (m.kind, m.id.split_once('/')) {
            ("handle", _) => guesses.push(Guess::Handle(m.id.clone())),
            ("pod", Some((namespace, name))) => {
                guesses.push(Guess::Pod(Some(namespace.to_owned()), name.to_owned()));
            }
            // Nodes, MACs and interfaces: what belongs to them stands among the addresses and nodes.
            _ => {}
        }
    }
    for node in &dossier.nodes {
        guesses.extend(node.calico.iter().chain(&node.kubernetes).cloned().map(Guess::Node));
    }
    guesses
}

/// What one cluster's history knows.
pub fn of(db: &ReadTx<'_>, pair: &Pair, guesses: &[Guess]) -> Result<Before, Error> {
    let last = pair.last_audit.map(|at| Window { since: at, until: at });
    let last = last.map(|window| db.audits(pair.id, window)).transpose()?.unwrap_or_default();
    let mut before = Before {
        guid: pair.guid.clone(),
        kubernetes_uids: pair.uids.clone(),
        audits: pair.audits,
        first_audit: pair.first_audit,
        last_audit: pair.last_audit,
        last_complete: last.last().is_some_and(|audit| audit.complete),
        ..Before::default()
    };
    for guess in guesses {
        let whose = match guess {
            Guess::Address(address) => Whose::Address(*address),
            Guess::Handle(id) => Whose::Handle(id.clone()),
            Guess::Pod(namespace, name) => Whose::Pod { namespace: namespace.clone(), name: name.clone() },
            Guess::Node(name) => {
                nodes(db, pair, name, &mut before)?;
                continue;
            }
        };
        allocations(db, pair, &whose, &mut before)?;
        stays(db, pair, &whose, &mut before)?;
    }
    let about = about(&before, guesses);
    for calico in before.nodes.iter().filter_map(|n| n.calico.clone()).collect::<BTreeSet<_>>() {
        allocations(db, pair, &Whose::Node(calico), &mut before)?;
    }
    before.allocations.sort_by_key(|i| (i.address, i.ends.first_seen));
    before.allocations.dedup();
    before.pods.sort_by(|a, b| (a.address, a.ends.first_seen, &a.pod).cmp(&(b.address, b.ends.first_seen, &b.pod)));
    before.pods.dedup();
    before.nodes.sort_by(|a, b| (&a.calico, a.ends.first_seen).cmp(&(&b.calico, b.ends.first_seen)));
    before.nodes.dedup();
    before.open = db.findings_about(pair.id, &about)?.into_iter().map(open_finding).collect();
    Ok(before)
}

/// What open findings are wanted: about what was asked for, and about the blocks, handles and pods that the history
/// knows of it. All that lies in a node's blocks is the node's by its name.
fn about(before: &Before, guesses: &[Guess]) -> About {
    let mut about = About::default();
    for guess in guesses {
        match guess {
            Guess::Address(address) => about.subjects.push(address.to_string()),
            Guess::Handle(id) => about.words.push(id.clone()),
            Guess::Pod(Some(namespace), name) => about.pods.push(format!("{namespace}/{name}")),
            Guess::Pod(None, _) => {
                about.pods.extend(before.pods.iter().map(|s| s.pod.clone()));
                about.pods.extend(before.allocations.iter().filter_map(|i| i.owner.clone()));
            }
            Guess::Node(name) => {
                about.nodes.push(name.clone());
                about.wires.push(name.clone());
            }
        }
    }
    let of_nodes = before.nodes.iter().flat_map(|n| n.calico.iter().chain(&n.kubernetes).cloned());
    about.nodes.extend(of_nodes);
    // Of what is over nothing stands open but what has a finding of its own.
    let open = before.allocations.iter().filter(|i| i.ends.not_seen_after.is_none());
    about.subjects.extend(open.clone().flat_map(|i| [Some(i.block.clone()), Some(i.address.to_string())]).flatten());
    about.words.extend(open.filter_map(|i| i.handle.clone()));
    about.words.extend(about.pods.iter().cloned());
    about.subjects.extend(about.words.iter().chain(&about.nodes).cloned());
    for list in [&mut about.subjects, &mut about.nodes, &mut about.pods, &mut about.words] {
        list.sort();
        list.dedup();
    }
    about
}

fn open_finding(f: FindingRow) -> OpenFinding {
    OpenFinding {
        code: f.code,
        severity: f.severity,
        subject: f.subject,
        summary: f.summary,
        state: f.state,
        first_seen: f.opened.at,
        last_seen: f.last_seen.at,
        audits_seen: f.audits_seen,
        episode: f.episode,
    }
}

fn nodes(db: &ReadTx<'_>, pair: &Pair, name: &str, before: &mut Before) -> Result<(), Error> {
    before.nodes.extend(db.nodes(pair.id, Some(name))?.into_iter().map(|n| NodeStay {
        calico: n.calico,
        kubernetes: n.kubernetes,
        present: n.present,
        ready: n.ready,
        boot_id: n.boot_id,
        addresses: n.addresses,
        ends: ends(n.span),
    }));
    Ok(())
}

fn ends(span: Span) -> Ends {
    Ends {
        not_seen_before: span.not_seen_before.map(|s| s.at),
        first_seen: span.first_seen.at,
        last_seen: span.last_seen.at,
        not_seen_after: span.not_seen_after.map(|s| s.at),
    }
}

fn allocations(db: &ReadTx<'_>, pair: &Pair, whose: &Whose, before: &mut Before) -> Result<(), Error> {
    before.allocations.extend(db.allocations(pair.id, whose)?.into_iter().map(|i| Interval {
        address: i.address,
        block: i.block,
        sequence: i.sequence,
        handle: i.handle,
        used_for: i.used_for,
        node: i.node,
        owner: i.namespace.zip(i.pod).map(|(namespace, pod)| format!("{namespace}/{pod}")),
        allocated: i.allocated,
        ends: ends(i.span),
        at_most_changes: i.changes,
    }));
    Ok(())
}

fn stays(db: &ReadTx<'_>, pair: &Pair, whose: &Whose, before: &mut Before) -> Result<(), Error> {
    before.pods.extend(db.pod_addresses(pair.id, whose)?.into_iter().map(|i| Stay {
        address: i.address,
        pod: format!("{}/{}", i.namespace, i.pod),
        uid: i.uid,
        node: i.node,
        grade: i.grade,
        ends: ends(i.span),
    }));
    Ok(())
}
