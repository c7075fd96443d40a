//! Texts that stand in many rows, each once in the file.

use rusqlite::OptionalExtension;

use crate::history::tx::WriteTx;
use crate::model::Foreign;
use crate::model::hash::HashMap;

/// Texts and their numbers, those that this audit needs.
pub(super) struct NameTable<'a> {
    tx: &'a WriteTx<'a>,
    known: HashMap<String, i64>,
}

impl<'a> NameTable<'a> {
    pub(super) fn new(tx: &'a WriteTx<'a>) -> NameTable<'a> {
        NameTable { tx, known: HashMap::new() }
    }

    /// The number of `text`, entered when it is new.
    pub(super) fn id(&mut self, text: &str) -> rusqlite::Result<i64> {
        if let Some(known) = self.known.get(text) {
            return Ok(*known);
        }
        let mut select = self.tx.prepare_cached("SELECT id FROM name WHERE text = ?1")?;
        let id = match select.query_row([text], |row| row.get(0)).optional()? {
            Some(id) => id,
            None => {
                self.tx.write("INSERT INTO name (text) VALUES (?1)")?.execute([text])?;
                self.tx.last_row()
            }
        };
        self.known.insert(text.to_owned(), id);
        Ok(id)
    }

    /// The same for what may be absent.
    pub(super) fn some(&mut self, text: Option<&Foreign>) -> rusqlite::Result<Option<i64>> {
        text.map(|text| self.id(text.raw())).transpose()
    }
}
