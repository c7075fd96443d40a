//! Enums that are kept and shown as words, and the words of other versions.

use std::fmt;

use serde::{Serialize, Serializer};

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
    Other(Box<str>),
}

impl<T: Spelled> Term<T> {
    /// What `word` says.
    pub fn of(word: &str) -> Term<T> {
        let known = T::VALUES.iter().find(|value| value.spelled() == word);
        known.map_or_else(|| Term::Other(word.into()), |value| Term::Known(*value))
    }

    /// The word; foreign text where it is another version's.
    pub fn word(&self) -> &str {
        match self {
            Term::Known(value) => value.spelled(),
            Term::Other(word) => word,
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

impl<T> From<T> for Term<T> {
    fn from(value: T) -> Term<T> {
        Term::Known(value)
    }
}

impl<T: Spelled> Serialize for Term<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Grade, Sharing, State, SubjectKind, Use};

    fn are_told_apart<T: Spelled>() {
        for value in T::VALUES {
            assert_eq!(Term::of(value.spelled()), Term::Known(*value));
        }
        let other = Term::<T>::of("of tomorrow");
        assert_eq!((other.word(), other.known()), ("of tomorrow", None));
        assert_eq!(serde_json::to_string(&other).unwrap(), "\"of tomorrow\"");
    }

    #[test]
    fn a_word_is_its_value_or_stays_what_it_is() {
        are_told_apart::<Grade>();
        are_told_apart::<Sharing>();
        are_told_apart::<State>();
        are_told_apart::<SubjectKind>();
        are_told_apart::<Use>();
    }
}
