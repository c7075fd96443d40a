//! What IPAM has of an address: the ordinals of all blocks as one sorted table.

use crate::model::hash::HashMap;

use super::{Allocation, Ledger};
use crate::model::past::AllocationTuple;
use crate::model::{AffinityState, Attribute, Block, HandleId, HostKind, Name, Names, Owner, Snapshot, Tunnel, Use};

/// What an allocation is for, by its attribute and handle.
fn use_of(names: &Names, attribute: Option<&Attribute>) -> Use {
    let Some(attribute) = attribute else { return Use::Broken };
    let owner = &attribute.owner;
    let handle = |test: fn(HandleId, &Names) -> bool| attribute.handle.is_some_and(|h| test(h, names));
    if attribute.released_at.is_some() {
        Use::Cooling
    } else if handle(HandleId::is_windows) {
        Use::Windows
    } else if attribute.reserved {
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
    Tunnel::of_attribute(names.get(attribute.owner.kind)).or_else(|| attribute.handle?.tunnel(names))
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
                let at = self.allocations.len() as u32;
                self.allocations.push(Allocation { address, block: index, ordinal, used_for });
                let Some(attribute) = attribute.and_then(|i| block.attributes.get(i)) else { continue };
                if used_for == Use::Pod {
                    self.ipam_nodes.insert(attribute.owner.node);
                    let container = |h: &HandleId| h.dotted && !names_its_pod(&snapshot.names, *h, &attribute.owner);
                    if let Some(id) = attribute.handle.filter(container) {
                        *most.entry(id.head).or_default() += 1;
                        self.networks.push((id.tail, id.head));
                    }
                }
                if let Some(id) = attribute.handle.filter(|_| used_for != Use::Cooling) {
                    self.allocations_of_handle.push((id, at));
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
        self.networks.sort_unstable();
        self.networks.dedup();
        let usual =
            most.into_iter().max_by_key(|&(network, count)| (count, std::cmp::Reverse(snapshot.names.get(network))));
        self.usual_network =
            usual.map(|(network, _)| network).or_else(|| snapshot.names.find("k8s-pod-network")).unwrap_or(Name::NONE);
    }

    /// Blocks are sorted by address, so this is nearly sorted already; only overlapping blocks disorder it.
    fn sort_allocations(&mut self) {
        let mut order: Vec<u32> = (0..self.allocations.len() as u32).collect();
        if !self.allocations.is_sorted_by_key(|a| (a.address, a.block)) {
            order.sort_by_key(|&i| {
                let a = &self.allocations[i as usize];
                (a.address, a.block)
            });
            let mut place = vec![0u32; order.len()];
            for (new, &old) in order.iter().enumerate() {
                place[old as usize] = new as u32;
            }
            self.allocations = order.iter().map(|&i| self.allocations[i as usize]).collect();
            for entry in &mut self.allocations_of_handle {
                entry.1 = place[entry.1 as usize];
            }
        }
        self.allocations_of_handle.sort_unstable();
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
    pub fn owners_of(&self, allocation: &Allocation) -> impl Iterator<Item = &Owner> {
        let attribute = self.attribute_of(allocation);
        let primary = attribute.map(|a| &a.owner);
        let alternate = attribute.and_then(|a| a.alternate.as_deref());
        [primary, alternate].into_iter().flatten().filter(|o| !o.is_empty())
    }

    /// The Calico name of the node that an allocation belongs to: its attribute's, else the block's host.
    /// [`Name::NONE`] when it has none (services, ownerless blocks).
    pub fn owner_node(&self, allocation: &Allocation) -> Name {
        let named = self.attribute_of(allocation).map_or(Name::NONE, |a| a.owner.node);
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
}

/// Of several spellings of one block's key the canonical one is judged (IPA307 tells the others); without a
/// canonical one the first.
pub(super) fn judged_blocks(snapshot: &Snapshot) -> Vec<u32> {
    let mut judged: Vec<u32> = Vec::with_capacity(snapshot.blocks.len());
    for (block, index) in snapshot.blocks.iter().zip(0u32..) {
        // Sorted by CIDR with the canonical spelling (no odd key) first.
        let twin = judged.last().is_some_and(|&last| snapshot.blocks[last as usize].cidr == block.cidr);
        if !twin {
            judged.push(index);
        }
    }
    judged
}

/// The same for affinities.
pub(super) fn judged_affinities(snapshot: &Snapshot) -> Vec<u32> {
    let mut judged: Vec<u32> = Vec::with_capacity(snapshot.affinities.len());
    for (affinity, index) in snapshot.affinities.iter().zip(0u32..) {
        let twin = judged.last().is_some_and(|&last| {
            let last = &snapshot.affinities[last as usize];
            (last.cidr, last.host) == (affinity.cidr, affinity.host)
        });
        if !twin {
            judged.push(index);
        }
    }
    judged
}
