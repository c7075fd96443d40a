//! The facts that a finding was made from: named, typed, in a fixed order.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::{Addr, Cidr, Foreign, Time};

/// One piece of evidence.
#[derive(Clone, PartialEq, Debug)]
pub enum Fact {
    Null,
    Flag(bool),
    Number(i64),
    /// Sequence numbers are above 2^53: shown as they are, never through a float.
    Sequence(u64),
    Text(Foreign),
    Time(Time),
    List(Vec<Fact>),
    Fields(Evidence),
}

impl Fact {
    fn as_text(&self) -> Option<&Foreign> {
        if let Fact::Text(text) = self { Some(text) } else { None }
    }
}

impl Serialize for Fact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Fact::Null => serializer.serialize_unit(),
            Fact::Flag(flag) => serializer.serialize_bool(*flag),
            Fact::Number(number) => serializer.serialize_i64(*number),
            Fact::Sequence(number) => serializer.serialize_u64(*number),
            Fact::Text(text) => text.serialize(serializer),
            Fact::Time(time) => time.serialize(serializer),
            Fact::List(list) => {
                let mut seq = serializer.serialize_seq(Some(list.len()))?;
                for fact in list {
                    seq.serialize_element(fact)?;
                }
                seq.end()
            }
            Fact::Fields(fields) => fields.serialize(serializer),
        }
    }
}

impl From<bool> for Fact {
    fn from(flag: bool) -> Fact {
        Fact::Flag(flag)
    }
}
impl From<i64> for Fact {
    fn from(number: i64) -> Fact {
        Fact::Number(number)
    }
}
impl From<i32> for Fact {
    fn from(number: i32) -> Fact {
        Fact::Number(i64::from(number))
    }
}
impl From<u32> for Fact {
    fn from(number: u32) -> Fact {
        Fact::Number(i64::from(number))
    }
}
impl From<u64> for Fact {
    fn from(number: u64) -> Fact {
        Fact::Sequence(number)
    }
}
impl From<usize> for Fact {
    fn from(number: usize) -> Fact {
        Fact::Sequence(number as u64)
    }
}
impl From<&str> for Fact {
    fn from(text: &str) -> Fact {
        Fact::Text(text.into())
    }
}
impl From<String> for Fact {
    fn from(text: String) -> Fact {
        Fact::Text(text.into())
    }
}
impl From<Addr> for Fact {
    fn from(address: Addr) -> Fact {
        Fact::Text(address.to_string().into())
    }
}
impl From<Cidr> for Fact {
    fn from(cidr: Cidr) -> Fact {
        Fact::Text(cidr.to_string().into())
    }
}
impl From<Time> for Fact {
    fn from(time: Time) -> Fact {
        Fact::Time(time)
    }
}
impl From<Evidence> for Fact {
    fn from(fields: Evidence) -> Fact {
        Fact::Fields(fields)
    }
}
impl<T: Into<Fact>> From<Option<T>> for Fact {
    fn from(value: Option<T>) -> Fact {
        value.map_or(Fact::Null, Into::into)
    }
}
impl<T: Into<Fact>> From<Vec<T>> for Fact {
    fn from(list: Vec<T>) -> Fact {
        Fact::List(list.into_iter().map(Into::into).collect())
    }
}

/// Named facts in a fixed order: what the claim was made from.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Evidence(pub Vec<(&'static str, Fact)>);

impl Evidence {
    /// No facts yet.
    pub fn new() -> Evidence {
        Evidence::default()
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, fact: impl Into<Fact>) -> Evidence {
        self.0.push((name, fact.into()));
        self
    }

    /// Adds a fact in place.
    pub fn push(&mut self, name: &'static str, fact: impl Into<Fact>) {
        self.0.push((name, fact.into()));
    }

    /// The fact of this name.
    pub fn get(&self, name: &str) -> Option<&Fact> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, fact)| fact)
    }

    /// A fact that is a text.
    pub fn text(&self, name: &str) -> Option<&Foreign> {
        self.get(name)?.as_text()
    }

    /// The texts of a fact that is a list.
    pub fn texts(&self, name: &str) -> impl Iterator<Item = &Foreign> {
        self.list(name).iter().filter_map(Fact::as_text)
    }

    /// The entries of a fact that is a list.
    pub fn entries(&self, name: &str) -> impl Iterator<Item = &Evidence> {
        self.list(name).iter().filter_map(|fact| if let Fact::Fields(fields) = fact { Some(fields) } else { None })
    }

    fn list(&self, name: &str) -> &[Fact] {
        if let Some(Fact::List(list)) = self.get(name) { list } else { &[] }
    }
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, fact) in &self.0 {
            map.serialize_entry(name, fact)?;
        }
        map.end()
    }
}
