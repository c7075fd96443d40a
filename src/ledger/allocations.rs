//! What IPAM has of an address: the ordinals of all blocks as one sorted table.

use std::cmp::Ordering;

use crate::model::hash::HashMap;

use super::{Allocation, Ledger};
use crate::model::past::{AllocationTuple, tuple_index};
use crate::model::{AffinityState, Attribute, Block, HandleId, HostKind, Name, Names, Owner, Tunnel, Use};

/// What an allocation is for, by its attribute and handle.
fn use_of(names: &Names, attribute: Option<&Attribute>) -> Use {
    let Some(attribute) = attribute else { return Use::Broken };
    let owner = &attribute.owner();
    let handle = |test: fn(HandleId, &Names) -> bool| attribute.handle.is_some_and(|h| test(h, names));
    if attribute.released_at().is_some() {
        Use::Cooling
    } else if handle(HandleId::is_windows) {
        Use::Windows
    } else if attribute.reserved() {
        Use::Reserved
    } else if tunnel_of(names, attribute).is_some() {
        Use::Tunnel
    } else if handle(HandleId::is_load_balancer) || !owner.service.is_none() {
        Use::LoadBalancer
    } else if handle(HandleId::is_vm) || !owner.vmi.is_none() {
        Use::Vm
    } else if !owner.kind.is_none() {
        Use::Unknown
    } else if owner.pod_name().is_some() {
        Use::Pod
    } else {
        Use::Unattributed
    }
}

/// Whether a handle has the very old form `<namespace>.<pod>`: what stands before the dot is no network then.
fn names_its_pod(names: &Names, id: HandleId, owner: &Owner) -> bool {
    let (namespace, pod) = (names.get(owner.namespace), names.get(owner.pod));
    let dots_in_pod = || {
        let first = names.get(id.head).strip_prefix(namespace)?.strip_prefix('.')?;
        pod.strip_prefix(first)?.strip_prefix('.')
    };
    (id.head, id.tail) == (owner.namespace, owner.pod) || dots_in_pod() == Some(names.get(id.tail))
}

fn tunnel_of(names: &Names, attribute: &Attribute) -> Option<Tunnel> {
    Tunnel::of_attribute(names.get(attribute.owner().kind)).or_else(|| attribute.handle?.tunnel(names))
}

impl Ledger<'_> {
    pub(super) fn list_allocations(&mut self) {
        let snapshot = self.snapshot;
        let mut most: HashMap<Name, usize> = HashMap::new();
        for &index in &self.blocks {
            let Some(block) = snapshot.blocks.get(index as usize) else { continue };
            if let Some(host) = block.affinity.filter(|h| h.kind == HostKind::Host) {
                self.ipam_nodes.insert(host.name);
            }
            let uses: Vec<Use> = block.attributes.iter().map(|a| use_of(&snapshot.names, Some(a))).collect();
            // An ordinal past the block's size has no address: IPA301 tells it, the ledger leaves it out.
            for (slot, ordinal) in block.allocations.iter().zip(0u32..).take(block.size() as usize) {
                let (Some(attribute), Some(address)) = (slot, block.cidr.nth(u128::from(ordinal))) else { continue };
                let attribute = usize::try_from(*attribute).ok();
                let used_for = attribute.and_then(|i| uses.get(i)).copied().unwrap_or(Use::Broken);
                self.allocations.push(Allocation { address, block: index, ordinal, used_for });
                let Some(attribute) = attribute.and_then(|i| block.attributes.get(i)) else { continue };
                if used_for == Use::Pod {
                    self.ipam_nodes.insert(attribute.owner().node);
                    let container = |h: &HandleId| h.dotted && !names_its_pod(&snapshot.names, *h, &attribute.owner());
                    if let Some(id) = attribute.handle.filter(container) {
                        *most.entry(id.head).or_default() += 1;
                        self.networks.push((id.tail, id.head));
                    }
                }
            }
        }
        self.sort_allocations();
        for affinity in &snapshot.affinities {
            if affinity.host.kind == HostKind::Host && affinity.state == AffinityState::Confirmed {
                self.ipam_nodes.insert(affinity.host.name);
            }
        }
        self.ipam_nodes.remove(&Name::NONE);
        for handle in &snapshot.handles {
            if handle.id.dotted && !handle.id.is_vm(&snapshot.names) {
                self.networks.push((handle.id.tail, handle.id.head));
            }
        }
        // By their text: numbers of names depend on what was read first. Nearly all are of one network.
        let by_text = |a: Name, b: Name| snapshot.names.get(a).cmp(snapshot.names.get(b));
        self.networks.sort_unstable_by(|a, b| {
            a.0.cmp(&b.0).then_with(|| if a.1 == b.1 { Ordering::Equal } else { by_text(a.1, b.1) })
        });
        self.networks.dedup();
        let usual =
            most.into_iter().max_by_key(|&(network, count)| (count, std::cmp::Reverse(snapshot.names.get(network))));
        self.usual_network =
            usual.map(|(network, _)| network).or_else(|| snapshot.names.find("k8s-pod-network")).unwrap_or(Name::NONE);
    }

    fn sort_allocations(&mut self) {
        // Blocks are sorted by address, so this is nearly sorted already; only overlapping blocks disorder it.
        self.allocations.sort_by_key(|a| (a.address, a.block));
        let alive = self.allocations.iter().zip(0u32..).filter(|(a, _)| a.used_for != Use::Cooling);
        let mut of_handle: Vec<(HandleId, u32)> = alive.filter_map(|(a, at)| Some((self.handle_of(a)?, at))).collect();
        of_handle.sort_unstable();
        self.allocations_of_handle = of_handle;
    }

    /// The block of an allocation.
    pub fn block_of(&self, allocation: &Allocation) -> &Block {
        // The index was made from this very list.
        &self.snapshot.blocks[allocation.block as usize]
    }

    /// The attribute of an allocation; `None` when the block is broken there.
    pub fn attribute_of(&self, allocation: &Allocation) -> Option<&Attribute> {
        self.block_of(allocation).allocation(allocation.ordinal).flatten()
    }

    /// The handle id that an allocation names.
    pub fn handle_of(&self, allocation: &Allocation) -> Option<HandleId> {
        self.attribute_of(allocation)?.handle
    }

    /// Both owner sets of an allocation (primary, alternate), those that name anything.
    pub fn owners_of(&self, allocation: &Allocation) -> impl Iterator<Item = Owner> {
        self.attribute_of(allocation).into_iter().flat_map(Attribute::owners).filter(|o| !o.is_empty())
    }

    /// The Calico name of the node that an allocation belongs to: its attribute's, else the block's host.
    /// [`Name::NONE`] when it has none (services, ownerless blocks).
    pub fn owner_node(&self, allocation: &Allocation) -> Name {
        let named = self.attribute_of(allocation).map_or(Name::NONE, |a| a.owner().node);
        let host = self.block_of(allocation).affinity.filter(|h| h.kind == HostKind::Host);
        named.some().or(host.map(|h| h.name)).unwrap_or(Name::NONE)
    }

    /// Whether an allocation may be accused: its owner node is ours or departed; without an owner node, the
    /// scope is exclusive.
    pub fn is_judged(&self, allocation: &Allocation) -> bool {
        match self.owner_node(allocation).some() {
            Some(node) => self.scope.judged(node),
            None => self.scope.exclusive,
        }
    }

    /// The tuple that names this very allocation through time.
    pub fn tuple_of(&self, allocation: &Allocation) -> AllocationTuple {
        let block = self.block_of(allocation);
        AllocationTuple {
            address: allocation.address,
            handle: self.handle_of(allocation).map(|h| h.text(&self.snapshot.names)),
            sequence: block.allocation_sequence(allocation.ordinal),
            block_create_revision: block.meta.create_revision,
        }
    }

    /// [`AllocationTuple::index`] of it, without making its texts.
    pub fn tuple_index_of(&self, allocation: &Allocation) -> u128 {
        let block = self.block_of(allocation);
        let handle = self.handle_of(allocation).map(|handle| handle.pieces(&self.snapshot.names));
        let sequence = block.allocation_sequence(allocation.ordinal);
        tuple_index(allocation.address, handle, sequence, block.meta.create_revision)
    }
}

/// Indices of what is judged: of several spellings of one key the canonical one (IPA307 tells the others), without one the
/// first. So is the list sorted: the canonical spelling (no odd key) comes first.
pub(super) fn judged<T, K: PartialEq>(sorted: &[T], meant: impl Fn(&T) -> K) -> Vec<u32> {
    let mut judged: Vec<u32> = (0..sorted.len() as u32).collect();
    judged.dedup_by_key(|index| meant(&sorted[*index as usize]));
    judged
}

#[cfg(test)]
mod tests {
    use crate::checks::testing::Cluster;
    use crate::ledger::Ledger;
    use crate::model::HandleId;

    /// The history finds an allocation by its texts, an audit by where they stand.
    #[test]
    fn an_allocation_is_found_by_what_its_tuple_says() {
        let mut c = Cluster::healthy();
        for (address, id) in [("10.65.0.5", "a.b.c"), ("10.65.0.6", ".x"), ("10.65.0.7", "x"), ("10.65.0.8", "x\r\ny")]
        {
            let mut attribute = c.pod_attribute("k8s-pod-network.a", "shop", "web-9", "node-1");
            attribute.handle = HandleId::intern(&mut c.snapshot.names, id);
            c.allocate(address, attribute);
        }
        let snapshot = c.snapshot();
        let ledger = Ledger::build(&snapshot, c.scope, None);
        assert!(ledger.allocations.len() >= 10);
        for allocation in &ledger.allocations {
            assert_eq!(ledger.tuple_index_of(allocation), ledger.tuple_of(allocation).index(), "{allocation:?}");
        }
    }
}
