//! A body of Kubernetes' API, whichever of the two wires it came over: a page of a list, or one object.
//!
//! A page is cut into its items' bytes first (slices, no copies), so that the next page can be asked for
//! before this one is decoded, and one item that does not decode costs itself alone.

use prost::Message;
use prost::bytes::Bytes;

use super::kube_item::{Item, Kind};
use super::kube_json;
use super::kube_json::ErrorStatus;
use super::kube_pb;
use super::kube_pb_item::Object;

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    Json,
    Protobuf,
}

impl Content {
    /// Asks for protobuf and takes JSON from a server that has no protobuf.
    pub const ACCEPT: &'static str = "application/vnd.kubernetes.protobuf, application/json";

    /// From a `Content-Type` header.
    pub fn parse(content_type: &str) -> Option<Content> {
        let media = content_type.split(';').next().unwrap_or_default().trim();
        match media.to_ascii_lowercase().as_str() {
            "application/json" => Some(Content::Json),
            "application/vnd.kubernetes.protobuf" => Some(Content::Protobuf),
            _ => None,
        }
    }
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Page {
    kind: Kind,
    content: Content,
    items: Vec<Bytes>,
    /// Asks for the next page; empty on the last one.
    pub next: String,
}

impl Page {
    /// Cuts a page of a list of `kind`; a body that is something else is an error.
    pub fn parse(kind: Kind, content: Content, body: &Bytes) -> Result<Page, String> {
        let (word, next, items) = match content {
            Content::Json => {
                let page = kube_json::page(utf8(body)?).map_err(|e| e.to_string())?;
                let items = page.items.unwrap_or_default();
                let items = items.into_iter().map(|raw| body.slice_ref(raw.get().as_bytes())).collect();
                (page.kind.to_string(), page.metadata.unwrap_or_default().next.to_string(), items)
            }
            Content::Protobuf => {
                let unknown = kube_pb::unwrap(body.clone())?;
                let list = kube_pb::List::decode(unknown.raw).map_err(|e| e.to_string())?;
                let word = unknown.type_meta.unwrap_or_default().kind;
                (word, list.metadata.unwrap_or_default().next, list.items)
            }
        };
        if Kind::of_list("v1", &word) != Some(kind) {
            return Err(format!("the answer is a {word:?}, not a {}List", kind.word()));
        }
        Ok(Page { kind, content, items, next })
    }

    /// Decodes every item in turn; `each` gets the reason where one does not decode.
    pub fn for_each(self, mut each: impl FnMut(Result<&Item<'_>, String>)) {
        for raw in self.items {
            with_item(self.kind, self.content, raw, &mut each);
        }
    }
}

/// Decodes a body with one object of `kind`.
pub fn with_object<T>(
    kind: Kind,
    content: Content,
    body: &Bytes,
    then: impl FnOnce(Result<&Item<'_>, String>) -> T,
) -> T {
    let raw = match content {
        Content::Json => Ok(body.clone()),
        Content::Protobuf => kube_pb::unwrap(body.clone()).and_then(|unknown| {
            let word = unknown.type_meta.unwrap_or_default().kind;
            if word == kind.word() { Ok(unknown.raw) } else { Err(not_a(kind, &word)) }
        }),
    };
    match raw {
        Ok(raw) => with_item(kind, content, raw, |item| match item {
            Ok(item) if content == Content::Json && &*item.kind != kind.word() => then(Err(not_a(kind, &item.kind))),
            other => then(other),
        }),
        Err(reason) => then(Err(reason)),
    }
}

fn not_a(kind: Kind, word: &str) -> String {
    format!("the answer is a {word:?}, not a {}", kind.word())
}

fn with_item<T>(kind: Kind, content: Content, raw: Bytes, then: impl FnOnce(Result<&Item<'_>, String>) -> T) -> T {
    match content {
        Content::Json => {
            let item = utf8(&raw).and_then(|text| kube_json::item(text).map_err(|e| e.to_string()));
            then(item.as_ref().map_err(String::clone))
        }
        Content::Protobuf => {
            let object = Object::decode(kind, raw).map_err(|e| e.to_string());
            let item = object.as_ref().map_err(String::clone).and_then(|o| o.item().map_err(|e| e.to_string()));
            then(item.as_ref().map_err(String::clone))
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|e| e.to_string())
}

/// An error's body, over either wire; `None` when it is something else (a proxy's page, nothing at all).
pub fn status(body: &Bytes) -> Option<ErrorStatus> {
    if body.starts_with(kube_pb::MAGIC) { kube_pb::status(body.clone()) } else { kube_json::status(body) }
}
