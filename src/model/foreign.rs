//! Text that others chose: it is shown escaped, or not at all.
//!
//! Whoever may create a pod or write to etcd chooses names that we print. [`Foreign`] has no `Display`, so what is
//! written for people goes through [`Foreign::shown`], and what is written for programs through `Serialize`.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

use super::escape::escape;

/// A name or a message of others, or a sentence that holds some.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
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
}

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

    /// A big cluster has hundreds of thousands of them.
    #[test]
    fn it_is_smaller_than_a_string() {
        assert_eq!(size_of::<Option<Foreign>>(), size_of::<&str>());
    }
}
