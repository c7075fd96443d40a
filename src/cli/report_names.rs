//! The names that a report is narrowed to, held against those that the history knows: silence about a name that was
//! mistyped is no all-clear.

use crate::error::Error;
use crate::history::ReadTx;
use crate::history::query::{NameOf, Pair};
use crate::model::Narrow;
use crate::model::near::near;
use crate::render::UnknownName;

const KNOWS_NO: &str = "The history knows no";

/// What is wanted of this pair. Findings name a node as Kubernetes does, where that is known: Calico's name means it too.
///
/// # Errors
/// A file that cannot be read.
pub fn of_pair(db: &ReadTx<'_>, pair: &Pair, wanted: &Narrow) -> Result<Narrow, Error> {
    let Some(name) = &wanted.node else { return Ok(wanted.clone()) };
    let kubernetes = db.nodes(pair.id, Some(name))?.into_iter().rev().find_map(|state| state.row.kubernetes);
    Ok(kubernetes.map_or_else(|| wanted.clone(), |name| wanted.clone().on_node(&name)))
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
            unknown.push(UnknownName { kind, by: KNOWS_NO, name: name.as_str().into(), near: near(name, &known) });
        }
    }
    for code in &wanted.codes {
        if !db.has_looked_for(pair.id, *code)? {
            unknown.push(UnknownName { kind: "code", by: KNOWS_NO, name: code.to_string().into(), near: Vec::new() });
        }
    }
    Ok(unknown)
}
