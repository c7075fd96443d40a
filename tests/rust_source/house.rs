//! All files of a crate, and which of them names what of which.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Child, Source};

/// A file of the crate.
pub struct File {
    /// `src/checks/fold.rs`
    pub path: String,
    /// `["crate", "checks", "fold"]`
    pub module: Vec<String>,
    /// It, or a module above it, is there for tests alone.
    pub only_tests: bool,
    pub text: String,
    pub source: Source,
}

/// The files that are reached from a crate's root.
pub struct House {
    pub files: Vec<File>,
    /// Which file a module stands in.
    modules: BTreeMap<Vec<String>, usize>,
}

/// Something of one file that another one names.
#[derive(Clone)]
struct Edge {
    to: usize,
    line: usize,
    named: String,
}

impl House {
    /// Follows every `mod name;` from the file `root`. `text` gives a file's text, or `None` where there is no file.
    pub fn build(root: &str, text: &dyn Fn(&str) -> Option<String>) -> House {
        let mut house = House { files: Vec::new(), modules: BTreeMap::new() };
        let mut next = VecDeque::from([(root.to_owned(), vec!["crate".to_owned()], false)]);
        while let Some((path, module, only_tests)) = next.pop_front() {
            let read: String = text(&path).unwrap_or_else(|| panic!("{path}: no such file"));
            let names: Vec<&str> = module.iter().map(String::as_str).collect();
            let source = super::read(&read, &names);
            for child in &source.children {
                let found = places(&path, child, path == root);
                let found: Vec<&String> = found.iter().filter(|place| text(place).is_some()).collect();
                let [place] = found[..] else { panic!("{path}: mod {} is in {found:?}", child.name) };
                let module = [&module[..], std::slice::from_ref(&child.name)].concat();
                next.push_back((place.clone(), module, only_tests || child.only_tests));
            }
            let at = house.files.len();
            house.modules.extend(source.scopes.keys().map(|module| (module.clone(), at)));
            house.files.push(File { path, module, only_tests, text: read, source });
        }
        house
    }

    /// Every file that is no test.
    pub fn code(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| !file.only_tests)
    }

    /// The file in which stands what `path` means, through whatever hands it on. `None`: a module, or nothing of ours.
    fn file_of(&self, path: &[String], seen: &mut BTreeSet<Vec<String>>) -> Option<usize> {
        if path.first()? != "crate" || !seen.insert(path.to_vec()) {
            return None;
        }
        let mut module = &path[..1];
        for at in 1..path.len() {
            let file = *self.modules.get(module)?;
            let scope = &self.files[file].source.scopes[module];
            let (name, rest) = (&path[at], &path[at + 1..]);
            if scope.types.contains(name) || rest.is_empty() && scope.values.contains(name) {
                return Some(file);
            }
            let below = &path[..=at];
            if !rest.is_empty() && self.modules.contains_key(below) {
                module = below;
                continue;
            }
            let import = scope.imports.get(name).map(|import| [import, rest].concat());
            let globs = scope.globs.iter().map(|glob| [glob, &path[at..]].concat());
            return import.into_iter().chain(globs).find_map(|path| self.file_of(&path, seen));
        }
        None
    }

    fn edges(&self) -> Vec<Vec<Edge>> {
        let mut known: BTreeMap<&[String], Option<usize>> = BTreeMap::new();
        let mut all = Vec::new();
        for (from, file) in self.files.iter().enumerate() {
            let mut edges = Vec::new();
            for named in file.source.named.iter().filter(|_| !file.only_tests) {
                let to = known.entry(&named.path).or_insert_with(|| self.file_of(&named.path, &mut BTreeSet::new()));
                // A module hands on what its own files hold, and uses none of it thereby.
                let own = |to: usize| named.handed_on && self.files[to].module.starts_with(&file.module);
                if let Some(to) = to.filter(|to| *to != from && !own(*to) && !self.files[*to].only_tests) {
                    edges.push(Edge { to, line: named.line, named: named.to_string() });
                }
            }
            for child in file.source.children.iter().filter(|child| child.by_macro) {
                let module = [&file.module[..], std::slice::from_ref(&child.name)].concat();
                edges.push(Edge { to: self.modules[&module], line: 0, named: format!("mod {}", child.name) });
            }
            all.push(edges);
        }
        all
    }

    /// The shortest way from a file back to itself, once for each set of files of which all reach each other.
    pub fn circles(&self) -> Vec<String> {
        let edges = self.edges();
        let reached: Vec<BTreeSet<usize>> = (0..edges.len()).map(|at| reached(&edges, at)).collect();
        let mut sets: BTreeMap<Vec<usize>, Vec<(usize, Edge)>> = BTreeMap::new();
        for at in (0..edges.len()).filter(|at| reached[*at].contains(at)) {
            let set = reached[at].iter().copied().filter(|other| reached[*other].contains(&at)).collect();
            let way = way_back(&edges, at);
            let shortest = sets.entry(set).or_insert_with(|| way.clone());
            if way.len() < shortest.len() {
                *shortest = way;
            }
        }
        let step = |(from, edge): &(usize, Edge)| format!("{}:{}: {}", self.files[*from].path, edge.line, edge.named);
        sets.values().map(|way| way.iter().map(step).collect::<Vec<_>>().join("\n    ")).collect()
    }
}

/// Every file to which a way leads from `start`.
fn reached(edges: &[Vec<Edge>], start: usize) -> BTreeSet<usize> {
    let (mut found, mut next) = (BTreeSet::new(), vec![start]);
    while let Some(from) = next.pop() {
        next.extend(edges[from].iter().map(|edge| edge.to).filter(|to| found.insert(*to)));
    }
    found
}

/// The steps from a file back to itself; breadth first, so that they are as few as can be.
fn way_back(edges: &[Vec<Edge>], start: usize) -> Vec<(usize, Edge)> {
    let mut came: BTreeMap<usize, (usize, &Edge)> = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(from) = next.pop_front() {
        for edge in &edges[from] {
            came.entry(edge.to).or_insert_with(|| {
                next.push_back(edge.to);
                (from, edge)
            });
        }
    }
    let (mut way, mut at) = (Vec::new(), start);
    while let Some(&(from, edge)) = came.get(&at) {
        way.push((from, edge.clone()));
        at = from;
        if at == start {
            break;
        }
    }
    way.reverse();
    way
}

/// Where the file of a child may be.
fn places(path: &str, child: &Child, is_root: bool) -> Vec<String> {
    let (folder, file) = path.rsplit_once('/').unwrap();
    if let Some(given) = &child.path {
        return vec![flat(&format!("{folder}/{given}"))];
    }
    // `a/mod.rs` and the root have their children beside them, `a.rs` in the folder `a`.
    let below = match is_root || file == "mod.rs" {
        true => folder.to_owned(),
        false => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    vec![format!("{below}/{}.rs", child.name), format!("{below}/{}/mod.rs", child.name)]
}

/// Without `..`.
fn flat(path: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in path.split('/') {
        match word {
            ".." => _ = words.pop(),
            _ => words.push(word),
        }
    }
    words.join("/")
}
