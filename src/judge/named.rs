//! What is named and nothing in the cluster is: a typing error must not look like a release that had nothing to do.

use crate::checks::World;
use crate::model::foreign::foreign;
use crate::model::near::{did_you_mean, near};
use crate::model::{Addr, Foreign, HandleId, SubjectKind};

use super::choose::Wish;

/// A handle or an address that nothing has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedNothing {
    pub kind: SubjectKind,
    pub id: Foreign,
    /// That there is none, and what may have been meant.
    pub says: Foreign,
}

/// What of a wish neither a handle nor a block is called by, nor any block or pool has. An address that is free is none of
/// it: it is what a release would make of it.
pub fn nothing(wish: &Wish, world: &World<'_>) -> Vec<NamedNothing> {
    let Wish::Named { handles, addresses } = wish else { return Vec::new() };
    let handles = handles.iter().filter(|id| !is_handle(id, world)).map(|id| {
        let id = Foreign::from(id.as_str());
        let says = foreign!("there is no handle {}{}", id, did_you_mean(&near(id.raw(), &all_handles(world))));
        NamedNothing { kind: SubjectKind::Handle, id, says }
    });
    let addresses = addresses.iter().filter(|address| !is_covered(**address, world)).map(|address| {
        let id = Foreign::from(address.to_string());
        let says = foreign!("no pool and no block has {}", id);
        NamedNothing { kind: SubjectKind::Address, id, says }
    });
    handles.chain(addresses).collect()
}

fn is_handle(id: &str, world: &World<'_>) -> bool {
    let Some(id) = HandleId::find(&world.snapshot.names, id) else { return false };
    let is_there = world.snapshot.handles.binary_search_by_key(&id, |handle| handle.id).is_ok();
    is_there || world.ledger.allocations_of(id).next().is_some()
}

fn all_handles(world: &World<'_>) -> Vec<Foreign> {
    let own = world.snapshot.handles.iter().map(|handle| handle.id);
    let named = world.ledger.allocations.iter().filter_map(|allocation| world.ledger.handle_of(allocation));
    let mut ids: Vec<HandleId> = own.chain(named).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|id| Foreign::from(id.text(&world.snapshot.names))).collect()
}

fn is_covered(address: Addr, world: &World<'_>) -> bool {
    world.snapshot.pools.iter().any(|pool| pool.cidr.contains(address))
        || world.snapshot.blocks.iter().any(|block| block.cidr.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::ledger::{Ledger, ScopeFlag};

    fn told(handles: &[&str], addresses: &[&str]) -> Vec<String> {
        let mut c = Cluster::healthy();
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, ScopeFlag::Auto, None);
        let world = World { snapshot: &snapshot, ledger: &ledger, past: None };
        let handles = handles.iter().map(ToString::to_string).collect();
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let wish = Wish::Named { handles, addresses };
        nothing(&wish, &world).into_iter().map(|named| named.says.raw().to_owned()).collect()
    }

    #[test]
    fn what_nothing_is_called_is_told_with_what_is_near() {
        let mut c = Cluster::healthy();
        let snapshot = c.snapshot();
        let known = snapshot.handles[0].id.text(&snapshot.names);
        assert_eq!(told(&[&known], &["10.65.0.1", "10.65.200.1"]), Vec::<String>::new());
        let slip = format!("{}x", &known[..known.len() - 1]);
        let meant = &told(&[&slip], &[])[0];
        assert!(meant.starts_with(&format!("there is no handle {slip}; did you mean ")), "{meant}");
        // A name of the cluster that is no handle's.
        assert_eq!(told(&["shop"], &[]), ["there is no handle shop"]);
        assert_eq!(told(&[], &["192.0.2.1"]), ["no pool and no block has 192.0.2.1"]);
    }
}
