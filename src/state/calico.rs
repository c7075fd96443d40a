//! What stands in a state of each kind of Calico's things.

use super::kept::{In, Kept, Out, put_word, record, take_word};
use crate::model::attribute::AttributeFields;
use crate::model::endpoint::EndpointFields;
use crate::model::handle::HandleFields;
use crate::model::snapshot::Dark;
use crate::model::usual::{EndpointKey, Interface};
use crate::model::{
    Affinity, AffinityState, BadValue, Block, CalicoNode, ClusterInformation, HandleId, Host, HostEndpoint, HostKind,
    Input, IpamConfig, IpamConfigResource, KubeControllers, LoadBalancerMode, Nat, Orchestrator, Owner, Pool,
    Reservation, Tunnel,
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
    fn put(&self, out: &mut Out<'_, '_>) {
        Owner::put(self, out)
    }

    fn take(input: &mut In<'_>) -> Option<Box<Owner>> {
        Owner::take(input).map(Box::new)
    }
}

/// Enums of words, by their place among them.
macro_rules! words_kept {
    ($($kind:ty),+) => {$(
        impl Kept for $kind {
            fn put(&self, out: &mut Out<'_, '_>) {
                put_word(*self, out)
            }

            fn take(input: &mut In<'_>) -> Option<$kind> {
                take_word(input)
            }
        }
    )+};
}
words_kept!(HostKind, Tunnel, Input);

impl Kept for LoadBalancerMode {
    fn put(&self, out: &mut Out<'_, '_>) {
        matches!(self, LoadBalancerMode::AllServices).put(out);
    }

    fn take(input: &mut In<'_>) -> Option<LoadBalancerMode> {
        Some(match bool::take(input)? {
            true => LoadBalancerMode::AllServices,
            false => LoadBalancerMode::RequestedServicesOnly,
        })
    }
}

impl Kept for AffinityState {
    fn put(&self, out: &mut Out<'_, '_>) {
        match self {
            AffinityState::Confirmed => out.number(0),
            AffinityState::Pending => out.number(1),
            AffinityState::PendingDeletion => out.number(2),
            AffinityState::Unknown(word) => {
                out.number(3);
                word.put(out)
            }
        }
    }

    fn take(input: &mut In<'_>) -> Option<AffinityState> {
        Some(match input.number()? {
            0 => AffinityState::Confirmed,
            1 => AffinityState::Pending,
            2 => AffinityState::PendingDeletion,
            3 => AffinityState::Unknown(Kept::take(input)?),
            _ => return None,
        })
    }
}

impl Kept for Orchestrator {
    fn put(&self, out: &mut Out<'_, '_>) {
        match self {
            Orchestrator::Kubernetes => out.number(0),
            Orchestrator::Cni => out.number(1),
            Orchestrator::Other(name) => {
                out.number(2);
                name.put(out)
            }
        }
    }

    fn take(input: &mut In<'_>) -> Option<Orchestrator> {
        Some(match input.number()? {
            0 => Orchestrator::Kubernetes,
            1 => Orchestrator::Cni,
            2 => Orchestrator::Other(Kept::take(input)?),
            _ => return None,
        })
    }
}

impl Kept for Dark {
    fn put(&self, out: &mut Out<'_, '_>) {
        match self {
            Dark::Range(cidr) => {
                out.number(0);
                cidr.put(out)
            }
            Dark::Node(name) => {
                out.number(1);
                name.put(out)
            }
            Dark::Handle(id) => {
                out.number(2);
                id.put(out)
            }
            Dark::Affinity(cidr) => {
                out.number(3);
                cidr.put(out)
            }
            Dark::All(input) => {
                out.number(4);
                input.put(out)
            }
        }
    }

    fn take(input: &mut In<'_>) -> Option<Dark> {
        Some(match input.number()? {
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
    fn put(&self, out: &mut Out<'_, '_>) {
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
        meta.put(out);
        cidr.put(out);
        odd_key.put(out);
        value_cidr.put(out);
        odd_value_cidr.put(out);
        affinity.put(out);
        odd_affinity.put(out);
        host_affinity.put(out);
        strict_affinity.put(out);
        allocations.put(out);
        unallocated.put(out);
        attributes.put(out);
        sequence.put(out);
        let from = sequence.unwrap_or_default();
        out.number(allocation_sequences.len() as u64);
        for (ordinal, number) in allocation_sequences {
            (*ordinal, from.wrapping_sub(*number)).put(out);
        }
        claimed_at.put(out);
        deleted.put(out);
    }

    fn take(input: &mut In<'_>) -> Option<Block> {
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

impl Kept for EndpointKey {
    fn put(&self, out: &mut Out<'_, '_>) {
        match self {
            EndpointKey::OfPod { node, pod } => {
                out.number(0);
                node.put(out);
                pod.put(out)
            }
            EndpointKey::Other(name) => {
                out.number(1);
                name.put(out)
            }
        }
    }

    fn take(input: &mut In<'_>) -> Option<EndpointKey> {
        Some(match input.number()? {
            0 => EndpointKey::OfPod { node: Kept::take(input)?, pod: Kept::take(input)? },
            1 => EndpointKey::Other(Kept::take(input)?),
            _ => return None,
        })
    }
}

impl Kept for Interface {
    fn put(&self, out: &mut Out<'_, '_>) {
        match self {
            Interface::Cali(digits) => {
                out.number(0);
                digits.put(out)
            }
            Interface::Other(name) => {
                out.number(1);
                name.put(out)
            }
        }
    }

    fn take(input: &mut In<'_>) -> Option<Interface> {
        Some(match input.number()? {
            0 => Interface::Cali(Kept::take(input)?),
            1 => Interface::Other(Kept::take(input)?),
            _ => return None,
        })
    }
}
