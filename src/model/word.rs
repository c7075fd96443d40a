//! Enums that are kept and shown as words, and the words of other versions.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Foreign;
use super::foreign::Part;

/// An enum each of whose values has a word that never changes: in JSON, in the history, in what is shown. Made by
/// `words!`.
pub trait Spelled: Copy + PartialEq + fmt::Debug + 'static {
    /// Every value.
    const VALUES: &'static [Self];

    /// The word of this value.
    fn spelled(self) -> &'static str;
}

/// Gives an enum its words: `ALL`, `word`, [`Spelled`], and itself as that word in JSON.
macro_rules! words {
    ($name:ident { $($value:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every value.
            pub const ALL: [$name; [$($word),+].len()] = [$($name::$value),+];

            /// The word in JSON, in the history and in what is shown; never changes.
            pub const fn word(self) -> &'static str {
                match self {
                    $($name::$value => $word),+
                }
            }
        }

        impl $crate::model::word::Spelled for $name {
            const VALUES: &'static [$name] = &$name::ALL;

            fn spelled(self) -> &'static str {
                self.word()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.word())
            }
        }
    };
}
pub(crate) use words;

/// What a word of the history says. Another version may have written one that this one does not know: that is kept as
/// it is, and taken for nothing else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Term<T> {
    Known(T),
    Other(Foreign),
}

impl<T: Spelled> Term<T> {
    /// What `word` says.
    pub fn of(word: &str) -> Term<T> {
        let known = T::VALUES.iter().find(|value| value.spelled() == word);
        known.map_or_else(|| Term::Other(word.into()), |value| Term::Known(*value))
    }

    /// The word as it is: for the history, hashes and comparisons, never to be shown. Another version's is foreign text.
    pub fn raw(&self) -> &str {
        match self {
            Term::Known(value) => value.spelled(),
            Term::Other(word) => word.raw(),
        }
    }

    /// The word for people; another version's as [`Foreign::shown`].
    pub fn shown(&self) -> Cow<'_, str> {
        match self {
            Term::Known(value) => value.spelled().into(),
            Term::Other(word) => word.shown(),
        }
    }

    /// The value, when this version knows it.
    pub fn known(&self) -> Option<T> {
        match self {
            Term::Known(value) => Some(*value),
            Term::Other(_) => None,
        }
    }
}

impl<T: Spelled> Part for Term<T> {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.raw())
    }
}

impl<T> From<T> for Term<T> {
    fn from(value: T) -> Term<T> {
        Term::Known(value)
    }
}

impl<T: Spelled> Serialize for Term<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.raw())
    }
}

impl<'de, T: Spelled> Deserialize<'de> for Term<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Term<T>, D::Error> {
        Foreign::deserialize(deserializer).map(|word| Term::of(word.raw()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conclusion, Grade, Input, InputState, Sharing, State, SubjectKind, Use};

    fn are_told_apart<T: Spelled>() {
        for value in T::VALUES {
            assert_eq!(Term::of(value.spelled()), Term::Known(*value));
        }
        let other = Term::<T>::of("of tomorrow");
        assert_eq!((other.raw(), other.known()), ("of tomorrow", None));
        let json = serde_json::to_string(&other).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str::<Term<T>>(&json).unwrap()), ("\"of tomorrow\"", other));
        assert_eq!(Term::<T>::of("\u{1b}[2J\u{202e}").shown(), "\\x1b[2J\\u{202e}", "a file's word is foreign text");
    }

    #[test]
    fn a_word_is_its_value_or_stays_what_it_is() {
        are_told_apart::<Conclusion>();
        are_told_apart::<Grade>();
        are_told_apart::<Input>();
        are_told_apart::<InputState>();
        are_told_apart::<Sharing>();
        are_told_apart::<State>();
        are_told_apart::<SubjectKind>();
        are_told_apart::<Use>();
    }
}
