//! What audits watch of an allocation that may go: the finding whose observations make it old enough (rule 4).

use super::case::Case;
use crate::checks::addresses::{
    address_awaited, leaked_address, leaked_service_address, leaked_tunnel_address, surplus_service_address,
    unattributed_allocation,
};
use crate::ledger::{Allocation, Use};
use crate::model::Code;

impl Case<'_> {
    /// The code of what an audit finds of this allocation now; `None`: nothing that is watched.
    pub(super) fn watched_as(&self, allocation: &Allocation) -> Option<Code> {
        let world = &self.world;
        let is = |found: bool, code: Code| found.then_some(code);
        match allocation.used_for {
            Use::Tunnel => is(leaked_tunnel_address::is_leaked(world, allocation), leaked_tunnel_address::CHECK.code),
            Use::LoadBalancer if surplus_service_address::is_surplus(world, allocation) => {
                Some(surplus_service_address::CHECK.code)
            }
            Use::LoadBalancer => {
                is(leaked_service_address::is_leaked(world, allocation), leaked_service_address::CHECK.code)
            }
            Use::Pod | Use::Unattributed if address_awaited::awaited(world, allocation).is_some() => {
                Some(address_awaited::CHECK.code)
            }
            Use::Pod if leaked_address::proof(world, allocation).is_some() => Some(leaked_address::CHECK.code),
            Use::Unattributed if leaked_tunnel_address::is_leaked(world, allocation) => {
                Some(leaked_tunnel_address::CHECK.code)
            }
            Use::Unattributed => {
                is(unattributed_allocation::is_nobodys(world, allocation), unattributed_allocation::CHECK.code)
            }
            _ => None,
        }
    }
}
