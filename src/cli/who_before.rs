//! Asks the history for its rows about one thing.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::history::ReadTx;
use crate::history::query::{About, CapacityAt, Pair, Which, Whose, Window};
use crate::model::given_back::GivenBack;
use crate::model::{Cidr, Narrow, SubjectKind, Time};
use crate::who::{self, Before, Guess, PoolBefore, Word, WordKind};

/// What one cluster's history knows of a pool, by its name or its range; `None`: of none that is called so. As of `at`, where it is
/// given.
pub fn of_pool(db: &ReadTx<'_>, pair: &Pair, word: &Word<'_>, at: Option<Time>) -> Result<Option<Before>, Error> {
    let range = who::range(word);
    let is_it = |state: &CapacityAt| match range {
        Some(range) => Cidr::parse(state.row.cidr.raw()).is_some_and(|(cidr, _)| cidr == range),
        None => word.may_be(WordKind::Pool) && state.row.pool == *word.name,
    };
    let window = Window { until: at.unwrap_or(Time(i64::MAX)), ..Window::ALL };
    let states = db.capacity(pair.id, window)?.into_iter().filter(|state| !state.row.gone && is_it(state));
    let Some(CapacityAt { row, at: since }) = states.max_by_key(|state| state.at.audit) else { return Ok(None) };
    let mut before = head(db, pair)?;
    if let Some((range, _)) = Cidr::parse(row.cidr.raw()) {
        before.allocations = db.allocations(pair.id, &Whose::Range(range))?;
    }
    let narrow = Narrow { pool: Some(row.pool.raw().to_owned()), ..Narrow::default() };
    before.open = db.findings(pair.id, Which::Open, Window::ALL, &narrow)?;
    before.pool = Some(PoolBefore { name: row.pool, cidr: row.cidr, since: since.at, numbers: row.numbers });
    Ok(Some(before))
}

/// Whose history it is, and nothing yet of what was asked for.
fn head(db: &ReadTx<'_>, pair: &Pair) -> Result<Before, Error> {
    let last = pair.last_audit.map(|at| Window { since: at, until: at });
    let last = last.map(|window| db.audits(pair.id, window)).transpose()?.unwrap_or_default();
    Ok(Before {
        guid: pair.guid.clone(),
        kubernetes_uids: pair.uids.clone(),
        audits: pair.audits,
        first_audit: pair.first_audit,
        last_audit: pair.last_audit,
        last_complete: last.last().is_some_and(|audit| audit.complete),
        ..Before::default()
    })
}

/// What one cluster's history knows.
pub fn of(db: &ReadTx<'_>, pair: &Pair, guesses: &[Guess]) -> Result<Before, Error> {
    let mut before = head(db, pair)?;
    for guess in guesses {
        let whose = match guess {
            Guess::Address(address) => Whose::Address(*address),
            Guess::Range(range) => Whose::Range(*range),
            Guess::Handle(id) => Whose::Handle(id.clone()),
            Guess::Pod(namespace, name) => Whose::Pod { namespace: namespace.clone(), name: name.clone() },
            Guess::Node(name) => {
                before.nodes.extend(db.nodes(pair.id, Some(name))?);
                continue;
            }
        };
        before.allocations.extend(db.allocations(pair.id, &whose)?);
        before.pods.extend(db.pod_addresses(pair.id, &whose)?);
    }
    let about = about(&before, guesses);
    for calico in before.nodes.iter().filter_map(|n| n.row.calico.clone()).collect::<BTreeSet<_>>() {
        before.allocations.extend(db.allocations(pair.id, &Whose::Node(calico.raw().to_owned()))?);
    }
    before.allocations.sort_by_key(|i| (i.row.address, i.span.first_seen.at));
    before.allocations.dedup();
    before.pods.sort_by_cached_key(|s| (s.row.address, s.span.first_seen.at, s.row.id()));
    before.pods.dedup();
    before.nodes.sort_by(|a, b| (&a.row.calico, a.span.first_seen.at).cmp(&(&b.row.calico, b.span.first_seen.at)));
    before.nodes.dedup();
    before.releases = freed(db, pair.id, &before, guesses)?;
    before.open = db.findings_about(pair.id, &about)?;
    Ok(before)
}

/// Which releases gave back what was asked for, and the addresses that the history knows of it. A node's are not asked for.
fn freed(db: &ReadTx<'_>, pair: i64, before: &Before, guesses: &[Guess]) -> Result<Vec<GivenBack>, Error> {
    let mut subjects = BTreeSet::new();
    for guess in guesses {
        match guess {
            Guess::Address(address) => drop(subjects.insert((SubjectKind::Address, address.to_string()))),
            Guess::Handle(id) => drop(subjects.insert((SubjectKind::Handle, id.clone()))),
            Guess::Pod(..) | Guess::Node(_) | Guess::Range(_) => {}
        }
    }
    if before.nodes.is_empty() {
        let addresses = before.allocations.iter().map(|i| i.row.address.to_string());
        subjects.extend(addresses.map(|address| (SubjectKind::Address, address)));
    }
    let mut freed = Vec::new();
    for (kind, subject) in &subjects {
        freed.extend(db.freed(pair, *kind, subject)?);
    }
    freed.sort_by_key(|f| (f.at, f.release));
    Ok(freed)
}

/// What open findings are wanted: about what was asked for, and about the blocks, handles and pods that the history
/// knows of it. All that lies in a node's blocks is the node's by its name.
fn about(before: &Before, guesses: &[Guess]) -> About {
    let mut about = About::default();
    for guess in guesses {
        match guess {
            Guess::Address(address) => about.subjects.push(address.to_string()),
            Guess::Range(range) => about.subjects.push(range.to_string()),
            Guess::Handle(id) => about.words.push(id.clone()),
            Guess::Pod(Some(namespace), name) => about.pods.push(format!("{namespace}/{name}")),
            Guess::Pod(None, _) => {
                about.pods.extend(before.pods.iter().map(|s| s.row.id().raw().to_owned()));
                about.pods.extend(
                    before.allocations.iter().filter_map(|i| i.row.owner()).map(|owner| owner.raw().to_owned()),
                );
            }
            Guess::Node(name) => {
                about.nodes.push(name.clone());
                about.wires.push(name.clone());
            }
        }
    }
    let of_nodes = before.nodes.iter().flat_map(|n| n.row.calico.iter().chain(&n.row.kubernetes));
    about.nodes.extend(of_nodes.map(|name| name.raw().to_owned()));
    // Of what is over nothing stands open but what has a finding of its own.
    let open = before.allocations.iter().filter(|i| i.span.is_open());
    about.subjects.extend(open.clone().flat_map(|i| [i.row.block.to_string(), i.row.address.to_string()]));
    about.words.extend(open.filter_map(|i| Some(i.row.handle.as_ref()?.raw().to_owned())));
    about.words.extend(about.pods.iter().cloned());
    about.subjects.extend(about.words.iter().chain(&about.nodes).cloned());
    for list in [&mut about.subjects, &mut about.nodes, &mut about.pods, &mut about.words] {
        list.sort();
        list.dedup();
    }
    about
}
