//! What is shown of foreign text went through the escaping: where outputs are made, nobody takes it as it is.
//!
//! `Foreign` has no `Display`. What remains is to ask for the raw text, by `raw()` or from the table of names, and to show
//! that. `render` and `cli` do not, but for the files below, each of which says why.

use proc_macro2::{TokenStream, TokenTree};

use crate::house;
use crate::rust_source::house::House;

/// Who may take foreign text as it is, and for what. None of them shows it.
const MAY: &[(&str, &str)] = &[
    ("src/cli/again.rs", "makes keys of etcd of names, to read them again"),
    ("src/cli/boundaries.rs", "cuts etcd's ranges at the namespaces of blocks' owners"),
    ("src/cli/gather.rs", "parts a server's name from what it said"),
    ("src/cli/journal/earlier.rs", "reads back the plan that the history keeps"),
    ("src/cli/journal/record.rs", "gives addresses and handles on to the history"),
    ("src/cli/report_names.rs", "reads the ranges of pools that the history keeps"),
    ("src/cli/who_before.rs", "asks the history by names"),
    ("src/cli/who_deep.rs", "makes keys of etcd of names"),
    ("src/render/capacity.rs", "gives names of the table on as foreign text"),
    ("src/render/commands.rs", "takes commands apart, to make one of several"),
    ("src/render/places.rs", "looks for a node's name in what is told already"),
    ("src/render/release/by_hand.rs", "knows a transaction by its end"),
    ("src/render/release/notes.rs", "makes sentences of a plan's texts, and gives them on as foreign text"),
    (
        "src/render/release/reasons.rs",
        "makes sentences of many refusals as that table of one, and gives them on as foreign text",
    ),
    ("src/render/release/words.rs", "makes sentences of a plan's texts, and gives them on as foreign text"),
    ("src/render/report/commands.rs", "makes commands of names, and gives them on as foreign text"),
    ("src/render/table/tail.rs", "parts a reason at its input, to tell a shared one once"),
    ("src/render/verdict/blind.rs", "parts reasons, makes sentences of them, and gives them on as foreign text"),
    ("src/render/verdict/worst.rs", "makes sentences of findings' texts, and gives them on as foreign text"),
    ("src/render/view.rs", "gives names of the table on as foreign text"),
];

/// Whether this is a way to foreign text as it is: `x.raw()`, `Foreign::raw`, `names.text(name)` and its like, `Within`.
/// Evidence is asked for by a literal (`evidence.text("keep")`) and is foreign text.
fn is_way(tokens: &[TokenTree], at: usize) -> bool {
    let is = |at: Option<usize>, word: &str| at.and_then(|at| tokens.get(at)).is_some_and(|t| t.to_string() == word);
    let given = match tokens.get(at + 1) {
        Some(TokenTree::Group(group)) => Some(group.stream().into_iter().next()),
        _ => None,
    };
    let of = |mark| is(at.checked_sub(1), mark);
    match tokens[at].to_string().as_str() {
        "raw" => of(":") || of(".") && given.is_some(),
        "text" => of(".") && given.flatten().is_some_and(|first| !matches!(first, TokenTree::Literal(_))),
        "pair" => of(".") && given.flatten().is_some(),
        "get" => of(".") && is(at.checked_sub(2), "names"),
        "Within" => true,
        _ => false,
    }
}

/// Where such a way stands among these tokens, at every depth; what is compiled for tests alone is passed over.
fn ways(tokens: TokenStream, found: &mut Vec<(usize, String)>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        let attribute = matches!(&tokens[at], TokenTree::Punct(p) if p.as_char() == '#');
        if attribute && tokens.get(at + 1).is_some_and(|t| t.to_string().replace(' ', "") == "[cfg(test)]") {
            // Up to its end: a body, or a semicolon.
            let ends = |t: &TokenTree| match t {
                TokenTree::Group(group) => group.delimiter() == proc_macro2::Delimiter::Brace,
                other => other.to_string() == ";",
            };
            at += tokens[at..].iter().position(ends).map_or(tokens.len(), |length| length + 1);
            continue;
        }
        match &tokens[at] {
            TokenTree::Group(group) => ways(group.stream(), found),
            TokenTree::Ident(word) if is_way(&tokens, at) => found.push((word.span().start().line, word.to_string())),
            _ => {}
        }
        at += 1;
    }
}

/// What is taken where it must not be, and files that are excused and take nothing.
fn wrong(house: &House, may: &[(&str, &str)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut idle: Vec<&str> = may.iter().map(|(path, _)| *path).collect();
    for file in house.code().filter(|file| file.module.get(1).is_some_and(|room| room == "render" || room == "cli")) {
        let mut found = Vec::new();
        ways(file.text.parse().unwrap(), &mut found);
        match idle.iter().position(|path| *path == file.path) {
            Some(excused) if !found.is_empty() => _ = idle.remove(excused),
            _ => wrong.extend(found.iter().map(|(line, word)| format!("{}:{line}: {word}", file.path))),
        }
    }
    wrong.extend(idle.iter().map(|path| format!("{path} takes no foreign text as it is, and needs no excuse")));
    wrong
}

#[test]
fn outputs_take_no_foreign_text_as_it_is() {
    let wrong = wrong(house(), MAY);
    assert!(wrong.is_empty(), "show it by shown(), make sentences by foreign!:\n{}\n", wrong.join("\n"));
}

#[test]
fn every_way_is_found_and_look_alikes_are_not() {
    let files = [
        ("src/lib.rs", "mod render; mod cli; mod who;"),
        ("src/who.rs", "fn f(x: Foreign) { x.raw(); }"),
        (
            "src/render.rs",
            "fn f(x: Foreign) { format!(\"{}\", x.raw()); }\nfn g(x: Option<Foreign>) { x.as_ref().map(Foreign::raw); }\n\
             fn h() { snapshot.text(name); snapshot\n.pair(a, b); names.get(name); evidence.text(\"keep\"); list.get(1); }\n\
             fn i() { x.shown(); x.raw; raw(); text(name); Text::new().field(PLAIN, &x.shown()); }\n\
             fn j() { format!(\"{}\", Within(&x)); }\n\
             #[cfg(test)]\nfn k() { x.raw(); }\n#[cfg(test)]\nmod tests { fn l() { x.raw(); } }\nfn m() { x.raw(); }",
        ),
        ("src/cli.rs", "impl A { #[cfg(test)] fn f() { x.raw(); } fn g() { x.raw() } }"),
    ];
    let house = House::build("src/lib.rs", &|path| files.iter().find(|f| f.0 == path).map(|f| f.1.to_owned()));
    let found = |may| wrong(&house, may);
    let of_render = ["1: raw", "2: raw", "3: text", "4: pair", "4: get", "6: Within", "11: raw"];
    let mut all: Vec<String> = of_render.iter().map(|way| format!("src/render.rs:{way}")).collect();
    all.push("src/cli.rs:1: raw".to_owned());
    assert_eq!(found(&[]), all);
    let excused = found(&[("src/render.rs", "why"), ("src/who.rs", "why")]);
    assert_eq!(excused, ["src/cli.rs:1: raw", "src/who.rs takes no foreign text as it is, and needs no excuse"]);
}
