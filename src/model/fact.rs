//! The facts that a finding was made from: named, typed, in a fixed order.

use serde::{Serialize, Serializer};

use super::{Addr, Cidr, Foreign, Time};

/// One piece of evidence; JSON has its value alone.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
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

macro_rules! fact_from {
    ($($kind:ty: $value:ident => $fact:expr,)*) => {
        $(impl From<$kind> for Fact {
            fn from($value: $kind) -> Fact {
                $fact
            }
        })*
    };
}
fact_from! {
    bool: flag => Fact::Flag(flag),
    i64: number => Fact::Number(number),
    i32: number => Fact::Number(number.into()),
    u32: number => Fact::Number(number.into()),
    u64: number => Fact::Sequence(number),
    usize: number => Fact::Sequence(number as u64),
    &str: text => Fact::Text(text.into()),
    String: text => Fact::Text(text.into()),
    Foreign: text => Fact::Text(text),
    &Foreign: text => Fact::Text(text.clone()),
    Addr: address => Fact::Text(address.to_string().into()),
    Cidr: cidr => Fact::Text(cidr.to_string().into()),
    Time: time => Fact::Time(time),
    Evidence: fields => Fact::Fields(fields),
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

    /// A fact that is a number from 0 on.
    pub fn count(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Fact::Sequence(number) => Some(*number),
            Fact::Number(number) => u64::try_from(*number).ok(),
            _ => None,
        }
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
        serializer.collect_map(self.0.iter().map(|(name, fact)| (name, fact)))
    }
}
