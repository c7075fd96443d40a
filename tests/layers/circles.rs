//! Files do not go in circles: whoever reads one can read on without coming back to it.

use crate::house;
use crate::root;
use crate::rust_source::house::House;

#[test]
fn no_files_go_in_circles() {
    assert!(house().files.len() > 40, "src/ was not found");
    let bench = House::build("benches/audit/main.rs", &|path| std::fs::read_to_string(root().join(path)).ok());
    let circles = [house().circles(), bench.circles()].concat();
    assert!(circles.is_empty(), "\n{}\n", circles.join("\n"));
}

/// The circles of a crate of these files.
fn circles(files: &[(&str, &str)]) -> Vec<String> {
    House::build("src/lib.rs", &|path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned()))
        .circles()
}

#[test]
fn circles_are_found() {
    let two: &[(&str, &str)] = &[
        ("src/lib.rs", "mod a; mod b;"),
        ("src/a.rs", "use crate::b::B; pub struct A(B);"),
        ("src/b.rs", "pub struct B; fn f() { crate::a::A; }"),
    ];
    assert_eq!(circles(two), ["src/a.rs:1: crate::b::B\n    src/b.rs:1: crate::a::A"]);
    let three: &[(&str, &str)] = &[
        ("src/lib.rs", "mod a; mod b; mod c;"),
        ("src/a.rs", "use super::b; fn f() { b::f(); }"),
        ("src/b.rs", "pub fn f() { vec![super::c::C::new()]; }"),
        ("src/c.rs", "use crate::a;\npub struct C { x: Option<a::A> }"),
    ];
    assert!(circles(three).is_empty(), "a has no A");
    let mut whole = three.to_vec();
    whole[1].1 = "use super::b; pub type A = u8; fn f() { b::f(); }";
    assert_eq!(circles(&whole).len(), 1);
    assert!(circles(&whole)[0].ends_with("src/c.rs:2: crate::a::A"), "{:?}", circles(&whole));
    let through_super: &[(&str, &str)] = &[
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", "mod b; pub const X: u8 = 1; fn f() { b::f(); }"),
        ("src/a/b.rs", "pub fn f() { mod inner { fn g() { super::super::X; } } }"),
    ];
    assert_eq!(circles(through_super).len(), 1);
    let handed_on: &[(&str, &str)] = &[
        ("src/lib.rs", "mod a; mod b;"),
        ("src/a/mod.rs", "mod deep; pub use deep::{Deep as D, g}; pub use crate::b::*;"),
        ("src/a/deep.rs", "pub struct Deep; pub fn g() { crate::b::f() }"),
        ("src/b.rs", "use crate::a; pub fn f() -> a::D { a::D }"),
    ];
    assert_eq!(circles(handed_on).len(), 1);
    let through_a_glob: &[(&str, &str)] = &[
        ("src/lib.rs", "mod a; mod b;"),
        ("src/a.rs", "use crate::b::*; pub struct A; fn f(b: B) {}"),
        ("src/b.rs", "pub struct B; impl From<crate::a::A> for B {}"),
    ];
    assert_eq!(circles(through_a_glob).len(), 1);
}

/// A macro that declares modules names what is in them.
#[test]
fn modules_that_a_macro_declares_are_followed() {
    let listed: &[(&str, &str)] = &[
        ("src/lib.rs", "mod a;"),
        ("src/a/mod.rs", "list! { \"A\" pub mod b; pub mod c; } fn common() {}"),
        ("src/a/b.rs", "fn f() { super::common(); }"),
        ("src/a/c.rs", ""),
    ];
    assert_eq!(circles(listed), ["src/a/mod.rs:0: mod b\n    src/a/b.rs:1: crate::a::common"]);
}

#[test]
fn what_goes_one_way_is_no_circle() {
    let straight: &[(&str, &str)] = &[
        ("src/lib.rs", "mod a; mod b; pub use a::A;"),
        ("src/a/mod.rs", "mod x; mod y; pub use x::X; pub use y::{self, Y}; pub struct A;"),
        ("src/a/x.rs", "use super::Y; use super::y; pub struct X(Y); fn f() { y::f(); }"),
        ("src/a/y.rs", "pub struct Y; pub fn f() {}\n#[cfg(test)]\nmod tests { use crate::a::X; fn f() { X; } }"),
        ("src/b.rs", "use crate::{A, a}; #[cfg(test)] mod t; fn f() { a::X; A; }"),
        ("src/b/t.rs", "fn f() { crate::b::f(); }"),
    ];
    assert_eq!(circles(straight), Vec::<String>::new());
}
