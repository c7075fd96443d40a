//! IP pools and reservations (domain facts, section 1).

use super::{Cidr, Meta, Name, Time};

/// One IPPool.
#[derive(Clone, Debug)]
pub struct Pool {
    pub meta: Meta,
    pub name: Name,
    pub cidr: Cidr,
    /// Prefix length of its blocks: 26 and 122 unless given.
    pub block_size: u8,
    /// `disabled`: nothing is handed out, what was handed out stays.
    pub disabled: bool,
    /// `assignmentMode: Manual`: no automatic assignment.
    pub manual: bool,
    /// `nodeSelector` and `namespaceSelector`; [`Name::NONE`] when absent (`all()`).
    pub node_selector: Name,
    pub namespace_selector: Name,
    /// `allowedUses`: absent means Workload and Tunnel.
    pub workloads: bool,
    pub tunnels: bool,
    pub load_balancers: bool,
    /// `metadata.creationTimestamp`.
    pub created: Option<Time>,
    /// `metadata.deletionTimestamp`: the pool is being deleted.
    pub deleting: Option<Time>,
}

impl Pool {
    /// Whether IPAM hands out its addresses by itself today.
    pub fn assigns_automatically(&self) -> bool {
        self.closed().is_none()
    }

    /// Why IPAM hands out nothing of it by itself, in a word; `None`: it does.
    pub fn closed(&self) -> Option<&'static str> {
        match () {
            () if self.deleting.is_some() => Some("being deleted"),
            () if self.disabled => Some("disabled"),
            () if self.manual => Some("manual"),
            () => None,
        }
    }
}

/// One IPReservation; binds automatic assignment only.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub meta: Meta,
    pub name: Name,
    /// `spec.reservedCIDRs`, host bits masked.
    pub cidrs: Box<[Cidr]>,
    pub created: Option<Time>,
}
