//! The content of an [`Etcd`]: plain reads and writes for tests, as root when
//! authentication is on.
//!
//! Every call panics on an error: a test that expects one talks to the client
//! of [`Etcd::client`] itself.

use etcd_client::{DeleteOptions, GetOptions, Permission, Txn, TxnOp};

use super::block_on;
use super::etcd::Etcd;
use super::etcd_users::{NOBODY, READER, ROOT, User, WRITER};

/// One key as etcd has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub value: Vec<u8>,
    pub mod_revision: i64,
    pub create_revision: i64,
    pub version: i64,
}

/// Within etcd's limits on a transaction: 128 operations, 1.5 MiB.
const OPS_PER_TXN: usize = 100;
const BYTES_PER_TXN: usize = 1 << 20;

impl Etcd {
    /// The revision of the write.
    pub fn put(&self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> i64 {
        let done = block_on(self.client().put(key, value, None)).expect("put");
        done.header().expect("a header").revision()
    }

    /// In transactions of up to 100 keys.
    pub fn put_many(&self, pairs: Vec<(Vec<u8>, Vec<u8>)>) {
        let mut client = self.client();
        let mut ops = Vec::new();
        let mut bytes = 0;
        let mut flush = |ops: &mut Vec<TxnOp>| {
            let txn = Txn::new().and_then(std::mem::take(ops));
            block_on(client.txn(txn)).expect("put_many");
        };
        for (key, value) in pairs {
            let size = key.len() + value.len();
            if ops.len() == OPS_PER_TXN || (bytes + size > BYTES_PER_TXN && !ops.is_empty()) {
                flush(&mut ops);
                bytes = 0;
            }
            bytes += size;
            ops.push(TxnOp::put(key, value, None));
        }
        if !ops.is_empty() {
            flush(&mut ops);
        }
    }

    pub fn get(&self, key: impl Into<Vec<u8>>) -> Option<Stored> {
        let answer = block_on(self.client().get(key, None)).expect("get");
        answer.kvs().first().map(|kv| Stored {
            value: kv.value().to_vec(),
            mod_revision: kv.mod_revision(),
            create_revision: kv.create_revision(),
            version: kv.version(),
        })
    }

    /// Every key and value under `prefix`, sorted by key.
    pub fn list(&self, prefix: impl Into<Vec<u8>>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let options = GetOptions::new().with_prefix();
        let mut answer = block_on(self.client().get(prefix, Some(options))).expect("list");
        let kvs = answer.take_kvs();
        kvs.into_iter().map(|kv| kv.into_key_value()).collect()
    }

    /// Whether the key existed.
    pub fn delete(&self, key: impl Into<Vec<u8>>) -> bool {
        let done = block_on(self.client().delete(key, None)).expect("delete");
        done.deleted() > 0
    }

    /// In transactions of 100 keys.
    pub fn delete_many(&self, keys: &[String]) {
        let mut client = self.client();
        for some in keys.chunks(OPS_PER_TXN) {
            let ops: Vec<TxnOp> = some.iter().map(|key| TxnOp::delete(key.as_str(), None)).collect();
            block_on(client.txn(Txn::new().and_then(ops))).expect("delete_many");
        }
    }

    /// How many keys went.
    pub fn delete_prefix(&self, prefix: impl Into<Vec<u8>>) -> i64 {
        let options = DeleteOptions::new().with_prefix();
        let done = block_on(self.client().delete(prefix, Some(options))).expect("delete");
        done.deleted()
    }

    /// The revision of the store now.
    pub fn revision(&self) -> i64 {
        let options = GetOptions::new().with_count_only();
        let answer = block_on(self.client().get("\0", Some(options))).expect("revision");
        answer.header().expect("a header").revision()
    }

    /// Drops the history before `revision`: reads at older ones fail from now.
    pub fn compact(&self, revision: i64) {
        block_on(self.client().compact(revision, None)).expect("compact");
    }

    /// Of the answering member; it grows with every election and restart.
    pub fn raft_term(&self) -> u64 {
        let answer = block_on(self.client().status()).expect("status");
        answer.header().expect("a header").raft_term()
    }

    /// Gives free space of the file back; the content stays.
    pub fn defragment(&self) {
        block_on(self.client().defragment()).expect("defragment");
    }

    pub fn cluster_id(&self) -> u64 {
        let answer = block_on(self.client().status()).expect("status");
        answer.header().expect("a header").cluster_id()
    }

    /// A role with these rights and a user who has it.
    pub fn add_user(&self, user: User, rights: &[Permission]) {
        let mut client = self.client();
        block_on(async {
            client.user_add(user.name, user.password, None).await?;
            client.role_add(user.name).await?;
            for right in rights {
                let right = right.clone();
                client.role_grant_permission(user.name, right).await?;
            }
            client.user_grant_role(user.name, user.name).await
        })
        .expect("a user");
    }

    pub(super) fn enable_auth(&self) {
        let calico = || Permission::read("/calico/").with_prefix();
        let calico_rw = || Permission::read_write("/calico/").with_prefix();
        // root's rights come from the role's name.
        self.add_user(ROOT, &[]);
        self.add_user(READER, &[calico()]);
        self.add_user(WRITER, &[calico_rw()]);
        self.add_user(NOBODY, &[]);
        block_on(self.client().auth_enable()).expect("auth enable");
        self.become_root();
    }
}
