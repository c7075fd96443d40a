//! A dump of etcd's keys: one JSON object a line, `{"key":…,"value":…}`; what is no text as `key_base64`, `value_base64`.
//! `create_revision`, `mod_revision` and `version` may stand beside them; without them each line is a revision of its own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use super::{Kv, insert};
use crate::model::Gathering;

#[derive(Deserialize)]
struct DumpLine {
    key: Option<String>,
    key_base64: Option<String>,
    value: Option<String>,
    value_base64: Option<String>,
    create_revision: Option<i64>,
    mod_revision: Option<i64>,
    version: Option<i64>,
}

fn bytes(text: Option<String>, base64: Option<String>, what: &str) -> Result<Vec<u8>, String> {
    match (text, base64) {
        (Some(text), _) => Ok(text.into_bytes()),
        (None, Some(coded)) => BASE64.decode(coded).map_err(|e| format!("{what}_base64: {e}")),
        (None, None) => Err(format!("it has neither {what} nor {what}_base64")),
    }
}

/// Puts the key of one line, the `number`th, into the snapshot; its revision.
///
/// # Errors
/// What is no such line.
pub fn take(snapshot: &mut Gathering, line: &[u8], number: i64) -> Result<i64, String> {
    let line: DumpLine = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    let key = bytes(line.key, line.key_base64, "key")?;
    let value = bytes(line.value, line.value_base64, "value")?;
    let mod_revision = line.mod_revision.unwrap_or(number);
    let create_revision = line.create_revision.unwrap_or(mod_revision);
    let version = line.version.unwrap_or(1);
    insert(snapshot, &Kv { key: &key, value: &value, create_revision, mod_revision, version });
    Ok(mod_revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_key_with_its_value() {
        let mut snapshot = Gathering::default();
        let key = "/calico/ipam/v2/handle/h";
        let line = format!(r#"{{"key":"{key}","value":"{{\"block\":{{}}}}","mod_revision":9,"create_revision":4}}"#);
        assert_eq!(take(&mut snapshot, line.as_bytes(), 1), Ok(9));
        assert_eq!(snapshot.handles[0].meta().create_revision, 4);
        let coded = format!(r#"{{"key_base64":"{}","value_base64":"/w=="}}"#, BASE64.encode(format!("{key}2")));
        assert_eq!(take(&mut snapshot, coded.as_bytes(), 7), Ok(7));
        assert_eq!(snapshot.bad_values[0].mod_revision, 7, "kept as what it is");
        for bad in ["", "{}", r#"{"key":"x"}"#, r#"{"key":"x","value_base64":"?"}"#] {
            assert!(take(&mut snapshot, bad.as_bytes(), 1).is_err(), "{bad}");
        }
    }
}
