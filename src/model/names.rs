//! Foreign text, held once: node, namespace and pod names, container ids, handle parts.
//!
//! Values hold a [`Name`] (four bytes); equal names are equal text, so joins compare numbers.
//! Nothing is ever removed: a snapshot and its second look share one table.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

/// A text of the table [`Names`]; the number means nothing outside it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Name(u32);

impl Name {
    /// The empty text, which stands for "not given".
    pub const NONE: Name = Name(0);

    /// `eth0`: the first text of every table.
    pub const ETH0: Name = Name(1);

    /// Whether this is the empty text.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The number, for what is written down and read again beside the same table.
    pub(super) const fn number(self) -> u32 {
        self.0
    }

    /// The name of [`Name::number`].
    pub(super) const fn of_number(number: u32) -> Name {
        Name(number)
    }

    /// The name, or `None` for the empty text.
    pub fn some(self) -> Option<Name> {
        (!self.is_none()).then_some(self)
    }
}

/// The table of all texts of one snapshot.
///
/// One string holds them all, each behind its length; a name is the place. So a text is one step away in memory,
/// which counts: hundreds of thousands of names lie in no order that anybody asks for them in.
#[derive(Clone)]
pub struct Names {
    text: String,
    index: HashTable<Entry>,
    hasher: DefaultHashBuilder,
}

/// A text's name, with what tells it from others before its bytes are looked at.
#[derive(Clone, Copy)]
struct Entry {
    name: Name,
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
        write!(f, "Names({} texts, {} bytes)", self.index.len(), self.text.len())
    }
}

/// The text of [`Name::ETH0`].
const ETH0: &str = "eth0";

impl Default for Names {
    fn default() -> Names {
        let mut names = Names { text: String::new(), index: HashTable::new(), hasher: DefaultHashBuilder::default() };
        names.intern(ETH0);
        names
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
        self.enter(hash, text)
    }

    /// [`Names::intern`] of many texts; where the table is still empty, none of them may be given twice.
    pub fn intern_all(&mut self, texts: &[&str]) -> Vec<Name> {
        let bytes = texts.iter().map(|text| text.len() + 2).sum::<usize>();
        // Some more will come, and then the table should not be twice as big.
        self.text.reserve_exact(bytes + bytes / 8);
        self.index.reserve(texts.len(), |entry| Entry::spread(entry.hash));
        let is_empty = self.index.len() == 1;
        let enter = |text: &&str| match is_empty && !text.is_empty() && *text != ETH0 {
            true => self.enter(self.hash(text), text),
            false => self.intern(text),
        };
        texts.iter().map(enter).collect()
    }

    fn enter(&mut self, hash: u32, text: &str) -> Name {
        // The place of its length, counted from 1.
        let Ok(place) = u32::try_from(self.text.len() + 1) else { return Name::NONE };
        let name = Name(place);
        push_length(&mut self.text, text.len());
        self.text.push_str(text);
        self.index.insert_unique(Entry::spread(hash), Entry { name, hash }, |entry| Entry::spread(entry.hash));
        name
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
        let same = |entry: &Entry| entry.hash == hash && self.get(entry.name) == text;
        self.index.find(Entry::spread(hash), same).map(|entry| entry.name)
    }

    /// The text of `name`; empty for [`Name::NONE`]. Of another table's name it says nothing that makes sense.
    pub fn get(&self, name: Name) -> &str {
        self.stored(name).unwrap_or_default()
    }

    fn stored(&self, name: Name) -> Option<&str> {
        let mut at = (name.0 as usize).checked_sub(1)?;
        let (mut length, mut shift) = (0usize, 0);
        loop {
            let digit = usize::from(*self.text.as_bytes().get(at)?);
            length |= (digit & (MORE - 1)).checked_shl(shift)?;
            (at, shift) = (at + 1, shift + DIGIT_BITS);
            if digit & MORE == 0 {
                return self.text.get(at..at.checked_add(length)?);
            }
        }
    }
}

/// Bits of a length in one byte of it, the lowest first; only ASCII, since it stands among text.
const DIGIT_BITS: u32 = 6;
/// Says that another byte of the length follows.
const MORE: usize = 1 << DIGIT_BITS;

fn push_length(text: &mut String, mut length: usize) {
    while length >= MORE {
        text.push(char::from(((length % MORE) | MORE) as u8));
        length >>= DIGIT_BITS;
    }
    text.push(char::from(length as u8));
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
    fn every_table_begins_with_eth0() {
        let mut names = Names::default();
        assert_eq!((names.find("eth0"), names.get(Name::ETH0)), (Some(Name::ETH0), "eth0"));
        assert_eq!(names.intern("eth0"), Name::ETH0);
    }

    #[test]
    fn texts_of_every_length_come_back() {
        let mut names = Names::default();
        let texts: Vec<String> = [1, 2, 63, 64, 65, 4_095, 4_096, 300_000].map(|n| "é".repeat(n)).into();
        let held: Vec<Name> = texts.iter().map(|text| names.intern(text)).collect();
        for (text, name) in texts.iter().zip(&held) {
            assert_eq!((names.intern(text), names.find(text)), (*name, Some(*name)));
            assert_eq!(names.get(*name), text);
        }
        assert!(held.is_sorted(), "names are ordered as they were entered");
        // A name of another table is no reason to panic.
        for number in 0..5_000 {
            names.get(Name(number));
        }
        names.get(Name(u32::MAX));
    }

    #[test]
    fn many_are_entered_as_one_by_one() {
        let texts = ["a", "eth0", "", "b", "slave-140"];
        for before in [&[][..], &["b"]] {
            let (mut names, mut one_by_one) = (Names::default(), Names::default());
            before.iter().for_each(|text| _ = (names.intern(text), one_by_one.intern(text)));
            assert_eq!(names.intern_all(&texts), texts.map(|text| one_by_one.intern(text)));
            for text in texts {
                assert_eq!(names.find(text), one_by_one.find(text));
                assert_eq!(names.get(names.find(text).unwrap()), text);
            }
        }
    }

    #[test]
    fn empty_is_none() {
        let mut names = Names::default();
        assert!(names.intern("").is_none());
        assert_eq!(names.get(Name::NONE), "");
    }
}
