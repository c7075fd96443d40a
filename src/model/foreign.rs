//! Text that others chose: it is shown escaped, or not at all.
//!
//! Whoever may create a pod or write to etcd chooses names that we print. [`Foreign`] has no `Display`, so what is
//! written for people goes through [`Foreign::shown`], and what is written for programs through `Serialize`. A sentence
//! that holds some is made by `foreign!` and is foreign text itself.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::{self, Display};

use serde::{Deserialize, Serialize, Serializer};

use super::escape::escape;

/// A name or a message of others, or a sentence that holds some.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Deserialize)]
pub struct Foreign(Box<str>);

impl Foreign {
    /// As it is: for identity, joins, keys, SQL and stamps, never to be shown.
    pub fn raw(&self) -> &str {
        &self.0
    }

    /// For people: what would move the cursor, reorder or hide text is spelled out.
    pub fn shown(&self) -> Cow<'_, str> {
        escape(&self.0)
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, or `None` for the empty one.
    pub fn some(&self) -> Option<&Foreign> {
        (!self.is_empty()).then_some(self)
    }

    /// Whether `other` stands somewhere in it.
    pub fn has(&self, other: &Foreign) -> bool {
        self.0.contains(&*other.0)
    }

    /// Which of two comes first by the rule `compare`.
    pub fn cmp_by(&self, other: &Foreign, compare: fn(&str, &str) -> Ordering) -> Ordering {
        compare(&self.0, &other.0)
    }

    /// An id by its first eight characters, where it has more than `most`.
    pub fn short(&self, most: usize) -> Foreign {
        if self.0.chars().count() <= most {
            return self.clone();
        }
        Foreign(self.0.chars().take(8).chain(['…']).collect())
    }

    /// All of them in one line, `between` between two.
    pub fn joined(parts: impl IntoIterator<Item = impl Part>, between: &str) -> Foreign {
        let parts: Vec<String> = parts.into_iter().map(|part| Within(&part).to_string()).collect();
        parts.join(between).into()
    }
}

/// What can stand in a sentence: text of our own as it is shown, foreign text as it is.
pub trait Part {
    /// Writes it into the sentence.
    ///
    /// # Errors
    /// As the formatter's.
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<T: Display + ?Sized> Part for T {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt(f)
    }
}

impl Part for Foreign {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Part for &Foreign {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A part within a sentence that `foreign!` makes; nothing else may hold one.
pub struct Within<'p, T: ?Sized>(pub &'p T);

impl<T: Part + ?Sized> Display for Within<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

/// `foreign!("held by {} on {}", pod, node)`: a sentence that may hold foreign text, and is foreign text itself. What is
/// named within the braces is our own (`{count}`): foreign text has no `Display`.
macro_rules! foreign {
    ($text:literal $(, $part:expr)* $(,)?) => {
        $crate::model::Foreign::from(format!($text $(, $crate::model::foreign::Within(&$part))*))
    };
}
pub(crate) use foreign;

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.shown(), f)
    }
}

impl Serialize for Foreign {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<T: Into<Box<str>>> From<T> for Foreign {
    fn from(text: T) -> Foreign {
        Foreign(text.into())
    }
}

impl<T: AsRef<str> + ?Sized> PartialEq<T> for Foreign {
    fn eq(&self, other: &T) -> bool {
        &*self.0 == other.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_spelled_out_for_people_and_nothing_is_lost() {
        let name = Foreign::from("net.3f2c\r\neth0\u{202e}");
        assert_eq!(name.shown(), "net.3f2c\\r\\neth0\\u{202e}");
        assert_eq!(format!("{name:?}"), r#""net.3f2c\\r\\neth0\\u{202e}""#);
        assert_eq!(serde_json::to_value(&name).unwrap(), *name.raw());
        assert_eq!(name, "net.3f2c\r\neth0\u{202e}");
    }

    #[test]
    fn a_sentence_that_holds_foreign_text_is_foreign_text() {
        let (pod, node, count) = (Foreign::from("shop/web\r"), String::from("node-1"), 3);
        let said = foreign!("{count} of {} on {}, {}", pod, node, &pod);
        assert_eq!(said, "3 of shop/web\r on node-1, shop/web\r");
        assert_eq!(said.shown(), "3 of shop/web\\r on node-1, shop/web\\r");
        assert_eq!(Foreign::joined([&pod, &said], "; "), "shop/web\r; 3 of shop/web\r on node-1, shop/web\r");
        assert!(said.has(&pod) && !pod.has(&said));
        assert_eq!(
            (Foreign::from("0123456789").short(8), Foreign::from("01234567").short(8)),
            ("01234567…".into(), "01234567".into())
        );
    }

    /// A big cluster has hundreds of thousands of them.
    #[test]
    fn it_is_smaller_than_a_string() {
        assert_eq!(size_of::<Option<Foreign>>(), size_of::<&str>());
    }
}
