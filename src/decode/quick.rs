//! What Calico usually writes, read without a grammar.
//!
//! Calico's library writes a kind in one shape: Go's `encoding/json` gives the fields of a struct in their order, without
//! white space, each literal the same; only the texts between differ. So the literals are compared and the texts are
//! taken up to the next quote, where a parser looks at every byte for what it may be.
//!
//! **`None` says nothing about a value**: the parser reads it then. Whatever is not exactly of the shape is `None`: other
//! order, white space, any escape or control character in it, bad UTF-8, an unknown or doubled field, `null` where a text
//! stands, a number with a sign or too big. What is answered here is what the parser answers (`quick/tests.rs`); nothing
//! here knows what a field means.
//!
//! The shapes are those of Calico's source (`WorkloadEndpointSpec`, `AllocationBlock`, `AllocationHandle`) of 2024 and of
//! 3.34, by whose library the golden cases were written; a later field stands in its place or is absent
//! (`affinity_claim_time`, `alternateOwnerAttrs`, `releasedAt`). Left to the parser: endpoints with floating addresses
//! (`ipNATs`) or `qosControls`, and blocks of old versions, without sequence numbers, with `hostAffinity` or
//! `strictAffinity`.

use std::borrow::Cow;

use memchr::memchr;

use super::block::{RawAttribute, RawBlock, RawOwner};
use super::endpoint::RawSpec;
use super::handle::RawHandle;
use super::json::{GoString, Metadata, Ordinal};
use super::pairs::Pairs;
use super::sequences::Sequences;

/// What is left of a value in which no byte is a backslash or a control character: a text ends at the next quote.
struct Unread<'a>(&'a str);

impl<'a> Unread<'a> {
    fn of(value: &'a [u8]) -> Option<Unread<'a>> {
        // Without an early end and in bytes, so that it goes many at a time.
        let odd = value.iter().fold(0, |odd, &byte| odd | u8::from(byte < b' ') | u8::from(byte == b'\\'));
        if odd != 0 {
            return None;
        }
        std::str::from_utf8(value).ok().map(Unread)
    }

    /// Takes `literal` when it comes next.
    fn has(&mut self, literal: &str) -> bool {
        match self.0.strip_prefix(literal) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn must(&mut self, literal: &str) -> Option<()> {
        self.has(literal).then_some(())
    }

    /// Everything up to the next quote, which is taken too.
    fn raw_text(&mut self) -> Option<&'a str> {
        let (text, rest) = self.0.split_at_checked(memchr(b'"', self.0.as_bytes())?)?;
        self.0 = rest.get(1..)?;
        Some(text)
    }

    fn text(&mut self) -> Option<GoString<'a>> {
        self.raw_text().map(|text| GoString(Cow::Borrowed(text)))
    }

    /// The text behind `literal`; `Some(None)` when something else comes next.
    fn field(&mut self, literal: &str) -> Option<Option<GoString<'a>>> {
        if self.has(literal) { self.text().map(Some) } else { Some(None) }
    }

    /// A number without sign, as JSON writes it.
    fn number(&mut self) -> Option<u64> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        // No number in JSON begins with a zero that is not all of it, and an empty one is none.
        if number.starts_with('0') && digits > 1 {
            return None;
        }
        number.parse().ok()
    }

    /// What a list holds behind its `[`, each read by `item`, up to its `]`.
    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        if self.has("]") {
            return Some(());
        }
        loop {
            item(self)?;
            if !self.has(",") {
                return self.must("]");
            }
        }
    }

    /// What an object holds behind its `{`, each name read by `member` with what follows it, up to its `}`.
    fn object(&mut self, mut member: impl FnMut(&mut Self, &'a str) -> Option<()>) -> Option<()> {
        if self.has("}") {
            return Some(());
        }
        loop {
            self.must("\"")?;
            let name = self.raw_text()?;
            self.must(":")?;
            member(self, name)?;
            if !self.has(",") {
                return self.must("}");
            }
        }
    }

    /// An object of texts that nobody asks for.
    fn texts(&mut self) -> Option<()> {
        self.object(|rest, _| {
            rest.must("\"")?;
            rest.raw_text().map(drop)
        })
    }

    /// A list of texts that nobody asks for.
    fn text_list(&mut self) -> Option<()> {
        self.list(|rest| {
            rest.must("\"")?;
            rest.raw_text().map(drop)
        })
    }
}

/// An endpoint.
pub(super) fn endpoint(value: &[u8]) -> Option<(Metadata<'_>, RawSpec<'_>)> {
    let mut rest = Unread::of(value)?;
    let mut metadata = Metadata::default();
    metadata.has_others = true;
    rest.must(r#"{"kind":"WorkloadEndpoint","apiVersion":"projectcalico.org/v3","metadata":{"name":""#)?;
    rest.raw_text()?;
    for literal in [r#","generateName":""#, r#","namespace":""#, r#","uid":""#] {
        rest.field(literal)?;
    }
    metadata.created = rest.field(r#","creationTimestamp":""#)?;
    if rest.has(r#","labels":{"#) {
        rest.texts()?;
    }
    let mut spec = RawSpec::default();
    rest.must(r#"},"spec":{"orchestrator":""#)?;
    spec.orchestrator = Some(rest.text()?);
    spec.workload = rest.field(r#","workload":""#)?;
    spec.node = rest.field(r#","node":""#)?;
    spec.container = rest.field(r#","containerID":""#)?;
    spec.pod = rest.field(r#","pod":""#)?;
    spec.endpoint = rest.field(r#","endpoint":""#)?;
    spec.has_others |= rest.field(r#","serviceAccountName":""#)?.is_some();
    if rest.has(r#","ipNetworks":["#) {
        let mut networks = Vec::new();
        rest.list(|rest| {
            rest.must("\"")?;
            networks.push(Some(rest.text()?));
            Some(())
        })?;
        spec.networks = Some(networks);
    }
    spec.has_others |= rest.field(r#","ipv4Gateway":""#)?.is_some();
    spec.has_others |= rest.field(r#","ipv6Gateway":""#)?.is_some();
    if rest.has(r#","profiles":["#) {
        spec.has_others = true;
        rest.text_list()?;
    }
    spec.interface = rest.field(r#","interfaceName":""#)?;
    spec.mac = rest.field(r#","mac":""#)?;
    if rest.has(r#","ports":["#) {
        spec.has_others = true;
        rest.list(port)?;
    }
    if rest.has(r#","allowSpoofedSourcePrefixes":["#) {
        spec.has_others = true;
        rest.text_list()?;
    }
    (rest.0 == "}}").then_some((metadata, spec))
}

/// One of an endpoint's named ports, which nobody asks for.
fn port(rest: &mut Unread<'_>) -> Option<()> {
    rest.must(r#"{"name":""#)?;
    rest.raw_text()?;
    rest.must(r#","protocol":""#)?;
    rest.raw_text()?;
    rest.must(r#","port":"#)?;
    rest.number()?;
    rest.must(r#","hostPort":"#)?;
    rest.number()?;
    rest.must(r#","hostIP":""#)?;
    rest.raw_text()?;
    rest.must("}")
}

/// A handle.
pub(super) fn handle(value: &[u8]) -> Option<RawHandle<'_>> {
    let mut rest = Unread::of(value)?;
    let mut counts = Vec::new();
    rest.must(r#"{"block":{"#)?;
    rest.object(|rest, block| {
        let count = i64::try_from(rest.number()?).ok()?;
        counts.push((GoString(Cow::Borrowed(block)), Some(count)));
        Some(())
    })?;
    let mut handle = RawHandle::default();
    (handle.counts, handle.deleted) = (Some(Pairs(counts)), Some(deleted(rest)?));
    Some(handle)
}

/// The flag with which handles and blocks end.
fn deleted(rest: Unread<'_>) -> Option<bool> {
    match rest.0 {
        r#","deleted":false}"# => Some(false),
        r#","deleted":true}"# => Some(true),
        _ => None,
    }
}

/// A block.
pub(super) fn block(value: &[u8]) -> Option<RawBlock<'_>> {
    let mut rest = Unread::of(value)?;
    let mut block = RawBlock::default();
    rest.must(r#"{"cidr":""#)?;
    block.cidr = Some(rest.text()?);
    if !rest.has(r#","affinity":null"#) {
        rest.must(r#","affinity":""#)?;
        block.affinity = Some(rest.text()?);
    }
    block.claimed = rest.field(r#","affinity_claim_time":""#)?;
    let mut allocations = Vec::new();
    rest.must(r#","allocations":["#)?;
    rest.list(|rest| {
        let index = if rest.has("null") { None } else { Some(ordinal(rest)?) };
        allocations.push(index);
        Some(())
    })?;
    block.allocations = Some(allocations);
    let mut unallocated = Vec::new();
    rest.must(r#","unallocated":["#)?;
    rest.list(|rest| {
        unallocated.push(Some(ordinal(rest)?));
        Some(())
    })?;
    block.unallocated = Some(unallocated);
    // A block that was never given out of has none.
    if !rest.has(r#","attributes":null"#) {
        let mut attributes = Vec::new();
        rest.must(r#","attributes":["#)?;
        rest.list(|rest| {
            attributes.push(Some(attribute(rest)?));
            Some(())
        })?;
        block.attributes = Some(attributes);
    }
    rest.must(r#","sequenceNumber":"#)?;
    block.sequence = Some(rest.number()?);
    rest.must(r#","sequenceNumberForAllocation":{"#)?;
    block.sequences = Some(sequences(&mut rest)?);
    block.deleted = Some(deleted(rest)?);
    Some(block)
}

fn ordinal(rest: &mut Unread<'_>) -> Option<Ordinal> {
    i32::try_from(rest.number()?).ok().map(Ordinal)
}

fn attribute<'a>(rest: &mut Unread<'a>) -> Option<RawAttribute<'a>> {
    let mut attribute = RawAttribute::default();
    rest.must("{")?;
    rest.object(|rest, name| {
        match name {
            "handle_id" => attribute.handle = text_or_null(rest)?,
            "secondary" => attribute.owner = owner(rest)?,
            "alternateOwnerAttrs" => attribute.alternate = owner(rest)?,
            "releasedAt" => attribute.released = text_or_null(rest)?,
            // In other case it is one of them to Go.
            _ => return None,
        }
        Some(())
    })?;
    Some(attribute)
}

fn text_or_null<'a>(rest: &mut Unread<'a>) -> Option<Option<GoString<'a>>> {
    if rest.has("null") {
        return Some(None);
    }
    rest.must("\"")?;
    rest.text().map(Some)
}

fn owner<'a>(rest: &mut Unread<'a>) -> Option<Option<RawOwner<'a>>> {
    if rest.has("null") {
        return Some(None);
    }
    let mut owner = RawOwner::default();
    rest.must("{")?;
    rest.object(|rest, name| {
        rest.must("\"")?;
        let text = Some(rest.text()?);
        match name {
            "namespace" => owner.namespace = text,
            "pod" => owner.pod = text,
            "node" => owner.node = text,
            "service" => owner.service = text,
            "type" => owner.kind = text,
            "vmi-name" => owner.vmi = text,
            "note" => owner.note = text,
            "timestamp" => owner.timestamp = text,
            _ => owner.has_others = true,
        }
        Some(())
    })?;
    Some(Some(owner))
}

/// Numbers by ordinal, in the order of the ordinals' text.
fn sequences(rest: &mut Unread<'_>) -> Option<Sequences> {
    let mut list = Vec::new();
    rest.object(|rest, ordinal| {
        let mut digits = Unread(ordinal);
        let ordinal = u32::try_from(digits.number()?).ok().filter(|_| digits.0.is_empty())?;
        list.push((ordinal, rest.number()?));
        Some(())
    })?;
    list.sort_unstable();
    // Of a doubled one the last counts: the parser knows which that is.
    let doubled = list.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other));
    (!doubled).then(|| Sequences(list.into()))
}

#[cfg(test)]
mod tests;
