//! What a big cluster has a hundred thousand of, in its usual form: some numbers, and names as places among the texts.

use super::kept::{In, Kept, Out};
use crate::model::attribute::{AttributeFields, UsualAttribute};
use crate::model::endpoint::{EndpointFields, UsualEndpoint};
use crate::model::handle::{HandleFields, UsualHandle};
use crate::model::usual::{AllocatedTo, OneOfBlock, OneV4, Revisions, WholeSecond};
use crate::model::{Attribute, Endpoint, Handle, HandleId};

/// Stands before what differs from its usual form, which is kept by its fields.
const BY_FIELDS: u64 = 3;

/// A handle's id that has no dot, and one that has; 0: none.
const ID: u64 = 1;
const DOTTED_ID: u64 = 2;

fn put_id(id: HandleId, out: &mut Out<'_, '_>) {
    out.number(if id.dotted { DOTTED_ID } else { ID });
    id.head.put(out);
    id.tail.put(out);
}

fn take_id(form: u64, input: &mut In<'_>) -> Option<HandleId> {
    let dotted = form == DOTTED_ID;
    Some(HandleId { head: Kept::take(input)?, tail: Kept::take(input)?, dotted })
}

impl Kept for Handle {
    fn put(&self, out: &mut Out<'_, '_>) {
        let Some(UsualHandle { id, revisions, counts }) = self.usual() else {
            out.number(BY_FIELDS);
            return self.fields().put(out);
        };
        put_id(id, out);
        revisions.put(out);
        let (first, prefix) = counts.numbers();
        out.bytes.raw(&first.to_le_bytes());
        out.number(u64::from(prefix));
    }

    fn take(input: &mut In<'_>) -> Option<Handle> {
        let form = input.number()?;
        Some(match form {
            ID | DOTTED_ID => {
                let (id, revisions) = (take_id(form, input)?, Kept::take(input)?);
                let first = u32::from_le_bytes(input.bytes.exactly()?);
                let counts = OneOfBlock::of_numbers(first, Kept::take(input)?)?;
                UsualHandle { id, revisions, counts }.into()
            }
            BY_FIELDS => HandleFields::take(input)?.into(),
            _ => return None,
        })
    }
}

impl Kept for Attribute {
    fn put(&self, out: &mut Out<'_, '_>) {
        let Some(UsualAttribute { handle, namespace, pod, node, timestamp }) = self.usual() else {
            out.number(BY_FIELDS);
            return self.fields().put(out);
        };
        match handle {
            Some(id) => put_id(id, out),
            None => out.number(0),
        }
        namespace.put(out);
        pod.put(out);
        node.put(out);
        timestamp.put(out);
    }

    fn take(input: &mut In<'_>) -> Option<Attribute> {
        let form = input.number()?;
        let handle = match form {
            0 => None,
            ID | DOTTED_ID => Some(take_id(form, input)?),
            BY_FIELDS => return AttributeFields::take(input).map(Attribute::from),
            _ => return None,
        };
        let (namespace, pod, node) = (Kept::take(input)?, Kept::take(input)?, Kept::take(input)?);
        Some(UsualAttribute { handle, namespace, pod, node, timestamp: Kept::take(input)? }.into())
    }
}

/// An endpoint without a MAC address, and with one of six bytes.
const BARE: u64 = 1;
const WITH_MAC: u64 = 2;

impl Kept for Endpoint {
    fn put(&self, out: &mut Out<'_, '_>) {
        let Some(usual) = self.usual() else {
            out.number(BY_FIELDS);
            return self.fields().put(out);
        };
        let UsualEndpoint { namespace, node, pod, container, revisions, address, created, cali, mac } = usual;
        out.number(if mac.is_some() { WITH_MAC } else { BARE });
        namespace.put(out);
        node.put(out);
        pod.put(out);
        container.put(out);
        revisions.put(out);
        out.bytes.raw(&address.number().to_le_bytes());
        out.number(u64::from(created.number()));
        out.number(cali);
        mac.iter().for_each(|mac| out.bytes.raw(mac));
    }

    fn take(input: &mut In<'_>) -> Option<Endpoint> {
        let form = input.number()?;
        if form == BY_FIELDS {
            return EndpointFields::take(input).map(Endpoint::from);
        }
        let (namespace, node, pod) = (Kept::take(input)?, Kept::take(input)?, Kept::take(input)?);
        let (container, revisions) = (Kept::take(input)?, Kept::take(input)?);
        let address = OneV4::of_number(u32::from_le_bytes(input.bytes.exactly()?));
        let created = WholeSecond::of_number(Kept::take(input)?);
        let cali = Kept::take(input)?;
        let mac = match form {
            BARE => None,
            WITH_MAC => Some(input.bytes.exactly()?),
            _ => return None,
        };
        let usual = UsualEndpoint { namespace, node, pod, container, revisions, address, created, cali, mac };
        Some(usual.into())
    }
}

impl Kept for Revisions {
    fn put(&self, out: &mut Out<'_, '_>) {
        let (mod_revision, age, version, value_hash) = self.numbers();
        mod_revision.put(out);
        age.put(out);
        version.put(out);
        out.bytes.raw(&value_hash.to_le_bytes());
    }

    fn take(input: &mut In<'_>) -> Option<Revisions> {
        let (mod_revision, age, version) = (Kept::take(input)?, Kept::take(input)?, Kept::take(input)?);
        Revisions::of_numbers(mod_revision, age, version, u64::from_le_bytes(input.bytes.exactly()?))
    }
}

/// An index is a number above zero, and null is zero.
impl Kept for AllocatedTo {
    fn put(&self, out: &mut Out<'_, '_>) {
        out.number(self.len() as u64);
        for slot in self.iter() {
            match slot {
                // Of 32 bits, so that there is room for one more.
                Some(index) => out.number(u64::from(index.cast_unsigned()) + 1),
                None => out.number(0),
            }
        }
    }

    fn take(input: &mut In<'_>) -> Option<AllocatedTo> {
        let length = input.bytes.length()?;
        let mut slots = Vec::with_capacity(length);
        for _ in 0..length {
            slots.push(match input.number()? {
                0 => None,
                index => Some(u32::try_from(index - 1).ok()?.cast_signed()),
            });
        }
        Some(slots.into())
    }
}
