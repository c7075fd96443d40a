//! The names that a report is narrowed to, held against those that the history knows: silence about a name that was
//! mistyped is no all-clear.

use crate::error::Error;
use crate::history::ReadTx;
use crate::history::query::{CapacityAt, NameOf, Pair, Window};
use crate::model::near::near;
use crate::model::pool::near_ranges;
use crate::model::touch::Spellings;
use crate::model::{Cidr, Foreign, Narrow};
use crate::render::UnknownName;

const KNOWS_NO: &str = "The history knows no";

/// What is wanted of this pair. Findings name a node as Kubernetes does, where that is known: Calico's name means it too, and a
/// pool's range the pool.
///
/// # Errors
/// A file that cannot be read.
pub fn of_pair(db: &ReadTx<'_>, pair: &Pair, wanted: &Narrow) -> Result<Narrow, Error> {
    let mut wanted = wanted.clone();
    if let Some((range, false)) = wanted.pool.as_deref().and_then(Cidr::parse) {
        let called = pools(db, pair)?.into_iter().find(|(_, cidr)| *cidr == range);
        wanted = called.map_or(wanted.clone(), |(name, _)| wanted.in_pool(&name));
    }
    if !wanted.has_place() {
        return Ok(wanted);
    }
    let states = match &wanted.node {
        Some(name) => db.nodes(pair.id, Some(name))?,
        None => Vec::new(),
    };
    let kubernetes = states.iter().rev().find_map(|state| state.row.kubernetes.clone());
    let wanted = kubernetes.map_or_else(|| wanted.clone(), |name| wanted.clone().on_node(&name));
    let nodes = states.into_iter().filter_map(|state| state.row.calico).collect();
    let pools = if wanted.pool.is_some() { pools(db, pair)? } else { Vec::new() };
    Ok(wanted.in_cluster(Spellings { nodes, pools }))
}

/// Pools by name and range, the newest first.
fn pools(db: &ReadTx<'_>, pair: &Pair) -> Result<Vec<(Foreign, Cidr)>, Error> {
    let mut states = db.capacity(pair.id, Window::ALL)?;
    states.sort_by_key(|state| std::cmp::Reverse(state.at.audit));
    let range = |state: CapacityAt| Some((state.row.pool, Cidr::parse(state.row.cidr.raw())?.0));
    let mut known: Vec<(Foreign, Cidr)> = Vec::new();
    for pool in states.into_iter().filter_map(range) {
        if !known.contains(&pool) {
            known.push(pool);
        }
    }
    Ok(known)
}

/// The names that no audit of this pair has seen.
///
/// # Errors
/// A file that cannot be read.
pub fn unknown(db: &ReadTx<'_>, pair: &Pair, wanted: &Narrow) -> Result<Vec<UnknownName>, Error> {
    let mut unknown = Vec::new();
    for (kind, of, name) in [
        ("node", NameOf::Node, wanted.node.as_ref()),
        ("namespace", NameOf::Namespace, wanted.namespace.as_ref()),
        ("pool", NameOf::Pool, wanted.pool.as_ref()),
    ] {
        let Some(name) = name else { continue };
        let known = db.names(pair.id, of)?;
        if known.iter().all(|known| known != name) {
            let near = match of {
                NameOf::Pool if Cidr::parse(name).is_some() => near_ranges(&pools(db, pair)?, name),
                _ => near(name, &known),
            };
            unknown.push(UnknownName { kind, by: KNOWS_NO, name: name.as_str().into(), near });
        }
    }
    for code in &wanted.codes {
        if !db.has_looked_for(pair.id, *code)? {
            unknown.push(UnknownName { kind: "code", by: KNOWS_NO, name: code.to_string().into(), near: Vec::new() });
        }
    }
    Ok(unknown)
}
