use proptest::prelude::*;

use super::super::verify::{Meant, block as decode, is_sound, same_but};
use super::*;
use crate::model::Names;

const KEY: &[u8] = b"/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-30";

/// Invented fields at every level, odd order, blanks, numbers above 2^53, escapes.
const ODD: &str = r#" { "future" : {"n":18446744073709551615,"f":1e400} ,"sequenceNumber": 1700000000000000123,
  "cidr":"10.65.0.0/30" , "allocations" : [ 0 , null,1 , 0 ],"unallocated":[ 1 ],
  "sequenceNumberForAllocation":{ "0":1700000000000000101 , "2":9007199254740993,"3":5 },
  "attributes":[ {"handle_id":"n.a","secondary":{"namespace":"x","pod":"p","\u0078tra":"\u00e4"},"new":[1,{}]} ,{"x":2.50,"handle_id":"n.b","secondary":{"pod":"q","namespace":"x"}} ],"affinity":"host:node-1", "deleted" : false,"z":null } "#;

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn at(seconds: i64) -> Time {
    Time(seconds * 1_000_000_000 + 987_654_321)
}

#[test]
fn a_release_changes_what_it_must_and_nothing_else() {
    let after = text(release(ODD.as_bytes(), &[2], Freed::AtOnce).unwrap());
    let expected = ODD
        .replace("[ 0 , null,1 , 0 ]", "[ 0 , null,null , 0 ]")
        .replace("[ 1 ]", "[ 1,2 ]")
        .replace(r#" , "2":9007199254740993,"#, ",")
        .replace("0000123,", "0000124,")
        .replace(r#" ,{"x":2.50,"handle_id":"n.b","secondary":{"pod":"q","namespace":"x"}} ]"#, " ]");
    assert_eq!(after, expected);
}

#[test]
fn an_attribute_goes_with_its_last_ordinal_and_the_others_move_up() {
    let after = text(release(ODD.as_bytes(), &[0], Freed::AtOnce).unwrap());
    assert!(after.contains("[ null , null,1 , 0 ]") && after.contains("n.a"), "ordinal 3 still has it");
    let after = text(release(ODD.as_bytes(), &[3, 0, 3], Freed::AtOnce).unwrap());
    assert!(after.contains("[ null , null,0 , null ]") && after.contains(r#""unallocated":[ 1,0,3 ]"#));
    assert!(after.contains(r#""attributes":[ {"x":2.50,"#) && !after.contains("n.a"));
    assert!(after.contains(r#"{ "2":9007199254740993 }"#), "{after}");
}

#[test]
fn with_a_cooldown_the_ordinals_share_one_attribute_with_nothing_but_the_time() {
    let after = text(release(ODD.as_bytes(), &[0, 3], Freed::Cooling(at(0))).unwrap());
    assert!(after.contains("[ 1 , null,0 , 1 ]") && after.contains(r#""unallocated":[ 1 ]"#), "{after}");
    assert!(after.contains(r#"}},{"releasedAt":"1970-01-01T00:00:00Z"} ]"#), "{after}");
    let numbers = r#"{ "0":1700000000000000123 , "2":9007199254740993,"3":1700000000000000123 }"#;
    assert!(after.contains(numbers) && after.contains(r#""sequenceNumber": 1700000000000000124"#));
}

#[test]
fn the_fence_is_one_number() {
    assert_eq!(text(fence(ODD.as_bytes()).unwrap()), ODD.replace("0000123,", "0000124,"));
    let old = r#"{"cidr":"10.65.0.0/30"}"#;
    assert_eq!(text(fence(old.as_bytes()).unwrap()), r#"{"cidr":"10.65.0.0/30","sequenceNumber":1}"#);
    let null = r#"{"sequenceNumber":null}"#;
    assert_eq!(text(fence(null.as_bytes()).unwrap()), r#"{"sequenceNumber":1}"#);
    for bad in [
        r#"{"sequenceNumber":18446744073709551615}"#,
        r#"{"sequenceNumber":1.5}"#,
        r#"{"sequencenumber":1,"sequenceNumber":2}"#,
    ] {
        assert!(fence(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn missing_lists_are_made() {
    let old = r#"{"cidr":"10.65.0.0/31","allocations":[0,0],"attributes":[{}],"unallocated":null}"#;
    let after = text(release(old.as_bytes(), &[1], Freed::AtOnce).unwrap());
    assert_eq!(
        after,
        r#"{"cidr":"10.65.0.0/31","allocations":[0,null],"attributes":[{}],"unallocated":[1],"sequenceNumber":1}"#
    );
    assert!(release(old.as_bytes(), &[1], Freed::Cooling(at(0))).is_err(), "a cooldown needs a number");
}

#[test]
fn what_cannot_be_released_is_refused() {
    for ordinal in [1, 4, 4000] {
        assert!(release(ODD.as_bytes(), &[ordinal], Freed::AtOnce).is_err(), "{ordinal}");
    }
    let lost = ODD.replace("[ 0 , null,1 , 0 ]", "[ 9 , null,1 , 0 ]");
    assert!(release(lost.as_bytes(), &[0], Freed::AtOnce).is_err());
    let twice = ODD.replace("\"z\":null", "\"Allocations\":[]");
    assert!(release(twice.as_bytes(), &[0], Freed::AtOnce).is_err());
}

#[test]
fn only_an_absent_or_null_affinity_is_no_owner() {
    for (owner, ownerless) in [("\"host:node-1\"", false), ("null", true), ("\"\"", false), ("\"odd\"", false)] {
        let value = ODD.replace("\"host:node-1\"", owner);
        assert_eq!(is_ownerless(value.as_bytes()).unwrap(), ownerless, "{owner}");
    }
    assert!(is_ownerless(b"{}").unwrap());
}

#[test]
fn taken_back_from_the_queue_or_from_our_own_cooldown() {
    let old = attribute(ODD.as_bytes(), 2).unwrap();
    assert!(old.starts_with(r#"{"x":2.50,"#));
    let released = release(ODD.as_bytes(), &[2], Freed::AtOnce).unwrap();
    let back = take_back(&released, 2, &old, None).unwrap();
    same_but(KEY, &released, &back, &Meant::TakeBack { ordinal: 2 }).unwrap();
    assert!(text(back.clone()).contains("2.50") && text(back.clone()).contains("0000125,"));
    is_sound(&decode(&Names::default(), KEY, &back).unwrap().0).unwrap();
    assert!(take_back(&back, 2, &old, None).is_err(), "it is in use now");

    let cooling = release(ODD.as_bytes(), &[2], Freed::Cooling(at(0))).unwrap();
    let time = Freed::Cooling(at(0)).released_at();
    let back = take_back(&cooling, 2, &old, time.as_deref()).unwrap();
    same_but(KEY, &cooling, &back, &Meant::TakeBack { ordinal: 2 }).unwrap();
    assert!(!text(back).contains("releasedAt"), "nobody cools any more");
    assert!(take_back(&cooling, 2, &old, Some("1970-01-01T00:00:01Z")).is_err(), "somebody else's cooldown");
    assert!(take_back(&cooling, 2, &old, None).is_err());
}

/// A valid block of eight ordinals with foreign fields everywhere.
#[derive(Debug, Clone)]
struct Made {
    value: String,
    allocated: Vec<u32>,
}

prop_compose! {
    fn made()(
        slots in proptest::collection::vec(proptest::option::of(0usize..3), 8),
        blanks in proptest::collection::vec(prop_oneof![Just(""), Just(" "), Just("\n\t")], 24),
        sequence in 1u64..u64::MAX,
        numbered in proptest::collection::vec(any::<bool>(), 8),
        fold: bool,
    ) -> Made {
        // Attributes that nobody indexes are left out, so that the block is valid.
        let used: Vec<usize> = (0..3).filter(|i| slots.contains(&Some(*i))).collect();
        let place = |slot: &Option<usize>| slot.and_then(|s| used.iter().position(|u| *u == s));
        let mut blank = blanks.iter().cycle();
        let mut join = |items: Vec<String>| {
            let mut out = String::new();
            for (i, item) in items.iter().enumerate() {
                let (a, b) = (blank.next().unwrap(), blank.next().unwrap());
                out.push_str(&format!("{}{a}{item}{b}", if i > 0 { "," } else { "" }));
            }
            out
        };
        let allocations = join(slots.iter().map(|s| place(s).map_or("null".to_owned(), |i| i.to_string())).collect());
        let free = join((0..8).rev().filter(|o| slots[*o].is_none()).map(|o| o.to_string()).collect());
        let attributes = join(used.iter().map(|u| format!("{{\"handle_id\":\"n.{u}\",\"secondary\":{{\"pod\":\"p{u}\",\"zz\":\"\\u00e4\"}},\"later\":{{\"n\":{}}}}}", u64::MAX)).collect());
        let numbers = join((0..8).filter(|o| slots[*o].is_some() && numbered[*o]).map(|o| format!("\"{o}\":{}", u64::MAX - o as u64)).collect());
        let name = if fold { "Allocations" } else { "allocations" };
        let value = format!(
            "{{\"cidr\":\"10.65.0.0/29\",\"{name}\":[{allocations}],\"invented\":[{{\"a\":1e999}}],\"unallocated\":[{free}],\
             \"attributes\":[{attributes}],\"sequenceNumber\":{sequence},\"sequenceNumberForAllocation\":{{{numbers}}},\"affinity\":\"host:n\"}}"
        );
        Made { value, allocated: (0..8).filter(|o| slots[*o as usize].is_some()).collect() }
    }
}

proptest! {
    /// Edit, then decode: the model changed as intended, stays sound, and what is foreign is still there.
    #[test]
    fn edit_then_decode_is_the_intended_change(made in made(), pick in any::<u8>(), cooling: bool) {
        let key = b"/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-29";
        let value = made.value.as_bytes();
        let ordinals: Vec<u32> = made.allocated.iter().copied().filter(|o| pick & (1 << o) != 0).collect();
        prop_assume!(!ordinals.is_empty());
        let freed = if cooling { Freed::Cooling(at(1_700_000_000)) } else { Freed::AtOnce };
        let after = release(value, &ordinals, freed).unwrap();
        same_but(key, value, &after, &Meant::Release { ordinals: &ordinals, freed }).unwrap();
        is_sound(&decode(&Names::default(), key, &after).unwrap().0).unwrap();
        let after = text(after);
        let invented = after.contains("\"invented\":[{\"a\":1e999}]");
        prop_assert!(invented);
        let kept = made.allocated.iter().any(|o| !ordinals.contains(o));
        prop_assert_eq!(after.contains("\"later\":{\"n\":18446744073709551615}"), kept);

        let fenced = fence(value).unwrap();
        same_but(key, value, &fenced, &Meant::Fence).unwrap();
        let mistaken = same_but(key, value, &fenced, &Meant::Release { ordinals: &ordinals, freed });
        prop_assert!(mistaken.is_err());
    }

    /// All bytes that an edit did not have to touch are the same ones: taking the digits of the fence away leaves the
    /// same text.
    #[test]
    fn the_fence_touches_only_its_digits(made in made()) {
        let before = made.value.as_bytes();
        let after = fence(before).unwrap();
        let digits = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let at = text.find("\"sequenceNumber\":").unwrap() + 17;
            let end = at + text[at..].find(|c: char| !c.is_ascii_digit()).unwrap();
            (text[..at].to_owned(), text[end..].to_owned())
        };
        prop_assert_eq!(digits(before), digits(&after));
    }

    /// A release and its undo leave the others alone, and the address is held again by the very bytes.
    #[test]
    fn undo_brings_the_very_attribute_back(made in made(), cooling: bool) {
        prop_assume!(!made.allocated.is_empty());
        let key = b"/calico/ipam/v2/assignment/ipv4/block/10.65.0.0-29";
        let ordinal = made.allocated[0];
        let freed = if cooling { Freed::Cooling(at(1_700_000_000)) } else { Freed::AtOnce };
        let old = attribute(made.value.as_bytes(), ordinal).unwrap();
        let released = release(made.value.as_bytes(), &[ordinal], freed).unwrap();
        let back = take_back(&released, ordinal, &old, freed.released_at().as_deref()).unwrap();
        same_but(key, &released, &back, &Meant::TakeBack { ordinal }).unwrap();
        prop_assert_eq!(attribute(&back, ordinal).unwrap(), old);
        is_sound(&decode(&Names::default(), key, &back).unwrap().0).unwrap();
    }
}
