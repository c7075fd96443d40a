//! What stands in a state of each kind of Calico's things.

use std::io::{Result, Write};

use super::kept::{In, Kept, Out, put_word, record, take_word};
use crate::decode::keys::endpoint_name;
use crate::model::snapshot::Dark;
use crate::model::{
    Affinity, AffinityState, Attribute, BadValue, Block, CalicoNode, ClusterInformation, Endpoint, Handle, HandleId,
    Host, HostEndpoint, HostKind, Input, IpamConfig, IpamConfigResource, KubeControllers, LoadBalancerMode, Names, Nat,
    Orchestrator, Owner, Pool, Reservation, Tunnel,
};

record! {
    Host { kind, name }
    HandleId { head, tail, dotted }
    Handle { meta, id, odd_id, counts, deleted }
    Attribute { handle, odd_handle, owner, reserved, alternate, released_at }
    Owner { namespace, pod, node, service, kind, vmi, note, timestamp }
    Affinity { meta, host, cidr, odd_key, state, deleted }
    Nat { internal, external }
    HostEndpoint { meta, name, addresses }
    CalicoNode { meta, name, kubernetes_name, addresses, host_addresses, tunnels, created }
    Pool {
        meta, name, cidr, block_size, disabled, manual, node_selector, namespace_selector, workloads, tunnels,
        load_balancers, created, deleting,
    }
    Reservation { meta, name, cidrs, created }
    IpamConfig { meta, strict_affinity, auto_allocate_blocks, max_blocks_per_host, cooldown_seconds }
    IpamConfigResource {
        meta, strict_affinity, auto_allocate_blocks, max_blocks_per_host, cooldown_seconds, vm_address_persistence,
    }
    ClusterInformation { meta, guid, calico_version, ready }
    KubeControllers { meta, leak_grace, load_balancer }
    BadValue { key, input, offset, reason, dark, mod_revision }
}

impl Kept for Box<Owner> {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        Owner::put(self, out)
    }

    fn take(input: &mut In<'_, '_>) -> Option<Box<Owner>> {
        Owner::take(input).map(Box::new)
    }
}

/// Enums of words, by their place among them.
macro_rules! words_kept {
    ($($kind:ty),+) => {$(
        impl Kept for $kind {
            fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
                put_word(*self, out)
            }

            fn take(input: &mut In<'_, '_>) -> Option<$kind> {
                take_word(input)
            }
        }
    )+};
}
words_kept!(HostKind, Tunnel, Input);

impl Kept for LoadBalancerMode {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        out.plain(&match self {
            LoadBalancerMode::AllServices => true,
            LoadBalancerMode::RequestedServicesOnly => false,
        })
    }

    fn take(input: &mut In<'_, '_>) -> Option<LoadBalancerMode> {
        Some(match input.plain()? {
            true => LoadBalancerMode::AllServices,
            false => LoadBalancerMode::RequestedServicesOnly,
        })
    }
}

impl Kept for AffinityState {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        match self {
            AffinityState::Confirmed => out.plain(&0u8),
            AffinityState::Pending => out.plain(&1u8),
            AffinityState::PendingDeletion => out.plain(&2u8),
            AffinityState::Unknown(word) => {
                out.plain(&3u8)?;
                word.put(out)
            }
        }
    }

    fn take(input: &mut In<'_, '_>) -> Option<AffinityState> {
        Some(match input.plain::<u8>()? {
            0 => AffinityState::Confirmed,
            1 => AffinityState::Pending,
            2 => AffinityState::PendingDeletion,
            3 => AffinityState::Unknown(Kept::take(input)?),
            _ => return None,
        })
    }
}

impl Kept for Orchestrator {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        match self {
            Orchestrator::Kubernetes => out.plain(&0u8),
            Orchestrator::Cni => out.plain(&1u8),
            Orchestrator::Other(name) => {
                out.plain(&2u8)?;
                name.put(out)
            }
        }
    }

    fn take(input: &mut In<'_, '_>) -> Option<Orchestrator> {
        Some(match input.plain::<u8>()? {
            0 => Orchestrator::Kubernetes,
            1 => Orchestrator::Cni,
            2 => Orchestrator::Other(Kept::take(input)?),
            _ => return None,
        })
    }
}

impl Kept for Dark {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        match self {
            Dark::Range(cidr) => {
                out.plain(&0u8)?;
                cidr.put(out)
            }
            Dark::Node(name) => {
                out.plain(&1u8)?;
                name.put(out)
            }
            Dark::Handle(id) => {
                out.plain(&2u8)?;
                id.put(out)
            }
            Dark::Affinity(cidr) => {
                out.plain(&3u8)?;
                cidr.put(out)
            }
            Dark::All(input) => {
                out.plain(&4u8)?;
                input.put(out)
            }
        }
    }

    fn take(input: &mut In<'_, '_>) -> Option<Dark> {
        Some(match input.plain::<u8>()? {
            0 => Dark::Range(Kept::take(input)?),
            1 => Dark::Node(Kept::take(input)?),
            2 => Dark::Handle(Kept::take(input)?),
            3 => Dark::Affinity(Kept::take(input)?),
            4 => Dark::All(Kept::take(input)?),
            _ => return None,
        })
    }
}

/// The numbers of allocations are large and close to the block's own.
impl Kept for Block {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        let Block {
            meta,
            cidr,
            odd_key,
            value_cidr,
            odd_value_cidr,
            affinity,
            odd_affinity,
            host_affinity,
            strict_affinity,
            allocations,
            unallocated,
            attributes,
            sequence,
            allocation_sequences,
            claimed_at,
            deleted,
        } = self;
        meta.put(out)?;
        cidr.put(out)?;
        odd_key.put(out)?;
        value_cidr.put(out)?;
        odd_value_cidr.put(out)?;
        affinity.put(out)?;
        odd_affinity.put(out)?;
        host_affinity.put(out)?;
        strict_affinity.put(out)?;
        allocations.put(out)?;
        unallocated.put(out)?;
        attributes.put(out)?;
        sequence.put(out)?;
        let from = sequence.unwrap_or_default();
        let behind = allocation_sequences.iter().map(|(ordinal, number)| (*ordinal, from.wrapping_sub(*number)));
        behind.collect::<Vec<(u32, u64)>>().put(out)?;
        claimed_at.put(out)?;
        deleted.put(out)
    }

    fn take(input: &mut In<'_, '_>) -> Option<Block> {
        let mut block = Block {
            meta: Kept::take(input)?,
            cidr: Kept::take(input)?,
            odd_key: Kept::take(input)?,
            value_cidr: Kept::take(input)?,
            odd_value_cidr: Kept::take(input)?,
            affinity: Kept::take(input)?,
            odd_affinity: Kept::take(input)?,
            host_affinity: Kept::take(input)?,
            strict_affinity: Kept::take(input)?,
            allocations: Kept::take(input)?,
            unallocated: Kept::take(input)?,
            attributes: Kept::take(input)?,
            sequence: Kept::take(input)?,
            allocation_sequences: Kept::take(input)?,
            claimed_at: Kept::take(input)?,
            deleted: Kept::take(input)?,
        };
        let from = block.sequence.unwrap_or_default();
        block.allocation_sequences.iter_mut().for_each(|(_, number)| *number = from.wrapping_sub(*number));
        Some(block)
    }
}

/// Its name follows from node, pod and interface where Calico chose it; then it is not written.
impl Kept for Endpoint {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        let Endpoint {
            meta,
            namespace,
            name,
            orchestrator,
            node,
            pod,
            endpoint,
            container,
            interface,
            mac,
            addresses,
            nats,
            created,
        } = self;
        meta.put(out)?;
        namespace.put(out)?;
        orchestrator.put(out)?;
        node.put(out)?;
        pod.put(out)?;
        endpoint.put(out)?;
        let usual = endpoint_name(out.texts.text(*node), out.texts.text(*pod), out.texts.text(*endpoint));
        out.texts.put(&mut out.bytes, *name, Some(&usual))?;
        container.put(out)?;
        interface.put(out)?;
        mac.put(out)?;
        addresses.put(out)?;
        nats.put(out)?;
        created.put(out)
    }

    fn take(input: &mut In<'_, '_>) -> Option<Endpoint> {
        let meta = Kept::take(input)?;
        let namespace = Kept::take(input)?;
        let orchestrator = Kept::take(input)?;
        let (node, pod, endpoint) = (Kept::take(input)?, Kept::take(input)?, Kept::take(input)?);
        let usual = |names: &Names| Some(endpoint_name(names.get(node), names.get(pod), names.get(endpoint)));
        Some(Endpoint {
            meta,
            namespace,
            name: input.texts.take(&mut input.bytes, input.names, usual)?,
            orchestrator,
            node,
            pod,
            endpoint,
            container: Kept::take(input)?,
            interface: Kept::take(input)?,
            mac: Kept::take(input)?,
            addresses: Kept::take(input)?,
            nats: Kept::take(input)?,
            created: Kept::take(input)?,
        })
    }
}
