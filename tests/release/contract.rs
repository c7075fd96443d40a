//! The contract of `-o json`: every document that any test of this file sees is held against its schema, field by field.

use serde_json::Value;

fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A reader passes over fields that it does not know; here a field that is printed must be described.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(strict);
            if fields.contains_key("properties") {
                fields.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(strict),
        _ => {}
    }
}

/// # Panics
/// When a document is not what its schema says.
pub fn hold(document: &Value) {
    let mut schema = match document["schema"].as_str() {
        Some("ipaudit/release/v1") => schema(include_str!("../../docs/release.schema.json")),
        Some("ipaudit/releases/v1") => schema(include_str!("../../docs/releases.schema.json")),
        _ => return,
    };
    strict(&mut schema);
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(document).map(|e| format!("{}: {e}", e.instance_path)).take(5).collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

/// docs/output.md names every field.
#[test]
fn the_page_names_every_field() {
    let page = include_str!("../../docs/output.md");
    let page = page.split("# What `ipaudit release` and `undo` print").nth(1).expect("the chapter");
    fn fields(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(map) => {
                found.extend(
                    map.get("properties").and_then(Value::as_object).into_iter().flat_map(|p| p.keys().cloned()),
                );
                map.values().for_each(|v| fields(v, found));
            }
            Value::Array(list) => list.iter().for_each(|v| fields(v, found)),
            _ => {}
        }
    }
    let mut all = Vec::new();
    fields(&schema(include_str!("../../docs/release.schema.json")), &mut all);
    fields(&schema(include_str!("../../docs/releases.schema.json")), &mut all);
    assert!(all.len() > 30);
    let named: std::collections::BTreeSet<&str> =
        page.split('`').skip(1).step_by(2).flat_map(|code| code.split(['.', '[', ']', ' '])).collect();
    let missing: Vec<&String> = all.iter().filter(|field| !named.contains(field.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?} are not explained");
}

#[test]
fn what_is_not_described_is_seen() {
    let good = serde_json::json!({"schema": "ipaudit/releases/v1", "releases": []});
    hold(&good);
    let mut more = good;
    more["surprise"] = Value::Null;
    assert!(std::panic::catch_unwind(|| hold(&more)).is_err());
}
