//! What several checks of blocks need.

use crate::checks::addresses::duplicate_pod_address;
use crate::checks::evidence::restarts::staying;
use crate::checks::{World, few};
use crate::ledger::Use;
use crate::ledger::capacity::allocations_in;
use crate::model::number::grouped;
use crate::model::{Block, HostKind, Name, Pod};

/// The node that a block names, by its Calico name; none when it names nobody or no node.
pub(super) fn node_of(block: &Block) -> Name {
    block.affinity.filter(|host| host.kind == HostKind::Host).map_or(Name::NONE, |host| host.name)
}

/// The living pods that have addresses of a block.
#[derive(Debug, Default)]
pub(super) struct PodsIn<'w> {
    /// In the order to restart them.
    pub restart: Vec<&'w Pod>,
    /// Whom IPA101 keeps, as others have their address too: not restarted before that is over.
    pub kept: Vec<&'w Pod>,
}

impl<'w> PodsIn<'w> {
    /// By what the block allocates, and to whom: pods that have the address.
    pub fn of(world: &'w World<'w>, block: &Block) -> PodsIn<'w> {
        let (mut restart, mut kept) = (Vec::new(), Vec::new());
        let own = |a: &&_| world.ledger.block_of(a).cidr == block.cidr;
        for allocation in allocations_in(world.ledger, block.cidr).iter().filter(own) {
            let Some(pod) = world.pod_of(allocation).filter(|_| allocation.used_for != Use::Cooling) else { continue };
            let address = allocation.address;
            let mut endpoints = world.ledger.endpoints_at_home(pod);
            if !pod.addresses().contains(&address) && !endpoints.any(|e| e.addresses().contains(&address)) {
                continue;
            }
            match world.kept_at(address) {
                Some(keeps) if keeps.uid == pod.uid => kept.push(pod),
                _ => restart.push(pod),
            }
        }
        // A pod may have several addresses of the block.
        kept.sort_by_key(|pod| world.pod_id(pod));
        kept.dedup_by_key(|pod| pod.uid);
        restart.retain(|pod| kept.iter().all(|kept| kept.uid != pod.uid));
        let mut restart = world.restart_order(&restart);
        restart.dedup_by_key(|pod| pod.uid);
        PodsIn { restart, kept }
    }

    /// `restart shop/web-0`, `restart the 15 pods in it`; `nobody`: where none is known to be in it. Who is kept for now is
    /// named with why.
    pub fn advice(&self, world: &World<'_>, nobody: &str) -> String {
        let restart = match self.restart.as_slice() {
            [] => nobody.to_owned(),
            pods => world.restart_words(pods, |number| format!("the {} pods in it", grouped(number as u64))),
        };
        if self.kept.is_empty() {
            return restart;
        }
        let kept: Vec<String> = self.kept.iter().map(|pod| world.pod_id(pod)).collect();
        let first = format!("{} comes first, which keeps {}", duplicate_pod_address::CHECK.code, few(&kept, ", "));
        if self.restart.is_empty() { first } else { format!("{restart}; {first}") }
    }

    /// Whether the advice restarts anybody.
    pub const fn restarts(&self) -> bool {
        self.kept.is_empty() || !self.restart.is_empty()
    }

    /// Those who are restarted: who ends already is not.
    pub fn staying(&self) -> Vec<&'w Pod> {
        staying(self.restart.iter().copied())
    }

    /// The names of all whom the block has.
    pub fn names(&self, world: &World<'_>) -> Vec<String> {
        self.restart.iter().chain(&self.kept).map(|pod| world.pod_id(pod)).collect()
    }
}
