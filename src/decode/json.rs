//! How Calico's JSON is read: borrowed, once, and as leniently as Calico itself reads it.
//!
//! Calico decodes with Go's `encoding/json`: names of fields match in any case, an unknown field is
//! ignored, of a field that stands twice the last counts, and `null` leaves a field unset. serde's derived
//! code differs in all four, and an error where Calico sees none would darken a block for nothing: hence
//! [`object!`]. What Go rejects (a wrong type, a number that does not fit) is an error here too.
//! Text is borrowed from the value unless it holds escapes ([`GoString`]); nothing here knows what a field means.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{IgnoredAny, Visitor};
use serde::{Deserialize, Deserializer};

/// Longest piece of foreign text that a reason repeats, in characters.
const QUOTED: usize = 80;

/// Longest reason, in characters.
const REASON: usize = 240;

/// Why a key or value does not decode.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bad {
    /// Byte position in the value, when known.
    pub offset: Option<usize>,
    /// One line for people.
    pub reason: String,
}

impl Bad {
    /// A reason that belongs to no place in the value.
    pub fn new(reason: impl Into<String>) -> Bad {
        Bad { offset: None, reason: reason.into() }
    }

    /// `text`, which stands in `value`, is not `what` (as in "is no address").
    pub fn text(value: &[u8], field: &str, text: &str, what: &str) -> Bad {
        let mut shown: String = text.chars().take(QUOTED).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        Bad { offset: place(value, text), reason: format!("{field}: {shown:?} is no {what}") }
    }

    /// serde_json's error, its line and column turned into a byte position.
    fn json(value: &str, error: &serde_json::Error) -> Bad {
        let full = error.to_string();
        let cut = full.rfind(" at line ").filter(|_| error.line() > 0).unwrap_or(full.len());
        let mut reason: String = full.chars().take(full[..cut].chars().count().min(REASON)).collect();
        if reason.len() < cut {
            reason.push('…');
        }
        // Fields are named from the outside in: "spec: bgp: invalid type". Control bytes cannot come through,
        // since serde quotes foreign text; a line break in a field's name could not either.
        let reason = reason.replace(char::is_control, " ");
        Bad { offset: offset(value, error.line(), error.column()), reason }
    }
}

/// Where `text` stands in `value`, when it was borrowed from it.
fn place(value: &[u8], text: &str) -> Option<usize> {
    let at = (text.as_ptr() as usize).checked_sub(value.as_ptr() as usize)?;
    (at.checked_add(text.len())? <= value.len()).then_some(at)
}

/// The byte of a 1-based line and column (in bytes); column 0 is the line's start, line 0 says nothing.
fn offset(value: &str, line: usize, column: usize) -> Option<usize> {
    let start = match line {
        0 => return None,
        1 => 0,
        _ => value.bytes().enumerate().filter(|(_, b)| *b == b'\n').nth(line - 2)?.0 + 1,
    };
    Some((start + column.saturating_sub(1)).min(value.len()))
}

/// Reads one whole value.
pub(super) fn parse<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, Bad> {
    if value.is_empty() {
        return Err(Bad { offset: Some(0), reason: "the value is empty".to_owned() });
    }
    if value.starts_with("\u{feff}".as_bytes()) {
        return Err(Bad { offset: Some(0), reason: "a byte order mark stands before the object".to_owned() });
    }
    let text = std::str::from_utf8(value)
        .map_err(|e| Bad { offset: Some(e.valid_up_to()), reason: "the value is not UTF-8".to_owned() })?;
    serde_json::from_str(text).map_err(|e| Bad::json(text, &e))
}

/// Reads one resource: its metadata, if it has any, and its `spec`.
pub(super) fn resource<'a, S>(value: &'a [u8]) -> Result<(Option<Metadata<'a>>, S), Bad>
where
    S: Default + Deserialize<'a>,
{
    let Resource { metadata, spec, .. } = parse(value)?;
    Ok((metadata, spec.unwrap_or_default()))
}

/// Reads one resource's `spec`, whatever its metadata.
pub(super) fn spec<'a, S: Default + Deserialize<'a>>(value: &'a [u8]) -> Result<S, Bad> {
    let Resource::<'a, IgnoredAny, S> { spec, .. } = parse(value)?;
    Ok(spec.unwrap_or_default())
}

/// Text, borrowed unless it holds escapes. (`Cow` alone would be copied by serde inside `Option` and `Vec`.)
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct GoString<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for GoString<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The text of a field; `None` when absent, null or empty, which are one and the same to Go's zero values.
pub(super) fn given<'a>(field: &'a Option<GoString<'_>>) -> Option<&'a str> {
    field.as_deref().filter(|text| !text.is_empty())
}

/// An ordinal or an index: any 64-bit number, held at the ends of 32 bits, where it is just as invalid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordinal(pub i32);

impl<'de> Deserialize<'de> for Ordinal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ordinal, D::Error> {
        let number = i64::deserialize(deserializer)?;
        Ok(Ordinal(number.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32))
    }
}

/// Which of an object's fields a name is.
pub(super) trait FieldName {
    fn of(name: &str) -> Self;
}

/// Reads a field's name.
pub(super) struct NameReader<F>(pub PhantomData<F>);

impl<F: FieldName> Visitor<'_> for NameReader<F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<F, E> {
        Ok(F::of(name))
    }
}

/// Puts the field's name before an error; serde_json keeps the position that stands at the text's end.
pub(super) fn named<T, E: serde::de::Error>(field: &str, result: Result<T, E>) -> Result<T, E> {
    result.map_err(|error| E::custom(format_args!("{field}: {error}")))
}

/// Structs of optional fields that read themselves as Go would: see the module's head.
///
/// `[fold T]` matches names in any case, `[exact T]` to the letter; values of unknown fields are read as a `T`
/// and dropped.
macro_rules! object {
    (@fold fold) => { true };
    (@fold exact) => { false };
    ($(
        $(#[$doc:meta])*
        [$case:ident $other:ty] struct $name:ident<$life:lifetime $(, $part:ident)*> {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal,)*
        }
    )+) => {$(
        $(#[$doc])*
        #[derive(Default, Debug)]
        pub(super) struct $name<$life $(, $part)*> {
            $($(#[$field_doc])* pub(super) $field: Option<$type>,)*
            /// Whether it had a field that is none of these.
            #[allow(dead_code, reason = "few objects are asked")]
            pub(super) has_others: bool,
            life: std::marker::PhantomData<&$life ()>,
        }

        impl<'de: $life, $life $(, $part: Default + serde::Deserialize<'de>)*> serde::Deserialize<'de>
            for $name<$life $(, $part)*>
        {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // Named as the fields are.
                #[allow(non_camel_case_types)]
                enum Field {
                    $($field,)*
                    Unknown,
                }

                impl crate::decode::json::FieldName for Field {
                    fn of(name: &str) -> Field {
                        match name {
                            $($key => Field::$field,)*
                            $(_ if crate::decode::json::object!(@fold $case) && $key.eq_ignore_ascii_case(name) => {
                                Field::$field
                            })*
                            _ => Field::Unknown,
                        }
                    }
                }

                impl<'de> serde::Deserialize<'de> for Field {
                    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Field, D::Error> {
                        deserializer.deserialize_identifier(crate::decode::json::NameReader(std::marker::PhantomData))
                    }
                }

                struct ObjectVisitor<$life $(, $part)*>(std::marker::PhantomData<(&$life (), ($($part,)*))>);

                impl<'de: $life, $life $(, $part: Default + serde::Deserialize<'de>)*> serde::de::Visitor<'de>
                    for ObjectVisitor<$life $(, $part)*>
                {
                    type Value = $name<$life $(, $part)*>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut object = $name::default();
                        while let Some(field) = map.next_key()? {
                            match field {
                                $(Field::$field => {
                                    object.$field = crate::decode::json::named($key, map.next_value())?;
                                })*
                                Field::Unknown => {
                                    object.has_others = true;
                                    map.next_value::<$other>()?;
                                }
                            }
                        }
                        Ok(object)
                    }
                }

                deserializer.deserialize_map(ObjectVisitor(std::marker::PhantomData))
            }
        }
    )+};
}
pub(super) use object;

object! {
    /// A resource of Calico's; `M` is [`Metadata`], or whatever stands there.
    [fold serde::de::IgnoredAny] struct Resource<'a, M, S> {
        metadata: M = "metadata",
        spec: S = "spec",
    }

    /// `metadata` of a resource.
    [fold serde::de::IgnoredAny] struct Metadata<'a> {
        created: GoString<'a> = "creationTimestamp",
        deleting: GoString<'a> = "deletionTimestamp",
    }
}
