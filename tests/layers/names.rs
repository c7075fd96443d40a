//! No two types share a name: who reads `Outcome` knows which one is meant.

use std::collections::BTreeMap;

use crate::house;
use crate::rust_source::house::House;

/// Names of several types, with the places of each. Whatever a command is told is its `Args`.
fn shared(house: &House) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in house.code() {
        for (line, name) in file.source.types.iter().filter(|(_, name)| name != "Args") {
            places.entry(name.clone()).or_default().push(format!("{}:{line}", file.path));
        }
    }
    places.retain(|_, places| places.len() > 1);
    places
}

#[test]
fn no_two_types_share_a_name() {
    let shared = shared(house());
    assert!(shared.is_empty(), "give one of them a name of its own: {shared:#?}");
}

#[test]
fn shared_names_are_found_and_look_alikes_are_not() {
    let files = [
        ("src/lib.rs", "mod a;\npub struct One; enum Two {} type Three = u8; trait Four { type One; } struct Args;"),
        (
            "src/a.rs",
            "struct Two; struct Args;\nimpl Four for Two { type Three = u8; }\nfn f() { struct One; }\n\
             #[cfg(test)] mod tests { struct Four; }",
        ),
    ];
    let house = House::build("src/lib.rs", &|path| files.iter().find(|f| f.0 == path).map(|f| f.1.to_owned()));
    let found = shared(&house);
    assert_eq!(found.keys().collect::<Vec<_>>(), ["One", "Two"]);
    assert_eq!(found["One"], ["src/lib.rs:2", "src/a.rs:3"]);
}
