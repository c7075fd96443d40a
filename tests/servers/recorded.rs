//! What a history holds, held against what another one holds.

use std::path::Path;

use serde_json::Value;

use super::command::{ipaudit, text};

/// Every row of a history, without the clocks of the machine that recorded it.
#[track_caller]
pub fn rows(db: &Path) -> Vec<Value> {
    let output = ipaudit().args(["history", "export", "--db"]).arg(db).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let bare = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        if row["table"] == "audit" {
            ["started", "duration", "api_date"].iter().for_each(|clock| row[*clock] = Value::Null);
        }
        row
    };
    text(&output).lines().map(bare).collect()
}

/// Both say the same, row by row, under the same numbers.
#[track_caller]
pub fn assert_same_rows(one: &Path, other: &Path) {
    let (one, other) = (rows(one), rows(other));
    let only = |these: &[Value], those: &[Value]| -> Vec<String> {
        these.iter().filter(|row| !those.contains(row)).map(Value::to_string).collect()
    };
    if one != other {
        panic!("only in the one: {:#?}\nonly in the other: {:#?}", only(&one, &other), only(&other, &one));
    }
}
