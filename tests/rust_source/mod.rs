//! Reads Rust source as far as the layers test needs it: which paths a file names, and on which line.
//!
//! Comments, strings and everything under `#[cfg(test)]` are passed over; `use` trees are spread out; `self` and
//! `super` are resolved. It is no parser: what it does not understand it walks over, so it must never be the
//! only guard of anything but imports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

/// A path as `["crate", "model", "Snapshot"]` or `["std", "fs", "read"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub path: Vec<String>,
    /// `println` for `println!(…)`.
    pub is_macro: bool,
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
}

/// What a file says.
#[derive(Debug, Default)]
pub struct Source {
    pub named: Vec<Named>,
    pub children: Vec<Child>,
    /// Lines of `#[path = …]`, which would let a module live anywhere.
    pub moved: Vec<usize>,
}

/// Reads the text of the module `module` (`["crate", "checks", "fold"]`).
pub fn read(text: &str, module: &[&str]) -> Source {
    let tokens = tokens(text);
    let mut reader = Reader { tokens: &tokens, at: 0, module: owned(module), source: Source::default() };
    reader.items();
    let mut source = reader.source;
    drop_local_names(&mut source);
    source
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|s| (*s).to_owned()).collect()
}

/// A path that begins with a module of this file or with something imported is no outside name: the import
/// itself is in the list. Only so can `kube::insert` (our module) be told from `kube::Client` (the crate).
fn drop_local_names(source: &mut Source) {
    let mut local: BTreeSet<String> = source.children.iter().map(|c| c.name.clone()).collect();
    for named in source.named.iter().filter(|n| n.path.first().is_some_and(|f| f == "crate" || f == "std")) {
        local.extend(named.path.last().cloned());
    }
    source.named.retain(|n| n.is_macro || n.path.len() < 2 || n.path.first().is_some_and(|f| !local.contains(f)));
    for named in &mut source.named {
        // A leading `::` is an empty first word until here.
        named.path.retain(|word| !word.is_empty());
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    line: usize,
    /// A word, `::`, or one character of punctuation.
    text: String,
}

impl Token {
    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let from = at;
        let rest = &text[at..];
        let first = rest.chars().next().unwrap();
        let word = first.is_alphabetic() || first == '_';
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if rest.starts_with("/*") {
            at += block_comment(rest);
        } else if let Some(length) = string(rest) {
            at += length;
        } else if first == '\'' {
            at += quote(rest);
        } else if word || first.is_numeric() {
            at += rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            if word {
                tokens.push(Token { line, text: text[from..at].to_owned() });
            }
        } else if rest.starts_with("::") {
            at += 2;
            tokens.push(Token { line, text: "::".to_owned() });
        } else {
            at += first.len_utf8();
            if !first.is_whitespace() {
                tokens.push(Token { line, text: first.to_string() });
            }
        }
        line += text[from..at].matches('\n').count();
    }
    tokens
}

/// Length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += rest.chars().next().unwrap().len_utf8();
        }
    }
    at
}

/// Length of a string of whatever kind, if one begins here.
fn string(text: &str) -> Option<usize> {
    let prefix = text.find(|c: char| !"bcr".contains(c)).filter(|n| *n <= 2)?;
    let raw = text[..prefix].contains('r');
    let rest = &text[prefix..];
    let hashes = if raw { rest.len() - rest.trim_start_matches('#').len() } else { 0 };
    let body = rest[hashes..].strip_prefix('"')?;
    let before = prefix + hashes + 1;
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(before + body.find(&end).map_or(body.len(), |n| n + end.len()));
    }
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(before + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// Length of a character or of a lifetime's quote.
fn quote(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, c))) => {
            at + c.len_utf8() + text[at + c.len_utf8()..].find('\'').map_or(0, |n| n + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    /// Where we are, inline modules included.
    module: Vec<String>,
    source: Source,
}

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |t| &t.text)
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |t| t.line)
    }

    /// To the end of the file, or to the `}` that closes the block begun before.
    fn items(&mut self) {
        let mut depth = 0;
        let mut only_tests = false;
        while self.at < self.tokens.len() {
            match self.peek(0) {
                "#" => {
                    let attribute = self.attribute();
                    only_tests |= attribute == "cfg(test)";
                    continue;
                }
                "mod" if self.tokens.get(self.at + 1).is_some_and(Token::is_word) => {
                    self.module_item(only_tests);
                    only_tests = false;
                    continue;
                }
                "pub" => {
                    self.at += 1;
                    if self.peek(0) == "(" {
                        while self.at < self.tokens.len() && self.peek(0) != ")" {
                            self.at += 1;
                        }
                        self.at += 1;
                    }
                    continue;
                }
                _ if only_tests => {
                    self.skip_item();
                    only_tests = false;
                    continue;
                }
                // `use<…>` in a type is no import.
                "use" if self.peek(1) != "<" => {
                    self.use_item();
                    continue;
                }
                "{" => depth += 1,
                "}" if depth == 0 => return,
                "}" => depth -= 1,
                _ if self.path() => continue,
                _ => {}
            }
            self.at += 1;
        }
    }

    /// The text of an attribute without spaces and strings, as `cfg(test)`.
    fn attribute(&mut self) -> String {
        let line = self.line();
        self.at += 1;
        if self.peek(0) == "!" {
            self.at += 1;
        }
        let (mut text, mut depth) = (String::new(), 0);
        while self.at < self.tokens.len() {
            let token = self.peek(0);
            self.at += 1;
            match token {
                "[" => depth += 1,
                "]" => depth -= 1,
                _ => text.push_str(token),
            }
            if depth == 0 {
                break;
            }
        }
        if text == "path=" {
            self.source.moved.push(line);
        }
        text
    }

    fn module_item(&mut self, only_tests: bool) {
        let name = self.peek(1).to_owned();
        if self.peek(2) == ";" {
            self.at += 3;
            self.source.children.push(Child { name, only_tests });
        } else if only_tests {
            self.skip_item();
        } else {
            self.at += 3;
            self.module.push(name);
            self.items();
            self.module.pop();
            self.at += 1;
        }
    }

    /// To behind the `;` or the block that ends an item.
    fn skip_item(&mut self) {
        let mut depth = 0;
        while self.at < self.tokens.len() {
            let token = self.peek(0);
            self.at += 1;
            match token {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            // The `,` is that of a field or an argument with an attribute.
            if depth < 0 || depth == 0 && matches!(token, ";" | "}" | ",") {
                if depth < 0 {
                    self.at -= 1;
                }
                return;
            }
        }
    }

    fn use_item(&mut self) {
        self.at += 1;
        self.use_tree(&[]);
        while self.at < self.tokens.len() && self.peek(0) != ";" {
            self.at += 1;
        }
    }

    fn use_tree(&mut self, before: &[String]) {
        let line = self.line();
        let mut path = before.to_vec();
        loop {
            match self.peek(0) {
                "{" => {
                    self.at += 1;
                    // A `;` in here would be no import at all: it must not be waited for for ever.
                    while !matches!(self.peek(0), "}" | ";" | "") {
                        self.use_tree(&path);
                        if self.peek(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "::" => {
                    if path.is_empty() {
                        path.push(String::new());
                    }
                    self.at += 1;
                }
                "as" => {
                    // Left in the list under its own name: the alias is not to hide it.
                    self.at += 2;
                }
                "," | "}" | ";" | "" => break,
                word => {
                    path.push(word.to_owned());
                    self.at += 1;
                }
            }
        }
        self.name(line, path, false);
    }

    /// A path in code; false when none begins here.
    fn path(&mut self) -> bool {
        let line = self.line();
        let absolute = self.peek(0) == "::" && self.tokens.get(self.at + 1).is_some_and(Token::is_word);
        let Some(first) = self.tokens.get(self.at + usize::from(absolute)).filter(|t| t.is_word()) else {
            return false;
        };
        // What follows a dot is a field or a method.
        if self.at > 0 && self.tokens[self.at - 1].text == "." {
            return false;
        }
        let mut path = if absolute { vec![String::new()] } else { Vec::new() };
        path.push(first.text.clone());
        self.at += 1 + usize::from(absolute);
        while self.peek(0) == "::" && self.tokens.get(self.at + 1).is_some_and(Token::is_word) {
            path.push(self.peek(1).to_owned());
            self.at += 2;
        }
        let is_macro = self.peek(0) == "!" && self.peek(1) != "=";
        if is_macro || path.len() > 1 {
            self.name(line, path, is_macro);
        }
        true
    }

    fn name(&mut self, line: usize, path: Vec<String>, is_macro: bool) {
        let path = match path.first().map(String::as_str) {
            Some("self") if path.len() > 1 => [&self.module[..], &path[1..]].concat(),
            Some("super") => {
                let ups = path.iter().take_while(|w| *w == "super").count();
                let above = self.module.len().saturating_sub(ups).max(1);
                [&self.module[..above], &path[ups..]].concat()
            }
            _ => path,
        };
        self.source.named.push(Named { line, path, is_macro });
    }
}
