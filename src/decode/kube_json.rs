//! Kubernetes' JSON: one object, a page of a list, an error (`Status`).
//!
//! Texts are borrowed from the bytes; unknown fields are skipped unread. A page is cut into the raw text of its
//! items first, so that one object that does not decode costs itself and not the page.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::kube_item::{Item, WireText};

/// A list's envelope.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub struct ListEnvelope<'a> {
    #[serde(borrow)]
    pub kind: WireText<'a>,
    #[serde(borrow)]
    pub metadata: Option<ListMetadata<'a>>,
    /// The raw text of each item.
    #[serde(borrow)]
    pub items: Option<Vec<&'a RawValue>>,
}

/// A list's `metadata`.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct ListMetadata<'a> {
    /// Asks for the next page; empty on the last one.
    #[serde(borrow, rename = "continue")]
    pub next: WireText<'a>,
}

/// What the API server says instead of an answer.
#[derive(Deserialize, Default, Clone, PartialEq, Debug)]
#[serde(default)]
pub struct ErrorStatus {
    pub kind: String,
    pub message: String,
    /// One word, as `NotFound`, `Forbidden`, `Expired`.
    pub reason: String,
    pub details: Option<ErrorDetails>,
}

/// What an [`ErrorStatus`] is about.
#[derive(Deserialize, Default, Clone, PartialEq, Debug)]
#[serde(default)]
pub struct ErrorDetails {
    pub name: String,
    /// The plural, as in the URL.
    pub kind: String,
}

/// One object.
pub fn item(text: &str) -> Result<Item<'_>, serde_json::Error> {
    serde_json::from_str(text)
}

/// A page of a list.
pub fn page(text: &str) -> Result<ListEnvelope<'_>, serde_json::Error> {
    serde_json::from_str(text)
}

/// An error's body; `None` when it is something else (a proxy's page, nothing at all).
pub fn status(bytes: &[u8]) -> Option<ErrorStatus> {
    serde_json::from_slice::<ErrorStatus>(bytes).ok().filter(|status| status.kind == "Status")
}

#[cfg(test)]
mod tests {
    use super::super::kube_item::WireTime;
    use super::*;

    #[test]
    fn null_absent_and_empty_are_one() {
        let nothing = Item::default();
        for text in [
            "{}",
            r#"{"metadata":null,"spec":null,"status":null,"kind":null}"#,
            r#"{"metadata":{"uid":null,"labels":null,"annotations":null,"ownerReferences":null,"creationTimestamp":null,
                "deletionTimestamp":null},"spec":{"hostNetwork":null,"nodeName":null},
                "status":{"podIPs":null,"conditions":null,"addresses":null,"nodeInfo":null,"loadBalancer":{"ingress":null}}}"#,
            r#"{"metadata":{"name":"","managedFields":[{"x":[1,2,{"y":null}]}]},"spec":{"containers":[{}]}}"#,
        ] {
            assert_eq!(item(text).unwrap(), nothing, "{text}");
        }
    }

    #[test]
    fn escaped_text_is_read_and_plain_text_is_borrowed() {
        let text = r#"{"metadata":{"name":"a\"bé\n","namespace":"plain"}}"#;
        let item = item(text).unwrap();
        assert_eq!(&*item.metadata.name, "a\"bé\n");
        let range = text.as_bytes().as_ptr_range();
        assert!(range.contains(&item.metadata.namespace.as_ptr()));
        assert!(!range.contains(&item.metadata.name.as_ptr()));
    }

    #[test]
    fn a_wrong_type_is_an_error_and_an_odd_time_is_kept_as_odd() {
        assert!(item(r#"{"status":{"phase":5}}"#).is_err());
        assert!(item(r#"{"status":{"podIPs":{"ip":"10.0.0.1"}}}"#).is_err());
        let odd = item(r#"{"metadata":{"deletionTimestamp":"soon"}}"#).unwrap();
        assert_eq!(odd.metadata.deletion_timestamp, WireTime::Odd);
    }

    #[test]
    fn a_page_may_have_null_items_and_no_metadata() {
        let page = page(r#"{"kind":"PodList","apiVersion":"v1","items":null}"#).unwrap();
        assert_eq!(&*page.kind, "PodList");
        assert!(page.items.is_none());
    }

    #[test]
    fn only_a_status_is_a_status() {
        let forbidden = br#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
            "message":"pods is forbidden: User \"alice\" cannot list resource","reason":"Forbidden",
            "details":{"kind":"pods"},"code":403}"#;
        let status = status(forbidden).unwrap();
        assert_eq!((status.reason.as_str(), status.details.unwrap().kind.as_str()), ("Forbidden", "pods"));
        assert_eq!(super::status(b"<html>"), None);
        assert_eq!(super::status(br#"{"kind":"PodList"}"#), None);
    }
}
