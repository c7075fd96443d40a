//! What stands in a state of each kind of Calico's things.

use std::io::{Result, Write};

use super::kept::{In, Kept, Out, put_all, put_word, record, take_word};
use crate::model::attribute::AttributeFields;
use crate::model::endpoint::EndpointFields;
use crate::model::handle::HandleFields;
use crate::model::snapshot::Dark;
use crate::model::usual::{AllocatedTo, EndpointKey, Interface};
use crate::model::{
    Affinity, AffinityState, Attribute, BadValue, Block, CalicoNode, ClusterInformation, Endpoint, Handle, HandleId,
    Host, HostEndpoint, HostKind, Input, IpamConfig, IpamConfigResource, KubeControllers, LoadBalancerMode, Nat,
    Orchestrator, Owner, Pool, Reservation, Tunnel,
};

record! {
    Host { kind, name }
    HandleId { head, tail, dotted }
    HandleFields { meta, id, odd_id, counts, deleted }
    AttributeFields { handle, odd_handle, owner, reserved, alternate, released_at }
    Owner { namespace, pod, node, service, kind, vmi, note, timestamp }
    Affinity { meta, host, cidr, odd_key, state, deleted }
    EndpointFields {
        meta, namespace, orchestrator, node, pod, endpoint, name, container, interface, mac, addresses, nats, created,
    }
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

/// What the model holds in its usual form, by the fields that it gives back.
macro_rules! by_fields {
    ($($kind:ident: $fields:ident),+) => {$(
        impl Kept for $kind {
            fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
                self.fields().put(out)
            }

            fn take(input: &mut In<'_, '_>) -> Option<$kind> {
                $fields::take(input).map($kind::from)
            }
        }
    )+};
}
by_fields!(Endpoint: EndpointFields, Handle: HandleFields, Attribute: AttributeFields);

impl Kept for AllocatedTo {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        put_all(self, out)
    }

    fn take(input: &mut In<'_, '_>) -> Option<AllocatedTo> {
        Vec::take(input).map(AllocatedTo::from)
    }
}

impl Kept for EndpointKey {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        match self {
            EndpointKey::OfPod { node, pod } => {
                out.plain(&0u8)?;
                node.put(out)?;
                pod.put(out)
            }
            EndpointKey::Other(name) => {
                out.plain(&1u8)?;
                name.put(out)
            }
        }
    }

    fn take(input: &mut In<'_, '_>) -> Option<EndpointKey> {
        Some(match input.plain::<u8>()? {
            0 => EndpointKey::OfPod { node: Kept::take(input)?, pod: Kept::take(input)? },
            1 => EndpointKey::Other(Kept::take(input)?),
            _ => return None,
        })
    }
}

impl Kept for Interface {
    fn put<W: Write>(&self, out: &mut Out<'_, W>) -> Result<()> {
        match self {
            Interface::Cali(digits) => {
                out.plain(&0u8)?;
                digits.put(out)
            }
            Interface::Other(name) => {
                out.plain(&1u8)?;
                name.put(out)
            }
        }
    }

    fn take(input: &mut In<'_, '_>) -> Option<Interface> {
        Some(match input.plain::<u8>()? {
            0 => Interface::Cali(Kept::take(input)?),
            1 => Interface::Other(Kept::take(input)?),
            _ => return None,
        })
    }
}
