//! One etcd transaction as a value: what is compared, what is written.
//!
//! Every key is compared by mod revision *and* value, an absent one by create revision 0 (rule 8). etcd accepts at most
//! 128 operations, and compares count as well; a request has at most 1.5 MiB.

use std::collections::BTreeMap;

use crate::model::Foreign;
use crate::model::keys::key_text;

/// etcd's limit on compares and on operations of one transaction.
pub const OPERATIONS: usize = 128;
/// What we send at most; etcd's own limit is 1.5 MiB with its envelope.
pub const BYTES: usize = 1_400_000;

/// A key as etcd has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredKey {
    /// Its bytes as they were read.
    pub value: Vec<u8>,
    /// Etcd's revision at which it was made.
    pub create_revision: i64,
    /// What the transaction compares.
    pub mod_revision: i64,
}

/// Keys read just now, all at one revision; `None`: the key is absent.
pub type Fresh = BTreeMap<Vec<u8>, Option<StoredKey>>;

/// What becomes of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum After {
    /// It is only compared.
    Same,
    Put(Vec<u8>),
    Delete,
}

/// One key of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Etcd's key, its bytes.
    pub key: Vec<u8>,
    /// As it was read; `None`: absent.
    pub before: Option<StoredKey>,
    /// What the transaction makes of it.
    pub after: After,
    /// One clause for people: `10.65.0.1 is released`, `fence`.
    pub why: Foreign,
}

impl Change {
    /// Of a key that was read; `None`: as absent.
    pub fn of(key: impl Into<Vec<u8>>, before: Option<&StoredKey>, after: After, why: impl Into<Foreign>) -> Change {
        Change { key: key.into(), before: before.cloned(), after, why: why.into() }
    }
}

/// Compares and writes that happen together or not at all; by key, each key once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    changes: Vec<Change>,
}

impl Transaction {
    /// From its changes, in any order.
    ///
    /// # Errors
    /// A key twice, nothing to write, or more than etcd accepts; in words.
    pub fn of(mut changes: Vec<Change>) -> Result<Transaction, String> {
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some(pair) = changes.windows(2).find(|w| matches!(w, [a, b] if a.key == b.key)) {
            return Err(format!(
                "{} would be changed twice",
                pair.first().map(|c| key_text(&c.key)).unwrap_or_default()
            ));
        }
        let transaction = Transaction { changes };
        if transaction.operations() == 0 {
            return Err("there is nothing to write".to_owned());
        }
        let most = transaction.compares().max(transaction.operations());
        if most > OPERATIONS {
            return Err(format!("{most} operations are more than the {OPERATIONS} that etcd does in one transaction"));
        }
        if transaction.bytes() > BYTES {
            return Err(transaction.too_big());
        }
        Ok(transaction)
    }

    /// A value is sent twice, to be compared and to be written.
    fn too_big(&self) -> String {
        let size = |c: &Change| c.before.as_ref().map_or(0, |b| b.value.len());
        let biggest = self.changes.iter().max_by_key(|c| size(c));
        let biggest = biggest.map(|c| format!("; {} alone has {} bytes", key_text(&c.key), size(c)));
        format!(
            "it would be {} bytes, as old values are compared and new ones written, and etcd takes {BYTES} in one \
             transaction at most{}: it must be repaired by other means",
            self.bytes(),
            biggest.unwrap_or_default()
        )
    }

    /// By key.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// How many compares it has.
    pub fn compares(&self) -> usize {
        self.changes.iter().map(|c| if c.before.is_some() { 2 } else { 1 }).sum()
    }

    /// How many puts and deletes it has.
    pub fn operations(&self) -> usize {
        self.changes.iter().filter(|c| c.after != After::Same).count()
    }

    /// About how many bytes it is on the wire.
    pub fn bytes(&self) -> usize {
        let of = |c: &Change| {
            let compared = c.before.as_ref().map_or(c.key.len(), |b| 2 * c.key.len() + b.value.len());
            let written = match &c.after {
                After::Same => 0,
                After::Delete => c.key.len(),
                After::Put(value) => c.key.len() + value.len(),
            };
            compared + written + 64
        };
        self.changes.iter().map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(key: &str, before: Option<usize>, after: After) -> Change {
        let stored = |size| StoredKey { value: vec![b'x'; size], create_revision: 1, mod_revision: 2 };
        Change { key: key.into(), before: before.map(stored), after, why: Foreign::default() }
    }

    #[test]
    fn rule_8_the_limit_counts_compares_and_operations() {
        let deletes =
            |n: usize| (0..n).map(|i| change(&format!("/{i:03}"), Some(1), After::Delete)).collect::<Vec<_>>();
        let full = Transaction::of(deletes(64)).unwrap();
        assert_eq!((full.compares(), full.operations()), (128, 64));
        assert!(Transaction::of(deletes(65)).unwrap_err().contains("130 operations"));
        let mut with_absent = deletes(63);
        with_absent.extend([change("/a", None, After::Same), change("/b", None, After::Put(b"x".to_vec()))]);
        assert_eq!(Transaction::of(with_absent).unwrap().compares(), 128);
    }

    #[test]
    fn rule_8_the_limit_counts_bytes() {
        let put = |size| Transaction::of(vec![change("/a", Some(size), After::Put(vec![b'x'; size]))]);
        assert!(put(BYTES / 2 - 100).is_ok());
        let words = put(BYTES / 2).unwrap_err();
        assert!(words.contains("it would be 1400") && words.contains("/a alone has 700000 bytes"), "{words}");
    }

    #[test]
    fn a_key_twice_and_nothing_to_write_are_refused() {
        let twice = vec![change("/a", None, After::Same), change("/a", None, After::Delete)];
        assert!(Transaction::of(twice).unwrap_err().contains("/a would be changed twice"));
        assert!(Transaction::of(vec![change("/a", None, After::Same)]).is_err());
    }
}
