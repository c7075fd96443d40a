//! Carries the history's rows about one thing into the plain values of [`crate::who`].

use crate::error::Error;
use crate::history::Db;
use crate::history::query::{Pair, Span, Whose, Window};
use crate::who::{Before, Dossier, Ends, Guess, Interval, OpenFinding, Stay};

/// What the history is asked for, by everything that the dossier shows.
pub fn named(dossier: &Dossier) -> Vec<Guess> {
    let mut guesses: Vec<Guess> = dossier.addresses.iter().map(|s| Guess::Address(s.address)).collect();
    for m in &dossier.matches {
        match (m.kind, m.id.split_once('/')) {
            ("handle", _) => guesses.push(Guess::Handle(m.id.clone())),
            ("pod", Some((namespace, name))) => {
                guesses.push(Guess::Pod(Some(namespace.to_owned()), name.to_owned()));
            }
            // A node had thousands of addresses: only its findings are told.
            _ => {}
        }
    }
    for node in &dossier.nodes {
        guesses.extend(node.calico.iter().chain(&node.kubernetes).cloned().map(Guess::Node));
    }
    guesses
}

/// What one cluster's history knows.
pub fn of(db: &Db, pair: &Pair, guesses: &[Guess]) -> Result<Before, Error> {
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
    let mut subjects = Vec::new();
    for guess in guesses {
        let whose = match guess {
            Guess::Address(address) => Whose::Address(*address),
            Guess::Handle(id) => Whose::Handle(id.clone()),
            Guess::Pod(namespace, name) => Whose::Pod { namespace: namespace.clone(), name: name.clone() },
            Guess::Node(name) => {
                subjects.push(name.clone());
                continue;
            }
        };
        allocations(db, pair, &whose, &mut before)?;
        stays(db, pair, &whose, &mut before)?;
    }
    before.allocations.sort_by_key(|i| (i.address, i.ends.first_seen));
    before.allocations.dedup();
    before.pods.sort_by(|a, b| (a.address, a.ends.first_seen, &a.pod).cmp(&(b.address, b.ends.first_seen, &b.pod)));
    before.pods.dedup();
    subjects.extend(before.allocations.iter().filter_map(|i| i.handle.clone()));
    for guess in guesses {
        match guess {
            Guess::Address(address) => subjects.push(address.to_string()),
            Guess::Handle(id) => subjects.push(id.clone()),
            Guess::Pod(Some(namespace), name) => subjects.push(format!("{namespace}/{name}")),
            Guess::Pod(None, _) => subjects.extend(before.pods.iter().map(|s| s.pod.clone())),
            Guess::Node(_) => {}
        }
    }
    subjects.sort();
    subjects.dedup();
    for some in subjects.chunks(500) {
        before.open.extend(db.findings_about(pair.id, some)?.into_iter().map(|f| OpenFinding {
            code: f.code,
            severity: f.severity,
            subject: f.subject,
            summary: f.summary,
            state: f.state,
            first_seen: f.opened.at,
            last_seen: f.last_seen.at,
            audits_seen: f.audits_seen,
            episode: f.episode,
        }));
    }
    Ok(before)
}

fn ends(span: Span) -> Ends {
    Ends {
        not_seen_before: span.not_seen_before.map(|s| s.at),
        first_seen: span.first_seen.at,
        last_seen: span.last_seen.at,
        not_seen_after: span.not_seen_after.map(|s| s.at),
    }
}

fn allocations(db: &Db, pair: &Pair, whose: &Whose, before: &mut Before) -> Result<(), Error> {
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

fn stays(db: &Db, pair: &Pair, whose: &Whose, before: &mut Before) -> Result<(), Error> {
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
