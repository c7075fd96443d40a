//! Small datastores as text, for the tests of what is decided from fresh bytes.

use super::transaction::{After, Change, Fresh, StoredKey, Transaction};
use crate::model::keys::{CLUSTER_INFORMATION, IPAM_CONFIG, block_key, handle_key};
use crate::model::{Cidr, Names};

pub fn cidr(text: &str) -> Cidr {
    Cidr::parse(text).unwrap().0
}

/// Keys and values; the revision of the n-th put is n.
#[derive(Clone)]
pub struct Store {
    pub fresh: Fresh,
    revision: i64,
}

impl Store {
    /// Open, without a cooldown.
    pub fn new() -> Store {
        let mut store = Store { fresh: Fresh::new(), revision: 0 };
        store.put(CLUSTER_INFORMATION, r#"{"spec":{"clusterGUID":"g","datastoreReady":true}}"#);
        store.fresh.insert(IPAM_CONFIG.into(), None);
        store
    }

    pub fn put(&mut self, key: &str, value: &str) -> i64 {
        self.revision += 1;
        let create_revision = self.stored(key).map_or(self.revision, |s| s.create_revision);
        let stored = StoredKey { value: value.into(), create_revision, mod_revision: self.revision };
        self.fresh.insert(key.into(), Some(stored));
        self.revision
    }

    pub fn absent(&mut self, key: &str) {
        self.fresh.insert(key.into(), None);
    }

    pub fn stored(&self, key: &str) -> Option<&StoredKey> {
        self.fresh.get(key.as_bytes()).and_then(Option::as_ref)
    }

    pub fn text(&self, key: &str) -> Option<&str> {
        self.stored(key).map(|s| std::str::from_utf8(&s.value).unwrap())
    }

    /// A /30 with these handles at its ordinals.
    pub fn block(&mut self, range: &str, affinity: &str, handles: [Option<&str>; 4]) -> String {
        let attributes: Vec<String> = handles
            .iter()
            .flatten()
            .map(|h| {
                format!(r#"{{"handle_id":"{h}","secondary":{{"namespace":"shop","pod":"web","node":"n"}},"new":1}}"#)
            })
            .collect();
        let mut next = 0..;
        let slots: Vec<String> =
            handles.iter().map(|h| h.map_or("null".to_owned(), |_| next.next().unwrap().to_string())).collect();
        let free: Vec<String> = (0..4).filter(|i| handles[*i].is_none()).map(|i| i.to_string()).collect();
        let numbers: Vec<String> =
            (0..4).filter(|i| handles[*i].is_some()).map(|i| format!(r#""{i}":{}"#, 100 + i)).collect();
        let value = format!(
            r#"{{"cidr":"{range}","affinity":{affinity},"allocations":[{}],"unallocated":[{}],"attributes":[{}],"sequenceNumber":200,"sequenceNumberForAllocation":{{{}}},"deleted":false}}"#,
            slots.join(","),
            free.join(","),
            attributes.join(","),
            numbers.join(",")
        );
        let key = block_key(cidr(range));
        self.put(&key, &value);
        key
    }

    /// A handle that counts one address in each of these blocks.
    pub fn handle(&mut self, id: &str, blocks: &[&str]) -> (String, i64) {
        let counts: Vec<String> = blocks.iter().map(|b| format!(r#""{b}":1"#)).collect();
        let key = handle_key(id);
        let revision = self.put(&key, &format!(r#"{{"block":{{{}}},"deleted":false}}"#, counts.join(",")));
        (key, revision)
    }

    /// Does what a transaction would.
    pub fn apply(&mut self, transaction: &Transaction) {
        for Change { key, before, after, .. } in transaction.changes() {
            assert_eq!(self.fresh.get(key).cloned().flatten().as_ref(), before.as_ref(), "a compare fails");
            let key = std::str::from_utf8(key).unwrap();
            match after {
                After::Same => {}
                After::Put(value) => drop(self.put(key, std::str::from_utf8(value).unwrap())),
                After::Delete => self.absent(key),
            }
        }
    }

    /// The block of a range as it is.
    pub fn read(&self, range: &str) -> (crate::model::Block, Names) {
        let key = block_key(cidr(range));
        super::verify::block(&Names::default(), key.as_bytes(), &self.stored(&key).unwrap().value).unwrap()
    }
}
