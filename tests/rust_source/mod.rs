//! Reads Rust source as far as the layers test needs it: which paths a file names, on which line, and which names its
//! modules hold.
//!
//! `use` trees are spread out, the first word of a path is looked up among the file's own names, and what macros and
//! attributes are given is searched for paths, too. Whatever is under `#[cfg(test)]` is passed over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod house;

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, UseTree};

/// A path as `["crate", "model", "Snapshot"]` or `["std", "fs", "read"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub path: Vec<String>,
    /// `println` for `println!(…)`.
    pub is_macro: bool,
    /// Handed on by a `pub use`: by itself it is no use of what it names.
    pub handed_on: bool,
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.path.join("::"), if self.is_macro { "!" } else { "" })
    }
}

/// A `mod name;` of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    pub name: String,
    /// Under `#[cfg(test)]`.
    pub only_tests: bool,
    /// What `#[path = …]` says.
    pub path: Option<String>,
    /// Declared by a macro, which then names what is in it.
    pub by_macro: bool,
}

/// The names of one module.
#[derive(Debug, Default, Clone)]
pub struct Scope {
    /// Functions, constants and macros.
    values: BTreeSet<String>,
    /// Types, and modules written here.
    types: BTreeSet<String>,
    modules: BTreeSet<String>,
    imports: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

impl Scope {
    /// Imports that begin with a name of the module itself begin with the crate from here on.
    fn settle(&mut self, module: &[String]) {
        let taken: Vec<String> = self.imports.keys().cloned().collect();
        let is_own = |name: &str, first: &String| {
            self.modules.contains(first) || self.types.contains(first) || (name != first && taken.contains(first))
        };
        let settled = |name: &str, path: &[String]| match path.first() {
            Some(first) if is_own(name, first) => [module, path].concat(),
            _ => path.to_vec(),
        };
        let imports = self.imports.iter().map(|(name, path)| (name.clone(), settled(name, path))).collect();
        let globs = self.globs.iter().map(|path| settled("", path)).collect();
        (self.imports, self.globs) = (imports, globs);
    }
}

/// What a file says.
#[derive(Default)]
pub struct Source {
    pub named: Vec<Named>,
    pub children: Vec<Child>,
    /// The file's own module, and those written in it.
    pub scopes: BTreeMap<Vec<String>, Scope>,
    /// Structs, enums, aliases and traits, with their lines.
    pub types: Vec<(usize, String)>,
}

/// Everything that the text of a file holds but tests.
pub fn items(text: &str) -> Vec<Item> {
    parse(text, &mut Vec::new())
}

fn parse(text: &str, children: &mut Vec<Child>) -> Vec<Item> {
    let mut items = syn::parse_file(text).unwrap_or_else(|e| panic!("{e}: {text}")).items;
    drop_tests(&mut items, children);
    items
}

/// Reads the text of the module `module` (`["crate", "checks", "fold"]`).
pub fn read(text: &str, module: &[&str]) -> Source {
    let module: Vec<String> = module.iter().map(|s| (*s).to_owned()).collect();
    let mut source = Source::default();
    let items = parse(text, &mut source.children);
    let mut scopes = Scopes { module: module.clone(), source: &mut source };
    scopes.source.scopes.entry(module.clone()).or_default();
    items.iter().for_each(|item| scopes.visit_item(item));
    source.scopes.iter_mut().for_each(|(module, scope)| scope.settle(module));
    let mut paths = Paths { module, source: &mut source };
    items.iter().for_each(|item| paths.visit_item(item));
    source
}

fn attributes(item: &Item) -> &[Attribute] {
    macro_rules! of {
        ($($kind:ident)*) => { match item { $(Item::$kind(it) => &it.attrs,)* _ => &[] } };
    }
    of!(Const Enum ExternCrate Fn ForeignMod Impl Macro Mod Static Struct Trait TraitAlias Type Union Use)
}

fn is_test(attributes: &[Attribute]) -> bool {
    let is_it = |a: &Attribute| a.path().is_ident("cfg") && a.parse_args::<syn::Ident>().is_ok_and(|i| i == "test");
    attributes.iter().any(is_it)
}

/// Leaves code that is not compiled for tests alone, and lists the file's `mod name;`.
fn drop_tests(items: &mut Vec<Item>, children: &mut Vec<Child>) {
    for item in items.iter() {
        if let Item::Mod(it) = item
            && it.content.is_none()
        {
            let path = it.attrs.iter().find(|a| a.path().is_ident("path")).map(|a| match &a.meta {
                syn::Meta::NameValue(syn::MetaNameValue { value: syn::Expr::Lit(lit), .. }) => match &lit.lit {
                    syn::Lit::Str(text) => text.value(),
                    _ => String::new(),
                },
                _ => String::new(),
            });
            children.push(Child { name: it.ident.to_string(), only_tests: is_test(&it.attrs), path, by_macro: false });
        }
    }
    for item in items.iter() {
        if let Item::Macro(it) = item
            && it.ident.is_none()
        {
            children.extend(declared_in(it.mac.tokens.clone()));
        }
    }
    items.retain(|item| !is_test(attributes(item)));
    for item in items {
        match item {
            Item::Mod(it) => it.content.iter_mut().for_each(|(_, items)| drop_tests(items, &mut Vec::new())),
            Item::Impl(it) => it.items.retain(|item| !matches!(item, ImplItem::Fn(f) if is_test(&f.attrs))),
            _ => {}
        }
    }
}

/// `mod name;` among what a macro is given.
fn declared_in(tokens: TokenStream) -> Vec<Child> {
    let words: Vec<String> = tokens.into_iter().map(|token| token.to_string()).collect();
    let child = |name: &String| Child { name: name.clone(), only_tests: false, path: None, by_macro: true };
    let declares = |three: &&[String]| three[0] == "mod" && three[2] == ";";
    words.windows(3).filter(declares).map(|three| child(&three[1])).collect()
}

/// Every path of a `use` with the name that it brings; a glob ends in `*`.
fn spread(tree: &UseTree, before: &[String], found: &mut Vec<(usize, Vec<String>, String)>) {
    let with = |word: &syn::Ident| [before, &[word.to_string()]].concat();
    match tree {
        UseTree::Path(it) => spread(&it.tree, &with(&it.ident), found),
        UseTree::Group(it) => it.items.iter().for_each(|tree| spread(tree, before, found)),
        UseTree::Glob(it) => {
            found.push((it.star_token.span.start().line, [before, &["*".to_owned()]].concat(), String::new()));
        }
        UseTree::Name(it) if it.ident == "self" => {
            found.push((it.ident.span().start().line, before.to_vec(), before.last().unwrap().clone()));
        }
        UseTree::Name(it) => found.push((it.ident.span().start().line, with(&it.ident), it.ident.to_string())),
        UseTree::Rename(it) => {
            let path = if it.ident == "self" { before.to_vec() } else { with(&it.ident) };
            found.push((it.ident.span().start().line, path, it.rename.to_string()));
        }
    }
}

fn imports(item: &syn::ItemUse) -> Vec<(usize, Vec<String>, String)> {
    let mut found = Vec::new();
    let before = if item.leading_colon.is_some() { vec![String::new()] } else { Vec::new() };
    spread(&item.tree, &before, &mut found);
    found
}

/// `self` and `super` in words of the crate.
fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    let own = usize::from(path.first().is_some_and(|w| w == "self"));
    let ups = path[own..].iter().take_while(|w| *w == "super").count();
    match own + ups {
        0 => path.to_vec(),
        skipped => [&module[..module.len().saturating_sub(ups).max(1)], &path[skipped..]].concat(),
    }
}

/// First walk: what names are there.
struct Scopes<'a> {
    module: Vec<String>,
    source: &'a mut Source,
}

impl Scopes<'_> {
    fn scope(&mut self) -> &mut Scope {
        self.source.scopes.get_mut(&self.module).unwrap()
    }

    fn of_type(&mut self, name: &syn::Ident) {
        self.scope().types.insert(name.to_string());
        self.source.types.push((name.span().start().line, name.to_string()));
    }
}

impl<'ast> Visit<'ast> for Scopes<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Mod(it) => {
                self.scope().modules.insert(it.ident.to_string());
                if let Some((_, items)) = &it.content {
                    self.module.push(it.ident.to_string());
                    self.source.scopes.entry(self.module.clone()).or_default();
                    items.iter().for_each(|item| self.visit_item(item));
                    self.module.pop();
                }
            }
            Item::Struct(it) => self.of_type(&it.ident),
            Item::Enum(it) => self.of_type(&it.ident),
            Item::Union(it) => self.of_type(&it.ident),
            Item::Type(it) => self.of_type(&it.ident),
            Item::Trait(it) => self.of_type(&it.ident),
            Item::Fn(it) => _ = self.scope().values.insert(it.sig.ident.to_string()),
            Item::Const(it) => _ = self.scope().values.insert(it.ident.to_string()),
            Item::Static(it) => _ = self.scope().values.insert(it.ident.to_string()),
            Item::Macro(it) => self.scope().values.extend(it.ident.as_ref().map(ToString::to_string)),
            Item::Use(it) => {
                for (_, path, name) in imports(it) {
                    let path = absolute(&self.module, &path);
                    match path.split_last() {
                        Some((last, above)) if last == "*" => self.scope().globs.push(above.to_vec()),
                        _ => _ = self.scope().imports.insert(name, path),
                    }
                }
            }
            _ => {}
        }
        // Functions hold items, too.
        if !matches!(item, Item::Mod(_)) {
            visit::visit_item(self, item);
        }
    }
}

/// Second walk: what is named.
struct Paths<'a> {
    module: Vec<String>,
    source: &'a mut Source,
}

impl Paths<'_> {
    /// Words as they stand in code.
    fn name(&mut self, line: usize, path: &[String], is_macro: bool) {
        let scope = &self.source.scopes[&self.module];
        let mut named = Named { line, path: absolute(&self.module, path), is_macro, handed_on: false };
        let mut known = named.path != path || path[0] == "crate";
        // An import may begin with another one; each is taken once.
        let mut taken = BTreeSet::new();
        while let Some(first) = named.path.first() {
            let is_module = named.path.len() > 1 && scope.modules.contains(first);
            let is_own = scope.types.contains(first) || named.path.len() == 1 && scope.values.contains(first);
            match scope.imports.get(first) {
                _ if named.path.len() > 1 && (is_module || is_own) => {
                    named.path = [&self.module[..], &named.path].concat();
                    known = true;
                }
                Some(import) if taken.insert(first.clone()) => {
                    named.path = [import, &named.path[1..]].concat();
                    known = true;
                    continue;
                }
                _ => {}
            }
            break;
        }
        // What no name of this file explains may have come by a glob.
        if !known && !is_macro && !scope.globs.is_empty() && !scope.values.contains(&path[0]) {
            let path = [&self.module[..], path].concat();
            self.source.named.push(Named { path, ..named.clone() });
        }
        if known || is_macro || path.len() > 1 {
            // A leading `::` is an empty first word until here.
            named.path.retain(|word| !word.is_empty());
            self.source.named.push(named);
        }
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if let Some((_, items)) = &item.content {
            self.module.push(item.ident.to_string());
            items.iter().for_each(|item| self.visit_item(item));
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let handed_on = !matches!(item.vis, syn::Visibility::Inherited);
        for (line, path, _) in imports(item) {
            let from = self.source.named.len();
            match path.split_first() {
                // A crate of the same name as the import itself: `use kube::kube`.
                Some((first, _)) if !self.source.scopes[&self.module].modules.contains(first) => {
                    let mut path = absolute(&self.module, &path);
                    path.retain(|word| !word.is_empty());
                    self.source.named.push(Named { line, path, is_macro: false, handed_on });
                }
                _ => self.name(line, &path, false),
            }
            self.source.named[from..].iter_mut().for_each(|named| named.handed_on = handed_on);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            let colon = path.leading_colon.iter().map(|_| String::new());
            let words: Vec<String> = colon.chain(path.segments.iter().map(|s| s.ident.to_string())).collect();
            self.name(first.ident.span().start().line, &words, false);
        }
        visit::visit_path(self, path);
    }

    /// `pub(super)` names nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        let words: Vec<String> = call.path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.name(call.path.segments[0].ident.span().start().line, &words, true);
        self.visit_token_stream(&call.tokens);
    }

    /// What a macro or an attribute is given: no syntax, but paths look the same everywhere.
    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
        let punct = |at: usize, c: char| matches!(tokens.get(at), Some(TokenTree::Punct(p)) if p.as_char() == c);
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => self.visit_token_stream(&group.stream()),
                // `serialize_with = "a::b"`
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    if let Ok(path) = syn::parse_str::<syn::Path>(text.trim_matches('"'))
                        && path.segments.len() > 1
                    {
                        let words: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
                        self.name(literal.span().start().line, &words, false);
                    }
                }
                // What follows a dot is a field or a method.
                TokenTree::Ident(first) if at == 0 || !punct(at - 1, '.') || at > 1 && punct(at - 2, '.') => {
                    let absolute = at > 1 && punct(at - 1, ':') && punct(at - 2, ':');
                    let mut words: Vec<String> = absolute.then(String::new).into_iter().collect();
                    words.push(first.to_string());
                    while punct(at + 1, ':') && punct(at + 2, ':') {
                        let Some(TokenTree::Ident(word)) = tokens.get(at + 3) else { break };
                        words.push(word.to_string());
                        at += 3;
                    }
                    let called =
                        matches!(tokens.get(at + 2), Some(TokenTree::Group(g)) if g.delimiter() != Delimiter::None);
                    self.name(first.span().start().line, &words, punct(at + 1, '!') && called);
                }
                _ => {}
            }
            at += 1;
        }
    }
}
