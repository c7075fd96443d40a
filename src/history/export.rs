//! Everything that is kept, as rows for lines of JSON: `table` says of which table (docs/history.md).

use rusqlite::types::ValueRef;
use serde_json::{Map, Value};

use super::ReadTx;
use super::column::{address_of, uid_text};
use crate::error::Error;
use crate::model::Time;

/// Every table, in an order in which what is named comes first.
pub const TABLES: &[&str] = &[
    "format",
    "pair",
    "alias",
    "audit",
    "failed_audit",
    "unclaimed_audit",
    "capacity",
    "key",
    "block",
    "allocation",
    "pod_address",
    "node_state",
    "node",
    "finding",
    "evidence",
    "gap",
    "forgotten",
    "release",
    "release_step",
    "release_subject",
    "release_key",
];

/// Columns that are moments.
const TIMES: &[&str] = &[
    "judged",
    "started",
    "finished",
    "api_date",
    "opened_at",
    "ended_at",
    "stamp_since",
    "allocated",
    "tuple_since_at",
    "gone_since",
    "strict_affinity_since",
    "pruned_until",
    "intended",
    "settled",
];

/// Columns that are 64 bits without sign.
const UNSIGNED: &[&str] =
    &["cluster_id", "member_id", "value_hash", "owner", "identity", "stamp", "face", "sequence", "highest_sequence"];

/// Columns that are JSON already.
const JSON: &[&str] = &["about", "counts", "found", "more", "first", "last", "asked", "plan", "uids"];

/// Columns that stand for a text of table `name`; with a table, only there.
const NAMES: &[(&str, &str)] = &[
    ("", "tool"),
    ("", "pool"),
    ("capacity", "cidr"),
    ("", "use"),
    ("", "node"),
    ("", "namespace"),
    ("", "grade"),
    ("", "calico"),
    ("", "kubernetes"),
    ("", "boot_id"),
    ("node_state", "addresses"),
    ("node", "name"),
];

fn is_name(table: &str, column: &str) -> bool {
    NAMES.iter().any(|(only, name)| *name == column && (only.is_empty() || *only == table))
}

impl ReadTx<'_> {
    /// Hands every row of every table to `row`.
    ///
    /// # Errors
    /// A file that cannot be read, and what `row` says.
    pub fn export(&self, mut row: impl FnMut(Value) -> Result<(), Error>) -> Result<(), Error> {
        for table in TABLES {
            self.export_table(table, &mut row)?;
        }
        Ok(())
    }

    fn export_table(&self, table: &str, hand: &mut impl FnMut(Value) -> Result<(), Error>) -> Result<(), Error> {
        let failed = self.failed("read the history");
        let known = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";
        if self.query_row(known, [table], |row| row.get::<_, i64>(0)).map_err(&failed)? == 0 {
            // A file of an older schema.
            return Ok(());
        }
        let mut names = self.prepare_cached("SELECT text FROM name WHERE id = ?1").map_err(&failed)?;
        let mut abouts = self.prepare_cached("SELECT text FROM about WHERE id = ?1").map_err(&failed)?;
        let mut statement = self.prepare(&format!("SELECT * FROM {table}")).map_err(&failed)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).map_err(&failed)?;
        while let Some(row) = rows.next().map_err(&failed)? {
            let mut line = Map::new();
            line.insert("table".to_owned(), table.into());
            for (place, column) in columns.iter().enumerate() {
                let value = row.get_ref(place).map_err(&failed)?;
                let named = match value {
                    ValueRef::Integer(id) if is_name(table, column) => {
                        Some(names.query_row([id], |row| row.get::<_, String>(0)).map_err(&failed)?)
                    }
                    ValueRef::Integer(id) if (table, column.as_str()) == ("audit", "about") => {
                        Some(abouts.query_row([id], |row| row.get::<_, String>(0)).map_err(&failed)?)
                    }
                    _ => None,
                };
                line.insert(column.clone(), said(table, column, value, named));
            }
            hand(Value::Object(line))?;
        }
        Ok(())
    }
}

fn said(table: &str, column: &str, value: ValueRef<'_>, named: Option<String>) -> Value {
    let json = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.into());
    let is_json = JSON.contains(&column) && !(table == "gap" || (column == "first" && table != "evidence"));
    match (value, named) {
        (_, Some(text)) if is_json => json(&text),
        (_, Some(text)) => text.into(),
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(number), _) if TIMES.contains(&column) => Time(number).to_rfc3339().into(),
        // Above 2^53 a reader's numbers lose digits: as text.
        (ValueRef::Integer(number), _) if UNSIGNED.contains(&column) => (number as u64).to_string().into(),
        (ValueRef::Integer(number), _) => number.into(),
        (ValueRef::Real(number), _) => number.into(),
        (ValueRef::Text(text), _) if is_json => json(&String::from_utf8_lossy(text)),
        (ValueRef::Text(text), _) => String::from_utf8_lossy(text).into(),
        (ValueRef::Blob(bytes), _) => match column {
            "address" => address_of(bytes).map_or(Value::Null, |a| a.to_string().into()),
            "uid" => uid_text(value).into(),
            "stamp" => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into(),
            _ => bytes_text(bytes),
        },
    }
}

/// Bytes as text when they are text, else as an array of one member `base64`.
fn bytes_text(bytes: &[u8]) -> Value {
    use base64::Engine;
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => serde_json::json!({ "base64": base64::engine::general_purpose::STANDARD.encode(bytes) }),
    }
}
