//! What the evidence that the history keeps names: read back from its JSON, as an audit's own.

use serde_json::Value;

use crate::model::touch::NamingTexts;

/// Evidence as it was written down; what cannot be read names nobody.
pub(super) fn evidence(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

impl NamingTexts for Value {
    fn any_text(&self, is: &dyn Fn(&str, &str) -> bool) -> bool {
        any_text("", self, is)
    }
}

fn any_text(field: &str, value: &Value, is: &dyn Fn(&str, &str) -> bool) -> bool {
    match value {
        Value::String(text) => is(field, text),
        Value::Array(list) => list.iter().any(|value| any_text(field, value, is)),
        Value::Object(fields) => fields.iter().any(|(field, value)| any_text(field, value, is)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Evidence;

    #[test]
    fn the_texts_of_an_audit_and_of_its_history_are_the_same() {
        let holder = Evidence::new().with("pod", "shop/web-0").with("addresses", vec!["10.0.0.1"]).with("ready", true);
        let now = Evidence::new().with("holders", vec![holder]).with("age", 7_i64);
        let kept = evidence(&serde_json::to_string(&now).unwrap());
        for (field, text, has) in [
            ("pod", "shop/web-0", true),
            ("addresses", "10.0.0.1", true),
            ("ready", "true", false),
            ("holders", "shop/web-0", false),
        ] {
            let is = |f: &str, t: &str| (f, t) == (field, text);
            assert_eq!((now.any_text(&is), kept.any_text(&is)), (has, has), "{field}");
        }
        assert!(!evidence("{").any_text(&|_, _| true));
    }
}
