//! Foreign text, held once: node, namespace and pod names, container ids, handle parts.
//!
//! Records hold a [`Name`] (four bytes); equal names are equal text, so joins compare numbers.
//! Nothing is ever removed: a snapshot and its second look share one table.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// A text of the table [`Names`]; the number means nothing outside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Name(u32);

impl Name {
    /// The empty text, which stands for "not given".
    pub const NONE: Name = Name(0);

    /// Whether this is the empty text.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The name, or `None` for the empty text.
    pub fn some(self) -> Option<Name> {
        (!self.is_none()).then_some(self)
    }
}

/// The table of all texts of one snapshot.
#[derive(Clone, Default)]
pub struct Names {
    text: String,
    ends: Vec<u32>,
    index: HashTable<Entry>,
    hasher: DefaultHashBuilder,
}

/// A text's place, with what tells it from others before its bytes are looked at: those are far away in memory.
#[derive(Clone, Copy)]
struct Entry {
    number: u32,
    hash: u32,
}

impl Entry {
    /// The table's own hash, spread from the half that is kept: the table looks at the top and at the bottom.
    fn spread(hash: u32) -> u64 {
        u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Names({} texts, {} bytes)", self.ends.len(), self.text.len())
    }
}

impl Names {
    /// The name of `text`, entered when it is new.
    ///
    /// More than 4 GiB of names cannot be told apart; further new text then reads as the empty name.
    pub fn intern(&mut self, text: &str) -> Name {
        if text.is_empty() {
            return Name::NONE;
        }
        let hash = self.hash(text);
        if let Some(found) = self.entry(hash, text) {
            return found;
        }
        let Ok(end) = u32::try_from(self.text.len() + text.len()) else { return Name::NONE };
        self.text.push_str(text);
        self.ends.push(end);
        let number = self.ends.len() as u32;
        self.index.insert_unique(Entry::spread(hash), Entry { number, hash }, |entry| Entry::spread(entry.hash));
        Name(number)
    }

    /// The name of `text` when the table has it.
    pub fn find(&self, text: &str) -> Option<Name> {
        if text.is_empty() {
            return Some(Name::NONE);
        }
        self.entry(self.hash(text), text)
    }

    fn hash(&self, text: &str) -> u32 {
        self.hasher.hash_one(text) as u32
    }

    fn entry(&self, hash: u32, text: &str) -> Option<Name> {
        let same = |entry: &Entry| entry.hash == hash && slice(&self.text, &self.ends, entry.number) == text;
        self.index.find(Entry::spread(hash), same).map(|entry| Name(entry.number))
    }

    /// The text of `name`; empty for [`Name::NONE`] and for a name of another table.
    pub fn get(&self, name: Name) -> &str {
        slice(&self.text, &self.ends, name.0)
    }
}

fn slice<'a>(text: &'a str, ends: &[u32], number: u32) -> &'a str {
    let number = number as usize;
    if number == 0 || number > ends.len() {
        return "";
    }
    let start = if number == 1 { 0 } else { ends[number - 2] as usize };
    &text[start..ends[number - 1] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_text_is_one_name() {
        let mut names = Names::default();
        let a = names.intern("slave-140");
        let b = names.intern("prod");
        assert_eq!(names.intern("slave-140"), a);
        assert_ne!(a, b);
        assert_eq!(names.get(a), "slave-140");
        assert_eq!(names.get(b), "prod");
        assert_eq!(names.find("slave-57"), None);
        assert_eq!(names.find("prod"), Some(b));
    }

    #[test]
    fn empty_is_none() {
        let mut names = Names::default();
        assert!(names.intern("").is_none());
        assert_eq!(names.get(Name::NONE), "");
    }
}
