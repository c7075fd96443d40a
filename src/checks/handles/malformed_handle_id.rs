//! IPA205: control bytes in a handle's id.

use std::collections::BTreeMap;

use super::common::stored_id;
use crate::checks::evidence::ask_who;
use crate::checks::prelude::*;
use crate::model::{Attribute, Handle, Names};

pub static CHECK: Check = Check {
    code: Code(205),
    name: "malformed-handle-id",
    severity: Severity::Warning,
    needs: Needs::B.and(Needs::H),
    steady: Steady::TwoWrites,
    subject: SubjectKind::Handle,
    finds: "The id of a handle, in its key or in a block's attributes, has control bytes in it, as `\\r\\neth0` at its \
        end.",
    matters: "Tools that print it show half of it, and tools that compare it byte by byte take the handle for missing. \
        What counts is the part before the first `\\r`; by that it is judged here.",
    arises: "A migration from host-local IPAM wrote the container's id with what stood behind it in the file \
        (projectcalico/cni-plugin#821).",
    action: "It goes with its pod. Restart the pod to be rid of it; release by address what stays behind.",
    silent: "Ids without control bytes, whatever else they hold.",
    ties: Ties { many: "handles with control bytes in their id", ..Ties::ANYBODYS },
    run,
};

/// Where one malformed id stands.
#[derive(Default)]
struct Places<'w> {
    objects: Vec<&'w Handle>,
    addresses: Vec<Addr>,
    blocks: Vec<&'w Block>,
    /// In sanitised form, when anything is left of it.
    id: Option<HandleId>,
}

fn run(world: &World<'_>, findings: &mut FindingSink) {
    let names = &world.snapshot.names;
    let mut malformed: BTreeMap<String, Places<'_>> = BTreeMap::new();
    for handle in &world.snapshot.handles {
        if handle.odd_id().is_some() || is_malformed(names, handle.id) {
            let places = malformed.entry(stored_id(world, handle)).or_default();
            places.objects.push(handle);
            places.id = Some(handle.id);
        }
    }
    for block in world.ledger.blocks() {
        for (attribute, index) in block.attributes.iter().zip(0i32..) {
            let Some(id) = malformed_id(names, attribute) else { continue };
            let ordinals = block.allocations.iter().zip(0u128..).filter(|(slot, _)| **slot == Some(index));
            let places = malformed.entry(id).or_default();
            places.addresses.extend(ordinals.filter_map(|(_, ordinal)| block.cidr.nth(ordinal)));
            places.blocks.push(block);
            places.id = places.id.or(attribute.handle);
        }
    }
    findings.extend(malformed.iter().map(|(id, places)| report(world, id, places)));
}

/// The id of an attribute as it is written, when it is malformed.
fn malformed_id(names: &Names, attribute: &Attribute) -> Option<String> {
    let odd = attribute.odd_handle().map(str::to_owned);
    odd.or_else(|| attribute.handle.filter(|&id| is_malformed(names, id)).map(|id| id.text(names)))
}

/// Whether what is left of an id up to the first `\r` has control bytes in it still.
fn is_malformed(names: &Names, id: HandleId) -> bool {
    // Nearly every id is plain ASCII, and that is seen without looking at characters.
    let plain = |text: &str| text.bytes().fold(true, |plain, b| plain & (0x20..0x7f).contains(&b));
    let malformed = |text: &str| !plain(text) && text.chars().any(char::is_control);
    [id.head, id.tail].into_iter().any(|part| malformed(names.get(part)))
}

fn report(world: &World<'_>, id: &str, places: &Places<'_>) -> Finding {
    let effective = places.id.map(|id| id.text(&world.snapshot.names));
    let summary = match (places.objects.is_empty(), places.blocks.is_empty()) {
        (false, false) => "control bytes in the id, in its key and in a block",
        (false, true) => "control bytes in the id, in its key",
        (true, _) => "control bytes in the id, in a block",
    };
    let first = places.addresses.first().copied();
    let owned = first.and_then(|a| world.ledger.allocations_at(a).first());
    let named = places.addresses.iter().flat_map(|a| world.ledger.allocations_at(*a));
    let named = named.filter(|a| world.ledger.handle_of(a) == places.id);
    world
        .draft(&CHECK, id, summary)
        .fact("counts_as", effective)
        .fact("in_key", !places.objects.is_empty())
        .fact("addresses", places.addresses.clone())
        .with_each(&places.objects, |d, object| d.rests_on_handle(object))
        .with_each(&places.blocks, |d, block| d.looks_at(Look::Block(block.cidr)))
        .next(ask_who(id))
        .with_each(owned, |draft, allocation| {
            let owner = world.ledger.owners_of(allocation).next().unwrap_or_default();
            draft.on_node(world.ledger.owner_node(allocation)).in_namespace(owner.namespace)
        })
        .with_each(named, |d, a| d.rests_on_allocation(a))
        .with_each(first, |d, address| d.in_pool_of(address))
        .done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::testing::Cluster;
    use crate::model::Foreign;

    fn id() -> String {
        Cluster::handle_id("shop", "web-0")
    }

    #[test]
    fn clean_gives_nothing() {
        assert!(Cluster::healthy().find(&CHECK).is_empty());
    }

    #[test]
    fn one_id_in_key_and_block_is_one_finding() {
        let mut c = Cluster::healthy();
        let odd = format!("{}\r\neth0", id());
        c.handle_mut(&id()).odd_id = Some(odd.as_bytes().into());
        c.attribute_mut("10.65.0.1").odd_handle = Some(odd.as_str().into());
        let found = c.find(&CHECK);
        assert_eq!((found.len(), found[0].subject.id.raw()), (1, odd.as_str()));
        assert_eq!(found[0].summary, "control bytes in the id, in its key and in a block");
        assert_eq!(found[0].namespace.as_ref().map(Foreign::raw), Some("shop"));
        assert_eq!(found[0].evidence.get("counts_as"), Some(&id().into()));
    }

    #[test]
    fn either_place_is_enough_and_other_spellings_are_other_ids() {
        let mut c = Cluster::healthy();
        c.handle_mut(&id()).odd_id = Some(format!("{}\r", id()).as_bytes().into());
        c.attribute_mut("10.65.0.1").odd_handle = Some(format!("{}\r\neth1", id()).into());
        assert_eq!(c.subjects(&CHECK), [format!("{}\r", id()), format!("{}\r\neth1", id())]);
    }

    #[test]
    fn nothing_left_before_the_carriage_return() {
        let mut c = Cluster::healthy();
        let mut attribute = c.attribute_mut("10.65.0.1");
        (attribute.handle, attribute.odd_handle) = (None, Some("\r\neth0".into()));
        drop(attribute);
        assert_eq!(c.subjects(&CHECK), ["\r\neth0"]);
    }

    #[test]
    fn control_bytes_without_a_carriage_return_count_too() {
        for odd in ["k8s-pod-network.01\n23", "k8s-pod-network.0123\u{7f}", "k8s\tpod.0123"] {
            let mut c = Cluster::healthy();
            c.attribute_mut("10.65.0.1").handle = HandleId::intern(&mut c.snapshot.names, odd);
            c.handle(odd, &["10.65.0.1"]);
            assert_eq!(c.subjects(&CHECK), [odd]);
        }
    }
}
