//! A check owns its code: nobody else knows the number.
//!
//! Who needs to name a check takes its `CHECK.code`; what is true of some checks is a field of `Check`. A list of numbers
//! elsewhere is silent when a new check is forgotten in it. Tests and documentation (comments, manuals, the help of flags)
//! may name numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ipaudit::checks::{ALL, FAMILIES, find};
use ipaudit::model::Code;
use syn::visit::{self, Visit};

/// What one file says of codes, outside its tests and its documentation.
#[derive(Default)]
struct Numbers {
    /// The number of its own `CHECK`.
    own: Option<u16>,
    /// `Code(101)`, `"… IPA101 …"`, `code.0 == 101`, `code = 101` in SQL.
    named: Vec<(u16, String)>,
    /// Modules for tests alone that have files of their own.
    tests: Vec<String>,
}

fn numbers(text: &str) -> Numbers {
    let mut numbers = Numbers::default();
    numbers.visit_file(&syn::parse_file(text).unwrap());
    numbers
}

/// Codes as people write them.
fn codes_in(text: &str) -> impl Iterator<Item = u16> {
    text.match_indices("IPA").filter_map(|(at, _)| text.get(at + 3..at + 6)?.parse().ok())
}

/// The numbers right behind each `mark`.
fn numbers_behind(text: &str, mark: &str) -> Vec<u16> {
    let behind = |(at, _)| {
        let digits = text.get(at + mark.len()..).unwrap_or_default().split(|c: char| !c.is_ascii_digit()).next();
        digits.unwrap_or_default().parse().ok()
    };
    text.match_indices(mark).filter_map(behind).collect()
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| {
        let text = if let syn::Meta::List(list) = &a.meta { list.tokens.to_string() } else { String::new() };
        a.path().is_ident("test") || a.path().is_ident("cfg") && text == "test"
    })
}

fn ends_in(path: &syn::Path, name: &str) -> bool {
    path.segments.last().is_some_and(|last| last.ident == name)
}

fn number(expression: &syn::Expr) -> Option<u16> {
    match expression {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(number), .. }) => number.base10_parse().ok(),
        _ => None,
    }
}

/// Whether a field of a `CHECK` is a section of its manual, which is documentation.
fn is_manual(field: &syn::Member) -> bool {
    let sections = ["finds", "matters", "arises", "action", "silent"];
    matches!(field, syn::Member::Named(name) if sections.iter().any(|section| name == section))
}

/// `code.0`, also of something.
fn is_bare_number(expression: &syn::Expr) -> bool {
    let syn::Expr::Field(syn::ExprField { base, member: syn::Member::Unnamed(index), .. }) = expression else {
        return false;
    };
    let named_code = match &**base {
        syn::Expr::Path(path) => ends_in(&path.path, "code"),
        syn::Expr::Field(syn::ExprField { member: syn::Member::Named(name), .. }) => name == "code",
        _ => false,
    };
    index.index == 0 && named_code
}

impl Numbers {
    fn text(&mut self, text: &str) {
        let sql = numbers_behind(text, "code = ");
        self.named.extend(codes_in(text).chain(sql).map(|code| (code, text.to_owned())));
    }

    /// Macros and attributes are tokens: whatever is a code in these.
    fn tokens(&mut self, tokens: &str) {
        self.text(tokens);
        let literals = numbers_behind(&tokens.replace(' ', ""), "Code(");
        self.named.extend(literals.into_iter().map(|code| (code, tokens.to_owned())));
    }
}

impl<'ast> Visit<'ast> for Numbers {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Const(i) => &i.attrs,
            syn::Item::Enum(i) => &i.attrs,
            syn::Item::Fn(i) => &i.attrs,
            syn::Item::Impl(i) => &i.attrs,
            syn::Item::Mod(i) => &i.attrs,
            syn::Item::Static(i) => &i.attrs,
            syn::Item::Struct(i) => &i.attrs,
            syn::Item::Use(i) => &i.attrs,
            _ => &Vec::new(),
        };
        match item {
            syn::Item::Mod(module) if is_for_tests(attributes) && module.content.is_none() => {
                self.tests.push(module.ident.to_string());
            }
            _ if is_for_tests(attributes) => {}
            syn::Item::Static(check) if check.ident == "CHECK" => {
                let syn::Expr::Struct(of_check) = &*check.expr else { panic!("CHECK is no struct") };
                let code = of_check.fields.iter().find_map(|field| match (&field.member, &field.expr) {
                    (syn::Member::Named(name), syn::Expr::Call(call)) if name == "code" => number(call.args.first()?),
                    _ => None,
                });
                self.own = Some(code.expect("CHECK says its code"));
                visit::visit_item(self, item);
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        if !is_for_tests(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        match &attribute.meta {
            syn::Meta::List(list) => self.tokens(&list.tokens.to_string()),
            syn::Meta::NameValue(value) if !attribute.path().is_ident("doc") => self.visit_expr(&value.value),
            _ => {}
        }
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        let tokens = mac.tokens.to_string();
        if ends_in(&mac.path, "matches") && tokens.replace(' ', "").contains("code.0,") {
            self.named.extend(numbers_behind(&tokens, ", ").into_iter().map(|code| (code, tokens.clone())));
        }
        self.tokens(&tokens);
    }

    fn visit_expr_struct(&mut self, expression: &'ast syn::ExprStruct) {
        let is_check = ends_in(&expression.path, "Check");
        let code = expression.fields.iter().filter(|field| !(is_check && is_manual(&field.member)));
        code.for_each(|field| self.visit_field_value(field));
        expression.rest.iter().for_each(|rest| self.visit_expr(rest));
    }

    fn visit_lit_str(&mut self, text: &'ast syn::LitStr) {
        self.text(&text.value());
    }

    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        if let syn::Expr::Path(path) = &*call.func
            && ends_in(&path.path, "Code")
        {
            self.named.extend(call.args.first().and_then(number).map(|code| (code, format!("Code({code})"))));
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_pat_tuple_struct(&mut self, pattern: &'ast syn::PatTupleStruct) {
        if ends_in(&pattern.path, "Code")
            && let Some(syn::Pat::Lit(syn::ExprLit { lit: syn::Lit::Int(code), .. })) = pattern.elems.first()
        {
            self.named.push((code.base10_parse().unwrap(), format!("Code({code})")));
        }
        visit::visit_pat_tuple_struct(self, pattern);
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        for (code, other) in [(&binary.left, &binary.right), (&binary.right, &binary.left)] {
            if is_bare_number(code) {
                self.named.extend(number(other).map(|code| (code, format!("code.0 against {code}"))));
            }
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_match(&mut self, of: &'ast syn::ExprMatch) {
        let parts =
            if let syn::Expr::Tuple(tuple) = &*of.expr { tuple.elems.iter().collect() } else { vec![&*of.expr] };
        if parts.into_iter().any(is_bare_number) {
            self.named.push((0, "a match on code.0".to_owned()));
        }
        visit::visit_expr_match(self, of);
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => walk(&entry, found),
            false if entry.extension().is_some_and(|e| e == "rs") => found.push(entry),
            false => {}
        }
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The folder in which the modules of a file are.
fn children(path: &Path) -> PathBuf {
    match path.file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs" | "main.rs") => path.parent().unwrap().to_owned(),
        _ => path.with_extension(""),
    }
}

#[test]
fn no_code_number_stands_outside_its_checks_file() {
    let mut paths = Vec::new();
    walk(&source(), &mut paths);
    paths.sort();
    let files: Vec<(PathBuf, Numbers)> =
        paths.into_iter().map(|p| (p.clone(), numbers(&std::fs::read_to_string(p).unwrap()))).collect();
    let tests: Vec<PathBuf> =
        files.iter().flat_map(|(path, file)| file.tests.iter().map(|name| children(path).join(name))).collect();
    let is_test = |path: &Path| tests.iter().any(|test| path.with_extension("").starts_with(test));
    let mut wrong = Vec::new();
    for (path, file) in files.iter().filter(|(path, _)| !is_test(path)) {
        let foreign = file.named.iter().filter(|(code, _)| Some(*code) != file.own);
        wrong.extend(foreign.map(|(code, text)| format!("{}: {code} in {text}", path.display())));
    }
    assert!(wrong.is_empty(), "take CHECK.code, or make it a field of Check:\n{}\n", wrong.join("\n"));
    let own: BTreeSet<Code> = files.iter().filter_map(|(_, file)| file.own).map(Code).collect();
    assert_eq!(own, ALL.iter().map(|check| check.code).collect(), "left: written, right: listed");
}

/// A family's folder holds checks alone, each in the file of its name, and in `common.rs` what several of them need.
#[test]
fn every_check_that_is_written_is_listed() {
    let mut written = Vec::new();
    for family in std::fs::read_dir(source().join("checks")).unwrap().map(|e| e.unwrap().path()) {
        if family.join("mod.rs").exists() {
            let files = std::fs::read_dir(family).unwrap().map(|e| e.unwrap().path());
            let is_check = |p: &PathBuf| !p.ends_with("mod.rs") && !p.ends_with("common.rs");
            let files = files.filter(|p| p.extension().is_some_and(|e| e == "rs") && is_check(p));
            written.extend(files.map(|p| p.file_stem().unwrap().to_str().unwrap().replace('_', "-")));
        }
    }
    written.sort();
    let mut listed: Vec<&str> = ALL.iter().map(|check| check.name).collect();
    listed.sort_unstable();
    assert_eq!(written, listed, "left: written, right: listed");
}

#[test]
fn checks_are_listed_by_code_in_the_family_of_their_hundred() {
    let codes: Vec<u16> = ALL.iter().map(|check| check.code.0).collect();
    assert!(codes.windows(2).all(|two| two[0] < two[1]), "{codes:?}");
    let hundreds = FAMILIES.map(|(_, checks)| checks.iter().map(|c| c.code.0 / 100).collect::<BTreeSet<u16>>());
    assert!(hundreds.iter().all(|hundreds| hundreds.len() == 1), "{hundreds:?}");
}

#[test]
fn manuals_name_only_checks_that_exist() {
    for check in ALL.iter() {
        let manual = [check.finds, check.matters, check.arises, check.action, check.silent];
        for code in manual.into_iter().flat_map(codes_in) {
            assert!(find(Code(code)).is_some(), "{} names IPA{code}", check.code);
        }
    }
}

// ---- The guard is guarded. ----

#[test]
fn numbers_are_found_and_look_alikes_are_not() {
    let named = |text: &str| numbers(text).named.into_iter().map(|(code, _)| code).collect::<Vec<_>>();
    for text in [
        "const LEAK: Code = Code(110);",
        "fn f() -> bool { code == model::Code(110) }",
        "fn f() { match code { Code(110) => {} _ => {} } }",
        "fn f() { if let (Code(110), x) = code {} }",
        "fn f() -> bool { finding.code.0 == 110 }",
        "fn f() -> bool { matches!(f.code.0, 110 | 201) }",
        "fn f() -> bool { matches!(f.code, Code(110)) }",
        "fn f() -> String { format!(\"see IPA110\") }",
        "fn f() -> &'static str { \"see IPA110\" }",
        "fn f() { read(\"SELECT x FROM finding WHERE f.code = 110\") }",
        "#[serde(expecting = \"IPA110\")]\nstruct X;",
        "const X: Check = Check { name: \"IPA110\", finds: \"\" };",
        "const X: Other = Other { finds: \"IPA110\" };",
        "#[cfg(not(test))]\nconst LEAK: Code = Code(110);",
    ] {
        assert_eq!(named(text), [110], "{text}");
    }
    assert!(!named("fn f() { match code.0 { 110 => {} _ => {} } }").is_empty());
    assert!(!named("fn f() { match (code.0, x) { (110, _) => {} _ => {} } }").is_empty());
    for text in [
        "/// IPA110\nstruct X;",
        "//! IPA110\nfn f() {}",
        "fn f() { // IPA110\n}",
        "struct X { /// IPA110\n x: u8 }",
        "#[cfg(test)]\nmod tests { const LEAK: Code = Code(110); }",
        "#[cfg(test)]\nfn f() { \"IPA110\" }",
        "impl X { #[cfg(test)]\nfn f() { \"IPA110\" } }",
        "fn f() -> Code { leaked_address::CHECK.code }",
        "fn f() { params![code.0, 110] }",
        "fn f(number: u16) -> Code { Code(number) }",
        "const X: Check = Check { finds: \"IPA110\", silent: \"IPA110\", ..BASE };",
        "fn f() { \"IPAM has 110\" }",
    ] {
        assert_eq!(named(text), [0u16; 0], "{text}");
    }
    assert_eq!(numbers("pub static CHECK: Check = Check { code: Code(110), run };").own, Some(110));
    assert_eq!(numbers("#[cfg(test)]\nmod tests;").tests, ["tests"]);
}
