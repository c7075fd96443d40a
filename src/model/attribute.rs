//! One value of a block's `attributes[]`: as it is written, and in its usual form (domain facts, section 2).

use super::usual::Odd;
use super::{HandleId, Name, Time};

/// One value of `attributes[]`, as it is written; shared by all ordinals that index it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AttributeFields {
    /// `handle_id` in sanitised form (up to the first `\r`); `None` when absent, null or empty.
    pub handle: Option<HandleId>,
    /// `handle_id` as written, when that is not the sanitised id (`…\r\neth0`); then `handle` may be `None` too.
    pub odd_handle: Option<Box<str>>,
    /// `secondary`: the owner that the allocation was made for.
    pub owner: Owner,
    /// `secondary` is nothing but `note`: ordinals that were kept back when the block was made, for Windows or by an
    /// operator's own reservation. No handle object exists for these, whatever their handle is called.
    pub reserved: bool,
    /// `alternateOwnerAttrs`: the target of a live migration, an owner of equal rank.
    pub alternate: Option<Box<Owner>>,
    /// Set: the address was released and is cooling down: neither in use, nor leaked, nor free.
    pub released_at: Option<Time>,
}

/// One value of `attributes[]` in its usual form ([`super::usual`]), which is a pod's: made of [`AttributeFields`], which
/// it gives back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attribute {
    /// `handle_id` in sanitised form (up to the first `\r`); `None` when absent, null or empty.
    pub handle: Option<HandleId>,
    namespace: Name,
    pod: Name,
    node: Name,
    /// [`NO_TIME`]: none, or an odd one.
    timestamp: Time,
    odd: Odd<OddAttribute>,
}

/// No allocation is so old.
const NO_TIME: Time = Time(i64::MIN);

/// What differs from the usual form.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct OddAttribute {
    handle: Option<Box<str>>,
    service: Name,
    kind: Name,
    vmi: Name,
    note: Name,
    /// [`NO_TIME`] itself.
    timestamp: Option<Time>,
    reserved: bool,
    alternate: Option<Box<Owner>>,
    released_at: Option<Time>,
}

/// An attribute of which nothing differs from the usual form.
#[derive(Clone, Copy, Debug)]
pub struct UsualAttribute {
    pub handle: Option<HandleId>,
    pub namespace: Name,
    pub pod: Name,
    pub node: Name,
    pub timestamp: Option<Time>,
}

impl From<UsualAttribute> for Attribute {
    fn from(UsualAttribute { handle, namespace, pod, node, timestamp }: UsualAttribute) -> Attribute {
        Attribute { handle, namespace, pod, node, timestamp: timestamp.unwrap_or(NO_TIME), odd: None }
    }
}

impl From<AttributeFields> for Attribute {
    fn from(fields: AttributeFields) -> Attribute {
        let AttributeFields { handle, odd_handle, owner, reserved, alternate, released_at } = fields;
        let Owner { namespace, pod, node, service, kind, vmi, note, timestamp } = owner;
        let odd = OddAttribute {
            handle: odd_handle,
            service,
            kind,
            vmi,
            note,
            timestamp: timestamp.filter(|time| *time == NO_TIME),
            reserved,
            alternate,
            released_at,
        };
        let timestamp = timestamp.unwrap_or(NO_TIME);
        let odd = (odd != OddAttribute::default()).then(|| Box::new(odd));
        Attribute { handle, namespace, pod, node, timestamp, odd }
    }
}

impl Attribute {
    /// All of it, where nothing differs.
    pub fn usual(&self) -> Option<UsualAttribute> {
        let Attribute { handle, namespace, pod, node, timestamp, ref odd } = *self;
        let timestamp = Some(timestamp).filter(|time| *time != NO_TIME);
        odd.is_none().then_some(UsualAttribute { handle, namespace, pod, node, timestamp })
    }

    /// `handle_id` as written, when that is not the sanitised id (`…\r\neth0`); then `handle` may be `None` too.
    pub fn odd_handle(&self) -> Option<&str> {
        self.odd.as_deref()?.handle.as_deref()
    }

    /// `secondary`: the owner that the allocation was made for.
    pub fn owner(&self) -> Owner {
        let odd = self.odd.as_deref();
        let name = |which: fn(&OddAttribute) -> Name| odd.map(which).unwrap_or_default();
        let usual = Some(self.timestamp).filter(|time| *time != NO_TIME);
        Owner {
            namespace: self.namespace,
            pod: self.pod,
            node: self.node,
            service: name(|odd| odd.service),
            kind: name(|odd| odd.kind),
            vmi: name(|odd| odd.vmi),
            note: name(|odd| odd.note),
            timestamp: usual.or_else(|| odd?.timestamp),
        }
    }

    /// `secondary` is nothing but `note`: ordinals that were kept back when the block was made, for Windows or by an
    /// operator's own reservation. No handle object exists for these, whatever their handle is called.
    pub fn reserved(&self) -> bool {
        self.odd.as_deref().is_some_and(|odd| odd.reserved)
    }

    /// `alternateOwnerAttrs`: the target of a live migration, an owner of equal rank.
    pub fn alternate(&self) -> Option<&Owner> {
        self.odd.as_deref()?.alternate.as_deref()
    }

    /// Both owner sets: the primary one, also when it names nobody, then the alternate one.
    pub fn owners(&self) -> impl Iterator<Item = Owner> {
        [Some(self.owner()), self.alternate().copied()].into_iter().flatten()
    }

    /// Set: the address was released and is cooling down: neither in use, nor leaked, nor free.
    pub fn released_at(&self) -> Option<Time> {
        self.odd.as_deref()?.released_at
    }

    /// What it was made of.
    pub fn fields(&self) -> AttributeFields {
        AttributeFields {
            handle: self.handle,
            odd_handle: self.odd_handle().map(Into::into),
            owner: self.owner(),
            reserved: self.reserved(),
            alternate: self.alternate().copied().map(Box::new),
            released_at: self.released_at(),
        }
    }
}

/// Owner attributes of an allocation; every part may be absent ([`Name::NONE`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Owner {
    /// Of the pod, or of the service.
    pub namespace: Name,
    pub pod: Name,
    /// The Calico name of the node.
    pub node: Name,
    /// `service`: set for LoadBalancer addresses.
    pub service: Name,
    /// `type`: `ipipTunnelAddress` and its like; absent for pods.
    pub kind: Name,
    /// `vmi-name`: set for KubeVirt.
    pub vmi: Name,
    /// `note`: set for Windows' reserved ordinals.
    pub note: Name,
    /// The CNI host's clock at the allocation.
    pub timestamp: Option<Time>,
}

impl Owner {
    /// Whether nothing at all names an owner.
    pub fn is_empty(&self) -> bool {
        *self == Owner::default()
    }

    /// Namespace and name of the owner pod, when both are given.
    pub fn pod_name(&self) -> Option<(Name, Name)> {
        (!self.namespace.is_none() && !self.pod.is_none()).then_some((self.namespace, self.pod))
    }
}
