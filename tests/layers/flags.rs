//! A flag that nobody reads is a promise that is not kept.
//!
//! Many commands have a `--db` or an `--all`, so a field counts as read only where what it is read from is known to be
//! of its type: a parameter, `self`, a field of another type of ours, or a name that was given such a value.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Expr, Fields, GenericArgument, Pat, PathArguments, Type};

use crate::house;
use crate::rust_source::{self, house::House};

/// A type and its field.
type Field = (String, String);

/// Last word of a type, through references and what only holds it.
fn word(of: &Type) -> Option<String> {
    match of {
        Type::Reference(it) => word(&it.elem),
        Type::Path(it) => {
            let last = it.path.segments.last()?;
            match &last.arguments {
                PathArguments::AngleBracketed(inside) if ["Box", "Option", "Arc"].iter().any(|w| last.ident == w) => {
                    inside.args.iter().find_map(|arg| match arg {
                        GenericArgument::Type(of) => word(of),
                        _ => None,
                    })
                }
                _ => Some(last.ident.to_string()),
            }
        }
        _ => None,
    }
}

/// What is declared: of every struct its fields and their types, and which fields clap fills.
#[derive(Default)]
struct Declared {
    types: BTreeMap<Field, String>,
    flags: BTreeSet<Field>,
    /// What a variant of an enum holds: `Command::Audit`.
    variants: BTreeMap<String, String>,
}

impl<'ast> Visit<'ast> for Declared {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let derives = |a: &syn::Attribute| {
            let mut is_clap = false;
            _ = a.path().is_ident("derive").then(|| {
                a.parse_nested_meta(|meta| {
                    let last = meta.path.segments.last();
                    is_clap |= last.is_some_and(|l| l.ident == "Args" || l.ident == "Parser");
                    Ok(())
                })
            });
            is_clap
        };
        let is_clap = item.attrs.iter().any(derives);
        for field in &item.fields {
            let Some(name) = &field.ident else { continue };
            let key = (item.ident.to_string(), name.to_string());
            self.types.extend(word(&field.ty).map(|of| (key.clone(), of)));
            if is_clap {
                self.flags.insert(key);
            }
        }
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        for variant in &item.variants {
            if let Fields::Unnamed(fields) = &variant.fields
                && let Some(of) = fields.unnamed.first().and_then(|field| word(&field.ty))
            {
                self.variants.insert(format!("{}::{}", item.ident, variant.ident), of);
            }
        }
    }
}

/// What is read, function by function.
struct Read<'a> {
    declared: &'a Declared,
    /// Names in sight and their types.
    known: BTreeMap<String, String>,
    own: Option<String>,
    read: BTreeSet<Field>,
}

impl Read<'_> {
    /// The type of a value, where it can be told without asking the compiler.
    fn type_of(&self, value: &Expr) -> Option<String> {
        match value {
            Expr::Path(it) => {
                let name = it.path.get_ident()?.to_string();
                if name == "self" { self.own.clone() } else { self.known.get(&name).cloned() }
            }
            Expr::Field(it) => match &it.member {
                syn::Member::Named(name) => {
                    self.declared.types.get(&(self.type_of(&it.base)?, name.to_string())).cloned()
                }
                syn::Member::Unnamed(_) => None,
            },
            Expr::Reference(it) => self.type_of(&it.expr),
            Expr::Paren(it) => self.type_of(&it.expr),
            Expr::Unary(it) => self.type_of(&it.expr),
            // `args.clone()`, `some.as_ref()`
            Expr::MethodCall(it) if ["clone", "as_ref", "as_mut"].iter().any(|m| it.method == m) => {
                self.type_of(&it.receiver)
            }
            _ => None,
        }
    }

    fn parameters(&mut self, signature: &syn::Signature) {
        for input in &signature.inputs {
            if let syn::FnArg::Typed(input) = input
                && let Pat::Ident(name) = &*input.pat
                && let Some(of) = word(&input.ty)
            {
                self.known.insert(name.ident.to_string(), of);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Read<'_> {
    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.own = word(&item.self_ty);
        visit::visit_item_impl(self, item);
        self.own = None;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        let before = self.known.clone();
        self.parameters(&item.sig);
        visit::visit_item_fn(self, item);
        self.known = before;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.known.clear();
        self.parameters(&item.sig);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        visit::visit_local(self, local);
        if let Pat::Type(said) = &local.pat
            && let (Pat::Ident(name), Some(of)) = (&*said.pat, word(&said.ty))
        {
            self.known.insert(name.ident.to_string(), of);
        }
        if let (Pat::Ident(name), Some(init)) = (&local.pat, &local.init)
            && let Some(of) = self.type_of(&init.expr)
        {
            self.known.insert(name.ident.to_string(), of);
        }
    }

    /// `Command::Audit(args)`
    fn visit_pat_tuple_struct(&mut self, pattern: &'ast syn::PatTupleStruct) {
        let words: Vec<String> = pattern.path.segments.iter().map(|s| s.ident.to_string()).collect();
        let variant = words[words.len().saturating_sub(2)..].join("::");
        if let (Some(Pat::Ident(name)), Some(of)) = (pattern.elems.first(), self.declared.variants.get(&variant)) {
            self.known.insert(name.ident.to_string(), of.clone());
        }
        visit::visit_pat_tuple_struct(self, pattern);
    }

    /// `let View { all, .. } = view`
    fn visit_pat_struct(&mut self, pattern: &'ast syn::PatStruct) {
        if let Some(last) = pattern.path.segments.last() {
            let is_own = last.ident == "Self";
            let of = if is_own { self.own.clone().unwrap_or_default() } else { last.ident.to_string() };
            for field in &pattern.fields {
                if let syn::Member::Named(name) = &field.member
                    && !matches!(*field.pat, Pat::Wild(_))
                {
                    self.read.insert((of.clone(), name.to_string()));
                }
            }
        }
        visit::visit_pat_struct(self, pattern);
    }

    fn visit_expr_assign(&mut self, assign: &'ast syn::ExprAssign) {
        // What is written is not read thereby.
        match &*assign.left {
            Expr::Field(it) => self.visit_expr(&it.base),
            left => self.visit_expr(left),
        }
        self.visit_expr(&assign.right);
    }

    fn visit_expr_field(&mut self, field: &'ast syn::ExprField) {
        if let (syn::Member::Named(name), Some(of)) = (&field.member, self.type_of(&field.base)) {
            self.read.insert((of, name.to_string()));
        }
        visit::visit_expr_field(self, field);
    }

    /// `format!("{}", args.release)`, `json!({"all": args.all})`
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        fn values(tokens: proc_macro2::TokenStream, read: &mut Read<'_>) {
            let tokens: Vec<proc_macro2::TokenTree> = tokens.into_iter().collect();
            for at in 0..tokens.len() {
                if let proc_macro2::TokenTree::Group(group) = &tokens[at] {
                    values(group.stream(), read);
                    continue;
                }
                // `a.b.c`, as far as it goes on.
                let is_dot =
                    |t: &proc_macro2::TokenTree| matches!(t, proc_macro2::TokenTree::Punct(p) if p.as_char() == '.');
                let is_word = |t: &proc_macro2::TokenTree| matches!(t, proc_macro2::TokenTree::Ident(_));
                let goes_on =
                    |(n, t): &(usize, &proc_macro2::TokenTree)| if n % 2 == 0 { is_word(t) } else { is_dot(t) };
                let chain = tokens[at..].iter().enumerate().take_while(goes_on).map(|(_, t)| t.clone());
                let mut chain: Vec<_> = chain.collect();
                if chain.len() % 2 == 0 {
                    chain.pop();
                }
                if let Ok(value) = syn::parse2::<Expr>(chain.into_iter().collect()) {
                    read.visit_expr(&value);
                }
            }
        }
        values(call.tokens.clone(), self);
    }
}

/// Flags that are declared and not read.
fn idle(house: &House) -> (usize, Vec<String>) {
    let mut declared = Declared::default();
    let items: Vec<syn::Item> = house.code().flat_map(|file| rust_source::items(&file.text)).collect();
    items.iter().for_each(|item| declared.visit_item(item));
    let mut read = Read { declared: &declared, known: BTreeMap::new(), own: None, read: BTreeSet::new() };
    items.iter().for_each(|item| read.visit_item(item));
    let idle = declared.flags.difference(&read.read).map(|(of, field)| format!("{of}::{field}"));
    (declared.flags.len(), idle.collect())
}

#[test]
fn every_declared_flag_is_read() {
    let (flags, idle) = idle(house());
    assert!(flags > 60, "{flags}");
    assert!(idle.is_empty(), "read by nobody: {idle:?}");
}

#[test]
fn an_idle_flag_is_found_though_another_of_its_name_is_read() {
    let text = "
        #[derive(Parser)] struct Cli { #[command(flatten)] view: View, #[command(subcommand)] command: Command }
        enum Command { Go(Box<Go>) }
        #[derive(Debug, clap::Args)] struct Go { all: bool, rate: u8, node: u8, named: bool, db: Db }
        #[derive(Args)] struct View { all: bool, wide: bool }
        #[derive(Args)] struct Db { path: u8, wait: u8, mode: u8 }
        struct Other { wide: bool }
        impl Db { fn open(&self) { println!(\"{}\", self.path); let Self { wait, mode: _, .. } = self; } }
        fn main(cli: Cli, other: &Other) {
            other.wide;
            let view = &cli.view;
            view.all;
            match cli.command { Command::Go(args) => { args.rate; args.named = true; json!({\"node\": [args.node]}); args.db.open(); } }
        }";
    let house = House::build("src/lib.rs", &|_| Some(text.to_owned()));
    assert_eq!(idle(&house).1, ["Db::mode", "Go::all", "Go::named", "View::wide"]);
}
